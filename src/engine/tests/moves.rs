//! Levels that move: derived ones, those in index prices, and all of them at a roll.

use super::*;
use crate::engine::Rolls;
use crate::engine::basis::Basis;
use crate::engine::derive::{BarSize, Day, Hours, Of, Period, Source};
use crate::engine::moves::History;
use crate::event::{Reason, Severity};

fn day(date: i32, high: &str, low: &str, close: &str) -> Day {
    Day {
        date,
        open: p(low),
        high: p(high),
        low: p(low),
        close: p(close),
        volume: 1,
        rth: None,
        settlement: None,
        unwatched: Duration::ZERO,
    }
}

fn days(days: &[Day]) -> History {
    History { days: days.to_vec(), minutes: Vec::new() }
}

fn derived(source: Source) -> Rule {
    let mut rule = with!(rule("0"), source: Some(source));
    rule.name = "derived".into();
    rule
}

fn prior_high() -> Rule {
    derived(Source::Prior { period: Period::Day, of: Of::High, hours: Hours::Full })
}

/// A world that knows some trade dates before Monday, 25 November 2024.
fn taught(rules: Vec<Rule>, history: &[Day]) -> World {
    let mut world = World::new(rules);
    let mut step = Step::default();
    world.engine.teach(0, &days(history), &days(history), t(-1), &mut step);
    world.events.extend(step.events);
    world
}

#[test]
fn a_derived_level_breaks_like_any_other_and_says_where_it_comes_from() {
    let mut world = taught(vec![prior_high()], &[day(20_241_122, "2419", "2380", "2418")]);
    world.steps();
    world.trades(&["2418", "2419"]);
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.level_price.unwrap().to_string(), "2419.0");
    assert!(broken.numbers["formula"].as_str().unwrap().starts_with("prior"), "{:?}", broken.numbers);
    assert!(broken.numbers.contains_key("as_of") && broken.numbers.contains_key("inputs"));
}

#[test]
fn a_level_that_moves_past_the_price_does_not_break() {
    let mut world = taught(vec![prior_high()], &[day(20_241_122, "2419", "2380", "2418")]);
    // From the open on, 16 hours before: a day that was not watched would be no prior day.
    world.tick(trade("2409", -16 * 3_600_000));
    world.trades(&["2410", "2415"]);
    world.steps();
    // The next trade date: the prior high is 2415 now, and price stands at it.
    let next = 86_400_000;
    world.tick(trade("2415", next));
    assert_eq!(world.steps().iter().filter(|step| **step == "broken").count(), 0);
    world.tick(trade("2414.4", next + 100)).tick(trade("2415", next + 200));
    assert!(world.steps().contains(&"broken"));
}

#[test]
fn a_daily_move_is_for_the_history_and_not_for_people() {
    let mut world = taught(vec![prior_high()], &[day(20_241_122, "2419", "2380", "2418")]);
    world.tick(trade("2409", -16 * 3_600_000));
    world.trades(&["2410", "2415"]);
    world.steps();
    world.tick(trade("2410", 86_400_000));
    let moved = world.only(Kind::LevelMoved);
    assert_eq!((moved.severity, moved.level_price.unwrap().to_string()), (Severity::Info, "2415.0".into()));
}

#[test]
fn a_level_without_history_says_so_once_and_is_watched_when_it_has_one() {
    let mut world = World::new(vec![prior_high()]);
    world.trades(&["2410"]).wait(60_000).trades(&["2411"]).wait(60_000);
    let suspended = world.only(Kind::LevelSuspended);
    assert_eq!(suspended.reason, Reason::HistoryUnknown);
    let mut step = Step::default();
    let history = days(&[day(20_241_122, "2419", "2380", "2418")]);
    world.engine.teach(0, &history, &history, t(200_000), &mut step);
    assert_eq!(step.events[0].kind, Kind::LevelMoved);
    assert_eq!(step.events[0].severity, Severity::Normal, "it is told: the silence is over");
    world.trades(&["2418", "2419"]);
    assert_eq!(world.steps(), ["broken"]);
}

#[test]
fn a_record_is_replaced_when_the_trade_date_is_over() {
    let mut world = taught(vec![derived(Source::RecordClose)], &[day(20_241_122, "2460", "2380", "2448.5")]);
    world.steps();
    world.trades(&["2448", "2449"]);
    assert_eq!(world.steps(), ["broken"]);
    // 14:59:59 Chicago: the close.
    world.tick(trade("2451", 359 * 60_000 + 59_000));
    world.steps();
    world.tick(trade("2440", 86_400_000));
    let record = world.only(Kind::RecordSet);
    assert_eq!(record.price.unwrap().to_string(), "2451.0");
    assert_eq!(record.level_price.unwrap().to_string(), "2448.5");
    assert_eq!(record.numbers["trade_date"], "2024-11-25");
}

#[test]
fn distances_in_average_true_ranges_wait_for_history_and_follow_it() {
    let atr = with!(rule("2500"), margin: d("0.5 atr"));
    let mut world = World::new(vec![atr.clone()]);
    world.trades(&["2499", "2600"]);
    assert_eq!(world.steps(), [""; 0], "nobody knows the threshold");
    let history: Vec<Day> = (1..=20).map(|n| day(20_241_100 + n, "2420", "2400", "2410")).collect();
    let mut world = taught(vec![atr], &history);
    world.steps();
    world.trades(&["2499", "2509.9", "2510"]);
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.price.unwrap().to_string(), "2510.0", "half of 20 points beyond");
}

#[test]
fn an_average_moves_with_every_bar_and_a_price_that_stays_never_breaks_it() {
    let sma = derived(Source::Sma { n: 2, bar: BarSize::Length(secs(60)) });
    let mut world = World::new(vec![sma]);
    for minute in 0..5 {
        world.tick(trade("2400", minute * 60_000 + 1));
        world.tick(trade(if minute % 2 == 0 { "2410" } else { "2400" }, minute * 60_000 + 30_000));
    }
    assert_eq!(world.steps().iter().filter(|step| **step == "moved").count(), 1, "2405 all the time");
}

#[test]
fn every_round_number_around_the_price_is_a_level() {
    let mut world = World::new(vec![derived(Source::Round { step: p("50") })]);
    world.trades(&["2499.9", "2500", "2550"]);
    let levels: Vec<_> = world.events.iter().map(|e| (e.kind.step(), e.level.clone().unwrap())).collect();
    assert_eq!(levels, [("broken", "derived 2500".into()), ("broken", "derived 2550".into())]);
    assert_eq!(world.events[0].numbers["rank"], 500);
    assert_eq!(world.events[1].numbers["rank"], 50);
}

#[test]
fn what_happened_before_moves_no_round_number() {
    let mut world = taught(vec![derived(Source::Round { step: p("50") }), prior_high()], &[]);
    world.trades(&["2499.9"]);
    let mut step = Step::default();
    let history = days(&[day(20_241_122, "2600", "2380", "2418")]);
    world.engine.teach(0, &history, &history, t(150), &mut step);
    world.trades(&["2500"]);
    assert_eq!(world.only(Kind::LevelBroken).level.as_deref(), Some("derived 2500"));
}

#[test]
fn a_jump_over_round_numbers_that_were_far_away_breaks_them_all() {
    let mut world = World::new(vec![derived(Source::Round { step: p("50") })]);
    world.trades(&["2499.9"]).give(&down(200)).give(&live(300)).trades(&["3400"]);
    let broken = world.events.iter().filter(|e| e.kind == Kind::LevelBroken);
    assert_eq!(broken.map(|e| e.reason).filter(|r| *r == Reason::Gap).count(), 19, "2500 to 3400");
}

/// Before and after the roll of RTYZ4 to RTYH5, on Sunday 2024-12-15 at 17:00 Chicago.
fn rolling(rules: Vec<Rule>) -> World {
    let mut setup = setup(rules);
    setup.rolls = Rolls::ByPolicy;
    World::of(setup)
}

fn at(tick: Tick, text: &str, month: ContractMonth) -> Tick {
    let at: Timestamp = text.parse().unwrap();
    Tick { exchange_at: Some(at), received_at: at, contract: Some(month), ..tick }
}

#[test]
fn at_a_roll_levels_move_by_the_measured_spread() {
    let mut world = rolling(vec![rule("2500"), with!(rule("2442.74"), side: Side::Support)]);
    let friday = "2024-12-13T21:30:00Z";
    world.tick(at(trade("2480", 0), friday, Z4));
    world.tick(at(quote("2479.9", "2480", 0), friday, Z4));
    world.tick(at(quote("2501.2", "2501.4", 0), friday, H5));
    world.tick(at(trade("2600", 0), friday, H5));
    assert_eq!(world.steps(), [""; 0], "the next contract is only looked at");
    world.tick(at(trade("2502", 0), "2024-12-15T23:00:00Z", H5));
    let moved: Vec<_> = world.events.iter().map(|e| e.kind.step()).collect();
    assert_eq!(moved, ["rolled", "moved", "moved"]);
    let rolled = &world.events[0];
    assert_eq!(rolled.numbers["spread"], "+21.35");
    let levels = rolled.numbers["levels"].as_str().unwrap();
    assert!(levels.contains("2500 2,500.0 -> 2,521.4"), "{levels}");
    assert!(levels.contains("2442.74 2,442.74 -> 2,464.0"), "a support is rounded down: {levels}");
    world.steps();
    world.tick(at(trade("2521.3", 0), "2024-12-15T23:00:01Z", H5));
    assert_eq!(world.steps(), [""; 0]);
    world.tick(at(trade("2521.4", 0), "2024-12-15T23:00:02Z", H5));
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.contract.as_deref(), Some("RTYH5"));
    assert_eq!(broken.threshold.unwrap().to_string(), "2521.4");
}

#[test]
fn a_gap_over_the_roll_is_seen_across_the_spread() {
    let mut world = rolling(vec![rule("2500")]);
    let friday = "2024-12-13T21:30:00Z";
    world.tick(at(trade("2499", 0), friday, Z4)).tick(at(quote("2499", "2499.2", 0), friday, Z4));
    world.tick(at(quote("2519", "2519.2", 0), friday, H5));
    world.tick(at(trade("2521", 0), "2024-12-15T23:00:00Z", H5));
    let broken = world.only(Kind::LevelBroken);
    assert_eq!((broken.reason, &broken.numbers["last_before"]), (Reason::Gap, &"2519.0".into()));
}

#[test]
fn by_volume_the_month_that_traded_more_takes_over_with_the_next_session() {
    let mut setup = setup(vec![rule("2500")]);
    setup.rolls = Rolls::ByPolicy;
    setup.instruments[0].roll = crate::market::instrument::RollPolicy::Volume;
    let mut world = World::of(setup);
    let size = |price: &str, size| Tick { update: Update::Trade { price: p(price), size }, ..trade("1", 0) };
    let wednesday = "2024-12-11T15:00:00Z";
    world.tick(at(size("2480", 10), wednesday, Z4)).tick(at(size("2501", 10), wednesday, H5));
    world.tick(at(size("2480", 5), "2024-12-11T23:30:00Z", Z4)).tick(at(
        size("2501", 6),
        "2024-12-11T23:30:00Z",
        H5,
    ));
    assert_eq!(world.steps(), [""; 0], "as much is not more, and a session is counted to its end");
    world.tick(at(size("2480", 1), "2024-12-12T23:00:00Z", Z4)).tick(at(
        size("2501", 1),
        "2024-12-12T23:00:01Z",
        H5,
    ));
    assert_eq!(world.steps(), ["rolled", "suspended"]);
}

#[test]
fn a_spread_that_is_old_moves_nothing() {
    let mut world = rolling(vec![rule("2500")]);
    let thursday = "2024-12-12T15:00:00Z";
    world.tick(at(trade("2480", 0), thursday, Z4)).tick(at(quote("2480", "2480.2", 0), thursday, Z4));
    world.tick(at(quote("2501", "2501.2", 0), thursday, H5));
    world.tick(at(trade("2600", 0), "2024-12-15T23:00:00Z", H5));
    assert_eq!(world.only(Kind::LevelSuspended).reason, Reason::SpreadUnknown);
}

#[test]
fn a_pinned_contract_ends_with_a_clear_word() {
    let mut world = rolling(vec![with!(rule("2500"), contract: Some(Z4))]);
    world.tick(at(trade("2480", 0), "2024-12-20T14:29:00Z", Z4));
    world.give(&Input::Clock("2024-12-20T14:30:01Z".parse().unwrap()));
    let end = world.only(Kind::LevelSuspended);
    assert_eq!(
        (end.reason, end.occurred_at.to_string()),
        (Reason::ContractExpired, "2024-12-20T14:30:00.000Z".into())
    );
}

fn in_index(price: &str, basis: Basis) -> World {
    let mut setup = setup(vec![with!(rule(price), space: crate::event::Space::Index)]);
    setup.instruments.push(Instrument { dated: false, ..Instrument::builtin("M2K").unwrap() });
    setup.guards.insert(InstrumentId(1), d("1000 points"));
    setup.basis.insert(InstrumentId(0), basis);
    World::of(setup)
}

#[test]
fn a_level_in_index_prices_is_moved_by_the_rates() {
    let mut world = in_index("2442.74", Basis::Rates(p("2.9")));
    world.tick(trade("2440", 0));
    world.steps();
    // RTYZ4 ends 25 days after 25 November 2024: 2442.74 * (1 + 0.029 * 25 / 360) = 2447.66.
    world.tick(trade("2447.6", 100));
    assert_eq!(world.steps(), [""; 0]);
    world.tick(trade("2447.7", 200));
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.threshold.unwrap().to_string(), "2447.7");
    assert_eq!(broken.level_price.unwrap().to_string(), "2442.74");
    assert_eq!(broken.numbers["price_in_index"], "2442.78", "both prices");
    assert!(broken.numbers["level_in_contract"].as_str().unwrap().starts_with("2447.65"));
}

#[test]
fn after_a_restart_the_days_to_expiry_still_count_from_today() {
    let mut world = in_index("2442.74", Basis::Rates(p("2.9")));
    let mut kept = super::restart::Kept::default();
    let mut step = Step::default();
    world.engine.handle(&Input::Item(Item::Tick(trade("2440", 0))), &mut step);
    kept.keep(&world.engine, &step);
    let mut setup = setup(vec![with!(rule("2442.74"), space: crate::event::Space::Index)]);
    setup.basis.insert(InstrumentId(0), Basis::Rates(p("2.9")));
    world.engine = kept.reopen(setup, t(50));
    world.tick(trade("2447.6", 100)).tick(trade("2447.7", 200));
    assert_eq!(world.only(Kind::LevelBroken).threshold.unwrap().to_string(), "2447.7");
}

#[test]
fn a_measured_basis_is_the_median_of_fresh_pairs() {
    let mut world = in_index("2442.74", Basis::Index(InstrumentId(1)));
    let index = |price: &str, ms| Tick { instrument: InstrumentId(1), contract: None, ..trade(price, ms) };
    world.tick(trade("2440", 0));
    for (n, spread) in [10, 12, 11, 50, 9, 11].into_iter().enumerate() {
        let ms = i64::try_from(n).unwrap() * 11_000 + 100;
        let futures = Price::from_nanos(2_440_000_000_000 + spread * 1_000_000_000);
        let text = futures.to_string();
        world.tick(quote(&text, &text, ms)).tick(index("2440", ms + 50));
    }
    world.tick(trade("2445", 70_000)).tick(trade("2446", 130_000));
    world.steps();
    world.tick(trade("2453.7", 130_100));
    assert_eq!(world.steps(), [""; 0], "2442.74 + 11 = 2453.74");
    world.tick(trade("2453.8", 130_200));
    assert_eq!(world.steps(), ["broken"]);
}
