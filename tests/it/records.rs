//! The history of records, found by importing and replaying the daily files and not by configuration.

use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::shared;

const RUT: &str = "RUT_daily_yahoo_19870910_20260223.csv";
const RTY: &str = "RTY=F_daily_yahoo_20170710_20260223.csv";

const CONFIG: &str = r#"
[storage]
path = "history.db"
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

struct Desk {
    dir: TempDir,
}

impl Desk {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("b.toml"), CONFIG).unwrap();
        Self { dir }
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_breakwatch"));
        let out = command.args(args).arg("--config").arg(self.dir.path().join("b.toml")).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    }

    /// Every record of a level: trade date, old and new.
    fn records(&self, file: &str, instrument: &str, level: &str) -> Vec<(String, String, String)> {
        let args = ["replay", file, "--instrument", instrument, "--daily", "--json"];
        let (code, out, err) = self.run(&args);
        assert_eq!(code, Some(0), "{err}");
        let events = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let records = events.filter(|event| event["kind"] == "record.set" && event["level"] == level);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let record = |event: Value| {
            (text(&event["numbers"]["trade_date"]), text(&event["level_price"]), text(&event["price"]))
        };
        records.map(record).collect()
    }
}

fn between(records: &[(String, String, String)], from: &str, until: &str) -> Vec<String> {
    let within = records.iter().filter(|(date, _, _)| from <= date.as_str() && date.as_str() <= until);
    within.map(|(date, old, new)| format!("{date} {old} -> {new}")).collect()
}

#[test]
fn the_record_close_of_2021_stood_until_2025_and_the_record_high_fell_before_it() {
    let Some(file) = shared("the_record_close_of_2021_stood_until_2025", RUT) else { return };
    let desk = Desk::new();
    let closes = desk.records(file.to_str().unwrap(), "RUT", "RUT close");
    assert_eq!(
        between(&closes, "2021-11-08", "2025-09-18"),
        ["2021-11-08 2437.08 -> 2442.74", "2025-09-18 2442.74 -> 2467.70"]
    );
    let highs = desk.records(file.to_str().unwrap(), "RUT", "RUT high");
    assert_eq!(
        between(&highs, "2021-11-08", "2025-09-17"),
        ["2021-11-08 2449.14 -> 2458.86", "2024-11-25 2458.86 -> 2466.49"]
    );
}

#[test]
fn the_records_of_the_futures_fall_on_their_dates() {
    let Some(file) = shared("the_records_of_the_futures_fall_on_their_dates", RTY) else { return };
    let desk = Desk::new();
    let closes = desk.records(file.to_str().unwrap(), "RTY", "RTY close");
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
    let highs = desk.records(file.to_str().unwrap(), "RTY", "RTY high");
    assert_eq!(between(&highs, "2024-01-01", "2024-12-31"), ["2024-11-25 2460.8 -> 2477.1"]);
}

#[test]
fn an_import_tells_what_it_left_out_and_adds_nothing_twice() {
    let (Some(rut), Some(rty)) = (shared("an_import_tells", RUT), shared("an_import_tells", RTY)) else {
        return;
    };
    let desk = Desk::new();
    let import = |file: &std::path::Path, instrument: &str| {
        desk.run(&["import", file.to_str().unwrap(), "--instrument", instrument, "--daily"])
    };
    let (code, out, err) = import(&rut, "RUT");
    assert_eq!(
        (code, out.as_str()),
        (
            Some(0),
            "RUT: 9686 trade dates read, 17 left out\ntrade dates: 9669 new, 0 replaced, 0 already there\n"
        )
    );
    assert_eq!(
        err.lines().filter(|line| line.ends_with("volume 0: not a completed trading day")).count(),
        17
    );
    let (_, out, err) = import(&rty, "RTY");
    assert_eq!(
        out,
        "RTY: 2173 trade dates read, 15 left out\ntrade dates: 2158 new, 0 replaced, 0 already there\n"
    );
    assert!(err.contains(":2018: 2025-07-13 is a Sunday: no trade date"), "{err}");
    assert!(err.contains(":2064: close 2422.9 is above high 2414.6"), "{err}");
    let (_, again, _) = import(&rty, "RTY");
    assert!(again.ends_with("trade dates: 0 new, 0 replaced, 2158 already there\n"), "{again}");
    let strict = ["import", rty.to_str().unwrap(), "--instrument", "RTY", "--daily", "--strict"];
    let (code, out, err) = desk.run(&strict);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("nothing was taken in: 15 rows are not right"), "{err}");
}

#[test]
fn an_import_names_what_it_does_not_know() {
    let desk = Desk::new();
    let (code, _, err) = desk.run(&["import", "none.csv", "--instrument", "SPX", "--daily"]);
    assert_eq!(code, Some(64));
    assert!(err.contains("for an index write: [instrument.SPX] tick = \"0.01\""), "{err}");
    let (code, _, err) = desk.run(&["import", "none.csv", "--instrument", "RTY", "--daily"]);
    assert_eq!(code, Some(74), "{err}");
}
