//! Tells systemd that the daemon is ready, alive, and about to stop.
//!
//! Without systemd (no `NOTIFY_SOCKET`) it does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::daemon::clock::Clock;
use crate::daemon::pulse::Pulses;

/// The watchdog of the unit file allows 30 s; it is fed three times as often.
const FEED_EVERY: Duration = Duration::from_secs(10);

/// Says that everything is up: the ledger is open, the configuration valid, the first connections are attempted.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Says that the daemon is about to stop.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping: sending what is in hand")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd could not be told");
    }
}

/// Feeds the watchdog while every task makes progress.
pub async fn watchdog(mut pulses: Pulses, clock: Clock, stop: CancellationToken) {
    let mut silent = false;
    loop {
        let next = clock.instant_at(clock.monotonic().saturating_add(FEED_EVERY));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep_until(next) => {}
        }
        let stuck = pulses.stuck(clock.monotonic());
        if stuck.is_empty() {
            silent = false;
            tell(&[NotifyState::Watchdog]);
        } else if !std::mem::replace(&mut silent, true) {
            error!(tasks = stuck.join(", "), "no progress; the watchdog is not fed");
        }
    }
}
