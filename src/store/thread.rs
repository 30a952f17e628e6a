//! Reading: one thread as a whole, each event with everything that was done to tell it.
//!
//! It finds and assembles; how a thread is shown is for the commands to say.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::ThreadId;
use crate::store::delivery::DeliveryId;
use crate::store::error::StoreError;
use crate::store::history::{
    Attempt, AttemptRow, Delivery, DeliveryRow, EventRow, History, ROWS_MAX, StoredEvent,
};

/// So many threads are named when a text is the beginning of several.
const EXAMPLES_MAX: i64 = 3;

/// A whole story: each event with everything that was done to tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Thread {
    /// Which.
    pub id: ThreadId,
    /// Its events in the order of recording.
    pub events: Vec<ToldEvent>,
}

/// An event and its deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ToldEvent {
    /// The event.
    pub stored: StoredEvent,
    /// Its deliveries.
    pub deliveries: Vec<TriedDelivery>,
}

/// A delivery and its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriedDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// Its attempts in order.
    pub attempts: Vec<Attempt>,
}

impl History {
    /// The thread that `key` names: its id, the id of one of its events, or the beginning of either when no other
    /// thread begins alike. `None` when nothing does.
    ///
    /// # Errors
    /// [`StoreError::Ambiguous`] when several do, or when the database fails.
    pub async fn thread(&self, key: &str) -> Result<Option<Thread>, StoreError> {
        match self.thread_named(key).await? {
            Some(id) => Ok(Some(self.whole(id).await?)),
            None => Ok(None),
        }
    }

    /// The thread to which a delivery belongs; `None` when there is no such delivery.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn thread_of(&self, delivery: DeliveryId) -> Result<Option<Thread>, StoreError> {
        let found = sqlx::query_scalar!(
            "select e.thread from deliveries d join events e on e.seq = d.event where d.id = ?1",
            delivery.0
        )
        .fetch_optional(self.readers())
        .await?;
        match found {
            Some(id) => Ok(Some(self.whole(id).await?)),
            None => Ok(None),
        }
    }

    async fn thread_named(&self, key: &str) -> Result<Option<String>, StoreError> {
        let exact =
            sqlx::query_scalar!("select thread from events where id = ?1 or thread = ?1 limit 1", key)
                .fetch_optional(self.readers())
                .await?;
        if exact.is_some() || key.is_empty() {
            return Ok(exact);
        }
        // An event's id begins with its thread's, and ids are ASCII.
        let mut found = sqlx::query_scalar!(
            "select distinct thread from events where id >= ?1 and id < ?1 || '~' order by thread limit ?2",
            key,
            EXAMPLES_MAX
        )
        .fetch_all(self.readers())
        .await?;
        if found.len() > 1 {
            return Err(StoreError::Ambiguous { key: key.to_owned(), examples: found });
        }
        Ok(found.pop())
    }

    async fn whole(&self, thread: String) -> Result<Thread, StoreError> {
        let mut view = self.begin().await?;
        let events = sqlx::query_as!(
            EventRow,
            "select seq, id, committed_at, body from events where thread = ?1 order by seq limit ?2",
            thread,
            ROWS_MAX
        )
        .fetch_all(&mut *view)
        .await?;
        let deliveries = sqlx::query_as!(
            DeliveryRow,
            r#"select d.id, e.seq, e.id as event, d.channel, d.target, d.state, d.due_at, d.opened_at, d.attempts,
                   d.carried_by,
                   (select outcome from attempts a where a.delivery = d.id and a.outcome is not null
                    order by a.number desc limit 1) as "last_outcome: String"
               from events e join deliveries d on d.event = e.seq
               where e.thread = ?1 order by d.id limit ?2"#,
            thread,
            ROWS_MAX
        )
        .fetch_all(&mut *view)
        .await?;
        let attempts = sqlx::query_as!(
            AttemptRow,
            "select a.delivery, a.number, a.begun_at, a.ended_at, a.outcome
             from events e join deliveries d on d.event = e.seq join attempts a on a.delivery = d.id
             where e.thread = ?1 order by a.delivery, a.number limit ?2",
            thread,
            ROWS_MAX
        )
        .fetch_all(&mut *view)
        .await?;
        view.commit().await?;
        Ok(Thread { id: thread.into(), events: assemble(events, deliveries, attempts)? })
    }
}

/// Puts each attempt to its delivery and each delivery to its event.
fn assemble(
    events: Vec<EventRow>,
    deliveries: Vec<DeliveryRow>,
    attempts: Vec<AttemptRow>,
) -> Result<Vec<ToldEvent>, StoreError> {
    let mut by_delivery: BTreeMap<i64, Vec<Attempt>> = BTreeMap::new();
    for row in attempts {
        by_delivery.entry(row.delivery).or_default().push(row.decode()?);
    }
    let mut by_event: BTreeMap<i64, Vec<TriedDelivery>> = BTreeMap::new();
    for row in deliveries {
        let attempts = by_delivery.remove(&row.id).unwrap_or_default();
        by_event.entry(row.seq).or_default().push(TriedDelivery { delivery: row.decode()?, attempts });
    }
    let told = |row: EventRow| {
        let deliveries = by_event.remove(&row.seq).unwrap_or_default();
        Ok(ToldEvent { stored: row.decode()?, deliveries })
    };
    events.into_iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::store::Store;
    use crate::store::delivery::Settled;
    use crate::store::fixture::{Place, accepted, at, deferred, event, record};
    use crate::store::history::End;

    async fn told(store: &Store) -> Vec<DeliveryId> {
        let ids = record(store, &[1, 2].map(|n| event("2500", n, Kind::LevelBroken))).await;
        record(store, &[event("2600", 1, Kind::LevelBroken)]).await;
        for (n, outcome, next) in
            [(1, deferred(), Settled::Retry { due_at: at(0) }), (2, accepted(), Settled::Delivered)]
        {
            store.begin_attempt(ids[0], at(n)).await.unwrap();
            store.settle(ids[0], u32::try_from(n).unwrap(), &outcome, at(n), next).await.unwrap();
        }
        ids
    }

    #[tokio::test]
    async fn a_thread_holds_its_events_their_deliveries_and_attempts() {
        let place = Place::new();
        let store = place.open().await;
        let ids = told(&store).await;
        let first = event("2500", 1, Kind::LevelBroken);
        let thread = store.history().thread(first.id.as_str()).await.unwrap().unwrap();
        assert_eq!(thread.id, first.thread);
        assert_eq!(thread.events.len(), 2);
        assert_eq!(thread.events[0].stored.event, first);
        let delivery = &thread.events[0].deliveries[0];
        assert_eq!((delivery.delivery.id, thread.events[0].deliveries.len()), (ids[0], 1));
        assert_eq!(delivery.attempts[0].end, End::Answered { at: at(1), outcome: deferred() });
        assert_eq!(delivery.attempts[1].end, End::Answered { at: at(2), outcome: accepted() });
        assert_eq!(thread.events[1].deliveries[0].attempts, []);
        assert_eq!(store.history().attempts(ids[0]).await.unwrap(), delivery.attempts);
    }

    #[tokio::test]
    async fn a_thread_is_found_by_any_name_that_fits_it_alone() {
        let place = Place::new();
        let store = place.open().await;
        let ids = told(&store).await;
        let first = event("2500", 1, Kind::LevelBroken);
        let history = store.history();
        let whole = history.thread_of(ids[0]).await.unwrap();
        assert!(whole.is_some());
        for key in [first.id.as_str(), first.thread.as_str(), "25"] {
            assert_eq!(history.thread(key).await.unwrap(), whole, "{key}");
        }
        for key in ["", "9", "%", "2500-zzz"] {
            assert_eq!(history.thread(key).await.unwrap(), None, "{key}");
        }
        assert_eq!(history.thread_of(DeliveryId(999)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_beginning_of_several_threads_names_some_of_them() {
        let place = Place::new();
        let store = place.open().await;
        told(&store).await;
        let error = store.history().thread("2").await.unwrap_err();
        assert!(matches!(&error, StoreError::Ambiguous { examples, .. } if examples.len() == 2), "{error}");
        assert!(error.to_string().contains(event("2600", 1, Kind::LevelBroken).thread.as_str()), "{error}");
    }
}
