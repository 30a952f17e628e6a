//! The protocol against what Massive sends.

use proptest::prelude::*;

use super::*;
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;

const CONNECTED: &str = r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#;
const TAKEN: &str = r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#;
const CONFIRMED: &str = r#"[{"ev":"status","status":"success","message":"subscribed to: T.RTYZ6"}]"#;

fn month(month: u8) -> Option<ContractMonth> {
    Some(ContractMonth { year: 2026, month })
}

fn protocol() -> Massive {
    let setup = Setup {
        url: URL.to_owned(),
        delayed: false,
        quotes: true,
        transport_silence: Duration::from_secs(45),
        market_silence: Duration::from_secs(120),
    };
    let mut massive = Massive::new(setup, "s\"3cret".into());
    let wire = |id, month, symbol: &str| Wire {
        instrument: InstrumentId(id),
        contract: month,
        symbol: symbol.into(),
    };
    massive.set_wires(vec![wire(0, month(12), "RTYZ6"), wire(1, month(12), "M2KZ6")]);
    massive
}

fn hear(protocol: &mut Massive, text: &str) -> Reply {
    let mut reply = Reply::default();
    protocol.frame(Frame::Text(text), Timestamp::from_nanos(1), &mut reply);
    reply
}

fn sent(reply: &Reply) -> Vec<&str> {
    reply.send.iter().map(ExposeSecret::expose_secret).collect()
}

fn subscribed() -> Massive {
    let mut massive = protocol();
    massive.connected(&mut Reply::default());
    hear(&mut massive, CONNECTED);
    assert_eq!(hear(&mut massive, TAKEN).verdict, Verdict::Ready);
    massive
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

#[test]
fn the_key_follows_the_greeting_and_each_symbol_the_answer_to_the_one_before() {
    let mut massive = protocol();
    let mut first = Reply::default();
    massive.connected(&mut first);
    assert!(first.send.is_empty(), "they speak first");
    assert_eq!(sent(&hear(&mut massive, CONNECTED)), [r#"{"action":"auth","params":"s\"3cret"}"#]);
    let taken = hear(&mut massive, TAKEN);
    assert_eq!(sent(&taken), [r#"{"action":"subscribe","params":"T.RTYZ6"}"#]);
    assert_eq!(taken.verdict, Verdict::Ready);
    for channel in ["Q.RTYZ6", "T.M2KZ6", "Q.M2KZ6"] {
        let asked = hear(&mut massive, CONFIRMED);
        assert_eq!(sent(&asked), [format!(r#"{{"action":"subscribe","params":"{channel}"}}"#)]);
        assert_eq!(asked.verdict, Verdict::Continue, "ready only once");
    }
    assert!(hear(&mut massive, CONFIRMED).send.is_empty());
    assert!(hear(&mut massive, CONFIRMED).send.is_empty());
}

#[test]
fn a_subscription_that_is_not_answered_does_not_hold_up_the_others() {
    let mut massive = subscribed();
    let mut asked = Vec::new();
    for _ in 0..6 {
        let mut reply = Reply::default();
        massive.beat(&mut reply);
        asked.extend(sent(&reply).iter().map(|text| (*text).to_owned()));
    }
    assert_eq!(asked.len(), 3, "{asked:?}");
    let mut again = Reply::default();
    massive.subscribe(&mut again);
    assert_eq!(sent(&again), [r#"{"action":"subscribe","params":"T.RTYZ6"}"#]);
}

#[test]
fn a_beat_before_the_key_was_taken_asks_for_nothing() {
    let mut massive = protocol();
    let mut reply = Reply::default();
    massive.connected(&mut reply);
    massive.beat(&mut reply);
    assert!(reply.send.is_empty());
}

#[test]
fn trades_and_quotes_come_with_number_time_and_exact_price() {
    let mut massive = subscribed();
    let reply = hear(
        &mut massive,
        r#"[{"ev":"T","sym":"RTYZ6","p":2451.3,"s":2,"t":1796310000123,"q":8412377},null,
            {"ev":"Q","sym":"M2KZ6","bp":2451.2,"bs":14,"bt":1,"ap":null,"as":9,"t":1796310000122},
            {"ev":"A","sym":"RTYZ6","o":1,"c":2,"s":1796310000000,"e":1796310001000}]"#,
    );
    let [trade, quote] = &reply.ticks[..] else { panic!("{:?}", reply.ticks) };
    assert_eq!(trade.update, Update::Trade { price: price("2451.3"), size: 2 });
    assert_eq!((trade.sequence, trade.contract, trade.quality), (Some(8_412_377), month(12), Quality::Live));
    assert_eq!(trade.exchange_at.unwrap().as_millis(), 1_796_310_000_123);
    assert_eq!(quote.update, Update::Quote { bid: Some(price("2451.2")), ask: None });
    assert_eq!(quote.instrument, InstrumentId(1));
    assert!(massive.drops.total().is_empty());
}

#[test]
fn what_is_no_trade_is_counted_and_the_rest_of_the_message_is_used() {
    let mut massive = subscribed();
    let good = r#"{"ev":"T","sym":"RTYZ6","p":2451.3,"t":1796310000123}"#;
    for (bad, reason) in [
        (r#"{"ev":"T","sym":"RTYZ6","p":null,"t":1}"#, Drop::BadPrice),
        (r#"{"ev":"T","sym":"RTYZ6","t":1}"#, Drop::BadPrice),
        (r#"{"ev":"T","sym":"RTYZ6","p":"NaN"}"#, Drop::BadPrice),
        (r#"{"ev":"T","sym":"RTYZ6","p":1,"s":-1}"#, Drop::BadSize),
        (r#"{"ev":"T","sym":"ESZ6","p":1}"#, Drop::UnknownSymbol),
        (r#"{"ev":"T","p":1}"#, Drop::WrongShape),
        (r#"{"p":1}"#, Drop::WrongShape),
        ("[1]", Drop::WrongShape),
    ] {
        let before = massive.drops.total().get(&reason).copied().unwrap_or(0);
        assert_eq!(hear(&mut massive, &format!("[{bad},{good}]")).ticks.len(), 1, "{bad}");
        assert_eq!(massive.drops.total().get(&reason), Some(&(before + 1)), "{bad}");
    }
    let no_time = hear(&mut massive, r#"[{"ev":"T","sym":"RTYZ6","p":1,"t":"soon"}]"#);
    assert_eq!(no_time.ticks[0].exchange_at, None);
    assert!(hear(&mut massive, "[{").ticks.is_empty());
    assert_eq!(massive.drops.total().get(&Drop::NotJson), Some(&1));
}

#[test]
fn refusals_say_what_was_refused_and_never_the_key() {
    let refused = |massive: &mut Massive, status: &str, message: &str| {
        let text = format!(r#"[{{"ev":"status","status":"{status}","message":"{message}"}}]"#);
        match hear(massive, &text).verdict {
            Verdict::Refused(said) => said,
            verdict @ (Verdict::Continue | Verdict::Ready | Verdict::Kicked(_) | Verdict::Reconnect(_)) => {
                panic!("{verdict:?}")
            }
        }
    };
    let mut massive = protocol();
    massive.connected(&mut Reply::default());
    hear(&mut massive, CONNECTED);
    let said = refused(&mut massive, "auth_failed", "no such key s\\\"3cret");
    assert_eq!(said, r#"the key is not taken: Massive said "no such key (secret)""#);
    assert!(refused(&mut massive, "auth_timeout", "x").contains("too late"));
    let mut massive = subscribed();
    let said = refused(&mut massive, "error", "not authorized");
    assert_eq!(said, r#"the key's plan does not include T.RTYZ6: Massive said "not authorized""#);
    hear(&mut massive, CONFIRMED);
    let said = refused(&mut massive, "error", "Not authorized");
    assert!(said.contains("Q.RTYZ6") && said.contains("quotes = false"), "{said}");
}

#[test]
fn a_second_client_with_the_key_pushes_us_out_and_other_errors_begin_anew() {
    let mut massive = subscribed();
    let text = r#"[{"ev":"T","sym":"RTYZ6","p":1},{"ev":"status","status":"max_connections","message":"Maximum number of websocket connections exceeded."}]"#;
    let reply = hear(&mut massive, text);
    assert!(matches!(&reply.verdict, Verdict::Kicked(said) if said.contains("another client")), "{reply:?}");
    let reply = hear(&mut massive, r#"[{"ev":"status","status":"error","message":"internal"}]"#);
    assert_eq!(reply.verdict, Verdict::Reconnect("Massive said \"internal\"".into()));
    let reply = hear(&mut massive, r#"[{"ev":"status","status":"slow_consumer","message":"too slow"}]"#);
    assert_eq!(reply.verdict, Verdict::Reconnect("Massive said slow_consumer: \"too slow\"".into()));
    assert_eq!(hear(&mut massive, r#"[{"ev":"status","status":"weather"}]"#).verdict, Verdict::Continue);
}

#[test]
fn a_delayed_feed_says_so_at_every_tick() {
    let mut massive = subscribed();
    massive.setup.delayed = true;
    let reply = hear(&mut massive, r#"[{"ev":"T","sym":"RTYZ6","p":1}]"#);
    assert_eq!(reply.ticks[0].quality, Quality::Delayed);
}

#[test]
fn only_the_first_contract_of_an_instrument_is_in_force() {
    let mut massive = subscribed();
    let next = Wire { instrument: InstrumentId(0), contract: month(3), symbol: "RTYH7".into() };
    massive.wires.push(next);
    let reply = hear(&mut massive, r#"[{"ev":"T","sym":"RTYZ6","p":1},{"ev":"T","sym":"RTYH7","p":1}]"#);
    let in_force: Vec<_> = reply.ticks.iter().map(|tick| massive.is_in_force(tick)).collect();
    assert_eq!(in_force, [true, false]);
}

#[test]
fn a_silent_market_may_be_a_symbol_that_does_not_exist() {
    assert!(subscribed().silence_hint().contains("is RTYZ6, M2KZ6 right?"));
}

#[test]
fn debug_shows_no_key() {
    assert!(!format!("{:?}", subscribed()).contains("3cret"));
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(text in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut massive = subscribed();
        hear(&mut massive, &text);
        hear(&mut massive, &format!("[{{\"ev\":{text}}}]"));
        massive.frame(Frame::Binary(&bytes), Timestamp::from_nanos(1), &mut Reply::default());
    }

    #[test]
    fn a_damaged_message_never_panics_and_says_no_price_that_it_does_not_hold(at in 0usize..200, with in "\\PC{0,3}") {
        let good = r#"[{"ev":"T","sym":"RTYZ6","p":2451.3,"s":2,"t":1796310000123,"q":8412377},{"ev":"status","status":"success","message":"x"}]"#;
        let mut text = good.to_owned();
        let at = at.min(text.len());
        text.replace_range(at..text.len().min(at + 1), &with);
        let reply = hear(&mut subscribed(), &text);
        prop_assert!(reply.ticks.len() <= 1 && reply.send.len() <= 1);
    }
}
