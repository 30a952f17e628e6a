//! Levels that follow from the market's own past: their formulas, and how they take in what happens.
//!
//! Nothing here knows a rule, or fires: a [`Source`] says what is wanted, a deriver takes bars and days in and
//! says where the level lies, by which formula, from which inputs, and as of when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::market::bar::Bar;
use crate::market::calendar::Phase;
use crate::market::price::Price;
use crate::time::Timestamp;

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
}
