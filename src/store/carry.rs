//! Digests of what waits in the outbox: one delivery that carries others.
//!
//! What is carried keeps its row and ends as its carrier ends, so each event's way to each recipient can be told.
//! Which deliveries belong together is for `outbox` to say.

use crate::event::Event;
use crate::store::Store;
use crate::store::commit::{ROWS_AT_ONCE, insert_events, json};
use crate::store::delivery::DeliveryId;
use crate::store::error::StoreError;
use crate::store::history::event_of;
use crate::time::Timestamp;

/// At most so many deliveries become one digest at once. Digests can be carried too, so there is no end to how many
/// one of them stands for.
pub const WAITING_MAX: u32 = 1_000;

/// A delivery that waits for its first attempt, and is not urgent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub id: DeliveryId,
    /// What is to be told.
    pub event: Event,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it may be told. Later than it was made when the level was snoozed.
    pub due_at: Timestamp,
}

impl Store {
    /// What could be told to a target now and was never tried: the first [`WAITING_MAX`], without what is urgent.
    ///
    /// # Errors
    /// When the database fails, or holds an event that cannot be read.
    pub async fn waiting(
        &self,
        channel: &str,
        target: &str,
        now: Timestamp,
    ) -> Result<Vec<Waiting>, StoreError> {
        let now = now.as_nanos();
        let rows = sqlx::query!(
            "select d.id, d.opened_at, d.due_at, e.id as event, e.body
             from deliveries d join events e on e.seq = d.event
             where d.channel = ?1 and d.target = ?2 and d.state = 'due' and d.carried_by is null and d.urgent = 0
                 and d.due_at <= ?3 and d.attempts = 0
             order by d.due_at, d.event, d.id limit ?4",
            channel,
            target,
            now,
            WAITING_MAX
        )
        .fetch_all(self.history().readers())
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Waiting {
                    id: DeliveryId(row.id),
                    event: event_of(&row.event, &row.body)?,
                    created_at: Timestamp::from_nanos(row.opened_at),
                    due_at: Timestamp::from_nanos(row.due_at),
                })
            })
            .collect()
    }

    /// Records `digest` and a delivery of it, due now, that carries `carried` and whatever those carried. `None`
    /// when any of them no longer waits for its first attempt: then nothing is changed.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub async fn carry(
        &self,
        digest: &Event,
        (channel, target): (&str, &str),
        carried: &[DeliveryId],
        now: Timestamp,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let mut transaction = self.begin().await?;
        insert_events(&mut transaction, std::slice::from_ref(digest), now).await?;
        let (id, now) = (digest.id.as_str(), now.as_nanos());
        let carrier = sqlx::query_scalar!(
            r#"insert into deliveries (event, channel, target, state, due_at, opened_at)
               values ((select seq from events where id = ?1), ?2, ?3, 'due', ?4, ?4)
               returning id as "id!: i64""#,
            id,
            channel,
            target,
            now
        )
        .fetch_one(&mut *transaction)
        .await?;
        let mut moved = 0;
        for carried in carried.chunks(ROWS_AT_ONCE) {
            let ids = json(carried)?;
            sqlx::query!(
                "update deliveries set carried_by = ?1 where carried_by in (select value from json_each(?2))",
                carrier,
                ids
            )
            .execute(&mut *transaction)
            .await?;
            let done = sqlx::query!(
                "update deliveries set carried_by = ?1
                 where id in (select value from json_each(?2)) and channel = ?3 and target = ?4
                     and state = 'due' and attempts = 0 and urgent = 0 and carried_by is null",
                carrier,
                ids,
                channel,
                target
            )
            .execute(&mut *transaction)
            .await?;
            moved += done.rows_affected();
        }
        if usize::try_from(moved) != Ok(carried.len()) {
            return Ok(None);
        }
        transaction.commit().await?;
        Ok(Some(DeliveryId(carrier)))
    }
}

#[cfg(test)]
mod tests;
