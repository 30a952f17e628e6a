//! Reads one row of a message: price, size, time, number.
//!
//! Every digit that the vendor wrote is used; a float is never made.

use serde_json::value::RawValue;

use crate::feed::drops::Drop;
use crate::feed::json::spec::{Pointer, TimeAt, TimeFormat};
use crate::feed::json::walk::{first, number_text, string};
use crate::market::price::Price;
use crate::time::Timestamp;

/// A price has at most so many digits, the noise of a binary float included.
const DIGITS_MAX: usize = 20;

/// The price at a place: a positive decimal number, or a string that holds one.
///
/// # Errors
/// The reason to count when there is none.
pub fn price(row: &RawValue, at: &Pointer) -> Result<Price, Drop> {
    price_of(first(row, &at.segments).ok_or(Drop::WrongShape)?)
}

/// The price that a value is: a positive decimal number, or a string that holds one.
///
/// # Errors
/// When it is none.
pub fn price_of(value: &RawValue) -> Result<Price, Drop> {
    let text = number_text(value).ok_or(Drop::BadPrice)?;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let price = Price::parse(&text, true).map_err(|_| Drop::BadPrice)?;
    if price <= Price::ZERO || digits > DIGITS_MAX { Err(Drop::BadPrice) } else { Ok(price) }
}

/// The size at a place, rounded down; 0 when it is not given.
///
/// # Errors
/// When something stands there that is no size.
pub fn size(row: &RawValue, at: &Pointer) -> Result<u32, Drop> {
    first(row, &at.segments).filter(|value| value.get() != "null").map_or(Ok(0), size_of)
}

/// The size that a value is, rounded down.
///
/// # Errors
/// When it is none.
pub fn size_of(value: &RawValue) -> Result<u32, Drop> {
    let text = number_text(value).ok_or(Drop::BadSize)?;
    let whole = Price::parse(&text, true).map_err(|_| Drop::BadSize)?.as_nanos().div_euclid(1_000_000_000);
    u32::try_from(whole).map_err(|_| Drop::BadSize)
}

/// The number at a place.
#[must_use]
pub fn sequence(row: &RawValue, at: &Pointer) -> Option<u64> {
    number_text(first(row, &at.segments)?)?.parse().ok()
}

/// The time at a place; `Ok(None)` when none is given.
///
/// # Errors
/// When something stands there that is no time.
pub fn time(row: &RawValue, at: &TimeAt) -> Result<Option<Timestamp>, Drop> {
    let Some(value) = first(row, &at.at.segments).filter(|value| value.get() != "null") else {
        return Ok(None);
    };
    time_of(value, at.format)
}

/// The time that a value is; `Ok(None)` where it says that there is none.
///
/// # Errors
/// When it is no time.
pub fn time_of(value: &RawValue, format: TimeFormat) -> Result<Option<Timestamp>, Drop> {
    match format {
        TimeFormat::Rfc3339 => {
            let text = string(value).ok_or(Drop::BadTime)?;
            if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| Drop::BadTime) }
        }
        TimeFormat::Unix(unit) => {
            let text = number_text(value).ok_or(Drop::BadTime)?;
            let nanos = scaled(&text, unit.nanos()).ok_or(Drop::BadTime)?;
            Ok((nanos != 0).then(|| Timestamp::from_nanos(nanos)))
        }
    }
}

/// A decimal number times `unit`, rounded down to a whole one.
fn scaled(text: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().ok()?;
    let mut nanos = whole.checked_mul(unit)?;
    let mut place = unit;
    for byte in fraction.bytes() {
        let digit = i64::from(byte.checked_sub(b'0').filter(|digit| *digit <= 9)?);
        place = place.checked_div(10)?;
        nanos = nanos.checked_add(digit.checked_mul(place)?)?;
    }
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::json::walk::parse;
    use crate::time::Unit;

    fn pointer() -> Pointer {
        Pointer::parse("/v").unwrap()
    }

    #[test]
    fn prices_are_read_from_numbers_and_strings_with_every_digit() {
        let read = |text: &str| price(parse(&format!(r#"{{"v":{text}}}"#)).unwrap(), &pointer());
        for text in ["2451.3", r#""2451.3""#, "2451.30", "2.4513e3", "2451.3000000000000"] {
            assert_eq!(read(text), Ok("2451.3".parse().unwrap()), "{text}");
        }
        for text in [
            r#""NaN""#,
            r#""Infinity""#,
            "1e309",
            "0",
            "-0",
            "-1",
            r#""""#,
            "null",
            "true",
            "[]",
            r#""2451,3""#,
            "1234567890.12345678901",
            r#""\ufffd""#,
        ] {
            assert_eq!(read(text), Err(Drop::BadPrice), "{text}");
        }
        assert_eq!(price(parse("{}").unwrap(), &pointer()), Err(Drop::WrongShape));
    }

    #[test]
    fn sizes_are_rounded_down_and_may_be_absent() {
        let read = |text: &str| size(parse(text).unwrap(), &pointer());
        assert_eq!(read(r#"{"v":2}"#), Ok(2));
        assert_eq!(read(r#"{"v":"2.9"}"#), Ok(2));
        assert_eq!(read(r#"{"v":null}"#), Ok(0));
        assert_eq!(read("{}"), Ok(0));
        for text in [r#"{"v":-1}"#, r#"{"v":"NaN"}"#, r#"{"v":99999999999}"#, r#"{"v":{}}"#] {
            assert_eq!(read(text), Err(Drop::BadSize), "{text}");
        }
    }

    #[test]
    fn times_follow_their_format() {
        let read = |text: &str, format| {
            let row = format!(r#"{{"v":{text}}}"#);
            time(parse(&row).unwrap(), &TimeAt { at: pointer(), format }).map(|t| t.map(|t| t.to_string()))
        };
        let ms = TimeFormat::Unix(Unit::Ms);
        let expected = Ok(Some("2026-12-03T15:00:00.123Z".to_owned()));
        assert_eq!(read("1796310000123", ms), expected);
        assert_eq!(read(r#""1796310000123""#, ms), expected);
        assert_eq!(read("1796310000.123", TimeFormat::Unix(Unit::S)), expected);
        assert_eq!(read(r#""2026-12-03T15:00:00.123Z""#, TimeFormat::Rfc3339), expected);
        assert_eq!(read("0", ms), Ok(None));
        assert_eq!(read("null", ms), Ok(None));
        for text in ["true", r#""soon""#, "9999999999999999", "1.x"] {
            if let Some(value) = parse(&format!(r#"{{"v":{text}}}"#)) {
                assert_eq!(time(value, &TimeAt { at: pointer(), format: ms }), Err(Drop::BadTime), "{text}");
            }
        }
    }
}
