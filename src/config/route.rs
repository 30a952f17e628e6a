//! `[[route]]` to [`Route`]: which events go to which channels.

use std::collections::{BTreeSet, HashSet};

use toml::Value;

use super::file::MATCH;
use super::problem::{Refusal, hint, quoted};
use super::section::Section;
use super::value;
use crate::event::Kind;
use crate::outbox::route::{Route, SeverityMatch};

/// What a route can name.
pub(super) struct Known<'a> {
    /// The roots of the instruments.
    pub(super) instruments: BTreeSet<&'a str>,
    /// The names of the levels, of which there can be a million.
    pub(super) levels: HashSet<&'a str>,
    /// The names of the channels.
    pub(super) channels: BTreeSet<&'a str>,
}

/// One route.
pub(super) fn route(route: &Section<'_>, known: &Known<'_>) -> Route {
    let criteria = route.section("match", &MATCH);
    let criteria = criteria.as_ref();
    let list = |key, check: &dyn Fn(&Value) -> Result<String, Refusal>| {
        criteria.and_then(|c| c.read(key, value::one_or_more(check)))
    };
    let channel = |v: &Value| one_of("channel", &known.channels, v);
    let to = route.require("to", "the channels, like [\"mail\"]", value::one_or_more(channel));
    Route {
        kinds: criteria.and_then(|c| c.read("kind", value::one_or_more(kind))),
        severity: criteria.and_then(|c| c.read("severity", severity)),
        instruments: list("instrument", &|v| one_of("level or feed of instrument", &known.instruments, v)),
        levels: list("level", &|v| level(&known.levels, v)),
        tags: list("tag", &value::name),
        to: to.unwrap_or_default(),
        go_on: route.read("continue", value::flag).unwrap_or(false),
    }
}

fn one_of(what: &str, names: &BTreeSet<&str>, value: &Value) -> Result<String, Refusal> {
    let name = value::name(value)?;
    if names.contains(name.as_str()) {
        return Ok(name);
    }
    Err(format!("there is no {what} {}{}", quoted(&name), hint(&name, names.iter().copied())).into())
}

fn level(names: &HashSet<&str>, value: &Value) -> Result<String, Refusal> {
    match value.as_str() {
        Some(name) if names.contains(name) => Ok(name.to_owned()),
        // Sorted only now, so that the same mistake is always told in the same words.
        Some(_) | None => one_of("level", &names.iter().copied().collect(), value),
    }
}

fn kind(value: &Value) -> Result<Kind, Refusal> {
    let text = value::text(value)?;
    let names = Kind::ALL.iter().map(|kind| kind.as_str());
    text.parse().map_err(|_| format!("{} is no kind of event{}", quoted(text), hint(text, names)).into())
}

fn severity(value: &Value) -> Result<SeverityMatch, Refusal> {
    let text = value::text(value)?;
    let right = "info, normal, high or critical, or like \"at least high\"";
    text.parse().map_err(|_| format!("{} is not a severity: {right}", quoted(text)).into())
}
