//! The configuration: from a file and the environment to a [`Config`] that is right, or all that is wrong.
//!
//! `file` is the shape of the file, `layers` finds and joins the sources, and one module for each section
//! turns values into checked types. Loading has no side effects and reads no secret; `secrets` does that.
//! A relative path in the file starts at the file's directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::engine::rule::Rule;
use crate::market::instrument::Instrument;
use crate::market::price::Distance;
use crate::market::tick::InstrumentId;
use crate::outbox::retry::Schedule;
use crate::outbox::route::Route;

mod address;
pub mod channel;
pub mod feed;
mod file;
mod instrument;
mod layers;
mod level;
pub mod problem;
pub mod roots;
mod route;
pub mod secret;
pub mod secrets;
mod section;
pub mod service;
mod settings;
mod spec;
mod value;

use channel::ChannelConfig;
use feed::FeedConfig;
use file::{FILE, INCLUDED, LEVEL, ROUTE};
use instrument::Instruments;
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
    /// The feeds, in the order of the file; a `FeedId` is the place in it.
    pub feeds: Vec<FeedConfig>,
    /// The levels: those of the file, then those of the included files.
    pub levels: Vec<Rule>,
    /// The channels, in the order of the file.
    pub channels: Vec<ChannelConfig>,
    /// The routes, in order. Without any, every channel is told.
    pub routes: Vec<Route>,
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
        let mut budget = layers::BYTES_MAX;
        let text = layers::read(&path, &mut budget)?;
        build(&text, &path, env, near_year, budget)
    }

    /// Reads a configuration from text, as if it stood in the file `origin`, without an environment.
    ///
    /// # Errors
    /// When anything in it is wrong; all mistakes are told together.
    pub fn parse(text: &str, origin: &str, near_year: i16) -> Result<Self, ConfigError> {
        let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
        let budget = layers::BYTES_MAX.checked_sub(size).ok_or_else(|| layers::too_large(origin))?;
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
    mut budget: u64,
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

/// An included file, with its place.
type Included = (Origin, toml::Table);

fn included(
    root: &Section<'_>,
    dir: &Path,
    main: &Path,
    budget: &mut u64,
) -> Result<Vec<Included>, ConfigError> {
    let paths = root.read("include", |patterns| layers::included(patterns, dir, main)).unwrap_or_default();
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let file = path.display().to_string();
        let table = layers::parse(&layers::read(&path, budget)?, &file)?;
        files.push((Origin { file, overrides: BTreeMap::new() }, table));
    }
    Ok(files)
}

/// Everything that the tables say. What is wrong is told, and then the result is not used.
fn assemble(
    root: &Section<'_>,
    included: &[Included],
    dir: &Path,
    near_year: i16,
    problems: &Problems,
) -> Config {
    let mut levels = root.named("level", |_| Ok(&LEVEL));
    for (origin, table) in included {
        let file = Section::root(table, &INCLUDED, origin, problems);
        levels.extend(file.named("level", |_| Ok(&LEVEL)));
    }
    let feeds = root.named("feed", feed::shape);
    let channels = root.named("channel", channel::shape);
    for (what, sections) in [("level", &levels), ("feed", &feeds), ("channel", &channels)] {
        tell_duplicates(what, sections);
    }
    let of_levels = levels.iter().filter_map(|level| level.get("instrument")?.as_str());
    let used = of_levels.chain(feeds.iter().flat_map(feed::instrument_names));
    let instruments = Instruments::collect(root, used, near_year);
    let (storage, log, retry) = (service::storage(root, dir), service::log(root), service::retry(root));
    let known =
        Known { instruments: instruments.roots(), levels: names(&levels), channels: names(&channels) };
    let feeds = feeds.iter().filter_map(|f| feed::feed(f, &instruments, near_year, dir)).collect();
    let levels = levels.iter().filter_map(|l| level::rule(l, &instruments, near_year)).collect();
    let channels = channels.iter().filter_map(|c| channel::channel(c, dir)).collect();
    let routes = root.sections("route", &ROUTE).iter().map(|r| route::route(r, &known)).collect();
    let (instruments, guards) = instruments.into_parts();
    let warnings = Vec::new();
    let origin = String::new();
    let config = Config {
        origin,
        storage,
        log,
        retry,
        instruments,
        guards,
        feeds,
        levels,
        channels,
        routes,
        warnings,
    };
    warn(root, &config);
    config
}

fn names<'a>(sections: &[Section<'a>]) -> BTreeSet<&'a str> {
    sections.iter().filter_map(|section| section.get("name")?.as_str()).collect()
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
    let watched: BTreeSet<_> = config.levels.iter().map(|level| level.instrument).collect();
    for id in watched.difference(&fed) {
        if let Some(instrument) = config.instruments.get(id.index()) {
            root.warn(format!("no [[feed]] brings {}, so its levels are not watched", instrument.root));
        }
    }
    if config.routes.is_empty() {
        return;
    }
    let reached: BTreeSet<&str> = config.routes.iter().flat_map(|r| &r.to).map(String::as_str).collect();
    for channel in config.channels.iter().filter(|channel| !reached.contains(channel.name.as_str())) {
        root.warn(format!("no [[route]] leads to channel {:?}", channel.name));
    }
}

#[cfg(test)]
mod tests;
