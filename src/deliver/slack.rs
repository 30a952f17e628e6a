//! Slack: an incoming webhook, whose address is the secret, or a bot that calls `chat.postMessage`.
//!
//! A webhook returns nothing to answer to. A bot's receipt names the message, so that the later ones of a thread
//! are posted as answers to its first.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::deliver::http::{Answer, Peer, PeerSettings};
use crate::deliver::{DeliverError, Letter, SlackSettings, SlackWay};
use crate::event::Severity;
use crate::outbox::Outcome;

/// Slack takes one message a second per webhook, and per channel of a bot.
const PACE: Duration = Duration::from_secs(1);
/// Answers of a webhook that no repetition changes, whatever their status.
const FINAL_WORDS: &[&str] = &["no_service", "channel_is_archived", "channel_not_found", "invalid_payload"];
/// Errors of the message itself: no repetition changes them, and no person can.
const MESSAGE_WRONG: &[&str] = &[
    "attachment_payload_limit_exceeded",
    "duplicate_message_not_found",
    "invalid_arg_name",
    "invalid_arguments",
    "invalid_array_arg",
    "invalid_blocks",
    "invalid_blocks_format",
    "invalid_charset",
    "invalid_form_data",
    "invalid_json",
    "invalid_post_type",
    "json_not_object",
    "missing_post_type",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_text",
    "too_many_attachments",
    "too_many_contact_cards",
];
/// Errors of the token, the channel or the workspace: a person must act.
const SETUP_WRONG: &[&str] = &[
    "access_denied",
    "accesslimited",
    "account_inactive",
    "app_missing_action_url",
    "as_user_not_supported",
    "cannot_post_to_channel",
    "channel_is_frozen",
    "channel_not_found",
    "channel_type_not_supported",
    "deprecated_endpoint",
    "duplicate_channel_not_found",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "is_archived",
    "is_inactive",
    "messages_tab_disabled",
    "method_deprecated",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "org_login_required",
    "restricted_action",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "slack_connect_blocked_file_type",
    "slack_connect_clip_sharing_blocked",
    "slack_connect_file_link_sharing_blocked",
    "slack_connect_file_upload_sharing_blocked",
    "team_access_not_granted",
    "team_not_found",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
];
/// Errors of the thread: the message can still stand by itself.
const THREAD_WRONG: &[&str] = &[
    "cannot_reply_to_message",
    "invalid_thread_ts",
    "message_not_found",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
    "thread_locked",
    "thread_not_found",
];

/// The channel.
pub struct Slack {
    peer: Peer,
    pace: Mutex<Option<Interval>>,
    /// Without it, an incoming webhook.
    bot: Option<Bot>,
}

/// What `chat.postMessage` is sent.
#[derive(Serialize)]
struct Post<'a> {
    channel: &'a str,
    text: Option<&'a Value>,
    blocks: Option<&'a Value>,
    unfurl_links: bool,
    unfurl_media: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_broadcast: Option<bool>,
}

/// What it answers; what is no such answer says nothing.
struct Said {
    ok: bool,
    error: Option<String>,
    /// The scope that is missing.
    needed: Option<String>,
    ts: Option<String>,
    channel: Option<String>,
    /// The first message, when this one answers to it.
    thread: Option<String>,
}

/// Who speaks where.
struct Bot {
    /// `Bearer xoxb-…`
    authorization: HeaderValue,
    channel: String,
}

impl Slack {
    /// A bot's messages do.
    pub(super) const fn answers(&self) -> bool {
        self.bot.is_some()
    }

    pub(super) fn open(settings: SlackSettings) -> Result<Self, DeliverError> {
        let (url, bot, secrets) = match settings.way {
            SlackWay::Webhook { url } => (url, None, Vec::new()),
            SlackWay::Bot { token, channel, api } => {
                let url = SecretString::from(format!("{}/chat.postMessage", api.trim_end_matches('/')));
                let token = token.expose_secret().to_owned();
                (url, Some(Bot { authorization: bearer(&token)?, channel }), vec![token])
            }
        };
        let peer = Peer::open(PeerSettings {
            channel: "slack",
            url: &url,
            timeout: settings.timeout,
            extra_roots: None,
            allow_link_local: false,
            secrets,
        })?;
        Ok(Self { peer, pace: Mutex::new(None), bot })
    }

    /// Posts the message. Attempts wait for each other, so that at most one begins per second; that wait is
    /// not part of the timeout.
    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        let Some(bot) = &self.bot else {
            let body = letter.message.slack.to_string();
            return match self.post(HeaderMap::new(), body, letter).await {
                Ok(answer) => self.classify(&answer),
                Err(outcome) => outcome,
            };
        };
        let thread = letter.thread_receipt.and_then(|receipt| root_of(receipt, &bot.channel));
        let answer = self.post(bot.headers(), bot.body(letter, thread), letter).await;
        let answer = match answer {
            // Nobody can answer to a message that is gone; alone it is still told.
            Ok(answer) if thread.is_some() && is_thread_wrong(&answer) => {
                self.post(bot.headers(), bot.body(letter, None), letter).await
            }
            Ok(_) | Err(_) => answer,
        };
        match answer {
            Ok(answer) => self.classify_bot(&answer),
            Err(outcome) => outcome,
        }
    }

    async fn post(&self, headers: HeaderMap, body: String, letter: &Letter<'_>) -> Result<Answer, Outcome> {
        self.pace().await;
        self.peer.post(headers, body, letter.sent_at).await
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

    /// Slack says 200 to nearly everything; the answer's `ok` and `error` decide.
    fn classify_bot(&self, answer: &Answer) -> Outcome {
        let (discretion, summary) = (&self.peer.discretion, answer.summary());
        let said = Said::read(&answer.body);
        if answer.status == 200 && said.ok {
            return discretion.accepted(&receipt(&said));
        }
        match (said.error.as_deref(), answer.status) {
            (Some(error), _) if SETUP_WRONG.contains(&error) => {
                discretion.misconfigured(&setup(error, &said))
            }
            (Some(error), _) if MESSAGE_WRONG.contains(&error) => discretion.refused(&summary),
            // What is not known today may pass; if it does not, the message is given up in the end.
            (Some(_), _) | (None, 200..300 | 408 | 425 | 429 | 500..) => {
                discretion.deferred(&summary, answer.retry_after)
            }
            (None, 300..400) => discretion.misconfigured(&format!("redirects are not followed: {summary}")),
            (None, 401 | 403 | 404) => discretion.misconfigured(&summary),
            (None, 400..500) => discretion.refused(&summary),
            (None, _) => discretion.deferred(&summary, answer.retry_after),
        }
    }
}

impl Bot {
    fn headers(&self) -> HeaderMap {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        HeaderMap::from_iter([(AUTHORIZATION, self.authorization.clone()), (CONTENT_TYPE, json)])
    }

    /// What is critical is also shown in the channel, where it is seen without opening the thread.
    fn body(&self, letter: &Letter<'_>, thread: Option<&str>) -> String {
        let post = Post {
            channel: &self.channel,
            text: letter.message.slack.get("text"),
            blocks: letter.message.slack.get("blocks"),
            unfurl_links: false,
            unfurl_media: false,
            thread_ts: thread,
            reply_broadcast: thread.map(|_| letter.event.severity == Severity::Critical),
        };
        serde_json::json!(post).to_string()
    }
}

impl Said {
    fn read(body: &str) -> Self {
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            ok: said.get("ok") == Some(&Value::Bool(true)),
            error: text("/error"),
            needed: text("/needed"),
            ts: text("/ts"),
            channel: text("/channel"),
            thread: text("/message/thread_ts"),
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, DeliverError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| DeliverError::BadHeader { what: "the token of a slack channel".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn is_thread_wrong(answer: &Answer) -> bool {
    Said::read(&answer.body).error.is_some_and(|error| THREAD_WRONG.contains(&error.as_str()))
}

/// `missing_scope (needed: chat:write)`
fn setup(error: &str, said: &Said) -> String {
    said.needed.as_deref().map_or_else(|| error.to_owned(), |scope| format!("{error} (needed: {scope})"))
}

/// `ts 1732566672.000200 in C0123456789`, and for an answer also `, thread 1732566672.000100`.
fn receipt(said: &Said) -> String {
    let (Some(ts), Some(channel)) = (&said.ts, &said.channel) else {
        return "ok".to_owned();
    };
    let thread = said.thread.as_ref().filter(|thread| *thread != ts);
    let thread = thread.map(|thread| format!(", thread {thread}")).unwrap_or_default();
    format!("ts {ts} in {channel}{thread}")
}

/// The message to answer to, by the receipt of an earlier one; none when that was posted elsewhere.
fn root_of<'a>(receipt: &'a str, channel: &str) -> Option<&'a str> {
    let (message, thread) = receipt.split_once(", thread ").unwrap_or((receipt, ""));
    let (ts, posted_in) = message.strip_prefix("ts ")?.split_once(" in ")?;
    let root = if thread.is_empty() { ts } else { thread };
    let is_ts = root.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    // A channel by name is told apart by Slack, which knows no such message in another one.
    (is_ts && (channel.starts_with('#') || channel == posted_in)).then_some(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receipt_of_any_message_of_a_thread_leads_to_its_first() {
        let first = Said::read(r#"{"channel":"C0123456789","ts":"1.0001","message":{"text":"x"}}"#);
        assert_eq!(receipt(&first), "ts 1.0001 in C0123456789");
        let answer =
            Said::read(r#"{"channel":"C0123456789","ts":"2.0002","message":{"thread_ts":"1.0001"}}"#);
        assert_eq!(receipt(&answer), "ts 2.0002 in C0123456789, thread 1.0001");
        for said in [&first, &answer] {
            assert_eq!(root_of(&receipt(said), "C0123456789"), Some("1.0001"));
            assert_eq!(root_of(&receipt(said), "#alerts"), Some("1.0001"));
            assert_eq!(root_of(&receipt(said), "C0000000000"), None, "the channel is another one now");
        }
        for other in ["", "ok", "ts ", "ts 1.0", "ts x in C0123456789", "250 queued as ABC"] {
            assert_eq!(root_of(other, "C0123456789"), None, "{other}");
        }
    }

    #[test]
    fn an_error_has_one_class_only() {
        let mut all = [MESSAGE_WRONG, SETUP_WRONG, THREAD_WRONG].concat();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
