//! `[[channel]]` with `kind = "slack"`: an incoming webhook, or a bot. Nothing is read here.

use std::path::Path;
use std::time::Duration;

use toml::Value;

use super::address;
use super::channel::{required_secret, timeout};
use super::problem::{ProblemKind, Refusal, quoted};
use super::secret::SecretSource;
use super::section::Section;
use super::value;

/// Where Slack's methods are.
const API: &str = "https://slack.com/api";
/// How long the id of a channel is.
const CHANNEL_ID: std::ops::RangeInclusive<usize> = 9..=14;
/// The longest name of a channel, in characters.
const CHANNEL_NAME_MAX: usize = 80;
/// How the tokens of bots begin; the second one is rotated.
const BOT_TOKENS: &[&str] = &["xoxb-", "xoxe.xoxb-"];

/// Slack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackConfig {
    /// How it is reached.
    pub way: SlackWayConfig,
    /// For one request.
    pub timeout: Duration,
}

/// How Slack is reached, with the source of its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlackWayConfig {
    /// An incoming webhook.
    Webhook {
        /// The address is the secret.
        url: SecretSource,
    },
    /// A bot.
    Bot {
        /// Its token.
        token: SecretSource,
        /// `C0123456789` or `#name`.
        channel: String,
        /// Where the methods are.
        api: String,
    },
}

/// The channel. `None` when something is wrong with it, which then has been told.
pub(super) fn slack(channel: &Section<'_>, dir: &Path) -> Option<SlackConfig> {
    let timeout = timeout(channel);
    let has_url = channel.get("url").is_some();
    let has_bot = ["token", "channel", "api"].map(|key| channel.get(key).is_some());
    let way = match (has_url, has_bot) {
        (true, [false, false, false]) => webhook(channel, dir),
        (false, [false, false, false]) => {
            let text = "is missing; like { credential = \"slack-webhook-url\" } for an incoming webhook, \
                 or token and channel for a bot";
            channel.refuse("url", Refusal { kind: ProblemKind::Missing, text: text.into() });
            None
        }
        (false, _) => bot(channel, dir),
        (true, _) => {
            channel.refuse(
                "url",
                "belongs to an incoming webhook, and token, channel and api belong to a bot; \
                 a channel is one of the two",
            );
            None
        }
    };
    Some(SlackConfig { way: way?, timeout })
}

fn webhook(channel: &Section<'_>, dir: &Path) -> Option<SlackWayConfig> {
    let right = "like { credential = \"slack-webhook-url\" }; the address is the secret";
    required_secret(channel, "url", right, dir).map(|url| SlackWayConfig::Webhook { url })
}

fn bot(channel: &Section<'_>, dir: &Path) -> Option<SlackWayConfig> {
    let right = "like { credential = \"slack-bot-token\" }; the token of a bot with the scope chat:write";
    let token = required_secret(channel, "token", right, dir);
    let place = channel.require("channel", "like \"C0123456789\", or \"#alerts\"", place);
    let api = match channel.get("api") {
        Some(_) => channel.read("api", api),
        None => Some(API.to_owned()),
    };
    Some(SlackWayConfig::Bot { token: token?, channel: place?, api: api? })
}

fn api(value: &Value) -> Result<String, Refusal> {
    let text = value::text(value)?;
    address::check_channel(text)?;
    Ok(text.to_owned())
}

/// The id of a channel, or its name.
fn place(value: &Value) -> Result<String, Refusal> {
    let text = value::line(value)?;
    let is_id = CHANNEL_ID.contains(&text.len())
        && text.starts_with(['C', 'G', 'D'])
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let is_name = text.strip_prefix('#').is_some_and(|name| {
        let allowed = |c: char| (c.is_alphanumeric() && !c.is_uppercase()) || c == '-' || c == '_';
        !name.is_empty() && name.chars().count() <= CHANNEL_NAME_MAX && name.chars().all(allowed)
    });
    if is_id || is_name {
        return Ok(text);
    }
    let right =
        "the id of a channel like \"C0123456789\" (in Slack: About, at the end) nor a name like \"#alerts\"";
    Err(format!("{} is neither {right}", quoted(&text)).into())
}

/// What Slack gives a bot.
pub(super) fn check_token(text: &str) -> Result<(), Refusal> {
    let known = BOT_TOKENS.iter().any(|start| text.starts_with(start));
    if known && text.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err("is not the token of a bot, which begins with xoxb-".into())
}

impl SlackConfig {
    /// The source of its secret, with its key.
    pub(super) const fn secret_source(&self) -> (&'static str, &SecretSource) {
        match &self.way {
            SlackWayConfig::Webhook { url } => ("url", url),
            SlackWayConfig::Bot { token, .. } => ("token", token),
        }
    }
}
