//! Points in time: UTC nanoseconds since 1970, exact and checked.
//!
//! This module never reads a clock; whoever needs the time is given it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, from 1677 to 2262.
///
/// Displayed and serialised as RFC 3339 in UTC with milliseconds, or with as many more digits as the value
/// has (`2024-11-25T13:57:12.250Z`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text or number is not a point in time.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TimeError {
    /// The text is not RFC 3339.
    #[error("{0:?} is not a time like 2024-11-25T13:30:00Z")]
    NotRfc3339(String),
    /// The value lies outside 1677 to 2262.
    #[error("{0} lies outside the years 1677 to 2262")]
    OutOfRange(String),
    /// The text is not a duration.
    #[error("{0:?} is not a duration like 5s, 10m or 400d")]
    NotDuration(String),
}

/// The unit in which a vendor writes a numeric time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl Unit {
    /// Nanoseconds in one unit.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns => 1,
        }
    }
}

impl Timestamp {
    /// The earliest point in time.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest point in time.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since 1970.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From a count of `unit` since 1970; `None` when it does not fit.
    #[must_use]
    pub const fn from_unit(value: i64, unit: Unit) -> Option<Self> {
        match value.checked_mul(unit.nanos()) {
            Some(nanos) => Some(Self(nanos)),
            None => None,
        }
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since 1970, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// This time plus `d`, or [`Timestamp::MAX`].
    #[must_use]
    pub fn saturating_add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(nanos_of(d)))
    }

    /// This time minus `d`, or [`Timestamp::MIN`].
    #[must_use]
    pub fn saturating_sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(nanos_of(d)))
    }

    /// The time that has passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The jiff value, for calendars.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// From a jiff value; saturates outside 1677 to 2262.
    #[must_use]
    pub fn from_jiff(t: jiff::Timestamp) -> Self {
        let nanos = t.as_nanosecond();
        Self(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }
}

fn nanos_of(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.0.rem_euclid(1_000_000) {
            0 => 3,
            n if n % 1_000 == 0 => 6,
            _ => 9,
        };
        write!(f, "{:.digits$}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let t: jiff::Timestamp = text.trim().parse().map_err(|_| TimeError::NotRfc3339(text.to_owned()))?;
        i64::try_from(t.as_nanosecond()).map(Self).map_err(|_| TimeError::OutOfRange(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The zone as traders call it, without its season (`CT`); other zones by their own abbreviation.
#[must_use]
pub fn zone_name(local: &jiff::ZonedDateTime) -> String {
    match local.time_zone().iana_name() {
        Some("America/Chicago") => "CT".to_owned(),
        Some("America/New_York") => "ET".to_owned(),
        Some(_) | None => local.strftime("%Z").to_string(),
    }
}

/// Reads a duration such as `5s`, `250ms`, `10m`, `1h 30m` or `400d`.
///
/// # Errors
/// When the text is not a duration.
pub fn parse_duration(text: &str) -> Result<Duration, TimeError> {
    humantime::parse_duration(text.trim()).map_err(|_| TimeError::NotDuration(text.to_owned()))
}

/// Writes a duration the way [`parse_duration`] reads it (`1h 30m`, `250ms`).
#[must_use]
pub fn format_duration(d: Duration) -> String {
    humantime::format_duration(d).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_with_milliseconds_or_as_exactly_as_they_are() {
        for text in [
            "2024-11-25T13:57:12.250Z",
            "2024-11-25T13:57:12.000Z",
            "2026-11-30T15:00:00.123456Z",
            "2026-11-30T15:00:00.123456789Z",
            "1969-12-31T23:59:59.999Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_offset_is_converted_to_utc() {
        let t: Timestamp = "2026-11-30T15:00:00.1234567+01:00".parse().unwrap();
        assert_eq!(t.to_string(), "2026-11-30T14:00:00.123456700Z");
    }

    #[test]
    fn what_is_not_a_time_is_named() {
        assert_eq!("noon".parse::<Timestamp>(), Err(TimeError::NotRfc3339("noon".into())));
        assert_eq!(
            "2300-01-01T00:00:00Z".parse::<Timestamp>(),
            Err(TimeError::OutOfRange("2300-01-01T00:00:00Z".into()))
        );
    }

    #[test]
    fn units_are_exact_and_do_not_overflow() {
        assert_eq!(
            Timestamp::from_unit(1_796_310_000_123, Unit::Ms).unwrap().to_string(),
            "2026-12-03T15:00:00.123Z"
        );
        assert_eq!(Timestamp::from_unit(i64::MAX, Unit::Ms), None);
    }

    #[test]
    fn differences_and_sums_saturate() {
        let (a, b) = (Timestamp::from_nanos(5), Timestamp::from_nanos(9));
        assert_eq!(b.since(a), Duration::from_nanos(4));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(Timestamp::MAX.saturating_add(Duration::from_secs(1)), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(Duration::MAX), Timestamp::MIN);
    }

    #[test]
    fn durations_read_and_write() {
        assert_eq!(parse_duration("5s").unwrap(), Duration::from_secs(5));
        assert_eq!(parse_duration("400d").unwrap(), Duration::from_secs(400 * 86_400));
        assert_eq!(parse_duration(" 1h 30m ").unwrap(), Duration::from_secs(5400));
        assert!(
            parse_duration("5").is_err() && parse_duration("-5s").is_err() && parse_duration("").is_err()
        );
        assert_eq!(format_duration(Duration::from_millis(1_250)), "1s 250ms");
    }
}
