//! Levels that are taken away and added while prices go on.

use super::*;
use crate::engine::rule::Confirm;
use std::collections::BTreeSet;

fn named(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn a_level_that_was_removed_is_found_by_no_price_and_the_others_are() {
    let mut world = World::new(vec![rule("2500"), rule("2501")]);
    world.trades(&["2499"]);
    assert_eq!(world.engine.remove(&named(&["2500", "unknown"])), ["2500"]);
    world.trades(&["2502"]);
    let broken = world.only(Kind::LevelBroken);
    assert_eq!(broken.level.as_deref(), Some("2501"));
    assert_eq!(broken.numbers.get("next_below"), None, "it is not named as a neighbour");
    assert!(world.engine.remove(&named(&["2500"])).is_empty(), "once is enough");
}

#[test]
fn a_level_that_was_removed_is_found_by_no_time_and_no_lost_feed() {
    let confirm = vec![Confirm::Hold(secs(5))];
    let approach = Some(d("10 points"));
    let mut world = World::new(vec![with!(rule("2500"), confirm, approach)]);
    world.trades(&["2480", "2501"]);
    world.events.clear();
    let hold = t(world.ms + 5_250);
    assert_eq!(world.engine.deadline(), Some(hold));
    let _keys = world.engine.remove(&named(&["2500"]));
    assert!(world.engine.deadline().is_none_or(|other| other > hold), "what is left is not the level's");
    world.wait(60_000).give(&down(world_ms(1))).give(&live(world_ms(2)));
    world.ms += 10;
    world.trades(&["2501", "2480", "2501"]);
    let of_level = world.events.iter().filter(|event| event.level.is_some()).count();
    assert_eq!(of_level, 0, "{:?}", world.events);
}

/// After everything that was waited for.
fn world_ms(n: i64) -> i64 {
    60_200 + n
}

#[test]
fn a_level_that_is_added_again_begins_anew() {
    let mut world = World::new(vec![rule("2500")]);
    world.trades(&["2499", "2500"]);
    assert_eq!(world.steps(), ["broken"]);
    let _keys = world.engine.remove(&named(&["2500"]));
    world.engine.add(rule("2500"));
    world.trades(&["2500.1"]);
    assert_eq!(world.steps(), [""; 0], "found beyond, it is no break");
    world.trades(&["2490", "2500"]);
    assert_eq!(world.steps().last(), Some(&"broken"));
}
