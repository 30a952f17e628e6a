//! Where engine and definitions once disagreed, or could have: each a story that both must tell alike.

use std::sync::Arc;
use std::time::Duration;

use breakwatch::engine::rule::{Confirm, Fail, FailBy, Official, PriceFrom, Reject, Rule, Terms};
use breakwatch::event::Side;
use breakwatch::market::price::{Distance, Price};
use breakwatch::market::tick::InstrumentId;
use breakwatch::time::Timestamp;

use crate::contest;
use crate::path::{Act, What};
use crate::story::Case;

/// `2024-11-25T21:59:57.077Z quote 2499.9 / 2500.1`, as stories are printed.
fn act(line: &str) -> Act {
    let next = line.contains("next contract:");
    let line = line.replace("next contract: ", "");
    let words: Vec<&str> = line.split_whitespace().collect();
    let at: Timestamp = words[0].parse().unwrap();
    let ticks = |text: &str| {
        let price: Price = text.parse().unwrap();
        price.minus(crate::path::price(0)).as_nanos() / 100_000_000
    };
    let what = match (&words[1..], next) {
        (["trade", price, "x", size], false) => What::Trade(ticks(price), size.parse().unwrap()),
        (["trade", price, "x", size], true) => What::NextTrade(ticks(price), size.parse().unwrap()),
        (["quote", bid, "/", ask], false) => What::Quote(ticks(bid), ticks(ask)),
        (["quote", bid, "/", ask], true) => What::NextQuote(ticks(bid), ticks(ask)),
        (["clock"], _) => What::Clock,
        (["down"], _) => What::Down,
        (["live"], _) => What::Live,
        (["restart"], _) => What::Restart,
        _ => panic!("not an act: {line}"),
    };
    Act { at, what }
}

/// Both tell this of a level at 2500, each line as kind and time.
#[track_caller]
fn both_tell(terms: impl Fn(&mut Terms), acts: &str, told: &[&str]) {
    let mut of_rule = Terms::plain(InstrumentId(0));
    terms(&mut of_rule);
    let rule = Rule { name: "2500".into(), price: crate::path::price(0), terms: Arc::new(of_rule) };
    let acts: Vec<Act> = acts.lines().map(str::trim).filter(|line| !line.is_empty()).map(act).collect();
    let case = Case { rule: rule.clone(), both: false, acts };
    assert!(!case.differs(), "\n{case}");
    let engine: Vec<String> = contest::engine(&[rule], &case.acts)
        .iter()
        .map(|t| format!("{} {}", t.kind, &t.at.to_string()[11..19]))
        .collect();
    assert_eq!(engine, told, "\n{case}");
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn nothing_is_confirmed_over_the_end_of_a_trade_date_without_a_price() {
    both_tell(
        |t| t.confirm = vec![Confirm::Hold(secs(4))],
        "2024-11-22T21:59:57.000Z trade 2499.9 x 1
         2024-11-22T21:59:58.000Z trade 2500.5 x 1
         2024-11-24T23:00:30.000Z clock
         2024-11-24T23:00:31.000Z trade 2499.0 x 1",
        &["level.crossed 21:59:58"],
    );
}

#[test]
fn a_hold_begins_anew_with_the_first_price_of_a_trade_date() {
    both_tell(
        |t| t.confirm = vec![Confirm::Hold(secs(4))],
        "2024-11-22T21:59:57.000Z trade 2499.9 x 1
         2024-11-22T21:59:58.000Z trade 2500.5 x 1
         2024-11-24T23:00:01.000Z trade 2500.4 x 1
         2024-11-24T23:00:30.000Z clock",
        &["level.crossed 21:59:58", "level.broken 23:00:05"],
    );
}

#[test]
fn a_hold_goes_on_after_a_halt_within_a_trade_date() {
    // Thanksgiving: halted from 18:00 to 23:00, and both parts are of Friday.
    both_tell(
        |t| t.confirm = vec![Confirm::Hold(secs(4))],
        "2024-11-28T17:59:57.000Z trade 2499.9 x 1
         2024-11-28T17:59:58.000Z trade 2500.5 x 1
         2024-11-28T23:00:30.000Z clock",
        &["level.crossed 17:59:58", "level.broken 23:00:02"],
    );
}

#[test]
fn a_quote_from_before_an_outage_confirms_nothing() {
    both_tell(
        |t| t.confirm = vec![Confirm::Quote(secs(5))],
        "2024-11-25T15:00:00.000Z trade 2499.9 x 1
         2024-11-25T15:00:01.000Z quote 2500.2 / 2500.3
         2024-11-25T15:00:05.000Z down
         2024-11-25T15:00:07.000Z live
         2024-11-25T15:00:08.000Z trade 2500.5 x 1
         2024-11-25T15:00:20.000Z clock",
        &["level.crossed 15:00:08"],
    );
}

#[test]
fn prints_from_before_a_restart_are_not_consecutive_with_those_after_it() {
    both_tell(
        |t| t.confirm = vec![Confirm::Quote(secs(2)), Confirm::Prints { count: 2, size: None }],
        "2024-11-25T15:00:00.000Z trade 2499.9 x 1
         2024-11-25T15:00:01.000Z trade 2500.5 x 1
         2024-11-25T15:00:02.000Z trade 2500.6 x 1
         2024-11-25T15:00:03.000Z restart
         2024-11-25T15:00:04.000Z quote 2500.5 / 2500.6
         2024-11-25T15:00:20.000Z clock",
        &["level.crossed 15:00:01"],
    );
}

#[test]
fn a_bar_that_ends_behind_does_not_end_the_wait_for_the_close_of_the_session() {
    both_tell(
        |t| {
            t.confirm =
                vec![Confirm::BarClose { length: secs(60), bars: 1 }, Confirm::SessionClose(Official::Rth)];
        },
        "2024-11-25T20:57:00.000Z trade 2499.9 x 1
         2024-11-25T20:57:01.000Z trade 2500.5 x 1
         2024-11-25T20:57:30.000Z trade 2499.5 x 1
         2024-11-25T20:58:30.000Z trade 2500.5 x 1
         2024-11-25T21:00:30.000Z clock",
        &["level.crossed 20:57:01", "level.broken 21:00:00"],
    );
}

#[test]
fn a_bar_that_ended_before_a_loss_counts_when_nobody_told_the_time_before_it() {
    both_tell(
        |t| t.confirm = vec![Confirm::BarClose { length: secs(5), bars: 3 }],
        "2024-11-25T15:00:00.000Z trade 2499.9 x 1
         2024-11-25T15:00:01.000Z trade 2500.5 x 1
         2024-11-25T15:00:07.000Z trade 2499.5 x 1
         2024-11-25T15:00:40.000Z down
         2024-11-25T15:00:50.000Z live
         2024-11-25T15:00:51.000Z trade 2500.5 x 1",
        &["level.crossed 15:00:01", "level.crossed 15:00:51"],
    );
}

#[test]
fn bars_that_closed_unwatched_do_not_count() {
    both_tell(
        |t| t.confirm = vec![Confirm::BarClose { length: secs(5), bars: 2 }],
        "2024-11-25T15:00:00.000Z trade 2499.9 x 1
         2024-11-25T15:00:01.000Z trade 2500.5 x 1
         2024-11-25T15:00:06.000Z down
         2024-11-25T15:00:12.000Z live
         2024-11-25T15:00:13.000Z trade 2500.5 x 1
         2024-11-25T15:00:30.000Z clock",
        &["level.crossed 15:00:01", "level.broken 15:00:20"],
    );
}

#[test]
fn coming_near_while_the_level_cannot_break_is_used_up() {
    both_tell(
        |t| {
            t.approach = Some(Distance::Ticks(5));
            t.grace = secs(60);
        },
        "2024-11-25T15:00:00.000Z trade 2490.0 x 1
         2024-11-25T15:00:01.000Z trade 2500.0 x 1
         2024-11-25T15:00:02.000Z trade 2490.0 x 1
         2024-11-25T15:00:03.000Z trade 2499.5 x 1
         2024-11-25T15:01:10.000Z trade 2499.2 x 1
         2024-11-25T15:01:11.000Z trade 2499.6 x 1",
        &["level.broken 15:00:01", "level.failed 15:00:02", "level.rearmed 15:01:02"],
    );
}

#[test]
fn price_that_left_the_zone_and_came_back_later_can_be_turned_away_again() {
    let reject = Reject { distance: Distance::Ticks(10), within: secs(10) };
    both_tell(
        |t| t.reject = Some(reject),
        "2024-11-25T15:00:00.000Z trade 2499.0 x 1
         2024-11-25T15:00:01.000Z trade 2499.7 x 1
         2024-11-25T15:00:02.000Z trade 2499.2 x 1
         2024-11-25T15:00:30.000Z trade 2499.8 x 1
         2024-11-25T15:00:31.000Z trade 2499.0 x 1",
        &["level.rejected 15:00:31"],
    );
}

#[test]
fn time_to_be_turned_away_does_not_pass_while_the_market_is_closed() {
    let reject = Reject { distance: Distance::Ticks(10), within: secs(10) };
    both_tell(
        |t| t.reject = Some(reject),
        "2024-11-22T21:59:57.000Z trade 2499.0 x 1
         2024-11-22T21:59:58.000Z trade 2499.7 x 1
         2024-11-24T23:00:01.000Z trade 2499.0 x 1",
        &["level.rejected 23:00:01"],
    );
}

#[test]
fn what_a_break_becomes_is_followed_in_prices_of_the_new_contract() {
    both_tell(
        |_| {},
        "2024-12-13T21:59:40.000Z trade 2499.0 x 1
         2024-12-13T21:59:41.000Z trade 2500.5 x 1
         2024-12-13T21:59:42.000Z trade 2501.5 x 1
         2024-12-13T21:59:43.000Z trade 2500.2 x 1
         2024-12-13T21:59:44.000Z quote 2500.2 / 2500.3
         2024-12-13T21:59:44.000Z next contract: quote 2521.2 / 2521.3
         2024-12-15T23:00:01.000Z next contract: trade 2521.3 x 1
         2024-12-15T23:00:02.000Z next contract: trade 2520.5 x 1",
        &[
            "level.broken 21:59:41",
            "level.retested 21:59:43",
            "level.failed 23:00:02",
            "level.rearmed 23:00:02",
        ],
    );
}

#[test]
fn a_level_that_stays_while_the_last_price_is_rounded_at_a_roll_looks_again() {
    both_tell(
        |t| (t.side, t.price_from, t.margin) = (Side::Support, PriceFrom::Ask, Distance::Ticks(2)),
        "2024-12-13T21:59:31.300Z quote 2499.4 / 2499.6
         2024-12-13T21:59:31.300Z next contract: quote 2499.4 / 2499.7
         2024-12-13T21:59:45.355Z quote 2500.0 / 2500.2
         2024-12-15T23:00:14.133Z next contract: quote 2498.9 / 2499.0",
        &["level.broken 23:00:14"],
    );
}

#[test]
fn a_break_can_fail_by_the_close_of_a_bar() {
    let fail = Fail { distance: Distance::Ticks(5), within: secs(1_800), by: FailBy::Bar(secs(60)) };
    both_tell(
        |t| t.fail = fail,
        "2024-11-25T15:00:00.000Z trade 2499.9 x 1
         2024-11-25T15:00:01.000Z trade 2500.0 x 1
         2024-11-25T15:00:30.000Z trade 2498.0 x 1
         2024-11-25T15:00:59.000Z trade 2499.9 x 1
         2024-11-25T15:01:10.000Z clock",
        &["level.broken 15:00:01", "level.rearmed 15:00:30", "level.failed 15:01:00"],
    );
}

#[test]
fn a_break_by_the_official_close_with_price_behind_is_armed_again_by_the_next_price() {
    both_tell(
        |t| t.confirm = vec![Confirm::SessionClose(Official::Settlement)],
        "2024-11-25T20:59:00.000Z trade 2499.9 x 1
         2024-11-25T20:59:40.000Z trade 2501.0 x 9
         2024-11-25T20:59:50.000Z trade 2499.0 x 1
         2024-11-25T21:00:10.000Z clock
         2024-11-25T21:00:20.000Z trade 2499.0 x 1",
        &[
            "level.crossed 20:59:40",
            "level.broken 21:00:00",
            "level.failed 21:00:20",
            "level.rearmed 21:00:20",
        ],
    );
}
