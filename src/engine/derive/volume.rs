//! How busy a trade date is beside the last ones, at the same time into the session.
//!
//! Memory is bounded: one number for each minute of each of the last trade dates.

use std::collections::VecDeque;

use crate::engine::derive::Minute;
use crate::engine::derive::exact::price;
use crate::market::price::Price;

/// So many completed trade dates are averaged,
pub const DATES: usize = 20;
/// and fewer than so many say nothing.
pub const DATES_MIN: usize = 5;
/// No session has more minutes.
const MINUTES_MAX: usize = 24 * 60;
/// One, in units of 1e-9.
const ONE: i128 = 1_000_000_000;
/// Nanoseconds in a minute.
const MINUTE: i64 = 60_000_000_000;

/// Volume by the minute of the session.
#[derive(Clone, Debug, Default)]
pub struct VolumeProfile {
    past: VecDeque<Curve>,
    today: Option<Curve>,
}

/// One trade date.
#[derive(Clone, Debug)]
struct Curve {
    trade_date: i32,
    /// The volume up to and including each minute of the session, as far as it has come.
    sums: Vec<u64>,
    /// It was told from the session's first minute on.
    whole: bool,
}

impl Curve {
    fn add(&mut self, at: usize, volume: u64) {
        let sum = self.sums.last().copied().unwrap_or(0);
        // A minute never lies before the last one: that of a halted session before this one counts as its first.
        let length = at.saturating_add(1).max(self.sums.len());
        self.sums.resize(length, sum);
        if let Some(last) = self.sums.last_mut() {
            *last = sum.saturating_add(volume);
        }
    }

    fn until(&self, length: usize) -> u64 {
        let at = self.sums.get(length.saturating_sub(1)).or(self.sums.last());
        at.copied().unwrap_or(0)
    }
}

impl VolumeProfile {
    /// A profile that knows nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a minute that is over, oldest first. The first trade date that was not told from its beginning does
    /// not count.
    pub fn learn(&mut self, minute: &Minute) {
        let at = into_session(minute);
        if let Some(done) = self.today.take_if(|today| today.trade_date != minute.trade_date) {
            self.keep(done);
        }
        let whole = at == 0 || !self.past.is_empty();
        let today = self.today.get_or_insert_with(|| Curve {
            trade_date: minute.trade_date,
            sums: Vec::new(),
            whole,
        });
        today.add(at, minute.bar.volume);
    }

    fn keep(&mut self, done: Curve) {
        // A first date with its beginning missing still shows that the next one was told in full.
        self.past.retain(|curve| curve.whole);
        if self.past.len() >= DATES {
            self.past.pop_front();
        }
        self.past.push_back(done);
    }

    /// The volume of the trade date so far by the mean volume of the last completed ones until the same minute of the
    /// session, in units of 1e-9. `None` with fewer than [`DATES_MIN`] of them, or nothing to compare with.
    #[must_use]
    pub fn relative(&self) -> Option<Price> {
        let today = self.today.as_ref().filter(|today| today.whole)?;
        let length = today.sums.len();
        let past = || self.past.iter().filter(|curve| curve.whole);
        let dates = past().count();
        if dates < DATES_MIN {
            return None;
        }
        let sum = past().fold(0i128, |sum, curve| sum.saturating_add(i128::from(curve.until(length))));
        let so_far = i128::from(today.until(length)).checked_mul(i128::try_from(dates).ok()?)?;
        price(so_far.checked_mul(ONE)?, sum)
    }
}

/// Which minute of its session it is, from 0.
fn into_session(minute: &Minute) -> usize {
    let into = minute.bar.start.as_nanos().saturating_sub(minute.session_opens.as_nanos());
    usize::try_from(into.div_euclid(MINUTE)).unwrap_or(0).min(MINUTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::derive::fixture::minute;

    /// A trade date with `volumes` in its first minutes.
    fn tell(profile: &mut VolumeProfile, date: &str, volumes: &[u32]) {
        for (n, volume) in (0..).zip(volumes) {
            profile.learn(&minute(date, n, "2400", *volume));
        }
    }

    const DATES_OF_MARCH: [&str; 5] = ["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"];

    #[test]
    fn five_dates_are_needed_and_the_same_minute_is_compared() {
        let mut profile = VolumeProfile::new();
        for date in DATES_OF_MARCH {
            assert_eq!(profile.relative(), None);
            tell(&mut profile, date, &[10, 20, 70]);
        }
        tell(&mut profile, "2026-03-09", &[15]);
        assert_eq!(profile.relative(), Some("1.5".parse().unwrap()));
        profile.learn(&minute("2026-03-09", 1, "2400", 60));
        assert_eq!(profile.relative(), Some("2.5".parse().unwrap()), "75 to 30");
        profile.learn(&minute("2026-03-09", 700, "2400", 25));
        assert_eq!(profile.relative(), Some("1".parse().unwrap()), "long after the last trade of the others");
    }

    #[test]
    fn a_first_date_without_its_beginning_does_not_count() {
        let mut profile = VolumeProfile::new();
        profile.learn(&minute("2026-02-27", 100, "2400", 1_000));
        for date in DATES_OF_MARCH {
            tell(&mut profile, date, &[10]);
        }
        assert_eq!(profile.relative(), None, "four whole dates and the one in progress");
        tell(&mut profile, "2026-03-09", &[20]);
        assert_eq!(profile.relative(), Some("2".parse().unwrap()));
    }

    #[test]
    fn only_the_last_dates_are_kept() {
        let mut profile = VolumeProfile::new();
        for n in 1..=28 {
            tell(&mut profile, &format!("2026-01-{n:02}"), &[if n <= 7 { 1_000 } else { 10 }]);
        }
        assert_eq!(profile.relative(), Some("1".parse().unwrap()), "the busy dates are forgotten");
        assert_eq!(profile.past.len(), DATES);
    }
}
