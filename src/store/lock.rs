//! One writer per database: a lock file beside it, held for as long as the process lives.
//!
//! The operating system drops the lock when the process ends, however it ends; the file itself stays, since
//! removing it would let two processes hold locks on two files of one name. It never decides what to do
//! about a refusal.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// More than any process id has digits.
const PID_LENGTH_MAX: u64 = 32;

/// The lock; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the database at `path` and writes the process id into the lock file.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process, or another store of this one, has it; otherwise what the
    /// operating system says about the file.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(file_of(path))?;
        match file.try_lock() {
            Ok(()) => {
                file.set_len(0)?;
                file.rewind()?;
                writeln!(file, "{}", std::process::id())?;
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::InUse { path: path.to_owned(), pid: pid_in(&file) })
            }
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

/// `breakwatch.db` has its lock in `breakwatch.db.lock`.
fn file_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".lock");
    PathBuf::from(name)
}

/// `None` when the holder has not written it yet.
fn pid_in(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_LENGTH_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first_until_the_first_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let first = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err();
        assert!(matches!(&refused, StoreError::InUse { pid: Some(pid), .. } if *pid == std::process::id()));
        let text = refused.to_string();
        assert!(text.contains(&std::process::id().to_string()) && text.contains("a.db"), "{text}");
        drop(first);
        Lock::take(&path).unwrap();
    }

    #[test]
    fn a_longer_text_of_an_earlier_process_is_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        std::fs::write(file_of(&path), "4294967295\nleft over\n").unwrap();
        let _first = Lock::take(&path).unwrap();
        assert_eq!(std::fs::read_to_string(file_of(&path)).unwrap(), format!("{}\n", std::process::id()));
    }

    #[test]
    fn an_unreadable_pid_is_unknown_and_still_a_refusal() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let _first = Lock::take(&path).unwrap();
        std::fs::write(file_of(&path), "").unwrap();
        let refused = Lock::take(&path).unwrap_err();
        assert!(matches!(refused, StoreError::InUse { pid: None, .. }), "{refused}");
    }
}
