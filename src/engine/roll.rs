//! Another contract takes over: levels in contract prices move by the measured spread, or are suspended.

use std::time::Duration;

use crate::engine::book::{BookIndex, Derived};
use crate::engine::derive::Deriver;
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::side::SideMarket;
use crate::engine::{Engine, Rolls, Step, index_of};
use crate::event::{Event, Kind, Numbers, Px, Reason, Severity, ThreadId};
use crate::market::instrument::RollPolicy;
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::{Quality, Tick};
use crate::time::Timestamp;

/// A spread holds for so much open-market time after it was measured.
const SPREAD_HOLDS: Duration = Duration::from_secs(60 * 60);
/// So many moved levels are named in the notice.
const NAMED: usize = 20;

impl Engine {
    /// Whether a tick belongs to the contract that a book watches; may make it the next one.
    pub(super) fn is_of_contract(&mut self, id: BookIndex, tick: &Tick, step: &mut Step) -> bool {
        let Some(book) = self.books.get_mut(id) else { return false };
        match (book.pinned.or(book.saved.contract), tick.contract) {
            (Some(ours), Some(theirs)) if ours != theirs => {
                if book.pinned.is_some() || theirs < ours {
                    return false;
                }
                if !self.is_roll_due(id, (ours, theirs), tick) {
                    self.look_aside(id, theirs, tick);
                    return false;
                }
                self.roll(id, theirs, tick, step);
                true
            }
            (None, Some(first)) => self.first_contract(id, first, tick, step),
            (Some(_) | None, Some(_) | None) => true,
        }
    }

    fn first_contract(&mut self, id: BookIndex, first: ContractMonth, tick: &Tick, step: &mut Step) -> bool {
        let Some(book) = self.books.get_mut(id) else { return false };
        let instrument = self.instruments.get(book.instrument.index());
        let front = instrument.and_then(|instrument| instrument.front(tick.at()));
        if self.rolls == Rolls::ByPolicy && front.is_some_and(|front| first > front) {
            self.look_aside(id, first, tick);
            return false;
        }
        book.saved.contract = Some(first);
        step.recall.insert(id);
        self.plan_expiry(id);
        true
    }

    fn is_roll_due(
        &self,
        id: BookIndex,
        (ours, theirs): (ContractMonth, ContractMonth),
        tick: &Tick,
    ) -> bool {
        let Some(book) = self.books.get(id) else { return false };
        let instrument = self.instruments.get(book.instrument.index());
        match self.rolls {
            Rolls::ByData => tick.quality != Quality::Snapshot,
            Rolls::ByPolicy => instrument.is_some_and(|instrument| match instrument.roll {
                RollPolicy::Explicit(_) => false,
                RollPolicy::CmeMonday
                | RollPolicy::CmeThursday
                | RollPolicy::DaysBeforeExpiry(_)
                | RollPolicy::Volume => {
                    tick.at() >= instrument.roll_at(ours) || book.saved.roll_to == Some(theirs)
                }
            }),
        }
    }

    /// The next contract's market, without touching levels.
    fn look_aside(&mut self, id: BookIndex, month: ContractMonth, tick: &Tick) {
        let Some(book) = self.books.get_mut(id) else { return };
        let at = tick.at();
        let ours = book.bid().zip(book.ask()).zip(book.quoted_at);
        let side = book.saved.side.get_or_insert_with(|| {
            let mut side = SideMarket::new(month);
            if let Some(((bid, ask), at)) = ours {
                side.on_ours(bid, ask, at);
            }
            side
        });
        if side.month == month && matches!(tick.quality, Quality::Live) {
            side.on_theirs(&tick.update, at);
            self.changed.insert(id);
        }
    }

    /// A trade date is over: with the policy `volume`, the month that traded more takes over.
    pub(super) fn volume_roll(&mut self, id: BookIndex) {
        let Some(book) = self.books.get_mut(id) else { return };
        let Some(instrument) = self.instruments.get(book.instrument.index()) else { return };
        let ours = std::mem::take(&mut book.saved.volume);
        let Some(side) = &mut book.saved.side else { return };
        if instrument.rolls_by_volume(ours, side.volume) {
            book.saved.roll_to = Some(side.month);
        }
        side.new_day();
    }

    /// Another month is in force from now on.
    fn roll(&mut self, id: BookIndex, to: ContractMonth, tick: &Tick, step: &mut Step) {
        let Some(book) = self.books.get(id) else { return };
        let (at, now) = (book.time_of(tick, self.limits.ahead), tick.received_at);
        self.pass(id, at, now, step);
        self.advance(id, at, now, step);
        self.end_minute(id, now, step);
        let Some(book) = self.books.get_mut(id) else { return };
        let side = book.saved.side.take().filter(|side| side.month == to);
        let spread = side.and_then(|side| side.spread());
        let spread = spread.filter(|(_, measured)| book.calendar.open_between(*measured, at) <= SPREAD_HOLDS);
        let spread = spread.map(|(spread, _)| spread);
        let from = book.turn_to(to, spread);
        step.recall.insert(id);
        for level in self.levels_where(id, |level| level.state.life.is_some()) {
            self.with_level(level, at, now, None, step, |level, scene, _| level.turn(spread, scene));
        }
        // Those whose price their author named in prices of the contract.
        let levels = self.levels_where(id, |level| level.rule.fixed().is_some());
        let notice = step.events.len();
        let moved = match spread {
            Some(spread) => self.shift(&levels, spread, at, now, step),
            None => {
                self.suspend_all(&levels, Reason::SpreadUnknown, at, now, step);
                Vec::new()
            }
        };
        let event = self.rolled(id, (from, to), spread, &moved, (at, now));
        if let Some(event) = event {
            step.events.insert(notice.min(step.events.len()), event);
        }
        self.derive_anew(id, at, now, step);
        self.rebase(id, at, now, step);
        self.plan_expiry(id);
    }

    /// The levels of a book for which something holds.
    fn levels_where(&self, id: BookIndex, holds: impl Fn(&Level) -> bool) -> Vec<LevelIndex> {
        let all = (0..).zip(self.levels.iter().zip(&self.level_book));
        all.filter(|(_, (level, book))| index_of(**book) == id && holds(level)).map(|(id, _)| id).collect()
    }

    /// Moves levels by the spread; returns what was done, for people.
    fn shift(
        &mut self,
        levels: &[LevelIndex],
        spread: Price,
        at: Timestamp,
        now: Timestamp,
        step: &mut Step,
    ) -> Vec<String> {
        let mut moved = Vec::new();
        for id in levels {
            let Some(book) = self.book_of(*id).and_then(|book| self.books.get(book)) else { continue };
            let Some(level) = self.levels.get(index_of(*id)) else { continue };
            let Some(from) = level.at else { continue };
            let to = level.rule.on_grid(from.plus(spread), book.tick);
            if moved.len() < NAMED {
                let px = |price| Px::new(price, book.tick).grouped();
                moved.push(format!("{} {} -> {}", level.rule.name, px(from), px(to)));
            }
            let last = book.last(level.rule.price_from);
            if to == from {
                // The last price has moved all the same.
                self.with_level(*id, at, now, None, step, |level, scene, _| {
                    level.relocate(Some(to), last, scene);
                });
            }
            self.move_to(*id, Some(to), (at, now), (Reason::RollPolicy, Severity::Info), step);
        }
        let more = levels.len().saturating_sub(moved.len());
        if more > 0 {
            moved.push(format!("and {more} more"));
        }
        moved
    }

    fn suspend_all(
        &mut self,
        levels: &[LevelIndex],
        reason: Reason,
        at: Timestamp,
        now: Timestamp,
        step: &mut Step,
    ) {
        for level in levels {
            self.with_level(*level, at, now, None, step, |level, scene, facts| {
                level.suspend(reason, scene, facts);
            });
        }
    }

    fn rolled(
        &self,
        id: BookIndex,
        (from, to): (Option<ContractMonth>, ContractMonth),
        spread: Option<Price>,
        moved: &[String],
        (at, now): (Timestamp, Timestamp),
    ) -> Option<Event> {
        let book = self.books.get(id)?;
        let (from, to) = (self.contract_name(book, from), self.contract_name(book, Some(to)));
        let mut numbers = Numbers::new();
        numbers.insert("from".into(), from.into());
        numbers.insert("to".into(), to.clone().into());
        if let Some(spread) = spread {
            let sign = if spread >= Price::ZERO { "+" } else { "" };
            let text = format!("{sign}{}", spread.with_decimals(book.tick.decimals()));
            numbers.insert("spread".into(), text.into());
        }
        if !moved.is_empty() {
            numbers.insert("levels".into(), moved.join("; ").into());
        }
        let thread = ThreadId::new(&format!("roll:{}", book.root), "", at);
        let bare = Event::bare(Kind::ContractRolled, Reason::RollPolicy, &thread, 1, (at, now), numbers);
        Some(Event { instrument: Some(book.root.clone()), contract: to, rehearsal: self.rehearsal, ..bare })
    }

    /// Places that follow from the contract's own history begin with that of the new one.
    fn derive_anew(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.books.get_mut(id) else { return };
        book.places_told = false;
        let mut lost = Vec::new();
        let calendar = book.calendar.clone();
        for Derived { source, deriver, levels, .. } in &mut book.derived {
            if !source.chained() {
                *deriver = Deriver::new(source, &calendar);
                lost.extend_from_slice(levels);
            }
        }
        for level in lost {
            self.move_to(level, None, (at, now), (Reason::RollPolicy, Severity::Info), step);
        }
    }

    /// The minute in progress is of the old contract.
    fn end_minute(&mut self, id: BookIndex, now: Timestamp, step: &mut Step) {
        if let Some(minute) = self.books.get_mut(id).and_then(|book| book.minute.take()) {
            self.minute_over(id, minute, now, step);
            self.plan(id, None);
        }
    }

    /// An explicit contract ends one day: its levels are suspended then, and that is said.
    pub(super) fn plan_expiry(&mut self, id: BookIndex) {
        let Some(book) = self.books.get_mut(id) else { return };
        let Some(instrument) = self.instruments.get(book.instrument.index()) else { return };
        let explicit = match instrument.roll {
            RollPolicy::Explicit(month) => Some(month),
            RollPolicy::CmeMonday
            | RollPolicy::CmeThursday
            | RollPolicy::DaysBeforeExpiry(_)
            | RollPolicy::Volume => None,
        };
        let month = book.pinned.or(explicit.filter(|_| self.rolls == Rolls::ByPolicy));
        book.expires = month.map(|month| instrument.last_trade(month)).filter(|_| !book.saved.expired);
        self.plan(id, None);
    }

    /// The contract has been traded for the last time.
    pub(super) fn expire(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let due = self.books.get(id).and_then(|book| book.expires).is_some_and(|expires| expires <= at);
        if !due {
            return;
        }
        if let Some(book) = self.books.get_mut(id) {
            book.expires = None;
            book.saved.expired = true;
        }
        self.changed.insert(id);
        let levels = self.levels_where(id, |_| true);
        self.suspend_all(&levels, Reason::ContractExpired, at, now, step);
    }
}
