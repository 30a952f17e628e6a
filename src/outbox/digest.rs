//! One event that stands for many: what it counts, and where. Digests can be made of digests, and then still count
//! every event once. Nothing is lost in them: every event is in the ledger all the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::event::{About, Event, Kind, Numbers, Px, Reason, Side, Space, ThreadId};
use crate::outbox::message;
use crate::time::Timestamp;

/// So many levels are named in a digest.
const NAMES_MAX: usize = 10;
/// So many events are told in words.
const TOLD_MAX: usize = 10;

/// One event that stands for all of `group`; `None` when that is empty. `scope` tells apart digests that begin with
/// the same event, and `step` is its place in its thread.
#[must_use]
pub fn digest(group: &[&Event], reason: Reason, scope: &str, step: u32) -> Option<Event> {
    let (first, last) = (*group.first()?, *group.last()?);
    let instrument = common(group, |event| event.instrument.as_ref()).cloned();
    let level = common(group, |event| event.level.as_ref()).cloned();
    // The first event's id tells apart what happens at the same time.
    let subject = format!("digest:{}", instrument.as_deref().unwrap_or("all"));
    let thread = ThreadId::new(&subject, &format!("{scope}{}", first.id), first.occurred_at);
    let space = common(group, |event| event.level_space);
    let moments = (first.occurred_at, last.detected_at);
    Some(Event {
        severity: group.iter().map(|event| event.severity).max().unwrap_or(first.severity),
        contract: common(group, |event| event.contract.as_ref()).cloned(),
        side: common(group, |event| event.side),
        price: group.iter().rev().find_map(|event| event.price).filter(|_| instrument.is_some()),
        level_price: common(group, |event| event.level_price).filter(|_| level.is_some()),
        level_space: space,
        late: group.iter().any(|event| event.late),
        from_bars: group.iter().any(|event| event.from_bars),
        rehearsal: group.iter().any(|event| event.rehearsal),
        about: About::default(),
        instrument,
        level,
        ..Event::bare(Kind::Digest, reason, &thread, step, moments, numbers(group, space))
    })
}

/// The number under which the events of a kind are counted: `broken`.
pub(super) fn count_key(kind: Kind) -> &'static str {
    if kind == Kind::RecordSet { "records" } else { kind.step() }
}

/// The side that all had in common, for a sentence.
pub(super) const fn direction(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Resistance) => " up",
        Some(Side::Support) => " down",
        None => "",
    }
}

fn numbers(group: &[&Event], space: Option<Space>) -> Numbers {
    let mut numbers = Numbers::new();
    let mut add = |key: &str, value: Value| {
        numbers.insert(key.to_owned(), value);
    };
    let counts = counts(group);
    for (kind, count) in &counts {
        add(count_key(*kind), json!(count));
    }
    add("count", json!(counts.values().fold(0u64, |sum, count| sum.saturating_add(*count))));
    let levels =
        group.iter().flat_map(|event| [place(event, space), inner(event, "lowest"), inner(event, "highest")]);
    for (key, px) in ["lowest", "highest"].into_iter().zip(range(levels)) {
        px.into_iter().for_each(|px| add(key, json!(px)));
    }
    if is_one_instrument(group) {
        let prices = group.iter().flat_map(|event| {
            [
                event.price.filter(|_| event.kind != Kind::Digest),
                inner(event, "price_low"),
                inner(event, "price_high"),
            ]
        });
        for (key, px) in ["price_low", "price_high"].into_iter().zip(range(prices)) {
            px.into_iter().for_each(|px| add(key, json!(px)));
        }
    }
    add("levels", json!(first_texts(group, "levels", |event| event.level.clone(), NAMES_MAX)));
    let instruments = first_texts(group, "instruments", |event| event.instrument.clone(), NAMES_MAX);
    if instruments.len() > 1 {
        add("instruments", json!(instruments));
    }
    if repeats(group) {
        add("repeated", Value::Bool(true));
    }
    add("happened", Value::Array(happened(group)));
    let moment = |event: &Event, key| inner::<Timestamp>(event, key).unwrap_or(event.occurred_at);
    add("first_at", json!(group.iter().map(|event| moment(event, "first_at")).min()));
    add("last_at", json!(group.iter().map(|event| moment(event, "last_at")).max()));
    let id = |event: Option<&&Event>, key| {
        event.map(|event| inner::<String>(event, key).unwrap_or_else(|| event.id.to_string()))
    };
    add("first_event", json!(id(group.first(), "first_event")));
    add("last_event", json!(id(group.last(), "last_event")));
    numbers
}

/// What a digest among the events says; nothing for other events.
fn inner<T: serde::de::DeserializeOwned>(event: &Event, key: &str) -> Option<T> {
    let value = event.numbers.get(key).filter(|_| event.kind == Kind::Digest)?;
    serde_json::from_value(value.clone()).ok()
}

fn counts(group: &[&Event]) -> BTreeMap<Kind, u64> {
    let mut counts: BTreeMap<Kind, u64> = BTreeMap::new();
    let mut add = |kind: Kind, more: u64| {
        let count = counts.entry(kind).or_default();
        *count = count.saturating_add(more);
    };
    for event in group {
        if event.kind != Kind::Digest {
            add(event.kind, 1);
            continue;
        }
        for kind in Kind::ALL {
            inner(event, count_key(*kind)).into_iter().for_each(|more| add(*kind, more));
        }
    }
    counts
}

/// The lowest and the highest.
fn range(all: impl Iterator<Item = Option<Px>> + Clone) -> [Option<Px>; 2] {
    let (low, high) = (all.clone().flatten(), all.flatten());
    [low.min_by_key(|px| px.price), high.max_by_key(|px| px.price)]
}

fn is_one_instrument(group: &[&Event]) -> bool {
    common(group, |event| event.instrument.as_ref()).is_some()
}

/// The first different texts of the events, and of the digests among them.
fn first_texts(
    group: &[&Event],
    key: &str,
    own: impl Fn(&Event) -> Option<String>,
    max: usize,
) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for event in group {
        let of_digest = inner::<Vec<String>>(event, key).unwrap_or_default();
        for text in of_digest.into_iter().chain(own(event)) {
            if texts.len() < max && !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts
}

/// Whether the same happened to a level more than once. What lies in a digest and beside it may have.
fn repeats(group: &[&Event]) -> bool {
    let mut seen = BTreeSet::new();
    let mut again = |event: &Event| event.level.is_some() && !seen.insert((event.kind, event.level.clone()));
    let digests = group.iter().filter(|event| event.kind == Kind::Digest).count();
    (digests > 0 && group.len() > 1)
        || group.iter().any(|event| inner(event, "repeated") == Some(true))
        || group.iter().filter(|event| event.kind != Kind::Digest).any(|event| again(event))
}

/// The first events in words, with their times.
fn happened(group: &[&Event]) -> Vec<Value> {
    let mut told: Vec<Value> = Vec::new();
    for event in group {
        if told.len() >= TOLD_MAX {
            break;
        }
        match inner::<Vec<Value>>(event, "happened") {
            Some(inner) => told.extend(inner),
            None => told.push(json!({ "at": event.occurred_at, "what": message::fact(event) })),
        }
    }
    told.truncate(TOLD_MAX);
    told
}

/// Where the level lies; of levels in different spaces, where they lie on the contract.
fn place(event: &Event, space: Option<Space>) -> Option<Px> {
    if space.is_some() { event.level_price } else { event.threshold.or(event.level_price) }
}

/// What all have in common.
fn common<'a, T: PartialEq>(group: &[&'a Event], of: impl Fn(&'a Event) -> Option<T>) -> Option<T> {
    let first = group.first().and_then(|event| of(event))?;
    group.iter().all(|event| of(event).as_ref() == Some(&first)).then_some(first)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a panic fails the test")]
mod tests;
