//! The configuration: from a file and the environment to a [`Config`] that is right, or all that is wrong.
//!
//! `file` is the shape of the file, `layers` finds and joins the sources, and one module for each section
//! turns values into checked types. Loading has no side effects and reads no secret; `secrets` does that.
//! A relative path in the file starts at the file's directory.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::engine::basis::Basis;
use crate::engine::rule::{Half, Rule, When};
use crate::market::instrument::Instrument;
use crate::market::price::Distance;
use crate::market::tick::InstrumentId;
use crate::outbox::retry::Schedule;
use crate::outbox::route::Route;

mod address;
mod basis;
mod calm;
pub mod channel;
mod exec;
pub mod feed;
mod file;
mod gate;
pub mod header;
mod instrument;
mod layers;
mod level;
pub mod level_table;
pub mod problem;
pub mod roots;
mod route;
pub mod secret;
pub mod secrets;
mod section;
pub mod service;
mod sessions;
mod settings;
mod slack;
mod source;
mod spec;
pub mod stored;
mod tape;
mod template;
mod value;
pub mod webhook;

use channel::ChannelConfig;
use feed::FeedConfig;
use file::{FILE, INCLUDED, LEVEL, ROUTE};
use instrument::Instruments;
use level::Facts;
use level_table::Levels;
use problem::{Problem, Problems};
use route::Known;
use section::{Origin, Section};
use service::{Log, Storage};

/// Everything that breakwatch was told. A `Config` that exists is right.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from, for messages.
    pub origin: String,
    /// Where the ledger is.
    pub storage: Storage,
    /// What is logged, and how.
    pub log: Log,
    /// When a delivery is tried again.
    pub retry: Schedule,
    /// The instruments that are configured or used, sorted by root; an [`InstrumentId`] is the place in it.
    pub instruments: Vec<Instrument>,
    /// How far from the market a print is not believed, where that is configured.
    pub guards: BTreeMap<InstrumentId, Distance>,
    /// How an index price becomes a price of the contract, where that is configured.
    pub basis: BTreeMap<InstrumentId, Basis>,
    /// The feeds, in the order of the file; a `FeedId` is the place in it.
    pub feeds: Vec<FeedConfig>,
    /// Their tables, as they travel with a tape: without the sources of secrets.
    pub feed_tables: Vec<toml::Table>,
    /// The levels: those of the file, then those of the included files.
    pub levels: Vec<Rule>,
    /// The channels, in the order of the file.
    pub channels: Vec<ChannelConfig>,
    /// The routes, in order. Without any, every channel is told.
    pub routes: Vec<Route>,
    /// Which decade a contract such as `RTYZ6` means.
    pub near_year: i16,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// Nobody named a file, and there is none in the usual places.
    #[error(
        "no configuration file: none given, $BREAKWATCH_CONFIG is not set, and there is no {}",
        .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ")
    )]
    NotFound(Vec<PathBuf>),
    /// The file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something is wrong in it: one line for each mistake.
    #[error("{}", lines(problems, *unlisted))]
    Invalid {
        /// The mistakes.
        problems: Vec<Problem>,
        /// So many more were found, but are not listed.
        unlisted: usize,
    },
}

fn lines(problems: &[Problem], unlisted: usize) -> String {
    let mut lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    if unlisted > 0 {
        lines.push(format!("and {unlisted} more mistakes"));
    }
    lines.join("\n")
}

impl Config {
    /// Loads the configuration: from `path`, or from `$BREAKWATCH_CONFIG`, `./breakwatch.toml` or
    /// `/etc/breakwatch/breakwatch.toml`, whichever is named or exists first; then the files it includes;
    /// then `BREAKWATCH__SECTION__KEY` from the environment.
    ///
    /// `near_year` decides which decade a contract such as `RTYZ6` means.
    ///
    /// # Errors
    /// When there is no file, it cannot be read, or anything in it is wrong; all mistakes are told together.
    pub fn load(
        path: Option<&Path>,
        env: &BTreeMap<String, String>,
        near_year: i16,
    ) -> Result<Self, ConfigError> {
        let path = layers::find(path, env)?;
        let mut budget = layers::Budget::of_files();
        let text = layers::read(&path, &mut budget)?;
        build(&text, &path, env, near_year, budget)
    }

    /// Reads a configuration from text, as if it stood in the file `origin`, without an environment.
    ///
    /// # Errors
    /// When anything in it is wrong; all mistakes are told together.
    pub fn parse(text: &str, origin: &str, near_year: i16) -> Result<Self, ConfigError> {
        let mut budget = layers::Budget::of_files();
        budget.take(text.len(), origin)?;
        build(text, Path::new(origin), &BTreeMap::new(), near_year, budget)
    }

    /// The place of an instrument.
    #[must_use]
    pub fn instrument_id(&self, root: &str) -> Option<InstrumentId> {
        let at = self.instruments.iter().position(|instrument| instrument.root.as_str() == root)?;
        u32::try_from(at).ok().map(InstrumentId)
    }
}

fn build(
    text: &str,
    path: &Path,
    env: &BTreeMap<String, String>,
    near_year: i16,
    mut budget: layers::Budget,
) -> Result<Config, ConfigError> {
    let mut origin = Origin { file: path.display().to_string(), overrides: BTreeMap::new() };
    let dir = path.parent().unwrap_or(Path::new(""));
    let problems = Problems::default();
    let file = layers::parse(text, &origin.file)?;
    let file = layers::overlay(file, env, &mut origin, &problems)?;
    let root = Section::root(&file, &FILE, &origin, &problems);
    let included = included(&root, dir, path, &mut budget)?;
    let config = assemble(&root, &included, dir, near_year, &problems);
    match problems.finish() {
        Ok(warnings) => Ok(Config { origin: origin.file, warnings, ..config }),
        Err((problems, unlisted)) => Err(ConfigError::Invalid { problems, unlisted }),
    }
}

/// What `include` names.
struct Included {
    /// Files with `[[level]]`, with their places.
    files: Vec<(Origin, toml::Table)>,
    /// Tables of levels: file and text.
    tables: Vec<(String, String)>,
}

fn included(
    root: &Section<'_>,
    dir: &Path,
    main: &Path,
    budget: &mut layers::Budget,
) -> Result<Included, ConfigError> {
    let paths = root.read("include", |patterns| layers::included(patterns, dir, main)).unwrap_or_default();
    let mut included = Included { files: Vec::new(), tables: Vec::new() };
    let mut table_budget = layers::Budget::of_tables();
    for path in paths {
        let file = path.display().to_string();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
            included.tables.push((file, layers::read(&path, &mut table_budget)?));
        } else {
            let table = layers::parse(&layers::read(&path, budget)?, &file)?;
            included.files.push((Origin { file, overrides: BTreeMap::new() }, table));
        }
    }
    Ok(included)
}

/// Everything that the tables say. What is wrong is told, and then the result is not used.
fn assemble(
    root: &Section<'_>,
    included: &Included,
    dir: &Path,
    near_year: i16,
    problems: &Problems,
) -> Config {
    let mut sections = root.named("level", |_| Ok(&LEVEL));
    for (origin, table) in &included.files {
        let file = Section::root(table, &INCLUDED, origin, problems);
        sections.extend(file.named("level", |_| Ok(&LEVEL)));
    }
    let feeds = root.named("feed", feed::shape);
    let channels = root.named("channel", channel::shape);
    for (what, sections) in [("level", &sections), ("feed", &feeds), ("channel", &channels)] {
        tell_duplicates(what, sections);
    }
    let instruments = instruments(root, &sections, &feeds, included, near_year);
    let basis = basis::read(root, &instruments);
    let (storage, log, retry) = (service::storage(root, dir), service::log(root), service::retry(root));
    let feed_tables = feeds.iter().map(|feed| tape::described(feed.table())).collect();
    let feeds = feeds.iter().filter_map(|f| feed::feed(f, &instruments, near_year, dir)).collect();
    let facts = Facts { instruments: &instruments, basis: &basis, near_year };
    let single: Vec<Vec<Rule>> = sections.iter().map(|level| level::rules(level, &facts)).collect();
    let read = |(origin, text): &(String, String)| level_table::read(text, origin, &facts, problems);
    let tables: Vec<Levels> = included.tables.iter().map(read).collect();
    let known = Known {
        instruments: instruments.roots(),
        levels: level_names(&sections, &single, &tables, problems),
        channels: names(&channels),
    };
    let routes = root.sections("route", &ROUTE).iter().map(|r| route::route(r, &known)).collect();
    let exchanges = instruments.exchanges();
    let channels = channels.iter().filter_map(|c| channel::channel(c, dir, &exchanges)).collect();
    let levels = single.into_iter().flatten().chain(tables.into_iter().flat_map(|table| table.rules));
    let levels = levels.collect();
    let (instruments, guards) = instruments.into_parts();
    let (origin, warnings) = (String::new(), Vec::new());
    let config = Config {
        origin,
        storage,
        log,
        retry,
        instruments,
        guards,
        basis,
        feeds,
        feed_tables,
        levels,
        channels,
        routes,
        near_year,
        warnings,
    };
    warn(root, &config);
    config
}

/// The instruments that are configured, or named by anything.
fn instruments(
    root: &Section<'_>,
    levels: &[Section<'_>],
    feeds: &[Section<'_>],
    included: &Included,
    near_year: i16,
) -> Instruments {
    let of_tables: BTreeSet<String> =
        included.tables.iter().flat_map(|(_, text)| level_table::instrument_names(text)).collect();
    let mut used = basis::instrument_names(root);
    used.extend(feeds.iter().flat_map(feed::instrument_names));
    used.extend(of_tables.iter().map(String::as_str));
    for level in levels {
        used.extend(level.get("instrument").and_then(toml::Value::as_str));
        if let Some(conditions) = level.get("when") {
            gate::instrument_names(conditions, &mut used);
        }
    }
    Instruments::collect(root, used, near_year)
}

fn names<'a>(sections: &[Section<'a>]) -> BTreeSet<&'a str> {
    sections.iter().filter_map(|section| section.get("name")?.as_str()).collect()
}

/// The names of all levels, and of those with which something else is wrong. Names that are there twice are
/// told, but for the halves of a level, which share theirs.
fn level_names<'a>(
    sections: &[Section<'a>],
    single: &'a [Vec<Rule>],
    tables: &'a [Levels],
    problems: &Problems,
) -> HashSet<&'a str> {
    let (mut seen, mut declared) = (HashSet::new(), HashSet::new());
    for (section, rules) in sections.iter().zip(single) {
        let name = section.get("name").and_then(toml::Value::as_str);
        if rules.is_empty() {
            seen.extend(name);
        }
        // That a name stands in the files twice has been told.
        let told = !declared.insert(name);
        for rule in rules.iter().filter(|rule| rule.half != Some(Half::Second)) {
            if !seen.insert(&*rule.name) && !told {
                section.refuse("name", format!("another level has the name {:?} already", rule.name));
            }
        }
    }
    for table in tables {
        level_table::tell_duplicates(table, &mut seen, problems);
    }
    seen
}

fn tell_duplicates(what: &str, sections: &[Section<'_>]) {
    let mut seen = BTreeSet::new();
    for section in sections {
        if let Some(name) = section.get("name").and_then(toml::Value::as_str)
            && !seen.insert(name)
        {
            section.refuse("name", format!("another {what} has this name already"));
        }
    }
}

/// What is allowed, but leaves a level unwatched or an alert untold.
fn warn(root: &Section<'_>, config: &Config) {
    if config.levels.is_empty() {
        root.warn("there is no [[level]], so nothing is watched");
    }
    if config.channels.is_empty() {
        root.warn("there is no [[channel]], so nobody is told");
    }
    let fed: BTreeSet<_> =
        config.feeds.iter().flat_map(|feed| &feed.subscriptions).map(|s| s.instrument).collect();
    let unfed = |used: BTreeSet<InstrumentId>, what: &str| {
        for instrument in used.difference(&fed).filter_map(|id| config.instruments.get(id.index())) {
            root.warn(format!("no [[feed]] brings {}, so {what}", instrument.root));
        }
    };
    unfed(config.levels.iter().map(|level| level.instrument).collect(), "its levels are not watched");
    let mut asked = BTreeSet::new();
    config.levels.iter().for_each(|level| asked_of(&level.when, &mut asked));
    unfed(asked, "levels whose when asks for it stay silent");
    let measured = config.basis.values().filter_map(|basis| match basis {
        Basis::Index(id) => Some(*id),
        Basis::Rates(_) => None,
    });
    unfed(measured.collect(), "no basis is measured against it");
    if config.routes.is_empty() {
        return;
    }
    let reached: BTreeSet<&str> = config.routes.iter().flat_map(|r| &r.to).map(String::as_str).collect();
    for channel in config.channels.iter().filter(|channel| !reached.contains(channel.name.as_str())) {
        root.warn(format!("no [[route]] leads to channel {:?}", channel.name));
    }
}

/// The instruments that conditions ask for.
fn asked_of(conditions: &[When], found: &mut BTreeSet<InstrumentId>) {
    for condition in conditions {
        match condition {
            When::Above(id, _) | When::Below(id, _) => {
                found.insert(*id);
            }
            When::Stronger(strength) | When::Weaker(strength) => {
                found.extend([strength.of, strength.than]);
            }
            When::Any(inner) | When::All(inner) => asked_of(inner, found),
        }
    }
}

#[cfg(test)]
mod tests;
