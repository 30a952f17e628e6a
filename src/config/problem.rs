//! What is wrong with a configuration: every mistake with its place, its value and what would be right.
//!
//! Mistakes are collected and told together. Values of secrets never come here.

use std::cell::{Cell, RefCell};
use std::fmt;

/// So many mistakes are listed; more are only counted.
const LISTED_MAX: usize = 200;
/// So many warnings are listed; more are only counted.
const WARNINGS_MAX: usize = 200;
/// So much of a value is shown.
const SHOWN_MAX: usize = 60;

/// Which sort of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file is not TOML, or not text.
    Syntax,
    /// A key that does not exist.
    UnknownKey,
    /// A key or value that breakwatch will have, but does not have yet.
    NotAvailable,
    /// A required key is not there.
    Missing,
    /// A value that is not allowed.
    Invalid,
    /// A secret in plain text, or one that cannot be read.
    Secret,
    /// A file that is named in the configuration cannot be used.
    File,
}

/// One mistake, or one thing that deserves a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, or the environment variable, that says it.
    pub origin: String,
    /// Which key (`level "2500": margin`); empty when it is about the whole file.
    pub path: String,
    /// Which sort.
    pub kind: ProblemKind,
    /// The value, and what would be right.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// Why a value is refused; the place is added by whoever knows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which sort.
    pub(super) kind: ProblemKind,
    /// The value, and what would be right.
    pub(super) text: String,
}

impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self { kind: ProblemKind::Invalid, text }
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// `what` will exist one day; until then `available` does.
pub(super) fn not_available(what: &str, available: &str) -> Refusal {
    let text = format!("{what} is not available in this version; available: {available}");
    Refusal { kind: ProblemKind::NotAvailable, text }
}

/// Everything that was found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    unlisted: Cell<usize>,
    warnings: RefCell<Vec<Problem>>,
    unlisted_warnings: Cell<usize>,
}

impl Problems {
    /// Adds a mistake.
    pub(super) fn add(&self, origin: &str, path: &str, refusal: Refusal) {
        let problem = problem(origin, path, refusal);
        push(&self.found, &self.unlisted, LISTED_MAX, problem);
    }

    /// Adds a warning.
    pub(super) fn warn(&self, origin: &str, path: &str, text: String) {
        let problem = problem(origin, path, Refusal::from(text));
        push(&self.warnings, &self.unlisted_warnings, WARNINGS_MAX, problem);
    }

    /// The warnings, or the mistakes if there are any, and how many more there are of them.
    pub(super) fn finish(self) -> Result<Vec<Problem>, (Vec<Problem>, usize)> {
        let found = self.found.into_inner();
        if !found.is_empty() {
            return Err((found, self.unlisted.get()));
        }
        let mut warnings = self.warnings.into_inner();
        if let (more @ 1.., Some(last)) = (self.unlisted_warnings.get(), warnings.last_mut()) {
            last.text.push_str(&format!(" (and {more} more warnings)"));
        }
        Ok(warnings)
    }
}

fn problem(origin: &str, path: &str, refusal: Refusal) -> Problem {
    Problem { origin: origin.to_owned(), path: path.to_owned(), kind: refusal.kind, text: refusal.text }
}

fn push(list: &RefCell<Vec<Problem>>, unlisted: &Cell<usize>, limit: usize, problem: Problem) {
    let mut list = list.borrow_mut();
    if list.len() < limit {
        list.push(problem);
    } else {
        unlisted.set(unlisted.get().saturating_add(1));
    }
}

/// A text as it is shown in a message: quoted, on one line, and not longer than necessary.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", clipped(text))
}

/// A value as it is shown in a message.
pub(super) fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => quoted(text),
        toml::Value::Array(_) => "a list".to_owned(),
        toml::Value::Table(_) => "a table".to_owned(),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_) => clipped(&value.to_string()),
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The name among `known` that `text` was probably meant to be.
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Two thirds alike: `margn` is margin, but `foo` is not follow.
    const ALIKE: f64 = 0.66;
    let text: String = text.chars().take(SHOWN_MAX).collect::<String>().to_lowercase();
    let scored = known
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(&text, &name.to_lowercase()), name));
    scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// `; did you mean "margin"?`, or which names there are when none is near.
#[must_use]
pub fn hint<'a>(text: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(text, known.clone()) {
        Some(name) => format!("; did you mean {}?", quoted(name)),
        None => {
            let mut names: Vec<&str> = known.into_iter().take(41).collect();
            if names.len() == 41 {
                names.pop();
                names.push("…");
            }
            if names.is_empty() { String::new() } else { format!("; known: {}", names.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_guessed_only_when_it_is_near() {
        assert_eq!(nearest("margn", ["name", "margin", "gap"]), Some("margin"));
        assert_eq!(nearest("Margin", ["margin"]), Some("margin"));
        assert_eq!(nearest("foo", ["follow", "fail"]), None);
        assert_eq!(hint("foo", ["a", "b"]), "; known: a, b");
        assert_eq!(hint("foo", []), "");
    }

    #[test]
    fn values_are_shown_short_and_on_one_line() {
        assert_eq!(quoted("a\r\nb"), "\"a\\r\\nb\"");
        assert_eq!(shown(&toml::Value::String("x".repeat(1_000))).chars().count(), 63);
    }

    #[test]
    fn mistakes_beyond_the_limit_are_counted() {
        let problems = Problems::default();
        for _ in 0..LISTED_MAX + 5 {
            problems.add("f", "k", Refusal::from("bad"));
        }
        let (listed, more) = problems.finish().unwrap_err();
        assert_eq!((listed.len(), more), (LISTED_MAX, 5));
    }
}
