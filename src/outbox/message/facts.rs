//! Everything an event says, line by line, in the order in which it is read on a phone: the one source of
//! the plain text, the HTML mail and the Slack message.

use jiff::tz::TimeZone;

use crate::event::{Event, Kind, Space};
use crate::outbox::message::said::{Said, shown};
use crate::outbox::message::{Context, digest, inert, when};

/// The longest name and note that are shown.
const NAME_MAX: usize = 120;
const NOTE_MAX: usize = 1_000;
/// So many numbers that this module has no words for are shown.
const OTHER_MAX: usize = 20;

/// Numbers that have a line of their own, or a place in the sentence.
const KNOWN: &[&str] = &[
    "channel",
    "confirmed_by",
    "day_change",
    "day_high",
    "day_low",
    "detail",
    "distance_ticks",
    "down_ms",
    "excursion",
    "feed",
    "gap",
    "held_ms",
    "last_before",
    "last_price",
    "next_above",
    "next_below",
    "prints",
    "since_break_ms",
    "unwatched_from",
    "unwatched_until",
    "volume",
];

/// One line: what it is, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    /// What it is.
    pub(super) label: String,
    /// Its value, on one line.
    pub(super) value: String,
}

/// The lines of `event`, what happened first, who said it last.
pub(super) fn facts(event: &Event, context: &Context) -> Vec<Fact> {
    let mut lines = Lines(Vec::new());
    prices(event, &mut lines);
    if event.kind == Kind::Digest {
        for (label, value) in digest::facts(event, &context.zone) {
            lines.add(&label, value);
        }
    }
    course(Said(&event.numbers), &context.zone, &mut lines);
    surroundings(Said(&event.numbers), &mut lines);
    others(event, &mut lines);
    times(event, context, &mut lines);
    about(event, &mut lines);
    identity(event, context, &mut lines);
    lines.0
}

struct Lines(Vec<Fact>);

impl Lines {
    fn add(&mut self, label: &str, value: impl Into<Option<String>>) {
        if let Some(value) = value.into().filter(|value| !value.is_empty()) {
            self.0.push(Fact { label: label.to_owned(), value });
        }
    }
}

fn prices(event: &Event, lines: &mut Lines) {
    let contract = event.contract.as_ref().map(|contract| inert::line(contract, NAME_MAX));
    let in_contract = contract.as_ref().map(|contract| format!(" ({contract})")).unwrap_or_default();
    match event.price {
        Some(price) => lines.add("Price", format!("{}{in_contract}", price.grouped())),
        None => lines.add("Contract", contract),
    }
    lines.add("Level", level(event));
    let elsewhere = event.threshold.filter(|t| event.level_price.is_none_or(|level| level.price != t.price));
    lines.add("Threshold", elsewhere.map(|threshold| format!("{}{in_contract}", threshold.grouped())));
    let confirmed = Said(&event.numbers).text("confirmed_by").map(|by| format!(": {by}"));
    lines.add("Why", format!("{}{}", event.reason.as_str(), confirmed.unwrap_or_default()));
}

/// `2500, resistance at 2,500.0`.
fn level(event: &Event) -> Option<String> {
    let name = event.level.as_ref().map(|name| inert::line(name, NAME_MAX));
    let side = event.side.map_or("level", |side| side.as_str());
    let place = event.level_price.map(|price| {
        let space = if event.level_space == Some(Space::Index) { " (cash index)" } else { "" };
        format!("{side} at {}{space}", price.grouped())
    });
    match (name, place) {
        (Some(name), Some(place)) => Some(format!("{name}, {place}")),
        (one, other) => one.or(other),
    }
}

/// How it came about: distances, gaps, times and volumes.
fn course(said: Said<'_>, zone: &TimeZone, lines: &mut Lines) {
    lines.add(
        "Distance",
        said.text("distance_ticks")
            .map(|ticks| if ticks == "1" { "1 tick".to_owned() } else { format!("{ticks} ticks") }),
    );
    lines.add("Gap", said.px("gap").map(|gap| format!("{gap} points")));
    lines.add("Last before", said.px("last_before"));
    let from = said.moment("unwatched_from", zone).map(|from| format!("from {from} "));
    let until = said.moment("unwatched_until", zone).map(|until| format!("until {until}"));
    lines.add(
        "Unwatched",
        format!("{}{}", from.unwrap_or_default(), until.unwrap_or_default()).trim_end().to_owned(),
    );
    lines.add("Held for", said.millis("held_ms"));
    lines.add("Prints", said.text("prints"));
    lines.add("Volume", said.text("volume"));
    lines.add("Excursion", said.px("excursion"));
    lines.add("Since the break", said.millis("since_break_ms"));
    lines.add("Feed", said.text("feed"));
    lines.add("Channel", said.text("channel"));
    lines.add("Out for", said.millis("down_ms"));
    lines.add("Last price", said.px("last_price"));
    lines.add("Detail", said.text("detail"));
}

/// Where the market stands around it.
fn surroundings(said: Said<'_>, lines: &mut Lines) {
    lines.add("Next above", said.text("next_above"));
    lines.add("Next below", said.text("next_below"));
    let day = [
        said.signed("day_change"),
        said.px("day_high").map(|high| format!("high {high}")),
        said.px("day_low").map(|low| format!("low {low}")),
    ];
    lines.add("Day", day.into_iter().flatten().collect::<Vec<_>>().join(", "));
}

/// What the event carries and this module has no words for.
fn others(event: &Event, lines: &mut Lines) {
    let told = |key: &str| KNOWN.contains(&key) || (event.kind == Kind::Digest && digest::tells(key));
    let unknown = event.numbers.iter().filter(|(key, _)| !told(key));
    for (key, value) in unknown.take(OTHER_MAX) {
        lines.add(&label(key), shown(value));
    }
}

/// `spread_seen` becomes `Spread seen`.
pub(super) fn label(key: &str) -> String {
    let words = inert::line(&inert::clip(key, NAME_MAX).replace('_', " "), NAME_MAX);
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn times(event: &Event, context: &Context, lines: &mut Lines) {
    lines.add("When", when::moment(event.occurred_at, &context.zone));
    lines.add("UTC", when::utc(event.occurred_at));
    if event.from_bars {
        lines.add("From bars", "the moment within the bar is unknown".to_owned());
    } else {
        let detected = when::length(event.detected_at.since(event.occurred_at));
        let sent = when::length(context.attempted_at.since(event.occurred_at));
        lines.add("Delay", format!("{detected} to detection, {sent} to sending"));
    }
}

fn about(event: &Event, lines: &mut Lines) {
    let text = |text: &Option<String>, max| text.as_ref().map(|text| inert::line(text, max));
    lines.add("Note", text(&event.about.note, NOTE_MAX));
    lines.add("Said by", text(&event.about.said_by, NAME_MAX));
    lines.add("Source", text(&event.about.url, NOTE_MAX));
    let tags: Vec<_> = event.about.tags.iter().map(|tag| inert::line(tag, NAME_MAX)).collect();
    lines.add("Tags", inert::clip(&tags.join(", "), NOTE_MAX));
}

fn identity(event: &Event, context: &Context, lines: &mut Lines) {
    lines.add("Severity", event.severity.as_str().to_owned());
    lines.add("Page", context.url.as_ref().map(|url| inert::line(url, NOTE_MAX)));
    lines.add("Event", inert::line(event.id.as_str(), NAME_MAX));
    lines.add("Thread", inert::line(event.thread.as_str(), NAME_MAX));
}
