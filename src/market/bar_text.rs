//! Bars out of text: CSV with named columns, and NinjaTrader's export.
//!
//! It reads text, never files. A row that is not right is a problem with its line number and what would be
//! right; the good rows and the problems both go back, and the caller decides.

use std::time::Duration;

use csv::StringRecord;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use thiserror::Error;

use crate::market::bar::Bar;
use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// The names of a time column, best first.
const TIME_NAMES: [&str; 6] = ["ts_open_utc", "time", "timestamp", "date", "datetime", "ts"];
/// The names of a contract column.
const CONTRACT_NAMES: [&str; 2] = ["contract", "symbol"];
/// The names of the price columns, in order.
const PRICE_NAMES: [&str; 4] = ["open", "high", "low", "close"];
/// The fields of a line of NinjaTrader's export.
const NINJATRADER_FIELDS: usize = 6;
/// How NinjaTrader writes a time.
const NINJATRADER_TIME: &str = "%Y%m%d %H%M%S";

/// A format of bars in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// CSV with a line of column names.
    Csv,
    /// `yyyyMMdd HHmmss;open;high;low;close;volume`, UTC, stamped with the bar's end.
    Ninjatrader,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The good rows, in order of time.
    pub bars: Vec<BarRow>,
    /// The other rows, in order of lines.
    pub problems: Vec<Problem>,
}

/// A good row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarRow {
    /// The bar.
    pub bar: Bar,
    /// The contract, as the row names it.
    pub contract: Option<String>,
}

/// A row that is not right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its line, from 1.
    pub line: u64,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Why a text as a whole cannot be read as bars.
#[derive(Debug, Error)]
pub enum BarTextError {
    /// A column is missing.
    #[error("no column {wanted} among {found}")]
    Column {
        /// The names that would do.
        wanted: String,
        /// The names that are there.
        found: String,
    },
    /// The first line is no list of columns.
    #[error("the line of column names cannot be read")]
    Header(#[source] csv::Error),
    /// One bar alone does not say how long it is.
    #[error("the length of the bars is not given, and fewer than two good rows do not show it")]
    NoLength,
}

/// The format that the beginning of a text shows.
#[must_use]
pub fn looks_like(text: &str) -> Option<Format> {
    let first = without_mark(text).lines().find(|line| !line.trim().is_empty())?;
    if first.split(';').next().is_some_and(|stamp| DateTime::strptime(NINJATRADER_TIME, stamp).is_ok()) {
        return Some(Format::Ninjatrader);
    }
    let names = StringRecord::from(first.split(',').map(str::trim).collect::<Vec<_>>());
    Columns::find(&names).is_ok().then_some(Format::Csv)
}

/// Reads CSV: a column `ts_open_utc`, `time`, `timestamp`, `date`, `datetime` or `ts` (the start of the bar:
/// RFC 3339, or `YYYY-MM-DD HH:MM:SS` or `YYYY-MM-DD` in UTC), columns `open`, `high`, `low`, `close`,
/// `volume`, and if there is one `contract` or `symbol`; in any order and letter case. Without a `length` the
/// bars last as long as the smallest step between two rows.
///
/// # Errors
/// When a column is missing, or the length is not known.
pub fn parse_csv(text: &str, tick: TickSize, length: Option<Duration>) -> Result<Parsed, BarTextError> {
    let text = without_mark(text);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = Columns::find(reader.headers().map_err(BarTextError::Header)?)?;
    let mut rows = Rows::default();
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, |p| line_of(text, p));
                rows.add(line, columns.row(line, &record, tick));
            }
            Err(e) => rows.problem(e.position().map_or(0, csv::Position::line), e.to_string()),
        }
    }
    rows.into_bars(length, Stamp::Start)
}

/// Reads NinjaTrader's export: `yyyyMMdd HHmmss;open;high;low;close;volume`, UTC, stamped with the end of the
/// bar. Without a `length` the bars last as long as the smallest step between two rows.
///
/// # Errors
/// When the length is not known.
pub fn parse_ninjatrader(
    text: &str,
    tick: TickSize,
    length: Option<Duration>,
) -> Result<Parsed, BarTextError> {
    let mut rows = Rows::default();
    for (line, text) in (1..).zip(without_mark(text).lines()) {
        if !text.trim().is_empty() {
            rows.add(line, ninjatrader_row(line, text, tick));
        }
    }
    rows.into_bars(length, Stamp::End)
}

/// What a row says, before it is known how long it lasts.
struct Row {
    line: u64,
    stamp: Timestamp,
    prices: [Price; 4],
    volume: u64,
    contract: Option<String>,
}

/// Which moment of a bar its row names.
#[derive(Clone, Copy)]
enum Stamp {
    Start,
    End,
}

/// Where the columns are.
struct Columns {
    time: usize,
    prices: [usize; 4],
    volume: usize,
    contract: Option<usize>,
}

impl Columns {
    fn find(header: &StringRecord) -> Result<Self, BarTextError> {
        let place = |names: &[&str]| {
            names.iter().find_map(|name| header.iter().position(|h| h.eq_ignore_ascii_case(name)))
        };
        let need = |names: &[&str]| {
            place(names).ok_or_else(|| BarTextError::Column {
                wanted: names.join(", "),
                found: header.iter().take(20).collect::<Vec<_>>().join(", ").chars().take(200).collect(),
            })
        };
        let [open, high, low, close] = PRICE_NAMES;
        Ok(Self {
            time: need(&TIME_NAMES)?,
            prices: [need(&[open])?, need(&[high])?, need(&[low])?, need(&[close])?],
            volume: need(&["volume"])?,
            contract: place(&CONTRACT_NAMES),
        })
    }

    fn row(&self, line: u64, record: &StringRecord, tick: TickSize) -> Result<Row, String> {
        let field = |at: usize| record.get(at).unwrap_or_default();
        let contract = self.contract.map(field).filter(|text| !text.is_empty());
        Ok(Row {
            line,
            stamp: read_time(field(self.time))?,
            prices: read_prices(self.prices.map(field), tick)?,
            volume: read_volume(field(self.volume))?,
            contract: contract.map(str::to_owned),
        })
    }
}

fn ninjatrader_row(line: u64, text: &str, tick: TickSize) -> Result<Row, String> {
    let fields: Vec<_> = text.trim().split(';').take(NINJATRADER_FIELDS.saturating_add(1)).collect();
    let &[stamp, open, high, low, close, volume] = fields.as_slice() else {
        return Err(format!("{:?} is not yyyyMMdd HHmmss;open;high;low;close;volume", clip(text)));
    };
    let local = DateTime::strptime(NINJATRADER_TIME, stamp)
        .map_err(|_| format!("time: {:?} is not like 20241125 133100", clip(stamp)))?;
    Ok(Row {
        line,
        stamp: utc(local).ok_or_else(|| out_of_range(stamp))?,
        prices: read_prices([open, high, low, close], tick)?,
        volume: read_volume(volume)?,
        contract: None,
    })
}

fn read_time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let local: DateTime = text.parse().map_err(|_| {
        format!(
            "time: {:?} is not like 2024-11-25T13:30:00Z, 2024-11-25 13:30:00 (UTC) or 2024-11-25",
            clip(text)
        )
    })?;
    utc(local).ok_or_else(|| out_of_range(text))
}

fn utc(local: DateTime) -> Option<Timestamp> {
    let nanos = Offset::UTC.to_timestamp(local).ok()?.as_nanosecond();
    i64::try_from(nanos).ok().map(Timestamp::from_nanos)
}

fn out_of_range(text: &str) -> String {
    format!("time: {:?} lies outside the years 1677 to 2262", clip(text))
}

fn read_prices(texts: [&str; 4], tick: TickSize) -> Result<[Price; 4], String> {
    let mut prices = [Price::ZERO; 4];
    for ((price, text), name) in prices.iter_mut().zip(texts).zip(PRICE_NAMES) {
        let read = Price::parse(text.trim(), true).map_err(|e| format!("{name}: {e}"))?;
        *price = tick.snap(read).map_err(|e| {
            let (below, above) = (tick.floor(read), tick.ceil(read));
            format!("{name}: {e}, its neighbours are {below} and {above}")
        })?;
    }
    Ok(prices)
}

/// A whole number, which some write as a float (`141203.0`).
fn read_volume(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let whole =
        text.split_once('.').filter(|(_, f)| f.bytes().all(|b| b == b'0')).map_or(text, |(whole, _)| whole);
    let error = || format!("volume: {:?} is not a whole number of contracts", clip(text));
    if !whole.bytes().all(|b| b.is_ascii_digit()) {
        return Err(error());
    }
    whole.parse().map_err(|_| error())
}

/// Rows in order of time, and what was wrong with the others.
#[derive(Default)]
struct Rows {
    good: Vec<Row>,
    problems: Vec<Problem>,
}

impl Rows {
    fn problem(&mut self, line: u64, message: String) {
        self.problems.push(Problem { line, message });
    }

    fn add(&mut self, line: u64, row: Result<Row, String>) {
        match row.and_then(|row| self.check_order(&row).map(|()| row)) {
            Ok(row) => self.good.push(row),
            Err(message) => self.problem(line, message),
        }
    }

    /// Rows come in order of time; the same time may come again for another contract.
    fn check_order(&self, row: &Row) -> Result<(), String> {
        let Some(last) = self.good.last() else { return Ok(()) };
        if row.stamp < last.stamp {
            return Err(format!("{} comes after {}: rows must be in order of time", row.stamp, last.stamp));
        }
        let mut same_time = self.good.iter().rev().take_while(|r| r.stamp == row.stamp);
        match same_time.find(|r| r.contract == row.contract) {
            Some(first) => Err(format!("a second row for {}, the first is line {}", row.stamp, first.line)),
            None => Ok(()),
        }
    }

    fn into_bars(mut self, length: Option<Duration>, stamp: Stamp) -> Result<Parsed, BarTextError> {
        let length = match length.or_else(|| self.smallest_step()) {
            Some(length) => length,
            None if self.good.is_empty() => Duration::ZERO,
            None => return Err(BarTextError::NoLength),
        };
        // A file with volumes says by a volume of 0 that nothing traded; a file of zeros has no volumes.
        let has_volumes = self.good.iter().any(|row| row.volume > 0);
        let mut bars: Vec<BarRow> = Vec::with_capacity(self.good.len());
        for row in std::mem::take(&mut self.good) {
            let line = row.line;
            match to_bar(row, length, stamp, has_volumes).and_then(|next| check_overlap(bars.last(), next)) {
                Ok(next) => bars.push(next),
                Err(message) => self.problem(line, message),
            }
        }
        self.problems.sort_by_key(|p| p.line);
        Ok(Parsed { bars, problems: self.problems })
    }

    fn smallest_step(&self) -> Option<Duration> {
        let later = self.good.iter().skip(1);
        self.good.iter().zip(later).map(|(a, b)| b.stamp.since(a.stamp)).filter(|step| !step.is_zero()).min()
    }
}

fn to_bar(row: Row, length: Duration, stamp: Stamp, has_volumes: bool) -> Result<BarRow, String> {
    let [open, high, low, close] = row.prices;
    let start = match stamp {
        Stamp::Start => row.stamp,
        Stamp::End => row.stamp.saturating_sub(length),
    };
    let bar = Bar { start, length, open, high, low, close, volume: row.volume };
    if has_volumes && row.volume == 0 {
        return Err("volume 0 where other rows have some: nothing traded, or the row is not final".to_owned());
    }
    let bar = bar.checked().map_err(|e| e.to_string())?;
    Ok(BarRow { bar, contract: row.contract })
}

fn check_overlap(before: Option<&BarRow>, next: BarRow) -> Result<BarRow, String> {
    match before {
        Some(before) if before.contract == next.contract && next.bar.start < before.bar.end() => {
            Err(format!(
                "starts at {}, before the bar of {} ends: the bars are shorter than {}",
                next.bar.start,
                before.bar.start,
                crate::time::format_duration(before.bar.length)
            ))
        }
        Some(_) | None => Ok(next),
    }
}

/// The line of a record, from 1. The reader's own count stops before the blank lines that it skips.
#[must_use]
pub fn line_of(text: &str, position: &csv::Position) -> u64 {
    let from =
        usize::try_from(position.byte()).ok().and_then(|at| text.as_bytes().get(at..)).unwrap_or_default();
    let skipped = from.iter().take_while(|b| matches!(b, b'\r' | b'\n')).filter(|b| **b == b'\n').count();
    position.line().saturating_add(u64::try_from(skipped).unwrap_or(0))
}

/// The text without a byte order mark.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Keeps messages short, whatever a file holds.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
