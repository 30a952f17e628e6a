//! What a session looks like from outside: greeting, ticks, losses, rolls, and the end.

use super::*;

#[tokio::test]
async fn a_session_is_told_in_order() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut peer = venue.websocket().await;
    assert_eq!(hear(&mut peer).await, json!({ "key": PLANTED }).to_string());
    say(&mut peer, r#"{"is":"welcome"}"#).await;
    assert_eq!(hear(&mut peer).await, r#"{"sub":"RTYZ4"}"#);
    for price in ["2450.1", "2450.2", "2450.3"] {
        feed.says_trade(&mut peer, price).await;
    }
    assert!(matches!(feed.next().await, Item::Link(Link { state: LinkState::Live, .. })));
    for price in ["2450.1", "2450.2", "2450.3"] {
        let tick = feed.tick().await;
        assert_eq!((super::price(&tick).as_str(), tick.instrument), (price, InstrumentId(0)));
        assert_eq!(tick.contract.unwrap().to_string(), "Z24");
    }
}

#[tokio::test]
async fn what_has_come_is_handed_on_together() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut tcp = feed.connected(&venue).await.into_inner();
    let many: Vec<u8> = (0..200).flat_map(|n| frame(TEXT, trade(&feed, n).as_bytes())).collect();
    let before = feed.received;
    tcp.write_all(&many).await.unwrap();
    for n in 0..200 {
        assert_eq!(feed.price().await, format!("{}", 1_000 + n));
    }
    assert!(feed.received - before <= 2, "{} batches", feed.received - before);
}

fn trade(feed: &Feed, n: u32) -> String {
    feed.trade(&(1_000 + n).to_string(), Duration::ZERO)
}

#[tokio::test]
async fn after_a_cut_an_old_value_is_a_snapshot_and_a_fresh_one_live() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut peer = feed.connected(&venue).await;
    feed.says_trade(&mut peer, "2450").await;
    assert_eq!(feed.tick().await.quality, Quality::Live);
    drop(peer);
    assert_eq!(feed.down().await.0, Loss::Disconnected);
    let mut peer = feed.connected(&venue).await;
    say(&mut peer, &feed.trade("2440", Duration::from_secs(60))).await;
    assert_eq!(feed.tick().await.quality, Quality::Snapshot);
    feed.says_trade(&mut peer, "2441").await;
    assert_eq!(feed.tick().await.quality, Quality::Live);
}

#[tokio::test]
async fn a_venue_that_falls_silent_is_left() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.spec.transport_silence = Duration::from_millis(500);
    let mut feed = setup.start().await;
    let _silent = feed.connected(&venue).await;
    assert_eq!(feed.down().await.0, Loss::TransportSilent);
    feed.recovers(&venue).await;
}

#[tokio::test]
async fn a_greeting_that_never_ends_is_left() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.limits.greet = Duration::from_millis(500);
    let mut feed = setup.start().await;
    let mut talker = venue.websocket().await;
    say(&mut talker, r#"{"is":"busy"}"#).await;
    let (loss, detail) = feed.down().await;
    assert!(loss == Loss::TransportSilent && detail.contains("greeting"), "{detail}");
    feed.recovers(&venue).await;
}

#[tokio::test]
async fn without_prints_it_subscribes_again_and_then_connects_again() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.spec.market_silence = Duration::from_secs(1);
    setup.spec.ws_ping = Some(Duration::from_millis(200));
    let mut feed = setup.start().await;
    let mut peer = feed.connected(&venue).await;
    let again = async {
        loop {
            // Reading answers the pings: the connection itself is well.
            if let Message::Text(text) = soon(peer.next()).await.unwrap().unwrap() {
                return text;
            }
        }
    };
    assert_eq!(again.await.as_str(), r#"{"sub":"RTYZ4"}"#);
    assert_eq!(feed.link().await, LinkState::Quiet);
    assert_eq!(feed.down().await.0, Loss::MarketSilent);
    feed.recovers(&venue).await;
}

#[tokio::test]
async fn a_busy_feed_rolls_too() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    // The roll of December 2024 is on the evening of Sunday the 15th, at 17:00 in Chicago.
    setup.clock = Clock::rehearsal("2024-12-15T22:59:57Z".parse().unwrap(), 1.0);
    let mut feed = setup.start().await;
    let mut old = feed.connected(&venue).await;
    let mut pace = tokio::time::interval(Duration::from_millis(200));
    let busy = async {
        loop {
            pace.tick().await;
            if old.send(Message::text(feed.trade("2400", Duration::ZERO))).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut new = tokio::select! {
        () = busy => unreachable!("it never ends"),
        new = venue.websocket() => new,
    };
    hear(&mut new).await;
    say(&mut new, r#"{"is":"welcome"}"#).await;
    assert_eq!(hear(&mut new).await, r#"{"sub":"RTYH5"}"#);
    assert_eq!(feed.down().await, (Loss::Disconnected, "other contracts are asked for".to_owned()));
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut peer = feed.connected(&venue).await;
    feed.ends().await;
    assert!(matches!(soon(peer.next()).await, Some(Ok(Message::Close(_)))));
}

#[tokio::test]
async fn a_stop_ends_a_connection_that_is_being_made() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let _silent = venue.tcp().await;
    feed.ends().await;
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_the_next_try() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    venue.answer("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(feed.down().await.0, Loss::Refused);
    feed.ends().await;
}

#[test]
fn the_next_month_comes_into_sight_before_the_roll_where_messages_name_their_symbol() {
    let subscription =
        FeedInstrument { instrument: InstrumentId(0), symbol: template("${contract}"), contract: None };
    let subscribed = Subscribed { subscription, instrument: Instrument::builtin("RTY").unwrap() };
    let symbols = |at: &str, tells_apart| -> Vec<String> {
        let wires = subscribed.wires(at.parse().unwrap(), tells_apart);
        wires.into_iter().map(|wire| wire.symbol).collect()
    };
    // RTYZ4 rolls on Sunday, 15 December 2024, at 17:00 Chicago.
    assert_eq!(symbols("2024-12-11T22:29:59Z", true), ["RTYZ4"]);
    assert_eq!(symbols("2024-12-11T22:30:00Z", true), ["RTYZ4", "RTYH5"]);
    assert_eq!(symbols("2024-12-11T22:30:00Z", false), ["RTYZ4"]);
    assert_eq!(symbols("2024-12-15T23:00:00Z", true), ["RTYH5"]);
    let changes = subscribed.rolls_at("2024-12-01T00:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(changes.to_string(), "2024-12-11T22:30:00.000Z");
    assert_eq!(subscribed.rolls_at(changes).unwrap().to_string(), "2024-12-15T23:00:00.000Z");
}
