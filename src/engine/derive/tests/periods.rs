//! Days, weeks, months, the night, the opening, and records.

use std::time::Duration;

use super::{after_days, deriver, known, span, tell_clock, tell_day, tell_minute};
use crate::engine::derive::fixture::{day, minute, minute_at, p, t};
use crate::engine::derive::record::YEAR_DAYS;
use crate::engine::derive::{
    Day, Extreme, Hours, Of, Period, PivotFamily, PivotLine, RangeLine, Rth, Source,
};
use crate::market::price::Price;

const PRIOR_DAY: Source = prior(Period::Day, Of::High);

const fn prior(period: Period, of: Of) -> Source {
    Source::Prior { period, of, hours: Hours::Full }
}

fn unwatched(day: Day, minutes: u64) -> Day {
    Day { unwatched: Duration::from_secs(60 * minutes), ..day }
}

/// The week of Thanksgiving 2024; the halted Thursday belongs to Friday.
fn week() -> [Day; 4] {
    [
        span("2024-11-25", "2477.1", "2418"),
        span("2024-11-26", "2460", "2420"),
        span("2024-11-27", "2450", "2425"),
        span("2024-11-29", "2455", "2415"),
    ]
}

#[test]
fn the_prior_day_stands_until_the_next_one_is_over() {
    let mut high = deriver(&PRIOR_DAY);
    assert_eq!(tell_day(&mut high, &span("2024-11-22", "2419", "2360")), known("2419"));
    let value = high.value().unwrap();
    assert_eq!((value.formula, value.as_of), ("prior.full/1", t("2024-11-22T22:00:00Z")));
    assert_eq!(
        tell_minute(&mut high, &minute("2024-11-25", 0, "2430", 1)),
        known("2419"),
        "a gap through it"
    );
    assert_eq!(tell_day(&mut high, &span("2024-11-25", "2477.1", "2418")), known("2477.1"));
}

#[test]
fn a_missing_day_makes_the_prior_day_unknown() {
    let mut high = deriver(&PRIOR_DAY);
    tell_day(&mut high, &span("2024-11-22", "2419", "2360"));
    assert_eq!(tell_minute(&mut high, &minute("2024-11-26", 0, "2440", 1)), None, "Monday was never told");
}

#[test]
fn a_day_that_nobody_watched_has_a_close_but_no_extremes_and_no_pivots() {
    let dark = unwatched(span("2024-11-25", "2477.1", "2418"), 6);
    let pivot = Source::Pivot { family: PivotFamily::Floor, line: PivotLine::P, hours: Hours::Full };
    assert_eq!(after_days(&PRIOR_DAY, &[dark]), [None]);
    assert_eq!(after_days(&pivot, &[dark]), [None]);
    assert_eq!(after_days(&prior(Period::Day, Of::Close), &[dark]), [known("2477.1")]);
    let blink = unwatched(dark, 5);
    assert_eq!(after_days(&PRIOR_DAY, &[blink]), [known("2477.1")], "at the limit it still counts");
}

#[test]
fn a_longer_period_says_how_many_of_its_days_nobody_watched() {
    let [monday, tuesday, wednesday, friday] = week();
    let mut high = deriver(&prior(Period::Week, Of::High));
    for day in [monday, unwatched(tuesday, 60), wednesday, friday] {
        tell_day(&mut high, &day);
    }
    let value = high.value().unwrap();
    assert_eq!(value.price, p("2477.1"));
    assert!(value.inputs.contains(&("unwatched_days", p("1"))), "{value:?}");
}

#[test]
fn the_prior_week_is_known_after_its_last_trading_day_and_only_as_a_whole() {
    let [.., friday] = week();
    let high = prior(Period::Week, Of::High);
    assert_eq!(after_days(&high, &week()), [None, None, None, known("2477.1")]);
    assert_eq!(after_days(&high, &week()[1..]), [None; 3], "it began before");
    assert_eq!(after_days(&high, &[week()[0], week()[1], friday]), [None; 3], "Wednesday is missing");
    let close = prior(Period::Week, Of::Close);
    assert_eq!(after_days(&close, &[friday]), [known("2455")], "its last day is all that a close needs");
}

#[test]
fn a_week_that_was_missed_is_not_replaced_by_an_older_one() {
    let mut high = deriver(&prior(Period::Week, Of::High));
    for day in week() {
        tell_day(&mut high, &day);
    }
    assert_eq!(tell_minute(&mut high, &minute("2024-12-04", 0, "2440", 1)), known("2477.1"));
    assert_eq!(tell_minute(&mut high, &minute("2024-12-09", 0, "2440", 1)), None);
}

#[test]
fn months_quarters_and_years_follow_trade_dates() {
    let last = span("2024-12-31", "2260", "2220");
    for period in [Period::Month, Period::Quarter, Period::Year] {
        assert_eq!(after_days(&prior(period, Of::Close), &[last]), [known("2260")], "{period:?}");
    }
    let end_of_november = span("2024-11-29", "2455", "2415");
    assert_eq!(after_days(&prior(Period::Month, Of::Close), &[end_of_november]), [known("2455")]);
    assert_eq!(after_days(&prior(Period::Quarter, Of::Close), &[end_of_november]), [None]);
}

#[test]
fn regular_hours_and_settlement_are_asked_for_by_name() {
    let rth = Rth { open: p("2440"), high: p("2470"), low: p("2430"), close: p("2451") };
    let day = Day { rth: Some(rth), settlement: known("2451.2"), ..span("2024-11-25", "2477.1", "2418") };
    let of = |of, hours| Source::Prior { period: Period::Day, of, hours };
    assert_eq!(after_days(&of(Of::High, Hours::Rth), &[day]), [known("2470")]);
    assert_eq!(after_days(&of(Of::Close, Hours::Rth), &[day]), [known("2451")]);
    assert_eq!(after_days(&of(Of::Settlement, Hours::Full), &[day]), [known("2451.2")]);
    assert_eq!(after_days(&of(Of::Low, Hours::Rth), &[Day { rth: None, ..day }]), [None]);
}

#[test]
fn a_pivot_comes_from_the_last_completed_day_with_its_inputs() {
    let golden = day("2024-11-25", ["2447", "2465", "2441", "2458.5"]);
    let source = Source::Pivot { family: PivotFamily::Demark, line: PivotLine::R(1), hours: Hours::Full };
    let mut pivot = deriver(&source);
    assert_eq!(tell_day(&mut pivot, &golden), known("2473.75"));
    let value = pivot.value().unwrap();
    assert_eq!(value.formula, "pivot.demark/1");
    let wanted =
        [("open", "2447"), ("high", "2465"), ("low", "2441"), ("close", "2458.5"), ("date", "20241125")];
    assert_eq!(value.inputs, wanted.map(|(name, price)| (name, p(price))));
}

#[test]
fn a_developing_week_grows_with_its_minutes_and_starts_anew() {
    let mut high = deriver(&Source::Developing { period: Period::Week, of: Extreme::High });
    assert_eq!(tell_minute(&mut high, &minute("2024-11-25", 0, "2430", 1)), known("2430"));
    assert_eq!(tell_minute(&mut high, &minute("2024-11-25", 5, "2431", 1)), known("2431"));
    assert_eq!(tell_minute(&mut high, &minute("2024-11-25", 6, "2429", 1)), known("2431"));
    assert_eq!(tell_day(&mut high, &span("2024-11-25", "2477.1", "2418")), known("2477.1"));
    assert_eq!(tell_minute(&mut high, &minute("2024-11-26", 0, "2480", 1)), known("2480"));
    tell_day(&mut high, &span("2024-11-26", "2480", "2470"));
    tell_day(&mut high, &span("2024-11-27", "2480", "2470"));
    assert_eq!(tell_day(&mut high, &span("2024-11-29", "2480", "2470")), None, "the week is over");
    assert_eq!(tell_minute(&mut high, &minute("2024-12-02", 0, "2450", 1)), known("2450"));
}

#[test]
fn a_developing_period_without_its_beginning_is_unknown() {
    let mut low = deriver(&Source::Developing { period: Period::Week, of: Extreme::Low });
    assert_eq!(tell_minute(&mut low, &minute("2024-11-26", 0, "2430", 1)), None, "Monday is missing");
    let mut low = deriver(&Source::Developing { period: Period::Week, of: Extreme::Low });
    assert_eq!(tell_minute(&mut low, &minute("2024-11-25", 30, "2430", 1)), None, "half an hour is missing");
    assert_eq!(tell_day(&mut low, &span("2024-11-25", "2477", "2418")), known("2418"), "the day knows it");
}

#[test]
fn the_night_is_known_when_regular_hours_open_and_forgotten_when_the_next_one_begins() {
    let mut high = deriver(&Source::Overnight { of: Extreme::High });
    assert_eq!(tell_minute(&mut high, &minute_at(t("2024-11-24T23:00:00Z"), p("2430"), 1)), None);
    assert_eq!(high.deadline(), Some(t("2024-11-25T14:30:00Z")));
    tell_minute(&mut high, &minute_at(t("2024-11-25T05:00:00Z"), p("2445"), 1));
    assert_eq!(tell_clock(&mut high, t("2024-11-25T14:29:59Z")), None);
    assert_eq!(tell_clock(&mut high, t("2024-11-25T14:30:00Z")), known("2445"));
    assert_eq!(tell_minute(&mut high, &minute_at(t("2024-11-25T15:59:00Z"), p("2477.1"), 1)), known("2445"));
    assert_eq!(high.deadline(), Some(t("2024-11-25T23:00:00Z")));
    assert_eq!(tell_clock(&mut high, t("2024-11-25T23:00:00Z")), None);
}

#[test]
fn a_night_that_was_not_told_from_its_beginning_is_unknown() {
    let mut low = deriver(&Source::Overnight { of: Extreme::Low });
    tell_minute(&mut low, &minute_at(t("2024-11-25T05:00:00Z"), p("2445"), 1));
    assert_eq!(tell_clock(&mut low, t("2024-11-25T14:30:00Z")), None);
    assert_eq!(tell_clock(&mut low, t("2024-11-25T23:00:00Z")), None);
    tell_minute(&mut low, &minute_at(t("2024-11-25T23:07:00Z"), p("2440"), 1));
    assert_eq!(tell_clock(&mut low, t("2024-11-26T14:30:00Z")), known("2440"), "the next one was");
}

#[test]
fn a_day_without_regular_hours_has_no_night_before_them() {
    let mut high = deriver(&Source::Overnight { of: Extreme::High });
    tell_minute(&mut high, &minute_at(t("2025-01-08T23:00:00Z"), p("2240"), 1));
    assert_eq!(tell_clock(&mut high, t("2025-01-09T15:00:00Z")), None);
}

#[test]
fn the_opening_range_is_valid_after_its_minutes_and_has_extensions() {
    let of = |line| deriver(&Source::OpeningRange { minutes: 15, line });
    let wanted = [
        (RangeLine::High, "2450"),
        (RangeLine::Low, "2440"),
        (RangeLine::Mid, "2445"),
        (RangeLine::Above(2), "2460"),
        (RangeLine::Above(3), "2465"),
        (RangeLine::Above(4), "2470"),
        (RangeLine::Below(2), "2430"),
        (RangeLine::Below(3), "2425"),
        (RangeLine::Below(4), "2420"),
    ];
    for (line, price) in wanted {
        let mut range = of(line);
        tell_minute(&mut range, &minute_at(t("2024-11-25T14:29:00Z"), p("2500"), 1));
        tell_minute(&mut range, &minute_at(t("2024-11-25T14:30:00Z"), p("2440"), 1));
        assert_eq!(tell_minute(&mut range, &minute_at(t("2024-11-25T14:40:00Z"), p("2450"), 1)), None);
        assert_eq!(range.deadline(), Some(t("2024-11-25T14:45:00Z")));
        assert_eq!(tell_clock(&mut range, t("2024-11-25T14:45:00Z")), known(price), "{line:?}");
        let later = minute_at(t("2024-11-25T14:45:00Z"), p("2477"), 1);
        assert_eq!(tell_minute(&mut range, &later), known(price), "{line:?}");
    }
}

#[test]
fn a_year_of_highs_needs_its_days_and_forgets_the_oldest() {
    let mut high = deriver(&Source::High52w);
    let flat = span("2024-11-25", "2400", "2300");
    for n in 1..=i32::try_from(YEAR_DAYS).unwrap() {
        let high_of_first = if n == 1 { p("2500") } else { flat.high };
        let price = tell_day(&mut high, &Day { date: n, high: high_of_first, ..flat });
        assert_eq!(price.is_some(), n == 252, "after {n} days");
    }
    assert_eq!(high.value().unwrap().price, p("2500"));
    assert_eq!(tell_day(&mut high, &Day { date: 300, ..flat }), known("2400"));
}

#[test]
fn a_record_high_moves_with_minutes_and_a_record_close_only_with_official_closes() {
    let mut high = deriver(&Source::RecordHigh);
    let mut close = deriver(&Source::RecordClose);
    let first = minute("2024-11-22", 0, "2390", 1);
    assert_eq!(tell_minute(&mut high, &first), None, "one minute is no history");
    let friday = day("2024-11-22", ["2370", "2460.8", "2360", "2441.8"]);
    assert_eq!(tell_day(&mut high, &friday), known("2460.8"));
    assert_eq!(tell_day(&mut close, &friday), known("2441.8"));
    let up = minute("2024-11-25", 900, "2477.1", 1);
    assert_eq!(tell_minute(&mut high, &up), known("2477.1"));
    assert_eq!(high.value().unwrap().inputs, [("beaten", p("2460.8"))]);
    assert_eq!(tell_minute(&mut close, &up), known("2441.8"));
    let monday = day("2024-11-25", ["2430", "2477.1", "2418", "2450"]);
    let settled = Day { settlement: known("2441.7"), ..monday };
    assert_eq!(tell_day(&mut close, &settled), known("2441.8"), "settled below the record");
    assert_eq!(tell_day(&mut high, &settled), known("2477.1"));
}

#[test]
fn what_was_told_before_does_not_count_twice() {
    let mut high = deriver(&Source::High52w);
    let flat = span("2024-11-25", "2400", "2300");
    for n in (1..=251).chain(240..=251) {
        assert_eq!(tell_day(&mut high, &Day { date: n, ..flat }), None);
    }
    assert_eq!(tell_day(&mut high, &Day { date: 252, ..flat }), Some(Price::from_points(2400)));
}
