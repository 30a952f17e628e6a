//! Why the store could not do what it was asked: one enum, sorted by what the caller can do about it.
//!
//! Nothing here retries, logs or gives up; callers decide.

use std::io;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;
use thiserror::Error;

use crate::store::delivery::{DeliveryId, State};

/// Why the store could not do what it was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Opening failed for the reason in the source.
    #[error("cannot open the database {}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What stood in the way.
        source: Box<Self>,
    },
    /// The directory that should hold the database does not exist.
    #[error("the directory {} for the database does not exist", .0.display())]
    NoDirectory(PathBuf),
    /// The path names a directory.
    #[error("{} is a directory, not a database file", .0.display())]
    IsDirectory(PathBuf),
    /// There is nothing to read.
    #[error("there is no database {}", .0.display())]
    Missing(PathBuf),
    /// Another process writes to this database.
    #[error("the database {} is in use by another breakwatch ({})", path.display(), pid_text(*.pid))]
    InUse {
        /// The database.
        path: PathBuf,
        /// The other process, when its lock file tells.
        pid: Option<u32>,
    },
    /// The file is no SQLite database.
    #[error("the file is not a SQLite database")]
    NotSqlite,
    /// A SQLite database, but not one of ours.
    #[error("{} is a SQLite database of another program (application id {application_id:#010x})", path.display())]
    Foreign {
        /// The database.
        path: PathBuf,
        /// What it says it is.
        application_id: i64,
    },
    /// A newer version of the program wrote it.
    #[error(
        "the database {} has schema {found}, but this version knows schemas up to {known}: a newer version wrote it",
        path.display()
    )]
    NewerSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// An older version wrote it, and it may only be read here; the daemon brings it up to date.
    #[error(
        "the database {} has schema {found}, but this version reads schema {known}: the daemon brings it up to date",
        path.display()
    )]
    OlderSchema {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The schema that this program reads.
        known: i64,
    },
    /// Bringing the schema up to date failed; nothing of it was kept.
    #[error("cannot bring the database to the current schema")]
    Migrate(#[source] MigrateError),
    /// The SQLite in this program has a bug that damages databases.
    #[error("SQLite {0} can damage a database in WAL mode; 3.51.3 or newer is needed")]
    OldSqlite(String),
    /// The file's content contradicts itself.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// The operating system forbids it.
    #[error("no permission")]
    Denied(#[source] BoxedCause),
    /// The file or its file system cannot be written.
    #[error("the file or its file system is read-only")]
    ReadOnly(#[source] BoxedCause),
    /// No space is left. What was recorded stays, and writing succeeds again as soon as there is space.
    #[error("the disk of the database is full")]
    Full(#[source] BoxedCause),
    /// Another process holds the database's lock for longer than [`crate::store::BUSY_TIMEOUT`].
    #[error("the database is locked by another process")]
    Busy(#[source] BoxedCause),
    /// The disk failed. Nothing that was written lately can be relied upon: stop.
    #[error("the disk of the database failed")]
    Disk(#[source] BoxedCause),
    /// A row contradicts the schema, for example a delivery of an event that is not recorded.
    #[error("the database refused a row")]
    Constraint(#[source] sqlx::Error),
    /// Anything else that SQLite or its driver said.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// A value cannot be written as JSON.
    #[error("cannot write a row as JSON")]
    Encode(#[source] serde_json::Error),
    /// A row holds what this program cannot read.
    #[error("cannot read {what} in the database")]
    Decode {
        /// Which row.
        what: String,
        /// Why.
        source: BoxedCause,
    },
    /// There is no such delivery.
    #[error("there is no delivery {0}")]
    NoDelivery(DeliveryId),
    /// The delivery is not in the state that the request needs.
    #[error("delivery {id} is {state}")]
    WrongState {
        /// The delivery.
        id: DeliveryId,
        /// The state it is in.
        state: State,
    },
    /// The attempt is not under way.
    #[error("attempt {attempt} of delivery {id} is not under way")]
    NotUnderWay {
        /// The delivery.
        id: DeliveryId,
        /// Its attempt.
        attempt: u32,
    },
    /// Several threads begin with the given text.
    #[error("{key:?} is the beginning of several threads, for example {}", .examples.join(", "))]
    Ambiguous {
        /// What was asked for.
        key: String,
        /// Some of the threads.
        examples: Vec<String>,
    },
}

/// The cause of an error, whatever library it comes from.
pub type BoxedCause = Box<dyn std::error::Error + Send + Sync>;

impl StoreError {
    /// The error itself, without the frame that names the database.
    #[must_use]
    pub fn root(&self) -> &Self {
        if let Self::Open { source, .. } = self { source.root() } else { self }
    }

    /// No space is left: heals by itself when there is space again.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.root(), Self::Full(_))
    }

    /// Worth another try of the same call: no space, or the lock is held elsewhere.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self.root(), Self::Full(_) | Self::Busy(_))
    }

    /// The database cannot be relied upon any longer: stop, and let a person look.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.root(), Self::Disk(_) | Self::Damaged(_) | Self::NotSqlite)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let Some(code) = error.as_database_error().and_then(sqlite_code) {
            return from_code(code, error);
        }
        if let sqlx::Error::Io(error) = error { error.into() } else { Self::Database(error) }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let kind = error.kind();
        if kind == PermissionDenied {
            Self::Denied(error.into())
        } else if kind == ReadOnlyFilesystem {
            Self::ReadOnly(error.into())
        } else if matches!(kind, StorageFull | QuotaExceeded) {
            Self::Full(error.into())
        } else {
            Self::Database(sqlx::Error::Io(error))
        }
    }
}

/// SQLite's extended result code.
fn sqlite_code(error: &dyn sqlx::error::DatabaseError) -> Option<i32> {
    error.code()?.parse().ok()
}

/// The shared memory beside the database could not grow, which happens when no space is left.
const SQLITE_IOERR_SHMSIZE: i32 = 10 | (19 << 8);

/// Sorts by the result codes of <https://www.sqlite.org/rescode.html>; the low byte is the primary code.
fn from_code(code: i32, error: sqlx::Error) -> StoreError {
    match (code & 0xff, code) {
        (3 | 23, _) => StoreError::Denied(cause(error)),
        (5 | 6, _) => StoreError::Busy(cause(error)),
        (8, _) => StoreError::ReadOnly(cause(error)),
        (13, _) | (_, SQLITE_IOERR_SHMSIZE) => StoreError::Full(cause(error)),
        (10, _) => StoreError::Disk(cause(error)),
        (11, _) => StoreError::Damaged(error.to_string()),
        (19, _) => StoreError::Constraint(error),
        (26, _) => StoreError::NotSqlite,
        _ => StoreError::Database(error),
    }
}

/// What SQLite said, without the driver's frame, which repeats it.
fn cause(error: sqlx::Error) -> BoxedCause {
    if let sqlx::Error::Database(said) = error { said } else { error.into() }
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "its process id is unknown".to_owned(), |pid| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32) -> StoreError {
        from_code(code, sqlx::Error::WorkerCrashed)
    }

    #[test]
    fn result_codes_are_sorted_by_what_can_be_done() {
        assert!(matches!(of(13), StoreError::Full(_)));
        assert!(matches!(of(4874), StoreError::Full(_)), "the shared memory cannot grow");
        assert!(matches!(of(10), StoreError::Disk(_)));
        assert!(matches!(of(1034), StoreError::Disk(_)), "fsync failed");
        assert!(matches!(of(11), StoreError::Damaged(_)));
        assert!(matches!(of(779), StoreError::Damaged(_)), "a damaged index");
        assert!(matches!(of(517), StoreError::Busy(_)), "a snapshot that is too old");
        assert!(matches!(of(8), StoreError::ReadOnly(_)));
        assert!(matches!(of(26), StoreError::NotSqlite));
        assert!(matches!(of(2067), StoreError::Constraint(_)));
        assert!(matches!(of(1), StoreError::Database(_)));
    }

    #[test]
    fn a_full_disk_passes_and_a_failed_one_is_fatal() {
        assert!(of(13).is_full() && of(13).is_passing() && !of(13).is_fatal());
        assert!(of(5).is_passing() && !of(5).is_full());
        assert!(of(10).is_fatal() && of(11).is_fatal() && !of(10).is_passing());
        let framed = StoreError::Open { path: "x.db".into(), source: Box::new(of(13)) };
        assert!(framed.is_full(), "the frame that names the database hides nothing");
    }

    #[test]
    fn errors_of_the_operating_system_are_sorted_alike() {
        let of = |kind: io::ErrorKind| StoreError::from(io::Error::from(kind));
        assert!(matches!(of(io::ErrorKind::PermissionDenied), StoreError::Denied(_)));
        assert!(matches!(of(io::ErrorKind::ReadOnlyFilesystem), StoreError::ReadOnly(_)));
        assert!(of(io::ErrorKind::StorageFull).is_full());
        assert!(!of(io::ErrorKind::NotFound).is_passing());
    }
}
