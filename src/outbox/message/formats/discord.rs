//! The body of a Discord webhook: the fact as content, the rest as one embed.
//!
//! Nobody is mentioned, whatever a text says: `allowed_mentions` is empty. Discord reads Markdown in content,
//! titles, descriptions and fields, so what means something there is escaped.

use serde_json::{Map, Value, json};

use crate::event::{Event, Severity};
use crate::outbox::message::facts::Fact;
use crate::outbox::message::formats::{Words, fitted, headline, is_link, length};

/// Discord's limits, of the escaped text.
const CONTENT_MAX: usize = 2_000;
const DESCRIPTION_MAX: usize = 4_096;
const FIELDS_MAX: usize = 25;
const NAME_MAX: usize = 256;
const VALUE_MAX: usize = 1_024;
const FOOTER_MAX: usize = 2_048;
/// All text of the embeds of a message together.
const EMBED_MAX: usize = 6_000;
/// Discord refuses a field without a name, which a name of invisible characters would be.
const NAMELESS: &str = "?";
/// Shorter values stand side by side.
const INLINE_MAX: usize = 40;

/// The body of the request.
#[must_use]
pub fn body(event: &Event, words: &Words) -> Value {
    json!({
        "content": escaped(&headline(words, CONTENT_MAX), CONTENT_MAX),
        "embeds": [embed(event, words)],
        "allowed_mentions": { "parse": [] },
    })
}

fn embed(event: &Event, words: &Words) -> Value {
    let footer = fitted(event.id.as_str(), FOOTER_MAX);
    let description = escaped(&words.lines.join("\n"), DESCRIPTION_MAX);
    let room = EMBED_MAX.saturating_sub(length(&footer)).saturating_sub(length(&description));
    let mut embed = Map::new();
    embed.insert("color".into(), json!(colour(event.severity)));
    embed.insert("timestamp".into(), json!(event.occurred_at));
    embed.insert("fields".into(), fields(&words.facts, room));
    embed.insert("footer".into(), json!({ "text": footer }));
    if !description.is_empty() {
        embed.insert("description".into(), json!(description));
    }
    if let Some(page) = &words.page {
        let title = "Open the thread";
        embed.insert("title".into(), json!(title));
        embed.insert("url".into(), json!(page));
    }
    Value::Object(embed)
}

/// As many facts as there is room for; the event's id is the footer, and the page is the title's link.
fn fields(facts: &[Fact], room: usize) -> Value {
    // The title's length is kept free.
    let mut room = room.saturating_sub(NAME_MAX);
    let mut fields = Vec::new();
    for fact in facts.iter().filter(|fact| !matches!(fact.label.as_str(), "Event" | "Page")) {
        let name = if fact.label.is_empty() { NAMELESS.to_owned() } else { escaped(&fact.label, NAME_MAX) };
        let value = if is_link(&fact.value) { fact.value.clone() } else { escaped(&fact.value, VALUE_MAX) };
        let size = length(&name).saturating_add(length(&value));
        let Some(left) = room.checked_sub(size).filter(|_| fields.len() < FIELDS_MAX) else {
            break;
        };
        room = left;
        fields.push(json!({ "name": name, "value": value, "inline": length(&value) <= INLINE_MAX }));
    }
    Value::Array(fields)
}

const fn colour(severity: Severity) -> u32 {
    match severity {
        Severity::Info => 0x006b_7280,
        Severity::Normal => 0x0025_63eb,
        Severity::High => 0x00d9_7706,
        Severity::Critical => 0x00dc_2626,
    }
}

/// `text` with a backslash before what Markdown reads, cut between characters so that it stays within `max`.
fn escaped(text: &str, max: usize) -> String {
    let escape = |text: &str| {
        let mut escaped = String::with_capacity(text.len());
        for c in text.chars() {
            if matches!(c, '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '>' | '[' | ']' | '#' | '@') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    };
    let mut kept = text.to_owned();
    loop {
        let whole = escape(&kept);
        let Some(over) = length(&whole).checked_sub(max).filter(|&over| over > 0) else {
            return whole;
        };
        // Escaping at most doubles, so half of what is too much goes each time.
        let shorter = length(&kept).saturating_sub(over.div_ceil(2)).max(1);
        kept = fitted(&kept, shorter);
    }
}
