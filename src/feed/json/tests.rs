//! The protocol against what venues send.

use crate::market::tick::InstrumentId;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::feed::json::spec::{DayAt, Greet, Heartbeat, Pointer, QuoteAt, TimeAt, TimeFormat};
use crate::time::Unit;

fn at(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn is(pointer: &str, value: serde_json::Value) -> Condition {
    Condition { at: at(pointer), any_of: vec![value] }
}

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn rows(event: &str) -> RowsAt {
    RowsAt { each: at("/*"), filter: vec![is("/ev", json!(event))], symbol: Some(at("/sym")), time: None }
}

/// Massive's futures feed.
fn spec() -> Spec {
    Spec {
        url: template("wss://example.com/futures?k=${key}"),
        headers: vec![("X-Key".into(), template("${key}"))],
        greet: vec![
            Greet { send: None, expect: vec![is("/0/status", json!("connected"))] },
            Greet {
                send: Some(template(r#"{"action":"auth","params":"${key}"}"#)),
                expect: vec![is("/0/status", json!("auth_success"))],
            },
        ],
        subscribe: template(r#"{"action":"subscribe","params":"T.${symbol}"}"#),
        refuse: vec![Condition {
            at: at("/0/status"),
            any_of: vec![json!("auth_failed"), json!("not authorized")],
        }],
        heartbeat: Some(Heartbeat { send: template(r#"{"type":"ping"}"#), every: Duration::from_secs(15) }),
        ws_ping: None,
        transport_silence: Duration::from_secs(45),
        market_silence: Duration::from_secs(120),
        realtime: Realtime::Always(true),
        trade: TradeAt {
            each: at("/*"),
            filter: vec![is("/ev", json!("T"))],
            symbol: Some(at("/sym")),
            price: at("/p"),
            size: Some(at("/s")),
            time: Some(TimeAt { at: at("/t"), format: TimeFormat::Unix(Unit::Ms) }),
            sequence: Some(at("/q")),
        },
        quote: Some(QuoteAt { rows: rows("Q"), bid: at("/bp"), ask: at("/ap") }),
        day: Some(DayAt { rows: rows("D"), high: at("/h"), low: at("/l") }),
    }
}

fn protocol(spec: Spec) -> Json {
    let wire = Wire { instrument: InstrumentId(3), contract: None, symbol: "RTYZ6".into() };
    Json::new(spec, vec![wire], BTreeMap::from([("key".into(), SecretString::from("s\"3cret&"))]))
}

fn hear(protocol: &mut Json, text: &str) -> Reply {
    let mut reply = Reply::default();
    protocol.frame(Frame::Text(text), Timestamp::from_nanos(1), &mut reply);
    reply
}

fn greeted() -> Json {
    let mut protocol = protocol(spec());
    protocol.connected(&mut Reply::default());
    hear(&mut protocol, r#"[{"ev":"status","status":"connected"}]"#);
    hear(&mut protocol, r#"[{"ev":"status","status":"auth_success"}]"#);
    protocol
}

fn sent(reply: &Reply) -> Vec<&str> {
    reply.send.iter().map(SecretString::expose_secret).collect()
}

#[test]
fn the_greeting_goes_step_by_step_and_ends_with_the_subscription() {
    let mut protocol = protocol(spec());
    let mut reply = Reply::default();
    protocol.connected(&mut reply);
    assert!(sent(&reply).is_empty() && reply.verdict == Verdict::Continue);
    let reply = hear(&mut protocol, r#"[{"ev":"status","status":"connected"}]"#);
    assert_eq!(sent(&reply), [r#"{"action":"auth","params":"s\"3cret&"}"#]);
    let reply = hear(&mut protocol, r#"[{"ev":"T","sym":"RTYZ6","p":1}]"#);
    assert!(reply.ticks.is_empty(), "nothing counts before the greeting has ended");
    let reply = hear(&mut protocol, r#"[{"ev":"status","status":"auth_success"}]"#);
    assert_eq!(sent(&reply), [r#"{"action":"subscribe","params":"T.RTYZ6"}"#]);
    assert_eq!(reply.verdict, Verdict::Ready);
}

#[test]
fn a_source_without_greeting_is_ready_at_once() {
    let mut protocol = protocol(Spec { greet: Vec::new(), ..spec() });
    let mut reply = Reply::default();
    protocol.connected(&mut reply);
    assert_eq!(reply.verdict, Verdict::Ready);
}

#[test]
fn secrets_are_escaped_for_their_place_and_not_shown() {
    let protocol = protocol(spec());
    let request = protocol.request();
    assert_eq!(request.url.expose_secret(), "wss://example.com/futures?k=s%223cret%26");
    assert_eq!(request.headers[0].1.expose_secret(), "s\"3cret&");
    assert!(!format!("{protocol:?} {request:?}").contains("3cret"));
}

#[test]
fn what_a_venue_repeats_of_a_secret_is_taken_out() {
    let said = protocol(spec()).scrub("closed: bad key s\"3cret& / s\\\"3cret& / s%223cret%26");
    assert_eq!(said, "closed: bad key (secret) / (secret) / (secret)");
}

#[test]
fn a_refusal_names_what_the_venue_said() {
    let mut protocol = protocol(spec());
    protocol.connected(&mut Reply::default());
    let reply = hear(&mut protocol, r#"[{"ev":"status","status":"auth_failed","message":"s\"3cret&"}]"#);
    assert_eq!(reply.verdict, Verdict::Refused("the venue said \"auth_failed\" at /0/status".into()));
}

#[test]
fn trades_and_quotes_are_read_in_order_with_every_digit() {
    let reply = hear(
        &mut greeted(),
        r#"[{"ev":"T","sym":"RTYZ6","p":2451.3000000000002,"s":2,"t":1796310000123,"q":8412377},null,
            {"ev":"T","sym":"RTYZ6","p":"2451.4"},{"ev":"Q","sym":"RTYZ6","bp":2451.2,"ap":null}]"#,
    );
    let prices: Vec<String> = reply.ticks.iter().map(|tick| format!("{:?}", tick.update)).collect();
    assert_eq!(prices.len(), 3);
    assert_eq!(reply.ticks[0].update, Update::Trade { price: "2451.3".parse().unwrap(), size: 2 });
    assert_eq!(reply.ticks[0].exchange_at.unwrap().to_string(), "2026-12-03T15:00:00.123Z");
    assert_eq!((reply.ticks[0].sequence, reply.ticks[0].instrument), (Some(8_412_377), InstrumentId(3)));
    assert_eq!(reply.ticks[1].update, Update::Trade { price: "2451.4".parse().unwrap(), size: 0 });
    assert_eq!(reply.ticks[2].update, Update::Quote { bid: Some("2451.2".parse().unwrap()), ask: None });
}

#[test]
fn the_range_of_the_day_is_read_as_far_as_it_is_given() {
    let reply = hear(
        &mut greeted(),
        r#"[{"ev":"D","sym":"RTYZ6","h":2451.3,"l":2440},{"ev":"D","sym":"RTYZ6","h":"2452","l":null},
            {"ev":"D","sym":"RTYZ6","h":0,"l":0}]"#,
    );
    let updates: Vec<Update> = reply.ticks.iter().map(|tick| tick.update).collect();
    let p = |text: &str| Some(text.parse().unwrap());
    assert_eq!(
        updates,
        [Update::Range { high: p("2451.3"), low: p("2440") }, Update::Range { high: p("2452"), low: None }]
    );
}

#[test]
fn bad_rows_are_counted_by_reason_and_the_good_ones_come_through() {
    let mut protocol = greeted();
    let reply = hear(
        &mut protocol,
        r#"[{"ev":"T","sym":"RTYZ6","p":"NaN"},{"ev":"T","sym":"RTYZ6","p":0},{"ev":"T","sym":"RTYZ6","p":-1},
            {"ev":"T","sym":"RTYZ6","p":1e309},{"ev":"T","sym":"RTYZ6"},{"ev":"T","sym":"ESZ6","p":1},
            {"ev":"T","sym":"RTYZ6","p":2450,"s":"x"},{"ev":"T","sym":"RTYZ6","p":2450,"t":"soon"}]"#,
    );
    assert_eq!(reply.ticks.len(), 1);
    assert_eq!(reply.ticks[0].exchange_at, None);
    let counted: Vec<_> = protocol.drops().take_untold().into_iter().collect();
    assert_eq!(
        counted,
        [
            (Drop::WrongShape, 1),
            (Drop::BadPrice, 4),
            (Drop::BadSize, 1),
            (Drop::BadTime, 1),
            (Drop::UnknownSymbol, 1)
        ]
    );
}

#[test]
fn what_is_not_json_is_counted_and_skipped() {
    let mut protocol = greeted();
    for text in ["", "{", "[{\"p\":", "\u{fffd}", "<html>", &"[".repeat(100_000)] {
        let reply = hear(&mut protocol, text);
        assert!(reply.ticks.is_empty());
    }
    let mut reply = Reply::default();
    protocol.frame(Frame::Binary(&[0xff, 0xfe]), Timestamp::from_nanos(1), &mut reply);
    assert_eq!(protocol.drops().total().get(&Drop::NotJson), Some(&6));
    assert_eq!(protocol.drops().total().get(&Drop::NotText), Some(&1));
}

#[test]
fn delayed_data_is_marked_until_the_venue_says_that_it_is_live() {
    let live = Realtime::When(vec![is("/0/mode", json!("RealTime"))]);
    let mut protocol = protocol(Spec { realtime: live, greet: Vec::new(), ..spec() });
    protocol.connected(&mut Reply::default());
    let trade = r#"[{"ev":"T","sym":"RTYZ6","p":2450}]"#;
    assert_eq!(hear(&mut protocol, trade).ticks[0].quality, Quality::Delayed);
    hear(&mut protocol, r#"[{"mode":"RealTime"}]"#);
    assert_eq!(hear(&mut protocol, trade).ticks[0].quality, Quality::Live);
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(text in "\\PC{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut protocol = greeted();
        hear(&mut protocol, &text);
        protocol.frame(Frame::Binary(&bytes), Timestamp::from_nanos(1), &mut Reply::default());
    }

    #[test]
    fn every_trade_comes_out_once_and_in_order(prices in prop::collection::vec(1i64..10_000_000, 1..50), rows in 1usize..10) {
        let mut protocol = greeted();
        let mut out = Vec::new();
        for chunk in prices.chunks(rows) {
            let rows: Vec<String> = chunk.iter().map(|p| format!(r#"{{"ev":"T","sym":"RTYZ6","p":{}.{}}}"#, p / 10, p % 10)).collect();
            let reply = hear(&mut protocol, &format!("[{}]", rows.join(",")));
            out.extend(reply.ticks.iter().map(|tick| match tick.update {
                Update::Trade { price, .. } => price.as_nanos() / 100_000_000,
                Update::Quote { .. } | Update::Range { .. } => 0,
            }));
        }
        prop_assert_eq!(out, prices);
    }
}
