//! Finds values in a JSON text without building a tree: each step reads one object or array and leaves what is
//! inside as text. So numbers keep every digit, and deep nesting costs no stack.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::feed::json::spec::{Condition, Segment};

/// An array in a message has at most so many items that are looked at.
const ITEMS_MAX: usize = 65_536;

/// A JSON text as a value; `None` when it is not JSON.
#[must_use]
pub fn parse(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// Calls `found` with every value at the end of the path.
pub fn each<'a>(value: &'a RawValue, path: &[Segment], found: &mut dyn FnMut(&'a RawValue)) {
    let Some((segment, rest)) = path.split_first() else {
        return found(value);
    };
    match segment {
        Segment::Key(key) => {
            if let Some(inner) = member(value, key) {
                each(inner, rest, found);
            }
        }
        Segment::Each => match items(value) {
            Some(items) => items.into_iter().take(ITEMS_MAX).for_each(|item| each(item, rest, found)),
            None => each(value, rest, found),
        },
    }
}

/// The first value at the end of the path.
#[must_use]
pub fn first<'a>(value: &'a RawValue, path: &[Segment]) -> Option<&'a RawValue> {
    let mut result = None;
    each(value, path, &mut |found| result = result.or(Some(found)));
    result
}

/// Whether some value at the condition's place is one of those it wants.
#[must_use]
pub fn holds(value: &RawValue, condition: &Condition) -> bool {
    let mut any = false;
    each(value, &condition.at.segments, &mut |found| {
        any = any || condition.any_of.iter().any(|wanted| equals(found, wanted));
    });
    any
}

fn equals(found: &RawValue, wanted: &Value) -> bool {
    match wanted {
        Value::String(wanted) => string(found).is_some_and(|found| found == wanted.as_str()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            serde_json::from_str::<Value>(found.get()).is_ok_and(|found| found == *wanted)
        }
    }
}

/// The content of a string.
#[must_use]
pub fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let text = value.get();
    // Most strings have no escapes and need no copy.
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str::<String>(text).ok().map(Cow::Owned),
        None => None,
    }
}

/// The text of a number, or of a string that may hold one.
#[must_use]
pub fn number_text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().bytes().next() {
        Some(b'"') => string(value),
        Some(b'-' | b'0'..=b'9') => Some(Cow::Borrowed(value.get())),
        Some(_) | None => None,
    }
}

/// A member of an object, or an item of an array by its number.
fn member<'a>(value: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    match value.get().bytes().next() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(value.get()).ok()?;
            // Where a name stands twice, the last one counts, as everywhere.
            members.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
        }
        Some(b'[') => {
            let at: usize = key.parse().ok()?;
            items(value)?.get(at).copied()
        }
        Some(_) | None => None,
    }
}

fn items(value: &RawValue) -> Option<Vec<&RawValue>> {
    if value.get().starts_with('[') { serde_json::from_str(value.get()).ok() } else { None }
}

/// The members of an object, in order.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(MembersVisitor)
    }
}

/// A name that borrows where it can.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
            members.push((name.0, value));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::json::spec::Pointer;

    fn all(text: &str, pointer: &str) -> Vec<String> {
        let mut found = Vec::new();
        let value = parse(text).unwrap();
        each(value, &Pointer::parse(pointer).unwrap().segments, &mut |v| found.push(v.get().to_owned()));
        found
    }

    #[test]
    fn pointers_lead_to_values_as_they_were_written() {
        let text = r#"{"a":[{"p":2451.30},{"p":"2451.4"}],"b":{"0":1e3}}"#;
        assert_eq!(all(text, "/a/1/p"), [r#""2451.4""#]);
        assert_eq!(all(text, "/a/*/p"), ["2451.30", r#""2451.4""#]);
        assert_eq!(all(text, "/b/0"), ["1e3"]);
        assert!(all(text, "/a/x").is_empty() && all(text, "/c/d").is_empty());
    }

    #[test]
    fn each_item_or_the_value_itself() {
        assert_eq!(all(r#"[1,null,[2]]"#, "/*"), ["1", "null", "[2]"]);
        assert_eq!(all(r#"{"p":1}"#, "/*/p"), ["1"]);
        assert_eq!(all("[]", "/*"), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_stands_twice_means_its_last_value() {
        assert_eq!(all(r#"{"p":1,"p":2}"#, "/p"), ["2"]);
        assert_eq!(all("{\"\\u0070\":3}", "/p"), ["3"]);
    }

    #[test]
    fn deep_nesting_costs_no_stack() {
        let text = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let value = parse(&text).unwrap();
        assert!(first(value, &Pointer::parse("/0/0/0").unwrap().segments).is_some());
        let open = "[".repeat(100_000);
        assert!(parse(&open).is_none());
    }

    #[test]
    fn conditions_compare_strings_numbers_and_words() {
        let holds = |text: &str, at: &str, any_of: Value| {
            let any_of = any_of.as_array().unwrap().clone();
            super::holds(parse(text).unwrap(), &Condition { at: Pointer::parse(at).unwrap(), any_of })
        };
        assert!(holds(r#"[{"status":"connected"}]"#, "/0/status", serde_json::json!(["x", "connected"])));
        assert!(holds(r#"[{"s":1},{"s":200}]"#, "/*/s", serde_json::json!([200])));
        assert!(holds(r#"{"ok":true}"#, "/ok", serde_json::json!([true])));
        assert!(!holds(r#"{"ok":"true"}"#, "/ok", serde_json::json!([true])));
        assert!(!holds(r#"{}"#, "/ok", serde_json::json!([null])));
    }
}
