//! Where secrets come from, and reading them. A configuration names sources; it never holds a secret.
//!
//! Loading a configuration reads no secret, so that a replay works without them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use tokio::io::AsyncReadExt;

use super::file::SECRET;
use super::problem::{ProblemKind, Refusal};
use super::section::Section;
use super::value;

/// The longest secret.
const BYTES_MAX: u64 = 64 * 1024;
/// A command has so long to print its secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// What is told to whoever wrote a secret into the file.
const FOUR_WAYS: &str = "a secret never stands in the configuration; write { credential = \"name\" } (systemd), \
    { file = \"/path\" }, { env = \"NAME\" } or { command = [\"program\", \"argument\"], ttl = \"1h\" }";

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A systemd credential: a file in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Env(String),
    /// What a program prints.
    Command {
        /// The program and its arguments; no shell is involved.
        argv: Vec<String>,
        /// After so long it is asked again; `None` = once.
        ttl: Option<Duration>,
    },
}

/// Why a secret cannot be read. Nothing in it is secret.
#[derive(Debug, Error)]
pub enum SecretError {
    /// Not started by systemd, or without `LoadCredential=`.
    #[error(
        "credential {0:?} is not there: $CREDENTIALS_DIRECTORY is not set (systemd sets it, with LoadCredential=)"
    )]
    NoCredentials(String),
    /// A file that cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The variable is not set.
    #[error("environment variable {0} is not set")]
    NoVariable(String),
    /// The program cannot be started, or its output cannot be read.
    #[error("command {program:?} cannot be run")]
    NotRun {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program ended with an error.
    #[error("command {program:?} failed ({status})")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// The program did not end in time.
    #[error("command {program:?} did not end within {} seconds", COMMAND_TIMEOUT.as_secs())]
    TimedOut {
        /// The program.
        program: String,
    },
    /// Nothing, or nothing but a line end.
    #[error("{0} is empty")]
    Empty(String),
    /// More than a secret can be.
    #[error("{0} is longer than {BYTES_MAX} bytes")]
    TooLong(String),
    /// Bytes that are no text, or a NUL among them.
    #[error("{0} is not a text")]
    NotText(String),
}

impl SecretSource {
    /// Reads the secret, and takes one line end off its end.
    ///
    /// `env` is the environment, `credentials` systemd's `$CREDENTIALS_DIRECTORY`. Cancelling it kills a
    /// command that is still running.
    ///
    /// # Errors
    /// When it is not there, empty, too long or no text; or when a command fails or takes longer than ten
    /// seconds.
    pub async fn read(
        &self,
        env: &BTreeMap<String, String>,
        credentials: Option<&Path>,
    ) -> Result<SecretString, SecretError> {
        let bytes = match self {
            Self::Credential(name) => {
                let dir = credentials.ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                read_file(&dir.join(name)).await?
            }
            Self::File(path) => read_file(path).await?,
            Self::Env(name) => {
                env.get(name).ok_or_else(|| SecretError::NoVariable(name.clone()))?.clone().into_bytes()
            }
            Self::Command { argv, .. } => run(argv, COMMAND_TIMEOUT).await?,
        };
        self.checked(bytes)
    }

    /// What deserves a warning about it: a file that everybody can read.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self {
            Self::File(path) if is_open(path) => {
                let path = path.display();
                Some(format!("{path} holds a secret and can be read by every user; run chmod 600 {path}"))
            }
            Self::File(_) | Self::Credential(_) | Self::Env(_) | Self::Command { .. } => None,
        }
    }

    fn checked(&self, mut bytes: Vec<u8>) -> Result<SecretString, SecretError> {
        if bytes.len() > usize::try_from(BYTES_MAX).unwrap_or(usize::MAX) {
            return Err(SecretError::TooLong(self.to_string()));
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.is_empty() {
            return Err(SecretError::Empty(self.to_string()));
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(SecretString::from(text)),
            Ok(_) | Err(_) => Err(SecretError::NotText(self.to_string())),
        }
    }
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Credential(name) => write!(f, "credential {name:?}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Command { argv, .. } => {
                write!(f, "the output of command {:?}", argv.first().map_or("", String::as_str))
            }
        }
    }
}

#[cfg(unix)]
fn is_open(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_open(_path: &Path) -> bool {
    false
}

async fn read_file(path: &Path) -> Result<Vec<u8>, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).await.map_err(unreadable)?;
    Ok(bytes)
}

async fn run(argv: &[String], timeout: Duration) -> Result<Vec<u8>, SecretError> {
    let program = argv.first().cloned().unwrap_or_default();
    let not_run = |source| SecretError::NotRun { program: program.clone(), source };
    let work = async {
        let mut child = tokio::process::Command::new(&program)
            .args(argv.iter().skip(1))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_run)?;
        let mut bytes = Vec::new();
        if let Some(out) = child.stdout.take() {
            out.take(BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes).await.map_err(not_run)?;
        }
        let status = child.wait().await.map_err(not_run)?;
        if status.success() {
            Ok(bytes)
        } else {
            Err(SecretError::Failed { program: program.clone(), status })
        }
    };
    let timed_out = || SecretError::TimedOut { program: program.clone() };
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| Err(timed_out()))
}

/// Reads a secret's source; `place` is its key within `section`.
pub(super) fn secret(
    section: &Section<'_>,
    place: &str,
    value: &toml::Value,
    dir: &Path,
) -> Option<SecretSource> {
    let Some(table) = value.as_table() else {
        section.refuse_at(place, literal());
        return None;
    };
    let source = section.inner(table, &SECRET, section.path(place));
    let argv = source.read("command", value::one_or_more(value::line));
    let ttl = source.read("ttl", value::positive_duration);
    if ttl.is_some() && source.get("command").is_none() {
        source.refuse("ttl", "stands beside command only");
    }
    let given =
        ["credential", "file", "env", "command"].iter().filter(|key| source.get(key).is_some()).count();
    if given != 1 {
        let text = format!("names {given} sources instead of one; {FOUR_WAYS}");
        source.refuse_whole(Refusal { kind: ProblemKind::Secret, text });
        return None;
    }
    let credential = source.read("credential", credential_name).map(SecretSource::Credential);
    let file = source.read("file", value::line).map(|path| SecretSource::File(dir.join(path)));
    let variable = source.read("env", variable_name).map(SecretSource::Env);
    let command = argv.map(|argv| SecretSource::Command { argv, ttl });
    credential.or(file).or(variable).or(command)
}

fn literal() -> Refusal {
    Refusal { kind: ProblemKind::Secret, text: format!("is written in plain text; {FOUR_WAYS}") }
}

fn credential_name(value: &toml::Value) -> Result<String, Refusal> {
    let name = value::name(value)?;
    if name.contains('/') || name == "." || name == ".." {
        return Err("is not the name of a credential: a file name without a path".into());
    }
    Ok(name)
}

fn variable_name(value: &toml::Value) -> Result<String, Refusal> {
    let name = value::name(value)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.bytes().all(allowed) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(name);
    }
    // Whoever writes a password here should not find it in a log.
    Err("is not the name of an environment variable: letters, digits and _".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_does_not_end_is_ended() {
        let argv = ["sleep".to_owned(), "600".to_owned()];
        let error = run(&argv, Duration::from_millis(20)).await.unwrap_err();
        assert!(matches!(error, SecretError::TimedOut { .. }), "{error}");
    }
}
