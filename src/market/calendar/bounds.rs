//! The bounds of the session and of the bar in which a moment lies.
//!
//! For whoever cuts time into bars: it asks once for each bar, and keeps the answer until the bar is over.

use std::time::Duration;

use jiff::civil::Date;

use super::Calendar;
use crate::time::Timestamp;

/// One session, from its open on the evening before to its close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionBounds {
    /// The first moment.
    pub opens: Timestamp,
    /// The first moment after it.
    pub closes: Timestamp,
    /// The regular trading hours, end exclusive; a halted day has none.
    pub rth: Option<(Timestamp, Timestamp)>,
    /// The trade date to which it belongs.
    pub trade_date: Date,
    /// It ends with a halt: its trades belong to the trade date of the session after it.
    pub halted: bool,
}

impl SessionBounds {
    /// Whether a moment lies within the session.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.opens <= at && at < self.closes
    }

    /// Whether a moment lies within the regular trading hours.
    #[must_use]
    pub fn is_rth(&self, at: Timestamp) -> bool {
        self.rth.is_some_and(|(start, end)| start <= at && at < end)
    }

    /// The bar of this length that contains a moment of the session, end exclusive: bars are counted from the
    /// open, and the last one ends with the session. `None` outside, and without a length.
    #[must_use]
    pub fn bar(&self, at: Timestamp, length: Duration) -> Option<(Timestamp, Timestamp)> {
        if !self.contains(at) {
            return None;
        }
        let into_bar = at.since(self.opens).as_nanos().checked_rem(length.as_nanos())?;
        let start = at.saturating_sub(Duration::from_nanos(u64::try_from(into_bar).ok()?));
        Some((start, start.saturating_add(length).min(self.closes)))
    }
}

impl Calendar {
    /// The session in which a moment lies, `None` while the market is closed. The old pause from 15:15 to
    /// 15:30 lies within its session.
    #[must_use]
    pub fn session_bounds(&self, at: Timestamp) -> Option<SessionBounds> {
        let local = self.local(at);
        let session = self.session(self.session_day(local)).filter(|s| local < s.closes)?;
        Some(SessionBounds {
            opens: self.instant(session.opens),
            closes: self.instant(session.closes),
            rth: session.rth.map(|(start, end)| (self.instant(start), self.instant(end))),
            trade_date: self.trade_date_of(&session),
            halted: session.halted,
        })
    }

    /// The bar of this length that contains a moment, by [`SessionBounds::bar`]; `None` while the market is
    /// closed.
    #[must_use]
    pub fn bar_bounds(&self, at: Timestamp, length: Duration) -> Option<(Timestamp, Timestamp)> {
        self.session_bounds(at)?.bar(at, length)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn cme() -> Calendar {
        Calendar::cme_equity()
    }

    fn ct(text: &str) -> Timestamp {
        cme().instant(text.parse().unwrap())
    }

    fn minutes(n: u64) -> Duration {
        Duration::from_secs(n * 60)
    }

    #[test]
    fn a_session_is_told_with_its_regular_hours_and_trade_date() {
        let monday = SessionBounds {
            opens: ct("2024-11-24 17:00"),
            closes: ct("2024-11-25 16:00"),
            rth: Some((ct("2024-11-25 08:30"), ct("2024-11-25 15:00"))),
            trade_date: date(2024, 11, 25),
            halted: false,
        };
        for moment in ["2024-11-24 17:00", "2024-11-25 00:00", "2024-11-25 12:00", "2024-11-25 15:59:59.999"]
        {
            assert_eq!(cme().session_bounds(ct(moment)), Some(monday), "{moment}");
        }
        for moment in ["2024-11-24 16:59:59.999", "2024-11-25 16:00", "2024-11-23 12:00", "2024-12-25 10:00"]
        {
            assert_eq!(cme().session_bounds(ct(moment)), None, "{moment}");
        }
    }

    #[test]
    fn a_halted_and_a_short_day_end_earlier() {
        let labor_day = cme().session_bounds(ct("2024-09-02 09:00")).unwrap();
        assert_eq!((labor_day.closes, labor_day.rth), (ct("2024-09-02 12:00"), None));
        assert_eq!((labor_day.trade_date, labor_day.halted), (date(2024, 9, 3), true));
        assert_eq!(cme().session_bounds(ct("2024-09-02 12:00")), None);
        let short = cme().session_bounds(ct("2024-11-29 09:00")).unwrap();
        assert_eq!(short.closes, ct("2024-11-29 12:15"));
        assert_eq!(short.rth, Some((ct("2024-11-29 08:30"), ct("2024-11-29 12:00"))));
        assert!(
            !short.halted && short.is_rth(ct("2024-11-29 11:59")) && !short.is_rth(ct("2024-11-29 12:00"))
        );
    }

    #[test]
    fn the_old_pause_lies_within_its_session() {
        let paused = cme().session_bounds(ct("2021-06-25 15:20")).unwrap();
        assert_eq!(paused.closes, ct("2021-06-25 16:00"));
        let bar = cme().bar_bounds(ct("2021-06-25 15:20"), minutes(60));
        assert_eq!(bar, Some((ct("2021-06-25 15:00"), ct("2021-06-25 16:00"))));
    }

    #[test]
    fn bars_are_counted_from_the_open_and_the_last_one_ends_with_the_session() {
        let bar = |at, length| cme().bar_bounds(ct(at), minutes(length));
        assert_eq!(bar("2024-11-25 08:34:59", 5), Some((ct("2024-11-25 08:30"), ct("2024-11-25 08:35"))));
        assert_eq!(bar("2024-11-24 17:00", 240), Some((ct("2024-11-24 17:00"), ct("2024-11-24 21:00"))));
        assert_eq!(bar("2024-11-25 14:00", 240), Some((ct("2024-11-25 13:00"), ct("2024-11-25 16:00"))));
        assert_eq!(bar("2024-11-25 14:00", 1440), Some((ct("2024-11-24 17:00"), ct("2024-11-25 16:00"))));
        assert_eq!(bar("2024-11-29 12:10", 60), Some((ct("2024-11-29 12:00"), ct("2024-11-29 12:15"))));
        assert_eq!(bar("2024-11-25 16:30", 5), None);
        assert_eq!(bar("2024-11-25 14:00", 0), None);
    }

    proptest! {
        #[test]
        fn the_bars_of_a_session_follow_one_another(secs in 1_400_000_000i64..2_000_000_000, length in 1u64..100_000) {
            let at = Timestamp::from_nanos(secs * 1_000_000_000);
            if let Some(session) = cme().session_bounds(at) {
                let (start, end) = session.bar(at, Duration::from_secs(length)).unwrap();
                prop_assert!(session.opens <= start && start <= at && at < end && end <= session.closes);
                let next = session.bar(end, Duration::from_secs(length));
                prop_assert!(next.map_or(end == session.closes, |bar| bar.0 == end));
            }
        }

        #[test]
        fn the_bounds_agree_with_the_state(secs in 1_200_000_000i64..2_000_000_000) {
            let at = Timestamp::from_nanos(secs * 1_000_000_000);
            let (state, bounds) = (cme().state(at), cme().session_bounds(at));
            match bounds {
                Some(b) => {
                    prop_assert_eq!(b.trade_date, state.trade_date);
                    prop_assert_eq!(b.is_rth(at), state.phase == super::super::Phase::Rth);
                    prop_assert_eq!(cme().session_bounds(b.opens), bounds);
                    prop_assert!(state.until <= b.closes);
                }
                None => prop_assert!(!state.phase.is_open()),
            }
        }
    }
}
