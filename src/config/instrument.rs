//! `[instrument.X]` and the built-in facts: which instruments there are, and by which number.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::file::{INSTRUMENT, ROLL};
use super::problem::{ProblemKind, Refusal, nearest, quoted};
use super::section::{Section, table};
use super::sessions;
use super::value;
use crate::market::calendar::Calendar;
use crate::market::instrument::{BUILTIN_ROOTS, Instrument, RollPolicy};
use crate::market::price::{Distance, Price, TickSize};
use crate::market::symbol::{Root, Symbol};
use crate::market::tick::InstrumentId;

/// The instruments of a configuration, sorted by root; an [`InstrumentId`] is the place in it.
#[derive(Debug, Default)]
pub(super) struct Instruments {
    list: Vec<Instrument>,
    guards: BTreeMap<InstrumentId, Distance>,
}

impl Instruments {
    /// The configured instruments, and the built-in ones among `used`.
    pub(super) fn collect<'a>(
        file: &Section<'_>,
        used: impl IntoIterator<Item = &'a str>,
        near_year: i16,
    ) -> Self {
        let mut found: BTreeMap<Root, (Instrument, Option<Distance>)> = BTreeMap::new();
        for (name, item) in file.read("instrument", table).into_iter().flatten() {
            if let Some(configured) = configured(file, name, item, near_year) {
                found.insert(configured.0.root, configured);
            }
        }
        let used: BTreeSet<&str> = used.into_iter().collect();
        for instrument in used.into_iter().filter_map(Instrument::builtin) {
            found.entry(instrument.root).or_insert((instrument, None));
        }
        let mut instruments = Self::default();
        for (id, (instrument, guard)) in (0..).map(InstrumentId).zip(found.into_values()) {
            instruments.list.push(instrument);
            instruments.guards.extend(guard.map(|guard| (id, guard)));
        }
        instruments
    }

    /// Those of a configuration that has been loaded.
    pub(super) fn of(list: &[Instrument]) -> Self {
        Self { list: list.to_vec(), ..Self::default() }
    }

    /// The instrument that a value names.
    pub(super) fn find(&self, value: &Value) -> Result<InstrumentId, Refusal> {
        self.find_name(value::text(value)?)
    }

    /// The instrument with this root.
    pub(super) fn find_name(&self, name: &str) -> Result<InstrumentId, Refusal> {
        let at = self.list.binary_search_by(|instrument| instrument.root.as_str().cmp(name));
        at.ok().and_then(|at| u32::try_from(at).ok()).map(InstrumentId).ok_or_else(|| self.unknown(name))
    }

    /// The instrument with this number.
    pub(super) fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.list.get(id.index())
    }

    /// The roots of all.
    pub(super) fn roots(&self) -> BTreeSet<&str> {
        self.list.iter().map(|instrument| instrument.root.as_str()).collect()
    }

    /// The exchange of each, by root.
    pub(super) fn exchanges(&self) -> BTreeMap<String, String> {
        self.list.iter().map(|i| (i.root.as_str().to_owned(), i.mic.clone())).collect()
    }

    /// The list, and how far a print may lie from the market where that was configured.
    pub(super) fn into_parts(self) -> (Vec<Instrument>, BTreeMap<InstrumentId, Distance>) {
        (self.list, self.guards)
    }

    fn unknown(&self, name: &str) -> Refusal {
        let known: BTreeSet<&str> =
            self.list.iter().map(|i| i.root.as_str()).chain(BUILTIN_ROOTS.iter().copied()).collect();
        let near = nearest(name, known.iter().copied());
        let near = near.map(|near| format!("; did you mean {}?", quoted(near))).unwrap_or_default();
        let built_in = BUILTIN_ROOTS.join(", ");
        let text = format!(
            "unknown instrument {}{near} (built in: {built_in}; any other needs a table [instrument.X] with its tick)",
            quoted(name)
        );
        Refusal { kind: ProblemKind::Invalid, text }
    }
}

/// One `[instrument.X]` over the built-in facts, if there are any.
fn configured(
    file: &Section<'_>,
    name: &str,
    item: &Value,
    near_year: i16,
) -> Option<(Instrument, Option<Distance>)> {
    let place = format!("instrument.{name}");
    let (root, table) = match (Root::new(name), table(item)) {
        (Ok(root), Ok(table)) => (root, table),
        (Err(e), _) => {
            file.refuse_at("instrument", e.to_string());
            return None;
        }
        (_, Err(refusal)) => {
            file.refuse_at(&place, refusal);
            return None;
        }
    };
    let section = file.inner(table, &INSTRUMENT, format!("{place}."));
    let guard = section.read("guard", value::fixed_distance);
    let mut instrument = match Instrument::builtin(name) {
        Some(instrument) => instrument,
        None => {
            let right = "an instrument that is not built in needs its smallest price step, like \"0.25\"";
            section.require("tick", right, tick_size).map(|tick| new(root, tick))?
        }
    };
    change(&section, &mut instrument, near_year);
    Some((instrument, guard))
}

/// An instrument that is not built in, before its table has its say.
fn new(root: Root, tick: TickSize) -> Instrument {
    Instrument {
        root,
        name: root.to_string(),
        index: None,
        tick,
        point_value: Price::from_points(1),
        mic: "XXXX".to_owned(),
        calendar: Calendar::cme_equity(),
        roll: RollPolicy::default(),
        dated: false,
    }
}

fn change(section: &Section<'_>, instrument: &mut Instrument, near_year: i16) {
    if let Some(name) = section.read("name", value::name) {
        instrument.name = name;
    }
    if let Some(index) = section.read("index", value::name) {
        instrument.index = Some(index);
    }
    if let Some(tick) = section.read("tick", tick_size) {
        instrument.tick = tick;
    }
    if let Some(point_value) = section.read("point_value", positive_price) {
        instrument.point_value = point_value;
    }
    if let Some(mic) = section.read("mic", market_code) {
        instrument.mic = mic;
    }
    if let Some(dated) = section.read("dated", value::flag) {
        instrument.dated = dated;
    }
    instrument.calendar = sessions::calendar(section, &instrument.calendar);
    if let Some(policy) = roll(section, instrument.root, near_year) {
        if !instrument.dated {
            section.refuse("roll", "has no meaning without contract months (dated = false)");
        }
        instrument.roll = policy;
    }
}

fn roll(section: &Section<'_>, root: Root, near_year: i16) -> Option<RollPolicy> {
    if section.get("roll")?.is_str() {
        const WORDS: &[(&str, RollPolicy)] = &[
            ("cme_monday", RollPolicy::CmeMonday),
            ("cme_thursday", RollPolicy::CmeThursday),
            ("volume", RollPolicy::Volume),
        ];
        return section.read("roll", value::choice(WORDS, &[]));
    }
    let given = section.section("roll", &ROLL)?;
    let days = given.read("days_before_expiry", value::whole(0..=400)).map(RollPolicy::DaysBeforeExpiry);
    let explicit = given.read("explicit", |v| {
        let symbol = Symbol::parse(value::text(v)?, near_year).map_err(|e| Refusal::from(e.to_string()))?;
        if symbol.root == root {
            Ok(symbol)
        } else {
            Err(format!("{symbol} is not a contract of {root}").into())
        }
    });
    let explicit = explicit.map(|symbol| RollPolicy::Explicit(symbol.month));
    if given.is_empty() || (days.is_some() && explicit.is_some()) {
        given.refuse_whole("is either { days_before_expiry = 8 } or { explicit = \"RTYZ6\" }");
    }
    days.or(explicit)
}

fn tick_size(value: &Value) -> Result<TickSize, Refusal> {
    TickSize::new(value::price(value)?).map_err(|e| e.to_string().into())
}

fn positive_price(value: &Value) -> Result<Price, Refusal> {
    let price = value::price(value)?;
    if price > Price::ZERO { Ok(price) } else { Err(format!("{price} is not more than nothing").into()) }
}

fn market_code(value: &Value) -> Result<String, Refusal> {
    let text = value::text(value)?;
    if text.len() == 4 && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not a market identifier code like \"XCME\"", quoted(text)).into())
}
