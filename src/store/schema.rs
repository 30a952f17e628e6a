//! Whose database it is, whether it is sound, and which schema it has.
//!
//! The schemas are the files in `migrations/`: each is added once and never edited after that. Nothing here
//! repairs.

use std::path::Path;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{SqliteConnection, SqlitePool};

use crate::store::error::StoreError;

/// Every schema there has been, in order; embedded in the program.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// "brkw", as the first migration writes it.
const APPLICATION_ID: i64 = 0x6272_6b77;

/// Earlier versions can damage a database when two connections meet at the end of the write-ahead log.
const SQLITE_OLDEST: [u32; 3] = [3, 51, 3];

/// Whose database it is; returns its schema, 0 for an empty one.
pub(super) async fn inspect(connection: &mut SqliteConnection, path: &Path) -> Result<i64, StoreError> {
    let application_id: i64 = sqlx::query_scalar("pragma application_id").fetch_one(&mut *connection).await?;
    let tables: i64 =
        sqlx::query_scalar("select count(*) from sqlite_schema").fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(0);
    }
    if application_id != APPLICATION_ID {
        return Err(StoreError::Foreign { path: path.to_owned(), application_id });
    }
    let found: Option<i64> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations").fetch_one(&mut *connection).await?;
    let (found, known) = (found.unwrap_or(0), newest());
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(found)
}

/// A damaged file takes thousands of further rows without a word unless it is asked.
pub(super) async fn quick_check(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let found: String = sqlx::query_scalar("pragma quick_check(1)").fetch_one(connection).await?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found)) }
}

pub(super) async fn check_sqlite(pool: &SqlitePool) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(pool).await?;
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    if parts.as_slice() >= SQLITE_OLDEST.as_slice() { Ok(()) } else { Err(StoreError::OldSqlite(version)) }
}

/// All or nothing: the driver's own lock for migrations does nothing on SQLite.
pub(super) async fn migrate(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut transaction = writer.begin_with("begin immediate").await?;
    MIGRATIONS.run(&mut *transaction).await.map_err(classify)?;
    // SQLite opens a file that it may not write for reading alone, and says so only at the first write.
    sqlx::query!("delete from levels where false").execute(&mut *transaction).await?;
    Ok(transaction.commit().await?)
}

/// A full disk is a full disk, also in a migration.
fn classify(error: MigrateError) -> StoreError {
    if let MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) = error {
        cause.into()
    } else {
        StoreError::Migrate(error)
    }
}

/// The schema that this program reads and writes.
pub(super) fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions as _, Connection as _};

    use super::*;
    use crate::event::Kind;
    use crate::store::Store;
    use crate::store::fixture::{Place, event, record};
    use crate::store::open::options;

    async fn refusal(path: &Path) -> StoreError {
        Store::open(path).await.unwrap_err()
    }

    async fn execute(path: &Path, sql: &'static str) {
        let mut connection = options(path).connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_not_sqlite_is_refused_and_left_alone() {
        let place = Place::new();
        for content in ["hello\n".to_owned(), "hello\n".repeat(10_000)] {
            std::fs::write(place.path(), &content).unwrap();
            let error = refusal(&place.path()).await;
            assert!(matches!(error.root(), StoreError::NotSqlite), "{error:?}");
            assert!(error.to_string().contains("ledger.db") && error.is_fatal(), "{error}");
            assert_eq!(std::fs::read_to_string(place.path()).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn a_database_of_another_program_is_refused_and_left_alone() {
        let place = Place::new();
        let create = options(&place.path()).create_if_missing(true).connect().await.unwrap();
        create.close().await.unwrap();
        execute(&place.path(), "pragma application_id = 77; create table events (x)").await;
        let before = std::fs::read(place.path()).unwrap();
        let error = refusal(&place.path()).await;
        assert!(matches!(error, StoreError::Foreign { application_id: 77, .. }), "{error}");
        assert_eq!(std::fs::read(place.path()).unwrap(), before);
    }

    #[tokio::test]
    async fn an_empty_file_becomes_a_database() {
        let place = Place::new();
        std::fs::write(place.path(), "").unwrap();
        let store = place.open().await;
        assert_eq!(record(&store, &[event("2500", 1, Kind::LevelBroken)]).await.len(), 1);
    }

    #[tokio::test]
    async fn a_newer_schema_is_refused_with_both_versions() {
        let place = Place::new();
        place.open().await.close().await;
        execute(
            &place.path(),
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9000, 'later', true, x'00', 0)",
        )
        .await;
        let error = refusal(&place.path()).await;
        let known = newest();
        assert!(
            matches!(error, StoreError::NewerSchema { found: 9000, known: k, .. } if k == known),
            "{error}"
        );
        assert!(error.to_string().contains("9000") && error.to_string().contains("newer version"), "{error}");
        let error = Store::open_read_only(&place.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::NewerSchema { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_altered_schema_history_is_refused() {
        let place = Place::new();
        place.open().await.close().await;
        execute(&place.path(), "update _sqlx_migrations set checksum = x'00'").await;
        let error = refusal(&place.path()).await;
        assert!(matches!(error.root(), StoreError::Migrate(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_damaged_file_is_found_at_the_start() {
        let place = Place::new();
        let store = place.open().await;
        record(&store, &(1..=500).map(|n| event("2500", n, Kind::LevelBroken)).collect::<Vec<_>>()).await;
        store.close().await;
        drop(store);
        let mut content = std::fs::read(place.path()).unwrap();
        let middle = content.len() / 2 / 4096 * 4096;
        content[middle..middle + 4096].fill(0xa5);
        std::fs::write(place.path(), content).unwrap();
        let error = refusal(&place.path()).await;
        assert!(matches!(error.root(), StoreError::Damaged(_)) && error.is_fatal(), "{error:?}");
    }

    #[tokio::test]
    async fn a_file_cut_short_is_found_at_the_start() {
        let place = Place::new();
        let store = place.open().await;
        record(&store, &(1..=500).map(|n| event("2500", n, Kind::LevelBroken)).collect::<Vec<_>>()).await;
        store.close().await;
        drop(store);
        let file = std::fs::OpenOptions::new().write(true).open(place.path()).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        let error = refusal(&place.path()).await;
        assert!(matches!(error.root(), StoreError::Damaged(_)), "{error:?}");
    }
}
