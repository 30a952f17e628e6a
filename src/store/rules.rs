//! Levels that do not stand in the configuration file: rows that people add and remove, and what is new of them.
//!
//! Every change has a number. Whoever knows up to which one it has read asks for what came after. Nothing here
//! knows what a row means.

use std::collections::BTreeSet;

use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::store::Store;
use crate::store::commit::{ROWS_AT_ONCE, json};
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::time::Timestamp;

/// So many names are given when some stand in the way.
const NAMED_MAX: i64 = 10;

/// A row on its way into the database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewRule {
    /// The level's name.
    pub name: String,
    /// Its price, as it was written.
    pub price: String,
    /// The other cells of the row as JSON.
    pub terms: String,
}

/// A row of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRule {
    /// The change of which it is the result.
    pub change: i64,
    /// The level's name.
    pub name: String,
    /// Its price, as it was written.
    pub price: String,
    /// The other cells of the row as JSON.
    pub terms: String,
    /// It is no longer in force.
    pub removed: bool,
}

impl Store {
    /// Adds rows, all or none. Returns names that are there already, at most ten: then none was added.
    pub(super) async fn add_rules(
        &self,
        rules: &[NewRule],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.begin().await?;
        let change = next_change(&mut transaction).await?;
        let now = now.as_nanos();
        for rules in rules.chunks(ROWS_AT_ONCE) {
            let rows = json(rules)?;
            let known = sqlx::query_scalar!(
                "select name from rules where removed_at is null
                     and name in (select value ->> 'name' from json_each(?1)) order by name limit ?2",
                rows,
                NAMED_MAX
            )
            .fetch_all(&mut *transaction)
            .await?;
            if !known.is_empty() {
                return Ok(known);
            }
            sqlx::query!(
                "insert into rules (name, price, terms, added_at, change)
                 select value ->> 'name', value ->> 'price', value ->> 'terms', ?2, ?3
                 from json_each(?1) where true order by key",
                rows,
                now,
                change
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(Vec::new())
    }

    /// Takes rows out of force, all or none. Returns the names that are not there: then none was removed.
    pub(super) async fn remove_rules(
        &self,
        names: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.begin().await?;
        let change = next_change(&mut transaction).await?;
        let (wanted, now) = (json(names)?, now.as_nanos());
        let removed = sqlx::query_scalar!(
            "update rules set removed_at = ?2, change = ?3
             where removed_at is null and name in (select value from json_each(?1)) returning name",
            wanted,
            now,
            change
        )
        .fetch_all(&mut *transaction)
        .await?;
        let removed: BTreeSet<String> = removed.into_iter().collect();
        let missing: Vec<String> = names.difference(&removed).cloned().collect();
        if missing.is_empty() {
            transaction.commit().await?;
        }
        Ok(missing)
    }

    /// Deletes the rows that are no longer in force: nobody has to be told of them any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_removed_rules(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query!("delete from rules where removed_at is not null").execute(&mut *transaction).await?;
        Ok(transaction.commit().await?)
    }
}

async fn next_change(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let last = sqlx::query_scalar!(r#"select coalesce(max(change), 0) as "last!: i64" from rules"#);
    Ok(last.fetch_one(connection).await?.saturating_add(1))
}

impl History {
    /// The number of the last change to the rules; 0 when there was none. It costs next to nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rules_change(&self) -> Result<i64, StoreError> {
        let last = sqlx::query_scalar!(r#"select coalesce(max(change), 0) as "last!: i64" from rules"#);
        Ok(last.fetch_one(self.readers()).await?)
    }

    /// The rules that changed after this change, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rules(&self, after: i64) -> Result<Vec<StoredRule>, StoreError> {
        let rows = sqlx::query_as!(
            StoredRule,
            r#"select change, name, price, terms, removed_at is not null as "removed!: bool"
               from rules where change > ?1 order by change, id"#,
            after
        );
        Ok(rows.fetch(self.readers()).try_collect().await?)
    }

    /// The saved state of every level, by key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn level_states(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query!("select key, state from levels order by key");
        Ok(rows.map(|row| (row.key, row.state)).fetch_all(self.readers()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::desk::Desk;
    use crate::store::fixture::{Place, at};

    fn rule(name: &str) -> NewRule {
        NewRule { name: name.into(), price: "2500.10".into(), terms: r#"{"instrument":"RTY"}"#.into() }
    }

    fn names(rules: &[StoredRule]) -> Vec<(&str, bool)> {
        rules.iter().map(|rule| (rule.name.as_str(), rule.removed)).collect()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[tokio::test]
    async fn what_is_added_and_removed_beside_the_daemon_is_news_to_it_once() {
        let place = Place::new();
        let store = place.open().await;
        let desk = Desk::open(&place.path()).await.unwrap();
        let history = store.history();
        assert_eq!(history.rules_change().await.unwrap(), 0);
        assert_eq!(desk.add_rules(&[rule("b"), rule("a")], at(1)).await.unwrap(), [""; 0]);
        let seen = history.rules_change().await.unwrap();
        let rows = history.rules(0).await.unwrap();
        assert_eq!(names(&rows), [("b", false), ("a", false)]);
        assert_eq!((rows[0].price.as_str(), rows[0].terms.as_str()), ("2500.10", r#"{"instrument":"RTY"}"#));
        assert_eq!(history.rules(seen).await.unwrap(), []);
        assert_eq!(desk.remove_rules(&set(&["b"]), at(2)).await.unwrap(), [""; 0]);
        assert_eq!(desk.add_rules(&[rule("b")], at(3)).await.unwrap(), [""; 0]);
        assert_eq!(names(&history.rules(seen).await.unwrap()), [("b", true), ("b", false)]);
        store.forget_removed_rules().await.unwrap();
        assert_eq!(names(&history.rules(0).await.unwrap()), [("a", false), ("b", false)]);
    }

    #[tokio::test]
    async fn what_cannot_be_done_wholly_is_not_done_at_all() {
        let place = Place::new();
        let store = place.open().await;
        let rules: Vec<_> = (0..2_000).map(|n| rule(&format!("{n:04}"))).collect();
        store.add_rules(&rules[1_990..], at(1)).await.unwrap();
        let known = store.add_rules(&rules, at(2)).await.unwrap();
        assert_eq!((known.len(), known[0].as_str()), (10, "1990"));
        let missing = store.remove_rules(&set(&["1999", "never there"]), at(3)).await.unwrap();
        assert_eq!(missing, ["never there"]);
        let rows = store.history().rules(0).await.unwrap();
        assert!(rows.len() == 10 && rows.iter().all(|row| !row.removed), "{rows:?}");
        assert_eq!(store.history().rules_change().await.unwrap(), 1);
    }
}
