//! When the market is open: sessions, trade dates, holidays, and open-market time.
//!
//! Hours and exceptions are data with the dates from which they hold; a user can add to them. It never reads
//! a clock or the system's zone files: the zone comes from the database inside the program.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::market::holidays;
pub use crate::market::session::Hours;
use crate::market::session::{CME_EQUITY, REGULAR, Session};
use crate::time::Timestamp;

mod bounds;

pub use bounds::SessionBounds;

/// How many days in a row without a session are looked through for the next or the last one.
const CLOSED_DAYS_MAX: usize = 60;
/// What the market does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Open, regular trading hours of the cash market.
    Rth,
    /// Open, outside regular trading hours.
    Eth,
    /// Closed for the hour between two sessions.
    DailyBreak,
    /// Closed from Friday's regular close to Sunday evening.
    Weekend,
    /// Closed for a holiday, or for the rest of a day that closed early.
    Holiday,
    /// Halted: the trade date goes on when trading resumes.
    Halt,
}

impl Phase {
    /// Whether there is trading.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Rth | Self::Eth)
    }
}

/// The market's state at a moment, good until it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionState {
    /// What the market does.
    pub phase: Phase,
    /// The trade date in force; while the market is closed, that of the last session.
    pub trade_date: Date,
    /// When the phase next changes, exclusive: always later than the moment asked for.
    pub until: Timestamp,
}

/// What is different on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayRule {
    /// There is no session with this date.
    Closed,
    /// The session ends at this local time, and the day settles; regular hours end a quarter of an hour
    /// before.
    EarlyClose(Time),
    /// Trading stops at this local time; all of it belongs to the next trade date, and there are no regular
    /// hours.
    Halt(Time),
}

/// A day that differs from the regular hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The day on which the session would end.
    pub date: Date,
    /// What is different.
    pub rule: DayRule,
    /// For people: `Good Friday`.
    pub name: Cow<'static, str>,
}

/// The sessions of a venue. Cheap to clone.
#[derive(Clone)]
pub struct Calendar(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    name: &'static str,
    zone: TimeZone,
    /// How people name the zone.
    zone_label: Cow<'static, str>,
    /// Newest first; the last one holds from the beginning.
    hours: Vec<Hours>,
    exceptions: BTreeMap<Date, Exception>,
}

impl Calendar {
    /// Equity index futures on CME Globex, in Chicago's time.
    #[must_use]
    pub fn cme_equity() -> Self {
        static SHARED: LazyLock<Calendar> = LazyLock::new(|| {
            let exceptions = holidays::cme_equity().map(|e| (e.date, e)).collect();
            let inner = Inner {
                name: "cme equity",
                zone: chicago(),
                zone_label: "CT".into(),
                hours: CME_EQUITY.to_vec(),
                exceptions,
            };
            Calendar(Arc::new(inner))
        });
        SHARED.clone()
    }

    /// This calendar with more exceptions; one for a day that has one already replaces it.
    #[must_use]
    pub fn with_exceptions(mut self, exceptions: impl IntoIterator<Item = Exception>) -> Self {
        Arc::make_mut(&mut self.0).exceptions.extend(exceptions.into_iter().map(|e| (e.date, e)));
        self
    }

    /// This calendar without what is different on these days.
    #[must_use]
    pub fn with_regular(mut self, days: impl IntoIterator<Item = Date>) -> Self {
        let exceptions = &mut Arc::make_mut(&mut self.0).exceptions;
        for day in days {
            exceptions.remove(&day);
        }
        self
    }

    /// This calendar with other regular hours, each from its own date on: from the first one on they replace all that is
    /// known.
    #[must_use]
    pub fn with_hours(mut self, hours: impl IntoIterator<Item = Hours>) -> Self {
        let mut given: Vec<Hours> = hours.into_iter().collect();
        given.sort_by_key(|hours| std::cmp::Reverse(hours.since));
        if let Some(first) = given.last().map(|hours| hours.since) {
            let known = &mut Arc::make_mut(&mut self.0).hours;
            known.retain(|hours| hours.since < first);
            given.append(known);
            *known = given;
        }
        self
    }

    /// This calendar with its times in another zone, which people know by this name.
    #[must_use]
    pub fn in_zone(mut self, zone: TimeZone, label: String) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        (inner.zone, inner.zone_label) = (zone, label.into());
        self
    }

    /// What is different on a day.
    #[must_use]
    pub fn exception(&self, date: Date) -> Option<&Exception> {
        self.0.exceptions.get(&date)
    }

    /// The venue's time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.0.zone
    }

    /// The market's state. It takes some microseconds; whoever asks for every tick keeps it until
    /// [`SessionState::until`].
    #[must_use]
    pub fn state(&self, at: Timestamp) -> SessionState {
        let local = self.local(at);
        let day = self.session_day(local);
        if let Some(session) = self.session(day).filter(|s| local < s.closes) {
            let (phase, until) = session.phase(local);
            return SessionState {
                phase,
                trade_date: self.trade_date_of(&session),
                until: self.instant(until),
            };
        }
        let closure = self.closure(local, day);
        SessionState {
            phase: closure.phase,
            trade_date: self.last_trade_date(day),
            until: self.instant(closure.until),
        }
    }

    /// Whether there is trading.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.state(at).phase.is_open()
    }

    /// The trade date in force; while the market is closed, that of the last session.
    #[must_use]
    pub fn trade_date(&self, at: Timestamp) -> Date {
        self.state(at).trade_date
    }

    /// The first moment from `at` on at which the market is open: `at` itself when it is.
    #[must_use]
    pub fn next_open(&self, at: Timestamp) -> Timestamp {
        let mut stretch = self.stretch(at);
        while !stretch.open && stretch.end < Timestamp::MAX {
            stretch = self.stretch(stretch.end);
        }
        if stretch.open { stretch.start } else { Timestamp::MAX }
    }

    /// The moment at which `d` of open-market time has passed since `from`: the earliest, so a duration that
    /// is used up at a close ends there and not at the next open. The effort grows with the number of
    /// sessions between.
    #[must_use]
    pub fn add_open(&self, from: Timestamp, d: Duration) -> Timestamp {
        let mut rest = d;
        let mut stretch = self.stretch(from);
        // Open-market time never runs faster than the clock, so what no clock reaches is not searched for.
        while !rest.is_zero() && stretch.start.saturating_add(rest) < Timestamp::MAX {
            if stretch.open {
                let length = stretch.end.since(stretch.start);
                if rest <= length {
                    return stretch.start.saturating_add(rest);
                }
                rest = rest.saturating_sub(length);
            }
            stretch = self.stretch(stretch.end);
        }
        if rest.is_zero() { from } else { Timestamp::MAX }
    }

    /// How much open-market time lies between `a` and `b`; zero when `b` is earlier.
    #[must_use]
    pub fn open_between(&self, a: Timestamp, b: Timestamp) -> Duration {
        let mut sum = Duration::ZERO;
        let mut start = a;
        while start < b {
            let stretch = self.stretch(start);
            if stretch.open {
                sum = sum.saturating_add(stretch.end.min(b).since(start));
            }
            start = stretch.end;
        }
        sum
    }

    /// For people: `open (RTH) until 15:00 CT`, `closed: daily break until 17:00 CT`. The end of a closure is
    /// the next open, whatever stands between.
    #[must_use]
    pub fn describe(&self, at: Timestamp) -> String {
        let state = self.state(at);
        let local = self.local(at);
        let (what, until) = match state.phase {
            Phase::Rth => (Cow::from("open (RTH)"), state.until),
            Phase::Eth => (Cow::from("open (ETH)"), state.until),
            Phase::DailyBreak => (Cow::from("closed: daily break"), self.next_open(at)),
            Phase::Weekend => (Cow::from("closed: weekend"), self.next_open(at)),
            Phase::Holiday | Phase::Halt => {
                let name = self.closure(local, self.session_day(local)).name;
                (Cow::from(format!("closed: {name}")), self.next_open(at))
            }
        };
        format!("{what} until {} {}", moment(local.date(), self.local(until)), self.0.zone_label)
    }

    /// Whether a session settles on this date: a weekday that is neither closed nor halted.
    #[must_use]
    pub fn is_trading_day(&self, date: Date) -> bool {
        self.session(date).is_some_and(|s| !s.halted)
    }

    /// The last trading day before `date`.
    #[must_use]
    pub fn business_day_before(&self, date: Date) -> Date {
        let mut days = days_back(previous(date)).take(CLOSED_DAYS_MAX);
        days.find(|d| self.is_trading_day(*d)).unwrap_or_else(|| previous(date))
    }

    /// The evening before `date`, when a session with this date opens; whether there is one or not.
    #[must_use]
    pub fn session_opens(&self, date: Date) -> Timestamp {
        self.instant(previous(date).to_datetime(self.hours(date).open))
    }

    /// A local time of the venue as a point in time.
    #[must_use]
    pub fn instant(&self, local: DateTime) -> Timestamp {
        let instant = self.0.zone.to_ambiguous_timestamp(local).compatible();
        instant.map_or(Timestamp::MAX, Timestamp::from_jiff)
    }

    /// A point in time as the venue's local time.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> DateTime {
        self.0.zone.to_datetime(at.to_jiff())
    }

    fn hours(&self, date: Date) -> Hours {
        let hours = self.0.hours.iter().find(|h| h.since <= date).or_else(|| self.0.hours.last());
        hours.copied().unwrap_or(REGULAR)
    }

    /// The date of the session to which a local time belongs, if there is a session.
    fn session_day(&self, local: DateTime) -> Date {
        let date = local.date();
        if local.time() >= self.hours(date).open { following(date) } else { date }
    }

    fn session(&self, day: Date) -> Option<Session> {
        Session::new(day, &self.hours(day), self.exception(day).map(|e| e.rule))
    }

    fn trade_date_of(&self, session: &Session) -> Date {
        if !session.halted {
            return session.day;
        }
        let mut later = days(following(session.day)).take(CLOSED_DAYS_MAX);
        later.find(|d| self.is_trading_day(*d)).unwrap_or(session.day)
    }

    /// The trade date of the last session up to `day`.
    fn last_trade_date(&self, day: Date) -> Date {
        let session = days_back(day).take(CLOSED_DAYS_MAX).find_map(|d| self.session(d));
        session.map_or(day, |s| self.trade_date_of(&s))
    }

    /// Why the market is closed at `local`, a time after the session of `day` or on a `day` without one.
    fn closure(&self, local: DateTime, day: Date) -> Closure<'_> {
        if let Some(until) = self.weekend_end(local) {
            return Closure { phase: Phase::Weekend, name: "weekend", until };
        }
        if let Some((_, until)) =
            self.session(day).and_then(|s| s.pause).filter(|p| p.0 <= local && local < p.1)
        {
            return Closure { phase: Phase::Halt, name: "afternoon halt", until };
        }
        let next = days(following(day)).take(CLOSED_DAYS_MAX).find_map(|d| self.session(d));
        let (next_day, opens) = next.map_or((following(day), DateTime::MAX), |s| (s.day, s.opens));
        let until = opens.min(self.weekend_start(local));
        let mut reasons = self.0.exceptions.range(day..next_day);
        match reasons.next() {
            None => Closure { phase: Phase::DailyBreak, name: "daily break", until },
            Some((_, e)) => {
                let phase = if matches!(e.rule, DayRule::Halt(_)) { Phase::Halt } else { Phase::Holiday };
                Closure { phase, name: &e.name, until }
            }
        }
    }

    /// Sunday's open, when `local` lies in the weekend before it.
    fn weekend_end(&self, local: DateTime) -> Option<DateTime> {
        let (date, hours) = (local.date(), self.hours(local.date()));
        let sunday = match date.weekday() {
            Weekday::Friday if local.time() >= hours.close => following(following(date)),
            Weekday::Saturday => following(date),
            Weekday::Sunday if local.time() < hours.open => date,
            Weekday::Sunday
            | Weekday::Monday
            | Weekday::Tuesday
            | Weekday::Wednesday
            | Weekday::Thursday
            | Weekday::Friday => return None,
        };
        Some(sunday.to_datetime(hours.open))
    }

    /// The regular close of the first Friday from `local` on, a time outside the weekend.
    fn weekend_start(&self, local: DateTime) -> DateTime {
        let friday = days(local.date()).take(7).find(|d| d.weekday() == Weekday::Friday);
        friday.map_or(DateTime::MAX, |d| d.to_datetime(self.hours(d).close))
    }

    fn stretch(&self, start: Timestamp) -> Stretch {
        let state = self.state(start);
        // A step forward in every case: the loops over stretches end whatever the data says.
        let end = state.until.max(start.saturating_add(Duration::from_nanos(1)));
        Stretch { start, end, open: state.phase.is_open() }
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calendar({}, {} exceptions)", self.0.name, self.0.exceptions.len())
    }
}

/// Why and until when the market is closed.
struct Closure<'a> {
    phase: Phase,
    name: &'a str,
    until: DateTime,
}

/// From a moment to the next change of phase.
struct Stretch {
    start: Timestamp,
    end: Timestamp,
    open: bool,
}

fn chicago() -> TimeZone {
    #[expect(clippy::expect_used, reason = "the database is compiled in; a test reads this zone from it")]
    TimeZoneDatabase::bundled().get("America/Chicago").expect("the bundled zone database has America/Chicago")
}

/// A moment as people say it when today is `today`.
fn moment(today: Date, local: DateTime) -> String {
    let days = local.date().duration_since(today).as_hours() / 24;
    let time = format!("{:02}:{:02}", local.hour(), local.minute());
    match days {
        0 => time,
        1..=6 => format!("{:?} {time}", local.weekday()),
        _ => format!("{} {time}", local.date()),
    }
}

fn following(date: Date) -> Date {
    date.tomorrow().unwrap_or(Date::MAX)
}

fn previous(date: Date) -> Date {
    date.yesterday().unwrap_or(Date::MIN)
}

fn days(from: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(from), |d| d.tomorrow().ok())
}

fn days_back(from: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(from), |d| d.yesterday().ok())
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests;
