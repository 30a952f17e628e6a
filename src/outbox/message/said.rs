//! Reads what an event carries besides its fixed fields, as text for people. Whatever is not understood is
//! shown as it is, never dropped.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::event::{Numbers, Px};
use crate::outbox::message::{inert, when};
use crate::time::Timestamp;

/// The longest value that is shown of one number.
const VALUE_MAX: usize = 300;

/// The `numbers` of an event.
#[derive(Clone, Copy)]
pub(super) struct Said<'a>(pub(super) &'a Numbers);

impl Said<'_> {
    /// The value as one line of text.
    pub(super) fn text(self, key: &str) -> Option<String> {
        self.0.get(key).and_then(shown)
    }

    /// A price or difference with its thousands grouped.
    pub(super) fn px(self, key: &str) -> Option<String> {
        let text = self.text(key)?;
        Some(parse_px(&text).map_or(text, |px| px.grouped()))
    }

    /// A difference with its sign: `+31.2`.
    pub(super) fn signed(self, key: &str) -> Option<String> {
        let text = self.px(key)?;
        let plus = !text.starts_with(['-', '+']) && text.bytes().any(|b| matches!(b, b'1'..=b'9'));
        Some(if plus { format!("+{text}") } else { text })
    }

    /// A length of time that is written in milliseconds.
    pub(super) fn millis(self, key: &str) -> Option<String> {
        let value = self.0.get(key)?;
        value.as_u64().map(|ms| when::length(Duration::from_millis(ms))).or_else(|| shown(value))
    }

    /// A point in time, by the exchange's clock.
    pub(super) fn moment(self, key: &str, zone: &TimeZone) -> Option<String> {
        let text = self.text(key)?;
        Some(text.parse::<Timestamp>().map_or(text, |t| when::moment(t, zone)))
    }
}

/// A value on one line; nothing for `null` and empty text.
pub(super) fn shown(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => inert::line(text, VALUE_MAX),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            inert::line(&value.to_string(), VALUE_MAX)
        }
    };
    (!text.is_empty()).then_some(text)
}

fn parse_px(text: &str) -> Option<Px> {
    serde_json::from_value(Value::String(text.to_owned())).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_shown_for_people_and_never_dropped() {
        let numbers: Numbers = [
            ("px", json!("12450.5")),
            ("text", json!("about 5")),
            ("rise", json!("31.2")),
            ("zero", json!("0.0")),
            ("fall", json!("-2.5")),
            ("ms", json!(125_000)),
            ("odd", json!(-3)),
            ("null", json!(null)),
            ("t", json!("2026-11-30T22:00:00.010Z")),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        let said = Said(&numbers);
        let chicago = TimeZone::get("America/Chicago").unwrap();
        assert_eq!(said.px("px").unwrap(), "12,450.5");
        assert_eq!(said.px("text").unwrap(), "about 5");
        assert_eq!(said.signed("rise").unwrap(), "+31.2");
        assert_eq!(said.signed("zero").unwrap(), "0.0");
        assert_eq!(said.signed("fall").unwrap(), "-2.5");
        assert_eq!(said.millis("ms").unwrap(), "2 min 5 s");
        assert_eq!(said.millis("odd").unwrap(), "-3");
        assert_eq!(said.moment("t", &chicago).unwrap(), "16:00:00.010 CT on Mon 30 Nov 2026");
        assert_eq!(said.moment("text", &chicago).unwrap(), "about 5");
        assert!(said.text("null").is_none() && said.px("absent").is_none());
    }
}
