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
/// So many messages about one level go out in so many times [`Calm::group_wait`]: a level around which price swings all
/// day is told less and less often, and holds back no other level.
const OF_LEVEL: [(usize, u32); 2] = [(10, 60), (30, 1_800)];

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

    /// What an event is grouped under on this channel; `None` when it is always told by itself.
    #[must_use]
    pub fn group_of<'a>(&self, event: &'a Event) -> Option<Group<'a>> {
        let level = event.level.as_deref();
        let grouped = !self.group_wait.is_zero() && (level.is_some() || event.kind == Kind::Digest);
        event.instrument.as_deref().filter(|_| grouped).map(|instrument| Group { instrument, level })
    }
}

/// What events about levels, and digests of such, are grouped under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The instrument.
    pub instrument: &'a str,
    /// The level; of a digest, when it is about a single one.
    pub level: Option<&'a str>,
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
    /// The same about a level of an instrument.
    levels: BTreeMap<(String, String, String), Window>,
}

/// Whoever has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits<'a> {
    /// The target.
    pub target: &'a str,
    /// The instrument, unless all of the target's messages wait.
    pub instrument: Option<&'a str>,
    /// The level, unless all of the instrument's messages wait.
    pub level: Option<&'a str>,
    /// How long.
    pub wait: Duration,
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
    pub fn wait(&self, target: &str, group: Option<Group<'_>>, now: Duration) -> Duration {
        let rate = self.calm.rate.zip(self.rates.get(target));
        let rate = rate.map_or(Duration::ZERO, |(rate, window)| window.wait(rate.count(), rate.per, now));
        let group = group.map_or(Duration::ZERO, |group| {
            let instrument = self.groups.get(&(target.to_owned(), group.instrument.to_owned()));
            let level =
                group.level.and_then(|level| self.levels.get(&of_level(target, group.instrument, level)));
            let instrument = instrument.map_or(Duration::ZERO, |window| self.group_wait(window, now));
            instrument.max(level.map_or(Duration::ZERO, |window| self.level_wait(window, now)))
        });
        rate.max(group)
    }

    fn group_wait(&self, window: &Window, now: Duration) -> Duration {
        window.wait(BURST, self.calm.group_wait, now)
    }

    fn level_wait(&self, window: &Window, now: Duration) -> Duration {
        let wait = |(count, times): (usize, u32)| {
            window.wait(count, self.calm.group_wait.saturating_mul(times), now)
        };
        OF_LEVEL.into_iter().map(wait).max().unwrap_or(Duration::ZERO)
    }

    /// A message was handed to the peer, whatever came of it.
    pub fn sent(&mut self, target: &str, group: Option<Group<'_>>, now: Duration) {
        if let Some(rate) = self.calm.rate {
            self.rates.entry(target.to_owned()).or_default().add(rate.count(), now);
        }
        let Some(group) = group else { return };
        let key = (target.to_owned(), group.instrument.to_owned());
        self.groups.entry(key).or_default().add(BURST, now);
        if let Some(level) = group.level {
            let longest = OF_LEVEL.into_iter().map(|(count, _)| count).max().unwrap_or(1);
            self.levels.entry(of_level(target, group.instrument, level)).or_default().add(longest, now);
        }
        self.forget(now);
    }

    /// Levels of which nothing was told for so long that nothing has to wait.
    fn forget(&mut self, now: Duration) {
        let longest = OF_LEVEL.into_iter().map(|(_, times)| times).max().unwrap_or(1);
        let longest = self.calm.group_wait.saturating_mul(longest);
        self.levels
            .retain(|_, window| window.0.back().is_some_and(|last| last.saturating_add(longest) > now));
    }

    /// Whoever has to wait.
    pub fn paused(&self, now: Duration) -> impl Iterator<Item = Waits<'_>> {
        let of_rate = move |rate: Rate| {
            self.rates.iter().map(move |(target, window)| Waits {
                target,
                instrument: None,
                level: None,
                wait: window.wait(rate.count(), rate.per, now),
            })
        };
        let rates = self.calm.rate.into_iter().flat_map(of_rate);
        let groups = self.groups.iter().map(move |((target, instrument), window)| Waits {
            target,
            instrument: Some(instrument),
            level: None,
            wait: self.group_wait(window, now),
        });
        let levels = self.levels.iter().map(move |((target, instrument, level), window)| Waits {
            target,
            instrument: Some(instrument),
            level: Some(level),
            wait: self.level_wait(window, now),
        });
        rates.chain(groups).chain(levels).filter(|waits| !waits.wait.is_zero())
    }
}

fn of_level(target: &str, instrument: &str, level: &str) -> (String, String, String) {
    (target.to_owned(), instrument.to_owned(), level.to_owned())
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

    fn of(instrument: &str) -> Option<Group<'_>> {
        Some(Group { instrument, level: None })
    }

    fn paused(pace: &Pace, at: u64) -> Vec<(Option<&str>, Option<&str>, u64)> {
        let waits = pace.paused(secs(at)).inspect(|waits| assert_eq!(waits.target, "desk"));
        waits.map(|waits| (waits.instrument, waits.level, waits.wait.as_secs())).collect()
    }

    #[test]
    fn three_messages_about_an_instrument_go_at_once_and_the_fourth_waits() {
        let mut pace = pace(10, None);
        for at in [0, 1, 2] {
            assert_eq!(pace.wait("desk", of("RTY"), secs(at)), secs(0));
            pace.sent("desk", of("RTY"), secs(at));
        }
        assert_eq!(pace.wait("desk", of("RTY"), secs(3)), secs(7));
        assert_eq!(pace.wait("desk", of("ES"), secs(3)), secs(0), "another instrument");
        assert_eq!(pace.wait("boss", of("RTY"), secs(3)), secs(0), "another target");
        assert_eq!(pace.wait("desk", None, secs(3)), secs(0), "what is critical");
        assert_eq!(paused(&pace, 3), [(Some("RTY"), None, 7)]);
        assert_eq!(pace.wait("desk", of("RTY"), secs(10)), secs(0));
        assert_eq!(pace.paused(secs(10)).count(), 0);
    }

    #[test]
    fn a_level_around_which_price_swings_is_told_less_and_less_often_and_holds_back_no_other() {
        let mut pace = pace(1, None);
        let level = |level| Some(Group { instrument: "RTY", level: Some(level) });
        let mut told = Vec::new();
        for at in 0..7_200 {
            if pace.wait("desk", level("2450"), secs(at)).is_zero() {
                pace.sent("desk", level("2450"), secs(at));
                told.push(at);
            }
            assert!(at % 100 > 0 || pace.wait("desk", level("2500"), secs(at)).is_zero(), "at {at}");
        }
        let within = |from: u64, until: u64| told.iter().filter(|at| (from..until).contains(*at)).count();
        assert_eq!((within(0, 10), within(0, 60), within(0, 1_800)), (10, 10, 30));
        assert_eq!((within(1_800, 3_600), within(5_400, 7_200)), (30, 30));
        assert!(paused(&pace, 7_199).iter().any(|(_, level, _)| *level == Some("2450")));
        pace.sent("desk", level("2500"), secs(9_500));
        assert_eq!(pace.levels.len(), 1, "what is long past is forgotten");
    }

    #[test]
    fn a_rate_holds_for_everything_that_a_target_gets() {
        let mut pace = pace(0, Some((2, 60)));
        pace.sent("desk", None, secs(0));
        assert_eq!(pace.wait("desk", None, secs(5)), secs(0));
        pace.sent("desk", of("RTY"), secs(5));
        assert_eq!(pace.wait("desk", None, secs(6)), secs(54));
        assert_eq!(paused(&pace, 6), [(None, None, 54)]);
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
