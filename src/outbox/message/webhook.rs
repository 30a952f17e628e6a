//! The body of a Standard Webhooks message: `type`, `timestamp`, `data`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::event::{Event, Numbers};
use crate::outbox::message::{Context, inert};

/// A body is shorter than this, in bytes.
const BODY_MAX: usize = 20_000;
/// How far texts are cut, step by step, until the body is short enough.
const TEXT_STEPS: &[usize] = &[2_000, 400, 80];

/// What is short of everything else keeps so many tags.
const BARE_TAGS_MAX: usize = 10;

/// The body. `data` is the event's JSON as everywhere; `test` and `late_ms` are there only when they apply.
pub(super) fn body(event: &Event, context: &Context, late_by: Option<Duration>) -> String {
    let whole = envelope(event, context, late_by);
    if whole.len() < BODY_MAX {
        return whole;
    }
    let cut = TEXT_STEPS.iter().map(|&max| envelope(&shortened(event, max), context, late_by));
    cut.into_iter().find(|body| body.len() < BODY_MAX).unwrap_or_else(|| {
        let mut bare = Event { numbers: Numbers::new(), ..shortened(event, 80) };
        bare.about.tags.truncate(BARE_TAGS_MAX);
        envelope(&bare, context, late_by)
    })
}

fn envelope(event: &Event, context: &Context, late_by: Option<Duration>) -> String {
    let mut body = Map::new();
    body.insert("type".into(), json!(event.kind));
    body.insert("timestamp".into(), json!(event.occurred_at));
    body.insert("data".into(), json!(event));
    if context.test {
        body.insert("test".into(), Value::Bool(true));
    }
    if let Some(late) = late_by {
        body.insert("late_ms".into(), json!(u64::try_from(late.as_millis()).unwrap_or(u64::MAX)));
    }
    Value::Object(body).to_string()
}

/// The event with no text longer than `max` characters, and no more tags and numbers than fit.
fn shortened(event: &Event, max: usize) -> Event {
    let mut event = event.clone();
    let about = &mut event.about;
    let own = [&mut event.level, &mut event.instrument, &mut event.contract];
    let said = [&mut about.note, &mut about.said_by, &mut about.url];
    for text in own.into_iter().chain(said).flatten() {
        *text = inert::clip(text, max);
    }
    about.tags.truncate(50);
    about.tags.iter_mut().for_each(|tag| *tag = inert::clip(tag, 80));
    for value in event.numbers.values_mut() {
        let texts = match value {
            Value::Array(items) => items.iter_mut().collect(),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
                vec![value]
            }
        };
        for value in texts {
            if let Value::String(text) = value {
                *text = inert::clip(text, max);
            }
        }
    }
    event
}
