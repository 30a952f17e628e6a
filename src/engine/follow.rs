//! What becomes of a break: it fails, or it is tested again and holds.
//!
//! The watch is about the level as it lay when it broke, wherever it moves afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::marks::Marks;
use crate::engine::rule::{FailBy, Terms};
use crate::engine::scene::Scene;
use crate::market::price::Price;
use crate::time::Timestamp;

/// What is watched after a break.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Nothing.
    #[default]
    Off,
    /// The break is young.
    Broken {
        /// When it was established.
        broke_at: Timestamp,
        /// Price has been far enough beyond that coming back is a retest.
        away: bool,
        /// Until then it can fail.
        fail_until: Timestamp,
        /// Until then coming back is a retest.
        retest_until: Timestamp,
        /// Where the level lay, as a traded price.
        #[serde(default)]
        level: Option<Price>,
        /// When the bar in progress ends, if a bar can fail the break.
        #[serde(default)]
        bar_ends: Option<Timestamp>,
    },
    /// Price is back at the level.
    Retesting {
        /// When the break was established.
        broke_at: Timestamp,
        /// Until then it can hold or fail.
        until: Timestamp,
        /// Where the level lay, as a traded price.
        #[serde(default)]
        level: Option<Price>,
        /// When the bar in progress ends, if a bar can fail the break.
        #[serde(default)]
        bar_ends: Option<Timestamp>,
    },
}

/// What one price did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing to tell.
    None,
    /// Price is back in the zone.
    Retested,
    /// It left the zone in the direction of the break.
    Held,
    /// It fell back behind the level.
    Failed,
}

impl Watch {
    /// Begins at a break of a level that lies at `level`, unless the rule watches nothing. Price may be far beyond
    /// at once.
    #[must_use]
    pub fn begin(terms: &Terms, level: Price, away: bool, scene: &Scene<'_>) -> Self {
        if !(terms.follow.retest || terms.follow.held || terms.follow.failed) {
            return Self::Off;
        }
        Self::Broken {
            broke_at: scene.at,
            away,
            fail_until: scene.book.calendar.add_open(scene.at, terms.fail.within),
            retest_until: scene.book.calendar.add_open(scene.at, terms.retest.within),
            level: Some(level),
            bar_ends: fail_bar(terms).and_then(|length| scene.bar_end(length)),
        }
    }

    /// When the break was established.
    #[must_use]
    pub const fn broke_at(&self) -> Option<Timestamp> {
        match self {
            Self::Off => None,
            Self::Broken { broke_at, .. } | Self::Retesting { broke_at, .. } => Some(*broke_at),
        }
    }

    /// Where the level lay when it broke, if something is watched.
    #[must_use]
    pub const fn level(&self) -> Option<Price> {
        match self {
            Self::Off => None,
            Self::Broken { level, .. } | Self::Retesting { level, .. } => *level,
        }
    }

    /// Another contract takes over, in whose prices the level lies elsewhere.
    pub fn turn(&mut self, to: impl Fn(Price) -> Price) {
        match self {
            Self::Off => {}
            Self::Broken { level, .. } | Self::Retesting { level, .. } => *level = level.map(to),
        }
    }

    const fn bar_ends(&self) -> Option<Timestamp> {
        match self {
            Self::Off => None,
            Self::Broken { bar_ends, .. } | Self::Retesting { bar_ends, .. } => *bar_ends,
        }
    }

    /// A price, as seen upwards.
    pub fn step(&mut self, seen: Price, marks: &Marks, terms: &Terms, scene: &Scene<'_>) -> Step {
        self.pass(scene.at);
        let by_trade = terms.fail.by == FailBy::Trade && seen <= marks.fail;
        match self {
            Self::Off => Step::None,
            Self::Broken { fail_until, .. } if by_trade && scene.at <= *fail_until => {
                *self = Self::Off;
                Step::Failed
            }
            Self::Broken { away, .. } if seen >= marks.excursion => {
                *away = true;
                Step::None
            }
            Self::Broken { broke_at, away: true, retest_until, level, bar_ends, .. }
                if seen <= marks.zone_top && scene.at <= *retest_until =>
            {
                let until = scene.book.calendar.add_open(scene.at, terms.retest.within);
                *self = Self::Retesting { broke_at: *broke_at, until, level: *level, bar_ends: *bar_ends };
                Step::Retested
            }
            Self::Broken { .. } => Step::None,
            Self::Retesting { .. } if by_trade => {
                *self = Self::Off;
                Step::Failed
            }
            Self::Retesting { .. } if seen >= marks.hold => {
                *self = Self::Off;
                Step::Held
            }
            Self::Retesting { .. } => Step::None,
        }
    }

    /// A bar may have ended, with this as its last price, seen upwards; and a watch that can no longer end in
    /// anything is over.
    pub fn on_time(&mut self, last: Option<Price>, marks: &Marks, terms: &Terms, scene: &Scene<'_>) -> Step {
        if self.bar_ends().is_some_and(|end| end <= scene.at) {
            let in_time = match self {
                Self::Off => false,
                Self::Broken { fail_until, .. } => scene.at <= *fail_until,
                Self::Retesting { until, .. } => scene.at <= *until,
            };
            if in_time && scene.watched && last.is_some_and(|last| last < marks.level) {
                *self = Self::Off;
                return Step::Failed;
            }
            let next = fail_bar(terms).and_then(|length| scene.bar_end(length));
            match self {
                Self::Off => {}
                Self::Broken { bar_ends, .. } | Self::Retesting { bar_ends, .. } => *bar_ends = next,
            }
        }
        self.pass(scene.at);
        Step::None
    }

    /// A watch that can no longer end in anything is over.
    fn pass(&mut self, at: Timestamp) {
        if self.ends().is_some_and(|end| end <= at) {
            *self = Self::Off;
        }
    }

    fn ends(&self) -> Option<Timestamp> {
        match self {
            Self::Off => None,
            Self::Broken { fail_until, retest_until, .. } => Some(after(*fail_until.max(retest_until))),
            Self::Retesting { until, .. } => Some(after(*until)),
        }
    }

    /// When time alone may change something.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.ends().into_iter().chain(self.bar_ends()).min()
    }

    /// At and above, at and below which price the watch must be asked.
    #[must_use]
    pub fn wake(&self, marks: &Marks, terms: &Terms) -> (Option<Price>, Option<Price>) {
        let fail = (terms.fail.by == FailBy::Trade).then_some(marks.fail);
        match self {
            Self::Off => (None, None),
            Self::Broken { away: false, .. } => (Some(marks.excursion), fail),
            Self::Broken { away: true, .. } => (None, Some(marks.zone_top)),
            Self::Retesting { .. } => (Some(marks.hold), fail),
        }
    }
}

/// The bar that can fail a break.
const fn fail_bar(terms: &Terms) -> Option<Duration> {
    match terms.fail.by {
        FailBy::Trade => None,
        FailBy::Bar(length) => Some(length),
    }
}

/// Limits are inclusive: the watch is over one nanosecond later.
fn after(limit: Timestamp) -> Timestamp {
    limit.saturating_add(Duration::from_nanos(1))
}
