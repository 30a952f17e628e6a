//! Markets and levels for the benchmarks. The levels are generated, and so is every price that is not said to be
//! recorded.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use breakwatch::engine::rule::{Rule, Terms};
use breakwatch::engine::{Engine, FeedSetup, Input, Limits, Rolls, Setup, Step};
use breakwatch::event::Side;
use breakwatch::market::instrument::Instrument;
use breakwatch::market::price::Price;
use breakwatch::market::symbol::Root;
use breakwatch::market::tick::{InstrumentId, Item, Quality, Tick, Update};
use breakwatch::time::{Timestamp, Unit};

/// The tick size of all instruments here: 0.10.
pub const TICK: i64 = 100_000_000;
/// Monday 25 November 2024, 09:00 Chicago, in regular trading hours.
const START: i64 = 1_732_546_800;
/// Ticks follow one another this fast, so that a long measurement stays within one session.
const PACE: Duration = Duration::from_micros(100);
/// Recorded gold trades of Monday 7 October 2013.
const GOLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/lean_20131007_gc_tick_trade.zip");
/// 7 October 2013, 00:00 UTC.
const GOLD_DAY_MS: i64 = 1_381_104_000_000;

/// Whether this is a measurement. A run that only shows that the benchmarks work has a hundredth of the levels.
pub fn is_measured() -> bool {
    let has = |word: &str| std::env::args().any(|arg| arg == word);
    has("--bench") && !has("--test")
}

/// So many levels; fewer when nothing is measured.
pub fn scaled(levels: usize) -> usize {
    if is_measured() { levels } else { levels.min(100).max(levels / 100) }
}

/// A price so many ticks above zero.
pub fn price(ticks: i64) -> Price {
    Price::from_nanos(ticks * TICK)
}

/// An instrument without contract months on the grid of 0.10.
pub fn instrument(root: &str) -> Instrument {
    let known = Instrument::builtin("RTY").expect("it is built in");
    Instrument { root: Root::new(root).expect("a root"), dated: false, ..known }
}

/// Plain terms with every default, to be shared.
pub fn terms(instrument: u32, side: Side) -> Arc<Terms> {
    Arc::new(Terms { side, ..Terms::plain(InstrumentId(instrument)) })
}

/// A level of these terms, so many ticks above zero.
pub fn rule(name: usize, ticks: i64, terms: &Arc<Terms>) -> Rule {
    Rule { name: format!("level {name}").into(), price: price(ticks), terms: Arc::clone(terms) }
}

/// So many levels on one instrument, all at least `near` ticks away from `around`: resistances above, supports
/// below, several of them at one price when there are many.
pub fn spread(instrument: u32, levels: usize, around: i64, near: i64) -> Vec<Rule> {
    let (up, down) = (terms(instrument, Side::Resistance), terms(instrument, Side::Support));
    let level = |n: usize| {
        let step = i64::try_from(n / 2 % 10_000).expect("small");
        if n.is_multiple_of(2) {
            rule(n, around + near + step, &up)
        } else {
            rule(n, around - near - step, &down)
        }
    };
    (0..levels).map(level).collect()
}

/// An engine that has seen nothing.
pub fn engine(instruments: Vec<Instrument>, rules: Vec<Rule>) -> Engine {
    let ids = (0u32..).take(instruments.len()).map(InstrumentId).collect();
    Engine::new(Setup {
        instruments,
        guards: BTreeMap::new(),
        basis: BTreeMap::new(),
        rules,
        feeds: vec![FeedSetup { name: "bench".into(), instruments: ids }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: Rolls::ByPolicy,
    })
}

/// A trade as a feed would hand it on.
pub fn trade(instrument: u32, price: Price, at: Timestamp) -> Input {
    Input::Item(Item::Tick(Tick {
        instrument: InstrumentId(instrument),
        contract: None,
        update: Update::Trade { price, size: 1 },
        exchange_at: Some(at),
        received_at: at,
        sequence: None,
        quality: Quality::Live,
    }))
}

/// The first moment of the generated market.
pub fn start() -> Timestamp {
    Timestamp::from_unit(START, Unit::S).expect("a time")
}

/// Gives one trade and returns what it established.
pub fn give(engine: &mut Engine, input: &Input) -> Step {
    let mut step = Step::default();
    engine.handle(input, &mut step);
    step
}

/// Random walks on the grid, one for each instrument, never further than `reach` ticks from where they began. The
/// same at every run.
pub struct Walk {
    pub at: Timestamp,
    middle: i64,
    reach: i64,
    offs: Vec<i64>,
    random: u64,
}

impl Walk {
    pub fn new(instruments: usize, middle: i64, reach: i64) -> Self {
        Self { at: start(), middle, reach, offs: vec![0; instruments], random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The next number of a linear congruential generator; its upper bits are good enough.
    pub fn random(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// The next trade of an instrument: one tick up or down.
    pub fn next(&mut self, instrument: u32) -> Input {
        let step = if self.random() & 1 == 0 { 1 } else { -1 };
        let off = &mut self.offs[usize::try_from(instrument).expect("small")];
        *off = (*off + step).clamp(-self.reach, self.reach);
        self.at = self.at.saturating_add(PACE);
        trade(instrument, price(self.middle + *off), self.at)
    }
}

/// The recorded trades of the gold contract that traded most; `None` when the file is not there.
pub fn gold() -> Option<Vec<(Timestamp, Price)>> {
    let file = std::fs::File::open(Path::new(GOLD)).ok()?;
    let mut zip = zip::ZipArchive::new(file).expect("a zip file");
    let texts = (0..zip.len()).map(|at| {
        let entry = zip.by_index(at).expect("an entry");
        std::io::read_to_string(entry).expect("text")
    });
    let front = texts.max_by_key(|text| text.lines().count()).expect("at least one contract");
    Some(front.lines().map(gold_trade).collect())
}

/// Milliseconds since midnight UTC, price, size and more.
fn gold_trade(line: &str) -> (Timestamp, Price) {
    let mut fields = line.split(',');
    let ms: i64 = fields.next().expect("a time").parse().expect("milliseconds");
    let price = fields.next().expect("a price").parse().expect("a decimal price");
    (Timestamp::from_unit(GOLD_DAY_MS + ms, Unit::Ms).expect("a time"), price)
}
