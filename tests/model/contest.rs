//! Gives the same path to the engine and to the model.

use std::collections::BTreeMap;
use std::time::Duration;

use breakwatch::engine::rule::{PriceFrom, Rule};
use breakwatch::engine::saved::{SavedBook, SavedLevel};
use breakwatch::engine::{Engine, FeedSetup, Input, Limits, Rolls, Setup, Step};
use breakwatch::event::{Event, Kind};
use breakwatch::market::instrument::Instrument;
use breakwatch::market::price::Price;
use breakwatch::market::symbol::ContractMonth;
use breakwatch::market::tick::{FeedId, InstrumentId, Item, Link, LinkState, Loss, Quality, Tick, Update};
use breakwatch::time::Timestamp;

use crate::hours;
use crate::life::{Life, Told};
use crate::path::{Act, ROLL, What, after, other_price, price};

const Z4: ContractMonth = ContractMonth { year: 2024, month: 12 };
const H5: ContractMonth = ContractMonth { year: 2025, month: 3 };

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
    of(InstrumentId(0), Z4, at, update)
}

fn of(instrument: InstrumentId, month: ContractMonth, at: Timestamp, update: Update) -> Input {
    Input::Item(Item::Tick(Tick {
        instrument,
        contract: Some(month),
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
                of(InstrumentId(1), Z4, at, Update::Trade { price: other_price(points), size: 1 })
            }
            What::NextTrade(ticks, size) => {
                of(InstrumentId(0), H5, at, Update::Trade { price: price(ticks), size })
            }
            What::NextQuote(bid, ask) => {
                let (bid, ask) = (Some(price(bid)), Some(price(ask)));
                of(InstrumentId(0), H5, at, Update::Quote { bid, ask })
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
    let of_level = step.events.into_iter().filter(|e| e.level.is_some() && e.kind != Kind::LevelMoved);
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

/// How much dearer the next contract is, as far as it is known.
#[derive(Default)]
struct Spread {
    /// The middle of the quotes, and when they were.
    ours: Option<(Price, Timestamp)>,
    theirs: Option<(Price, Timestamp)>,
    /// The next contract was seen at all.
    seen: bool,
    measured: Option<(Price, Timestamp)>,
}

impl Spread {
    /// Quotes of the same moment are not more than two seconds apart.
    fn measure(&mut self) {
        if let (Some((ours, a)), Some((theirs, b))) = (self.ours, self.theirs)
            && self.seen
            && a.since(b).max(b.since(a)) <= Duration::from_secs(2)
        {
            self.measured = Some((theirs.minus(ours), a.max(b)));
        }
    }

    /// A measured spread holds for an hour of open-market time.
    fn at(&self, at: Timestamp) -> Option<Price> {
        let (spread, measured) = self.measured?;
        (at <= hours::add_open(measured, Duration::from_secs(3_600))).then_some(spread)
    }
}

fn mid(bid: i64, ask: i64) -> Price {
    Price::from_nanos(price(bid).as_nanos().midpoint(price(ask).as_nanos()))
}

/// What the definitions say.
pub(crate) fn model(rule: &Rule, acts: &[Act]) -> Vec<Told> {
    let mut life = Life::new(rule.clone());
    let mut month = None;
    let mut spread = Spread::default();
    for act in acts {
        let at = act.at;
        // Which contract it is about decides whether the level is concerned.
        let (what, of) = match act.what {
            What::NextTrade(ticks, size) => (What::Trade(ticks, size), Some(H5)),
            What::NextQuote(bid, ask) => (What::Quote(bid, ask), Some(H5)),
            What::Trade(..) | What::Quote(..) => (act.what.clone(), Some(Z4)),
            What::Other(_) | What::Clock | What::Down | What::Live | What::Restart => {
                (act.what.clone(), None)
            }
        };
        match (month, of) {
            (Some(Z4) | None, Some(H5)) if at < ROLL => {
                spread.seen = true;
                if let What::Quote(bid, ask) = what
                    && bid <= ask
                {
                    spread.theirs = Some((mid(bid, ask), at));
                    spread.measure();
                }
                continue;
            }
            (Some(Z4), Some(H5)) => {
                life.time(at);
                life.roll(at, spread.at(at));
                month = Some(H5);
            }
            (Some(H5), Some(Z4)) => continue,
            (_, Some(of)) => month = Some(of),
            (_, None) => {}
        }
        if let What::Quote(bid, ask) = what
            && bid <= ask
        {
            spread.ours = Some((mid(bid, ask), at));
            spread.measure();
        }
        if what == What::Restart && !spread.seen {
            spread.ours = None;
        }
        happens(&mut life, rule, at, what);
    }
    life.told
}

/// One thing of the contract in force happens.
fn happens(life: &mut Life, rule: &Rule, at: Timestamp, what: What) {
    match what {
        What::Clock => life.time(at.saturating_sub(Duration::from_millis(250))),
        What::Down => {
            life.time(at.saturating_sub(Duration::from_millis(250)));
            life.lost();
        }
        What::Restart => life.lost(),
        What::Live => {}
        What::Other(points) => life.other(at, other_price(points)),
        What::NextTrade(..) | What::NextQuote(..) => unreachable!("told as the contract in force"),
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
