//! What a template can ask for. Every value is inert: one line, bounded, without control and direction marks.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::json;

use crate::event::{Event, Px, Side};
use crate::outbox::message::formats::{is_link, tradingview};
use crate::outbox::message::{Context, Parts, inert, picture_id, text, when};

/// The exchange (ISO 10383) of each configured instrument, by its root.
pub type Exchanges = BTreeMap<String, String>;

/// The longest names and notes.
const NAME_MAX: usize = 120;
const NOTE_MAX: usize = 1_000;
/// How long a value of `numbers` may be, and how many there are at most.
const VALUE_MAX: usize = 300;
const NUMBERS_MAX: usize = 60;
/// The most tags, and items of a list.
const ITEMS_MAX: usize = 50;

/// Every name with what it stands for, as the documentation has it.
pub const VARIABLES: &[(&str, &str)] = &[
    ("subject", "the built-in subject: the fact in at most 77 characters"),
    ("headline", "the fact with its marks, its time and its contract, on one line"),
    ("what", "the fact alone: `RTY broke 2,500.0 up: 2,500.4`"),
    ("meaning", "what it means, where the fact does not say it all"),
    ("prefix", "the marks before the fact: `REHEARSAL LATE 2 min 5 s: `, else empty"),
    ("marks", "what the marks mean: a list of sentences"),
    ("facts", "everything else: a list of `label` and `value`"),
    ("kind", "the kind of event: `level.broken`"),
    ("severity", "`info`, `normal`, `high` or `critical`"),
    ("reason", "why it was established: `confirmed`"),
    ("level", "the level's name"),
    ("level_price", "the level itself: `2500.0`"),
    ("level_space", "`contract` or `index`: in which prices the level is expressed"),
    ("instrument", "the root: `RTY`"),
    ("contract", "`RTYZ6`"),
    ("side", "`resistance` or `support`"),
    ("direction", "`up` or `down`: which way the level breaks"),
    ("price", "the price that established it: `2500.4`"),
    ("threshold", "the price at which the level counts as broken"),
    ("occurred_at", "when, in the exchange's zone: `14:31:07.250 CT on Mon 30 Nov 2026`"),
    ("occurred_at_utc", "the same in UTC: `2026-11-30T20:31:07.250Z`"),
    ("detected_at", "when it was established, in UTC"),
    ("late", "whether it is sent late"),
    ("late_ms", "how late it is sent, in milliseconds, when it is late"),
    ("test", "whether this only tries the channel"),
    ("rehearsal", "whether it is from a rehearsal"),
    ("from_bars", "whether it was established from bars"),
    ("note", "the level's note"),
    ("said_by", "whose level it is"),
    ("url", "where that was said, when it is a web address"),
    ("tags", "the level's tags: a list"),
    ("page", "the thread's page"),
    ("picture", "in a mail with a chart, what an image's `src` says after `cid:`"),
    ("id", "the event's id, the same on every attempt"),
    ("thread", "the thread's id"),
    ("numbers", "what belongs to the kind: `numbers.day_change`, `numbers.next_above`, `numbers.detail`"),
    ("count", "in a digest: how many events"),
    ("lowest", "in a digest: the lowest level"),
    ("highest", "in a digest: the highest level"),
    ("ticker", "the contract as TradingView writes it: `RTYZ2026`, or `RTY1!` without a contract"),
    ("exchange", "the exchange as TradingView writes it: `CME_MINI`"),
    ("close", "the same as `price`"),
    ("volume", "the volume that confirmed it, where the rule asks for one"),
    ("time", "when it happened, in UTC to the second: `2026-11-30T20:31:07Z`"),
    ("timenow", "when it is sent, in the same form"),
];

/// What an event may carry; `numbers` has all of them, and more where an event does.
const NUMBERS: &[&str] = &[
    "channel",
    "confirmed_by",
    "count",
    "day_change",
    "day_high",
    "day_low",
    "detail",
    "distance_ticks",
    "down_ms",
    "excursion",
    "feed",
    "first_at",
    "first_event",
    "gap",
    "held_ms",
    "highest",
    "last_at",
    "last_before",
    "last_event",
    "last_price",
    "levels",
    "lowest",
    "next_above",
    "next_below",
    "prints",
    "since_break_ms",
    "times",
    "unwatched_from",
    "unwatched_until",
    "volume",
];

/// The names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    VARIABLES.iter().map(|(name, _)| *name)
}

/// Whether a template can ask for `name`.
pub(super) fn exists(name: &str) -> bool {
    names().any(|known| known == name)
}

/// What `event` says, by name.
pub(super) fn values(event: &Event, context: &Context, parts: &Parts, exchanges: &Exchanges) -> Value {
    let numbers = numbers(event);
    let number = |key: &str| numbers.get(key).cloned().unwrap_or_default();
    let digest =
        json!({ "count": number("count"), "lowest": number("lowest"), "highest": number("highest") });
    let trading = json!({
        "ticker": tradingview::ticker(event),
        "exchange": tradingview::exchange(event, exchanges),
        "close": price(event.price),
        "volume": number("volume"),
        "time": tradingview::time(event.occurred_at),
        "timenow": tradingview::time(context.attempted_at),
        "numbers": numbers,
    });
    let groups =
        [words(event, context, parts), facts(event), times(event, context, parts), about(event, context)];
    let values = groups.into_iter().chain([digest, trading]).filter_map(|group| match group {
        serde_json::Value::Object(group) => Some(group),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_) => None,
    });
    Value::from(Serde(values.flatten().collect::<serde_json::Map<_, _>>()))
}

fn words(event: &Event, context: &Context, parts: &Parts) -> serde_json::Value {
    let facts = parts.facts.iter().map(|fact| json!({ "label": fact.label, "value": fact.value }));
    json!({
        "subject": text::subject(event, context, parts),
        "headline": text::headline(event, context, parts),
        "what": parts.what,
        "meaning": parts.meaning,
        "prefix": parts.prefix,
        "marks": parts.marks,
        "facts": facts.collect::<Vec<_>>(),
    })
}

fn facts(event: &Event) -> serde_json::Value {
    let direction = event.side.map(|side| match side {
        Side::Resistance => "up",
        Side::Support => "down",
    });
    json!({
        "kind": event.kind.as_str(),
        "severity": event.severity.as_str(),
        "reason": event.reason.as_str(),
        "level": line(&event.level, NAME_MAX),
        "level_price": price(event.level_price),
        "level_space": event.level_space.map(|space| space.as_str()),
        "instrument": line(&event.instrument, NAME_MAX),
        "contract": line(&event.contract, NAME_MAX),
        "side": event.side.map(|side| side.as_str()),
        "direction": direction,
        "price": price(event.price),
        "threshold": price(event.threshold),
    })
}

fn times(event: &Event, context: &Context, parts: &Parts) -> serde_json::Value {
    let late_ms = parts.late_by.map(|late| u64::try_from(late.as_millis()).unwrap_or(u64::MAX));
    json!({
        "occurred_at": when::moment(event.occurred_at, &context.zone),
        "occurred_at_utc": event.occurred_at,
        "detected_at": event.detected_at,
        "late": late_ms.is_some(),
        "late_ms": late_ms,
        "test": context.test,
        "rehearsal": event.rehearsal,
        "from_bars": event.from_bars,
    })
}

fn about(event: &Event, context: &Context) -> serde_json::Value {
    let tags = event.about.tags.iter().take(ITEMS_MAX).map(|tag| inert::line(tag, NAME_MAX));
    json!({
        "note": line(&event.about.note, NOTE_MAX),
        "said_by": line(&event.about.said_by, NAME_MAX),
        "url": event.about.url.as_deref().filter(|url| is_link(url)),
        "tags": tags.collect::<Vec<_>>(),
        "picture": context.picture.then(|| picture_id(&event.id)),
        "page": context.url.as_deref().filter(|url| is_link(url)),
        "id": inert::line(event.id.as_str(), NAME_MAX),
        "thread": inert::line(event.thread.as_str(), NAME_MAX),
    })
}

fn line(text: &Option<String>, max: usize) -> Option<String> {
    text.as_ref().map(|text| inert::line(text, max)).filter(|text| !text.is_empty())
}

fn price(price: Option<Px>) -> Option<String> {
    price.map(|price| price.to_string())
}

/// What the event carries, and nothing for what others of its kind may carry.
fn numbers(event: &Event) -> serde_json::Map<String, serde_json::Value> {
    let absent = NUMBERS.iter().map(|name| ((*name).to_owned(), serde_json::Value::Null));
    let there = event.numbers.iter().take(NUMBERS_MAX);
    absent.chain(there.map(|(key, value)| (inert::line(key, NAME_MAX), harmless(value)))).collect()
}

/// A value whose texts are inert. Trees are shown as text: nothing here makes any.
fn harmless(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::String(text) => inert::line(text, VALUE_MAX).into(),
        serde_json::Value::Array(items) => items.iter().take(ITEMS_MAX).map(flat).collect(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.clone(),
        serde_json::Value::Object(_) => flat(value),
    }
}

fn flat(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.clone(),
        serde_json::Value::String(text) => inert::line(text, NAME_MAX).into(),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            inert::line(&value.to_string(), VALUE_MAX).into()
        }
    }
}
