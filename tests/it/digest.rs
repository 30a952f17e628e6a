//! One print that crosses very many levels, through the real daemon: one message each, and every break in the
//! ledger.

use std::time::Duration;

use crate::support::peers::{Inboxes, data, feed, message_id};
use crate::support::tape::{Tape, print};
use crate::support::until;

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
const LEVELS: usize = 3_000;

/// Fifty levels at each tick from 2,450.0 to 2,455.9.
fn table() -> String {
    let rows = (0..LEVELS).map(|n| format!("level {n},RTY,245{}.{}\n", n / 500, n / 50 % 10));
    format!("name,instrument,price\n{}", rows.collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_print_that_crosses_three_thousand_levels_is_one_message_and_three_thousand_events() {
    let mut script: Vec<String> = (1..=5).map(|n| print("2449.6", START_MS + 200 * n, n)).collect();
    // So far away, the second print confirms the first one.
    script.extend((6..=7).map(|n| print("2456.0", START_MS + 200 * n, n)));
    let tape = Tape::start(vec![script], Duration::from_millis(5)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&feed(&tape.url()));
    home.write("levels.csv", &table());
    let file = home.path("breakwatch.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    home.write("breakwatch.toml", &format!("include = [\"levels.csv\"]\n{config}"));

    let mut daemon = home.start("run", &["run", "--rehearse", "2024-11-25T13:56:00Z@1"]);
    daemon.logs(&["more events at once", "count=2900"]).await;
    let hook = until("a webhook with a digest", || {
        inboxes.hooks.received().into_iter().find(|hook| data(hook)["kind"] == "digest")
    })
    .await;
    let mail = until("a mail with a digest", || {
        let mails = inboxes.mail.received();
        mails.into_iter().find(|mail| message_id(mail).starts_with(&hook.headers["webhook-id"]))
    })
    .await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let digest = data(&hook);
    assert_eq!((&digest["instrument"], &digest["price"]), (&"RTY".into(), &"2456.0".into()));
    let numbers = &digest["numbers"];
    assert_eq!((&numbers["broken"], &numbers["count"]), (&LEVELS.into(), &LEVELS.into()), "{digest}");
    assert_eq!((&numbers["lowest"], &numbers["highest"]), (&"2450.0".into(), &"2455.9".into()));
    let subject = mail.header("Subject").unwrap();
    assert!(subject.contains("RTY: 3,000 levels broke up between 2,450.0 and 2,455.9"), "{subject}");

    // Nothing of a level was told by itself.
    let told = inboxes.hooks.received();
    let told: Vec<_> = told.iter().map(data).filter(|event| !event["instrument"].is_null()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let mails =
        inboxes.mail.received().into_iter().filter(|mail| mail.header("Subject").unwrap().contains("RTY"));
    assert_eq!(mails.count(), 1);

    let events = home.run(&["events", "--json"]).expect(0).json();
    let broken = events.iter().filter(|event| event["kind"] == "level.broken");
    assert_eq!(broken.count(), LEVELS, "every break is in the ledger");
    assert!(events.iter().any(|event| event["id"] == digest["numbers"]["last_event"]));
    let told = home.run(&["events", "show", digest["id"].as_str().unwrap()]).expect(0).out;
    assert!(told.contains("-> ops: delivered"), "{told}");
}
