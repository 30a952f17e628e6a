//! One session: the regular hours, and what an exception makes of them. In local time, without a zone.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};

use crate::market::calendar::{DayRule, Phase};

/// The cash market closes so long before an early close of Globex (12:00 before 12:15).
const CASH_LEAD: Duration = Duration::from_secs(15 * 60);

/// The regular hours of Monday to Friday, local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first trade date with these hours.
    pub since: Date,
    /// The open, on the evening before.
    pub open: Time,
    /// The close.
    pub close: Time,
    /// The regular trading hours of the cash market.
    pub rth: (Time, Time),
    /// A halt in the afternoon.
    pub pause: Option<(Time, Time)>,
}

const OLD_PAUSE: Option<(Time, Time)> = Some((Time::constant(15, 15, 0, 0), Time::constant(15, 30, 0, 0)));

/// Equity index futures on Globex, now.
pub(super) const REGULAR: Hours =
    equity_hours(Date::constant(2021, 6, 28), Time::constant(16, 0, 0, 0), None);

/// The same, newest first.
pub(super) const CME_EQUITY: [Hours; 3] = [
    REGULAR,
    equity_hours(Date::constant(2015, 9, 21), Time::constant(16, 0, 0, 0), OLD_PAUSE),
    equity_hours(Date::MIN, Time::constant(16, 15, 0, 0), OLD_PAUSE),
];

const fn equity_hours(since: Date, close: Time, pause: Option<(Time, Time)>) -> Hours {
    let rth = (Time::constant(8, 30, 0, 0), Time::constant(15, 0, 0, 0));
    Hours { since, open: Time::constant(17, 0, 0, 0), close, rth, pause }
}

/// One session, in local time.
pub(super) struct Session {
    /// The date on which it ends.
    pub(super) day: Date,
    pub(super) opens: DateTime,
    pub(super) closes: DateTime,
    pub(super) rth: Option<(DateTime, DateTime)>,
    pub(super) pause: Option<(DateTime, DateTime)>,
    /// It belongs to the next trade date.
    pub(super) halted: bool,
}

impl Session {
    /// The session that ends on `day`, if there is one.
    pub(super) fn new(day: Date, hours: &Hours, rule: Option<DayRule>) -> Option<Self> {
        if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            return None;
        }
        let (close, rth_close, halted) = match rule {
            None => (hours.close, hours.rth.1, false),
            Some(DayRule::Closed) => return None,
            Some(DayRule::EarlyClose(t)) => (t, t.saturating_sub(CASH_LEAD), false),
            Some(DayRule::Halt(t)) => (t, Time::MIN, true),
        };
        let (close, rth_close) = (close.min(hours.close), rth_close.min(hours.rth.1));
        let on_day = |(start, end): (Time, Time)| (day.to_datetime(start), day.to_datetime(end));
        Some(Self {
            day,
            opens: day.yesterday().ok()?.to_datetime(hours.open),
            closes: day.to_datetime(close),
            rth: Some((hours.rth.0, rth_close)).filter(|(start, end)| start < end).map(on_day),
            pause: hours.pause.filter(|(_, end)| *end <= close).map(on_day),
            halted,
        })
    }

    /// The phase at a time within the session, and when it changes.
    pub(super) fn phase(&self, local: DateTime) -> (Phase, DateTime) {
        let within = |span: Option<(DateTime, DateTime)>| span.is_some_and(|(a, b)| a <= local && local < b);
        let phase = match (within(self.pause), within(self.rth)) {
            (true, _) => Phase::Halt,
            (false, true) => Phase::Rth,
            (false, false) => Phase::Eth,
        };
        let edges = [self.rth, self.pause].into_iter().flatten().flat_map(|(a, b)| [a, b]);
        (phase, edges.filter(|edge| *edge > local).fold(self.closes, DateTime::min))
    }
}
