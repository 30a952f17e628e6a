//! A WebSocket with limits: every wait on the peer ends, and no peer can make us grow.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures_util::{FutureExt, SinkExt, StreamExt};
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request as Upgrade;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, Response, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::daemon::ingest::tls;
use crate::feed::protocol::Request;
use crate::feed::session::Failure;
use crate::time::Timestamp;

/// Messages and frames are at most so large.
const MESSAGE_MAX: usize = 1 << 20;
/// What waits to be sent is at most so much.
const WRITE_MAX: usize = 256 << 10;
/// A message of ours is on its way within so long.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// A polite goodbye takes at most so long.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// `Retry-After` is obeyed within these limits.
const RETRY_LEAST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(3_600);

/// An open WebSocket.
#[derive(Debug)]
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came.
#[derive(Debug)]
pub enum Heard {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping or pong.
    Control,
    /// The connection is over; why, for people.
    Closed(String),
}

impl Socket {
    /// Opens a socket: address, connection, TLS and upgrade within one limit.
    ///
    /// # Errors
    /// What the session must know; never with the address, which may carry a secret.
    pub async fn open(
        request: &Request,
        trust: &Arc<ClientConfig>,
        now: Timestamp,
        within: Duration,
    ) -> Result<Self, Failure> {
        let upgrade = upgrade(request)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(64 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_MAX)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let connector = Connector::Rustls(Arc::clone(trust));
        let opening = Box::pin(connect_async_tls_with_config(upgrade, Some(config), true, Some(connector)));
        match timeout(within, opening).await {
            Ok(Ok((socket, _))) => Ok(Self(socket)),
            Ok(Err(error)) => Err(failure(error, now)),
            Err(_) => Err(Failure::Unreachable(format!("no connection within {} s", within.as_secs()))),
        }
    }

    /// The next message; waits. Cancel safe.
    pub async fn hear(&mut self) -> Heard {
        heard(self.0.next().await)
    }

    /// The next message if it is already there.
    pub fn hear_now(&mut self) -> Option<Heard> {
        self.0.next().now_or_never().map(heard)
    }

    /// Sends a text message.
    ///
    /// # Errors
    /// Why it could not be sent, for people.
    pub async fn send(&mut self, text: SecretString) -> Result<(), String> {
        self.put(Message::text(text.expose_secret())).await
    }

    /// Sends a ping.
    ///
    /// # Errors
    /// Why it could not be sent, for people.
    pub async fn ping(&mut self) -> Result<(), String> {
        self.put(Message::Ping(Bytes::new())).await
    }

    async fn put(&mut self, message: Message) -> Result<(), String> {
        match timeout(SEND_WITHIN, self.0.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err(format!("the venue took nothing within {} s", SEND_WITHIN.as_secs())),
        }
    }

    /// Says goodbye, and does not wait long for an answer.
    pub async fn close(mut self) {
        drop(timeout(CLOSE_WITHIN, self.0.close(None)).await);
    }
}

fn heard(message: Option<Result<Message, Error>>) -> Heard {
    match message {
        Some(Ok(Message::Text(text))) => Heard::Text(text),
        Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Heard::Control,
        Some(Ok(Message::Close(frame))) => Heard::Closed(frame.map_or_else(
            || "closed by the venue".to_owned(),
            |frame| {
                // At most 123 bytes; a cut could leave half of a secret in it.
                let reason: String = frame.reason.chars().filter(|c| !c.is_control()).collect();
                format!("closed by the venue: {} {reason}", u16::from(frame.code))
            },
        )),
        Some(Err(error)) => Heard::Closed(words(&error)),
        None => Heard::Closed("the connection ended".to_owned()),
    }
}

/// The upgrade request; a failure does not repeat it.
fn upgrade(request: &Request) -> Result<Upgrade, Failure> {
    let wrong =
        |what: &str| Failure::Unreachable(format!("the {what} cannot be used once its names are filled in"));
    let mut upgrade = request.url.expose_secret().into_client_request().map_err(|_| wrong("url"))?;
    for (name, value) in &request.headers {
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("name of a header"))?;
        let mut value =
            HeaderValue::from_str(value.expose_secret()).map_err(|_| wrong("value of a header"))?;
        value.set_sensitive(true);
        upgrade.headers_mut().insert(header, value);
    }
    Ok(upgrade)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else went wrong is said in words")]
fn failure(error: Error, now: Timestamp) -> Failure {
    if let Some(why) = tls::explain(&error) {
        let untrusted = tls::is_untrusted(&error);
        return if untrusted { Failure::Untrusted(why) } else { Failure::Unreachable(why) };
    }
    match error {
        Error::Http(response) => {
            Failure::Http { status: response.status().as_u16(), retry_after: retry_after(&response, now) }
        }
        error => Failure::Unreachable(words(&error)),
    }
}

/// Seconds, or a date, within limits.
fn retry_after<T>(response: &Response<T>, now: Timestamp) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            let now = UNIX_EPOCH.checked_add(now.since(Timestamp::from_nanos(0)))?;
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.clamp(RETRY_LEAST, RETRY_MOST))
}

/// An error for people: without the address.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library's own words do")]
fn words(error: &Error) -> String {
    match error {
        Error::Io(error) => format!("the connection failed: {error}"),
        Error::Url(_) => "the url cannot be used".to_owned(),
        Error::Capacity(error) => format!("the venue sent too much: {error}"),
        Error::Protocol(error) => format!("the venue broke the WebSocket protocol: {error}"),
        Error::Utf8(_) => "the venue sent text that is not UTF-8".to_owned(),
        Error::ConnectionClosed | Error::AlreadyClosed => "the connection ended".to_owned(),
        error => format!("the connection failed: {error}"),
    }
}
