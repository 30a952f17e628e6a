//! The average true range: how far price moves within a bar, as Wilder smoothed it.
//!
//! Exact integers throughout. It only knows bars that were given to it, in the order in which they were given.

use crate::engine::derive::Day;
use crate::engine::derive::exact::{nanos, price};
use crate::market::bar::Bar;
use crate::market::price::Price;

/// How many bars the average stands for.
pub const PERIOD: u32 = 14;

/// A running average over completed bars.
///
/// The first `n` true ranges are averaged plainly; from then on `atr' = (atr * (n - 1) + tr) / n`
/// (J. Welles Wilder, New Concepts in Technical Trading Systems, 1978), to the nearest 1e-9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AverageTrueRange {
    period: u32,
    seen: u32,
    sum: i128,
    value: Option<Price>,
    last_close: Option<Price>,
}

impl AverageTrueRange {
    /// An average over `period` bars, at least one.
    #[must_use]
    pub fn new(period: u32) -> Self {
        Self { period: period.max(1), seen: 0, sum: 0, value: None, last_close: None }
    }

    /// The average; `None` before enough bars were seen.
    #[must_use]
    pub const fn value(&self) -> Option<Price> {
        self.value
    }

    /// Takes in a completed bar; returns the average including it.
    pub fn push(&mut self, bar: &Bar) -> Option<Price> {
        self.take(true_range((bar.high, bar.low), self.last_close), bar.close)
    }

    /// Takes in a completed trade date; returns the average including it. A day that nobody watched for long has no
    /// range of its own: it only leaves its close behind.
    pub fn push_day(&mut self, day: &Day) -> Option<Price> {
        if day.is_unwatched() {
            self.last_close = Some(day.close);
            return self.value;
        }
        self.take(true_range((day.high, day.low), self.last_close), day.close)
    }

    fn take(&mut self, range: Price, close: Price) -> Option<Price> {
        self.last_close = Some(close);
        let (range, n) = (nanos(range), i128::from(self.period));
        self.value = match self.value {
            Some(value) => {
                let before = nanos(value).saturating_mul(n.saturating_sub(1));
                price(before.saturating_add(range), n)
            }
            None => {
                self.seen = self.seen.saturating_add(1);
                self.sum = self.sum.saturating_add(range);
                price(self.sum, n).filter(|_| self.seen >= self.period)
            }
        };
        self.value
    }
}

/// `max(H - L, |H - C'|, |L - C'|)` of a high and a low, with the close before, if there is one.
#[must_use]
pub fn true_range((high, low): (Price, Price), last_close: Option<Price>) -> Price {
    let range = high.minus(low);
    last_close.map_or(range, |close| range.max(high.minus(close).abs()).max(low.minus(close).abs()))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::engine::derive::fixture::{day, p};

    #[test]
    fn the_average_is_seeded_with_the_mean_and_then_smoothed() {
        let mut atr = AverageTrueRange::new(3);
        assert_eq!(atr.push_day(&day("2024-11-18", ["100", "101", "99", "100"])), None);
        assert_eq!(atr.push_day(&day("2024-11-19", ["100", "103", "99", "101"])), None);
        let third = atr.push_day(&day("2024-11-20", ["101", "103", "100", "102"]));
        assert_eq!(third, Some(p("3")), "the ranges are 2, 4 and 3");
        assert_eq!(
            atr.push_day(&day("2024-11-21", ["102", "110", "101", "105"])),
            Some(p("5")),
            "and then 9"
        );
        assert_eq!(atr.value(), Some(p("5")));
    }

    #[test]
    fn a_gap_belongs_to_the_true_range() {
        let up = (p("113"), p("111"));
        assert_eq!(true_range(up, None), p("2"));
        assert_eq!(true_range(up, Some(p("112"))), p("2"));
        assert_eq!(true_range(up, Some(p("100"))), p("13"));
        assert_eq!(true_range(up, Some(p("120"))), p("9"));
    }

    #[test]
    fn a_day_that_nobody_watched_leaves_only_its_close() {
        let mut atr = AverageTrueRange::new(1);
        atr.push_day(&day("2024-11-18", ["100", "101", "99", "100"]));
        let dark =
            Day { unwatched: Duration::from_secs(3_600), ..day("2024-11-19", ["100", "150", "100", "140"]) };
        assert_eq!(atr.push_day(&dark), Some(p("2")));
        assert_eq!(atr.push_day(&day("2024-11-20", ["140", "141", "139", "140"])), Some(p("2")));
    }

    proptest! {
        #[test]
        fn the_average_lies_between_the_smallest_and_the_largest_range(
            ranges in proptest::collection::vec(0i64..1_000, 20..60),
        ) {
            let mut atr = AverageTrueRange::new(PERIOD);
            for range in &ranges {
                let flat = day("2024-11-18", ["0", "0", "0", "0"]);
                atr.push_day(&Day { high: Price::from_nanos(range * 100_000_000), ..flat });
            }
            let value = atr.value().unwrap().as_nanos();
            let (low, high) = (ranges.iter().min().unwrap(), ranges.iter().max().unwrap());
            prop_assert!((low * 100_000_000..=high * 100_000_000).contains(&value));
        }
    }
}
