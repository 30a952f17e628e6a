//! Records: the highest price and the highest official close ever seen, and the highest high of a year of days.
//!
//! What nobody watched may have been higher, so a value says how many days of such a kind stand behind it. It
//! counts what did trade on them: without it the record would be off by more.

use std::collections::VecDeque;

use crate::engine::derive::dates::ends;
use crate::engine::derive::{Day, News, Value};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::market::trade_date::date_of;
use crate::time::Timestamp;

/// Trade dates in 52 weeks.
pub const YEAR_DAYS: usize = 252;

/// The highest price, or the highest official close.
#[derive(Clone, Debug)]
pub(super) struct Record {
    of: RecordOf,
    best: Option<(Price, Timestamp)>,
    /// The record before this one.
    beaten: Option<Price>,
    /// A record needs a past: one minute alone has none.
    days: u32,
    unwatched: u32,
}

/// Of what.
#[derive(Clone, Copy, Debug)]
pub(super) enum RecordOf {
    /// Completed minutes and days.
    High,
    /// Official closes.
    Close,
}

impl Record {
    pub(super) const fn new(of: RecordOf) -> Self {
        Self { of, best: None, beaten: None, days: 0, unwatched: 0 }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        match (news, self.of) {
            (News::Minute(minute), RecordOf::High) => {
                self.beat(minute.bar.high, || minute.bar.end()) && self.days > 0
            }
            (News::Day(day), of) => {
                let price = match of {
                    RecordOf::High => day.high,
                    RecordOf::Close => day.official(),
                };
                let first = self.days == 0;
                self.days = self.days.saturating_add(1);
                self.unwatched = self.unwatched.saturating_add(u32::from(day.is_unwatched()));
                self.beat(price, || ended(day, calendar)) || first
            }
            (News::Minute(_), RecordOf::Close) | (News::Clock(_), RecordOf::High | RecordOf::Close) => false,
        }
    }

    fn beat(&mut self, price: Price, when: impl FnOnce() -> Timestamp) -> bool {
        if self.best.is_some_and(|(best, _)| price <= best) {
            return false;
        }
        self.beaten = self.best.map(|(best, _)| best);
        self.best = Some((price, when()));
        true
    }

    pub(super) fn value(&self) -> Option<Value> {
        let (price, as_of) = self.best.filter(|_| self.days > 0)?;
        let (formula, unwatched) = match self.of {
            RecordOf::High => ("record_high/1", self.unwatched),
            RecordOf::Close => ("record_close/1", 0),
        };
        let beaten = self.beaten.map(|beaten| ("beaten", beaten));
        let unwatched = (unwatched > 0).then(|| ("unwatched_days", Price::from_points(i64::from(unwatched))));
        Some(Value::new(formula, price, as_of, beaten.into_iter().chain(unwatched).collect()))
    }
}

/// The highest high of the last [`YEAR_DAYS`] completed trade dates.
#[derive(Clone, Debug, Default)]
pub(super) struct YearHigh {
    days: VecDeque<Day>,
}

impl YearHigh {
    pub(super) fn learn(&mut self, news: &News<'_>) -> bool {
        let News::Day(day) = news else {
            return false;
        };
        if self.days.len() >= YEAR_DAYS {
            self.days.pop_front();
        }
        self.days.push_back(**day);
        self.days.len() >= YEAR_DAYS
    }

    pub(super) fn value(&self, calendar: &Calendar) -> Option<Value> {
        let last = self.days.back().filter(|_| self.days.len() >= YEAR_DAYS)?;
        let high = self.days.iter().max_by_key(|day| day.high)?;
        let unwatched = i64::try_from(self.days.iter().filter(|day| day.is_unwatched()).count()).ok()?;
        let date = [("date", Price::from_points(i64::from(high.date)))];
        let unwatched = (unwatched > 0).then(|| ("unwatched_days", Price::from_points(unwatched)));
        let inputs = date.into_iter().chain(unwatched).collect();
        Some(Value::new("high_52w/1", high.high, ended(last, calendar), inputs))
    }
}

fn ended(day: &Day, calendar: &Calendar) -> Timestamp {
    date_of(day.date).map_or(Timestamp::MIN, |date| ends(calendar, date))
}
