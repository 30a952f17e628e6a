//! Events, commits and stores for the tests of this module.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::event::{About, Event, EventId, Kind, Numbers, Reason, Severity, ThreadId};
use crate::outbox::Outcome;
use crate::store::Store;
use crate::store::commit::{Commit, NewDelivery};
use crate::store::delivery::DeliveryId;
use crate::time::Timestamp;

/// A database in a directory that goes with it.
pub(super) struct Place {
    directory: TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("ledger.db")
    }

    pub(super) async fn open(&self) -> Store {
        Store::open(&self.path()).await.unwrap()
    }
}

/// `n` milliseconds after noon of a Monday.
pub(super) fn at(n: i64) -> Timestamp {
    Timestamp::from_nanos(1_732_536_000_000_000_000 + n * 1_000_000)
}

/// The `step`-th event of level `level`'s thread; established `step` milliseconds after noon.
pub(super) fn event(level: &str, step: u32, kind: Kind) -> Event {
    let thread = ThreadId::new(level, "RTY", at(0));
    Event {
        id: EventId::new(&thread, step, kind),
        thread,
        kind,
        severity: Severity::High,
        level: Some(level.to_owned()),
        instrument: Some("RTY".into()),
        contract: Some("RTYZ4".into()),
        side: None,
        price: None,
        threshold: None,
        level_price: None,
        level_space: None,
        occurred_at: at(i64::from(step)),
        detected_at: at(i64::from(step) + 4),
        reason: Reason::Cross,
        late: false,
        from_bars: false,
        rehearsal: false,
        numbers: Numbers::new(),
        about: About::default(),
    }
}

/// A delivery of `event` that is due at noon.
pub(super) fn delivery(event: &Event, channel: &str, target: &str) -> NewDelivery {
    NewDelivery { event: event.id.clone(), channel: channel.into(), target: target.into(), due_at: at(0) }
}

/// Nothing, at noon.
pub(super) const NOTHING: Commit<'_> = Commit {
    events: &[],
    deliveries: &[],
    levels: &[],
    books: &[],
    bars: &[],
    days: &[],
    committed_at: Timestamp::from_nanos(0),
};

/// Records `events`, each with one delivery on the channel `mail`.
pub(super) async fn record(store: &Store, events: &[Event]) -> Vec<DeliveryId> {
    let deliveries: Vec<_> = events.iter().map(|event| delivery(event, "mail", "desk@example.com")).collect();
    let commit = Commit { events, deliveries: &deliveries, committed_at: at(10), ..NOTHING };
    store.commit(&commit).await.unwrap()
}

pub(super) fn accepted() -> Outcome {
    Outcome::Accepted { receipt: "250 queued as 4711".into() }
}

pub(super) fn deferred() -> Outcome {
    Outcome::Deferred { reason: "451 later".into(), retry_after: None }
}
