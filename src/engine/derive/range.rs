//! Ranges that are over at a time of the day: the night before regular trading hours, and their first minutes.
//!
//! A range is known when its end has passed, and until the next trade date opens.

use std::time::Duration;

use crate::engine::derive::dates::{Watch, next_opens, rth_opens};
use crate::engine::derive::exact::{nanos, price};
use crate::engine::derive::{Minute, News, Period, RangeLine, Value};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::market::trade_date::{date_of, number_of};
use crate::time::Timestamp;

/// Which minutes belong to the range.
#[derive(Clone, Copy, Debug)]
pub(super) enum Span {
    /// From the session's open to the open of regular trading hours.
    Overnight,
    /// So long from the open of regular trading hours.
    Opening(Duration),
}

/// Follows one range a day.
#[derive(Clone, Debug)]
pub(super) struct Range {
    span: Span,
    line: RangeLine,
    watch: Watch,
    window: Option<Window>,
}

/// The range of one trade date.
#[derive(Clone, Debug)]
struct Window {
    trade_date: i32,
    start: Timestamp,
    end: Timestamp,
    /// The next trade date opens.
    until: Timestamp,
    extremes: Option<(Price, Price)>,
}

impl Range {
    pub(super) fn new(span: Span, line: RangeLine) -> Self {
        Self { span, line, watch: Watch::default(), window: None }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        let before = self.price();
        self.watch.learn(news);
        match news {
            News::Minute(minute) => self.minute(minute, calendar),
            News::Clock(now) if self.window.as_ref().is_none_or(|window| window.until <= *now) => {
                let date = calendar.trade_date(*now);
                self.window = self.opened(number_of(date), calendar);
            }
            News::Clock(_) | News::Day(_) => {}
        }
        self.price() != before
    }

    fn minute(&mut self, minute: &Minute, calendar: &Calendar) {
        if self.window.as_ref().is_none_or(|window| window.trade_date != minute.trade_date) {
            self.window = self.opened(minute.trade_date, calendar);
        }
        let (high, low) = (minute.bar.high, minute.bar.low);
        if let Some(window) = &mut self.window
            && (window.start..window.end).contains(&minute.bar.start)
        {
            let (highest, lowest) = window.extremes.unwrap_or((high, low));
            window.extremes = Some((highest.max(high), lowest.min(low)));
        }
    }

    /// The window of a trade date. Without regular trading hours it is empty, and so never known.
    fn opened(&self, trade_date: i32, calendar: &Calendar) -> Option<Window> {
        let date = date_of(trade_date)?;
        let until = next_opens(calendar, Period::Day, date);
        let rth = rth_opens(calendar, date).unwrap_or(until);
        let (start, end) = match self.span {
            Span::Overnight => (calendar.session_opens(date), rth),
            Span::Opening(length) => (rth, rth.saturating_add(length)),
        };
        Some(Window { trade_date, start, end, until, extremes: None })
    }

    fn known(&self) -> Option<(Price, Price)> {
        let (window, now) = self.window.as_ref().zip(self.watch.current())?;
        let over = (window.end..window.until).contains(&now);
        window.extremes.filter(|_| over && self.watch.covers(window.start))
    }

    fn price(&self) -> Option<Price> {
        let (high, low) = self.known()?;
        let range = nanos(high).saturating_sub(nanos(low));
        let halves = |k: u8| range.saturating_mul(i128::from(k));
        let (high, low) = (nanos(high), nanos(low));
        let twice = match self.line {
            RangeLine::High => high.saturating_mul(2),
            RangeLine::Low => low.saturating_mul(2),
            RangeLine::Mid => high.saturating_add(low),
            RangeLine::Above(k) => high.saturating_mul(2).saturating_add(halves(k)),
            RangeLine::Below(k) => low.saturating_mul(2).saturating_sub(halves(k)),
        };
        price(twice, 2)
    }

    pub(super) fn value(&self) -> Option<Value> {
        let (price, (high, low)) = self.price().zip(self.known())?;
        let formula = match self.span {
            Span::Overnight => "overnight/1",
            Span::Opening(_) => "opening_range/1",
        };
        let as_of = self.window.as_ref()?.end;
        Some(Value::new(formula, price, as_of, vec![("high", high), ("low", low)]))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        let (window, now) = self.window.as_ref().zip(self.watch.current())?;
        Some(if now < window.end { window.end } else { window.until })
    }
}
