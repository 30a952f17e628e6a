//! A feed's table as it travels with a tape: everything that says how its frames are read, and no secret.

use std::path::Path;

use toml::{Table, Value};

use super::feed::{self, FeedConfig};
use super::file::FILE;
use super::instrument::Instruments;
use super::layers;
use super::problem::Problems;
use super::section::{Origin, Section};
use super::{Config, ConfigError};

/// The keys of which a secret's source has one.
const SOURCES: &[&str] = &["credential", "file", "env", "command"];
/// Stands for every source.
const ENV: &str = "BREAKWATCH_TAPE";

/// The table without the sources of its secrets, which are nobody's business, and without files.
pub(super) fn described(table: &Table) -> Table {
    let kept = table.iter().filter(|(key, _)| *key != "ca_file");
    kept.map(|(key, value)| (key.clone(), without_sources(value))).collect()
}

fn without_sources(value: &Value) -> Value {
    match value {
        Value::Table(table) if SOURCES.iter().any(|key| table.contains_key(*key)) => {
            Value::Table(Table::from_iter([("env".to_owned(), Value::from(ENV))]))
        }
        Value::Table(table) => Value::Table(described(table)),
        Value::Array(items) => Value::Array(items.iter().map(without_sources).collect()),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            value.clone()
        }
    }
}

impl Config {
    /// The feed of a tape, with those of its instruments that this configuration knows.
    ///
    /// # Errors
    /// When its table is none, or does not fit this program or this configuration.
    pub fn feed_of_tape(&self, text: &str, origin: &str, near_year: i16) -> Result<FeedConfig, ConfigError> {
        let mut table = layers::parse(text, origin)?;
        if let Some(Value::Table(instruments)) = table.get_mut("instruments") {
            instruments.retain(|name, _| self.instrument_id(name).is_some());
        }
        if let Some(Value::Array(instruments)) = table.get_mut("instruments") {
            instruments.retain(|name| name.as_str().is_some_and(|name| self.instrument_id(name).is_some()));
        }
        let (origin, problems) =
            (Origin { file: origin.to_owned(), ..Origin::default() }, Problems::default());
        let root = Table::from_iter([("feed".to_owned(), Value::Array(vec![Value::Table(table)]))]);
        let root = Section::root(&root, &FILE, &origin, &problems);
        let instruments = Instruments::of(&self.instruments);
        let feeds = root.named("feed", feed::shape);
        let read = |section| feed::feed(section, &instruments, near_year, Path::new(""));
        let found = feeds.iter().find_map(read);
        let invalid = |problems, unlisted| ConfigError::Invalid { problems, unlisted };
        problems.finish().map_err(|(problems, unlisted)| invalid(problems, unlisted))?;
        found.ok_or_else(|| invalid(Vec::new(), 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: &str = "[[level]]\nname = \"a\"\ninstrument = \"RTY\"\nprice = 2500\n";
    const FEED: &str = r#"
[[feed]]
name = "venue"
kind = "json"
url = "wss://venue.example.com/${key}"
ca_file = "/etc/ssl/ours.pem"
secrets = { key = { command = ["/opt/vault", "read"], ttl = "1h" }, other = { credential = "c" } }
instruments = { RTY = "${contract}", ES = "ESZ4" }
subscribe = "${symbol}"
[feed.trade]
symbol = "/s"
price = "/p"
"#;

    #[test]
    fn a_feed_travels_without_the_sources_of_its_secrets_and_reads_the_same() {
        let config = Config::parse(&format!("{FEED}{LEVEL}"), "test", 2024).unwrap();
        let table = &config.feed_tables[0];
        let text = toml::to_string(table).unwrap();
        assert!(!text.contains("vault") && !text.contains("/etc/ssl"), "{text}");
        let again = config.feed_of_tape(&text, "tape", 2024).unwrap();
        assert_eq!(again.speech, config.feeds[0].speech);
        assert_eq!(again.subscriptions, config.feeds[0].subscriptions);
        assert_eq!(again.secrets.keys().collect::<Vec<_>>(), ["key", "other"]);
    }

    #[test]
    fn instruments_that_a_configuration_does_not_know_are_left_out_but_not_all_of_them() {
        let config = Config::parse(&format!("{FEED}{LEVEL}"), "test", 2024).unwrap();
        let text = toml::to_string(&config.feed_tables[0]).unwrap();
        let ours = Config::parse(LEVEL, "test", 2024).unwrap();
        assert_eq!(ours.feed_of_tape(&text, "tape", 2024).unwrap().subscriptions.len(), 1);
        let other = Config::parse(&LEVEL.replace("RTY", "NQ"), "test", 2024).unwrap();
        let error = other.feed_of_tape(&text, "tape", 2024).unwrap_err().to_string();
        assert!(error.contains("tape") && error.contains("instruments"), "{error}");
    }

    #[test]
    fn a_table_that_does_not_fit_this_program_is_refused_with_its_key() {
        let config = Config::parse(LEVEL, "test", 2024).unwrap();
        for text in
            ["kind = \"morse\"\nname = \"x\"", "name = [", "colour = 1\nkind = \"json\"\nname = \"x\""]
        {
            let error = config.feed_of_tape(text, "tape", 2024).unwrap_err().to_string();
            assert!(error.contains("tape"), "{error}");
        }
    }
}
