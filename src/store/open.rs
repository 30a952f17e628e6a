//! Opening a database, for writing or for reading alone.
//!
//! A file is looked at before anything of it is changed, so a refusal leaves it as it was. Nothing here repairs.

use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool};

use crate::store::error::StoreError;
use crate::store::history::History;
use crate::store::lock::Lock;
use crate::store::{ACQUIRE_TIMEOUT, BUSY_TIMEOUT, JOURNAL_SIZE_MAX, READERS_MAX, Store, schema};

impl Store {
    /// Opens the database at `path` for writing, and creates it when there is none, though not its directory. An
    /// empty file counts as none: it is what a crash during the first start leaves.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, and a variant of its own for each other obstacle.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = resolve(path)?;
        open_for_writing(&path).await.map_err(|error| naming(path, error))
    }

    /// Opens an existing database for writing beside the process that has it; see [`crate::store::desk`].
    pub(super) async fn open_beside(path: &Path) -> Result<Self, StoreError> {
        let path = resolve(path)?;
        let history = open_for_reading(&path).await.map_err(|error| naming(path.clone(), error))?;
        match writer(&path).await {
            Ok(writer) => Ok(Self { path, writer, history, _lock: None }),
            Err(error) => Err(naming(path, error)),
        }
    }

    /// Opens the database at `path` for reading alone, also while another process writes to it.
    ///
    /// # Errors
    /// When there is none, or it has another schema than this program, or cannot be read.
    pub async fn open_read_only(path: &Path) -> Result<History, StoreError> {
        let path = resolve(path)?;
        open_for_reading(&path).await.map_err(|error| naming(path, error))
    }
}

async fn open_for_writing(path: &Path) -> Result<Store, StoreError> {
    let lock = Lock::take(path)?;
    if path.exists() {
        let mut connection = connect(path, &options(path)).await?;
        schema::inspect(&mut connection, path).await?;
        schema::quick_check(&mut connection).await?;
        connection.close().await?;
    }
    let writer = writer(path).await?;
    schema::check_sqlite(&writer).await?;
    schema::migrate(&writer).await?;
    let history = History::new(readers(path).await?);
    Ok(Store { path: path.to_owned(), writer, history, _lock: Some(lock) })
}

async fn open_for_reading(path: &Path) -> Result<History, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing(path.to_owned()));
    }
    let mut connection = connect(path, &options(path).read_only(true)).await?;
    let found = schema::inspect(&mut connection, path).await?;
    connection.close().await?;
    let known = schema::newest();
    if found < known {
        return Err(StoreError::OlderSchema { path: path.to_owned(), found, known });
    }
    Ok(History::new(readers(path).await?))
}

/// The path without symbolic links, so that one database has one lock file, and absolute, so that SQLite takes it
/// for nothing else (`:memory:`, `file:…`).
fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().ok_or_else(|| StoreError::IsDirectory(path.to_owned()))?;
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let resolved = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => parent.canonicalize().map(|p| p.join(name)),
        other => other,
    };
    match resolved {
        Ok(path) if path.is_dir() => Err(StoreError::IsDirectory(path)),
        Ok(path) => Ok(path),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Err(StoreError::NoDirectory(parent.to_owned()))
        }
        Err(error) => Err(naming(path.to_owned(), error.into())),
    }
}

/// Puts the path around an error that does not name it.
fn naming(path: PathBuf, error: StoreError) -> StoreError {
    let names_it = matches!(
        error,
        StoreError::InUse { .. }
            | StoreError::Missing(_)
            | StoreError::Foreign { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::OlderSchema { .. }
    );
    if names_it { error } else { StoreError::Open { path, source: Box::new(error) } }
}

/// What every connection has. A schema that someone else altered runs no functions, and a damaged page is noticed
/// when it is read.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("trusted_schema", "off")
        .pragma("cell_size_check", "on")
        .disable_statement_logging()
}

/// One connection; where SQLite only says that it cannot open the file, the operating system is asked why.
async fn connect(path: &Path, options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    match options.connect().await {
        Ok(connection) => Ok(connection),
        Err(error) => match std::fs::File::open(path) {
            Err(reason) => Err(reason.into()),
            Ok(_) => Err(error.into()),
        },
    }
}

/// The one connection that writes. Every commit is on the disk when it returns: with less than `full` a power cut
/// takes commits back.
async fn writer(path: &Path) -> Result<SqlitePool, StoreError> {
    let options = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", JOURNAL_SIZE_MAX.to_string());
    // SQLite ends a transaction by itself when the disk is full or fails, and the driver does not notice: it would
    // believe for ever that one is open. Such a connection is replaced.
    let pool = pool()
        .max_connections(1)
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }));
    Ok(pool.connect_with(options).await?)
}

async fn readers(path: &Path) -> Result<SqlitePool, StoreError> {
    Ok(pool().max_connections(READERS_MAX).connect_with(options(path).read_only(true)).await?)
}

/// Connections to a file do not grow old, and there is nobody to ask whether they still live.
fn pool() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::event::Kind;
    use crate::store::delivery::Held;
    use crate::store::fixture::{Place, accepted, at, event, record};
    use crate::store::history::EventFilter;

    /// Tells a test that it runs in a process of its own, and with which database.
    const IN_CHILD: &str = "BREAKWATCH_TEST_DATABASE";

    /// Runs the test `name` of this file in a process of its own and returns what it printed.
    fn child(name: &str, database: &Path) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("store::open::tests::{name}")])
            .env(IN_CHILD, database)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    fn database_in_child() -> Option<PathBuf> {
        std::env::var_os(IN_CHILD).map(PathBuf::from)
    }

    async fn refusal(path: &Path) -> StoreError {
        Store::open(path).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_new_database_is_made_and_opens_again() {
        let place = Place::new();
        let store = place.open().await;
        assert_eq!(store.path(), place.path().canonicalize().unwrap());
        store.close().await;
        drop(store);
        place.open().await;
    }

    #[tokio::test]
    async fn commits_are_synced_to_the_disk_and_keys_are_checked() {
        let place = Place::new();
        let store = place.open().await;
        let pragma = async |sql: &'static str| {
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&store.writer).await.unwrap()
        };
        assert_eq!(pragma("pragma synchronous").await, 2, "full");
        assert_eq!(pragma("pragma foreign_keys").await, 1);
        assert_eq!(pragma("pragma busy_timeout").await, 5_000);
        assert_eq!(pragma("pragma journal_size_limit").await, i64::from(JOURNAL_SIZE_MAX));
        let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&store.writer).await.unwrap();
        assert_eq!(mode, "wal");
    }

    #[tokio::test]
    async fn a_second_store_on_the_same_file_is_refused_by_any_path() {
        let place = Place::new();
        let store = place.open().await;
        let link = place.path().with_file_name("link.db");
        std::os::unix::fs::symlink(place.path(), &link).unwrap();
        for path in [place.path(), link] {
            let error = refusal(&path).await;
            assert!(matches!(error, StoreError::InUse { pid: Some(_), .. }), "{error}");
        }
        drop(store);
        place.open().await;
    }

    #[tokio::test]
    async fn a_second_process_is_refused_with_the_pid_of_the_first() {
        if let Some(path) = database_in_child() {
            println!("refused: {}", refusal(&path).await);
            return;
        }
        let place = Place::new();
        let _store = place.open().await;
        let said = child("a_second_process_is_refused_with_the_pid_of_the_first", &place.path());
        let path = place.path().canonicalize().unwrap();
        let expected = format!(
            "refused: the database {} is in use by another breakwatch (process {})",
            path.display(),
            std::process::id()
        );
        assert!(said.contains(&expected), "{said}");
    }

    #[tokio::test]
    async fn a_process_that_dies_while_sending_leaves_the_delivery_to_the_next() {
        if let Some(path) = database_in_child() {
            let store = Store::open(&path).await.unwrap();
            let ids = record(&store, &[1, 2].map(|n| event("2500", n, Kind::LevelBroken))).await;
            store.begin_attempt(ids[0], at(20)).await.unwrap();
            store
                .settle(ids[0], 1, &accepted(), at(21), crate::store::delivery::Settled::Delivered)
                .await
                .unwrap();
            store.begin_attempt(ids[1], at(22)).await.unwrap();
            std::process::abort();
        }
        let place = Place::new();
        child("a_process_that_dies_while_sending_leaves_the_delivery_to_the_next", &place.path());
        let store = place.open().await;
        let sending = store.recover(at(30)).await.unwrap();
        assert_eq!(sending.len(), 1, "one was delivered, the other was under way");
        let due = store.claim("mail", at(30), 10, &Held::default()).await.unwrap();
        assert_eq!((due[0].id, due[0].attempts, due.len()), (sending[0], 1, 1));
    }

    #[tokio::test]
    async fn a_missing_directory_and_a_directory_are_told_apart() {
        let place = Place::new();
        let nowhere = place.path().join("deeper").join("a.db");
        let error = refusal(&nowhere).await;
        assert!(matches!(&error, StoreError::NoDirectory(path) if nowhere.starts_with(path)), "{error}");
        let directory = place.path().parent().unwrap().to_owned();
        assert!(matches!(refusal(&directory).await, StoreError::IsDirectory(_)));
        assert!(matches!(refusal(Path::new("/")).await, StoreError::IsDirectory(_)));
        std::fs::write(place.path(), "").unwrap();
        assert!(matches!(refusal(&nowhere).await, StoreError::NoDirectory(_)), "a file is no directory");
    }

    #[tokio::test]
    async fn names_with_a_meaning_for_sqlite_are_files_like_any_other() {
        let place = Place::new();
        for name in [":memory:", "file:x?mode=memory", "a b%20#?.db"] {
            let path = place.path().with_file_name(name);
            let store = Store::open(&path).await.unwrap();
            record(&store, &[event("2500", 1, Kind::LevelBroken)]).await;
            store.close().await;
            assert!(std::fs::metadata(&path).unwrap().len() > 4096, "{name}");
        }
    }

    #[tokio::test]
    async fn a_reader_sees_each_commit_while_the_writer_has_the_file() {
        let place = Place::new();
        let store = place.open().await;
        let history = Store::open_read_only(&place.path()).await.unwrap();
        for n in 1..=3 {
            record(&store, &[event("2500", n, Kind::LevelBroken)]).await;
            let seen = history.events(&EventFilter::default()).await.unwrap();
            assert_eq!(seen.len(), usize::try_from(n).unwrap());
        }
        let unfinished = store.begin().await.unwrap();
        assert_eq!(
            history.events(&EventFilter::default()).await.unwrap().len(),
            3,
            "a writer does not block it"
        );
        drop(unfinished);
        let written = sqlx::query("delete from attempts").execute(history.readers()).await;
        assert!(matches!(StoreError::from(written.unwrap_err()), StoreError::ReadOnly(_)));
    }

    #[tokio::test]
    async fn a_reader_needs_a_database_of_its_own_schema() {
        let place = Place::new();
        let error = Store::open_read_only(&place.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing(_)), "{error}");
        std::fs::write(place.path(), "").unwrap();
        let error = Store::open_read_only(&place.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::OlderSchema { found: 0, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_checkpoint_cuts_the_log_back() {
        let place = Place::new();
        let store = place.open().await;
        record(&store, &(1..=200).map(|n| event("2500", n, Kind::LevelBroken)).collect::<Vec<_>>()).await;
        let log = place.path().with_file_name("ledger.db-wal");
        assert!(std::fs::metadata(&log).unwrap().len() > 0);
        assert!(!store.checkpoint().await.unwrap().blocked);
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
        store.close().await;
        assert!(!log.exists(), "the last connection folds the log in");
    }

    #[tokio::test]
    async fn without_permission_the_path_and_the_reason_are_said() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new();
        let directory = place.path().parent().unwrap().to_owned();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o500)).unwrap();
        // The administrator may write anywhere.
        let forbidden = std::fs::write(directory.join("probe"), "").is_err();
        let opened = Store::open(&place.path()).await;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        match opened {
            Err(error) if forbidden => {
                assert!(matches!(error.root(), StoreError::Denied(_)), "{error:?}");
                assert!(error.to_string().contains("ledger.db"), "{error}");
            }
            other => assert!(other.is_ok() && !forbidden, "{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_that_may_not_be_written_or_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = Place::new();
        place.open().await.close().await;
        for (mode, expected) in [(0o400, "ReadOnly"), (0o000, "Denied")] {
            std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            // The administrator may write to anything.
            let forbidden = std::fs::OpenOptions::new().write(true).open(place.path()).is_err();
            match Store::open(&place.path()).await {
                Err(error) if forbidden => {
                    let kind = format!("{:?}", error.root());
                    assert!(kind.starts_with(expected), "{kind}");
                }
                other => assert!(other.is_ok() && !forbidden, "{other:?}"),
            }
        }
    }
}
