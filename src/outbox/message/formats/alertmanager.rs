//! One alert for Alertmanager's API v2.
//!
//! Alertmanager knows an alert by its labels. So they hold nothing but what stays the same from a beginning to
//! its end; the severity, which a rule gives to its break only, is an annotation.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::event::{Event, Kind};
use crate::outbox::message::formats::{Course, Words, fitted, headline, inert, plain};
use crate::outbox::message::said::Said;
use crate::time::Timestamp;

/// Alertmanager has no limits; these keep alerts readable.
const LABEL_MAX: usize = 200;
const SUMMARY_MAX: usize = 500;
const DESCRIPTION_MAX: usize = 8_000;
/// Alertmanager expects open alerts to be sent again and again. What is told once stays open so long unless its
/// end is told before.
const OPEN_MAX: Duration = Duration::from_secs(86_400);

/// The body of the request; `now` is the time of the attempt by the wall clock.
#[must_use]
pub fn body(event: &Event, words: &Words, now: Timestamp) -> Value {
    let course = Course::of(event.kind, words.test);
    // A rehearsal plays another time, in which Alertmanager does not live.
    let at = if event.rehearsal { now } else { event.occurred_at.min(now) };
    let mut alert = Map::new();
    alert.insert("labels".into(), labels(event, words));
    alert.insert("annotations".into(), annotations(event, words));
    match course {
        // Without a start it takes the end for one, which a merge with the open alert corrects.
        Course::Ends => alert.insert("endsAt".into(), json!(at)),
        Course::Begins => {
            alert.insert("startsAt".into(), json!(at));
            alert.insert("endsAt".into(), json!(now.saturating_add(OPEN_MAX)))
        }
        // Without an end it is over after Alertmanager's own `resolve_timeout`.
        Course::Happens => alert.insert("startsAt".into(), json!(at)),
    };
    if let Some(page) = &words.page {
        alert.insert("generatorURL".into(), json!(page));
    }
    json!([alert])
}

fn labels(event: &Event, words: &Words) -> Value {
    let said = Said(&event.numbers);
    // What a feed's event says of an instrument is not said again when the feed is back.
    let instrument = event.instrument.clone().filter(|_| !is_about_a_feed(event.kind));
    let flag = |set: bool| set.then(|| "true".to_owned());
    let pairs = [
        ("alertname", Some(name(event.kind, words.test).to_owned())),
        ("thread", Some(event.thread.as_str().to_owned())),
        ("instrument", instrument),
        ("level", event.level.clone()),
        ("feed", said.text("feed")),
        ("channel", said.text("channel")),
        ("rehearsal", flag(event.rehearsal)),
        ("test", flag(words.test)),
    ];
    let mut labels = Map::new();
    for (label, value) in pairs {
        let value = value.map(|value| fitted(&inert::line(&value, LABEL_MAX), LABEL_MAX));
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            labels.insert(label.to_owned(), json!(value));
        }
    }
    Value::Object(labels)
}

const fn is_about_a_feed(kind: Kind) -> bool {
    matches!(kind, Kind::FeedDown | Kind::FeedQuiet | Kind::FeedUp)
}

/// The kind; what ends has the name of what began.
fn name(kind: Kind, test: bool) -> &'static str {
    if test {
        return "test";
    }
    match kind {
        Kind::LevelFailed | Kind::LevelRearmed | Kind::LevelExpired => Kind::LevelBroken.as_str(),
        // A feed that is quiet can be down next, and both end together.
        Kind::FeedQuiet | Kind::FeedUp => Kind::FeedDown.as_str(),
        Kind::ChannelRecovered => Kind::ChannelFailing.as_str(),
        Kind::LevelApproached
        | Kind::LevelCrossed
        | Kind::LevelBroken
        | Kind::LevelRejected
        | Kind::LevelRetested
        | Kind::LevelHeld
        | Kind::LevelSuspended
        | Kind::LevelMoved
        | Kind::RecordSet
        | Kind::ContractRolled
        | Kind::FeedDown
        | Kind::FeedQuarantined
        | Kind::ChannelFailing
        | Kind::Digest => kind.as_str(),
    }
}

fn annotations(event: &Event, words: &Words) -> Value {
    json!({
        "summary": headline(words, SUMMARY_MAX),
        "description": plain(words, DESCRIPTION_MAX, str::len),
        "severity": event.severity,
        "kind": event.kind,
        "event": fitted(event.id.as_str(), LABEL_MAX),
    })
}
