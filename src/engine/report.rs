//! Dresses what was established as events that are complete in themselves.

use std::ops::Bound;

use crate::engine::basis::CENTS;
use crate::engine::book::{Book, BookIndex};
use crate::engine::derive::{Source, round};
use crate::engine::guard::Print;
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::rule::PriceFrom;
use crate::engine::scene::Fact;
use crate::engine::{Engine, Step, count, index_of};
use crate::event::{Event, Kind, Numbers, Px, Reason, Space, ThreadId};
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
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
        let book = self.book_of(id).and_then(|book| self.books.get(book));
        let (Some(level), Some(book)) = (self.levels.get(index_of(id)), book) else { return bare };
        let rule = &level.rule;
        let px = |price: Price| Px::new(price, book.tick);
        let late = now.since(fact.at) > self.limits.late_after;
        let mut event = Event { price: fact.price.map(px), late, ..self.of_level(bare, level, book) };
        if let (Kind::LevelBroken, Some(severity)) = (fact.kind, rule.severity) {
            event.severity = severity;
        }
        for (name, price) in &fact.prices {
            event.numbers.insert((*name).to_owned(), px(*price).to_string().into());
        }
        self.add_surroundings(&mut event.numbers, id, level, book, fact);
        self.add_spaces(&mut event.numbers, id, level, book, fact);
        event
    }

    /// An event of a level, with what is known of the level.
    pub(super) fn of_level(&self, bare: Event, level: &Level, book: &Book) -> Event {
        let rule = &level.rule;
        let px = |price: Price| Px::new(price, book.tick);
        let level_price = match rule.space {
            Space::Contract => level.at,
            Space::Index => Some(rule.price),
        };
        Event {
            level: Some(rule.name.to_string()),
            instrument: Some(book.root.clone()),
            contract: self.contract_name(book, book.pinned.or(book.saved.contract)),
            side: Some(rule.side),
            threshold: level.threshold(book.grid()).map(px),
            level_price: level_price.map(px),
            level_space: Some(rule.space),
            rehearsal: self.rehearsal,
            about: rule.about.clone(),
            ..bare
        }
    }

    /// The level and the price in the other space, and where a derived level comes from.
    fn add_spaces(&self, numbers: &mut Numbers, id: LevelIndex, level: &Level, book: &Book, fact: &Fact) {
        let px = |price: Price| Px::new(price, book.tick).to_string();
        if let (Space::Index, Some(at)) = (level.rule.space, level.at) {
            numbers.insert("level_in_contract".into(), px(at).into());
            let index = fact.price.and_then(|price| book.in_index(price, self.days_left(book)));
            if let Some(index) = index {
                numbers
                    .insert("price_in_index".into(), Px::new(CENTS.round(index), CENTS).to_string().into());
            }
        }
        if let Some(Source::Round { .. }) = level.rule.source {
            let rank = round::rank(level.rule.price);
            if let Some(rank) = rank {
                numbers.insert("rank".into(), rank.into());
            }
        }
        self.add_origin(numbers, id, book);
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
            let threshold = level.threshold(book.grid());
            if let (Kind::LevelApproached, Some(threshold)) = (fact.kind, threshold) {
                let ticks = book.tick.count(threshold.minus(price).abs());
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
            let at = level.at.unwrap_or(level.rule.price);
            name_next("next_above", self.next_level(book, (at, id), true));
            name_next("next_below", self.next_level(book, (at, id), false));
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

    pub(super) fn contract_name(&self, book: &Book, month: Option<ContractMonth>) -> Option<String> {
        let instrument = self.instruments.get(book.instrument.index())?;
        month.map(|month| instrument.symbol(month).to_string())
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
