//! Decides what of one commit is told by itself and what together: a price that crosses very many levels at
//! once is one message, not very many. Nothing here is lost: every event is in the ledger all the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::event::{About, Event, EventId, Kind, Numbers, Px, Reason, Side, Space, ThreadId};
use crate::outbox::route::Router;

/// Up to so many events of one instrument's levels in one commit are told each by itself.
pub const DIGEST_FROM: usize = 20;
/// So many levels are named in a digest.
const NAMES_MAX: usize = 10;

/// What one commit has to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telling<'a> {
    /// Each stands for many events; recorded with them.
    pub digests: Vec<Event>,
    /// Which channel is told of which event or digest: channel by channel, in the order of the events.
    pub told: Vec<(&'a str, EventId)>,
}

/// Who is told what of the events of one commit. The same events make the same digests, with the same ids.
///
/// Events are routed one by one. When a channel would be told of more than [`DIGEST_FROM`] events of one
/// instrument's levels, it is told of a digest in their place. What is not about a level (a feed, a channel,
/// a roll) is always told by itself.
#[must_use]
pub fn telling<'a>(events: &[Event], router: &'a Router) -> Telling<'a> {
    let mut by_channel: BTreeMap<&'a str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        for channel in router.route(event) {
            by_channel.entry(channel).or_default().push(event);
        }
    }
    let mut telling = Telling::default();
    for (channel, events) in by_channel {
        telling.add(channel, &events);
    }
    telling
}

impl<'a> Telling<'a> {
    fn add(&mut self, channel: &'a str, events: &[&Event]) {
        let mut groups: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in events {
            if let Some(instrument) = grouped_by(event) {
                groups.entry(instrument).or_default().push(event);
            }
        }
        groups.retain(|_, events| events.len() > DIGEST_FROM);
        let mut digested = BTreeSet::new();
        for event in events {
            match grouped_by(event).and_then(|instrument| groups.get_key_value(instrument)) {
                Some((instrument, group)) if digested.insert(*instrument) => {
                    let id = self.digest(instrument, group);
                    self.told.extend(id.map(|id| (channel, id)));
                }
                Some(_) => {}
                None => self.told.push((channel, event.id.clone())),
            }
        }
    }

    /// The id of the digest of `group`. Channels that are told of the same events share it; those that are told
    /// of others have their own, as further steps of its thread.
    fn digest(&mut self, instrument: &str, group: &[&Event]) -> Option<EventId> {
        let digest = digest(instrument, group)?;
        let mut step = 1u32;
        for known in self.digests.iter().filter(|known| known.thread == digest.thread) {
            if known.numbers == digest.numbers {
                return Some(known.id.clone());
            }
            step = step.saturating_add(1);
        }
        let id = EventId::new(&digest.thread, step, Kind::Digest);
        self.digests.push(Event { id: id.clone(), ..digest });
        Some(id)
    }
}

/// The instrument whose digest may hold the event; `None` when it is always told by itself.
fn grouped_by(event: &Event) -> Option<&str> {
    event.level.as_ref().and(event.instrument.as_deref())
}

/// One event that stands for all of `group`, which is not empty.
fn digest(instrument: &str, group: &[&Event]) -> Option<Event> {
    let (first, last) = (*group.first()?, *group.last()?);
    // The first event's id tells apart what happens at the same time.
    let thread = ThreadId::new(&format!("digest:{instrument}"), first.id.as_str(), first.occurred_at);
    let space = common(group, |event| event.level_space);
    let moments = (first.occurred_at, last.detected_at);
    let numbers = numbers(group, first, last, space);
    Some(Event {
        severity: group.iter().map(|event| event.severity).max().unwrap_or(first.severity),
        instrument: Some(instrument.to_owned()),
        contract: common(group, |event| event.contract.as_ref()).cloned(),
        side: common(group, |event| event.side),
        price: group.iter().rev().find_map(|event| event.price),
        level_space: space,
        late: group.iter().any(|event| event.late),
        from_bars: group.iter().any(|event| event.from_bars),
        rehearsal: group.iter().any(|event| event.rehearsal),
        about: About::default(),
        ..Event::bare(Kind::Digest, Reason::ManyAtOnce, &thread, 1, moments, numbers)
    })
}

fn numbers(group: &[&Event], first: &Event, last: &Event, space: Option<Space>) -> Numbers {
    let mut numbers = Numbers::new();
    let mut add = |key: &str, value: Value| {
        numbers.insert(key.to_owned(), value);
    };
    for (kind, count) in counts(group) {
        add(count_key(kind), json!(count));
    }
    let levels: Vec<Px> = group.iter().filter_map(|event| place(event, space)).collect();
    if let (Some(lowest), Some(highest)) =
        (levels.iter().min_by_key(|px| px.price), levels.iter().max_by_key(|px| px.price))
    {
        add("lowest", json!(lowest));
        add("highest", json!(highest));
    }
    add("count", json!(group.len()));
    add("levels", json!(names(group)));
    add("first_at", json!(group.iter().map(|event| event.occurred_at).min()));
    add("last_at", json!(group.iter().map(|event| event.occurred_at).max()));
    add("first_event", json!(first.id));
    add("last_event", json!(last.id));
    numbers
}

/// The number under which the events of a kind are counted: `broken`.
pub(super) fn count_key(kind: Kind) -> &'static str {
    if kind == Kind::RecordSet { "records" } else { kind.step() }
}

fn counts(group: &[&Event]) -> BTreeMap<Kind, u64> {
    let mut counts: BTreeMap<Kind, u64> = BTreeMap::new();
    for event in group {
        let count = counts.entry(event.kind).or_default();
        *count = count.saturating_add(1);
    }
    counts
}

/// The first levels, each once.
fn names<'a>(group: &[&'a Event]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in group.iter().filter_map(|event| event.level.as_deref()) {
        if names.len() >= NAMES_MAX {
            break;
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
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

/// The side that all had in common, for a sentence.
pub(super) const fn direction(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Resistance) => " up",
        Some(Side::Support) => " down",
        None => "",
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a panic fails the test")]
mod tests;
