//! Levels that are right: each key becomes what it says.

use std::time::Duration;

use jiff::civil::{Weekday, time};

use super::{LEVEL, good};
use crate::engine::basis::Basis;
use crate::engine::derive::{
    Anchor, BarSize, Extreme, Hours, Of, Period, PivotFamily, PivotLine, RangeLine, Source,
};
use crate::engine::rule::{Confirm, FailBy, GapPolicy, Half, Official, Reject, Rule, Strength, When};
use crate::event::{Side, Space};
use crate::market::price::{Distance, Price};

fn p(text: &str) -> Price {
    text.parse().unwrap()
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// The first rule of a level with these further keys.
fn level(keys: &str) -> Rule {
    good(&format!("{LEVEL}{keys}\n")).levels[0].clone()
}

/// Name, source, side and half of each rule that a source makes.
fn lines(source: &str) -> Vec<(String, Source, Side, Option<Half>)> {
    let text = format!("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nsource = {{ {source} }}\n");
    let rules = good(&text).levels;
    assert!(rules.iter().all(|rule| rule.price == Price::ZERO && rule.space == Space::Contract));
    rules.iter().map(|r| (r.name.to_string(), r.source.clone().unwrap(), r.side, r.half)).collect()
}

/// Names and sides only; a half is marked.
fn sides(source: &str) -> Vec<String> {
    let half = |half| match half {
        None => "",
        Some(Half::First) => " 1",
        Some(Half::Second) => " 2",
    };
    lines(source).iter().map(|(name, _, side, of)| format!("{name} {side:?}{}", half(*of))).collect()
}

fn only(source: &str) -> Source {
    let lines = lines(source);
    assert!(lines.iter().all(|line| line.0 == "x" && line.1 == lines[0].1), "{lines:?}");
    lines[0].1.clone()
}

#[test]
fn a_level_with_both_sides_is_two_halves_that_differ_in_nothing_else() {
    let rules = good(&format!("{LEVEL}side = \"both\"\nmargin = \"2 ticks\"\n")).levels;
    let [up, down] = &rules[..] else { panic!("{rules:?}") };
    assert_eq!((up.side, up.half), (Side::Resistance, Some(Half::First)));
    assert_eq!((down.side, down.half), (Side::Support, Some(Half::Second)));
    let mut same = down.clone();
    (same.side, same.half) = (up.side, up.half);
    assert_eq!(*up, same);
    assert_eq!(up.margin, Distance::Ticks(2));
}

#[test]
fn every_confirmation_is_read() {
    let rule = level(
        "confirm = [{ bar_close = \"5m\", bars = 2 }, { bar_close = \"1h\" }, { session_close = \"rth\" }, \
         { session_close = \"settlement\" }, { relative_volume = 1.5 }, { quote = \"2s\" }]",
    );
    let expected = [
        Confirm::BarClose { length: minutes(5), bars: 2 },
        Confirm::BarClose { length: minutes(60), bars: 1 },
        Confirm::SessionClose(Official::Rth),
        Confirm::SessionClose(Official::Settlement),
        Confirm::RelativeVolume(p("1.5")),
        Confirm::Quote(Duration::from_secs(2)),
    ];
    assert_eq!(rule.confirm, expected);
}

#[test]
fn a_rejection_has_defaults_once_it_is_asked_for() {
    assert_eq!(level("").reject, None);
    assert_eq!(
        level("reject = {}").reject,
        Some(Reject { distance: Distance::Ticks(5), within: minutes(30) })
    );
    let reject = level("reject = { distance = \"0.25 atr\", within = \"1h\" }").reject;
    assert_eq!(reject, Some(Reject { distance: Distance::Atr(p("0.25")), within: minutes(60) }));
}

#[test]
fn a_break_fails_by_the_bar_that_confirms_it_else_by_five_minutes() {
    assert_eq!(level("").fail.by, FailBy::Trade);
    assert_eq!(level("fail = { by = \"bar\" }").fail.by, FailBy::Bar(minutes(5)));
    let rule = level("confirm = [{ bar_close = \"15m\" }]\nfail = { by = \"bar\", within = \"2h\" }");
    assert_eq!((rule.fail.by, rule.fail.within), (FailBy::Bar(minutes(15)), minutes(120)));
}

#[test]
fn a_rule_has_its_days_and_times() {
    let rule = level(
        "days = [\"mon\", \"friday\"]\nbetween = [\"17:00\", \"08:30\"]\nzone_name = \"america/new_york\"\n\
         starts = \"2026-01-01T00:00:00Z\"\nexpires = \"2026-02-01T00:00:00Z\"\ngap = \"wait_bar\"",
    );
    let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Friday].map(|day| rule.days.has(day));
    assert_eq!(days, [true, false, true]);
    let between = rule.between.clone().unwrap();
    assert_eq!((between.from, between.until), (time(17, 0, 0, 0), time(8, 30, 0, 0)));
    assert_eq!(between.zone.as_deref(), Some("America/New_York"));
    assert!(rule.starts < rule.expires && rule.starts.is_some());
    assert_eq!(rule.gap, GapPolicy::WaitBar);
    assert_eq!(level("between = [\"08:30\", \"15:00\"]").between.clone().unwrap().zone, None);
}

#[test]
fn conditions_name_instruments_that_nothing_else_names() {
    let config = good(&format!(
        "{LEVEL}when = [{{ below = 2600 }}, {{ instrument = \"ES\", above = \"6000.25\" }}, \
         {{ any = [{{ stronger_than = \"NQ\", by = \"0.2 %\", over = \"30m\" }}, \
         {{ all = [{{ instrument = \"YM\", weaker_than = \"ES\", by = \"1 %\", over = \"1h\" }}] }}] }}]\n"
    ));
    let id = |root| config.instrument_id(root).unwrap();
    let strong = Strength { of: id("RTY"), than: id("NQ"), by: p("0.2"), over: minutes(30) };
    let weak = Strength { of: id("YM"), than: id("ES"), by: p("1"), over: minutes(60) };
    let expected = [
        When::Below(id("RTY"), p("2600")),
        When::Above(id("ES"), p("6000.25")),
        When::Any(vec![When::Stronger(strong), When::All(vec![When::Weaker(weak)])]),
    ];
    assert_eq!(config.levels[0].when, expected);
    let warned = config.warnings.iter().filter(|w| w.text.contains("when asks for it")).count();
    assert_eq!(warned, 4);
}

#[test]
fn an_index_price_needs_a_basis_from_rates_or_from_the_index() {
    let index = format!("{LEVEL}space = \"index\"\n");
    let config = good(&format!("{index}[instrument.RTY]\nbasis = {{ rates = \"2.9 %\" }}\n"));
    let rty = config.instrument_id("RTY").unwrap();
    assert_eq!(config.levels[0].space, Space::Index);
    assert_eq!(config.basis[&rty], Basis::Rates(p("2.9")));
    let config = good(&format!("{index}[instrument.RTY]\nbasis = {{ r = \"1.2 %\", q = \"4.1%\" }}\n"));
    assert_eq!(config.basis[&rty], Basis::Rates(p("-2.9")));
    let config = good(&format!(
        "{index}[instrument.RTY]\nbasis = {{ index = \"RUT\" }}\n[instrument.RUT]\ntick = \"0.01\"\n"
    ));
    assert_eq!(config.basis[&rty], Basis::Index(config.instrument_id("RUT").unwrap()));
}

#[test]
fn the_prices_of_an_index_are_its_own() {
    let config = good(
        "[instrument.RUT]\ntick = \"0.01\"\n[[level]]\nname = \"x\"\ninstrument = \"RUT\"\nspace = \"index\"\n\
         source = { kind = \"record_close\" }\n",
    );
    assert_eq!(config.levels[0].space, Space::Contract);
}

#[test]
fn a_source_without_a_line_becomes_a_level_for_each_with_its_natural_side() {
    assert_eq!(
        sides("kind = \"prior_day\""),
        ["x HIGH Resistance", "x LOW Support", "x CLOSE Resistance 1", "x CLOSE Support 2"]
    );
    assert_eq!(sides("kind = \"overnight\""), ["x HIGH Resistance", "x LOW Support"]);
    assert_eq!(sides("kind = \"opening_range\""), ["x HIGH Resistance", "x LOW Support"]);
    assert_eq!(sides("kind = \"year\", state = \"developing\""), ["x HIGH Resistance", "x LOW Support"]);
    assert_eq!(sides("kind = \"donchian\", n = 20"), ["x HIGH Resistance", "x LOW Support"]);
    assert_eq!(sides("kind = \"swing\", left = 2, right = 3"), ["x HIGH Resistance", "x LOW Support"]);
    assert_eq!(
        sides("kind = \"pivot\", family = \"demark\""),
        ["x P Resistance 1", "x P Support 2", "x R1 Resistance", "x S1 Support"]
    );
    assert_eq!(sides("kind = \"round\", step = 50"), ["x Resistance 1", "x Support 2"]);
    assert_eq!(sides("kind = \"record_high\""), ["x Resistance"]);
}

#[test]
fn every_family_of_pivots_has_its_lines() {
    for (family, lines) in [("floor", 8), ("fibonacci", 8), ("woodie", 6), ("camarilla", 8), ("demark", 4)] {
        assert_eq!(sides(&format!("kind = \"pivot\", family = \"{family}\"")).len(), lines, "{family}");
    }
}

#[test]
fn the_side_of_the_author_counts_for_every_line() {
    let text =
        "[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nside = \"support\"\nsource = { kind = \"pivot\" }\n";
    assert!(good(text).levels.iter().all(|rule| (rule.side, rule.half) == (Side::Support, None)));
}

#[test]
fn every_source_is_read() {
    let (day, high) = (BarSize::Day, Extreme::High);
    assert_eq!(only("kind = \"round\", step = \"12.5\""), Source::Round { step: p("12.5") });
    for (name, period) in [
        ("day", Period::Day),
        ("week", Period::Week),
        ("month", Period::Month),
        ("quarter", Period::Quarter),
        ("year", Period::Year),
    ] {
        let expected = Source::Prior { period, of: Of::Settlement, hours: Hours::Rth };
        let keys = "of = \"settlement\", hours = \"rth\"";
        assert_eq!(only(&format!("kind = \"prior_{name}\", {keys}")), expected);
        if period != Period::Day {
            assert_eq!(only(&format!("kind = \"{name}\", state = \"prior\", {keys}")), expected);
            let developing = only(&format!("kind = \"{name}\", state = \"developing\", of = \"high\""));
            assert_eq!(developing, Source::Developing { period, of: high });
        }
    }
    assert_eq!(only("kind = \"overnight\", of = \"high\""), Source::Overnight { of: high });
    for (line, expected) in [
        ("mid", RangeLine::Mid),
        ("+1x", RangeLine::Above(2)),
        ("+1.5x", RangeLine::Above(3)),
        ("-2x", RangeLine::Below(4)),
    ] {
        let source = only(&format!("kind = \"opening_range\", line = \"{line}\", minutes = 15"));
        assert_eq!(source, Source::OpeningRange { minutes: 15, line: expected });
    }
    assert_eq!(only("kind = \"high_52w\""), Source::High52w);
    assert_eq!(only("kind = \"record_high\""), Source::RecordHigh);
    assert_eq!(only("kind = \"record_close\""), Source::RecordClose);
    let (family, line) = (PivotFamily::Camarilla, PivotLine::S(4));
    let pivot = only("kind = \"pivot\", family = \"camarilla\", line = \"S4\", hours = \"rth\"");
    assert_eq!(pivot, Source::Pivot { family, line, hours: Hours::Rth });
    assert_eq!(only("kind = \"sma\", n = 200"), Source::Sma { n: 200, bar: day });
    let bar = BarSize::Length(minutes(5));
    assert_eq!(only("kind = \"ema\", n = 20, bar = \"5m\""), Source::Ema { n: 20, bar });
    assert_eq!(only("kind = \"vwap\""), Source::Vwap { anchor: Anchor::Session, sigmas: Price::ZERO });
    let vwap = Source::Vwap { anchor: Anchor::At("2025-01-02T15:00:00Z".parse().unwrap()), sigmas: p("-2") };
    assert_eq!(only("kind = \"vwap\", anchor = \"2025-01-02T15:00:00Z\", sigmas = -2.0"), vwap);
    let donchian = only("kind = \"donchian\", n = 20, bar = \"day\", of = \"high\"");
    assert_eq!(donchian, Source::Donchian { n: 20, bar: day, of: high });
    let swing = only("kind = \"swing\", left = 3, right = 2, of = \"high\"");
    assert_eq!(swing, Source::Swing { left: 3, right: 2, bar: day, of: high });
    let line = only(
        "kind = \"trendline\", from = [\"2025-01-02T15:00:00Z\", 2400], to = [2025-02-03T15:00:00Z, \"2450.5\"], log = true",
    );
    let (from, to) = ("2025-01-02T15:00:00Z".parse().unwrap(), "2025-02-03T15:00:00Z".parse().unwrap());
    assert_eq!(line, Source::Trendline { from: (from, p("2400")), to: (to, p("2450.5")), log: true });
}

#[test]
fn a_route_can_name_a_line_of_a_source() {
    let text = "[[level]]\nname = \"p\"\ninstrument = \"RTY\"\nsource = { kind = \"pivot\" }\n\
                [[channel]]\nname = \"c\"\nkind = \"console\"\n[[route]]\nto = \"c\"\nmatch = { level = \"p R2\" }\n";
    assert_eq!(good(text).routes.len(), 1);
}
