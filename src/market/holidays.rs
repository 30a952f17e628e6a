//! The holidays of equity index futures on CME Globex, as data.
//!
//! Each row says since which year it holds. It is exact from 2015 on (before that, halts came at 10:30) and
//! says nothing about what a rule does to a session: that is the calendar's duty.

use jiff::civil::{Date, Time, Weekday};

use crate::market::calendar::{DayRule, Exception};

/// The years for which exceptions are made: as far as a timestamp reaches.
const YEARS: std::ops::RangeInclusive<i16> = 1990..=2262;
/// Days from a Monday to the Thursday after it.
const THURSDAY: i8 = 3;
/// When a holiday halts trading.
const NOON: DayRule = DayRule::Halt(Time::constant(12, 0, 0, 0));
/// When Globex closes on the eve of a holiday; the cash market closes a quarter of an hour before.
const SHORT: DayRule = DayRule::EarlyClose(Time::constant(12, 15, 0, 0));
/// Good Fridays on which the employment report is published: trading until 08:15, for the next trade date.
/// In other years there is no session. 2026 is by the same rule (first Friday of its month), and announced
/// data must overrule it.
const GOOD_FRIDAYS_OPEN: [i16; 6] = [2010, 2012, 2015, 2021, 2023, 2026];

/// A holiday that returns every year.
struct Holiday {
    name: &'static str,
    since: i16,
    on: On,
    rule: DayRule,
}

/// On which day of a year.
#[derive(Clone, Copy)]
enum On {
    /// The nth weekday of a month, from its end when negative.
    Nth(i8, i8, Weekday),
    /// The day after an nth weekday.
    AfterNth(i8, i8, Weekday),
    /// Month and day; on a weekend the nearest weekday.
    Nearest(i8, i8),
    /// Month and day; on a Sunday the Monday, on a Saturday nothing.
    NotBefore(i8, i8),
    /// Month and day, when it lies between Monday and Thursday: the eve of a day kept on its own date.
    Eve(i8, i8),
}

const HOLIDAYS: [Holiday; 12] = [
    Holiday { name: "New Year's Day", since: 0, on: On::NotBefore(1, 1), rule: DayRule::Closed },
    Holiday { name: "Martin Luther King Day", since: 1998, on: On::Nth(1, 3, Weekday::Monday), rule: NOON },
    Holiday { name: "Presidents' Day", since: 0, on: On::Nth(2, 3, Weekday::Monday), rule: NOON },
    Holiday { name: "Memorial Day", since: 0, on: On::Nth(5, -1, Weekday::Monday), rule: NOON },
    Holiday { name: "Juneteenth", since: 2022, on: On::Nearest(6, 19), rule: NOON },
    Holiday { name: "eve of Independence Day", since: 0, on: On::Eve(7, 3), rule: SHORT },
    Holiday { name: "Independence Day", since: 0, on: On::Nearest(7, 4), rule: NOON },
    Holiday { name: "Labor Day", since: 0, on: On::Nth(9, 1, Weekday::Monday), rule: NOON },
    Holiday { name: "Thanksgiving", since: 0, on: On::Nth(11, 4, Weekday::Thursday), rule: NOON },
    Holiday {
        name: "day after Thanksgiving",
        since: 0,
        on: On::AfterNth(11, 4, Weekday::Thursday),
        rule: SHORT,
    },
    Holiday { name: "Christmas Eve", since: 0, on: On::Eve(12, 24), rule: SHORT },
    Holiday { name: "Christmas Day", since: 0, on: On::Nearest(12, 25), rule: DayRule::Closed },
];

/// Days of mourning. Nothing was traded after 08:30; 2018 has no settlement of its own, 2025 has.
const ONCE: [(Date, DayRule); 2] = [
    (Date::constant(2018, 12, 5), DayRule::Halt(Time::constant(8, 30, 0, 0))),
    (Date::constant(2025, 1, 9), DayRule::EarlyClose(Time::constant(8, 30, 0, 0))),
];

/// Every exception of the equity index session on Globex.
pub(super) fn cme_equity() -> impl Iterator<Item = Exception> {
    let once = ONCE.iter().map(|(date, rule)| exception(*date, *rule, "national day of mourning"));
    YEARS.flat_map(|year| yearly(year).chain(good_friday(year))).chain(once)
}

fn yearly(year: i16) -> impl Iterator<Item = Exception> {
    let kept = HOLIDAYS.iter().filter(move |h| year >= h.since);
    kept.filter_map(move |h| Some(exception(h.on.in_year(year)?, h.rule, h.name)))
}

fn exception(date: Date, rule: DayRule, name: &'static str) -> Exception {
    Exception { date, rule, name: name.into() }
}

fn good_friday(year: i16) -> Option<Exception> {
    let date = easter(year)?.nth_weekday(-1, Weekday::Friday).ok()?;
    let open = GOOD_FRIDAYS_OPEN.contains(&year);
    let rule = if open { DayRule::Halt(Time::constant(8, 15, 0, 0)) } else { DayRule::Closed };
    Some(exception(date, rule, "Good Friday"))
}

impl On {
    fn in_year(self, year: i16) -> Option<Date> {
        let day = |month, day| Date::new(year, month, day).ok();
        let nth = |month, n, weekday| day(month, 1)?.nth_weekday_of_month(n, weekday).ok();
        match self {
            Self::Nth(month, n, weekday) => nth(month, n, weekday),
            Self::AfterNth(month, n, weekday) => nth(month, n, weekday)?.tomorrow().ok(),
            Self::Nearest(month, d) => match day(month, d)? {
                date if date.weekday() == Weekday::Saturday => date.yesterday().ok(),
                date if date.weekday() == Weekday::Sunday => date.tomorrow().ok(),
                date => Some(date),
            },
            Self::NotBefore(month, d) => match day(month, d)? {
                date if date.weekday() == Weekday::Saturday => None,
                date if date.weekday() == Weekday::Sunday => date.tomorrow().ok(),
                date => Some(date),
            },
            Self::Eve(month, d) => {
                day(month, d).filter(|date| date.weekday().to_monday_zero_offset() <= THURSDAY)
            }
        }
    }
}

/// Easter Sunday in the Gregorian calendar, by the algorithm of Meeus, Jones and Butcher.
#[expect(clippy::arithmetic_side_effects, reason = "every term stays below 40,000 for the years of YEARS")]
fn easter(year: i16) -> Option<Date> {
    let y = i32::from(year);
    let (golden, century, in_century) = (y % 19, y / 100, y % 100);
    let lunar = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - century / 4 - lunar + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (in_century / 4) - epact - in_century % 4) % 7;
    let late = (golden + 11 * epact + 22 * weekday) / 451;
    let days = epact + weekday - 7 * late + 114;
    Date::new(year, i8::try_from(days / 31).ok()?, i8::try_from(days % 31 + 1).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    fn on(day: Date) -> Option<(String, DayRule)> {
        cme_equity().find(|e| e.date == day).map(|e| (e.name.into_owned(), e.rule))
    }

    #[test]
    fn easter_is_where_the_church_says() {
        for (y, m, d) in [
            (1999, 4, 4),
            (2008, 3, 23),
            (2011, 4, 24),
            (2024, 3, 31),
            (2025, 4, 20),
            (2026, 4, 5),
            (2038, 4, 25),
        ] {
            assert_eq!(easter(y), Some(date(y, m, d)));
        }
    }

    #[test]
    fn a_holiday_on_a_weekend_moves_to_the_nearest_weekday() {
        assert_eq!(on(date(2026, 7, 3)), Some(("Independence Day".into(), NOON)));
        assert_eq!(on(date(2021, 7, 5)), Some(("Independence Day".into(), NOON)));
        assert_eq!(on(date(2027, 6, 18)), Some(("Juneteenth".into(), NOON)));
        assert_eq!(on(date(2021, 12, 24)), Some(("Christmas Day".into(), DayRule::Closed)));
        assert_eq!(on(date(2022, 12, 26)), Some(("Christmas Day".into(), DayRule::Closed)));
        assert_eq!(on(date(2023, 1, 2)), Some(("New Year's Day".into(), DayRule::Closed)));
        assert_eq!(on(date(2021, 12, 31)), None);
    }

    #[test]
    fn an_eve_is_short_only_before_a_holiday_kept_on_its_own_date() {
        for day in
            [date(2023, 7, 3), date(2024, 7, 3), date(2025, 7, 3), date(2024, 12, 24), date(2025, 11, 28)]
        {
            assert_eq!(on(day).unwrap().1, SHORT, "{day}");
        }
        for day in [date(2022, 7, 1), date(2022, 12, 23), date(2020, 7, 2), date(2021, 7, 2)] {
            assert_eq!(on(day), None, "{day}");
        }
    }

    #[test]
    fn good_friday_differs_by_year() {
        for day in [date(2022, 4, 15), date(2024, 3, 29), date(2025, 4, 18)] {
            assert_eq!(on(day), Some(("Good Friday".into(), DayRule::Closed)), "{day}");
        }
        for day in [date(2021, 4, 2), date(2023, 4, 7), date(2026, 4, 3)] {
            assert_eq!(on(day).unwrap().1, DayRule::Halt(Time::constant(8, 15, 0, 0)), "{day}");
        }
    }

    #[test]
    fn juneteenth_is_kept_since_2022() {
        assert_eq!(on(date(2021, 6, 18)), None);
        assert_eq!(on(date(2022, 6, 20)), Some(("Juneteenth".into(), NOON)));
    }
}
