//! The rules of the domain, told as little stories on one instrument.

mod breaks;
mod conditions;
mod feeds;
mod moves;
mod properties;
mod restart;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::rule::{Rule, Terms};
use crate::engine::{Engine, FeedSetup, Input, Limits, Setup, Step};
use crate::event::{Event, Kind, Side};
use crate::market::instrument::Instrument;
use crate::market::price::{Distance, Price};
use crate::market::symbol::ContractMonth;
use crate::market::tick::{FeedId, InstrumentId, Item, Link, LinkState, Loss, Quality, Tick, Update};
use crate::time::Timestamp;

const Z4: ContractMonth = ContractMonth { year: 2024, month: 12 };
const H5: ContractMonth = ContractMonth { year: 2025, month: 3 };

fn p(text: &str) -> Price {
    text.parse().unwrap()
}

fn d(text: &str) -> Distance {
    text.parse().unwrap()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Monday 25 November 2024, 09:00 Chicago, in regular trading hours, plus so many milliseconds.
fn t(ms: i64) -> Timestamp {
    let start: Timestamp = "2024-11-25T15:00:00Z".parse().unwrap();
    Timestamp::from_nanos(start.as_nanos() + ms * 1_000_000)
}

/// A rule with other terms: `with!(rule("2500"), strict: true, cooldown)`.
macro_rules! with {
    ($rule:expr, $($field:ident $(: $value:expr)?),+ $(,)?) => {{
        let mut rule = $rule;
        $(with!(@set rule $field $($value)?);)+
        rule
    }};
    (@set $rule:ident $field:ident $value:expr) => { $rule.$field = $value };
    (@set $rule:ident $field:ident) => { $rule.$field = $field };
}
use with;

/// A resistance on RTY with the defaults of the configuration.
fn rule(price: &str) -> Rule {
    Rule { name: price.into(), price: p(price), terms: Arc::new(Terms::plain(InstrumentId(0))) }
}

fn setup(rules: Vec<Rule>) -> Setup {
    Setup {
        instruments: vec![Instrument::builtin("RTY").unwrap()],
        // The stories jump as they need to; the guard has its own.
        guards: BTreeMap::from([(InstrumentId(0), d("1000 points"))]),
        basis: BTreeMap::new(),
        rules,
        feeds: vec![FeedSetup { name: "test".into(), instruments: vec![InstrumentId(0)] }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: crate::engine::Rolls::ByData,
    }
}

fn trade(price: &str, ms: i64) -> Tick {
    Tick {
        instrument: InstrumentId(0),
        contract: Some(Z4),
        update: Update::Trade { price: p(price), size: 1 },
        exchange_at: Some(t(ms)),
        received_at: t(ms + 2),
        sequence: None,
        quality: Quality::Live,
    }
}

fn quote(bid: &str, ask: &str, ms: i64) -> Tick {
    Tick { update: Update::Quote { bid: Some(p(bid)), ask: Some(p(ask)) }, ..trade("1", ms) }
}

fn down(ms: i64) -> Input {
    let state = LinkState::Down { loss: Loss::Disconnected, detail: "closed by the peer".into() };
    Input::Item(Item::Link(Link { feed: FeedId(0), at: t(ms), state }))
}

fn live(ms: i64) -> Input {
    Input::Item(Item::Link(Link { feed: FeedId(0), at: t(ms), state: LinkState::Live }))
}

/// An engine and everything it established.
struct World {
    engine: Engine,
    events: Vec<Event>,
    ms: i64,
}

impl World {
    fn new(rules: Vec<Rule>) -> Self {
        Self::of(setup(rules))
    }

    fn of(setup: Setup) -> Self {
        Self { engine: Engine::new(setup), events: Vec::new(), ms: 0 }
    }

    fn give(&mut self, input: &Input) -> &mut Self {
        let mut step = Step::default();
        self.engine.handle(input, &mut step);
        self.events.extend(step.events);
        self
    }

    fn tick(&mut self, tick: Tick) -> &mut Self {
        self.give(&Input::Item(Item::Tick(tick)))
    }

    /// Trades, 100 ms apart.
    fn trades(&mut self, prices: &[&str]) -> &mut Self {
        for price in prices {
            self.ms += 100;
            self.tick(trade(price, self.ms));
        }
        self
    }

    /// Nothing trades for so long; the clock goes on.
    fn wait(&mut self, ms: i64) -> &mut Self {
        self.ms += ms;
        self.give(&Input::Clock(t(self.ms)))
    }

    /// The steps so far (`broken`, `failed`, ..), and forgets them.
    fn steps(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.events).iter().map(|event| event.kind.step()).collect()
    }

    fn only(&mut self, kind: Kind) -> Event {
        let mut found: Vec<Event> =
            std::mem::take(&mut self.events).into_iter().filter(|e| e.kind == kind).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }
}
