//! Trade dates as numbers, the periods they belong to, and when each of those begins and ends.
//!
//! Only what follows from the calendar; prices are none of its business.

use jiff::civil::Date;

use crate::engine::derive::{News, Period};
use crate::market::calendar::{Calendar, Phase};
use crate::market::trade_date::number_of;
use crate::time::Timestamp;

/// How many days in a row without a session are looked through for the next trading day.
const CLOSED_DAYS_MAX: usize = 60;
/// How many trading days the longest period can have, with room.
const PERIOD_DAYS_MAX: usize = 300;
/// How many changes of phase a session can have, with room.
const PHASES_MAX: usize = 12;

/// The same number for all trade dates of one period, and a greater one for those of a later period.
pub(super) fn key(period: Period, date: Date) -> i32 {
    let year = i32::from(date.year());
    match period {
        Period::Day => number_of(date),
        Period::Week => number_of(monday(date)),
        Period::Month => number_of(date).div_euclid(100),
        Period::Quarter => {
            let quarter = i32::from(date.month()).saturating_sub(1).div_euclid(3);
            year.saturating_mul(10).saturating_add(quarter)
        }
        Period::Year => year,
    }
}

/// The Monday of a date's week.
fn monday(date: Date) -> Date {
    let back = jiff::Span::new().days(i64::from(date.weekday().to_monday_zero_offset()));
    date.checked_sub(back).unwrap_or(date)
}

/// The first trading day after `date`.
pub(super) fn trading_day_after(calendar: &Calendar, date: Date) -> Option<Date> {
    let later = std::iter::successors(date.tomorrow().ok(), |d| d.tomorrow().ok());
    later.take(CLOSED_DAYS_MAX).find(|d| calendar.is_trading_day(*d))
}

/// When the trade date opens: with halted days before it, when the first of their sessions does.
pub(super) fn opens(calendar: &Calendar, date: Date) -> Timestamp {
    let after = calendar.business_day_before(date).tomorrow().unwrap_or(date);
    calendar.next_open(calendar.session_opens(after))
}

/// When the session of a trade date is over.
pub(super) fn ends(calendar: &Calendar, date: Date) -> Timestamp {
    let mut at = calendar.session_opens(date);
    for _ in 0..PHASES_MAX {
        let state = calendar.state(at);
        match state.phase {
            Phase::Rth | Phase::Eth | Phase::Halt => at = state.until,
            Phase::DailyBreak | Phase::Weekend | Phase::Holiday => break,
        }
    }
    at
}

/// When regular trading hours of a trade date begin; `None` when it has none.
pub(super) fn rth_opens(calendar: &Calendar, date: Date) -> Option<Timestamp> {
    let mut at = calendar.session_opens(date);
    for _ in 0..PHASES_MAX {
        let state = calendar.state(at);
        match state.phase {
            Phase::Rth => return Some(at),
            Phase::Eth | Phase::Halt => at = state.until,
            Phase::DailyBreak | Phase::Weekend | Phase::Holiday => break,
        }
    }
    None
}

/// The first trading day of the period in which `date` lies.
pub(super) fn first_of(calendar: &Calendar, period: Period, date: Date) -> Date {
    let earlier = std::iter::successors(Some(date), |d| Some(calendar.business_day_before(*d)));
    let same = earlier.take(PERIOD_DAYS_MAX).take_while(|d| key(period, *d) == key(period, date));
    same.last().unwrap_or(date)
}

/// When the period after the one in which `date` lies opens.
pub(super) fn next_opens(calendar: &Calendar, period: Period, date: Date) -> Timestamp {
    let later = std::iter::successors(trading_day_after(calendar, date), |d| trading_day_after(calendar, *d));
    let next = later.take(PERIOD_DAYS_MAX).find(|d| key(period, *d) != key(period, date));
    next.map_or(Timestamp::MAX, |d| opens(calendar, d))
}

/// Since when everything has been told, and how late it is by what was told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    since: Option<Timestamp>,
    now: Option<Timestamp>,
}

impl Watch {
    /// A minute that is over tells the time as a clock does.
    pub(super) fn learn(&mut self, news: &News<'_>) {
        let (from, to) = match news {
            News::Minute(minute) => (minute.bar.start, minute.bar.end()),
            News::Clock(now) => (*now, *now),
            News::Day(_) => return,
        };
        self.since = Some(self.since.map_or(from, |since| since.min(from)));
        self.now = Some(self.now.map_or(to, |now| now.max(to)));
    }

    /// How late it is.
    pub(super) const fn current(&self) -> Option<Timestamp> {
        self.now
    }

    /// Whether nothing can have happened from `start` on that was not told.
    pub(super) fn covers(&self, start: Timestamp) -> bool {
        self.since.is_some_and(|since| since <= start)
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn periods_begin_where_the_calendar_says() {
        let same = |period, a, b| key(period, a) == key(period, b);
        assert!(same(Period::Week, date(2024, 12, 30), date(2025, 1, 3)), "a week crosses the year");
        assert!(!same(Period::Week, date(2025, 1, 3), date(2025, 1, 6)));
        assert!(same(Period::Quarter, date(2024, 10, 1), date(2024, 12, 31)));
        assert!(!same(Period::Quarter, date(2024, 9, 30), date(2024, 10, 1)));
        assert!(!same(Period::Year, date(2024, 12, 31), date(2025, 1, 1)));
        assert!(key(Period::Month, date(2024, 12, 31)) < key(Period::Month, date(2025, 1, 2)));
    }

    #[test]
    fn the_trading_day_after_thanksgiving_week_skips_the_halted_day() {
        let calendar = Calendar::cme_equity();
        assert_eq!(trading_day_after(&calendar, date(2024, 11, 27)), Some(date(2024, 11, 29)));
        assert_eq!(trading_day_after(&calendar, date(2024, 11, 29)), Some(date(2024, 12, 2)));
    }

    #[test]
    fn the_trade_date_after_a_halted_monday_opens_on_sunday() {
        let calendar = Calendar::cme_equity();
        let t = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(opens(&calendar, date(2025, 1, 21)), t("2025-01-19T23:00:00Z"));
        assert_eq!(opens(&calendar, date(2025, 1, 22)), t("2025-01-21T23:00:00Z"));
        assert_eq!(next_opens(&calendar, Period::Day, date(2025, 1, 17)), t("2025-01-19T23:00:00Z"));
        assert_eq!(next_opens(&calendar, Period::Month, date(2025, 1, 17)), t("2025-02-02T23:00:00Z"));
        assert_eq!(first_of(&calendar, Period::Month, date(2025, 1, 17)), date(2025, 1, 2));
    }

    #[test]
    fn regular_hours_open_at_half_past_eight_unless_there_are_none() {
        let calendar = Calendar::cme_equity();
        let t = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(rth_opens(&calendar, date(2024, 11, 25)), Some(t("2024-11-25T14:30:00Z")));
        assert_eq!(rth_opens(&calendar, date(2025, 1, 21)), Some(t("2025-01-21T14:30:00Z")));
        assert_eq!(rth_opens(&calendar, date(2025, 1, 9)), None, "the day of mourning");
        assert_eq!(ends(&calendar, date(2024, 11, 25)), t("2024-11-25T22:00:00Z"));
        assert_eq!(ends(&calendar, date(2024, 11, 29)), t("2024-11-29T18:15:00Z"), "an early close");
    }
}
