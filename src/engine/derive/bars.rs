//! Bars out of minutes and days, for the formulas that count bars.
//!
//! A bar in which nothing traded does not exist here. A bar is given out once, when it is over, and never changed.

use std::time::Duration;

use crate::engine::derive::dates::ends;
use crate::engine::derive::{BarSize, Day, Minute, News};
use crate::market::bar::Bar;
use crate::market::calendar::Calendar;
use crate::market::trade_date::date_of;
use crate::time::Timestamp;

/// No bar is shorter.
const SHORTEST: Duration = Duration::from_secs(60);

/// A bar that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) bar: Bar,
    /// All of it was told and watched: its extremes are what they are.
    pub(super) whole: bool,
}

/// Puts minutes together into bars that are counted from the session's open, or takes days as they are.
#[derive(Clone, Debug)]
pub(super) struct BarMaker {
    size: BarSize,
    current: Option<Current>,
    /// The first bar may have begun before the first minute that was told.
    begun: bool,
}

#[derive(Clone, Debug)]
struct Current {
    made: Made,
    trade_date: i32,
}

impl BarMaker {
    pub(super) const fn new(size: BarSize) -> Self {
        Self { size, current: None, begun: false }
    }

    /// Takes in what happened; up to two bars are over by it, the older one first: the one that a later minute
    /// ends, and the one that this minute completes.
    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> [Option<Made>; 2] {
        match (self.size, news) {
            (BarSize::Day, News::Day(day)) => [of_day(day, calendar), None],
            (BarSize::Day, News::Minute(_) | News::Clock(_)) => [None; 2],
            (BarSize::Length(length), News::Minute(minute)) => self.minute(minute, length.max(SHORTEST)),
            (BarSize::Length(_), News::Clock(now)) => [self.ended(*now), None],
            (BarSize::Length(_), News::Day(day)) => {
                [self.current.take_if(|c| c.trade_date <= day.date).map(|c| c.made), None]
            }
        }
    }

    fn minute(&mut self, minute: &Minute, length: Duration) -> [Option<Made>; 2] {
        let start = bar_start(minute, length);
        let older = self.current.take_if(|c| c.made.bar.start != start).map(|c| c.made);
        let current = match self.current.take() {
            Some(current) => joined(current, &minute.bar),
            None => {
                let whole = self.begun || minute.bar.start == start;
                let made = Made { bar: Bar { start, length, ..minute.bar }, whole };
                Current { made, trade_date: minute.trade_date }
            }
        };
        self.begun = true;
        self.current = Some(current);
        [older, self.ended(minute.bar.end())]
    }

    fn ended(&mut self, now: Timestamp) -> Option<Made> {
        self.current.take_if(|c| c.made.bar.end() <= now).map(|c| c.made)
    }

    /// When the bar in progress is over.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.current.as_ref().map(|c| c.made.bar.end())
    }
}

fn joined(current: Current, minute: &Bar) -> Current {
    let bar = current.made.bar;
    let bar = Bar {
        high: bar.high.max(minute.high),
        low: bar.low.min(minute.low),
        close: minute.close,
        volume: bar.volume.saturating_add(minute.volume),
        ..bar
    };
    Current { made: Made { bar, ..current.made }, ..current }
}

/// The start of the bar in which a minute lies, counted from the session's open.
fn bar_start(minute: &Minute, length: Duration) -> Timestamp {
    let length = i64::try_from(length.as_nanos()).unwrap_or(i64::MAX);
    let at = minute.bar.start.as_nanos();
    let into = at.saturating_sub(minute.session_opens.as_nanos());
    Timestamp::from_nanos(at.saturating_sub(into.checked_rem_euclid(length).unwrap_or(0)))
}

/// A day as a bar; its close is the official one.
fn of_day(day: &Day, calendar: &Calendar) -> Option<Made> {
    let date = date_of(day.date)?;
    let start = calendar.session_opens(date);
    let (open, high, low, close) = (day.open, day.high, day.low, day.official());
    let length = ends(calendar, date).since(start);
    let bar = Bar { start, length, open, high, low, close, volume: day.volume };
    Some(Made { bar, whole: !day.is_unwatched() })
}
