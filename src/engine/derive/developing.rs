//! The extreme of the day, week, month, quarter or year in progress.
//!
//! Completed days and the completed minutes of the day in progress; it must have been told all of them since the
//! period's open. Inside a day it cannot know what nobody watched: the day says so when it is over.

use jiff::civil::Date;

use crate::engine::derive::dates::{Watch, ends, first_of, key, opens, trading_day_after};
use crate::engine::derive::{Day, Extreme, Minute, News, Period, Value};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::market::trade_date::date_of;
use crate::time::Timestamp;

/// Follows one contract through the period in progress.
#[derive(Clone, Debug)]
pub(super) struct Developing {
    period: Period,
    of: Extreme,
    watch: Watch,
    days: Option<Days>,
    today: Option<Today>,
    as_of: Timestamp,
}

/// The completed days of the period.
#[derive(Clone, Debug)]
struct Days {
    key: i32,
    extreme: Price,
    last: Date,
    whole: bool,
    unwatched: u32,
}

/// The minutes of the trade date in progress.
#[derive(Clone, Debug)]
struct Today {
    trade_date: i32,
    key: i32,
    extreme: Price,
    /// Everything since the period's open was told.
    whole: bool,
}

impl Developing {
    pub(super) fn new(period: Period, of: Extreme) -> Self {
        let watch = Watch::default();
        Self { period, of, watch, days: None, today: None, as_of: Timestamp::MIN }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        self.watch.learn(news);
        match news {
            News::Minute(minute) => self.minute(minute, calendar),
            News::Day(day) => self.day(day, calendar),
            News::Clock(_) => false,
        }
    }

    fn minute(&mut self, minute: &Minute, calendar: &Calendar) -> bool {
        let extreme = self.of.pick(minute.bar.high, minute.bar.low);
        self.as_of = minute.bar.end();
        match &mut self.today {
            Some(today) if today.trade_date == minute.trade_date => {
                let before = today.extreme;
                today.extreme = self.of.further(before, extreme);
                today.extreme != before
            }
            Some(_) | None => {
                self.today = self.begun(minute.trade_date, extreme, calendar);
                true
            }
        }
    }

    fn begun(&mut self, trade_date: i32, extreme: Price, calendar: &Calendar) -> Option<Today> {
        let date = date_of(trade_date)?;
        let key = key(self.period, date);
        self.days.take_if(|days| days.key != key);
        let days_told = match &self.days {
            Some(days) => days.whole && days.last == calendar.business_day_before(date),
            None => first_of(calendar, self.period, date) == date,
        };
        let whole = days_told && self.watch.covers(opens(calendar, date));
        Some(Today { trade_date, key, extreme, whole })
    }

    fn day(&mut self, day: &Day, calendar: &Calendar) -> bool {
        let Some(date) = date_of(day.date).filter(|date| calendar.is_trading_day(*date)) else {
            return false;
        };
        let this = key(self.period, date);
        let before = calendar.business_day_before(date);
        let extreme = self.of.pick(day.high, day.low);
        let unwatched = u32::from(day.is_unwatched());
        let days = match self.days.take().filter(|days| days.key == this) {
            Some(days) => Days {
                extreme: self.of.further(days.extreme, extreme),
                last: date,
                whole: days.whole && days.last == before,
                unwatched: days.unwatched.saturating_add(unwatched),
                ..days
            },
            None => {
                Days { key: this, extreme, last: date, whole: key(self.period, before) != this, unwatched }
            }
        };
        self.today = None;
        self.as_of = ends(calendar, date);
        let goes_on = trading_day_after(calendar, date).is_some_and(|next| key(self.period, next) == this);
        self.days = goes_on.then_some(days);
        true
    }

    pub(super) fn value(&self) -> Option<Value> {
        let days = self.days.as_ref();
        let price = match (days, &self.today) {
            (Some(days), Some(today)) if days.key == today.key => {
                today.whole.then(|| self.of.further(days.extreme, today.extreme))
            }
            (Some(_) | None, Some(today)) => today.whole.then_some(today.extreme),
            (Some(days), None) => days.whole.then_some(days.extreme),
            (None, None) => None,
        }?;
        let unwatched = days.map(|days| days.unwatched).filter(|n| *n > 0);
        let unwatched = unwatched.map(|n| ("unwatched_days", Price::from_points(i64::from(n))));
        Some(Value::new("developing/1", price, self.as_of, unwatched.into_iter().collect()))
    }
}
