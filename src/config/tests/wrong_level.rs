//! Bad levels, each with the exact message.

use insta::assert_snapshot;

use super::{LEVEL, wrong};

fn level(keys: &str) -> String {
    wrong(&format!("{LEVEL}{keys}\n"))
}

fn source(keys: &str) -> String {
    wrong(&format!("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nsource = {{ {keys} }}\n"))
}

fn basis(value: &str) -> String {
    wrong(&format!("{LEVEL}[instrument.RTY]\nbasis = {value}\n"))
}

#[test]
fn a_level_has_a_price_or_a_source() {
    assert_snapshot!(level("source = { kind = \"record_close\" }"), @"");
    assert_snapshot!(level("side = \"bth\""), @"");
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nsource = \"record_close\"\n"), @"");
}

#[test]
fn bars_are_whole_minutes() {
    assert_snapshot!(level("confirm = [{ bar_close = \"90s\" }, { bar_close = \"0s\" }, { bar_close = \"1day\" }, { bars = 2 }]"), @"");
    assert_snapshot!(level("confirm = [{ session_close = \"eth\" }, { relative_volume = 0 }, { quote = \"0s\" }, { quote = \"1s\", bar_close = \"5m\" }]"), @"");
}

#[test]
fn failure_and_rejection_are_sensible() {
    assert_snapshot!(level("fail = { by = \"bar\", distance = \"5 ticks\" }"), @"");
    assert_snapshot!(level("fail = { by = \"bars\" }\nreject = { distance = \"0 ticks\", within = 3, by = 1 }"), @"");
}

#[test]
fn days_and_times_are_told_apart_from_what_is_none() {
    assert_snapshot!(level("days = [\"mon\", \"mittwoch\"]\ngap = \"wait\""), @"");
    assert_snapshot!(level("days = []"), @"");
    assert_snapshot!(level("between = [\"08:30\"]"), @"");
    assert_snapshot!(level("between = [\"8:30\", \"15:00\"]"), @"");
    assert_snapshot!(level("between = [\"08:30\", \"08:30\"]"), @"");
    assert_snapshot!(level("between = [\"08:30\", \"25:00\"]\nzone_name = \"America/NewYork\""), @"");
    assert_snapshot!(level("zone_name = \"Nowhere\""), @"");
    assert_snapshot!(level("starts = \"2026-02-01T00:00:00Z\"\nexpires = \"2026-01-01T00:00:00Z\""), @"");
}

#[test]
fn a_condition_on_the_market_is_one_condition() {
    assert_snapshot!(level("when = { above = 1 }"), @"");
    assert_snapshot!(level("when = [{}, { above = 1, below = 2 }, { above = true }, { instrument = \"EX\", above = 1 }, { above = 1, by = \"1 %\" }]"), @"");
    assert_snapshot!(level("when = [{ stronger_than = \"RTY\", by = \"2 ticks\", over = \"2d\" }, { weaker_than = \"ES\" }]"), @"");
    assert_snapshot!(level("when = [{ any = [] }, { instrument = \"ES\", all = [{ above = 1 }] }, { any = [{ over = \"1m\" }] }]"), @"");
}

#[test]
fn conditions_have_limits() {
    let deep = "{ any = [".repeat(5) + "{ above = 1 }" + &"] }".repeat(5);
    assert_snapshot!(level(&format!("when = [{deep}]")), @"");
    let many = "{ above = 1 }, ".repeat(51);
    assert_snapshot!(level(&format!("when = [{many}]")), @"");
}

#[test]
fn a_source_has_its_own_keys() {
    assert_snapshot!(source(""), @"");
    assert_snapshot!(source("kind = \"prior_dy\""), @"");
    assert_snapshot!(source("kind = 3"), @"");
    assert_snapshot!(source("kind = \"round\""), @"");
    assert_snapshot!(source("kind = \"round\", step = 0, n = 3"), @"");
    assert_snapshot!(source("kind = \"prior_day\", of = \"open\", hours = \"eth\""), @"");
    assert_snapshot!(source("kind = \"week\""), @"");
    assert_snapshot!(source("kind = \"week\", state = \"developing\", of = \"close\", hours = \"rth\""), @"");
    assert_snapshot!(source("kind = \"overnight\", of = \"mid\""), @"");
    assert_snapshot!(source("kind = \"opening_range\", minutes = 391, line = \"+3x\""), @"");
    assert_snapshot!(source("kind = \"record_high\", n = 3"), @"");
    assert_snapshot!(source("kind = \"pivot\", family = \"woody\""), @"");
    assert_snapshot!(source("kind = \"pivot\", family = \"woodie\", line = \"R3\""), @"");
    assert_snapshot!(source("kind = \"sma\", n = 0, bar = \"30s\""), @"");
    assert_snapshot!(source("kind = \"ema\""), @"");
    assert_snapshot!(source("kind = \"vwap\", anchor = \"year\", sigmas = 11"), @"");
    assert_snapshot!(source("kind = \"donchian\", n = 1001"), @"");
    assert_snapshot!(source("kind = \"swing\", left = 1"), @"");
    assert_snapshot!(source("kind = \"trendline\", from = [\"2025-01-02T15:00:00Z\", 0], to = [\"2025-01-02T15:00:00Z\", 2], log = true"), @"");
    assert_snapshot!(source("kind = \"trendline\", from = 3, to = [\"2025-01-02\", 2]"), @"");
}

#[test]
fn the_lines_of_a_source_have_names_of_their_own() {
    assert_snapshot!(wrong(
        "[[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"pivot\" }\n\
         [[level]]\nname = \"p R1\"\ninstrument = \"RTY\"\nprice = 1\n"
    ), @"");
    assert_snapshot!(wrong(
        "[[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"overnight\" }\n\
         [[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"overnight\" }\n"
    ), @"");
}

#[test]
fn an_index_price_needs_a_basis() {
    assert_snapshot!(level("space = \"index\""), @"");
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nspace = \"index\"\nsource = { kind = \"record_close\" }\n"), @"");
    assert_snapshot!(basis("{}"), @"");
    assert_snapshot!(basis("{ r = \"3 %\" }"), @"");
    assert_snapshot!(basis("{ rates = \"2.9\", index = \"RTY\" }"), @"");
    assert_snapshot!(basis("{ rates = 2.9 }"), @"");
    assert_snapshot!(basis("{ rates = \"290 %\" }"), @"");
    assert_snapshot!(basis("{ index = \"RUT\" }"), @"");
    assert_snapshot!(wrong("[instrument.RUT]\ntick = \"0.01\"\nbasis = { rates = \"1 %\" }\n"), @"");
    assert_snapshot!(wrong("[instrument.RTY]\nguard = \"2 atr\"\n"), @"");
}
