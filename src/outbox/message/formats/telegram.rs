//! A `sendMessage` of Telegram's Bot API.
//!
//! Without a `parse_mode` nothing in the text is markup, so nothing needs escaping.

use serde_json::{Map, Value, json};

use crate::event::{Event, Severity};
use crate::outbox::message::formats::{Words, headline, length, plain};

/// Telegram's limit of a text.
const TEXT_MAX: usize = 4_096;
const HEADLINE_MAX: usize = 300;

/// The chat that is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chat {
    /// A user, a group (below zero) or a channel.
    Id(i64),
    /// A public channel or group: `@name`.
    Name(String),
}

/// The body of the request.
#[must_use]
pub fn body(event: &Event, words: &Words, chat: &Chat) -> Value {
    let mut body = Map::new();
    let chat = match chat {
        Chat::Id(id) => json!(id),
        Chat::Name(name) => json!(name),
    };
    body.insert("chat_id".into(), chat);
    body.insert("text".into(), json!(text(words)));
    body.insert("link_preview_options".into(), json!({ "is_disabled": true }));
    if event.severity == Severity::Info {
        body.insert("disable_notification".into(), json!(true));
    }
    Value::Object(body)
}

/// The fact, an empty line, and everything else; or a text of one's own.
fn text(words: &Words) -> String {
    if words.own_text.is_some() {
        return plain(words, TEXT_MAX, length);
    }
    let headline = headline(words, HEADLINE_MAX);
    let room = TEXT_MAX.saturating_sub(length(&headline)).saturating_sub(2);
    format!("{headline}\n\n{}", plain(words, room, length))
}
