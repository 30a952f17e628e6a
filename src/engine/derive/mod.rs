//! Levels that follow from the market's own past: their formulas, and how they take in what happens.
//!
//! Nothing here knows a rule, or fires: a [`Source`] says what is wanted, a deriver takes bars and days in and
//! says where the level lies, by which formula, from which inputs, and as of when.

pub mod atr;
mod average;
mod bars;
mod channel;
mod completed;
mod dates;
mod developing;
mod exact;
#[cfg(test)]
mod fixture;
mod machine;
pub mod minute;
pub mod pivot;
mod range;
pub mod reach;
pub mod record;
pub mod round;
#[cfg(test)]
mod tests;
mod trend;
pub mod volume;
mod vwap;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::derive::machine::Machine;
use crate::market::bar::Bar;
use crate::market::calendar::{Calendar, Phase};
use crate::market::price::Price;
use crate::time::Timestamp;

/// Of a day of which more than this was not watched, the extremes may be others than those that are known.
pub const UNWATCHED_MAX: Duration = Duration::from_secs(5 * 60);

/// What a deriver is told.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A minute in which something traded is over. Oldest first; one that was told before is passed over.
    Minute(&'a Minute),
    /// A trade date is over; sent after its last minute. Oldest first; one that was told before is passed over.
    Day(&'a Day),
    /// So late it is now; sent after the minutes that are over by then, and at least whenever
    /// [`Deriver::deadline`] is reached.
    Clock(Timestamp),
}

/// Where a derived level lies, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    /// The price, to the nearest 1e-9; it need not lie on the tick grid.
    pub price: Price,
    /// Name and version of the formula: `pivot.floor/1`.
    pub formula: &'static str,
    /// What went into it, by name: prices, and counts and dates (yyyymmdd) as whole points.
    pub inputs: Vec<(&'static str, Price)>,
    /// The last moment that has a part in it.
    pub as_of: Timestamp,
}

impl Value {
    const fn new(
        formula: &'static str,
        price: Price,
        as_of: Timestamp,
        inputs: Vec<(&'static str, Price)>,
    ) -> Self {
        Self { price, formula, inputs, as_of }
    }
}

/// Follows one source: takes in what happens, and says where the level lies.
#[derive(Clone, Debug)]
pub struct Deriver {
    calendar: Calendar,
    machine: Machine,
    value: Option<Value>,
    /// The start of the last minute, and the date of the last day.
    told: (Timestamp, i32),
}

impl Deriver {
    /// A deriver that was told nothing yet.
    #[must_use]
    pub fn new(source: &Source, calendar: &Calendar) -> Self {
        let machine = Machine::new(source, calendar);
        Self { calendar: calendar.clone(), machine, value: None, told: (Timestamp::MIN, i32::MIN) }
    }

    /// Takes in what happened. Returns whether the level's price changed, became known, or is no longer known; what
    /// else the value says is renewed all the same.
    pub fn learn(&mut self, news: &News<'_>) -> bool {
        if self.is_old(news) || !self.machine.learn(news, &self.calendar) {
            return false;
        }
        let price = |value: &Option<Value>| value.as_ref().map(|v| v.price);
        let before = price(&self.value);
        self.value = self.machine.value(&self.calendar);
        price(&self.value) != before
    }

    /// History and live data may overlap: the same minute or day must not count twice.
    fn is_old(&mut self, news: &News<'_>) -> bool {
        let (minute, day) = self.told;
        match news {
            News::Minute(new) => self.told.0 = minute.max(new.bar.start),
            News::Day(new) => self.told.1 = day.max(new.date),
            News::Clock(_) => return false,
        }
        self.told == (minute, day)
    }

    /// The level; `None` while it is not known: too little history, a range that is not over, a day that is missing.
    #[must_use]
    pub const fn value(&self) -> Option<&Value> {
        self.value.as_ref()
    }

    /// When it must be told the time next.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.machine.deadline()
    }
}

/// Where a level comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Multiples of a step: one level for each multiple around the price. The engine makes those.
    Round {
        /// The step.
        step: Price,
    },
    /// A price of the last completed day, week, month, quarter or year.
    Prior {
        /// Of which period.
        period: Period,
        /// Which price.
        of: Of,
        /// Whether regular trading hours alone count.
        hours: Hours,
    },
    /// The extreme of the week, month, quarter or year in progress, over its completed minutes.
    Developing {
        /// Of which period.
        period: Period,
        /// Which extreme.
        of: Extreme,
    },
    /// The extreme from 17:00 until the open of regular trading hours, frozen there.
    Overnight {
        /// Which extreme.
        of: Extreme,
    },
    /// The first minutes of regular trading hours; known when they are over.
    OpeningRange {
        /// How many minutes.
        minutes: u32,
        /// Which line.
        line: RangeLine,
    },
    /// The highest high of the last 252 completed trade dates.
    High52w,
    /// The highest price ever seen, over completed minutes.
    RecordHigh,
    /// The highest official close ever seen.
    RecordClose,
    /// A pivot of the last completed trade date.
    Pivot {
        /// By which formulas.
        family: PivotFamily,
        /// Which line.
        line: PivotLine,
        /// Whether regular trading hours alone count.
        hours: Hours,
    },
    /// The simple average of the last closes.
    Sma {
        /// Of how many bars.
        n: u32,
        /// Of which length.
        bar: BarSize,
    },
    /// The exponential average of the closes, `alpha = 2 / (n + 1)`, seeded with the simple one.
    Ema {
        /// Of how many bars.
        n: u32,
        /// Of which length.
        bar: BarSize,
    },
    /// The volume-weighted average price since its anchor, plus so many standard deviations.
    Vwap {
        /// Since when.
        anchor: Anchor,
        /// How many standard deviations, in units of 1e-9; may be negative.
        sigmas: Price,
    },
    /// The extreme of the last completed bars.
    Donchian {
        /// How many bars.
        n: u32,
        /// Of which length.
        bar: BarSize,
        /// Which extreme.
        of: Extreme,
    },
    /// The last extreme above (below) all bars to its left and right; never changed afterwards.
    Swing {
        /// So many bars to its left,
        left: u32,
        /// and so many to its right.
        right: u32,
        /// Of which length.
        bar: BarSize,
        /// Which extreme.
        of: Extreme,
    },
    /// The line through two points, in open-market time.
    Trendline {
        /// One point.
        from: (Timestamp, Price),
        /// A later one.
        to: (Timestamp, Price),
        /// Whether the line is straight in the logarithm of the price.
        log: bool,
    },
}

/// A stretch of trade dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// One trade date.
    Day,
    /// Monday to Friday.
    Week,
    /// A calendar month.
    Month,
    /// A calendar quarter.
    Quarter,
    /// A calendar year.
    Year,
}

/// Which price of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The highest.
    High,
    /// The lowest.
    Low,
    /// The last trade of regular trading hours of its last day (with the whole session: the last trade).
    Close,
    /// The settlement of its last day.
    Settlement,
}

/// Which of two extremes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extreme {
    /// The highest.
    High,
    /// The lowest.
    Low,
}

impl Extreme {
    const fn pick(self, high: Price, low: Price) -> Price {
        match self {
            Self::High => high,
            Self::Low => low,
        }
    }

    fn further(self, a: Price, b: Price) -> Price {
        if self.beats(b, a) { b } else { a }
    }

    fn beats(self, a: Price, b: Price) -> bool {
        match self {
            Self::High => a > b,
            Self::Low => a < b,
        }
    }
}

/// Which hours count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hours {
    /// The whole Globex session.
    #[default]
    Full,
    /// Regular trading hours.
    Rth,
}

/// A line of an opening range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeLine {
    /// Its highest price.
    High,
    /// Its lowest price.
    Low,
    /// The middle.
    Mid,
    /// The highest plus so many halves of the range: 2, 3 or 4.
    Above(u8),
    /// The lowest minus so many halves of the range: 2, 3 or 4.
    Below(u8),
}

/// By which formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PivotFamily {
    /// P, R1 to R3, S1 to S3.
    Floor,
    /// R1 to R4, S1 to S4.
    Camarilla,
    /// P, R1, R2, S1, S2.
    Woodie,
    /// P, R1 to R3, S1 to S3.
    Fibonacci,
    /// P, R1, S1.
    Demark,
}

/// Which line of a pivot family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PivotLine {
    /// The pivot itself.
    P,
    /// A resistance, counted from 1.
    R(u8),
    /// A support, counted from 1.
    S(u8),
}

/// How long a bar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BarSize {
    /// So long, counted from the session's open; whole minutes.
    Length(Duration),
    /// One trade date.
    Day,
}

/// Since when volume and price are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The session's open.
    Session,
    /// The first session of the week.
    Week,
    /// The first session of the month.
    Month,
    /// A moment.
    At(Timestamp),
}

/// One minute in which something traded, after it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minute {
    /// Its prices.
    pub bar: Bar,
    /// The part of the day.
    pub phase: Phase,
    /// The trade date as yyyymmdd.
    pub trade_date: i32,
    /// When its session opened: bars are counted from there.
    pub session_opens: Timestamp,
    /// The sum of price times size over its trades, prices in units of 1e-9. With `square` zero when the minute was
    /// made from a bar: then no VWAP knows it.
    pub value: i128,
    /// The sum of price times price times size over its trades, prices in units of 1e-9.
    pub square: i128,
}

/// A trade date, after it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// The trade date as yyyymmdd.
    pub date: i32,
    /// The first price.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The last price; of an imported day, its official close.
    pub close: Price,
    /// Contracts traded.
    pub volume: u64,
    /// Regular trading hours, if they are known.
    pub rth: Option<Rth>,
    /// The settlement, if it is known.
    pub settlement: Option<Price>,
    /// So much of the session nobody watched: its extremes may be others.
    pub unwatched: Duration,
}

/// Regular trading hours of a trade date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rth {
    /// The first price.
    pub open: Price,
    /// The highest price.
    pub high: Price,
    /// The lowest price.
    pub low: Price,
    /// The last price.
    pub close: Price,
}

impl Day {
    /// The official close: the settlement, else the last trade of regular trading hours, else the last price.
    #[must_use]
    pub fn official(&self) -> Price {
        self.settlement.or(self.rth.map(|rth| rth.close)).unwrap_or(self.close)
    }

    /// Whether so much of it was not watched that its extremes may be others.
    #[must_use]
    pub fn is_unwatched(&self) -> bool {
        self.unwatched > UNWATCHED_MAX
    }
}
