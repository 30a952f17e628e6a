//! What services that take TradingView's alerts are told: the placeholders' values, and the built-in body.

use serde_json::{Value, json};

use crate::event::{Event, Kind, Px};
use crate::market::instrument::Instrument;
use crate::market::symbol::Symbol;
use crate::outbox::message::formats::{Words, headline};
use crate::outbox::message::inert;
use crate::outbox::message::template::values::Exchanges;
use crate::time::Timestamp;

/// What is sent unless there is a template of one's own; [`body`] says the same without one.
pub const TEMPLATE: &str = include_str!("tradingview.json");
/// The longest name and message.
const NAME_MAX: usize = 120;
const MESSAGE_MAX: usize = 300;
/// Exchanges by ISO 10383 and by TradingView.
const EXCHANGES: &[(&str, &str)] = &[
    ("XCME", "CME"),
    ("XCBT", "CBOT"),
    ("XNYM", "NYMEX"),
    ("XCEC", "COMEX"),
    ("IFUS", "ICEUS"),
    ("XEUR", "EUREX"),
];

/// The built-in body, for when no template made one.
#[must_use]
pub fn body(event: &Event, words: &Words, sent_at: Timestamp) -> Value {
    let of = |key: &str| event.numbers.get(key).filter(|value| value.is_u64() || value.is_string()).cloned();
    let digest = |key: &str| of(key).filter(|_| event.kind == Kind::Digest);
    let price = number(event.price.filter(|_| event.kind != Kind::Digest));
    json!({
        "ticker": ticker(event).unwrap_or_default(),
        "exchange": exchange(event, &Exchanges::new()).unwrap_or_default(),
        "close": price,
        "price": price,
        "level": event.level.as_ref().map(|level| inert::line(level, NAME_MAX)).unwrap_or_default(),
        "level_price": number(event.level_price),
        "direction": event.side.map_or("", |side| match side {
            crate::event::Side::Resistance => "up",
            crate::event::Side::Support => "down",
        }),
        "volume": of("volume").filter(Value::is_u64),
        "time": time(event.occurred_at),
        "timenow": time(sent_at),
        "kind": event.kind.as_str(),
        "severity": event.severity.as_str(),
        "message": headline(words, MESSAGE_MAX),
        "id": inert::line(event.id.as_str(), NAME_MAX),
        "count": digest("count"),
        "lowest": digest("lowest").and_then(as_number),
        "highest": digest("highest").and_then(as_number),
        "test": words.test,
        "rehearsal": event.rehearsal,
    })
}

/// A price as a JSON number with its decimals.
fn number(price: Option<Px>) -> Option<Value> {
    serde_json::from_str(&price?.to_string()).ok()
}

fn as_number(value: Value) -> Option<Value> {
    serde_json::from_str(value.as_str()?).ok()
}

/// `RTYZ2026`, or `RTY1!`, the continuous contract, when no contract is named.
#[must_use]
pub fn ticker(event: &Event) -> Option<String> {
    let Some(contract) = &event.contract else {
        return event.instrument.as_ref().map(|root| format!("{}1!", inert::line(root, NAME_MAX)));
    };
    let year = event.occurred_at.to_jiff().strftime("%Y").to_string().parse().unwrap_or_default();
    Some(match Symbol::parse(contract, year) {
        Ok(Symbol { root, month }) => format!("{root}{}{}", month.code(), month.year),
        Err(_) => inert::line(contract, NAME_MAX),
    })
}

/// `CME_MINI` for the E-minis, else the exchange as TradingView calls it.
#[must_use]
pub fn exchange(event: &Event, configured: &Exchanges) -> Option<String> {
    let root = event.instrument.as_deref()?;
    let known = |mic: &str| EXCHANGES.iter().find(|(iso, _)| *iso == mic).map(|(_, name)| (*name).to_owned());
    if let Some(builtin) = Instrument::builtin(root) {
        return known(&builtin.mic).map(|name| format!("{name}_MINI"));
    }
    let mic = configured.get(root)?;
    Some(known(mic).unwrap_or_else(|| inert::line(mic, NAME_MAX)))
}

/// UTC to the second, as TradingView writes times: `2019-08-27T09:56:00Z`.
#[must_use]
pub fn time(t: Timestamp) -> String {
    t.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
