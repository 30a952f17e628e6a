//! The words of a digest: how much of what happened to how many levels, and where.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::event::{Event, Kind, Space};
use crate::market::price::Price;
use crate::outbox::digest::{count_key, direction};
use crate::outbox::message::said::Said;
use crate::outbox::message::{facts, inert, when};
use crate::time::Timestamp;

/// So many kinds stand in the sentence, the most urgent first.
const KINDS_MAX: usize = 2;
/// The longest name of a level that is shown.
const NAME_MAX: usize = 40;
/// So many events are told in words, and so many levels named.
const TOLD_MAX: usize = 10;
const NAMES_MAX: usize = 10;
/// The longest sentence about one of them.
const WHAT_MAX: usize = 120;
/// Numbers that this module has words for, besides the counts.
const KNOWN: &[&str] = &[
    "count",
    "lowest",
    "highest",
    "price_low",
    "price_high",
    "levels",
    "instruments",
    "repeated",
    "happened",
    "first_at",
    "last_at",
    "first_event",
    "last_event",
];

/// `RTY: 100,000 levels broke up between 2,400.0 and 2,500.0`, or of a single level
/// `RTY 2,500.0: 14 breaks up, 14 failures in 3 min, price 2,499.6-2,500.7`.
pub(super) fn what(event: &Event) -> String {
    let counted = counts(event).into_iter().take(KINDS_MAX);
    let times = event.level.is_some() || event.numbers.get("repeated") == Some(&Value::Bool(true));
    let parts: Vec<String> = if times {
        counted.map(|(kind, count)| occurred(event, kind, count)).collect()
    } else {
        counted.enumerate().map(|(at, (kind, count))| happened(event, kind, count, at == 0)).collect()
    };
    let parts = if parts.is_empty() { vec!["many levels at once".to_owned()] } else { parts };
    let place = if event.level.is_some() { span(event) } else { between(event) };
    format!("{}: {}{place}", who(event), parts.join(", "))
}

/// The instrument with its level, or the instruments.
fn who(event: &Event) -> String {
    let Some(instrument) = &event.instrument else {
        return listed(event, "instruments").unwrap_or_else(|| "breakwatch".to_owned());
    };
    let instrument = inert::line(instrument, NAME_MAX);
    match (&event.level, event.level_price) {
        (Some(_), Some(price)) => format!("{instrument} {}", price.grouped()),
        (Some(name), None) => format!("{instrument} \"{}\"", inert::line(name, NAME_MAX)),
        (None, _) => instrument,
    }
}

/// Whether a number has its place in the lines.
pub(super) fn tells(key: &str) -> bool {
    KNOWN.contains(&key) || Kind::ALL.iter().any(|kind| count_key(*kind) == key)
}

/// The lines that only a digest has.
pub(super) fn facts(event: &Event, zone: &TimeZone) -> Vec<(String, Option<String>)> {
    let said = Said(&event.numbers);
    let mut lines = vec![("Events".to_owned(), count(event, "count").map(grouped))];
    for (kind, count) in counts(event) {
        lines.push((facts::label(count_key(kind)), Some(grouped(count))));
    }
    let line = |label: &str, value: Option<String>| (label.to_owned(), value);
    lines.extend(first_ones(event, zone));
    lines.extend([
        line("Lowest level", said.px("lowest")),
        line("Highest level", said.px("highest")),
        line("Prices", prices(event)),
        line("Levels", names(event)),
        line("First", said.moment("first_at", zone)),
        line("Last", said.moment("last_at", zone)),
        line("First event", said.text("first_event")),
        line("Last event", said.text("last_event")),
    ]);
    lines
}

/// The first events, each with its time: what a reader most wants to know.
fn first_ones(event: &Event, zone: &TimeZone) -> Vec<(String, Option<String>)> {
    let told = event.numbers.get("happened").and_then(Value::as_array);
    let one = |told: &Value| {
        let at = told.get("at").and_then(Value::as_str)?.parse().ok()?;
        let what = told.get("what").and_then(Value::as_str)?;
        Some((when::clock(at, zone), Some(inert::line(what, WHAT_MAX))))
    };
    told.into_iter().flatten().take(TOLD_MAX).filter_map(one).collect()
}

/// How long it all took, and between which prices: ` in 3 min, price 2,499.6-2,500.7`.
fn span(event: &Event) -> String {
    let moment = |key: &str| event.numbers.get(key).and_then(Value::as_str)?.parse::<Timestamp>().ok();
    let took = moment("last_at").zip(moment("first_at")).map(|(last, first)| last.since(first));
    let took = took.map(|took| format!(" in {}", when::length(took))).unwrap_or_default();
    prices(event).map_or(took.clone(), |prices| format!("{took}, price {prices}"))
}

/// `2,499.6-2,500.7`.
fn prices(event: &Event) -> Option<String> {
    let said = Said(&event.numbers);
    let (low, high) = (said.px("price_low")?, said.px("price_high")?);
    Some(if low == high { low } else { format!("{low}-{high}") })
}

fn count(event: &Event, key: &str) -> Option<u64> {
    event.numbers.get(key).and_then(Value::as_u64)
}

/// How many of each kind, the most urgent kind first, then the most frequent.
fn counts(event: &Event) -> Vec<(Kind, u64)> {
    let of = |kind: &Kind| count(event, count_key(*kind)).map(|count| (*kind, count));
    let mut counts: Vec<_> = Kind::ALL.iter().filter_map(of).collect();
    counts.sort_by_key(|(kind, count)| std::cmp::Reverse((kind.severity(), *count)));
    counts
}

/// `14 breaks up`.
fn occurred(event: &Event, kind: Kind, count: u64) -> String {
    let (one, many) = nouns(kind);
    let side = if kind == Kind::LevelBroken { direction(event.side) } else { "" };
    format!("{} {}{side}", grouped(count), if count == 1 { one } else { many })
}

/// What happened once, and several times.
const fn nouns(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::LevelApproached => ("approach", "approaches"),
        Kind::LevelCrossed => ("unconfirmed crossing", "unconfirmed crossings"),
        Kind::LevelBroken => ("break", "breaks"),
        Kind::LevelRejected => ("rejection", "rejections"),
        Kind::LevelRetested => ("retest", "retests"),
        Kind::LevelHeld => ("retest that held", "retests that held"),
        Kind::LevelFailed => ("failure", "failures"),
        Kind::LevelRearmed => ("re-arming", "re-armings"),
        Kind::LevelExpired => ("expired rule", "expired rules"),
        Kind::LevelSuspended => ("level NOT WATCHED", "levels NOT WATCHED"),
        Kind::LevelMoved => ("move", "moves"),
        Kind::RecordSet => ("record", "records"),
        Kind::ContractRolled => ("roll", "rolls"),
        Kind::FeedDown => ("feed DOWN", "feeds DOWN"),
        Kind::FeedUp => ("feed back", "feeds back"),
        Kind::FeedQuiet => ("feed QUIET", "feeds QUIET"),
        Kind::FeedQuarantined => ("print not believed", "prints not believed"),
        Kind::ChannelFailing => ("channel failure", "channel failures"),
        Kind::ChannelRecovered => ("channel back", "channels back"),
        Kind::Digest => ("digest", "digests"),
    }
}

/// `7 levels broke up`, or `7 broke up` when levels were named before.
fn happened(event: &Event, kind: Kind, count: u64, first: bool) -> String {
    let Some((one, many)) = verbs(kind) else { return occurred(event, kind, count) };
    let number = grouped(count);
    let side = if kind == Kind::LevelBroken { direction(event.side) } else { "" };
    match (first, count == 1) {
        (true, true) => format!("{number} level {one}{side}"),
        (true, false) => format!("{number} levels {many}{side}"),
        (false, true) => format!("{number} {one}{side}"),
        (false, false) => format!("{number} {many}{side}"),
    }
}

/// What happened to one level, and to several; `None` when it happened to no level.
const fn verbs(kind: Kind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        Kind::LevelApproached => ("is near", "are near"),
        Kind::LevelCrossed => ("crossed, unconfirmed", "crossed, unconfirmed"),
        Kind::LevelBroken => ("broke", "broke"),
        Kind::LevelRejected => ("rejected price", "rejected price"),
        Kind::LevelRetested => ("retested", "retested"),
        Kind::LevelHeld => ("held", "held"),
        Kind::LevelFailed => ("failed", "failed"),
        Kind::LevelRearmed => ("armed again", "armed again"),
        Kind::LevelExpired => ("expired", "expired"),
        Kind::LevelSuspended => ("is NOT WATCHED", "are NOT WATCHED"),
        Kind::LevelMoved => ("moved", "moved"),
        Kind::RecordSet => ("set a record", "set a record"),
        Kind::ContractRolled
        | Kind::FeedDown
        | Kind::FeedUp
        | Kind::FeedQuiet
        | Kind::FeedQuarantined
        | Kind::ChannelFailing
        | Kind::ChannelRecovered
        | Kind::Digest => return None,
    })
}

fn between(event: &Event) -> String {
    let said = Said(&event.numbers);
    let index = if event.level_space == Some(Space::Index) { "index " } else { "" };
    match (said.px("lowest"), said.px("highest")) {
        (Some(low), Some(high)) if low == high => format!(" at {index}{low}"),
        (Some(low), Some(high)) => format!(" between {index}{low} and {high}"),
        (Some(_), None) | (None, Some(_) | None) => String::new(),
    }
}

/// The first levels by name; that there are more is said by the counts above.
fn names(event: &Event) -> Option<String> {
    let names = listed(event, "levels")?;
    let shown = event.numbers.get("levels").and_then(Value::as_array).map_or(0, Vec::len);
    let repeated = event.numbers.get("repeated") == Some(&Value::Bool(true));
    let more = count(event, "count").is_some_and(|count| count > u64::try_from(shown).unwrap_or(count));
    Some(format!("{names}{}", if more && (!repeated || shown >= NAMES_MAX) { ", …" } else { "" }))
}

fn listed(event: &Event, key: &str) -> Option<String> {
    let texts = event.numbers.get(key).and_then(Value::as_array)?;
    let texts: Vec<_> =
        texts.iter().filter_map(Value::as_str).map(|text| inert::line(text, NAME_MAX)).collect();
    if texts.is_empty() { None } else { Some(texts.join(", ")) }
}

/// `100,000`.
fn grouped(count: u64) -> String {
    i64::try_from(count).map_or_else(|_| count.to_string(), |count| Price::from_points(count).grouped(0))
}
