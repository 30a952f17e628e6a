//! What a level is told of the market around it, and what it says in return.

use serde::{Deserialize, Serialize};

use crate::event::{Kind, Numbers, Reason, ThreadId};
use crate::market::calendar::{Calendar, Phase};
use crate::market::price::Price;
use crate::time::Timestamp;

/// The market around one input, as far as a level may depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The engine's time: it never runs backwards.
    pub at: Timestamp,
    /// For timers that stop while the market is closed.
    pub calendar: &'a Calendar,
    /// The part of the day.
    pub phase: Phase,
    /// When the part of the day ends.
    pub phase_until: Timestamp,
    /// The trade date as yyyymmdd.
    pub trade_date: i32,
    /// What nobody saw before this price, if this is the first one after such a time.
    pub gap: Option<Gap>,
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
    /// Crossed in a gap that the rule ignores.
    GapIgnored,
    /// Fell back before it was confirmed.
    FellBackUnconfirmed,
    /// Not confirmed in time.
    NotConfirmedInTime,
    /// Armed again without a break to tell of.
    ArmedQuietly,
}
