//! The checked description of a JSON feed. A `Spec` that exists is right.

use std::time::Duration;

use serde_json::Value;

use crate::time::Unit;

/// A JSON-over-WebSocket source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `wss://…`; loopback may be `ws://`.
    pub url: Template,
    /// Sent with the upgrade request.
    pub headers: Vec<(String, Template)>,
    /// What is said and heard before subscribing, in order.
    pub greet: Vec<Greet>,
    /// Sent once for each symbol.
    pub subscribe: Template,
    /// A message that fulfils any of these is a refusal: a person must act.
    pub refuse: Vec<Condition>,
    /// A message sent regularly.
    pub heartbeat: Option<Heartbeat>,
    /// A WebSocket ping sent so often.
    pub ws_ping: Option<Duration>,
    /// Nothing at all for so long: reconnect.
    pub transport_silence: Duration,
    /// No print in an open session for so long: alarm, subscribe again, then reconnect.
    pub market_silence: Duration,
    /// Whether what comes is the market of now.
    pub realtime: Realtime,
    /// How trades are found in a message.
    pub trade: TradeAt,
    /// How quotes are found in a message.
    pub quote: Option<QuoteAt>,
}

/// Text with `${name}` in it: a secret's name, or `symbol`. Never printed once filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Literal text and names in turn.
    pub parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// To be filled in.
    Name(String),
}

/// A JSON Pointer (RFC 6901) in which the segment `*` means each item, or the value itself where it is no array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    /// Unescaped segments.
    pub segments: Vec<Segment>,
}

/// One step of a pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A member's name or an item's number.
    Key(String),
    /// Each item.
    Each,
}

/// The value at a pointer is one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Where.
    pub at: Pointer,
    /// What.
    pub any_of: Vec<Value>,
}

/// A step of the greeting: `send` first, then wait until a message fulfils all of `expect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greet {
    /// What we say.
    pub send: Option<Template>,
    /// What we wait for; empty = nothing.
    pub expect: Vec<Condition>,
}

/// A message sent regularly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// What.
    pub send: Template,
    /// How often.
    pub every: Duration,
}

/// Whether what comes is the market of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realtime {
    /// As configured.
    Always(bool),
    /// Once a message has fulfilled all of these.
    When(Vec<Condition>),
}

/// How trades are found in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TradeAt {
    /// From the message to its rows.
    pub each: Pointer,
    /// A row counts when it fulfils all of these.
    pub filter: Vec<Condition>,
    /// From the row to the vendor's symbol; `None` when the feed carries one instrument only.
    pub symbol: Option<Pointer>,
    /// From the row to the price.
    pub price: Pointer,
    /// From the row to the size.
    pub size: Option<Pointer>,
    /// From the row to the exchange's time.
    pub time: Option<TimeAt>,
    /// From the row to a number that grows with every trade.
    pub sequence: Option<Pointer>,
}

/// How quotes are found in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteAt {
    /// From the message to its rows; the trade's when not given.
    pub each: Pointer,
    /// A row counts when it fulfils all of these.
    pub filter: Vec<Condition>,
    /// From the row to the vendor's symbol; `None` when the feed carries one instrument only.
    pub symbol: Option<Pointer>,
    /// From the row to the best bid.
    pub bid: Pointer,
    /// From the row to the best offer.
    pub ask: Pointer,
    /// From the row to the exchange's time.
    pub time: Option<TimeAt>,
}

/// Where a time stands, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeAt {
    /// Where.
    pub at: Pointer,
    /// How.
    pub format: TimeFormat,
}

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFormat {
    /// A number, or a string of digits, in this unit since 1970; 0 = no time.
    Unix(Unit),
    /// RFC 3339 with any number of digits.
    Rfc3339,
}
