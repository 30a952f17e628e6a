//! `template = { … }` of a channel: texts or files, read and tried with every kind of event.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Value;

use super::file::{EMAIL_TEMPLATE, SLACK_TEMPLATE, Shape, TEMPLATE_FILE, WEBHOOK_TEMPLATE};
use super::problem::{ProblemKind, Refusal, chain, quoted, shown};
use super::section::Section;
use super::value;
use crate::outbox::message::formats::tradingview;
use crate::outbox::message::template::{Form, SOURCE_MAX, Template};

/// The templates of a channel of one kind: its keys, and what each of them makes.
struct Keys {
    shape: &'static Shape,
    forms: &'static [(&'static str, Form)],
    /// Why other keys are refused.
    why_not: &'static str,
}

const fn webhook(forms: &'static [(&'static str, Form)], why_not: &'static str) -> Keys {
    Keys { shape: &WEBHOOK_TEMPLATE, forms, why_not }
}

/// Which keys there are, by the channel's `kind` and `format`; `None` when it has no templates.
fn keys(channel: &Section<'_>) -> Option<Keys> {
    const MAIL: &[(&str, Form)] = &[("subject", Form::Line), ("text", Form::Text), ("html", Form::Html)];
    const SLACK: &[(&str, Form)] = &[("text", Form::Mrkdwn), ("body", Form::Blocks)];
    let word = |key| channel.get(key).and_then(Value::as_str);
    match word("kind")? {
        "email" => Some(Keys { shape: &EMAIL_TEMPLATE, forms: MAIL, why_not: "" }),
        "slack" => Some(Keys { shape: &SLACK_TEMPLATE, forms: SLACK, why_not: "" }),
        "webhook" => Some(match word("format").unwrap_or("standard") {
            "tradingview" => webhook(&[("body", Form::Alert)], "this format has only a body"),
            "discord" => webhook(&[("body", Form::Discord)], "this format has only a body"),
            "ntfy" => webhook(
                &[("subject", Form::Line), ("text", Form::Text)],
                "its topic is a secret, so the body is made here; write subject and text",
            ),
            "telegram" => {
                webhook(&[("text", Form::Text)], "a message of Telegram is one text, so write text")
            }
            "pagerduty" => webhook(
                &[],
                "what closes an incident must be told as what opened it was; change the words in PagerDuty",
            ),
            "alertmanager" => webhook(
                &[],
                "what ends an alert must carry the labels with which it began; change the words in Alertmanager",
            ),
            _ => webhook(&[("body", Form::Object)], "this format has only a body"),
        }),
        _ => None,
    }
}

/// The templates of a channel. What is wrong with one is told.
pub(super) fn templates(channel: &Section<'_>, dir: &Path) -> Vec<Template> {
    let Some(keys) = keys(channel) else { return Vec::new() };
    let Some(section) = channel.section("template", keys.shape) else {
        return built_in(channel);
    };
    let mut found = Vec::new();
    for key in keys.shape.keys {
        let Some(given) = section.get(key) else { continue };
        match keys.forms.iter().find(|(known, _)| known == key) {
            Some((_, form)) => found.extend(template(&section, key, given, *form, dir)),
            None => section.refuse(key, format!("cannot be written here: {}", keys.why_not)),
        }
    }
    if section.is_empty() {
        section.refuse_whole("is empty; leave it out for the built-in words");
    }
    if keys.shape.name == SLACK_TEMPLATE.name
        && section.get("text").is_some()
        && section.get("body").is_some()
    {
        section.refuse(
            "text",
            "stands beside body, which is the whole message with its own text; write one of them",
        );
    }
    found
}

/// What is sent without a template, where that too is one.
fn built_in(channel: &Section<'_>) -> Vec<Template> {
    let is = |key, word| channel.get(key).and_then(Value::as_str) == Some(word);
    if is("kind", "webhook") && is("format", "tradingview") && channel.get("template").is_none() {
        return Template::new(tradingview::TEMPLATE, Form::Alert).into_iter().collect();
    }
    Vec::new()
}

fn template(
    section: &Section<'_>,
    key: &'static str,
    given: &Value,
    form: Form,
    dir: &Path,
) -> Option<Template> {
    let source = match given {
        Value::String(text) => Ok((text.clone(), String::new())),
        Value::Table(table) => {
            let file = section.inner(table, &TEMPLATE_FILE, format!("{}{key}.", section.prefix()));
            let path = file.require("file", "like { file = \"mail.html\" }", value::line)?;
            read(&dir.join(path)).map(|text| (text, format!("{}: ", shown_path(dir, given))))
        }
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) => {
            Err(format!("{} is neither a text nor {{ file = \"…\" }}", shown(given)).into())
        }
    };
    let made = source.and_then(|(source, place)| {
        Template::new(&source, form).map_err(|error| format!("{place}{}", chain(&error)).into())
    });
    match made {
        Ok(template) => Some(template),
        Err(refusal) => {
            section.refuse(key, refusal);
            None
        }
    }
}

fn shown_path(dir: &Path, given: &Value) -> String {
    let path = given.get("file").and_then(Value::as_str).unwrap_or_default();
    dir.join(path).display().to_string()
}

/// The text of a file that is no longer than a template may be.
fn read(path: &Path) -> Result<String, Refusal> {
    let refused = |why: String| Refusal { kind: ProblemKind::File, text: why };
    let shown = quoted(&path.display().to_string());
    let unreadable = |error| refused(format!("file {shown} cannot be read: {error}"));
    let mut bytes = Vec::new();
    let most = u64::try_from(SOURCE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() > SOURCE_MAX {
        return Err(refused(format!(
            "file {shown} is longer than {SOURCE_MAX} bytes, the most a template has"
        )));
    }
    String::from_utf8(bytes).map_err(|_| refused(format!("file {shown} is not UTF-8 text")))
}
