//! `breakwatch deliveries` and `breakwatch resend`: the outbox.

use std::path::Path;

use crate::cli::events::{of_store, open, words};
use crate::cli::output::{print, print_json, table};
use crate::cli::{CliError, Exit, load, runtime};
use crate::daemon::clock::Clock;
use crate::store::delivery::{DeliveryId, State};
use crate::store::desk::Desk;
use crate::store::history::{Delivery, DeliveryFilter};

/// Print the outbox.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch deliveries --state dead")]
pub struct Args {
    /// Only deliveries in this state: due, sending, delivered, dead
    #[arg(long, value_name = "STATE")]
    state: Option<State>,
    /// Only deliveries of this channel
    #[arg(long, value_name = "NAME")]
    channel: Option<String>,
    /// At most so many, the latest ones
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

/// Send a delivery again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch resend 42")]
pub struct ResendArgs {
    /// The number that `breakwatch deliveries` prints
    id: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `breakwatch deliveries`.
///
/// # Errors
/// When the configuration or the database cannot be read.
pub fn main(config: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let path = load(config)?.storage.path;
    let filter = DeliveryFilter { state: args.state, channel: args.channel.clone(), limit: Some(args.limit) };
    let deliveries = runtime()?.block_on(async {
        let history = open(&path).await?;
        let deliveries = history.deliveries(&filter).await.map_err(of_store);
        history.close().await;
        deliveries
    })?;
    if args.json {
        return deliveries.iter().try_fold(Exit::Ok, |_, delivery| print_json(delivery));
    }
    let rows: Vec<Vec<String>> = deliveries
        .iter()
        .map(|delivery| {
            vec![
                delivery.id.to_string(),
                delivery.state.to_string(),
                delivery.channel.clone(),
                delivery.target.clone(),
                delivery.attempts.to_string(),
                delivery.due_at.to_string(),
                delivery.event.to_string(),
                last(delivery),
            ]
        })
        .collect();
    print(&table(&["id", "state", "channel", "to", "attempts", "due", "event", "last answer"], &rows))
}

/// What the last attempt came to, or where the delivery is told.
fn last(delivery: &Delivery) -> String {
    match (delivery.carried_by, &delivery.last_outcome) {
        (Some(carrier), None) => format!("in the digest of delivery {carrier}"),
        (_, outcome) => outcome.as_ref().map(words).unwrap_or_default(),
    }
}

/// Runs `breakwatch resend`.
///
/// # Errors
/// When the configuration is wrong, the database cannot be written, or there is no such delivery.
pub fn resend(config: Option<&Path>, args: &ResendArgs) -> Result<Exit, CliError> {
    let path = load(config)?.storage.path;
    let id = DeliveryId(args.id);
    let was = runtime()?.block_on(async {
        let desk = Desk::open(&path).await.map_err(of_store)?;
        let was = desk.resend(id, Clock::real().wall()).await;
        desk.close().await;
        was.map_err(|source| CliError::io(format!("delivery {id} cannot be sent again"), source))
    })?;
    if args.json {
        return print_json(&serde_json::json!({ "id": args.id, "was": was.to_string(), "state": "due" }));
    }
    print(&format!(
        "delivery {id} was {was}; it is due now, and the running daemon sends it within seconds\n"
    ))
}
