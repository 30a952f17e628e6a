//! Decides what price did to levels: ticks, connection changes and time go in, facts come out.
//!
//! Pure: time is an argument, a timer is an input, and the same inputs give the same outputs. The cost of a tick
//! that concerns nobody does not depend on the number of levels (`index`).

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod basis;
pub mod book;
mod changed;
pub mod closes;
pub mod confirm;
pub mod day;
pub mod derive;
pub mod explain;
mod family;
pub mod follow;
pub mod gate;
pub mod guard;
pub mod index;
pub mod level;
pub mod link;
pub mod marks;
pub mod measure;
pub mod moves;
mod passing;
pub mod reject;
mod remove;
pub mod report;
mod roll;
pub mod rule;
pub mod saved;
pub mod scene;
pub mod side;
pub mod state;
#[cfg(test)]
mod tests;
mod ticks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::basis::Basis;
use crate::engine::book::{Book, BookIndex, BooksOf, Derived};
use crate::engine::changed::Changed;
use crate::engine::derive::atr::AverageTrueRange;
use crate::engine::derive::volume::VolumeProfile;
use crate::engine::derive::{Day, Deriver, Minute, Source};
use crate::engine::family::Family;
use crate::engine::gate::Market;
use crate::engine::guard::Guard;
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::link::LinkWatch;
use crate::engine::marks::Wake;
use crate::engine::rule::{Confirm, Rule, When};
use crate::engine::scene::{Fact, Gap, Remark, Scene};
use crate::engine::state::Latch;
use crate::event::{Event, Reason, Space};
use crate::market::instrument::Instrument;
use crate::market::price::{Distance, Price};
use crate::market::symbol::ContractMonth;
use crate::market::tick::{FeedId, InstrumentId, Item};
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
    /// How levels in index prices find their place on the futures.
    pub basis: BTreeMap<InstrumentId, Basis>,
    /// In the order of the configuration.
    pub rules: Vec<Rule>,
    /// In the order of their ids.
    pub feeds: Vec<FeedSetup>,
    /// Named limits.
    pub limits: Limits,
    /// Nothing of it happens today.
    pub rehearsal: bool,
    /// When another contract takes over.
    pub rolls: Rolls,
}

/// When another contract takes over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rolls {
    /// By the instrument's policy; until then a later contract is only looked at.
    #[default]
    ByPolicy,
    /// As soon as a later contract is in the data: recorded data has one contract at a time.
    ByData,
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
    /// Minutes that are over.
    pub minutes: Vec<Past<Minute>>,
    /// Trade dates that are over.
    pub days: Vec<Past<Day>>,
    /// Books whose contract's own history is wanted.
    pub recall: BTreeSet<BookIndex>,
}

/// Something that is over, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past<T> {
    /// The instrument.
    pub instrument: InstrumentId,
    /// The contract, if it has months.
    pub month: Option<ContractMonth>,
    /// Whether it was the contract in force: then it belongs to the chained series too.
    pub front: bool,
    /// What it is.
    pub what: T,
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
    level_book: Vec<u32>,
    books: Vec<Book>,
    by_instrument: Vec<BooksOf>,
    /// Books whose basis is measured against an instrument.
    measured_by: BTreeMap<InstrumentId, Vec<BookIndex>>,
    families: Vec<Family>,
    links: Vec<LinkWatch>,
    timers: BTreeSet<(Timestamp, LevelIndex)>,
    book_timers: BTreeSet<(Timestamp, BookIndex)>,
    /// Books whose state changed since it was last saved.
    changed: Changed,
    instruments: Vec<Instrument>,
    guards: BTreeMap<InstrumentId, Distance>,
    basis: BTreeMap<InstrumentId, Basis>,
    limits: Limits,
    rehearsal: bool,
    rolls: Rolls,
    scratch: Vec<LevelIndex>,
    facts: Vec<Fact>,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let Setup { instruments, guards, basis, rules, feeds, limits, rehearsal, rolls } = setup;
        let mut engine = Self {
            levels: Vec::with_capacity(rules.len()),
            level_book: Vec::with_capacity(rules.len()),
            books: Vec::new(),
            by_instrument: vec![BooksOf::new(); instruments.len()],
            measured_by: BTreeMap::new(),
            families: Vec::new(),
            links: feeds.into_iter().map(LinkWatch::new).collect(),
            timers: BTreeSet::new(),
            book_timers: BTreeSet::new(),
            changed: Changed::default(),
            instruments,
            guards,
            basis,
            limits,
            rehearsal,
            rolls,
            scratch: Vec::new(),
            facts: Vec::new(),
        };
        for rule in rules {
            engine.add(rule);
        }
        engine
    }

    /// Watches another level. It is placed by the first price that it sees.
    pub fn add(&mut self, rule: Rule) {
        let Some(book) = self.book_for(rule.instrument, rule.contract) else { return };
        self.need_others(&rule);
        match &rule.source {
            Some(Source::Round { step }) => {
                let step = *step;
                self.families.push(Family::new(rule, book, step));
            }
            Some(_) | None => {
                self.insert(rule, book);
            }
        }
    }

    /// Puts a level into its book.
    fn insert(&mut self, rule: Rule, at: BookIndex) -> Option<LevelIndex> {
        let (Ok(id), Ok(place)) = (LevelIndex::try_from(self.levels.len()), u32::try_from(at)) else {
            return None;
        };
        let book = self.books.get_mut(at)?;
        let level = Level::new(rule);
        need(book, &level.rule, id);
        if let Some(price) = level.at {
            book.prices.insert((price, id));
        }
        self.levels.push(level);
        self.level_book.push(place);
        self.file(id, Wake::default(), None);
        Some(id)
    }

    /// Instruments that are only looked at have books too.
    fn need_others(&mut self, rule: &Rule) {
        let mut named = Vec::new();
        When::instruments(&rule.when, &mut |id, over| named.push((id, over)));
        for (id, over) in named {
            if let Some(book) = self.book_for(id, None).and_then(|book| self.books.get_mut(book)) {
                book.closes.keep = book.closes.keep.max(over);
            }
        }
    }

    /// The book of an instrument, or of one month of it, made when it is first needed.
    fn book_for(&mut self, id: InstrumentId, pinned: Option<ContractMonth>) -> Option<BookIndex> {
        let instrument = self.instruments.get(id.index())?;
        let of_instrument = self.by_instrument.get_mut(id.index())?;
        let known =
            of_instrument.iter().find(|book| self.books.get(**book).is_some_and(|b| b.pinned == pinned));
        if let Some(known) = known {
            return Some(*known);
        }
        let at = self.books.len();
        of_instrument.push(at);
        let guard = Guard::new(self.guards.get(&id).copied());
        let mut book = Book::new(id, instrument, pinned, guard);
        book.basis = self.basis.get(&id).copied();
        let basis = book.basis;
        self.books.push(book);
        self.plan_expiry(at);
        if let Some(Basis::Index(index)) = basis {
            self.book_for(index, None)?;
            self.measured_by.entry(index).or_default().push(at);
        }
        Some(at)
    }

    fn book_of(&self, id: LevelIndex) -> Option<BookIndex> {
        self.level_book.get(index_of(id)).map(|book| index_of(*book))
    }

    /// Puts a level where price and time will find it; `old` and `before` say where it was until now.
    fn file(&mut self, id: LevelIndex, old: Wake, before: Option<Timestamp>) {
        let (Some(level), Some(book)) = (self.levels.get(index_of(id)), self.book_of(id)) else { return };
        let Some(book) = self.books.get_mut(book) else { return };
        let new = level.wake(book.grid());
        if let Some(lane) = book.lane_mut(level.rule.price_from) {
            lane.index.update(id, old, new);
        }
        if level.wants_quotes() {
            book.quoted.insert(id);
        } else if !book.quoted.is_empty() {
            book.quoted.remove(&id);
        }
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

    /// What is known of an instrument.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id.index())
    }

    /// The name of a level.
    #[must_use]
    pub fn level_name(&self, id: LevelIndex) -> &str {
        self.levels.get(index_of(id)).map_or("", |level| &level.rule.name)
    }

    /// When time must be told next, even if nothing else happens.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let levels = self.timers.first().map(|(at, _)| *at);
        let books = self.book_timers.first().map(|(at, _)| *at);
        let timers = levels.into_iter().chain(books).min();
        let timers = timers.map(|at| at.saturating_add(self.limits.timer_slack));
        let links = self.links.iter().filter_map(LinkWatch::deadline);
        timers.into_iter().chain(links).min()
    }

    /// Takes one input in and adds what it established to `step`.
    pub fn handle(&mut self, input: &Input, step: &mut Step) {
        match input {
            Input::Item(Item::Tick(tick)) => self.on_tick(tick, step),
            Input::Item(Item::Link(link)) => self.on_link(link, step),
            Input::Clock(now) => self.on_clock(*now, step),
        }
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
        let Some(book) = self.book_of(id).and_then(|book| self.books.get(book)) else { return };
        let Some(level) = self.levels.get_mut(index_of(id)) else { return };
        let market = Market { books: &self.books, by_instrument: &self.by_instrument };
        let watched = book.is_watched(level.rule.price_from);
        let scene = Scene { at, book, market, watched, gap };
        let (before, deadline, wake) = (level.state.clone(), level.deadline, level.wake(book.grid()));
        let from = level.at;
        act(level, &scene, &mut self.facts);
        if level.state != before {
            step.levels.insert(id);
            step.remarks.extend(remark(&before, level, at).map(|(at, remark)| (id, at, remark)));
        }
        let to = level.at;
        let facts = std::mem::take(&mut self.facts);
        for fact in &facts {
            step.events.push(self.dress(id, fact, now));
        }
        self.facts = facts;
        self.facts.clear();
        self.file(id, wake, deadline);
        if from != to {
            self.file_price(id, from, to);
        }
    }

    /// Keeps the list from which the next levels above and below are named.
    fn file_price(&mut self, id: LevelIndex, old: Option<Price>, new: Option<Price>) {
        let Some(book) = self.book_of(id).and_then(|book| self.books.get_mut(book)) else { return };
        if let Some(old) = old {
            book.prices.remove(&(old, id));
        }
        if let Some(new) = new {
            book.prices.insert((new, id));
        }
    }
}

/// What is worth a line in the log.
fn remark(before: &state::State, level: &Level, at: Timestamp) -> Option<(Timestamp, Remark)> {
    let now = level.state.remark();
    if now != before.remark() {
        return now;
    }
    let placed_beyond = before.latch == Latch::New && matches!(level.state.latch, Latch::Spent { .. });
    placed_beyond.then_some((at, Remark::AlreadyBeyond))
}

/// What a rule asks of its instrument's book.
fn need(book: &mut Book, rule: &Rule, id: LevelIndex) {
    if let Some(source) = rule.source.as_ref().filter(|_| !rule.is_priced()) {
        match book.derived.iter_mut().find(|derived| derived.source == *source) {
            Some(derived) => derived.levels.push(id),
            None => book.derived.push(Derived {
                source: source.clone(),
                deriver: Deriver::new(source, &book.calendar),
                levels: vec![id],
                announced: None,
            }),
        }
    }
    if rule.space == Space::Index {
        book.in_index.push(id);
    }
    if rule.measures_in_atr() {
        book.in_atr.push(id);
        book.atr.get_or_insert_with(|| AverageTrueRange::new(derive::atr::PERIOD));
    }
    if rule.confirm.iter().any(|condition| matches!(condition, Confirm::RelativeVolume(_))) {
        book.profile.get_or_insert_with(VolumeProfile::new);
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
