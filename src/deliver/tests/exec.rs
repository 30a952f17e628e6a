//! Programs: real ones, mostly scripts of the shell.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;

struct Program {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl Program {
    fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, path }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn run(&self, post: &Post, timeout: Duration) -> Outcome {
        // A script that was just written can be busy while another test forks.
        loop {
            let channel = open(&self.path, &[&self.dir.path().display().to_string()], timeout);
            let outcome = channel.attempt(&post.letter("")).await;
            if !said(&outcome).1.contains("Text file busy") {
                return outcome;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn open(program: &Path, arguments: &[&str], timeout: Duration) -> Channel {
    let (program, arguments) =
        (program.display().to_string(), arguments.iter().map(|&word| word.to_owned()).collect());
    Channel::open(Settings::Exec(ExecSettings { program, arguments, timeout })).unwrap()
}

/// Whether a process of this number is there and no zombie.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn a_program_reads_the_event_and_its_first_line_is_the_receipt() {
    let program =
        Program::new("cat > $1/stdin; env > $1/env; pwd > $1/pwd; echo; echo ' queued as 42'; echo more");
    let post = broken();
    assert_eq!(program.run(&post, DEADLINE).await, Outcome::Accepted { receipt: "queued as 42".into() });
    let read = |name: &str| std::fs::read_to_string(program.file(name)).unwrap();
    assert_eq!(read("stdin"), format!("{}\n", post.message.webhook));
    assert_eq!((read("stdin").lines().count(), read("pwd").trim()), (1, "/"));
    let env = read("env");
    let of = |name: &str| env.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    assert_eq!(of("BREAKWATCH_ID"), Some(post.event.id.as_str()));
    assert_eq!(of("BREAKWATCH_KIND"), Some("level.broken"));
    assert_eq!(of("BREAKWATCH_SEVERITY"), Some("high"));
    assert_eq!(of("BREAKWATCH_SUBJECT"), Some(post.message.subject.as_str()));
    assert_eq!(of("PATH").map(str::to_owned), std::env::var("PATH").ok());
    // The shell adds PWD, SHLVL, OLDPWD and _ by itself.
    let own = ["BREAKWATCH_", "PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_="];
    assert!(env.lines().all(|line| own.iter().any(|start| line.starts_with(start))), "{env}");
    let channel = open(&program.path, &[], DEADLINE);
    assert_eq!((channel.kind(), channel.targets()), ("exec", vec![String::new()]));
}

#[tokio::test]
async fn each_exit_status_has_its_class() {
    let cases = [
        ("exit 0", "accepted", "ok"),
        ("echo no >&2; echo such phone >&2; exit 65", "refused", "exit status 65: such phone"),
        ("exit 64", "misconfigured", "exit status 64"),
        ("echo no permission >&2; exit 77", "misconfigured", "exit status 77: no permission"),
        ("echo no key >&2; exit 78", "misconfigured", "exit status 78: no key"),
        ("no-such-program-anywhere", "misconfigured", "exit status 127: "),
        ("exit 126", "misconfigured", "exit status 126"),
        ("exit 75", "deferred", "exit status 75"),
        ("echo busy >&2; echo >&2; exit 1", "deferred", "exit status 1: busy"),
        ("exit 255", "deferred", "exit status 255"),
        ("kill -9 $$", "deferred", "killed by signal 9"),
        ("kill -TERM $$", "deferred", "killed by signal 15"),
    ];
    for (script, class, words) in cases {
        assert_outcome(&Program::new(script).run(&broken(), DEADLINE).await, class, words);
    }
}

#[tokio::test]
async fn what_cannot_be_started_needs_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "x").unwrap();
    let script = Program::new("exit 0");
    std::fs::write(&script.path, "#!/no/such/interpreter\n").unwrap();
    for (path, words) in [
        (dir.path().join("none"), "none cannot be run: No such file"),
        (plain, "plain cannot be run: Permission denied"),
        (dir.path().to_owned(), "cannot be run: Permission denied"),
        (script.path.clone(), "notify cannot be run: No such file"),
    ] {
        let outcome = open(&path, &[], DEADLINE).attempt(&broken().letter("")).await;
        assert_outcome(&outcome, "misconfigured", words);
    }
}

#[tokio::test]
async fn a_program_that_reads_nothing_does_not_fail_by_that() {
    let mut post = broken();
    // Much more than a pipe holds.
    post.message.webhook = "x".repeat(1 << 20);
    for script in ["exec 0<&-; echo done", "echo done", "read line < /dev/null; echo done"] {
        assert_outcome(&Program::new(script).run(&post, DEADLINE).await, "accepted", "done");
    }
}

#[tokio::test]
async fn a_flood_of_output_is_read_to_a_limit_and_does_not_stop_the_program() {
    let flood = "yes '' | head -c 300000; yes 'error' | head -c 300000 >&2; echo $1";
    assert_outcome(&Program::new(flood).run(&broken(), DEADLINE).await, "accepted", "ok");
    let last = "yes 'error' | head -c 300000 >&2; echo 'the last word' >&2; exit 1";
    assert_outcome(&Program::new(last).run(&broken(), DEADLINE).await, "deferred", "status 1: the last word");
    let long = "head -c 100000 /dev/zero | tr '\\0' 'x'; exit 0";
    let outcome = Program::new(long).run(&broken(), DEADLINE).await;
    assert_outcome(&outcome, "accepted", "xxx");
    assert!(said(&outcome).1.len() > 1_000, "{outcome:?}");
    let strange = "printf '\\377\\033[31mred\\r\\nBcc: x\\n'";
    assert_outcome(&Program::new(strange).run(&broken(), DEADLINE).await, "accepted", "[31mred");
}

#[tokio::test]
async fn a_program_that_does_not_end_is_killed_with_everything_it_started_and_reaped() {
    let script =
        "sleep 600 & echo $! > $1/child; (sleep 600; true) & echo $$ > $1/own; mv $1/own $1/pid; wait";
    let program = Program::new(script);
    let post = broken();
    let short = Duration::from_millis(700);
    assert_outcome(&program.run(&post, short).await, "deferred", "did not end within 700ms and was killed");
    let read = |name: &str| std::fs::read_to_string(program.file(name)).unwrap();
    let (own, child) = (read("pid"), read("child"));
    assert!(!Path::new(&format!("/proc/{}", own.trim())).exists(), "not even a zombie is left");
    until("its child is gone", || !is_alive(&child)).await;
}

#[tokio::test]
async fn a_child_that_keeps_the_pipes_open_is_not_waited_for() {
    let program = Program::new("sleep 600 & echo $! > $1/child; echo 'sent it'");
    assert_outcome(&program.run(&broken(), DEADLINE).await, "accepted", "sent it");
    let child = std::fs::read_to_string(program.file("child")).unwrap();
    assert!(is_alive(&child), "after a success it may go on");
    let pid = rustix::process::Pid::from_raw(child.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_nothing_behind() {
    let program = Program::new("sleep 600 & echo $! > $1/own; mv $1/own $1/child; wait");
    let post = broken();
    let child = program.file("child");
    {
        let attempt = program.run(&post, DEADLINE);
        tokio::select! {
            outcome = attempt => panic!("{outcome:?}"),
            () = until("it runs", || child.exists()) => {}
        }
    }
    let child = std::fs::read_to_string(child).unwrap();
    until("its child is gone", || !is_alive(&child)).await;
}
