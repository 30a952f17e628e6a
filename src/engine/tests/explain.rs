//! What a level says when it is asked.

use super::*;
use crate::engine::explain::{Explanation, nearest_miss};
use crate::engine::rule::{Confirm, Sessions};
use crate::market::price::TickSize;

fn one(world: &World, name: &str) -> Explanation {
    let mut found = world.engine.explain(name, t(world.ms));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn an_armed_level_says_how_many_ticks_are_left() {
    let mut world = World::new(vec![rule("2500"), rule("2600")]);
    assert_eq!(one(&world, "2500").state, "waits for its first price");
    world.trades(&["2490"]);
    let said = one(&world, "2500");
    assert_eq!((said.state, said.ticks_to_go), ("armed", Some(100)));
    assert_eq!(said.threshold.unwrap().to_string(), "2500.0");
    assert_eq!(said.last.unwrap().to_string(), "2490.0");
    assert_eq!(said.contract.as_deref(), Some("RTYZ4"));
    assert!(world.engine.explain("2501", t(0)).is_empty());
}

#[test]
fn a_pending_level_says_what_is_met_and_how_far_the_rest_has_come() {
    let confirm = vec![Confirm::Prints { count: 2, size: None }, Confirm::Hold(secs(60))];
    let mut world = World::new(vec![with!(rule("2500"), confirm)]);
    world.trades(&["2499", "2500", "2500.1"]);
    let said = one(&world, "2500");
    assert_eq!(said.state, "waiting for confirmation");
    let met: Vec<(bool, &str)> = said.conditions.iter().map(|c| (c.met, &*c.progress)).collect();
    assert_eq!(met[0], (true, "2 so far"));
    assert!(!met[1].0, "{met:?}");
}

#[test]
fn a_broken_level_says_what_arms_it_again() {
    let mut world = World::new(vec![with!(rule("2500"), cooldown: secs(60), max_per_session: Some(1))]);
    world.trades(&["2499", "2500"]);
    let said = one(&world, "2500");
    assert_eq!(said.state, "broken");
    assert_eq!(said.missing[0], "price back to 2,499.5");
    assert!(said.missing[1].contains("cooldown"), "{:?}", said.missing);
    assert!(said.missing[2].contains("1 of 1 breaks"), "{:?}", said.missing);
    world.trades(&["2499"]);
    assert!(!one(&world, "2500").missing.iter().any(|words| words.contains("price back")));
}

#[test]
fn the_gate_that_blocked_is_named_with_its_time() {
    let mut world = World::new(vec![with!(rule("2500"), sessions: Sessions::Eth)]);
    world.trades(&["2499", "2500"]);
    let said = one(&world, "2500");
    assert_eq!(said.state, "beyond, and waits to be armed");
    let remark = said.remark.unwrap();
    assert_eq!((remark.what, remark.at), ("crossed outside the rule's sessions", t(200)));
}

#[test]
fn a_lost_feed_is_named_with_its_time() {
    let mut world = World::new(vec![rule("2500")]);
    world.trades(&["2499"]).give(&down(5_000));
    let said = one(&world, "2500");
    assert_eq!(said.unwatched_since, Some(t(100)));
    assert_eq!((&*said.outages[0].feed, said.outages[0].since), ("test", t(5_000)));
}

#[test]
fn the_nearest_miss_is_the_first_of_the_nearest_bars() {
    let tick = TickSize::new(p("0.1")).unwrap();
    let bars = [("2495", "2490"), ("2499.7", "2498"), ("2499.7", "2480")];
    let bars = || bars.iter().zip(0..).map(|((high, low), n)| (t(n), p(high), p(low)));
    let up = nearest_miss(bars(), p("2500"), Side::Resistance, tick).unwrap();
    assert_eq!((up.at, up.price, up.ticks), (t(1), p("2499.7"), 3));
    let support = nearest_miss(bars(), p("2481"), Side::Support, tick).unwrap();
    assert_eq!((support.price, support.ticks), (p("2480"), -10));
    assert_eq!(nearest_miss(std::iter::empty(), p("1"), Side::Support, tick), None);
}
