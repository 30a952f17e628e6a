//! Recorded bars of one contract, and what was known at each moment of them.
//!
//! Every answer is made of bars that were complete at the moment asked for.

use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::engine::derive::atr::{AverageTrueRange, PERIOD};
use crate::market::bar::Bar;
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::study::hours::Hours;
use crate::time::Timestamp;

/// A close stands for the price at a moment for so much open-market time, and the length of a bar; later
/// than that the data has a hole.
const STALE_AFTER: Duration = Duration::from_secs(300);

/// How long after a moment price is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Horizon {
    /// One minute of open-market time.
    #[serde(rename = "1m")]
    Minute1,
    /// Five minutes of open-market time.
    #[serde(rename = "5m")]
    Minute5,
    /// A quarter of an hour of open-market time.
    #[serde(rename = "15m")]
    Minute15,
    /// An hour of open-market time.
    #[serde(rename = "60m")]
    Minute60,
    /// The close of regular trading on the same trade date.
    #[serde(rename = "rth_close")]
    RegularClose,
    /// The close of regular trading one trade date later.
    #[serde(rename = "1d")]
    Day1,
    /// The close of regular trading five trade dates later.
    #[serde(rename = "5d")]
    Day5,
}

impl Horizon {
    /// Every horizon, nearest first.
    pub const ALL: [Self; 7] = [
        Self::Minute1,
        Self::Minute5,
        Self::Minute15,
        Self::Minute60,
        Self::RegularClose,
        Self::Day1,
        Self::Day5,
    ];

    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Minute1 => "1 minute",
            Self::Minute5 => "5 minutes",
            Self::Minute15 => "15 minutes",
            Self::Minute60 => "60 minutes",
            Self::RegularClose => "RTH close",
            Self::Day1 => "+1 day",
            Self::Day5 => "+5 days",
        }
    }
}

/// Bars in order of time, without overlaps, of one contract.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    bars: &'a [Bar],
    /// The average true range when the bar of the same place was complete.
    atrs: Vec<Option<Price>>,
    hours: Hours,
}

impl<'a> Series<'a> {
    /// Bars in order of time, and the calendar they were traded by.
    #[must_use]
    pub fn new(bars: &'a [Bar], calendar: &Calendar) -> Self {
        let mut atr = AverageTrueRange::new(PERIOD);
        let atrs = bars.iter().map(|bar| atr.push(bar)).collect();
        let hours = match (bars.first(), bars.last()) {
            (Some(first), Some(last)) => Hours::new(calendar, first.start, last.end()),
            (Some(_) | None, _) => Hours::new(calendar, Timestamp::MAX, Timestamp::MIN),
        };
        Self { bars, atrs, hours }
    }

    /// The bars.
    #[must_use]
    pub const fn bars(&self) -> &'a [Bar] {
        self.bars
    }

    /// Where the data ends.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.bars.last().map_or(Timestamp::MIN, Bar::end)
    }

    /// The average true range of the bars that were complete at that moment; `None` when they were too few.
    #[must_use]
    pub fn atr(&self, at: Timestamp) -> Option<Price> {
        self.atrs.get(self.completed(at).checked_sub(1)?).copied().flatten()
    }

    /// When a horizon is reached; `None` when the data does not reach it.
    #[must_use]
    pub fn due(&self, horizon: Horizon, at: Timestamp) -> Option<Timestamp> {
        let minutes = |n: u64| self.after(at, Duration::from_secs(n.saturating_mul(60)));
        let due = match horizon {
            Horizon::Minute1 => minutes(1),
            Horizon::Minute5 => minutes(5),
            Horizon::Minute15 => minutes(15),
            Horizon::Minute60 => minutes(60),
            Horizon::RegularClose => self.hours.regular_close(at, 0),
            Horizon::Day1 => self.hours.regular_close(at, 1),
            Horizon::Day5 => self.hours.regular_close(at, 5),
        };
        due.filter(|due| *due <= self.end())
    }

    /// When so much open-market time has passed; `None` when the data does not reach that far.
    #[must_use]
    pub fn after(&self, at: Timestamp, d: Duration) -> Option<Timestamp> {
        self.hours.add_open(at, d).filter(|due| *due <= self.end())
    }

    /// The price at a horizon: the close of the last bar that was complete then. `None` when the data does
    /// not reach it, when the bars are longer than the horizon or no bar was completed between, and when the
    /// data has a hole there.
    #[must_use]
    pub fn price(&self, horizon: Horizon, at: Timestamp) -> Option<Price> {
        let due = self.due(horizon, at)?;
        let bar = self.bars.get(self.completed(due).checked_sub(1)?)?;
        let fits = bar.end() > at && bar.length <= due.since(at);
        (fits && !self.is_stale(bar, due)).then_some(bar.close)
    }

    fn is_stale(&self, bar: &Bar, at: Timestamp) -> bool {
        let limit = bar.length.saturating_add(STALE_AFTER);
        // Open-market time never runs faster than the clock.
        at.since(bar.end()) > limit && self.hours.open_between(bar.end(), at) > limit
    }

    /// The bars that were not complete at `from` and are complete at `until`.
    #[must_use]
    pub fn between(&self, from: Timestamp, until: Timestamp) -> &'a [Bar] {
        self.bars.get(self.completed(from)..self.completed(until)).unwrap_or_default()
    }

    /// The bar during which a moment lies.
    #[must_use]
    pub fn bar_at(&self, at: Timestamp) -> Option<&'a Bar> {
        self.bars.get(self.completed(at)).filter(|bar| bar.start <= at)
    }

    /// The trade date of a moment within the data.
    #[must_use]
    pub fn trade_date(&self, at: Timestamp) -> Option<Date> {
        self.hours.trade_date(at)
    }

    /// How many bars were complete.
    fn completed(&self, at: Timestamp) -> usize {
        self.bars.partition_point(|bar| bar.end() <= at)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::study::fixture::{bars, ct, minutes, p, t};

    fn series(bars: &[Bar]) -> Series<'_> {
        Series::new(bars, &Calendar::cme_equity())
    }

    #[test]
    fn the_average_true_range_is_that_of_completed_bars() {
        let bars = bars(0, [2450; 20]);
        let series = series(&bars);
        assert_eq!(series.atr(t(13)), None, "thirteen bars are too few");
        assert_eq!(series.atr(t(14).saturating_sub(Duration::from_nanos(1))), None);
        assert_eq!(series.atr(t(14)), Some(p("2")));
    }

    #[test]
    fn a_horizon_has_a_price_when_the_data_reaches_it() {
        let bars = bars(0, 2400..2416);
        let series = series(&bars);
        assert_eq!(series.price(Horizon::Minute1, t(0)), Some(p("2400")));
        assert_eq!(series.price(Horizon::Minute5, t(0)), Some(p("2404")));
        assert_eq!(series.price(Horizon::Minute15, t(1)), Some(p("2415")));
        assert_eq!(series.price(Horizon::Minute15, t(2)), None);
        assert_eq!(series.price(Horizon::RegularClose, t(0)), None);
    }

    #[test]
    fn a_bar_that_is_longer_than_the_horizon_does_not_answer() {
        let five = |n: i64| Bar { length: minutes(5), ..bars(5 * n.unsigned_abs(), [2400 + n])[0] };
        let bars: Vec<Bar> = (0..4).map(five).collect();
        let series = series(&bars);
        let at_the_end_of_a_bar = t(5).saturating_sub(Duration::from_millis(1));
        assert_eq!(series.price(Horizon::Minute1, at_the_end_of_a_bar), None);
        assert_eq!(series.price(Horizon::Minute5, at_the_end_of_a_bar), Some(p("2400")));
        assert_eq!(series.price(Horizon::Minute5, t(6)), Some(p("2401")));
    }

    #[test]
    fn a_hole_in_the_data_has_no_price_but_a_closed_market_has() {
        let with_hole: Vec<Bar> = bars(0, [2400; 3]).into_iter().chain(bars(60, [2500; 3])).collect();
        let seen = series(&with_hole);
        assert_eq!(seen.price(Horizon::Minute5, t(0)), Some(p("2400")), "two minutes without a trade");
        assert_eq!(seen.price(Horizon::Minute15, t(0)), None);
        // 16:00 is minute 420, and 17:00 is minute 480.
        let over_the_break: Vec<Bar> =
            bars(410, [2400; 10]).into_iter().chain(bars(483, [2500; 30])).collect();
        let seen = series(&over_the_break);
        assert_eq!(
            seen.price(Horizon::Minute5, t(418)),
            Some(p("2400")),
            "due at 17:03, before the first bar"
        );
        assert_eq!(seen.price(Horizon::Minute15, t(418)), Some(p("2500")));
    }

    #[test]
    fn an_empty_series_has_no_answer() {
        let seen = series(&[]);
        assert_eq!((seen.atr(t(0)), seen.price(Horizon::Minute1, t(0))), (None, None));
        assert_eq!(seen.trade_date(ct("2024-11-25 09:00")), None);
    }

    proptest! {
        #[test]
        fn what_comes_later_changes_nothing(
            closes in proptest::collection::vec(2400i64..2500, 40..120),
            others in proptest::collection::vec(2400i64..2500, 120),
            at in 0u64..100, cut in 1usize..120,
        ) {
            let all = bars(0, closes.iter().copied());
            let cut = cut.min(all.len());
            let mut changed = all.clone();
            changed.truncate(cut);
            changed.extend(bars(u64::try_from(cut).unwrap(), others));
            let (short, whole, other) = (series(&all[..cut]), series(&all), series(&changed));
            if t(at) <= t(u64::try_from(cut).unwrap()) {
                prop_assert_eq!(whole.atr(t(at)), other.atr(t(at)));
                prop_assert_eq!(whole.atr(t(at)), short.atr(t(at)));
            }
            for horizon in Horizon::ALL {
                if short.due(horizon, t(at)).is_some() {
                    prop_assert_eq!(short.price(horizon, t(at)), whole.price(horizon, t(at)));
                    prop_assert_eq!(short.price(horizon, t(at)), other.price(horizon, t(at)));
                }
            }
        }
    }
}
