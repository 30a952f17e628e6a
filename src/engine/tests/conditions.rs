//! Confirmations, rejections, gates and both sides.

use jiff::civil::{Time, Weekday, time};

use super::*;
use crate::engine::rule::{
    Between, Confirm, FailBy, GapPolicy, Half, Official, Reject, Sessions, Strength, Weekdays, When,
};
use crate::event::Reason;

/// So many minutes after 09:00 Chicago, in milliseconds.
const fn min(minutes: i64) -> i64 {
    minutes * 60_000
}

/// Trades at minutes after 09:00, and then the clock.
fn story(world: &mut World, prices: &[(i64, &str)]) {
    for (ms, price) in prices {
        world.tick(trade(price, *ms));
    }
}

fn clock(world: &mut World, ms: i64) {
    world.give(&Input::Clock(t(ms + 250)));
}

fn bar(minutes: u64, bars: u32) -> Confirm {
    Confirm::BarClose { length: secs(60 * minutes), bars }
}

#[test]
fn a_bar_closes_by_the_clock_also_without_trades() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![bar(5, 1)])]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2500.2")]);
    clock(&mut world, min(5) - 1);
    assert_eq!(world.steps(), ["crossed"]);
    clock(&mut world, min(5));
    let broken = world.only(Kind::LevelBroken);
    assert_eq!((broken.reason, broken.occurred_at), (Reason::Confirmed, t(min(5))));
    assert_eq!(broken.numbers["confirmed_by"], "5m bar close");
}

#[test]
fn the_unfinished_bar_never_counts() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![bar(5, 1)])]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2503"), (min(4), "2499.8"), (min(5), "2499.9")]);
    assert_eq!(world.steps(), ["crossed"]);
    story(&mut world, &[(min(6), "2500"), (min(11), "2500.1")]);
    assert_eq!(world.steps(), ["crossed", "broken"], "the bar until 09:10 closed at 2500");
}

#[test]
fn two_bars_in_a_row_may_dip_between_their_closes() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![bar(5, 2)])]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2501"), (min(6), "2499"), (min(9), "2500.5")]);
    assert_eq!(world.steps(), ["crossed"]);
    clock(&mut world, min(10));
    assert_eq!(world.only(Kind::LevelBroken).numbers["bars"], 2);
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![bar(5, 2)])]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2501"), (min(6), "2499")]);
    clock(&mut world, min(10));
    story(&mut world, &[(min(11), "2501")]);
    clock(&mut world, min(15));
    assert_eq!(
        world.steps(),
        ["crossed", "crossed"],
        "the second bar closed behind, and counting began anew"
    );
}

#[test]
fn a_bar_that_nobody_watched_to_its_end_does_not_count() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![bar(5, 1)])]);
    world.give(&live(0));
    story(&mut world, &[(0, "2499.9"), (min(1), "2501")]);
    world.give(&down(min(2)));
    clock(&mut world, min(5));
    world.give(&live(min(6)));
    story(&mut world, &[(min(6), "2501")]);
    assert!(!world.steps().contains(&"broken"));
    clock(&mut world, min(10));
    assert_eq!(world.only(Kind::LevelBroken).occurred_at, t(min(10)));
}

#[test]
fn the_settlement_decides_even_when_the_last_trade_lies_behind() {
    // 15:00 Chicago is six hours after 09:00.
    let end = min(360);
    let settlement = || with!(rule("2500"), confirm: vec![Confirm::SessionClose(Official::Settlement)]);
    let mut world = World::new(vec![settlement()]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2500")]);
    let size =
        |price: &str, size, ms| Tick { update: Update::Trade { price: p(price), size }, ..trade("1", ms) };
    world.tick(size("2500.4", 9, end - 20_000)).tick(size("2499.9", 1, end - 1));
    clock(&mut world, end);
    let broken = world.only(Kind::LevelBroken);
    assert_eq!((broken.occurred_at, broken.reason), (t(end), Reason::Confirmed));
    assert_eq!(broken.numbers["session_close"], "2500.4", "2500.35, rounded to the tick");

    let mut world = World::new(vec![settlement()]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2500"), (end - 20_000, "2499"), (end - 1, "2500")]);
    clock(&mut world, end);
    assert_eq!(world.steps(), ["crossed"], "2499.5 is not 2500");
}

#[test]
fn the_close_of_regular_hours_is_their_last_trade() {
    let close = with!(rule("2500"), confirm: vec![Confirm::SessionClose(Official::Rth)]);
    let mut world = World::new(vec![close]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2501"), (min(359), "2500.1"), (min(360), "2480")]);
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.occurred_at, t(min(360)), "before the first print after 15:00");
    assert_eq!(broken.price.unwrap().to_string(), "2500.1");
}

#[test]
fn a_quote_must_stay_beyond() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![Confirm::Quote(secs(2))])]);
    world.tick(trade("2499.9", 0)).tick(quote("2499.8", "2499.9", 50));
    world.tick(trade("2500", 100)).tick(quote("2500", "2500.1", 200));
    world.tick(quote("2499.9", "2500.1", 1_000)).tick(quote("2500", "2500.1", 1_500));
    clock(&mut world, 3_499);
    assert_eq!(world.steps(), ["crossed"]);
    clock(&mut world, 3_500);
    assert_eq!(world.only(Kind::LevelBroken).occurred_at, t(3_500));
}

#[test]
fn of_a_support_it_is_the_offer_that_must_stay_beyond() {
    let confirm = vec![Confirm::Quote(secs(1))];
    let mut world = World::new(vec![with!(rule("2500"), side: Side::Support, confirm)]);
    world.tick(trade("2500.1", 0)).tick(trade("2500", 100)).tick(quote("2499.9", "2500", 200));
    clock(&mut world, 1_200);
    assert_eq!(world.steps(), ["crossed", "broken"]);
}

#[test]
fn a_crossed_quote_confirms_nothing() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![Confirm::Quote(secs(1))])]);
    world.tick(trade("2499.9", 0)).tick(trade("2500", 100)).tick(quote("2500.5", "2499", 200));
    clock(&mut world, 9_000);
    assert_eq!(world.steps(), ["crossed"]);
}

fn rejecting() -> Rule {
    with!(rule("2500"), reject: Some(Reject { distance: d("10 ticks"), within: secs(600) }))
}

#[test]
fn a_rejection_tells_its_high_its_volume_and_how_often() {
    let mut world = World::new(vec![rejecting()]);
    world.trades(&["2498", "2499.5", "2499.9", "2499.6", "2499"]);
    let rejected = world.only(Kind::LevelRejected);
    assert_eq!(rejected.reason, Reason::TurnedAway);
    assert_eq!(rejected.numbers["zone_high"], "2499.9");
    assert_eq!((&rejected.numbers["zone_volume"], &rejected.numbers["rejections"]), (&3.into(), &1.into()));
    world.trades(&["2499.8", "2498.9"]);
    assert_eq!(world.only(Kind::LevelRejected).numbers["rejections"], 2);
    world.trades(&["2499.8", "2500", "2498"]);
    assert_eq!(world.steps(), ["broken", "failed", "rearmed"], "a break is no rejection");
}

#[test]
fn too_late_is_no_rejection() {
    let mut world = World::new(vec![rejecting()]);
    world.trades(&["2498", "2499.5"]).wait(600_001).trades(&["2499"]);
    assert_eq!(world.steps(), [""; 0]);
    world.trades(&["2499.5", "2499"]);
    assert_eq!(world.steps(), ["rejected"]);
}

#[test]
fn a_crossing_that_was_not_confirmed_can_end_in_a_rejection() {
    let mut world = World::new(vec![with!(rejecting(), confirm: vec![Confirm::Hold(secs(60))])]);
    world.trades(&["2499", "2500.3", "2499.2", "2499"]);
    assert_eq!(world.events.iter().map(|e| e.kind.step()).collect::<Vec<_>>(), ["crossed", "rejected"]);
    assert_eq!(world.only(Kind::LevelRejected).numbers["zone_high"], "2500.3");
}

#[test]
fn a_break_fails_by_the_close_of_a_bar_and_not_by_a_trade() {
    let mut by_bar = rule("2500");
    by_bar.fail.by = FailBy::Bar(secs(300));
    by_bar.rearm = d("50 points");
    let mut world = World::new(vec![by_bar]);
    story(&mut world, &[(0, "2499.9"), (min(1), "2500"), (min(2), "2490"), (min(4), "2500")]);
    clock(&mut world, min(5));
    assert_eq!(world.steps(), ["broken"], "it closed at the level");
    story(&mut world, &[(min(9), "2499.9")]);
    clock(&mut world, min(10));
    assert_eq!(world.only(Kind::LevelFailed).occurred_at, t(min(10)));
}

#[test]
fn a_gap_can_wait_for_a_bar() {
    let mut world = World::new(vec![with!(rule("2500"), gap: GapPolicy::WaitBar)]);
    world.give(&live(0));
    story(&mut world, &[(0, "2499.9")]);
    world.give(&down(min(1))).give(&live(min(2)));
    story(&mut world, &[(min(2), "2503")]);
    assert_eq!(world.steps(), ["crossed"]);
    clock(&mut world, min(5));
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.numbers["last_before"], "2499.9");
    let mut world = World::new(vec![with!(rule("2500"), gap: GapPolicy::WaitBar)]);
    story(&mut world, &[(0, "2499.9"), (100, "2500")]);
    assert_eq!(world.steps(), ["broken"], "without a gap nothing waits");
}

#[test]
fn both_sides_live_their_own_lives_under_one_name() {
    let first = with!(rule("2500"), half: Some(Half::First), expires: Some(t(60_000)));
    let second = with!(first.clone(), half: Some(Half::Second), side: Side::Support);
    let mut world = World::new(vec![first, second]);
    world.trades(&["2499", "2500", "2501", "2500"]);
    let broken = world.events.iter().filter(|e| e.kind == Kind::LevelBroken);
    let sides: Vec<_> = broken.map(|e| (e.kind.step(), e.side.unwrap())).collect();
    assert_eq!(sides, [("broken", Side::Resistance), ("broken", Side::Support)]);
    let threads: std::collections::BTreeSet<_> = world.events.iter().map(|e| e.thread.clone()).collect();
    assert_eq!(threads.len(), 2);
    world.steps();
    world.wait(120_000);
    assert_eq!(world.steps(), ["expired"], "once for both");
}

#[test]
fn gates_keep_a_crossing_untold() {
    let monday = Weekdays::default().with(Weekday::Monday);
    let friday = Weekdays::default().with(Weekday::Friday);
    let between = |from: Time, until: Time, zone: Option<&str>| {
        Some(Between { from, until, zone: zone.map(str::to_owned) })
    };
    let nine = time(9, 0, 0, 0);
    let cases = [
        (with!(rule("2500"), sessions: Sessions::Rth), true),
        (with!(rule("2500"), sessions: Sessions::Eth), false),
        (with!(rule("2500"), days: monday), true),
        (with!(rule("2500"), days: friday), false),
        (with!(rule("2500"), between: between(nine, time(9, 1, 0, 0), None)), true),
        (with!(rule("2500"), between: between(time(8, 0, 0, 0), nine, None)), false),
        (
            with!(rule("2500"), between: between(time(10, 0, 0, 0), time(10, 1, 0, 0), Some("America/New_York"))),
            true,
        ),
        (with!(rule("2500"), between: between(time(23, 0, 0, 0), time(9, 30, 0, 0), None)), true),
        (with!(rule("2500"), starts: Some(t(0))), true),
        (with!(rule("2500"), starts: Some(t(60_000))), false),
    ];
    for (rule, told) in cases {
        let mut world = World::new(vec![rule.clone()]);
        world.trades(&["2499.9", "2500"]);
        assert_eq!(world.steps() == ["broken"], told, "{rule:?}");
    }
}

/// ES beside RTY, at 6000.
fn with_es(rule: Rule) -> World {
    let mut setup = setup(vec![rule]);
    setup.instruments.push(Instrument::builtin("ES").unwrap());
    setup.guards.insert(InstrumentId(1), d("1000 points"));
    setup.feeds[0].instruments.push(InstrumentId(1));
    World::of(setup)
}

fn es(price: &str, ms: i64) -> Tick {
    Tick { instrument: InstrumentId(1), ..trade(price, ms) }
}

#[test]
fn a_break_can_depend_on_another_instrument() {
    let above = |price| When::Above(InstrumentId(1), p(price));
    let cases = [
        (vec![above("6000")], true),
        (vec![above("6000.25")], false),
        (vec![When::Below(InstrumentId(1), p("6000"))], true),
        (vec![above("6000"), above("6001")], false),
        (vec![When::Any(vec![above("6000"), above("6001")])], true),
        (vec![When::All(vec![above("6000"), When::Any(vec![above("6001")])])], false),
    ];
    for (when, told) in cases {
        let mut world = with_es(with!(rule("2500"), when: when.clone()));
        world.tick(es("6000", 10)).trades(&["2499.9", "2500"]);
        assert_eq!(world.steps() == ["broken"], told, "{when:?}");
    }
    let mut world = with_es(with!(rule("2500"), when: vec![above("1")]));
    world.trades(&["2499.9", "2500"]);
    assert_eq!(world.steps(), [""; 0], "of ES nothing is known");
}

#[test]
fn relative_strength_is_the_difference_of_returns() {
    // RTY 2475 -> 2500 is +1.0101 %, ES 6000 -> 6030 is +0.5 %.
    let strength =
        |by: &str| Strength { of: InstrumentId(0), than: InstrumentId(1), by: p(by), over: secs(600) };
    for (by, told) in [("0.5101", true), ("0.5102", false)] {
        let mut world = with_es(with!(rule("2500"), when: vec![When::Stronger(strength(by))]));
        world.tick(trade("2475", 0)).tick(es("6000", 0)).tick(trade("2480", min(1))).tick(es("6010", min(1)));
        world.tick(es("6030", min(11)));
        world.tick(trade("2499", min(11) + 1)).tick(trade("2500", min(11) + 2));
        assert_eq!(world.steps() == ["broken"], told, "{by}");
    }
}

#[test]
fn a_touch_that_only_the_days_high_shows_is_told_as_that() {
    let range =
        |high: &str, ms| Tick { update: Update::Range { high: Some(p(high)), low: None }, ..trade("1", ms) };
    let mut world =
        World::new(vec![rule("2500"), with!(rule("2501"), confirm: vec![Confirm::Hold(secs(1))])]);
    world.tick(range("2600", 0));
    world.trades(&["2499"]).tick(range("2499.8", 150)).tick(range("2501.2", 200));
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.reason, Reason::SeenByDayHigh);
    assert_eq!((broken.level.as_deref(), broken.price.unwrap().to_string()), (Some("2500"), "2501.2".into()));
    world.tick(range("2501.2", 250)).trades(&["2499", "2500"]);
    assert_eq!(world.steps(), ["failed", "rearmed", "broken"]);
}
