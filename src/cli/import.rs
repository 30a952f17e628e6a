//! `breakwatch import`: bars and trade dates into the ledger, so that derived levels have a history.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cli::bar_file::{self, Format};
use crate::cli::output::{print, print_json};
use crate::cli::{CliError, Exit, load, runtime};
use crate::config::Config;
use crate::daemon::clock::Clock;
use crate::market::bar::Bar;
use crate::market::bar_text::{BarRow, Problem};
use crate::market::instrument::Instrument;
use crate::market::symbol::{ContractMonth, Symbol};
use crate::store::Store;
use crate::store::bars::{Imported, Origin, ROWS_AT_ONCE, Rows, Series, StoredBar, StoredDay};
use crate::store::desk::Desk;
use crate::store::error::StoreError;
use crate::study::days;
use crate::time::parse_duration;

/// Take bars into the ledger, so that derived levels have a history.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch import RTY_daily.csv --instrument RTY --daily")]
pub struct Args {
    /// Bars, or trade dates with --daily; .zst files are unpacked
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Whose they are: a root (RTY: the front months one after the other), one contract (RTYZ6), or an index
    #[arg(long, value_name = "S")]
    instrument: String,
    /// One row for each trade date: Date, Open, High, Low, Close, Volume
    #[arg(long)]
    daily: bool,
    /// How the files are written [default: told from their content]
    #[arg(long, value_enum, conflicts_with = "daily")]
    format: Option<Format>,
    /// The length of a bar [default: the smallest distance between two]
    #[arg(long, value_name = "DURATION", conflicts_with = "daily", value_parser = |text: &str| parse_duration(text))]
    bar: Option<std::time::Duration>,
    /// Take in nothing when a row is not right
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What was read, and what became of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    instrument: String,
    rows: u64,
    left_out: u64,
    bars: Imported,
    days: Imported,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, a file cannot be read, or the database cannot be written.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(path)?;
    let (instrument, month) = subject(&config, &args.instrument)?;
    let mut report = Report { instrument: args.instrument.clone(), ..Report::default() };
    let (mut bars, mut dates) = (Vec::new(), Vec::new());
    for file in &args.files {
        let problems = if args.daily {
            let parsed = bar_file::days(file, instrument.tick)?;
            let series = series(&instrument, month);
            let stored = |day| StoredDay { series: series.clone(), day, origin: Origin::Import };
            dates.extend(parsed.days.into_iter().map(stored));
            parsed.problems
        } else {
            let parsed = bar_file::bars(file, args.format, instrument.tick, args.bar)?;
            add(parsed.bars, &instrument, month, &mut bars, &mut dates);
            parsed.problems
        };
        tell(file, &problems, &mut report);
    }
    if args.strict && report.left_out > 0 {
        let n = report.left_out;
        crate::cli::output::complain(&format!("nothing was taken in: {n} rows are not right (--strict)"));
        return Ok(Exit::No);
    }
    let rows = if args.daily { dates.len() } else { bars.len() };
    report.rows = u64::try_from(rows).unwrap_or(u64::MAX).saturating_add(report.left_out);
    runtime()?.block_on(write(&config.storage.path, &bars, &dates, &mut report))?;
    if args.json { print_json(&report) } else { print(&text(&report, args.daily)) }
}

fn tell(file: &Path, problems: &[Problem], report: &mut Report) {
    bar_file::complain_of(file, problems);
    report.left_out = report.left_out.saturating_add(u64::try_from(problems.len()).unwrap_or(u64::MAX));
}

/// The instrument, and the month if one was named.
fn subject(config: &Config, wanted: &str) -> Result<(Instrument, Option<ContractMonth>), CliError> {
    let find = |root: &str| {
        let configured = config.instruments.iter().find(|instrument| instrument.root.as_str() == root);
        configured.cloned().or_else(|| Instrument::builtin(root))
    };
    if let Some(instrument) = find(wanted) {
        return Ok((instrument, None));
    }
    let near = super::year_of(Clock::real().wall());
    let symbol = Symbol::parse(wanted, near).ok();
    let found = symbol.and_then(|symbol| Some((find(symbol.root.as_str())?, Some(symbol.month))));
    found.filter(|(instrument, _)| instrument.dated).ok_or_else(|| {
        CliError::Usage(format!(
            "{wanted:?} is neither built in nor configured; for an index write: [instrument.{wanted}] tick = \"0.01\""
        ))
    })
}

fn series(instrument: &Instrument, month: Option<ContractMonth>) -> Series {
    let contract = month.map(|month| instrument.symbol(month).to_string()).unwrap_or_default();
    Series { instrument: instrument.root.as_str().to_owned(), contract, front: false }
}

/// Bars as rows of their series, and the trade dates that they make.
fn add(
    rows: Vec<BarRow>,
    instrument: &Instrument,
    month: Option<ContractMonth>,
    bars: &mut Vec<StoredBar>,
    dates: &mut Vec<StoredDay>,
) {
    let mut by_month: BTreeMap<Option<ContractMonth>, Vec<Bar>> = BTreeMap::new();
    for row in rows {
        let named = row.contract.as_deref().and_then(|name| {
            Symbol::parse(name, super::year_of(row.bar.start)).ok().map(|symbol| symbol.month)
        });
        by_month.entry(month.or(named).filter(|_| instrument.dated)).or_default().push(row.bar);
    }
    for (of, list) in by_month {
        // A file of the root is the chain of front months, whichever contracts its rows name.
        let chained = month.is_none();
        let series = series(instrument, of);
        let front = |at| chained || of.is_some_and(|of| instrument.front(at) == Some(of));
        for day in days::of(&list, &instrument.calendar) {
            let noon = crate::daemon::past::noon(day.date, &instrument.calendar);
            let series = Series { front: front(noon), ..series.clone() };
            dates.push(StoredDay { series, day, origin: Origin::Import });
        }
        for bar in list {
            let series = Series { front: front(bar.start), ..series.clone() };
            bars.push(StoredBar { series, bar, sums: None, origin: Origin::Import });
        }
    }
}

async fn write(
    path: &Path,
    bars: &[StoredBar],
    dates: &[StoredDay],
    report: &mut Report,
) -> Result<(), CliError> {
    let of_store = |source: StoreError| CliError::io("the ledger cannot take them in", source);
    let store = match Store::open(path).await {
        Ok(store) => Ledger::Own(store),
        // A running daemon has it: one transaction after the other goes in beside its own.
        Err(StoreError::InUse { .. }) => Ledger::Beside(Desk::open(path).await.map_err(of_store)?),
        Err(source) => return Err(of_store(source)),
    };
    let total = u64::try_from(bars.len().saturating_add(dates.len())).unwrap_or(u64::MAX);
    let progress = progress(total);
    let done = take_in(&store, bars, dates, report, &progress).await;
    progress.finish_and_clear();
    store.close().await;
    done.map_err(of_store)
}

/// A chunk is a transaction: what was taken in stays, whatever comes after.
async fn take_in(
    store: &Ledger,
    bars: &[StoredBar],
    dates: &[StoredDay],
    report: &mut Report,
    progress: &ProgressBar,
) -> Result<(), StoreError> {
    for chunk in bars.chunks(ROWS_AT_ONCE) {
        report.bars.add(store.import(Rows::Bars(chunk)).await?);
        progress.inc(u64::try_from(chunk.len()).unwrap_or_default());
    }
    for chunk in dates.chunks(ROWS_AT_ONCE) {
        report.days.add(store.import(Rows::Days(chunk)).await?);
        progress.inc(u64::try_from(chunk.len()).unwrap_or_default());
    }
    Ok(())
}

/// The ledger, alone or beside a running daemon.
enum Ledger {
    Own(Store),
    Beside(Desk),
}

impl Ledger {
    async fn import(&self, rows: Rows<'_>) -> Result<Imported, StoreError> {
        match self {
            Self::Own(store) => store.import(rows).await,
            Self::Beside(desk) => desk.import(rows).await,
        }
    }

    async fn close(&self) {
        match self {
            Self::Own(store) => store.close().await,
            Self::Beside(desk) => desk.close().await,
        }
    }
}

/// On a terminal; elsewhere it draws nothing.
fn progress(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} rows {eta}");
    let bar = ProgressBar::new(total);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

fn text(report: &Report, daily: bool) -> String {
    let line = |what: &str, done: &Imported| {
        let Imported { new, replaced, kept } = done;
        format!("{what}: {new} new, {replaced} replaced, {kept} already there")
    };
    let rows = if daily { "trade dates" } else { "bars" };
    let mut text =
        format!("{}: {} {rows} read, {} left out\n", report.instrument, report.rows, report.left_out);
    if !daily {
        text.push_str(&format!("{}\n", line("bars", &report.bars)));
    }
    text.push_str(&format!("{}\n", line("trade dates", &report.days)));
    text
}
