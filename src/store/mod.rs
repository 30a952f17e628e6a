//! The ledger on disk: events, the state of levels, and one row per delivery, in SQLite.
//!
//! ```text
//!  watch ──commit──► events, levels, books, deliveries       one transaction, synced to disk
//!  dispatch ──claim──► due ──begin_attempt──► sending ──settle──► delivered | due again | dead
//!           ──carry──► one delivery of a digest for many that wait; they end as it ends
//!  start ──recover──► what was `sending` when the process ended is due again
//!  commands ──History──► read only, also while the daemon writes
//! ```
//!
//! It keeps what it is given: it decides neither what is told, nor when, nor how often, and reads no clock.
//! All writes go through one connection and begin as `begin immediate`, so none can fail half-way on a lock;
//! readers have connections of their own and never wait for the writer. Futures of writing methods are not
//! cancel safe: dropped in the middle, they may or may not have written. Repeating them is safe.

pub mod bars;
pub mod carry;
pub mod commit;
pub mod counts;
pub mod delivery;
pub mod desk;
pub mod error;
pub mod history;
pub mod snooze;
pub mod thread;

mod lock;
mod open;
mod past;
mod prune;
pub mod rules;
mod schema;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod never_lost;

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use crate::store::error::StoreError;
use crate::store::history::History;
use crate::store::lock::Lock;

/// How long a statement waits for a lock that another process holds (a backup tool, a shell).
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections for reading.
pub const READERS_MAX: u32 = 3;
/// How long a call waits for a connection; all are in use only while many commands read at once.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// The write-ahead log is cut back to this size after a checkpoint.
pub const JOURNAL_SIZE_MAX: u32 = 16 * 1024 * 1024;

/// The database, open for writing: at most one per file and machine.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: SqlitePool,
    history: History,
    /// Absent at a [`desk`].
    _lock: Option<Lock>,
}

/// What a checkpoint did to the write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// A reader was in the way; the log could not be cut back wholly.
    pub blocked: bool,
    /// Pages that are still in the log.
    pub pages: i64,
}

impl Store {
    /// The file, with every symbolic link resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything that can be read.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// Moves the write-ahead log into the database and cuts it back. Worth calling every few minutes.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let row = sqlx::query("pragma wal_checkpoint(truncate)").fetch_one(&self.writer).await?;
        Ok(Checkpoint { blocked: row.try_get::<i64, _>(0)? != 0, pages: row.try_get(1)? })
    }

    /// Ends every connection; the last one folds the write-ahead log into the database. Calls that are under way
    /// are waited for, later ones fail.
    pub async fn close(&self) {
        self.history.close().await;
        self.writer.close().await;
    }

    /// A transaction that holds the write lock from its first statement.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("begin immediate").await?)
    }
}
