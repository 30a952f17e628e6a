//! Levels that are snoozed: what is not urgent about them is told when the snooze is over.
//!
//! Nothing is dropped: the rows wait in the outbox. Whether a level of this name exists is not known here.

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::time::Timestamp;

/// A level that is snoozed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snooze {
    /// The level's name.
    pub level: String,
    /// Until when.
    pub until: Timestamp,
}

impl Store {
    /// Snoozes a level until `until`, or ends its snooze with `None`. What waits to be told of it for the first time
    /// waits until then, or is due at once. Returns until when it was snoozed before, if it was at `now`.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub async fn snooze(
        &self,
        level: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (until, now_ns) = (until.map(Timestamp::as_nanos), now.as_nanos());
        let due_at = until.unwrap_or(now_ns).max(now_ns);
        let mut transaction = self.begin().await?;
        sqlx::query!("delete from snoozes where until <= ?1", now_ns).execute(&mut *transaction).await?;
        let was = sqlx::query_scalar!("delete from snoozes where level = ?1 returning until", level)
            .fetch_optional(&mut *transaction)
            .await?;
        if until.is_some() {
            sqlx::query!("insert into snoozes (level, until) values (?1, ?2)", level, due_at)
                .execute(&mut *transaction)
                .await?;
        }
        if until.is_some() || was.is_some() {
            sqlx::query!(
                "update deliveries set due_at = ?2
                 where state = 'due' and urgent = 0 and attempts = 0 and carried_by is null
                     and event in (select seq from events where level = ?1)",
                level,
                due_at
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(was.map(Timestamp::from_nanos))
    }
}

impl History {
    /// The levels that are snoozed at `now`, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn snoozes(&self, now: Timestamp) -> Result<Vec<Snooze>, StoreError> {
        let now = now.as_nanos();
        let rows = sqlx::query!("select level, until from snoozes where until > ?1 order by level", now)
            .fetch_all(self.readers())
            .await?;
        let snooze = |level, until| Snooze { level, until: Timestamp::from_nanos(until) };
        Ok(rows.into_iter().map(|row| snooze(row.level, row.until)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Kind, Severity};
    use crate::store::delivery::{DeliveryId, Held};
    use crate::store::fixture::{Place, at, event, record};

    async fn claimed(store: &Store, now: i64) -> Vec<DeliveryId> {
        let due = store.claim("mail", at(now), 100, &Held::default()).await.unwrap();
        due.into_iter().map(|due| due.id).collect()
    }

    #[tokio::test]
    async fn what_is_not_urgent_waits_for_the_end_of_the_snooze_and_the_rest_is_told() {
        let place = Place::new();
        let store = place.open().await;
        let before = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
        assert_eq!(store.snooze("2500", Some(at(1_000)), at(20)).await.unwrap(), None);
        assert_eq!(claimed(&store, 20).await, [], "what waited when the snooze began waits as well");
        let failed = Event { severity: Severity::Critical, ..event("2500", 2, Kind::LevelFailed) };
        let urgent = record(&store, &[failed]).await[0];
        let later = record(&store, &[event("2500", 3, Kind::LevelBroken)]).await[0];
        let other = record(&store, &[event("2450", 1, Kind::LevelBroken)]).await[0];
        assert_eq!(claimed(&store, 999).await, [urgent, other]);
        assert_eq!(store.next_due("mail", at(999)).await.unwrap(), Some(at(1_000)));
        assert_eq!(claimed(&store, 1_000).await, [other, before], "the urgent step now waits for its turn");
        assert_ne!(before, later);
        let snoozed = store.history().snoozes(at(999)).await.unwrap();
        assert_eq!(snoozed, [Snooze { level: "2500".into(), until: at(1_000) }]);
        assert_eq!(store.history().snoozes(at(1_000)).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_snooze_that_is_ended_tells_at_once_what_waited() {
        let place = Place::new();
        let store = place.open().await;
        store.snooze("2500", Some(at(1_000)), at(20)).await.unwrap();
        let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
        assert_eq!(claimed(&store, 30).await, []);
        assert_eq!(store.snooze("2500", None, at(30)).await.unwrap(), Some(at(1_000)));
        assert_eq!(claimed(&store, 30).await, [id]);
        assert_eq!(store.snooze("2500", None, at(30)).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_long_snooze_is_not_taken_for_the_word_of_a_wrong_clock() {
        let place = Place::new();
        let store = place.open().await;
        let week = 7 * 86_400_000;
        store.snooze("2500", Some(at(week)), at(0)).await.unwrap();
        let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
        store.recover(at(50)).await.unwrap();
        assert_eq!(claimed(&store, 60).await, []);
        assert_eq!(claimed(&store, week).await, [id]);
    }
}
