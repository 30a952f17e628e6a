//! The protocol against what market hubs send.

use proptest::prelude::*;

use super::*;
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;

const Z26: &str = "CON.F.US.RTY.Z26";
const TRADE: &str = r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.Z26",[{"symbolId":"F.US.RTY","price":2451.3,"timestamp":"2026-11-30T15:00:00.1234567+00:00","type":0,"volume":2}]]}"#;

fn protocol() -> Projectx {
    let setup = Setup {
        hub: HUB.to_owned(),
        transport_silence: Duration::from_secs(45),
        market_silence: Duration::from_secs(120),
    };
    let mut projectx = Projectx::new(setup);
    let wire = |year, month, symbol: &str| Wire {
        instrument: InstrumentId(0),
        contract: Some(ContractMonth { year, month }),
        symbol: symbol.into(),
    };
    projectx.set_wires(vec![wire(2026, 12, Z26), wire(2027, 3, "CON.F.US.RTY.H27")]);
    projectx.set_secret(TOKEN, "a+token/=".into());
    projectx
}

fn hear(protocol: &mut Projectx, text: &str) -> Reply {
    let mut reply = Reply::default();
    protocol.frame(Frame::Text(text), Timestamp::from_nanos(1), &mut reply);
    reply
}

/// The records in one frame.
fn say(protocol: &mut Projectx, records: &[&str]) -> Reply {
    hear(protocol, &records.iter().map(|record| format!("{record}{END}")).collect::<String>())
}

fn sent(reply: &Reply) -> Vec<&str> {
    reply.send.iter().map(ExposeSecret::expose_secret).collect()
}

fn greeted() -> Projectx {
    let mut projectx = protocol();
    projectx.connected(&mut Reply::default());
    assert_eq!(say(&mut projectx, &["{}"]).verdict, Verdict::Ready);
    projectx
}

fn quote(fields: &str) -> String {
    format!(r#"{{"type":1,"target":"GatewayQuote","arguments":["{Z26}",{{{fields}}}]}}"#)
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

#[test]
fn the_token_stands_in_the_address_and_is_encoded() {
    let url = protocol().request().url;
    assert_eq!(url.expose_secret(), format!("{HUB}?access_token=a%2Btoken%2F%3D"));
    assert_eq!(protocol().scrub("closed: a+token/= a%2Btoken%2F%3D"), "closed: (secret) (secret)");
    assert!(!format!("{:?}", greeted()).contains("a+token"));
}

#[test]
fn after_the_handshake_trades_and_quotes_of_each_contract_are_asked_for() {
    let mut projectx = protocol();
    let mut first = Reply::default();
    projectx.connected(&mut first);
    assert_eq!(sent(&first), [HANDSHAKE]);
    let reply =
        say(&mut projectx, &["{}", r#"{"type":6}"#, r#"{"type":3,"invocationId":"1","result":null}"#]);
    assert_eq!(reply.verdict, Verdict::Ready);
    let asked = sent(&reply);
    assert_eq!(asked.len(), 4);
    let call = r#"{"type":1,"invocationId":"1","target":"SubscribeContractTrades","arguments":["CON.F.US.RTY.Z26"]}"#;
    assert_eq!(asked[0], format!("{call}{END}"));
    assert!(asked[3].contains(r#""4","target":"SubscribeContractQuotes","arguments":["CON.F.US.RTY.H27"]"#));
    let mut again = Reply::default();
    projectx.subscribe(&mut again);
    assert!(sent(&again)[0].contains(r#""invocationId":"5""#), "a number is used once");
    let mut beat = Reply::default();
    projectx.beat(&mut beat);
    assert_eq!(sent(&beat), [PING]);
}

#[test]
fn a_refused_handshake_is_told() {
    let mut projectx = protocol();
    projectx.connected(&mut Reply::default());
    let reply = say(&mut projectx, &[r#"{"error":"no such protocol a+token/="}"#]);
    let said = r#"the hub refuses the handshake: "no such protocol (secret)""#;
    assert_eq!(reply.verdict, Verdict::Refused(said.into()));
}

#[test]
fn a_contract_that_is_not_served_is_refused_and_the_next_month_is_not_needed() {
    let mut projectx = greeted();
    let next = say(&mut projectx, &[r#"{"type":3,"invocationId":"3","error":"not found"}"#]);
    assert_eq!(next.verdict, Verdict::Continue);
    let reply = say(&mut projectx, &[r#"{"type":3,"invocationId":"1","error":"not found"}"#, TRADE]);
    let said = r#"the hub does not serve CON.F.US.RTY.Z26: it said "not found""#;
    assert_eq!(reply.verdict, Verdict::Refused(said.into()));
    assert!(reply.ticks.is_empty());
    let unknown = say(&mut greeted(), &[r#"{"type":3,"invocationId":"77","error":"x"}"#]);
    assert_eq!(unknown.verdict, Verdict::Continue);
}

#[test]
fn a_closing_hub_says_whether_it_wants_us_again() {
    let close = |text: &str| say(&mut greeted(), &[text]).verdict;
    assert_eq!(close(r#"{"type":7,"allowReconnect":true}"#), Verdict::Reconnect("the hub closes".into()));
    assert_eq!(close(r#"{"type":7}"#), Verdict::Reconnect("the hub closes".into()));
    let with = r#"{"type":7,"error":"restart","allowReconnect":true}"#;
    assert_eq!(close(with), Verdict::Reconnect("the hub closes: it said \"restart\"".into()));
    assert!(
        matches!(close(r#"{"type":7,"error":"banned"}"#), Verdict::Refused(said) if said.contains("banned"))
    );
}

#[test]
fn one_trade_or_several_with_nulls_between() {
    let mut projectx = greeted();
    let reply = say(&mut projectx, &[TRADE]);
    let [trade] = &reply.ticks[..] else { panic!("{:?}", reply.ticks) };
    assert_eq!(trade.update, Update::Trade { price: price("2451.3"), size: 2 });
    assert_eq!(trade.exchange_at.unwrap().to_string(), "2026-11-30T15:00:00.123456700Z");
    let object = r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.H27",{"price":"2451.30","timestamp":"2026-11-30T09:00:00-06:00"}]}"#;
    let several = format!(
        r#"{{"type":1,"target":"GatewayTrade","arguments":["{Z26}",[null,{{"price":1}},null,{{"price":2,"volume":null}}]]}}"#
    );
    let reply = say(&mut projectx, &[object, &several]);
    let prices: Vec<_> = reply.ticks.iter().map(|tick| tick.update).collect();
    let trade = |text| Update::Trade { price: price(text), size: 0 };
    assert_eq!(prices, [trade("2451.3"), trade("1"), trade("2")]);
    assert_eq!(reply.ticks[0].exchange_at.unwrap().to_string(), "2026-11-30T15:00:00.000Z");
    let in_force: Vec<_> = reply.ticks.iter().map(|tick| projectx.is_in_force(tick)).collect();
    assert_eq!(in_force, [false, true, true]);
}

#[test]
fn what_a_quote_leaves_out_has_not_changed_and_its_last_price_is_no_print() {
    let mut projectx = greeted();
    let mut quoted =
        |fields: &str| say(&mut projectx, &[&quote(fields)]).ticks.first().map(|tick| tick.update);
    let both = |bid: Option<&str>, ask: Option<&str>| {
        Some(Update::Quote { bid: bid.map(price), ask: ask.map(price) })
    };
    assert_eq!(quoted(r#""lastPrice":2451.3,"volume":1"#), None);
    assert_eq!(quoted(r#""bestBid":2451.2"#), both(Some("2451.2"), None));
    assert_eq!(quoted(r#""bestAsk":2451.4,"bestBid":null"#), both(Some("2451.2"), Some("2451.4")));
    assert_eq!(quoted(r#""bestBid":2451.3,"lastPrice":null"#), both(Some("2451.3"), Some("2451.4")));
    assert_eq!(quoted(r#""bestBid":0"#), both(None, Some("2451.4")), "no bid is not a bid of 0");
    projectx.connected(&mut Reply::default());
    say(&mut projectx, &["{}"]);
    let fresh = say(&mut projectx, &[&quote(r#""bestBid":1"#)]).ticks[0].update;
    assert_eq!(Some(fresh), both(Some("1"), None), "nothing is left of the last connection");
}

#[test]
fn records_are_split_over_frames_at_any_place() {
    let stream = format!("{TRADE}{END}{{\"type\":6}}{END}{TRADE}{END}");
    for at in 0..stream.len() {
        let mut projectx = greeted();
        let (head, tail) = stream.split_at(at);
        let ticks = hear(&mut projectx, head).ticks.len() + hear(&mut projectx, tail).ticks.len();
        assert_eq!((ticks, projectx.drops.total().len()), (2, 0), "{at}");
    }
}

#[test]
fn a_record_without_an_end_costs_no_memory_and_the_next_one_is_read() {
    let mut projectx = greeted();
    for _ in 0..40 {
        hear(&mut projectx, &"x".repeat(RECORD_MAX / 8));
        assert!(projectx.rest.text.capacity() <= 2 * RECORD_MAX);
    }
    assert_eq!(projectx.drops.total().get(&Drop::NotJson), Some(&1));
    assert_eq!(say(&mut projectx, &["rest of it", TRADE]).ticks.len(), 1);
}

#[test]
fn what_cannot_be_used_is_counted() {
    let mut projectx = greeted();
    for (record, reason) in [
        ("{{{", Drop::NotJson),
        ("[1]", Drop::WrongShape),
        ("{}", Drop::WrongShape),
        (r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.Z26"]}"#, Drop::WrongShape),
        (
            r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.EP.Z26",{"price":1}]}"#,
            Drop::UnknownSymbol,
        ),
        (
            r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.Z26",{"price":"NaN"}]}"#,
            Drop::BadPrice,
        ),
        (
            r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.Z26",[{"price":null}]]}"#,
            Drop::BadPrice,
        ),
        (
            r#"{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.Z26",{"price":1,"volume":-1}]}"#,
            Drop::BadSize,
        ),
    ] {
        let before = projectx.drops.total().get(&reason).copied().unwrap_or(0);
        assert_eq!(say(&mut projectx, &[record, TRADE]).ticks.len(), 1, "{record}");
        assert_eq!(projectx.drops.total().get(&reason), Some(&(before + 1)), "{record}");
    }
    assert!(say(&mut projectx, &[r#"{"type":1,"target":"GatewayDepth","arguments":[]}"#]).ticks.is_empty());
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics_and_little_is_kept(
        pieces in prop::collection::vec("(\\PC|\u{1e}){0,40}", 0..8),
        bytes in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut projectx = greeted();
        for piece in &pieces {
            hear(&mut projectx, piece);
        }
        projectx.frame(Frame::Binary(&bytes), Timestamp::from_nanos(1), &mut Reply::default());
        prop_assert!(projectx.rest.text.len() <= RECORD_MAX && projectx.quotes.len() <= 2 && projectx.asked.len() <= 4);
    }

    #[test]
    fn a_damaged_record_does_not_damage_the_next_one(at in 0usize..250, with in "\\PC{0,3}") {
        let mut text = TRADE.to_owned();
        let at = at.min(text.len());
        text.replace_range(at..text.len().min(at + 1), &with);
        let reply = say(&mut greeted(), &[&text, TRADE]);
        let last = reply.ticks.last().map(|tick| tick.update);
        let good = Update::Trade { price: price("2451.3"), size: 2 };
        prop_assert!(last == Some(good) || reply.verdict != Verdict::Continue, "{:?}", reply);
    }
}
