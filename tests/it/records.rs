//! The history of records, found by importing and replaying the daily files and not by configuration.

use std::path::Path;

use serde_json::Value;

use crate::support::{Home, shared};

const RUT: &str = "RUT_daily_yahoo_19870910_20260223.csv";
const RTY: &str = "RTY=F_daily_yahoo_20170710_20260223.csv";

const CONFIG: &str = r#"
[instrument.RUT]
tick = "0.01"
[[level]]
name = "RUT close"
instrument = "RUT"
source = { kind = "record_close" }
[[level]]
name = "RUT high"
instrument = "RUT"
source = { kind = "record_high" }
[[level]]
name = "RTY close"
instrument = "RTY"
source = { kind = "record_close" }
[[level]]
name = "RTY high"
instrument = "RTY"
source = { kind = "record_high" }
"#;

/// Every record of a level: trade date, old and new.
fn records(file: &Path, instrument: &str, level: &str) -> Vec<(String, String, String)> {
    let args = ["replay", file.to_str().unwrap(), "--instrument", instrument, "--daily", "--json"];
    let events = Home::new(CONFIG).run(&args).expect(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let record = |event: Value| {
        (text(&event["numbers"]["trade_date"]), text(&event["level_price"]), text(&event["price"]))
    };
    let records = events.into_iter().filter(|event| event["kind"] == "record.set" && event["level"] == level);
    records.map(record).collect()
}

fn between(records: &[(String, String, String)], from: &str, until: &str) -> Vec<String> {
    let within = records.iter().filter(|(date, _, _)| from <= date.as_str() && date.as_str() <= until);
    within.map(|(date, old, new)| format!("{date} {old} -> {new}")).collect()
}

#[test]
fn the_record_close_of_2021_stood_until_2025_and_the_record_high_fell_before_it() {
    let Some(file) = shared("the_record_close_of_2021_stood_until_2025", RUT) else { return };
    let closes = records(&file, "RUT", "RUT close");
    assert_eq!(
        between(&closes, "2021-11-08", "2025-09-18"),
        ["2021-11-08 2437.08 -> 2442.74", "2025-09-18 2442.74 -> 2467.70"]
    );
    let highs = records(&file, "RUT", "RUT high");
    assert_eq!(
        between(&highs, "2021-11-08", "2025-09-17"),
        ["2021-11-08 2449.14 -> 2458.86", "2024-11-25 2458.86 -> 2466.49"]
    );
}

#[test]
fn the_records_of_the_futures_fall_on_their_dates() {
    let Some(file) = shared("the_records_of_the_futures_fall_on_their_dates", RTY) else { return };
    let closes = records(&file, "RTY", "RTY close");
    assert_eq!(
        between(&closes, "2024-11-01", "2025-10-06"),
        [
            "2024-11-11 2441.8 -> 2448.5",
            "2024-11-25 2448.5 -> 2451.0",
            "2025-09-18 2451.0 -> 2468.8",
            "2025-09-22 2468.8 -> 2481.9",
            "2025-10-03 2481.9 -> 2492.1",
            "2025-10-06 2492.1 -> 2501.0",
        ]
    );
    let highs = records(&file, "RTY", "RTY high");
    assert_eq!(between(&highs, "2024-01-01", "2024-12-31"), ["2024-11-25 2460.8 -> 2477.1"]);
}

#[test]
fn an_import_tells_what_it_left_out_and_adds_nothing_twice() {
    let (Some(rut), Some(rty)) = (shared("an_import_tells", RUT), shared("an_import_tells", RTY)) else {
        return;
    };
    let home = Home::new(CONFIG);
    let import = |file: &Path, instrument: &str| {
        home.run(&["import", file.to_str().unwrap(), "--instrument", instrument, "--daily"]).expect(0)
    };
    let ran = import(&rut, "RUT");
    let (read, new) = ran.out.split_once('\n').unwrap();
    assert_eq!(read, "RUT: 9686 trade dates read, 17 left out");
    assert_eq!(new, "trade dates: 9669 new, 0 replaced, 0 already there\n");
    let empty = ran.err.lines().filter(|line| line.ends_with("volume 0: not a completed trading day"));
    assert_eq!(empty.count(), 17);
    let ran = import(&rty, "RTY");
    assert!(ran.out.starts_with("RTY: 2173 trade dates read, 15 left out\n"), "{}", ran.out);
    assert!(ran.err.contains(":2018: 2025-07-13 is a Sunday: no trade date"), "{}", ran.err);
    assert!(ran.err.contains(":2064: close 2422.9 is above high 2414.6"), "{}", ran.err);
    let again = import(&rty, "RTY").out;
    assert!(again.ends_with("trade dates: 0 new, 0 replaced, 2158 already there\n"), "{again}");
    let strict = ["import", rty.to_str().unwrap(), "--instrument", "RTY", "--daily", "--strict"];
    let ran = home.run(&strict).expect(1);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("nothing was taken in: 15 rows are not right"), "{}", ran.err);
}

#[test]
fn an_import_names_what_it_does_not_know() {
    let home = Home::new(CONFIG);
    let ran = home.run(&["import", "none.csv", "--instrument", "SPX", "--daily"]).expect(64);
    assert!(ran.err.contains("for an index write: [instrument.SPX] tick = \"0.01\""), "{}", ran.err);
    home.run(&["import", "none.csv", "--instrument", "RTY", "--daily"]).expect(74);
}
