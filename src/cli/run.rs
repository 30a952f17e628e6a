//! `breakwatch run`: the daemon, on the real clock or in a rehearsal.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::cli::{CliError, Exit, load, runtime};
use crate::config::Config;
use crate::config::secrets::Secrets;
use crate::daemon::clock::Clock;
use crate::daemon::plan;
use crate::daemon::shutdown::{self, Signalled};
use crate::daemon::start::{self, RunError};
use crate::time::Timestamp;

/// Watch, and tell people when a level breaks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch run --config breakwatch.toml --rehearse 2024-11-25T13:30:00Z@60")]
pub struct Args {
    /// Run on a clock that starts there and goes so many times as fast, against a venue that replays
    #[arg(long, value_name = "FROM[@SPEED]")]
    rehearse: Option<Rehearse>,
}

/// Where a rehearsal's clock starts, and how fast it goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rehearse {
    /// Market time at the start.
    pub(super) from: Timestamp,
    /// So many times as fast.
    pub(super) speed: f64,
}

impl Rehearse {
    /// The clock of a run: the real one unless it is a rehearsal.
    pub(super) fn clock(rehearse: Option<Self>) -> Clock {
        rehearse.map_or_else(Clock::real, |r| Clock::rehearsal(r.from, r.speed))
    }
}

impl FromStr for Rehearse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, speed) = text.split_once('@').unwrap_or((text, "1"));
        let from = from.parse().map_err(|error: crate::time::TimeError| error.to_string())?;
        Ok(Self { from, speed: speed_of(speed)? })
    }
}

/// Reads how many times as fast a clock goes.
///
/// # Errors
/// When it is no number between 0.1 and 10,000.
pub fn speed_of(text: &str) -> Result<f64, String> {
    let speed: Option<f64> = text.parse().ok().filter(|speed| (0.1..=10_000.0).contains(speed));
    speed.ok_or_else(|| format!("{text:?} is not a speed between 0.1 and 10000"))
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, or the daemon cannot go on.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(path)?;
    crate::cli::logging::start(&config.log);
    let secrets = read_secrets(&config)?;
    for warning in config.warnings.iter().chain(&secrets.warnings) {
        warn!(%warning, "configuration");
    }
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let clock = Rehearse::clock(args.rehearse);
        if let Some(Rehearse { from, speed }) = args.rehearse {
            info!(%from, speed, "this is a rehearsal: every alert is marked");
        }
        let plan = plan::build(&config, secrets, &clock);
        let (stop, done) = (CancellationToken::new(), CancellationToken::new());
        let (lasts, _) = tokio::sync::watch::channel(Vec::new());
        let running = start::run(plan, clock, lasts, stop.clone());
        tokio::pin!(running);
        let signals = shutdown::listen(stop, done);
        tokio::pin!(signals);
        tokio::select! {
            biased;
            signalled = &mut signals => match signalled {
                Ok(Signalled::AtOnce | Signalled::Stop) => Ok(()),
                Err(source) => Err(CliError::io("cannot listen to signals", source)),
            },
            ended = &mut running => ended.map_err(of_run),
        }
    });
    // What still hangs on a peer must not keep us.
    runtime.shutdown_background();
    result.map(|()| Exit::Ok)
}

/// A failed run as the command's own failure.
#[must_use]
pub fn of_run(source: RunError) -> CliError {
    let what = "the daemon cannot go on".to_owned();
    if source.is_defect() {
        CliError::Software { what, source: Box::new(source) }
    } else {
        CliError::Io { what, source: Box::new(source) }
    }
}

/// Reads every secret that the configuration names.
///
/// # Errors
/// When any cannot be read; all are told together.
pub fn read_secrets(config: &Config) -> Result<Secrets, CliError> {
    let env: BTreeMap<String, String> = std::env::vars().collect();
    let credentials = env.get("CREDENTIALS_DIRECTORY").map(std::path::PathBuf::from);
    Ok(runtime()?.block_on(config.read_secrets(&env, credentials.as_deref()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_has_a_start_and_a_speed() {
        let from: Timestamp = "2024-11-25T13:30:00Z".parse().unwrap();
        assert_eq!("2024-11-25T13:30:00Z@60".parse(), Ok(Rehearse { from, speed: 60.0 }));
        assert_eq!("2024-11-25T13:30:00Z".parse(), Ok(Rehearse { from, speed: 1.0 }));
        for text in
            ["noon@60", "2024-11-25T13:30:00Z@0", "2024-11-25T13:30:00Z@NaN", "2024-11-25T13:30:00Z@x"]
        {
            assert!(text.parse::<Rehearse>().is_err(), "{text}");
        }
    }
}
