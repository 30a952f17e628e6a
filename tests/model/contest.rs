//! Gives the same path to the engine and to the model.

use std::collections::BTreeMap;
use std::time::Duration;

use breakwatch::engine::rule::{PriceFrom, Rule};
use breakwatch::engine::saved::{SavedBook, SavedLevel};
use breakwatch::engine::{Engine, FeedSetup, Input, Limits, Rolls, Setup, Step};
use breakwatch::event::Event;
use breakwatch::market::instrument::Instrument;
use breakwatch::market::price::Price;
use breakwatch::market::symbol::ContractMonth;
use breakwatch::market::tick::{FeedId, InstrumentId, Item, Link, LinkState, Loss, Quality, Tick, Update};
use breakwatch::time::Timestamp;

use crate::life::{Life, Told};
use crate::path::{Act, What, after, other_price, price};

const Z4: ContractMonth = ContractMonth { year: 2024, month: 12 };

fn setup(rules: &[Rule]) -> Setup {
    let ids = [("RTY", InstrumentId(0)), ("ES", InstrumentId(1))].into_iter();
    Setup {
        instruments: ids.clone().map(|(name, _)| Instrument::builtin(name).unwrap()).collect(),
        guards: ids.clone().map(|(_, id)| (id, "1000 points".parse().unwrap())).collect(),
        basis: BTreeMap::new(),
        rules: rules.to_vec(),
        feeds: vec![FeedSetup { name: "test".into(), instruments: ids.map(|(_, id)| id).collect() }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: Rolls::ByPolicy,
    }
}

fn tick(at: Timestamp, update: Update) -> Input {
    of(InstrumentId(0), at, update)
}

fn of(instrument: InstrumentId, at: Timestamp, update: Update) -> Input {
    Input::Item(Item::Tick(Tick {
        instrument,
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
pub(crate) fn engine(rules: &[Rule], acts: &[Act]) -> Vec<Told> {
    let mut engine = Engine::new(setup(rules));
    let mut step = Step::default();
    // What the store has.
    let mut levels: BTreeMap<String, SavedLevel> = BTreeMap::new();
    let mut books: BTreeMap<String, SavedBook> = BTreeMap::new();
    for act in acts {
        let at = act.at;
        let input = match act.what {
            What::Trade(ticks, size) => tick(at, Update::Trade { price: price(ticks), size }),
            What::Quote(bid, ask) => tick(at, Update::Quote { bid: Some(price(bid)), ask: Some(price(ask)) }),
            What::Other(points) => {
                of(InstrumentId(1), at, Update::Trade { price: other_price(points), size: 1 })
            }
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
                engine = Engine::new(setup(rules));
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
            turned: turned(&e),
        })
        .collect()
}

fn turned(event: &Event) -> Option<(Price, u64, usize)> {
    let price = |name: &str| event.numbers.get(name).map(|text| text.as_str().unwrap().parse().unwrap());
    let extreme = price("zone_high").or_else(|| price("zone_low"))?;
    let number = |name: &str| event.numbers[name].as_u64().unwrap();
    Some((extreme, number("zone_volume"), usize::try_from(number("rejections")).unwrap()))
}

/// What the definitions say.
pub(crate) fn model(rule: &Rule, acts: &[Act]) -> Vec<Told> {
    let mut life = Life::new(rule.clone());
    for act in acts {
        let at = act.at;
        match act.what {
            What::Clock => life.time(at.saturating_sub(Duration::from_millis(250))),
            What::Down => {
                life.time(at.saturating_sub(Duration::from_millis(250)));
                life.lost();
            }
            What::Restart => life.lost(),
            What::Live => {}
            What::Other(points) => life.other(at, other_price(points)),
            // A crossed book is no market.
            What::Quote(bid, ask) if bid > ask => {}
            What::Quote(bid, ask) => {
                let (bid, ask) = (price(bid), price(ask));
                life.time(at);
                life.quote(at, bid, ask);
                match rule.price_from {
                    PriceFrom::Trade => {}
                    PriceFrom::Bid => life.price(at, bid, 0),
                    PriceFrom::Ask => life.price(at, ask, 0),
                    PriceFrom::Mid => {
                        life.price(at, Price::from_nanos(bid.as_nanos().midpoint(ask.as_nanos())), 0);
                    }
                }
                life.quoted(at);
            }
            What::Trade(ticks, size) => {
                let (price, size) = (price(ticks), u64::from(size));
                life.time(at);
                life.trade(at, price, size);
                if rule.price_from == PriceFrom::Trade {
                    life.price(at, price, size);
                }
            }
        }
    }
    life.told
}
