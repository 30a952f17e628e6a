//! The calendar against domain.md and against itself. The real bars are in `tests/it/market_data.rs`.

use jiff::civil::{date, time};
use proptest::prelude::*;

use super::*;

fn cme() -> Calendar {
    Calendar::cme_equity()
}

/// `2024-11-25 08:30` in Chicago.
fn ct(text: &str) -> Timestamp {
    cme().instant(text.parse().unwrap())
}

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

#[track_caller]
fn expect(from: &str, phase: Phase, until: &str, trade_date: Date) {
    let state = cme().state(ct(from));
    assert_eq!(state, SessionState { phase, trade_date, until: ct(until) }, "{from}");
}

#[test]
fn a_day_runs_from_the_evening_before_to_its_close() {
    expect("2024-11-24 17:00", Phase::Eth, "2024-11-25 08:30", date(2024, 11, 25));
    expect("2024-11-25 08:30", Phase::Rth, "2024-11-25 15:00", date(2024, 11, 25));
    expect("2024-11-25 15:00", Phase::Eth, "2024-11-25 16:00", date(2024, 11, 25));
    expect("2024-11-25 16:00", Phase::DailyBreak, "2024-11-25 17:00", date(2024, 11, 25));
    expect("2024-11-25 17:00", Phase::Eth, "2024-11-26 08:30", date(2024, 11, 26));
    expect("2024-11-22 15:59:59.999", Phase::Eth, "2024-11-22 16:00", date(2024, 11, 22));
    expect("2024-11-22 16:00", Phase::Weekend, "2024-11-24 17:00", date(2024, 11, 22));
    expect("2024-11-24 16:59", Phase::Weekend, "2024-11-24 17:00", date(2024, 11, 22));
}

#[test]
fn the_exchange_keeps_its_own_clock_through_daylight_saving() {
    assert_eq!(ct("2024-11-25 08:30").to_string(), "2024-11-25T14:30:00.000Z");
    assert_eq!(ct("2024-07-25 08:30").to_string(), "2024-07-25T13:30:00.000Z");
    // Over the weekend of 10 March 2024 an hour is lost, over that of 3 November one is won.
    let weekend = |a, b| ct(b).since(ct(a)).as_secs() / 3600;
    assert_eq!(weekend("2024-03-08 16:00", "2024-03-10 17:00"), 48);
    assert_eq!(weekend("2024-11-01 16:00", "2024-11-03 17:00"), 50);
    assert_eq!(cme().state(ct("2024-11-02 12:00")).until, ct("2024-11-03 17:00"));
}

#[test]
fn a_halted_day_belongs_to_the_next_trade_date_and_has_no_regular_hours() {
    expect("2024-09-01 17:00", Phase::Eth, "2024-09-02 12:00", date(2024, 9, 3));
    expect("2024-09-02 12:00", Phase::Halt, "2024-09-02 17:00", date(2024, 9, 3));
    expect("2024-09-02 17:00", Phase::Eth, "2024-09-03 08:30", date(2024, 9, 3));
    // Independence Day 2025 was a Friday, Juneteenth 2026 is one.
    expect("2025-07-04 10:00", Phase::Eth, "2025-07-04 12:00", date(2025, 7, 7));
    expect("2025-07-04 12:00", Phase::Halt, "2025-07-04 16:00", date(2025, 7, 7));
    expect("2025-07-04 16:00", Phase::Weekend, "2025-07-06 17:00", date(2025, 7, 7));
    expect("2026-06-19 10:00", Phase::Eth, "2026-06-19 12:00", date(2026, 6, 22));
    assert!(!cme().is_trading_day(date(2024, 9, 2)) && cme().is_trading_day(date(2024, 9, 3)));
}

#[test]
fn a_short_day_settles_and_its_regular_hours_end_with_the_cash_market() {
    expect("2024-11-29 09:00", Phase::Rth, "2024-11-29 12:00", date(2024, 11, 29));
    expect("2024-11-29 12:00", Phase::Eth, "2024-11-29 12:15", date(2024, 11, 29));
    expect("2024-11-29 12:15", Phase::Holiday, "2024-11-29 16:00", date(2024, 11, 29));
    expect("2024-11-29 16:00", Phase::Weekend, "2024-12-01 17:00", date(2024, 11, 29));
    expect("2025-07-03 12:15", Phase::Holiday, "2025-07-03 17:00", date(2025, 7, 3));
    expect("2025-12-24 12:15", Phase::Holiday, "2025-12-25 17:00", date(2025, 12, 24));
    expect("2025-01-09 08:00", Phase::Eth, "2025-01-09 08:30", date(2025, 1, 9));
    expect("2025-01-09 08:30", Phase::Holiday, "2025-01-09 17:00", date(2025, 1, 9));
}

#[test]
fn there_is_no_session_on_new_years_day_christmas_and_most_good_fridays() {
    expect("2025-12-31 16:00", Phase::Holiday, "2026-01-01 17:00", date(2025, 12, 31));
    expect("2026-01-01 17:00", Phase::Eth, "2026-01-02 08:30", date(2026, 1, 2));
    expect("2024-12-25 10:00", Phase::Holiday, "2024-12-25 17:00", date(2024, 12, 24));
    expect("2024-03-28 16:00", Phase::Holiday, "2024-03-29 16:00", date(2024, 3, 28));
    expect("2024-03-29 16:00", Phase::Weekend, "2024-03-31 17:00", date(2024, 3, 28));
    // New Year's Day 2024 was a Monday: no Sunday evening session.
    expect("2023-12-31 16:00", Phase::Weekend, "2023-12-31 17:00", date(2023, 12, 29));
    expect("2023-12-31 17:00", Phase::Holiday, "2024-01-01 17:00", date(2023, 12, 29));
    // On Good Friday 2023 the employment report came out.
    expect("2023-04-07 07:00", Phase::Eth, "2023-04-07 08:15", date(2023, 4, 10));
    expect("2023-04-07 08:15", Phase::Halt, "2023-04-07 16:00", date(2023, 4, 10));
}

#[test]
fn the_afternoon_halt_and_the_late_close_are_gone() {
    expect("2021-06-25 15:00", Phase::Eth, "2021-06-25 15:15", date(2021, 6, 25));
    expect("2021-06-25 15:15", Phase::Halt, "2021-06-25 15:30", date(2021, 6, 25));
    expect("2021-06-25 15:30", Phase::Eth, "2021-06-25 16:00", date(2021, 6, 25));
    expect("2021-06-28 15:10", Phase::Eth, "2021-06-28 16:00", date(2021, 6, 28));
    expect("2013-10-07 16:00", Phase::Eth, "2013-10-07 16:15", date(2013, 10, 7));
    expect("2020-11-27 12:10", Phase::Eth, "2020-11-27 12:15", date(2020, 11, 27));
}

#[test]
fn people_are_told_when_trading_goes_on() {
    for (moment, text) in [
        ("2024-11-25 09:00", "open (RTH) until 15:00 CT"),
        ("2024-11-25 02:00", "open (ETH) until 08:30 CT"),
        ("2024-11-24 18:00", "open (ETH) until Monday 08:30 CT"),
        ("2024-11-25 16:30", "closed: daily break until 17:00 CT"),
        ("2024-11-23 12:00", "closed: weekend until Sunday 17:00 CT"),
        ("2023-12-30 12:00", "closed: weekend until Monday 17:00 CT"),
        ("2024-09-02 13:00", "closed: Labor Day until 17:00 CT"),
        ("2025-07-04 13:00", "closed: Independence Day until Sunday 17:00 CT"),
        ("2024-03-28 16:30", "closed: Good Friday until Sunday 17:00 CT"),
        ("2021-06-25 15:20", "closed: afternoon halt until 15:30 CT"),
    ] {
        assert_eq!(cme().describe(ct(moment)), text, "{moment}");
    }
}

#[test]
fn timers_stop_while_the_market_is_closed() {
    let minutes = |n: u64| Duration::from_secs(n * 60);
    assert_eq!(cme().add_open(ct("2024-11-25 15:50"), minutes(30)), ct("2024-11-25 17:20"));
    assert_eq!(cme().add_open(ct("2024-11-22 15:59"), minutes(2)), ct("2024-11-24 17:01"));
    assert_eq!(cme().add_open(ct("2024-11-25 15:50"), minutes(10)), ct("2024-11-25 16:00"));
    assert_eq!(cme().add_open(ct("2024-11-25 16:10"), minutes(1)), ct("2024-11-25 17:01"));
    assert_eq!(cme().add_open(ct("2024-11-25 16:10"), Duration::ZERO), ct("2024-11-25 16:10"));
    assert_eq!(cme().open_between(ct("2024-11-22 15:00"), ct("2024-11-24 18:00")), minutes(120));
    assert_eq!(cme().open_between(ct("2024-11-24 18:00"), ct("2024-11-22 15:00")), Duration::ZERO);
    assert_eq!(cme().next_open(ct("2024-11-25 10:00")), ct("2024-11-25 10:00"));
    assert_eq!(cme().next_open(ct("2025-12-24 13:00")), ct("2025-12-25 17:00"));
}

#[test]
fn the_ends_of_time_are_answered() {
    for moment in [Timestamp::MIN, Timestamp::from_nanos(0), Timestamp::MAX] {
        assert!(cme().state(moment).until >= moment);
        drop(cme().describe(moment));
        assert!(cme().next_open(moment) >= moment);
        assert_eq!(cme().add_open(moment, Duration::MAX), Timestamp::MAX);
    }
}

#[test]
fn a_user_can_add_an_exception() {
    let rule = DayRule::EarlyClose(time(10, 0, 0, 0));
    let day = Exception { date: date(2026, 8, 12), rule, name: "test of the backup site".into() };
    let calendar = cme().with_exceptions([day]);
    let state = calendar.state(ct("2026-08-12 09:50"));
    assert_eq!((state.phase, state.until), (Phase::Eth, ct("2026-08-12 10:00")));
    assert_eq!(calendar.describe(ct("2026-08-12 10:00")), "closed: test of the backup site until 17:00 CT");
    assert!(cme().is_open(ct("2026-08-12 10:00")), "the shared calendar is not changed");
}

#[test]
fn a_calendar_with_months_of_closed_days_still_answers() {
    let closed = days(date(2026, 8, 3)).take(200);
    let exceptions = closed.map(|date| Exception { date, rule: DayRule::Closed, name: "war".into() });
    let calendar = cme().with_exceptions(exceptions);
    let start = ct("2026-09-01 10:00");
    assert_eq!(calendar.state(start).phase, Phase::Holiday);
    assert_eq!(calendar.next_open(start), ct("2027-02-18 17:00"));
}

#[test]
fn the_last_business_day_skips_holidays_and_weekends() {
    assert_eq!(cme().business_day_before(date(2026, 6, 19)), date(2026, 6, 18));
    assert_eq!(cme().business_day_before(date(2025, 7, 7)), date(2025, 7, 3));
    assert_eq!(cme().business_day_before(date(2026, 1, 2)), date(2025, 12, 31));
}

proptest! {
    #[test]
    fn a_state_ends_after_it_was_asked_for_and_the_next_one_differs(nanos in any::<i64>()) {
        let now = at(nanos);
        prop_assume!(now.since(Timestamp::MIN) > Duration::ZERO && nanos < i64::MAX - 400 * 86_400_000_000_000);
        let state = cme().state(now);
        prop_assert!(state.until > now);
        prop_assert_ne!(cme().state(state.until).phase, state.phase);
        let last = at(state.until.as_nanos() - 1);
        prop_assert_eq!(cme().state(last).phase, state.phase);
        prop_assert_eq!(cme().state(last).until, state.until);
    }

    #[test]
    fn adding_open_time_and_measuring_it_are_inverse(secs in 1_400_000_000i64..2_000_000_000, nanos in 0u32..1_000_000_000, d in 0u64..2_000_000) {
        let from = at(secs * 1_000_000_000 + i64::from(nanos));
        let d = Duration::from_secs(d);
        let end = cme().add_open(from, d);
        prop_assert_eq!(cme().open_between(from, end), d);
        prop_assert!(d.is_zero() || cme().is_open(at(end.as_nanos() - 1)));
    }

    #[test]
    fn trade_dates_never_go_back(secs in 1_400_000_000i64..2_000_000_000, step in 0i64..1_000_000) {
        let (a, b) = (at(secs * 1_000_000_000), at((secs + step) * 1_000_000_000));
        prop_assert!(cme().trade_date(a) <= cme().trade_date(b));
        prop_assert!(cme().is_trading_day(cme().trade_date(a)));
    }

    #[test]
    fn the_next_open_is_the_first(secs in 1_400_000_000i64..2_000_000_000) {
        let from = at(secs * 1_000_000_000);
        let open = cme().next_open(from);
        prop_assert!(open >= from && cme().is_open(open));
        prop_assert_eq!(cme().open_between(from, open), Duration::ZERO);
    }
}
