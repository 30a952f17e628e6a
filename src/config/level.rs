//! `[[level]]` to [`Rule`], with every default. What a rule means is the engine's matter.

use std::sync::Arc;
use std::time::Duration;

use toml::Value;

use super::file::{CONFIRM, FAIL, RETEST};
use super::instrument::Instruments;
use super::problem::{Refusal, quoted};
use super::section::Section;
use super::value;
use crate::engine::rule::{
    Confirm, Fail, FailBy, Follow, GapPolicy, PriceFrom, Retest, Rule, Sessions, Terms, Weekdays,
};
use crate::event::{About, Severity, Side, Space};
use crate::market::price::Distance;
use crate::market::symbol::{ContractMonth, Symbol};
use crate::market::tick::InstrumentId;

/// Half an hour: within so long a break can fail, or be retested.
const WITHIN: Duration = Duration::from_secs(30 * 60);
/// The largest count that a rule can ask for.
const COUNT_MAX: i64 = 1_000_000_000;

/// One level. `None` when something is wrong with it, which then has been told.
pub(super) fn rule(level: &Section<'_>, instruments: &Instruments, near_year: i16) -> Option<Rule> {
    let name = level.require("name", "every level has a name, like \"2500\"", value::name);
    let instrument = level.require("instrument", "like \"RTY\"", |v| instruments.find(v));
    let price = if level.names_later("source") {
        level.read("price", value::price)
    } else {
        level.require("price", "like 2500 or \"2442.74\"", value::price)
    };
    let confirm: Vec<Confirm> = level.sections("confirm", &CONFIRM).iter().filter_map(confirmation).collect();
    let confirm_within = level.read("confirm_within", value::positive_duration);
    if confirm_within.is_some() && level.get("confirm").is_none() {
        level.refuse("confirm_within", "has no meaning without confirm");
    }
    let contract = contract(level, instruments, instrument, near_year);
    let zone = level.read("zone", value::distance).unwrap_or(Distance::Ticks(5));
    let terms = Terms {
        instrument: instrument?,
        contract,
        source: None,
        half: None,
        side: level.read("side", value::choice(SIDES, &["both"])).unwrap_or(Side::Resistance),
        space: level.read("space", value::choice(SPACES, &["index"])).unwrap_or(Space::Contract),
        price_from: level.read("price_from", value::choice(PRICES, &[])).unwrap_or_default(),
        strict: level.read("strict", value::flag).unwrap_or(false),
        margin: level.read("margin", value::distance).unwrap_or(Distance::Ticks(0)),
        approach: level.read("approach", value::positive_distance),
        zone,
        confirm,
        confirm_within,
        reject: None,
        fail: fail(level),
        retest: retest(level, zone),
        follow: level.read("follow", follow).unwrap_or(Follow { retest: true, held: true, failed: true }),
        rearm: level.read("rearm", value::positive_distance).unwrap_or(Distance::Ticks(5)),
        grace: level.read("grace", value::duration).unwrap_or(Duration::ZERO),
        cooldown: level.read("cooldown", value::duration).unwrap_or(Duration::ZERO),
        max_per_session: level.read("max_per_session", value::whole(1..=COUNT_MAX)),
        gap: level.read("gap", value::choice(GAPS, &["wait_bar"])).unwrap_or_default(),
        sessions: level.read("sessions", value::choice(SESSIONS, &[])).unwrap_or_default(),
        days: Weekdays::default(),
        between: None,
        when: Vec::new(),
        starts: None,
        expires: level.read("expires", value::time),
        severity: level.read("severity", value::choice(SEVERITIES, &[])),
        about: About {
            note: level.read("note", value::lines),
            said_by: level.read("said_by", value::line),
            url: level.read("url", web_address),
            tags: level.read("tags", value::list_of(value::name)).unwrap_or_default(),
        },
    };
    Some(Rule { name: name?.into(), price: price?, terms: Arc::new(terms) })
}

const SIDES: &[(&str, Side)] = &[("resistance", Side::Resistance), ("support", Side::Support)];
const SPACES: &[(&str, Space)] = &[("contract", Space::Contract)];
const PRICES: &[(&str, PriceFrom)] =
    &[("trade", PriceFrom::Trade), ("bid", PriceFrom::Bid), ("ask", PriceFrom::Ask), ("mid", PriceFrom::Mid)];
const GAPS: &[(&str, GapPolicy)] = &[("fire", GapPolicy::Fire), ("ignore", GapPolicy::Ignore)];
const SESSIONS: &[(&str, Sessions)] =
    &[("any", Sessions::Any), ("rth", Sessions::Rth), ("eth", Sessions::Eth)];
/// The severities by name.
pub(super) const SEVERITIES: &[(&str, Severity)] = &[
    ("info", Severity::Info),
    ("normal", Severity::Normal),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

fn contract(
    level: &Section<'_>,
    instruments: &Instruments,
    instrument: Option<InstrumentId>,
    near_year: i16,
) -> Option<ContractMonth> {
    let symbol = level.read("contract", |v| {
        let text = value::text(v)?;
        Symbol::parse(text, near_year).map_err(|e| Refusal::from(e.to_string()))
    })?;
    let instrument = instruments.get(instrument?)?;
    if !instrument.dated {
        level.refuse("contract", format!("{} has no contract months (dated = false)", instrument.root));
    } else if symbol.root != instrument.root {
        level.refuse("contract", format!("{symbol} is not a contract of {}", instrument.root));
    }
    Some(symbol.month)
}

fn confirmation(item: &Section<'_>) -> Option<Confirm> {
    let prints = item.read("prints", value::whole(1..=COUNT_MAX));
    let size = item.read("size", value::whole(1..=COUNT_MAX));
    let hold = item.read("hold", value::positive_duration);
    let volume = item.read("volume", value::whole(1..=COUNT_MAX));
    let named = ["prints", "hold", "volume"].iter().filter(|key| item.get(key).is_some()).count();
    if size.is_some() && prints.is_none() {
        item.refuse("size", "stands beside prints: { prints = 3, size = 50 }");
    }
    if named > 1 {
        item.refuse_whole("is several conditions in one; write [{ prints = 2 }, { hold = \"5s\" }]");
    }
    let count = prints.map(|count| Confirm::Prints { count, size });
    count.or(hold.map(Confirm::Hold)).or(volume.map(Confirm::Volume)).or_else(|| {
        if item.is_empty() {
            item.refuse_whole("is empty; write { prints = 2 }, { hold = \"5s\" } or { volume = 500 }");
        }
        None
    })
}

fn fail(level: &Section<'_>) -> Fail {
    let given = level.section("fail", &FAIL);
    let given = given.as_ref();
    given.and_then(|f| f.read("by", value::choice(&[("trade", ())], &["bar"])));
    Fail {
        distance: given
            .and_then(|f| f.read("distance", value::positive_distance))
            .unwrap_or(Distance::Ticks(5)),
        within: given.and_then(|f| f.read("within", value::positive_duration)).unwrap_or(WITHIN),
        by: FailBy::Trade,
    }
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
