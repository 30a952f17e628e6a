//! The life of one delivery: due, sending, then delivered, dead, or due again.
//!
//! Each step is one transaction. When an attempt is made, how its outcome is judged and what follows from it is
//! for `outbox` and the daemon to say; this file only keeps what they say, and refuses what cannot follow.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sqlx::SqliteConnection;

use crate::event::{Event, EventId};
use crate::outbox::Outcome;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history::{event_of, unsigned};
use crate::time::Timestamp;

/// The farthest that an attempt is ever put off, in nanoseconds: two days. A later time was written by a clock that
/// ran ahead.
const DELAY_MAX_NS: i64 = 2 * 86_400 * 1_000_000_000;

/// Which delivery: a number that is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeliveryId(pub i64);

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeliveryId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for its next attempt.
    Due,
    /// An attempt is under way.
    Sending,
    /// The peer took it.
    Delivered,
    /// Given up.
    Dead,
}

impl State {
    /// Every state, in the order of a delivery's life.
    pub const ALL: [Self; 4] = [Self::Due, Self::Sending, Self::Delivered, Self::Dead];

    /// As it is written in the database and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sending => "sending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is none of due, sending, delivered, dead"))
    }
}

/// A delivery whose next attempt may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Which.
    pub id: DeliveryId,
    /// What is to be told.
    pub event: Event,
    /// The event's place in the order of recording.
    pub event_seq: i64,
    /// When the event was recorded.
    pub committed_at: Timestamp,
    /// The recipient; empty where the channel has only one.
    pub target: String,
    /// Attempts that have begun so far, of all outcomes.
    pub attempts: u32,
    /// When it was made, or last sent again by hand: giving up counts from here.
    pub created_at: Timestamp,
    /// The first event of the same thread that has a delivery on this channel; `None` when this is the first.
    pub first_in_thread: Option<EventId>,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing: the peer took it.
    Delivered,
    /// Another attempt.
    Retry {
        /// When it may begin.
        due_at: Timestamp,
    },
    /// Nothing: given up.
    Dead,
}

impl Store {
    /// At most `limit` deliveries of a channel whose time has come: the longest due first, then in the order of
    /// recording. It changes nothing, so only one task may work on a channel.
    ///
    /// # Errors
    /// When the database fails, or holds an event that cannot be read.
    pub async fn claim(&self, channel: &str, now: Timestamp, limit: u32) -> Result<Vec<Due>, StoreError> {
        let now = now.as_nanos();
        let rows = sqlx::query!(
            r#"select d.id, d.target, d.attempts, d.opened_at, e.seq, e.id as event, e.body, e.committed_at,
                   (select f.id from events f join deliveries g on g.event = f.seq and g.channel = d.channel
                    where f.thread = e.thread and f.seq < e.seq order by f.seq limit 1) as "first_in_thread: String"
               from deliveries d join events e on e.seq = d.event
               where d.channel = ?1 and d.state = 'due' and d.due_at <= ?2
               order by d.due_at, d.event, d.id limit ?3"#,
            channel,
            now,
            limit
        )
        .fetch_all(self.history().readers())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Due {
                    id: DeliveryId(row.id),
                    event: event_of(&row.event, &row.body)?,
                    event_seq: row.seq,
                    committed_at: Timestamp::from_nanos(row.committed_at),
                    target: row.target,
                    attempts: unsigned(row.attempts),
                    created_at: Timestamp::from_nanos(row.opened_at),
                    first_in_thread: row.first_in_thread.map(EventId::from),
                })
            })
            .collect()
    }

    /// When the next attempt on a channel may begin; `None` when nothing is due. The time may be past.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self, channel: &str) -> Result<Option<Timestamp>, StoreError> {
        let found = sqlx::query_scalar!(
            r#"select min(due_at) as "due_at: i64" from deliveries where channel = ?1 and state = 'due'"#,
            channel
        )
        .fetch_one(self.history().readers())
        .await?;
        Ok(found.map(Timestamp::from_nanos))
    }

    /// Records that an attempt begins, and returns its number, counted from 1. To be called before anything is
    /// sent, so that a crash in the middle leaves a trace.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] when the delivery is not due, [`StoreError::NoDelivery`] when there is none, or
    /// when the database fails.
    pub async fn begin_attempt(&self, id: DeliveryId, at: Timestamp) -> Result<u32, StoreError> {
        let at = at.as_nanos();
        let mut transaction = self.begin().await?;
        let number = sqlx::query_scalar!(
            "update deliveries set state = 'sending', attempts = attempts + 1 where id = ?1 and state = 'due'
             returning attempts",
            id.0
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(number) = number else {
            return Err(StoreError::WrongState { id, state: state_of(&mut transaction, id).await? });
        };
        sqlx::query!(
            "insert into attempts (delivery, number, begun_at) values (?1, ?2, ?3)",
            id.0,
            number,
            at
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(unsigned(number))
    }

    /// Records what an attempt came to and what follows.
    ///
    /// # Errors
    /// [`StoreError::NotUnderWay`] when that attempt does not exist or has ended, or when the database fails; the
    /// attempt stays as it was then.
    pub async fn settle(
        &self,
        id: DeliveryId,
        attempt: u32,
        outcome: &Outcome,
        at: Timestamp,
        next: Settled,
    ) -> Result<(), StoreError> {
        let outcome = serde_json::to_string(outcome).map_err(StoreError::Encode)?;
        let at = at.as_nanos();
        let (state, due_at) = match next {
            Settled::Delivered => (State::Delivered, None),
            Settled::Retry { due_at } => (State::Due, Some(due_at.as_nanos())),
            Settled::Dead => (State::Dead, None),
        };
        let state = state.as_str();
        let mut transaction = self.begin().await?;
        let ended = sqlx::query!(
            "update attempts set ended_at = ?3, outcome = ?4 where delivery = ?1 and number = ?2 and ended_at is null",
            id.0,
            attempt,
            at,
            outcome
        )
        .execute(&mut *transaction)
        .await?;
        let moved = sqlx::query!(
            "update deliveries set state = ?3, due_at = coalesce(?4, due_at)
             where id = ?1 and attempts = ?2 and state = 'sending'",
            id.0,
            attempt,
            state,
            due_at
        )
        .execute(&mut *transaction)
        .await?;
        if ended.rows_affected() != 1 || moved.rows_affected() != 1 {
            return Err(StoreError::NotUnderWay { id, attempt });
        }
        Ok(transaction.commit().await?)
    }

    /// To be called once at the start, before anything is claimed: what was being sent when the process ended is due
    /// again at once, its attempt recorded as ended with an unknown outcome. So is what a wrong clock put off beyond
    /// any delay. Returns the deliveries whose outcome is unknown: their peers may see them twice.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recover(&self, now: Timestamp) -> Result<Vec<DeliveryId>, StoreError> {
        let latest = now.as_nanos().saturating_add(DELAY_MAX_NS);
        let now = now.as_nanos();
        let mut transaction = self.begin().await?;
        sqlx::query!("update attempts set ended_at = ?1 where ended_at is null", now)
            .execute(&mut *transaction)
            .await?;
        sqlx::query!("update deliveries set due_at = ?1 where state = 'due' and due_at > ?2", now, latest)
            .execute(&mut *transaction)
            .await?;
        let mut ids = sqlx::query_scalar!(
            r#"update deliveries set state = 'due', due_at = ?1 where state = 'sending' returning id as "id!: i64""#,
            now
        )
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        ids.sort_unstable();
        Ok(ids.into_iter().map(DeliveryId).collect())
    }

    /// Makes a delivery due at once, whether it was delivered, given up, or waits; returns what it was. Its attempts
    /// keep counting, and it gets the whole time again before it is given up.
    ///
    /// # Errors
    /// [`StoreError::WrongState`] while an attempt is under way, [`StoreError::NoDelivery`] when there is none, or
    /// when the database fails.
    pub async fn resend(&self, id: DeliveryId, now: Timestamp) -> Result<State, StoreError> {
        let now = now.as_nanos();
        let mut transaction = self.begin().await?;
        let state = state_of(&mut transaction, id).await?;
        if state == State::Sending {
            return Err(StoreError::WrongState { id, state });
        }
        sqlx::query!(
            "update deliveries set state = 'due', due_at = ?2, opened_at = ?2 where id = ?1",
            id.0,
            now
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(state)
    }
}

async fn state_of(connection: &mut SqliteConnection, id: DeliveryId) -> Result<State, StoreError> {
    let state = sqlx::query_scalar!("select state from deliveries where id = ?1", id.0)
        .fetch_optional(connection)
        .await?
        .ok_or(StoreError::NoDelivery(id))?;
    parse_state(id, &state)
}

/// A state as the table holds it, which allows no other text.
pub(super) fn parse_state(id: DeliveryId, text: &str) -> Result<State, StoreError> {
    text.parse()
        .map_err(|why: String| StoreError::Decode { what: format!("delivery {id}"), source: why.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::store::commit::Commit;
    use crate::store::fixture::{NOTHING, Place, accepted, at, deferred, delivery, event, record};
    use crate::store::history::{DeliveryFilter, End};

    async fn state(store: &Store, id: DeliveryId) -> State {
        let all = store.history().deliveries(&DeliveryFilter::default()).await.unwrap();
        all.iter().find(|delivery| delivery.id == id).unwrap().state
    }

    async fn claimed(store: &Store, now: i64) -> Vec<DeliveryId> {
        store.claim("mail", at(now), 100).await.unwrap().into_iter().map(|due| due.id).collect()
    }

    #[tokio::test]
    async fn a_delivery_goes_from_due_through_sending_to_delivered() {
        let place = Place::new();
        let store = place.open().await;
        let first = event("2500", 1, Kind::LevelBroken);
        let id = record(&store, std::slice::from_ref(&first)).await[0];
        let due = store.claim("mail", at(20), 10).await.unwrap();
        let expected = Due {
            id,
            event: first,
            event_seq: due[0].event_seq,
            committed_at: at(10),
            target: "desk@example.com".into(),
            attempts: 0,
            created_at: at(10),
            first_in_thread: None,
        };
        assert_eq!(due, [expected]);
        assert_eq!(store.begin_attempt(id, at(21)).await.unwrap(), 1);
        assert_eq!(claimed(&store, 30).await, [], "what is being sent is not claimed");
        store.settle(id, 1, &accepted(), at(22), Settled::Delivered).await.unwrap();
        assert_eq!(state(&store, id).await, State::Delivered);
        assert_eq!(claimed(&store, 99).await, []);
        let attempts = store.history().attempts(id).await.unwrap();
        assert_eq!((attempts[0].number, attempts[0].begun_at), (1, at(21)));
        assert_eq!(attempts[0].end, End::Answered { at: at(22), outcome: accepted() });
    }

    #[tokio::test]
    async fn a_retry_waits_for_its_time_and_counts_on() {
        let place = Place::new();
        let store = place.open().await;
        let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
        store.begin_attempt(id, at(1)).await.unwrap();
        store.settle(id, 1, &deferred(), at(2), Settled::Retry { due_at: at(50) }).await.unwrap();
        assert_eq!(claimed(&store, 49).await, []);
        assert_eq!(store.next_due("mail").await.unwrap(), Some(at(50)));
        let due = store.claim("mail", at(50), 10).await.unwrap();
        assert_eq!((due[0].id, due[0].attempts, due[0].created_at), (id, 1, at(10)));
        assert_eq!(store.begin_attempt(id, at(50)).await.unwrap(), 2);
        store.settle(id, 2, &deferred(), at(51), Settled::Dead).await.unwrap();
        assert_eq!((state(&store, id).await, store.next_due("mail").await.unwrap()), (State::Dead, None));
    }

    #[tokio::test]
    async fn deliveries_are_claimed_by_channel_and_in_order() {
        let place = Place::new();
        let store = place.open().await;
        let events: Vec<_> = (1..=3).map(|n| event("2500", n, Kind::LevelBroken)).collect();
        let mut deliveries: Vec<_> = events.iter().rev().map(|event| delivery(event, "mail", "")).collect();
        deliveries[0].due_at = at(-5);
        deliveries.push(delivery(&events[0], "slack", ""));
        store.commit(&Commit { events: &events, deliveries: &deliveries, ..NOTHING }).await.unwrap();
        let due = store.claim("mail", at(0), 10).await.unwrap();
        let order: Vec<_> = due.iter().map(|due| &due.event.id).collect();
        assert_eq!(order, [&events[2].id, &events[0].id, &events[1].id], "the longest due, then as recorded");
        assert_eq!(store.claim("mail", at(0), 2).await.unwrap(), due[..2]);
        assert_eq!(store.claim("slack", at(0), 10).await.unwrap().len(), 1);
        assert_eq!(store.claim("none", at(0), 10).await.unwrap(), []);
        assert_eq!(store.next_due("mail").await.unwrap(), Some(at(-5)));
    }

    #[tokio::test]
    async fn a_thread_is_tied_to_its_first_event_on_the_channel() {
        let place = Place::new();
        let store = place.open().await;
        let events: Vec<_> = (1..=3).map(|n| event("2500", n, Kind::LevelBroken)).collect();
        let other = event("2450", 1, Kind::LevelBroken);
        let deliveries: Vec<_> =
            [&events[1], &events[2], &other].map(|event| delivery(event, "mail", "")).into();
        let all = [events.clone(), vec![other]].concat();
        store.commit(&Commit { events: &all, deliveries: &deliveries, ..NOTHING }).await.unwrap();
        let due = store.claim("mail", at(0), 10).await.unwrap();
        let first: Vec<_> = due.iter().map(|due| due.first_in_thread.as_ref()).collect();
        assert_eq!(first, [None, Some(&events[1].id), None], "the first event was not told on this channel");
    }

    #[tokio::test]
    async fn a_crash_in_the_middle_of_an_attempt_makes_it_due_again_with_an_unknown_end() {
        let place = Place::new();
        let store = place.open().await;
        let ids = record(&store, &[1, 2, 3].map(|n| event("2500", n, Kind::LevelBroken))).await;
        store.begin_attempt(ids[0], at(20)).await.unwrap();
        store.settle(ids[0], 1, &accepted(), at(21), Settled::Delivered).await.unwrap();
        store.begin_attempt(ids[1], at(22)).await.unwrap();
        drop(store);

        let store = place.open().await;
        assert_eq!(store.recover(at(100)).await.unwrap(), [ids[1]]);
        assert_eq!(claimed(&store, 100).await, [ids[2], ids[1]]);
        let attempts = store.history().attempts(ids[1]).await.unwrap();
        assert_eq!(attempts[0].end, End::Unknown { noticed_at: at(100) });
        let late = store.settle(ids[1], 1, &accepted(), at(101), Settled::Delivered).await;
        assert!(matches!(late, Err(StoreError::NotUnderWay { attempt: 1, .. })), "{late:?}");
        assert_eq!(store.begin_attempt(ids[1], at(102)).await.unwrap(), 2);
        assert_eq!(
            store.history().attempts(ids[0]).await.unwrap().len(),
            1,
            "the delivered one is left alone"
        );
    }

    #[tokio::test]
    async fn what_a_wrong_clock_put_off_for_years_is_due_after_the_next_start() {
        let place = Place::new();
        let store = place.open().await;
        let ids = record(&store, &[1, 2].map(|n| event("2500", n, Kind::LevelBroken))).await;
        for (id, due_at) in [(ids[0], Timestamp::MAX), (ids[1], at(600_000))] {
            store.begin_attempt(id, at(1)).await.unwrap();
            store.settle(id, 1, &deferred(), at(2), Settled::Retry { due_at }).await.unwrap();
        }
        assert_eq!(store.recover(at(100)).await.unwrap(), []);
        assert_eq!(claimed(&store, 100).await, [ids[0]]);
    }

    #[tokio::test]
    async fn an_attempt_begins_only_when_due_and_settles_only_once() {
        let place = Place::new();
        let store = place.open().await;
        let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
        let early = store.settle(id, 1, &accepted(), at(1), Settled::Delivered).await;
        assert!(matches!(early, Err(StoreError::NotUnderWay { .. })));
        store.begin_attempt(id, at(1)).await.unwrap();
        let twice = store.begin_attempt(id, at(1)).await;
        assert!(matches!(twice, Err(StoreError::WrongState { state: State::Sending, .. })), "{twice:?}");
        store.settle(id, 1, &accepted(), at(2), Settled::Delivered).await.unwrap();
        let again = store.settle(id, 1, &deferred(), at(3), Settled::Dead).await;
        assert!(matches!(again, Err(StoreError::NotUnderWay { .. })));
        let after = store.begin_attempt(id, at(4)).await;
        assert!(matches!(after, Err(StoreError::WrongState { state: State::Delivered, .. })), "{after:?}");
        let none = store.begin_attempt(DeliveryId(999), at(4)).await;
        assert!(matches!(none, Err(StoreError::NoDelivery(DeliveryId(999)))), "{none:?}");
        assert_eq!(state(&store, id).await, State::Delivered);
    }

    #[tokio::test]
    async fn by_hand_a_delivery_is_sent_again_and_says_what_it_was() {
        let place = Place::new();
        let store = place.open().await;
        let ids = record(&store, &[1, 2, 3].map(|n| event("2500", n, Kind::LevelBroken))).await;
        for (id, next) in [(ids[0], Settled::Delivered), (ids[1], Settled::Dead)] {
            store.begin_attempt(id, at(1)).await.unwrap();
            store.settle(id, 1, &deferred(), at(2), next).await.unwrap();
        }
        assert_eq!(store.resend(ids[0], at(70)).await.unwrap(), State::Delivered);
        assert_eq!(store.resend(ids[1], at(71)).await.unwrap(), State::Dead);
        assert_eq!(store.resend(ids[2], at(72)).await.unwrap(), State::Due);
        let due = store.claim("mail", at(99), 10).await.unwrap();
        assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), ids);
        assert_eq!((due[1].attempts, due[1].created_at), (1, at(71)));
        assert_eq!(store.begin_attempt(ids[1], at(99)).await.unwrap(), 2);
        let sending = store.resend(ids[1], at(100)).await;
        assert!(matches!(sending, Err(StoreError::WrongState { state: State::Sending, .. })));
        assert!(matches!(store.resend(DeliveryId(0), at(100)).await, Err(StoreError::NoDelivery(_))));
    }

    #[test]
    fn states_and_ids_read_back() {
        for state in State::ALL {
            assert_eq!(state.to_string().parse::<State>(), Ok(state));
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
        }
        assert!("lost".parse::<State>().unwrap_err().contains("dead"));
        assert_eq!("42".parse(), Ok(DeliveryId(42)));
    }
}
