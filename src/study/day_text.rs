//! Trade dates out of text: CSV with a date, open, high, low, close and volume in named columns.
//!
//! It reads text, never files. Such files are dirty: what is not a completed trading day, or not a price of its
//! instrument, is a problem with its line number, and the good rows go back beside the problems.

use std::collections::BTreeSet;
use std::time::Duration;

use csv::StringRecord;
use jiff::civil::{Date, Weekday};
use thiserror::Error;

use crate::engine::derive::Day;
use crate::market::bar::Bar;
use crate::market::bar_text::{Problem, line_of};
use crate::market::price::{Price, TickSize};
use crate::market::trade_date::number_of;
use crate::time::Timestamp;

/// The columns, as their names are compared: without regard to case.
const COLUMNS: [&str; 6] = ["date", "open", "high", "low", "close", "volume"];
/// A price may lie so far beside the grid, as a part of a tick: files carry the noise of binary floats.
const NOISE: i64 = 20;
/// A settlement is kept to a cent.
const CENT: TickSize = TickSize::from_nanos(10_000_000);

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedDays {
    /// The good rows, in order of time.
    pub days: Vec<Day>,
    /// The other rows, in order of lines.
    pub problems: Vec<Problem>,
}

/// Why a text as a whole cannot be read as trade dates.
#[derive(Debug, Error)]
pub enum DayTextError {
    /// A column is missing.
    #[error("no column {wanted:?} among {found}")]
    Column {
        /// The name that would do.
        wanted: &'static str,
        /// The names that are there.
        found: String,
    },
    /// The first line is no list of columns.
    #[error("the line of column names cannot be read")]
    Header(#[source] csv::Error),
}

/// Reads trade dates. A close between two ticks is the settlement of an expiring contract, and kept to a cent; any
/// other price must lie on the grid, but for the noise of a binary float.
///
/// # Errors
/// When a column is missing.
pub fn parse(text: &str, tick: TickSize) -> Result<ParsedDays, DayTextError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let places = places(reader.headers().map_err(DayTextError::Header)?)?;
    let mut parsed = ParsedDays::default();
    let mut seen = BTreeSet::new();
    for record in reader.records() {
        let (line, day) = match record {
            Ok(record) => {
                let line = record.position().map_or(0, |place| line_of(text, place));
                (line, day(&record, &places, tick))
            }
            Err(e) => (e.position().map_or(0, csv::Position::line), Err(e.to_string())),
        };
        let day = day.and_then(|day| {
            if seen.insert(day.date) { Ok(day) } else { Err(format!("{} stands there twice", day.date)) }
        });
        match day {
            Ok(day) => parsed.days.push(day),
            Err(message) => parsed.problems.push(Problem { line, message }),
        }
    }
    parsed.days.sort_by_key(|day| day.date);
    Ok(parsed)
}

fn places(header: &StringRecord) -> Result<[usize; 6], DayTextError> {
    let mut places = [0; 6];
    for (place, wanted) in places.iter_mut().zip(COLUMNS) {
        let found = header.iter().position(|name| name.eq_ignore_ascii_case(wanted));
        *place = found.ok_or_else(|| DayTextError::Column {
            wanted,
            found: header.iter().collect::<Vec<_>>().join(", "),
        })?;
    }
    Ok(places)
}

fn day(record: &StringRecord, places: &[usize; 6], tick: TickSize) -> Result<Day, String> {
    let mut cells = places.iter().map(|place| record.get(*place).unwrap_or_default());
    let mut cell = || cells.next().unwrap_or_default();
    let (date, texts, volume) = (cell(), [cell(), cell(), cell(), cell()], cell());
    let date = trade_date(date)?;
    let volume: u64 = volume.parse().map_err(|_| format!("volume {volume:?} is not a whole number"))?;
    if volume == 0 {
        return Err("volume 0: not a completed trading day".to_owned());
    }
    let [open, high, low, close] = texts;
    let (open, high, low) =
        (on_grid("open", open, tick)?, on_grid("high", high, tick)?, on_grid("low", low, tick)?);
    let exact = price("close", close)?;
    let (close, settlement) = match near(exact, tick) {
        Some(close) => (close, None),
        None => (CENT.round(exact), Some(CENT.round(exact))),
    };
    let bar = Bar {
        start: Timestamp::from_nanos(0),
        length: Duration::from_secs(86_400),
        open,
        high,
        low,
        // A settlement is a mean, and need not have been traded.
        close: if settlement.is_some() { close.min(high).max(low) } else { close },
        volume,
    };
    bar.checked().map_err(|error| error.to_string())?;
    Ok(Day { date, open, high, low, close, volume, rth: None, settlement, unwatched: Duration::ZERO })
}

/// As yyyymmdd.
fn trade_date(text: &str) -> Result<i32, String> {
    let date: Date = text.parse().map_err(|_| format!("{:?} is not a date like 2024-11-25", clip(text)))?;
    if matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) {
        return Err(format!("{date} is a {:?}: no trade date", date.weekday()));
    }
    Ok(number_of(date))
}

fn price(what: &str, text: &str) -> Result<Price, String> {
    match Price::parse(text, true) {
        Ok(price) if price > Price::ZERO => Ok(price),
        Ok(price) => Err(format!("{what} {price} is not above 0")),
        Err(error) => Err(format!("{what}: {error}")),
    }
}

fn on_grid(what: &str, text: &str, tick: TickSize) -> Result<Price, String> {
    let exact = price(what, text)?;
    near(exact, tick).ok_or_else(|| format!("{what} {exact} is not on the {tick} grid"))
}

/// The grid price that a noisy one stands for.
fn near(exact: Price, tick: TickSize) -> Option<Price> {
    let near = tick.round(exact);
    let beside = near.minus(exact).abs().as_nanos();
    (beside.saturating_mul(NOISE) <= tick.price().as_nanos()).then_some(near)
}

/// Keeps messages short, whatever a file holds.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Date,Close,High,Low,Open,Volume\n";
    const RTY: TickSize = TickSize::from_nanos(100_000_000);

    fn one(row: &str, tick: TickSize) -> Result<Day, String> {
        let parsed = parse(&format!("{HEAD}{row}\n"), tick).unwrap();
        parsed.days.first().copied().ok_or_else(|| parsed.problems[0].message.clone())
    }

    #[test]
    fn the_noise_of_binary_floats_is_taken_away() {
        let day = one(
            "2017-07-10,1408.699951171875,1419.300048828125,1403.699951171875,1416.4000244140625,2658",
            RTY,
        );
        let day = day.unwrap();
        let prices = [day.open, day.high, day.low, day.close].map(|price| price.to_string());
        assert_eq!(
            (day.date, prices),
            (20_170_710, ["1416.4", "1419.3", "1403.7", "1408.7"].map(str::to_owned))
        );
        assert_eq!(day.official(), day.close);
    }

    #[test]
    fn a_close_between_two_ticks_is_a_settlement() {
        let day = one("2018-03-16,1581.7800292968750,1584,1570.1,1571,2658", RTY).unwrap();
        assert_eq!(day.settlement.unwrap().to_string(), "1581.78");
        assert_eq!(day.official().to_string(), "1581.78");
    }

    #[test]
    fn what_is_no_completed_trading_day_is_told_with_its_line() {
        let wrong = |row: &str| one(row, RTY).unwrap_err();
        assert_eq!(wrong("2025-07-13,1,1,1,1,9"), "2025-07-13 is a Sunday: no trade date");
        assert_eq!(wrong("2026-02-23,1,1,1,1,0"), "volume 0: not a completed trading day");
        assert_eq!(
            wrong("2025-09-15,2422.9,2414.6,2400,2410,9"),
            "close 2422.9 is above high 2414.6: the high would have to be at least 2422.9"
        );
        assert_eq!(wrong("2024-03-15,2000,2010.05,1990,2000,9"), "high 2010.05 is not on the 0.1 grid");
        assert_eq!(wrong("2024-03-15,NaN,2010,1990,2000,9"), "close: \"NaN\" is not a decimal number");
        assert_eq!(wrong("15.3.2024,1,1,1,1,1"), "\"15.3.2024\" is not a date like 2024-11-25");
        let twice = parse(&format!("{HEAD}2024-03-15,1,1,1,1,1\n2024-03-15,1,1,1,1,1\n"), RTY).unwrap();
        assert_eq!(twice.problems, [Problem { line: 3, message: "20240315 stands there twice".into() }]);
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = parse("date,open,high,low,close\n", RTY).unwrap_err();
        assert_eq!(error.to_string(), "no column \"volume\" among date, open, high, low, close");
    }
}
