//! What is believed, and what is said of silence.

use super::*;
use crate::event::{Reason, Severity};

fn guarded(rules: Vec<Rule>) -> World {
    World::of(Setup { guards: BTreeMap::new(), ..setup(rules) })
}

#[test]
fn a_print_ten_times_too_high_breaks_nothing_and_the_break_that_follows_is_told() {
    let mut world = guarded(vec![rule("2500")]);
    let event = world.trades(&["2499", "24990", "2499.1", "2500"]).events.clone();
    assert_eq!(event[0].kind, Kind::FeedQuarantined);
    assert_eq!(event[0].price.unwrap().to_string(), "24990.0");
    assert_eq!(world.only(Kind::LevelBroken).price.unwrap().to_string(), "2500.0");
}

#[test]
fn two_prints_that_agree_are_the_market() {
    let mut world = guarded(vec![rule("2500")]);
    let event = world.trades(&["2490", "2501", "2501.2"]).only(Kind::LevelBroken);
    assert_eq!(event.price.unwrap().to_string(), "2501.0");
    assert_eq!(event.occurred_at, t(200));
    assert_eq!(event.detected_at, t(202));
}

#[test]
fn a_print_between_two_ticks_is_no_outright() {
    let mut world = guarded(vec![rule("2450")]);
    world.trades(&["2449.9", "2450.05", "2450.15", "2449.9"]);
    assert_eq!(world.only(Kind::FeedQuarantined).reason, Reason::OffGrid);
    assert_eq!(world.trades(&["2450.000000001"]).steps(), ["broken"]);
}

#[test]
fn delayed_and_stale_values_never_fire_and_that_is_said_once() {
    let mut world = World::new(vec![rule("2500")]);
    for quality in [Quality::Delayed, Quality::Stale, Quality::Delayed] {
        for price in ["2499", "2501"] {
            world.tick(Tick { quality, ..trade(price, 10) });
        }
    }
    assert_eq!(world.steps(), ["quiet"]);
}

#[test]
fn one_time_stamp_in_the_future_does_not_stop_the_market() {
    let mut world = World::new(vec![rule("2500")]);
    world.trades(&["2499"]);
    world.tick(Tick { exchange_at: Some(t(200_000)), ..trade("2499.1", 200) });
    world.tick(trade("2499.2", 300)).tick(trade("2500", 400)).tick(trade("2500.1", 500));
    let event = world.only(Kind::LevelBroken);
    assert_eq!(event.price.unwrap().to_string(), "2500.0");
}

#[test]
fn one_very_old_print_on_a_live_connection_is_not_the_market() {
    let mut world = World::new(vec![rule("2500")]);
    world.trades(&["2499"]);
    world.tick(Tick { exchange_at: Some(t(-600_000)), ..trade("2505", 200) });
    assert!(world.tick(trade("2499", 300)).steps().is_empty());
}

#[test]
fn a_print_a_little_out_of_order_counts_and_time_stands_still_for_it() {
    let mut world = World::new(vec![rule("2500")]);
    let event = world.tick(trade("2499", 1_000)).tick(trade("2500", 900)).only(Kind::LevelBroken);
    assert_eq!(event.occurred_at, t(1_000));
}

#[test]
fn a_feed_that_is_back_within_the_grace_time_was_not_down() {
    let mut world = World::new(vec![rule("2500")]);
    world.give(&live(0)).give(&down(1_000)).give(&live(9_000)).wait(60_000);
    assert!(world.steps().is_empty());
}

#[test]
fn an_outage_is_told_once_and_so_is_its_end() {
    let mut world = World::new(vec![rule("2500")]);
    world.give(&live(0)).give(&down(1_000));
    assert_eq!(world.engine.deadline(), Some(t(11_000)));
    world.give(&Input::Clock(t(11_000))).give(&down(12_000)).give(&Input::Clock(t(50_000)));
    let event = world.only(Kind::FeedDown);
    assert_eq!((event.occurred_at, event.severity), (t(1_000), Severity::Critical));
    let up = world.give(&live(61_000)).only(Kind::FeedUp);
    assert_eq!(up.thread, event.thread);
    assert_eq!(up.numbers["down_ms"], 60_000);
}

#[test]
fn a_refusal_is_told_at_once() {
    let mut world = World::new(vec![rule("2500")]);
    let state = LinkState::Down { loss: Loss::Refused, detail: "auth_failed".into() };
    let refused = Input::Item(Item::Link(Link { feed: FeedId(0), at: t(0), state }));
    let event = world.give(&refused).give(&refused).only(Kind::FeedDown);
    assert_eq!((event.reason, event.numbers["detail"].as_str()), (Reason::Refused, Some("auth_failed")));
}

#[test]
fn a_quiet_market_is_back_with_its_first_print() {
    let mut world = World::new(vec![rule("2500")]);
    let quiet = Input::Item(Item::Link(Link { feed: FeedId(0), at: t(120_000), state: LinkState::Quiet }));
    world.give(&live(0)).trades(&["2499"]).give(&quiet);
    assert_eq!(world.steps(), ["quiet"]);
    assert!(world.give(&live(150_000)).steps().is_empty());
    assert_eq!(world.tick(trade("2499", 160_000)).steps(), ["up"]);
}
