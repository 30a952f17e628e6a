//! From what a template gave to what is sent: bounded, of the form that the peer takes, and with its marks.

use serde_json::Value;

use super::{Form, TemplateError, json};
use crate::outbox::message::{Parts, SUBJECT_MAX, inert};

/// The longest text and HTML, in bytes.
const TEXT_MAX: usize = 200_000;
/// The longest body of a request, in bytes: below 20 kB, as for every webhook.
const BODY_MAX: usize = 19_999;
/// Slack's limits: blocks, and characters of a header, of a section or another text, of a field, and of `text`.
const BLOCKS_MAX: usize = 50;
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3_000;
const FIELD_MAX: usize = 2_000;
const FALLBACK_MAX: usize = 4_000;
/// Discord's limits: characters of `content`, and embeds.
const CONTENT_MAX: usize = 2_000;
const EMBEDS_MAX: usize = 10;

/// Makes `raw` what is sent, or says why it cannot be.
pub(super) fn finish(form: Form, is_json: bool, raw: &str, parts: &Parts) -> Result<String, TemplateError> {
    let text = match form {
        Form::Line => inert::line(raw, SUBJECT_MAX),
        Form::Text | Form::Html | Form::Mrkdwn => printable(raw),
        Form::Blocks | Form::Object | Form::Discord | Form::Alert => raw.trim().to_owned(),
    };
    if text.trim().is_empty() {
        return Err(TemplateError::Empty);
    }
    let max = if matches!(form, Form::Text | Form::Html) { TEXT_MAX } else { BODY_MAX };
    if text.len() > max {
        return Err(TemplateError::TooLong { bytes: text.len(), max });
    }
    match form {
        Form::Line => Ok(inert::clip(&marked(&text, &parts.prefix), SUBJECT_MAX)),
        Form::Text | Form::Mrkdwn => Ok(marked(&text, &parts.prefix)),
        Form::Html => Ok(marked_page(text, &parts.prefix)),
        Form::Blocks => blocks(json::parse(&text)?),
        Form::Object => object(&json::parse(&text)?).map(|()| text),
        Form::Discord => discord(json::parse(&text)?),
        Form::Alert if is_json => json::parse(&text).map(|_| text),
        Form::Alert => Ok(printable(&text)),
    }
}

/// Without control characters. What others wrote is inert already; this is about the template's own text.
fn printable(raw: &str) -> String {
    raw.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// A message that is late, a test or a rehearsal says so, whatever its template says.
fn marked(text: &str, prefix: &str) -> String {
    if says(text, prefix) { text.to_owned() } else { format!("{prefix}{text}") }
}

fn marked_page(page: String, prefix: &str) -> String {
    if says(&page, prefix) {
        return page;
    }
    let mark = format!("<p><strong>{}</strong></p>", prefix.trim_end_matches([':', ' ']));
    let body = page.to_ascii_lowercase().find("<body");
    let begin = body.and_then(|body| page.get(body..)?.find('>').map(|end| body.saturating_add(end)));
    match begin.and_then(|end| page.split_at_checked(end.saturating_add(1))) {
        Some((head, rest)) => format!("{head}{mark}{rest}"),
        None => format!("{mark}{page}"),
    }
}

/// Whether every mark stands in `text`.
fn says(text: &str, prefix: &str) -> bool {
    let marks = ["TEST", "REHEARSAL", "LATE"];
    marks.iter().filter(|mark| prefix.contains(**mark)).all(|mark| text.contains(mark))
}

fn object(body: &Value) -> Result<(), TemplateError> {
    if body.is_object() { Ok(()) } else { Err(not_taken("it is not an object, { … }")) }
}

fn not_taken(why: &str) -> TemplateError {
    TemplateError::NotTaken(why.to_owned())
}

/// What Slack takes, as far as it can be known without asking it. Texts that are too long are cut.
fn blocks(mut body: Value) -> Result<String, TemplateError> {
    object(&body)?;
    let has_text = body.get("text").and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if let Some(text) = body.get_mut("text") {
        cut(text, FALLBACK_MAX);
    }
    match body.get_mut("blocks") {
        None if has_text => {}
        None => return Err(not_taken("it has neither text nor blocks")),
        Some(blocks) => match blocks.as_array_mut() {
            Some(blocks) if (1..=BLOCKS_MAX).contains(&blocks.len()) => {
                blocks.iter_mut().zip(1_usize..).try_for_each(|(block, n)| check_block(block, n))?;
            }
            Some(_) | None => {
                return Err(not_taken(&format!("blocks is not a list of 1 to {BLOCKS_MAX} blocks")));
            }
        },
    }
    Ok(body.to_string())
}

fn check_block(block: &mut Value, n: usize) -> Result<(), TemplateError> {
    let Some(kind) = block.get("type").and_then(Value::as_str).map(str::to_owned) else {
        return Err(not_taken(&format!("block {n} has no type")));
    };
    let max = if kind == "header" { HEADER_MAX } else { SECTION_MAX };
    let text = block.get_mut("text").and_then(|text| text.get_mut("text"));
    check_text(text, max, n, &kind)?;
    let fields = block.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten();
    fields.map(|field| field.get_mut("text")).try_for_each(|text| check_text(text, FIELD_MAX, n, &kind))
}

fn check_text(text: Option<&mut Value>, max: usize, n: usize, kind: &str) -> Result<(), TemplateError> {
    let Some(text) = text else { return Ok(()) };
    cut(text, max);
    match text.as_str() {
        Some("") => Err(not_taken(&format!("a text of block {n} ({kind}) is empty"))),
        Some(_) | None => Ok(()),
    }
}

/// Cuts a text to `max` characters, never within an escape.
fn cut(text: &mut Value, max: usize) {
    let Value::String(text) = text else { return };
    let Some((end, _)) = text.char_indices().nth(max.saturating_sub(1)) else { return };
    if text.chars().count() <= max {
        return;
    }
    let kept = text.get(..end).unwrap_or_default();
    let whole = match kept.rfind('&') {
        Some(at) if !kept.get(at..).unwrap_or_default().contains(';') => kept.get(..at).unwrap_or_default(),
        Some(_) | None => kept,
    };
    *text = format!("{whole}…");
}

/// What Discord takes. Nobody is mentioned by a name or a note unless the template itself allows mentions.
fn discord(mut body: Value) -> Result<String, TemplateError> {
    object(&body)?;
    let content = body.get("content").and_then(Value::as_str).unwrap_or_default();
    let embeds = body.get("embeds").and_then(Value::as_array).map_or(0, Vec::len);
    if content.is_empty() && embeds == 0 {
        return Err(not_taken("it has neither content nor embeds"));
    }
    if content.chars().map(char::len_utf16).fold(0, usize::saturating_add) > CONTENT_MAX {
        return Err(not_taken(&format!("content has more than {CONTENT_MAX} characters")));
    }
    if embeds > EMBEDS_MAX {
        return Err(not_taken(&format!("it has more than {EMBEDS_MAX} embeds")));
    }
    if let Some(body) = body.as_object_mut() {
        body.entry("allowed_mentions").or_insert_with(|| serde_json::json!({ "parse": [] }));
    }
    Ok(body.to_string())
}
