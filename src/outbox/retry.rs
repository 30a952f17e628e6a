//! Decides what follows an attempt; must not wait, count or store.

use std::fmt;
use std::time::Duration;

use crate::outbox::Outcome;
use crate::time::{Timestamp, format_duration};

/// The least wait that a peer's `Retry-After` can ask for.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// The longest wait that a peer's `Retry-After` can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Parts in a whole of the jitter that [`Schedule::decide`] is given.
const MILLION: u128 = 1_000_000;

/// When attempts are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The wait before the first attempt, the second, and so on; the last one repeats.
    pub delays: Vec<Duration>,
    /// So long after it was first due, a message is given up.
    pub give_up_after: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        let seconds = [0, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600];
        Self {
            delays: seconds.into_iter().map(Duration::from_secs).collect(),
            give_up_after: Duration::from_secs(86_400),
        }
    }
}

/// What follows an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// The peer has it.
    Delivered,
    /// Another attempt.
    Retry {
        /// When.
        at: Timestamp,
    },
    /// No further attempt; kept, listed, and told through another channel.
    Dead {
        /// Why.
        why: Why,
    },
    /// The channel needs a person: nothing is sent on it before, and this attempt is not counted.
    PauseChannel {
        /// When to see whether it was put right.
        retry_at: Timestamp,
    },
    /// Nothing is sent on the channel before the next start; what waits is kept until it is given up.
    DisableChannel,
}

/// Why a message is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The peer will never take it.
    Refused {
        /// In the peer's words.
        reason: String,
    },
    /// The time for attempts is over.
    GivenUp {
        /// How long it was tried.
        after: Duration,
        /// What the last attempt met.
        last: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { reason } => write!(f, "refused: {reason}"),
            Self::GivenUp { after, last } => {
                write!(f, "given up after {}: {last}", format_duration(whole_seconds(*after)))
            }
        }
    }
}

const fn whole_seconds(d: Duration) -> Duration {
    Duration::from_secs(d.as_secs())
}

impl Schedule {
    /// What follows the `attempts`-th attempt (counted from 1) of a message that was first due at
    /// `first_due`, when that attempt ended at `now` with `outcome`.
    ///
    /// `jitter_ppm` is a random number from 0 to 1,000,000: the wait is that share of the schedule's (full
    /// jitter). The last attempt is made when the time for attempts ends, so that every message ends. A
    /// `Retry-After` is obeyed within [`RETRY_AFTER_MIN`] and [`RETRY_AFTER_MAX`], even beyond that time.
    pub fn decide(
        &self,
        attempts: u32,
        first_due: Timestamp,
        now: Timestamp,
        outcome: &Outcome,
        jitter_ppm: u32,
    ) -> Decision {
        match outcome {
            Outcome::Accepted { .. } => Decision::Delivered,
            Outcome::Refused { reason } => Decision::Dead { why: Why::Refused { reason: reason.clone() } },
            Outcome::Deferred { reason, retry_after } => {
                self.given_up(first_due, now, reason).unwrap_or_else(|| {
                    let at = self.jittered(attempts, now, jitter_ppm).min(self.deadline(first_due));
                    Decision::Retry { at: at.max(asked_for(now, *retry_after)) }
                })
            }
            Outcome::Misconfigured { reason } => self.given_up(first_due, now, reason).unwrap_or_else(|| {
                let retry_at = now.saturating_add(self.longest()).min(self.deadline(first_due));
                Decision::PauseChannel { retry_at }
            }),
            Outcome::Gone { reason } => {
                self.given_up(first_due, now, reason).unwrap_or(Decision::DisableChannel)
            }
        }
    }

    /// What was first due at this time or before is given up at `now`.
    #[must_use]
    pub fn given_up_before(&self, now: Timestamp) -> Timestamp {
        now.saturating_sub(self.give_up_after)
    }

    fn given_up(&self, first_due: Timestamp, now: Timestamp, last: &str) -> Option<Decision> {
        let why = || Why::GivenUp { after: now.since(first_due), last: last.to_owned() };
        (now >= self.deadline(first_due)).then(|| Decision::Dead { why: why() })
    }

    fn deadline(&self, first_due: Timestamp) -> Timestamp {
        first_due.saturating_add(self.give_up_after)
    }

    fn jittered(&self, attempts: u32, now: Timestamp, jitter_ppm: u32) -> Timestamp {
        let index = usize::try_from(attempts).unwrap_or(usize::MAX);
        let delay = self.delays.get(index).copied().unwrap_or_else(|| self.longest());
        let share = u128::from(jitter_ppm).min(MILLION);
        let nanos = delay.as_nanos().saturating_mul(share).checked_div(MILLION).unwrap_or(0);
        now.saturating_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    fn longest(&self) -> Duration {
        self.delays.last().copied().unwrap_or(RETRY_AFTER_MIN)
    }
}

fn asked_for(now: Timestamp, retry_after: Option<Duration>) -> Timestamp {
    retry_after.map_or(now, |wait| now.saturating_add(wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm, reason = "a panic fails the test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: u32 = 1_000_000;
    const DUE: Timestamp = Timestamp::from_nanos(1_732_543_032_000_000_000);

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn deferred(retry_after: Option<Duration>) -> Outcome {
        Outcome::Deferred { reason: "451 try later".into(), retry_after }
    }

    fn wait(attempts: u32, jitter_ppm: u32, retry_after: Option<Duration>) -> Duration {
        match Schedule::default().decide(attempts, DUE, DUE, &deferred(retry_after), jitter_ppm) {
            Decision::Retry { at } => at.since(DUE),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_documented_schedule_is_the_one_compiled_in() {
        let waits: Vec<u64> = (0..13).map(|n| wait(n, FULL, None).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600, 600, 600]);
        assert_eq!(Schedule::default().give_up_after, secs(86_400));
    }

    #[test]
    fn jitter_takes_a_share_of_the_delay() {
        assert_eq!(wait(9, 500_000, None), secs(150));
        assert_eq!(wait(9, 0, None), Duration::ZERO);
        assert_eq!(wait(9, u32::MAX, None), secs(300));
    }

    #[test]
    fn retry_after_is_obeyed_between_one_second_and_one_hour() {
        for (asked, obeyed) in [(0, 1), (1, 1), (90, 90), (3_600, 3_600), (86_400, 3_600)] {
            assert_eq!(wait(1, 0, Some(secs(asked))), secs(obeyed), "{asked}");
        }
        assert_eq!(
            wait(10, FULL, Some(secs(30))),
            secs(600),
            "the schedule may be slower than the peer asks"
        );
    }

    #[test]
    fn each_outcome_has_its_end() {
        let schedule = Schedule::default();
        let decide = |outcome| schedule.decide(1, DUE, DUE.saturating_add(secs(5)), &outcome, FULL);
        assert_eq!(decide(Outcome::Accepted { receipt: "250 ok".into() }), Decision::Delivered);
        assert_eq!(
            decide(Outcome::Refused { reason: "550 no such user".into() }),
            Decision::Dead { why: Why::Refused { reason: "550 no such user".into() } }
        );
        assert_eq!(
            decide(Outcome::Misconfigured { reason: "535 bad password".into() }),
            Decision::PauseChannel { retry_at: DUE.saturating_add(secs(605)) }
        );
        assert_eq!(decide(Outcome::Gone { reason: "410".into() }), Decision::DisableChannel);
    }

    #[test]
    fn what_was_never_taken_is_given_up_in_the_end_and_says_why() {
        let schedule = Schedule::default();
        let late = DUE.saturating_add(secs(86_400));
        let reason = || "451 try later".to_owned();
        let standing = [Outcome::Misconfigured { reason: reason() }, Outcome::Gone { reason: reason() }];
        for outcome in standing.into_iter().chain([deferred(Some(secs(60)))]) {
            match schedule.decide(150, DUE, late, &outcome, FULL) {
                Decision::Dead { why } => assert_eq!(why.to_string(), "given up after 1day: 451 try later"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_last_attempt_is_made_when_the_time_ends() {
        let schedule = Schedule::default();
        let shortly_before = DUE.saturating_add(secs(86_390));
        assert_eq!(
            schedule.decide(150, DUE, shortly_before, &deferred(None), FULL),
            Decision::Retry { at: DUE.saturating_add(secs(86_400)) }
        );
    }

    #[test]
    fn an_empty_schedule_still_ends() {
        let schedule = Schedule { delays: vec![], give_up_after: secs(10) };
        assert_eq!(
            schedule.decide(1, DUE, DUE, &deferred(None), FULL),
            Decision::Retry { at: DUE.saturating_add(RETRY_AFTER_MIN) }
        );
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_the_schedule_or_the_peer_says(
            attempts in any::<u32>(),
            jitter in any::<u32>(),
            passed in 0u64..200_000,
            asked in proptest::option::of(0u64..1_000_000),
        ) {
            let schedule = Schedule::default();
            let now = DUE.saturating_add(secs(passed));
            let index = usize::try_from(attempts).unwrap().min(schedule.delays.len() - 1);
            let peer = asked.map_or(Duration::ZERO, |s| secs(s.clamp(1, 3_600)));
            match schedule.decide(attempts, DUE, now, &deferred(asked.map(secs)), jitter) {
                Decision::Retry { at } => {
                    prop_assert!(at >= now.saturating_add(peer));
                    prop_assert!(at.since(now) <= schedule.delays[index].max(peer));
                    prop_assert!(passed < 86_400);
                }
                Decision::Dead { .. } => prop_assert!(passed >= 86_400),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_message_that_is_always_deferred_ends_dead(
            jitters in proptest::collection::vec(0u32..=FULL, 40),
            give_up in 1u64..5_000,
            passes in 1u64..30,
        ) {
            let schedule = Schedule { give_up_after: secs(give_up), ..Schedule::default() };
            let (mut now, mut attempts) = (DUE, 0u32);
            loop {
                now = now.saturating_add(secs(passes));
                attempts += 1;
                let jitter = jitters[usize::try_from(attempts).unwrap() % jitters.len()];
                match schedule.decide(attempts, DUE, now, &deferred(None), jitter) {
                    Decision::Retry { at } => now = at,
                    Decision::Dead { .. } => break,
                    other => prop_assert!(false, "{other:?}"),
                }
                prop_assert!(attempts < 10_000);
            }
            prop_assert!(now >= DUE.saturating_add(secs(give_up)));
        }
    }
}
