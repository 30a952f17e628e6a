//! Open-market time as a list of stretches that is walked from the front. It knows nothing of rules.

use std::sync::LazyLock;
use std::time::Duration;

use breakwatch::market::calendar::{Calendar, Phase};
use breakwatch::time::Timestamp;
use jiff::civil::Date;

/// A part of the day.
pub(crate) struct Stretch {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) phase: Phase,
    pub(crate) date: Date,
}

/// Every stretch of five weeks: the end of summer time, Thanksgiving, and weekends.
static STRETCHES: LazyLock<Vec<Stretch>> = LazyLock::new(|| {
    let calendar = Calendar::cme_equity();
    let mut from: Timestamp = "2024-10-31T15:00:00Z".parse().unwrap();
    let end: Timestamp = "2025-01-10T15:00:00Z".parse().unwrap();
    let mut all = Vec::new();
    while from < end {
        let state = calendar.state(from);
        all.push(Stretch { from, until: state.until, phase: state.phase, date: state.trade_date });
        from = state.until;
    }
    all
});

/// The stretch at a moment.
pub(crate) fn at(moment: Timestamp) -> &'static Stretch {
    STRETCHES.iter().find(|s| s.from <= moment && moment < s.until).unwrap()
}

/// When so much open-market time has passed since a moment.
pub(crate) fn add_open(from: Timestamp, d: Duration) -> Timestamp {
    let mut rest = d;
    for stretch in STRETCHES.iter().filter(|s| s.until > from && s.phase.is_open()) {
        if rest.is_zero() {
            break;
        }
        let start = stretch.from.max(from);
        let length = stretch.until.since(start);
        if rest <= length {
            return start.saturating_add(rest);
        }
        rest -= length;
    }
    from
}

/// When the trade date after that of a moment begins.
pub(crate) fn next_date(moment: Timestamp) -> Timestamp {
    let today = at(moment).date;
    STRETCHES.iter().find(|s| s.from > moment && s.date != today).unwrap().from
}

/// The first open moment from a moment on.
pub(crate) fn next_open(moment: Timestamp) -> Timestamp {
    STRETCHES.iter().find(|s| s.until > moment && s.phase.is_open()).unwrap().from.max(moment)
}

/// When the bar in progress ends, or the next one if the market is closed: bars of this length from the moment at which
/// the market opened, the last one as long as it stays open.
pub(crate) fn bar_end(moment: Timestamp, length: Duration) -> Timestamp {
    let moment = next_open(moment);
    let mut opened = moment;
    let mut closes = moment;
    let mut was_open = false;
    for stretch in STRETCHES.iter() {
        if stretch.phase.is_open() && !was_open {
            opened = stretch.from;
        }
        was_open = stretch.phase.is_open();
        if stretch.from > moment && !was_open {
            closes = stretch.from;
            break;
        }
    }
    let mut end = opened;
    while end <= moment {
        end = end.saturating_add(length);
    }
    end.min(closes)
}

/// When regular trading hours end next, after this moment.
pub(crate) fn rth_end(moment: Timestamp) -> Timestamp {
    STRETCHES.iter().find(|s| s.phase == Phase::Rth && s.until > moment).unwrap().until
}
