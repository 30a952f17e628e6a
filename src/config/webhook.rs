//! `[[channel]]` with `kind = "webhook"`: its form, and the keys that only this form has. Nothing is read here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::address;
use super::channel::{extra_roots, required_secret, timeout};
use super::header::{HeadersConfig, headers};
use super::problem::{Refusal, quoted};
use super::secret::{SecretSource, secret};
use super::section::Section;
use super::value;
use crate::outbox::message::formats::telegram::Chat;

/// At most so many secrets sign a webhook.
const SIGNING_SECRETS_MAX: usize = 5;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address.
    pub url: TextSource,
    /// In which form it tells, with what that needs.
    pub format: FormatConfig,
    /// What is sent beside the body.
    pub headers: HeadersConfig,
    /// For the whole attempt.
    pub timeout: Duration,
    /// A PEM file with further roots to trust.
    pub extra_roots: Option<PathBuf>,
    /// Link-local and metadata addresses are refused unless this is set.
    pub allow_link_local: bool,
}

/// A text that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSource {
    /// As it stands.
    Plain(String),
    /// To be read.
    Secret(SecretSource),
}

/// In which form a webhook tells, with the sources of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatConfig {
    /// Signed JSON (Standard Webhooks).
    Standard {
        /// At least one; the first signs first.
        secrets: Vec<SecretSource>,
    },
    /// A Discord webhook.
    Discord,
    /// An ntfy server.
    Ntfy {
        /// Who knows it can read there.
        topic: TextSource,
    },
    /// PagerDuty's Events API v2.
    Pagerduty {
        /// The integration's key.
        routing_key: SecretSource,
    },
    /// Alertmanager's API v2.
    Alertmanager,
    /// A Teams workflow or incoming webhook.
    Teams,
    /// Telegram's `sendMessage`.
    Telegram {
        /// Who is written to.
        chat: Chat,
    },
    /// Any service that takes TradingView's alerts.
    Tradingview,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Standard,
    Discord,
    Ntfy,
    Pagerduty,
    Alertmanager,
    Teams,
    Telegram,
    Tradingview,
}

const NAMES: &[(&str, Name)] = &[
    ("standard", Name::Standard),
    ("discord", Name::Discord),
    ("ntfy", Name::Ntfy),
    ("pagerduty", Name::Pagerduty),
    ("alertmanager", Name::Alertmanager),
    ("teams", Name::Teams),
    ("telegram", Name::Telegram),
    ("tradingview", Name::Tradingview),
];
/// Keys that belong to one form only.
const OWN_KEYS: &[(&str, Name, &str)] = &[
    ("secret", Name::Standard, "standard"),
    ("topic", Name::Ntfy, "ntfy"),
    ("routing_key", Name::Pagerduty, "pagerduty"),
    ("chat_id", Name::Telegram, "telegram"),
];
/// How long PagerDuty's keys are.
const ROUTING_KEY_LENGTH: usize = 32;
/// How long the name of a public chat is, without its @.
const CHAT_NAME: std::ops::RangeInclusive<usize> = 4..=32;
/// The longest topic of ntfy.
const TOPIC_MAX: usize = 64;

/// The webhook. `None` when something is wrong with it, which then has been told.
pub(super) fn webhook(channel: &Section<'_>, dir: &Path) -> Option<WebhookConfig> {
    let name = match channel.get("format") {
        Some(_) => channel.read("format", value::choice(NAMES, &[])),
        None => Some(Name::Standard),
    };
    let url = url(channel, name, dir);
    let format = name.and_then(|name| format(channel, name, dir));
    let headers = headers(channel, dir);
    let timeout = timeout(channel);
    let extra_roots = extra_roots(channel, dir);
    let allow_link_local = channel.read("allow_link_local", value::flag).unwrap_or(false);
    Some(WebhookConfig { url: url?, format: format?, headers, timeout, extra_roots, allow_link_local })
}

/// Who knows the address of some services may post there, so it is a secret as it is for Slack.
fn url(channel: &Section<'_>, name: Option<Name>, dir: &Path) -> Option<TextSource> {
    match name {
        Some(Name::Discord) => secret_url(channel, "discord-webhook-url", dir),
        Some(Name::Teams) => secret_url(channel, "teams-webhook-url", dir),
        Some(Name::Telegram) => secret_url(channel, "telegram-send-message-url", dir),
        Some(Name::Ntfy) => {
            open_url(channel, "the server's address without the topic, like \"https://ntfy.sh\"", dir)
        }
        Some(Name::Pagerduty) => open_url(channel, "like \"https://events.pagerduty.com/v2/enqueue\"", dir),
        Some(Name::Tradingview) => open_url(channel, "like \"https://bot.example.com/hook\"", dir),
        Some(Name::Alertmanager) => open_url(channel, "like \"http://127.0.0.1:9093/api/v2/alerts\"", dir),
        Some(Name::Standard) | None => open_url(channel, "like \"https://example.com/hooks\"", dir),
    }
}

fn secret_url(channel: &Section<'_>, credential: &str, dir: &Path) -> Option<TextSource> {
    let right = format!("like {{ credential = \"{credential}\" }}; the address is the secret");
    required_secret(channel, "url", &right, dir).map(TextSource::Secret)
}

fn open_url(channel: &Section<'_>, right: &str, dir: &Path) -> Option<TextSource> {
    maybe_secret(channel, ("url", right), plain_url, dir)
}

/// A text as it stands, or the source of a secret.
fn maybe_secret(
    channel: &Section<'_>,
    (key, right): (&'static str, &str),
    plain: impl Fn(&Value) -> Result<String, Refusal>,
    dir: &Path,
) -> Option<TextSource> {
    match channel.require(key, right, Ok) {
        Some(Value::Table(_)) => required_secret(channel, key, right, dir).map(TextSource::Secret),
        Some(_) => channel.read(key, plain).map(TextSource::Plain),
        None => None,
    }
}

fn plain_url(value: &Value) -> Result<String, Refusal> {
    let text = value::text(value)?;
    address::check_channel(text)?;
    Ok(text.to_owned())
}

fn format(channel: &Section<'_>, name: Name, dir: &Path) -> Option<FormatConfig> {
    for (key, owner, word) in OWN_KEYS {
        if channel.get(key).is_some() && *owner != name {
            let format = NAMES.iter().find(|(_, known)| *known == name).map_or("", |(word, _)| *word);
            channel.refuse(
                key,
                format!("belongs to format = \"{word}\"; format = \"{format}\" has no use for it"),
            );
        }
    }
    match name {
        Name::Standard => signing_secrets(channel, dir).map(|secrets| FormatConfig::Standard { secrets }),
        Name::Discord => Some(FormatConfig::Discord),
        Name::Alertmanager => Some(FormatConfig::Alertmanager),
        Name::Teams => Some(FormatConfig::Teams),
        Name::Tradingview => Some(FormatConfig::Tradingview),
        Name::Telegram => {
            let right = "like -1001234567890, or \"@channel\"";
            channel.require("chat_id", right, chat).map(|chat| FormatConfig::Telegram { chat })
        }
        Name::Ntfy => topic(channel, dir),
        Name::Pagerduty => {
            let right = "like { credential = \"pagerduty-routing-key\" }; the integration's key";
            let routing_key = required_secret(channel, "routing_key", right, dir)?;
            Some(FormatConfig::Pagerduty { routing_key })
        }
    }
}

fn topic(channel: &Section<'_>, dir: &Path) -> Option<FormatConfig> {
    let right = "like \"breakwatch-7f3a\", or { credential = \"ntfy-topic\" }; who knows it can read there";
    let plain = |value: &Value| {
        let text = value::text(value)?;
        check_topic(text).map(|()| text.to_owned())
    };
    maybe_secret(channel, ("topic", right), plain, dir).map(|topic| FormatConfig::Ntfy { topic })
}

/// What ntfy takes for a topic.
pub(super) fn check_topic(text: &str) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if (1..=TOPIC_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!("is not a topic of ntfy: 1 to {TOPIC_MAX} letters, digits, - and _").into())
}

/// A number, or the name of a public chat.
fn chat(value: &Value) -> Result<Chat, Refusal> {
    if let Some(id) = value.as_integer() {
        return Ok(Chat::Id(id));
    }
    let text = value::text(value)?;
    if let Ok(id) = text.parse() {
        return Ok(Chat::Id(id));
    }
    let is_name = |name: &str| {
        CHAT_NAME.contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match text.strip_prefix('@') {
        Some(name) if is_name(name) => Ok(Chat::Name(text.to_owned())),
        Some(_) | None => {
            Err(format!("{} is neither a number like -1001234567890 nor like \"@channel\"", quoted(text))
                .into())
        }
    }
}

/// The address of the one method that is used.
pub(super) fn check_send_message(text: &str) -> Result<(), Refusal> {
    address::check_channel(text)?;
    if text.trim_end().ends_with("/sendMessage") {
        return Ok(());
    }
    Err("does not end in /sendMessage, as https://api.telegram.org/bot<token>/sendMessage does".into())
}

/// What PagerDuty takes for the key of an integration.
pub(super) fn check_routing_key(text: &str) -> Result<(), Refusal> {
    if text.len() == ROUTING_KEY_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format!("is not the key of an integration: {ROUTING_KEY_LENGTH} letters and digits").into())
}

/// One secret, or a list of them.
fn signing_secrets(channel: &Section<'_>, dir: &Path) -> Option<Vec<SecretSource>> {
    let right = "like { credential = \"webhook-secret\" }, or a list of two while one replaces the other";
    let given = channel.require("secret", right, Ok)?;
    let Some(sources) = given.as_array() else {
        return secret(channel, "secret", given, dir).map(|one| vec![one]);
    };
    if sources.is_empty() || sources.len() > SIGNING_SECRETS_MAX {
        channel.refuse("secret", format!("is not a list of 1 to {SIGNING_SECRETS_MAX} secrets"));
        return None;
    }
    let numbered = (1_usize..).zip(sources);
    numbered.map(|(n, source)| secret(channel, &format!("secret #{n}"), source, dir)).collect()
}

impl WebhookConfig {
    /// The sources of its secrets, with their keys.
    pub(super) fn secret_sources(&self) -> Vec<(&'static str, &SecretSource)> {
        let own: Vec<_> = match &self.format {
            FormatConfig::Standard { secrets } => secrets.iter().map(|source| ("secret", source)).collect(),
            FormatConfig::Discord
            | FormatConfig::Alertmanager
            | FormatConfig::Teams
            | FormatConfig::Telegram { .. }
            | FormatConfig::Tradingview => Vec::new(),
            FormatConfig::Ntfy { topic } => {
                topic.secret().map(|source| ("topic", source)).into_iter().collect()
            }
            FormatConfig::Pagerduty { routing_key } => vec![("routing_key", routing_key)],
        };
        let beside = self.headers.secrets.values().map(|source| ("secrets", source));
        self.url.secret().map(|source| ("url", source)).into_iter().chain(own).chain(beside).collect()
    }
}

impl TextSource {
    const fn secret(&self) -> Option<&SecretSource> {
        match self {
            Self::Secret(source) => Some(source),
            Self::Plain(_) => None,
        }
    }
}
