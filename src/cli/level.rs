//! `breakwatch level`: the levels, and those that live in the database beside the configuration file.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::cli::events::of_store;
use crate::cli::output::{complain, print, print_json, table};
use crate::cli::snooze::{self, Until};
use crate::cli::{CliError, Exit, load, runtime};
use crate::config::{Config, stored};
use crate::daemon::clock::Clock;
use crate::engine::rule::{Half, Rule};
use crate::event::{Px, Side};
use crate::store::Store;
use crate::store::desk::Desk;
use crate::store::error::StoreError;
use crate::store::rules::{NewRule, StoredRule};
use crate::time::Timestamp;

/// So many names are listed in a message.
const NAMED_MAX: usize = 10;

/// List, add, remove and snooze levels.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch level add --from levels.csv")]
pub struct Args {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Print every level, of the configuration file and of the database
    #[command(after_help = "Example: breakwatch level list --json")]
    List {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Add the levels of a table to the database; a running daemon watches them within seconds
    #[command(after_help = "Example: breakwatch level add --from levels.csv")]
    Add {
        /// A table of levels: CSV whose header names keys of a level
        #[arg(long, value_name = "FILE.csv")]
        from: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove levels from the database, with what is known of them; what happened stays in the history
    #[command(after_help = "Example: breakwatch level remove 2500 \"prior high\"")]
    Remove {
        /// Their names
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell what is not critical about a level later, in one digest
    #[command(after_help = "Example: breakwatch level snooze 2500 --for 2h")]
    Snooze {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        until: Until,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// When the configuration, the table or the database cannot be used, or a name stands in the way.
pub fn main(config: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(config)?;
    match &args.command {
        Sub::List { json } => list(&config, *json),
        Sub::Add { from, json } => add(&config, from, *json),
        Sub::Remove { names, json } => remove(&config, names.iter().cloned().collect(), *json),
        Sub::Snooze { name, until, json } => snooze::snooze(&config, name, until, *json),
    }
}

fn add(config: &Config, from: &Path, json: bool) -> Result<Exit, CliError> {
    let origin = from.display().to_string();
    let text = std::fs::read_to_string(from)
        .map_err(|source| CliError::io(format!("the table {origin} cannot be read"), source))?;
    let rows = stored::rows(&text, &origin, config)?;
    let in_file: BTreeSet<&str> = config.levels.iter().map(|rule| &*rule.name).collect();
    let both: Vec<&str> =
        rows.iter().map(|row| row.name.as_str()).filter(|name| in_file.contains(name)).collect();
    if !both.is_empty() {
        return Err(CliError::Usage(format!("the configuration file has {} already", named(&both))));
    }
    let rules: Vec<NewRule> = rows
        .into_iter()
        .map(|row| NewRule { name: row.name, price: row.price, terms: row.terms.to_string() })
        .collect();
    let known = runtime()?.block_on(async {
        let desk = open(config).await?;
        let known = desk.add_rules(&rules, Clock::real().wall()).await;
        desk.close().await;
        known.map_err(|source| CliError::io("the levels cannot be added", source))
    })?;
    if !known.is_empty() {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(CliError::Usage(format!("the database has {} already; none was added", named(&known))));
    }
    warn_unfed(config, &rules);
    if json {
        return print_json(&serde_json::json!({ "added": rules.len() }));
    }
    print(&format!("{} levels added\n", rules.len()))
}

/// Levels that nothing brings prices for are allowed, but probably not meant.
fn warn_unfed(config: &Config, rules: &[NewRule]) {
    let fed: BTreeSet<_> =
        config.feeds.iter().flat_map(|feed| &feed.subscriptions).map(|s| s.instrument).collect();
    let mut reader = stored::Reader::new(config);
    let instruments: BTreeSet<_> = rules
        .iter()
        .filter_map(|rule| reader.rules(&rule.name, &rule.price, &rule.terms).ok())
        .flatten()
        .map(|rule| rule.instrument)
        .collect();
    for instrument in instruments.difference(&fed).filter_map(|id| config.instruments.get(id.index())) {
        complain(&format!(
            "breakwatch: no [[feed]] brings {}, so its levels are not watched",
            instrument.root
        ));
    }
}

fn remove(config: &Config, names: BTreeSet<String>, json: bool) -> Result<Exit, CliError> {
    if let Some(name) = names.iter().find(|name| config.levels.iter().any(|rule| *rule.name == **name)) {
        return Err(CliError::Usage(format!(
            "level {name:?} stands in the configuration file; remove it there"
        )));
    }
    let missing = runtime()?.block_on(async {
        let desk = open(config).await?;
        let missing = desk.remove_rules(&names, Clock::real().wall()).await;
        desk.close().await;
        missing.map_err(|source| CliError::io("the levels cannot be removed", source))
    })?;
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        complain(&format!("breakwatch: the database has no {}; none was removed", named(&missing)));
        return Ok(Exit::No);
    }
    if json {
        return print_json(&serde_json::json!({ "removed": names }));
    }
    print(&format!("{} levels removed\n", names.len()))
}

/// The database, made when there is none yet.
pub(super) async fn open(config: &Config) -> Result<Desk, CliError> {
    let path = &config.storage.path;
    let failed = |source| CliError::io("the database cannot be used", source);
    match Desk::open(path).await {
        Err(StoreError::Missing(_)) => {
            Store::open(path).await.map_err(failed)?.close().await;
            Desk::open(path).await.map_err(failed)
        }
        opened => opened.map_err(failed),
    }
}

/// `level "a", "b" and 3 more`.
fn named(names: &[&str]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED_MAX).map(|name| format!("{name:?}")).collect();
    let more = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("level {}{more}", shown.join(", "))
}

/// A level as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    instrument: String,
    price: Option<Px>,
    side: Side,
    from: &'static str,
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snoozed_until: Option<Timestamp>,
}

fn list(config: &Config, json: bool) -> Result<Exit, CliError> {
    let listed = listed(config, &runtime()?.block_on(stored_levels(config))?);
    if json {
        return listed.iter().try_fold(Exit::Ok, |_, level| print_json(level));
    }
    let rows: Vec<Vec<String>> = listed
        .into_iter()
        .map(|level| {
            let price = level.price.map(|price| price.grouped()).unwrap_or_else(|| "derived".to_owned());
            let state = level.state.unwrap_or_else(|| "not seen yet".to_owned());
            let snoozed =
                level.snoozed_until.map(|until| format!(", snoozed until {until}")).unwrap_or_default();
            let state = format!("{state}{snoozed}");
            let side = level.side.to_string();
            vec![level.name, level.instrument, price, side, state, level.from.to_owned()]
        })
        .collect();
    print(&table(&["name", "instrument", "price", "side", "state", "from"], &rows))
}

/// What the database knows of levels.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Those that were added to it.
    pub(super) rules: Vec<StoredRule>,
    /// Where each stands, by its key.
    states: HashMap<String, String>,
    /// Until when each is snoozed, by its name.
    snoozes: HashMap<String, Timestamp>,
}

/// What the database knows of levels; nothing when there is none yet.
pub(super) async fn stored_levels(config: &Config) -> Result<Stored, CliError> {
    let history = match Store::open_read_only(&config.storage.path).await {
        Ok(history) => history,
        Err(StoreError::Missing(_)) => return Ok(Stored::default()),
        Err(source) => return Err(of_store(source)),
    };
    let now = Clock::real().wall();
    let read =
        async { Ok((history.rules(0).await?, history.level_states().await?, history.snoozes(now).await?)) };
    let read: Result<_, StoreError> = read.await;
    history.close().await;
    let (mut rules, states, snoozes) = read.map_err(of_store)?;
    rules.retain(|rule| !rule.removed);
    let snoozes = snoozes.into_iter().map(|snooze| (snooze.level, snooze.until));
    Ok(Stored { rules, states: states.into_iter().collect(), snoozes: snoozes.collect() })
}

fn listed(config: &Config, stored: &Stored) -> Vec<Listed> {
    let one = |rule: &Rule, from| {
        let instrument = config.instruments.get(rule.instrument.index());
        let key = match rule.half {
            Some(Half::Second) => format!("{}\n2", rule.name),
            Some(Half::First) | None => rule.name.to_string(),
        };
        Listed {
            name: rule.name.to_string(),
            instrument: instrument.map(|instrument| instrument.root.to_string()).unwrap_or_default(),
            price: instrument.filter(|_| rule.source.is_none()).map(|i| Px::new(rule.price, i.tick)),
            side: rule.side,
            from,
            state: stored.states.get(&key).and_then(|state| latch(state)),
            snoozed_until: stored.snoozes.get(&*rule.name).copied(),
        }
    };
    let mut listed: Vec<Listed> = config.levels.iter().map(|rule| one(rule, "file")).collect();
    let mut reader = stored::Reader::new(config);
    for rule in &stored.rules {
        match reader.rules(&rule.name, &rule.price, &rule.terms) {
            Ok(rules) => listed.extend(rules.iter().map(|rule| one(rule, "database"))),
            Err(why) => complain(&format!("breakwatch: level {:?} is not watched: {why}", rule.name)),
        }
    }
    listed
}

/// Where a level stands, by the first word of its saved state.
fn latch(state: &str) -> Option<String> {
    let state: serde_json::Value = serde_json::from_str(state).ok()?;
    let latch = state.get("latch")?;
    let of_object = || latch.as_object().and_then(|latch| latch.keys().next()).cloned();
    latch.as_str().map(str::to_owned).or_else(of_object)
}
