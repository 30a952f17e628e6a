//! The venue as a client on loopback sees it, under a clock that the test sets.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio_tungstenite::{MaybeTlsStream, connect_async};

use super::*;
use crate::demo::path;

const DEADLINE: Duration = Duration::from_secs(10);

/// A clock that stands until it is set.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }
}

/// A trader's side of the connection.
struct Trader(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Trader {
    async fn connect(venue: &Venue) -> Self {
        let (socket, _) = timeout(DEADLINE, connect_async(venue.url())).await.unwrap().unwrap();
        let mut trader = Self(socket);
        assert_eq!(trader.row().await["status"], "connected");
        trader
    }

    /// Connected, let in and subscribed.
    async fn live(venue: &Venue, channels: &str) -> Self {
        let mut trader = Self::connect(venue).await;
        trader.say("auth", "key").await;
        assert_eq!(trader.row().await["status"], "auth_success");
        trader.say("subscribe", channels).await;
        for _ in channels.split(',') {
            assert_eq!(trader.row().await["status"], "success");
        }
        trader
    }

    async fn say(&mut self, action: &str, params: &str) {
        let text = format!(r#"{{"action":"{action}","params":"{params}"}}"#);
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next message, whatever it is; `None` when the connection has ended.
    async fn hear(&mut self) -> Option<Message> {
        timeout(DEADLINE, self.0.next()).await.unwrap().and_then(Result::ok)
    }

    async fn rows(&mut self) -> Vec<Value> {
        let text = self.hear().await.unwrap();
        serde_json::from_str(text.to_text().unwrap()).unwrap()
    }

    /// The next message, which must hold one row.
    async fn row(&mut self) -> Value {
        let rows = self.rows().await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].clone()
    }

    async fn price(&mut self) -> String {
        self.row().await["p"].to_string()
    }

    /// Proves that nothing was sent before the answer to a ping.
    async fn hears_nothing(&mut self) {
        self.0.send(Message::Ping(vec![7].into())).await.unwrap();
        assert!(matches!(self.hear().await, Some(Message::Pong(_))));
    }
}

fn trade(at_ms: i64) -> VenueTrade {
    VenueTrade { price: format!("2450.{at_ms}"), size: 2, at_ms, seq: 100 + u64::try_from(at_ms).unwrap() }
}

/// Trades at 1 to 9 ms, at 2450.1 to 2450.9.
async fn venue(clock: &Clock, change: impl FnOnce(&mut Options)) -> Venue {
    let mut options = Options::new("RTYZ4", "key", 60.0);
    change(&mut options);
    let clock = clock.clone();
    Venue::start((1..=9).map(trade).collect(), options, move || clock.0.load(Ordering::SeqCst)).await.unwrap()
}

async fn faulty(clock: &Clock, fault: Fault) -> Venue {
    venue(clock, |options| options.faults = vec![fault]).await
}

#[tokio::test]
async fn a_trade_is_sent_when_its_time_has_come_and_not_before() {
    let clock = Clock::default();
    let venue = venue(&clock, |_| ()).await;
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    trader.hears_nothing().await;
    clock.set(1);
    let expected = serde_json::json!({"ev": "T", "sym": "RTYZ4", "p": 2450.1, "s": 2, "t": 1, "q": 101});
    assert_eq!(trader.row().await, expected);
    trader.hears_nothing().await;
    clock.set(4);
    let times: Vec<Value> = trader.rows().await.iter().map(|row| row["t"].clone()).collect();
    assert_eq!(times, [2, 3, 4]);
}

#[tokio::test]
async fn only_the_right_key_is_let_in() {
    let venue = venue(&Clock::default(), |_| ()).await;
    let mut trader = Trader::connect(&venue).await;
    trader.say("subscribe", "T.RTYZ4").await;
    assert_eq!(trader.row().await["message"], "not authorized");
    trader.say("auth", "wrong").await;
    assert_eq!(trader.row().await["status"], "auth_failed");
    assert!(!matches!(trader.hear().await, Some(Message::Text(_))));
}

#[tokio::test]
async fn a_symbol_that_does_not_exist_is_confirmed_and_then_silent() {
    let clock = Clock::default();
    let venue = venue(&clock, |_| ()).await;
    let mut stranger = Trader::live(&venue, "T.RTYZ9").await;
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    clock.set(1);
    assert_eq!(trader.price().await, "2450.1");
    stranger.hears_nothing().await;
}

#[tokio::test]
async fn quotes_come_between_the_trades_to_those_who_want_them() {
    let clock = Clock::default();
    let quote = VenueQuote { bid: "2450.0".into(), ask: "2450.1".into(), at_ms: 1 };
    let venue = venue(&clock, |options| options.quotes = vec![quote]).await;
    let mut both = Trader::live(&venue, "T.RTYZ4,Q.RTYZ4").await;
    let mut trades = Trader::live(&venue, "T.RTYZ4").await;
    clock.set(1);
    let rows = both.rows().await;
    let kinds: Vec<&str> = rows.iter().filter_map(|row| row["ev"].as_str()).collect();
    assert_eq!(kinds, ["Q", "T"]);
    assert_eq!(rows[0]["bp"].to_string(), "2450.0");
    assert_eq!(trades.row().await["ev"], "T");
}

#[tokio::test]
async fn a_subscription_begins_with_the_last_trade_and_repeats_nothing() {
    let clock = Clock::default();
    let old = VenueTrade { price: "2419.0".into(), size: 1, at_ms: -1_000, seq: 1 };
    let venue = venue(&clock, |options| options.snapshot = Some(old)).await;
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    assert_eq!(trader.price().await, "2419.0");
    drop(trader);
    clock.set(3);
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    assert_eq!(trader.price().await, "2450.3");
    clock.set(4);
    assert_eq!(trader.price().await, "2450.4");
}

#[tokio::test]
async fn a_cut_ends_the_connection_once() {
    let clock = Clock::default();
    let venue = faulty(&clock, Fault::Cut(1)).await;
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    clock.set(1);
    assert_eq!(trader.price().await, "2450.1");
    clock.set(2);
    assert!(trader.hear().await.is_none());
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    assert_eq!(trader.price().await, "2450.2");
    clock.set(3);
    assert_eq!(trader.price().await, "2450.3");
}

#[tokio::test]
async fn a_stalled_connection_answers_nothing_and_the_next_one_works() {
    let clock = Clock::default();
    let venue = faulty(&clock, Fault::Stall(1)).await;
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    clock.set(2);
    assert_eq!(trader.price().await, "2450.1");
    trader.0.send(Message::Ping(vec![7].into())).await.unwrap();
    assert!(timeout(Duration::from_millis(300), trader.0.next()).await.is_err());
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    assert_eq!(trader.price().await, "2450.2");
}

#[tokio::test]
async fn a_mute_connection_answers_pings_but_prints_nothing() {
    let clock = Clock::default();
    let venue = faulty(&clock, Fault::Mute(1)).await;
    let mut mute = Trader::live(&venue, "T.RTYZ4").await;
    clock.set(2);
    assert_eq!(mute.price().await, "2450.1");
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    assert_eq!(trader.price().await, "2450.2");
    clock.set(3);
    assert_eq!(trader.price().await, "2450.3");
    mute.hears_nothing().await;
}

#[tokio::test]
async fn garbage_and_bad_prints_come_before_the_trade_they_are_planned_for() {
    let clock = Clock::default();
    let faults = vec![Fault::Garbage(0, "[{{]".into()), Fault::BadPrint(1, "9999.9".into())];
    let venue = venue(&clock, |options| options.faults = faults).await;
    let mut trader = Trader::live(&venue, "T.RTYZ4").await;
    clock.set(1);
    assert_eq!(trader.hear().await.unwrap().to_text().unwrap(), "[{{]");
    assert_eq!(trader.price().await, "2450.1");
    clock.set(2);
    assert_eq!(trader.price().await, "9999.9");
    assert_eq!(trader.price().await, "2450.2");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away() {
    let venue = venue(&Clock::default(), |_| ()).await;
    let mut traders = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        traders.push(Trader::connect(&venue).await);
    }
    assert!(timeout(DEADLINE, connect_async(venue.url())).await.unwrap().is_err());
}

#[tokio::test]
async fn a_stopped_venue_leaves_no_connection_behind() {
    let venue = venue(&Clock::default(), |_| ()).await;
    let mut trader = Trader::connect(&venue).await;
    let addr = venue.addr;
    venue.stop().await;
    assert!(trader.hear().await.is_none());
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn the_generated_session_arrives_whole_and_in_order() {
    let clock = Clock::default();
    clock.set(path::START_MS - 1);
    let session = path::session(7);
    let expected: Vec<(u64, String)> = session.trades.iter().map(|t| (t.seq, t.price.clone())).collect();
    let mut options = Options::new(path::SYMBOL, "key", 60.0);
    options.quotes = session.quotes;
    let time = clock.clone();
    let venue = Venue::start(session.trades, options, move || time.0.load(Ordering::SeqCst)).await.unwrap();
    let mut trader = Trader::live(&venue, "T.RTYZ4,Q.RTYZ4").await;
    clock.set(path::START_MS + path::LENGTH_MS);
    let mut got = Vec::new();
    while got.len() < expected.len() {
        let rows = trader.rows().await;
        let trades = rows.iter().filter(|row| row["ev"] == "T");
        got.extend(trades.map(|row| (row["q"].as_u64().unwrap(), row["p"].to_string())));
    }
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_speed_that_is_no_speed_is_refused() {
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let started = Venue::start(Vec::new(), Options::new("RTYZ4", "key", speed), || 0).await;
        assert!(matches!(started, Err(VenueError::Speed(_))), "{speed}");
    }
}
