//! A rule: what to do when price meets a level. A `Rule` that exists is right.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{About, Severity, Side, Space};
use crate::market::price::{Distance, Price};
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;
use crate::time::Timestamp;

/// One level with everything its author asked for. The configuration builds it; the defaults stand there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Unique among all rules.
    pub name: String,
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Only this month, instead of the front month.
    pub contract: Option<ContractMonth>,
    /// The level itself; it need not lie on the tick grid.
    pub price: Price,
    /// Which way it breaks.
    pub side: Side,
    /// In which prices it is expressed.
    pub space: Space,
    /// Which price is compared.
    pub price_from: PriceFrom,
    /// Whether touching the threshold is not enough.
    pub strict: bool,
    /// Added to the level before it counts as broken.
    pub margin: Distance,
    /// Tell when price is so near.
    pub approach: Option<Distance>,
    /// How far around the level its zone reaches.
    pub zone: Distance,
    /// All must hold before the break is established; none = the first cross.
    pub confirm: Vec<Confirm>,
    /// Unconfirmed for so long: back to armed.
    pub confirm_within: Option<Duration>,
    /// When a break counts as failed.
    pub fail: Fail,
    /// What a retest is.
    pub retest: Retest,
    /// Which later steps are watched.
    pub follow: Follow,
    /// How far price must come back before the level can break again.
    pub rearm: Distance,
    /// For how much open-market time it must stay back.
    pub grace: Duration,
    /// Not armed again for so long after the last alert.
    pub cooldown: Duration,
    /// At most so many breaks in one trade date.
    pub max_per_session: Option<u32>,
    /// What a break inside a gap does.
    pub gap: GapPolicy,
    /// In which part of the day the rule may fire.
    pub sessions: Sessions,
    /// The rule ends here.
    pub expires: Option<Timestamp>,
    /// Instead of the kind's own.
    pub severity: Option<Severity>,
    /// What its author said about it.
    pub about: About,
}

/// Which price a rule compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceFrom {
    /// Trades.
    #[default]
    Trade,
    /// The best bid.
    Bid,
    /// The best offer.
    Ask,
    /// The middle of bid and offer.
    Mid,
}

/// One condition that a break must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confirm {
    /// Consecutive prints beyond, at distinct exchange times or totalling `size`.
    Prints {
        /// How many.
        count: u32,
        /// Or so many contracts, whatever the count.
        size: Option<u64>,
    },
    /// Continuously beyond for so much open-market time.
    Hold(Duration),
    /// So many contracts traded beyond.
    Volume(u64),
}

/// When a break counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fail {
    /// Price back behind the level by so much,
    pub distance: Distance,
    /// within so long after the break.
    pub within: Duration,
}

/// What a retest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retest {
    /// Back within so much of the level,
    pub zone: Distance,
    /// after having been so far beyond it,
    pub excursion: Distance,
    /// holds when price then reaches so far beyond the level,
    pub hold: Distance,
    /// all within so long after the break, and again so long after the return.
    pub within: Duration,
}

/// Which steps after a break are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// `level.retested`.
    pub retest: bool,
    /// `level.held`.
    pub held: bool,
    /// `level.failed`.
    pub failed: bool,
}

/// What a break does whose crossing nobody saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapPolicy {
    /// Fire, and say that it is a gap.
    #[default]
    Fire,
    /// Take note and wait for re-arming.
    Ignore,
}

/// In which part of the day a rule may fire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sessions {
    /// Always.
    #[default]
    Any,
    /// Regular trading hours only.
    Rth,
    /// Outside regular trading hours only.
    Eth,
}
