//! Values in JSON: each is marked where it is written, and takes its form where it lands.
//!
//! Within a string of the template a value becomes text, escaped; elsewhere it becomes a JSON value by itself.
//! So a value can end no string and add no key, wherever a template puts it.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Object;

use super::TemplateError;

/// Before a value, before one that keeps its type, and after either.
pub(super) const MARKS: [char; 3] = [BEGIN, BEGIN_EXACT, END];
const BEGIN: char = '\u{f5a00}';
const BEGIN_EXACT: char = '\u{f5a01}';
const END: char = '\u{f5a02}';
/// The longest text that is taken for a number.
const NUMBER_MAX: usize = 30;

/// A value that is written with its own type: a text stays a text even if it reads as a number.
#[derive(Debug)]
pub(super) struct Exact(Value);

impl Exact {
    /// The filter `tojson`.
    pub(super) fn wrap(value: &Value) -> Value {
        Value::from_object(Self(value.clone()))
    }
}

impl Object for Exact {
    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `value` as JSON between marks.
pub(super) fn marked(value: &Value) -> String {
    let (begin, value) = match value.downcast_object_ref::<Exact>() {
        Some(Exact(exact)) => (BEGIN_EXACT, exact),
        None => (BEGIN, value),
    };
    let json = serde_json::to_value(value).unwrap_or_default();
    format!("{begin}{}{END}", each_text(json, &unmarked))
}

/// The value with `change` made to each of its texts.
fn each_text(value: serde_json::Value, change: &dyn Fn(&str) -> String) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::String(text) => Json::String(change(&text)),
        Json::Array(items) => items.into_iter().map(|item| each_text(item, change)).collect(),
        Json::Object(items) => {
            items.into_iter().map(|(key, item)| (change(&key), each_text(item, change))).collect()
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => value,
    }
}

/// What a template kept in a variable, with the values in it as text again.
fn unmarked(kept: &str) -> String {
    if !kept.contains(MARKS) {
        return kept.to_owned();
    }
    let mut text = String::new();
    let mut rest = kept.chars();
    while let Some(c) = rest.next() {
        if c == BEGIN || c == BEGIN_EXACT {
            let value: String = rest.by_ref().take_while(|c| *c != END).collect();
            // Where a filter has changed the marked text, it is no JSON any more, and text all the same.
            text.push_str(&serde_json::from_str(&value).map_or(value, |value| shown(&value)));
        } else if c != END {
            text.push(c);
        }
    }
    text.replace(MARKS, "")
}

/// Gives every marked value the form of its place; `escape` is done to every text of a value.
pub(super) fn resolve(raw: &str, escape: &dyn Fn(&str) -> String) -> Result<String, TemplateError> {
    let mut text = String::with_capacity(raw.len());
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = raw.chars();
    while let Some(c) = rest.next() {
        if c == BEGIN || c == BEGIN_EXACT {
            if escaped {
                return Err(not_json("a backslash stands before a value", &text));
            }
            let value: String = rest.by_ref().take_while(|c| *c != END).collect();
            let value = serde_json::from_str(&value).map_err(|_| not_json("a value was cut", &text))?;
            let value = each_text(value, escape);
            text.push_str(&if in_string { within(&value) } else { alone(&value, c == BEGIN_EXACT) });
            continue;
        }
        match (in_string, escaped, c) {
            (_, true, _) => escaped = false,
            (true, false, '\\') => escaped = true,
            (_, false, '"') => in_string = !in_string,
            (_, false, _) => {}
        }
        text.push(c);
    }
    Ok(text)
}

/// A value within a string.
fn within(value: &serde_json::Value) -> String {
    let quoted = serde_json::Value::String(shown(value)).to_string();
    quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default().to_owned()
}

fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) | serde_json::Value::Object(_) => {
            value.to_string()
        }
    }
}

/// A value that stands by itself. Prices are texts here, so that they keep their decimals; they become numbers.
fn alone(value: &serde_json::Value, exact: bool) -> String {
    match value {
        serde_json::Value::String(text) if !exact && is_number(text) => text.clone(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => value.to_string(),
    }
}

/// A plain decimal number as JSON writes it, without an exponent.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let no_leading_zero = whole == "0" || !whole.starts_with('0');
    text.len() <= NUMBER_MAX && all_digits(whole) && all_digits(fraction) && no_leading_zero
}

/// Parses what a template gave.
pub(super) fn parse(text: &str) -> Result<serde_json::Value, TemplateError> {
    serde_json::from_str(text).map_err(|error| {
        let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
        let before: usize = lines.map(str::len).fold(0, usize::saturating_add);
        let at = before.saturating_add(error.column());
        let message = error.to_string();
        let what = message.split(" at line ").next().unwrap_or_default();
        not_json(what, text.get(..at).unwrap_or(text))
    })
}

fn not_json(what: &str, before: &str) -> TemplateError {
    let start = before.char_indices().rev().nth(39).map_or(0, |(at, _)| at);
    TemplateError::NotJson { what: what.to_owned(), near: before.get(start..).unwrap_or_default().to_owned() }
}
