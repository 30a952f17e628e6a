//! `breakwatch record`: what a feed sends, to a tape that `replay` reads.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::cli::output::complain;
use crate::cli::run::Rehearse;
use crate::cli::{CliError, Exit, load, runtime};
use crate::config::Config;
use crate::config::feed::FeedConfig;
use crate::daemon::clock::Clock;
use crate::daemon::ingest::{self, FeedDriver, IngestError};
use crate::daemon::shutdown;
use crate::daemon::tape::{Amount, Tape};
use crate::daemon::watch::QUEUE_BATCHES;
use crate::daemon::{plan, start};
use crate::feed::tape::Header;
use crate::market::tick::{Item, Update};
use crate::time::parse_duration;

/// How often a terminal is shown how far it is.
const SHOWN_EVERY: Duration = Duration::from_secs(1);
/// Closing the socket and the file may take so long.
const GRACE: Duration = Duration::from_secs(10);

/// Write what a feed sends to a tape, until Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch record --config breakwatch.toml --out monday.jsonl --for 8h")]
pub struct Args {
    /// The tape; it must not exist yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which feed [default: the only one]
    #[arg(long, value_name = "NAME")]
    feed: Option<String>,
    /// Stop after so long
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    within: Option<Duration>,
    /// Record on a clock that starts there and goes so many times as fast, from a venue that replays
    #[arg(long, value_name = "FROM[@SPEED]")]
    rehearse: Option<Rehearse>,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the file exists, or it cannot be written.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    if args.out.extension().is_some_and(|end| end == "zst") {
        let text = "a tape is written unpacked, so that nothing is lost; pack it afterwards (zstd FILE)";
        return Err(CliError::Usage(format!("{}: {text}", args.out.display())));
    }
    let config = load(path)?;
    crate::cli::logging::start(&config.log);
    let (at, feed) = feed_of(&config, args.feed.as_deref())?;
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let clock = Rehearse::clock(args.rehearse);
        let mut driver = driver(&config, at, feed, &clock).await?;
        let header = header(&config, at, feed, &clock)?;
        let tape = Tape::create(&args.out, &header)
            .map_err(|source| CliError::io(format!("cannot write {}", args.out.display()), source))?;
        let amount = tape.amount();
        driver.tape = Some(tape);
        let counted = Box::pin(record(driver, &clock, args.within, &amount)).await?;
        let (frames, bytes) = (amount.frames.load(Ordering::Relaxed), amount.bytes.load(Ordering::Relaxed));
        let (file, prints) = (args.out.display(), counted.prints);
        complain(&format!("{file}: {frames} messages with {prints} prints, {bytes} bytes"));
        Ok(Exit::Ok)
    });
    runtime.shutdown_background();
    result
}

fn feed_of<'a>(config: &'a Config, wanted: Option<&str>) -> Result<(usize, &'a FeedConfig), CliError> {
    let names = || config.feeds.iter().map(|feed| feed.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut feeds = config.feeds.iter().enumerate();
    match (wanted, config.feeds.as_slice()) {
        (_, []) => Err(CliError::Usage("the configuration has no [[feed]]".into())),
        (None, [only]) => Ok((0, only)),
        (None, _) => Err(CliError::Usage(format!("which feed? --feed, one of {}", names()))),
        (Some(wanted), _) => feeds.find(|(_, feed)| feed.name == wanted).ok_or_else(|| {
            CliError::Usage(format!("{wanted:?} is no configured feed; configured: {}", names()))
        }),
    }
}

async fn driver(
    config: &Config,
    at: usize,
    feed: &FeedConfig,
    clock: &Clock,
) -> Result<FeedDriver, CliError> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let credentials = env.get("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let secrets = config.read_feed_secrets(feed, &env, credentials.as_deref()).await?;
    plan::driver(config, at, feed, secrets, clock)
        .ok_or_else(|| CliError::Usage("there are too many feeds".into()))
}

fn header(config: &Config, at: usize, feed: &FeedConfig, clock: &Clock) -> Result<Header, CliError> {
    let table = config.feed_tables.get(at).map(toml::to_string).transpose();
    let table = table.map_err(|source| CliError::Software {
        what: "a feed's table cannot be written".into(),
        source: source.into(),
    })?;
    let kind = config.feed_tables.get(at).and_then(|table| table.get("kind")?.as_str());
    let kind = kind.unwrap_or_default();
    let header = Header::new(&feed.name, kind, clock.now(), table.unwrap_or_default());
    Ok(Header { speed: clock.speed(), rehearsal: clock.is_rehearsal(), ..header })
}

/// What came of the messages.
#[derive(Debug, Default)]
struct Counted {
    prints: u64,
}

/// Runs the feed until a signal comes or the time is over.
async fn record(
    driver: FeedDriver,
    clock: &Clock,
    within: Option<Duration>,
    amount: &Arc<Amount>,
) -> Result<Counted, CliError> {
    let (stop, done) = (CancellationToken::new(), CancellationToken::new());
    let (sender, mut items) = mpsc::channel(QUEUE_BATCHES);
    let feed = ingest::run(driver, sender, stop.clone());
    let signals = shutdown::listen(stop.clone(), done.clone());
    let over = async {
        match within {
            Some(within) => tokio::time::sleep(within).await,
            None => std::future::pending().await,
        }
        info!("the time is over");
        stop.cancel();
        std::future::pending::<()>().await;
    };
    let mut counted = Counted::default();
    let counting = async {
        let mut shown = clock.monotonic();
        while let Some(batch) = items.recv().await {
            counted.prints = counted.prints.saturating_add(prints(&batch));
            let now = clock.monotonic();
            if now.saturating_sub(shown) >= SHOWN_EVERY {
                shown = now;
                show(amount, counted.prints);
            }
        }
    };
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let feeding = async { tokio::join!(feed, counting).0 };
    let ended = tokio::select! {
        ended = feeding => ended.map_err(of_ingest),
        signalled = signals => signalled.map(|_| ()).map_err(|e| CliError::io("cannot listen to signals", e)),
        () = over => Ok(()),
        () = late => Err(CliError::io("the feed did not end in time", "its last second may be missing")),
    };
    done.cancel();
    ended.map(|()| counted)
}

fn of_ingest(source: IngestError) -> CliError {
    crate::cli::run::of_run(start::RunError::Ingest(source))
}

fn prints(batch: &[Item]) -> u64 {
    let is_print =
        |item: &&Item| matches!(item, Item::Tick(tick) if matches!(tick.update, Update::Trade { .. }));
    u64::try_from(batch.iter().filter(is_print).count()).unwrap_or(u64::MAX)
}

/// On a terminal, one line that is written over.
fn show(amount: &Amount, prints: u64) {
    let mut out = std::io::stderr();
    if out.is_terminal() {
        let (frames, bytes) = (amount.frames.load(Ordering::Relaxed), amount.bytes.load(Ordering::Relaxed));
        drop(write!(out, "\r{frames} messages, {prints} prints, {bytes} bytes "));
    }
}
