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
use crate::store::commit::json;
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
    /// When this attempt may begin. Later than it was made, though nothing was tried, when the level was snoozed.
    pub due_at: Timestamp,
    /// It goes first, and waits for nothing but its turn.
    pub urgent: bool,
    /// The first event of the same thread that has a delivery on this channel; `None` when this is the first.
    pub first_in_thread: Option<EventId>,
}

/// What must not be claimed for the time being.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Everything but what is urgent: quiet hours.
    pub all_but_urgent: bool,
    /// Targets, or one instrument's news for a target, that had enough for now.
    pub paused: Vec<Paused>,
}

/// A target that had enough for now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Paused {
    /// Which.
    pub target: String,
    /// Only what is grouped under this instrument: not urgent, about a level, and not tried yet.
    pub instrument: Option<String>,
    /// Of these, only what is about this level.
    pub level: Option<String>,
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
    /// At most `limit` deliveries of a channel whose time has come and that are not `held`: what is urgent first, then
    /// the longest due, then in the order of recording. Of one thread and target, only the first that is not told
    /// yet: a later step never overtakes an earlier one, unless that one is held and the later one is urgent. It
    /// changes nothing, so only one task may work on a channel.
    ///
    /// # Errors
    /// When the database fails, or holds an event that cannot be read.
    pub async fn claim(
        &self,
        channel: &str,
        now: Timestamp,
        limit: u32,
        held: &Held,
    ) -> Result<Vec<Due>, StoreError> {
        let now = now.as_nanos();
        // In the order of the index, so that a long queue is not read and sorted for every look at its front.
        let (quiet, paused) = (held.all_but_urgent, json(&held.paused)?);
        let rows = sqlx::query!(
            r#"select d.id, d.target, d.attempts, d.opened_at, d.due_at, d.urgent as "urgent: bool", e.seq,
                   e.id as event, e.body, e.committed_at,
                   (select f.id from events f join deliveries g on g.event = f.seq and g.channel = d.channel
                        and g.carried_by is null
                    where f.thread = e.thread and f.seq < e.seq order by f.seq limit 1) as "first_in_thread: String"
               from deliveries d indexed by deliveries_to_send join events e on e.seq = d.event
               where d.channel = ?1 and d.state = 'due' and d.carried_by is null and d.due_at <= ?2
                   and (d.urgent = 1 or not ?4)
                   and not exists
                       (select 1 from json_each(?5) p where p.value ->> 'target' = d.target
                            and (p.value ->> 'instrument' is null
                                or (d.urgent = 0 and d.attempts = 0 and p.value ->> 'instrument' = e.instrument
                                    and (e.level is not null or e.kind = 'digest')
                                    and coalesce(p.value ->> 'level' = e.level, p.value ->> 'level' is null))))
                   and not exists
                       (select 1 from events f join deliveries g on g.event = f.seq
                        where f.thread = e.thread and f.seq < e.seq and g.channel = d.channel and g.target = d.target
                            and g.state in ('due', 'sending') and g.carried_by is null
                            and (g.urgent = 1 or g.attempts > 0 or (g.due_at <= ?2 and not ?4)))
               order by d.urgent desc, d.due_at, d.event, d.id limit ?3"#,
            channel,
            now,
            limit,
            quiet,
            paused
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
                    due_at: Timestamp::from_nanos(row.due_at),
                    urgent: row.urgent,
                    first_in_thread: row.first_in_thread.map(EventId::from),
                })
            })
            .collect()
    }

    /// What the peer said of the message of the same thread that it took last, on the delivery's channel and target.
    /// To be asked just before an attempt: deliveries that were claimed together answer to each other too.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn thread_receipt(&self, id: DeliveryId) -> Result<Option<String>, StoreError> {
        let found = sqlx::query_scalar!(
            r#"select json_extract(a.outcome, '$.receipt') as "receipt: String"
               from deliveries d join events e on e.seq = d.event
               join events f on f.thread = e.thread
               join deliveries g on g.event = f.seq and g.channel = d.channel and g.target = d.target and g.id <> d.id
               join attempts a on a.delivery = g.id
               where d.id = ?1 and json_extract(a.outcome, '$.outcome') = 'accepted'
               order by a.ended_at desc, g.id desc limit 1"#,
            id.0
        )
        .fetch_optional(self.history().readers())
        .await?;
        Ok(found.flatten())
    }

    /// When the next attempt on a channel may begin, after `now`; `None` when nothing waits for a time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self, channel: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let now = now.as_nanos();
        let found = sqlx::query_scalar!(
            r#"select min(due_at) as "due_at: i64" from deliveries
               where channel = ?1 and state = 'due' and carried_by is null and due_at > ?2"#,
            channel,
            now
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
        if !matches!(next, Settled::Retry { .. }) {
            settle_carried(&mut transaction, id, state).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Gives up what waits on a channel and was made at `before` or earlier; returns how many deliveries those were,
    /// without those that they carry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_up(&self, channel: &str, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.as_nanos();
        let mut transaction = self.begin().await?;
        let ids = sqlx::query_scalar!(
            r#"update deliveries set state = 'dead'
               where channel = ?1 and state = 'due' and carried_by is null and opened_at <= ?2
               returning id as "id!: i64""#,
            channel,
            before
        )
        .fetch_all(&mut *transaction)
        .await?;
        let (count, ids) = (ids.len(), json(&ids)?);
        sqlx::query!(
            "update deliveries set state = 'dead'
             where state = 'due' and carried_by in (select value from json_each(?1))",
            ids
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
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
        sqlx::query!(
            "update deliveries set due_at = ?1 where state = 'due' and due_at > ?2
             and not (attempts = 0 and due_at in (select until from snoozes))",
            now,
            latest
        )
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
    /// keep counting, and it gets the whole time again before it is given up. What a person asks for goes first, by
    /// itself and not in a digest.
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
            "update deliveries set state = 'due', due_at = ?2, opened_at = ?2, urgent = 1, carried_by = null
             where id = ?1",
            id.0,
            now
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(state)
    }
}

/// What a digest carries ends as the digest ends; one that was given up and then sent again is delivered after all.
async fn settle_carried(
    connection: &mut SqliteConnection,
    carrier: DeliveryId,
    state: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update deliveries set state = ?2
         where carried_by = ?1 and (state = 'due' or (state = 'dead' and ?2 = 'delivered'))",
        carrier.0,
        state
    )
    .execute(connection)
    .await?;
    Ok(())
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
mod tests;
