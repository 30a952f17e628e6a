//! A feed against real servers on loopback, well-behaved and not.

mod life;
mod limits;
mod misbehaviour;
mod refusal;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::config::feed::FeedInstrument;
use crate::feed::json::Json;
use crate::feed::json::spec::{
    Condition, Greet, Pointer, Realtime, Spec, Template, TimeAt, TimeFormat, TradeAt,
};
use crate::feed::session::Limits;
use crate::market::instrument::Instrument;
use crate::market::tick::{InstrumentId, Link, LinkState, Quality, Tick, Update};
use crate::time::Unit;

/// Long enough for a busy machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);
/// No silence of a test lasts so long.
const NEVER: Duration = Duration::from_secs(600);
/// Words that must never come back.
const PLANTED: &str = "Xylophon7 planted\"secret";

fn template(text: &str) -> Template {
    Template::parse(text).unwrap()
}

fn is(pointer: &str, value: &str) -> Condition {
    Condition { at: Pointer::parse(pointer).unwrap(), any_of: vec![json!(value)] }
}

/// `{"s":"RTYZ4","p":"2450.1","t":1732546800000}`, after a greeting with a key.
fn spec(url: &str) -> Spec {
    let at = |text| Pointer::parse(text).unwrap();
    Spec {
        url: template(url),
        headers: Vec::new(),
        greet: vec![Greet {
            send: Some(template(r#"{"key":"${key}"}"#)),
            expect: vec![is("/is", "welcome")],
        }],
        subscribe: template(r#"{"sub":"${symbol}"}"#),
        refuse: vec![is("/*", "denied")],
        heartbeat: None,
        ws_ping: None,
        transport_silence: NEVER,
        market_silence: NEVER,
        realtime: Realtime::Always(true),
        trade: TradeAt {
            each: at("/*"),
            filter: Vec::new(),
            symbol: Some(at("/s")),
            price: at("/p"),
            size: None,
            time: Some(TimeAt { at: at("/t"), format: TimeFormat::Unix(Unit::Ms) }),
            sequence: None,
        },
        quote: None,
        day: None,
    }
}

/// Loopback's side of a connection.
type Peer = WebSocketStream<TcpStream>;

/// A server that does what the test says.
struct Venue(TcpListener);

impl Venue {
    async fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("ws://{}/feed?key=${{key}}", self.0.local_addr().unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    async fn tcp(&self) -> TcpStream {
        soon(self.0.accept()).await.unwrap().0
    }

    async fn websocket(&self) -> Peer {
        soon(accept_async(self.tcp().await)).await.unwrap()
    }

    /// A connection that has been greeted and has subscribed.
    async fn subscribed(&self) -> Peer {
        let mut peer = self.websocket().await;
        assert!(hear(&mut peer).await.contains("key"));
        say(&mut peer, r#"{"is":"welcome"}"#).await;
        assert!(hear(&mut peer).await.starts_with(r#"{"sub":"#));
        peer
    }

    /// Answers an upgrade request with these bytes.
    async fn answer(&self, bytes: &str) {
        let mut tcp = self.tcp().await;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert_ne!(soon(tcp.read_buf(&mut request)).await.unwrap(), 0);
        }
        tcp.write_all(bytes.as_bytes()).await.unwrap();
        tcp.shutdown().await.unwrap();
        drop(soon(tcp.read_to_end(&mut request)).await);
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("in time")
}

async fn hear(peer: &mut Peer) -> String {
    soon(peer.next()).await.unwrap().unwrap().into_text().unwrap().to_string()
}

async fn say(peer: &mut Peer, text: &str) {
    soon(peer.send(Message::text(text))).await.unwrap();
}

/// A frame as a server writes it: its first byte, and a payload of less than 64 KiB.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => bytes.push(short),
        _ => {
            bytes.push(126);
            bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

const TEXT: u8 = 0x81;

/// How a feed is set up.
struct Setup {
    spec: Spec,
    limits: Limits,
    clock: Clock,
    extra_roots: Option<Vec<u8>>,
    queue: usize,
}

impl Setup {
    fn of(venue: &Venue) -> Self {
        Self::url(&venue.url())
    }

    fn url(url: &str) -> Self {
        let limits =
            Limits { connect: Duration::from_secs(10), greet: Duration::from_secs(10), ..Limits::default() };
        // A Monday in an open session, months before a roll.
        let clock = Clock::rehearsal("2024-11-25T15:00:00Z".parse().unwrap(), 1.0);
        Self { spec: spec(url), limits, clock, extra_roots: None, queue: 64 }
    }

    fn driver(self) -> FeedDriver {
        let secrets = BTreeMap::from([("key".to_owned(), SecretString::from(PLANTED))]);
        let subscription =
            FeedInstrument { instrument: InstrumentId(0), symbol: template("${contract}"), contract: None };
        let protocol = crate::feed::venue::Venue::Json(Box::new(Json::new(self.spec, Vec::new(), secrets)));
        FeedDriver {
            name: "test".into(),
            id: FeedId(7),
            session: Session::new(FeedId(7), protocol, self.limits),
            subscribed: vec![Subscribed { subscription, instrument: Instrument::builtin("RTY").unwrap() }],
            account: None,
            tells_apart: true,
            perishable: Vec::new(),
            extra_roots: self.extra_roots,
            connect_within: self.limits.connect,
            clock: self.clock,
            pulse: Pulse::new("feed test", DEADLINE),
            tape: None,
        }
    }

    /// Starts the feed, and sees it begin.
    async fn start(self) -> Feed {
        let (out, batches) = mpsc::channel(self.queue);
        let (clock, stop) = (self.clock.clone(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(run(self.driver(), out, stop.clone()));
        let mut feed = Feed { batches, items: VecDeque::new(), received: 0, clock, stop, tasks };
        let (loss, detail) = feed.down().await;
        assert_eq!((loss, detail.as_str()), (Loss::Disconnected, "not connected yet"));
        feed
    }
}

/// A running feed, and what it hands on.
struct Feed {
    batches: mpsc::Receiver<Vec<Item>>,
    items: VecDeque<Item>,
    /// How many batches have been received.
    received: usize,
    clock: Clock,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), IngestError>>,
}

impl Feed {
    async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.items.pop_front() {
                return item;
            }
            self.items.extend(soon(self.batches.recv()).await.expect("the feed runs"));
            self.received += 1;
        }
    }

    async fn link(&mut self) -> LinkState {
        loop {
            if let Item::Link(link) = self.next().await {
                assert_eq!(link.feed, FeedId(7));
                return link.state;
            }
        }
    }

    /// What comes next is this: no tick in between.
    async fn live(&mut self) {
        assert_eq!(self.link().await, LinkState::Live);
    }

    async fn down(&mut self) -> (Loss, String) {
        match self.link().await {
            LinkState::Down { loss, detail } => {
                assert!(!detail.contains("Xylophon7"), "{detail}");
                (loss, detail)
            }
            other @ (LinkState::Live | LinkState::Quiet) => panic!("wanted a loss, got {other:?}"),
        }
    }

    async fn tick(&mut self) -> Tick {
        match self.next().await {
            Item::Tick(tick) => tick,
            Item::Link(link) => panic!("wanted a tick, got {link:?}"),
        }
    }

    async fn price(&mut self) -> String {
        price(&self.tick().await)
    }

    /// A trade of now, or of so long ago.
    fn trade(&self, price: &str, ago: Duration) -> String {
        let at = self.clock.now().saturating_sub(ago).as_nanos() / 1_000_000;
        format!(r#"[{{"s":"RTYZ4","p":"{price}","t":{at}}}]"#)
    }

    async fn says_trade(&self, peer: &mut Peer, price: &str) {
        say(peer, &self.trade(price, Duration::ZERO)).await;
    }

    /// A connection on which the feed is live.
    async fn connected(&mut self, venue: &Venue) -> Peer {
        let peer = venue.subscribed().await;
        self.live().await;
        peer
    }

    /// The feed has lost its connection, gets a new one by itself, and delivers.
    async fn recovers(&mut self, venue: &Venue) {
        let mut peer = self.connected(venue).await;
        self.says_trade(&mut peer, "2499.9").await;
        assert_eq!(self.price().await, "2499.9");
    }

    /// Stops the feed, which has a second for it.
    async fn ends(&mut self) {
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(1), self.tasks.join_next()).await;
        ended.expect("within a second").unwrap().unwrap().unwrap();
    }
}

fn price(tick: &Tick) -> String {
    match tick.update {
        Update::Trade { price, .. } => price.to_string(),
        Update::Quote { .. } | Update::Range { .. } => panic!("only trades here"),
    }
}

/// Everything that is logged on this thread while the guard lives, at every level.
fn logged() -> (tracing::subscriber::DefaultGuard, Arc<Mutex<Vec<u8>>>) {
    #[derive(Clone)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Log(Arc::clone(&log));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (tracing::subscriber::set_default(subscriber), log)
}

fn text_of(log: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&log.lock().unwrap()).into_owned()
}
