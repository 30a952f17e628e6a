//! Levels from a table: CSV with a header that names keys of a level, one level in each row.
//!
//! A table can have a million rows that differ in nothing but name and price. Their terms are read once and
//! shared.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use csv::StringRecord;
use toml::{Table, Value};

use super::ConfigError;
use super::file::{LEVEL, LEVEL_COLUMNS};
use super::instrument::Instruments;
use super::level::{self, Facts};
use super::problem::{ProblemKind, Problems, Refusal, hint, quoted};
use super::section::{Origin, Section};
use super::value;
use crate::engine::basis::Basis;
use crate::engine::rule::{Rule, Terms};
use crate::market::instrument::Instrument;
use crate::market::tick::InstrumentId;

/// At most so many rows.
const ROWS_MAX: usize = 1_000_000;
/// Ends a cell in the key of a row's terms. It stands in no UTF-8 text.
const CELL_END: u8 = 0xff;

/// The rules of a table, and the line of each.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// The file.
    pub(super) origin: String,
    /// The rules, row by row.
    pub(super) rules: Vec<Rule>,
    /// For each rule the line on which its row begins.
    pub(super) lines: Vec<u64>,
}

/// Reads a table of levels: CSV whose header names keys of a level. `instruments` and `basis` are those of a
/// loaded [`Config`](super::Config); `near_year` decides which decade a contract such as `RTYZ6` means.
///
/// # Errors
/// When anything in it is wrong; all mistakes are told together, each with its line.
pub fn level_table(
    text: &str,
    origin: &str,
    instruments: &[Instrument],
    basis: &BTreeMap<InstrumentId, Basis>,
    near_year: i16,
) -> Result<Vec<Rule>, ConfigError> {
    let problems = Problems::default();
    let instruments = Instruments::of(instruments);
    let levels = read(text, origin, &Facts { instruments: &instruments, basis, near_year }, &problems);
    tell_duplicates(&levels, &mut HashSet::new(), &problems);
    match problems.finish() {
        Ok(_) => Ok(levels.rules),
        Err((problems, unlisted)) => Err(ConfigError::Invalid { problems, unlisted }),
    }
}

/// Tells which rules have the name of an earlier one. The halves of a level follow each other.
pub(super) fn tell_duplicates<'a>(levels: &'a Levels, seen: &mut HashSet<&'a str>, problems: &Problems) {
    let mut last: Option<u64> = None;
    for (rule, line) in levels.rules.iter().zip(&levels.lines) {
        if last != Some(*line) && !seen.insert(&rule.name) {
            let place = format!("level {}: name", quoted(&rule.name));
            let text = "another level has this name already";
            problems.add(&format!("{}:{line}", levels.origin), &place, text.into());
        }
        last = Some(*line);
    }
}

/// The instruments that a table names, so that they are known.
pub(super) fn instrument_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut reader = reader(text);
    let at = reader.headers().ok().and_then(|headers| headers.iter().position(|key| key == "instrument"));
    let (mut record, mut last) = (StringRecord::new(), String::new());
    while let (Some(at), Ok(true)) = (at, reader.read_record(&mut record)) {
        let name = record.get(at).unwrap_or_default();
        if name != last {
            name.clone_into(&mut last);
            names.insert(last.clone());
        }
    }
    names
}

/// Reads a table; what is wrong is told.
pub(super) fn read(text: &str, origin: &str, facts: &Facts<'_>, problems: &Problems) -> Levels {
    let mut levels = Levels { origin: origin.to_owned(), ..Levels::default() };
    let mut reader = reader(text);
    let columns = match reader.headers() {
        Ok(headers) => Columns::new(headers, origin, problems),
        Err(e) => {
            problems.add(&place(origin, e.position()), "", syntax(&e));
            None
        }
    };
    let Some(columns) = columns else { return levels };
    let mut rows = Rows { columns, facts, problems, key: Vec::new(), terms: HashMap::new(), last: None };
    let mut record = StringRecord::new();
    for row in 0_usize.. {
        match reader.read_record(&mut record) {
            Ok(true) if row >= ROWS_MAX => {
                problems.add(&place(origin, record.position()), "", too_many());
                break;
            }
            Ok(true) => rows.row(&record, &mut levels),
            Ok(false) => break,
            Err(e) => {
                // After an uneven row the reader goes on with the next one.
                problems.add(&place(origin, e.position()), "", syntax(&e));
            }
        }
    }
    levels
}

fn reader(text: &str) -> csv::Reader<&[u8]> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes())
}

fn too_many() -> Refusal {
    format!("the table has more than {ROWS_MAX} rows").into()
}

fn syntax(error: &csv::Error) -> Refusal {
    let text = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("has {len} cells, but the header has {expected_len}")
        }
        _ => error.to_string(),
    };
    Refusal { kind: ProblemKind::Syntax, text }
}

fn place(origin: &str, position: Option<&csv::Position>) -> String {
    format!("{origin}:{}", position.map_or(1, csv::Position::line))
}

/// Which column is which.
struct Columns {
    name: usize,
    price: usize,
    /// All others, with their keys.
    terms: Vec<(usize, &'static str)>,
}

impl Columns {
    fn new(headers: &StringRecord, origin: &str, problems: &Problems) -> Option<Self> {
        let origin = format!("{origin}:1");
        let mut found: BTreeMap<&'static str, usize> = BTreeMap::new();
        let mut right = true;
        for (at, header) in headers.iter().enumerate() {
            let refusal = match LEVEL_COLUMNS.iter().find(|key| **key == header) {
                Some(key) if found.insert(key, at).is_none() => continue,
                Some(_) => Refusal::from(format!("column {} stands there twice", quoted(header))),
                None => unknown(header),
            };
            problems.add(&origin, "", refusal);
            right = false;
        }
        for key in ["name", "instrument", "price"].into_iter().filter(|key| !found.contains_key(key)) {
            let text = format!("there is no column {key}; a table of levels has name, instrument and price");
            problems.add(&origin, "", Refusal { kind: ProblemKind::Missing, text });
            right = false;
        }
        let (name, price) = (found.remove("name"), found.remove("price"));
        let terms = found.into_iter().map(|(key, at)| (at, key)).collect();
        Some(Self { name: name?, price: price?, terms }).filter(|_| right)
    }
}

fn unknown(header: &str) -> Refusal {
    let text = if LEVEL.keys.contains(&header) {
        format!("{header} cannot be a column: it is not one plain value; write a [[level]] for it")
    } else {
        format!("unknown column {}{}", quoted(header), hint(header, LEVEL_COLUMNS.iter().copied()))
    };
    Refusal { kind: ProblemKind::UnknownKey, text }
}

/// Terms that rows share; `None` when something is wrong with them, which is told for the first row only.
type Shared = Option<Vec<Arc<Terms>>>;

struct Rows<'a> {
    columns: Columns,
    facts: &'a Facts<'a>,
    problems: &'a Problems,
    /// The cells of a row but for name and price.
    key: Vec<u8>,
    terms: HashMap<Vec<u8>, Shared>,
    /// The terms of the last row, with their key: neighbours are mostly alike.
    last: Option<(Vec<u8>, Shared)>,
}

impl Rows<'_> {
    fn row(&mut self, record: &StringRecord, levels: &mut Levels) {
        let name = record.get(self.columns.name).unwrap_or_default();
        let price = record.get(self.columns.price).unwrap_or_default();
        let checked = (value::check_name(name), value::price_text(price));
        let terms = self.terms(record, &levels.origin);
        let (Ok(()), Ok(price)) = checked else {
            for (key, refusal) in [("name", checked.0.err()), ("price", checked.1.err())] {
                if let Some(refusal) = refusal {
                    let place_of = format!("{}: {key}", called(name));
                    self.problems.add(&place(&levels.origin, record.position()), &place_of, refusal);
                }
            }
            return;
        };
        let line = record.position().map_or(1, csv::Position::line);
        for terms in terms.into_iter().flatten() {
            levels.rules.push(Rule { name: name.into(), price, terms });
            levels.lines.push(line);
        }
    }

    fn terms(&mut self, record: &StringRecord, origin: &str) -> Shared {
        self.key.clear();
        for (at, _) in &self.columns.terms {
            self.key.extend_from_slice(record.get(*at).unwrap_or_default().as_bytes());
            self.key.push(CELL_END);
        }
        if let Some((key, terms)) = &self.last
            && *key == self.key
        {
            return terms.clone();
        }
        let terms = match self.terms.get(&self.key) {
            Some(terms) => terms.clone(),
            None => {
                let terms = self.new_terms(record, origin);
                self.terms.insert(self.key.clone(), terms.clone());
                terms
            }
        };
        self.last = Some((self.key.clone(), terms.clone()));
        terms
    }

    fn new_terms(&self, record: &StringRecord, origin: &str) -> Shared {
        let mut table = Table::new();
        for (at, key) in &self.columns.terms {
            if let Some(cell) = record.get(*at).filter(|cell| !cell.is_empty()) {
                table.insert((*key).to_owned(), typed(key, cell));
            }
        }
        let origin = Origin { file: place(origin, record.position()), overrides: BTreeMap::new() };
        let name = record.get(self.columns.name).unwrap_or_default();
        let section = Section::at(&table, &LEVEL, &origin, format!("{}: ", called(name)), self.problems);
        level::priced_terms(&section, self.facts)
    }
}

fn called(name: &str) -> String {
    if name.is_empty() { "level".to_owned() } else { format!("level {}", quoted(name)) }
}

/// A cell as the value that its key wants: texts, but for a flag and a number.
fn typed(key: &str, cell: &str) -> Value {
    let text = || Value::String(cell.to_owned());
    match key {
        "strict" => cell.parse().map_or_else(|_| text(), Value::Boolean),
        "max_per_session" => cell.parse().map_or_else(|_| text(), Value::Integer),
        _ => text(),
    }
}
