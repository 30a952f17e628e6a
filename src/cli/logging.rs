//! Where log lines go: to the journal with fields, or to standard error as text or JSON.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::service::{Log, LogFormat};

/// Libraries that write whole requests, and with them secrets, into their lowest levels.
const FOREIGN: [&str; 9] =
    ["h2", "hyper", "hyper_util", "lettre", "reqwest", "rustls", "sqlx", "tokio_tungstenite", "tungstenite"];

/// Begins to log. A second call changes nothing.
pub(super) fn start(log: &Log) {
    let filter =
        Targets::from_str(&log.filter).unwrap_or_else(|_| Targets::new().with_default(tracing::Level::INFO));
    let filter = FOREIGN.iter().fold(filter, |filter, target| filter.with_target(*target, LevelFilter::WARN));
    let journal = match log.format {
        // systemd says so when standard error is the journal.
        LogFormat::Auto if std::env::var_os("JOURNAL_STREAM").is_some() => tracing_journald::layer().ok(),
        LogFormat::Journald => tracing_journald::layer().ok(),
        LogFormat::Auto | LogFormat::Text | LogFormat::Json => None,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match journal {
        Some(journal) => Box::new(journal.with_field_prefix(Some("BREAKWATCH".into()))),
        None if log.format == LogFormat::Json => Box::new(fmt::layer().json().with_writer(std::io::stderr)),
        None => {
            let colours =
                std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
            Box::new(fmt::layer().with_writer(std::io::stderr).with_ansi(colours).with_target(false))
        }
    };
    drop(tracing_subscriber::registry().with(layer.with_filter(filter)).try_init());
}
