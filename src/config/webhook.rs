//! `[[channel]]` with `kind = "webhook"`: its form, and the keys that only this form has. Nothing is read here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Value;

use super::address;
use super::channel::{extra_roots, required_secret, timeout};
use super::problem::Refusal;
use super::secret::{SecretSource, secret};
use super::section::Section;
use super::value;

/// At most so many secrets sign a webhook.
const SIGNING_SECRETS_MAX: usize = 5;

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The address.
    pub url: UrlSource,
    /// In which form it tells, with what that needs.
    pub format: FormatConfig,
    /// For the whole attempt.
    pub timeout: Duration,
    /// A PEM file with further roots to trust.
    pub extra_roots: Option<PathBuf>,
    /// Link-local and metadata addresses are refused unless this is set.
    pub allow_link_local: bool,
}

/// An address that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlSource {
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
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Standard,
    Discord,
}

const NAMES: &[(&str, Name)] = &[("standard", Name::Standard), ("discord", Name::Discord)];
/// Words that will be there one day.
const LATER: &[&str] = &["tradingview", "ntfy", "pagerduty", "alertmanager", "teams", "telegram"];
/// Keys that belong to one form only.
const OWN_KEYS: &[(&str, Name, &str)] = &[("secret", Name::Standard, "standard")];

/// The webhook. `None` when something is wrong with it, which then has been told.
pub(super) fn webhook(channel: &Section<'_>, dir: &Path) -> Option<WebhookConfig> {
    let name = match channel.get("format") {
        Some(_) => channel.read("format", value::choice(NAMES, LATER)),
        None => Some(Name::Standard),
    };
    let url = url(channel, name, dir);
    let format = name.and_then(|name| format(channel, name, dir));
    let timeout = timeout(channel);
    let extra_roots = extra_roots(channel, dir);
    let allow_link_local = channel.read("allow_link_local", value::flag).unwrap_or(false);
    Some(WebhookConfig { url: url?, format: format?, timeout, extra_roots, allow_link_local })
}

/// Who knows the address of some services may post there, so it is a secret as it is for Slack.
fn url(channel: &Section<'_>, name: Option<Name>, dir: &Path) -> Option<UrlSource> {
    match name {
        Some(Name::Discord) => {
            let right = "like { credential = \"discord-webhook-url\" }; the address is the secret";
            required_secret(channel, "url", right, dir).map(UrlSource::Secret)
        }
        Some(Name::Standard) | None => open_url(channel, "like \"https://example.com/hooks\"", dir),
    }
}

fn open_url(channel: &Section<'_>, right: &str, dir: &Path) -> Option<UrlSource> {
    match channel.require("url", right, Ok) {
        Some(Value::Table(_)) => required_secret(channel, "url", "an address", dir).map(UrlSource::Secret),
        Some(_) => channel.read("url", plain_url).map(UrlSource::Plain),
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
    }
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
        let url = match &self.url {
            UrlSource::Secret(source) => Some(("url", source)),
            UrlSource::Plain(_) => None,
        };
        let own = match &self.format {
            FormatConfig::Standard { secrets } => secrets.iter().map(|source| ("secret", source)).collect(),
            FormatConfig::Discord => Vec::new(),
        };
        url.into_iter().chain(own).collect()
    }
}
