//! The prices at which a level does something, and at which it must be asked again.
//!
//! All but [`Wake`] are as seen upwards: a support is a resistance in the mirror.

use crate::engine::rule::Rule;
use crate::event::Side;
use crate::market::price::{Distance, Price, TickSize};

/// At which prices a sleeping level must be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Wake {
    /// At this price and above.
    pub above: Option<Price>,
    /// At this price and below.
    pub below: Option<Price>,
    /// At every price.
    pub always: bool,
}

/// The prices that matter, as seen upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// The level.
    pub level: Price,
    /// The traded price at which it counts as broken.
    pub broken: Price,
    /// At or above: near.
    pub approach: Option<Price>,
    /// At or below: far enough away that coming near is news again.
    pub approach_again: Option<Price>,
    /// At or below: back, and on the way to be armed again.
    pub rearm: Price,
    /// At or below: the break failed.
    pub fail: Price,
    /// At or above: price has left the level behind.
    pub excursion: Price,
    /// At or below, after the excursion: a retest.
    pub zone_top: Price,
    /// At or above, after the retest: it held.
    pub hold: Price,
}

impl Marks {
    /// The prices of a rule on an instrument with this tick size.
    #[must_use]
    pub fn of(rule: &Rule, tick: TickSize) -> Self {
        let level = match rule.side {
            Side::Resistance => rule.price,
            Side::Support => rule.price.negated(),
        };
        let size = |d: Distance| d.resolve(tick, rule.price, None).unwrap_or(Price::ZERO);
        let broken = tick.ceil(level.plus(size(rule.margin)));
        let approach = rule.approach.map(size);
        Self {
            level,
            broken,
            approach: approach.map(|a| broken.minus(a)),
            approach_again: approach.map(|a| broken.minus(a).minus(a)),
            rearm: broken.minus(size(rule.rearm).max(tick.price())),
            fail: level.minus(size(rule.fail.distance)),
            excursion: level.plus(size(rule.retest.excursion)),
            zone_top: level.plus(size(rule.retest.zone)),
            hold: level.plus(size(rule.retest.hold)),
        }
    }
}
