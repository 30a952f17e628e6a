//! `source` of a `[[level]]`: where its price comes from, and which lines that makes.
//!
//! A source with several lines, of which its author named none, becomes one level for each of them. Nothing
//! here knows a formula.

use std::fmt;
use std::ops::RangeInclusive;

use toml::{Table, Value};

use super::file::{
    SOURCE_AVERAGE, SOURCE_DONCHIAN, SOURCE_OPENING_RANGE, SOURCE_OVERNIGHT, SOURCE_PERIOD, SOURCE_PIVOT,
    SOURCE_PRIOR, SOURCE_RECORD, SOURCE_ROUND, SOURCE_SWING, SOURCE_TRENDLINE, SOURCE_VWAP, Shape,
};
use super::problem::{Refusal, hint, quoted, shown};
use super::section::Section;
use super::value;
use crate::engine::derive::{
    Anchor, BarSize, Extreme, Hours, Of, Period, PivotFamily, PivotLine, RangeLine, Source,
};
use crate::market::price::Price;
use crate::time::Timestamp;

/// An average, a channel or a swing looks back over at most so many bars.
const BARS_MAX: i64 = 1_000;
/// Regular trading hours have so many minutes.
const RTH_MINUTES: i64 = 390;
/// An opening range, when nothing else is said.
const RANGE_MINUTES: u32 = 30;
/// Standard deviations, up or down.
const SIGMAS_MAX: Price = Price::from_points(10);

/// One line of a source.
#[derive(Debug)]
pub(super) struct Line {
    /// Stands behind the level's name, when the source has several.
    pub(super) suffix: Option<String>,
    /// What it is.
    pub(super) source: Source,
    /// Which way it breaks unless the author says otherwise.
    pub(super) nature: Nature,
}

/// What a line is by nature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// A high: it breaks upwards.
    Resistance,
    /// A low: it breaks downwards.
    Support,
    /// Neither: it breaks both ways.
    Both,
}

/// Every kind, with the keys it has.
const KINDS: &[(&str, Kind, &Shape)] = &[
    ("round", Kind::Round, &SOURCE_ROUND),
    ("prior_day", Kind::Prior(Period::Day), &SOURCE_PRIOR),
    ("prior_week", Kind::Prior(Period::Week), &SOURCE_PRIOR),
    ("prior_month", Kind::Prior(Period::Month), &SOURCE_PRIOR),
    ("prior_quarter", Kind::Prior(Period::Quarter), &SOURCE_PRIOR),
    ("prior_year", Kind::Prior(Period::Year), &SOURCE_PRIOR),
    ("week", Kind::Period(Period::Week), &SOURCE_PERIOD),
    ("month", Kind::Period(Period::Month), &SOURCE_PERIOD),
    ("quarter", Kind::Period(Period::Quarter), &SOURCE_PERIOD),
    ("year", Kind::Period(Period::Year), &SOURCE_PERIOD),
    ("overnight", Kind::Overnight, &SOURCE_OVERNIGHT),
    ("opening_range", Kind::OpeningRange, &SOURCE_OPENING_RANGE),
    ("high_52w", Kind::High52w, &SOURCE_RECORD),
    ("record_high", Kind::RecordHigh, &SOURCE_RECORD),
    ("record_close", Kind::RecordClose, &SOURCE_RECORD),
    ("pivot", Kind::Pivot, &SOURCE_PIVOT),
    ("sma", Kind::Sma, &SOURCE_AVERAGE),
    ("ema", Kind::Ema, &SOURCE_AVERAGE),
    ("vwap", Kind::Vwap, &SOURCE_VWAP),
    ("donchian", Kind::Donchian, &SOURCE_DONCHIAN),
    ("swing", Kind::Swing, &SOURCE_SWING),
    ("trendline", Kind::Trendline, &SOURCE_TRENDLINE),
];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Round,
    Prior(Period),
    Period(Period),
    Overnight,
    OpeningRange,
    High52w,
    RecordHigh,
    RecordClose,
    Pivot,
    Sma,
    Ema,
    Vwap,
    Donchian,
    Swing,
    Trendline,
}

const HOURS: &[(&str, Hours)] = &[("full", Hours::Full), ("rth", Hours::Rth)];
const EXTREMES: &[(&str, Extreme)] = &[("high", Extreme::High), ("low", Extreme::Low)];
const PRICES: &[(&str, Of)] =
    &[("high", Of::High), ("low", Of::Low), ("close", Of::Close), ("settlement", Of::Settlement)];
const RANGE_LINES: &[(&str, RangeLine)] = &[
    ("high", RangeLine::High),
    ("low", RangeLine::Low),
    ("mid", RangeLine::Mid),
    ("+1x", RangeLine::Above(2)),
    ("+1.5x", RangeLine::Above(3)),
    ("+2x", RangeLine::Above(4)),
    ("-1x", RangeLine::Below(2)),
    ("-1.5x", RangeLine::Below(3)),
    ("-2x", RangeLine::Below(4)),
];
const FAMILIES: &[(&str, PivotFamily)] = &[
    ("floor", PivotFamily::Floor),
    ("camarilla", PivotFamily::Camarilla),
    ("woodie", PivotFamily::Woodie),
    ("fibonacci", PivotFamily::Fibonacci),
    ("demark", PivotFamily::Demark),
];

/// The lines of the level's source. `None` when there is no source, or something is wrong with it.
pub(super) fn lines(level: &Section<'_>) -> Option<Vec<Line>> {
    let source = level.section_of("source", |table| Ok(kind(table)?.1))?;
    let (kind, _) = source.read("kind", |value| named(value::text(value)?))?;
    match kind {
        Kind::Round => single(Source::Round { step: source.require("step", "like 50", step)? }, Nature::Both),
        Kind::Prior(period) => prior(&source, period),
        Kind::Period(period) => of_period(&source, period),
        Kind::Overnight => extremes(&source, |of| Source::Overnight { of }),
        Kind::OpeningRange => opening_range(&source),
        Kind::High52w => single(Source::High52w, Nature::Resistance),
        Kind::RecordHigh => single(Source::RecordHigh, Nature::Resistance),
        Kind::RecordClose => single(Source::RecordClose, Nature::Resistance),
        Kind::Pivot => pivot(&source),
        Kind::Sma => average(&source, |n, bar| Source::Sma { n, bar }),
        Kind::Ema => average(&source, |n, bar| Source::Ema { n, bar }),
        Kind::Vwap => vwap(&source),
        Kind::Donchian => donchian(&source),
        Kind::Swing => swing(&source),
        Kind::Trendline => trendline(&source),
    }
}

fn kind(table: &Table) -> Result<(Kind, &'static Shape), Refusal> {
    match table.get("kind") {
        Some(value) => named(value::text(value)?),
        None => Err(format!("is missing{}", hint("", KINDS.iter().map(|kind| kind.0))).into()),
    }
}

fn named(text: &str) -> Result<(Kind, &'static Shape), Refusal> {
    let found = KINDS.iter().find(|(name, _, _)| *name == text);
    found.map(|(_, kind, shape)| (*kind, *shape)).ok_or_else(|| {
        format!("{} is no kind of source{}", quoted(text), hint(text, KINDS.iter().map(|kind| kind.0))).into()
    })
}

fn single(source: Source, nature: Nature) -> Option<Vec<Line>> {
    Some(vec![Line { suffix: None, source, nature }])
}

fn several<T: Copy>(
    items: &[(&str, T)],
    source: impl Fn(T) -> Source,
    nature: impl Fn(T) -> Nature,
) -> Option<Vec<Line>> {
    let line = |(name, item): &(&str, T)| Line {
        suffix: Some(name.to_uppercase()),
        source: source(*item),
        nature: nature(*item),
    };
    Some(items.iter().map(line).collect())
}

/// The one that is named under the key, else each of `all`.
fn chosen<T: Copy>(
    given: &Section<'_>,
    key: &'static str,
    words: &'static [(&'static str, T)],
    all: &[(&str, T)],
    source: impl Fn(T) -> Source,
    nature: impl Fn(T) -> Nature,
) -> Option<Vec<Line>> {
    if given.get(key).is_none() {
        return several(all, source, nature);
    }
    let one = given.read(key, value::choice(words, &[]))?;
    single(source(one), nature(one))
}

fn extremes(given: &Section<'_>, source: impl Fn(Extreme) -> Source) -> Option<Vec<Line>> {
    chosen(given, "of", EXTREMES, EXTREMES, source, |of| match of {
        Extreme::High => Nature::Resistance,
        Extreme::Low => Nature::Support,
    })
}

fn prior(given: &Section<'_>, period: Period) -> Option<Vec<Line>> {
    let hours = given.read("hours", value::choice(HOURS, &[])).unwrap_or_default();
    let all = [("high", Of::High), ("low", Of::Low), ("close", Of::Close)];
    let source = |of| Source::Prior { period, of, hours };
    chosen(given, "of", PRICES, &all, source, |of| match of {
        Of::High => Nature::Resistance,
        Of::Low => Nature::Support,
        Of::Close | Of::Settlement => Nature::Both,
    })
}

/// A week and its longer brothers: the one in progress, or the last one.
fn of_period(given: &Section<'_>, period: Period) -> Option<Vec<Line>> {
    let right = "developing (in progress) or prior (the last one)";
    let words = &[("developing", true), ("prior", false)];
    if !given.require("state", right, value::choice(words, &[]))? {
        return prior(given, period);
    }
    if given.get("hours").is_some() {
        given.refuse("hours", "stands beside state = \"prior\" only");
    }
    extremes(given, |of| Source::Developing { period, of })
}

fn opening_range(given: &Section<'_>) -> Option<Vec<Line>> {
    let minutes = given.read("minutes", value::whole(1..=RTH_MINUTES)).unwrap_or(RANGE_MINUTES);
    let all = [("high", RangeLine::High), ("low", RangeLine::Low)];
    let source = |line| Source::OpeningRange { minutes, line };
    chosen(given, "line", RANGE_LINES, &all, source, |line| match line {
        RangeLine::High | RangeLine::Above(_) => Nature::Resistance,
        RangeLine::Low | RangeLine::Below(_) => Nature::Support,
        RangeLine::Mid => Nature::Both,
    })
}

fn pivot(given: &Section<'_>) -> Option<Vec<Line>> {
    let family = given.read("family", value::choice(FAMILIES, &[])).unwrap_or(PivotFamily::Floor);
    let hours = given.read("hours", value::choice(HOURS, &[])).unwrap_or_default();
    let all = pivot_lines(family);
    let line = |line| Line {
        suffix: Some(Named(line).to_string()),
        source: Source::Pivot { family, line, hours },
        nature: match line {
            PivotLine::P => Nature::Both,
            PivotLine::R(_) => Nature::Resistance,
            PivotLine::S(_) => Nature::Support,
        },
    };
    if given.get("line").is_none() {
        return Some(all.into_iter().map(line).collect());
    }
    let one = given.read("line", |value| {
        let text = value::text(value)?;
        let known = || all.iter().map(|line| Named(*line).to_string()).collect::<Vec<_>>().join(", ");
        let found = all.iter().find(|line| Named(**line).to_string() == text);
        found
            .copied()
            .ok_or_else(|| format!("{} is no line of this family; known: {}", quoted(text), known()).into())
    })?;
    Some(vec![Line { suffix: None, ..line(one) }])
}

/// The lines of a family, from its pivot outwards.
fn pivot_lines(family: PivotFamily) -> Vec<PivotLine> {
    let (has_pivot, steps) = match family {
        PivotFamily::Floor | PivotFamily::Fibonacci => (true, 3),
        PivotFamily::Camarilla => (false, 4),
        PivotFamily::Woodie => (true, 2),
        PivotFamily::Demark => (true, 1),
    };
    let pivot = has_pivot.then_some(PivotLine::P);
    pivot.into_iter().chain((1..=steps).map(PivotLine::R)).chain((1..=steps).map(PivotLine::S)).collect()
}

/// A pivot line as people write it.
struct Named(PivotLine);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PivotLine::P => f.write_str("P"),
            PivotLine::R(n) => write!(f, "R{n}"),
            PivotLine::S(n) => write!(f, "S{n}"),
        }
    }
}

fn average(given: &Section<'_>, source: impl Fn(u32, BarSize) -> Source) -> Option<Vec<Line>> {
    let (n, bar) = (bars(given, "n"), bar_size(given));
    single(source(n?, bar), Nature::Both)
}

fn donchian(given: &Section<'_>) -> Option<Vec<Line>> {
    let (n, bar) = (bars(given, "n")?, bar_size(given));
    extremes(given, |of| Source::Donchian { n, bar, of })
}

fn swing(given: &Section<'_>) -> Option<Vec<Line>> {
    let (left, right, bar) = (bars(given, "left"), bars(given, "right"), bar_size(given));
    let (left, right) = left.zip(right)?;
    extremes(given, |of| Source::Swing { left, right, bar, of })
}

fn bars(given: &Section<'_>, key: &'static str) -> Option<u32> {
    given.require(key, "how many bars, like 20", value::whole(1..=BARS_MAX))
}

/// Days, unless it says otherwise.
fn bar_size(given: &Section<'_>) -> BarSize {
    let read = |value: &Value| match value.as_str() {
        Some("day") => Ok(BarSize::Day),
        Some(_) | None => value::bar_length(value)
            .map(BarSize::Length)
            .map_err(|refusal| Refusal { text: format!("{}, or \"day\"", refusal.text), ..refusal }),
    };
    given.read("bar", read).unwrap_or(BarSize::Day)
}

fn vwap(given: &Section<'_>) -> Option<Vec<Line>> {
    let anchor = given.read("anchor", anchor).unwrap_or(Anchor::Session);
    let sigmas = given.read("sigmas", |value| match value::price(value) {
        Ok(sigmas) if sigmas.abs() <= SIGMAS_MAX => Ok(sigmas),
        Ok(_) | Err(_) => Err(format!("{} is not a number from -10 to 10, like -2.0", shown(value)).into()),
    });
    single(Source::Vwap { anchor, sigmas: sigmas.unwrap_or(Price::ZERO) }, Nature::Both)
}

fn anchor(value: &Value) -> Result<Anchor, Refusal> {
    match value.as_str() {
        Some("session") => Ok(Anchor::Session),
        Some("week") => Ok(Anchor::Week),
        Some("month") => Ok(Anchor::Month),
        Some(_) | None => value::time(value).map(Anchor::At).map_err(|_| {
            format!(
                "{} is neither session, week, month nor a time like \"2026-12-18T14:30:00Z\"",
                shown(value)
            )
            .into()
        }),
    }
}

fn trendline(given: &Section<'_>) -> Option<Vec<Line>> {
    const RIGHT: &str = "a time and a price, like [\"2026-01-02T15:00:00Z\", 2400]";
    let log = given.read("log", value::flag).unwrap_or(false);
    let (from, to) = (given.require("from", RIGHT, point), given.require("to", RIGHT, point));
    let (from, to) = from.zip(to)?;
    if from.0 >= to.0 {
        given.refuse("to", format!("{} is not later than from, which is {}", to.0, from.0));
    }
    if log && (from.1 <= Price::ZERO || to.1 <= Price::ZERO) {
        given.refuse("log", "needs prices above zero");
    }
    single(Source::Trendline { from, to, log }, Nature::Both)
}

fn point(value: &Value) -> Result<(Timestamp, Price), Refusal> {
    match value.as_array().map(Vec::as_slice) {
        Some([at, price]) => Ok((value::time(at)?, value::price(price)?)),
        Some(_) | None => {
            let right = "[\"2026-01-02T15:00:00Z\", 2400]";
            Err(format!("{} is not a time and a price, like {right}", shown(value)).into())
        }
    }
}

fn step(value: &Value) -> Result<Price, Refusal> {
    const STEPS: RangeInclusive<Price> = Price::from_nanos(1)..=Price::from_nanos(i64::MAX);
    match value::price(value)? {
        step if STEPS.contains(&step) => Ok(step),
        step => Err(format!("{step} is not more than nothing").into()),
    }
}
