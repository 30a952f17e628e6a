//! When a rule may fire: its days, its time of the day, and what else must be true.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZoneDatabase;
use toml::Value;

use super::file::WHEN;
use super::instrument::Instruments;
use super::problem::{Refusal, nearest, quoted, shown};
use super::section::{Section, list};
use super::value;
use crate::engine::rule::{Between, Strength, Weekdays, When};
use crate::market::price::{Distance, Price};
use crate::market::tick::InstrumentId;

/// `any` and `all` lie in each other at most so deep.
const DEPTH_MAX: usize = 4;
/// One level asks for at most so many conditions.
const CONDITIONS_MAX: usize = 50;
/// Returns are compared over so much time.
const OVER: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(86_400);

/// The days of the week, long and short.
pub(super) const DAYS: &[(&str, Weekday)] = &[
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// The days on which a rule may fire.
pub(super) fn days(value: &Value) -> Result<Weekdays, Refusal> {
    let days = value::one_or_more(value::choice(DAYS, &[]))(value)?;
    Ok(days.into_iter().fold(Weekdays::default(), Weekdays::with))
}

/// The part of the day in which a rule may fire.
pub(super) fn between(level: &Section<'_>) -> Option<Between> {
    let zone = level.read("zone_name", zone);
    let times = level.read("between", times);
    if level.get("between").is_none() && level.get("zone_name").is_some() {
        level.refuse("zone_name", "has no meaning without between");
    }
    times.map(|(from, until)| Between { from, until, zone })
}

/// Two different times of the day.
pub(super) fn times(value: &Value) -> Result<(Time, Time), Refusal> {
    const RIGHT: &str = "[\"08:30\", \"15:00\"]";
    let [from, until] = list(value)? else {
        return Err(format!("is not a list of two times, like {RIGHT}").into());
    };
    let (from, until) = (time_of_day(from)?, time_of_day(until)?);
    if from == until {
        return Err(format!("begins where it ends, at {}; like {RIGHT}", from.strftime("%H:%M")).into());
    }
    Ok((from, until))
}

/// `08:30`, and nothing shorter or longer.
fn time_of_day(value: &Value) -> Result<Time, Refusal> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Datetime(time) => time.to_string(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Array(_) | Value::Table(_) => {
            return Err(format!("{} is not a time of the day like \"08:30\"", shown(value)).into());
        }
    };
    let is_plain = matches!(text.len(), 5 | 8) && text.bytes().all(|b| b.is_ascii_digit() || b == b':');
    let time = text.parse().ok().filter(|_| is_plain && text.as_bytes().get(2) == Some(&b':'));
    time.ok_or_else(|| format!("{} is not a time of the day like \"08:30\"", quoted(&text)).into())
}

/// A zone by its IANA name, as the bundled database spells it.
pub(super) fn zone(value: &Value) -> Result<String, Refusal> {
    let name = value::text(value)?;
    let zones = TimeZoneDatabase::bundled();
    let found = zones.get(name).ok().and_then(|zone| zone.iana_name().map(str::to_owned));
    found.ok_or_else(|| {
        let known: Vec<String> = zones.available().map(|zone| zone.to_string()).collect();
        let near = nearest(name, known.iter().map(String::as_str));
        let right = near.map_or_else(
            || "; like \"America/New_York\"".to_owned(),
            |near| format!("; did you mean {}?", quoted(near)),
        );
        format!("{} is not the IANA name of a time zone{right}", quoted(name)).into()
    })
}

/// The instruments that the conditions of a level name, so that they are known.
pub(super) fn instrument_names<'a>(conditions: &'a Value, names: &mut Vec<&'a str>) {
    for item in conditions.as_array().into_iter().flatten() {
        for key in ["instrument", "stronger_than", "weaker_than"] {
            names.extend(item.get(key).and_then(Value::as_str));
        }
        for key in ["any", "all"] {
            if let Some(inner) = item.get(key) {
                instrument_names(inner, names);
            }
        }
    }
}

/// What else must be true when a break is established.
pub(super) fn when(level: &Section<'_>, instruments: &Instruments, own: InstrumentId) -> Vec<When> {
    let mut reader = Reader { instruments, own, count: 0 };
    let conditions = reader.list(level, "when", 0);
    if reader.count > CONDITIONS_MAX {
        level.refuse("when", format!("has {} conditions; at most {CONDITIONS_MAX}", reader.count));
    }
    conditions
}

struct Reader<'a> {
    instruments: &'a Instruments,
    /// Of the rule.
    own: InstrumentId,
    count: usize,
}

impl Reader<'_> {
    fn list(&mut self, outer: &Section<'_>, key: &'static str, depth: usize) -> Vec<When> {
        if depth > DEPTH_MAX {
            outer.refuse(key, format!("any and all lie in each other more than {DEPTH_MAX} deep"));
            return Vec::new();
        }
        let items = outer.sections(key, &WHEN);
        self.count = self.count.saturating_add(items.len());
        items.iter().filter_map(|item| self.condition(item, depth)).collect()
    }

    fn condition(&mut self, item: &Section<'_>, depth: usize) -> Option<When> {
        const CONDITIONS: [&str; 6] = ["above", "below", "stronger_than", "weaker_than", "any", "all"];
        let named: Vec<&str> = CONDITIONS.into_iter().filter(|key| item.get(key).is_some()).collect();
        let [one] = named[..] else {
            let what = if named.is_empty() { "no condition" } else { "several conditions in one" };
            item.refuse_whole(format!("is {what}; an item has one of {}", CONDITIONS.join(", ")));
            return None;
        };
        let is_strength = matches!(one, "stronger_than" | "weaker_than");
        for key in ["by", "over"].into_iter().filter(|key| !is_strength && item.get(key).is_some()) {
            item.refuse(key, "stands beside stronger_than or weaker_than only");
        }
        let is_list = matches!(one, "any" | "all");
        if is_list && item.get("instrument").is_some() {
            item.refuse("instrument", "stands inside any and all, not beside them");
        }
        let of = match item.get("instrument") {
            Some(_) if is_list => self.own,
            Some(_) => item.read("instrument", |v| self.instruments.find(v))?,
            None => self.own,
        };
        let (above, below) = (item.read("above", value::price), item.read("below", value::price));
        let stronger = self.strength(item, "stronger_than", of).map(When::Stronger);
        let weaker = self.strength(item, "weaker_than", of).map(When::Weaker);
        let any = self.inner(item, "any", depth).map(When::Any);
        let all = self.inner(item, "all", depth).map(When::All);
        let prices = above.map(|price| When::Above(of, price)).or(below.map(|price| When::Below(of, price)));
        prices.or(stronger).or(weaker).or(any).or(all)
    }

    fn inner(&mut self, item: &Section<'_>, key: &'static str, depth: usize) -> Option<Vec<When>> {
        let value = item.get(key)?;
        if value.as_array().is_some_and(Vec::is_empty) {
            item.refuse(key, "is an empty list");
        }
        Some(self.list(item, key, depth.saturating_add(1)))
    }

    fn strength(&self, item: &Section<'_>, key: &'static str, of: InstrumentId) -> Option<Strength> {
        item.get(key)?;
        let than = item.read(key, |value| match self.instruments.find(value)? {
            than if than == of => Err(format!("{} is compared with itself", shown(value)).into()),
            than => Ok(than),
        });
        let by = item.require("by", "the difference of the returns, like \"0.2 %\"", percent);
        let over = item.require("over", "the time, like \"30m\"", value::duration_in(OVER));
        Some(Strength { of, than: than?, by: by?, over: over? })
    }
}

fn percent(value: &Value) -> Result<Price, Refusal> {
    match value.as_str().and_then(|text| text.parse().ok()) {
        Some(Distance::Percent(percent)) => Ok(percent),
        Some(Distance::Ticks(_) | Distance::Points(_) | Distance::Atr(_)) | None => {
            Err(format!("{} is not a share like \"0.2 %\"", shown(value)).into())
        }
    }
}
