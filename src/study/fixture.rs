//! Hand-made bars and events for the tests of this module.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::rule::{Rule, Terms};
use crate::engine::{Engine, FeedSetup, Limits, Setup, Step};
use crate::event::{Event, Kind, Numbers, Px, Reason, Side, Space, ThreadId};
use crate::market::bar::Bar;
use crate::market::bar_text;
use crate::market::calendar::Calendar;
use crate::market::instrument::Instrument;
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::{FeedId, InstrumentId};
use crate::study::replay::Replay;
use crate::time::Timestamp;

pub(super) fn p(text: &str) -> Price {
    text.parse().unwrap()
}

pub(super) fn ct(text: &str) -> Timestamp {
    Calendar::cme_equity().instant(text.parse().unwrap())
}

pub(super) fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Monday 25 November 2024, 09:00 Chicago, in regular trading hours, plus so many minutes.
pub(super) fn t(minute: u64) -> Timestamp {
    ct("2024-11-25 09:00").saturating_add(minutes(minute))
}

pub(super) fn rty() -> Instrument {
    Instrument::builtin("RTY").unwrap()
}

/// The one-minute bar that begins at that minute.
pub(super) fn bar(minute: u64, open: &str, high: &str, low: &str, close: &str) -> Bar {
    let [open, high, low, close] = [open, high, low, close].map(p);
    Bar { start: t(minute), length: minutes(1), open, high, low, close, volume: 100 }.checked().unwrap()
}

/// One-minute bars from `minute` on, each from one point below its close to one above it: their true range
/// is 2 as long as closes differ by no more than one.
pub(super) fn bars(minute: u64, closes: impl IntoIterator<Item = i64>) -> Vec<Bar> {
    let bar = |(n, close): (u64, i64)| {
        let at = |points: i64| Price::from_points(points);
        let (open, high, low, close) = (at(close), at(close + 1), at(close - 1), at(close));
        Bar { start: t(minute + n), length: minutes(1), open, high, low, close, volume: 100 }
    };
    (0..).zip(closes).map(bar).collect()
}

/// An event of the thread that `episode` opens, at level 2450.
pub(super) fn event(kind: Kind, side: Side, episode: u64, at: Timestamp) -> Event {
    let px = |text: &str| Some(Px { price: p(text), decimals: 1 });
    let thread = ThreadId::new("2450", "", t(episode));
    Event {
        level: Some("2450".into()),
        instrument: Some("RTY".into()),
        contract: Some("RTYZ4".into()),
        side: Some(side),
        price: px("2450"),
        threshold: px("2450"),
        level_price: px("2450"),
        level_space: Some(Space::Contract),
        from_bars: true,
        ..Event::bare(kind, Reason::Cross, &thread, 1, (at, at), Numbers::new())
    }
}

/// A resistance with the defaults of the configuration.
pub(super) fn rule(price: &str) -> Rule {
    Rule { name: price.into(), price: p(price), terms: Arc::new(Terms::plain(InstrumentId(0))) }
}

/// What the engine establishes over the bars.
pub(super) fn replayed(rules: Vec<Rule>, bars: &[Bar]) -> Vec<Event> {
    let setup = Setup {
        instruments: vec![rty()],
        guards: BTreeMap::new(),
        basis: BTreeMap::new(),
        rules,
        feeds: vec![FeedSetup { name: "test".into(), instruments: vec![InstrumentId(0)] }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: crate::engine::Rolls::ByData,
    };
    let mut replay = Replay::new(Engine::new(setup), InstrumentId(0), rty().calendar, FeedId(0));
    let mut step = Step::default();
    for bar in bars {
        replay.bar(bar, Some(ContractMonth { year: 2024, month: 12 }), &mut step);
    }
    replay.end(bars.last().unwrap(), &mut step);
    step.events
}

/// A file of the recorded data that lies beside the project; `None` when it is not there.
fn recorded(name: &str) -> Option<Vec<Bar>> {
    let path = format!("{}/../shared/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("not tested: there are no recorded bars in {path}");
        return None;
    };
    let parsed = bar_text::parse_csv(&text, rty().tick, None).unwrap();
    assert_eq!(parsed.problems, []);
    Some(parsed.bars.into_iter().map(|row| row.bar).collect())
}

/// The one-minute bars of the day on which the contract broke the record of 2021.
pub(super) fn record_day() -> Option<Vec<Bar>> {
    recorded("RTYZ4_1m_20241125_1330-1750Z.csv")
}

/// The five-minute bars of two weeks around it.
pub(super) fn two_weeks() -> Option<Vec<Bar>> {
    recorded("RTY_5m_ibkr_20241124_20241206.csv")
}
