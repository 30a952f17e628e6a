//! From ticks to believed prices, and from there to levels.

use crate::engine::book::{BookIndex, Read};
use crate::engine::guard::{Print, Verdict};
use crate::engine::index::LevelIndex;
use crate::engine::rule::PriceFrom;
use crate::engine::side::middle;
use crate::engine::{Engine, Step, count};
use crate::event::Reason;
use crate::market::price::Price;
use crate::market::tick::{Quality, Tick, Update};
use crate::time::Timestamp;

impl Engine {
    pub(super) fn on_tick(&mut self, tick: &Tick, step: &mut Step) {
        let Some(books) = self.by_instrument.get(tick.instrument.index()) else { return };
        for at in 0..books.len() {
            let Some(book) = self.by_instrument.get(tick.instrument.index()).and_then(|b| b.get(at)) else {
                return;
            };
            self.on_book_tick(*book, tick, step);
        }
    }

    fn on_book_tick(&mut self, id: BookIndex, tick: &Tick, step: &mut Step) {
        if !self.is_of_contract(id, tick, step) {
            return;
        }
        self.changed.insert(id);
        match tick.quality {
            Quality::Live => self.on_live(id, tick, step),
            Quality::FromBar => self.on_bar_print(id, tick, step),
            Quality::Snapshot => self.on_snapshot(id, tick, step),
            Quality::Delayed | Quality::Stale => self.on_not_live(tick, step),
        }
    }

    fn on_live(&mut self, id: BookIndex, tick: &Tick, step: &mut Step) {
        self.link_of_tick(tick, step);
        let Some(book) = self.books.get_mut(id) else { return };
        match tick.update {
            Update::Quote { bid, ask } => self.on_quote(id, tick, bid, ask, step),
            Update::Range { high, low } => self.on_range(id, tick, high, low, step),
            Update::Trade { price, size } => match book.read(tick) {
                Read::Fresh => self.on_trade(id, tick, price, size, step),
                Read::Repeat => {}
                Read::Doubtful => count(step, Reason::TimeBackwards),
                Read::Believed(ticks) => {
                    for tick in ticks {
                        if let Update::Trade { price, size } = tick.update {
                            self.on_trade(id, &tick, price, size, step);
                        }
                    }
                }
            },
        }
    }

    fn on_trade(&mut self, id: BookIndex, tick: &Tick, price: Price, size: u32, step: &mut Step) {
        let Some(book) = self.books.get_mut(id) else { return };
        let at = book.time_of(tick, self.limits.ahead);
        let Ok(on_grid) = book.tick.snap(price) else {
            return self.doubt(id, price, at, tick.received_at, Reason::OffGrid, step);
        };
        let print = Print { price: on_grid, size, at, received_at: tick.received_at };
        match book.judge(print) {
            Verdict::Good { dropped } => {
                self.doubt_dropped(id, dropped, step);
                self.on_price(id, PriceFrom::Trade, print, step);
            }
            Verdict::Releases(held) => {
                self.on_price(id, PriceFrom::Trade, held, step);
                self.on_price(id, PriceFrom::Trade, print, step);
            }
            Verdict::Held { dropped } => self.doubt_dropped(id, dropped, step),
        }
    }

    fn on_quote(
        &mut self,
        id: BookIndex,
        tick: &Tick,
        bid: Option<Price>,
        ask: Option<Price>,
        step: &mut Step,
    ) {
        let Some(book) = self.books.get_mut(id) else { return };
        let at = book.time_of(tick, self.limits.ahead);
        let (grid, received_at) = (book.tick, tick.received_at);
        let snap = |price: Option<Price>| price.and_then(|price| grid.snap(price).ok());
        let (bid, ask) = (snap(bid), snap(ask));
        if let Some(held) = book.saved.guard.on_quote(bid, ask, at, grid) {
            self.on_price(id, PriceFrom::Trade, held, step);
        }
        // Before an auction a book can be crossed: that is no market.
        if let (Some(bid), Some(ask)) = (bid, ask)
            && bid > ask
        {
            return;
        }
        if let (Some(bid), Some(ask)) = (bid, ask) {
            let mid = middle(bid, ask);
            if let Some(side) = self.books.get_mut(id).and_then(|book| book.saved.side.as_mut()) {
                side.on_ours(bid, ask, at);
            }
            for (from, price) in [(PriceFrom::Bid, bid), (PriceFrom::Ask, ask), (PriceFrom::Mid, mid)] {
                self.on_price(id, from, Print { price, size: 0, at, received_at }, step);
            }
        }
        self.on_quoted(id, (bid, ask), at, received_at, step);
    }

    /// Breaks that wait for a quote are told of every one.
    fn on_quoted(
        &mut self,
        id: BookIndex,
        (bid, ask): (Option<Price>, Option<Price>),
        at: Timestamp,
        now: Timestamp,
        step: &mut Step,
    ) {
        let Some(book) = self.books.get(id).filter(|book| !book.quoted.is_empty()) else { return };
        let waiting: Vec<LevelIndex> = book.quoted.iter().copied().collect();
        self.pass(id, at, now, step);
        for level in waiting {
            self.with_level(level, at, now, None, step, |level, scene, facts| {
                level.on_quote(bid, ask, scene, facts);
            });
        }
    }

    fn on_bar_print(&mut self, id: BookIndex, tick: &Tick, step: &mut Step) {
        let Update::Trade { price, size } = tick.update else { return };
        let Some(book) = self.books.get_mut(id) else { return };
        let at = book.time_of(tick, self.limits.ahead);
        let Ok(price) = book.tick.snap(price) else {
            return self.doubt(id, price, at, tick.received_at, Reason::OffGrid, step);
        };
        book.saved.guard.accept(price, at);
        let from = step.events.len();
        self.on_price(id, PriceFrom::Trade, Print { price, size, at, received_at: tick.received_at }, step);
        for event in step.events.iter_mut().skip(from) {
            event.from_bars = true;
        }
    }

    fn on_snapshot(&mut self, id: BookIndex, tick: &Tick, step: &mut Step) {
        let price = match tick.update {
            Update::Trade { price, .. } => price,
            Update::Range { high, low } => return self.on_range(id, tick, high, low, step),
            Update::Quote { .. } => return,
        };
        let Some(book) = self.books.get_mut(id) else { return };
        let (Ok(price), None) = (book.tick.snap(price), book.last(PriceFrom::Trade)) else { return };
        let at = book.time_of(tick, self.limits.ahead);
        book.saved.guard.accept(price, at);
        self.advance(id, at, tick.received_at, step);
        let Some(book) = self.books.get(id) else { return };
        let always: Vec<LevelIndex> =
            book.lane(PriceFrom::Trade).map(|l| l.index.always().collect()).unwrap_or_default();
        for level in always {
            self.with_level(level, at, at, None, step, |level, scene, _| level.on_snapshot(price, scene));
        }
    }

    /// The day's extremes as the feed knows them: a conflated feed may not have shown every print.
    fn on_range(
        &mut self,
        id: BookIndex,
        tick: &Tick,
        high: Option<Price>,
        low: Option<Price>,
        step: &mut Step,
    ) {
        let Some(book) = self.books.get(id) else { return };
        let (at, now) = (book.time_of(tick, self.limits.ahead), tick.received_at);
        self.pass(id, at, now, step);
        self.advance(id, at, now, step);
        let Some(book) = self.books.get_mut(id) else { return };
        let snap = |price: Option<Price>| price.and_then(|price| book.tick.snap(price).ok());
        let (high, low) = (snap(high), snap(low));
        // Without a print of this trade date there is nothing that was not shown.
        let (Some(seen_high), Some(seen_low)) = (book.saved.high, book.saved.low) else { return };
        let above = high.filter(|high| *high > seen_high);
        let below = low.filter(|low| *low < seen_low);
        if let Some(day) = &mut book.saved.day {
            day.reach(above, below);
        }
        book.saved.high = above.or(Some(seen_high));
        book.saved.low = below.or(Some(seen_low));
        for hidden in above.into_iter().chain(below) {
            self.on_hidden(id, hidden, at, now, step);
        }
    }

    fn on_hidden(&mut self, id: BookIndex, price: Price, at: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(lane) = self.books.get(id).and_then(|book| book.lane(PriceFrom::Trade)) else { return };
        let mut concerned = Vec::new();
        lane.index.concerned(price, &mut concerned);
        for level in concerned {
            self.with_level(level, at, now, None, step, |level, scene, facts| {
                level.on_hidden(price, scene, facts);
            });
        }
    }

    /// One believed price: the only place where prices meet levels.
    fn on_price(&mut self, id: BookIndex, from: PriceFrom, print: Print, step: &mut Step) {
        self.pass(id, print.at, print.received_at, step);
        self.advance(id, print.at, print.received_at, step);
        let Some(book) = self.books.get_mut(id) else { return };
        let before = book.last(from);
        let gap = book.take(from, print.price, print.at);
        if from == PriceFrom::Trade {
            let over = book.tape(print.price, print.size, print.at, gap);
            self.after_trade(id, print, over, step);
            self.spread_out(id, before, print, step);
        }
        let Some(lane) = self.books.get(id).and_then(|book| book.lane(from)) else { return };
        if lane.index.is_quiet(print.price) {
            return;
        }
        let mut concerned = std::mem::take(&mut self.scratch);
        lane.index.concerned(print.price, &mut concerned);
        for level in &concerned {
            self.with_level(*level, print.at, print.received_at, gap, step, |level, scene, facts| {
                level.on_price(print.price, print.size, scene, facts);
            });
        }
        self.scratch = concerned;
    }
}
