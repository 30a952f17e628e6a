//! Levels that live in the database: added, listed and removed beside the running daemon.

use std::time::Duration;

use serde_json::Value;

use crate::support::peers::{Inboxes, feed};
use crate::support::tape::{Tape, print};
use crate::support::{Home, until};

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
const REHEARSE: &str = "2024-11-25T13:56:00Z@1";
const FILE: &str = r#"
[[level]]
name = "file"
instrument = "RTY"
price = 2450
"#;
const TABLE: &str = "name,instrument,price,side,note\nadded,RTY,2450,,by hand\nother,RTY,2442.74,both,\n";

/// Prices that break 2,450 and fall back, over and over.
fn swings() -> Vec<String> {
    let price = |n: i64| if n / 10 % 2 == 0 { "2449.0" } else { "2450.0" };
    (0..3_000).map(|n| print(price(n), START_MS + 200 * n, n + 1)).collect()
}

fn breaks(home: &Home, level: &str) -> usize {
    let events = home.run(&["events", "--json", "--level", level]).expect(0).json();
    events.iter().filter(|event| event["kind"] == "level.broken").count()
}

async fn more_breaks(home: &Home, level: &str, than: usize) {
    until(&format!("more than {than} breaks of {level}"), || (breaks(home, level) > than).then_some(()))
        .await;
}

fn listed(home: &Home) -> Vec<Value> {
    home.run(&["level", "list", "--json"]).expect(0).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_daemon_watches_what_is_added_and_forgets_what_is_removed() {
    let tape = Tape::start(vec![swings()], Duration::from_millis(20)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{FILE}", feed(&tape.url())));
    home.write("more.csv", TABLE);
    let mut daemon = home.start("first", &["run", "--rehearse", REHEARSE]);
    daemon.logs(&["subscribed"]).await;
    let added = home.run(&["level", "add", "--from", "more.csv", "--json"]).expect(0).json();
    assert_eq!(added[0]["added"], 2);
    inboxes.told("level.broken", "added").await;

    let rows = listed(&home);
    let names: Vec<_> =
        rows.iter().map(|row| (row["name"].as_str().unwrap(), row["from"].as_str().unwrap())).collect();
    assert_eq!(
        names,
        [("file", "file"), ("added", "database"), ("other", "database"), ("other", "database")]
    );
    assert_eq!((&rows[1]["price"], &rows[1]["side"]), (&"2450.0".into(), &"resistance".into()));
    assert!(rows[1]["state"].is_string(), "{}", rows[1]);
    assert_eq!((&rows[2]["price"], &rows[3]["side"]), (&"2442.74".into(), &"support".into()));
    let again = home.run(&["level", "add", "--from", "more.csv"]).expect(64);
    assert!(again.err.contains("\"added\", \"other\""), "{}", again.err);

    // A restart reads them from the database.
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
    let before = breaks(&home, "added");
    let mut daemon = home.start("second", &["run", "--rehearse", REHEARSE]);
    more_breaks(&home, "added", before).await;

    home.run(&["level", "remove", "added"]).expect(0);
    daemon.logs(&["levels changed", "removed=1"]).await;
    let (before, of_file) = (breaks(&home, "added"), breaks(&home, "file"));
    more_breaks(&home, "file", of_file + 1).await;
    assert_eq!(breaks(&home, "added"), before, "a level that was removed breaks no more");
    assert!(listed(&home).iter().all(|row| row["name"] != "added"));
    home.run(&["level", "remove", "added"]).expect(1);
    let refused = home.run(&["level", "remove", "file"]).expect(64);
    assert!(refused.err.contains("configuration file"), "{}", refused.err);
    assert!(daemon.is_alive());
}

#[test]
fn a_level_of_the_file_cannot_be_added_and_a_wrong_table_changes_nothing() {
    let home = Home::new(FILE);
    home.write("same.csv", "name,instrument,price\nfile,RTY,2500\n");
    let refused = home.run(&["level", "add", "--from", "same.csv"]).expect(64);
    assert!(refused.err.contains("\"file\""), "{}", refused.err);
    home.write("wrong.csv", "name,instrument,price\na,RTY,2500\nb,RTY,cheap\n");
    let refused = home.run(&["level", "add", "--from", "wrong.csv"]).expect(78);
    assert!(refused.err.contains("wrong.csv:3"), "{}", refused.err);
    home.run(&["level", "add", "--from", "absent.csv"]).expect(74);
    assert!(!home.path("breakwatch.db").exists());
    assert_eq!(listed(&home).len(), 1);
    // Without a daemon, too: the next one finds it.
    home.write("right.csv", "name,instrument,price\na,RTY,2500\n");
    home.run(&["level", "add", "--from", "right.csv"]).expect(0);
    let table = home.run(&["level", "list"]).expect(0).out;
    assert!(table.contains("2,500.0") && table.contains("not seen yet"), "{table}");
}
