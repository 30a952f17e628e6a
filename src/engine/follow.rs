//! What becomes of a break: it fails, or it is tested again and holds.

use serde::{Deserialize, Serialize};

use crate::engine::marks::Marks;
use crate::engine::rule::Rule;
use crate::engine::scene::Scene;
use crate::market::price::Price;
use crate::time::Timestamp;

/// What is watched after a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Nothing.
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
    },
    /// Price is back at the level.
    Retesting {
        /// When the break was established.
        broke_at: Timestamp,
        /// Until then it can hold or fail.
        until: Timestamp,
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
    /// Begins at a break, unless the rule watches nothing.
    #[must_use]
    pub fn begin(rule: &Rule, scene: &Scene<'_>) -> Self {
        if !(rule.follow.retest || rule.follow.held || rule.follow.failed) {
            return Self::Off;
        }
        Self::Broken {
            broke_at: scene.at,
            away: false,
            fail_until: scene.calendar.add_open(scene.at, rule.fail.within),
            retest_until: scene.calendar.add_open(scene.at, rule.retest.within),
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

    /// A price, as seen upwards.
    pub fn step(&mut self, seen: Price, marks: &Marks, rule: &Rule, scene: &Scene<'_>) -> Step {
        self.pass(scene.at);
        match self {
            Self::Off => Step::None,
            Self::Broken { fail_until, .. } if seen <= marks.fail && scene.at <= *fail_until => {
                *self = Self::Off;
                Step::Failed
            }
            Self::Broken { away, .. } if seen >= marks.excursion => {
                *away = true;
                Step::None
            }
            Self::Broken { broke_at, away: true, retest_until, .. }
                if seen <= marks.zone_top && scene.at <= *retest_until =>
            {
                let until = scene.calendar.add_open(scene.at, rule.retest.within);
                *self = Self::Retesting { broke_at: *broke_at, until };
                Step::Retested
            }
            Self::Broken { .. } => Step::None,
            Self::Retesting { .. } if seen <= marks.fail => {
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

    /// Time has passed: a watch that can no longer end in anything is over.
    pub fn pass(&mut self, at: Timestamp) {
        if self.deadline().is_some_and(|end| end <= at) {
            *self = Self::Off;
        }
    }

    /// When the watch is over by itself.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Off => None,
            Self::Broken { fail_until, retest_until, .. } => Some(after(*fail_until.max(retest_until))),
            Self::Retesting { until, .. } => Some(after(*until)),
        }
    }

    /// At and above, at and below which price the watch must be asked.
    #[must_use]
    pub const fn wake(&self, marks: &Marks) -> (Option<Price>, Option<Price>) {
        match self {
            Self::Off => (None, None),
            Self::Broken { away: false, .. } => (Some(marks.excursion), Some(marks.fail)),
            Self::Broken { away: true, .. } => (None, Some(marks.zone_top)),
            Self::Retesting { .. } => (Some(marks.hold), Some(marks.fail)),
        }
    }
}

/// Limits are inclusive: the watch is over one nanosecond later.
fn after(limit: Timestamp) -> Timestamp {
    limit.saturating_add(std::time::Duration::from_nanos(1))
}
