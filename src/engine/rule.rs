//! A rule: what to do when price meets a level. A `Rule` that exists is right.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Time, Weekday};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::engine::derive::Source;
use crate::event::{About, Severity, Side, Space};
use crate::market::calendar::Phase;
use crate::market::price::{Distance, Price, TickSize};
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;
use crate::time::Timestamp;

/// One level with everything its author asked for. The configuration builds it; the defaults stand there.
///
/// A million levels may differ in nothing but name and price: the terms are shared, and copied when one of
/// them is changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Unique among all rules, but for the two halves of a level with both sides.
    pub name: Box<str>,
    /// The level itself; it need not lie on the tick grid. Zero when it comes from a source.
    pub price: Price,
    /// Everything else.
    pub terms: Arc<Terms>,
}

impl Deref for Rule {
    type Target = Terms;

    fn deref(&self) -> &Terms {
        &self.terms
    }
}

impl DerefMut for Rule {
    fn deref_mut(&mut self) -> &mut Terms {
        Arc::make_mut(&mut self.terms)
    }
}

impl Rule {
    /// Where the level lies, if its author said so in prices of the contract.
    #[must_use]
    pub fn fixed(&self) -> Option<Price> {
        (self.is_priced() && self.space == Space::Contract).then_some(self.price)
    }

    /// Whether its price was named; that of a round number was, too.
    #[must_use]
    pub fn is_priced(&self) -> bool {
        matches!(self.source, None | Some(Source::Round { .. }))
    }

    /// Whether one of its distances is a multiple of the average true range.
    #[must_use]
    pub fn measures_in_atr(&self) -> bool {
        let optional = self.approach.into_iter().chain(self.reject.map(|reject| reject.distance));
        let always = [
            self.margin,
            self.zone,
            self.rearm,
            self.fail.distance,
            self.retest.zone,
            self.retest.excursion,
            self.retest.hold,
        ];
        always.into_iter().chain(optional).any(|distance| matches!(distance, Distance::Atr(_)))
    }
}

/// What a rule asks for, whatever its name and price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Only this month, instead of the front month.
    pub contract: Option<ContractMonth>,
    /// Where the level comes from, if its author did not name a price.
    pub source: Option<Source>,
    /// Which way it breaks.
    pub side: Side,
    /// Whether it is one of the two halves of a level with both sides.
    pub half: Option<Half>,
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
    /// When turning away from the level is told.
    pub reject: Option<Reject>,
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
    /// On which days of the venue's week the rule may fire; empty = on all.
    pub days: Weekdays,
    /// At which time of the day the rule may fire.
    pub between: Option<Between>,
    /// What else must be true when the break is established; all of it.
    pub when: Vec<When>,
    /// The rule begins here.
    pub starts: Option<Timestamp>,
    /// The rule ends here.
    pub expires: Option<Timestamp>,
    /// Instead of the kind's own.
    pub severity: Option<Severity>,
    /// What its author said about it.
    pub about: About,
}

/// Half an hour: within so long a break can fail, or be retested.
const WITHIN: Duration = Duration::from_secs(30 * 60);

impl Terms {
    /// A price as seen upwards, and back: a support is a resistance in the mirror.
    #[must_use]
    pub const fn mirror(&self, price: Price) -> Price {
        match self.side {
            Side::Resistance => price,
            Side::Support => price.negated(),
        }
    }

    /// Where on the grid a level lies that would lie at `exact`: never before the true level.
    #[must_use]
    pub fn on_grid(&self, exact: Price, tick: TickSize) -> Price {
        self.mirror(tick.ceil(self.mirror(exact)))
    }

    /// A resistance in contract prices with every default.
    #[must_use]
    pub const fn plain(instrument: InstrumentId) -> Self {
        let (five, ten) = (Distance::Ticks(5), Distance::Ticks(10));
        Self {
            instrument,
            contract: None,
            source: None,
            side: Side::Resistance,
            half: None,
            space: Space::Contract,
            price_from: PriceFrom::Trade,
            strict: false,
            margin: Distance::Ticks(0),
            approach: None,
            zone: five,
            confirm: Vec::new(),
            confirm_within: None,
            reject: None,
            fail: Fail { distance: five, within: WITHIN, by: FailBy::Trade },
            retest: Retest { zone: five, excursion: ten, hold: ten, within: WITHIN },
            follow: Follow { retest: true, held: true, failed: true },
            rearm: five,
            grace: Duration::ZERO,
            cooldown: Duration::ZERO,
            max_per_session: None,
            gap: GapPolicy::Fire,
            sessions: Sessions::Any,
            days: Weekdays(0),
            between: None,
            when: Vec::new(),
            starts: None,
            expires: None,
            severity: None,
            about: About { note: None, said_by: None, url: None, tags: Vec::new() },
        }
    }
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
    /// So many bars in a row closed beyond, each of this length and counted from the session's open.
    BarClose {
        /// How long a bar is.
        length: Duration,
        /// How many.
        bars: u32,
    },
    /// The session's official price lies beyond.
    SessionClose(Official),
    /// So many contracts traded beyond.
    Volume(u64),
    /// The volume of the trade date so far, as a multiple of what is usual until this time of the day, in
    /// units of 1e-9.
    RelativeVolume(Price),
    /// The best bid (of a support: the best offer) continuously beyond for so much open-market time.
    Quote(Duration),
}

/// Which price closes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Official {
    /// The last trade of regular trading hours.
    Rth,
    /// The settlement: volume-weighted over the last 30 seconds of regular trading hours.
    Settlement,
}

/// One of the two halves of a level with both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Half {
    /// It speaks for the level in what concerns both: its end, its move, its suspension.
    First,
    /// It is silent about that.
    Second,
}

/// When turning away from the level is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Back behind the level by so much,
    pub distance: Distance,
    /// within so long after price entered the zone.
    pub within: Duration,
}

/// Days of the week, one bit each, Monday the lowest; no day at all means every day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weekdays(u8);

impl Weekdays {
    /// With this day too.
    #[must_use]
    pub fn with(self, day: Weekday) -> Self {
        Self(self.0 | Self::bit(day))
    }

    /// Whether the day is among them.
    #[must_use]
    pub fn has(self, day: Weekday) -> bool {
        self.0 == 0 || self.0 & Self::bit(day) != 0
    }

    fn bit(day: Weekday) -> u8 {
        1u8.checked_shl(u32::try_from(day.to_monday_zero_offset()).unwrap_or_default()).unwrap_or_default()
    }
}

/// A part of the day, by the clock of a zone; over midnight when it ends before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Between {
    /// From this time on,
    pub from: Time,
    /// and before this one.
    pub until: Time,
    /// The zone's IANA name; `None` = the venue's own.
    pub zone: Option<String>,
}

impl Between {
    /// The zone of its clock, where the venue's own is `venue`.
    #[must_use]
    pub fn clock(&self, venue: &TimeZone) -> TimeZone {
        match &self.zone {
            Some(name) => TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC),
            None => venue.clone(),
        }
    }

    /// Whether a moment lies within, by this clock.
    #[must_use]
    pub fn holds(&self, at: Timestamp, clock: &TimeZone) -> bool {
        let now = clock.to_datetime(at.to_jiff()).time();
        if self.from <= self.until {
            self.from <= now && now < self.until
        } else {
            now >= self.from || now < self.until
        }
    }
}

/// Something that must be true when a break is established.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The last trade of an instrument is at or above this price.
    Above(InstrumentId, Price),
    /// The last trade of an instrument is at or below this price.
    Below(InstrumentId, Price),
    /// The instrument did better than another one: the difference of their returns is at least this much.
    Stronger(Strength),
    /// The instrument did worse than another one: its return is lower by at least this much.
    Weaker(Strength),
    /// At least one of these.
    Any(Vec<Self>),
    /// All of these.
    All(Vec<Self>),
}

impl When {
    /// Calls `each` for every instrument that conditions name, with the time over which it is looked at.
    pub fn instruments(conditions: &[Self], each: &mut impl FnMut(InstrumentId, Duration)) {
        for condition in conditions {
            match condition {
                Self::Above(id, _) | Self::Below(id, _) => each(*id, Duration::ZERO),
                Self::Stronger(strength) | Self::Weaker(strength) => {
                    each(strength.of, strength.over);
                    each(strength.than, strength.over);
                }
                Self::Any(conditions) | Self::All(conditions) => Self::instruments(conditions, each),
            }
        }
    }
}

/// How one instrument did beside another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strength {
    /// Whose return,
    pub of: InstrumentId,
    /// beside whose,
    pub than: InstrumentId,
    /// differs by so much, in units of 1e-9 of a percent,
    pub by: Price,
    /// over the last so much time.
    pub over: Duration,
}

/// When a break counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fail {
    /// Price back behind the level by so much,
    pub distance: Distance,
    /// within so long after the break.
    pub within: Duration,
    /// What must be there: a trade, or the close of a bar of this length, which then need only lie behind the
    /// level.
    pub by: FailBy,
}

/// What makes a break fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailBy {
    /// A trade.
    #[default]
    Trade,
    /// The close of a bar of this length.
    Bar(Duration),
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
    /// Fire when the next bar (of the rule's own length, or five minutes) closes beyond.
    WaitBar,
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

impl Sessions {
    /// Whether the rule may fire in this part of the day, of an open market.
    #[must_use]
    pub fn admits(self, phase: Phase) -> bool {
        match self {
            Self::Any => true,
            Self::Rth => phase == Phase::Rth,
            Self::Eth => phase != Phase::Rth,
        }
    }
}
