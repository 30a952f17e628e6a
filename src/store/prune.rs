//! Forgets what is old: events beyond the retention, with their deliveries and attempts.
//!
//! Never an event that somebody still has to be told of.

use crate::store::Store;
use crate::store::error::StoreError;
use crate::time::Timestamp;

/// At most so many events in one transaction, so that the writer is never away for long.
const EVENTS_AT_ONCE: i64 = 1_000;

impl Store {
    /// Deletes at most a thousand events that occurred before `before` and wait for no delivery. Returns how many
    /// they were; to be called again until it is none.
    ///
    /// # Errors
    /// When the database fails; nothing is deleted then.
    pub async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = before.as_nanos();
        let mut transaction = self.begin().await?;
        let old = sqlx::query_scalar!(
            r#"select e.seq from events e where e.occurred_at < ?1
               and not exists (select 1 from deliveries d where d.event = e.seq and d.state in ('due', 'sending'))
               order by e.seq limit ?2"#,
            before,
            EVENTS_AT_ONCE
        )
        .fetch_all(&mut *transaction)
        .await?;
        let list = serde_json::Value::from(old).to_string();
        sqlx::query!(
            "delete from attempts where delivery in
               (select id from deliveries where event in (select value from json_each(?1)))",
            list
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!("delete from deliveries where event in (select value from json_each(?1))", list)
            .execute(&mut *transaction)
            .await?;
        let deleted = sqlx::query!("delete from events where seq in (select value from json_each(?1))", list)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Kind;
    use crate::store::delivery::Settled;
    use crate::store::fixture::{Place, accepted, at, event, record};
    use crate::store::history::EventFilter;

    #[tokio::test]
    async fn old_events_go_and_what_must_still_be_told_stays() {
        let place = Place::new();
        let store = place.open().await;
        let events = [
            event("2500", 1, Kind::LevelBroken),
            event("2500", 2, Kind::LevelFailed),
            event("2500", 900, Kind::LevelHeld),
        ];
        let ids = record(&store, &events).await;
        for id in [ids[0], ids[2]] {
            let attempt = store.begin_attempt(id, at(1)).await.unwrap();
            store.settle(id, attempt, &accepted(), at(2), Settled::Delivered).await.unwrap();
        }
        assert_eq!(store.prune(at(500)).await.unwrap(), 1);
        assert_eq!(store.prune(at(500)).await.unwrap(), 0);
        let left = store.history().events(&EventFilter::default()).await.unwrap();
        let left: Vec<_> = left.iter().map(|stored| stored.event.kind).collect();
        assert_eq!(left, [Kind::LevelFailed, Kind::LevelHeld]);
        assert_eq!(
            store
                .history()
                .deliveries(&crate::store::history::DeliveryFilter::default())
                .await
                .unwrap()
                .len(),
            2
        );
    }
}
