//! The commands on a real ledger and against real receivers, seen from outside.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use breakwatch::demo::inbox::hook::Answer;
use breakwatch::demo::inbox::mail::MailFault;
use serde_json::Value;

use crate::support::peers::{Inboxes, LEVELS, assert_signed, data, feed};
use crate::support::tape::{Tape, print};
use crate::support::{Home, Running, until};

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
const COMMANDS: [&str; 15] = [
    "",
    "run",
    "demo",
    "check",
    "replay",
    "import",
    "level",
    "explain",
    "chart",
    "events",
    "deliveries",
    "resend",
    "test-alert",
    "completions",
    "man",
];

/// A daemon that has told one break, of 2450, to both receivers.
struct Told {
    inboxes: Inboxes,
    home: Home,
    daemon: Running,
    _tape: Tape,
}

async fn told() -> Told {
    let prices = ["2449.6", "2449.7", "2449.8", "2450.0"];
    let script = prices.iter().zip(1..).map(|(price, n): (_, i64)| print(price, START_MS + n, n));
    let tape = Tape::start(vec![script.collect()], Duration::from_millis(1)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&tape.url())));
    let daemon = home.start("run", &["run", "--rehearse", "2024-11-25T13:56:00Z"]);
    inboxes.told("level.broken", "2450").await;
    let told = Told { inboxes, home, daemon, _tape: tape };
    until("both deliveries are settled", || {
        let rows = told.home.run(&["deliveries", "--state", "delivered", "--json"]).expect(0).json();
        (rows.len() >= 2).then_some(())
    })
    .await;
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_is_printed_in_every_form_while_the_daemon_runs() {
    let Told { home, inboxes: _inboxes, mut daemon, _tape } = told().await;
    let table = home.run(&["events"]).expect(0).out;
    assert!(table.lines().next().unwrap().starts_with("time"), "{table}");
    assert!(table.lines().any(|line| line.contains("level.broken") && line.contains("2450.0")), "{table}");

    let events = home.run(&["events", "--json", "--level", "2450"]).expect(0).json();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((&events[0]["kind"], &events[0]["price"]), (&"level.broken".into(), &"2450.0".into()));
    let since = home.run(&["events", "--json", "--since", "2030-01-01T00:00:00Z"]).expect(0);
    assert_eq!(since.out, "");

    let csv = home.run(&["events", "--format", "csv"]).expect(0).out;
    assert!(csv.starts_with("time,kind,level,contract,price,threshold,reason,id\n"), "{csv}");
    assert!(csv.contains(",level.broken,2450,RTYZ4,2450.0,2450.0,cross,"), "{csv}");

    let id = events[0]["id"].as_str().unwrap();
    let story = home.run(&["events", "show", id]).expect(0).out;
    for words in
        ["level.broken", id, "2,450.0", "exchange", "committed", "-> mail to desk@example.com: delivered"]
    {
        assert!(story.contains(words), "{words} in {story}");
    }
    assert!(story.contains("-> ops: delivered") && story.contains("accepted ("), "{story}");
    let thread: Value =
        serde_json::from_str(&home.run(&["events", "show", id, "--json"]).expect(0).out).unwrap();
    assert_eq!(thread["events"][0]["deliveries"].as_array().map(Vec::len), Some(2), "{thread}");
    let ran = home.run(&["events", "show", "no-such-thing"]).expect(1);
    assert!(ran.err.contains("no-such-thing"), "{}", ran.err);
    assert!(daemon.is_alive(), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_is_explained_while_the_daemon_runs() {
    let Told { home, inboxes: _inboxes, mut daemon, _tape } = told().await;
    let said = home.run(&["explain", "2450", "--json"]).expect(0).json();
    let level = &said[0]["now"][0];
    assert_eq!((&level["state"], &level["threshold"]), (&"broken".into(), &"2450.0".into()), "{level}");
    assert!(level["missing"][0].as_str().unwrap().starts_with("price back to"), "{level}");
    let said = home.run(&["explain", "2450", "--at", "2024-11-25T13:56:30Z"]).expect(0).out;
    assert!(said.contains("broken") && said.contains("level.broken at 2,450.0 (cross)"), "{said}");
    let said = home.run(&["explain", "2450", "--at", "2024-11-25T13:00:00Z"]).expect(0).out;
    assert!(said.contains("not recorded") && said.contains("level.broken"), "{said}");
    assert!(daemon.is_alive(), "{}", daemon.log());
}

#[test]
fn a_check_names_rules_that_can_never_fire_and_what_would_be_right() {
    let level = |name: &str, more: &str| {
        format!("[[level]]\nname = \"{name}\"\ninstrument = \"RTY\"\nside = \"resistance\"\n{more}\n")
    };
    let config = [
        level("plain", "price = \"2500\""),
        level("night", "price = \"2510\"\nsessions = \"rth\"\nbetween = [\"20:00\", \"21:00\"]"),
        level("day", "price = \"2520\"\nsessions = \"rth\"\nbetween = [\"09:00\", \"10:00\"]"),
        level("typo", "price = \"25300\""),
    ];
    let ran = Home::new(&config.concat()).run(&["check", "--json"]).expect(0).json();
    let warnings: Vec<&str> =
        ran[0]["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let about = |name: &str| warnings.iter().filter(|w| w.contains(&format!("level \"{name}\":"))).count();
    assert_eq!((about("plain"), about("night"), about("day"), about("typo")), (0, 1, 0, 1), "{warnings:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_knows_the_last_price_of_the_database() {
    let Told { home, daemon, .. } = told().await;
    daemon.kill();
    let config = std::fs::read_to_string(home.path("breakwatch.toml")).unwrap();
    let low = "\n[[level]]\nname = \"low\"\ninstrument = \"RTY\"\nside = \"resistance\"\nprice = \"2400\"\n";
    home.write("breakwatch.toml", &format!("{config}{low}"));
    let said = home.run(&["check"]).expect(0).out;
    assert!(said.contains("level \"low\": a resistance at or below the last price 2,450.0"), "{said}");
    assert!(said.contains("is side = \"support\" meant?"), "{said}");
}

#[test]
fn without_a_database_a_level_is_explained_from_the_configuration() {
    let home = Home::new(LEVELS);
    let said = home.run(&["explain", "2450"]).expect(0).out;
    assert!(said.contains("waits for its first price") && said.contains("there is no database"), "{said}");
    let ran = home.run(&["explain", "24500"]).expect(64);
    assert!(ran.err.contains("there is no level \"24500\"") && ran.err.contains("2450"), "{}", ran.err);
    assert!(!home.path("breakwatch.db").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_prints_what_happens_and_ends_with_ctrl_c() {
    let Told { home, daemon, inboxes: _inboxes, .. } = told().await;
    let mut follow = home.start("follow", &["events", "--follow", "--json"]);
    until("the break is printed", || follow.out().contains("level.broken").then_some(())).await;
    let before = follow.out().lines().count();
    daemon.kill();
    // The next run breaks another level.
    let config = std::fs::read_to_string(home.path("breakwatch.toml")).unwrap();
    let script = vec![vec![
        print("2449.0", START_MS + 60_000, 10),
        print("2475.0", START_MS + 90_000, 11),
        print("2475.0", START_MS + 90_001, 12),
    ]];
    let tape = Tape::start(script, Duration::from_millis(1)).await;
    let url = config.lines().find(|line| line.starts_with("url = \"ws://")).unwrap();
    home.write("breakwatch.toml", &config.replace(url, &format!("url = \"{}\"", tape.url())));
    let _second = home.start("second", &["run", "--rehearse", "2024-11-25T13:57:00Z"]);
    until("the next break is printed", || {
        let out = follow.out();
        out.lines()
            .skip(before)
            .find(|line| line.contains("level.broken") && line.contains("\"2475\""))
            .map(drop)
    })
    .await;
    follow.signal("INT");
    assert_eq!(follow.ended().await, Some(0), "{}", follow.log());
    for line in follow.out().lines() {
        serde_json::from_str::<Value>(line).expect(line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_listed_and_can_be_sent_again_under_the_same_id() {
    let Told { home, inboxes, mut daemon, _tape } = told().await;
    let rows = home.run(&["deliveries", "--channel", "ops", "--json"]).expect(0).json();
    let row = rows.iter().find(|row| row["event"].as_str().unwrap().ends_with(".broken")).unwrap();
    let text = home.run(&["deliveries"]).expect(0).out;
    assert!(text.contains("desk@example.com") && text.contains("accepted ("), "{text}");
    assert_eq!(home.run(&["deliveries", "--state", "dead"]).expect(0).out.lines().count(), 1);

    let before = inboxes.hooks.received().len();
    let ran = home.run(&["resend", &row["id"].to_string(), "--json"]).expect(0).json();
    assert_eq!((&ran[0]["was"], &ran[0]["state"]), (&"delivered".into(), &"due".into()));
    let hooks = until("it is sent again", || {
        let hooks = inboxes.hooks.received();
        (hooks.len() > before).then_some(hooks)
    })
    .await;
    let again = hooks.last().unwrap();
    assert_eq!(Value::from(again.headers["webhook-id"].as_str()), row["event"]);
    assert_eq!(data(again)["level"], "2450");
    assert!(daemon.is_alive(), "{}", daemon.log());
    let ran = home.run(&["resend", "987654"]).expect(74);
    assert!(ran.err.contains("987654"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_database_has_one_daemon_and_the_second_is_told_which() {
    let Told { home, inboxes: _inboxes, mut daemon, _tape } = told().await;
    let ran = home.run(&["run"]).expect(74);
    assert!(ran.err.contains(&daemon.pid().to_string()) && ran.err.contains("in use"), "{}", ran.err);
    assert!(daemon.is_alive());
    daemon.signal("INT");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused() {
    let Told { home, daemon, .. } = told().await;
    daemon.kill();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(home.path("breakwatch.db"));
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
                 values (9000, 'of the future', 1, x'00', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    pool.close().await;
    for words in [["run"].as_slice(), &["events"], &["deliveries"], &["resend", "1"]] {
        let ran = home.run(words).expect(74);
        assert!(ran.err.contains("newer version") && ran.err.contains("9000"), "{words:?}: {}", ran.err);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_alert_goes_through_the_real_channels_and_says_when_it_did_not() {
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(LEVELS);
    let ran = home.run(&["test-alert"]).expect(0);
    assert!(ran.out.contains("mail to desk@example.com: accepted (") && ran.out.contains("ops: accepted ("));
    let (mails, hooks) = (inboxes.mail.received(), inboxes.hooks.received());
    assert_eq!((mails.len(), hooks.len()), (1, 1));
    assert!(mails[0].header("Subject").unwrap().contains("TEST"), "{:?}", mails[0].header("Subject"));
    assert_signed(&hooks[0]);
    assert_eq!(serde_json::from_str::<Value>(&hooks[0].body).unwrap()["test"], true);

    inboxes.hooks.set_answers(vec![Answer::new(400, "no thanks")]);
    let ran = home.run(&["test-alert", "ops", "--json"]).expect(1).json();
    assert!(ran[0].to_string().contains("no thanks") && ran[0]["channel"] == "ops", "{}", ran[0]);
    inboxes.mail.set_faults(vec![MailFault::RefuseRecipient("desk@example.com".into())]);
    let ran = home.run(&["test-alert", "mail"]).expect(1);
    assert!(ran.out.contains("no such user here"), "{}", ran.out);
    home.write("password", "wrong");
    let ran = home.run(&["test-alert", "mail"]).expect(1);
    assert!(ran.out.contains("misconfigured") && ran.out.contains("authentication failed"), "{}", ran.out);
    let ran = home.run(&["test-alert", "pager"]).expect(64);
    assert!(ran.err.contains("pager") && ran.err.contains("mail, ops"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_tells_in_words_of_ones_own() {
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(LEVELS);
    home.write("page.html", "<h1>own {{ what }}</h1>");
    let mail =
        "kind = \"email\"\ntemplate = { subject = \"own {{ what }}\", html = { file = \"page.html\" } }\n";
    let hook = "kind = \"webhook\"\ntemplate = { body = '{ \"own\": \"{{ what }}\", \"test\": {{ test }}, \"kind\": {{ kind }} }' }\n";
    let config = std::fs::read_to_string(home.path("breakwatch.toml")).unwrap();
    let own = config.replace("kind = \"email\"\n", mail).replace("kind = \"webhook\"\n", hook);
    home.write("breakwatch.toml", &own);
    home.run(&["test-alert"]).expect(0);
    let (mails, hooks) = (inboxes.mail.received(), inboxes.hooks.received());
    assert_eq!(mails[0].header("Subject").unwrap(), "TEST: own alerts on mail arrive");
    assert_signed(&hooks[0]);
    let body = serde_json::from_str::<Value>(&hooks[0].body).unwrap();
    let expected =
        serde_json::json!({ "own": "alerts on ops arrive", "test": true, "kind": "channel.recovered" });
    assert_eq!(body, expected);

    home.write("page.html", "<p>\n{% for i in range(99999) %}{{ what }}{% endfor %}</p>");
    let ran = home.run(&["check"]).expect(78);
    assert!(
        ran.err.contains("channel \"mail\": template.html: ") && ran.err.contains("does not come to an end"),
        "{}",
        ran.err
    );
}

#[test]
fn every_command_has_help_with_an_example_and_refuses_what_it_does_not_know() {
    let home = Home::new("");
    for command in COMMANDS {
        let words: Vec<&str> = command.split_whitespace().collect();
        let help = home.run(&[&words[..], &["--help"]].concat()).expect(0).out;
        assert!(help.contains("Example: breakwatch"), "{command}: {help}");
        home.run(&[&words[..], &["--no-such-option"]].concat()).expect(64);
    }
    assert!(home.run(&["events", "show", "--help"]).expect(0).out.contains("Example: breakwatch"));
    for words in [
        ["run", "--rehearse", "noon"].as_slice(),
        &["demo", "--for", "soon"],
        &["events", "--since", "yesterday"],
        &["deliveries", "--state", "lost"],
        &["resend", "first"],
        &["frobnicate"],
        &[],
    ] {
        home.run(words).expect(64);
    }
    assert!(home.run(&["--version"]).expect(0).out.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_and_manual_are_printed() {
    let home = Home::new("");
    assert!(home.run(&["completions", "bash"]).expect(0).out.contains("complete -F _breakwatch"));
    let man = home.run(&["man"]).expect(0).out;
    assert!(man.contains(".TH breakwatch 1") && man.contains("test"), "{man}");
    home.run(&["completions", "tcl"]).expect(64);
}

#[test]
fn a_history_that_is_not_there_is_an_error_of_its_own() {
    let home = Home::new("");
    let ran = home.run(&["events"]).expect(74);
    assert!(ran.err.contains("breakwatch.db"), "{}", ran.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_leaves_is_no_error() {
    let home = Home::new(LEVELS);
    for words in [["man"].as_slice(), &["completions", "zsh"], &["check"]] {
        let mut command = home.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::with_capacity(16, child.stdout.take().unwrap());
        out.read_line(&mut String::new()).unwrap();
        drop(out);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_its_inboxes_and_keeps_its_ledger_when_asked() {
    let home = Home::new("");
    let mut demo = home.start("demo", &["demo", "--for", "5s", "--speed", "300", "--keep", "kept"]);
    assert_eq!(demo.ended().await, Some(0), "{}", demo.log());
    let out = demo.out();
    for words in
        ["The inbox of the mail server", "The inbox of the Slack-shaped webhook", "kept/breakwatch.db"]
    {
        assert!(out.contains(words), "{words} in {out}");
    }
    assert!(out.contains("generated") && out.contains("broke"), "{out}");
    home.write("breakwatch.toml", "[storage]\npath = \"kept/breakwatch.db\"\n");
    assert!(home.run(&["events"]).expect(0).out.contains("level.broken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_the_demo_in_order() {
    let home = Home::new("");
    let mut demo = home.start("demo", &["demo"]);
    until("the demo has begun", || demo.out().contains("CT  RTY").then_some(())).await;
    demo.signal("INT");
    assert_eq!(demo.ended().await, Some(0), "{}", demo.log());
    assert!(demo.out().contains("The inbox of the mail server"), "{}", demo.out());
    let left: Vec<_> =
        std::fs::read_dir(home.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("breakwatch-demo-")), "{left:?}");
}
