//! What the last completed day, week, month, quarter or year leaves behind: its prices, and its pivots.
//!
//! A period is only known when every trading day of it is: with a day missing there are no extremes. A single day
//! that nobody watched for long has none either; a longer period says how many of its days were such.

use jiff::civil::Date;

use crate::engine::derive::dates::{ends, key, trading_day_after};
use crate::engine::derive::{Day, Hours, News, Of, Period, PivotFamily, PivotLine, Rth, Value, pivot};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::market::trade_date::{date_of, number_of};
use crate::time::Timestamp;

/// What is asked of the period.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    /// One of its prices.
    Price(Of),
    /// One of its pivots.
    Pivot(PivotFamily, PivotLine),
}

/// Follows the days of one contract, and keeps the last completed period.
#[derive(Clone, Debug)]
pub(super) struct Completed {
    period: Period,
    hours: Hours,
    ask: Ask,
    current: Option<Stretch>,
    last: Option<Stretch>,
    /// The trade date of the last minute.
    trade_date: i32,
}

/// Days of one period.
#[derive(Clone, Debug)]
struct Stretch {
    key: i32,
    /// Which period follows it, once it is complete.
    next_key: i32,
    /// Its prices in the hours that count; `None` when a day does not know them.
    prices: Option<Rth>,
    settlement: Option<Price>,
    last_date: Date,
    /// Every trading day so far was told.
    whole: bool,
    /// Days that nobody watched for long.
    unwatched: u32,
    ended: Timestamp,
}

impl Completed {
    pub(super) const fn new(period: Period, hours: Hours, ask: Ask) -> Self {
        Self { period, hours, ask, current: None, last: None, trade_date: 0 }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        match news {
            News::Day(day) => self.take(day, calendar),
            News::Minute(minute) if minute.trade_date != self.trade_date => {
                self.trade_date = minute.trade_date;
                date_of(minute.trade_date).is_some_and(|date| self.forget(key(self.period, date)))
            }
            News::Minute(_) | News::Clock(_) => false,
        }
    }

    /// The last period is no longer the last one when another than the following is in progress.
    fn forget(&mut self, in_progress: i32) -> bool {
        self.last.take_if(|last| last.next_key != in_progress && last.key != in_progress).is_some()
    }

    fn take(&mut self, day: &Day, calendar: &Calendar) -> bool {
        // A row for a day without a session of its own would tear a hole between its neighbours.
        let Some(date) = date_of(day.date).filter(|date| calendar.is_trading_day(*date)) else {
            return false;
        };
        let this = key(self.period, date);
        let mut changed = self.forget(this);
        let before = calendar.business_day_before(date);
        let stretch = match self.current.take() {
            Some(current) if current.key == this => current.with(day, date, before, self.hours),
            Some(_) | None => Stretch::new(this, day, date, key(self.period, before) != this, self.hours),
        };
        let next = trading_day_after(calendar, date).map_or(i32::MAX, |next| key(self.period, next));
        if next == this {
            self.current = Some(stretch);
        } else {
            self.last = Some(Stretch { next_key: next, ended: ends(calendar, date), ..stretch });
            changed = true;
        }
        changed
    }

    pub(super) fn value(&self) -> Option<Value> {
        let last = self.last.as_ref()?;
        match self.ask {
            Ask::Price(of) => last.price(of, self.hours, self.period),
            Ask::Pivot(family, line) => last.pivot(family, line),
        }
    }
}

impl Stretch {
    fn new(key: i32, day: &Day, date: Date, first: bool, hours: Hours) -> Self {
        Self {
            key,
            next_key: key,
            prices: prices(day, hours),
            settlement: day.settlement,
            last_date: date,
            whole: first,
            unwatched: u32::from(day.is_unwatched()),
            ended: Timestamp::MIN,
        }
    }

    fn with(self, day: &Day, date: Date, before: Date, hours: Hours) -> Self {
        let joined = |a: Rth, b: Rth| Rth {
            open: a.open,
            high: a.high.max(b.high),
            low: a.low.min(b.low),
            close: b.close,
        };
        Self {
            prices: self.prices.zip(prices(day, hours)).map(|(a, b)| joined(a, b)),
            settlement: day.settlement,
            last_date: date,
            whole: self.whole && self.last_date == before,
            unwatched: self.unwatched.saturating_add(u32::from(day.is_unwatched())),
            ..self
        }
    }

    /// Its extremes, if they can be trusted.
    fn trusted(&self, period: Period) -> Option<Rth> {
        self.prices.filter(|_| self.whole && (self.unwatched == 0 || period != Period::Day))
    }

    fn price(&self, of: Of, hours: Hours, period: Period) -> Option<Value> {
        let price = match of {
            Of::High => self.trusted(period)?.high,
            Of::Low => self.trusted(period)?.low,
            Of::Close => self.prices?.close,
            Of::Settlement => self.settlement?,
        };
        let formula = match (of, hours) {
            (Of::Settlement, Hours::Full | Hours::Rth) => "prior.settlement/1",
            (Of::High | Of::Low | Of::Close, Hours::Full) => "prior.full/1",
            (Of::High | Of::Low | Of::Close, Hours::Rth) => "prior.rth/1",
        };
        Some(Value::new(formula, price, self.ended, self.inputs(&[])))
    }

    fn pivot(&self, family: PivotFamily, line: PivotLine) -> Option<Value> {
        let day = self.trusted(Period::Day)?;
        let price = pivot::line(family, line, &day)?;
        let inputs = [("open", day.open), ("high", day.high), ("low", day.low), ("close", day.close)];
        Some(Value::new(pivot::formula(family), price, self.ended, self.inputs(&inputs)))
    }

    fn inputs(&self, prices: &[(&'static str, Price)]) -> Vec<(&'static str, Price)> {
        let date = Price::from_points(i64::from(number_of(self.last_date)));
        let unwatched = Some(self.unwatched).filter(|n| *n > 0);
        let unwatched = unwatched.map(|n| ("unwatched_days", Price::from_points(i64::from(n))));
        prices.iter().copied().chain([("date", date)]).chain(unwatched).collect()
    }
}

fn prices(day: &Day, hours: Hours) -> Option<Rth> {
    match hours {
        Hours::Full => Some(Rth { open: day.open, high: day.high, low: day.low, close: day.close }),
        Hours::Rth => day.rth,
    }
}
