//! The Slack message: Block Kit, with a text for notifications and screen readers.
//!
//! Slack reads `&`, `<` and `>` everywhere and `*_~` and backquotes in mrkdwn only. So values stand in
//! `plain_text` with the three escaped, and mrkdwn holds nothing but the link
//! to the page.

use serde_json::{Value, json};

use crate::event::Event;
use crate::outbox::message::facts::Fact;
use crate::outbox::message::{Context, Parts, inert, text};

/// Slack's limits, in characters of the escaped text.
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3_000;
const FIELD_MAX: usize = 2_000;
const FIELDS_MAX: usize = 10;
/// All text of a message together stays below Slack's about 12,000.
const TOTAL_MAX: usize = 11_000;
/// The lines that go into the small print below; the page is a link there.
const CONTEXT_LABELS: &[&str] = &["Event", "Thread"];

/// The body of the request.
pub(super) fn body(event: &Event, context: &Context, parts: &Parts) -> Value {
    let headline = text::headline(event, context, parts);
    let lines: Vec<&str> = parts.meaning.into_iter().chain(parts.marks.iter().map(String::as_str)).collect();
    let mut blocks = vec![json!({ "type": "header", "text": plain(&headline, HEADER_MAX) })];
    if !lines.is_empty() {
        blocks.push(json!({ "type": "section", "text": plain(&lines.join("\n"), SECTION_MAX) }));
    }
    blocks.extend(sections(parts));
    blocks.push(json!({ "type": "context", "elements": small_print(context, parts) }));
    let fallback = std::iter::once(headline.as_str()).chain(lines).collect::<Vec<_>>().join("\n");
    json!({ "text": escaped(&fallback, SECTION_MAX), "blocks": blocks })
}

/// The facts, ten to a section, as many as there is room for.
fn sections(parts: &Parts) -> Vec<Value> {
    let mut room = TOTAL_MAX.saturating_sub(SECTION_MAX);
    let mut fields = Vec::new();
    for fact in parts.facts.iter().filter(|fact| !in_small_print(fact) && fact.label != "Page") {
        let field = escaped(&format!("{}\n{}", fact.label, fact.value), FIELD_MAX.min(room));
        room = room.saturating_sub(field.chars().count());
        if room == 0 {
            break;
        }
        fields.push(json!({ "type": "plain_text", "text": field, "emoji": false }));
    }
    fields.chunks(FIELDS_MAX).map(|fields| json!({ "type": "section", "fields": fields })).collect()
}

/// The event id ties the messages of a thread together: a webhook has no threads.
fn small_print(context: &Context, parts: &Parts) -> Vec<Value> {
    let link = context.url.as_deref().and_then(link).map(|link| json!({ "type": "mrkdwn", "text": link }));
    let lines = parts.facts.iter().filter(|fact| in_small_print(fact));
    let ids = lines.map(|fact| plain(&format!("{} {}", fact.label, fact.value), FIELD_MAX));
    link.into_iter().chain(ids).collect()
}

/// The page's address comes from the configuration; it must not end the link early all the same.
fn link(url: &str) -> Option<String> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    let clean = !url.contains(|c: char| matches!(c, '<' | '>' | '|') || c.is_whitespace() || c.is_control());
    (web && clean && url.len() < FIELD_MAX / 2)
        .then(|| format!("<{}|Open the thread>", url.replace('&', "&amp;")))
}

fn in_small_print(fact: &Fact) -> bool {
    CONTEXT_LABELS.contains(&fact.label.as_str())
}

fn plain(text: &str, max: usize) -> Value {
    json!({ "type": "plain_text", "text": escaped(text, max), "emoji": false })
}

/// `text` with Slack's control characters escaped, cut between characters so that it stays within `max`.
fn escaped(text: &str, max: usize) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let whole = escape(text);
    if whole.chars().count() <= max {
        return whole;
    }
    let mut length = 0usize;
    let fits = |c: &char| {
        length = length.saturating_add(match c {
            '&' => 5,
            '<' | '>' => 4,
            _ => 1,
        });
        length < max
    };
    let kept: String = text.chars().take_while(fits).collect();
    inert::clip(&format!("{}…", escape(kept.trim_end())), max)
}
