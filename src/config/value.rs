//! From single TOML values to checked ones: texts, numbers, prices, distances, durations, choices.
//!
//! A reader knows what is right for a value and says so; it does not know where the value stands.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use super::problem::{Refusal, hint, not_available, quoted, shown};
use super::section::list;
use crate::market::price::{Distance, Price, PriceError};
use crate::time::{Timestamp, parse_duration};

/// The most characters of a name.
const NAME_MAX: usize = 100;
/// The most characters of any other text.
const TEXT_MAX: usize = 10_000;
/// The most items of a list.
const ITEMS_MAX: usize = 1_000;
/// No duration of a configuration is longer: a hundred years.
const DURATION_MAX: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How long a bar can be.
const BAR_LENGTHS: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(23 * 3_600);

/// Any text.
pub(super) fn text(value: &Value) -> Result<&str, Refusal> {
    let text = value.as_str().ok_or_else(|| format!("{} is not a text in quotes", shown(value)))?;
    if text.chars().count() > TEXT_MAX {
        return Err(format!("is longer than {TEXT_MAX} characters").into());
    }
    Ok(text)
}

/// A text on one line, not empty, without control characters: it may end in a header or on a terminal.
pub(super) fn line(value: &Value) -> Result<String, Refusal> {
    let text = text(value)?;
    check_line(text)?;
    Ok(text.to_owned())
}

fn check_line(text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) {
        return Err(format!("{} contains control characters", quoted(text)).into());
    }
    if text.trim().is_empty() { Err("is empty".into()) } else { Ok(()) }
}

/// A text that may have several lines.
pub(super) fn lines(value: &Value) -> Result<String, Refusal> {
    let text = text(value)?;
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(format!("{} contains control characters", quoted(text)).into());
    }
    Ok(text.to_owned())
}

/// A name: one short line.
pub(super) fn name(value: &Value) -> Result<String, Refusal> {
    let name = text(value)?;
    check_name(name)?;
    Ok(name.to_owned())
}

/// Whether a text can be a name.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    check_line(name)?;
    if name.chars().count() > NAME_MAX {
        return Err(format!("{} is longer than {NAME_MAX} characters", quoted(name)).into());
    }
    Ok(())
}

/// `true` or `false`.
pub(super) fn flag(value: &Value) -> Result<bool, Refusal> {
    value.as_bool().ok_or_else(|| format!("{} is neither true nor false", shown(value)).into())
}

/// A whole number within `range`.
pub(super) fn whole<T: TryFrom<i64>>(range: RangeInclusive<i64>) -> impl Fn(&Value) -> Result<T, Refusal> {
    move |value| {
        let number = value.as_integer().filter(|n| range.contains(n)).and_then(|n| T::try_from(n).ok());
        number.ok_or_else(|| {
            let (from, to) = (range.start(), range.end());
            format!("{} is not a whole number from {from} to {to}", shown(value)).into()
        })
    }
}

/// A price: a whole number, a float through its shortest decimal form, or a decimal text.
pub(super) fn price(value: &Value) -> Result<Price, Refusal> {
    let price = match value {
        Value::Integer(points) => Price::parse(&points.to_string(), false),
        Value::Float(float) => Price::from_f64_shortest(*float),
        Value::String(text) => text.parse(),
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            return Err(format!("{} is not a price like 2500, 2442.74 or \"2442.74\"", shown(value)).into());
        }
    };
    price.map_err(not_a_price)
}

/// A price in a text.
pub(super) fn price_text(text: &str) -> Result<Price, Refusal> {
    text.parse().map_err(not_a_price)
}

fn not_a_price(error: PriceError) -> Refusal {
    format!("{error}; a price is written 2500, 2442.74 or \"2442.74\"").into()
}

/// A distance such as `2 ticks`.
pub(super) fn distance(value: &Value) -> Result<Distance, Refusal> {
    const RIGHT: &str = "a distance like \"2 ticks\", \"10 points\", \"0.4 %\" or \"0.25 atr\"";
    match value {
        Value::String(text) if text.trim().starts_with('-') => {
            Err(format!("{} is negative; {RIGHT} is not", quoted(text)).into())
        }
        Value::String(text) => text.parse().map_err(|_| format!("{} is not {RIGHT}", quoted(text)).into()),
        Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::Table(_) => Err(format!("{} is not {RIGHT}", shown(value)).into()),
    }
}

/// A distance that is more than nothing.
pub(super) fn positive_distance(value: &Value) -> Result<Distance, Refusal> {
    let distance = distance(value)?;
    let nothing = match distance {
        Distance::Ticks(n) => n == 0,
        Distance::Points(p) | Distance::Percent(p) | Distance::Atr(p) => p <= Price::ZERO,
    };
    if nothing { Err(format!("{} must be more than nothing", shown(value)).into()) } else { Ok(distance) }
}

/// A distance that is more than nothing, and known without any history.
pub(super) fn fixed_distance(value: &Value) -> Result<Distance, Refusal> {
    match positive_distance(value)? {
        Distance::Atr(_) => {
            Err(format!("{} needs a history; here it is ticks, points or %", shown(value)).into())
        }
        distance @ (Distance::Ticks(_) | Distance::Points(_) | Distance::Percent(_)) => Ok(distance),
    }
}

/// The length of a bar: whole minutes, shorter than a day.
pub(super) fn bar_length(value: &Value) -> Result<Duration, Refusal> {
    let length = duration(value)?;
    let whole = length.subsec_nanos() == 0 && length.as_secs() % 60 == 0;
    if whole && BAR_LENGTHS.contains(&length) {
        return Ok(length);
    }
    Err(format!("{} is not the length of a bar: whole minutes, from \"1m\" to \"23h\"", shown(value)).into())
}

/// A duration such as `5s`.
pub(super) fn duration(value: &Value) -> Result<Duration, Refusal> {
    let text =
        value.as_str().ok_or_else(|| format!("{} is not a duration like \"5s\" or \"10m\"", shown(value)))?;
    match parse_duration(text) {
        Ok(duration) if duration <= DURATION_MAX => Ok(duration),
        Ok(_) => Err(format!("{} is longer than a hundred years", quoted(text)).into()),
        Err(_) => Err(format!("{} is not a duration like \"5s\", \"10m\" or \"400d\"", quoted(text)).into()),
    }
}

/// A duration within `range`.
pub(super) fn duration_in(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, Refusal> {
    move |value| {
        let duration = duration(value)?;
        if range.contains(&duration) {
            return Ok(duration);
        }
        let limit = |d: &Duration| crate::time::format_duration(*d);
        let (from, to) = (limit(range.start()), limit(range.end()));
        Err(format!("{} is not from {from} to {to}", shown(value)).into())
    }
}

/// A duration that is more than nothing.
pub(super) fn positive_duration(value: &Value) -> Result<Duration, Refusal> {
    match duration(value)? {
        Duration::ZERO => Err(format!("{} must be more than nothing", shown(value)).into()),
        duration => Ok(duration),
    }
}

/// A point in time.
pub(super) fn time(value: &Value) -> Result<Timestamp, Refusal> {
    let text = match value {
        Value::Datetime(datetime) => datetime.to_string(),
        Value::String(text) => text.clone(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => {
            return Err(format!("{} is not a time like \"2026-12-18T14:30:00Z\"", shown(value)).into());
        }
    };
    text.parse::<Timestamp>().map_err(|_| {
        format!("{} is not a time with its offset like \"2026-12-18T14:30:00Z\"", quoted(&text)).into()
    })
}

/// One of several words; `later` are words that will be there one day.
pub(super) fn choice<T: Copy>(
    words: &'static [(&'static str, T)],
    later: &'static [&'static str],
) -> impl Fn(&Value) -> Result<T, Refusal> {
    move |value| {
        let known = words.iter().map(|(word, _)| *word);
        let available = || known.clone().collect::<Vec<_>>().join(", ");
        let text = match value.as_str() {
            Some(text) => text,
            None => return Err(format!("{} is none of {}", shown(value), available()).into()),
        };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(*choice),
            None if later.contains(&text) => Err(not_available(&quoted(text), &available())),
            None => Err(format!("{} is not allowed{}", quoted(text), hint(text, known)).into()),
        }
    }
}

/// A list whose items are read one by one; the first bad one is told.
pub(super) fn list_of<T>(
    read: impl Fn(&Value) -> Result<T, Refusal>,
) -> impl Fn(&Value) -> Result<Vec<T>, Refusal> {
    move |value| {
        let items = list(value)?;
        if items.len() > ITEMS_MAX {
            return Err(format!("has more than {ITEMS_MAX} items").into());
        }
        items.iter().map(&read).collect()
    }
}

/// One item, or a list of them.
pub(super) fn one_or_more<T>(
    read: impl Fn(&Value) -> Result<T, Refusal>,
) -> impl Fn(&Value) -> Result<Vec<T>, Refusal> {
    let read = list_of(read);
    move |value| match value {
        Value::Array(items) if items.is_empty() => Err("is an empty list".into()),
        Value::Array(_) => read(value),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Table(_) => read(&Value::Array(vec![value.clone()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_exact_however_it_is_written() {
        let exact: Price = "2442.74".parse().unwrap();
        assert_eq!(price(&Value::Float(2442.74)), Ok(exact));
        assert_eq!(price(&Value::String("2442.74".into())), Ok(exact));
        assert_eq!(price(&Value::Integer(2500)), Ok(Price::from_points(2500)));
        for bad in [
            Value::Boolean(true),
            Value::Float(f64::NAN),
            Value::Float(1e300),
            Value::Integer(i64::MAX),
            Value::String("2.442,74".into()),
        ] {
            price(&bad).unwrap_err();
        }
    }

    #[test]
    fn control_characters_stay_out_of_names() {
        assert!(name(&Value::String("x\r\nBcc: y".into())).is_err());
        assert!(name(&Value::String(" ".into())).is_err());
        assert_eq!(name(&Value::String("Größe 2.500".into())), Ok("Größe 2.500".into()));
        assert_eq!(lines(&Value::String("one\ntwo".into())), Ok("one\ntwo".into()));
    }

    #[test]
    fn a_word_that_comes_later_is_told_apart_from_a_wrong_one() {
        let read = choice(&[("fire", 1), ("ignore", 2)], &["wait_bar"]);
        assert_eq!(read(&Value::String("ignore".into())), Ok(2));
        let later = read(&Value::String("wait_bar".into())).unwrap_err();
        assert_eq!(later.kind, super::super::problem::ProblemKind::NotAvailable);
        let wrong = read(&Value::String("fier".into())).unwrap_err();
        assert_eq!(wrong.text, "\"fier\" is not allowed; did you mean \"fire\"?");
    }
}
