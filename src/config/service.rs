//! `[storage]`, `[log]` and `[retry]`: how the daemon itself behaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::file::{LOG, RETRY, STORAGE};
use super::problem::{Refusal, quoted};
use super::section::Section;
use super::value;
use crate::outbox::retry::Schedule;

/// The database, unless the configuration says otherwise.
const PATH: &str = "/var/lib/breakwatch/breakwatch.db";
/// Bars are kept so long, unless the configuration says otherwise.
const KEEP_BARS: Duration = Duration::from_secs(400 * 86_400);
/// What is logged, unless the configuration says otherwise.
const FILTER: &str = "info";
/// A schedule has at most so many delays.
const DELAYS_MAX: usize = 100;

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The SQLite file.
    pub path: PathBuf,
    /// How long events are kept; `None` = forever.
    pub keep_events: Option<Duration>,
    /// How long bars are kept; `None` = forever.
    pub keep_bars: Option<Duration>,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, and levels of single modules, as `tracing-subscriber`'s `Targets` reads them
    /// (`info,breakwatch::feed=debug`).
    pub filter: String,
    /// How.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// To the journal when systemd started us, else as text.
    Auto,
    /// Lines for people, on standard error.
    Text,
    /// One JSON object a line, on standard error.
    Json,
    /// Fields, to journald's socket.
    Journald,
}

/// `[storage]`
pub(super) fn storage(file: &Section<'_>, dir: &Path) -> Storage {
    let section = file.section("storage", &STORAGE);
    let section = section.as_ref();
    Storage {
        path: dir.join(section.and_then(|s| s.read("path", value::line)).unwrap_or_else(|| PATH.to_owned())),
        keep_events: section.and_then(|s| s.read("keep_events", keep)).unwrap_or(None),
        keep_bars: section.and_then(|s| s.read("keep_bars", keep)).unwrap_or(Some(KEEP_BARS)),
    }
}

fn keep(value: &Value) -> Result<Option<Duration>, Refusal> {
    if value.as_str() == Some("forever") {
        return Ok(None);
    }
    let kept = value::positive_duration(value).map(Some);
    kept.map_err(|refusal| format!("{}; or write \"forever\"", refusal.text).into())
}

/// `[log]`
pub(super) fn log(file: &Section<'_>) -> Log {
    const FORMATS: &[(&str, LogFormat)] = &[
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let section = file.section("log", &LOG);
    let section = section.as_ref();
    let format = section.and_then(|s| s.read("format", value::choice(FORMATS, &[])));
    Log {
        filter: section.and_then(|s| s.read("filter", filter)).unwrap_or_else(|| FILTER.to_owned()),
        format: format.unwrap_or(LogFormat::Auto),
    }
}

fn filter(value: &Value) -> Result<String, Refusal> {
    let text = value::line(value)?;
    // A bare word that is no level would be taken for a module, and silence all others.
    let is_level = |word: &str| word.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let words_are_levels = text.split(',').all(|word| word.contains('=') || is_level(word));
    if words_are_levels && text.parse::<tracing_subscriber::filter::Targets>().is_ok() {
        return Ok(text);
    }
    let right = "a filter like \"info\" or \"info,breakwatch::feed=debug\"";
    Err(format!("{} is not {right}", quoted(&text)).into())
}

/// `[retry]`
pub(super) fn retry(file: &Section<'_>) -> Schedule {
    let section = file.section("retry", &RETRY);
    let section = section.as_ref();
    let default = Schedule::default();
    let give_up_after = section.and_then(|s| s.read("give_up_after", value::positive_duration));
    Schedule {
        delays: section.and_then(|s| s.read("delays", delays)).unwrap_or(default.delays),
        give_up_after: give_up_after.unwrap_or(default.give_up_after),
    }
}

fn delays(value: &Value) -> Result<Vec<Duration>, Refusal> {
    let delays = value::list_of(value::duration)(value)?;
    match delays.last() {
        Some(last) if delays.len() <= DELAYS_MAX && !last.is_zero() => Ok(delays),
        Some(_) => {
            let limit = format!("at most {DELAYS_MAX} delays");
            Err(format!("needs {limit}, and the last one, which repeats, must be more than nothing").into())
        }
        None => Err("is empty; the last delay repeats until give_up_after".into()),
    }
}
