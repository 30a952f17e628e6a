//! How a minute comes about, trade by trade, without allocating.

use std::time::Duration;

use crate::engine::derive::Minute;
use crate::engine::derive::exact::nanos;
use crate::market::bar::Bar;
use crate::market::calendar::Phase;
use crate::market::price::Price;
use crate::time::Timestamp;

/// A minute.
const LENGTH: Duration = Duration::from_secs(60);
/// The same in nanoseconds.
const NANOS: i64 = 60_000_000_000;

/// When the minute that contains `at` began.
#[must_use]
pub const fn start_of(at: Timestamp) -> Timestamp {
    let nanos = at.as_nanos();
    Timestamp::from_nanos(nanos.saturating_sub(nanos.rem_euclid(NANOS)))
}

impl Minute {
    /// The minute of its first trade.
    #[must_use]
    pub fn open(
        trade: (Timestamp, Price, u32),
        phase: Phase,
        trade_date: i32,
        session_opens: Timestamp,
    ) -> Self {
        let (at, price, size) = trade;
        let start = start_of(at);
        let bar =
            Bar { start, length: LENGTH, open: price, high: price, low: price, close: price, volume: 0 };
        let mut minute = Self { bar, phase, trade_date, session_opens, value: 0, square: 0 };
        minute.add(price, size);
        minute
    }

    /// Takes in the next trade.
    pub fn add(&mut self, price: Price, size: u32) {
        let bar = &mut self.bar;
        bar.high = bar.high.max(price);
        bar.low = bar.low.min(price);
        bar.close = price;
        bar.volume = bar.volume.saturating_add(u64::from(size));
        let value = nanos(price).saturating_mul(i128::from(size));
        self.value = self.value.saturating_add(value);
        self.square = self.square.saturating_add(value.saturating_mul(nanos(price)));
    }

    /// Whether it knows the sums over its trades: a minute that was made from a bar does not.
    #[must_use]
    pub const fn has_sums(&self) -> bool {
        self.square != 0
            || self.bar.volume == 0
            || (self.bar.high.as_nanos() == 0 && self.bar.low.as_nanos() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_adds_up_its_trades() {
        let p = |text: &str| text.parse::<Price>().unwrap();
        let at: Timestamp = "2024-11-25T15:21:12.250Z".parse().unwrap();
        let opens: Timestamp = "2024-11-24T23:00:00Z".parse().unwrap();
        let mut minute = Minute::open((at, p("2460.8"), 3), Phase::Rth, 20_241_125, opens);
        minute.add(p("2461"), 2);
        minute.add(p("2460.5"), 1);
        let bar = minute.bar;
        assert_eq!(bar.start.to_string(), "2024-11-25T15:21:00.000Z");
        assert_eq!([bar.open, bar.high, bar.low, bar.close], ["2460.8", "2461", "2460.5", "2460.5"].map(p));
        assert_eq!(bar.volume, 6);
        assert_eq!(minute.value, 14_764_900_000_000);
        let square = |tenths: i128, size: i128| tenths * tenths * size * 10i128.pow(16);
        assert_eq!(minute.square, square(24_608, 3) + square(24_610, 2) + square(24_605, 1));
        assert!(minute.has_sums());
        assert!(!Minute { value: 0, square: 0, ..minute }.has_sums(), "made from a bar");
    }
}
