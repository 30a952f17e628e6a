//! Dresses what was established as events that are complete in themselves.

use std::ops::Bound;

use crate::engine::book::{Book, BookIndex};
use crate::engine::guard::Print;
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::rule::PriceFrom;
use crate::engine::scene::Fact;
use crate::engine::{Engine, Step, count, index_of};
use crate::event::{Event, Kind, Numbers, Px, Reason, ThreadId};
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::Tick;
use crate::time::Timestamp;

/// At most one event about doubtful prints in this time, per instrument.
const DOUBT_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// The last trade of one instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The instrument.
    pub root: String,
    /// Its contract.
    pub contract: Option<String>,
    /// The price, if there was one.
    pub price: Option<Px>,
    /// When that was.
    pub at: Option<Timestamp>,
}

impl Engine {
    /// The last trade of every instrument.
    #[must_use]
    pub fn lasts(&self) -> Vec<Last> {
        let last = |book: &Book| Last {
            root: book.root.clone(),
            contract: self.contract_name(book, book.pinned.or(book.saved.contract)),
            price: book.last(PriceFrom::Trade).map(|price| Px::new(price, book.tick)),
            at: book.saved.last_at,
        };
        self.books.iter().map(last).collect()
    }

    /// A fact of a level, with everything that its reader wants to know.
    pub(super) fn dress(&self, id: LevelIndex, fact: &Fact, now: Timestamp) -> Event {
        let bare = Event::bare(
            fact.kind,
            fact.reason,
            &fact.thread,
            fact.step,
            (fact.at, now),
            fact.numbers.clone(),
        );
        let book = self.level_book.get(index_of(id)).and_then(|book| self.books.get(*book));
        let (Some(level), Some(book)) = (self.levels.get(index_of(id)), book) else { return bare };
        let rule = &level.rule;
        let px = |price: Price| Px::new(price, book.tick);
        let mut event = Event {
            level: Some(rule.name.to_string()),
            instrument: Some(book.root.clone()),
            contract: self.contract_name(book, book.pinned.or(book.saved.contract)),
            side: Some(rule.side),
            price: fact.price.map(px),
            threshold: Some(px(level.threshold())),
            level_price: Some(px(rule.price)),
            level_space: Some(rule.space),
            late: now.since(fact.at) > self.limits.late_after,
            rehearsal: self.rehearsal,
            about: rule.about.clone(),
            ..bare
        };
        if let (Kind::LevelBroken, Some(severity)) = (fact.kind, rule.severity) {
            event.severity = severity;
        }
        for (name, price) in &fact.prices {
            event.numbers.insert((*name).to_owned(), px(*price).to_string().into());
        }
        self.add_surroundings(&mut event.numbers, id, level, book, fact);
        event
    }

    fn add_surroundings(
        &self,
        numbers: &mut Numbers,
        id: LevelIndex,
        level: &Level,
        book: &Book,
        fact: &Fact,
    ) {
        let px = |price: Price| Px::new(price, book.tick).to_string();
        if let Some(price) = fact.price {
            if fact.kind == Kind::LevelApproached {
                let ticks = book.tick.count(level.threshold().minus(price).abs());
                numbers.insert("distance_ticks".into(), ticks.into());
            }
            let mut name_next = |name: &str, next: Option<Price>| {
                if let Some(next) = next {
                    let sign = if next >= price { "+" } else { "-" };
                    let away = Px::new(next.minus(price).abs(), book.tick);
                    let text = format!("{} ({sign}{away})", Px::new(next, book.tick).grouped());
                    numbers.insert(name.to_owned(), text.into());
                }
            };
            name_next("next_above", self.next_level(book, (level.rule.price, id), true));
            name_next("next_below", self.next_level(book, (level.rule.price, id), false));
        }
        if let (Some(high), Some(low)) = (book.saved.high, book.saved.low) {
            numbers.insert("day_high".into(), px(high).into());
            numbers.insert("day_low".into(), px(low).into());
        }
        if let (Some(prior), Some(price)) = (book.saved.prior, fact.price) {
            let change = price.minus(prior);
            let sign = if change >= Price::ZERO { "+" } else { "" };
            numbers.insert("day_change".into(), format!("{sign}{}", px(change)).into());
        }
    }

    /// The price of the next watched level with another price.
    fn next_level(&self, book: &Book, from: (Price, LevelIndex), up: bool) -> Option<Price> {
        let watched = |(price, id): &(Price, LevelIndex)| {
            *price != from.0 && self.levels.get(index_of(*id)).is_some_and(Level::is_watched)
        };
        let after = (Bound::Excluded((from.0, LevelIndex::MAX)), Bound::Unbounded);
        let found = if up {
            book.prices.range(after).find(|entry| watched(entry))
        } else {
            book.prices.range(..(from.0, 0)).rev().find(|entry| watched(entry))
        };
        found.map(|(price, _)| *price)
    }

    fn contract_name(&self, book: &Book, month: Option<ContractMonth>) -> Option<String> {
        let instrument = self.instruments.get(book.instrument.index())?;
        month.map(|month| instrument.symbol(month).to_string())
    }

    /// Another month trades. Levels in contract prices cannot follow without the spread.
    pub(super) fn roll(&mut self, id: BookIndex, to: ContractMonth, tick: &Tick, step: &mut Step) {
        let Some(book) = self.books.get_mut(id) else { return };
        let at = book.time_of(tick, self.limits.ahead);
        let from = book.saved.contract.replace(to);
        book.saved.last = [None; 4];
        let root = book.root.clone();
        let levels: Vec<LevelIndex> = book.prices.iter().map(|(_, level)| *level).collect();
        if let Some(book) = self.books.get(id) {
            let (from, to) = (self.contract_name(book, from), self.contract_name(book, Some(to)));
            let mut numbers = Numbers::new();
            numbers.insert("from".into(), from.into());
            numbers.insert("to".into(), to.clone().into());
            let thread = ThreadId::new(&format!("roll:{root}"), "", at);
            let bare = Event::bare(
                Kind::ContractRolled,
                Reason::RollPolicy,
                &thread,
                1,
                (at, tick.received_at),
                numbers,
            );
            step.events.push(Event {
                instrument: Some(root),
                contract: to,
                rehearsal: self.rehearsal,
                ..bare
            });
        }
        for level in levels {
            self.with_level(level, at, tick.received_at, None, step, |level, scene, facts| {
                level.on_roll_without_spread(scene, facts);
            });
        }
    }

    pub(super) fn doubt_dropped(&mut self, id: BookIndex, dropped: Option<Print>, step: &mut Step) {
        if let Some(print) = dropped {
            self.doubt(id, print.price, print.at, print.received_at, Reason::FarFromMarket, step);
        }
    }

    /// A print was not believed: always counted, told in the history at most once a minute.
    pub(super) fn doubt(
        &mut self,
        id: BookIndex,
        price: Price,
        at: Timestamp,
        now: Timestamp,
        reason: Reason,
        step: &mut Step,
    ) {
        count(step, reason);
        let Some(book) = self.books.get_mut(id) else { return };
        if at < book.doubt_told_until {
            return;
        }
        book.doubt_told_until = at.saturating_add(DOUBT_EVERY);
        let last = book.last(PriceFrom::Trade);
        let Some(book) = self.books.get(id) else { return };
        let px = |price: Price| Px::new(price, book.tick);
        let mut numbers = Numbers::new();
        if let Some(last) = last {
            numbers.insert("last_price".into(), px(last).to_string().into());
        }
        let thread = ThreadId::new(&format!("quarantine:{}", book.root), "", at);
        let bare = Event::bare(Kind::FeedQuarantined, reason, &thread, 1, (at, now), numbers);
        step.events.push(Event {
            instrument: Some(book.root.clone()),
            contract: self.contract_name(book, book.pinned.or(book.saved.contract)),
            price: Some(px(price)),
            rehearsal: self.rehearsal,
            ..bare
        });
    }
}
