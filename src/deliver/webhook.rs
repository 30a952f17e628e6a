//! A webhook: signed as the Standard Webhooks specification says, or in the form that another service takes.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::deliver::http::{Answer, Peer, PeerSettings};
use crate::deliver::{DeliverError, HeaderText, Letter, WebhookFormat, WebhookSettings};
use crate::outbox::Outcome;
use crate::outbox::message::formats;

/// How long a secret's bytes may be.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
const PREFIX: &str = "whsec_";
/// So Telegram says that a chat does not exist, or that the bot is not in it.
const NO_CHAT: &str = "chat not found";
/// So an answer of Teams goes on with the status that Teams itself gave.
const TEAMS_FAILED: &str = "Microsoft Teams endpoint returned HTTP error";

/// The channel.
pub struct Webhook {
    peer: Peer,
    /// What signs; empty unless the format is signed.
    keys: Vec<Hmac<Sha256>>,
    format: WebhookFormat,
    /// Sent beside every body.
    beside: HeaderMap,
}

impl Webhook {
    pub(super) fn open(settings: &WebhookSettings) -> Result<Self, DeliverError> {
        let keys = match &settings.format {
            WebhookFormat::Standard { secrets } => keys(secrets)?,
            WebhookFormat::Discord
            | WebhookFormat::Ntfy { .. }
            | WebhookFormat::Pagerduty { .. }
            | WebhookFormat::Alertmanager
            | WebhookFormat::Teams
            | WebhookFormat::Telegram { .. }
            | WebhookFormat::Tradingview => Vec::new(),
        };
        let peer = Peer::open(PeerSettings {
            channel: "webhook",
            url: &settings.url,
            timeout: settings.timeout,
            extra_roots: settings.extra_roots.as_deref(),
            allow_link_local: settings.allow_link_local,
            secrets: hidden(settings),
        })?;
        Ok(Self { peer, keys, format: settings.format.clone(), beside: beside(&settings.headers)? })
    }

    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        let body = self.body(letter);
        let Some(signature) = self.headers(letter, &body) else {
            return self.peer.discretion.refused("the event id cannot stand in a header");
        };
        let mut headers = self.beside.clone();
        headers.extend(signature);
        match self.peer.post(headers, body, letter.sent_at).await {
            Ok(answer) => self.classify(&answer),
            Err(outcome) => outcome,
        }
    }

    fn body(&self, letter: &Letter<'_>) -> String {
        let (event, message) = (letter.event, letter.message);
        if let Some(body) = &message.body {
            return body.clone();
        }
        let body = match &self.format {
            WebhookFormat::Standard { .. } => return message.webhook.clone(),
            WebhookFormat::Discord => formats::discord::body(event, &message.words),
            WebhookFormat::Ntfy { topic } => {
                formats::ntfy::body(event, &message.words, topic.expose_secret())
            }
            WebhookFormat::Pagerduty { routing_key } => {
                formats::pagerduty::body(event, &message.words, routing_key.expose_secret())
            }
            WebhookFormat::Alertmanager => formats::alertmanager::body(event, &message.words, letter.sent_at),
            WebhookFormat::Teams => formats::teams::body(event, &message.words),
            WebhookFormat::Telegram { chat } => formats::telegram::body(event, &message.words, chat),
            WebhookFormat::Tradingview => formats::tradingview::body(event, &message.words, letter.sent_at),
        };
        body.to_string()
    }

    /// The three headers of Standard Webhooks; other services have no use for them.
    fn headers(&self, letter: &Letter<'_>, body: &str) -> Option<HeaderMap> {
        if self.keys.is_empty() {
            return Some(content_type(&self.format, body));
        }
        let (id, seconds) = (letter.event.id.as_str(), letter.sent_at.as_secs());
        header_map([
            ("webhook-id", id),
            ("webhook-timestamp", &seconds.to_string()),
            ("webhook-signature", &signature(&self.keys, id, seconds, body)),
        ])
    }

    fn classify(&self, answer: &Answer) -> Outcome {
        let (discretion, summary) = (&self.peer.discretion, answer.summary());
        let is_teams = matches!(self.format, WebhookFormat::Teams);
        let is_telegram = matches!(self.format, WebhookFormat::Telegram { .. });
        match answer.status {
            200..300 if is_teams && answer.body.contains(TEAMS_FAILED) => self.teams_failed(answer),
            200..300 => discretion.accepted(&summary),
            300..400 => discretion.misconfigured(&format!("redirects are not followed: {summary}")),
            401 | 403 => discretion.misconfigured(&summary),
            // No such bot, or no such chat: a person must act, and nothing is lost until then.
            404 if is_telegram => discretion.misconfigured(&summary),
            400 if is_telegram && answer.body.contains(NO_CHAT) => discretion.misconfigured(&summary),
            429 if is_telegram => discretion.deferred(&summary, answer.retry_after.or(flood(answer))),
            408 | 425 | 429 => discretion.deferred(&summary, answer.retry_after),
            410 => discretion.gone(&summary),
            400..500 => discretion.refused(&summary),
            _ => discretion.deferred(&summary, answer.retry_after),
        }
    }
}

/// How long Telegram wants nothing: its answer says so in the body.
fn flood(answer: &Answer) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
    body.pointer("/parameters/retry_after")?.as_u64().map(Duration::from_secs)
}

impl Webhook {
    /// An incoming webhook of Teams says 200 even when Teams itself did not take the message.
    fn teams_failed(&self, answer: &Answer) -> Outcome {
        let (discretion, summary) = (&self.peer.discretion, answer.summary());
        let passes = |status: &&str| answer.body.contains(&format!("{TEAMS_FAILED} {status}"));
        if ["429", "500", "502", "503", "504"].iter().any(passes) {
            return discretion.deferred(&summary, answer.retry_after);
        }
        discretion.refused(&summary)
    }
}

/// The configured headers.
fn beside(headers: &[(String, HeaderText)]) -> Result<HeaderMap, DeliverError> {
    let one = |(name, text): &(String, HeaderText)| {
        let bad = || DeliverError::BadHeader { what: format!("the header {name:?} of a webhook channel") };
        let mut value = HeaderValue::from_str(text.value.expose_secret()).map_err(|_| bad())?;
        value.set_sensitive(true);
        Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value))
    };
    headers.iter().map(one).collect()
}

/// What must not be shown besides the address. Of a header that is the secret in it, and the whole value; one
/// without a secret can be shown.
fn hidden(settings: &WebhookSettings) -> Vec<String> {
    let headers = settings.headers.iter().filter(|(_, text)| !text.secrets.is_empty());
    let values = headers.flat_map(|(_, text)| text.secrets.iter().chain([&text.value]));
    let values = values.map(|secret| secret.expose_secret().to_owned());
    hidden_of(&settings.format).into_iter().chain(values).collect()
}

fn hidden_of(format: &WebhookFormat) -> Vec<String> {
    match format {
        WebhookFormat::Standard { secrets } => secrets
            .iter()
            .map(|secret| secret.expose_secret().trim().trim_start_matches(PREFIX).to_owned())
            .collect(),
        WebhookFormat::Discord
        | WebhookFormat::Alertmanager
        | WebhookFormat::Teams
        | WebhookFormat::Telegram { .. }
        | WebhookFormat::Tradingview => Vec::new(),
        WebhookFormat::Ntfy { topic: secret } | WebhookFormat::Pagerduty { routing_key: secret } => {
            vec![secret.expose_secret().to_owned()]
        }
    }
}

fn keys(secrets: &[SecretString]) -> Result<Vec<Hmac<Sha256>>, DeliverError> {
    if secrets.is_empty() {
        return Err(DeliverError::NoSecret);
    }
    secrets.iter().map(key).collect()
}

fn key(secret: &SecretString) -> Result<Hmac<Sha256>, DeliverError> {
    let base64 = secret.expose_secret().trim().strip_prefix(PREFIX).ok_or(DeliverError::BadSecret)?;
    let bytes = BASE64.decode(base64).map_err(|_| DeliverError::BadSecret)?;
    if !SECRET_BYTES.contains(&bytes.len()) {
        return Err(DeliverError::BadSecret);
    }
    Hmac::new_from_slice(&bytes).map_err(|_| DeliverError::BadSecret)
}

/// `v1,` and the base64 of HMAC-SHA256 over `id.seconds.body`, once per key.
fn signature(keys: &[Hmac<Sha256>], id: &str, seconds: i64, body: &str) -> String {
    let signed = format!("{id}.{seconds}.{body}");
    let one = |key: &Hmac<Sha256>| {
        let mac = key.clone().chain_update(signed.as_bytes()).finalize();
        format!("v1,{}", BASE64.encode(mac.into_bytes()))
    };
    keys.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// TradingView sends as plain text what is not JSON; every other body is JSON.
fn content_type(format: &WebhookFormat, body: &str) -> HeaderMap {
    let is_text = matches!(format, WebhookFormat::Tradingview)
        && serde_json::from_str::<serde::de::IgnoredAny>(body).is_err();
    let plain = || (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    is_text.then(plain).into_iter().collect()
}

fn header_map(headers: [(&'static str, &str); 3]) -> Option<HeaderMap> {
    headers
        .into_iter()
        .map(|(name, value)| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of the Standard Webhooks specification.
        let key = key(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signature =
            signature(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_of_another_form_are_refused_and_not_shown() {
        let long = format!("whsec_{}", BASE64.encode([7; 65]));
        for secret in ["", "plain", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all!", &long] {
            let error = key(&secret.to_owned().into()).unwrap_err();
            assert!(matches!(error, DeliverError::BadSecret), "{secret}");
            assert!(!error.to_string().contains("c2hvcnQ"));
        }
        for length in [24, 64] {
            assert!(key(&format!("whsec_{}", BASE64.encode(vec![7; length])).into()).is_ok());
        }
    }
}
