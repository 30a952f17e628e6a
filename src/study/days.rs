//! Trade dates out of bars: what the days were, and how much of them the bars do not show.

use std::time::Duration;

use crate::engine::derive::{Day, Rth};
use crate::market::bar::Bar;
use crate::market::calendar::{Calendar, SessionBounds};
use crate::market::price::TickSize;
use crate::market::trade_date::{date_of, number_of};
use crate::study::replay::HOLE;
use crate::time::Timestamp;

/// The trade dates of bars in order of time. A hole of more than half an hour in an open session was not watched.
#[must_use]
pub fn of(bars: &[Bar], calendar: &Calendar) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    let mut bounds: Option<SessionBounds> = None;
    let mut seen: Option<Timestamp> = None;
    for bar in bars {
        let before = bounds.filter(|bounds| bounds.contains(bar.start));
        let Some(session) = before.or_else(|| calendar.session_bounds(bar.start)) else { continue };
        if before.is_none() {
            if let (Some(last), Some(day), Some(at)) = (bounds, days.last_mut(), seen) {
                miss(day, calendar, at, last.closes);
            }
            seen = Some(session.opens);
        }
        bounds = Some(session);
        let date = number_of(session.trade_date);
        let from = seen.unwrap_or(session.opens);
        match days.last_mut().filter(|day| day.date == date) {
            Some(day) => {
                miss(day, calendar, from, bar.start);
                add(day, bar);
            }
            None => {
                let mut day = first(date, bar);
                miss(&mut day, calendar, from, bar.start);
                days.push(day);
            }
        }
        if let Some(day) = days.last_mut().filter(|_| session.is_rth(bar.start)) {
            add_rth(day, bar);
        }
        seen = Some(bar.end());
    }
    if let (Some(last), Some(day), Some(at)) = (bounds, days.last_mut(), seen) {
        miss(day, calendar, at, last.closes);
    }
    days
}

/// A trade date as one bar, from the open of its session to the end of its regular trading hours, so that its close
/// is the official one; `None` on a day that has none.
#[must_use]
pub fn bar(day: &Day, calendar: &Calendar, tick: TickSize) -> Option<Bar> {
    let morning = calendar.instant(date_of(day.date)?.at(8, 30, 0, 0));
    let bounds = calendar.session_bounds(morning)?;
    let (start, end) = (bounds.opens, bounds.rth?.1);
    let length = Duration::from_nanos(u64::try_from(end.since(start).as_nanos()).ok()?);
    let Day { open, high, low, volume, .. } = *day;
    Some(Bar { start, length, open, high, low, close: tick.round(day.close).min(high).max(low), volume })
}

const fn first(date: i32, bar: &Bar) -> Day {
    let Bar { open, high, low, close, volume, .. } = *bar;
    Day { date, open, high, low, close, volume, rth: None, settlement: None, unwatched: Duration::ZERO }
}

fn add(day: &mut Day, bar: &Bar) {
    day.high = day.high.max(bar.high);
    day.low = day.low.min(bar.low);
    day.close = bar.close;
    day.volume = day.volume.saturating_add(bar.volume);
}

fn add_rth(day: &mut Day, bar: &Bar) {
    let first = Rth { open: bar.open, high: bar.high, low: bar.low, close: bar.close };
    let rth = day.rth.get_or_insert(first);
    rth.high = rth.high.max(bar.high);
    rth.low = rth.low.min(bar.low);
    rth.close = bar.close;
}

/// No bar from `from` until `until`.
fn miss(day: &mut Day, calendar: &Calendar, from: Timestamp, until: Timestamp) {
    // Most bars follow at once, and the calendar need not be asked.
    if until.since(from) <= HOLE {
        return;
    }
    let hole = calendar.open_between(from, until);
    if hole > HOLE {
        day.unwatched = day.unwatched.saturating_add(hole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::price::Price;

    /// Hourly bars from a moment on.
    fn bars(from: &str, prices: &[i64]) -> Vec<Bar> {
        let from: Timestamp = from.parse().unwrap();
        let hour = Duration::from_secs(3_600);
        let bar = |(at, price): (usize, &i64)| {
            let price = Price::from_points(*price);
            let start = from.saturating_add(hour * u32::try_from(at).unwrap());
            Bar { start, length: hour, open: price, high: price, low: price, close: price, volume: 1 }
        };
        prices.iter().enumerate().map(bar).collect()
    }

    #[test]
    fn a_session_from_evening_to_afternoon_is_one_trade_date() {
        // Sunday 17:00 Chicago, 23 hours.
        let prices: Vec<i64> = (2_400..2_423).collect();
        let days = of(&bars("2024-11-24T23:00:00Z", &prices), &Calendar::cme_equity());
        let [day] = days.as_slice() else { panic!("{days:?}") };
        assert_eq!((day.date, day.unwatched, day.volume), (20_241_125, Duration::ZERO, 23));
        assert_eq!((day.high, day.low), (Price::from_points(2_422), Price::from_points(2_400)));
        // 08:30 lies within the bar of 08:00; regular hours are those bars that begin in them.
        assert_eq!(day.rth.unwrap().open, Price::from_points(2_416));
    }

    #[test]
    fn a_hole_is_time_that_nobody_watched() {
        let mut all = bars("2024-11-24T23:00:00Z", &[2_400; 23]);
        all.drain(3..8);
        let days = of(&all, &Calendar::cme_equity());
        assert_eq!(days[0].unwatched, Duration::from_secs(5 * 3_600));
        let days = of(&bars("2024-11-25T20:00:00Z", &[2_400; 2]), &Calendar::cme_equity());
        assert_eq!(days[0].unwatched, Duration::from_secs(21 * 3_600), "it begins in the afternoon");
    }
}
