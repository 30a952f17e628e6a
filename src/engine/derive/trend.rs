//! The line through two points, in open-market time: weekends and breaks do not move it.
//!
//! It has a value for every whole minute, and none between two of them, however often it is told the time.

use std::time::Duration;

use crate::engine::derive::exact::{nanos, price};
use crate::engine::derive::minute::start_of;
use crate::engine::derive::{News, Value};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::time::Timestamp;

/// The line is drawn anew so often.
const STEP: Duration = Duration::from_secs(60);

/// A trend line and where it has come to.
#[derive(Clone, Debug)]
pub(super) struct Trendline {
    from: (Timestamp, Price),
    to: (Timestamp, Price),
    log: bool,
    /// Open-market time between the two points, in nanoseconds.
    length: i128,
    at: Option<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    now: Timestamp,
    /// Open-market time since the first point, in nanoseconds; negative before it.
    run: i128,
    /// When the market has been open for another minute.
    next: Timestamp,
}

impl Trendline {
    pub(super) fn new(
        from: (Timestamp, Price),
        to: (Timestamp, Price),
        log: bool,
        calendar: &Calendar,
    ) -> Self {
        Self { from, to, log, length: run(calendar, from.0, to.0), at: None }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        let now = match news {
            News::Minute(minute) => minute.bar.end(),
            News::Clock(now) => start_of(*now),
            News::Day(_) => return false,
        };
        let run = match self.at {
            Some(at) if now <= at.now => return false,
            Some(at) => at.run.saturating_add(run(calendar, at.now, now)),
            None => run(calendar, self.from.0, now),
        };
        self.at = Some(Place { now, run, next: calendar.next_open(now).saturating_add(STEP) });
        true
    }

    fn price(&self, run: i128) -> Option<Price> {
        if self.log {
            return logarithmic(self.from.1, self.to.1, run, self.length);
        }
        let (from, to) = (nanos(self.from.1), nanos(self.to.1));
        let rise = to.checked_sub(from)?.checked_mul(run)?;
        price(from.checked_mul(self.length)?.checked_add(rise)?, self.length)
    }

    pub(super) fn value(&self) -> Option<Value> {
        let at = self.at?;
        let formula = if self.log { "trendline.log/1" } else { "trendline/1" };
        let inputs = vec![("from", self.from.1), ("to", self.to.1)];
        Some(Value::new(formula, self.price(at.run)?, at.now, inputs))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.at.map(|at| at.next)
    }
}

/// Open-market time from `a` to `b` in nanoseconds, negative when `b` is earlier.
fn run(calendar: &Calendar, a: Timestamp, b: Timestamp) -> i128 {
    let open = |a, b| i128::try_from(calendar.open_between(a, b).as_nanos()).unwrap_or(i128::MAX);
    if a <= b { open(a, b) } else { open(b, a).saturating_neg() }
}

/// `from * (to / from) ^ (run / length)`, to the nearest 1e-9 as far as a double carries.
#[expect(clippy::float_arithmetic, reason = "a logarithm has no exact form")]
#[expect(clippy::as_conversions, reason = "the lengths and prices are far below 2^53 points and seconds")]
fn logarithmic(from: Price, to: Price, run: i128, length: i128) -> Option<Price> {
    if from <= Price::ZERO || to <= Price::ZERO || length <= 0 {
        return None;
    }
    let slope = (to.as_nanos() as f64 / from.as_nanos() as f64).ln();
    let nanos = from.as_nanos() as f64 * (slope * (run as f64 / length as f64)).exp();
    let fits = nanos.is_finite() && nanos < i64::MAX as f64;
    fits.then(|| Price::from_nanos(nanos.round() as i64))
}
