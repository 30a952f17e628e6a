//! Runs one template within limits, with its values escaped for what it makes.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::{TemplateError, json, values};
use crate::market::price::Price;
use crate::outbox::message::inert;

/// Steps of the engine: a template with every fact of an event needs about a thousand.
pub(super) const FUEL: u64 = 50_000;
/// How deep loops and conditions may lie in each other.
const DEPTH_MAX: usize = 50;
/// The template's name, which nobody sees.
const NAME: &str = "template";
/// Placeholders of TradingView for which there is nothing here.
const OF_CHARTS: &[&str] = &["open", "high", "low", "interval", "plot", "strategy", "syminfo"];

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As they are: they are inert.
    Plain,
    /// For HTML.
    Html,
    /// For Slack, which reads `&`, `<` and `>`.
    Slack,
    /// For JSON.
    Json,
    /// For JSON that Slack reads.
    SlackJson,
}

/// What `source` gives. In JSON every value is where it belongs already.
pub(super) fn run(source: &str, escape: Escape, values: &Value) -> Result<String, TemplateError> {
    with(source, escape, |render| render(values))?
}

/// Reads `source` once, and has `work` render it as often as it likes.
pub(super) fn with<T>(
    source: &str,
    escape: Escape,
    work: impl FnOnce(&dyn Fn(&Value) -> Result<String, TemplateError>) -> T,
) -> Result<T, TemplateError> {
    let environment = environment(escape);
    let template = environment.template_from_named_str(NAME, source).map_err(|e| wrong(&e))?;
    Ok(work(&|values| {
        let raw = template.render(values.clone()).map_err(|e| wrong(&e))?;
        match escape {
            Escape::Plain | Escape::Html | Escape::Slack => Ok(raw),
            Escape::Json => json::resolve(&raw, &str::to_owned),
            Escape::SlackJson => json::resolve(&raw, &slack),
        }
    }))
}

/// The variables that `source` asks for, all of which exist.
pub(super) fn asks(source: &str) -> Result<BTreeSet<String>, TemplateError> {
    let environment = environment(Escape::Plain);
    let template = environment.template_from_named_str(NAME, source).map_err(|e| wrong(&e))?;
    let functions: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
    let asks = template.undeclared_variables(false).into_iter();
    let asks: BTreeSet<String> = asks.filter(|name| !functions.contains(name.as_str())).collect();
    match asks.iter().find(|name| !values::exists(name)) {
        Some(unknown) => Err(TemplateError::Unknown {
            line: line_of(source, unknown),
            name: unknown.clone(),
            hint: hint(unknown),
        }),
        None => Ok(asks),
    }
}

fn environment(escape: Escape) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH_MAX);
    // For the names in what it says of undefined values.
    environment.set_debug(true);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.add_filter("grouped", grouped);
    // What is escaped is not the template's choice.
    environment.remove_filter("safe");
    environment.remove_global("debug");
    match escape {
        Escape::Plain => environment.set_formatter(|out, _, value| write(out, &shown(value))),
        Escape::Html => {
            environment.set_auto_escape_callback(|_| AutoEscape::Html);
            environment.set_formatter(html);
        }
        Escape::Slack => {
            // So that what a template keeps in a variable is not escaped twice.
            environment.set_auto_escape_callback(|_| AutoEscape::Html);
            environment.set_formatter(mrkdwn);
        }
        Escape::Json | Escape::SlackJson => {
            environment.add_filter("tojson", json::Exact::wrap);
            environment.set_formatter(|out, _, value| write(out, &json::marked(value)));
        }
    }
    environment
}

fn html(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_safe() {
        return write(out, &shown(value));
    }
    let text = shown(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    write(out, &text.replace('"', "&quot;").replace('\'', "&#39;"))
}

fn mrkdwn(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = shown(value);
    write(out, &if value.is_safe() { text } else { slack(&text) })
}

fn write(out: &mut Output<'_>, text: &str) -> Result<(), Error> {
    out.write_str(text).map_err(Error::from)
}

fn slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A value for people: nothing for what is not known, a list with commas.
pub(super) fn shown(value: &Value) -> String {
    let kind = value.kind();
    if matches!(kind, ValueKind::None | ValueKind::Undefined) {
        return String::new();
    }
    if matches!(kind, ValueKind::Seq | ValueKind::Iterable) {
        let items = value.try_iter().map(|items| items.map(|item| shown(&item)).collect::<Vec<_>>());
        return items.unwrap_or_default().join(", ");
    }
    // As everywhere else, not as Python has it.
    if kind == ValueKind::Bool { value.is_true().to_string() } else { value.to_string() }
}

/// `2450.5` as `2,450.5`; what is no number stays as it is.
fn grouped(value: &Value) -> Value {
    let text = shown(value);
    let decimals = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    match (text.parse::<Price>(), u8::try_from(decimals)) {
        (Ok(price), Ok(decimals)) => Value::from(price.grouped(decimals)),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => value.clone(),
    }
}

/// What the engine says, in words that say what would be right.
fn wrong(error: &Error) -> TemplateError {
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::Endless;
    }
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    let hint = if error.kind() == ErrorKind::UndefinedError {
        "; what an event may lack is none, so try {% if … %} or a name that exists"
    } else if error.kind() == ErrorKind::UnknownFilter && detail.contains("filter safe ") {
        "; what a value may contain is not the template's choice"
    } else {
        ""
    };
    let what = inert::line(&format!("{}{detail}{hint}", error.kind()), 400);
    TemplateError::Wrong { line: error.line().unwrap_or(1), what }
}

/// The first line in which `name` stands as a word.
fn line_of(source: &str, name: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let has = |line: &str| line.split(|c| !is_word(c)).any(|word| word == name);
    source.lines().position(has).unwrap_or_default().saturating_add(1)
}

/// What the name was probably meant to be.
fn hint(name: &str) -> String {
    if OF_CHARTS.iter().any(|word| name == *word || name.starts_with("plot_")) {
        return " here: it is about TradingView's charts and strategies; there are ticker, exchange, close, price, \
                level, volume, time, timenow, side and direction"
            .to_owned();
    }
    let near = |known: &&str| strsim::damerau_levenshtein(name, known);
    match values::names().min_by_key(near).filter(|known| near(known) <= 2) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => format!("; known: {}", values::names().collect::<Vec<_>>().join(", ")),
    }
}
