//! The queue to the engine is bounded, the tries are spaced, and secrets stay where they are.

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;

/// Numbered trades.
const MANY: u32 = 30_000;

/// Waits until the queue is full.
async fn full(feed: &Feed) {
    let full = async {
        while feed.batches.len() < feed.batches.max_capacity() {
            tokio::task::yield_now().await;
        }
    };
    soon(full).await;
}

/// A feed whose queue is full, and a venue that goes on sending.
async fn held_back(venue: &Venue) -> (Feed, JoinSet<Peer>) {
    let mut setup = Setup::of(venue);
    setup.queue = 1;
    let mut feed = setup.start().await;
    let mut peer = feed.connected(venue).await;
    let trades: Vec<String> = (1..=MANY).map(|n| feed.trade(&n.to_string(), Duration::ZERO)).collect();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for trade in trades {
            if peer.send(Message::text(trade)).await.is_err() {
                break;
            }
        }
        peer
    });
    full(&feed).await;
    (feed, tasks)
}

#[tokio::test]
async fn with_nobody_receiving_the_feed_waits_and_nothing_is_lost() {
    let venue = Venue::open().await;
    let (mut feed, _sending) = held_back(&venue).await;
    for n in 1..=MANY {
        assert_eq!(feed.price().await, n.to_string());
    }
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_the_queue_and_still_says_goodbye() {
    let venue = Venue::open().await;
    let (mut feed, mut sending) = held_back(&venue).await;
    feed.ends().await;
    let mut peer = soon(sending.join_next()).await.unwrap().unwrap();
    let said = soon(peer.next()).await;
    assert!(matches!(said, Some(Ok(Message::Close(_)))), "{said:?}");
}

#[tokio::test]
async fn it_ends_when_nobody_takes_its_items_any_more() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut peer = feed.connected(&venue).await;
    feed.batches.close();
    feed.says_trade(&mut peer, "2450.1").await;
    soon(feed.tasks.join_next()).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_venue_that_closes_after_every_subscription_sees_fewer_and_fewer_tries() {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    let mut tries = 0;
    let trying = async {
        loop {
            drop(feed.connected(&venue).await);
            assert_eq!(feed.down().await.0, Loss::Disconnected);
            tries += 1;
        }
    };
    // Without growth about twelve tries. With it, more than eight are less likely than one in a million.
    let ended: Result<(), _> = timeout(Duration::from_secs(6), trying).await;
    assert!(ended.is_err() && (1..=8).contains(&tries), "{tries} tries");
}

#[tokio::test]
async fn no_secret_comes_back() {
    let (guard, log) = logged();
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    venue.answer(&format!("HTTP/1.1 500 {}\r\nx: Xylophon7\r\n\r\nXylophon7", "Xylophon7")).await;
    feed.down().await;
    let mut peer = feed.connected(&venue).await;
    let reason = format!("no such key: {PLANTED}").into();
    soon(peer.close(Some(CloseFrame { code: 4001.into(), reason }))).await.unwrap();
    let (_, detail) = feed.down().await;
    assert_eq!(detail, "closed by the venue: 4001 no such key: (secret)");
    let mut peer = feed.connected(&venue).await;
    say(&mut peer, &json!([format!("key {PLANTED}"), "denied"]).to_string()).await;
    let (loss, detail) = feed.down().await;
    assert!(loss == Loss::Refused && detail.contains("(secret)"), "{detail}");
    feed.ends().await;
    drop(guard);
    let log = text_of(&log);
    assert!(log.contains("a person must act") && !log.contains("Xylophon7"), "{log}");
}
