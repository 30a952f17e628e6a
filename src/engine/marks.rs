//! The prices at which a level does something, and at which it must be asked again.
//!
//! All but [`Wake`] are as seen upwards: a support is a resistance in the mirror.

use crate::engine::rule::Terms;
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

/// What distances are measured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The tick size.
    pub tick: TickSize,
    /// The average true range of the last trade dates, if it is known.
    pub atr: Option<Price>,
}

impl Grid {
    /// A distance around a price; `None` when it needs an average true range that is not known.
    #[must_use]
    pub fn size(&self, distance: Distance, around: Price) -> Option<Price> {
        distance.resolve(self.tick, around, self.atr)
    }
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
    /// At or above: in the zone before the level.
    pub zone_bottom: Price,
    /// At or below, after the zone: turned away.
    pub reject: Option<Price>,
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
    /// Whether a price, as seen upwards, counts as beyond; with `strict` touching is not enough.
    #[must_use]
    pub fn is_beyond(&self, seen: Price, strict: bool) -> bool {
        if strict { seen > self.broken } else { seen >= self.broken }
    }

    /// The prices of a rule whose level lies at `at`, a traded price. `None` while a distance in average true
    /// ranges is not known.
    #[must_use]
    pub fn of(terms: &Terms, at: Price, grid: Grid) -> Option<Self> {
        let level = terms.mirror(at);
        let size = |d: Distance| grid.size(d, at);
        let broken = grid.tick.ceil(level.plus(size(terms.margin)?));
        let approach = match terms.approach {
            Some(distance) => Some(size(distance)?),
            None => None,
        };
        let reject = match terms.reject {
            Some(reject) => Some(level.minus(size(reject.distance)?)),
            None => None,
        };
        let zone_top = level.plus(size(terms.retest.zone)?);
        Some(Self {
            level,
            broken,
            approach: approach.map(|a| broken.minus(a)),
            approach_again: approach.map(|a| broken.minus(a).minus(a)),
            rearm: broken.minus(size(terms.rearm)?.max(grid.tick.price())),
            zone_bottom: level.minus(size(terms.zone)?),
            reject,
            fail: level.minus(size(terms.fail.distance)?),
            // Price can only return to a zone that it has left.
            excursion: level.plus(size(terms.retest.excursion)?).max(zone_top.plus(Price::from_nanos(1))),
            zone_top,
            hold: level.plus(size(terms.retest.hold)?),
        })
    }
}
