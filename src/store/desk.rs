//! The few changes that a person may make beside the running daemon.
//!
//! SQLite lets a second process write; the lock of the daemon is not needed for a row that it does not keep in
//! memory, nor for levels that it takes up by itself. Nothing else may be written this way.

use std::collections::BTreeSet;
use std::path::Path;

use crate::store::Store;
use crate::store::bars::{Imported, Rows};
use crate::store::delivery::{DeliveryId, State};
use crate::store::error::StoreError;
use crate::store::rules::NewRule;
use crate::time::Timestamp;

/// The database, open beside the process that works with it.
#[derive(Debug)]
pub struct Desk(Store);

impl Desk {
    /// Opens an existing database of this program's schema.
    ///
    /// # Errors
    /// When there is none, or it has another schema than this program, or cannot be written.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Store::open_beside(path).await.map(Self)
    }

    /// Makes a delivery due at once; returns what it was.
    ///
    /// # Errors
    /// As [`Store::resend`].
    pub async fn resend(&self, id: DeliveryId, now: Timestamp) -> Result<State, StoreError> {
        self.0.resend(id, now).await
    }

    /// Takes bars or trade dates in.
    ///
    /// # Errors
    /// As [`Store::import`].
    pub async fn import(&self, rows: Rows<'_>) -> Result<Imported, StoreError> {
        self.0.import(rows).await
    }

    /// Adds levels, all or none. Returns names that are there already, at most ten: then none was added.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_rules(&self, rules: &[NewRule], now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.0.add_rules(rules, now).await
    }

    /// Removes levels, all or none. Returns the names that are not there: then none was removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_rules(
        &self,
        names: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        self.0.remove_rules(names, now).await
    }

    /// Snoozes a level, or ends its snooze.
    ///
    /// # Errors
    /// As [`Store::snooze`].
    pub async fn snooze(
        &self,
        level: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.0.snooze(level, until, now).await
    }

    /// Ends its connections.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::outbox::Outcome;
    use crate::store::delivery::{Held, Settled};
    use crate::store::fixture::{Place, at, event, record};

    #[tokio::test]
    async fn a_dead_delivery_is_sent_again_while_the_daemon_has_the_database() {
        let place = Place::new();
        let store = place.open().await;
        let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
        let attempt = store.begin_attempt(id, at(1)).await.unwrap();
        let refused = Outcome::Refused { reason: "550".into() };
        store.settle(id, attempt, &refused, at(2), Settled::Dead).await.unwrap();
        let desk = Desk::open(&place.path()).await.unwrap();
        assert_eq!(desk.resend(id, at(3)).await.unwrap(), State::Dead);
        desk.close().await;
        assert_eq!(store.claim("mail", at(3), 9, &Held::default()).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn it_makes_no_database() {
        let place = Place::new();
        assert!(matches!(Desk::open(&place.path()).await, Err(StoreError::Missing(_))));
        assert!(!place.path().exists());
    }
}
