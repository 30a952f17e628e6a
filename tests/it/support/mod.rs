//! What the tests of the whole program share: a home for one run, the program itself, and its peers.
//!
//! Nothing here judges; it only sets the stage and waits, always with a deadline.

pub(crate) mod echo;
pub(crate) mod peers;
pub(crate) mod sim;
pub(crate) mod tape;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use breakwatch::daemon::clock::Clock;
use tempfile::TempDir;

/// Long enough for a busy machine; nothing waits for it to pass.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// One of the recorded days; says so when they are not there.
pub(crate) fn shared(test: &str, file: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(file);
    let there = path.exists();
    if !there {
        println!("shared data absent: {test} checks nothing");
    }
    there.then_some(path)
}

/// The text of a recorded file, unpacked when it ends in `.zst`.
pub(crate) fn unpacked(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_none_or(|end| end != "zst") {
        return String::from_utf8(bytes).unwrap();
    }
    let mut text = String::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()).unwrap();
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    text
}

/// Waits until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::real();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.monotonic() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Fails unless the command ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// What it printed, one JSON value per line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }
}

/// A directory of its own with a configuration, gone when it is dropped.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// With this configuration, whose ledger lies beside it.
    pub(crate) fn new(config: &str) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        home.write("breakwatch.toml", &format!("[storage]\npath = \"breakwatch.db\"\n{config}"));
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The program in this directory, with nothing of the environment around.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_breakwatch"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.args(args).current_dir(self.dir.path()).env_clear().env("PATH", path);
        command.env("TMPDIR", self.dir.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command(args));
        let output = command.timeout(DEADLINE).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Starts a command that goes on; its output is kept in files named after `name`.
    pub(crate) fn start(&self, name: &str, args: &[&str]) -> Running {
        self.spawn(name, self.command(args))
    }

    /// The same for a command that was prepared.
    pub(crate) fn spawn(&self, name: &str, mut command: Command) -> Running {
        let (out, log) = (self.path(&format!("{name}.out")), self.path(&format!("{name}.log")));
        command.stdin(Stdio::null());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&log).unwrap());
        Running { child: command.spawn().unwrap(), out, log }
    }
}

/// A running command; it is killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until its log has all of `words` in one line, and returns that line.
    pub(crate) async fn logs(&mut self, words: &[&str]) -> String {
        let what = format!("a line with {words:?} in the log");
        until(&what, || {
            let log = self.log();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            let ended = self.child.try_wait().unwrap();
            assert!(line.is_some() || ended.is_none(), "it ended ({ended:?}) without {what}:\n{log}");
            line.map(str::to_owned)
        })
        .await
    }

    /// Sends a signal: `TERM`, `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Ends it without any warning, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The exit code, once it has ended by itself; `None` when a signal ended it.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        until("the program ends", || self.child.try_wait().unwrap()).await.code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
