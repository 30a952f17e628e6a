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
    assert_snapshot!(level("source = { kind = \"record_close\" }"), @r#"test.toml: level "2500": source: stands beside price; a level has one of the two"#);
    assert_snapshot!(level("side = \"bth\""), @r#"test.toml: level "2500": side: "bth" is not allowed; did you mean "both"?"#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nsource = \"record_close\"\n"), @r#"test.toml: level "x": source: "record_close" is not a table"#);
}

#[test]
fn bars_are_whole_minutes() {
    assert_snapshot!(level("confirm = [{ bar_close = \"90s\" }, { bar_close = \"0s\" }, { bar_close = \"1day\" }, { bars = 2 }]"), @r#"
    test.toml: level "2500": confirm #1.bar_close: "90s" is not the length of a bar: whole minutes, from "1m" to "23h"
    test.toml: level "2500": confirm #2.bar_close: "0s" is not the length of a bar: whole minutes, from "1m" to "23h"
    test.toml: level "2500": confirm #3.bar_close: "1day" is not the length of a bar: whole minutes, from "1m" to "23h"
    test.toml: level "2500": confirm #4.bars: stands beside bar_close: { bar_close = "5m", bars = 2 }
    "#);
    assert_snapshot!(level("confirm = [{ session_close = \"eth\" }, { relative_volume = 0 }, { quote = \"0s\" }, { quote = \"1s\", bar_close = \"5m\" }]"), @r#"
    test.toml: level "2500": confirm #1.session_close: "eth" is not allowed; did you mean "rth"?
    test.toml: level "2500": confirm #2.relative_volume: 0 is not a multiple of the usual volume, like 1.5 (at most 1000)
    test.toml: level "2500": confirm #3.quote: "0s" must be more than nothing
    test.toml: level "2500": confirm #4: is several conditions in one; write [{ prints = 2 }, { hold = "5s" }]
    "#);
}

#[test]
fn failure_and_rejection_are_sensible() {
    assert_snapshot!(level("fail = { by = \"bar\", distance = \"5 ticks\" }"), @r#"test.toml: level "2500": fail.distance: has no meaning with by = "bar": a bar need only close behind the level"#);
    assert_snapshot!(level("fail = { by = \"bars\" }\nreject = { distance = \"0 ticks\", within = 3, by = 1 }"), @r#"
    test.toml: level "2500": fail.by: "bars" is not allowed; did you mean "bar"?
    test.toml: level "2500": reject: unknown key "by"; known: distance, within
    test.toml: level "2500": reject.distance: "0 ticks" must be more than nothing
    test.toml: level "2500": reject.within: 3 is not a duration like "5s" or "10m"
    "#);
}

#[test]
fn days_and_times_are_told_apart_from_what_is_none() {
    assert_snapshot!(level("days = [\"mon\", \"mittwoch\"]\ngap = \"wait\""), @r#"
    test.toml: level "2500": gap: "wait" is not allowed; known: fire, wait_bar, ignore
    test.toml: level "2500": days: "mittwoch" is not allowed; known: mon, tue, wed, thu, fri, sat, sun, monday, tuesday, wednesday, thursday, friday, saturday, sunday
    "#);
    assert_snapshot!(level("days = []"), @r#"test.toml: level "2500": days: is an empty list"#);
    assert_snapshot!(level("between = [\"08:30\"]"), @r#"test.toml: level "2500": between: is not a list of two times, like ["08:30", "15:00"]"#);
    assert_snapshot!(level("between = [\"8:30\", \"15:00\"]"), @r#"test.toml: level "2500": between: "8:30" is not a time of the day like "08:30""#);
    assert_snapshot!(level("between = [\"08:30\", \"08:30\"]"), @r#"test.toml: level "2500": between: begins where it ends, at 08:30; like ["08:30", "15:00"]"#);
    assert_snapshot!(level("between = [\"08:30\", \"25:00\"]\nzone_name = \"America/NewYork\""), @r#"
    test.toml: level "2500": zone_name: "America/NewYork" is not the IANA name of a time zone; did you mean "America/New_York"?
    test.toml: level "2500": between: "25:00" is not a time of the day like "08:30"
    "#);
    assert_snapshot!(level("zone_name = \"Nowhere\""), @r#"
    test.toml: level "2500": zone_name: "Nowhere" is not the IANA name of a time zone; like "America/New_York"
    test.toml: level "2500": zone_name: has no meaning without between
    "#);
    assert_snapshot!(level("starts = \"2026-02-01T00:00:00Z\"\nexpires = \"2026-01-01T00:00:00Z\""), @r#"test.toml: level "2500": starts: 2026-02-01T00:00:00.000Z is not before expires, which is 2026-01-01T00:00:00.000Z"#);
}

#[test]
fn a_condition_on_the_market_is_one_condition() {
    assert_snapshot!(level("when = { above = 1 }"), @r#"test.toml: level "2500": when: a table is not a list"#);
    assert_snapshot!(level("when = [{}, { above = 1, below = 2 }, { above = true }, { instrument = \"EX\", above = 1 }, { above = 1, by = \"1 %\" }]"), @r#"
    test.toml: level "2500": when #1: is no condition; an item has one of above, below, stronger_than, weaker_than, any, all
    test.toml: level "2500": when #2: is several conditions in one; an item has one of above, below, stronger_than, weaker_than, any, all
    test.toml: level "2500": when #3.above: true is not a price like 2500, 2442.74 or "2442.74"
    test.toml: level "2500": when #4.instrument: unknown instrument "EX" (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)
    test.toml: level "2500": when #5.by: stands beside stronger_than or weaker_than only
    "#);
    assert_snapshot!(level("when = [{ stronger_than = \"RTY\", by = \"2 ticks\", over = \"2d\" }, { weaker_than = \"ES\" }]"), @r#"
    test.toml: level "2500": when #1.stronger_than: "RTY" is compared with itself
    test.toml: level "2500": when #1.by: "2 ticks" is not a share like "0.2 %"
    test.toml: level "2500": when #1.over: "2d" is not from 1m to 1day
    test.toml: level "2500": when #2.by: is missing; the difference of the returns, like "0.2 %"
    test.toml: level "2500": when #2.over: is missing; the time, like "30m"
    "#);
    assert_snapshot!(level("when = [{ any = [] }, { instrument = \"ES\", all = [{ above = 1 }] }, { any = [{ over = \"1m\" }] }]"), @r#"
    test.toml: level "2500": when #1.any: is an empty list
    test.toml: level "2500": when #2.instrument: stands inside any and all, not beside them
    test.toml: level "2500": when #3.any #1: is no condition; an item has one of above, below, stronger_than, weaker_than, any, all
    "#);
}

#[test]
fn conditions_have_limits() {
    let deep = "{ any = [".repeat(5) + "{ above = 1 }" + &"] }".repeat(5);
    assert_snapshot!(level(&format!("when = [{deep}]")), @r#"test.toml: level "2500": when #1.any #1.any #1.any #1.any #1.any: any and all lie in each other more than 4 deep"#);
    let many = "{ above = 1 }, ".repeat(51);
    assert_snapshot!(level(&format!("when = [{many}]")), @r#"test.toml: level "2500": when: has 51 conditions; at most 50"#);
}

#[test]
fn a_source_has_its_own_keys() {
    assert_snapshot!(source(""), @r#"test.toml: level "x": source.kind: is missing; known: round, prior_day, prior_week, prior_month, prior_quarter, prior_year, week, month, quarter, year, overnight, opening_range, high_52w, record_high, record_close, pivot, sma, ema, vwap, donchian, swing, trendline"#);
    assert_snapshot!(source("kind = \"prior_dy\""), @r#"test.toml: level "x": source.kind: "prior_dy" is no kind of source; did you mean "prior_day"?"#);
    assert_snapshot!(source("kind = 3"), @r#"test.toml: level "x": source.kind: 3 is not a text in quotes"#);
    assert_snapshot!(source("kind = \"round\""), @r#"test.toml: level "x": source.step: is missing; like 50"#);
    assert_snapshot!(source("kind = \"round\", step = 0, n = 3"), @r#"
    test.toml: level "x": source: unknown key "n"; known: kind, step
    test.toml: level "x": source.step: 0 is not more than nothing
    "#);
    assert_snapshot!(source("kind = \"prior_day\", of = \"open\", hours = \"eth\""), @r#"
    test.toml: level "x": source.hours: "eth" is not allowed; did you mean "rth"?
    test.toml: level "x": source.of: "open" is not allowed; known: high, low, close, settlement
    "#);
    assert_snapshot!(source("kind = \"week\""), @r#"test.toml: level "x": source.state: is missing; developing (in progress) or prior (the last one)"#);
    assert_snapshot!(source("kind = \"week\", state = \"developing\", of = \"close\", hours = \"rth\""), @r#"
    test.toml: level "x": source.hours: stands beside state = "prior" only
    test.toml: level "x": source.of: "close" is not allowed; known: high, low
    "#);
    assert_snapshot!(source("kind = \"overnight\", of = \"mid\""), @r#"test.toml: level "x": source.of: "mid" is not allowed; known: high, low"#);
    assert_snapshot!(source("kind = \"opening_range\", minutes = 391, line = \"+3x\""), @r#"
    test.toml: level "x": source.minutes: 391 is not a whole number from 1 to 390
    test.toml: level "x": source.line: "+3x" is not allowed; did you mean "+2x"?
    "#);
    assert_snapshot!(source("kind = \"record_high\", n = 3"), @r#"test.toml: level "x": source: unknown key "n"; known: kind"#);
    assert_snapshot!(source("kind = \"pivot\", family = \"woody\""), @r#"test.toml: level "x": source.family: "woody" is not allowed; did you mean "woodie"?"#);
    assert_snapshot!(source("kind = \"pivot\", family = \"woodie\", line = \"R3\""), @r#"test.toml: level "x": source.line: "R3" is no line of this family; known: P, R1, R2, S1, S2"#);
    assert_snapshot!(source("kind = \"sma\", n = 0, bar = \"30s\""), @r#"
    test.toml: level "x": source.n: 0 is not a whole number from 1 to 1000
    test.toml: level "x": source.bar: "30s" is not the length of a bar: whole minutes, from "1m" to "23h", or "day"
    "#);
    assert_snapshot!(source("kind = \"ema\""), @r#"test.toml: level "x": source.n: is missing; how many bars, like 20"#);
    assert_snapshot!(source("kind = \"vwap\", anchor = \"year\", sigmas = 11"), @r#"
    test.toml: level "x": source.anchor: "year" is neither session, week, month nor a time like "2026-12-18T14:30:00Z"
    test.toml: level "x": source.sigmas: 11 is not a number from -10 to 10, like -2.0
    "#);
    assert_snapshot!(source("kind = \"donchian\", n = 1001"), @r#"test.toml: level "x": source.n: 1001 is not a whole number from 1 to 1000"#);
    assert_snapshot!(source("kind = \"swing\", left = 1"), @r#"test.toml: level "x": source.right: is missing; how many bars, like 20"#);
    assert_snapshot!(source("kind = \"trendline\", from = [\"2025-01-02T15:00:00Z\", 0], to = [\"2025-01-02T15:00:00Z\", 2], log = true"), @r#"
    test.toml: level "x": source.to: 2025-01-02T15:00:00.000Z is not later than from, which is 2025-01-02T15:00:00.000Z
    test.toml: level "x": source.log: needs prices above zero
    "#);
    assert_snapshot!(source("kind = \"trendline\", from = 3, to = [\"2025-01-02\", 2]"), @r#"
    test.toml: level "x": source.from: 3 is not a time and a price, like ["2026-01-02T15:00:00Z", 2400]
    test.toml: level "x": source.to: "2025-01-02" is not a time with its offset like "2026-12-18T14:30:00Z"
    "#);
}

#[test]
fn the_lines_of_a_source_have_names_of_their_own() {
    assert_snapshot!(wrong(
        "[[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"pivot\" }\n\
         [[level]]\nname = \"p R1\"\ninstrument = \"RTY\"\nprice = 1\n"
    ), @r#"test.toml: level "p R1": name: another level has the name "p R1" already"#);
    assert_snapshot!(wrong(
        "[[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"overnight\" }\n\
         [[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"overnight\" }\n"
    ), @r#"test.toml: level "p": name: another level has this name already"#);
}

#[test]
fn an_index_price_needs_a_basis() {
    assert_snapshot!(level("space = \"index\""), @r#"test.toml: level "2500": space: "index" needs the basis of RTY: write basis = { rates = "2.9 %" } or basis = { index = "RUT" } under [instrument.RTY]"#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nspace = \"index\"\nsource = { kind = \"record_close\" }\n"), @r#"test.toml: level "x": space: a source gives prices of RTY's own contracts, not of the index; leave space away, or name the index as the instrument"#);
    assert_snapshot!(basis("{}"), @r#"test.toml: instrument.RTY.basis: is one of { rates = "2.9 %" }, { r = "4.1 %", q = "1.2 %" } and { index = "RUT" }"#);
    assert_snapshot!(basis("{ r = \"3 %\" }"), @r#"test.toml: instrument.RTY.basis: is one of { rates = "2.9 %" }, { r = "4.1 %", q = "1.2 %" } and { index = "RUT" }"#);
    assert_snapshot!(basis("{ rates = \"2.9\", index = \"RTY\" }"), @r#"
    test.toml: instrument.RTY.basis.rates: "2.9" is not a rate a year like "2.9 %"
    test.toml: instrument.RTY.basis.index: is the instrument itself; name the cash index, like "RUT"
    test.toml: instrument.RTY.basis: is one of { rates = "2.9 %" }, { r = "4.1 %", q = "1.2 %" } and { index = "RUT" }
    "#);
    assert_snapshot!(basis("{ rates = 2.9 }"), @r#"test.toml: instrument.RTY.basis.rates: 2.9 is not a rate a year like "2.9 %""#);
    assert_snapshot!(basis("{ rates = \"290 %\" }"), @r#"test.toml: instrument.RTY.basis.rates: "290 %" is not from -50 % to 50 %"#);
    assert_snapshot!(basis("{ index = \"RUT\" }"), @r#"test.toml: instrument.RTY.basis.index: unknown instrument "RUT" (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)"#);
    assert_snapshot!(wrong("[instrument.RUT]\ntick = \"0.01\"\nbasis = { rates = \"1 %\" }\n"), @r#"test.toml: instrument.RUT.basis: has no meaning without contract months (dated = false)"#);
    assert_snapshot!(wrong("[instrument.RTY]\nguard = \"2 atr\"\n"), @r#"test.toml: instrument.RTY.guard: "2 atr" needs a history; here it is ticks, points or %"#);
}
