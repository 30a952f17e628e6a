//! A message with one Adaptive Card, as a Teams workflow or incoming webhook takes it.
//!
//! Teams reads Markdown in text blocks and facts, and none in rich text. So everything is rich text, and nothing
//! needs escaping; nobody is mentioned without an entity, of which there are none.

use serde_json::{Map, Value, json};

use crate::event::{Event, Severity};
use crate::outbox::message::formats::{Words, fitted, headline};

/// Teams takes about 28 KB, some say 21; the whole JSON stays below this, in bytes.
const BODY_MAX: usize = 20_000;
const HEADLINE_MAX: usize = 300;
const LINES_MAX: usize = 1_500;
const LABEL_MAX: usize = 100;
const VALUE_MAX: usize = 600;

/// The body of the request.
#[must_use]
pub fn body(event: &Event, words: &Words) -> Value {
    let mut blocks = vec![json!({
        "type": "RichTextBlock",
        "inlines": [{
            "type": "TextRun",
            "text": headline(words, HEADLINE_MAX),
            "size": "Large",
            "weight": "Bolder",
            "color": colour(event.severity),
        }],
    })];
    if !words.lines.is_empty() {
        let lines = fitted(&words.lines.join(" "), LINES_MAX);
        blocks.push(json!({ "type": "RichTextBlock", "inlines": [run(&lines)] }));
    }
    let room = BODY_MAX.saturating_sub(size(&message(blocks.clone(), words)));
    blocks.extend(facts(words, room));
    message(blocks, words)
}

fn message(blocks: Vec<Value>, words: &Words) -> Value {
    let mut card = Map::new();
    card.insert("$schema".into(), json!("http://adaptivecards.io/schemas/adaptive-card.json"));
    card.insert("type".into(), json!("AdaptiveCard"));
    card.insert("version".into(), json!("1.2"));
    card.insert("body".into(), Value::Array(blocks));
    if let Some(page) = &words.page {
        let open = json!({ "type": "Action.OpenUrl", "title": "Open the thread", "url": page });
        card.insert("actions".into(), json!([open]));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// One line each, as many as there is room for; the page is a button.
fn facts(words: &Words, room: usize) -> Vec<Value> {
    let mut room = room;
    let mut blocks = Vec::new();
    for fact in words.facts.iter().filter(|fact| fact.label != "Page") {
        let label = format!("{}: ", fitted(&fact.label, LABEL_MAX));
        let label = json!({ "type": "TextRun", "text": label, "weight": "Bolder" });
        let value = run(&fitted(&fact.value, VALUE_MAX));
        let block = json!({ "type": "RichTextBlock", "spacing": "None", "inlines": [label, value] });
        // One more for the comma.
        let Some(left) = room.checked_sub(size(&block).saturating_add(1)) else {
            break;
        };
        room = left;
        blocks.push(block);
    }
    blocks
}

fn run(text: &str) -> Value {
    json!({ "type": "TextRun", "text": text })
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Default",
        Severity::Normal => "Accent",
        Severity::High => "Warning",
        Severity::Critical => "Attention",
    }
}
