//! Frames that should not be: what is garbage is skipped, what breaks the protocol ends the connection.

use rstest::rstest;

use super::*;

#[tokio::test]
async fn garbage_is_skipped_and_counted_and_the_connection_kept() {
    let (_guard, log) = logged();
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut peer = feed.connected(&venue).await;
    say(&mut peer, "<html>").await;
    say(&mut peer, &"[".repeat(100_000)).await;
    say(&mut peer, r#"[{"s":"RTYZ4","p":"NaN"},{"s":"ESZ4","p":1},null,{"x":{}}]"#).await;
    soon(peer.send(Message::binary(vec![0xff, 0xfe, 0x00]))).await.unwrap();
    feed.says_trade(&mut peer, "2450.1").await;
    assert_eq!(feed.price().await, "2450.1");
    let told = async {
        while !["not_json", "not_text", "bad_price", "unknown_symbol", "wrong_shape"]
            .iter()
            .all(|reason| text_of(&log).contains(reason))
        {
            tokio::task::yield_now().await;
        }
    };
    soon(told).await;
}

/// What a server might write after the subscription.
fn broken(kind: &str) -> Vec<u8> {
    let header = |first: u8, length: u64| [&[first, 127][..], &length.to_be_bytes()].concat();
    match kind {
        "twenty megabytes" => [header(TEXT, 20 << 20), vec![b' '; 20 << 20]].concat(),
        "2^62 bytes" => header(0x82, 1 << 62),
        "80 fragments of a mebibyte" => (0..80)
            .flat_map(|n| [header(if n == 0 { 0x01 } else { 0x00 }, 1 << 20), vec![b' '; 1 << 20]].concat())
            .collect(),
        "not UTF-8" => frame(TEXT, b"[\"\xff\xfe\"]"),
        "reserved bits" => frame(TEXT | 0x40, b"[]"),
        "masked" => vec![TEXT, 0x82, 1, 2, 3, 4, b'[' ^ 1, b']' ^ 2],
        "a long ping" => frame(0x89, &[0; 126]),
        "an unknown opcode" => frame(0x83, b"[]"),
        "a stray continuation" => frame(0x80, b"[]"),
        other => panic!("{other}"),
    }
}

#[rstest]
#[tokio::test]
async fn what_breaks_the_protocol_ends_the_connection_and_a_new_one_delivers(
    #[values(
        "twenty megabytes",
        "2^62 bytes",
        "80 fragments of a mebibyte",
        "not UTF-8",
        "reserved bits",
        "masked",
        "a long ping",
        "an unknown opcode",
        "a stray continuation"
    )]
    kind: &str,
) {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut tcp = feed.connected(&venue).await.into_inner();
    // The feed may hang up before everything is written.
    drop(soon(tcp.write_all(&broken(kind))).await);
    let (loss, detail) = feed.down().await;
    assert_eq!(loss, Loss::Disconnected);
    assert!(detail.contains("the venue "), "{detail}");
    feed.recovers(&venue).await;
}

#[tokio::test]
async fn many_empty_fragments_are_one_message() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut tcp = feed.connected(&venue).await.into_inner();
    let trade = feed.trade("2450.1", Duration::ZERO);
    let bytes = [frame(0x01, b""), [0, 0].repeat(200_000), frame(0x80, trade.as_bytes())].concat();
    soon(tcp.write_all(&bytes)).await.unwrap();
    assert_eq!(feed.price().await, "2450.1");
}

#[tokio::test]
async fn a_flood_of_pings_does_not_stop_the_ticks() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut tcp = feed.connected(&venue).await.into_inner();
    for price in ["2450.1", "2450.2"] {
        let trade = feed.trade(price, Duration::ZERO);
        let bytes = [frame(0x89, b"now").repeat(50_000), frame(TEXT, trade.as_bytes())].concat();
        soon(tcp.write_all(&bytes)).await.unwrap();
        assert_eq!(feed.price().await, price);
    }
}

/// Writes the same over and over, reads nothing, and sees what the feed makes of it.
async fn flooded(mut tcp: TcpStream, bytes: &[u8], feed: &mut Feed) -> LinkState {
    let flood = async {
        while tcp.write_all(bytes).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = flood => unreachable!("it never ends"),
        state = feed.link() => state,
    }
}

#[tokio::test]
async fn an_endless_message_of_empty_fragments_is_silence() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.spec.transport_silence = Duration::from_millis(500);
    let mut feed = setup.start().await;
    let mut tcp = feed.connected(&venue).await.into_inner();
    tcp.write_all(&frame(0x01, b"")).await.unwrap();
    let state = flooded(tcp, &[0, 0].repeat(100_000), &mut feed).await;
    assert!(matches!(state, LinkState::Down { loss: Loss::TransportSilent, .. }), "{state:?}");
    feed.recovers(&venue).await;
}

#[tokio::test]
async fn an_endless_flood_of_pings_is_no_market() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.spec.market_silence = Duration::from_millis(500);
    let mut feed = setup.start().await;
    let tcp = feed.connected(&venue).await.into_inner();
    assert_eq!(flooded(tcp, &frame(0x89, b"now").repeat(10_000), &mut feed).await, LinkState::Quiet);
    assert_ne!(feed.down().await.0, Loss::Refused);
    feed.recovers(&venue).await;
}
