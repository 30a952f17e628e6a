//! `breakwatch events`: the history, also while the daemon writes it.

use std::path::Path;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::output::{print, print_json, table};
use crate::cli::{CliError, Exit, load, runtime};
use crate::daemon::clock::Clock;
use crate::store::history::{End, EventFilter, History, StoredEvent};
use crate::store::thread::{Thread, ToldEvent, TriedDelivery};
use crate::store::{Store, error::StoreError};
use crate::time::Timestamp;

/// Between two looks of `--follow`.
const FOLLOW_EVERY: Duration = Duration::from_millis(300);

/// Print the history.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch events --since 2024-11-25T13:30:00Z --level 2500 --follow")]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Only what occurred at or after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only events of this level
    #[arg(long, value_name = "NAME")]
    level: Option<String>,
    /// Go on printing as events are recorded
    #[arg(long, short)]
    follow: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(subcommand)]
    command: Option<Sub>,
}

#[derive(Debug, Subcommand)]
enum Sub {
    /// Print one thread: every event, every delivery attempt, every time stamp
    #[command(after_help = "Example: breakwatch events show 2500-1c9f2e.m3wq0x1k.2.broken")]
    Show {
        /// An event's or thread's id, or its beginning
        id: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people
    Table,
    /// One JSON object per line
    Json,
    /// Comma-separated values with a heading
    Csv,
}

/// Runs the command.
///
/// # Errors
/// When the configuration or the database cannot be read.
pub fn main(config: Option<&Path>, args: Args) -> Result<Exit, CliError> {
    let path = load(config)?.storage.path;
    runtime()?.block_on(async {
        let history = open(&path).await?;
        let result = match args.command {
            Some(Sub::Show { ref id, json }) => show(&history, id, json).await,
            None => list(&history, &args).await,
        };
        history.close().await;
        result
    })
}

/// The history for reading.
///
/// # Errors
/// When there is no database, or it cannot be read.
pub async fn open(path: &Path) -> Result<History, CliError> {
    Store::open_read_only(path).await.map_err(of_store)
}

/// A failure of the database as the command's own.
pub fn of_store(source: StoreError) -> CliError {
    CliError::io("the history cannot be read", source)
}

async fn list(history: &History, args: &Args) -> Result<Exit, CliError> {
    let format = if args.json { Format::Json } else { args.format };
    let mut filter = EventFilter {
        since: args.since,
        level: args.level.clone(),
        after_seq: Some(0),
        ..EventFilter::default()
    };
    let mut heading = format != Format::Json;
    let clock = Clock::real();
    // Listened to from the beginning: one that comes while we read must not be missed.
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(|source| CliError::io("cannot listen to signals", source))?;
    loop {
        let events = history.events(&filter).await.map_err(of_store)?;
        if heading || !events.is_empty() {
            print_events(&events, format, heading)?;
            heading = false;
        }
        if let Some(last) = events.last() {
            // There may be more than one answer holds.
            filter.after_seq = Some(last.seq);
            continue;
        }
        if !args.follow {
            return Ok(Exit::Ok);
        }
        tokio::select! {
            _ = interrupt.recv() => return Ok(Exit::Ok),
            () = tokio::time::sleep_until(clock.instant_at(clock.monotonic().saturating_add(FOLLOW_EVERY))) => {}
        }
    }
}

fn print_events(events: &[StoredEvent], format: Format, heading: bool) -> Result<Exit, CliError> {
    match format {
        Format::Json => events.iter().try_fold(Exit::Ok, |_, stored| print_json(&stored.event)),
        Format::Table => {
            let text = table(&HEAD, &events.iter().map(row).collect::<Vec<_>>());
            print(if heading { &text } else { text.split_once('\n').map_or("", |(_, rows)| rows) })
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            let io = |source: csv::Error| CliError::io("cannot write CSV", source);
            if heading {
                writer.write_record(HEAD).map_err(io)?;
            }
            for stored in events {
                writer.write_record(row(stored)).map_err(io)?;
            }
            let bytes =
                writer.into_inner().map_err(|error| CliError::io("cannot write CSV", error.to_string()))?;
            crate::cli::output::print_bytes(&bytes)
        }
    }
}

const HEAD: [&str; 8] = ["time", "kind", "level", "contract", "price", "threshold", "reason", "id"];

fn row(stored: &StoredEvent) -> Vec<String> {
    let event = &stored.event;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let px = |value: Option<crate::event::Px>| value.map(|px| px.to_string()).unwrap_or_default();
    vec![
        event.occurred_at.to_string(),
        event.kind.to_string(),
        text(&event.level),
        text(&event.contract),
        px(event.price),
        px(event.threshold),
        event.reason.to_string(),
        event.id.to_string(),
    ]
}

async fn show(history: &History, id: &str, json: bool) -> Result<Exit, CliError> {
    let Some(thread) = history.thread(id).await.map_err(of_store)? else {
        crate::cli::output::complain(&format!("breakwatch: no event or thread begins with {id:?}"));
        return Ok(Exit::No);
    };
    if json { print_json(&thread) } else { print(&story(&thread)) }
}

fn story(thread: &Thread) -> String {
    let mut text = format!("thread {}\n", thread.id);
    for told in &thread.events {
        text.push_str(&chapter(told));
    }
    text
}

fn chapter(told: &ToldEvent) -> String {
    let event = &told.stored.event;
    let mut text = format!("\n{}  {}\n", event.kind, event.id);
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<12} {value}\n"));
    if event.rehearsal {
        line(
            "rehearsal",
            "exchange and received are times of the rehearsal's clock, the others of the wall's",
        );
    }
    line("reason", event.reason.as_str());
    for (name, px) in [("price", event.price), ("threshold", event.threshold), ("level", event.level_price)] {
        if let Some(px) = px {
            line(name, &px.grouped());
        }
    }
    line("exchange", &event.occurred_at.to_string());
    line("received", &event.detected_at.to_string());
    line("committed", &told.stored.committed_at.to_string());
    for (name, value) in &event.numbers {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        line(name, &value);
    }
    for tried in &told.deliveries {
        text.push_str(&delivery(tried));
    }
    text
}

fn delivery(tried: &TriedDelivery) -> String {
    let delivery = &tried.delivery;
    let to = if delivery.target.is_empty() { String::new() } else { format!(" to {}", delivery.target) };
    let mut text = format!("  -> {}{to}: {} (delivery {})\n", delivery.channel, delivery.state, delivery.id);
    if let Some(carrier) = delivery.carried_by {
        text.push_str(&format!("     told in a digest (delivery {carrier})\n"));
    }
    for attempt in &tried.attempts {
        let end = match &attempt.end {
            End::UnderWay => "under way".to_owned(),
            End::Unknown { .. } => "unknown: the process ended before the answer".to_owned(),
            End::Answered { at, outcome } => format!("answered {at}: {}", words(outcome)),
        };
        text.push_str(&format!("     {}. sent {}, {end}\n", attempt.number, attempt.begun_at));
    }
    text
}

/// An answer in words.
#[must_use]
pub fn words(outcome: &crate::outbox::Outcome) -> String {
    use crate::outbox::Outcome;
    match outcome {
        Outcome::Accepted { receipt } => format!("accepted ({receipt})"),
        Outcome::Deferred { reason, .. } => format!("deferred ({reason})"),
        Outcome::Refused { reason } => format!("refused ({reason})"),
        Outcome::Misconfigured { reason } => format!("misconfigured ({reason})"),
        Outcome::Gone { reason } => format!("gone ({reason})"),
    }
}
