//! Levels that do not stand in a file but in the database: from the rows of a table to what is kept of them, and
//! back to rules.
//!
//! The cells are kept as they were written, so that they are read by the same rules as a table of the
//! configuration. A million rows may share their terms: these are read once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use csv::StringRecord;
use toml::Table;

use super::file::LEVEL;
use super::instrument::Instruments;
use super::level::{self, Facts};
use super::level_table::{called, reader, typed};
use super::problem::Problems;
use super::section::{Origin, Section};
use super::{Config, ConfigError, level_table, value};
use crate::engine::basis::Basis;
use crate::engine::rule::{Rule, Terms};
use crate::market::tick::InstrumentId;

/// What messages call the database.
const ORIGIN: &str = "database";

/// A row as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The level's name.
    pub name: String,
    /// Its price, as it was written.
    pub price: String,
    /// The other cells that are not empty, as a JSON object of texts.
    pub terms: Arc<str>,
}

/// The rows of a table of levels, to be kept.
///
/// # Errors
/// When anything in it is wrong; all mistakes are told together, each with its line.
pub fn rows(text: &str, origin: &str, config: &Config) -> Result<Vec<Row>, ConfigError> {
    let (instruments, basis) = (&config.instruments, &config.basis);
    let checked = level_table::level_table(text, origin, instruments, basis, config.near_year)?;
    drop(checked);
    let mut reader = reader(text);
    let Ok(headers) = reader.headers().cloned() else { return Ok(Vec::new()) };
    let (mut rows, mut record): (Vec<Row>, _) = (Vec::new(), StringRecord::new());
    while let Ok(true) = reader.read_record(&mut record) {
        let (mut name, mut price) = (String::new(), String::new());
        let mut terms: BTreeMap<&str, &str> = BTreeMap::new();
        for (key, cell) in headers.iter().zip(&record).filter(|(_, cell)| !cell.is_empty()) {
            match key {
                "name" => cell.clone_into(&mut name),
                "price" => cell.clone_into(&mut price),
                _ => {
                    terms.insert(key, cell);
                }
            }
        }
        let terms = serde_json::to_string(&terms).unwrap_or_default();
        // Neighbours are mostly alike.
        let shared = rows.last().map(|row| &row.terms).filter(|last| ***last == *terms).cloned();
        rows.push(Row { name, price, terms: shared.unwrap_or_else(|| terms.into()) });
    }
    Ok(rows)
}

/// Terms that rows share, or what is wrong with them.
type Shared = Result<Vec<Arc<Terms>>, String>;

/// Makes rules of rows.
#[derive(Debug)]
pub struct Reader {
    instruments: Instruments,
    basis: BTreeMap<InstrumentId, Basis>,
    near_year: i16,
    terms: HashMap<String, Shared>,
}

impl Reader {
    /// For the instruments of this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            instruments: Instruments::of(&config.instruments),
            basis: config.basis.clone(),
            near_year: config.near_year,
            terms: HashMap::new(),
        }
    }

    /// The rules of a row: one, or two for a level with both sides.
    ///
    /// # Errors
    /// What is wrong with it, for people: the configuration has changed since it was added.
    pub fn rules(&mut self, name: &str, price: &str, terms: &str) -> Result<Vec<Rule>, String> {
        value::check_name(name).map_err(|refusal| refusal.text)?;
        let price = value::price_text(price).map_err(|refusal| refusal.text)?;
        let shared = match self.terms.get(terms) {
            Some(shared) => shared.clone(),
            None => {
                let shared = self.read(name, terms);
                self.terms.insert(terms.to_owned(), shared.clone());
                shared
            }
        };
        Ok(shared?.into_iter().map(|terms| Rule { name: name.into(), price, terms }).collect())
    }

    fn read(&self, name: &str, terms: &str) -> Shared {
        let cells: BTreeMap<String, String> =
            serde_json::from_str(terms).map_err(|error| format!("its terms cannot be read: {error}"))?;
        let table: Table = cells.iter().map(|(key, cell)| (key.clone(), typed(key, cell))).collect();
        let problems = Problems::default();
        let facts = Facts { instruments: &self.instruments, basis: &self.basis, near_year: self.near_year };
        let origin = Origin { file: ORIGIN.to_owned(), overrides: BTreeMap::new() };
        let section = Section::at(&table, &LEVEL, &origin, format!("{}: ", called(name)), &problems);
        let read = level::priced_terms(&section, &facts);
        match problems.finish() {
            Ok(_) => read.ok_or_else(|| "its terms are not complete".to_owned()),
            Err((problems, unlisted)) => Err(ConfigError::Invalid { problems, unlisted }.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "name,instrument,price,side,margin,strict\n\
        a,RTY,2500,,2 ticks,\nb,RTY,2501.5,,2 ticks,\nc,RTY,\"2442.74\",both,,true\n";

    fn config() -> Config {
        Config::parse("[instrument.RTY]\n", "test.toml", 2026).unwrap()
    }

    #[test]
    fn rows_become_the_rules_that_the_table_says() {
        let config = config();
        let kept = rows(TABLE, "t.csv", &config).unwrap();
        assert!(Arc::ptr_eq(&kept[0].terms, &kept[1].terms), "terms are shared");
        assert_eq!(&*kept[0].terms, r#"{"instrument":"RTY","margin":"2 ticks"}"#);
        let mut reader = Reader::new(&config);
        let read: Vec<_> =
            kept.iter().flat_map(|row| reader.rules(&row.name, &row.price, &row.terms).unwrap()).collect();
        let (instruments, basis) = (&config.instruments, &config.basis);
        assert_eq!(read, level_table::level_table(TABLE, "t.csv", instruments, basis, 2026).unwrap());
        assert_eq!(read.len(), 4, "both sides are two rules");
        assert!(Arc::ptr_eq(&read[0].terms, &read[1].terms));
    }

    #[test]
    fn a_mistake_in_the_table_is_told_with_its_line() {
        let error = rows("name,instrument,price\na,RTY,2500\nb,NOPE,x\n", "t.csv", &config()).unwrap_err();
        assert!(error.to_string().contains("t.csv:3"), "{error}");
    }

    #[test]
    fn a_row_whose_instrument_is_gone_says_so() {
        let error = Reader::new(&config()).rules("a", "1", r#"{"instrument":"ZZZ"}"#).unwrap_err();
        assert!(error.contains("ZZZ") && error.contains("level \"a\""), "{error}");
        assert!(Reader::new(&config()).rules("a", "1", "{").is_err());
    }
}
