//! `breakwatch check`: validates everything without side effects, and says what it means.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::lint::Lints;
use crate::cli::output::{print, print_json, table};
use crate::cli::{CliError, Exit, explain, load, runtime};
use crate::config::Config;
use crate::daemon::chain::Chain;
use crate::daemon::clock::Clock;
use crate::engine::derive::Source;
use crate::engine::explain::Explanation;
use crate::engine::rule::Rule;
use crate::engine::{Engine, confirm};
use crate::event::{Px, Side, Space};
use crate::market::instrument::Instrument;
use crate::time::Timestamp;

/// Check the configuration without side effects, and print what it means.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch check --config deploy/breakwatch.toml")]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What a configuration means at one moment.
#[derive(Debug, Serialize)]
struct Report {
    at: Timestamp,
    instruments: Vec<InstrumentReport>,
    levels: Vec<LevelReport>,
    feeds: Vec<String>,
    channels: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct InstrumentReport {
    root: String,
    name: String,
    tick: String,
    contract: Option<String>,
    next_contract: Option<String>,
    rolls_at: Option<Timestamp>,
    session: String,
}

#[derive(Debug, Serialize)]
struct LevelReport {
    name: String,
    instrument: String,
    contract: Option<String>,
    side: Side,
    price: Option<Px>,
    in_contract: Option<Px>,
    threshold: Option<Px>,
    threshold_in_index: Option<Px>,
    approach: Option<Px>,
    rearm: Option<Px>,
    confirm: String,
    state: String,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or a secret cannot be read.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(path)?;
    let secrets = super::run::read_secrets(&config)?;
    let mut report = report(&config, Clock::real().wall())?;
    report.warnings.extend(config.warnings.iter().chain(&secrets.warnings).map(ToString::to_string));
    if args.json { print_json(&report) } else { print(&text(&report)) }
}

fn report(config: &Config, at: Timestamp) -> Result<Report, CliError> {
    let (engine, recorded, trouble) = runtime()?.block_on(known(config))?;
    let said = engine.explain_all(at);
    let by_name: HashMap<(&str, Side), &Explanation> =
        said.iter().map(|said| ((&*said.name, said.side), said)).collect();
    let mut lints = Lints::new(config, at, recorded);
    let warnings = config.levels.iter().flat_map(|rule| {
        let said = by_name.get(&(&*rule.name, rule.side)).copied();
        lints.of(rule, said)
    });
    let mut warnings: Vec<String> = trouble.into_iter().chain(warnings).collect();
    // The halves of a level with both sides say the same.
    let mut seen = HashSet::new();
    warnings.retain(|warning| seen.insert(warning.clone()));
    let families = config.levels.iter().filter(|rule| matches!(rule.source, Some(Source::Round { .. })));
    let families = families.filter_map(|rule| family_report(rule, config, at));
    Ok(Report {
        at,
        instruments: config.instruments.iter().map(|instrument| instrument_report(instrument, at)).collect(),
        levels: said.iter().map(level_report).chain(families).collect(),
        feeds: config.feeds.iter().map(|feed| feed.name.clone()).collect(),
        channels: config.channels.iter().map(|channel| channel.name.clone()).collect(),
        warnings,
    })
}

/// What the database knows, if there is one; and what is wrong with it. A check needs none.
async fn known(config: &Config) -> Result<(Engine, bool, Option<String>), CliError> {
    let restored = async {
        let history = explain::open(&config.storage.path).await?;
        let engine = explain::engine(config, history.as_ref()).await;
        let recorded = history.is_some();
        if let Some(history) = history {
            history.close().await;
        }
        Ok::<_, CliError>((engine?, recorded))
    };
    match restored.await {
        Ok((engine, recorded)) => Ok((engine, recorded, None)),
        Err(error) => Ok((explain::engine(config, None).await?, false, Some(Chain(&error).to_string()))),
    }
}

fn instrument_report(instrument: &Instrument, at: Timestamp) -> InstrumentReport {
    let roll = instrument.next_roll(at);
    InstrumentReport {
        root: instrument.root.as_str().to_owned(),
        name: instrument.name.clone(),
        tick: instrument.tick.to_string(),
        contract: instrument.front(at).map(|month| instrument.symbol(month).to_string()),
        next_contract: roll.map(|(_, month)| instrument.symbol(month).to_string()),
        rolls_at: roll.map(|(at, _)| at),
        session: instrument.calendar.describe(at),
    }
}

fn level_report(said: &Explanation) -> LevelReport {
    let state = match said.state {
        "not placed" => format!("not watched yet: waits for {}", said.missing.join(", ")),
        state => state.to_owned(),
    };
    LevelReport {
        name: said.name.clone(),
        instrument: said.instrument.clone(),
        contract: said.contract.clone(),
        side: said.side,
        price: if said.space == Space::Index { said.in_index } else { said.in_contract },
        in_contract: said.in_contract,
        threshold: said.threshold,
        threshold_in_index: said.threshold_in_index,
        approach: said.approach,
        rearm: said.rearm,
        confirm: said.confirm.clone(),
        state,
    }
}

/// A rule for round numbers: its levels are made when price comes near.
fn family_report(rule: &Rule, config: &Config, at: Timestamp) -> Option<LevelReport> {
    let instrument = config.instruments.get(rule.instrument.index())?;
    let month = rule.contract.or_else(|| instrument.front(at));
    let confirm = confirm::describe(&rule.confirm);
    Some(LevelReport {
        name: rule.name.to_string(),
        instrument: instrument.root.as_str().to_owned(),
        contract: month.map(|month| instrument.symbol(month).to_string()),
        side: rule.side,
        price: None,
        in_contract: None,
        threshold: None,
        threshold_in_index: None,
        approach: None,
        rearm: None,
        confirm: if confirm.is_empty() { "first cross".into() } else { confirm },
        state: "not watched yet: its levels are made when price comes near".into(),
    })
}

fn text(report: &Report) -> String {
    let mut text = String::from("The configuration is valid.\n");
    for instrument in &report.instruments {
        text.push_str(&instrument_text(instrument));
        let rows: Vec<Vec<String>> =
            report.levels.iter().filter(|level| level.instrument == instrument.root).map(level_row).collect();
        if !rows.is_empty() {
            let head = [
                "level",
                "side",
                "price",
                "breaks at",
                "in index",
                "approach",
                "re-arms at",
                "confirmed by",
                "state",
            ];
            text.push_str(&table(&head, &rows).lines().map(|line| format!("  {line}\n")).collect::<String>());
        }
    }
    text.push_str(&format!("\nfeeds: {}\nchannels: {}\n", list(&report.feeds), list(&report.channels)));
    for warning in &report.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn instrument_text(instrument: &InstrumentReport) -> String {
    let contract = match (&instrument.contract, &instrument.next_contract, instrument.rolls_at) {
        (Some(contract), Some(next), Some(at)) => {
            format!("{contract}, rolls to {next} at {}", in_chicago(at))
        }
        (Some(contract), _, _) => contract.clone(),
        (None, _, _) => "no contract months".into(),
    };
    format!(
        "\n{} {} (tick {}): {contract}; {}\n",
        instrument.root, instrument.name, instrument.tick, instrument.session
    )
}

fn in_chicago(at: Timestamp) -> String {
    let zone = TimeZone::get("America/Chicago").unwrap_or(TimeZone::UTC);
    zone.to_datetime(at.to_jiff()).strftime("%Y-%m-%d %H:%M CT").to_string()
}

fn shown(price: Option<Px>) -> String {
    price.map_or_else(|| "-".into(), |px| px.grouped())
}

fn level_row(level: &LevelReport) -> Vec<String> {
    vec![
        level.name.clone(),
        level.side.to_string(),
        shown(level.price),
        shown(level.threshold),
        shown(level.threshold_in_index),
        shown(level.approach),
        shown(level.rearm),
        level.confirm.clone(),
        level.state.clone(),
    ]
}
