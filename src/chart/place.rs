//! Where words may stand: inside of the plot, and not on other words.

use crate::chart::canvas::Point;

/// A line of words is so high above and below its base line, in tenths of a unit.
const ABOVE: i64 = 190;
const BELOW: i64 = 50;

/// A rectangle, in tenths of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: i64,
    pub(super) right: i64,
    pub(super) top: i64,
    pub(super) bottom: i64,
}

impl Area {
    pub(super) const fn around(Point(x, y): Point, reach: i64) -> Self {
        Self {
            left: x.saturating_sub(reach),
            right: x.saturating_add(reach),
            top: y.saturating_sub(reach),
            bottom: y.saturating_add(reach),
        }
    }

    /// What words cover that begin at a place.
    const fn of_words(Point(x, y): Point, wide: i64) -> Self {
        Self {
            left: x,
            right: x.saturating_add(wide),
            top: y.saturating_sub(ABOVE),
            bottom: y.saturating_add(BELOW),
        }
    }

    pub(super) const fn touches(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    pub(super) const fn middle(&self) -> i64 {
        self.left.saturating_add(self.right).saturating_div(2)
    }

    pub(super) const fn is_within(&self, left: i64, right: i64) -> bool {
        self.left >= left && self.right <= right
    }

    /// The same, moved sideways until it lies within bounds.
    pub(super) fn moved_into(self, left: i64, right: i64) -> Self {
        let back = self.right.saturating_sub(right).max(0);
        let by = left.saturating_sub(self.left.saturating_sub(back)).max(0).saturating_sub(back);
        Self { left: self.left.saturating_add(by), right: self.right.saturating_add(by), ..self }
    }

    const fn is_inside(&self, other: &Self) -> bool {
        self.is_within(other.left, other.right) && self.top >= other.top && self.bottom <= other.bottom
    }
}

/// The words that have been placed.
pub(super) struct Labels {
    bounds: Area,
    taken: Vec<Area>,
}

impl Labels {
    pub(super) const fn new(bounds: Area) -> Self {
        Self { bounds, taken: Vec::new() }
    }

    pub(super) fn keep_free(&mut self, area: Area) {
        self.taken.push(area);
    }

    /// The first place that is free and has nothing behind it; else the first that is free.
    pub(super) fn place(
        &mut self,
        places: impl Iterator<Item = Point>,
        wide: i64,
        is_clear: impl Fn(&Area) -> bool,
    ) -> Option<Point> {
        let free: Vec<(Point, Area)> = places
            .map(|at| (at, Area::of_words(at, wide)))
            .filter(|(_, area)| area.is_inside(&self.bounds))
            .filter(|(_, area)| self.taken.iter().all(|taken| !area.touches(taken)))
            .collect();
        let clear = free.iter().find(|(_, area)| is_clear(area));
        let (at, area) = clear.or_else(|| free.first())?;
        self.taken.push(*area);
        Some(*at)
    }
}
