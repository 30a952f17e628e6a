//! What a level is told of the market around it, and what it says in return.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::book::Book;
use crate::engine::gate::Market;
use crate::engine::marks::Grid;
use crate::engine::rule::{Official, PriceFrom};
use crate::event::{Kind, Numbers, Reason, ThreadId};
use crate::market::price::Price;
use crate::time::Timestamp;

/// So many sessions without regular trading hours never follow one another.
const SESSIONS_MAX: usize = 20;

/// The market around one input, as far as a level may depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The engine's time: it never runs backwards.
    pub at: Timestamp,
    /// The market of the level's instrument.
    pub book: &'a Book,
    /// All other instruments.
    pub market: Market<'a>,
    /// Somebody has seen every price since the last one.
    pub watched: bool,
    /// What nobody saw before this price, if this is the first one after such a time.
    pub gap: Option<Gap>,
}

impl Scene<'_> {
    /// What distances are measured with.
    #[must_use]
    pub const fn grid(&self) -> Grid {
        self.book.grid()
    }

    /// When the bar of this length that is in progress ends; while the market is closed, the first one after.
    #[must_use]
    pub fn bar_end(&self, length: Duration) -> Option<Timestamp> {
        let open = self.book.calendar.next_open(self.at);
        self.book.calendar.bar_bounds(open, length).map(|(_, end)| end)
    }

    /// When regular trading hours end next.
    #[must_use]
    pub fn rth_end(&self) -> Option<Timestamp> {
        let calendar = &self.book.calendar;
        let mut at = self.at;
        for _ in 0..SESSIONS_MAX {
            let bounds = calendar.session_bounds(calendar.next_open(at))?;
            if let Some((_, end)) = bounds.rth.filter(|(_, end)| *end > self.at) {
                return Some(end);
            }
            at = bounds.closes;
        }
        None
    }

    /// The official price of the regular trading hours that ended last; `None` when trades were missed since the
    /// last one.
    #[must_use]
    pub fn official(&self, which: Official) -> Option<Price> {
        let last = self.book.watched_last(PriceFrom::Trade)?;
        match which {
            Official::Rth => Some(last),
            Official::Settlement => Some(self.book.settlement().unwrap_or(last)),
        }
    }
}

/// A time in which nobody watched, and the last price before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The last price before.
    pub last: Price,
    /// When that was.
    pub from: Timestamp,
    /// When the first price came again.
    pub until: Timestamp,
}

/// Something that a level established, before it is dressed as an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// The price that did it, if one did.
    pub price: Option<Price>,
    /// The story it belongs to.
    pub thread: ThreadId,
    /// Its place in the story.
    pub step: u32,
    /// Prices still without their decimals; the engine dresses them.
    pub prices: Vec<(&'static str, Price)>,
    /// Everything else.
    pub numbers: Numbers,
}

/// Why a level did something that is no event. For logs and `explain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remark {
    /// Price was beyond when the rule was made: it waits to be armed.
    AlreadyBeyond,
    /// Crossed outside the rule's sessions.
    OutsideSessions,
    /// Crossed on a day that is not among the rule's.
    OutsideDays,
    /// Crossed outside the rule's times of the day.
    OutsideTimes,
    /// Crossed before the rule's beginning.
    NotYetValid,
    /// Confirmed, but one of the rule's other conditions did not hold.
    ConditionFalse,
    /// Confirmed, but one of the rule's other conditions was not known.
    ConditionUnknown,
    /// Crossed in a gap that the rule ignores.
    GapIgnored,
    /// Fell back before it was confirmed.
    FellBackUnconfirmed,
    /// Not confirmed in time.
    NotConfirmedInTime,
    /// Armed again without a break to tell of.
    ArmedQuietly,
    /// The level moved past the price: it waits to be armed.
    MovedPast,
    /// Where the level lies is not known yet.
    Unplaced,
}

impl Remark {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyBeyond => "price was already beyond",
            Self::OutsideSessions => "crossed outside the rule's sessions",
            Self::OutsideDays => "crossed on a day that is not among the rule's",
            Self::OutsideTimes => "crossed outside the rule's times of the day",
            Self::NotYetValid => "crossed before the rule begins",
            Self::ConditionFalse => "confirmed, but a condition of `when` did not hold",
            Self::ConditionUnknown => "confirmed, but a condition of `when` was not known",
            Self::GapIgnored => "crossed in a gap, which the rule ignores",
            Self::FellBackUnconfirmed => "crossed, and fell back before it was confirmed",
            Self::NotConfirmedInTime => "crossed, and was not confirmed in time",
            Self::ArmedQuietly => "armed, without a break to tell of",
            Self::MovedPast => "the level moved past the price",
            Self::Unplaced => "where the level lies is not known yet",
        }
    }
}
