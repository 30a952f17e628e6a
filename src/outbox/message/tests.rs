//! What people read, for each kind of event; the snapshots were read by a person.

use super::*;
use crate::event::{About, Kind, Numbers, Severity, Side};
use serde_json::{Value, json};

fn render(event: &Event) -> Message {
    Message::render(event, &sample::context())
}

fn slack_text(message: &Message) -> String {
    serde_json::to_string_pretty(&message.slack).unwrap()
}

#[test]
fn each_kind_has_its_own_sentence() {
    let mut page = String::new();
    for &kind in Kind::ALL {
        let message = render(&sample::event(kind));
        page += &format!("=== {kind}\nSubject: {}\n\n{}\n", message.subject, message.text);
    }
    insta::assert_snapshot!("each_kind", page);
}

#[test]
fn gaps_index_levels_and_other_shapes_are_worded() {
    let mut page = String::new();
    let broken = sample::event(Kind::LevelBroken);
    let shapes = [
        sample::gap_down(),
        sample::index_break(),
        Event { side: Some(Side::Support), ..sample::event(Kind::LevelApproached) },
        Event {
            numbers: sample::numbers(&[("distance_ticks", json!(1))]),
            ..sample::event(Kind::LevelApproached)
        },
        Event { numbers: Numbers::new(), ..sample::event(Kind::LevelApproached) },
        Event { side: Some(Side::Support), ..sample::event(Kind::LevelHeld) },
        Event { level_price: None, level_space: None, threshold: None, ..broken.clone() },
        Event { reason: crate::event::Reason::SeenByDayHigh, from_bars: true, ..broken },
        Event { reason: crate::event::Reason::GaveUp, ..sample::event(Kind::ChannelFailing) },
        Event { numbers: Numbers::new(), ..sample::event(Kind::FeedDown) },
        Event { numbers: Numbers::new(), ..sample::event(Kind::LevelMoved) },
    ];
    for event in shapes {
        let message = render(&event);
        page += &format!("=== {}\nSubject: {}\n\n{}\n", event.kind, message.subject, message.text);
    }
    insta::assert_snapshot!("shapes", page);
}

#[test]
fn the_mail_and_the_slack_message_say_the_same_as_the_text() {
    for &kind in Kind::ALL {
        let event = sample::event(kind);
        let message = render(&event);
        let (html, slack) = (message.html.clone(), slack_text(&message));
        let parts = Parts::new(&event, &sample::context());
        for fact in &parts.facts {
            let value = fact.value.replace('&', "&amp;").replace('>', "&gt;");
            let in_slack = match fact.label.as_str() {
                "Thread" | "Event" => slack.contains(&format!("{} {value}", fact.label)),
                "Page" => slack.contains(&format!("<{value}|Open the thread>")),
                _ => slack.contains(&format!("{}\\n{value}", fact.label)),
            };
            assert!(in_slack, "{kind}: {fact:?} in {slack}");
            let value = value.replace('/', "&#x2f;");
            assert!(html.contains(&value), "{kind}: {fact:?} in {html}");
            assert!(message.text.contains(&format!("{}: {}\n", fact.label, fact.value)), "{kind}: {fact:?}");
        }
    }
}

#[test]
fn the_html_has_a_place_for_a_picture_only_when_there_is_one() {
    let event = sample::event(Kind::LevelBroken);
    let html = |picture| Message::render(&event, &Context { picture, ..sample::context() }).html;
    assert!(!html(false).contains("<img"));
    let (shown, id) = (html(true), picture_id(&event.id));
    assert!(shown.contains(&format!("<img src=\"cid:{id}\" alt=\"Chart: RTY broke 2,500.0 up")), "{shown}");
    assert_eq!(picture_id(&EventId::from("a>\r\nBcc: b".to_owned())), "chart.aBccb@breakwatch");
}

#[test]
fn the_html_mail_and_the_slack_blocks_look_as_reviewed() {
    let message = render(&sample::event(Kind::LevelBroken));
    insta::assert_snapshot!("broken_html", message.html);
    insta::assert_snapshot!("broken_slack", slack_text(&message));
    let webhook: Value = serde_json::from_str(&message.webhook).unwrap();
    insta::assert_snapshot!("broken_webhook", serde_json::to_string_pretty(&webhook).unwrap());
}

#[test]
fn a_subject_is_short_and_begins_with_the_fact() {
    let broken = render(&sample::event(Kind::LevelBroken));
    assert_eq!(broken.subject, "RTY broke 2,500.0 up: 2,500.4 at 14:31:07 CT (RTYZ6)");
    for &kind in Kind::ALL {
        let mut event = sample::event(kind);
        for rehearsal in [false, true] {
            event.rehearsal = rehearsal;
            let subject = Message::render(&event, &Context { test: true, ..late() }).subject;
            assert!(subject.chars().count() <= SUBJECT_MAX, "{subject}");
            assert!(subject.starts_with("TEST "), "{subject}");
        }
    }
}

fn late() -> Context {
    Context { attempted_at: sample::at("2026-11-30T22:36:10.000Z"), ..sample::context() }
}

#[test]
fn a_late_message_says_so_and_by_how_much() {
    let event = sample::event(Kind::LevelBroken);
    let message = Message::render(&event, &late());
    assert!(
        message.subject.starts_with("LATE 2 h 5 min: RTY broke 2,500.0 up: 2,500.4"),
        "{}",
        message.subject
    );
    assert!(message.text.contains("LATE: sent 2 h 5 min after it happened."));
    assert!(message.html.contains("LATE 2 h 5 min"));
    assert!(slack_text(&message).contains("LATE 2 h 5 min: RTY broke"));
    assert!(message.webhook.contains("\"late_ms\":7502750"));
    assert!(!render(&event).text.contains("LATE") && !render(&event).webhook.contains("late_ms"));
}

#[test]
fn what_was_established_late_says_so_even_when_sent_at_once() {
    let event = Event { late: true, ..sample::event(Kind::LevelBroken) };
    assert!(render(&event).subject.starts_with("LATE 35 ms: "), "{}", render(&event).subject);
}

#[test]
fn rehearsals_and_tests_cannot_be_mistaken() {
    let event = Event { rehearsal: true, ..sample::event(Kind::LevelBroken) };
    let message = render(&event);
    assert!(message.subject.starts_with("REHEARSAL: RTY broke"), "{}", message.subject);
    assert!(message.text.starts_with("REHEARSAL: RTY broke"), "{}", message.text);
    assert!(
        message.html.contains(">REHEARSAL</div>") && message.html.contains("Nothing of this happened today.")
    );
    for place in ["/text", "/blocks/0/text/text", "/blocks/1/text/text"] {
        assert!(
            message.slack.pointer(place).unwrap().as_str().unwrap().starts_with("REHEARSAL: "),
            "{place}"
        );
    }
    let test =
        Message::render(&sample::event(Kind::LevelBroken), &Context { test: true, ..sample::context() });
    assert!(
        test.subject.starts_with("TEST: ")
            && test.text.starts_with("TEST: ")
            && test.webhook.contains("\"test\":true")
    );
    assert!(test.html.contains(">TEST</div>") && test.slack["text"].as_str().unwrap().starts_with("TEST: "));
}

/// An event whose every text was written by an enemy.
fn hostile() -> Event {
    let evil = "x\r\nBcc: y@evil.example\0\u{202e}<!channel> <b>*bold*</b> & {{ 7*7 }} \"'`~_ </td></html>";
    let mut event = sample::event(Kind::LevelBroken);
    event.level = Some(evil.into());
    event.level_price = None;
    event.instrument = Some(evil.into());
    event.contract = Some(evil.into());
    event.numbers = sample::numbers(&[("detail", json!(evil)), ("feed", json!(evil)), (evil, json!(evil))]);
    event.about = About {
        note: Some(evil.into()),
        said_by: Some(evil.into()),
        url: Some("javascript:alert(1)".into()),
        tags: vec![evil.into(); 3],
    };
    event
}

#[test]
fn text_that_others_wrote_is_inert_in_every_form() {
    let message = Message::render(&hostile(), &sample::context());
    for text in [&message.subject, &message.text, &message.html] {
        assert!(!text.contains(['\r', '\0', '\u{202e}']), "{text:?}");
    }
    assert!(!message.subject.contains('\n'));
    assert!(!message.text.lines().any(|line| line.starts_with("Bcc")), "{}", message.text);
    for tag in ["<!channel>", "<b>", "</td></html>", "href=\"javascript", "49"] {
        assert_eq!(message.html.matches(tag).count(), 0, "{tag} in {}", message.html);
    }
    assert_eq!(message.html.matches("</html>").count(), 1);
    let slack = message.slack.to_string();
    assert_eq!(slack.matches('<').count(), 1, "only the link to the page: {slack}");
    assert_eq!(slack.matches("mrkdwn").count(), 1, "{slack}");
    assert!(slack.contains("&lt;!channel&gt;"), "{slack}");
    assert!(
        serde_json::from_str::<Value>(&message.webhook).is_ok()
            && !message.webhook.contains(['\r', '\n', '\0'])
    );
}

fn huge() -> Event {
    let long = "<&> long text ".repeat(500);
    let mut event = hostile();
    event.level = Some(long.clone());
    event.about = About {
        note: Some(long.clone()),
        said_by: Some(long.clone()),
        url: Some(long.clone()),
        tags: vec![long.clone(); 500],
    };
    event.numbers = (0..500).map(|n| (format!("key {n} {long}"), json!(long))).collect();
    event
}

#[test]
fn limits_hold_whatever_an_event_carries() {
    for event in [huge(), hostile(), sample::event(Kind::LevelBroken)] {
        let message = Message::render(&event, &sample::context());
        assert!(message.subject.chars().count() <= SUBJECT_MAX);
        assert!(message.webhook.len() < 20_000, "{}", message.webhook.len());
        assert!(message.text.len() < 100_000 && message.html.len() < 400_000);
        assert_slack_limits(&message.slack);
    }
}

fn assert_slack_limits(slack: &Value) {
    let length = |text: &Value| text["text"].as_str().unwrap().chars().count();
    let blocks = slack["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    let mut total = 0;
    for block in blocks {
        let fields = block["fields"].as_array().cloned().unwrap_or_default();
        let elements = block["elements"].as_array().cloned().unwrap_or_default();
        assert!(fields.len() <= 10 && elements.len() <= 10);
        assert!(fields.iter().chain(&elements).all(|text| (1..=2_000).contains(&length(text))));
        total += fields.iter().chain(&elements).map(length).sum::<usize>();
        if block["text"].is_object() {
            let max = if block["type"] == "header" { 150 } else { 3_000 };
            assert!((1..=max).contains(&length(&block["text"])));
            total += length(&block["text"]);
        }
    }
    assert!(total <= 12_000, "{total}");
}

#[test]
fn escapes_are_not_cut_in_half() {
    let slack = Message::render(&huge(), &sample::context()).slack.to_string();
    for part in slack.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;"].iter().any(|entity| part.starts_with(entity)), "{part:.40}");
    }
}

#[test]
fn the_webhook_body_carries_the_event_as_it_is_listed_everywhere() {
    let event = sample::event(Kind::LevelFailed);
    let body: Value = serde_json::from_str(&render(&event).webhook).unwrap();
    assert_eq!(body["type"], "level.failed");
    assert_eq!(body["timestamp"], "2026-11-30T20:31:07.250Z");
    assert_eq!(body["data"], serde_json::to_value(&event).unwrap());
    assert_eq!(body.as_object().unwrap().len(), 3);
}

#[test]
fn each_severity_has_its_colour_in_the_mail() {
    let mails: Vec<String> = Severity::ALL
        .iter()
        .map(|&severity| render(&Event { severity, ..sample::event(Kind::LevelBroken) }).html)
        .collect();
    for (n, colour) in ["#6b7280", "#2563eb", "#d97706", "#dc2626"].into_iter().enumerate() {
        assert!(mails[n].contains(&format!("border-left:6px solid {colour}")), "{colour}");
    }
}
