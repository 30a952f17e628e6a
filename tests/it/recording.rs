//! `breakwatch record` beside `breakwatch run` on one venue, and the tape replayed.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use breakwatch::time::Timestamp;
use serde_json::Value;

use crate::support::peers::{KEY, LEVELS, feed};
use crate::support::tape::{Tape, print};
use crate::support::{Home, until};

const FROM: &str = "2024-11-25T13:50:00Z";

/// What is the same whenever a process looked.
fn breaks(events: &[Value]) -> Vec<Value> {
    const SAME: [&str; 6] = ["id", "level", "price", "threshold", "reason", "occurred_at"];
    let broken = events.iter().filter(|event| event["kind"] == "level.broken");
    let mut breaks: Vec<Value> =
        broken.map(|event| SAME.iter().map(|key| event[*key].clone()).collect()).collect();
    breaks.sort_by_key(Value::to_string);
    breaks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tape_gives_the_breaks_that_the_live_run_recorded_and_holds_no_secret() {
    let from: Timestamp = FROM.parse().unwrap();
    let prices = ["2449.0", "2449.5", "2450.3", "2451", "2455", "2460.9", "2461.5"];
    let message = |(n, price): (i64, &&str)| print(price, from.as_millis() + n * 100, n);
    let mut script: Vec<String> = (1..).zip(&prices).map(message).collect();
    script.push(format!(r#"[{{"ev":"status","message":"your key is {KEY}"}}]"#));
    script.push("no JSON at all".to_owned());
    let venue = Tape::start(vec![script], Duration::from_millis(20)).await;
    let home = Home::new(&format!("{}{LEVELS}", feed(&venue.url())));
    home.write("key", KEY);

    let mut record = home.start("record", &["record", "--out", "tape.jsonl", "--rehearse", FROM]);
    let mut run = home.start("run", &["run", "--rehearse", FROM]);
    let live = until("two breaks in the ledger", || {
        let ran = home.run(&["events", "--json"]);
        let broken = if ran.code == Some(0) { breaks(&ran.json()) } else { Vec::new() };
        (broken.len() == 2).then_some(broken)
    })
    .await;
    let file = home.path("tape.jsonl");
    until("the whole script on the tape", || {
        std::fs::read_to_string(&file).ok().filter(|text| text.contains("no JSON at all"))
    })
    .await;
    record.signal("INT");
    assert_eq!(record.ended().await, Some(0), "{}", record.log());
    assert!(record.log().contains("with 7 prints"), "{}", record.log());
    run.signal("TERM");
    assert_eq!(run.ended().await, Some(0), "{}", run.log());

    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("your key is (secret)") && !text.contains(KEY), "{text}");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    home.run(&["record", "--out", "tape.jsonl", "--rehearse", FROM]).expect(74);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    // Neither the feed nor its secret is needed any more.
    home.write("breakwatch.toml", LEVELS);
    std::fs::remove_file(home.path("key")).unwrap();
    let replayed = home.run(&["replay", "tape.jsonl", "--json"]).expect(0);
    assert_eq!(breaks(&replayed.json()), live);
    let again = home.run(&["replay", "tape.jsonl", "--format", "jsonl", "--json"]).expect(0);
    assert_eq!(again.out, replayed.out);

    // A torn last line, as a killed process leaves it, costs itself only.
    let lines = text.lines().count();
    home.write("torn.jsonl", &format!("{text}{{\"at\":1,\"up"));
    let torn = home.run(&["replay", "torn.jsonl", "--json"]).expect(0);
    assert_eq!(torn.out, replayed.out);
    assert!(torn.err.contains(&format!("torn.jsonl:{}: left out", lines + 1)), "{}", torn.err);
    home.write("other.jsonl", &text.replacen("\"version\":1", "\"version\":9", 1));
    home.run(&["replay", "other.jsonl"]).expect(74);
}
