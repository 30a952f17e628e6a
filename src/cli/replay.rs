//! `breakwatch replay`: the configured rules over recorded data, without feed, channel or secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::cli::bar_file;
use crate::cli::output::{print, print_json, table};
use crate::cli::{CliError, Exit, load, tape_file};
use crate::config::Config;
use crate::engine::rule::Rule;
use crate::engine::{Engine, FeedSetup, Limits, Rolls, Setup, Step};
use crate::event::{Event, Kind};
use crate::market::bar::Bar;
use crate::market::bar_text::{BarRow, Parsed};
use crate::market::instrument::Instrument;
use crate::market::symbol::{ContractMonth, Symbol};
use crate::market::tick::{FeedId, InstrumentId};
use crate::study::compare::{Comparison, Setting};
use crate::study::days;
use crate::study::replay::Replay;
use crate::study::report::{self, Run};
use crate::study::sweep::Sweep;
use crate::time::{Timestamp, parse_duration};

/// Run the configured rules over recorded data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch replay RTYZ4_1m.csv --instrument RTYZ4 --json")]
pub struct Args {
    /// Recorded bars, or a tape of `record`
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the files are written [default: told from their content]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Whose data it is: a root (RTY) or one contract (RTYZ4) [default: the only instrument with levels]
    #[arg(long, value_name = "S")]
    instrument: Option<String>,
    /// One row for each trade date: its prices are spread over the session
    #[arg(long, conflicts_with_all = ["format", "bar"])]
    daily: bool,
    /// The length of a bar [default: the smallest distance between two]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    bar: Option<std::time::Duration>,
    /// Compare settings, such as margin=0,1,2,4 or hold=0s,5s,30s; may be given several times
    #[arg(long, value_name = "KEY=VALUES")]
    sweep: Vec<String>,
    /// Print one JSON object per event; with --sweep, one object with the comparison
    #[arg(long)]
    json: bool,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Named columns; the stamp is the bar's start
    Csv,
    /// NinjaTrader's export; the stamp is the bar's end
    Ninjatrader,
    /// A tape of `record`
    Jsonl,
}

impl Format {
    const fn of_bars(self) -> Option<bar_file::Format> {
        match self {
            Self::Csv => Some(bar_file::Format::Csv),
            Self::Ninjatrader => Some(bar_file::Format::Ninjatrader),
            Self::Jsonl => None,
        }
    }
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, a file cannot be read, or its content is no list of bars.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(path)?;
    let is_tape = || args.files.iter().any(|file| tape_file::looks_like(file));
    if args.format == Some(Format::Jsonl) || (args.format.is_none() && !args.daily && is_tape()) {
        return tape(&config, args);
    }
    let (id, month) = subject(&config, args.instrument.as_deref())?;
    let Some(instrument) = config.instruments.get(id.index()) else {
        return Err(CliError::Usage("the instrument is not configured".into()));
    };
    let mut rows = Vec::new();
    for file in &args.files {
        rows.extend(read(file, args, instrument)?);
    }
    rows.sort_by_key(|row| row.bar.start);
    let data = Data { config: &config, id, instrument, month, rows };
    let rules: Vec<Rule> = config.levels.iter().filter(|rule| rule.instrument == id).cloned().collect();
    if !args.sweep.is_empty() {
        return sweep(&data, &rules, args);
    }
    let events = data.replay(rules);
    if args.json {
        return events.iter().try_fold(Exit::Ok, |_, event| print_json(event));
    }
    print(&text(&events, data.rows.len()))?;
    if events.iter().any(|event| event.kind == Kind::LevelBroken) {
        let runs = data.runs();
        print(&format!("\n{}", report::over(&events, &borrowed(&runs), instrument)))?;
    }
    Ok(Exit::Ok)
}

/// A tape brings its own times, contracts and instruments.
fn tape(config: &Config, args: &Args) -> Result<Exit, CliError> {
    let [file] = args.files.as_slice() else {
        return Err(CliError::Usage("one tape at a time, and no bars beside it".into()));
    };
    if !args.sweep.is_empty() || args.bar.is_some() {
        return Err(CliError::Usage("--sweep and --bar are for bars; a tape has none".into()));
    }
    let only = match args.instrument.as_deref() {
        Some(wanted) => Some(subject(config, Some(wanted))?.0),
        None => None,
    };
    let played = tape_file::replay(config, file, only)?;
    if args.json {
        return played.events.iter().try_fold(Exit::Ok, |_, event| print_json(event));
    }
    let breaks = played.events.iter().filter(|event| event.kind == Kind::LevelBroken).count();
    print(&format!(
        "{}\n{} messages, {} updates, {} events, {breaks} breaks; {} damaged lines left out.\n",
        event_table(&played.events),
        played.frames,
        played.ticks,
        played.events.len(),
        played.damaged
    ))
}

/// Recorded bars, and whose they are.
struct Data<'a> {
    config: &'a Config,
    id: InstrumentId,
    instrument: &'a Instrument,
    month: Option<ContractMonth>,
    rows: Vec<BarRow>,
}

/// The bars of one contract.
type Contract = (Option<String>, Vec<Bar>);

impl Data<'_> {
    fn replay(&self, rules: Vec<Rule>) -> Vec<Event> {
        let calendar = self.instrument.calendar.clone();
        let mut replay = Replay::new(engine(self.config, self.id, rules), self.id, calendar, FeedId(0));
        let mut step = Step::default();
        for row in &self.rows {
            replay.bar(&row.bar, self.month_of(row), &mut step);
        }
        if let Some(last) = self.rows.last() {
            replay.end(&last.bar, &mut step);
        }
        step.events
    }

    fn month_of(&self, row: &BarRow) -> Option<ContractMonth> {
        self.month.or_else(|| row.contract.as_deref().and_then(|name| month_of(name, row.bar.start)))
    }

    /// The bars by contract, each in order of time.
    fn runs(&self) -> Vec<Contract> {
        let mut runs: BTreeMap<Option<ContractMonth>, Vec<Bar>> = BTreeMap::new();
        for row in &self.rows {
            runs.entry(self.month_of(row)).or_default().push(row.bar);
        }
        let named =
            |month: Option<ContractMonth>| month.map(|month| self.instrument.symbol(month).to_string());
        runs.into_iter().map(|(month, bars)| (named(month), bars)).collect()
    }
}

fn borrowed(runs: &[Contract]) -> Vec<Run<'_>> {
    runs.iter().map(|(contract, bars)| Run { contract: contract.as_deref(), bars }).collect()
}

/// Every combination of settings over the same data.
fn sweep(data: &Data<'_>, rules: &[Rule], args: &Args) -> Result<Exit, CliError> {
    let sweep = Sweep::parse(&args.sweep).map_err(|error| CliError::Usage(error.to_string()))?;
    let runs = data.runs();
    let runs = borrowed(&runs);
    let settings = sweep.rules(rules).map(|(label, rules)| {
        let events = data.replay(rules);
        Setting::new(label, &events, &runs, data.instrument)
    });
    let comparison = Comparison { settings: settings.collect() };
    if args.json { print_json(&comparison) } else { print(&comparison.to_string()) }
}

/// Which instrument, and which month if one was named.
fn subject(config: &Config, wanted: Option<&str>) -> Result<(InstrumentId, Option<ContractMonth>), CliError> {
    let names = || config.instruments.iter().map(|i| i.root.as_str()).collect::<Vec<_>>().join(", ");
    let find = |root: &str| {
        let at = config.instruments.iter().position(|instrument| instrument.root.as_str() == root)?;
        u32::try_from(at).ok().map(InstrumentId)
    };
    let Some(wanted) = wanted else {
        let mut used: Vec<InstrumentId> = config.levels.iter().map(|rule| rule.instrument).collect();
        used.sort_unstable();
        used.dedup();
        return match used.as_slice() {
            [only] => Ok((*only, None)),
            _ => Err(CliError::Usage(format!("whose data is it? --instrument, one of {}", names()))),
        };
    };
    if let Some(id) = find(wanted) {
        return Ok((id, None));
    }
    // The year of a one-digit symbol is the one that has data: the last ten.
    let near = super::year_of(crate::daemon::clock::Clock::real().wall());
    let symbol = Symbol::parse(wanted, near).ok();
    let found = symbol.and_then(|symbol| find(symbol.root.as_str()).map(|id| (id, Some(symbol.month))));
    found.ok_or_else(|| {
        CliError::Usage(format!("{wanted:?} is no configured instrument; configured: {}", names()))
    })
}

fn month_of(name: &str, at: Timestamp) -> Option<ContractMonth> {
    Symbol::parse(name, super::year_of(at)).ok().map(|symbol| symbol.month)
}

fn engine(config: &Config, id: InstrumentId, rules: Vec<Rule>) -> Engine {
    Engine::new(Setup {
        instruments: config.instruments.clone(),
        guards: config.guards.clone(),
        basis: config.basis.clone(),
        rules,
        feeds: vec![FeedSetup { name: "recording".to_owned(), instruments: vec![id] }],
        limits: Limits::default(),
        rehearsal: false,
        rolls: Rolls::ByData,
    })
}

fn read(file: &Path, args: &Args, instrument: &Instrument) -> Result<Vec<BarRow>, CliError> {
    if !args.daily {
        let Parsed { bars, problems } =
            bar_file::bars(file, args.format.and_then(Format::of_bars), instrument.tick, args.bar)?;
        bar_file::complain_of(file, &problems);
        return Ok(bars);
    }
    let parsed = bar_file::days(file, instrument.tick)?;
    bar_file::complain_of(file, &parsed.problems);
    let bars = parsed.days.iter().filter_map(|day| days::bar(day, &instrument.calendar, instrument.tick));
    Ok(bars.map(|bar| BarRow { bar, contract: None }).collect())
}

fn event_table(events: &[Event]) -> String {
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let px = |px: Option<crate::event::Px>| px.map(|px| px.grouped()).unwrap_or_default();
            vec![
                event.occurred_at.to_string(),
                event.kind.to_string(),
                event.level.clone().unwrap_or_default(),
                px(event.price),
                px(event.threshold),
                event.reason.to_string(),
            ]
        })
        .collect();
    table(&["time", "event", "level", "price", "threshold", "reason"], &rows)
}

fn text(events: &[Event], bars: usize) -> String {
    let breaks = events.iter().filter(|event| event.kind == Kind::LevelBroken).count();
    let mut text = event_table(events);
    text.push_str(&format!(
        "\n{bars} bars, {} events, {breaks} breaks. From bars: a moment within its bar is an assumption.\n",
        events.len()
    ));
    text
}
