//! Levels that follow from history, through the daemon: the past comes from the ledger, before and after a restart.

use std::time::Duration;

use crate::support::peers::{Inboxes, feed};
use crate::support::tape::{Tape, print};
use crate::support::until;

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
const REHEARSE: &str = "2024-11-25T13:56:00Z@1";
const LEVELS: &str = r#"
[[level]]
name = "yesterday"
instrument = "RTY"
source = { kind = "prior_day", of = "high" }
[[level]]
name = "round"
instrument = "RTY"
source = { kind = "round", step = 50 }
[[level]]
name = "no history"
instrument = "RTY"
source = { kind = "sma", n = 900, bar = "day" }
"#;
const DAYS: &str = "Date,Open,High,Low,Close,Volume\n\
                    2024-11-21,2370,2390,2365,2380,9\n2024-11-22,2380,2449.5,2378,2410,9\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_from_history_and_round_numbers_break_before_and_after_a_restart() {
    let price = |n: i64| if n / 10 % 2 == 0 { "2448.5" } else { "2450.0" };
    let swings = (0..3_000).map(|n| print(price(n), START_MS + 200 * n, n + 1)).collect();
    let tape = Tape::start(vec![swings], Duration::from_millis(20)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&tape.url())));
    home.write("days.csv", DAYS);
    home.run(&["import", "days.csv", "--instrument", "RTY", "--daily"]).expect(0);
    let breaks = |level: &str| {
        let events = home.run(&["events", "--json", "--level", level]).expect(0).json();
        events.into_iter().filter(|event| event["kind"] == "level.broken").collect::<Vec<_>>()
    };
    let mut daemon = home.start("first", &["run", "--rehearse", REHEARSE]);
    for level in ["yesterday", "round 2450"] {
        inboxes.told("level.broken", level).await;
        // Not only before the past was told to the engine.
        until(&format!("{level} breaks again"), || (breaks(level).len() > 2).then_some(())).await;
    }
    let first = &breaks("yesterday")[0];
    assert_eq!((&first["level_price"], &first["threshold"]), (&"2449.5".into(), &"2449.5".into()));
    assert!(first["numbers"]["formula"].as_str().unwrap().starts_with("prior"), "{first}");
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let before = ["yesterday", "round 2450"].map(|level| (level, breaks(level).len()));
    let _daemon = home.start("second", &["run", "--rehearse", REHEARSE]);
    for (level, before) in before {
        until(&format!("{level} breaks after the restart"), || {
            (breaks(level).len() > before + 1).then_some(())
        })
        .await;
    }
    let said = home.run(&["check"]);
    assert!(said.out.contains("no history"), "{}", said.out);
    assert!(said.out.contains("breakwatch import"), "what has no history is named: {}", said.out);
}
