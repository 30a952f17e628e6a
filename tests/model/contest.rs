//! Gives the same path to the engine and to the model.

use std::collections::BTreeMap;
use std::time::Duration;

use breakwatch::engine::rule::{PriceFrom, Rule};
use breakwatch::engine::saved::{SavedBook, SavedLevel};
use breakwatch::engine::{Engine, FeedSetup, Input, Limits, Rolls, Setup, Step};
use breakwatch::market::instrument::Instrument;
use breakwatch::market::price::Price;
use breakwatch::market::symbol::ContractMonth;
use breakwatch::market::tick::{FeedId, InstrumentId, Item, Link, LinkState, Loss, Quality, Tick, Update};
use breakwatch::time::Timestamp;
use jiff::civil::Date;

use crate::hours;
use crate::life::{Life, Told};
use crate::path::{Act, What, after, price};

const Z4: ContractMonth = ContractMonth { year: 2024, month: 12 };

fn setup(rule: &Rule) -> Setup {
    Setup {
        instruments: vec![Instrument::builtin("RTY").unwrap()],
        guards: BTreeMap::from([(InstrumentId(0), "1000 points".parse().unwrap())]),
        basis: BTreeMap::new(),
        rules: vec![rule.clone()],
        feeds: vec![FeedSetup { name: "test".into(), instruments: vec![InstrumentId(0)] }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: Rolls::ByPolicy,
    }
}

fn tick(at: Timestamp, update: Update) -> Input {
    Input::Item(Item::Tick(Tick {
        instrument: InstrumentId(0),
        contract: Some(Z4),
        update,
        exchange_at: Some(at),
        received_at: after(at, 2),
        sequence: None,
        quality: Quality::Live,
    }))
}

fn link(at: Timestamp, state: LinkState) -> Input {
    Input::Item(Item::Link(Link { feed: FeedId(0), at, state }))
}

/// What the engine tells of a level.
pub(crate) fn engine(rule: &Rule, acts: &[Act]) -> Vec<Told> {
    let mut engine = Engine::new(setup(rule));
    let mut step = Step::default();
    // What the store has.
    let mut levels: BTreeMap<String, SavedLevel> = BTreeMap::new();
    let mut books: BTreeMap<String, SavedBook> = BTreeMap::new();
    for act in acts {
        let at = act.at;
        let input = match act.what {
            What::Trade(ticks, size) => tick(at, Update::Trade { price: price(ticks), size }),
            What::Quote(bid, ask) => tick(at, Update::Quote { bid: Some(price(bid)), ask: Some(price(ask)) }),
            What::Clock => Input::Clock(at),
            What::Down => {
                let state = LinkState::Down { loss: Loss::Disconnected, detail: "closed".into() };
                link(at, state)
            }
            What::Live => link(at, LinkState::Live),
            What::Restart => {
                for level in engine.saved_levels(&step).unwrap() {
                    levels.insert(level.key.clone(), level);
                }
                for book in engine.saved_books().unwrap() {
                    books.insert(book.key.clone(), book);
                }
                engine = Engine::new(setup(rule));
                let kept: Vec<SavedLevel> = levels.values().cloned().collect();
                let read: Vec<SavedBook> = books.values().cloned().collect();
                engine.restore(&kept, &read, at).unwrap();
                continue;
            }
        };
        engine.handle(&input, &mut step);
    }
    let of_level = step.events.into_iter().filter(|event| event.level.is_some());
    of_level
        .map(|e| Told {
            kind: e.kind,
            reason: e.reason,
            at: e.occurred_at,
            price: e.price.map(|p| p.price),
            threshold: e.threshold.map(|p| p.price),
            side: e.side,
        })
        .collect()
}

/// What the definitions say.
pub(crate) fn model(rule: &Rule, acts: &[Act]) -> Vec<Told> {
    let mut life = Life::new(rule.clone());
    // Of the rule's kind of price: the trade date of the last one, and whether all was watched since.
    let mut last: Option<Date> = None;
    let mut watched = true;
    for act in acts {
        let at = act.at;
        let of_kind: Option<Option<(Price, u32)>> = match act.what {
            What::Trade(ticks, size) => {
                Some((rule.price_from == PriceFrom::Trade).then(|| (price(ticks), size)))
            }
            What::Quote(bid, ask) if bid <= ask => Some(match rule.price_from {
                PriceFrom::Trade => None,
                PriceFrom::Bid => Some((price(bid), 0)),
                PriceFrom::Ask => Some((price(ask), 0)),
                PriceFrom::Mid => {
                    Some((Price::from_nanos(price(bid).as_nanos().midpoint(price(ask).as_nanos())), 0))
                }
            }),
            What::Clock => {
                life.time(at.saturating_sub(Duration::from_millis(250)));
                None
            }
            What::Down | What::Restart => {
                life.lost();
                watched = false;
                None
            }
            What::Quote(..) | What::Live => None,
        };
        let Some(of_kind) = of_kind else { continue };
        life.time(at);
        if let Some((price, size)) = of_kind {
            let date = hours::at(at).date;
            let gap = last.is_some_and(|last| last != date || !watched);
            life.price(at, price, u64::from(size), gap);
            (last, watched) = (Some(date), true);
        }
    }
    life.told
}
