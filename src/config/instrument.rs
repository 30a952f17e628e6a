//! `[instrument.X]` and the built-in facts: which instruments there are, and by which number.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, Time, Weekday};
use toml::Value;

use super::file::{HOLIDAY, INSTRUMENT, ROLL};
use super::problem::{ProblemKind, Refusal, nearest, quoted};
use super::section::{Section, table};
use super::value;
use crate::market::calendar::{Calendar, DayRule, Exception};
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
    let days = holidays(section);
    if !days.is_empty() {
        instrument.calendar = instrument.calendar.clone().with_exceptions(days);
    }
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

/// The days on which this instrument's sessions differ; one that is built in is replaced.
fn holidays(section: &Section<'_>) -> Vec<Exception> {
    let mut dates = BTreeSet::new();
    let mut days = Vec::new();
    for item in section.sections("holidays", &HOLIDAY) {
        let Some(day) = holiday(&item) else { continue };
        if !dates.insert(day.date) {
            item.refuse("date", format!("{} stands here twice; a day has one rule", day.date));
        }
        days.push(day);
    }
    days
}

fn holiday(item: &Section<'_>) -> Option<Exception> {
    let date = item.require("date", "a day like \"2027-01-09\"", weekday);
    let rule = item.require("rule", "closed, halt or early_close", day_rule(item));
    let name = item.read("name", value::name);
    Some(Exception { date: date?, rule: rule?, name: name.map_or("holiday".into(), Into::into) })
}

fn day_rule<'a>(item: &'a Section<'_>) -> impl FnOnce(&Value) -> Result<DayRule, Refusal> + use<'a> {
    /// What a stop at some time makes of the day; nothing needs a time when there is no session.
    type Rule = Option<fn(Time) -> DayRule>;
    const WORDS: &[(&str, Rule)] =
        &[("closed", None), ("halt", Some(DayRule::Halt)), ("early_close", Some(DayRule::EarlyClose))];
    let at = item.get("at").map(clock_time);
    move |value| match (value::choice(WORDS, &[])(value)?, at) {
        (None, None) => Ok(DayRule::Closed),
        (None, Some(_)) => Err("\"closed\" has no time: leave out at, or say halt or early_close".into()),
        (Some(_), None) => Err("needs its time, like at = \"12:00\"".into()),
        (Some(rule), Some(at)) => Ok(rule(at?)),
    }
}

fn weekday(value: &Value) -> Result<Date, Refusal> {
    let text = match value {
        Value::Datetime(date) => date.to_string(),
        Value::String(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Array(_)
        | Value::Table(_) => value::text(value)?.to_owned(),
    };
    let date = Date::strptime("%Y-%m-%d", &text);
    let date = date.map_err(|_| format!("{} is not a day like \"2027-01-09\"", quoted(&text)))?;
    if matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday) {
        let day = format!("{:?}", date.weekday());
        return Err(format!("{date} is a {day}, on which no session ends; name the weekday").into());
    }
    Ok(date)
}

fn clock_time(value: &Value) -> Result<Time, Refusal> {
    let text = value::text(value)?;
    let time = Time::strptime("%H:%M", text);
    time.map_err(|_| format!("{} is not a time of the day like \"12:00\"", quoted(text)).into())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::{Config, ConfigError};
    use crate::market::calendar::DayRule;

    fn load(holidays: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("breakwatch.toml");
        let level = "[[level]]\nname = \"a\"\ninstrument = \"RTY\"\nprice = 2500\n";
        std::fs::write(&file, format!("[instrument.RTY]\nholidays = [{holidays}]\n{level}")).unwrap();
        Config::load(Some(&file), &BTreeMap::new(), 2026)
    }

    #[test]
    fn a_configured_day_changes_the_calendar_and_replaces_a_built_in_one() {
        let config = load(
            "{ date = \"2027-01-08\", rule = \"halt\", at = \"12:00\", name = \"mourning\" }, \
             { date = 2026-11-27, rule = \"closed\" }",
        );
        let calendar = &config.unwrap().instruments[0].calendar;
        let rule = |year, month, day| {
            calendar
                .exception(jiff::civil::date(year, month, day))
                .map(|e| (e.rule, e.name.clone().into_owned()))
        };
        let noon = jiff::civil::time(12, 0, 0, 0);
        assert_eq!(rule(2027, 1, 8), Some((DayRule::Halt(noon), "mourning".into())));
        assert_eq!(rule(2026, 11, 27), Some((DayRule::Closed, "holiday".into())));
        assert_eq!(rule(2026, 11, 30), None);
    }

    #[test]
    fn a_wrong_day_is_told_with_what_would_be_right() {
        for (wrong, told) in [
            ("{ date = \"2027-01-09\", rule = \"closed\" }", "2027-01-09 is a Saturday"),
            ("{ date = \"9 Jan\", rule = \"closed\" }", "\"9 Jan\" is not a day like"),
            ("{ date = \"2027-01-08\", rule = \"close\" }", "did you mean \"closed\"?"),
            ("{ date = \"2027-01-08\", rule = \"halt\" }", "needs its time"),
            (
                "{ date = \"2027-01-08\", rule = \"halt\", at = \"25:00\" }",
                "\"25:00\" is not a time of the day",
            ),
            ("{ date = \"2027-01-08\", rule = \"closed\", at = \"12:00\" }", "has no time"),
            ("{ rule = \"closed\" }", "date: is missing"),
            (
                "{ date = \"2027-01-08\", rule = \"closed\" }, { date = \"2027-01-08\", rule = \"closed\" }",
                "2027-01-08 stands here twice",
            ),
        ] {
            let error = load(wrong).unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }
}
