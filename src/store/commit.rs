//! What the engine established, made durable in one transaction, and read back at the next start.
//!
//! One statement per table and a thousand rows: each statement crosses to SQLite's thread and back, which
//! costs more than the insertion of a row. Nothing here decides what is saved.

use serde::Serialize;
use sqlx::SqliteConnection;

use crate::engine::saved::{SavedBook, SavedLevel};
use crate::event::{Event, EventId, ThreadId};
use crate::store::Store;
use crate::store::bars::{Rows, StoredBar, StoredDay};
use crate::store::delivery::DeliveryId;
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::time::Timestamp;

/// The rows of one statement. The text of more than about a thousand leaves the processor's caches, and then each
/// row costs twice as much.
pub(super) const ROWS_AT_ONCE: usize = 1_000;

/// Everything that belongs together: it is recorded as a whole or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// In the order in which they were established.
    pub events: &'a [Event],
    /// Of these events, or of earlier ones.
    pub deliveries: &'a [NewDelivery],
    /// Levels whose state changed.
    pub levels: &'a [SavedLevel],
    /// Instruments whose state changed.
    pub books: &'a [SavedBook],
    /// Minutes that are over.
    pub bars: &'a [StoredBar],
    /// Trade dates that are over.
    pub days: &'a [StoredDay],
    /// Now.
    pub committed_at: Timestamp,
}

/// One event that is to be told to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewDelivery {
    /// The event.
    pub event: EventId,
    /// The channel's name.
    pub channel: String,
    /// The recipient; empty where the channel has only one.
    pub target: String,
    /// When the first attempt may begin.
    #[serde(serialize_with = "nanos")]
    pub due_at: Timestamp,
}

impl Store {
    /// Records a commit as a whole and returns the deliveries that are new, in the order given. What is already
    /// recorded, by event id and by event, channel and target, stays as it is; levels and books are replaced. On
    /// the disk when it returns.
    ///
    /// # Errors
    /// [`StoreError::Constraint`] when a delivery names an event that is neither in the commit nor recorded;
    /// [`StoreError::Full`] and other failures of the database. Nothing is recorded then.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<Vec<DeliveryId>, StoreError> {
        let Commit { events, deliveries, levels, books, bars, days, committed_at } = *commit;
        let past = bars.is_empty() && days.is_empty();
        if events.is_empty() && deliveries.is_empty() && levels.is_empty() && books.is_empty() && past {
            return Ok(Vec::new());
        }
        let mut transaction = self.begin().await?;
        for events in events.chunks(ROWS_AT_ONCE) {
            insert_events(&mut transaction, events, committed_at).await?;
        }
        let mut new = Vec::new();
        for deliveries in deliveries.chunks(ROWS_AT_ONCE) {
            new.extend(insert_deliveries(&mut transaction, deliveries, committed_at).await?);
        }
        for levels in levels.chunks(ROWS_AT_ONCE) {
            save_levels(&mut transaction, levels).await?;
        }
        for books in books.chunks(ROWS_AT_ONCE) {
            save_books(&mut transaction, books).await?;
        }
        Rows::Bars(bars).save(&mut transaction).await?;
        Rows::Days(days).save(&mut transaction).await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Every level and every book as last saved, in order of their keys.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load(&self) -> Result<(Vec<SavedLevel>, Vec<SavedBook>), StoreError> {
        self.history().load().await
    }

    /// Forgets the levels of rules that no longer exist; returns how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_levels(&self, keys: &[String]) -> Result<u64, StoreError> {
        let keys = json(keys)?;
        let mut transaction = self.begin().await?;
        let done = sqlx::query!("delete from levels where key in (select value from json_each(?1))", keys)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

impl History {
    /// Every level and every book as last saved, in order of their keys.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn load(&self) -> Result<(Vec<SavedLevel>, Vec<SavedBook>), StoreError> {
        let mut transaction = self.begin().await?;
        let levels = sqlx::query_as!(SavedLevel, "select key, fingerprint, state from levels order by key")
            .fetch_all(&mut *transaction)
            .await?;
        let books =
            sqlx::query_as!(SavedBook, "select instrument as key, state from books order by instrument")
                .fetch_all(&mut *transaction)
                .await?;
        transaction.commit().await?;
        Ok((levels, books))
    }
}

/// A row of `events` on its way into SQLite.
#[derive(Serialize)]
struct EventRow<'a> {
    id: &'a EventId,
    thread: &'a ThreadId,
    kind: &'static str,
    severity: &'static str,
    level: Option<&'a str>,
    instrument: Option<&'a str>,
    occurred_at: i64,
    detected_at: i64,
    body: String,
}

impl<'a> EventRow<'a> {
    fn new(event: &'a Event) -> Result<Self, StoreError> {
        Ok(Self {
            id: &event.id,
            thread: &event.thread,
            kind: event.kind.as_str(),
            severity: event.severity.as_str(),
            level: event.level.as_deref(),
            instrument: event.instrument.as_deref(),
            occurred_at: event.occurred_at.as_nanos(),
            detected_at: event.detected_at.as_nanos(),
            body: serde_json::to_string(event).map_err(StoreError::Encode)?,
        })
    }
}

pub(super) async fn insert_events(
    connection: &mut SqliteConnection,
    events: &[Event],
    committed_at: Timestamp,
) -> Result<(), StoreError> {
    let rows = json(&events.iter().map(EventRow::new).collect::<Result<Vec<_>, _>>()?)?;
    let committed_at = committed_at.as_nanos();
    sqlx::query!(
        "insert into events
             (id, thread, kind, severity, level, instrument, occurred_at, detected_at, committed_at, body)
         select value ->> 'id', value ->> 'thread', value ->> 'kind', value ->> 'severity', value ->> 'level',
             value ->> 'instrument', value ->> 'occurred_at', value ->> 'detected_at', ?2, value ->> 'body'
         from json_each(?1) where true order by key
         on conflict (id) do nothing",
        rows,
        committed_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_deliveries(
    connection: &mut SqliteConnection,
    deliveries: &[NewDelivery],
    committed_at: Timestamp,
) -> Result<Vec<DeliveryId>, StoreError> {
    let rows = json(deliveries)?;
    let committed_at = committed_at.as_nanos();
    // An event that is not recorded gives a null, which the table refuses.
    let mut ids = sqlx::query_scalar!(
        r#"insert into deliveries (event, channel, target, state, due_at, opened_at, urgent)
           select e.seq, value ->> 'channel', value ->> 'target', 'due',
               max(value ->> 'due_at', coalesce((select until from snoozes s
                   where s.level = e.level and e.severity <> 'critical'), value ->> 'due_at')),
               ?2, coalesce(e.severity = 'critical', 0)
           from json_each(?1) left join events e on e.id = value ->> 'event' where true order by key
           on conflict (event, channel, target) do nothing
           returning id as "id!: i64""#,
        rows,
        committed_at
    )
    .fetch_all(connection)
    .await?;
    ids.sort_unstable();
    Ok(ids.into_iter().map(DeliveryId).collect())
}

async fn save_levels(connection: &mut SqliteConnection, levels: &[SavedLevel]) -> Result<(), StoreError> {
    let rows = json(levels)?;
    sqlx::query!(
        "insert into levels (key, fingerprint, state)
         select value ->> 'key', value ->> 'fingerprint', value ->> 'state' from json_each(?1) where true order by key
         on conflict (key) do update set fingerprint = excluded.fingerprint, state = excluded.state",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn save_books(connection: &mut SqliteConnection, books: &[SavedBook]) -> Result<(), StoreError> {
    let rows = json(books)?;
    sqlx::query!(
        "insert into books (instrument, state)
         select value ->> 'key', value ->> 'state' from json_each(?1) where true order by key
         on conflict (instrument) do update set state = excluded.state",
        rows
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn json<T: Serialize + ?Sized>(rows: &T) -> Result<String, StoreError> {
    serde_json::to_string(rows).map_err(StoreError::Encode)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn nanos<S: serde::Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_i64(at.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::store::delivery::Held;
    use crate::store::fixture::{NOTHING, Place, at, delivery, event, record};
    use crate::store::history::{DeliveryFilter, EventFilter};

    fn level(key: &str, state: &str) -> SavedLevel {
        SavedLevel { key: key.into(), fingerprint: "f1".into(), state: state.into() }
    }

    #[tokio::test]
    async fn a_commit_comes_back_whole_and_in_order() {
        let place = Place::new();
        let store = place.open().await;
        let events: Vec<_> = (1..=3).map(|n| event("2500", n, Kind::LevelBroken)).collect();
        let levels = [level("RTY/2500", r#"{"armed":false}"#), level("RTY/2450", "{}")];
        let books = [SavedBook { key: "RTY".into(), state: r#"{"last":"2500.4"}"#.into() }];
        let deliveries = [delivery(&events[2], "slack", ""), delivery(&events[0], "mail", "a@example.com")];
        let commit = Commit {
            events: &events,
            deliveries: &deliveries,
            levels: &levels,
            books: &books,
            bars: &[],
            days: &[],
            committed_at: at(10),
        };
        let new = store.commit(&commit).await.unwrap();
        store.close().await;
        drop(store);

        let store = place.open().await;
        let stored = store.history().events(&EventFilter::default()).await.unwrap();
        assert_eq!(stored.iter().map(|s| &s.event).collect::<Vec<_>>(), events.iter().collect::<Vec<_>>());
        assert!(stored.is_sorted_by_key(|s| s.seq) && stored.iter().all(|s| s.committed_at == at(10)));
        let (loaded, loaded_books) = store.load().await.unwrap();
        assert_eq!(loaded, [levels[1].clone(), levels[0].clone()], "in order of their keys");
        assert_eq!(loaded_books, books);
        let kept = store.history().deliveries(&DeliveryFilter::default()).await.unwrap();
        assert_eq!(kept.iter().map(|d| d.id).collect::<Vec<_>>(), new);
        assert_eq!(kept.iter().map(|d| d.channel.as_str()).collect::<Vec<_>>(), ["slack", "mail"]);
    }

    #[tokio::test]
    async fn the_same_commit_a_second_time_adds_nothing() {
        let place = Place::new();
        let store = place.open().await;
        let events = [event("2500", 1, Kind::LevelBroken), event("2500", 2, Kind::LevelFailed)];
        assert_eq!(record(&store, &events).await.len(), 2);
        assert_eq!(record(&store, &events).await, []);
        assert_eq!(store.history().events(&EventFilter::default()).await.unwrap().len(), 2);
        assert_eq!(store.history().deliveries(&DeliveryFilter::default()).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_event_keeps_its_first_form_and_may_be_told_to_more_later() {
        let place = Place::new();
        let store = place.open().await;
        let first = event("2500", 1, Kind::LevelBroken);
        record(&store, std::slice::from_ref(&first)).await;
        let changed = crate::event::Event { late: true, ..first.clone() };
        let more = [delivery(&first, "mail", "desk@example.com"), delivery(&first, "mail", "b@example.com")];
        let commit = Commit { events: &[changed], deliveries: &more, committed_at: at(99), ..NOTHING };
        assert_eq!(store.commit(&commit).await.unwrap().len(), 1, "only the second recipient is new");
        let stored = store.history().events(&EventFilter::default()).await.unwrap();
        assert_eq!((&stored[0].event, stored[0].committed_at, stored.len()), (&first, at(10), 1));
    }

    #[tokio::test]
    async fn a_delivery_of_an_unknown_event_refuses_the_whole_commit() {
        let place = Place::new();
        let store = place.open().await;
        let known = event("2500", 1, Kind::LevelBroken);
        let stray = delivery(&event("2450", 1, Kind::LevelBroken), "mail", "");
        let commit =
            Commit { events: &[known], deliveries: &[stray], levels: &[level("a", "{}")], ..NOTHING };
        assert!(matches!(store.commit(&commit).await, Err(StoreError::Constraint(_))));
        assert_eq!(store.history().events(&EventFilter::default()).await.unwrap(), []);
        assert_eq!(store.load().await.unwrap(), (vec![], vec![]));
    }

    #[tokio::test]
    async fn a_level_is_replaced_and_can_be_forgotten() {
        let place = Place::new();
        let store = place.open().await;
        for state in ["1", "2"] {
            let levels = [level("a", state), level("b", state)];
            store.commit(&Commit { levels: &levels, ..NOTHING }).await.unwrap();
        }
        assert_eq!(store.load().await.unwrap().0, [level("a", "2"), level("b", "2")]);
        assert_eq!(store.delete_levels(&["a".into(), "never there".into()]).await.unwrap(), 1);
        assert_eq!(store.load().await.unwrap().0, [level("b", "2")]);
    }

    #[tokio::test]
    async fn odd_texts_and_extreme_times_come_back_as_they_were() {
        let place = Place::new();
        let store = place.open().await;
        let odd = "Größe \"2.500\" 'x'\r\n\u{0}\u{1f600}\u{202e}{{ }} -- ; drop table events";
        let mut first = event(odd, 1, Kind::LevelBroken);
        (first.occurred_at, first.detected_at) = (Timestamp::MIN, Timestamp::MAX);
        let mut told = delivery(&first, odd, odd);
        told.due_at = Timestamp::MIN;
        let (levels, books) = ([level(odd, odd)], [SavedBook { key: odd.into(), state: odd.into() }]);
        let commit = Commit {
            events: std::slice::from_ref(&first),
            deliveries: &[told],
            levels: &levels,
            books: &books,
            bars: &[],
            days: &[],
            committed_at: Timestamp::MAX,
        };
        store.commit(&commit).await.unwrap();
        let of_level = EventFilter { level: Some(odd.into()), ..EventFilter::default() };
        let stored = store.history().events(&of_level).await.unwrap();
        assert_eq!((&stored[0].event, stored[0].committed_at), (&first, Timestamp::MAX));
        assert_eq!(store.load().await.unwrap(), (levels.to_vec(), books.to_vec()));
        let due = store.claim(odd, Timestamp::MIN, 9, &Held::default()).await.unwrap();
        assert_eq!(due[0].target, odd);
    }

    #[tokio::test]
    async fn ten_thousand_events_go_into_one_commit() {
        let place = Place::new();
        let store = place.open().await;
        let events: Vec<_> = (1..=10_000).map(|n| event("2500", n, Kind::LevelApproached)).collect();
        assert_eq!(record(&store, &events).await.len(), 10_000);
        let all = EventFilter { after_seq: Some(0), ..EventFilter::default() };
        assert_eq!(store.history().events(&all).await.unwrap().len(), 10_000);
    }

    /// As long as that of a level's break in the field.
    fn grown(n: u32) -> Event {
        let numbers =
            [("next_above", "2,525.0 (+24.6)"), ("next_below", "2,475.0 (-25.4)"), ("day_high", "2500.4")];
        let note = Some("key mid-term resistance for the E-mini Russell 2000".to_owned());
        Event {
            numbers: numbers.iter().map(|(key, text)| ((*key).to_owned(), (*text).into())).collect(),
            about: crate::event::About { note, ..crate::event::About::default() },
            ..event(&format!("level {n}"), 1, Kind::LevelBroken)
        }
    }

    #[tokio::test]
    async fn a_hundred_thousand_events_and_states_are_one_commit() {
        let place = Place::new();
        let store = place.open().await;
        let events: Vec<_> = (0..100_000).map(grown).collect();
        let state = r#"{"latch":{"spent":{"since":"2024-11-25T13:57:12.250Z"}},"thread":"level-1","step":1,"breaks":1}"#;
        let levels: Vec<_> = (0..100_000).map(|n| level(&format!("level {n}"), state)).collect();
        let deliveries = [delivery(&events[99_999], "mail", "desk@example.com")];
        let commit = Commit { events: &events, deliveries: &deliveries, levels: &levels, ..NOTHING };
        assert_eq!(store.commit(&commit).await.unwrap().len(), 1);
        let counted: i64 =
            sqlx::query_scalar("select count(*) from events").fetch_one(&store.writer).await.unwrap();
        assert_eq!((counted, store.load().await.unwrap().0.len()), (100_000, 100_000));
    }

    #[tokio::test]
    async fn a_full_disk_leaves_nothing_half_written_and_heals() {
        let place = Place::new();
        let store = place.open().await;
        record(&store, &[event("2500", 1, Kind::LevelBroken)]).await;
        sqlx::query("pragma max_page_count = 1").execute(&store.writer).await.unwrap();
        let events: Vec<_> = (2..=2_000).map(|n| event("2500", n, Kind::LevelBroken)).collect();
        let commit = Commit { events: &events, levels: &[level("a", "{}")], committed_at: at(1), ..NOTHING };
        let error = store.commit(&commit).await.unwrap_err();
        assert!(error.is_full() && error.is_passing() && !error.is_fatal(), "{error:?}");
        assert_eq!(store.history().events(&EventFilter::default()).await.unwrap().len(), 1);
        assert_eq!(store.load().await.unwrap().0, []);
        sqlx::query("pragma max_page_count = 1000000").execute(&store.writer).await.unwrap();
        store.commit(&commit).await.unwrap();
        assert_eq!(store.history().events(&EventFilter::default()).await.unwrap().len(), 2_000);
    }

    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_by_itself_does_not_stop_the_next() {
        let place = Place::new();
        let store = place.open().await;
        let commit = Commit { levels: &[level("a", "{}")], ..NOTHING };
        store.commit(&commit).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        // As on a failing disk, the transaction is gone with the statement, unknown to the driver.
        let insert =
            sqlx::query("insert or rollback into levels (key, fingerprint, state) values ('a', '', '')");
        insert.execute(&mut *transaction).await.unwrap_err();
        drop(transaction);
        store.commit(&commit).await.unwrap();
        assert_eq!(store.load().await.unwrap().0, [level("a", "{}")]);
    }

    #[tokio::test]
    async fn a_lock_held_elsewhere_is_said_and_passes() {
        let place = Place::new();
        let store = place.open().await;
        let elsewhere = sqlx::SqlitePool::connect(place.path().to_str().unwrap()).await.unwrap();
        let held = elsewhere.begin_with("begin immediate").await.unwrap();
        sqlx::query("pragma busy_timeout = 20").execute(&store.writer).await.unwrap();
        let commit = Commit { levels: &[level("a", "{}")], ..NOTHING };
        let error = store.commit(&commit).await.unwrap_err();
        assert!(matches!(error, StoreError::Busy(_)) && error.is_passing(), "{error:?}");
        held.rollback().await.unwrap();
        store.commit(&commit).await.unwrap();
    }
}
