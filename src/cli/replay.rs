//! `breakwatch replay`: the configured rules over recorded data, without feed, channel or secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::output::{complain, print, print_json, table};
use crate::cli::{CliError, Exit, load};
use crate::config::Config;
use crate::engine::rule::Rule;
use crate::engine::{Engine, FeedSetup, Limits, Rolls, Setup, Step};
use crate::event::{Event, Kind};
use crate::market::bar::Bar;
use crate::market::bar_text::{self, BarRow, Parsed};
use crate::market::instrument::Instrument;
use crate::market::symbol::{ContractMonth, Symbol};
use crate::market::tick::{FeedId, InstrumentId};
use crate::study::compare::{Comparison, Setting};
use crate::study::replay::Replay;
use crate::study::report::{self, Run};
use crate::study::sweep::Sweep;
use crate::time::{Timestamp, parse_duration};

/// A file larger than this is no list of bars.
const FILE_MAX: u64 = 2 << 30;
/// Faulty rows are named one by one up to here.
const PROBLEMS_NAMED: usize = 20;

/// Run the configured rules over recorded data.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch replay RTYZ4_1m.csv --instrument RTYZ4 --json")]
pub struct Args {
    /// Recorded bars
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How the files are written [default: told from their content]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Whose data it is: a root (RTY) or one contract (RTYZ4) [default: the only instrument with levels]
    #[arg(long, value_name = "S")]
    instrument: Option<String>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Named columns; the stamp is the bar's start
    Csv,
    /// NinjaTrader's export; the stamp is the bar's end
    Ninjatrader,
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
    let name = file.display();
    let io = |source: std::io::Error| CliError::io(format!("cannot read {name}"), source);
    let size = std::fs::metadata(file).map_err(io)?.len();
    if size > FILE_MAX {
        return Err(CliError::io(format!("cannot read {name}"), format!("{size} bytes; at most {FILE_MAX}")));
    }
    let bytes = std::fs::read(file).map_err(io)?;
    let bad = |source: Box<dyn std::error::Error + Send + Sync>| {
        CliError::io(format!("{name} holds no bars"), source)
    };
    let text =
        String::from_utf8(bytes).map_err(|_| bad("it is not text (compressed? unpack it first)".into()))?;
    let format = args.format.or_else(|| bar_text::looks_like(&text).map(Format::from));
    let Parsed { bars, problems } = match format {
        Some(Format::Csv) => bar_text::parse_csv(&text, instrument.tick, args.bar),
        Some(Format::Ninjatrader) => bar_text::parse_ninjatrader(&text, instrument.tick, args.bar),
        None => {
            return Err(bad(
                "it is neither CSV with named columns nor a NinjaTrader export; see --format".into()
            ));
        }
    }
    .map_err(|source| bad(source.into()))?;
    for problem in problems.iter().take(PROBLEMS_NAMED) {
        complain(&format!("{name}:{}: {}", problem.line, problem.message));
    }
    if problems.len() > PROBLEMS_NAMED {
        complain(&format!("{name}: {} more rows left out", problems.len() - PROBLEMS_NAMED));
    }
    Ok(bars)
}

impl From<bar_text::Format> for Format {
    fn from(format: bar_text::Format) -> Self {
        match format {
            bar_text::Format::Csv => Self::Csv,
            bar_text::Format::Ninjatrader => Self::Ninjatrader,
        }
    }
}

fn text(events: &[Event], bars: usize) -> String {
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
    let breaks = events.iter().filter(|event| event.kind == Kind::LevelBroken).count();
    let mut text = table(&["time", "event", "level", "price", "threshold", "reason"], &rows);
    text.push_str(&format!(
        "\n{bars} bars, {} events, {breaks} breaks. From bars: a moment within its bar is an assumption.\n",
        events.len()
    ));
    text
}
