//! One deriver's inside: which formula it follows.
//!
//! Only passes on; every formula stands in its own file.

use std::time::Duration;

use crate::engine::derive::average::Average;
use crate::engine::derive::channel::{Donchian, Swing};
use crate::engine::derive::completed::{Ask, Completed};
use crate::engine::derive::developing::Developing;
use crate::engine::derive::range::{Range, Span};
use crate::engine::derive::record::{Record, RecordOf, YearHigh};
use crate::engine::derive::trend::Trendline;
use crate::engine::derive::vwap::Vwap;
use crate::engine::derive::{Extreme, News, Period, RangeLine, Source, Value};
use crate::market::calendar::Calendar;
use crate::time::Timestamp;

/// The formula that a source follows.
#[derive(Clone, Debug)]
pub(super) enum Machine {
    /// Round numbers have no past.
    Round,
    Completed(Completed),
    Developing(Developing),
    Range(Range),
    YearHigh(YearHigh),
    Record(Record),
    Average(Average),
    Vwap(Vwap),
    Donchian(Donchian),
    Swing(Swing),
    Trendline(Trendline),
}

impl Machine {
    pub(super) fn new(source: &Source, calendar: &Calendar) -> Self {
        match *source {
            Source::Round { .. } => Self::Round,
            Source::Prior { period, of, hours } => {
                Self::Completed(Completed::new(period, hours, Ask::Price(of)))
            }
            Source::Pivot { family, line, hours } => {
                Self::Completed(Completed::new(Period::Day, hours, Ask::Pivot(family, line)))
            }
            Source::Developing { period, of } => Self::Developing(Developing::new(period, of)),
            Source::Overnight { of } => {
                let line = match of {
                    Extreme::High => RangeLine::High,
                    Extreme::Low => RangeLine::Low,
                };
                Self::Range(Range::new(Span::Overnight, line))
            }
            Source::OpeningRange { minutes, line } => {
                let length = Duration::from_secs(u64::from(minutes).saturating_mul(60));
                Self::Range(Range::new(Span::Opening(length), line))
            }
            Source::High52w => Self::YearHigh(YearHigh::default()),
            Source::RecordHigh => Self::Record(Record::new(RecordOf::High)),
            Source::RecordClose => Self::Record(Record::new(RecordOf::Close)),
            Source::Sma { n, bar } => Self::Average(Average::simple(n, bar)),
            Source::Ema { n, bar } => Self::Average(Average::exponential(n, bar)),
            Source::Vwap { anchor, sigmas } => Self::Vwap(Vwap::new(anchor, sigmas)),
            Source::Donchian { n, bar, of } => Self::Donchian(Donchian::new(n, bar, of)),
            Source::Swing { left, right, bar, of } => Self::Swing(Swing::new((left, right), bar, of)),
            Source::Trendline { from, to, log } => Self::Trendline(Trendline::new(from, to, log, calendar)),
        }
    }

    /// Whether the value may be another one now.
    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        match self {
            Self::Round => false,
            Self::Completed(completed) => completed.learn(news, calendar),
            Self::Developing(developing) => developing.learn(news, calendar),
            Self::Range(range) => range.learn(news, calendar),
            Self::YearHigh(high) => high.learn(news),
            Self::Record(record) => record.learn(news, calendar),
            Self::Average(average) => average.learn(news, calendar),
            Self::Vwap(vwap) => vwap.learn(news, calendar),
            Self::Donchian(donchian) => donchian.learn(news, calendar),
            Self::Swing(swing) => swing.learn(news, calendar),
            Self::Trendline(line) => line.learn(news, calendar),
        }
    }

    pub(super) fn value(&self, calendar: &Calendar) -> Option<Value> {
        match self {
            Self::Round => None,
            Self::Completed(completed) => completed.value(),
            Self::Developing(developing) => developing.value(),
            Self::Range(range) => range.value(),
            Self::YearHigh(high) => high.value(calendar),
            Self::Record(record) => record.value(),
            Self::Average(average) => average.value(),
            Self::Vwap(vwap) => vwap.value(),
            Self::Donchian(donchian) => donchian.value(),
            Self::Swing(swing) => swing.value(),
            Self::Trendline(line) => line.value(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Round | Self::Completed(_) | Self::Developing(_) | Self::YearHigh(_) | Self::Record(_) => {
                None
            }
            Self::Range(range) => range.deadline(),
            Self::Average(average) => average.deadline(),
            Self::Vwap(vwap) => vwap.deadline(),
            Self::Donchian(donchian) => donchian.deadline(),
            Self::Swing(swing) => swing.deadline(),
            Self::Trendline(line) => line.deadline(),
        }
    }
}
