//! The checked description of a JSON feed. A `Spec` that exists is right.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

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
    /// Where the range of the trade date stands.
    pub day: Option<DayAt>,
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

/// Which rows of a message are about something other than trades.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsAt {
    /// From the message to its rows; the trade's when not given.
    pub each: Pointer,
    /// A row counts when it fulfils all of these.
    pub filter: Vec<Condition>,
    /// From the row to the vendor's symbol; `None` when the feed carries one instrument only.
    pub symbol: Option<Pointer>,
    /// From the row to the exchange's time.
    pub time: Option<TimeAt>,
}

/// How quotes are found in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuoteAt {
    /// Which rows.
    pub rows: RowsAt,
    /// From the row to the best bid.
    pub bid: Pointer,
    /// From the row to the best offer.
    pub ask: Pointer,
}

/// How the range of the trade date is found in a message: a conflated feed may not show every print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayAt {
    /// Which rows.
    pub rows: RowsAt,
    /// From the row to the highest trade.
    pub high: Pointer,
    /// From the row to the lowest trade.
    pub low: Pointer,
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

/// Why a text is no template or pointer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// `${` without `}`.
    #[error("{0:?} has a \"${{\" without its \"}}\"")]
    Unclosed(String),
    /// A name that is none.
    #[error("{0:?} is not a name: letters, digits, - and _")]
    BadName(String),
    /// Not a JSON Pointer.
    #[error("{0:?} is not a JSON Pointer: it is empty or begins with \"/\"")]
    BadPointer(String),
    /// `~` not followed by 0, 1 or 2.
    #[error("{0:?} has a \"~\" that is neither ~0 (~), ~1 (/) nor ~2 (a literal *)")]
    BadEscape(String),
    /// Deeper than any message.
    #[error("{0:?} has more than {SEGMENTS_MAX} segments")]
    TooDeep(String),
}

/// A pointer goes at most so deep.
const SEGMENTS_MAX: usize = 16;

impl Template {
    /// Reads text with `${name}` in it; a lone `$` is literal.
    ///
    /// # Errors
    /// When a `${` is not closed, or what stands between is no name.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| SpecError::Unclosed(text.to_owned()))?;
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(SpecError::BadName(name.to_owned()));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Name(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The names that must be filled in.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Name(name) => Some(name.as_str()),
        })
    }

    /// The text with every name replaced by what `fill` gives; names that it does not know become nothing.
    #[must_use]
    pub fn fill(&self, mut fill: impl FnMut(&str) -> Option<String>) -> String {
        self.parts.iter().fold(String::new(), |mut text, part| {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Name(name) => text.push_str(&fill(name).unwrap_or_default()),
            }
            text
        })
    }
}

impl Pointer {
    /// Reads a JSON Pointer in which the segment `*` means each item (`~2` is a literal `*`).
    ///
    /// # Errors
    /// When it is neither empty nor begins with `/`, has a wrong escape, or is too deep.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        if text.is_empty() {
            return Ok(Self { segments: Vec::new() });
        }
        let inner = text.strip_prefix('/').ok_or_else(|| SpecError::BadPointer(text.to_owned()))?;
        let segments: Vec<Segment> =
            inner.split('/').map(|segment| read_segment(segment, text)).collect::<Result<_, _>>()?;
        if segments.len() > SEGMENTS_MAX {
            Err(SpecError::TooDeep(text.to_owned()))
        } else {
            Ok(Self { segments })
        }
    }
}

fn read_segment(segment: &str, whole: &str) -> Result<Segment, SpecError> {
    if segment == "*" {
        return Ok(Segment::Each);
    }
    let mut key = String::with_capacity(segment.len());
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        key.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                Some('2') => '*',
                Some(_) | None => return Err(SpecError::BadEscape(whole.to_owned())),
            },
            c => c,
        });
    }
    Ok(Segment::Key(key))
}

impl std::fmt::Display for Pointer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Each => f.write_str("/*")?,
                Segment::Key(key) if key == "*" => f.write_str("/~2")?,
                Segment::Key(key) => write!(f, "/{}", key.replace('~', "~0").replace('/', "~1"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_and_unknown_names_become_nothing() {
        let template = Template::parse(r#"{"key":"${key}","$x":"${symbol}${none}"}"#).unwrap();
        assert_eq!(template.names().collect::<Vec<_>>(), ["key", "symbol", "none"]);
        let filled = template.fill(|name| (name != "none").then(|| name.to_uppercase()));
        assert_eq!(filled, r#"{"key":"KEY","$x":"SYMBOL"}"#);
    }

    #[test]
    fn broken_templates_are_named() {
        assert_eq!(Template::parse("a${b"), Err(SpecError::Unclosed("a${b".into())));
        assert_eq!(Template::parse("${}"), Err(SpecError::BadName(String::new())));
        assert_eq!(Template::parse("${a b}"), Err(SpecError::BadName("a b".into())));
    }

    #[test]
    fn pointers_read_and_write() {
        for text in ["", "/*", "/0/status", "/a~1b/~0/~2", "/"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Pointer::parse("/~2").unwrap().segments, [Segment::Key("*".into())]);
        assert_eq!(Pointer::parse("ev"), Err(SpecError::BadPointer("ev".into())));
        assert_eq!(Pointer::parse("/~9"), Err(SpecError::BadEscape("/~9".into())));
        assert!(matches!(Pointer::parse(&"/a".repeat(99)), Err(SpecError::TooDeep(_))));
    }
}
