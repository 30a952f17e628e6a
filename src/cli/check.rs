//! `breakwatch check`: validates everything without side effects, and says what it means.

use std::path::Path;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::output::{print, print_json, table};
use crate::cli::{CliError, Exit, load};
use crate::config::Config;
use crate::daemon::clock::Clock;
use crate::engine::confirm;
use crate::engine::level::Level;
use crate::engine::marks::Grid;
use crate::engine::rule::Rule;
use crate::event::{Px, Side};
use crate::market::instrument::Instrument;
use crate::market::price::Price;
use crate::market::tick::InstrumentId;
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
    price: Px,
    threshold: Option<Px>,
    approach: Option<Px>,
    rearm: Option<Px>,
    confirm: String,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or a secret cannot be read.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(path)?;
    let secrets = super::run::read_secrets(&config)?;
    let mut report = report(&config, Clock::real().wall());
    report.warnings.extend(config.warnings.iter().chain(&secrets.warnings).map(ToString::to_string));
    if args.json { print_json(&report) } else { print(&text(&report)) }
}

fn report(config: &Config, at: Timestamp) -> Report {
    let mut warnings = Vec::new();
    let instruments = config.instruments.iter().map(|instrument| instrument_report(instrument, at)).collect();
    let levels = config
        .levels
        .iter()
        .filter_map(|rule| {
            let instrument = config.instruments.get(rule.instrument.index())?;
            warnings.extend(lint(rule, instrument, &config.levels, at));
            Some(level_report(rule, instrument, at))
        })
        .collect();
    Report {
        at,
        instruments,
        levels,
        feeds: config.feeds.iter().map(|feed| feed.name.clone()).collect(),
        channels: config.channels.iter().map(|channel| channel.name.clone()).collect(),
        warnings,
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

fn level_report(rule: &Rule, instrument: &Instrument, at: Timestamp) -> LevelReport {
    let level = Level::new(rule.clone());
    let marks = level.marks(Grid { tick: instrument.tick, atr: None });
    let px = |seen: Price| Px::new(level.mirror(seen), instrument.tick);
    let month = rule.contract.or_else(|| instrument.front(at));
    LevelReport {
        name: rule.name.to_string(),
        instrument: instrument.root.as_str().to_owned(),
        contract: month.map(|month| instrument.symbol(month).to_string()),
        side: rule.side,
        price: Px::new(rule.price, instrument.tick),
        threshold: marks.map(|marks| px(marks.broken)),
        approach: marks.and_then(|marks| marks.approach).map(px),
        rearm: marks.map(|marks| px(marks.rearm)),
        confirm: if rule.confirm.is_empty() {
            "first cross".into()
        } else {
            confirm::describe(&rule.confirm)
        },
    }
}

/// What makes a rule look as if it could never fire.
fn lint(rule: &Rule, instrument: &Instrument, all: &[Rule], at: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = &rule.name;
    if let Some(end) = rule.expires.filter(|end| *end <= at) {
        warnings.push(format!("level {name:?} expired at {end}; it can never fire"));
    }
    if let Some(month) = rule.contract {
        let last = instrument.last_trade(month);
        if last <= at {
            let symbol = instrument.symbol(month);
            warnings.push(format!("level {name:?}: {symbol} stopped trading at {last}; it can never fire"));
        }
    }
    if let Some(typical) = typical_price(rule.instrument, all) {
        let (price, typical) = (rule.price.as_nanos(), typical.as_nanos());
        if price > typical.saturating_mul(5) || price < typical.div_euclid(5) {
            warnings.push(format!(
                "level {name:?}: {} is far from the other levels of {}; is a digit missing or too many?",
                rule.price,
                instrument.root.as_str()
            ));
        }
    }
    warnings
}

/// The middle price of an instrument's levels, if there are enough to say.
fn typical_price(instrument: InstrumentId, all: &[Rule]) -> Option<Price> {
    let mut prices: Vec<Price> =
        all.iter().filter(|rule| rule.instrument == instrument).map(|rule| rule.price).collect();
    prices.sort_unstable();
    if prices.len() < 3 { None } else { prices.get(prices.len() / 2).copied() }
}

fn text(report: &Report) -> String {
    let mut text = String::from("The configuration is valid.\n");
    for instrument in &report.instruments {
        text.push_str(&instrument_text(instrument));
        let rows: Vec<Vec<String>> =
            report.levels.iter().filter(|level| level.instrument == instrument.root).map(level_row).collect();
        if !rows.is_empty() {
            let head = ["level", "side", "price", "breaks at", "approach", "re-arms at", "confirmed by"];
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
        level.price.grouped(),
        shown(level.threshold),
        shown(level.approach),
        shown(level.rearm),
        level.confirm.clone(),
    ]
}
