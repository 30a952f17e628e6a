//! Levels that move: derived places, places in index prices, distances that follow the average true range.
//!
//! A move never breaks a level. It is an event of its own when the traded threshold changes.

use jiff::civil::Date;

use crate::engine::basis::{self, Basis};
use crate::engine::book::{Book, BookIndex, Derived};
use crate::engine::derive::atr::AverageTrueRange;
use crate::engine::derive::{Day, Minute, News, Source};
use crate::engine::guard::Print;
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::rule::{Half, PriceFrom};
use crate::engine::state::Latch;
use crate::engine::{Engine, Step, index_of};
use crate::event::{Event, Kind, Numbers, Px, Reason, Severity, ThreadId};
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;
use crate::market::trade_date::date_of;
use crate::time::Timestamp;

/// What is known of an instrument's past when the engine begins, or takes up another contract.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Trade dates, oldest first.
    pub days: Vec<Day>,
    /// Minutes, oldest first.
    pub minutes: Vec<Minute>,
}

/// Which history a book wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The instrument.
    pub instrument: InstrumentId,
    /// The contract in force, if there is one.
    pub month: Option<ContractMonth>,
    /// What is wanted of the contract's own series, and of the chained one.
    pub own: Vec<Source>,
    /// The same of the chained one.
    pub chained: Vec<Source>,
    /// Daily ranges are wanted for distances in average true ranges.
    pub atr: bool,
    /// Minutes are wanted for what volume is usual.
    pub profile: bool,
    /// Closes so far back are wanted for returns.
    pub closes: std::time::Duration,
}

impl Engine {
    /// The books that want history, and what they want.
    #[must_use]
    pub fn wanted(&self, id: BookIndex) -> Option<Wanted> {
        let book = self.books.get(id)?;
        let sources = |chained: bool| {
            let of = book.derived.iter().map(|derived| &derived.source);
            of.filter(|source| source.chained() == chained).cloned().collect::<Vec<_>>()
        };
        let wanted = Wanted {
            instrument: book.instrument,
            month: book.pinned.or(book.saved.contract),
            own: sources(false),
            chained: sources(true),
            atr: book.atr.is_some(),
            profile: book.profile.is_some(),
            closes: book.closes.keep,
        };
        let nothing = wanted.own.is_empty() && wanted.chained.is_empty();
        let nothing = nothing && !wanted.atr && !wanted.profile && wanted.closes.is_zero();
        (!nothing).then_some(wanted)
    }

    /// How many books there are: their places are counted from 0.
    #[must_use]
    pub fn book_count(&self) -> usize {
        self.books.len()
    }

    /// What happened before: no event follows from it, but levels find their places. `own` is of the contract in
    /// force, `chained` of the front months one after the other.
    pub fn teach(
        &mut self,
        id: BookIndex,
        own: &History,
        chained: &History,
        now: Timestamp,
        step: &mut Step,
    ) {
        let Some(book) = self.books.get_mut(id) else { return };
        book.forget();
        for (history, is_chained) in [(own, false), (chained, true)] {
            for news in in_order(history) {
                for derived in book.derived.iter_mut().filter(|d| d.source.chained() == is_chained) {
                    let _changed = derived.deriver.learn(&news);
                    if let News::Day(_) = news {
                        derived.announced = derived.deriver.value().map(|value| value.price);
                    }
                }
                if !is_chained {
                    book.remember(&news);
                }
            }
        }
        for derived in &mut book.derived {
            let _changed = derived.deriver.learn(&News::Clock(now));
        }
        let all: Vec<usize> = (0..book.derived.len()).collect();
        self.place_derived(id, &all, now, now, step);
        self.regrid_all(id, now, now, step);
        self.plan(id, None);
    }

    /// News for a book: derived levels may move.
    pub(super) fn learn(
        &mut self,
        id: BookIndex,
        news: &News<'_>,
        at: Timestamp,
        now: Timestamp,
        step: &mut Step,
    ) {
        let Some(book) = self.books.get_mut(id) else { return };
        let changed = book.learn(news);
        if !changed.is_empty() {
            self.place_derived(id, &changed, at, now, step);
        }
    }

    /// Puts the levels of derived places where they lie now.
    fn place_derived(
        &mut self,
        id: BookIndex,
        places: &[usize],
        at: Timestamp,
        now: Timestamp,
        step: &mut Step,
    ) {
        for place in places {
            let derived = self.books.get(id).and_then(|book| book.derived.get(*place));
            let Some(Derived { deriver, levels, .. }) = derived else { continue };
            let to = deriver.value().map(|value| value.price);
            for level in levels.clone() {
                // What was said to be without a place has one again: that is for people. Every other move is for the
                // history.
                let unplaced = |level: &Level| matches!(level.state.latch, Latch::Unplaced);
                let was_unplaced = self.levels.get(index_of(level)).is_some_and(unplaced);
                let severity = if was_unplaced { Severity::Normal } else { Severity::Info };
                self.move_to(level, to, (at, now), (Reason::Derived, severity), step);
            }
        }
    }

    /// Moves one level; an event says so when its threshold changes.
    pub(super) fn move_to(
        &mut self,
        id: LevelIndex,
        to: Option<Price>,
        (at, now): (Timestamp, Timestamp),
        (reason, severity): (Reason, Severity),
        step: &mut Step,
    ) {
        let Some(book) = self.book_of(id).and_then(|book| self.books.get(book)) else { return };
        let Some(level) = self.levels.get(index_of(id)) else { return };
        let (grid, last) = (book.grid(), book.last(level.rule.price_from));
        let (from, before) = (level.at, level.threshold(grid));
        if from == to {
            return;
        }
        self.with_level(id, at, now, None, step, |level, scene, _| level.relocate(to, last, scene));
        let Some(level) = self.levels.get(index_of(id)) else { return };
        let after = level.threshold(grid);
        let silent = level.rule.half == Some(Half::Second) || before == after;
        if let (Some(_), false) = (after, silent) {
            let event = self.moved(id, (from, to), at, now, reason);
            step.events.extend(event.map(|event| Event { severity, ..event }));
        }
    }

    fn moved(
        &self,
        id: LevelIndex,
        (from, to): (Option<Price>, Option<Price>),
        at: Timestamp,
        now: Timestamp,
        reason: Reason,
    ) -> Option<Event> {
        let level = self.levels.get(index_of(id))?;
        let book = self.book_of(id).and_then(|book| self.books.get(book))?;
        let px = |price: Price| Px::new(price, book.tick);
        let mut numbers = Numbers::new();
        let to_text = to.map(|to| px(to).grouped()).unwrap_or_default();
        let detail = match from {
            Some(from) => format!("{} from {} to {to_text}", level.rule.name, px(from).grouped()),
            None => format!("{} lies at {to_text}", level.rule.name),
        };
        numbers.insert("detail".into(), detail.into());
        if let Some(from) = from {
            numbers.insert("moved_from".into(), px(from).to_string().into());
        }
        self.add_origin(&mut numbers, id, book);
        let thread = ThreadId::new(&format!("moved:{}", level.rule.name), level.rule.side.as_str(), at);
        let bare = Event::bare(Kind::LevelMoved, reason, &thread, 1, (at, now), numbers);
        Some(self.of_level(bare, level, book))
    }

    /// By which formula, from which inputs and as of when a derived level lies where it does.
    pub(super) fn add_origin(&self, numbers: &mut Numbers, id: LevelIndex, book: &Book) {
        let derived = book.derived.iter().find(|derived| derived.levels.contains(&id));
        let Some(value) = derived.and_then(|derived| derived.deriver.value()) else { return };
        numbers.insert("formula".into(), value.formula.into());
        numbers.insert("as_of".into(), value.as_of.to_string().into());
        let inputs = value.inputs.iter().map(|(name, price)| format!("{name} {price}"));
        numbers.insert("inputs".into(), inputs.collect::<Vec<_>>().join(", ").into());
    }

    /// A trade date is over: records that it set are facts.
    pub(super) fn set_records(
        &mut self,
        id: BookIndex,
        day: &Day,
        at: Timestamp,
        now: Timestamp,
        step: &mut Step,
    ) {
        let Some(book) = self.books.get_mut(id) else { return };
        let mut set = Vec::new();
        for derived in &mut book.derived {
            let new = derived.deriver.value().map(|value| value.price);
            let old = std::mem::replace(&mut derived.announced, new);
            let record = matches!(derived.source, Source::RecordHigh | Source::RecordClose);
            if let (true, Some(old), Some(new), Some(level)) =
                (record, old, new, derived.levels.first().copied())
                && new > old
            {
                set.push((level, old, new));
            }
        }
        for (level, old, new) in set {
            let event = self.record_event(level, (old, new), day, at, now);
            step.events.extend(event);
        }
    }

    fn record_event(
        &self,
        id: LevelIndex,
        (old, new): (Price, Price),
        day: &Day,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<Event> {
        let level = self.levels.get(index_of(id))?;
        let book = self.book_of(id).and_then(|book| self.books.get(book))?;
        let px = |price: Price| Px::new(price, book.tick);
        let mut numbers = Numbers::new();
        numbers.insert("trade_date".into(), date_of(day.date).map(|date| date.to_string()).into());
        numbers.insert("old_record".into(), px(old).to_string().into());
        numbers.insert("official_close".into(), px(day.official()).to_string().into());
        let thread = ThreadId::new(&format!("record:{}", level.rule.name), "", at);
        let bare = Event::bare(Kind::RecordSet, Reason::Record, &thread, 1, (at, now), numbers);
        let event = self.of_level(bare, level, book);
        Some(Event { price: Some(px(new)), level_price: Some(px(old)), ..event })
    }

    /// A new trade date: what depends on the date is computed anew.
    pub(super) fn new_day(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        self.changed.insert(id);
        self.volume_roll(id);
        self.rebase(id, at, now, step);
        self.plan(id, None);
    }

    /// The average true range changed: distances that are measured with it did too.
    pub(super) fn regrid(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        if self.books.get(id).is_some_and(|book| !book.in_atr.is_empty()) {
            self.regrid_all(id, at, now, step);
        }
    }

    fn regrid_all(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.books.get_mut(id) else { return };
        let levels = book.in_atr.clone();
        let (old, known) = (book.grid(), book.atr.as_ref().and_then(AverageTrueRange::value));
        if old.atr == known {
            return;
        }
        let wakes: Vec<_> = levels
            .iter()
            .map(|level| (*level, self.levels.get(index_of(*level)).map(|l| (l.wake(old), l.deadline))))
            .collect();
        if let Some(book) = self.books.get_mut(id) {
            book.measure = known;
        }
        for (level, before) in wakes {
            let Some((wake, deadline)) = before else { continue };
            // Filed under the new distances first; then it looks where it stands.
            self.file(level, wake, deadline);
            let place = self.levels.get(index_of(level)).and_then(|level| level.at);
            let from = self.levels.get(index_of(level)).map(|l| l.rule.price_from).unwrap_or_default();
            let last = self.books.get(id).and_then(|book| book.last(from));
            self.with_level(level, at, now, None, step, |level, scene, _| level.relocate(place, last, scene));
        }
    }

    /// A minute is over: what is measured is taken over, and what has no place is said so.
    pub(super) fn after_minute(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        if self.books.get(id).is_some_and(|book| matches!(book.basis, Some(Basis::Index(_)))) {
            self.rebase(id, at, now, step);
        }
        let Some(book) = self.books.get_mut(id) else { return };
        if std::mem::replace(&mut book.places_told, true) {
            return;
        }
        let in_index = book.in_index.iter().map(|id| (*id, Reason::BasisUnknown));
        let derived = book.derived.iter().filter(|derived| needs_history(&derived.source));
        let derived = derived.flat_map(|derived| &derived.levels).map(|id| (*id, Reason::HistoryUnknown));
        let levels: Vec<_> = in_index.chain(derived).collect();
        for (level, reason) in levels {
            if self.levels.get(index_of(level)).is_some_and(|level| level.at.is_none()) {
                self.with_level(level, at, now, None, step, |level, scene, facts| {
                    level.unplace(reason, scene, facts);
                });
            }
        }
    }

    /// A trade of an index: the futures' distance from it is measured.
    pub(super) fn measure(&mut self, print: Print, id: BookIndex) {
        if self.measured_by.is_empty() {
            return;
        }
        let Some(index) = self.books.get(id).map(|book| book.instrument) else { return };
        for at in self.measured_by.get(&index).cloned().unwrap_or_default() {
            let Some(book) = self.books.get_mut(at) else { continue };
            let futures = book.last(PriceFrom::Mid).zip(book.quoted_at);
            let futures = futures.or(book.last(PriceFrom::Trade).zip(book.saved.last_at));
            if let (Some(futures), Some(bounds)) = (futures, book.bounds) {
                book.saved.basis.pair((print.price, print.at), futures, &bounds);
                self.changed.insert(at);
            }
        }
    }

    /// Levels in index prices find their place among the futures' prices.
    pub(super) fn rebase(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.books.get(id).filter(|book| !book.in_index.is_empty()) else { return };
        for level in book.in_index.clone() {
            let Some(price) = self.levels.get(index_of(level)).map(|level| level.rule.price) else {
                continue;
            };
            let to = self.books.get(id).and_then(|book| book.in_contract(price, self.days_left(book)));
            self.move_to(level, to, (at, now), (Reason::Basis, Severity::Info), step);
        }
    }

    /// Calendar days from the trade date to the last trade date of the contract in force.
    pub(super) fn days_left(&self, book: &Book) -> Option<u32> {
        let instrument = self.instruments.get(book.instrument.index())?;
        let last = instrument.last_trade(book.pinned.or(book.saved.contract)?);
        days_between(book.session.trade_date, book.calendar.local(last).date())
    }
}

impl Book {
    /// An index price as a price of the contract, which ends in so many days; `None` while its distance is not
    /// known.
    #[must_use]
    pub fn in_contract(&self, index: Price, days_left: Option<u32>) -> Option<Price> {
        match self.basis? {
            Basis::Rates(rate) => Some(basis::fair(index, rate, days_left?)),
            Basis::Index(_) => Some(index.plus(self.saved.basis.basis()?)),
        }
    }

    /// A price of the contract, which ends in so many days, as an index price.
    #[must_use]
    pub fn in_index(&self, price: Price, days_left: Option<u32>) -> Option<Price> {
        match self.basis? {
            Basis::Rates(rate) => Some(basis::cash(price, rate, days_left?)),
            Basis::Index(_) => Some(price.minus(self.saved.basis.basis()?)),
        }
    }
}

/// Calendar days; `None` when the end is over.
pub(super) fn days_between(today: Date, end: Date) -> Option<u32> {
    u32::try_from(end.duration_since(today).as_hours().div_euclid(24)).ok()
}

/// Minutes and trade dates in the order in which they were over.
fn in_order(history: &History) -> impl Iterator<Item = News<'_>> {
    let mut days = history.days.iter().peekable();
    let mut minutes = history.minutes.iter().peekable();
    std::iter::from_fn(move || match (days.peek(), minutes.peek()) {
        (Some(day), Some(minute)) if day.date < minute.trade_date => days.next().map(News::Day),
        (_, Some(_)) => minutes.next().map(News::Minute),
        (Some(_), None) => days.next().map(News::Day),
        (None, None) => None,
    })
}

/// Whether a place that is not known is a silence to be explained: the others are born every day anew.
#[must_use]
pub const fn needs_history(source: &Source) -> bool {
    match source {
        Source::Prior { .. }
        | Source::High52w
        | Source::RecordHigh
        | Source::RecordClose
        | Source::Pivot { .. }
        | Source::Sma { .. }
        | Source::Ema { .. }
        | Source::Donchian { .. }
        | Source::Swing { .. } => true,
        Source::Round { .. }
        | Source::Developing { .. }
        | Source::Overnight { .. }
        | Source::OpeningRange { .. }
        | Source::Vwap { .. }
        | Source::Trendline { .. } => false,
    }
}
