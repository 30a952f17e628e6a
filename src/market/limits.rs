//! How far price can go now: daily price limits, and the breaker against a run within an hour.
//!
//! The rules are data; prices and times are given by whoever watches the market. It decides nothing about levels:
//! it only says which of them cannot be reached at the moment.

use std::collections::VecDeque;
use std::time::Duration;

use crate::market::calendar::Calendar;
use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// One hundredth of a percent is one of so many parts.
const WHOLE: i128 = 10_000;

/// How far a decline has come in regular trading hours. Each step opens when the cash market trades again after
/// the halt at the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decline {
    /// No limit was reached today.
    #[default]
    First,
    /// The first one was.
    Second,
    /// The second one was.
    Third,
}

/// The daily limits of a venue, in hundredths of a percent of the reference: the fixing of 15:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRules {
    /// Outside regular trading hours, in both directions.
    pub eth: u16,
    /// In regular trading hours, downwards only, one after the other.
    pub rth_down: [u16; 3],
    /// So long before the end of regular trading hours only the last step still counts.
    pub last_only: Duration,
}

/// The rules of equity index futures on CME Globex. The steps are those of the cash market's own breakers, which
/// know only the last one after 14:25 (11:25 on a short day).
pub const CME_EQUITY: LimitRules =
    LimitRules { eth: 700, rth_down: [700, 1_300, 2_000], last_only: Duration::from_secs(35 * 60) };

/// The lowest and the highest price that can trade, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLimits {
    /// No trade below.
    pub lower: Option<Price>,
    /// No trade above.
    pub upper: Option<Price>,
}

/// Whether a price can trade now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    WithinLimits,
    /// It cannot: this limit lies before it.
    BeyondLimit(Price),
}

impl LimitRules {
    /// The limits in force at a moment, `None` while the market is closed. They lie on the grid, rounded towards
    /// the reference. From 15:00 on the reference is the fixing of the day itself.
    #[must_use]
    pub fn in_force(
        &self,
        calendar: &Calendar,
        at: Timestamp,
        reference: Price,
        tick: TickSize,
        decline: Decline,
    ) -> Option<PriceLimits> {
        let session = calendar.session_bounds(at)?;
        let rth_ends = session.rth.filter(|_| session.is_rth(at)).map(|(_, end)| end);
        let [first, second, third] = self.rth_down;
        let (up, down) = match (rth_ends, decline) {
            (None, _) => (Some(self.eth), self.eth),
            (Some(end), _) if at >= end.saturating_sub(self.last_only) => (None, third),
            (Some(_), Decline::First) => (None, first),
            (Some(_), Decline::Second) => (None, second),
            (Some(_), Decline::Third) => (None, third),
        };
        let upper = up.map(|up| tick.floor(reference.plus(part(reference, up))));
        Some(PriceLimits { lower: Some(tick.ceil(reference.minus(part(reference, down)))), upper })
    }
}

impl PriceLimits {
    /// Whether a price can trade within these limits.
    #[must_use]
    pub fn reach(&self, price: Price) -> Reach {
        let beyond = |limit: Option<Price>, is: fn(&Price, &Price) -> bool| limit.filter(|l| is(&price, l));
        match beyond(self.lower, Price::lt).or_else(|| beyond(self.upper, Price::gt)) {
            Some(limit) => Reach::BeyondLimit(limit),
            None => Reach::WithinLimits,
        }
    }
}

/// So many hundredths of a percent of a price, without its sign, rounded down.
fn part(of: Price, hundredths: u16) -> Price {
    let nanos = i128::from(of.as_nanos()).abs().saturating_mul(i128::from(hundredths));
    let part = nanos.checked_div(WHOLE).unwrap_or_default();
    Price::from_nanos(i64::try_from(part).unwrap_or(i64::MAX))
}

/// A run of more than this within an hour, in hundredths of a percent of the reference, pauses the market
pub const BREAKER: u16 = 350;
/// for so long.
pub const BREAKER_PAUSE: Duration = Duration::from_secs(2 * 60);
/// The window is kept in whole minutes, the current one and so many before it.
const WINDOW_MINUTES: i64 = 60;
const MINUTE_SECS: i64 = 60;

/// The market is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// From this moment on,
    pub from: Timestamp,
    /// and before this one.
    pub until: Timestamp,
    /// The end of the band that price left.
    pub limit: Price,
}

/// Watches the run of the last hour. It keeps one high and one low for each minute, so its window is an hour, and
/// up to a minute longer.
#[derive(Clone, Debug)]
pub struct DynamicBreaker {
    width: Price,
    minutes: VecDeque<Minute>,
}

/// The extremes of one minute.
#[derive(Clone, Copy, Debug)]
struct Minute {
    start: i64,
    low: Price,
    high: Price,
}

impl DynamicBreaker {
    /// Before the first price; the reference is the fixing of the day before.
    #[must_use]
    pub fn new(reference: Price) -> Self {
        Self { width: part(reference, BREAKER), minutes: VecDeque::new() }
    }

    /// Between which prices the market trades on; `None` without a price in the last hour.
    #[must_use]
    pub fn band(&self, at: Timestamp) -> Option<(Price, Price)> {
        let oldest = minute_of(at).saturating_sub(WINDOW_MINUTES);
        let seen = || self.minutes.iter().filter(move |minute| minute.start >= oldest);
        let high = seen().map(|minute| minute.high).max()?;
        let low = seen().map(|minute| minute.low).min()?;
        Some((high.minus(self.width), low.plus(self.width)))
    }

    /// Takes a price in. When it lies outside of the band the market is paused, and the window begins anew with
    /// it.
    pub fn on_price(&mut self, at: Timestamp, price: Price) -> Option<Pause> {
        let left = self.band(at).and_then(|(lower, upper)| match price {
            price if price < lower => Some(lower),
            price if price > upper => Some(upper),
            _ => None,
        });
        if left.is_some() {
            self.minutes.clear();
        }
        self.note(minute_of(at), price);
        left.map(|limit| Pause { from: at, until: at.saturating_add(BREAKER_PAUSE), limit })
    }

    fn note(&mut self, start: i64, price: Price) {
        match self.minutes.back_mut() {
            // A price a little out of order counts for the newest minute.
            Some(newest) if newest.start >= start => {
                (newest.low, newest.high) = (newest.low.min(price), newest.high.max(price));
            }
            Some(_) | None => self.minutes.push_back(Minute { start, low: price, high: price }),
        }
        let oldest = start.saturating_sub(WINDOW_MINUTES);
        while self.minutes.front().is_some_and(|minute| minute.start < oldest) {
            self.minutes.pop_front();
        }
    }
}

/// The minute of a moment, counted from 1970.
fn minute_of(at: Timestamp) -> i64 {
    at.as_secs().div_euclid(MINUTE_SECS)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::instrument::Instrument;

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn tick() -> TickSize {
        Instrument::builtin("RTY").unwrap().tick
    }

    fn limits(at: &str, decline: Decline) -> Option<(Option<Price>, Option<Price>)> {
        let calendar = Calendar::cme_equity();
        let at = calendar.instant(at.parse().unwrap());
        let limits = CME_EQUITY.in_force(&calendar, at, p("2441.3"), tick(), decline)?;
        Some((limits.lower, limits.upper))
    }

    #[test]
    fn overnight_and_after_the_close_price_moves_seven_percent_either_way() {
        // 7 % of 2441.3 is 170.891: 2270.409 and 2612.191, on the grid towards the reference.
        let both = Some((Some(p("2270.5")), Some(p("2612.1"))));
        for at in ["2024-11-24 17:00", "2024-11-25 08:29:59", "2024-11-25 15:00", "2024-11-25 15:59"] {
            assert_eq!(limits(at, Decline::First), both, "{at}");
        }
        assert_eq!(limits("2024-11-25 16:30", Decline::First), None, "closed");
        // A halted day has no regular hours.
        assert_eq!(limits("2024-09-02 10:00", Decline::First), both);
    }

    #[test]
    fn in_regular_hours_price_is_limited_downwards_only_and_step_by_step() {
        let down = |at, decline| limits(at, decline).unwrap();
        assert_eq!(down("2024-11-25 08:30", Decline::First), (Some(p("2270.5")), None));
        assert_eq!(down("2024-11-25 10:00", Decline::Second), (Some(p("2124.0")), None));
        assert_eq!(down("2024-11-25 10:00", Decline::Third), (Some(p("1953.1")), None));
        assert_eq!(down("2024-11-25 14:24:59", Decline::First), (Some(p("2270.5")), None));
        assert_eq!(down("2024-11-25 14:25", Decline::First), (Some(p("1953.1")), None));
        assert_eq!(down("2024-11-29 11:25", Decline::First), (Some(p("1953.1")), None));
    }

    #[test]
    fn a_level_beyond_the_limit_is_told_with_the_limit() {
        let limits = PriceLimits { lower: Some(p("2270.5")), upper: Some(p("2612.1")) };
        assert_eq!(limits.reach(p("2270.5")), Reach::WithinLimits);
        assert_eq!(limits.reach(p("2270.4")), Reach::BeyondLimit(p("2270.5")));
        assert_eq!(limits.reach(p("2612.1")), Reach::WithinLimits);
        assert_eq!(limits.reach(p("2700")), Reach::BeyondLimit(p("2612.1")));
        assert_eq!(PriceLimits { upper: None, ..limits }.reach(p("9999")), Reach::WithinLimits);
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_nanos(secs * 1_000_000_000)
    }

    #[test]
    fn a_run_of_more_than_three_and_a_half_percent_within_an_hour_pauses_the_market() {
        // 3.5 % of 2000 is 70 points.
        let mut breaker = DynamicBreaker::new(p("2000"));
        assert_eq!(breaker.band(at(0)), None);
        assert_eq!(breaker.on_price(at(0), p("2000")), None);
        assert_eq!(breaker.on_price(at(1800), p("1960")), None);
        assert_eq!(breaker.band(at(1800)), Some((p("1930"), p("2030"))));
        assert_eq!(breaker.on_price(at(3000), p("1930")), None, "the band's end can trade");
        let pause = breaker.on_price(at(3599), p("1929.9")).unwrap();
        assert_eq!(pause, Pause { from: at(3599), until: at(3719), limit: p("1930") });
        assert_eq!(breaker.on_price(at(3719), p("1900")), None, "the window begins anew");
    }

    #[test]
    fn what_is_older_than_an_hour_is_forgotten() {
        let mut breaker = DynamicBreaker::new(p("2000"));
        assert_eq!(breaker.on_price(at(0), p("2000")), None);
        assert_eq!(breaker.on_price(at(3000), p("1950")), None);
        assert_eq!(breaker.on_price(at(3661), p("1925")), None, "75 points, but in more than an hour");
        assert_eq!(breaker.on_price(at(3650), p("1995")), None, "70 points");
    }

    proptest! {
        #[test]
        fn the_breaker_remembers_an_hour_and_no_more(steps in prop::collection::vec((0i64..400, 1990i64..2010), 1..300)) {
            let mut breaker = DynamicBreaker::new(p("2000"));
            let mut now = 0;
            for (step, price) in steps {
                now += step;
                prop_assert_eq!(breaker.on_price(at(now), Price::from_points(price)), None);
                prop_assert!(breaker.minutes.len() <= 61);
            }
        }

        #[test]
        fn limits_lie_on_the_grid_and_on_their_side(nanos in 0i64..9_000_000_000_000) {
            let calendar = Calendar::cme_equity();
            let at = calendar.instant("2024-11-25 02:00".parse().unwrap());
            let reference = Price::from_nanos(nanos);
            let limits = CME_EQUITY.in_force(&calendar, at, reference, tick(), Decline::First).unwrap();
            let (lower, upper) = (limits.lower.unwrap(), limits.upper.unwrap());
            prop_assert!(lower.as_nanos() % 100_000_000 == 0 && upper.as_nanos() % 100_000_000 == 0);
            let width = i128::from(nanos) * 7 / 100;
            prop_assert!(i128::from(reference.as_nanos()) - i128::from(lower.as_nanos()) <= width);
            prop_assert!(i128::from(upper.as_nanos()) - i128::from(reference.as_nanos()) <= width);
        }
    }
}
