//! `[[level]]` to its rules, with every default. What a rule means is the engine's matter.
//!
//! Most levels are one rule. A level with both sides is two halves under one name, and a source with several
//! lines is one rule, or two halves, for each of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toml::Value;

use super::file::{CONFIRM, FAIL, REJECT, RETEST};
use super::instrument::Instruments;
use super::problem::{ProblemKind, Refusal, quoted, shown};
use super::section::Section;
use super::source::{self, Line, Nature};
use super::{gate, value};
use crate::engine::basis::Basis;
use crate::engine::derive::Source;
use crate::engine::rule::{
    Confirm, Fail, FailBy, Follow, GapPolicy, Half, Official, PriceFrom, Reject, Retest, Rule, Sessions,
    Terms,
};
use crate::event::{About, Severity, Side, Space};
use crate::market::price::{Distance, Price};
use crate::market::symbol::{ContractMonth, Symbol};
use crate::market::tick::InstrumentId;
use crate::time::Timestamp;

/// Half an hour: within so long a break can fail, be retested, or be rejected.
const WITHIN: Duration = Duration::from_secs(30 * 60);
/// The bars of a rule that names no length.
const BAR: Duration = Duration::from_secs(5 * 60);
/// The largest count that a rule can ask for.
const COUNT_MAX: i64 = 1_000_000_000;
/// The largest multiple of the usual volume.
const MULTIPLE_MAX: Price = Price::from_points(1_000);

/// What is known before levels are read.
pub(super) struct Facts<'a> {
    /// The instruments.
    pub(super) instruments: &'a Instruments,
    /// How index prices become prices of the contract.
    pub(super) basis: &'a BTreeMap<InstrumentId, Basis>,
    /// Which decade a contract means.
    pub(super) near_year: i16,
}

/// The rules of one level. None when something is wrong with it, which then has been told.
pub(super) fn rules(level: &Section<'_>, facts: &Facts<'_>) -> Vec<Rule> {
    let name = level.require("name", "every level has a name, like \"2500\"", value::name);
    let instrument = level.require("instrument", "like \"RTY\"", |v| facts.instruments.find(v));
    let origin = origin(level);
    let Some(instrument) = instrument else { return Vec::new() };
    let side = level.read("side", value::choice(SIDES, &[]));
    let plain = terms(level, facts, instrument);
    let (Some(name), Some((price, lines))) = (name, origin) else { return Vec::new() };
    let mut rules = Vec::with_capacity(lines.len());
    for line in lines {
        let name: Box<str> = match line.suffix {
            Some(suffix) => format!("{name} {suffix}").into(),
            None => name.as_str().into(),
        };
        let terms = Terms { source: line.source, ..plain.clone() };
        for terms in sided(terms, side.unwrap_or(line.nature)) {
            rules.push(Rule { name: name.clone(), price, terms: Arc::new(terms) });
        }
    }
    rules
}

/// The terms of a level whose price is known elsewhere: one, or two halves.
pub(super) fn priced_terms(level: &Section<'_>, facts: &Facts<'_>) -> Option<Vec<Arc<Terms>>> {
    let instrument = level.require("instrument", "like \"RTY\"", |v| facts.instruments.find(v))?;
    let side = level.read("side", value::choice(SIDES, &[])).unwrap_or(Nature::Resistance);
    let terms = terms(level, facts, instrument);
    Some(sided(terms, side).into_iter().map(Arc::new).collect())
}

/// A line of a level, which comes from a source unless it is the price itself.
struct Origin {
    suffix: Option<String>,
    source: Option<Source>,
    nature: Nature,
}

/// The price, or the lines of the source, of which a level has exactly one.
fn origin(level: &Section<'_>) -> Option<(Price, Vec<Origin>)> {
    let (has_price, has_source) = (level.get("price").is_some(), level.get("source").is_some());
    if has_price && has_source {
        level.refuse("source", "stands beside price; a level has one of the two");
    }
    if !has_source {
        let price = level.require("price", "like 2500 or \"2442.74\", or a source", value::price)?;
        return Some((price, vec![Origin { suffix: None, source: None, nature: Nature::Resistance }]));
    }
    if has_price {
        level.read("price", value::price);
    }
    let of = |line: Line| Origin { suffix: line.suffix, source: Some(line.source), nature: line.nature };
    Some((Price::ZERO, source::lines(level)?.into_iter().map(of).collect()))
}

/// Both sides are two halves, of which the first speaks for the level.
fn sided(terms: Terms, side: Nature) -> Vec<Terms> {
    let half = |side, half| Terms { side, half, ..terms.clone() };
    match side {
        Nature::Resistance => vec![half(Side::Resistance, None)],
        Nature::Support => vec![half(Side::Support, None)],
        Nature::Both => {
            vec![half(Side::Resistance, Some(Half::First)), half(Side::Support, Some(Half::Second))]
        }
    }
}

/// Everything but the name, the price, the source and the side.
fn terms(level: &Section<'_>, facts: &Facts<'_>, instrument: InstrumentId) -> Terms {
    let confirm: Vec<Confirm> = level.sections("confirm", &CONFIRM).iter().filter_map(confirmation).collect();
    let confirm_within = level.read("confirm_within", value::positive_duration);
    if confirm_within.is_some() && level.get("confirm").is_none() {
        level.refuse("confirm_within", "has no meaning without confirm");
    }
    let zone = level.read("zone", value::distance).unwrap_or(Distance::Ticks(5));
    let (starts, expires) = validity(level);
    Terms {
        instrument,
        contract: contract(level, facts, instrument),
        source: None,
        side: Side::Resistance,
        half: None,
        space: space(level, facts, instrument),
        price_from: level.read("price_from", value::choice(PRICES, &[])).unwrap_or_default(),
        strict: level.read("strict", value::flag).unwrap_or(false),
        margin: level.read("margin", value::distance).unwrap_or(Distance::Ticks(0)),
        approach: level.read("approach", value::positive_distance),
        zone,
        fail: fail(level, &confirm),
        confirm,
        confirm_within,
        reject: reject(level),
        retest: retest(level, zone),
        follow: level.read("follow", follow).unwrap_or(Follow { retest: true, held: true, failed: true }),
        rearm: level.read("rearm", value::positive_distance).unwrap_or(Distance::Ticks(5)),
        grace: level.read("grace", value::duration).unwrap_or(Duration::ZERO),
        cooldown: level.read("cooldown", value::duration).unwrap_or(Duration::ZERO),
        max_per_session: level.read("max_per_session", value::whole(1..=COUNT_MAX)),
        gap: level.read("gap", value::choice(GAPS, &[])).unwrap_or_default(),
        sessions: level.read("sessions", value::choice(SESSIONS, &[])).unwrap_or_default(),
        days: level.read("days", gate::days).unwrap_or_default(),
        between: gate::between(level),
        when: gate::when(level, facts.instruments, instrument),
        starts,
        expires,
        severity: level.read("severity", value::choice(SEVERITIES, &[])),
        about: About {
            note: level.read("note", value::lines),
            said_by: level.read("said_by", value::line),
            url: level.read("url", web_address),
            tags: level.read("tags", value::list_of(value::name)).unwrap_or_default(),
        },
    }
}

const SIDES: &[(&str, Nature)] =
    &[("resistance", Nature::Resistance), ("support", Nature::Support), ("both", Nature::Both)];
const SPACES: &[(&str, Space)] = &[("contract", Space::Contract), ("index", Space::Index)];
const PRICES: &[(&str, PriceFrom)] =
    &[("trade", PriceFrom::Trade), ("bid", PriceFrom::Bid), ("ask", PriceFrom::Ask), ("mid", PriceFrom::Mid)];
const GAPS: &[(&str, GapPolicy)] =
    &[("fire", GapPolicy::Fire), ("wait_bar", GapPolicy::WaitBar), ("ignore", GapPolicy::Ignore)];
const OFFICIALS: &[(&str, Official)] = &[("rth", Official::Rth), ("settlement", Official::Settlement)];
const SESSIONS: &[(&str, Sessions)] =
    &[("any", Sessions::Any), ("rth", Sessions::Rth), ("eth", Sessions::Eth)];
/// The severities by name.
pub(super) const SEVERITIES: &[(&str, Severity)] = &[
    ("info", Severity::Info),
    ("normal", Severity::Normal),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

fn contract(level: &Section<'_>, facts: &Facts<'_>, instrument: InstrumentId) -> Option<ContractMonth> {
    let symbol = level.read("contract", |v| {
        let text = value::text(v)?;
        Symbol::parse(text, facts.near_year).map_err(|e| Refusal::from(e.to_string()))
    })?;
    let instrument = facts.instruments.get(instrument)?;
    if !instrument.dated {
        level.refuse("contract", format!("{} has no contract months (dated = false)", instrument.root));
    } else if symbol.root != instrument.root {
        level.refuse("contract", format!("{symbol} is not a contract of {}", instrument.root));
    }
    Some(symbol.month)
}

/// An instrument without contract months, such as the index itself, has one sort of price only.
fn space(level: &Section<'_>, facts: &Facts<'_>, id: InstrumentId) -> Space {
    let space = level.read("space", value::choice(SPACES, &[])).unwrap_or(Space::Contract);
    match (space, facts.instruments.get(id)) {
        (Space::Contract, _) | (Space::Index, None) => space,
        (Space::Index, Some(instrument)) if !instrument.dated => Space::Contract,
        (Space::Index, Some(instrument)) => {
            let root = instrument.root;
            if level.get("source").is_some() {
                let text = format!(
                    "a source gives prices of {root}'s own contracts, not of the index; leave space away, or \
                     name the index as the instrument"
                );
                level.refuse("space", text);
            } else if !facts.basis.contains_key(&id) {
                let text = format!(
                    "\"index\" needs the basis of {root}: write basis = {{ rates = \"2.9 %\" }} or \
                     basis = {{ index = \"RUT\" }} under [instrument.{root}]"
                );
                level.refuse("space", Refusal { kind: ProblemKind::Missing, text });
            }
            space
        }
    }
}

/// From when until when the rule is there.
fn validity(level: &Section<'_>) -> (Option<Timestamp>, Option<Timestamp>) {
    let (starts, expires) = (level.read("starts", value::time), level.read("expires", value::time));
    if let (Some(starts), Some(expires)) = (starts, expires)
        && starts >= expires
    {
        level.refuse("starts", format!("{starts} is not before expires, which is {expires}"));
    }
    (starts, expires)
}

/// The keys of which a condition has exactly one.
const CONDITIONS: [&str; 7] =
    ["prints", "hold", "bar_close", "session_close", "volume", "relative_volume", "quote"];

fn confirmation(item: &Section<'_>) -> Option<Confirm> {
    let prints = item.read("prints", value::whole(1..=COUNT_MAX));
    let size = item.read("size", value::whole(1..=COUNT_MAX));
    let length = item.read("bar_close", value::bar_length);
    let bars = item.read("bars", value::whole(1..=COUNT_MAX));
    let others = [
        item.read("hold", value::positive_duration).map(Confirm::Hold),
        item.read("session_close", value::choice(OFFICIALS, &[])).map(Confirm::SessionClose),
        item.read("volume", value::whole(1..=COUNT_MAX)).map(Confirm::Volume),
        item.read("relative_volume", multiple).map(Confirm::RelativeVolume),
        item.read("quote", value::positive_duration).map(Confirm::Quote),
    ];
    check_one(item);
    let prints = prints.map(|count| Confirm::Prints { count, size });
    let bar_close = length.map(|length| Confirm::BarClose { length, bars: bars.unwrap_or(1) });
    prints.or(bar_close).or(others.into_iter().flatten().next())
}

/// An item names one condition, and `size` and `bars` stand beside their own.
fn check_one(item: &Section<'_>) {
    let has = |key| item.get(key).is_some();
    if has("size") && !has("prints") {
        item.refuse("size", "stands beside prints: { prints = 3, size = 50 }");
    }
    if has("bars") && !has("bar_close") {
        item.refuse("bars", "stands beside bar_close: { bar_close = \"5m\", bars = 2 }");
    }
    if CONDITIONS.into_iter().filter(|key| has(key)).count() > 1 {
        item.refuse_whole("is several conditions in one; write [{ prints = 2 }, { hold = \"5s\" }]");
    }
    if item.is_empty() {
        item.refuse_whole(format!("is empty; it has one of {}", CONDITIONS.join(", ")));
    }
}

/// A multiple of what is usual.
fn multiple(value: &Value) -> Result<Price, Refusal> {
    let multiple = value::price(value).ok().filter(|m| *m > Price::ZERO && *m <= MULTIPLE_MAX);
    multiple.ok_or_else(|| {
        format!("{} is not a multiple of the usual volume, like 1.5 (at most 1000)", shown(value)).into()
    })
}

fn reject(level: &Section<'_>) -> Option<Reject> {
    let given = level.section("reject", &REJECT)?;
    Some(Reject {
        distance: given.read("distance", value::positive_distance).unwrap_or(Distance::Ticks(5)),
        within: given.read("within", value::positive_duration).unwrap_or(WITHIN),
    })
}

fn fail(level: &Section<'_>, confirm: &[Confirm]) -> Fail {
    let given = level.section("fail", &FAIL);
    let given = given.as_ref();
    let distance = given.and_then(|f| f.read("distance", value::positive_distance));
    let by = given.and_then(|f| f.read("by", value::choice(&[("trade", false), ("bar", true)], &[])));
    let by_bar = by.unwrap_or(false);
    if let Some(fail) = given.filter(|_| by_bar && distance.is_some()) {
        fail.refuse("distance", "has no meaning with by = \"bar\": a bar need only close behind the level");
    }
    Fail {
        distance: distance.unwrap_or(Distance::Ticks(5)),
        within: given.and_then(|f| f.read("within", value::positive_duration)).unwrap_or(WITHIN),
        by: if by_bar { FailBy::Bar(bar_of(confirm)) } else { FailBy::Trade },
    }
}

/// The length of the bars that confirm the rule, if there are any.
fn bar_of(confirm: &[Confirm]) -> Duration {
    let lengths = confirm.iter().filter_map(|confirm| match confirm {
        Confirm::BarClose { length, .. } => Some(*length),
        Confirm::Prints { .. }
        | Confirm::Hold(_)
        | Confirm::SessionClose(_)
        | Confirm::Volume(_)
        | Confirm::RelativeVolume(_)
        | Confirm::Quote(_) => None,
    });
    lengths.into_iter().next().unwrap_or(BAR)
}

/// Around the level, unless it says otherwise, lies the zone of the level.
fn retest(level: &Section<'_>, zone: Distance) -> Retest {
    let given = level.section("retest", &RETEST);
    let given = given.as_ref();
    let distance =
        |key, default| given.and_then(|r| r.read(key, value::positive_distance)).unwrap_or(default);
    Retest {
        zone: distance("zone", zone),
        excursion: distance("excursion", Distance::Ticks(10)),
        hold: distance("hold", Distance::Ticks(10)),
        within: given.and_then(|r| r.read("within", value::positive_duration)).unwrap_or(WITHIN),
    }
}

fn follow(steps: &Value) -> Result<Follow, Refusal> {
    let steps =
        value::list_of(value::choice(&[("retest", 'r'), ("held", 'h'), ("failed", 'f')], &[]))(steps)?;
    Ok(Follow { retest: steps.contains(&'r'), held: steps.contains(&'h'), failed: steps.contains(&'f') })
}

/// It becomes a link in mails and on a page, so it is one.
fn web_address(value: &Value) -> Result<String, Refusal> {
    let text = value::line(value)?;
    match reqwest::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(text),
        Ok(_) | Err(_) => {
            Err(format!("{} is not an address like https://example.com/", quoted(&text)).into())
        }
    }
}
