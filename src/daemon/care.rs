//! Looks after the ledger: cuts the write-ahead log back, and forgets what is older than the retention.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::daemon::chain::Chain;
use crate::daemon::clock::Clock;
use crate::store::Store;

/// Between two rounds.
const EVERY: Duration = Duration::from_secs(600);

/// How long things are kept; `None` = forever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Events, with their deliveries.
    pub events: Option<Duration>,
    /// Bars; trade dates are kept in any case.
    pub bars: Option<Duration>,
}

/// Works until told to stop. What fails is tried again in the next round; the tasks that need the ledger notice
/// for themselves when it is gone.
pub async fn run(store: Arc<Store>, keep: Keep, clock: Clock, stop: CancellationToken) {
    loop {
        let next = clock.instant_at(clock.monotonic().saturating_add(EVERY));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
        if let Some(keep) = keep.events {
            prune(&store, clock.now().saturating_sub(keep), &stop).await;
        }
        if let Some(keep) = keep.bars {
            prune_bars(&store, clock.now().saturating_sub(keep), &stop).await;
        }
        if let Err(error) = store.checkpoint().await {
            warn!(error = %Chain(&error), "the write-ahead log cannot be cut back");
        }
    }
}

async fn prune(store: &Store, before: crate::time::Timestamp, stop: &CancellationToken) {
    let mut forgotten = 0_u64;
    while !stop.is_cancelled() {
        match store.prune(before).await {
            Ok(0) => break,
            Ok(n) => forgotten = forgotten.saturating_add(n),
            Err(error) => {
                warn!(error = %Chain(&error), "old events cannot be deleted");
                break;
            }
        }
    }
    if forgotten > 0 {
        info!(events = forgotten, %before, "older events are deleted, as configured");
    }
}

async fn prune_bars(store: &Store, before: crate::time::Timestamp, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match store.prune_bars(before).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                warn!(error = %Chain(&error), "old bars cannot be deleted");
                return;
            }
        }
    }
}
