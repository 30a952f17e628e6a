//! The bodies for other services: as reviewed, and within the vendors' limits whatever an event carries.

use serde_json::json;

use super::*;
use crate::event::{About, Event, Kind, Numbers, Severity};
use crate::outbox::message::{Message, sample};

fn words(event: &Event) -> Words {
    Message::render(event, &sample::context()).words
}

fn pretty(body: &serde_json::Value) -> String {
    serde_json::to_string_pretty(body).unwrap()
}

/// Quotes, line ends, mentions, links, markup, marks that turn the reading direction.
const EVIL: &str = "x\"'\\\r\nBcc: y\0\u{202e}@everyone <@&1> <!here> [a](https://evil.example) *b* _c_ `d` \
                    ~~e~~ ||f|| # g {{DATE(1)}} ${h} </at> 📈";

/// An event whose every text is `text`.
fn saying(text: &str) -> Event {
    Event {
        level: Some(text.into()),
        level_price: None,
        instrument: Some(text.into()),
        contract: Some(text.into()),
        numbers: Numbers::from([
            ("detail".to_owned(), json!(text)),
            ("feed".to_owned(), json!(text)),
            (text.to_owned(), json!(text)),
        ]),
        about: About {
            note: Some(text.into()),
            said_by: Some(text.into()),
            url: Some("javascript:alert(1)".into()),
            tags: vec![text.into(); 3],
        },
        ..sample::event(Kind::LevelBroken)
    }
}

/// Every kind, and what enemies would write.
fn everything() -> Vec<Event> {
    let mut events: Vec<_> = Kind::ALL.iter().map(|&kind| sample::event(kind)).collect();
    let many = (0..300).map(|n| (format!("key {n} {}", "k".repeat(200)), json!("@*".repeat(5_000))));
    events.push(Event { numbers: many.collect(), ..saying(&"*".repeat(10_000)) });
    for text in [EVIL, "\"", "𝕏", "\\", "_", "<", "ا", " ", "\u{202e}"] {
        events.push(saying(&text.repeat(10_000)));
        events.push(saying(text));
    }
    events
}

/// Every text in `body`.
fn texts(body: &serde_json::Value) -> Vec<&str> {
    match body {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(items) => items.iter().flat_map(texts).collect(),
        serde_json::Value::Object(items) => items.values().flat_map(texts).collect(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Vec::new(),
    }
}

#[track_caller]
fn assert_inert(body: &serde_json::Value) {
    for text in texts(body) {
        assert!(!text.contains(['\r', '\0', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text:?}");
    }
}

/// The fact and the digest are told in every form.
#[track_caller]
fn assert_tells(body: impl Fn(&Event, &Words) -> serde_json::Value) {
    for (kind, fact, detail) in [
        (Kind::LevelBroken, "RTY broke 2,500.0 up: 2,500.4", "key mid-term resistance"),
        (Kind::Digest, "RTY: 99,998 levels broke up, 2 are near between 2,400.0 and 2,500.0", "2400.001"),
    ] {
        let event = sample::event(kind);
        let body = body(&event, &words(&event)).to_string();
        assert!(body.contains(fact) && body.contains(detail), "{body}");
    }
    let test = Context { test: true, ..sample::context() };
    let event = Event { rehearsal: true, ..sample::event(Kind::LevelBroken) };
    let marked = body(&event, &Message::render(&event, &test).words).to_string();
    assert!(marked.contains("TEST REHEARSAL: alerts on"), "{marked}");
}

#[test]
fn a_text_is_cut_to_the_units_that_vendors_count() {
    assert_eq!(fitted("abc", 3), "abc");
    assert_eq!(fitted("abcd", 3), "ab…");
    assert_eq!(fitted("𝕏𝕏", 4), "𝕏𝕏");
    assert_eq!(fitted("𝕏𝕏𝕏", 5), "𝕏𝕏…");
    assert_eq!(fitted("𝕏𝕏𝕏", 4), "𝕏…");
    assert_eq!(fitted("ab", 1), "…");
}

#[test]
fn only_whole_addresses_of_the_web_are_links() {
    for link in ["https://example.com/a_b?c=d&e#f", "http://127.0.0.1:8787/thread/2500"] {
        assert!(is_link(link), "{link}");
    }
    for other in ["javascript:alert(1)", "https://a b", "https://a/[x](y)", "https://a/\"", "ftp://a", "x"] {
        assert!(!is_link(other), "{other}");
    }
    assert!(!is_link(&format!("https://{}", "a".repeat(LINK_MAX))));
}

#[test]
fn discord_looks_as_reviewed() {
    let event = sample::event(Kind::LevelBroken);
    insta::assert_snapshot!("discord", pretty(&discord::body(&event, &words(&event))));
    let event = sample::event(Kind::Digest);
    insta::assert_snapshot!("discord_digest", pretty(&discord::body(&event, &words(&event))));
    let event = saying(EVIL);
    insta::assert_snapshot!("discord_hostile", pretty(&discord::body(&event, &words(&event))));
    assert_tells(|event, words| json!(discord::body(event, words).to_string().replace("\\\\", "")));
}

#[test]
fn discord_never_mentions_and_keeps_its_limits() {
    let text = |value: &serde_json::Value| value.as_str().map_or(0, length);
    for event in everything() {
        let body = discord::body(&event, &words(&event));
        assert_inert(&body);
        assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
        assert!((1..=2_000).contains(&text(&body["content"])), "{body}");
        let embed = &body["embeds"][0];
        let fields = embed["fields"].as_array().unwrap();
        assert!(fields.len() <= 25 && text(&embed["description"]) <= 4_096 && text(&embed["title"]) <= 256);
        let mut total = text(&embed["title"]) + text(&embed["description"]) + text(&embed["footer"]["text"]);
        for field in fields {
            assert!(
                (1..=256).contains(&text(&field["name"])) && (1..=1_024).contains(&text(&field["value"]))
            );
            total += text(&field["name"]) + text(&field["value"]);
        }
        assert!(total <= 6_000, "{total}");
    }
}

#[test]
fn discord_reads_no_markdown_in_what_others_wrote() {
    let event = saying(EVIL);
    let body = discord::body(&event, &words(&event));
    for text in texts(&body).iter().filter(|text| !is_link(text)) {
        let bare = text.replace("\\\\", "");
        for (at, c) in bare.char_indices().filter(|(_, c)| "*_~`|<>[]#@".contains(*c)) {
            assert!(bare[..at].ends_with('\\'), "{c} at {at} in {text}");
        }
    }
}

#[test]
fn ntfy_looks_as_reviewed() {
    let topic = "breakwatch-7f3a";
    for (name, event) in [
        ("ntfy", sample::event(Kind::LevelBroken)),
        ("ntfy_digest", sample::event(Kind::Digest)),
        ("ntfy_hostile", saying(EVIL)),
    ] {
        insta::assert_snapshot!(name, pretty(&ntfy::body(&event, &words(&event), topic)));
    }
    assert_tells(|event, words| ntfy::body(event, words, topic));
}

#[test]
fn ntfy_ranks_by_severity() {
    let priorities = Severity::ALL.iter().map(|&severity| {
        let event = Event { severity, ..sample::event(Kind::LevelBroken) };
        ntfy::body(&event, &words(&event), "t")["priority"].as_u64().unwrap()
    });
    assert_eq!(priorities.collect::<Vec<_>>(), [2, 3, 4, 5]);
}

#[test]
fn ntfy_makes_no_attachment_and_divides_no_tag() {
    for event in everything() {
        let body = ntfy::body(&event, &words(&event), &"t".repeat(64));
        assert_inert(&body);
        assert!((1..=4_096).contains(&body["message"].as_str().unwrap().len()), "{body}");
        assert!(body.to_string().len() <= 8_192, "{}", body.to_string().len());
        assert!(!body["title"].as_str().unwrap().contains('\n'));
        let tags: Vec<_> = body["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        assert!(tags.contains(&event.kind.as_str()) && tags.len() <= 8, "{tags:?}");
        assert!(tags.iter().all(|tag| (1..=40).contains(&tag.chars().count()) && !tag.contains(',')));
    }
}

#[test]
fn pagerduty_looks_as_reviewed() {
    for (name, event) in [
        ("pagerduty", sample::event(Kind::LevelBroken)),
        ("pagerduty_resolve", sample::event(Kind::LevelFailed)),
        ("pagerduty_digest", sample::event(Kind::Digest)),
        ("pagerduty_hostile", saying(EVIL)),
    ] {
        insta::assert_snapshot!(name, pretty(&pagerduty::body(&event, &words(&event), "R0KEY")));
    }
    assert_tells(|event, words| pagerduty::body(event, words, "R0KEY"));
}

#[test]
fn pagerduty_opens_at_a_break_and_closes_in_the_same_thread() {
    let sent = |kind| {
        let event = sample::event(kind);
        let body = pagerduty::body(&event, &words(&event), "R0KEY");
        let key = body["dedup_key"].as_str().unwrap().to_owned();
        (body["event_action"].as_str().unwrap().to_owned(), key == event.thread.as_str(), key)
    };
    let (_, _, thread) = sent(Kind::LevelBroken);
    for kind in [Kind::LevelBroken, Kind::FeedDown, Kind::FeedQuiet, Kind::ChannelFailing] {
        assert_eq!((sent(kind).0.as_str(), sent(kind).1), ("trigger", true), "{kind}");
    }
    for kind in [Kind::LevelFailed, Kind::LevelRearmed, Kind::LevelExpired] {
        assert_eq!(sent(kind), ("resolve".to_owned(), true, thread.clone()), "{kind}");
    }
    for kind in [Kind::FeedUp, Kind::ChannelRecovered] {
        assert_eq!((sent(kind).0.as_str(), sent(kind).1), ("resolve", true), "{kind}");
    }
    // An approach in the thread's name would hide the break that follows.
    for kind in [Kind::LevelApproached, Kind::LevelHeld, Kind::LevelSuspended, Kind::Digest] {
        assert_eq!((sent(kind).0.as_str(), sent(kind).1), ("trigger", false), "{kind}");
    }
}

#[test]
fn a_test_of_the_channel_reaches_somebody_at_pagerduty() {
    let event = sample::event(Kind::ChannelRecovered);
    let context = Context { test: true, ..sample::context() };
    let body = pagerduty::body(&event, &Message::render(&event, &context).words, "R0KEY");
    assert_eq!(body["event_action"], "trigger");
    assert_eq!(body["dedup_key"], event.id.as_str());
    assert_eq!(body["payload"]["summary"], "TEST: alerts on mail arrive at 14:31:07 CT");
}

#[test]
fn pagerduty_keeps_its_limits() {
    let severities = Severity::ALL.iter().map(|&severity| {
        let event = Event { severity, ..sample::event(Kind::LevelBroken) };
        pagerduty::body(&event, &words(&event), "k")["payload"]["severity"].as_str().unwrap().to_owned()
    });
    assert_eq!(severities.collect::<Vec<_>>(), ["info", "warning", "error", "critical"]);
    for event in everything() {
        let body = pagerduty::body(&event, &words(&event), "k");
        assert_inert(&body);
        assert!((1..=255).contains(&body["dedup_key"].as_str().unwrap().len()));
        assert!(body.to_string().len() < 512 * 1_024, "{}", body.to_string().len());
        if body["event_action"] == "trigger" {
            let payload = &body["payload"];
            assert!((1..=1_024).contains(&length(payload["summary"].as_str().unwrap())), "{body}");
            assert!(!payload["source"].as_str().unwrap().is_empty(), "{body}");
        }
    }
}

/// When the attempts are made.
fn attempt() -> crate::time::Timestamp {
    sample::context().attempted_at
}

fn alert(event: &Event) -> serde_json::Value {
    alertmanager::body(event, &words(event), attempt())
}

#[test]
fn alertmanager_looks_as_reviewed() {
    for (name, event) in [
        ("alertmanager", sample::event(Kind::LevelBroken)),
        ("alertmanager_end", sample::event(Kind::LevelFailed)),
        ("alertmanager_digest", sample::event(Kind::Digest)),
        ("alertmanager_hostile", saying(EVIL)),
    ] {
        insta::assert_snapshot!(name, pretty(&alert(&event)));
    }
    assert_tells(|event, words| alertmanager::body(event, words, attempt()));
}

#[test]
fn an_end_has_the_labels_of_its_beginning_whatever_the_severity() {
    for (begins, ends) in [
        (Kind::LevelBroken, Kind::LevelFailed),
        (Kind::LevelBroken, Kind::LevelRearmed),
        (Kind::LevelBroken, Kind::LevelExpired),
        (Kind::FeedDown, Kind::FeedUp),
        (Kind::FeedQuiet, Kind::FeedUp),
        (Kind::ChannelFailing, Kind::ChannelRecovered),
    ] {
        for &severity in Severity::ALL {
            let begun = alert(&Event { severity, ..sample::event(begins) });
            let ended = alert(&sample::event(ends));
            assert_eq!(begun[0]["labels"], ended[0]["labels"], "{begins} {ends}");
            assert_eq!(begun[0]["endsAt"], "2026-12-01T20:31:07.285Z", "{begins}");
            assert_eq!(ended[0]["endsAt"], "2026-11-30T20:31:07.250Z", "{ends}");
            assert!(ended[0].get("startsAt").is_none());
        }
    }
    let held = alert(&sample::event(Kind::LevelHeld));
    assert!(held[0].get("endsAt").is_none() && held[0]["labels"]["alertname"] == "level.held");
}

#[test]
fn a_rehearsal_and_a_clock_that_is_ahead_do_not_end_an_alert_before_it_began() {
    let old = sample::at("2024-11-06T14:30:00Z");
    let event = Event { rehearsal: true, occurred_at: old, ..sample::event(Kind::LevelBroken) };
    assert_eq!(alert(&event)[0]["startsAt"], "2026-11-30T20:31:07.285Z");
    assert_eq!(alert(&event)[0]["labels"]["rehearsal"], "true");
    let ahead = sample::at("2027-01-01T00:00:00Z");
    let event = Event { occurred_at: ahead, ..sample::event(Kind::LevelFailed) };
    assert_eq!(alert(&event)[0]["endsAt"], "2026-11-30T20:31:07.285Z");
}

#[test]
fn a_test_of_the_channel_is_an_alert_of_its_own() {
    let event = sample::event(Kind::ChannelRecovered);
    let context = Context { test: true, ..sample::context() };
    let body = alertmanager::body(&event, &Message::render(&event, &context).words, attempt());
    assert_eq!(
        (&body[0]["labels"]["alertname"], &body[0]["labels"]["test"]),
        (&json!("test"), &json!("true"))
    );
    assert!(body[0].get("endsAt").is_none());
}

#[test]
fn alertmanager_gets_labels_that_it_takes() {
    for event in everything() {
        let body = alert(&event);
        assert_inert(&body);
        assert_eq!(body.as_array().unwrap().len(), 1);
        for (label, value) in body[0]["labels"].as_object().unwrap() {
            assert!(label.bytes().all(|b| b.is_ascii_lowercase()), "{label}");
            assert!((1..=200).contains(&length(value.as_str().unwrap())), "{value}");
        }
        assert!(body.to_string().len() < 40_000);
    }
}

#[test]
fn teams_looks_as_reviewed() {
    for (name, event) in [
        ("teams", sample::event(Kind::LevelBroken)),
        ("teams_digest", sample::event(Kind::Digest)),
        ("teams_hostile", saying(EVIL)),
    ] {
        insta::assert_snapshot!(name, pretty(&teams::body(&event, &words(&event))));
    }
    assert_tells(teams::body);
}

#[test]
fn a_card_is_small_enough_and_holds_nothing_that_reads_markdown() {
    for event in everything() {
        let body = teams::body(&event, &words(&event));
        assert_inert(&body);
        assert!(body.to_string().len() <= 20_000, "{}", body.to_string().len());
        let card = &body["attachments"][0]["content"];
        for block in card["body"].as_array().unwrap() {
            assert_eq!(block["type"], "RichTextBlock");
            let runs = block["inlines"].as_array().unwrap();
            assert!(runs.iter().all(|run| run["type"] == "TextRun" && run["text"] != ""), "{block}");
        }
    }
}

#[test]
fn telegram_looks_as_reviewed() {
    let chat = telegram::Chat::Id(-1_001_234_567_890);
    for (name, event) in [
        ("telegram", sample::event(Kind::LevelBroken)),
        ("telegram_digest", sample::event(Kind::Digest)),
        ("telegram_hostile", saying(EVIL)),
    ] {
        insta::assert_snapshot!(name, pretty(&telegram::body(&event, &words(&event), &chat)));
    }
    assert_tells(|event, words| telegram::body(event, words, &chat));
}

#[test]
fn telegram_gets_plain_text_within_its_limit_and_rings_unless_it_is_only_good_to_know() {
    let chat = telegram::Chat::Name("@desk".to_owned());
    for event in everything() {
        let body = telegram::body(&event, &words(&event), &chat);
        assert_inert(&body);
        assert_eq!(body["chat_id"], "@desk");
        assert!((1..=4_096).contains(&length(body["text"].as_str().unwrap())), "{body}");
        assert!(body.get("parse_mode").is_none() && body.get("entities").is_none());
        assert_eq!(body.get("disable_notification").is_some(), event.severity == Severity::Info);
    }
}
