//! Decides what of one commit is told by itself and what together: a price that crosses very many levels at
//! once is one message, not very many. Nothing here is lost: every event is in the ledger all the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, EventId, Kind, Reason, Severity};
use crate::outbox::digest::digest;
use crate::outbox::route::Router;

/// Up to so many events of one instrument's levels in one commit are told each by itself.
pub const DIGEST_FROM: usize = 20;
/// What is grouped: an instrument's levels, what is critical about them apart from the rest.
type Group<'a> = (&'a str, bool);

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
/// instrument's levels, it is told of a digest in their place. What is critical is counted apart, so that it is
/// never hidden in a digest of the rest. What is not about a level (a feed, a channel, a roll) is always told by
/// itself.
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
        let mut groups: BTreeMap<Group<'_>, Vec<&Event>> = BTreeMap::new();
        for event in events {
            if let Some(group) = grouped_by(event) {
                groups.entry(group).or_default().push(event);
            }
        }
        groups.retain(|_, events| events.len() > DIGEST_FROM);
        let mut digested = BTreeSet::new();
        for event in events {
            match grouped_by(event).and_then(|group| groups.get_key_value(&group)) {
                Some((group, events)) if digested.insert(*group) => {
                    let id = self.digest(events);
                    self.told.extend(id.map(|id| (channel, id)));
                }
                Some(_) => {}
                None => self.told.push((channel, event.id.clone())),
            }
        }
    }

    /// The id of the digest of `group`. Channels that are told of the same events share it; those that are told
    /// of others have their own, as further steps of its thread.
    fn digest(&mut self, group: &[&Event]) -> Option<EventId> {
        let digest = digest(group, Reason::ManyAtOnce, "", 1)?;
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

/// The digest that may hold the event; `None` when it is always told by itself.
fn grouped_by(event: &Event) -> Option<Group<'_>> {
    let instrument = event.level.as_ref().and(event.instrument.as_deref())?;
    Some((instrument, event.severity == Severity::Critical))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a panic fails the test")]
mod tests;
