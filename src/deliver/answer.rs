//! What a peer said, made fit to be kept and shown: without secrets, on one line, at most 1 KiB.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::outbox::Outcome;
use crate::outbox::message::inert;

/// The longest receipt or reason, in bytes.
const KEPT_MAX: usize = 1_024;
/// Shorter words are not hidden: hiding them would garble every answer.
const SECRET_MIN: usize = 4;

/// Hides a channel's secrets in whatever is said about it; peers like to repeat what they were sent.
pub(super) struct Discretion {
    secrets: Vec<String>,
}

impl Discretion {
    /// Hides these in every form in which they are sent, the longest first, so that a part never unmasks the
    /// whole.
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let secrets = secrets.into_iter().filter(|secret| secret.len() >= SECRET_MIN);
        let mut secrets: Vec<_> = secrets.flat_map(forms).collect();
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// `text` as it may be kept.
    pub(super) fn keep(&self, text: &str) -> String {
        let discreet =
            self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"));
        cut(&inert::line(&discreet, KEPT_MAX))
    }

    /// Taken by the peer.
    pub(super) fn accepted(&self, receipt: &str) -> Outcome {
        Outcome::Accepted { receipt: self.keep(receipt) }
    }

    /// Worth another attempt.
    pub(super) fn deferred(&self, reason: &str, retry_after: Option<Duration>) -> Outcome {
        Outcome::Deferred { reason: self.keep(reason), retry_after }
    }

    /// Never taken.
    pub(super) fn refused(&self, reason: &str) -> Outcome {
        Outcome::Refused { reason: self.keep(reason) }
    }

    /// The peer wants nothing more.
    pub(super) fn gone(&self, reason: &str) -> Outcome {
        let reason = format!("{reason}; the channel is disabled until the next start");
        Outcome::Gone { reason: self.keep(&reason) }
    }

    /// A person must act.
    pub(super) fn misconfigured(&self, reason: &str) -> Outcome {
        Outcome::Misconfigured { reason: self.keep(reason) }
    }
}

/// A secret as it is, and as an address, a header or a body holds it.
fn forms(secret: String) -> [String; 5] {
    let percent = |keep: fn(u8) -> bool| {
        let escape = |b| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
        secret.bytes().map(escape).collect::<String>()
    };
    let json = serde_json::Value::from(secret.as_str()).to_string();
    let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
    let (strict, lax) = (
        percent(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
        percent(|b| b.is_ascii_graphic() && !b"\"#<>?`{}%".contains(&b)),
    );
    [BASE64.encode(&secret).trim_end_matches('=').to_owned(), strict, lax, json, secret]
}

fn cut(text: &str) -> String {
    if text.len() <= KEPT_MAX {
        return text.to_owned();
    }
    let ellipsis = '…';
    let end = text.floor_char_boundary(KEPT_MAX.saturating_sub(ellipsis.len_utf8()));
    format!("{}{ellipsis}", text.get(..end).unwrap_or_default())
}

/// The causes of an error, outermost first, on one line. The caller hides what is secret in it.
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_a_peer_repeats_them() {
        let discretion = Discretion::new(["hunter2".to_owned(), "hunter2-long".to_owned(), "x".to_owned()]);
        assert_eq!(discretion.keep("bad: hunter2-long, hunter2x"), "bad: [secret], [secret]x");
    }

    #[test]
    fn a_secret_is_hidden_as_addresses_headers_and_bodies_hold_it() {
        let discretion = Discretion::new(["p\"a/s:s w\u{f6}rd".to_owned()]);
        for form in
            ["p\"a/s:s w\u{f6}rd", "p%22a%2Fs%3As%20w%C3%B6rd", "p\\\"a/s:s w\u{f6}rd", "cCJhL3M6cyB3w7ZyZA"]
        {
            assert_eq!(discretion.keep(&format!("bad {form}, sorry")), "bad [secret], sorry", "{form}");
        }
    }

    #[test]
    fn what_is_kept_is_one_line_of_at_most_a_kibibyte() {
        let discretion = Discretion::new([]);
        assert_eq!(discretion.keep("550-no\r\n550 such user"), "550-no 550 such user");
        for text in ["é".repeat(5_000), "x".repeat(1_024), "x".repeat(1_025), "📈".repeat(600)] {
            assert!(discretion.keep(&text).len() <= 1_024);
        }
    }
}
