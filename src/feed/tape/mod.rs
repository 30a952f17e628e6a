//! The tape: what a session was told, line by line, so that it can be told again.
//!
//! JSON Lines. The first line is a [`Header`]; every other one is something that the session of the feed was told,
//! with both clocks. What we sent is not on it, since that holds secrets. Reading and writing files belong to others.

pub mod play;

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::feed::protocol::Frame;
use crate::feed::session::{Failure, Input, Moment};
use crate::market::symbol::ContractMonth;
use crate::time::Timestamp;

/// What the first line says it is.
const FORMAT: &str = "breakwatch tape";
/// The version that is written, and the newest that is read.
const VERSION: u32 = 1;
/// How the first line of a tape begins.
const BEGINS: &str = "{\"format\":\"breakwatch tape\",";
/// A longer line is no line of a tape: a message of the largest size, escaped throughout.
pub const LINE_MAX: usize = 8 << 20;

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Always the same.
    pub format: String,
    /// Of the format.
    pub version: u32,
    /// Which program wrote it.
    pub program: String,
    /// The feed's name.
    pub feed: String,
    /// What it speaks.
    pub kind: String,
    /// When the recording began, by the market's clock.
    pub at: Timestamp,
    /// How many times as fast as the wall's clock the market's ran; 1 unless it was a rehearsal.
    pub speed: f64,
    /// Whether it was a rehearsal.
    pub rehearsal: bool,
    /// The feed's table of the configuration as TOML, without its secrets.
    pub table: String,
}

impl Header {
    /// The header of a tape that begins now.
    #[must_use]
    pub fn new(feed: &str, kind: &str, at: Timestamp, table: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            feed: feed.to_owned(),
            kind: kind.to_owned(),
            at,
            speed: 1.0,
            rehearsal: false,
            table,
        }
    }

    /// Reads the first line.
    ///
    /// # Errors
    /// When it is not the first line of a tape, or of a later version.
    pub fn read(line: &str) -> Result<Self, TapeError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        if !is_tape(line.as_bytes()) {
            return Err(TapeError::NoTape);
        }
        match serde_json::from_str::<Version>(line) {
            Ok(Version { version }) if version != VERSION => return Err(TapeError::Version(version)),
            Ok(_) | Err(_) => {}
        }
        let header: Self = serde_json::from_str(line).map_err(TapeError::line)?;
        // Times are multiplied and divided by it.
        if (0.1..=10_000.0).contains(&header.speed) { Ok(header) } else { Err(TapeError::Speed) }
    }
}

/// Whether a file that begins with these bytes says that it is a tape.
#[must_use]
pub fn is_tape(bytes: &[u8]) -> bool {
    bytes.starts_with(BEGINS.as_bytes())
}

/// Why a line cannot be used.
#[derive(Debug, Error)]
pub enum TapeError {
    /// The first line is not that of a tape.
    #[error("this is no tape of breakwatch: its first line does not begin with {BEGINS}")]
    NoTape,
    /// A version that this program does not know.
    #[error("version {0} of the tape is not known here; {VERSION} is")]
    Version(u32),
    /// A speed that no clock has.
    #[error("the tape's speed is not between 0.1 and 10000")]
    Speed,
    /// It is not what a line should be.
    #[error("this is no line of a tape")]
    Line(#[source] serde_json::Error),
    /// The bytes of a binary message are not written as base64.
    #[error("its bytes are not base64")]
    Bytes(#[source] base64::DecodeError),
    /// Neither or several of what a line can hold.
    #[error("a line of a tape has exactly one of text, bytes and event")]
    Shape,
}

impl TapeError {
    const fn line(source: serde_json::Error) -> Self {
        Self::Line(source)
    }
}

/// One line after the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The market's clock.
    pub at: Timestamp,
    /// The clock that never jumps.
    pub up: Moment,
    /// What happened.
    pub what: What,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A text message.
    Text(String),
    /// A binary message.
    Bytes(Vec<u8>),
    /// Something about the connection.
    Event(Event),
}

/// Something about the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The session began.
    Start,
    /// The market's session opened or closed.
    Market(bool),
    /// A connection is about to be made, and this is asked for on it.
    Asked(Asked),
    /// The socket is open.
    Connected,
    /// The socket could not be opened.
    Failed(Failed),
    /// Bytes that are no message came.
    Heard,
    /// The socket is closed.
    Closed(String),
    /// A deadline was reached at which the session did something.
    Timer,
}

/// What is asked for on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Symbols; of each instrument the contract in force first.
    pub wires: Vec<TapeWire>,
    /// The names of the secrets that the protocol knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// A symbol, with its instrument by name, since another configuration may number it otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapeWire {
    /// Its root.
    pub instrument: String,
    /// The month that the symbol means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<ContractMonth>,
    /// The venue's name for it.
    pub symbol: String,
}

/// Why there was no connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failed {
    /// No address, no route, refused, reset, timed out, not a WebSocket.
    Unreachable(String),
    /// The certificate is not to be trusted.
    Untrusted(String),
    /// An HTTP answer instead of an upgrade.
    Http {
        /// Its status.
        status: u16,
        /// How many milliseconds the peer asked us to wait.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unreachable(why) => Self::Unreachable(why),
            Failed::Untrusted(why) => Self::Untrusted(why),
            Failed::Http { status, retry_after_ms } => {
                Self::Http { status, retry_after: retry_after_ms.map(Duration::from_millis) }
            }
        }
    }
}

impl What {
    /// What a session was told, without our secrets, which a venue may repeat.
    #[must_use]
    pub fn of(input: &Input<'_>, scrub: impl Fn(&str) -> String) -> Self {
        let event = match input {
            Input::Frame(Frame::Text(text)) => return Self::Text(scrub(text)),
            Input::Frame(Frame::Binary(bytes)) => return Self::Bytes(scrub_bytes(bytes, scrub)),
            Input::Start => Event::Start,
            Input::Connected => Event::Connected,
            Input::Failed(failure) => Event::Failed(failed(failure, scrub)),
            Input::Heard => Event::Heard,
            Input::Closed(why) => Event::Closed(scrub(why)),
            Input::Timer => Event::Timer,
            Input::Market { open } => Event::Market(*open),
        };
        Self::Event(event)
    }
}

fn failed(failure: &Failure, scrub: impl Fn(&str) -> String) -> Failed {
    match failure {
        Failure::Unreachable(why) => Failed::Unreachable(scrub(why)),
        Failure::Untrusted(why) => Failed::Untrusted(scrub(why)),
        Failure::Http { status, retry_after } => Failed::Http {
            status: *status,
            retry_after_ms: retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        },
    }
}

/// Bytes that hold a secret become text without it; others stay as they are.
fn scrub_bytes(bytes: &[u8], scrub: impl Fn(&str) -> String) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let clean = scrub(&text);
    if clean == text { bytes.to_vec() } else { clean.into_bytes() }
}

/// A line as it is written: times in nanoseconds, one of the others.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    at: i64,
    up: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Event>,
}

impl Row {
    /// Reads a line.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(line: &str) -> Result<Self, TapeError> {
        let Line { at, up, text, bytes, event } = serde_json::from_str(line).map_err(TapeError::line)?;
        let what = match (text, bytes, event) {
            (Some(text), None, None) => What::Text(text.into_owned()),
            (None, Some(bytes), None) => {
                What::Bytes(BASE64.decode(bytes.as_bytes()).map_err(TapeError::Bytes)?)
            }
            (None, None, Some(event)) => What::Event(event),
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) | (None, None, None) => {
                return Err(TapeError::Shape);
            }
        };
        Ok(Self { at: Timestamp::from_nanos(at), up: Moment(Duration::from_nanos(up)), what })
    }

    /// Appends the line, with its end, to `out`.
    ///
    /// # Errors
    /// Never in practice: a row has no value without a text.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        let up = u64::try_from(self.up.0.as_nanos()).unwrap_or(u64::MAX);
        let mut line = Line { at: self.at.as_nanos(), up, text: None, bytes: None, event: None };
        match &self.what {
            What::Text(text) => line.text = Some(Cow::Borrowed(text)),
            What::Bytes(bytes) => line.bytes = Some(Cow::Owned(BASE64.encode(bytes))),
            What::Event(event) => line.event = Some(event.clone()),
        }
        serde_json::to_writer(&mut *out, &line)?;
        out.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
