//! `breakwatch level snooze`: what is not critical about a level is told later, in one digest.

use std::time::Duration;

use crate::cli::level::{open, stored_levels};
use crate::cli::output::{print, print_json};
use crate::cli::{CliError, Exit, runtime};
use crate::config::Config;
use crate::daemon::clock::Clock;
use crate::time::{Timestamp, parse_duration};

/// A snooze lasts at most so long.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Until when.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Until {
    /// For so long: 90m, 4h, 2d
    #[arg(long = "for", value_name = "DURATION", value_parser = |text: &str| parse_duration(text))]
    length: Option<Duration>,
    /// Until then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// No longer: what was kept back is told now
    #[arg(long)]
    off: bool,
}

/// Snoozes a level, or ends its snooze.
///
/// # Errors
/// When there is no such level, the time is not ahead, or the database cannot be used.
pub(super) fn snooze(config: &Config, level: &str, until: &Until, json: bool) -> Result<Exit, CliError> {
    let now = Clock::real().wall();
    let end = end(until, now)?;
    let was = runtime()?.block_on(async {
        known(config, level).await?;
        let desk = open(config).await?;
        let was = desk.snooze(level, end, now).await;
        desk.close().await;
        was.map_err(|source| CliError::io(format!("level {level:?} cannot be snoozed"), source))
    })?;
    if json {
        let was = was.filter(|was| *was > now);
        return print_json(&serde_json::json!({ "level": level, "until": end, "was": was }));
    }
    print(&match (end, was) {
        (Some(end), _) => format!(
            "level {level:?} is snoozed until {end}: what is not critical is told then, in one digest\n"
        ),
        (None, Some(_)) => {
            format!("level {level:?} is not snoozed any more; what was kept back is told now\n")
        }
        (None, None) => format!("level {level:?} was not snoozed\n"),
    })
}

fn end(until: &Until, now: Timestamp) -> Result<Option<Timestamp>, CliError> {
    let end = until.until.or_else(|| until.length.map(|length| now.saturating_add(length)));
    match end {
        None => Ok(None),
        Some(end) if end > now && end.since(now) <= LONGEST => Ok(Some(end)),
        Some(end) => {
            let text = format!("{end} is not a time ahead, within the next year; it is {now} now");
            Err(CliError::Usage(text))
        }
    }
}

/// A level of the file, or one of the database.
async fn known(config: &Config, level: &str) -> Result<(), CliError> {
    if config.levels.iter().any(|rule| &*rule.name == level) {
        return Ok(());
    }
    let rules = stored_levels(config).await?.rules;
    if rules.iter().any(|rule| rule.name == level) {
        return Ok(());
    }
    let names = config.levels.iter().map(|rule| rule.name.to_string());
    let names: Vec<String> = names.chain(rules.into_iter().map(|rule| rule.name)).collect();
    let near = crate::config::problem::nearest(level, names.iter().map(String::as_str));
    let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
    Err(CliError::Usage(format!("there is no level {level:?}{hint}")))
}
