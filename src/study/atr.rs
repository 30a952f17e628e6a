//! The average true range: how far price moves within a bar, as Wilder smoothed it.
//!
//! Exact integers throughout. It only knows bars that were given to it, in the order in which they were given.

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
        let range = i128::from(true_range(bar, self.last_close).as_nanos());
        self.last_close = Some(bar.close);
        let n = i128::from(self.period);
        self.value = match self.value {
            Some(value) => {
                let before = i128::from(value.as_nanos()).saturating_mul(n.saturating_sub(1));
                Some(divided(before.saturating_add(range), n))
            }
            None => {
                self.seen = self.seen.saturating_add(1);
                self.sum = self.sum.saturating_add(range);
                (self.seen >= self.period).then(|| divided(self.sum, n))
            }
        };
        self.value
    }
}

/// `max(H - L, |H - C'|, |L - C'|)` with the close before, if there is one.
#[must_use]
pub fn true_range(bar: &Bar, last_close: Option<Price>) -> Price {
    let range = bar.high.minus(bar.low);
    last_close.map_or(range, |close| range.max(bar.high.minus(close).abs()).max(bar.low.minus(close).abs()))
}

/// The quotient of two numbers that are not negative, to the nearest, halves up.
fn divided(sum: i128, n: i128) -> Price {
    let quotient = sum.saturating_add(n / 2).checked_div(n).unwrap_or_default();
    Price::from_nanos(i64::try_from(quotient).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::study::fixture::{bar, p};

    #[test]
    fn the_average_is_seeded_with_the_mean_and_then_smoothed() {
        let mut atr = AverageTrueRange::new(3);
        assert_eq!(atr.push(&bar(0, "100", "101", "99", "100")), None);
        assert_eq!(atr.push(&bar(1, "100", "103", "99", "101")), None);
        assert_eq!(atr.push(&bar(2, "101", "103", "100", "102")), Some(p("3")), "the ranges are 2, 4 and 3");
        assert_eq!(atr.push(&bar(3, "102", "110", "101", "105")), Some(p("5")), "and then 9");
        assert_eq!(atr.value(), Some(p("5")));
    }

    #[test]
    fn a_gap_belongs_to_the_true_range() {
        let up = bar(0, "112", "113", "111", "112");
        assert_eq!(true_range(&up, None), p("2"));
        assert_eq!(true_range(&up, Some(p("112"))), p("2"));
        assert_eq!(true_range(&up, Some(p("100"))), p("13"));
        assert_eq!(true_range(&up, Some(p("120"))), p("9"));
    }

    proptest! {
        #[test]
        fn the_average_lies_between_the_smallest_and_the_largest_range(
            ranges in proptest::collection::vec(0i64..1_000, 20..60),
        ) {
            let mut atr = AverageTrueRange::new(PERIOD);
            for range in &ranges {
                let high = Price::from_nanos(range * 100_000_000);
                let flat = Bar { open: Price::ZERO, high, low: Price::ZERO, close: Price::ZERO, ..bar(0, "1", "1", "1", "1") };
                atr.push(&flat);
            }
            let value = atr.value().unwrap().as_nanos();
            let (low, high) = (ranges.iter().min().unwrap(), ranges.iter().max().unwrap());
            prop_assert!((low * 100_000_000..=high * 100_000_000).contains(&value));
        }
    }
}
