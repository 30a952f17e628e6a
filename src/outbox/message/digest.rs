//! The words of a digest: how much of what happened to how many levels, and where.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::event::{Event, Kind, Space};
use crate::market::price::Price;
use crate::outbox::group::{count_key, direction};
use crate::outbox::message::said::Said;
use crate::outbox::message::{facts, inert};

/// So many kinds stand in the sentence, the most urgent first.
const KINDS_MAX: usize = 2;
/// The longest name of a level that is shown.
const NAME_MAX: usize = 40;
/// Numbers that this module has words for, besides the counts.
const KNOWN: &[&str] =
    &["count", "lowest", "highest", "levels", "first_at", "last_at", "first_event", "last_event"];

/// `RTY: 100,000 levels broke up between 2,400.0 and 2,500.0`.
pub(super) fn what(event: &Event, who: &str) -> String {
    let parts: Vec<String> = counts(event)
        .into_iter()
        .take(KINDS_MAX)
        .enumerate()
        .map(|(at, (kind, count))| happened(event, kind, count, at == 0))
        .collect();
    let parts = if parts.is_empty() { vec!["many levels at once".to_owned()] } else { parts };
    format!("{who}: {}{}", parts.join(", "), between(event))
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
    lines.extend([
        line("Lowest level", said.px("lowest")),
        line("Highest level", said.px("highest")),
        line("Levels", names(event)),
        line("First", said.moment("first_at", zone)),
        line("Last", said.moment("last_at", zone)),
        line("First event", said.text("first_event")),
        line("Last event", said.text("last_event")),
    ]);
    lines
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

fn happened(event: &Event, kind: Kind, count: u64, first: bool) -> String {
    let (one, many) = verbs(kind);
    let number = grouped(count);
    let side = if kind == Kind::LevelBroken { direction(event.side) } else { "" };
    match (first, count == 1) {
        (true, true) => format!("{number} level {one}{side}"),
        (true, false) => format!("{number} levels {many}{side}"),
        (false, true) => format!("{number} {one}{side}"),
        (false, false) => format!("{number} {many}{side}"),
    }
}

/// What happened to one level, and to several.
const fn verbs(kind: Kind) -> (&'static str, &'static str) {
    match kind {
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
        // None of these is about a level.
        Kind::ContractRolled
        | Kind::FeedDown
        | Kind::FeedUp
        | Kind::FeedQuiet
        | Kind::FeedQuarantined
        | Kind::ChannelFailing
        | Kind::ChannelRecovered
        | Kind::Digest => ("changed", "changed"),
    }
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
    let names = event.numbers.get("levels").and_then(Value::as_array)?;
    let names: Vec<_> =
        names.iter().filter_map(Value::as_str).map(|name| inert::line(name, NAME_MAX)).collect();
    let more = count(event, "count").is_some_and(|count| count > u64::try_from(names.len()).unwrap_or(count));
    Some(format!("{}{}", names.join(", "), if more { ", …" } else { "" }))
}

/// `100,000`.
fn grouped(count: u64) -> String {
    i64::try_from(count).map_or_else(|_| count.to_string(), |count| Price::from_points(count).grouped(0))
}
