//! Reading: events, deliveries and attempts as lists.
//!
//! Usable beside a process that writes. It never changes anything: its connections cannot.

use serde::Serialize;
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::event::{Event, EventId, Kind};
use crate::outbox::Outcome;
use crate::store::delivery::{DeliveryId, State, parse_state};
use crate::store::error::StoreError;
use crate::time::Timestamp;

/// The most rows that one call returns; whoever wants more asks again.
pub const ROWS_MAX: u32 = 10_000;

/// A database that is read.
#[derive(Debug)]
pub struct History {
    readers: SqlitePool,
}

/// Which events; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// That occurred then or later, by the exchange's clock.
    pub since: Option<Timestamp>,
    /// Of the level with this name.
    pub level: Option<String>,
    /// Of this instrument.
    pub instrument: Option<String>,
    /// Of these kinds; empty means all.
    pub kinds: Vec<Kind>,
    /// Recorded after this one; for following.
    pub after_seq: Option<i64>,
    /// At most so many, and never more than [`ROWS_MAX`].
    pub limit: Option<u32>,
}

/// An event with its place in the order of recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredEvent {
    /// Grows with every event recorded.
    pub seq: i64,
    /// When it was recorded.
    pub committed_at: Timestamp,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// Which deliveries; what is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<State>,
    /// On this channel.
    pub channel: Option<String>,
    /// At most so many, and never more than [`ROWS_MAX`].
    pub limit: Option<u32>,
}

/// One event on its way to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Which.
    pub id: DeliveryId,
    /// Of which event.
    pub event: EventId,
    /// The channel's name.
    pub channel: String,
    /// The recipient; empty where the channel has only one.
    pub target: String,
    /// Where it stands.
    pub state: State,
    /// When the next attempt may begin; without meaning once it is delivered or dead.
    pub due_at: Timestamp,
    /// When it was made, or last sent again by hand.
    pub created_at: Timestamp,
    /// Attempts that have begun.
    pub attempts: u32,
    /// The delivery of the digest in which this one is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried_by: Option<DeliveryId>,
    /// What the last attempt that was answered came to.
    pub last_outcome: Option<Outcome>,
}

/// One attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// When it was about to begin.
    pub begun_at: Timestamp,
    /// How it ended.
    pub end: End,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "end")]
pub enum End {
    /// It has not.
    UnderWay,
    /// The process ended before the peer's answer was known.
    Unknown {
        /// When that was noticed.
        noticed_at: Timestamp,
    },
    /// The channel came to a result.
    Answered {
        /// When.
        at: Timestamp,
        /// Which.
        outcome: Outcome,
    },
}

impl History {
    pub(super) const fn new(readers: SqlitePool) -> Self {
        Self { readers }
    }

    pub(super) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// One view of everything, whatever is written meanwhile. To be kept short: the log cannot be cut back behind it.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.readers.begin().await?)
    }

    /// Ends every connection; calls that are under way are waited for, later ones fail.
    pub async fn close(&self) {
        self.readers.close().await;
    }

    /// Events in the order of recording: with `after_seq` the first ones after it, otherwise the latest ones. To
    /// read everything, begin with `after_seq` 0 and go on from the last row.
    ///
    /// # Errors
    /// When the database fails, or holds an event that cannot be read.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<StoredEvent>, StoreError> {
        let since = filter.since.map(Timestamp::as_nanos);
        let kinds = kinds_json(&filter.kinds)?;
        let limit = filter.limit.unwrap_or(ROWS_MAX).min(ROWS_MAX);
        let rows = match filter.after_seq {
            Some(seq) => {
                sqlx::query_as!(
                    EventRow,
                    "select seq, id, committed_at, body from events
                     where seq > ?1 and (?2 is null or occurred_at >= ?2) and (?3 is null or level = ?3)
                         and (?4 is null or instrument = ?4)
                         and (?5 is null or kind in (select value from json_each(?5)))
                     order by seq limit ?6",
                    seq,
                    since,
                    filter.level,
                    filter.instrument,
                    kinds,
                    limit
                )
                .fetch_all(&self.readers)
                .await?
            }
            None => {
                let mut rows = sqlx::query_as!(
                    EventRow,
                    "select seq, id, committed_at, body from events
                     where (?1 is null or occurred_at >= ?1) and (?2 is null or level = ?2)
                         and (?3 is null or instrument = ?3)
                         and (?4 is null or kind in (select value from json_each(?4)))
                     order by seq desc limit ?5",
                    since,
                    filter.level,
                    filter.instrument,
                    kinds,
                    limit
                )
                .fetch_all(&self.readers)
                .await?;
                rows.reverse();
                rows
            }
        };
        rows.into_iter().map(EventRow::decode).collect()
    }

    /// The latest deliveries, in the order in which they were made.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliveries(&self, filter: &DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        let state = filter.state.map(State::as_str);
        let limit = filter.limit.unwrap_or(ROWS_MAX).min(ROWS_MAX);
        let mut rows = sqlx::query_as!(
            DeliveryRow,
            r#"select d.id, e.seq, e.id as event, d.channel, d.target, d.state, d.due_at, d.opened_at, d.attempts,
                   d.carried_by,
                   (select outcome from attempts a where a.delivery = d.id and a.outcome is not null
                    order by a.number desc limit 1) as "last_outcome: String"
               from deliveries d join events e on e.seq = d.event
               where (?1 is null or d.state = ?1) and (?2 is null or d.channel = ?2)
               order by d.id desc limit ?3"#,
            state,
            filter.channel,
            limit
        )
        .fetch_all(&self.readers)
        .await?;
        rows.reverse();
        rows.into_iter().map(DeliveryRow::decode).collect()
    }

    /// The attempts of one delivery in order; empty when there is no such delivery.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        let rows = sqlx::query_as!(
            AttemptRow,
            "select delivery, number, begun_at, ended_at, outcome from attempts where delivery = ?1 order by number",
            delivery.0
        )
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(AttemptRow::decode).collect()
    }
}

/// A row of `events`.
pub(super) struct EventRow {
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) committed_at: i64,
    pub(super) body: String,
}

impl EventRow {
    pub(super) fn decode(self) -> Result<StoredEvent, StoreError> {
        let event = event_of(&self.id, &self.body)?;
        Ok(StoredEvent { seq: self.seq, committed_at: Timestamp::from_nanos(self.committed_at), event })
    }
}

/// A row of `deliveries`, with its event's number and id and its last answer.
pub(super) struct DeliveryRow {
    pub(super) id: i64,
    pub(super) seq: i64,
    pub(super) event: String,
    pub(super) channel: String,
    pub(super) target: String,
    pub(super) state: String,
    pub(super) due_at: i64,
    pub(super) opened_at: i64,
    pub(super) attempts: i64,
    pub(super) carried_by: Option<i64>,
    pub(super) last_outcome: Option<String>,
}

impl DeliveryRow {
    pub(super) fn decode(self) -> Result<Delivery, StoreError> {
        let id = DeliveryId(self.id);
        Ok(Delivery {
            id,
            event: self.event.into(),
            channel: self.channel,
            target: self.target,
            state: parse_state(id, &self.state)?,
            due_at: Timestamp::from_nanos(self.due_at),
            created_at: Timestamp::from_nanos(self.opened_at),
            attempts: unsigned(self.attempts),
            carried_by: self.carried_by.map(DeliveryId),
            last_outcome: self.last_outcome.map(|json| outcome_of(id.0, &json)).transpose()?,
        })
    }
}

/// A row of `attempts`.
pub(super) struct AttemptRow {
    pub(super) delivery: i64,
    pub(super) number: i64,
    pub(super) begun_at: i64,
    pub(super) ended_at: Option<i64>,
    pub(super) outcome: Option<String>,
}

impl AttemptRow {
    pub(super) fn decode(self) -> Result<Attempt, StoreError> {
        let end = match (self.ended_at.map(Timestamp::from_nanos), self.outcome) {
            (None, _) => End::UnderWay,
            (Some(noticed_at), None) => End::Unknown { noticed_at },
            (Some(at), Some(json)) => End::Answered { at, outcome: outcome_of(self.delivery, &json)? },
        };
        Ok(Attempt { number: unsigned(self.number), begun_at: Timestamp::from_nanos(self.begun_at), end })
    }
}

/// The event in a row's JSON.
pub(super) fn event_of(id: &str, json: &str) -> Result<Event, StoreError> {
    serde_json::from_str(json).map_err(|e| undecoded(&format!("event {id}"), e))
}

fn outcome_of(delivery: i64, json: &str) -> Result<Outcome, StoreError> {
    serde_json::from_str(json).map_err(|e| undecoded(&format!("an attempt at delivery {delivery}"), e))
}

/// A count that the table keeps at zero or more.
pub(super) fn unsigned(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(if count < 0 { 0 } else { u32::MAX })
}

fn kinds_json(kinds: &[Kind]) -> Result<Option<String>, StoreError> {
    if kinds.is_empty() {
        return Ok(None);
    }
    serde_json::to_string(kinds).map(Some).map_err(StoreError::Encode)
}

pub(super) fn undecoded(what: &str, why: impl Into<crate::store::error::BoxedCause>) -> StoreError {
    StoreError::Decode { what: what.to_owned(), source: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::commit::Commit;
    use crate::store::delivery::Settled;
    use crate::store::fixture::{NOTHING, Place, accepted, at, deferred, event, record};

    async fn some(store: &Store) -> Vec<Event> {
        let mut events: Vec<_> = (1..=4).map(|n| event("2500", n, Kind::LevelBroken)).collect();
        events[1].kind = Kind::LevelFailed;
        events[2].level = Some("2450".into());
        events[3].instrument = Some("ES".into());
        store.commit(&Commit { events: &events, ..NOTHING }).await.unwrap();
        events
    }

    async fn steps(store: &Store, filter: EventFilter) -> Vec<i64> {
        let found = store.history().events(&filter).await.unwrap();
        found.iter().map(|stored| stored.seq).collect()
    }

    #[tokio::test]
    async fn events_are_found_by_everything_that_a_filter_names() {
        let place = Place::new();
        let store = place.open().await;
        some(&store).await;
        let all = EventFilter::default;
        for after_seq in [None, Some(0)] {
            assert_eq!(steps(&store, EventFilter { after_seq, ..all() }).await, [1, 2, 3, 4]);
            assert_eq!(steps(&store, EventFilter { since: Some(at(3)), after_seq, ..all() }).await, [3, 4]);
            assert_eq!(
                steps(&store, EventFilter { level: Some("2450".into()), after_seq, ..all() }).await,
                [3]
            );
            assert_eq!(
                steps(&store, EventFilter { instrument: Some("ES".into()), after_seq, ..all() }).await,
                [4]
            );
            let kinds = vec![Kind::LevelFailed, Kind::FeedDown];
            assert_eq!(steps(&store, EventFilter { kinds, after_seq, ..all() }).await, [2]);
        }
    }

    #[tokio::test]
    async fn a_limit_gives_the_latest_and_following_gives_the_next() {
        let place = Place::new();
        let store = place.open().await;
        some(&store).await;
        let two = EventFilter { limit: Some(2), ..EventFilter::default() };
        assert_eq!(steps(&store, two.clone()).await, [3, 4]);
        assert_eq!(steps(&store, EventFilter { after_seq: Some(1), ..two.clone() }).await, [2, 3]);
        assert_eq!(steps(&store, EventFilter { after_seq: Some(4), ..two }).await, Vec::<i64>::new());
    }

    #[tokio::test]
    async fn deliveries_are_listed_by_state_and_channel_with_their_last_answer() {
        let place = Place::new();
        let store = place.open().await;
        let ids = record(&store, &[1, 2, 3].map(|n| event("2500", n, Kind::LevelBroken))).await;
        for (id, outcome, next) in [
            (ids[0], accepted(), Settled::Delivered),
            (ids[1], deferred(), Settled::Retry { due_at: at(80) }),
        ] {
            store.begin_attempt(id, at(1)).await.unwrap();
            store.settle(id, 1, &outcome, at(2), next).await.unwrap();
        }
        store.begin_attempt(ids[1], at(80)).await.unwrap();
        let list =
            |state, channel: &str| DeliveryFilter { state, channel: Some(channel.into()), limit: None };
        let all = store.history().deliveries(&list(None, "mail")).await.unwrap();
        assert_eq!(all.iter().map(|d| d.id).collect::<Vec<_>>(), ids);
        assert_eq!(all[1].last_outcome, Some(deferred()), "the attempt under way has no answer yet");
        assert_eq!((all[1].state, all[1].attempts, all[1].due_at), (State::Sending, 2, at(80)));
        assert_eq!(all[2].last_outcome, None);
        assert_eq!(store.history().deliveries(&list(Some(State::Due), "mail")).await.unwrap(), all[2..]);
        assert_eq!(store.history().deliveries(&list(None, "slack")).await.unwrap(), []);
        let latest = DeliveryFilter { limit: Some(1), ..DeliveryFilter::default() };
        assert_eq!(store.history().deliveries(&latest).await.unwrap(), all[2..]);
    }

    #[tokio::test]
    async fn an_event_that_cannot_be_read_is_named() {
        let place = Place::new();
        let store = place.open().await;
        some(&store).await;
        let damage = "update events set body = '{}' where seq = 2";
        sqlx::query(damage).execute(&store.writer).await.unwrap();
        let error = store.history().events(&EventFilter::default()).await.unwrap_err();
        let id = event("2500", 2, Kind::LevelBroken).id;
        assert!(error.to_string().contains(id.as_str()), "{error}");
    }

    #[test]
    fn a_stored_event_is_the_event_with_two_more_keys() {
        let first = event("2500", 1, Kind::LevelBroken);
        let stored = StoredEvent { seq: 7, committed_at: at(9), event: first.clone() };
        let mut json = serde_json::to_value(&stored).unwrap();
        let object = json.as_object_mut().unwrap();
        assert_eq!(object.remove("seq").unwrap(), 7);
        assert_eq!(object.remove("committed_at").unwrap(), at(9).to_string());
        assert_eq!(json, serde_json::to_value(&first).unwrap());
    }
}
