//! Decides what price did to levels: ticks, connection changes and time go in, facts come out.
//!
//! Pure: time is an argument, a timer is an input, and the same inputs give the same outputs. The cost of a tick
//! that concerns nobody does not depend on the number of levels (`index`).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod basis;
pub mod book;
pub mod confirm;
pub mod derive;
pub mod follow;
pub mod guard;
pub mod index;
pub mod level;
pub mod link;
pub mod marks;
pub mod report;
pub mod rule;
pub mod saved;
pub mod scene;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::book::{Book, BookIndex, Read};
use crate::engine::guard::{Guard, Print, Verdict};
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::link::LinkWatch;
use crate::engine::marks::Wake;
use crate::engine::rule::{PriceFrom, Rule};
use crate::engine::scene::{Fact, Gap, Remark, Scene};
use crate::event::{Event, Reason};
use crate::market::instrument::Instrument;
use crate::market::price::{Distance, Price};
use crate::market::symbol::ContractMonth;
use crate::market::tick::{FeedId, InstrumentId, Item, Quality, Tick, Update};
use crate::time::Timestamp;

/// Everything the engine is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// From a feed.
    Item(Item),
    /// It is so late now, by the market's clock.
    Clock(Timestamp),
}

/// A feed and what it carries.
#[derive(Clone, Debug)]
pub struct FeedSetup {
    /// Its name.
    pub name: String,
    /// Its instruments.
    pub instruments: Vec<InstrumentId>,
}

/// What the engine works on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// In the order of their ids.
    pub instruments: Vec<Instrument>,
    /// Doubt prints this far from the market, where it is not the default.
    pub guards: BTreeMap<InstrumentId, Distance>,
    /// In the order of the configuration.
    pub rules: Vec<Rule>,
    /// In the order of their ids.
    pub feeds: Vec<FeedSetup>,
    /// Named limits.
    pub limits: Limits,
    /// Nothing of it happens today.
    pub rehearsal: bool,
}

/// How long things may take. A rehearsal that runs `n` times as fast has `n` times as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A timer waits so much longer for prints that are on their way.
    pub timer_slack: Duration,
    /// Established so much later than it occurred: late.
    pub late_after: Duration,
    /// A feed that is back within so much open-market time was not down.
    pub down_grace: Duration,
    /// An exchange time may be so far ahead of ours.
    pub ahead: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timer_slack: Duration::from_millis(250),
            late_after: Duration::from_secs(5),
            down_grace: Duration::from_secs(10),
            ahead: Duration::from_secs(2),
        }
    }
}

/// What one or more inputs established.
#[derive(Debug, Default)]
#[must_use]
pub struct Step {
    /// In the order in which they were established.
    pub events: Vec<Event>,
    /// Levels whose state changed.
    pub levels: BTreeSet<LevelIndex>,
    /// Feeds whose state changed.
    pub feeds: BTreeSet<FeedId>,
    /// For the log.
    pub remarks: Vec<(LevelIndex, Timestamp, Remark)>,
    /// Updates that were not used, by reason.
    pub dropped: BTreeMap<Reason, u64>,
}

impl Step {
    /// Whether there is anything to save.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.levels.is_empty() && self.feeds.is_empty()
    }
}

/// All levels, and the market they hang on.
#[derive(Debug)]
pub struct Engine {
    levels: Vec<Level>,
    wakes: Vec<Wake>,
    level_book: Vec<BookIndex>,
    books: Vec<Book>,
    by_instrument: Vec<Vec<BookIndex>>,
    links: Vec<LinkWatch>,
    timers: BTreeSet<(Timestamp, LevelIndex)>,
    instruments: Vec<Instrument>,
    limits: Limits,
    rehearsal: bool,
    scratch: Vec<LevelIndex>,
    facts: Vec<Fact>,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup { instruments, guards, rules, feeds, limits, rehearsal } = setup;
        let mut engine = Self {
            levels: Vec::with_capacity(rules.len()),
            wakes: Vec::with_capacity(rules.len()),
            level_book: Vec::with_capacity(rules.len()),
            books: Vec::new(),
            by_instrument: vec![Vec::new(); instruments.len()],
            links: feeds.into_iter().map(LinkWatch::new).collect(),
            timers: BTreeSet::new(),
            instruments,
            limits,
            rehearsal,
            scratch: Vec::new(),
            facts: Vec::new(),
        };
        for rule in rules {
            engine.add(rule, &guards);
        }
        engine
    }

    fn add(&mut self, rule: Rule, guards: &BTreeMap<InstrumentId, Distance>) {
        let Some(book) = self.book_for(rule.instrument, rule.contract, guards) else { return };
        let Ok(id) = LevelIndex::try_from(self.levels.len()) else { return };
        let Some(tick) = self.books.get(book).map(|book| book.tick) else { return };
        let price = rule.price;
        self.levels.push(Level::new(rule, tick));
        self.wakes.push(Wake::default());
        self.level_book.push(book);
        if let Some(book) = self.books.get_mut(book) {
            book.prices.insert((price, id));
        }
        self.file(id, None);
    }

    /// The book of an instrument, or of one month of it, made when it is first needed.
    fn book_for(
        &mut self,
        id: InstrumentId,
        pinned: Option<ContractMonth>,
        guards: &BTreeMap<InstrumentId, Distance>,
    ) -> Option<BookIndex> {
        let instrument = self.instruments.get(id.index())?;
        let of_instrument = self.by_instrument.get_mut(id.index())?;
        let known =
            of_instrument.iter().find(|book| self.books.get(**book).is_some_and(|b| b.pinned == pinned));
        if let Some(known) = known {
            return Some(*known);
        }
        let guard = Guard::new(guards.get(&id).copied());
        of_instrument.push(self.books.len());
        self.books.push(Book::new(id, instrument, pinned, guard));
        Some(self.books.len().saturating_sub(1))
    }

    /// Puts a level where price and time will find it; `before` is its deadline until now.
    fn file(&mut self, id: LevelIndex, before: Option<Timestamp>) {
        let at = index_of(id);
        let Some(level) = self.levels.get(at) else { return };
        let Some(book) = self.level_book.get(at).and_then(|book| self.books.get_mut(*book)) else { return };
        let Some(old) = self.wakes.get_mut(at) else { return };
        let new = level.wake();
        if let Some(lane) = book.lane_mut(level.rule.price_from) {
            lane.index.update(id, *old, new);
        }
        *old = new;
        if before != level.deadline || before.is_none() {
            if let Some(before) = before {
                self.timers.remove(&(before, id));
                book.timers.remove(&(before, id));
            }
            if let Some(deadline) = level.deadline {
                self.timers.insert((deadline, id));
                book.timers.insert((deadline, id));
            }
        }
    }

    /// The name of a level.
    #[must_use]
    pub fn level_name(&self, id: LevelIndex) -> &str {
        self.levels.get(index_of(id)).map_or("", |level| &level.rule.name)
    }

    /// When time must be told next, even if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let levels = self.timers.first().map(|(at, _)| at.saturating_add(self.limits.timer_slack));
        let links = self.links.iter().filter_map(LinkWatch::deadline);
        levels.into_iter().chain(links).min()
    }

    /// Takes one input in and adds what it established to `step`.
    pub fn handle(&mut self, input: &Input, step: &mut Step) {
        match input {
            Input::Item(Item::Tick(tick)) => self.on_tick(tick, step),
            Input::Item(Item::Link(link)) => self.on_link(link, step),
            Input::Clock(now) => self.on_clock(*now, step),
        }
    }

    fn on_clock(&mut self, now: Timestamp, step: &mut Step) {
        let until = now.saturating_sub(self.limits.timer_slack);
        while let Some((deadline, id)) = self.timers.first().copied().filter(|(at, _)| *at <= until) {
            self.fire_timer(id, deadline, now, step);
        }
        self.links_on_clock(now, step);
    }

    fn on_tick(&mut self, tick: &Tick, step: &mut Step) {
        let Some(books) = self.by_instrument.get(tick.instrument.index()) else { return };
        for at in 0..books.len() {
            let Some(book) = self.by_instrument.get(tick.instrument.index()).and_then(|b| b.get(at)) else {
                return;
            };
            self.on_book_tick(*book, tick, step);
        }
    }

    fn on_book_tick(&mut self, id: BookIndex, tick: &Tick, step: &mut Step) {
        let Some(book) = self.books.get_mut(id) else { return };
        match (book.pinned.or(book.saved.contract), tick.contract) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                if book.pinned.is_some() || theirs < ours || tick.quality == Quality::Snapshot {
                    return;
                }
                self.roll(id, theirs, tick, step);
            }
            (None, Some(first)) => book.saved.contract = Some(first),
            (Some(_) | None, Some(_) | None) => {}
        }
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
        let (Some(bid), Some(ask)) = (bid, ask) else { return };
        if bid > ask {
            return;
        }
        let mid = Price::from_nanos(bid.as_nanos().midpoint(ask.as_nanos()));
        for (from, price) in [(PriceFrom::Bid, bid), (PriceFrom::Ask, ask), (PriceFrom::Mid, mid)] {
            self.on_price(id, from, Print { price, size: 0, at, received_at }, step);
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
        let Update::Trade { price, .. } = tick.update else { return };
        let Some(book) = self.books.get_mut(id) else { return };
        let (Ok(price), None) = (book.tick.snap(price), book.last(PriceFrom::Trade)) else { return };
        let at = book.time_of(tick, self.limits.ahead);
        book.advance(at);
        book.saved.guard.accept(price, at);
        let always: Vec<LevelIndex> =
            book.lane(PriceFrom::Trade).map(|l| l.index.always().collect()).unwrap_or_default();
        for level in always {
            self.with_level(level, at, at, None, step, |level, scene, _| level.on_snapshot(price, scene));
        }
    }

    /// One believed price: the only place where prices meet levels.
    fn on_price(&mut self, id: BookIndex, from: PriceFrom, print: Print, step: &mut Step) {
        self.fire_due(id, print.at, print.received_at, step);
        let Some(book) = self.books.get_mut(id) else { return };
        book.advance(print.at);
        let gap = book.take(from, print.price, print.at);
        let Some(lane) = book.lane(from) else { return };
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

    /// Timers of a book that its own market's time has reached.
    fn fire_due(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        while let Some((deadline, level)) =
            self.books.get(id).and_then(|book| book.timers.first().copied()).filter(|(due, _)| *due <= at)
        {
            self.fire_timer(level, deadline, now, step);
        }
    }

    fn fire_timer(&mut self, id: LevelIndex, deadline: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.level_book.get(index_of(id)).and_then(|book| self.books.get_mut(*book)) else {
            return;
        };
        book.advance(deadline);
        let from = self.levels.get(index_of(id)).map(|level| level.rule.price_from).unwrap_or_default();
        let last = book.last(from);
        self.with_level(id, deadline, now, None, step, |level, scene, facts| {
            level.on_time(last, scene, facts);
            // A deadline that has been served must not come again.
            level.deadline = level.deadline.filter(|again| *again > scene.at);
        });
    }

    /// Lets one level act, then files it anew and dresses what it established.
    fn with_level(
        &mut self,
        id: LevelIndex,
        at: Timestamp,
        now: Timestamp,
        gap: Option<Gap>,
        step: &mut Step,
        act: impl FnOnce(&mut Level, &Scene<'_>, &mut Vec<Fact>),
    ) {
        let Some(level) = self.levels.get_mut(index_of(id)) else { return };
        let Some(book) = self.level_book.get(index_of(id)).and_then(|book| self.books.get(*book)) else {
            return;
        };
        let scene = Scene {
            at,
            calendar: &book.calendar,
            phase: book.session.phase,
            phase_until: book.session.until,
            trade_date: book.saved.trade_date,
            gap,
        };
        let (before, deadline) = (level.state.clone(), level.deadline);
        act(level, &scene, &mut self.facts);
        if level.state != before {
            step.levels.insert(id);
            if let Some((at, remark)) = level.state.remark.filter(|_| level.state.remark != before.remark) {
                step.remarks.push((id, at, remark));
            }
        }
        let facts = std::mem::take(&mut self.facts);
        for fact in &facts {
            step.events.push(self.dress(id, fact, now));
        }
        self.facts = facts;
        self.facts.clear();
        self.file(id, deadline);
    }
}

fn count(step: &mut Step, reason: Reason) {
    let n = step.dropped.entry(reason).or_default();
    *n = n.saturating_add(1);
}

/// The place of a level in a list.
fn index_of(id: LevelIndex) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}
