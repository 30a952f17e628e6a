//! The calendar over the span of a series, worked out once: a study asks it hundreds of thousands of times.

use std::time::Duration;

use jiff::civil::Date;

use crate::market::calendar::{Calendar, Phase};
use crate::time::Timestamp;

/// From one change of phase to the next.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: Timestamp,
    end: Timestamp,
    is_open: bool,
    trade_date: Date,
}

/// When the market was open, and when regular trading closed.
#[derive(Clone, Debug)]
pub(super) struct Hours {
    stretches: Vec<Stretch>,
    closes: Vec<(Date, Timestamp)>,
}

impl Hours {
    /// From `from` to `to`, both inclusive.
    pub(super) fn new(calendar: &Calendar, from: Timestamp, to: Timestamp) -> Self {
        let (mut stretches, mut closes) = (Vec::new(), Vec::<(Date, Timestamp)>::new());
        let mut start = from;
        while start <= to && start < Timestamp::MAX {
            let state = calendar.state(start);
            let end = state.until.max(start.saturating_add(Duration::from_nanos(1)));
            let trade_date = state.trade_date;
            stretches.push(Stretch { start, end, is_open: state.phase.is_open(), trade_date });
            if state.phase == Phase::Rth {
                closes.pop_if(|(date, _)| *date == trade_date);
                closes.push((trade_date, end));
            }
            start = end;
        }
        Self { stretches, closes }
    }

    /// The trade date in force; `None` outside the span.
    pub(super) fn trade_date(&self, at: Timestamp) -> Option<Date> {
        self.from(at).next().filter(|s| s.start <= at).map(|s| s.trade_date)
    }

    /// The moment at which `d` of open-market time has passed since `at`; `None` when that is outside the span.
    pub(super) fn add_open(&self, at: Timestamp, d: Duration) -> Option<Timestamp> {
        let mut rest = d;
        for stretch in self.from(at).filter(|s| s.is_open) {
            let start = stretch.start.max(at);
            let length = stretch.end.since(start);
            if rest <= length {
                return Some(start.saturating_add(rest));
            }
            rest = rest.saturating_sub(length);
        }
        None
    }

    /// How much open-market time lies between two moments of the span.
    pub(super) fn open_between(&self, a: Timestamp, b: Timestamp) -> Duration {
        let open = self.from(a).take_while(|s| s.start < b).filter(|s| s.is_open);
        open.fold(Duration::ZERO, |sum, s| sum.saturating_add(s.end.min(b).since(s.start.max(a))))
    }

    /// The close of regular trading on the `n`-th trade date with regular hours after that of `at`; of the
    /// same date for 0, if it is still to come.
    pub(super) fn regular_close(&self, at: Timestamp, n: usize) -> Option<Timestamp> {
        let today = self.trade_date(at)?;
        let first_later = self.closes.partition_point(|(date, _)| *date <= today);
        match n.checked_sub(1) {
            None => self.closes.get(first_later.checked_sub(1)?).filter(|c| c.0 == today && c.1 > at),
            Some(n) => self.closes.get(first_later.saturating_add(n)),
        }
        .map(|(_, close)| *close)
    }

    /// The stretches from the one that holds `at` on.
    fn from(&self, at: Timestamp) -> impl Iterator<Item = &Stretch> {
        let first = self.stretches.partition_point(|s| s.end <= at);
        self.stretches.iter().skip(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::fixture::{ct, minutes};

    fn hours() -> Hours {
        Hours::new(&Calendar::cme_equity(), ct("2024-11-25 08:00"), ct("2024-12-02 12:00"))
    }

    #[test]
    fn it_says_what_the_calendar_says() {
        let (hours, calendar) = (hours(), Calendar::cme_equity());
        for (at, d) in [("2024-11-25 08:10", 5), ("2024-11-25 15:50", 60), ("2024-11-28 11:50", 700)] {
            let (at, d) = (ct(at), minutes(d));
            assert_eq!(hours.add_open(at, d), Some(calendar.add_open(at, d)));
            assert_eq!(hours.trade_date(at), Some(calendar.trade_date(at)));
            let later = at.saturating_add(minutes(2_000));
            assert_eq!(hours.open_between(at, later), calendar.open_between(at, later));
        }
    }

    #[test]
    fn outside_its_span_it_knows_nothing() {
        assert_eq!(hours().trade_date(ct("2024-11-25 07:59")), None);
        assert_eq!(hours().add_open(ct("2024-12-02 11:00"), minutes(6_000)), None);
        assert_eq!(hours().regular_close(ct("2024-12-02 11:00"), 1), None);
    }

    #[test]
    fn days_are_trade_dates_and_a_holiday_is_none() {
        let close = |at: &str, n| hours().regular_close(ct(at), n);
        assert_eq!(close("2024-11-25 09:00", 0), Some(ct("2024-11-25 15:00")));
        assert_eq!(close("2024-11-25 15:30", 0), None, "it is over");
        assert_eq!(close("2024-11-25 15:30", 1), Some(ct("2024-11-26 15:00")));
        assert_eq!(
            close("2024-11-25 17:30", 0),
            Some(ct("2024-11-26 15:00")),
            "the evening is the next day's"
        );
        assert_eq!(close("2024-11-27 09:00", 1), Some(ct("2024-11-29 12:00")), "Thanksgiving has no close");
    }
}
