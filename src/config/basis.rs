//! `basis` of `[instrument.X]`: how a cash-index price becomes a price of the contract.

use std::collections::BTreeMap;

use toml::Value;

use super::file::{BASIS, INSTRUMENT};
use super::instrument::Instruments;
use super::problem::{Refusal, quoted, shown};
use super::section::{Section, table};
use super::value;
use crate::engine::basis::Basis;
use crate::market::price::Price;
use crate::market::tick::InstrumentId;

/// Rates are within so many percent, up or down.
const RATE_MAX: Price = Price::from_points(50);

/// The cash indices that are named, so that they are known as instruments.
pub(super) fn instrument_names<'a>(file: &Section<'a>) -> Vec<&'a str> {
    let tables = file.get("instrument").and_then(Value::as_table);
    let values = tables.into_iter().flat_map(|tables| tables.values());
    values.filter_map(|item| item.get("basis")?.get("index")?.as_str()).collect()
}

/// The basis of each instrument that has one.
pub(super) fn read(file: &Section<'_>, instruments: &Instruments) -> BTreeMap<InstrumentId, Basis> {
    let mut found = BTreeMap::new();
    let tables = file.get("instrument").and_then(Value::as_table);
    for (name, item) in tables.into_iter().flatten() {
        // What is wrong with the name or the table is told where instruments are read.
        let (Ok(id), Ok(item)) = (instruments.find_name(name), table(item)) else { continue };
        let section = file.opened(item, &INSTRUMENT, format!("instrument.{name}."));
        if let Some(basis) = basis(&section, id, instruments) {
            found.insert(id, basis);
        }
    }
    found
}

fn basis(section: &Section<'_>, id: InstrumentId, instruments: &Instruments) -> Option<Basis> {
    let given = section.section("basis", &BASIS)?;
    if instruments.get(id).is_some_and(|instrument| !instrument.dated) {
        section.refuse("basis", "has no meaning without contract months (dated = false)");
    }
    let whole = given.read("rates", rate).map(Basis::Rates);
    let (interest, dividends) = (given.read("r", rate), given.read("q", rate));
    let index = given.read("index", |v| match instruments.find(v)? {
        index if index == id => Err("is the instrument itself; name the cash index, like \"RUT\"".into()),
        index => Ok(Basis::Index(index)),
    });
    let has = |key| given.get(key).is_some();
    let split = has("r") || has("q");
    let named = [has("rates"), split, has("index")].into_iter().filter(|named| *named).count();
    if named != 1 || has("r") != has("q") {
        given.refuse_whole(
            "is one of { rates = \"2.9 %\" }, { r = \"4.1 %\", q = \"1.2 %\" } and { index = \"RUT\" }",
        );
    }
    let split = interest.zip(dividends).map(|(r, q)| Basis::Rates(r.minus(q)));
    whole.or(split).or(index)
}

/// A rate such as `2.9 %`: percent a year, in units of 1e-9.
fn rate(value: &Value) -> Result<Price, Refusal> {
    const RIGHT: &str = "a rate a year like \"2.9 %\"";
    let Value::String(text) = value else { return Err(format!("{} is not {RIGHT}", shown(value)).into()) };
    let number = value::text(value)?.trim().strip_suffix('%').map(str::trim_end);
    match number.and_then(|number| number.parse::<Price>().ok()) {
        Some(rate) if rate.abs() <= RATE_MAX => Ok(rate),
        Some(_) => Err(format!("{} is not from -50 % to 50 %", quoted(text)).into()),
        None => Err(format!("{} is not {RIGHT}", quoted(text)).into()),
    }
}
