//! A program of one's own: it reads the event on standard input, and its exit status says how it went.
//!
//! It runs without a shell, in a process group of its own, with an environment of its own; what it prints is read
//! to a limit. Nothing that it or its children do keeps an attempt beyond the channel's timeout.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::deliver::answer::Discretion;
use crate::deliver::{ExecSettings, Letter};
use crate::outbox::Outcome;
use crate::outbox::message::inert;
use crate::time::format_duration;

/// What a program prints is kept so far, in bytes; the rest is read and forgotten, so that it never waits for us.
const OUTPUT_MAX: usize = 64 * 1024;
/// After its end, what it printed last is waited for so long: a child of its own may hold the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Where programs are looked for when we were started without a `PATH`.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// The longest value of a variable, in characters.
const VARIABLE_MAX: usize = 1_000;

/// `EX_USAGE`
const USAGE: i32 = 64;
/// `EX_DATAERR`
const DATA_ERROR: i32 = 65;
/// `EX_NOPERM`
const NO_PERMISSION: i32 = 77;
/// `EX_CONFIG`
const CONFIG: i32 = 78;
/// So a shell says that a program cannot be run, or is not there.
const SHELL_CANNOT: [i32; 2] = [126, 127];

/// The channel.
pub struct Exec {
    settings: ExecSettings,
    discretion: Discretion,
}

/// How a program ended, and what it printed.
struct End {
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Exec {
    pub(super) fn open(settings: ExecSettings) -> Self {
        Self { settings, discretion: Discretion::new([]) }
    }

    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        let child = match self.command(letter).spawn() {
            Ok(child) => child,
            Err(error) => return self.not_started(&error),
        };
        let mut run = Run::new(child);
        let ended = tokio::time::timeout(self.settings.timeout, run.talk(&letter.message.webhook)).await;
        match ended {
            Ok(Ok(end)) => self.classify(&end),
            Ok(Err(error)) => {
                self.discretion.deferred(&format!("{} was lost: {error}", self.settings.program), None)
            }
            Err(_) => {
                run.kill().await;
                let timeout = format_duration(self.settings.timeout);
                self.discretion.deferred(&format!("did not end within {timeout} and was killed"), None)
            }
        }
    }

    fn command(&self, letter: &Letter<'_>) -> Command {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(PATH));
        let event = letter.event;
        let mut command = Command::new(&self.settings.program);
        command
            .args(&self.settings.arguments)
            .env_clear()
            .env("PATH", path)
            .env("BREAKWATCH_ID", inert::line(event.id.as_str(), VARIABLE_MAX))
            .env("BREAKWATCH_KIND", event.kind.as_str())
            .env("BREAKWATCH_SEVERITY", event.severity.as_str())
            .env("BREAKWATCH_SUBJECT", inert::line(&letter.message.subject, VARIABLE_MAX))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// What is missing or must not run needs a person; what the machine has no room for may pass.
    fn not_started(&self, error: &io::Error) -> Outcome {
        let reason = format!("{} cannot be run: {error}", self.settings.program);
        let passes = matches!(
            error.kind(),
            io::ErrorKind::WouldBlock
                | io::ErrorKind::OutOfMemory
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ExecutableFileBusy
                | io::ErrorKind::ResourceBusy
        );
        // Too many open files have no kind.
        let no_room = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| errno.raw_os_error());
        if passes || error.raw_os_error().is_some_and(|code| no_room.contains(&code)) {
            return self.discretion.deferred(&reason, None);
        }
        self.discretion.misconfigured(&reason)
    }

    fn classify(&self, end: &End) -> Outcome {
        let reason = || match last_line(&end.err) {
            Some(line) => format!("{}: {line}", named(end.status)),
            None => named(end.status),
        };
        match end.status.code() {
            Some(0) => self.discretion.accepted(&first_line(&end.out).unwrap_or_else(|| "ok".to_owned())),
            Some(DATA_ERROR) => self.discretion.refused(&reason()),
            Some(USAGE | NO_PERMISSION | CONFIG) => self.discretion.misconfigured(&reason()),
            Some(code) if SHELL_CANNOT.contains(&code) => self.discretion.misconfigured(&reason()),
            Some(_) | None => self.discretion.deferred(&reason(), None),
        }
    }
}

/// A program under way. Dropping it before its end kills its whole group.
struct Run {
    child: Child,
    /// The group, while its first process is not reaped: its number may belong to others afterwards.
    group: Option<Pid>,
}

impl Run {
    fn new(child: Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Self { child, group }
    }

    /// Gives it the event and reads what it prints, until it has ended.
    async fn talk(&mut self, event: &str) -> io::Result<End> {
        let (stdin, stdout, stderr) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = {
            let mut pipes = pin!(async {
                tokio::join!(
                    tell(stdin, event),
                    hear(stdout, Keep::First, &mut out),
                    hear(stderr, Keep::Last, &mut err)
                );
            });
            let mut quiet = false;
            let status = tokio::select! {
                status = self.child.wait() => status,
                () = &mut pipes => {
                    quiet = true;
                    self.child.wait().await
                }
            };
            self.group = None;
            if !quiet {
                // What is there is read; who still holds a pipe open is not waited for any longer.
                tokio::time::timeout(LAST_WORDS, pipes).await.unwrap_or_default();
            }
            status?
        };
        Ok(End { status, out, err })
    }

    /// Kills the group, and reaps its first process; the others are init's.
    async fn kill(mut self) {
        self.kill_group();
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "a program could not be killed");
        }
        self.group = None;
    }

    fn kill_group(&self) {
        if let Some(group) = self.group
            && let Err(error) = kill_process_group(group, Signal::KILL)
        {
            tracing::debug!(%error, "a group of processes is gone already");
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.kill_group();
    }
}

/// A program may read as little as it likes.
async fn tell(pipe: Option<impl AsyncWrite + Unpin>, event: &str) {
    let Some(mut pipe) = pipe else { return };
    let line = format!("{event}\n");
    if let Err(error) = pipe.write_all(line.as_bytes()).await {
        tracing::debug!(%error, "a program did not read its event to the end");
    }
}

/// Which end of what a program prints is kept when there is too much of it.
#[derive(Clone, Copy)]
enum Keep {
    First,
    Last,
}

/// Reads to the end and keeps what there is room for.
async fn hear(pipe: Option<impl AsyncRead + Unpin>, keep: Keep, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = [0; 4_096];
    while let Ok(read) = pipe.read(&mut chunk).await {
        if read == 0 {
            break;
        }
        kept.extend(chunk.iter().take(read));
        match keep {
            Keep::First => kept.truncate(OUTPUT_MAX),
            Keep::Last => drop(kept.drain(..kept.len().saturating_sub(OUTPUT_MAX))),
        }
    }
}

/// `exit status 3`, `killed by signal 9`.
fn named(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

fn first_line(bytes: &[u8]) -> Option<String> {
    line_of(String::from_utf8_lossy(bytes).lines())
}

fn last_line(bytes: &[u8]) -> Option<String> {
    line_of(String::from_utf8_lossy(bytes).lines().rev())
}

fn line_of<'a>(mut lines: impl Iterator<Item = &'a str>) -> Option<String> {
    lines.find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}
