//! Alerts as lines on a terminal or in a file.

use std::io::IsTerminal;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Mutex;

use crate::deliver::Letter;
use crate::event::Severity;
use crate::outbox::Outcome;

/// A terminal or pipe that takes nothing for so long is given up for this attempt.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The channel.
pub struct Console {
    out: Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    colour: bool,
}

impl Console {
    /// On standard output; in colour on a terminal, unless `NO_COLOR` is set.
    #[must_use]
    pub fn stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self::new(tokio::io::stdout(), wanted && std::io::stdout().is_terminal())
    }

    /// On `out`.
    #[must_use]
    pub fn new(out: impl AsyncWrite + Send + Unpin + 'static, colour: bool) -> Self {
        Self { out: Mutex::new(Box::new(out)), colour }
    }

    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        let line = self.line(letter);
        let write = async {
            let mut out = self.out.lock().await;
            out.write_all(line.as_bytes()).await?;
            out.flush().await
        };
        let deferred = |reason: String| Outcome::Deferred { reason, retry_after: None };
        match tokio::time::timeout(TIMEOUT, write).await {
            Ok(Ok(())) => Outcome::Accepted { receipt: "written".to_owned() },
            Ok(Err(error)) => deferred(format!("the output does not take a line: {error}")),
            Err(_) => deferred("the output does not take a line".to_owned()),
        }
    }

    fn line(&self, letter: &Letter<'_>) -> String {
        let (severity, subject, id) = (letter.event.severity, &letter.message.subject, &letter.event.id);
        let word = severity.as_str().to_uppercase();
        if self.colour {
            format!("\u{1b}[{}m{word:<8}\u{1b}[0m {subject}  \u{1b}[2m{id}\u{1b}[0m\n", colour(severity))
        } else {
            format!("{word:<8} {subject}  {id}\n")
        }
    }
}

/// The terminal's code for bold and a colour.
const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "1;37",
        Severity::Normal => "1;34",
        Severity::High => "1;33",
        Severity::Critical => "1;31",
    }
}
