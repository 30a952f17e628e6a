//! An event of PagerDuty's Events API v2: what begins triggers, and its end resolves.

use serde_json::{Map, Value, json};

use crate::event::{Event, Severity};
use crate::outbox::message::formats::{Course, Words, fitted, headline, inert};

/// PagerDuty's limits.
const SUMMARY_MAX: usize = 1_024;
const KEY_MAX: usize = 255;
/// What says where it comes from, and names, are kept short.
const NAME_MAX: usize = 200;
/// Further details, each at most so long; the whole is far below the 512 KB that are taken.
const DETAILS_MAX: usize = 100;
const DETAIL_MAX: usize = 2_000;

/// The body of the request.
#[must_use]
pub fn body(event: &Event, words: &Words, routing_key: &str) -> Value {
    let course = Course::of(event.kind, words.test);
    let mut body = Map::new();
    body.insert("routing_key".into(), json!(routing_key));
    body.insert("dedup_key".into(), json!(dedup_key(event, course)));
    if course == Course::Ends {
        body.insert("event_action".into(), json!("resolve"));
        return Value::Object(body);
    }
    body.insert("event_action".into(), json!("trigger"));
    body.insert("client".into(), json!("breakwatch"));
    body.insert("payload".into(), payload(event, words));
    if let Some(page) = &words.page {
        body.insert("client_url".into(), json!(page));
    }
    Value::Object(body)
}

/// The thread from a beginning to its end. What merely happens has a key of its own: under the thread's key an
/// approach would be an open alert, and the break that follows would notify nobody.
fn dedup_key(event: &Event, course: Course) -> String {
    let key = match course {
        Course::Begins | Course::Ends => event.thread.as_str(),
        Course::Happens => event.id.as_str(),
    };
    fitted(key, KEY_MAX)
}

fn payload(event: &Event, words: &Words) -> Value {
    let name = |name: &str| inert::line(name, NAME_MAX);
    let mut payload = Map::new();
    payload.insert("summary".into(), json!(headline(words, SUMMARY_MAX)));
    payload.insert("source".into(), json!(source(event)));
    payload.insert("severity".into(), json!(severity(event.severity)));
    payload.insert("timestamp".into(), json!(event.occurred_at));
    payload.insert("class".into(), json!(event.kind));
    payload.insert("custom_details".into(), details(words));
    if let Some(level) = &event.level {
        payload.insert("component".into(), json!(name(level)));
    }
    if let Some(instrument) = &event.instrument {
        payload.insert("group".into(), json!(name(instrument)));
    }
    Value::Object(payload)
}

/// The contract or the instrument, else this program.
fn source(event: &Event) -> String {
    let names = [event.contract.as_deref(), event.instrument.as_deref()];
    let mut names = names.into_iter().flatten().map(|name| inert::line(name, NAME_MAX));
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "breakwatch".to_owned())
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Normal => "warning",
        Severity::High => "error",
        Severity::Critical => "critical",
    }
}

fn details(words: &Words) -> Value {
    let mut details = Map::new();
    if !words.lines.is_empty() {
        details.insert("Meaning".into(), json!(fitted(&words.lines.join(" "), DETAIL_MAX)));
    }
    for fact in words.facts.iter().take(DETAILS_MAX) {
        details.insert(fact.label.clone(), json!(fitted(&fact.value, DETAIL_MAX)));
    }
    Value::Object(details)
}
