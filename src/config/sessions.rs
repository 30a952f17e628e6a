//! When an instrument's market is open: what its table says over the built-in calendar.

use std::collections::BTreeSet;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZoneDatabase;
use toml::Value;

use super::file::{HOLIDAY, HOURS};
use super::gate::zone;
use super::problem::{Refusal, quoted};
use super::section::Section;
use super::value;
use crate::market::calendar::{Calendar, DayRule, Exception, Hours};

/// The calendar of an instrument, where `built_in` is its own without a word in the file.
pub(super) fn calendar(section: &Section<'_>, built_in: &Calendar) -> Calendar {
    let (regular, different) = holidays(section);
    let calendar =
        built_in.clone().with_hours(hours(section)).with_regular(regular).with_exceptions(different);
    let zone = section.read("zone", |value| {
        let name = zone(value)?;
        TimeZoneDatabase::bundled()
            .get(&name)
            .map(|zone| (zone, name))
            .map_err(|e| Refusal::from(e.to_string()))
    });
    match zone {
        Some((zone, name)) => calendar.in_zone(zone, name),
        None => calendar,
    }
}

/// The regular hours, each from a date on.
fn hours(section: &Section<'_>) -> Vec<Hours> {
    let mut since = BTreeSet::new();
    let items = section.sections("hours", &HOURS);
    let read = items.iter().filter_map(|item| {
        let hours = hours_since(item)?;
        if !since.insert(hours.since) {
            item.refuse("since", format!("{} stands here twice", hours.since));
        }
        Some(hours)
    });
    read.collect()
}

fn hours_since(item: &Section<'_>) -> Option<Hours> {
    const SPAN: &str = "a list of two times like [\"08:30\", \"15:00\"]";
    let since = if item.get("since").is_some() { item.read("since", date) } else { Some(Date::MIN) };
    let open = item.require("open", "the open on the evening before, like \"17:00\"", clock_time);
    let close = item.require("close", "like \"16:00\"", clock_time);
    let rth = item.require("rth", SPAN, span);
    let pause = if item.get("pause").is_some() { item.read("pause", span).map(Some) } else { Some(None) };
    let hours = Hours { since: since?, open: open?, close: close?, rth: rth?, pause: pause? };
    if hours.close >= hours.open {
        let text =
            "a session opens on the evening before and closes earlier in the day than the next one opens";
        item.refuse("close", text);
        return None;
    }
    let outside = |(_, end): (Time, Time)| end > hours.close;
    for (key, span) in [("rth", Some(hours.rth)), ("pause", hours.pause)] {
        if span.is_some_and(outside) {
            item.refuse(key, "ends after the session");
            return None;
        }
    }
    Some(hours)
}

fn span(value: &Value) -> Result<(Time, Time), Refusal> {
    let times: Vec<&Value> = value.as_array().map(|times| times.iter().collect()).unwrap_or_default();
    let [from, until] = times.as_slice() else {
        return Err("is not a list of two times like [\"08:30\", \"15:00\"]".into());
    };
    let (from, until) = (clock_time(from)?, clock_time(until)?);
    if from < until { Ok((from, until)) } else { Err("ends before it begins".into()) }
}

/// The days on which the sessions differ from the regular hours; one that is built in is replaced, or becomes a regular
/// day.
fn holidays(section: &Section<'_>) -> (Vec<Date>, Vec<Exception>) {
    let mut dates = BTreeSet::new();
    let (mut regular, mut different) = (Vec::new(), Vec::new());
    for item in section.sections("holidays", &HOLIDAY) {
        let date = item.require("date", "a day like \"2027-01-09\"", weekday);
        let rule = item.require("rule", "closed, halt, early_close or regular", day_rule(&item));
        let name = item.read("name", value::name);
        let (Some(date), Some(rule)) = (date, rule) else { continue };
        if !dates.insert(date) {
            item.refuse("date", format!("{date} stands here twice; a day has one rule"));
        }
        match rule {
            Some(rule) => {
                let name = name.map_or("holiday".into(), Into::into);
                different.push(Exception { date, rule, name });
            }
            None => regular.push(date),
        }
    }
    (regular, different)
}

/// What becomes of a day; `None` = nothing, it is like every other.
type Read = Result<Option<DayRule>, Refusal>;

fn day_rule<'a>(item: &'a Section<'_>) -> impl FnOnce(&Value) -> Read + use<'a> {
    /// What a stop at some time makes of the day; nothing needs a time when there is no stop.
    #[derive(Clone, Copy)]
    enum Rule {
        At(fn(Time) -> DayRule),
        Whole(Option<DayRule>, &'static str),
    }
    const WORDS: &[(&str, Rule)] = &[
        ("closed", Rule::Whole(Some(DayRule::Closed), "closed")),
        ("halt", Rule::At(DayRule::Halt)),
        ("early_close", Rule::At(DayRule::EarlyClose)),
        ("regular", Rule::Whole(None, "regular")),
    ];
    let at = item.get("at").map(clock_time);
    move |value| match (value::choice(WORDS, &[])(value)?, at) {
        (Rule::Whole(rule, _), None) => Ok(rule),
        (Rule::Whole(_, word), Some(_)) => {
            Err(format!("{} has no time: leave out at, or say halt or early_close", quoted(word)).into())
        }
        (Rule::At(_), None) => Err("needs its time, like at = \"12:00\"".into()),
        (Rule::At(rule), Some(at)) => Ok(Some(rule(at?))),
    }
}

fn date(value: &Value) -> Result<Date, Refusal> {
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
    date.map_err(|_| format!("{} is not a day like \"2027-01-09\"", quoted(&text)).into())
}

fn weekday(value: &Value) -> Result<Date, Refusal> {
    let date = date(value)?;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::config::{Config, ConfigError};
    use crate::market::calendar::{Calendar, DayRule, Phase};

    fn load(holidays: &str) -> Result<Config, ConfigError> {
        load_keys(&format!("holidays = [{holidays}]"))
    }

    fn load_keys(keys: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("breakwatch.toml");
        let level = "[[level]]\nname = \"a\"\ninstrument = \"RTY\"\nprice = 2500\n";
        std::fs::write(&file, format!("[instrument.RTY]\n{keys}\n{level}")).unwrap();
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

    fn phase(calendar: &Calendar, at: &str) -> Phase {
        calendar.state(at.parse().unwrap()).phase
    }

    #[test]
    fn a_built_in_holiday_can_be_a_regular_day() {
        let config = load("{ date = \"2026-11-26\", rule = \"regular\" }").unwrap();
        let calendar = &config.instruments[0].calendar;
        assert_eq!(phase(&Calendar::cme_equity(), "2026-11-26T20:00:00Z"), Phase::Halt);
        assert_eq!(phase(calendar, "2026-11-26T20:00:00Z"), Phase::Rth);
    }

    #[test]
    fn hours_hold_from_their_date_on_and_in_their_zone() {
        let config = load_keys(
            "zone = \"America/New_York\"\n\
             hours = [{ since = \"2026-03-02\", open = \"18:00\", close = \"17:00\", rth = [\"08:20\", \"13:30\"] },\n\
                      { since = \"2026-09-01\", open = \"18:00\", close = \"16:30\", rth = [\"09:00\", \"13:30\"],\n\
                        pause = [\"12:00\", \"12:10\"] }]",
        )
        .unwrap();
        let calendar = &config.instruments[0].calendar;
        // New York is four hours behind in summer, five in winter.
        assert_eq!(phase(calendar, "2026-06-10T12:19:59Z"), Phase::Eth);
        assert_eq!(phase(calendar, "2026-06-10T12:20:00Z"), Phase::Rth);
        assert_eq!(phase(calendar, "2026-06-10T20:59:59Z"), Phase::Eth);
        assert_eq!(phase(calendar, "2026-06-10T21:00:00Z"), Phase::DailyBreak);
        assert_eq!(phase(calendar, "2026-11-10T17:05:00Z"), Phase::Halt);
        assert_eq!(phase(calendar, "2026-11-10T21:30:00Z"), Phase::DailyBreak);
        let open = "2026-11-10T15:00:00Z".parse().unwrap();
        assert_eq!(calendar.describe(open), "open (RTH) until 12:00 America/New_York");
    }

    #[test]
    fn wrong_hours_are_told_with_what_would_be_right() {
        const RTH: &str = "rth = [\"08:30\", \"15:00\"]";
        for (wrong, told) in [
            ("{ open = \"17:00\", close = \"16:00\" }".to_owned(), "rth: is missing; a list of two times"),
            (
                format!("{{ open = \"17:00\", close = \"18:00\", {RTH} }}"),
                "close: a session opens on the evening",
            ),
            (format!("{{ open = \"17:00\", close = \"14:00\", {RTH} }}"), "rth: ends after the session"),
            (
                format!("{{ open = \"17:00\", close = \"16:00\", {RTH}, pause = [\"15:00\"] }}"),
                "pause: is not a list of two times",
            ),
            (
                format!("{{ open = \"17:00\", close = \"16:00\", {RTH}, pause = [\"15:30\", \"15:15\"] }}"),
                "pause: ends before it begins",
            ),
            (
                format!("{{ open = \"5 pm\", close = \"16:00\", {RTH} }}"),
                "open: \"5 pm\" is not a time of the day",
            ),
        ] {
            let error = load_keys(&format!("hours = [{wrong}]")).unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
        let error = load_keys("zone = \"America/Chicgo\"").unwrap_err().to_string();
        assert!(error.contains("did you mean \"America/Chicago\"?"), "{error}");
    }
}
