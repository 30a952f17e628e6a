//! A Slack incoming webhook. Its address is the secret.

use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::deliver::http::{Answer, Peer, PeerSettings};
use crate::deliver::{DeliverError, Letter, SlackSettings};
use crate::outbox::Outcome;

/// Slack takes one message a second per webhook.
const PACE: Duration = Duration::from_secs(1);
/// Answers that no repetition changes, whatever their status.
const FINAL_WORDS: &[&str] = &["no_service", "channel_is_archived", "channel_not_found", "invalid_payload"];

/// The channel.
pub struct Slack {
    peer: Peer,
    pace: Mutex<Option<Interval>>,
}

impl Slack {
    pub(super) fn open(settings: &SlackSettings) -> Result<Self, DeliverError> {
        let peer = Peer::open(PeerSettings {
            channel: "slack",
            url: &settings.url,
            timeout: settings.timeout,
            extra_roots: None,
            allow_link_local: false,
            secrets: Vec::new(),
        })?;
        Ok(Self { peer, pace: Mutex::new(None) })
    }

    /// Posts the message. Attempts wait for each other, so that at most one begins per second; that wait is
    /// not part of the timeout.
    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        self.pace().await;
        let body = letter.message.slack.to_string();
        match self.peer.post(HeaderMap::new(), body, letter.sent_at).await {
            Ok(answer) => self.classify(&answer),
            Err(outcome) => outcome,
        }
    }

    async fn pace(&self) {
        let mut pace = self.pace.lock().await;
        let ticks = pace.get_or_insert_with(|| {
            let mut ticks = interval(PACE);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        ticks.tick().await;
    }

    fn classify(&self, answer: &Answer) -> Outcome {
        let (discretion, summary) = (&self.peer.discretion, answer.summary());
        let word = answer.body.trim();
        match answer.status {
            200 if word == "ok" => discretion.accepted("ok"),
            _ if FINAL_WORDS.contains(&word) => discretion.refused(&summary),
            401 => discretion.misconfigured(&summary),
            300..400 => discretion.misconfigured(&format!("redirects are not followed: {summary}")),
            408 | 425 | 429 => discretion.deferred(&summary, answer.retry_after),
            400..500 => discretion.refused(&summary),
            _ => discretion.deferred(&format!("not the expected ok: {summary}"), answer.retry_after),
        }
    }
}
