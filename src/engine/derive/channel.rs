//! Extremes of the last completed bars (Donchian), and of one bar among its neighbours (swing).
//!
//! A bar whose extremes may be others, because it was not told or watched in full, never makes a swing. In a channel
//! it counts with what did trade, and the value says so.

use std::collections::VecDeque;

use crate::engine::derive::bars::{BarMaker, Made};
use crate::engine::derive::{BarSize, Extreme, News, Value};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::time::Timestamp;

/// The extreme of the last `n` completed bars.
#[derive(Clone, Debug)]
pub(super) struct Donchian {
    n: usize,
    of: Extreme,
    bars: BarMaker,
    last: VecDeque<Made>,
}

impl Donchian {
    pub(super) fn new(n: u32, bar: BarSize, of: Extreme) -> Self {
        let n = usize::try_from(n.max(1)).unwrap_or(usize::MAX);
        Self { n, of, bars: BarMaker::new(bar), last: VecDeque::new() }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        let made = self.bars.learn(news, calendar);
        for made in made.into_iter().flatten() {
            if self.last.len() >= self.n {
                self.last.pop_front();
            }
            self.last.push_back(made);
        }
        made.iter().any(Option::is_some)
    }

    pub(super) fn value(&self) -> Option<Value> {
        let newest = self.last.back().filter(|_| self.last.len() >= self.n)?;
        let extremes = self.last.iter().map(|made| self.of.pick(made.bar.high, made.bar.low));
        let price = extremes.reduce(|a, b| self.of.further(a, b))?;
        let count = |n: usize| i64::try_from(n).ok().map(Price::from_points);
        let partial = self.last.iter().filter(|made| !made.whole).count();
        let partial = count(partial).filter(|n| *n > Price::ZERO).map(|n| ("unwatched_bars", n));
        let inputs = [("n", count(self.n)?)].into_iter().chain(partial).collect();
        Some(Value::new("donchian/1", price, newest.bar.end(), inputs))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.bars.deadline()
    }
}

/// The last extreme that lies beyond all bars to its left and right.
#[derive(Clone, Debug)]
pub(super) struct Swing {
    left: usize,
    right: usize,
    of: Extreme,
    bars: BarMaker,
    window: VecDeque<Price>,
    found: Option<(Price, Timestamp)>,
}

impl Swing {
    pub(super) fn new((left, right): (u32, u32), bar: BarSize, of: Extreme) -> Self {
        let wide = |n| usize::try_from(n).unwrap_or(usize::MAX);
        let (left, right) = (wide(left), wide(right));
        Self { left, right, of, bars: BarMaker::new(bar), window: VecDeque::new(), found: None }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        let before = self.found;
        for made in self.bars.learn(news, calendar).into_iter().flatten() {
            self.push(&made);
        }
        self.found != before
    }

    fn push(&mut self, made: &Made) {
        if !made.whole {
            self.window.clear();
            return;
        }
        let width = self.left.saturating_add(self.right).saturating_add(1);
        if self.window.len() >= width {
            self.window.pop_front();
        }
        self.window.push_back(self.of.pick(made.bar.high, made.bar.low));
        let Some(candidate) = self.window.get(self.left).filter(|_| self.window.len() == width) else {
            return;
        };
        let mut others = self.window.iter().enumerate().filter(|(at, _)| *at != self.left);
        if others.all(|(_, other)| self.of.beats(*candidate, *other)) {
            self.found = Some((*candidate, made.bar.end()));
        }
    }

    pub(super) fn value(&self) -> Option<Value> {
        let (price, as_of) = self.found?;
        let count = |n: usize| i64::try_from(n).ok().map(Price::from_points);
        let inputs = vec![("left", count(self.left)?), ("right", count(self.right)?)];
        Some(Value::new("swing/1", price, as_of, inputs))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.bars.deadline()
    }
}
