//! The body of a publication by JSON at an ntfy server.

use serde_json::{Map, Value, json};

use crate::event::{Event, Severity};
use crate::outbox::message::formats::{Words, headline, inert, plain};

/// A title is what fits on a lock screen; ntfy has no limit of its own.
const TITLE_MAX: usize = 200;
/// A message of more than 4,096 bytes becomes an attachment, and the whole JSON may be twice as long. Quotes,
/// backslashes and line ends take two bytes in JSON.
const MESSAGE_BYTES: usize = 3_400;
/// The longest tag, and how many of the level's own are given.
const TAG_MAX: usize = 40;
const OWN_TAGS_MAX: usize = 5;

/// The body of the request.
#[must_use]
pub fn body(event: &Event, words: &Words, topic: &str) -> Value {
    let mut body = Map::new();
    body.insert("topic".into(), json!(topic));
    body.insert("title".into(), json!(headline(words, TITLE_MAX)));
    body.insert("message".into(), json!(plain(words, MESSAGE_BYTES, str::len)));
    body.insert("priority".into(), json!(priority(event.severity)));
    body.insert("tags".into(), json!(tags(event)));
    if let Some(page) = &words.page {
        body.insert("click".into(), json!(page));
    }
    Value::Object(body)
}

/// 1 is the least, 3 the default, 5 the most urgent.
const fn priority(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 2,
        Severity::Normal => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

/// An emoji for what is urgent, then kind, instrument and the level's own tags. A comma would divide a tag.
fn tags(event: &Event) -> Vec<String> {
    let emoji = match event.severity {
        Severity::Info | Severity::Normal => None,
        Severity::High => Some("warning"),
        Severity::Critical => Some("rotating_light"),
    };
    let own = event.about.tags.iter().take(OWN_TAGS_MAX).map(String::as_str);
    emoji
        .into_iter()
        .chain([event.kind.as_str()])
        .chain(event.instrument.as_deref())
        .chain(own)
        .map(|tag| inert::line(&inert::clip(tag, TAG_MAX).replace(',', " "), TAG_MAX))
        .filter(|tag| !tag.is_empty())
        .collect()
}
