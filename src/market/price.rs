//! Exact prices, tick grids and distances.
//!
//! A price is an `i64` in units of 1e-9, the convention of Databento's DBN. It is read from decimal text
//! without passing through a float and compared as an integer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Nano-units in one point.
const SCALE: i64 = 1_000_000_000;
/// The same, for sizes without a sign.
const UNITS: u64 = 1_000_000_000;
/// Decimal digits that a price keeps.
const DIGITS: u32 = 9;

/// An exact price or difference of prices, in units of 1e-9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i64);

/// Why a text is not a price, or a price not on its grid.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum PriceError {
    /// Not a decimal number.
    #[error("{0:?} is not a decimal number")]
    NotDecimal(String),
    /// More digits than a price keeps, or too large.
    #[error("{0:?} does not fit a price (at most 9 decimals, below 9.2 billion)")]
    OutOfRange(String),
    /// A tick size must be positive.
    #[error("a tick size must be positive, not {0}")]
    BadTick(Price),
    /// The price lies between two ticks.
    #[error("{price} is not on the {tick} grid")]
    OffGrid {
        /// The offending price.
        price: Price,
        /// The grid.
        tick: TickSize,
    },
    /// Not a distance.
    #[error("{0:?} is not a distance like \"2 ticks\", \"10 points\", \"0.4 %\" or \"0.25 atr\"")]
    NotDistance(String),
}

impl Price {
    /// Zero points.
    pub const ZERO: Self = Self(0);
    /// The largest value.
    pub const MAX: Self = Self(i64::MAX);
    /// The smallest value.
    pub const MIN: Self = Self(i64::MIN);

    /// From nano-units.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole points; saturates.
    #[must_use]
    pub const fn from_points(points: i64) -> Self {
        Self(points.saturating_mul(SCALE))
    }

    /// In nano-units.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The sum, saturated.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, saturated.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The absolute value, saturated.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// The price with the opposite sign, saturated: support is resistance in the mirror.
    #[must_use]
    pub const fn negated(self) -> Self {
        Self(self.0.saturating_neg())
    }

    /// Reads a decimal number exactly, an exponent included (`4.3020691E7`), as vendors write them.
    ///
    /// Digits beyond the ninth decimal must be zero, unless `lossy` rounds them half away from zero: a feed
    /// that prints binary floats (`2451.3000000001`) needs that, a configuration does not.
    ///
    /// # Errors
    /// When the text is not a decimal number (`NaN`, empty, decimal comma) or does not fit.
    pub fn parse(text: &str, lossy: bool) -> Result<Self, PriceError> {
        let not_decimal = || PriceError::NotDecimal(clip(text));
        let out_of_range = || PriceError::OutOfRange(clip(text));
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let (m, e) = text.split_at(at);
                let e = e.get(1..).unwrap_or_default();
                let digits = e.strip_prefix(['+', '-']).unwrap_or(e);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(not_decimal());
                }
                (m, e.parse::<i32>().map_err(|_| out_of_range())?)
            }
            None => (text, 0),
        };
        let (negative, digits) = match mantissa.as_bytes().first() {
            Some(b'-') => (true, mantissa.get(1..).unwrap_or_default()),
            Some(b'+') => (false, mantissa.get(1..).unwrap_or_default()),
            Some(_) | None => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !all_digits || (whole.is_empty() && fraction.is_empty()) {
            return Err(not_decimal());
        }
        // The value is `digits * 10^(exponent - len(fraction))`; in nano-units nine more.
        let mut nanos: i128 = 0;
        let mut shift = i64::from(exponent)
            .saturating_add(i64::from(DIGITS))
            .saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX));
        let significant = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0');
        for (n, byte) in significant.enumerate() {
            if n >= 36 {
                // 36 digits fit an i128; further ones only move the point.
                if !lossy && byte != b'0' {
                    return Err(out_of_range());
                }
                shift = shift.saturating_add(1);
                continue;
            }
            nanos = nanos.saturating_mul(10).saturating_add(i128::from(byte.saturating_sub(b'0')));
        }
        while shift > 0 && nanos != 0 {
            nanos = nanos.checked_mul(10).ok_or_else(out_of_range)?;
            shift = shift.saturating_sub(1);
        }
        let mut rest_seen = false;
        let mut last = 0;
        while shift < 0 && nanos != 0 {
            rest_seen |= last != 0;
            last = nanos.rem_euclid(10);
            nanos = nanos.div_euclid(10);
            shift = shift.saturating_add(1);
        }
        if shift < 0 {
            // Every digit was shifted out, and more zeros follow: the value is below a half.
            rest_seen |= last != 0;
            last = 0;
        }
        if !lossy && (last != 0 || rest_seen) {
            return Err(out_of_range());
        }
        if last >= 5 {
            nanos = nanos.saturating_add(1);
        }
        let nanos = if negative { nanos.saturating_neg() } else { nanos };
        i64::try_from(nanos).map(Self).map_err(|_| out_of_range())
    }

    /// From a binary float, through its shortest decimal form: `2400.1_f64` is exactly 2400.1.
    ///
    /// # Errors
    /// When it is not finite, or does not fit.
    pub fn from_f64_shortest(value: f64) -> Result<Self, PriceError> {
        Self::parse(&format!("{value:?}"), true)
    }

    /// The text with at least `decimals` decimals, and more only if the value has them.
    #[must_use]
    pub fn with_decimals(self, decimals: u8) -> String {
        let (whole, rest) =
            (self.0.unsigned_abs().div_euclid(UNITS), self.0.unsigned_abs().rem_euclid(UNITS));
        let fraction = format!("{rest:09}");
        let needed = fraction.trim_end_matches('0').len().max(usize::from(decimals).min(9));
        let sign = if self.0 < 0 { "-" } else { "" };
        match fraction.get(..needed) {
            Some(digits) if !digits.is_empty() => format!("{sign}{whole}.{digits}"),
            Some(_) | None => format!("{sign}{whole}"),
        }
    }

    /// For people: as [`Price::with_decimals`], with commas between thousands (`2,500.0`).
    #[must_use]
    pub fn grouped(self, decimals: u8) -> String {
        let text = self.with_decimals(decimals);
        let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
        let mut out = String::from(sign);
        for (n, digit) in whole.chars().enumerate() {
            if n > 0 && whole.len().saturating_sub(n) % 3 == 0 {
                out.push(',');
            }
            out.push(digit);
        }
        if let Some(fraction) = fraction {
            out.push('.');
            out.push_str(fraction);
        }
        out
    }
}

/// Keeps error messages short, whatever a peer sends.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.with_decimals(0))
    }
}

impl FromStr for Price {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        Self::parse(text.trim(), false)
    }
}

impl Serialize for Price {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The smallest price step of an instrument; always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TickSize(i64);

impl TickSize {
    /// A tick size.
    ///
    /// # Errors
    /// When it is not positive.
    pub const fn new(size: Price) -> Result<Self, PriceError> {
        if size.0 > 0 { Ok(Self(size.0)) } else { Err(PriceError::BadTick(size)) }
    }

    /// For built-in facts: the tick size in nano-units, at least one.
    #[must_use]
    pub const fn from_nanos(nanos: u32) -> Self {
        let nanos = if nanos == 0 { 1 } else { nanos };
        #[expect(clippy::as_conversions, reason = "u32 fits i64; From is not const")]
        Self(nanos as i64)
    }

    /// The size as a price difference.
    #[must_use]
    pub const fn price(self) -> Price {
        Price(self.0)
    }

    /// `n` ticks as a price difference; saturates.
    #[must_use]
    pub const fn times(self, n: i64) -> Price {
        Price(self.0.saturating_mul(n))
    }

    /// How many decimals a price on this grid needs (0.25 -> 2, 0.1 -> 1, 1 -> 0).
    #[must_use]
    pub fn decimals(self) -> u8 {
        let text = Price(self.0).with_decimals(0);
        text.split_once('.').map_or(0, |(_, f)| u8::try_from(f.len()).unwrap_or(9))
    }

    /// The nearest grid price at or above `p`.
    #[must_use]
    pub const fn ceil(self, p: Price) -> Price {
        let rest = p.0.rem_euclid(self.0);
        if rest == 0 { p } else { Price(p.0.saturating_add(self.0.saturating_sub(rest))) }
    }

    /// The nearest grid price at or below `p`.
    #[must_use]
    pub const fn floor(self, p: Price) -> Price {
        Price(p.0.saturating_sub(p.0.rem_euclid(self.0)))
    }

    /// The grid price nearest to `p`, halves up.
    #[must_use]
    pub const fn round(self, p: Price) -> Price {
        self.floor(Price(p.0.saturating_add(self.0 / 2)))
    }

    /// The difference in whole ticks, rounded towards zero.
    #[must_use]
    pub const fn count(self, difference: Price) -> i64 {
        match difference.0.checked_div(self.0) {
            Some(ticks) => ticks,
            None => 0,
        }
    }

    /// The grid price that `p` stands for: `p` itself, or its neighbour when the residual of a binary float
    /// is below 1 % of a tick.
    ///
    /// # Errors
    /// When it lies between two ticks: such prints are spreads, BTIC or TACO, not outrights.
    pub const fn snap(self, p: Price) -> Result<Price, PriceError> {
        let near = self.round(p);
        if near.minus(p).abs().0.saturating_mul(100) < self.0 {
            Ok(near)
        } else {
            Err(PriceError::OffGrid { price: p, tick: self })
        }
    }
}

impl fmt::Display for TickSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Price(self.0))
    }
}

/// How far from a price: in ticks, in points, as a share of the price, or in average true ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distance {
    /// Whole ticks.
    Ticks(u32),
    /// Points.
    Points(Price),
    /// Percent of the reference price, in units of 1e-9 of a percent.
    Percent(Price),
    /// Multiples of the average true range, in units of 1e-9.
    Atr(Price),
}

impl Distance {
    /// The distance as a price difference, rounded up to a whole tick so that it never shrinks to nothing.
    /// `None` when it needs an average true range and there is none yet.
    #[must_use]
    pub fn resolve(self, tick: TickSize, reference: Price, atr: Option<Price>) -> Option<Price> {
        let scaled = |by: Price, of: Price, divisor: i128| {
            let product = i128::from(by.0).saturating_mul(i128::from(of.0.saturating_abs()));
            Price(i64::try_from(product.checked_div(divisor).unwrap_or(0)).unwrap_or(i64::MAX))
        };
        let scale = i128::from(SCALE);
        Some(match self {
            Self::Ticks(n) => tick.times(i64::from(n)),
            Self::Points(p) => tick.ceil(p),
            Self::Percent(p) => tick.ceil(scaled(p, reference, scale.saturating_mul(100))),
            Self::Atr(m) => tick.ceil(scaled(m, atr?, scale)),
        })
    }
}

impl fmt::Display for Distance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ticks(1) => f.write_str("1 tick"),
            Self::Ticks(n) => write!(f, "{n} ticks"),
            Self::Points(p) => write!(f, "{p} points"),
            Self::Percent(p) => write!(f, "{p} %"),
            Self::Atr(p) => write!(f, "{p} atr"),
        }
    }
}

impl FromStr for Distance {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Self, PriceError> {
        let bad = || PriceError::NotDistance(clip(text));
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, unit) = trimmed.split_at(split);
        let value: Price = number.parse().map_err(|_| bad())?;
        match unit.trim() {
            "tick" | "ticks" => number.parse().map(Self::Ticks).map_err(|_| bad()),
            "point" | "points" => Ok(Self::Points(value)),
            "%" => Ok(Self::Percent(value)),
            "atr" => Ok(Self::Atr(value)),
            _ => Err(bad()),
        }
    }
}

impl Serialize for Distance {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Distance {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
