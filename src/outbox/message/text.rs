//! The subject and the plain text.

use crate::event::Event;
use crate::outbox::message::{Context, Parts, SUBJECT_MAX, inert, when};

/// The fact, its time and its contract, as far as there is room for them.
pub(super) fn subject(event: &Event, context: &Context, parts: &Parts) -> String {
    let fits = |text: &String| text.chars().count() <= SUBJECT_MAX;
    [headline(event, context, parts), timed(event, context, parts)]
        .into_iter()
        .find(fits)
        .unwrap_or_else(|| inert::clip(&fact(parts), SUBJECT_MAX))
}

/// The fact, its time and its contract.
pub(super) fn headline(event: &Event, context: &Context, parts: &Parts) -> String {
    let timed = timed(event, context, parts);
    let contract = event.contract.as_ref().map(|contract| inert::line(contract, SUBJECT_MAX));
    match contract.filter(|contract| !parts.what.contains(contract.as_str())) {
        Some(contract) => format!("{timed} ({contract})"),
        None => timed,
    }
}

fn timed(event: &Event, context: &Context, parts: &Parts) -> String {
    format!("{} at {}", fact(parts), when::clock(event.occurred_at, &context.zone))
}

fn fact(parts: &Parts) -> String {
    format!("{}{}", parts.prefix, parts.what)
}

/// Everything, one line each, the fact first.
pub(super) fn plain(parts: &Parts) -> String {
    let facts = parts.facts.iter().map(|fact| format!("{}: {}", fact.label, fact.value));
    let lines: Vec<String> = std::iter::once(fact(parts))
        .chain(parts.meaning.map(str::to_owned))
        .chain(parts.marks.iter().cloned())
        .chain(std::iter::once(String::new()))
        .chain(facts)
        .collect();
    lines.join("\n") + "\n"
}
