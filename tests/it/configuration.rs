//! `breakwatch check` and `run` on good and bad configurations, seen from outside.

use std::fs;

use serde_json::Value;

use crate::support::peers::LEVELS;
use crate::support::{Home, until};

const LEVEL: &str = "[[level]]\nname = \"2450\"\ninstrument = \"RTY\"\nprice = 2450\n";

/// Bad files, and what must be said about each beside the file's name: the key, its value, what is right.
const BAD: [(&str, &str, &[&str]); 9] = [
    ("an unknown key", "margn = \"2 ticks\"\n", &["level \"2450\"", "\"margn\"", "margin"]),
    (
        "an unknown instrument",
        "[[level]]\nname = \"x\"\ninstrument = \"RTX\"\nprice = 1\n",
        &["level \"x\"", "instrument", "\"RTX\"", "RTY"],
    ),
    ("no price", "[[level]]\nname = \"x\"\ninstrument = \"RTY\"\n", &["level \"x\"", "price", "2500"]),
    (
        "a secret in the file",
        "[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = \"https://hooks.slack.com/services/T0/B0/xyz\"\n",
        &["channel \"s\"", "url", "credential", "file", "env", "command"],
    ),
    (
        "an unreadable credential",
        "[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = { credential = \"slack-webhook-url\" }\n",
        &["channel \"s\"", "url", "slack-webhook-url", "LoadCredential"],
    ),
    (
        "an unreadable file",
        "[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = { file = \"/nonexistent/url\" }\n",
        &["channel \"s\"", "url", "/nonexistent/url"],
    ),
    ("two levels of one name", LEVEL, &["level \"2450\"", "name", "another level"]),
    ("a route to nowhere", "[[route]]\nto = [\"mail\"]\n", &["route #1", "to", "\"mail\""]),
    (
        "a price that is none",
        "[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nprice = \"2.450,0\"\n",
        &["level \"x\"", "price", "\"2.450,0\"", "2442.74"],
    ),
];

#[test]
fn every_mistake_is_named_before_anything_is_done() {
    for (what, text, words) in BAD {
        let home = Home::new(&format!("{LEVEL}{text}"));
        for command in ["check", "run"] {
            let ran = home.run(&[command]).expect(78);
            for word in ["breakwatch.toml"].iter().chain(words) {
                assert!(ran.err.contains(word), "{what}: {command} does not say {word}: {}", ran.err);
            }
            assert_eq!(ran.out, "", "{what}");
            assert!(!ran.err.contains("xyz"), "{what}: the secret is printed: {}", ran.err);
        }
        assert!(!home.path("breakwatch.db").exists(), "{what}: a ledger was made");
    }
}

#[test]
fn several_mistakes_are_told_together() {
    let home =
        Home::new(&format!("{LEVEL}margn = 1\n{LEVEL}[[route]]\nto = [\"mail\"]\n[retry]\ndelay = 1\n"));
    let ran = home.run(&["check", "--json"]).expect(78);
    for word in ["margn", "another level", "\"mail\"", "\"delay\""] {
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let home = Home::new("");
    let ran = home.run(&["check", "--config", "elsewhere.toml"]).expect(78);
    assert!(ran.err.contains("elsewhere.toml"), "{}", ran.err);
    let empty = tempfile::tempdir().unwrap();
    let mut command = home.command(&["check"]);
    command.current_dir(empty.path());
    if !std::path::Path::new("/etc/breakwatch/breakwatch.toml").exists() {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&output.stderr).contains("BREAKWATCH_CONFIG"));
    }
}

#[test]
fn a_valid_file_is_explained() {
    let level = "[[level]]\nname = \"high\"\ninstrument = \"RTY\"\nprice = \"2460.85\"\nmargin = \"2 ticks\"\n\
                 approach = \"10 points\"\nrearm = \"5 points\"\nconfirm = [{ prints = 2 }, { hold = \"5s\" }]\n";
    let home = Home::new(&format!("{LEVELS}{level}"));
    let text = home.run(&["check"]).expect(0).out;
    let row = text.lines().find(|line| line.contains("high")).unwrap();
    for word in ["resistance", "2,460.85", "2,461.1", "5s"] {
        assert!(row.contains(word), "{word} in {row}");
    }
    for word in ["valid", "RTY", "rolls to RTY", " CT", "feeds: none", "channels: none"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let report: Value = serde_json::from_str(&home.run(&["check", "--json"]).expect(0).out).unwrap();
    let level = report["levels"].as_array().unwrap().iter().find(|level| level["name"] == "high").unwrap();
    assert_eq!(level["threshold"], "2461.1", "on the grid above 2460.85 and two ticks: {level}");
    assert!(report["instruments"][0]["rolls_at"].is_string(), "{report}");
    let session = report["instruments"][0]["session"].as_str().unwrap();
    assert!(session.starts_with("open") || session.starts_with("closed"), "{session}");
    assert!(text.contains(session.split_whitespace().next().unwrap()), "{text}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("[[channel]]") && !warnings.contains("level "), "{warnings}");
    assert!(!home.path("breakwatch.db").exists(), "check leaves nothing behind");
}

#[test]
fn a_level_with_a_digit_too_many_is_doubted() {
    let home =
        Home::new(&format!("{LEVELS}[[level]]\nname = \"typo\"\ninstrument = \"RTY\"\nprice = 24500\n"));
    let text = home.run(&["check"]).expect(0).out;
    assert!(text.contains("warning: level \"typo\""), "{text}");
}

#[test]
fn the_shipped_file_is_valid_once_its_credentials_are_there() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/breakwatch.toml");
    let home = Home::new("");
    let bare = home.run(&["check", "--config", file]).expect(78);
    for name in ["massive-api-key", "smtp-password", "slack-webhook-url"] {
        assert!(bare.err.contains(name), "{name}: {}", bare.err);
    }
    let credentials = home.path("credentials");
    fs::create_dir(&credentials).unwrap();
    home.write("credentials/massive-api-key", "key\n");
    home.write("credentials/smtp-password", "password\n");
    home.write("credentials/slack-webhook-url", "https://hooks.slack.com/services/T0/B0/x\n");
    let mut command = home.command(&["check", "--config", file]);
    command.env("CREDENTIALS_DIRECTORY", &credentials);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("feeds: massive") && text.contains("channels: mail, slack"), "{text}");
}

#[tokio::test]
async fn the_environment_goes_over_the_file() {
    let home = Home::new(LEVELS);
    let mut command = home.command(&["run"]);
    let ledger = home.path("elsewhere.db");
    command.env("BREAKWATCH__STORAGE__PATH", &ledger);
    let daemon = home.spawn("run", command);
    until("the ledger is where the environment says", || ledger.exists().then_some(())).await;
    daemon.kill();
    assert!(!home.path("breakwatch.db").exists());
}
