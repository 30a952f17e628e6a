//! A real WebSocket server on loopback that serves a list of trades, each when its time has come.
//!
//! It speaks JSON the way Massive's futures feed does, with one addition: a subscription is answered first
//! with the last trade, as most vendors do. Like a real venue it repeats nothing: what trades while nobody is
//! connected is not seen. For tests it can misbehave at a given trade. It knows only the wire: prices are
//! decimal text and times milliseconds, so that an error in our own types cannot cancel itself out. It never
//! reads a clock; the time is asked from whoever started it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Connections served at the same time; more are turned away.
const CONNECTIONS_MAX: usize = 16;
/// Trades and quotes in one message.
const ROWS_MAX: usize = 64;
/// Longest message that a client may send.
const MESSAGE_MAX: usize = 64 * 1_024;
/// For the handshake and for every message that is sent.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time is asked at least so often, because the clock that was given may jump.
const NAP_MAX: Duration = Duration::from_millis(200);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One trade as it goes over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueTrade {
    /// Decimal text, sent as it stands: `2450.1`.
    pub price: String,
    /// Contracts.
    pub size: u32,
    /// Milliseconds since 1970 by the exchange's clock.
    pub at_ms: i64,
    /// The venue's number of this trade.
    pub seq: u64,
}

/// The best bid and offer as they go over the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueQuote {
    /// Decimal text.
    pub bid: String,
    /// Decimal text.
    pub ask: String,
    /// Milliseconds since 1970 by the exchange's clock.
    pub at_ms: i64,
}

/// Something that goes wrong, once, just before the trade with this index in the list is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is dropped without a word.
    Cut(usize),
    /// Nothing comes any more, not even an answer to a ping, until the client leaves.
    Stall(usize),
    /// No print and no quote comes any more on this connection; pings are answered.
    Mute(usize),
    /// This text is sent as a message of its own.
    Garbage(usize, String),
    /// A trade at this price, whatever it is, is sent with the real one's time and sequence.
    BadPrint(usize, String),
}

impl Fault {
    const fn at(&self) -> usize {
        match self {
            Self::Cut(at)
            | Self::Stall(at)
            | Self::Mute(at)
            | Self::Garbage(at, _)
            | Self::BadPrint(at, _) => *at,
        }
    }
}

/// How the venue behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The one contract it has.
    pub symbol: String,
    /// The only key that it lets in.
    pub key: String,
    /// Market seconds in one real second.
    pub speed: f64,
    /// Sent between the trades to whoever subscribes to them.
    pub quotes: Vec<VenueQuote>,
    /// The last trade of the session before, for those who subscribe before the first trade.
    pub snapshot: Option<VenueTrade>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Options {
    /// A faultless venue for `symbol` at `speed`, with quotes and snapshot left empty.
    #[must_use]
    pub fn new(symbol: &str, key: &str, speed: f64) -> Self {
        let (symbol, key) = (symbol.to_owned(), key.to_owned());
        Self { symbol, key, speed, quotes: Vec::new(), snapshot: None, faults: Vec::new() }
    }
}

/// Why the venue could not start.
#[derive(Debug, Error)]
pub enum VenueError {
    /// No port on loopback.
    #[error("cannot listen on loopback")]
    Listen(#[source] io::Error),
    /// A speed that is no speed.
    #[error("a speed must be positive, not {0}")]
    Speed(f64),
}

/// The running server. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Venue {
    /// Where it listens.
    pub addr: SocketAddr,
    tasks: JoinSet<()>,
}

impl Venue {
    /// Starts to serve `trades` (in order of time) on a free port of loopback, each when `now_ms` reaches its
    /// time.
    ///
    /// # Errors
    /// When there is no port, or the speed is not a positive number.
    pub async fn start(
        trades: Vec<VenueTrade>,
        options: Options,
        now_ms: impl Fn() -> i64 + Send + Sync + 'static,
    ) -> Result<Self, VenueError> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(VenueError::Speed(options.speed));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(VenueError::Listen)?;
        let addr = listener.local_addr().map_err(VenueError::Listen)?;
        let exchange = Arc::new(Exchange::new(trades, options, Box::new(now_ms)));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, exchange));
        Ok(Self { addr, tasks })
    }

    /// The address as a feed's configuration wants it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://{}/futures", self.addr)
    }

    /// Ends the server at once and waits until it is gone.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

/// What all connections share.
struct Exchange {
    rows: Vec<Row>,
    symbol: String,
    key: String,
    speed: f64,
    snapshot: Option<VenueTrade>,
    faults: Mutex<Vec<Fault>>,
    now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
}

/// One thing that happens on the exchange.
enum Row {
    Trade(usize, VenueTrade),
    Quote(VenueQuote),
}

impl Row {
    const fn at_ms(&self) -> i64 {
        match self {
            Self::Trade(_, trade) => trade.at_ms,
            Self::Quote(quote) => quote.at_ms,
        }
    }
}

impl Exchange {
    fn new(trades: Vec<VenueTrade>, options: Options, now_ms: Box<dyn Fn() -> i64 + Send + Sync>) -> Self {
        let quotes = options.quotes.into_iter().map(Row::Quote);
        let trades = trades.into_iter().enumerate().map(|(i, trade)| Row::Trade(i, trade));
        let mut rows: Vec<Row> = quotes.chain(trades).collect();
        rows.sort_by_key(Row::at_ms);
        let Options { symbol, key, speed, snapshot, .. } = options;
        Self { rows, symbol, key, speed, snapshot, faults: Mutex::new(options.faults), now_ms }
    }

    fn now_ms(&self) -> i64 {
        (self.now_ms)()
    }

    /// The first row that lies in the future.
    fn next_row(&self) -> usize {
        let now = self.now_ms();
        self.rows.partition_point(|row| row.at_ms() <= now)
    }

    /// The last trade before the row `next`.
    fn last_trade(&self, next: usize) -> Option<&VenueTrade> {
        let before = self.rows.iter().take(next).rev();
        before.filter_map(|row| if let Row::Trade(_, t) = row { Some(t) } else { None }).next()
    }

    /// Real time until the row `next` is due; `None` when there is none.
    fn wait(&self, next: usize) -> Option<Duration> {
        let ms = self.rows.get(next)?.at_ms().saturating_sub(self.now_ms());
        Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0)).div_f64(self.speed).min(NAP_MAX))
    }

    /// Takes a fault that was planned for the trade `index` or one before it.
    fn fault(&self, index: usize) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let place = faults.iter().position(|fault| fault.at() <= index)?;
        Some(faults.remove(place))
    }

    fn trade(&self, trade: &VenueTrade, price: &str) -> String {
        let (symbol, VenueTrade { size, at_ms, seq, .. }) = (&self.symbol, trade);
        format!(r#"{{"ev":"T","sym":"{symbol}","p":{price},"s":{size},"t":{at_ms},"q":{seq}}}"#)
    }

    fn quote(&self, quote: &VenueQuote) -> String {
        let (symbol, VenueQuote { bid, ask, at_ms }) = (&self.symbol, quote);
        format!(
            r#"{{"ev":"Q","sym":"{symbol}","bp":{bid},"bs":5,"bt":{at_ms},"ap":{ask},"as":5,"at":{at_ms},"t":{at_ms}}}"#
        )
    }
}

async fn accept(listener: TcpListener, exchange: Arc<Exchange>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(serve(stream, Arc::clone(&exchange)));
                }
                Ok(_) => {}
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

/// Serves one client until either side leaves.
async fn serve(stream: TcpStream, exchange: Arc<Exchange>) {
    let limits =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_MAX)).max_frame_size(Some(MESSAGE_MAX));
    let handshake = tokio_tungstenite::accept_async_with_config(stream, Some(limits));
    if let Ok(Ok(socket)) = timeout(PEER_TIMEOUT, handshake).await {
        let mut client = Client::new(socket, exchange);
        client.run().await;
    }
}

/// Why a connection ends.
struct Gone;

/// One connection.
struct Client {
    socket: WebSocketStream<TcpStream>,
    exchange: Arc<Exchange>,
    authorised: bool,
    trades: bool,
    quotes: bool,
    muted: bool,
    /// The row that comes next; only meaningful once something is subscribed.
    next: usize,
}

impl Client {
    const fn new(socket: WebSocketStream<TcpStream>, exchange: Arc<Exchange>) -> Self {
        Self { socket, exchange, authorised: false, trades: false, quotes: false, muted: false, next: 0 }
    }

    async fn run(&mut self) {
        let connected = status("connected", "Connected Successfully");
        let mut going = self.send(connected).await;
        while going.is_ok() {
            going = self.turn().await;
        }
    }

    /// One message of the client, or everything that is due.
    async fn turn(&mut self) -> Result<(), Gone> {
        let wait =
            if (self.trades || self.quotes) && !self.muted { self.exchange.wait(self.next) } else { None };
        tokio::select! {
            biased;
            heard = self.socket.next() => match heard {
                Some(Ok(Message::Text(text))) => self.answer(&text).await,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_))) => Ok(()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone),
            },
            () = sleep(wait.unwrap_or(NAP_MAX)), if wait.is_some() => self.serve_due().await,
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Gone> {
        let request: Value = serde_json::from_str(text).unwrap_or_default();
        let word = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default();
        match (word("action"), word("params")) {
            ("auth", key) if key == self.exchange.key => {
                self.authorised = true;
                self.send(status("auth_success", "authenticated")).await
            }
            ("auth", _) => {
                self.send(status("auth_failed", "authentication failed")).await?;
                Err(Gone)
            }
            ("subscribe", _) if !self.authorised => self.send(status("error", "not authorized")).await,
            ("subscribe", channels) => self.subscribe(channels).await,
            _ => self.send(status("error", "unknown action")).await,
        }
    }

    /// Confirms every channel that exists, whether or not the symbol does, and sends the last trade.
    async fn subscribe(&mut self, channels: &str) -> Result<(), Gone> {
        let known = |channel: &&str| channel.starts_with("T.") || channel.starts_with("Q.");
        let ours = |prefix: &str| {
            channels.split(',').any(|c| c.trim().strip_prefix(prefix) == Some(&self.exchange.symbol))
        };
        let (trades, quotes) = (ours("T."), ours("Q."));
        if !(self.trades || self.quotes) {
            self.next = self.exchange.next_row();
        }
        for channel in channels.split(',').map(str::trim).filter(known) {
            let message = format!("subscribed to: {}", channel.replace(['"', '\\'], ""));
            self.send(status("success", &message)).await?;
        }
        self.trades |= trades;
        self.quotes |= quotes;
        let last = self.exchange.last_trade(self.next).or(self.exchange.snapshot.as_ref()).filter(|_| trades);
        match last.map(|trade| format!("[{}]", self.exchange.trade(trade, &trade.price))) {
            Some(snapshot) => self.send(snapshot).await,
            None => Ok(()),
        }
    }

    /// Sends every row whose time has come, with the faults planned for it.
    async fn serve_due(&mut self) -> Result<(), Gone> {
        let exchange = Arc::clone(&self.exchange);
        let now = exchange.now_ms();
        let mut message = Vec::new();
        while let Some(row) = exchange.rows.get(self.next).filter(|row| row.at_ms() <= now) {
            match row {
                Row::Trade(index, trade) => {
                    while let Some(fault) = exchange.fault(*index) {
                        self.send_rows(&mut message).await?;
                        self.suffer(fault, trade).await?;
                    }
                    if self.muted {
                        return Ok(());
                    }
                    if self.trades {
                        message.push(exchange.trade(trade, &trade.price));
                    }
                }
                Row::Quote(quote) if self.quotes => message.push(exchange.quote(quote)),
                Row::Quote(_) => {}
            }
            self.next += 1;
            if message.len() >= ROWS_MAX {
                self.send_rows(&mut message).await?;
            }
        }
        self.send_rows(&mut message).await
    }

    async fn suffer(&mut self, fault: Fault, trade: &VenueTrade) -> Result<(), Gone> {
        match fault {
            Fault::Cut(_) => Err(Gone),
            Fault::Stall(_) => self.stall().await,
            Fault::Mute(_) => {
                self.muted = true;
                Ok(())
            }
            Fault::Garbage(_, text) => self.send(text).await,
            Fault::BadPrint(_, price) => self.send(format!("[{}]", self.exchange.trade(trade, &price))).await,
        }
    }

    /// Hears without answering, until the client closes its side of the connection.
    async fn stall(&mut self) -> Result<(), Gone> {
        let mut ignored = [0_u8; 1_024];
        while self.socket.get_mut().read(&mut ignored).await.is_ok_and(|n| n > 0) {}
        Err(Gone)
    }

    async fn send_rows(&mut self, rows: &mut Vec<String>) -> Result<(), Gone> {
        if rows.is_empty() {
            return Ok(());
        }
        let message = format!("[{}]", rows.join(","));
        rows.clear();
        self.send(message).await
    }

    async fn send(&mut self, text: String) -> Result<(), Gone> {
        match timeout(PEER_TIMEOUT, self.socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

fn status(status: &str, message: &str) -> String {
    format!(r#"[{{"ev":"status","status":"{status}","message":"{message}"}}]"#)
}

#[cfg(test)]
mod tests;
