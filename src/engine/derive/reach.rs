//! How much history a source needs before its value is right.
//!
//! Where bars are counted the answer is an estimate with room: holidays and minutes without trades are not known
//! beforehand.

use std::time::Duration;

use crate::engine::derive::record::YEAR_DAYS;
use crate::engine::derive::{Anchor, BarSize, Period, Source};
use crate::time::Timestamp;

/// So many times its length an exponential average goes back: by then less than 1e-8 of its seed is left.
const EMA_LENGTHS: u32 = 11;
/// So many times its width the last swing is looked for.
const SWING_WIDTHS: u32 = 20;
/// A day.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// From the open of the trade date in progress, over the longest weekend.
const SESSION: Duration = DAY.saturating_mul(5);

/// History that is to be told before anything live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Completed trade dates.
    pub days: Days,
    /// Minutes of the last so long.
    pub minutes: Option<Duration>,
    /// Minutes from this moment on, and those of the session in which it lies.
    pub since: Option<Timestamp>,
}

/// How many completed trade dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Days {
    /// None.
    None,
    /// The last ones.
    Last(u32),
    /// All that there are.
    All,
}

impl Reach {
    /// No history.
    pub const NOTHING: Self = Self { days: Days::None, minutes: None, since: None };

    const fn days(days: Days) -> Self {
        Self { days, ..Self::NOTHING }
    }

    const fn minutes(back: Duration) -> Self {
        Self { minutes: Some(back), ..Self::NOTHING }
    }

    /// So many bars. Open-market time is five sevenths of all time, less in a week with holidays.
    fn bars(n: u32, bar: BarSize) -> Self {
        match bar {
            BarSize::Day => Self::days(Days::Last(n)),
            BarSize::Length(length) => Self::minutes(
                length.saturating_mul(n.saturating_add(1)).saturating_mul(2).saturating_add(SESSION),
            ),
        }
    }
}

impl Source {
    /// How much history it needs.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match *self {
            Self::Round { .. } | Self::Trendline { .. } => Reach::NOTHING,
            Self::Prior { period, .. } => Reach::days(Days::Last(days_of(period).saturating_mul(2))),
            Self::Pivot { .. } => Reach::days(Days::Last(2)),
            Self::Developing { period, .. } => {
                Reach { days: Days::Last(days_of(period)), ..Reach::minutes(SESSION) }
            }
            Self::Overnight { .. } | Self::OpeningRange { .. } => Reach::minutes(SESSION),
            Self::High52w => Reach::days(Days::Last(u32::try_from(YEAR_DAYS).unwrap_or(u32::MAX))),
            Self::RecordHigh => Reach { days: Days::All, ..Reach::minutes(SESSION) },
            Self::RecordClose => Reach::days(Days::All),
            Self::Sma { n, bar } | Self::Donchian { n, bar, .. } => Reach::bars(n, bar),
            Self::Ema { n, bar } => Reach::bars(n.saturating_mul(EMA_LENGTHS), bar),
            Self::Swing { left, right, bar, .. } => {
                let width = left.saturating_add(right).saturating_add(1);
                Reach::bars(width.saturating_mul(SWING_WIDTHS), bar)
            }
            Self::Vwap { anchor, .. } => match anchor {
                Anchor::Session => Reach::minutes(SESSION),
                Anchor::Week => Reach::minutes(SESSION.saturating_add(DAY.saturating_mul(7))),
                Anchor::Month => Reach::minutes(SESSION.saturating_add(DAY.saturating_mul(31))),
                Anchor::At(from) => Reach { since: Some(from), ..Reach::NOTHING },
            },
        }
    }

    /// Whether it follows the front month over all contracts; every other source knows its own contract alone.
    #[must_use]
    pub const fn chained(&self) -> bool {
        match self {
            Self::High52w | Self::RecordHigh | Self::RecordClose => true,
            Self::Round { .. }
            | Self::Prior { .. }
            | Self::Developing { .. }
            | Self::Overnight { .. }
            | Self::OpeningRange { .. }
            | Self::Pivot { .. }
            | Self::Sma { .. }
            | Self::Ema { .. }
            | Self::Vwap { .. }
            | Self::Donchian { .. }
            | Self::Swing { .. }
            | Self::Trendline { .. } => false,
        }
    }
}

/// No period has more trade dates.
const fn days_of(period: Period) -> u32 {
    match period {
        Period::Day => 1,
        Period::Week => 5,
        Period::Month => 23,
        Period::Quarter => 66,
        Period::Year => 262,
    }
}
