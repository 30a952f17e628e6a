//! Turns an event into words: mail, Slack and webhook say the same facts.
//!
//! `sentence` and `facts` say what is said, the other files in which form. Text that others wrote (names,
//! notes, what a peer answered) is inert in every form. Nothing here sends.

mod digest;
mod facts;
pub mod formats;
mod html;
pub mod inert;
mod said;
#[cfg(test)]
pub(crate) mod sample;
mod sentence;
mod slack;
pub mod template;
mod text;
mod webhook;
pub mod when;

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::event::{Event, EventId};
use crate::time::Timestamp;

/// The longest subject, in characters: below the 78 of RFC 5322.
pub const SUBJECT_MAX: usize = 77;

/// What a message depends on besides its event.
#[derive(Clone, Debug)]
pub struct Context {
    /// The exchange's zone, in which times are written.
    pub zone: TimeZone,
    /// The first event of the thread, when it is another one.
    pub first_in_thread: Option<EventId>,
    /// When this attempt is made.
    pub attempted_at: Timestamp,
    /// Sent later than this after the fact, a message says LATE.
    pub late_after: Duration,
    /// The thread's page.
    pub url: Option<String>,
    /// A test of the channel: nothing happened.
    pub test: bool,
    /// A picture goes with the mail, under the name [`picture_id`].
    pub picture: bool,
}

/// The event's fact in one line, as every message says it first.
#[must_use]
pub fn fact(event: &Event) -> String {
    sentence::what(event)
}

/// The name by which a mail's HTML refers to the picture beside it (`Content-ID`). Letters, digits, `-`, `.`, `@`.
#[must_use]
pub fn picture_id(id: &EventId) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let clean: String = id.as_str().chars().filter(is_plain).collect();
    format!("chart.{clean}@breakwatch")
}

/// An event in all the forms in which it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The fact in one line of at most [`SUBJECT_MAX`] characters.
    pub subject: String,
    /// Everything, one line each.
    pub text: String,
    /// The same as a mail body.
    pub html: String,
    /// The body for a Slack incoming webhook: `text` and `blocks`.
    pub slack: serde_json::Value,
    /// The body of a Standard Webhooks message: JSON below 20 kB.
    pub webhook: String,
    /// What the other [`formats`] are made of.
    pub words: formats::Words,
    /// The body that a template made for a webhook, in place of that of its format.
    pub body: Option<String>,
}

impl Message {
    /// Renders `event`. An alert is never lost to its rendering: there is no way to fail.
    #[must_use]
    pub fn render(event: &Event, context: &Context) -> Self {
        let parts = Parts::new(event, context);
        Self {
            subject: text::subject(event, context, &parts),
            text: text::plain(&parts),
            html: html::mail(event, context, &parts),
            slack: slack::body(event, context, &parts),
            webhook: webhook::body(event, context, parts.late_by),
            words: formats::Words::new(event, context, &parts),
            body: None,
        }
    }
}

/// What all forms are made of.
struct Parts {
    /// `REHEARSAL LATE 2 min 5 s: `, or nothing.
    prefix: String,
    /// What the marks of the prefix mean, one line each.
    marks: Vec<String>,
    /// The fact.
    what: String,
    /// What it means.
    meaning: Option<&'static str>,
    /// Everything else.
    facts: Vec<facts::Fact>,
    /// How late this attempt is, when that is worth saying.
    late_by: Option<Duration>,
}

impl Parts {
    fn new(event: &Event, context: &Context) -> Self {
        let late_by = late_by(event, context);
        let (prefix, marks) = marks(event, context, late_by);
        Self {
            prefix,
            marks,
            what: if context.test { tried(event) } else { sentence::what(event) },
            meaning: if context.test { None } else { sentence::meaning(event) },
            facts: facts::facts(event, context),
            late_by,
        }
    }
}

/// What a test says instead of a fact.
fn tried(event: &Event) -> String {
    let channel = event.numbers.get("channel").and_then(serde_json::Value::as_str).unwrap_or("this channel");
    format!("alerts on {} arrive", inert::line(channel, 40))
}

fn late_by(event: &Event, context: &Context) -> Option<Duration> {
    let passed = context.attempted_at.since(event.occurred_at);
    (event.late || passed > context.late_after).then_some(passed)
}

fn marks(event: &Event, context: &Context, late_by: Option<Duration>) -> (String, Vec<String>) {
    let mut words = Vec::new();
    let mut lines = Vec::new();
    if context.test {
        words.push("TEST".to_owned());
        lines.push("TEST: this tries the channel. Nothing happened.".to_owned());
    }
    if event.rehearsal {
        words.push("REHEARSAL".to_owned());
        lines.push(
            "REHEARSAL: on a clock that plays another time. Nothing of this happened today.".to_owned(),
        );
    }
    if let Some(length) = late_by.map(when::length) {
        words.push(format!("LATE {length}"));
        lines.push(format!("LATE: sent {length} after it happened."));
    }
    let prefix = if words.is_empty() { String::new() } else { format!("{}: ", words.join(" ")) };
    (prefix, lines)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "a panic fails the test")]
mod tests;
