//! What a break must meet before it counts: prints, time and volume beyond the threshold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::rule::{Confirm, Official, Rule};
use crate::engine::scene::{Fact, Gap, Scene};
use crate::time::{Timestamp, format_duration};

/// One print beyond the threshold.
#[derive(Clone, Copy, Debug)]
pub struct Print {
    /// Its exchange time.
    pub at: Timestamp,
    /// Contracts traded.
    pub size: u32,
}

/// A break that waits for its confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// When the threshold was crossed.
    pub since: Timestamp,
    /// What nobody saw before the crossing.
    gap: Option<Gap>,
    /// Prints at distinct exchange times.
    prints: u32,
    last_print_at: Option<Timestamp>,
    /// Contracts traded beyond.
    volume: u64,
    /// Since when somebody has watched price stay beyond.
    held_since: Option<Timestamp>,
}

impl Pending {
    /// Crossed at this time.
    #[must_use]
    pub const fn new(since: Timestamp, gap: Option<Gap>) -> Self {
        Self { since, gap, prints: 0, last_print_at: None, volume: 0, held_since: None }
    }

    /// Counts a print beyond.
    pub fn count(&mut self, print: Print) {
        // One sweep prints many times within one exchange time stamp; it is one print here.
        if self.last_print_at.is_none_or(|last| print.at > last) {
            self.prints = self.prints.saturating_add(1);
            self.last_print_at = Some(print.at);
        }
        self.volume = self.volume.saturating_add(u64::from(print.size));
        self.held_since = self.held_since.or(Some(print.at));
    }

    /// Nobody watches: the time beyond is no longer continuous.
    pub const fn pause(&mut self) {
        self.held_since = None;
    }

    /// Nobody watched for a while: what was counted is no longer consecutive.
    pub const fn restart(&mut self) {
        self.prints = 0;
        self.last_print_at = None;
        self.volume = 0;
        self.held_since = None;
    }

    /// Whether everything that the rule asks for is met.
    #[must_use]
    pub fn is_confirmed(&self, conditions: &[Confirm], scene: &Scene<'_>) -> bool {
        conditions.iter().all(|condition| match condition {
            Confirm::Prints { count, size } => {
                self.prints >= *count || size.is_some_and(|size| self.volume >= size)
            }
            Confirm::Hold(duration) => self.held_until(*duration, scene).is_some_and(|due| due <= scene.at),
            Confirm::Volume(volume) => self.volume >= *volume,
            Confirm::BarClose { .. }
            | Confirm::SessionClose(_)
            | Confirm::RelativeVolume(_)
            | Confirm::Quote(_) => false,
        })
    }

    /// Whether the rule's patience is over.
    #[must_use]
    pub fn is_overdue(&self, within: Option<Duration>, scene: &Scene<'_>) -> bool {
        within.is_some_and(|within| scene.calendar.add_open(self.since, within) <= scene.at)
    }

    fn held_until(&self, duration: Duration, scene: &Scene<'_>) -> Option<Timestamp> {
        self.held_since.map(|since| scene.calendar.add_open(since, duration))
    }

    /// When time alone may change something.
    #[must_use]
    pub fn deadline(&self, rule: &Rule, scene: &Scene<'_>) -> Option<Timestamp> {
        let holds = rule.confirm.iter().filter_map(|condition| match condition {
            Confirm::Hold(duration) => self.held_until(*duration, scene),
            Confirm::Prints { .. }
            | Confirm::Volume(_)
            | Confirm::BarClose { .. }
            | Confirm::SessionClose(_)
            | Confirm::RelativeVolume(_)
            | Confirm::Quote(_) => None,
        });
        let patience = rule.confirm_within.map(|within| scene.calendar.add_open(self.since, within));
        holds.filter(|due| *due > scene.at).chain(patience).min()
    }

    /// Adds what was counted to a fact.
    #[must_use]
    pub fn describe(&self, mut fact: Fact, confirmed_by: &[Confirm], scene: &Scene<'_>) -> Fact {
        if !confirmed_by.is_empty() {
            let held = self.held_since.map_or(0, |since| scene.at.since(since).as_millis());
            fact.numbers.insert("confirmed_by".into(), describe(confirmed_by).into());
            fact.numbers.insert("held_ms".into(), u64::try_from(held).unwrap_or(u64::MAX).into());
            fact.numbers.insert("prints".into(), self.prints.into());
            fact.numbers.insert("volume".into(), self.volume.into());
            fact.numbers.insert("crossed_at".into(), self.since.to_string().into());
        }
        if let (Some(gap), Some(price)) = (self.gap, fact.price) {
            fact.prices.push(("gap", price.minus(gap.last).abs()));
            fact.prices.push(("last_before", gap.last));
            fact.numbers.insert("unwatched_from".into(), gap.from.to_string().into());
            fact.numbers.insert("unwatched_until".into(), gap.until.to_string().into());
        }
        fact
    }
}

/// The conditions in words (`2 prints, 5s hold`).
#[must_use]
pub fn describe(conditions: &[Confirm]) -> String {
    let words = conditions.iter().map(|condition| match condition {
        Confirm::Prints { count, size: None } => format!("{count} prints"),
        Confirm::Prints { count, size: Some(size) } => format!("{count} prints or {size} contracts"),
        Confirm::Hold(duration) => format!("{} hold", format_duration(*duration)),
        Confirm::Volume(volume) => format!("{volume} contracts"),
        Confirm::BarClose { length, bars: 1 } => format!("{} close", format_duration(*length)),
        Confirm::BarClose { length, bars } => format!("{bars} {} closes", format_duration(*length)),
        Confirm::SessionClose(Official::Rth) => "RTH close".to_owned(),
        Confirm::SessionClose(Official::Settlement) => "settlement".to_owned(),
        Confirm::RelativeVolume(times) => format!("{times} times the usual volume"),
        Confirm::Quote(duration) => format!("{} quoted", format_duration(*duration)),
    });
    words.collect::<Vec<_>>().join(", ")
}
