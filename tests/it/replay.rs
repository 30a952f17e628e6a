//! `breakwatch replay` on the day the futures broke their record, seen from outside.

use serde_json::Value;

use crate::support::peers::LEVELS;
use crate::support::{Home, shared};

const CSV: &str = "RTYZ4_1m_20241125_1330-1750Z.csv";
const NINJATRADER: &str = "RTYZ4_1m_20241125.ninjatrader.txt";

/// Whatever an event's JSON always has.
const KEYS: [&str; 18] = [
    "id",
    "thread",
    "kind",
    "severity",
    "level",
    "instrument",
    "contract",
    "side",
    "price",
    "threshold",
    "level_price",
    "level_space",
    "occurred_at",
    "detected_at",
    "reason",
    "late",
    "from_bars",
    "numbers",
];

/// A feed and channels whose secrets nobody can read: a replay needs none of them.
const OUT_OF_REACH: &str = r#"
[[feed]]
name = "venue"
kind = "json"
url = "wss://venue.invalid/${key}"
secrets = { key = { credential = "nobody-has-this" } }
instruments = ["RTY"]
subscribe = "${symbol}"
[feed.trade]
price = "/p"

[[channel]]
name = "slack"
kind = "slack"
url = { file = "/nonexistent/slack-webhook-url" }
"#;

fn home() -> Home {
    Home::new(&format!("{OUT_OF_REACH}{LEVELS}"))
}

fn first_break<'a>(events: &'a [Value], level: &str) -> Option<&'a Value> {
    events.iter().find(|event| event["kind"] == "level.broken" && event["level"] == level)
}

#[test]
fn the_day_of_the_record_breaks_four_levels_and_spares_the_fifth() {
    let Some(day) = shared("replay", CSV) else { return };
    let home = home();
    let ran = home.run(&["replay", day.to_str().unwrap(), "--instrument", "RTYZ4", "--json"]).expect(0);
    assert_eq!(ran.err, "");
    let events = ran.json();
    for (level, minute, price) in [
        ("2450", "2024-11-25T13:57:", "2450.0"),
        ("2460.8", "2024-11-25T15:21:", "2460.8"),
        ("2475", "2024-11-25T15:48:", "2475.0"),
        ("2477.1", "2024-11-25T15:59:", "2477.1"),
    ] {
        let event = first_break(&events, level).unwrap_or_else(|| panic!("{level} did not break"));
        assert!(event["occurred_at"].as_str().unwrap().starts_with(minute), "{event}");
        assert_eq!((&event["threshold"], &event["level_price"]), (&price.into(), &price.into()), "{event}");
        assert_eq!((&event["contract"], &event["from_bars"]), (&"RTYZ4".into(), &true.into()), "{event}");
    }
    assert!(events.iter().all(|event| event["level"] != "2500"), "2500 was not reached that day");
    for event in &events {
        let keys = event.as_object().unwrap();
        let missing: Vec<_> = KEYS.iter().filter(|key| !keys.contains_key(**key)).collect();
        assert!(missing.is_empty(), "{missing:?} in {event}");
    }
}

#[test]
fn both_formats_of_the_day_give_the_same_bytes() {
    let files = shared("replay", CSV).zip(shared("replay", NINJATRADER));
    let Some((csv, ninjatrader)) = files else { return };
    let home = home();
    let replay = |file: &std::path::Path, format: &[&str]| {
        let words = [&["replay", file.to_str().unwrap(), "--instrument", "RTYZ4", "--json"], format].concat();
        home.run(&words).expect(0).out
    };
    let out = replay(&csv, &[]);
    assert!(out.contains("level.broken"));
    assert_eq!(replay(&ninjatrader, &[]), out, "told from the content");
    assert_eq!(replay(&ninjatrader, &["--format", "ninjatrader"]), out, "when it is said");
    assert_eq!(replay(&csv, &["--format", "csv", "--bar", "1m"]), out);
}

#[test]
fn the_text_names_every_broken_level() {
    let Some(day) = shared("replay", CSV) else { return };
    let out = home().run(&["replay", day.to_str().unwrap()]).expect(0).out;
    for level in ["2,450.0", "2,460.8", "2,475.0", "2,477.1"] {
        assert!(out.lines().any(|line| line.contains("level.broken") && line.contains(level)), "{out}");
    }
    assert!(out.contains("260 bars") && !out.contains("2,500.0") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn mistakes_have_their_exit_codes() {
    let home = home();
    let bars = home.write(
        "day.csv",
        "time,open,high,low,close,volume\n2024-11-25T13:30:00Z,2440,2441,2439,2440,5\n\
         2024-11-25T13:31:00Z,2440,2441,2439,2440,5\n",
    );
    let bars = bars.to_str().unwrap();
    home.run(&["replay", bars]).expect(0);
    let ran = home.run(&["replay", "nowhere.csv"]).expect(74);
    assert!(ran.err.contains("nowhere.csv"), "{}", ran.err);
    let ran = home.run(&["replay", bars, "--instrument", "CLZ4"]).expect(64);
    assert!(ran.err.contains("CLZ4") && ran.err.contains("RTY"), "{}", ran.err);
    home.run(&["replay"]).expect(64);
    let noise = home.write("noise.csv", "what,is,this\n1,2,3\n");
    home.run(&["replay", noise.to_str().unwrap()]).expect(74);

    let two = Home::new(&format!("{LEVELS}[[level]]\nname = \"es\"\ninstrument = \"ES\"\nprice = 6000\n"));
    let ran = two.run(&["replay", bars]).expect(64);
    assert!(ran.err.contains("--instrument") && ran.err.contains("ES, RTY"), "{}", ran.err);
}
