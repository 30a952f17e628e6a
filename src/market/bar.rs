//! Bars: what is known of an interval when its trades are not.
//!
//! A bar says that its high was reached, not when. What is expanded from it is an assumption and is marked so
//! by whoever uses it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::market::price::Price;
use crate::time::Timestamp;

/// The last print of a bar comes so long before its end.
const BEFORE_END: Duration = Duration::from_millis(1);
/// How many prints a bar becomes.
const PRINTS: u64 = 4;

/// Open, high, low, close and volume of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bar {
    /// When it begins.
    pub start: Timestamp,
    /// How long it is.
    pub length: Duration,
    /// The first price.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The last price.
    pub close: Price,
    /// Contracts traded.
    pub volume: u64,
}

/// Why a bar cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BarError {
    /// Its extremes are crossed.
    #[error("high {high} is below low {low}")]
    Crossed {
        /// The high.
        high: Price,
        /// The low.
        low: Price,
    },
    /// Its open or close lies above its high.
    #[error("{what} {price} is above high {high}: the high would have to be at least {price}")]
    AboveHigh {
        /// `open` or `close`.
        what: &'static str,
        /// Its price.
        price: Price,
        /// The high.
        high: Price,
    },
    /// Its open or close lies below its low.
    #[error("{what} {price} is below low {low}: the low would have to be at most {price}")]
    BelowLow {
        /// `open` or `close`.
        what: &'static str,
        /// Its price.
        price: Price,
        /// The low.
        low: Price,
    },
    /// It has no length.
    #[error("a bar must last longer than nothing")]
    NoLength,
}

impl Bar {
    /// The bar itself, if it can be.
    ///
    /// # Errors
    /// When its length is zero, its high below its low, or its open or close outside of them.
    pub fn checked(self) -> Result<Self, BarError> {
        let Self { high, low, .. } = self;
        if self.length.is_zero() {
            return Err(BarError::NoLength);
        }
        if high < low {
            return Err(BarError::Crossed { high, low });
        }
        let (open, close) = (("open", self.open), ("close", self.close));
        let ((below, lower), (above, higher)) =
            if self.open <= self.close { (open, close) } else { (close, open) };
        if higher > high {
            return Err(BarError::AboveHigh { what: above, price: higher, high });
        }
        if lower < low {
            return Err(BarError::BelowLow { what: below, price: lower, low });
        }
        Ok(self)
    }

    /// When it ends, exclusive.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.saturating_add(self.length)
    }

    /// The four prints that stand for the bar: time, price, size.
    ///
    /// The open, then the extreme that is nearer to it (at a tie the high), then the other one, then the
    /// close; at the start, a quarter, a half, and in the last millisecond. The sizes add up to the volume,
    /// as long as each fits.
    #[must_use]
    pub fn prints(&self) -> [(Timestamp, Price, u32); 4] {
        let high_first = self.high.minus(self.open) <= self.open.minus(self.low);
        let (near, far) = if high_first { (self.high, self.low) } else { (self.low, self.high) };
        let part = |n| self.start.saturating_add(self.length.checked_div(n).unwrap_or_default());
        let half = part(2);
        let last = self.end().saturating_sub(BEFORE_END).max(half);
        let size = |nth: u64| {
            let extra = u64::from(nth < self.volume % PRINTS);
            u32::try_from((self.volume / PRINTS).saturating_add(extra)).unwrap_or(u32::MAX)
        };
        [
            (self.start, self.open, size(0)),
            (part(4), near, size(1)),
            (half, far, size(2)),
            (last, self.close, size(3)),
        ]
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bar(open: &str, high: &str, low: &str, close: &str, volume: u64) -> Bar {
        let [open, high, low, close] = [open, high, low, close].map(|p| p.parse().unwrap());
        let start = "2024-11-25T13:30:00Z".parse().unwrap();
        Bar { start, length: Duration::from_secs(60), open, high, low, close, volume }
    }

    fn told(bar: &Bar) -> Vec<(String, String, u32)> {
        bar.prints().map(|(t, p, n)| (t.to_string(), p.to_string(), n)).to_vec()
    }

    #[test]
    fn the_nearer_extreme_comes_first() {
        let up = bar("2440.8", "2441.4", "2440.6", "2440.7", 72);
        assert_eq!(
            told(&up),
            [
                ("2024-11-25T13:30:00.000Z".into(), "2440.8".into(), 18),
                ("2024-11-25T13:30:15.000Z".into(), "2440.6".into(), 18),
                ("2024-11-25T13:30:30.000Z".into(), "2441.4".into(), 18),
                ("2024-11-25T13:30:59.999Z".into(), "2440.7".into(), 18),
            ]
        );
        let prices = |b: Bar| b.prints().map(|p| p.1.to_string());
        assert_eq!(prices(bar("2441", "2441.4", "2440", "2440", 1)), ["2441", "2441.4", "2440", "2440"]);
        assert_eq!(prices(bar("2441", "2442", "2440", "2440", 1)), ["2441", "2442", "2440", "2440"], "a tie");
    }

    #[test]
    fn a_bar_that_cannot_be_is_refused_with_what_would_be_right() {
        let text = |b: Bar| b.checked().unwrap_err().to_string();
        assert_eq!(text(bar("1", "1", "2", "1", 0)), "high 1 is below low 2");
        assert_eq!(
            text(bar("1", "2", "1", "2.1", 0)),
            "close 2.1 is above high 2: the high would have to be at least 2.1"
        );
        assert_eq!(
            text(bar("0.9", "2", "1", "2", 0)),
            "open 0.9 is below low 1: the low would have to be at most 0.9"
        );
        assert_eq!(
            Bar { length: Duration::ZERO, ..bar("1", "1", "1", "1", 0) }.checked(),
            Err(BarError::NoLength)
        );
        assert!(bar("1", "1", "1", "1", 0).checked().is_ok());
    }

    proptest! {
        #[test]
        fn prints_stay_in_the_bar_in_order_and_add_up(
            ticks in proptest::array::uniform4(0i64..100), volume in 0u64..10_000_000_000, nanos in 1u64..100_000_000_000,
        ) {
            let price = |t: i64| Price::from_nanos(t * 100_000_000);
            let (high, low) = (*ticks.iter().max().unwrap(), *ticks.iter().min().unwrap());
            let bar = Bar {
                start: Timestamp::from_nanos(0), length: Duration::from_nanos(nanos),
                open: price(ticks[0]), high: price(high), low: price(low), close: price(ticks[3]), volume,
            };
            let prints = bar.checked().unwrap().prints();
            prop_assert!(prints.windows(2).all(|w| w[0].0 <= w[1].0));
            prop_assert!(prints.iter().all(|p| bar.start <= p.0 && p.0 < bar.end() && p.1 <= bar.high && p.1 >= bar.low));
            prop_assert_eq!(prints.iter().map(|p| u64::from(p.2)).sum::<u64>(), volume);
            prop_assert!(prints.iter().any(|p| p.1 == bar.high) && prints.iter().any(|p| p.1 == bar.low));
            prop_assert_eq!((prints[0].1, prints[3].1), (bar.open, bar.close));
        }
    }
}
