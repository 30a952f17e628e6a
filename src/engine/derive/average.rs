//! Moving averages over the closes of completed bars.
//!
//! The simple one is exact. The exponential one is rounded at every step, to 1e-18.

use std::collections::VecDeque;

use crate::engine::derive::bars::BarMaker;
use crate::engine::derive::exact::{nanos, price, quotient};
use crate::engine::derive::{BarSize, News, Value};
use crate::market::bar::Bar;
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::time::Timestamp;

/// So many units of the exponential average make one of 1e-9.
const FINE: i128 = 1_000_000_000;

/// A moving average.
#[derive(Clone, Debug)]
pub(super) struct Average {
    n: u32,
    bars: BarMaker,
    state: State,
    /// The close that came last, and when its bar ended.
    last: Option<(Price, Timestamp)>,
}

#[derive(Clone, Debug)]
enum State {
    /// The last closes and their sum.
    Simple(VecDeque<Price>, i128),
    /// Seeding: how many closes so far, and their sum.
    Seed(u32, i128),
    /// The exponential average, in units of 1e-18.
    Exponential(i128),
}

impl Average {
    pub(super) fn simple(n: u32, bar: BarSize) -> Self {
        Self { n: n.max(1), bars: BarMaker::new(bar), state: State::Simple(VecDeque::new(), 0), last: None }
    }

    pub(super) fn exponential(n: u32, bar: BarSize) -> Self {
        Self { n: n.max(1), bars: BarMaker::new(bar), state: State::Seed(0, 0), last: None }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        let made = self.bars.learn(news, calendar);
        let changed = made.iter().any(Option::is_some);
        for bar in made.iter().flatten() {
            self.push(&bar.bar);
        }
        changed
    }

    fn push(&mut self, bar: &Bar) {
        let n = i128::from(self.n);
        let close = nanos(bar.close);
        self.last = Some((bar.close, bar.end()));
        match &mut self.state {
            State::Simple(closes, sum) => {
                let full = i128::try_from(closes.len()).is_ok_and(|length| length >= n);
                let oldest = if full { closes.pop_front() } else { None };
                closes.push_back(bar.close);
                *sum = sum.saturating_add(close).saturating_sub(oldest.map_or(0, nanos));
            }
            State::Seed(seen, sum) => {
                *seen = seen.saturating_add(1);
                *sum = sum.saturating_add(close);
                if *seen >= self.n
                    && let Some(mean) = quotient(sum.saturating_mul(FINE), n)
                {
                    self.state = State::Exponential(mean);
                }
            }
            State::Exponential(value) => {
                let new = close.saturating_mul(FINE).saturating_mul(2);
                let old = value.saturating_mul(n.saturating_sub(1));
                *value = quotient(new.saturating_add(old), n.saturating_add(1)).unwrap_or(*value);
            }
        }
    }

    pub(super) fn value(&self) -> Option<Value> {
        let (close, as_of) = self.last?;
        let n = i128::from(self.n);
        let (formula, price) = match &self.state {
            State::Simple(closes, sum) => {
                let enough = i128::try_from(closes.len()).ok()? >= n;
                ("sma/1", price(*sum, n).filter(|_| enough)?)
            }
            State::Seed(..) => return None,
            State::Exponential(value) => ("ema/1", price(*value, FINE)?),
        };
        let inputs = vec![("n", Price::from_points(i64::from(self.n))), ("close", close)];
        Some(Value::new(formula, price, as_of, inputs))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.bars.deadline()
    }
}
