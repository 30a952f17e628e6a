//! The commands. One file each; every one returns an exit code or an error that names it.
//!
//! Exit codes: 0 done, 1 the answer is no, 64 usage, 70 a defect, 74 input or output, 78 configuration.

mod bar_file;
pub mod chart;
pub mod check;
pub mod deliveries;
pub mod demo;
pub mod events;
pub mod explain;
pub mod import;
pub mod level;
pub mod lint;
mod logging;
pub mod output;
pub mod record;
pub mod replay;
pub mod run;
mod snooze;
mod tape_file;
pub mod test_alert;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Config, ConfigError};
use crate::daemon::chain::Chain;
use crate::time::Timestamp;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// The answer is no.
    No,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The words do not fit the command.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file, socket or database cannot be used.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A defect.
    #[error("{what}")]
    Software {
        /// What went wrong.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CliError {
    /// A failure of the world outside.
    pub fn io(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Software { .. } => 70,
            Self::Io { .. } => 74,
            Self::Config(_) => 78,
        }
    }
}

/// Watches futures prices and tells people, once, with its reasons, when a level breaks.
#[derive(Debug, Parser)]
#[command(name = "breakwatch", version, max_term_width = 100)]
#[command(after_help = "Example: breakwatch demo --for 30s")]
struct Args {
    /// The configuration [default: $BREAKWATCH_CONFIG, ./breakwatch.toml, /etc/breakwatch/breakwatch.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch, and tell people when a level breaks
    Run(run::Args),
    /// Show the whole daemon at work, without configuration and without network
    Demo(demo::Args),
    /// Check the configuration without side effects, and print what it means
    Check(check::Args),
    /// Write what a feed sends to a tape
    Record(record::Args),
    /// Run the configured rules over recorded data
    Replay(replay::Args),
    /// Take bars into the ledger, so that derived levels have a history
    Import(import::Args),
    /// List, add and remove levels
    Level(level::Args),
    /// Say why a level fired, or why it stayed quiet
    Explain(explain::Args),
    /// Draw a level among the prices of the last hours
    Chart(chart::Args),
    /// Print the history
    Events(events::Args),
    /// Print the outbox
    Deliveries(deliveries::Args),
    /// Send a delivery again
    Resend(deliveries::ResendArgs),
    /// Send a marked test through the real channels
    TestAlert(test_alert::Args),
    /// Print completions for a shell
    #[command(after_help = "Example: breakwatch completions bash > /etc/bash_completion.d/breakwatch")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example: breakwatch man | man -l -")]
    Man,
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Asking for help or the version is no mistake.
            let code = if error.use_stderr() { 64 } else { 0 };
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    match dispatch(args) {
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::No) => ExitCode::from(1),
        Err(error) => {
            output::complain(&format!("breakwatch: {}", Chain(&error)));
            ExitCode::from(error.code())
        }
    }
}

fn dispatch(args: Args) -> Result<Exit, CliError> {
    let config = args.config;
    match args.command {
        Command::Run(args) => run::main(config.as_deref(), &args),
        Command::Demo(args) => demo::main(&args),
        Command::Check(args) => check::main(config.as_deref(), &args),
        Command::Record(args) => record::main(config.as_deref(), &args),
        Command::Replay(args) => replay::main(config.as_deref(), &args),
        Command::Import(args) => import::main(config.as_deref(), &args),
        Command::Level(args) => level::main(config.as_deref(), &args),
        Command::Explain(args) => explain::main(config.as_deref(), &args),
        Command::Chart(args) => chart::main(config.as_deref(), &args),
        Command::Events(args) => events::main(config.as_deref(), args),
        Command::Deliveries(args) => deliveries::main(config.as_deref(), &args),
        Command::Resend(args) => deliveries::resend(config.as_deref(), &args),
        Command::TestAlert(args) => test_alert::main(config.as_deref(), &args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "breakwatch", &mut text);
            output::print_bytes(&text)
        }
        Command::Man => {
            let mut text = Vec::new();
            let page = clap_mangen::Man::new(Args::command());
            page.render(&mut text).map_err(|source| CliError::io("cannot write the manual page", source))?;
            output::print_bytes(&text)
        }
    }
}

/// The configuration that a command works with.
///
/// # Errors
/// When there is none, or it is wrong.
fn load(path: Option<&std::path::Path>) -> Result<Config, CliError> {
    let clock = crate::daemon::clock::Clock::real();
    let env = std::env::vars().collect();
    Ok(Config::load(path, &env, year_of(clock.wall()))?)
}

/// The year to which one-digit contract years refer.
fn year_of(at: Timestamp) -> i16 {
    jiff::tz::TimeZone::UTC.to_datetime(at.to_jiff()).year()
}

/// A runtime for the commands that wait for something.
///
/// # Errors
/// When the system gives none.
fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| CliError::io("cannot start the runtime", source))
}
