//! Which levels a price concerns: thresholds in price order, with the nearest one on each side at hand.
//!
//! A price strictly between the nearest thresholds concerns nobody and costs two comparisons, however many
//! levels there are.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::engine::marks::Wake;
use crate::market::price::Price;

/// The place of a level in the engine's list.
pub type LevelIndex = u32;

/// Levels by the price at which they must be asked again.
#[derive(Clone, Debug)]
pub struct Index {
    above: BTreeSet<(Price, LevelIndex)>,
    below: BTreeSet<(Price, LevelIndex)>,
    always: BTreeSet<LevelIndex>,
    /// The open interval of prices that concern nobody.
    quiet: (Price, Price),
}

impl Default for Index {
    fn default() -> Self {
        Self {
            above: BTreeSet::new(),
            below: BTreeSet::new(),
            always: BTreeSet::new(),
            quiet: (Price::MIN, Price::MAX),
        }
    }
}

impl Index {
    /// Whether a price concerns nobody.
    #[must_use]
    pub const fn is_quiet(&self, price: Price) -> bool {
        let (low, high) = (self.quiet.0.as_nanos(), self.quiet.1.as_nanos());
        low < price.as_nanos() && price.as_nanos() < high
    }

    /// The levels that a price concerns, in the order of the configuration.
    pub fn concerned(&self, price: Price, into: &mut Vec<LevelIndex>) {
        into.clear();
        into.extend(&self.always);
        into.extend(self.above.range(..=(price, LevelIndex::MAX)).map(|(_, level)| *level));
        let at_or_over = (Bound::Included((price, 0)), Bound::Unbounded);
        into.extend(self.below.range(at_or_over).map(|(_, level)| *level));
        into.sort_unstable();
        into.dedup();
    }

    /// Every level that must be asked at every price.
    pub fn always(&self) -> impl Iterator<Item = LevelIndex> + '_ {
        self.always.iter().copied()
    }

    /// Moves a level from where it was to where it is now.
    pub fn update(&mut self, level: LevelIndex, old: Wake, new: Wake) {
        if old == new {
            return;
        }
        if let Some(price) = old.above {
            self.above.remove(&(price, level));
        }
        if let Some(price) = old.below {
            self.below.remove(&(price, level));
        }
        if let Some(price) = new.above {
            self.above.insert((price, level));
        }
        if let Some(price) = new.below {
            self.below.insert((price, level));
        }
        if new.always {
            self.always.insert(level);
        } else {
            self.always.remove(&level);
        }
        self.quiet = if self.always.is_empty() {
            (
                self.below.last().map_or(Price::MIN, |(price, _)| *price),
                self.above.first().map_or(Price::MAX, |(price, _)| *price),
            )
        } else {
            (Price::MAX, Price::MIN)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(points: i64) -> Price {
        Price::from_points(points)
    }

    fn wake(above: Option<i64>, below: Option<i64>, always: bool) -> Wake {
        Wake { above: above.map(p), below: below.map(p), always }
    }

    #[test]
    fn a_price_between_the_nearest_thresholds_is_quiet() {
        let mut index = Index::default();
        assert!(index.is_quiet(p(0)));
        index.update(0, Wake::default(), wake(Some(2500), None, false));
        index.update(1, Wake::default(), wake(Some(2510), Some(2490), false));
        assert!(index.is_quiet(p(2499)) && index.is_quiet(p(2491)));
        assert!(!index.is_quiet(p(2500)) && !index.is_quiet(p(2490)));
    }

    #[test]
    fn every_level_at_or_past_its_price_is_asked_once_and_in_order() {
        let mut index = Index::default();
        index.update(3, Wake::default(), wake(Some(2500), Some(2600), false));
        index.update(1, Wake::default(), wake(Some(2505), None, false));
        index.update(2, Wake::default(), wake(None, None, true));
        index.update(0, Wake::default(), wake(None, Some(2500), false));
        let mut levels = Vec::new();
        index.concerned(p(2505), &mut levels);
        assert_eq!(levels, [1, 2, 3]);
        index.concerned(p(2500), &mut levels);
        assert_eq!(levels, [0, 2, 3]);
    }

    #[test]
    fn a_level_that_moves_leaves_nothing_behind() {
        let mut index = Index::default();
        let (a, b) = (wake(Some(2500), None, false), wake(None, Some(2400), true));
        index.update(0, Wake::default(), a);
        index.update(0, a, b);
        assert!(!index.is_quiet(p(2450)));
        index.update(0, b, Wake::default());
        assert!(index.is_quiet(p(2500)) && index.is_quiet(p(2400)));
        let mut levels = vec![9];
        index.concerned(p(9999), &mut levels);
        assert!(levels.is_empty());
    }
}
