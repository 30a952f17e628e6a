//! Crossing, confirming, approaching, failing, holding and arming again.

use super::*;
use crate::engine::rule::Follow;
use crate::engine::rule::{Confirm, GapPolicy, PriceFrom};
use crate::event::Reason;

#[test]
fn a_break_fires_once_until_price_falls_back() {
    // domain.md 4: 2499.9, 2500.0 fires; 2500.1 after it does not fire again.
    let mut world = World::new(vec![rule("2500")]);
    let event =
        world.trades(&["2499.9", "2500.0", "2500.1", "2500.0", "2499.9", "2500.0"]).only(Kind::LevelBroken);
    assert_eq!(event.reason, Reason::Cross);
    assert_eq!(event.price.unwrap().to_string(), "2500.0");
    assert_eq!(event.occurred_at, t(200));
    assert_eq!(event.detected_at, t(202));
    assert_eq!(event.contract.as_deref(), Some("RTYZ4"));
}

#[test]
fn a_rule_that_starts_beyond_does_not_fire_until_price_was_back() {
    let mut world = World::new(vec![rule("2500")]);
    assert!(world.trades(&["2500.3", "2500.0", "2501", "2499.6", "2500.5"]).steps().is_empty());
    assert_eq!(world.trades(&["2499.5", "2500"]).steps(), ["broken"]);
}

#[test]
fn a_level_between_ticks_never_fires_before_the_true_level() {
    let mut world = World::new(vec![rule("2442.74")]);
    assert!(world.trades(&["2440", "2442.7"]).steps().is_empty());
    let event = world.trades(&["2442.8"]).only(Kind::LevelBroken);
    assert_eq!(event.threshold.unwrap().to_string(), "2442.8");
    assert_eq!(event.level_price.unwrap().to_string(), "2442.74");
    let mut support = World::new(vec![with!(rule("2442.74"), side: Side::Support)]);
    assert!(support.trades(&["2445", "2442.8"]).steps().is_empty());
    assert_eq!(support.trades(&["2442.7"]).steps(), ["broken"]);
}

#[test]
fn margin_and_strict_move_the_threshold() {
    let mut world = World::new(vec![with!(rule("2500"), margin: d("2 ticks"))]);
    assert!(world.trades(&["2499", "2500.1"]).steps().is_empty());
    assert_eq!(world.trades(&["2500.2"]).steps(), ["broken"]);
    let mut world = World::new(vec![with!(rule("2500"), strict: true)]);
    assert!(world.trades(&["2499", "2500", "2499.9", "2500"]).steps().is_empty());
    assert_eq!(world.trades(&["2500.1"]).steps(), ["broken"]);
}

#[test]
fn a_rule_may_compare_bid_offer_or_the_middle() {
    let quiet = |from| World::new(vec![with!(rule("2500"), price_from: from)]);
    let mut bid = quiet(PriceFrom::Bid);
    bid.tick(quote("2499", "2499.2", 0)).tick(trade("2505", 10)).tick(quote("2499.9", "2500.2", 20));
    assert!(bid.steps().is_empty());
    assert_eq!(bid.tick(quote("2500", "2500.1", 30)).steps(), ["broken"]);
    let mut mid = quiet(PriceFrom::Mid);
    assert!(mid.tick(quote("2499", "2499.2", 0)).tick(quote("2499.8", "2500.1", 10)).steps().is_empty());
    assert_eq!(mid.tick(quote("2499.9", "2500.1", 20)).steps(), ["broken"]);
    let mut crossed = quiet(PriceFrom::Ask);
    assert!(crossed.tick(quote("2499", "2499.2", 0)).tick(quote("2505", "2501", 10)).steps().is_empty());
}

#[test]
fn prints_count_at_distinct_exchange_times_so_that_one_sweep_is_not_many() {
    let prints = Confirm::Prints { count: 3, size: None };
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![prints])]);
    world.trades(&["2499"]).tick(trade("2500", 200)).tick(trade("2500.1", 200)).tick(trade("2500.2", 200));
    assert_eq!(world.steps(), ["crossed"]);
    world.tick(trade("2500", 201));
    assert!(world.steps().is_empty());
    let event = world.tick(trade("2500.1", 202)).only(Kind::LevelBroken);
    assert_eq!(event.reason, Reason::Confirmed);
    assert_eq!(event.numbers["confirmed_by"], "3 prints");
    assert_eq!(event.numbers["prints"], 3);
}

#[test]
fn a_fall_back_begins_the_count_anew() {
    let prints = Confirm::Prints { count: 2, size: None };
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![prints])]);
    world.trades(&["2499", "2500", "2499.9", "2500", "2499.9"]);
    assert_eq!(world.steps(), ["crossed", "crossed"]);
    assert_eq!(world.trades(&["2500", "2500"]).steps(), ["crossed", "broken"]);
}

#[test]
fn enough_size_is_as_good_as_enough_prints() {
    let prints = Confirm::Prints { count: 5, size: Some(10) };
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![prints])]);
    world.trades(&["2499", "2500"]);
    let big = Tick { update: Update::Trade { price: p("2500"), size: 9 }, ..trade("2500", 200) };
    assert_eq!(world.tick(big).steps(), ["crossed", "broken"]);
}

#[test]
fn a_hold_ends_by_the_clock_even_when_nothing_trades() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![Confirm::Hold(secs(5))])]);
    assert_eq!(world.trades(&["2499", "2500"]).steps(), ["crossed"]);
    assert_eq!(world.engine.deadline(), Some(t(200 + 5_000 + 250)));
    assert!(world.wait(5_249).steps().is_empty());
    let event = world.wait(1).only(Kind::LevelBroken);
    assert_eq!(event.occurred_at, t(5_200));
    assert_eq!(event.numbers["held_ms"], 5_000);
    assert!(world.engine.deadline().is_some(), "what becomes of the break is watched");
}

#[test]
fn a_print_that_was_on_its_way_still_ends_a_hold() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![Confirm::Hold(secs(5))])]);
    world.trades(&["2499", "2500"]).wait(5_100);
    world.tick(trade("2499.9", 5_199)).wait(1_000);
    assert_eq!(world.steps(), ["crossed"]);
}

#[test]
fn a_hold_is_proven_by_a_later_print_at_the_moment_it_was_complete() {
    let mut world = World::new(vec![with!(rule("2500"), confirm: vec![Confirm::Hold(secs(5))])]);
    world.trades(&["2499", "2500"]).tick(trade("2498", 9_000));
    assert_eq!(world.events[1].occurred_at, t(5_200));
    assert_eq!(world.steps(), ["crossed", "broken", "failed", "rearmed"]);
}

#[test]
fn a_lost_feed_begins_a_hold_and_a_count_anew() {
    let confirm = vec![Confirm::Hold(secs(5)), Confirm::Prints { count: 2, size: None }];
    let mut world = World::new(vec![with!(rule("2500"), confirm)]);
    world.trades(&["2499", "2500", "2500"]).give(&down(1_000)).wait(9_000);
    assert_eq!(world.steps(), ["crossed"]);
    world.give(&live(10_000)).tick(trade("2500", 11_000)).give(&Input::Clock(t(15_900)));
    assert!(world.steps().is_empty());
    world.tick(trade("2500", 16_100));
    assert_eq!(world.events[0].numbers["prints"], 2);
    assert_eq!(world.steps(), ["broken"]);
}

#[test]
fn all_conditions_must_hold() {
    let confirm = vec![Confirm::Prints { count: 2, size: None }, Confirm::Hold(secs(1)), Confirm::Volume(4)];
    let mut world = World::new(vec![with!(rule("2500"), confirm)]);
    assert_eq!(world.trades(&["2499", "2500", "2500"]).wait(2_000).steps(), ["crossed"]);
    assert!(world.trades(&["2500.1"]).steps().is_empty());
    let event = world.trades(&["2500.1"]).only(Kind::LevelBroken);
    assert_eq!(event.numbers["confirmed_by"], "2 prints, 1s hold, 4 contracts");
}

#[test]
fn what_is_not_confirmed_in_time_waits_until_price_was_back() {
    let confirm = vec![Confirm::Volume(100)];
    let mut world = World::new(vec![with!(rule("2500"), confirm, confirm_within: Some(secs(10)))]);
    assert_eq!(world.trades(&["2499", "2500"]).wait(20_000).trades(&["2500", "2501"]).steps(), ["crossed"]);
    assert_eq!(world.trades(&["2499.9", "2500"]).steps(), ["crossed"]);
}

#[test]
fn an_approach_is_told_once_until_price_was_twice_as_far_away() {
    let mut world = World::new(vec![with!(rule("2500"), approach: Some(d("10 points")))]);
    let event = world.trades(&["2480", "2489.9", "2490", "2495", "2485", "2491"]).only(Kind::LevelApproached);
    assert_eq!(event.numbers["distance_ticks"], 100);
    assert_eq!(world.trades(&["2480", "2490.1", "2500"]).steps(), ["approached", "broken"]);
}

#[test]
fn a_jump_through_the_level_is_a_break_and_no_approach() {
    let mut world = World::new(vec![with!(rule("2500"), approach: Some(d("10 points")))]);
    assert_eq!(world.trades(&["2480", "2501"]).steps(), ["broken"]);
}

#[test]
fn approach_and_break_are_one_thread() {
    let mut world = World::new(vec![with!(rule("2500"), approach: Some(d("10 points")))]);
    world.trades(&["2480", "2492", "2500", "2499.4"]);
    let threads: Vec<_> = world.events.iter().map(|e| e.thread.clone()).collect();
    assert!(threads.iter().all(|thread| *thread == threads[0]));
    let ids: Vec<_> =
        world.events.iter().map(|e| e.id.as_str().rsplit_once('.').unwrap().0.to_owned()).collect();
    assert_eq!(ids.iter().map(|id| id.rsplit('.').next().unwrap()).collect::<Vec<_>>(), ["1", "2", "3", "4"]);
    assert_eq!(world.steps(), ["approached", "broken", "failed", "rearmed"]);
}

#[test]
fn a_break_fails_at_the_failure_distance_and_within_its_time_only() {
    let wide = with!(rule("2500"), rearm: d("50 points"));
    let mut world = World::new(vec![wide.clone()]);
    assert_eq!(world.trades(&["2499", "2500", "2499.6"]).steps(), ["broken"]);
    let event = world.trades(&["2499.5"]).only(Kind::LevelFailed);
    assert_eq!(event.reason, Reason::FellBack);
    assert_eq!(event.numbers["since_break_ms"], 200);
    let mut world = World::new(vec![wide]);
    assert_eq!(world.trades(&["2499", "2500"]).wait(1_800_001).trades(&["2499"]).steps(), ["broken"]);
}

#[test]
fn a_retest_holds_when_price_leaves_the_zone_upwards_and_fails_otherwise() {
    let wide = with!(rule("2500"), rearm: d("50 points"));
    let mut world = World::new(vec![wide.clone()]);
    assert_eq!(world.trades(&["2499", "2500", "2500.9", "2500.4"]).steps(), ["broken"], "no excursion yet");
    assert_eq!(world.trades(&["2501", "2500.6", "2500.5", "2500.9", "2501"]).steps(), ["retested", "held"]);
    assert!(world.trades(&["2499"]).steps().is_empty(), "the story is over");
    let mut world = World::new(vec![wide]);
    assert_eq!(world.trades(&["2499", "2501", "2500.2", "2499.5"]).steps(), ["broken", "retested", "failed"]);
}

#[test]
fn steps_that_nobody_follows_are_not_told() {
    let follow = Follow { retest: false, held: true, failed: false };
    let mut world = World::new(vec![with!(rule("2500"), follow, rearm: d("50 points"))]);
    assert_eq!(world.trades(&["2499", "2501", "2500.2", "2501"]).steps(), ["broken", "held"]);
}

#[test]
fn rearming_needs_price_grace_and_cooldown_together() {
    let rule = with!(rule("2500"), rearm: d("2 points"), grace: secs(10), cooldown: secs(60));
    let rule = with!(rule, follow: Follow { retest: false, held: false, failed: false });
    let mut world = World::new(vec![rule]);
    assert_eq!(world.trades(&["2499", "2500", "2498"]).steps(), ["broken"]);
    assert!(world.wait(30_000).steps().is_empty(), "the cooldown is not over");
    assert!(world.trades(&["2498.1"]).wait(60_000).steps().is_empty(), "price was not back long enough");
    world.trades(&["2498"]);
    let back = world.ms;
    let event = world.wait(20_000).only(Kind::LevelRearmed);
    assert_eq!(event.occurred_at, t(back + 10_000));
    assert_eq!(world.trades(&["2500"]).steps(), ["broken"]);
}

#[test]
fn a_cooldown_is_never_prolonged_by_a_price_that_stays_beyond() {
    let mut world = World::new(vec![with!(rule("2500"), cooldown: secs(60))]);
    world.trades(&["2499", "2500"]);
    for _ in 0..10 {
        world.wait(10_000).trades(&["2500.1"]);
    }
    assert_eq!(world.trades(&["2499.5", "2500"]).steps(), ["broken", "failed", "rearmed", "broken"]);
}

#[test]
fn a_failure_goes_out_inside_the_cooldown() {
    let mut world = World::new(vec![with!(rule("2500"), cooldown: secs(600))]);
    assert_eq!(world.trades(&["2499", "2500", "2499.5", "2500"]).steps(), ["broken", "failed"]);
}

#[test]
fn no_more_breaks_than_allowed_in_one_session() {
    let mut world = World::new(vec![with!(rule("2500"), max_per_session: Some(2))]);
    world.trades(&["2499", "2500", "2499", "2500", "2499", "2500", "2499"]);
    assert_eq!(world.steps().iter().filter(|step| **step == "broken").count(), 2);
    // The next trade date begins at 17:00 Chicago, eight hours later.
    let tomorrow = 9 * 3_600_000;
    world.tick(trade("2499", tomorrow)).tick(trade("2500", tomorrow + 100));
    assert_eq!(world.steps(), ["rearmed", "broken"]);
}

#[test]
fn a_support_is_a_resistance_in_the_mirror() {
    let support = with!(rule("2500"), side: Side::Support, approach: Some(d("10 points")));
    let mut world = World::new(vec![support]);
    world.trades(&["2520", "2509", "2500", "2499", "2500.4", "2499", "2500.5"]);
    assert_eq!(world.events[1].side, Some(Side::Support));
    assert_eq!(world.steps(), ["approached", "broken", "retested", "held", "rearmed"]);
}

#[test]
fn a_break_during_an_outage_is_a_gap_break_and_says_so() {
    let mut world = World::new(vec![rule("2500"), rule("2600")]);
    world.trades(&["2499"]).give(&down(1_000)).give(&live(300_000)).tick(trade("2503", 300_100));
    let event = world.only(Kind::LevelBroken);
    assert_eq!(event.reason, Reason::Gap);
    assert_eq!(event.numbers["gap"], "4.0");
    assert_eq!(event.numbers["last_before"], "2499.0");
    assert_eq!(event.numbers["unwatched_from"], t(100).to_string());
    assert_eq!(event.numbers["unwatched_until"], t(300_100).to_string());
    assert_eq!(event.numbers["next_above"], "2,600.0 (+97.0)");
}

#[test]
fn an_outage_without_a_straddle_says_nothing() {
    let mut world = World::new(vec![rule("2500")]);
    world.trades(&["2499"]).give(&down(1_000)).give(&live(2_000)).tick(trade("2498", 2_100));
    assert_eq!(world.tick(trade("2500", 2_200)).only(Kind::LevelBroken).reason, Reason::Cross);
}

#[test]
fn a_gap_between_sessions_can_be_ignored() {
    let ignore = Rule { name: "ignored".into(), ..with!(rule("2500"), gap: GapPolicy::Ignore) };
    let mut world = World::new(vec![ignore, rule("2500")]);
    let tomorrow = 24 * 3_600_000;
    let event = world.trades(&["2499"]).tick(trade("2510", tomorrow)).only(Kind::LevelBroken);
    assert_eq!((event.level.as_deref(), event.reason), (Some("2500"), Reason::Gap));
}

#[test]
fn a_snapshot_places_a_rule_and_never_fires() {
    let snapshot = |price, ms| Tick { quality: Quality::Snapshot, ..trade(price, ms) };
    let mut world = World::new(vec![rule("2500")]);
    world.tick(snapshot("2499", 0)).tick(snapshot("2505", 10));
    assert!(world.steps().is_empty());
    assert_eq!(world.trades(&["2500"]).steps(), ["broken"]);
    let mut world = World::new(vec![rule("2500")]);
    assert!(world.tick(snapshot("2505", 0)).trades(&["2501"]).steps().is_empty());
}

#[test]
fn a_rule_ends_when_it_expires_and_says_so() {
    let mut world = World::new(vec![with!(rule("2500"), expires: Some(t(60_000)))]);
    world.trades(&["2499"]).wait(70_000);
    assert_eq!(world.events[0].occurred_at, t(60_000));
    assert_eq!(world.steps(), ["expired"]);
    assert!(world.trades(&["2500"]).wait(70_000).steps().is_empty());
}

#[test]
fn a_roll_without_a_spread_suspends_levels_in_contract_prices() {
    let pinned = Rule { name: "pinned".into(), ..with!(rule("2500"), contract: Some(Z4)) };
    let mut world = World::new(vec![rule("2500"), pinned]);
    let march = |price, ms| Tick { contract: Some(H5), ..trade(price, ms) };
    world.trades(&["2499"]).tick(march("2520", 200)).tick(march("2521", 300));
    assert_eq!(world.events[1].level.as_deref(), Some("2500"));
    assert_eq!(world.events[0].numbers["to"], "RTYH5");
    assert_eq!(world.steps(), ["rolled", "suspended"]);
    let event = world.tick(trade("2500", 400)).only(Kind::LevelBroken);
    assert_eq!(event.level.as_deref(), Some("pinned"));
}

#[test]
fn the_surroundings_are_told() {
    let mut world = World::new(vec![rule("2500"), rule("2510"), rule("2490"), rule("2475.5")]);
    let event = world
        .trades(&["2480", "2470", "2499", "2500.5"])
        .events
        .iter()
        .rfind(|e| e.level.as_deref() == Some("2500"))
        .cloned()
        .unwrap();
    assert_eq!(event.numbers["next_above"], "2,510.0 (+9.5)");
    assert_eq!(event.numbers["next_below"], "2,490.0 (-10.5)");
    assert_eq!(
        (event.numbers["day_high"].as_str(), event.numbers["day_low"].as_str()),
        (Some("2500.5"), Some("2470.0"))
    );
}
