//! What the market really did, through the engine: an outage, a price that swings around a level, rolls, and
//! crossed quotes. What must come out is counted from the data itself, without the engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use breakwatch::engine::rule::{Follow, PriceFrom, Rule, Terms};
use breakwatch::engine::{Engine, FeedSetup, Input, Limits, Rolls, Setup, Step};
use breakwatch::event::{Event, Kind, Reason, Side};
use breakwatch::market::bar::Bar;
use breakwatch::market::bar_text::BarRow;
use breakwatch::market::instrument::Instrument;
use breakwatch::market::price::{Distance, Price};
use breakwatch::market::symbol::{ContractMonth, Symbol};
use breakwatch::market::tick::{FeedId, InstrumentId, Item, Quality, Tick, Update};
use breakwatch::study::replay::Replay;
use breakwatch::time::Timestamp;

use crate::market_data::{TWO_YEARS, bars};
use crate::support::{shared, unpacked};

const ONE_SECOND: &str = "RTY_1s_topstepx_20260315_20260320.csv.zst";
const HOLIDAY_OPEN: &str = "ESH4_20231225_trades_bbo.csv.zst";
const ID: InstrumentId = InstrumentId(0);

fn p(text: &str) -> Price {
    text.parse().unwrap()
}

fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn points(n: i64) -> Price {
    Price::from_points(n)
}

/// A rule that tells breaks and nothing that follows them, and can break again one tick back.
fn rule(price: Price, side: Side) -> Rule {
    let follow = Follow { retest: false, held: false, failed: false };
    let terms = Terms { side, follow, rearm: Distance::Ticks(1), ..Terms::plain(ID) };
    Rule { name: format!("{price} {side:?}").into(), price, terms: Arc::new(terms) }
}

fn with(rule: Rule, change: impl FnOnce(&mut Terms)) -> Rule {
    let mut terms = (*rule.terms).clone();
    change(&mut terms);
    Rule { terms: Arc::new(terms), ..rule }
}

fn engine(root: &str, rules: Vec<Rule>) -> Engine {
    Engine::new(Setup {
        instruments: vec![Instrument::builtin(root).unwrap()],
        guards: BTreeMap::new(),
        basis: BTreeMap::new(),
        rules,
        feeds: vec![FeedSetup { name: "recording".into(), instruments: vec![ID] }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: Rolls::ByData,
    })
}

/// What the engine establishes over bars.
fn replayed(rules: Vec<Rule>, rows: &[BarRow]) -> Vec<Event> {
    let calendar = Instrument::builtin("RTY").unwrap().calendar;
    let mut replay = Replay::new(engine("RTY", rules), ID, calendar, FeedId(0));
    let mut step = Step::default();
    for row in rows {
        replay.bar(&row.bar, month_of(row), &mut step);
    }
    replay.end(&rows.last().unwrap().bar, &mut step);
    step.events
}

fn month_of(row: &BarRow) -> Option<ContractMonth> {
    let year = i16::try_from(1970 + row.bar.start.as_secs() / 31_556_952).unwrap();
    row.contract.as_deref().map(|name| Symbol::parse(name, year).unwrap().month)
}

fn between(rows: &[BarRow], from: &str, until: &str) -> Vec<BarRow> {
    let (from, until) = (t(from), t(until));
    rows.iter().filter(|row| from <= row.bar.start && row.bar.start < until).cloned().collect()
}

fn breaks<'a>(events: &'a [Event], level: &str) -> Vec<&'a Event> {
    let of_level = |event: &&Event| event.level.as_deref() == Some(level);
    events.iter().filter(of_level).filter(|event| event.kind == Kind::LevelBroken).collect()
}

#[test]
fn a_level_that_was_passed_in_the_outage_breaks_by_a_gap_and_not_by_a_cross() {
    let test = "a_level_that_was_passed_in_the_outage_breaks_by_a_gap_and_not_by_a_cross";
    let Some(rows) = bars(test, TWO_YEARS) else { return };
    let rows = between(&rows, "2025-11-27T18:00:00Z", "2025-11-28T18:15:00Z");
    // In the last five minutes before the outage nothing traded: the row is there, without volume.
    let (down, up) = (t("2025-11-28T02:45:00Z"), t("2025-11-28T13:30:00Z"));
    let first_after = rows.iter().position(|row| row.bar.start == up).unwrap();
    let (last, first) = (rows[first_after - 1].bar, rows[first_after].bar);
    assert_eq!(last.end(), down);
    let (side, level) = if first.open > last.close {
        (Side::Resistance, last.close.plus(p("0.1")))
    } else {
        (Side::Support, last.close.minus(p("0.1")))
    };
    assert_ne!(first.open, last.close, "nothing happened in the outage");
    let rules = [level, first.open].map(|price| rule(price, side));
    let names = rules.clone().map(|rule| rule.name);
    let events = replayed(rules.to_vec(), &rows);
    for name in names {
        let at_open: Vec<_> =
            breaks(&events, &name).into_iter().filter(|event| event.occurred_at == up).collect();
        let [event] = at_open.as_slice() else { panic!("{name}: {at_open:?}") };
        assert_eq!((event.reason, event.price.unwrap().price), (Reason::Gap, first.open), "{event:?}");
        let number = |key: &str| event.numbers[key].as_str().unwrap().to_owned();
        assert_eq!(t(&number("unwatched_from")), down.saturating_sub(Duration::from_millis(1)));
        assert_eq!(t(&number("unwatched_until")), up);
        assert_eq!(p(&number("last_before")), last.close);
    }
    let kinds = [Kind::FeedDown, Kind::FeedUp];
    let told: Vec<_> = events.iter().filter(|e| kinds.contains(&e.kind)).collect();
    let [lost, back] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((lost.kind, lost.occurred_at, lost.reason), (Kind::FeedDown, down, Reason::MarketSilent));
    assert_eq!((back.kind, back.occurred_at), (Kind::FeedUp, up));
}

/// How often a series goes from below a price to it or above, and back below.
fn crossings(prices: &[Price], at: Price) -> (usize, usize) {
    let up = prices.windows(2).filter(|pair| pair[0] < at && pair[1] >= at).count();
    let down = prices.windows(2).filter(|pair| pair[0] >= at && pair[1] < at).count();
    (up, down)
}

/// A break up at 2,500.0, and one down at the first tick below it.
fn both_ways() -> Vec<Rule> {
    let down = with(rule(points(2500), Side::Support), |terms| terms.margin = Distance::Ticks(1));
    vec![rule(points(2500), Side::Resistance), down]
}

/// How often each of them breaks.
fn counted(events: &[Event]) -> (usize, usize) {
    let of = |side| {
        let broken = |event: &&Event| event.kind == Kind::LevelBroken && event.side == Some(side);
        events.iter().filter(broken).count()
    };
    (of(Side::Resistance), of(Side::Support))
}

#[test]
fn a_week_around_2500_breaks_as_often_as_it_crosses() {
    let Some(rows) = bars("a_week_around_2500_breaks_as_often_as_it_crosses", ONE_SECOND) else { return };
    let four = |bar: &Bar| bar.prints().map(|(_, price, _)| price);
    let prices: Vec<Price> = rows.iter().flat_map(|row| four(&row.bar)).collect();
    let expected = crossings(&prices, points(2500));
    assert_eq!(counted(&replayed(both_ways(), &rows)), expected);

    let closes: Vec<Price> = rows.iter().map(|row| row.bar.close).collect();
    assert_eq!(crossings(&closes, points(2500)), (59, 59), "what is known of the file");
    let flat = |row: &BarRow| {
        let close = row.bar.close;
        BarRow { bar: Bar { open: close, high: close, low: close, ..row.bar }, ..row.clone() }
    };
    let flat: Vec<BarRow> = rows.iter().map(flat).collect();
    assert_eq!(counted(&replayed(both_ways(), &flat)), (59, 59));
}

#[test]
fn what_was_passed_in_the_hole_of_two_days_is_a_gap() {
    let Some(rows) = bars("what_was_passed_in_the_hole_of_two_days_is_a_gap", ONE_SECOND) else { return };
    let up = t("2026-03-18T19:42:07Z");
    let after = rows.iter().position(|row| row.bar.start == up).unwrap();
    let (last, first) = (rows[after - 1].bar, rows[after].bar);
    assert_eq!(last.close.minus(first.open), p("41.3"));
    let levels: Vec<Rule> = (2500..=2540).step_by(5).map(|n| rule(points(n), Side::Support)).collect();
    let events = replayed(levels.clone(), &rows);
    for level in levels {
        let at_open: Vec<_> =
            breaks(&events, &level.name).into_iter().filter(|e| e.occurred_at == up).collect();
        let [event] = at_open.as_slice() else { panic!("{}: {at_open:?}", level.name) };
        assert_eq!(event.reason, Reason::Gap, "{event:?}");
        assert_eq!(event.numbers["unwatched_until"], up.to_string());
    }
}

#[test]
fn no_roll_of_the_chained_file_breaks_a_level_by_its_jump() {
    let Some(rows) = bars("no_roll_of_the_chained_file_breaks_a_level_by_its_jump", TWO_YEARS) else {
        return;
    };
    let rolls: Vec<usize> = (1..rows.len()).filter(|n| rows[*n].contract != rows[n - 1].contract).collect();
    assert_eq!(rolls.len(), 9, "ten contracts");
    for roll in rolls {
        let (last, first) = (rows[roll - 1].bar, rows[roll].bar);
        let low = last.close.min(first.open).as_nanos() / 1_000_000_000;
        let high = last.close.max(first.open).as_nanos() / 1_000_000_000;
        let levels = (low - 10..=high + 10)
            .flat_map(|n| [rule(points(n), Side::Resistance), rule(points(n), Side::Support)]);
        let events = replayed(levels.collect(), &rows[roll - 500..roll + 12]);
        let rolled: Vec<_> = events.iter().filter(|e| e.kind == Kind::ContractRolled).collect();
        let [rolled] = rolled.as_slice() else { panic!("{rolled:?}") };
        assert_eq!(rolled.occurred_at, first.start);
        assert_eq!(rolled.contract, rows[roll].contract);
        let minute = first.start.saturating_add(Duration::from_secs(60));
        let jumped = events.iter().find(|event| {
            event.kind == Kind::LevelBroken && first.start <= event.occurred_at && event.occurred_at < minute
        });
        assert!(jumped.is_none(), "{jumped:?}");
        assert!(
            events.iter().any(|event| event.kind == Kind::LevelBroken),
            "no rule was alive before the roll"
        );
    }
}

/// A trade or a quote of the file with nanosecond stamps.
fn update(line: &str) -> (Timestamp, Timestamp, Update) {
    let cells: Vec<&str> = line.split(',').collect();
    let at = |n: usize| Timestamp::from_nanos(cells[n].parse().unwrap());
    let update = match cells[3] {
        "T" => Update::Trade { price: p(cells[4]), size: cells[5].parse().unwrap() },
        _ => Update::Quote { bid: cells[7].parse().ok(), ask: cells[9].parse().ok() },
    };
    (at(0), at(1), update)
}

#[test]
fn crossed_quotes_before_the_auction_break_nothing() {
    let Some(path) = shared("crossed_quotes_before_the_auction_break_nothing", HOLIDAY_OPEN) else { return };
    let text = unpacked(&path);
    let auction = t("2023-12-25T23:00:00Z");
    let quoted = |from, price: &str, side| with(rule(p(price), side), |terms| terms.price_from = from);
    let rules = vec![
        quoted(PriceFrom::Bid, "4804", Side::Resistance),
        quoted(PriceFrom::Mid, "4802", Side::Resistance),
        quoted(PriceFrom::Mid, "4798", Side::Support),
        quoted(PriceFrom::Ask, "4790", Side::Support),
    ];
    let mut engine = engine("ES", rules);
    let mut step = Step::default();
    let (mut crossed, mut first_bid) = (0, None);
    for line in text.lines().skip(1) {
        let (exchange_at, received_at, update) = update(line);
        if let Update::Quote { bid: Some(bid), ask: Some(ask) } = update {
            crossed += usize::from(bid > ask);
            if bid <= ask && bid >= p("4804") {
                first_bid = first_bid.or(Some(exchange_at));
            }
        }
        let contract = Some(ContractMonth { year: 2024, month: 3 });
        let (exchange_at, sequence, quality) = (Some(exchange_at), None, Quality::Live);
        let tick = Tick { instrument: ID, contract, update, exchange_at, received_at, sequence, quality };
        engine.handle(&Input::Item(Item::Tick(tick)), &mut step);
    }
    assert_eq!(crossed, 15);
    let early = step.events.iter().find(|event| event.occurred_at < auction);
    assert!(early.is_none(), "{early:?}");
    assert!(
        breaks(&step.events, "4790 Support").is_empty() && breaks(&step.events, "4798 Support").is_empty()
    );
    let bid = breaks(&step.events, "4804 Resistance");
    assert_eq!(bid.first().map(|event| event.occurred_at), first_bid, "the first true bid there");
    assert!(!breaks(&step.events, "4802 Resistance").is_empty());
}
