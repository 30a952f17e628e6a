//! What keeps a channel from burying its reader: quiet hours, a rate, and a wait after which news becomes a digest.
//! Pure: time is an argument; nothing here sends or stores.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;

use crate::event::{Event, Kind};
use crate::time::Timestamp;

/// So many messages about one instrument go out one by one within [`Calm::group_wait`]; what comes after them waits,
/// and becomes one digest.
pub const BURST: usize = 3;

/// How a channel keeps calm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calm {
    /// In so much time at most [`BURST`] messages about one instrument go to one target; zero: as many as there are.
    pub group_wait: Duration,
    /// How many messages a target gets at most.
    pub rate: Option<Rate>,
    /// When only what is critical is told.
    pub quiet: Option<Quiet>,
}

impl Calm {
    /// Until when everything but what is critical is held back; `None` outside quiet hours.
    #[must_use]
    pub fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        self.quiet.as_ref().and_then(|quiet| quiet.until(at))
    }

    /// Whether a message that was never tried was kept back on purpose: its level was snoozed, or it was made in
    /// quiet hours.
    #[must_use]
    pub fn was_held(&self, created_at: Timestamp, due_at: Timestamp) -> bool {
        due_at > created_at || self.quiet_until(created_at).is_some()
    }

    /// The instrument under which an event is grouped on this channel; `None` when it is always told by itself.
    #[must_use]
    pub fn group_of<'a>(&self, event: &'a Event) -> Option<&'a str> {
        if self.group_wait.is_zero() { None } else { group_of(event) }
    }
}

/// The instrument of an event about a level, or of a digest of such events.
#[must_use]
pub fn group_of(event: &Event) -> Option<&str> {
    let grouped = event.level.is_some() || event.kind == Kind::Digest;
    event.instrument.as_deref().filter(|_| grouped)
}

/// At most so many messages in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least one.
    pub messages: u32,
    /// In any time so long.
    pub per: Duration,
}

/// Hours of the day in which only what is critical is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// When they begin.
    pub from: Time,
    /// When they end, the next morning when that is earlier in the day.
    pub until: Time,
    /// The days on which they begin; `None` = every day.
    pub days: Option<Vec<Weekday>>,
    /// Whose clock.
    pub zone: TimeZone,
}

impl Quiet {
    /// When the quiet hours end in which `at` lies.
    #[must_use]
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let today = self.zone.to_datetime(at.to_jiff()).date();
        let of = |day: Date| self.on(day).filter(|(from, until)| *from <= at && at < *until);
        today.yesterday().ok().and_then(of).or_else(|| of(today)).map(|(_, until)| until)
    }

    /// The quiet hours that begin on a day.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if self.days.as_ref().is_some_and(|days| !days.contains(&day.weekday())) {
            return None;
        }
        let last = if self.until <= self.from { day.tomorrow().ok()? } else { day };
        let moment = |day: Date, time: Time| {
            let local = self.zone.to_ambiguous_timestamp(day.to_datetime(time)).compatible().ok()?;
            Some(Timestamp::from_jiff(local))
        };
        Some((moment(day, self.from)?, moment(last, self.until)?))
    }
}

/// What was sent of late, and how long the next message has to wait for it. Times are those of a clock that never
/// jumps. A restart forgets it, which costs at most one more burst.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    calm: Calm,
    /// Everything that a target got.
    rates: BTreeMap<String, Window>,
    /// What a target got about an instrument, but for what is critical.
    groups: BTreeMap<(String, String), Window>,
}

/// The moments of the last messages, the latest last.
#[derive(Clone, Debug, Default)]
struct Window(VecDeque<Duration>);

impl Window {
    /// How long until there is room for one more among `count` within any `length`.
    fn wait(&self, count: usize, length: Duration, now: Duration) -> Duration {
        let Some(nth) = self.0.len().checked_sub(count.max(1)).and_then(|nth| self.0.get(nth)) else {
            return Duration::ZERO;
        };
        nth.saturating_add(length).saturating_sub(now)
    }

    fn add(&mut self, count: usize, now: Duration) {
        self.0.push_back(now);
        while self.0.len() > count.max(1) {
            self.0.pop_front();
        }
    }
}

impl Rate {
    fn count(self) -> usize {
        usize::try_from(self.messages).unwrap_or(usize::MAX)
    }
}

impl Pace {
    /// Nothing was sent yet.
    #[must_use]
    pub fn new(calm: Calm) -> Self {
        Self { calm, ..Self::default() }
    }

    /// The rules.
    #[must_use]
    pub const fn calm(&self) -> &Calm {
        &self.calm
    }

    /// How long a message to `target` has to wait; grouped under `group`, unless it is critical or was tried before.
    #[must_use]
    pub fn wait(&self, target: &str, group: Option<&str>, now: Duration) -> Duration {
        let rate = self.calm.rate.zip(self.rates.get(target));
        let rate = rate.map_or(Duration::ZERO, |(rate, window)| window.wait(rate.count(), rate.per, now));
        let of = |group: &str| self.groups.get(&(target.to_owned(), group.to_owned()));
        let group = group.and_then(of);
        rate.max(group.map_or(Duration::ZERO, |window| window.wait(BURST, self.calm.group_wait, now)))
    }

    /// A message was handed to the peer, whatever came of it.
    pub fn sent(&mut self, target: &str, group: Option<&str>, now: Duration) {
        if let Some(rate) = self.calm.rate {
            self.rates.entry(target.to_owned()).or_default().add(rate.count(), now);
        }
        if let Some(group) = group {
            self.groups.entry((target.to_owned(), group.to_owned())).or_default().add(BURST, now);
        }
    }

    /// Whoever has to wait: the target, the instrument unless all of the target's messages wait, and how long.
    pub fn paused(&self, now: Duration) -> impl Iterator<Item = (&str, Option<&str>, Duration)> {
        let of_rate = move |rate: Rate| {
            self.rates.iter().map(move |(target, window)| {
                (target.as_str(), None, window.wait(rate.count(), rate.per, now))
            })
        };
        let rates = self.calm.rate.into_iter().flat_map(of_rate);
        let groups = self.groups.iter().map(move |((target, group), window)| {
            (target.as_str(), Some(group.as_str()), window.wait(BURST, self.calm.group_wait, now))
        });
        rates.chain(groups).filter(|(.., wait)| !wait.is_zero())
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a panic fails the test")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn night(days: Option<Vec<Weekday>>) -> Quiet {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        Quiet { from: Time::constant(22, 0, 0, 0), until: Time::constant(7, 0, 0, 0), days, zone }
    }

    fn until(quiet: &Quiet, at: &str) -> Option<String> {
        quiet.until(at.parse().unwrap()).map(|until| until.to_string())
    }

    #[test]
    fn quiet_hours_reach_over_midnight_in_their_own_zone() {
        let quiet = night(None);
        for (at, end) in [
            ("2026-11-30T20:59:59.999Z", None),
            ("2026-11-30T21:00:00Z", Some("2026-12-01T06:00:00.000Z")),
            ("2026-12-01T05:59:59.999Z", Some("2026-12-01T06:00:00.000Z")),
            ("2026-12-01T06:00:00Z", None),
            // Summer time: an hour earlier in UTC.
            ("2026-07-01T20:00:00Z", Some("2026-07-02T05:00:00.000Z")),
            // The night in which the clock is put back has an hour more.
            ("2026-10-24T20:30:00Z", Some("2026-10-25T06:00:00.000Z")),
        ] {
            assert_eq!(until(&quiet, at).as_deref(), end, "{at}");
        }
    }

    #[test]
    fn days_are_those_on_which_the_quiet_hours_begin() {
        let quiet = night(Some(vec![Weekday::Monday]));
        // 30 November 2026 is a Monday.
        assert!(until(&quiet, "2026-11-30T22:00:00Z").is_some());
        assert!(until(&quiet, "2026-12-01T05:00:00Z").is_some(), "the morning belongs to Monday's night");
        assert!(until(&quiet, "2026-12-01T22:00:00Z").is_none());
        let lunch = Quiet { from: Time::constant(12, 0, 0, 0), until: Time::constant(13, 0, 0, 0), ..quiet };
        assert_eq!(until(&lunch, "2026-11-30T11:30:00Z").unwrap(), "2026-11-30T12:00:00.000Z");
        assert!(until(&lunch, "2026-11-30T12:00:00Z").is_none());
    }

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn pace(group_wait: u64, rate: Option<(u32, u64)>) -> Pace {
        let rate = rate.map(|(messages, per)| Rate { messages, per: secs(per) });
        Pace::new(Calm { group_wait: secs(group_wait), rate, quiet: None })
    }

    #[test]
    fn three_messages_about_an_instrument_go_at_once_and_the_fourth_waits() {
        let mut pace = pace(10, None);
        for at in [0, 1, 2] {
            assert_eq!(pace.wait("desk", Some("RTY"), secs(at)), secs(0));
            pace.sent("desk", Some("RTY"), secs(at));
        }
        assert_eq!(pace.wait("desk", Some("RTY"), secs(3)), secs(7));
        assert_eq!(pace.wait("desk", Some("ES"), secs(3)), secs(0), "another instrument");
        assert_eq!(pace.wait("boss", Some("RTY"), secs(3)), secs(0), "another target");
        assert_eq!(pace.wait("desk", None, secs(3)), secs(0), "what is critical");
        assert_eq!(pace.paused(secs(3)).collect::<Vec<_>>(), [("desk", Some("RTY"), secs(7))]);
        assert_eq!(pace.wait("desk", Some("RTY"), secs(10)), secs(0));
        assert_eq!(pace.paused(secs(10)).count(), 0);
    }

    #[test]
    fn a_rate_holds_for_everything_that_a_target_gets() {
        let mut pace = pace(0, Some((2, 60)));
        pace.sent("desk", None, secs(0));
        assert_eq!(pace.wait("desk", None, secs(5)), secs(0));
        pace.sent("desk", Some("RTY"), secs(5));
        assert_eq!(pace.wait("desk", None, secs(6)), secs(54));
        assert_eq!(pace.paused(secs(6)).collect::<Vec<_>>(), [("desk", None, secs(54))]);
        assert_eq!(pace.wait("boss", None, secs(6)), secs(0));
        assert_eq!(pace.wait("desk", None, secs(60)), secs(0));
    }

    proptest! {
        #[test]
        fn whoever_waits_as_told_never_exceeds_the_rate(
            messages in 1u32..6,
            per in 1u64..50,
            gaps in prop::collection::vec(0u64..20, 1..60),
        ) {
            let mut pace = pace(0, Some((messages, per)));
            let mut now = secs(0);
            let mut sent = Vec::new();
            for gap in gaps {
                now += secs(gap);
                now += pace.wait("desk", None, now);
                prop_assert!(pace.wait("desk", None, now).is_zero());
                pace.sent("desk", None, now);
                sent.push(now);
            }
            for (nth, at) in sent.iter().enumerate() {
                let within = sent[..=nth].iter().filter(|earlier| **earlier + secs(per) > *at).count();
                prop_assert!(within <= usize::try_from(messages).unwrap());
            }
        }
    }
}
