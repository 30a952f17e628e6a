//! Why a level fired, or why it stayed quiet: its state, what it waits for, and where it lies in both spaces.
//!
//! It only reads. Words are for people; prices and times are as exact as everywhere.

use serde::Serialize;

use crate::engine::Engine;
use crate::engine::basis::{Basis, CENTS};
use crate::engine::book::Book;
use crate::engine::confirm::{self, Pending};
use crate::engine::derive::{Source, Value};
use crate::engine::gate::Market;
use crate::engine::index::LevelIndex;
use crate::engine::level::Level;
use crate::engine::marks::Marks;
use crate::engine::moves::days_between;
use crate::engine::rule::Rule;
use crate::engine::scene::Scene;
use crate::engine::state::Latch;
use crate::event::{Px, Side, Space};
use crate::market::instrument::Instrument;
use crate::market::price::{Price, TickSize};
use crate::market::symbol::ContractMonth;
use crate::market::trade_date::number_of;
use crate::time::Timestamp;

/// One level, or one of its halves, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The level's name.
    pub name: String,
    /// The instrument's root.
    pub instrument: String,
    /// The contract whose prices are compared.
    pub contract: Option<String>,
    /// Which way it breaks.
    pub side: Side,
    /// Where it stands, in words.
    pub state: &'static str,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// What must come before it can go on.
    pub missing: Vec<String>,
    /// What a break must meet, in words.
    pub confirm: String,
    /// What of that is met, while it waits for confirmation.
    pub conditions: Vec<Condition>,
    /// In which prices its author expressed it.
    pub space: Space,
    /// Where it lies in prices of the contract.
    pub in_contract: Option<Px>,
    /// Where it lies in prices of the index, where a basis is known.
    pub in_index: Option<Px>,
    /// The traded price at which it counts as broken.
    pub threshold: Option<Px>,
    /// The same in prices of the index.
    pub threshold_in_index: Option<Px>,
    /// From this price on it is near.
    pub approach: Option<Px>,
    /// From this price on it is on the way to be armed again.
    pub rearm: Option<Px>,
    /// At this price a break has failed.
    pub fail: Option<Px>,
    /// The last price of the kind that the rule compares.
    pub last: Option<Px>,
    /// When the last update came.
    pub last_at: Option<Timestamp>,
    /// How many ticks the last price is before the threshold; at zero and below it is there or beyond.
    pub ticks_to_go: Option<i64>,
    /// Nobody has watched since then.
    pub unwatched_since: Option<Timestamp>,
    /// Feeds of the instrument that are not well.
    pub outages: Vec<FeedOutage>,
    /// The last thing that was no event: which gate blocked.
    pub remark: Option<Said>,
    /// From what a derived level follows.
    pub derived: Option<Value>,
}

/// One condition of a break that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Which, in words.
    pub what: String,
    /// Whether it is met.
    pub met: bool,
    /// How far it has come.
    pub progress: String,
}

/// A feed that is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeedOutage {
    /// Its name.
    pub feed: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// A remark and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: &'static str,
}

/// How near price came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// When: the bar's own time.
    pub at: Timestamp,
    /// The price that was nearest.
    pub price: Price,
    /// How many ticks before the threshold; at zero and below the threshold was reached.
    pub ticks: i64,
}

/// The moment at which price came nearest to a threshold, or went farthest beyond it; the first of equals. Prices are
/// the highest and lowest of bars.
pub fn nearest_miss(
    prices: impl Iterator<Item = (Timestamp, Price, Price)>,
    threshold: Price,
    side: Side,
    tick: TickSize,
) -> Option<Miss> {
    let miss = |(at, high, low): (Timestamp, Price, Price)| match side {
        Side::Resistance => Miss { at, price: high, ticks: tick.count(threshold.minus(high)) },
        Side::Support => Miss { at, price: low, ticks: tick.count(low.minus(threshold)) },
    };
    prices.map(miss).min_by_key(|miss| (miss.ticks, miss.at))
}

impl Engine {
    /// Every half of the level with this name; of a rule for round numbers every level that it has made.
    #[must_use]
    pub fn explain(&self, name: &str, now: Timestamp) -> Vec<Explanation> {
        self.explained(now, |level| is_named(level, name))
    }

    /// Every level, in the order of the configuration.
    #[must_use]
    pub fn explain_all(&self, now: Timestamp) -> Vec<Explanation> {
        self.explained(now, |_| true)
    }

    fn explained(&self, now: Timestamp, wanted: impl Fn(&Level) -> bool) -> Vec<Explanation> {
        let levels = self.levels.iter().enumerate().filter(|(_, level)| wanted(level));
        levels
            .filter_map(|(at, level)| self.explain_one(LevelIndex::try_from(at).ok()?, level, now))
            .collect()
    }

    fn explain_one(&self, id: LevelIndex, level: &Level, now: Timestamp) -> Option<Explanation> {
        let book = self.books.get(self.book_of(id)?)?;
        let view = View { instrument: self.instruments.get(book.instrument.index())?, book, level, now };
        let market = Market { books: &self.books, by_instrument: &self.by_instrument };
        let watched = book.is_watched(level.rule.price_from);
        let scene = Scene { at: now, book, market, watched, gap: None };
        Some(Explanation { outages: self.outages(book), ..view.explanation(&scene) })
    }

    fn outages(&self, book: &Book) -> Vec<FeedOutage> {
        let carrying = self.links.iter().filter(|link| link.setup.instruments.contains(&book.instrument));
        let outage = |link: &crate::engine::link::LinkWatch| {
            let (since, reason) = link.outage()?;
            Some(FeedOutage { feed: link.setup.name.clone(), since, reason: reason.to_string() })
        };
        carrying.filter_map(outage).collect()
    }
}

fn is_named(level: &Level, name: &str) -> bool {
    let rule: &Rule = &level.rule;
    let of_family = || rule.name.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    *rule.name == *name || (matches!(rule.source, Some(Source::Round { .. })) && of_family())
}

/// A level and its market at one moment.
struct View<'a> {
    instrument: &'a Instrument,
    book: &'a Book,
    level: &'a Level,
    now: Timestamp,
}

impl View<'_> {
    fn explanation(&self, scene: &Scene<'_>) -> Explanation {
        let (rule, book) = (&self.level.rule, self.book);
        let place = self.place();
        let marks = place.and_then(|at| Marks::of(&rule.terms, at, book.grid()));
        let seen = |price: Price| self.px(self.level.mirror(price));
        let last = book.last(rule.price_from);
        let broken = marks.map(|marks| self.level.mirror(marks.broken));
        let to_go = |last: Price| Some(book.tick.count(marks?.broken.minus(self.level.mirror(last))));
        let said = self.level.state.remark();
        Explanation {
            name: rule.name.to_string(),
            instrument: book.root.clone(),
            contract: self.month().map(|month| self.instrument.symbol(month).to_string()),
            side: rule.side,
            state: self.state(place),
            since: self.since(),
            missing: self.missing(place, marks.as_ref()),
            confirm: words(rule),
            conditions: self.conditions(scene),
            space: rule.space,
            in_contract: place.map(|price| self.px(price)),
            in_index: self.in_index(place),
            threshold: broken.map(|price| self.px(price)),
            threshold_in_index: broken.and_then(|price| self.as_index(price)),
            approach: marks.and_then(|marks| marks.approach).map(seen),
            rearm: marks.map(|marks| seen(marks.rearm)),
            fail: marks.map(|marks| seen(marks.fail)),
            last: last.map(|price| self.px(price)),
            last_at: book.saved.last_at.filter(|_| last.is_some()),
            ticks_to_go: last.and_then(to_go),
            unwatched_since: book.lane(rule.price_from).and_then(|lane| lane.unwatched_since),
            outages: Vec::new(),
            remark: said.map(|(at, remark)| Said { at, what: remark.as_str() }),
            derived: self.derived(),
        }
    }

    fn px(&self, price: Price) -> Px {
        Px::new(price, self.book.tick)
    }

    fn month(&self) -> Option<ContractMonth> {
        let known = self.book.pinned.or(self.book.saved.contract);
        known.or_else(|| self.instrument.front(self.now))
    }

    /// Where the level lies. From rates that is known at once, also before the first price.
    fn place(&self) -> Option<Price> {
        let rule = &self.level.rule;
        match (rule.space, self.book.basis) {
            (Space::Index, Some(Basis::Rates(_))) => self.book.in_contract(rule.price, self.days()),
            (Space::Index, Some(Basis::Index(_))) => {
                self.level.at.or_else(|| self.book.in_contract(rule.price, None))
            }
            (Space::Index, None) | (Space::Contract, _) => self.level.at,
        }
    }

    fn in_index(&self, place: Option<Price>) -> Option<Px> {
        match self.level.rule.space {
            Space::Index => Some(Px::new(self.level.rule.price, CENTS)),
            Space::Contract => place.and_then(|price| self.as_index(price)),
        }
    }

    fn as_index(&self, price: Price) -> Option<Px> {
        let index = self.book.in_index(price, self.days())?;
        Some(Px::new(CENTS.round(index), CENTS))
    }

    /// Calendar days from the trade date to the last trade date of the contract.
    fn days(&self) -> Option<u32> {
        let calendar = &self.book.calendar;
        let last = calendar.local(self.instrument.last_trade(self.month()?)).date();
        days_between(calendar.trade_date(self.now), last)
    }

    fn state(&self, place: Option<Price>) -> &'static str {
        match &self.level.state.latch {
            Latch::New if place.is_none() => "not placed",
            Latch::New => "waits for its first price",
            Latch::Armed { near: false } => "armed",
            Latch::Armed { near: true } => "near",
            Latch::Pending(_) => "waiting for confirmation",
            Latch::Unconfirmed => "beyond, and not confirmed in time",
            Latch::Spent { since, .. } if self.alerted_at().is_some_and(|told| told >= *since) => "broken",
            Latch::Spent { .. } => "beyond, and waits to be armed",
            Latch::Unplaced => "not placed",
            Latch::Suspended => "suspended",
            Latch::Expired => "expired",
        }
    }

    fn alerted_at(&self) -> Option<Timestamp> {
        self.level.state.life.as_ref().and_then(|life| life.alerted_at)
    }

    fn since(&self) -> Option<Timestamp> {
        match &self.level.state.latch {
            Latch::Pending(pending) => Some(pending.since),
            Latch::Spent { since, .. } => Some(*since),
            Latch::Expired => self.level.rule.expires,
            Latch::New | Latch::Armed { .. } | Latch::Unconfirmed | Latch::Unplaced | Latch::Suspended => {
                None
            }
        }
    }

    fn conditions(&self, scene: &Scene<'_>) -> Vec<Condition> {
        let Latch::Pending(pending) = &self.level.state.latch else { return Vec::new() };
        let condition = |pending: &Pending, wanted| Condition {
            what: confirm::word(wanted),
            met: pending.is_met(wanted, scene),
            progress: pending.progress(wanted, scene),
        };
        self.level.rule.confirm.iter().map(|wanted| condition(pending, wanted)).collect()
    }

    fn missing(&self, place: Option<Price>, marks: Option<&Marks>) -> Vec<String> {
        let behind = |mark: Price| self.px(self.level.mirror(mark)).grouped();
        match (&self.level.state.latch, marks) {
            (Latch::New | Latch::Unplaced, None) => vec![self.why_unplaced(place).to_owned()],
            (Latch::New | Latch::Unplaced, Some(_)) => vec!["a price".to_owned()],
            (Latch::Unconfirmed, Some(marks)) => vec![format!("price back behind {}", behind(marks.broken))],
            (Latch::Spent { behind_since, .. }, Some(marks)) => {
                self.until_rearmed(*behind_since, &behind(marks.rearm))
            }
            (Latch::Suspended, _) => vec!["a person must change the rule, or the contract".to_owned()],
            (Latch::Armed { .. } | Latch::Pending(_) | Latch::Expired, _)
            | (Latch::Unconfirmed | Latch::Spent { .. }, None) => Vec::new(),
        }
    }

    fn why_unplaced(&self, place: Option<Price>) -> &'static str {
        let rule = &self.level.rule;
        match (place, rule.space) {
            (Some(_), _) => "the average true range, which is not known yet",
            (None, Space::Index) => "the basis, which is not known yet",
            (None, Space::Contract) => "history, of which there is not enough yet",
        }
    }

    fn until_rearmed(&self, behind_since: Option<Timestamp>, rearm: &str) -> Vec<String> {
        let rule = &self.level.rule;
        let mut missing = Vec::new();
        match behind_since.map(|since| self.book.calendar.add_open(since, rule.grace)) {
            None => missing.push(format!("price back to {rearm}")),
            Some(grace) if grace > self.now => {
                missing.push(format!("price stays back until {grace} (grace)"))
            }
            Some(_) => {}
        }
        let cooled = self.alerted_at().map(|told| told.saturating_add(rule.cooldown));
        if let Some(cooled) = cooled.filter(|cooled| *cooled > self.now) {
            missing.push(format!("the cooldown is over at {cooled}"));
        }
        let breaks = self.level.state.life.as_ref().and_then(|life| life.breaks);
        let today = number_of(self.book.calendar.trade_date(self.now));
        if let (Some(most), Some((_, n))) = (rule.max_per_session, breaks.filter(|(date, _)| *date == today))
            && n >= most
        {
            missing.push(format!("another trade date: {n} of {most} breaks in this one (max_per_session)"));
        }
        if missing.is_empty() {
            missing.push("nothing: the next price or timer arms it".to_owned());
        }
        missing
    }

    fn derived(&self) -> Option<Value> {
        let source = self.level.rule.source.as_ref()?;
        let derived = self.book.derived.iter().find(|derived| derived.source == *source)?;
        derived.deriver.value().cloned()
    }
}

/// What a break must meet, in words.
fn words(rule: &Rule) -> String {
    if rule.confirm.is_empty() { "first cross".to_owned() } else { confirm::describe(&rule.confirm) }
}
