//! What a book learns: minutes and trade dates as they come about, and what follows from them.

use std::time::Duration;

use crate::engine::book::{Book, Derived};
use crate::engine::day::DaySoFar;
use crate::engine::derive::atr::{AverageTrueRange, PERIOD};
use crate::engine::derive::volume::VolumeProfile;
use crate::engine::derive::{Deriver, Minute, News};
use crate::engine::rule::PriceFrom;
use crate::engine::scene::Gap;
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::time::Timestamp;

impl Book {
    /// A trade on its way into the minute, the trade date and the settlement. Returns a minute that is over.
    pub fn tape(&mut self, price: Price, size: u32, at: Timestamp, gap: Option<Gap>) -> Option<Minute> {
        let bounds = self.bounds?;
        let is_rth = bounds.is_rth(at);
        self.saved.closing.add(price, size, at, &bounds);
        let unwatched = match gap {
            Some(gap) => self.calendar.open_between(gap.from.max(bounds.opens), at),
            // The first price ever: nobody watched the session before it.
            None if self.saved.day.is_none() => self.calendar.open_between(bounds.opens, at),
            None => Duration::ZERO,
        };
        let date = self.saved.trade_date;
        match &mut self.saved.day {
            Some(day) => day.missed(unwatched),
            None => self.saved.day = Some(DaySoFar::begin(date, price, unwatched)),
        }
        if let Some(day) = &mut self.saved.day {
            day.add(price, size, is_rth);
        }
        self.saved.volume = self.saved.volume.saturating_add(u64::from(size));
        if let Some(minute) = self.minute.as_mut().filter(|minute| at < minute.bar.end()) {
            minute.add(price, size);
            return None;
        }
        let trade = (at, price, size);
        self.minute.replace(Minute::open(trade, self.session.phase, date, bounds.opens))
    }

    /// The minute in progress, if it is over by now.
    pub fn minute_over(&mut self, at: Timestamp) -> Option<Minute> {
        self.minute.take_if(|minute| minute.bar.end() <= at)
    }

    /// What happened, for everything that follows from history. Returns the derived places that changed.
    pub fn learn(&mut self, news: &News<'_>) -> Vec<usize> {
        self.remember(news);
        let changed = |(at, derived): (usize, &mut Derived)| derived.deriver.learn(news).then_some(at);
        self.derived.iter_mut().enumerate().filter_map(changed).collect()
    }

    /// When the engine must look at it, whatever trades: a minute ends, or a derived place is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let minute = self.minute.as_ref().map(|minute| minute.bar.end());
        let derived = self.derived.iter().filter_map(|derived| derived.deriver.deadline());
        derived.chain(minute).chain(self.expires).min()
    }

    /// Everything that follows from history begins anew.
    pub fn forget(&mut self) {
        for derived in &mut self.derived {
            derived.deriver = Deriver::new(&derived.source, &self.calendar);
        }
        self.atr = self.atr.take().map(|_| AverageTrueRange::new(PERIOD));
        self.profile = self.profile.take().map(|_| VolumeProfile::new());
        self.closes.clear();
    }

    /// What happened before: it is only taken in.
    pub fn remember(&mut self, news: &News<'_>) {
        match news {
            News::Minute(minute) => {
                self.closes.push(minute.bar.end(), minute.bar.close);
                if let Some(profile) = &mut self.profile {
                    profile.learn(minute);
                }
            }
            News::Day(day) => {
                if let Some(atr) = &mut self.atr {
                    let _value = atr.push_day(day);
                }
            }
            News::Clock(_) => {}
        }
    }

    /// Another month is in force from now on; returns the one before. With a spread the last prices are those that
    /// the new month would have had.
    pub fn turn_to(&mut self, month: ContractMonth, spread: Option<Price>) -> Option<ContractMonth> {
        let tick = self.tick;
        let moved = |last: Option<Price>| last.zip(spread).map(|(last, spread)| last.plus(spread));
        let [trade, bid, ask, mid] = &mut self.saved.last;
        for last in [trade, bid, ask] {
            *last = moved(*last).map(|last| tick.round(last));
        }
        // The middle between bid and offer lies between two ticks as it likes.
        *mid = moved(*mid);
        let around = self.last(PriceFrom::Trade);
        self.saved.guard.begin_at(around, self.saved.last_at);
        (self.saved.high, self.saved.low) = (None, None);
        self.saved.prior = self.saved.prior.zip(spread).map(|(prior, spread)| prior.plus(spread));
        (self.saved.day, self.saved.roll_to) = (None, None);
        self.saved.basis.forget();
        self.saved.contract.replace(month)
    }
}
