//! Venues that speak the protocols of Massive and ProjectX over real WebSockets, and misbehave by script.
//!
//! They keep no clock. What they send is written by the tests; greeting, subscriptions and heartbeats are their own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Upgrade, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::support::peers::KEY;

/// Between two heartbeats of a hub that has nothing to tell.
const BEAT_EVERY: Duration = Duration::from_millis(300);
/// Ends a record of SignalR.
pub(crate) const END: char = '\u{1e}';

/// Whose protocol is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Massive,
    Projectx,
}

impl Dialect {
    /// One event as an item of its list; the price is written as it stands.
    pub(crate) fn event(self, price: &str, at_ms: i64, sequence: i64) -> String {
        match self {
            Self::Massive => {
                format!(r#"{{"ev":"T","sym":"RTYZ4","p":{price},"s":3,"t":{at_ms},"q":{sequence}}}"#)
            }
            Self::Projectx => {
                let at = breakwatch::time::Timestamp::from_nanos(at_ms * 1_000_000);
                format!(r#"{{"symbolId":"F.US.RTY","price":{price},"timestamp":"{at}","type":0,"volume":3}}"#)
            }
        }
    }

    /// A frame with these events.
    pub(crate) fn frame(self, events: &[String]) -> String {
        let events = events.join(",");
        match self {
            Self::Massive => format!("[{events}]"),
            Self::Projectx => format!(
                r#"{{"type":1,"target":"GatewayTrade","arguments":["CON.F.US.RTY.Z24",[{events}]]}}{END}"#
            ),
        }
    }
}

/// What a venue does on a connection once everything is subscribed, step by step; then it stays and listens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends this as one text frame.
    Say(String),
    /// Says goodbye.
    Close(u16, &'static str),
    /// Keeps the socket, and neither sends nor reads any more.
    Freeze,
    /// Heartbeats go on, and nothing else.
    Beat,
    /// The token is good for this connection and for no further one.
    Revoke,
}

/// How a connection is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// With an HTTP answer instead of an upgrade.
    Http(u16),
    /// The key, or the contract, is refused with these words.
    Refuse(&'static str),
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Take {
    pub(crate) door: Door,
    pub(crate) acts: Vec<Act>,
}

/// What the tasks share.
struct Stage {
    dialect: Dialect,
    /// The first connection gets the first take, and so on; the last one repeats.
    takes: Vec<Take>,
    pace: Duration,
    connections: AtomicUsize,
    logins: AtomicUsize,
    /// The token that the hub takes.
    token: Mutex<Option<String>>,
    /// The interface answers so, with `Retry-After: 1`, once each.
    troubles: Mutex<VecDeque<u16>>,
}

/// A running venue; it ends when it is dropped.
pub(crate) struct Sim {
    stage: Arc<Stage>,
    socket: SocketAddr,
    api: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Sim {
    pub(crate) async fn start(dialect: Dialect, takes: Vec<Take>, pace: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let rest = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (socket, api) = (listener.local_addr().unwrap(), rest.local_addr().unwrap());
        let (connections, logins) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (token, troubles) = (Mutex::default(), Mutex::default());
        let stage = Stage { dialect, takes, pace, connections, logins, token, troubles };
        let stage = Arc::new(stage);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&stage)));
        let router = Router::new().fallback(interface).with_state(Arc::clone(&stage));
        tasks.spawn(async move { axum::serve(rest, router).await.unwrap() });
        Self { stage, socket, api, _tasks: tasks }
    }

    /// How many have connected, whether they were let in or not.
    pub(crate) fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::SeqCst)
    }

    /// How many logins were tried.
    pub(crate) fn logins(&self) -> usize {
        self.stage.logins.load(Ordering::SeqCst)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.socket
    }

    /// From here on the hub takes this token.
    pub(crate) fn issue(&self, token: &str) {
        *self.stage.token.lock().unwrap() = Some(token.to_owned());
    }

    /// The next answers of the interface are these.
    pub(crate) fn trouble(&self, statuses: &[u16]) {
        self.stage.troubles.lock().unwrap().extend(statuses);
    }

    /// The feed in the configuration; the key stands in the file `key`.
    pub(crate) fn feed(&self, more: &str) -> String {
        let (socket, api) = (self.socket, self.api);
        let (kind, address) = match self.stage.dialect {
            Dialect::Massive => ("massive", format!("url = \"ws://{socket}/futures\"")),
            Dialect::Projectx => {
                let hub = format!("hub = \"ws://{socket}/hubs/market\"");
                ("projectx", format!("user = \"trader\"\napi = \"http://{api}\"\n{hub}"))
            }
        };
        format!(
            "[[feed]]\nname = \"venue\"\nkind = \"{kind}\"\n{address}\napi_key = {{ file = \"key\" }}\n\
             instruments = [\"RTY\"]\n{more}\n"
        )
    }
}

/// The REST interface of a firm.
async fn interface(State(stage): State<Arc<Stage>>, request: Request) -> impl IntoResponse {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let bearer = parts.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let known = stage.token.lock().unwrap().clone().map(|token| format!("Bearer {token}"));
    let with = |status: StatusCode, text: String| (status, [("retry-after", "1")], text);
    let ok = |text: String| with(StatusCode::OK, text);
    let trouble = stage.troubles.lock().unwrap().pop_front();
    if let Some(status) = trouble {
        return with(StatusCode::from_u16(status).unwrap(), String::new());
    }
    match parts.uri.path() {
        "/api/Auth/loginKey" => {
            let nth = stage.logins.fetch_add(1, Ordering::SeqCst) + 1;
            if body["apiKey"] != KEY || body["userName"] != "trader" {
                let said = body["apiKey"].as_str().unwrap();
                return ok(format!(
                    r#"{{"success":false,"errorCode":3,"errorMessage":"{said} is wrong","token":null}}"#
                ));
            }
            let token = format!("a-token-of-the-firm-{nth}");
            *stage.token.lock().unwrap() = Some(token.clone());
            ok(format!(r#"{{"success":true,"errorCode":0,"errorMessage":null,"token":"{token}"}}"#))
        }
        _ if bearer.is_none() || bearer != known => with(StatusCode::UNAUTHORIZED, String::new()),
        "/api/Auth/validate" => ok(r#"{"success":true,"errorCode":0,"newToken":null}"#.into()),
        "/api/Contract/search" => ok(
            r#"{"success":true,"contracts":[{"id":"CON.F.US.RTY.Z24","name":"RTYZ4","tickSize":0.1,"activeContract":true}]}"#
                .into(),
        ),
        _ => with(StatusCode::NOT_FOUND, String::new()),
    }
}

async fn accept(listener: TcpListener, stage: Arc<Stage>) {
    let mut serving = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let nth = stage.connections.fetch_add(1, Ordering::SeqCst).min(stage.takes.len() - 1);
        serving.spawn(serve(stream, Arc::clone(&stage), nth));
    }
}

async fn serve(stream: TcpStream, stage: Arc<Stage>, nth: usize) {
    let take = stage.takes[nth].clone();
    let token = stage.token.lock().unwrap().clone();
    let dialect = stage.dialect;
    #[expect(clippy::result_large_err, reason = "the library wants it so")]
    let receive = move |upgrade: &Upgrade, response: Response| {
        // A browser can only put the token into the address; the public client on Node puts it into a header.
        let header = upgrade.headers().get("authorization").and_then(|value| value.to_str().ok());
        let header = header.and_then(|value| value.strip_prefix("Bearer "));
        let query = upgrade.uri().query().and_then(|query| query.strip_prefix("access_token="));
        let asked = query.or(header);
        let status = match take.door {
            Door::Http(status) => status,
            _ if dialect == Dialect::Projectx && asked != token.as_deref() => 401,
            Door::Open | Door::Refuse(_) => return Ok(response),
        };
        let mut refused = ErrorResponse::new(None);
        *refused.status_mut() = StatusCode::from_u16(status).unwrap();
        refused.headers_mut().insert("retry-after", "1".parse().unwrap());
        Err(refused)
    };
    let Ok(mut socket) = accept_hdr_async(stream, receive).await else { return };
    play(&mut socket, &stage, &stage.takes[nth]).await;
}

type Socket = WebSocketStream<TcpStream>;

async fn say(socket: &mut Socket, text: impl Into<String>) -> Option<()> {
    socket.send(Message::text(text.into())).await.ok()
}

async fn hear(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return Some(text.as_str().to_owned()),
            Message::Close(_) => return None,
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// `None` when the client leaves in the middle: it is served no further.
async fn play(socket: &mut Socket, stage: &Stage, take: &Take) -> Option<()> {
    match stage.dialect {
        Dialect::Massive => greet_massive(socket, take.door).await?,
        Dialect::Projectx => greet_projectx(socket, take.door).await?,
    }
    for act in &take.acts {
        match act {
            Act::Say(text) => {
                say(socket, text.as_str()).await?;
                tokio::time::sleep(stage.pace).await;
            }
            Act::Close(code, reason) => {
                let frame = CloseFrame { code: (*code).into(), reason: (*reason).into() };
                socket.close(Some(frame)).await.ok()?;
            }
            Act::Freeze => std::future::pending().await,
            Act::Beat => beat(socket, stage.dialect).await?,
            Act::Revoke => *stage.token.lock().unwrap() = None,
        }
    }
    while hear(socket).await.is_some() {}
    Some(())
}

/// Until the client leaves. It may say what it wants, and is answered with nothing but heartbeats.
async fn beat(socket: &mut Socket, dialect: Dialect) -> Option<()> {
    loop {
        match dialect {
            Dialect::Massive => socket.send(Message::Ping(Vec::new().into())).await.ok()?,
            Dialect::Projectx => say(socket, format!("{{\"type\":6}}{END}")).await?,
        }
        // Reading is what answers the client's own pings.
        let listening = async { while hear(socket).await.is_some() {} };
        if tokio::time::timeout(BEAT_EVERY, listening).await.is_ok() {
            return None;
        }
    }
}

async fn greet_massive(socket: &mut Socket, door: Door) -> Option<()> {
    let status = |status: &str, message: &str| {
        format!(r#"[{{"ev":"status","status":"{status}","message":"{message}"}}]"#)
    };
    say(socket, status("connected", "Connected Successfully")).await?;
    let auth: serde_json::Value = serde_json::from_str(&hear(socket).await?).unwrap();
    assert_eq!(auth["action"], "auth", "{auth}");
    let key = auth["params"].as_str().unwrap();
    if let Door::Refuse(words) = door {
        return say(socket, status(words, &format!("{key} is not right"))).await;
    }
    if key != KEY {
        return say(socket, status("auth_failed", "authentication failed")).await;
    }
    say(socket, status("auth_success", "authenticated")).await?;
    // Unlike us, the public client asks for several channels at once.
    let (mut trades, mut quotes) = (false, false);
    while !(trades && quotes) {
        let asked: serde_json::Value = serde_json::from_str(&hear(socket).await?).unwrap();
        assert_eq!(asked["action"], "subscribe", "{asked}");
        for channel in asked["params"].as_str().unwrap().split(',') {
            trades |= channel == "T.RTYZ4";
            quotes |= channel == "Q.RTYZ4";
            say(socket, status("success", &format!("subscribed to: {channel}"))).await?;
        }
    }
    Some(())
}

async fn greet_projectx(socket: &mut Socket, door: Door) -> Option<()> {
    let handshake = hear(socket).await?;
    assert!(handshake.ends_with(END) && handshake.contains(r#""protocol":"json""#), "{handshake}");
    // The answer and a ping may come in one frame.
    say(socket, format!("{{}}{END}{{\"type\":6}}{END}")).await?;
    let (mut trades, mut quotes) = (false, false);
    while !(trades && quotes) {
        for record in hear(socket).await?.split_terminator(END) {
            let call: serde_json::Value = serde_json::from_str(record).unwrap();
            if call["type"] == 6 {
                continue;
            }
            assert_eq!(
                (&call["type"], &call["arguments"][0]),
                (&1.into(), &"CON.F.US.RTY.Z24".into()),
                "{call}"
            );
            trades |= call["target"] == "SubscribeContractTrades";
            quotes |= call["target"] == "SubscribeContractQuotes";
            let id = &call["invocationId"];
            let answer = match door {
                Door::Refuse(words) => format!(r#"{{"type":3,"invocationId":{id},"error":"{words}"}}{END}"#),
                Door::Open | Door::Http(_) => {
                    format!(r#"{{"type":3,"invocationId":{id},"result":null}}{END}"#)
                }
            };
            say(socket, answer).await?;
        }
    }
    Some(())
}
