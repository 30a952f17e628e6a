//! `breakwatch demo`: the whole daemon at work, without configuration and without network.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::output::{colours, print, table};
use crate::cli::{CliError, Exit, runtime};
use crate::daemon::clock::Clock;
use crate::daemon::shutdown;
use crate::demo::show::{self, Show, ShowError, Stage};
use crate::engine::report::Last;
use crate::event::{Event, Px};
use crate::market::price::Price;
use crate::outbox::Outcome;
use crate::store::history::{End, EventFilter};
use crate::store::thread::ToldEvent;
use crate::time::{Timestamp, parse_duration};

/// A line with the price is printed at most so often.
const PRICE_EVERY: Duration = Duration::from_millis(1_000);

/// Show the whole daemon at work, without configuration and without network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch demo --for 30s")]
pub struct Args {
    /// How many times as fast as the market
    #[arg(long, value_name = "X", default_value = "60", value_parser = super::run::speed_of)]
    speed: f64,
    /// How long to show it [default: until the generated story is told]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,
    /// Keep the database in this directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Runs the command.
///
/// # Errors
/// When a port on loopback or a directory cannot be had, or the daemon cannot go on.
pub fn main(args: &Args) -> Result<Exit, CliError> {
    let kept = args.keep.clone();
    let dir = match &kept {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("breakwatch-demo-{}", std::process::id())),
    };
    let made = |source| CliError::io(format!("cannot make the directory {}", dir.display()), source);
    std::fs::create_dir_all(&dir).map_err(made)?;
    let show = Show { speed: args.speed, dir: dir.clone() };
    let length = args.length.unwrap_or_else(|| show::usual_length(args.speed));
    let runtime = runtime()?;
    let result = runtime.block_on(perform(&show, length, kept.is_some()));
    runtime.shutdown_background();
    if kept.is_none() {
        // What cannot be removed here, the system's own cleaning removes.
        drop(std::fs::remove_dir_all(&dir));
    }
    result
}

async fn perform(show: &Show, length: Duration, kept: bool) -> Result<Exit, CliError> {
    let stage = Stage::set(show).await.map_err(of_show)?;
    let started = Started { wall: stage.clock.wall(), market: stage.clock.now() };
    print(&opening(show, &stage, length))?;
    let (stop, done) = (CancellationToken::new(), CancellationToken::new());
    let (sender, lasts) = watch::channel(Vec::new());
    let ended = {
        let running = stage.run(sender, stop.clone());
        let signals = shutdown::listen(stop.clone(), done.clone());
        let end = stage.clock.instant_at(stage.clock.monotonic().saturating_add(length));
        let prices = show_prices(lasts, &stage);
        tokio::pin!(running, signals, prices);
        let timer = tokio::time::sleep_until(end);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                biased;
                ended = &mut running => break ended.map_err(of_show),
                signalled = &mut signals => break match signalled {
                    Ok(_) => Ok(()),
                    Err(source) => Err(CliError::io("cannot listen to signals", source)),
                },
                () = &mut timer, if !stop.is_cancelled() => stop.cancel(),
                printed = &mut prices, if !stop.is_cancelled() => {
                    printed?;
                    stop.cancel();
                }
            }
        }
    };
    ended?;
    print(&inboxes(&stage).await)?;
    print(&latencies(show, &started).await?)?;
    print(&closing(show, kept))?;
    stage.strike().await;
    Ok(Exit::Ok)
}

/// When the two clocks showed what.
struct Started {
    wall: Timestamp,
    market: Timestamp,
}

fn of_show(source: ShowError) -> CliError {
    match source {
        ShowError::Run(source) => super::run::of_run(source),
        source @ (ShowError::Venue(_) | ShowError::Inbox(_) | ShowError::Config(_)) => {
            CliError::io("the demo could not be shown", source)
        }
    }
}

fn opening(show: &Show, stage: &Stage, length: Duration) -> String {
    let levels: Vec<&str> = stage.config.levels.iter().map(|rule| &*rule.name).collect();
    format!(
        "breakwatch demo: a generated RTY session, modelled on 25 November 2024. No price in it was ever traded.\n\
         \n  venue    {} (a real WebSocket, {} times as fast as the market)\n  levels   {}\n  \
         ledger   {}\n  told to  this terminal, a mail server and a Slack-shaped webhook on loopback\n  \
         ends     after {}, or with Ctrl-C\n\n",
        stage.venue.url(),
        show.speed,
        levels.join(", "),
        show.dir.join("breakwatch.db").display(),
        crate::time::format_duration(Duration::from_secs(length.as_secs().max(1))),
    )
}

/// A line with time, price and the distance to the next level, about once a second.
async fn show_prices(mut lasts: watch::Receiver<Vec<Last>>, stage: &Stage) -> Result<(), CliError> {
    let clock = Clock::real();
    while lasts.changed().await.is_ok() {
        let line = lasts.borrow_and_update().iter().find_map(|last| price_line(last, stage));
        if let Some(line) = line {
            print(&line)?;
            let next = clock.instant_at(clock.monotonic().saturating_add(PRICE_EVERY));
            tokio::time::sleep_until(next).await;
        }
    }
    Ok(())
}

fn price_line(last: &Last, stage: &Stage) -> Option<String> {
    let (price, at) = (last.price?, last.at?);
    let time = crate::daemon::start::chicago().to_datetime(at.to_jiff()).strftime("%H:%M:%S").to_string();
    let above = stage.config.levels.iter().map(|rule| rule.price).filter(|level| *level > price.price).min();
    let next = above.map_or_else(
        || "above every level".to_owned(),
        |level| {
            let away = Px { price: level.minus(price.price), decimals: 1 };
            format!("{away} below {}", Px { price: level, decimals: 1 }.grouped())
        },
    );
    let (dim, plain) = if colours() { ("\u{1b}[2m", "\u{1b}[0m") } else { ("", "") };
    let root = &last.root;
    Some(format!("{dim}{time} CT  {root} {:>8}  {} {next}{plain}\n", price.grouped(), bar(price.price)))
}

/// The price as a mark on a line from 2,435 to 2,480.
fn bar(price: Price) -> String {
    const WIDTH: i64 = 30;
    let (low, high) = (2_435, 2_480);
    let points = price.as_nanos().div_euclid(1_000_000_000).clamp(low, high);
    let at = (points - low) * (WIDTH - 1) / (high - low);
    (0..WIDTH).map(|column| if column == at { '●' } else { '·' }).collect()
}

async fn inboxes(stage: &Stage) -> String {
    let mails = stage.mail.received();
    let mut text = format!("\nThe inbox of the mail server, {} received:\n", mails.len());
    for mail in &mails {
        let to = mail.to.join(", ");
        text.push_str(&format!("  to {to}: {}\n", mail.header("Subject").unwrap_or_default()));
    }
    if let Some(mail) = mails.iter().find(|mail| mail.header("Subject").is_some_and(|s| s.contains("broke")))
    {
        text.push_str("\nOne of them in full, as plain text:\n");
        for line in mail.part("text/plain").unwrap_or_default().lines() {
            text.push_str(&format!("  | {line}\n"));
        }
    }
    let hooks = stage.slack.received();
    text.push_str(&format!("\nThe inbox of the Slack-shaped webhook, {} received:\n", hooks.len()));
    for hook in &hooks {
        let body: serde_json::Value = serde_json::from_str(&hook.body).unwrap_or_default();
        let said = body.get("text").and_then(serde_json::Value::as_str).unwrap_or_default();
        text.push_str(&format!("  {}\n", said.lines().next().unwrap_or_default()));
    }
    text
}

/// From the exchange's stamp to the peer's acceptance, in real milliseconds.
async fn latencies(show: &Show, started: &Started) -> Result<String, CliError> {
    let path = show.dir.join("breakwatch.db");
    let history = crate::cli::events::open(&path).await?;
    let mut rows = Vec::new();
    let filter = EventFilter { after_seq: Some(0), ..EventFilter::default() };
    for stored in history.events(&filter).await.map_err(crate::cli::events::of_store)? {
        let thread = history.thread(stored.event.id.as_str()).await.map_err(crate::cli::events::of_store)?;
        let told =
            thread.and_then(|thread| thread.events.into_iter().find(|told| told.stored.seq == stored.seq));
        rows.extend(told.iter().flat_map(|told| latency_rows(told, show, started)));
    }
    history.close().await;
    let head = ["event", "channel", "received", "committed", "sent", "accepted"];
    Ok(format!(
        "\nHow long it took, in milliseconds after the exchange's time stamp:\n{}",
        table(&head, &rows).lines().map(|line| format!("  {line}\n")).collect::<String>()
    ))
}

fn latency_rows(told: &ToldEvent, show: &Show, started: &Started) -> Vec<Vec<String>> {
    let event: &Event = &told.stored.event;
    // The moment on the wall's clock at which the market's clock showed the exchange's stamp.
    let market = event.occurred_at.since(started.market).div_f64(show.speed);
    let occurred = started.wall.saturating_add(market);
    let ms = |at: Timestamp| format!("{:.1}", at.since(occurred).as_secs_f64() * 1_000.0);
    let received = event.detected_at.since(event.occurred_at).div_f64(show.speed).as_secs_f64() * 1_000.0;
    told.deliveries
        .iter()
        .filter_map(|tried| {
            let accepted = tried.attempts.iter().find_map(|attempt| match &attempt.end {
                End::Answered { at, outcome: Outcome::Accepted { .. } } => Some((attempt.begun_at, *at)),
                End::Answered { .. } | End::UnderWay | End::Unknown { .. } => None,
            });
            let (sent, accepted) = accepted?;
            let name = format!("{} {}", event.kind, event.level.as_deref().unwrap_or_default());
            let committed = ms(told.stored.committed_at);
            let channel = tried.delivery.channel.clone();
            Some(vec![name, channel, format!("{received:.1}"), committed, ms(sent), ms(accepted)])
        })
        .collect()
}

fn closing(show: &Show, kept: bool) -> String {
    let path = show.dir.join("breakwatch.db");
    if kept {
        format!("\nThe ledger with every step and attempt is {}.\n", path.display())
    } else {
        "\nThe ledger held every step and attempt; --keep DIR keeps it.\n".to_owned()
    }
}
