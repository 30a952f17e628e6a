//! The configuration as a whole: what loads, and what holds between code, default file and documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::channel::ChannelKind;
use super::file::SHAPES;
use super::{Config, ConfigError, section};
use crate::deliver::SmtpTls;
use crate::engine::rule::Confirm;
use crate::event::Side;
use crate::market::price::{Distance, Price};

mod level;
mod secrets;
mod table;
mod template;
mod wrong;
mod wrong_level;

const YEAR: i16 = 2026;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, "test.toml", YEAR)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|e| panic!("{e}"))
}

/// What is wrong with a text, one mistake a line.
fn wrong(text: &str) -> String {
    parse(text).map(|config| format!("{config:#?}")).unwrap_err().to_string()
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

const LEVEL: &str = "[[level]]\nname = \"2500\"\ninstrument = \"RTY\"\nprice = 2500\n";

#[test]
fn a_level_without_further_keys_has_the_defaults() {
    let config = good(LEVEL);
    let rule = &config.levels[0];
    assert_eq!(rule.price, Price::from_points(2500));
    assert_eq!((rule.side, rule.strict, rule.contract), (Side::Resistance, false, None));
    assert_eq!(
        (rule.margin, rule.zone, rule.rearm),
        (Distance::Ticks(0), Distance::Ticks(5), Distance::Ticks(5))
    );
    assert_eq!((rule.approach, rule.confirm.len(), rule.confirm_within), (None, 0, None));
    assert_eq!((rule.fail.distance, rule.fail.within), (Distance::Ticks(5), Duration::from_secs(1800)));
    assert_eq!((rule.retest.zone, rule.retest.excursion), (Distance::Ticks(5), Distance::Ticks(10)));
    assert_eq!((rule.retest.hold, rule.retest.within), (Distance::Ticks(10), Duration::from_secs(1800)));
    assert!(rule.follow.retest && rule.follow.held && rule.follow.failed);
    assert_eq!((rule.grace, rule.cooldown, rule.max_per_session), (Duration::ZERO, Duration::ZERO, None));
    assert_eq!((rule.expires, rule.severity), (None, None));
}

#[test]
fn a_float_price_is_exact() {
    let config = good("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nprice = 2442.74\n");
    assert_eq!(config.levels[0].price, "2442.74".parse().unwrap());
}

#[test]
fn the_example_of_the_design_loads() {
    let config = good(include_str!("design.toml"));
    assert_eq!(config.feeds[0].name, "custom");
    assert_eq!(config.feeds[0].subscriptions[0].contract.unwrap().to_string(), "Z26");
    let rule = &config.levels[0];
    assert_eq!((rule.margin, rule.approach), (Distance::Ticks(2), Some("10 points".parse().unwrap())));
    let confirm = [Confirm::Prints { count: 2, size: None }, Confirm::Hold(Duration::from_secs(5))];
    assert_eq!(rule.confirm, confirm);
    assert_eq!(rule.cooldown, Duration::from_secs(600));
    let [mail, slack, ops] = &config.channels[..] else { panic!("{:?}", config.channels) };
    let ChannelKind::Email(email) = &mail.kind else { panic!("{mail:?}") };
    let smtp = &email.servers[0];
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("smtp.example.com", 587, SmtpTls::StartTls));
    assert!(matches!(slack.kind, ChannelKind::Slack(_)) && matches!(ops.kind, ChannelKind::Webhook(_)));
    assert_eq!(config.routes.len(), 2);
    assert_eq!(config.routes[0].to, ["mail", "slack"]);
}

#[test]
fn the_shipped_file_loads_without_a_warning() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/breakwatch.toml");
    let config = Config::load(Some(&path), &BTreeMap::new(), YEAR).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(config.warnings, []);
    assert_eq!((config.levels.len(), config.feeds.len(), config.channels.len()), (1, 1, 2));
}

/// The shipped file with its lines `#key` made active, and with those of `##key` too.
fn uncommented(examples: bool) -> String {
    let file = repository("deploy/breakwatch.toml");
    let lines = file.lines().map(|line| match line.strip_prefix("##") {
        Some(example) if examples => example,
        Some(_) => "",
        None => {
            line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).unwrap_or(line)
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_the_shipped_file_calls_a_default_is_the_default() {
    let (shipped, spelled_out) = (repository("deploy/breakwatch.toml"), uncommented(false));
    assert_ne!(shipped, spelled_out);
    // The tables of the feeds are kept as they were written.
    let read = |text: &str| format!("{:#?}", Config { feed_tables: Vec::new(), ..good(text) });
    assert_eq!(read(&shipped), read(&spelled_out));
}

#[test]
fn the_shipped_file_shows_every_key() {
    section::tests::read_keys();
    let text = uncommented(true).replace("include = []", "include = [\"*.none\"]");
    let text = text.replace("alert.json", "src/outbox/message/formats/tradingview.json");
    good(&text);
    let read = section::tests::read_keys();
    for shape in SHAPES.iter().filter(|shape| shape.name != "included file") {
        for key in shape.keys.iter().filter(|key| **key != "kind" || shape.name == "route.match") {
            assert!(read.contains(&(shape.name, *key)), "nothing reads {key} of {}", shape.name);
            assert!(shows(&text, key), "the shipped file does not show {key} of {}", shape.name);
        }
    }
}

fn shows(text: &str, key: &str) -> bool {
    text.lines().any(|line| {
        let line = line.split(" # ").next().unwrap_or_default();
        line.starts_with(&format!("{key} ="))
            || line.contains(&format!("{{ {key} = "))
            || line.contains(&format!(", {key} = "))
            || line.trim_matches(['[', ']']).split('.').any(|part| part == key)
    })
}

/// The tables of the documentation: shape name to keys.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut heading = String::new();
    let docs = repository("docs/configuration.md");
    for line in docs.lines() {
        if line.starts_with('#') {
            heading = line.trim_matches(['#', ' ', '`', '[', ']']).to_owned();
        } else if let Some(key) = line.strip_prefix("| `").and_then(|rest| rest.split('`').next()) {
            found.entry(heading.clone()).or_default().insert(key.to_owned());
        }
    }
    found
}

#[test]
fn the_documentation_has_the_keys_of_the_parser_and_no_others() {
    let shapes = SHAPES.iter().map(|shape| {
        let keys: BTreeSet<String> = shape.keys.iter().map(|key| (*key).to_owned()).collect();
        (shape.name.to_owned(), keys)
    });
    let parser: BTreeMap<_, _> = shapes.collect();
    assert_eq!(documented(), parser);
}

#[test]
fn the_examples_of_the_documentation_load() {
    let mut examples = 0;
    for path in
        ["docs/configuration.md", "docs/feeds/json.md", "docs/feeds/massive.md", "docs/feeds/projectx.md"]
    {
        for block in repository(path).split("```toml\n").skip(1) {
            good(block.split("```").next().unwrap());
            examples += 1;
        }
    }
    assert_eq!(examples, 8);
}

#[test]
fn the_environment_lies_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, &format!("[storage]\npath = \"a.db\"\nkeep_events = \"1d\"\n{LEVEL}"));
    let variables = env(&[
        ("BREAKWATCH__STORAGE__PATH", "/srv/b.db"),
        ("BREAKWATCH__RETRY__DELAYS", "[\"1s\", \"5s\"]"),
        ("BREAKWATCH__INSTRUMENT__RTY__POINT_VALUE", "49"),
        ("UNRELATED", "x"),
    ]);
    let config = Config::load(Some(&file), &variables, YEAR).unwrap();
    assert_eq!(config.storage.path, Path::new("/srv/b.db"));
    assert_eq!(config.storage.keep_events, Some(Duration::from_secs(86_400)));
    assert_eq!(config.retry.delays, [Duration::from_secs(1), Duration::from_secs(5)]);
    assert_eq!(config.instruments[0].point_value, Price::from_points(49));
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, LEVEL);
    let variables = env(&[
        ("BREAKWATCH__STORAGE__KEEP_EVENTS", "ever"),
        ("BREAKWATCH__STORAGE__PTH", "x"),
        ("BREAKWATCH__LEVEL__0__PRICE", "1"),
    ]);
    let error = Config::load(Some(&file), &variables, YEAR).unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"
    BREAKWATCH__LEVEL__0__PRICE: "level" cannot be set: the environment sets keys of [storage], [log], [retry] and [instrument.X] only
    BREAKWATCH__STORAGE__PTH: storage: unknown key "pth"; did you mean "path"?
    BREAKWATCH__STORAGE__KEEP_EVENTS: storage.keep_events: "ever" is not a duration like "5s", "10m" or "400d"; or write "forever"
    "#);
}

#[test]
fn a_relative_path_starts_at_the_directory_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, "[storage]\npath = \"ledger.db\"\n");
    let config = Config::load(Some(&file), &BTreeMap::new(), YEAR).unwrap();
    assert_eq!(config.storage.path, dir.path().join("ledger.db"));
}

#[test]
fn levels_are_taken_from_included_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, &format!("include = [\"levels/*.toml\", \"more.toml\"]\n{LEVEL}"));
    write(&dir.path().join("levels/b.toml"), &LEVEL.replace("\"2500\"", "\"b\""));
    write(&dir.path().join("levels/a.toml"), &LEVEL.replace("\"2500\"", "\"a\""));
    write(&dir.path().join("levels/ignored.txt"), "not TOML");
    write(&dir.path().join("more.toml"), &LEVEL.replace("\"2500\"", "\"c\""));
    let config = Config::load(Some(&file), &BTreeMap::new(), YEAR).unwrap();
    let names: Vec<&str> = config.levels.iter().map(|level| &*level.name).collect();
    assert_eq!(names, ["2500", "a", "b", "c"]);
}

#[test]
fn a_mistake_in_an_included_file_names_that_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, &format!("include = [\"levels/*.toml\"]\n{LEVEL}"));
    let inner = dir.path().join("levels/a.toml");
    write(&inner, &format!("[storage]\npath = \"x\"\n{LEVEL}margin = 2\n"));
    let error = Config::load(Some(&file), &BTreeMap::new(), YEAR).unwrap_err().to_string();
    let error = error.replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(error, @r#"
    DIR/levels/a.toml: unknown key "storage"; known: level
    DIR/levels/a.toml: level "2500": name: another level has this name already
    DIR/levels/a.toml: level "2500": margin: 2 is not a distance like "2 ticks", "10 points", "0.4 %" or "0.25 atr"
    "#);
    write(&file, "include = [\"levels/none.toml\"]");
    let error = Config::load(Some(&file), &BTreeMap::new(), YEAR).unwrap_err().to_string();
    let error = error.replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(error, @r#"DIR/breakwatch.toml: include: there is no file "levels/none.toml""#);
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    assert!(matches!(
        Config::load(Some(&file), &BTreeMap::new(), YEAR),
        Err(ConfigError::Unreadable { path, .. }) if path == file
    ));
    let named = env(&[("BREAKWATCH_CONFIG", &file.display().to_string())]);
    assert!(matches!(Config::load(None, &named, YEAR), Err(ConfigError::Unreadable { .. })));
    std::fs::write(&file, b"# ok\n[storage]\npath = \"\xff\"\n").unwrap();
    let error = Config::load(None, &named, YEAR).unwrap_err().to_string();
    assert_eq!(error, format!("{}:3:9: is not UTF-8 text", file.display()));
}

#[test]
fn a_file_beyond_the_limit_is_refused_with_the_limit() {
    let text = format!("# {}\n", "x".repeat(16 * 1024 * 1024));
    assert_eq!(wrong(&text), "test.toml: the configuration is larger than 16 MiB, all files together");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, &text);
    let error = Config::load(Some(&file), &BTreeMap::new(), YEAR).unwrap_err().to_string();
    assert!(error.ends_with("larger than 16 MiB, all files together"), "{error}");
}

#[test]
fn a_byte_order_mark_and_line_ends_of_other_systems_are_accepted() {
    let config = good(&format!("\u{feff}{}", LEVEL.replace('\n', "\r\n")));
    assert_eq!(config.levels.len(), 1);
}

#[test]
fn an_empty_file_is_allowed_with_a_warning() {
    let config = good("");
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "test.toml: there is no [[level]], so nothing is watched",
            "test.toml: there is no [[channel]], so nobody is told"
        ]
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let config = good(&format!(
        "{LEVEL}[[channel]]\nname = \"a\"\nkind = \"console\"\n[[channel]]\nname = \"b\"\nkind = \"console\"\n\
         [[route]]\nto = \"a\"\n"
    ));
    let warnings: Vec<&str> = config.warnings.iter().map(|w| w.text.as_str()).collect();
    assert_eq!(
        warnings,
        ["no [[feed]] brings RTY, so its levels are not watched", "no [[route]] leads to channel \"b\""]
    );
}

#[test]
fn a_channel_needs_no_route_when_there_is_none() {
    let config = good(&format!("{LEVEL}[[channel]]\nname = \"a\"\nkind = \"console\"\n"));
    assert!(config.routes.is_empty() && config.warnings.iter().all(|w| !w.text.contains("route")));
}

#[test]
fn an_instrument_is_described_or_changed() {
    let config = good(
        "[instrument.RTY]\nroll = { days_before_expiry = 8 }\nguard = \"2 points\"\n\
         [instrument.GC]\ntick = \"0.10\"\n[instrument.NQ]\nroll = { explicit = \"NQH7\" }\n",
    );
    let roots: Vec<String> = config.instruments.iter().map(|i| i.root.to_string()).collect();
    assert_eq!(roots, ["GC", "NQ", "RTY"]);
    assert_eq!(config.instruments[2].name, "E-mini Russell 2000");
    assert!(!config.instruments[0].dated && config.instruments[1].dated);
    assert_eq!(config.instruments[1].roll.to_string(), "explicit = H27");
    let rty = config.instrument_id("RTY").unwrap();
    assert_eq!(config.guards, BTreeMap::from([(rty, "2 points".parse().unwrap())]));
}

#[test]
fn a_hundred_thousand_levels_load() {
    let mut text = String::new();
    for n in 0..100_000 {
        text.push_str(&format!(
            "[[level]]\nname = \"{n}\"\ninstrument = \"RTY\"\nprice = {n}\nmargin = \"2 ticks\"\n"
        ));
    }
    assert_eq!(good(&text).levels.len(), 100_000);
}

/// Pieces of which texts are made that are nearly a configuration.
fn pieces() -> impl Strategy<Value = String> {
    let file = include_str!("design.toml");
    let lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let words: Vec<String> = file.split_whitespace().map(str::to_owned).collect();
    prop_oneof![
        4 => proptest::sample::select(lines).prop_map(|line| format!("{line}\n")),
        2 => proptest::sample::select(words),
        1 => "\\PC{0,8}",
        1 => "(a\\.){1,300}a = 1\n",
        1 => "\"[a-z]\\[-?[0-9]{1,20}\\]\" = [0-9]{1,25}\n",
        1 => proptest::sample::select(vec![
            "price = nan\n".to_owned(), "price = -1e308\n".to_owned(), "expires = 1979-05-27\n".to_owned(),
            "roll = {}\n".to_owned(), "confirm = [[[]]]\n".to_owned(), "${".to_owned(), "\0".to_owned(),
            "[".repeat(400), "{a=".repeat(400), "\"\"\"".to_owned(),
        ]),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_a_list_of_mistakes(text in "\\PC{0,200}") {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn nearly_a_configuration_is_one_or_a_list_of_mistakes(pieces in prop::collection::vec(pieces(), 0..60)) {
        if let Err(error) = parse(&pieces.concat()) {
            let text = error.to_string();
            prop_assert!(!text.is_empty() && text.lines().all(|line| line.starts_with("test.toml")), "{text}");
        }
    }

    #[test]
    fn the_shipped_file_with_a_piece_replaced_is_one_or_a_list_of_mistakes(
        at in 0..200_usize, cut in 0..4_usize, piece in pieces(),
    ) {
        let text = uncommented(true);
        let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
        let start = at.min(lines.len());
        let end = (start + cut).min(lines.len());
        lines.splice(start..end, [piece.as_str()]);
        if let Err(error) = parse(&lines.join("\n")) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn depth_does_not_overflow() {
    for text in [
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]", "a.".repeat(200_000)),
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}", "{a=".repeat(200_000)),
        format!("\"a[{}]\" = 1", i64::MAX),
    ] {
        assert!(parse(&text).is_err());
    }
}
