//! The calendar against two years of real bars: every session, break, weekend, holiday and early close.
//!
//! The bars know nothing of the calendar. Holes of the download are listed here as data; nothing else is
//! forgiven, and the check itself is checked with wrong calendars.

use std::collections::BTreeMap;
use std::time::Duration;

use breakwatch::market::bar_text::{self, BarRow};
use breakwatch::market::calendar::{Calendar, DayRule, Exception};
use breakwatch::market::instrument::Instrument;
use breakwatch::market::symbol::Symbol;
use breakwatch::time::Timestamp;
use jiff::civil::{Date, Time, Weekday, date, time};

use crate::support::{shared, unpacked};

/// Ten contracts, chained.
pub(crate) const TWO_YEARS: &str = "RTY_5m_ibkr_20240206_20260330.csv.zst";
const TWO_WEEKS: &str = "RTY_5m_ibkr_20241124_20241206.csv";

const STEP: Duration = Duration::from_secs(300);
/// So long nobody may trade in a thin night; longer, or at the edge of a session, it is a hole.
const QUIET_STEPS: usize = 4;
/// Every Tuesday before this one is missing from 06:50 to 18:00 New York: an artefact of the download.
const WHOLE_TUESDAY: Date = Date::constant(2026, 2, 10);
const TUESDAY: (Time, Time) = (Time::constant(5, 50, 0, 0), Time::constant(17, 0, 0, 0));

/// Holes in the data that are no closures, in Chicago's time: from, until, why.
const HOLES: [(&str, &str, &str); 2] = [
    ("2025-11-27 20:50", "2025-11-28 07:30", "Globex was down"),
    ("2026-02-11 02:15", "2026-02-11 16:00", "missing from the download, which does not say so"),
];

/// The good bars of a file, oldest first.
pub(crate) fn bars(test: &str, file: &str) -> Option<Vec<BarRow>> {
    let text = unpacked(&shared(test, file)?);
    let tick = Instrument::builtin("RTY").unwrap().tick;
    let parsed = bar_text::parse_csv(&text, tick, None).unwrap();
    // Some five minutes of thin contracts had no trade of their own: they are told, and no bars.
    let other = parsed.problems.iter().find(|problem| !problem.message.starts_with("volume 0"));
    assert_eq!(other, None, "{file}");
    Some(parsed.bars)
}

/// When the rows of a file begin, those without a trade too.
fn starts(test: &str, file: &str) -> Option<Vec<Timestamp>> {
    let text = unpacked(&shared(test, file)?);
    Some(text.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect())
}

fn cme() -> Calendar {
    Calendar::cme_equity()
}

fn ct(text: &str) -> Timestamp {
    cme().instant(text.parse().unwrap())
}

/// Whether the data has a known hole there.
fn known_hole(at: Timestamp) -> bool {
    let local = cme().local(at);
    let torn = local.weekday() == Weekday::Tuesday && local.date() < WHOLE_TUESDAY;
    let tuesday = torn && TUESDAY.0 <= local.time() && local.time() < TUESDAY.1;
    tuesday || HOLES.iter().any(|(from, until, _)| ct(from) <= at && at < ct(until))
}

/// Where bars and calendar disagree. Every bar must lie in an open session, and every five minutes of every
/// session from the first bar to the last must have one, its first and its last five minutes above all.
fn disagreements(calendar: &Calendar, starts: &[Timestamp]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut state = calendar.state(starts[0]);
    for bar in starts {
        if *bar >= state.until {
            state = calendar.state(*bar);
        }
        if !state.phase.is_open() {
            found.push(format!("a bar at {bar}, {}", calendar.describe(*bar)));
        }
    }
    for pair in starts.windows(2) {
        let (from, until) = (pair[0].saturating_add(STEP), pair[1]);
        if from < until {
            found.extend(missing(calendar, from, until));
        }
    }
    found
}

/// The runs of missing bars between two bars that neither a closure, a known hole nor a quiet night explains.
fn missing(calendar: &Calendar, from: Timestamp, until: Timestamp) -> Vec<String> {
    let mut found = Vec::new();
    let mut run: Vec<Timestamp> = Vec::new();
    let mut at = from;
    while at <= until {
        if at < until && calendar.is_open(at) && !known_hole(at) {
            run.push(at);
        } else if let (Some(first), Some(last)) = (run.first(), run.last()) {
            let session = calendar.session_bounds(*first).unwrap();
            let edge = *first == session.opens || last.saturating_add(STEP) == session.closes;
            if edge || run.len() > QUIET_STEPS || session.is_rth(*first) {
                found.push(format!("no bar from {first} to {last}, {}", calendar.describe(*first)));
            }
            run.clear();
        }
        at = at.saturating_add(STEP);
    }
    found
}

#[test]
fn two_years_of_bars_and_the_calendar_agree() {
    let Some(starts) = starts("two_years_of_bars_and_the_calendar_agree", TWO_YEARS) else { return };
    assert_eq!(starts.len(), 138_310);
    assert_eq!(disagreements(&cme(), &starts), Vec::<String>::new());
}

#[test]
fn two_weeks_of_another_download_and_the_calendar_agree() {
    let test = "two_weeks_of_another_download_and_the_calendar_agree";
    let Some(starts) = starts(test, TWO_WEEKS) else { return };
    assert_eq!(disagreements(&cme(), &starts), Vec::<String>::new());
}

#[test]
fn every_known_hole_is_one() {
    let Some(starts) = starts("every_known_hole_is_one", TWO_YEARS) else { return };
    let inside: Vec<_> = starts.iter().filter(|bar| known_hole(**bar)).collect();
    assert!(inside.is_empty(), "bars in what is said to be a hole: {inside:?}");
    for (from, until, why) in HOLES {
        assert!(starts.binary_search(&ct(from).saturating_sub(STEP)).is_ok(), "{why}: begins earlier");
        let resumes = cme().next_open(cme().next_open(ct(until)));
        assert!(starts.binary_search(&resumes).is_ok(), "{why}: ends later");
    }
}

/// Every day between the first and the last bar that differs from the regular hours.
fn exceptions(starts: &[Timestamp]) -> Vec<Exception> {
    let (first, last) = (cme().trade_date(starts[0]), cme().trade_date(*starts.last().unwrap()));
    let days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take_while(|day| *day <= last);
    days.filter_map(|day| cme().exception(day).cloned()).collect()
}

/// The bars of the days around a date.
fn around(starts: &[Timestamp], day: Date) -> &[Timestamp] {
    let four_days = Duration::from_secs(4 * 86_400);
    let noon = cme().instant(day.at(12, 0, 0, 0));
    let from = starts.partition_point(|bar| *bar < noon.saturating_sub(four_days));
    let until = starts.partition_point(|bar| *bar < noon.saturating_add(four_days));
    &starts[from..until]
}

fn planted(day: Date, rule: DayRule) -> Calendar {
    cme().with_exceptions([Exception { date: day, rule, name: "planted".into() }])
}

#[test]
fn the_bars_show_every_holiday_and_early_close_of_the_two_years() {
    let test = "the_bars_show_every_holiday_and_early_close_of_the_two_years";
    let Some(starts) = starts(test, TWO_YEARS) else { return };
    let exceptions = exceptions(&starts);
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    for exception in &exceptions {
        *by_name.entry(&exception.name).or_default() += 1;
        // A calendar without the exception has a whole session on that day.
        let whole = planted(exception.date, DayRule::EarlyClose(time(16, 0, 0, 0)));
        let seen = !disagreements(&whole, around(&starts, exception.date)).is_empty();
        // Christmas Eve 2024 was a Tuesday: the hole of the download hides its early close.
        assert_eq!(seen, exception.date != date(2024, 12, 24), "{exception:?}");
    }
    let expected = [
        ("Christmas Day", 2),
        ("Christmas Eve", 2),
        ("Good Friday", 2),
        ("Independence Day", 2),
        ("Juneteenth", 2),
        ("Labor Day", 2),
        ("Martin Luther King Day", 2),
        ("Memorial Day", 2),
        ("New Year's Day", 2),
        ("Presidents' Day", 3),
        ("Thanksgiving", 2),
        ("day after Thanksgiving", 2),
        ("eve of Independence Day", 2),
        ("national day of mourning", 1),
    ];
    assert_eq!(by_name.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_wrong_calendar_is_found_out() {
    let Some(starts) = starts("a_wrong_calendar_is_found_out", TWO_YEARS) else { return };
    let noon = time(12, 0, 0, 0);
    for (day, rule) in [
        (date(2025, 3, 5), DayRule::Closed),
        (date(2025, 3, 5), DayRule::Halt(noon)),
        (date(2025, 3, 5), DayRule::EarlyClose(time(15, 55, 0, 0))),
        (date(2024, 11, 29), DayRule::EarlyClose(noon)),
        (date(2024, 11, 29), DayRule::EarlyClose(time(12, 20, 0, 0))),
        (date(2025, 4, 18), DayRule::Halt(time(8, 15, 0, 0))),
        (date(2025, 7, 4), DayRule::Closed),
    ] {
        let found = disagreements(&planted(day, rule), around(&starts, day));
        assert!(!found.is_empty(), "{rule:?} on {day} was not noticed");
        assert!(disagreements(&cme(), around(&starts, day)).is_empty(), "{day}");
    }
    let mut torn = starts.clone();
    let open = torn.binary_search(&ct("2025-03-05 17:00")).unwrap();
    torn.remove(open);
    let around = |bars| disagreements(&cme(), around(bars, date(2025, 3, 5))).len();
    assert_eq!((around(&starts), around(&torn)), (0, 1), "a missing first bar of a session");
}

#[test]
fn the_contracts_of_the_file_are_listed_in_their_months_and_never_after_their_last_trade() {
    let test = "the_contracts_of_the_file_are_listed_in_their_months_and_never_after_their_last_trade";
    let Some(rows) = bars(test, TWO_YEARS) else { return };
    let rty = Instrument::builtin("RTY").unwrap();
    let mut contracts: Vec<String> = Vec::new();
    for row in &rows {
        let contract = row.contract.clone().unwrap();
        if contracts.last() != Some(&contract) {
            let month = Symbol::parse(&contract, 2024).unwrap().month;
            let ends = rows.iter().filter(|r| r.contract.as_ref() == Some(&contract)).next_back().unwrap();
            assert!(ends.bar.end() <= rty.last_trade(month), "{contract}");
            contracts.push(contract);
        }
    }
    let expected = ["RTYH4", "RTYM4", "RTYU4", "RTYZ4", "RTYH5", "RTYM5", "RTYU5", "RTYZ5", "RTYH6", "RTYM6"];
    assert_eq!(contracts, expected);
}
