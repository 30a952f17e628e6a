//! Turns signals into the stop token.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Why waiting for signals ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// Once: stop in order.
    Stop,
    /// Twice: stop at once.
    AtOnce,
}

/// Waits for SIGTERM or SIGINT; cancels `stop` at the first, and returns at the second or when `done` is.
///
/// # Errors
/// When the system does not let us listen.
pub async fn listen(stop: CancellationToken, done: CancellationToken) -> std::io::Result<Signalled> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let mut asked = false;
    loop {
        tokio::select! {
            biased;
            () = done.cancelled() => return Ok(Signalled::Stop),
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {
                warn!("SIGHUP changes nothing in this version; restart to read a new configuration");
                continue;
            }
        }
        if std::mem::replace(&mut asked, true) {
            warn!("stopped at once; what was not sent is in the outbox");
            return Ok(Signalled::AtOnce);
        }
        info!("stopping");
        stop.cancel();
    }
}
