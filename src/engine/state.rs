//! Everything about a level that changes. Saved with the events it caused, in one transaction.
//!
//! Most levels of most traders only wait: such a state takes a few words of memory, and its history is kept
//! apart.

use serde::{Deserialize, Serialize};

use crate::engine::confirm::Pending;
use crate::engine::follow::Watch;
use crate::engine::reject::Visit;
use crate::engine::scene::{Fact, Remark};
use crate::event::{Kind, Numbers, Reason, ThreadId};
use crate::market::price::Price;
use crate::time::Timestamp;

/// A thread being told, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    thread: ThreadId,
    step: u32,
}

/// Whether the level can break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latch {
    /// No price seen yet, or its place not known yet.
    New,
    /// Price is on the near side.
    Armed {
        /// The approach was told, or is not news.
        near: bool,
    },
    /// Beyond, and waiting for confirmation.
    Pending(Box<Pending>),
    /// Beyond, unconfirmed for too long; armed again as soon as price is back.
    Unconfirmed,
    /// Broken, or found beyond: waits for re-arming.
    Spent {
        /// Since when.
        since: Timestamp,
        /// Since when price is behind the re-arm price, if it is.
        behind_since: Option<Timestamp>,
    },
    /// Where the level lies is not known, and that was said; watched again as soon as it is.
    Unplaced,
    /// Cannot be watched until a person changes the rule.
    Suspended,
    /// Over.
    Expired,
}

/// Where a level stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether the level can break.
    pub latch: Latch,
    /// What happened so far, if anything did.
    #[serde(flatten)]
    pub life: Option<Box<Life>>,
}

/// What happened to a level so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// Where the level lies, when that is not what its author wrote.
    pub place: Option<Price>,
    /// What is watched after a break.
    pub watch: Watch,
    /// Price in the zone before the level.
    pub visit: Option<Visit>,
    /// How often price was turned away since the last break.
    pub rejections: u32,
    /// The thread of the break to come.
    pub opening: Option<Story>,
    /// The thread of the last break.
    pub told: Option<Story>,
    /// The last break has not been followed by a re-arming yet.
    pub spent_by_break: bool,
    /// Price was far away since it last came near: coming near will be news.
    pub far: bool,
    /// When the last thread was opened, in milliseconds: no two are opened at the same.
    pub opened_ms: Option<i64>,
    /// The last trade date with a break, and how many it had.
    pub breaks: Option<(i32, u32)>,
    /// When the last break was told.
    pub alerted_at: Option<Timestamp>,
    /// The last remark, for people who ask.
    pub remark: Option<(Timestamp, Remark)>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Of a rule that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { latch: Latch::New, life: None }
    }

    /// What happened so far, to be changed.
    pub fn life_mut(&mut self) -> &mut Life {
        self.life.get_or_insert_default()
    }

    /// The last remark.
    #[must_use]
    pub fn remark(&self) -> Option<(Timestamp, Remark)> {
        self.life.as_ref().and_then(|life| life.remark)
    }

    /// As it was saved: a history in which nothing happened is none.
    #[must_use]
    pub fn tidied(self) -> Self {
        Self { life: self.life.filter(|life| **life != Life::default()), ..self }
    }
}

impl Story {
    /// Of a new thread.
    #[must_use]
    pub const fn new(thread: ThreadId) -> Self {
        Self { thread, step: 0 }
    }

    /// Its next step.
    pub fn fact(&mut self, kind: Kind, reason: Reason, at: Timestamp, price: Option<Price>) -> Fact {
        self.step = self.step.saturating_add(1);
        Fact {
            kind,
            reason,
            at,
            price,
            thread: self.thread.clone(),
            step: self.step,
            prices: Vec::new(),
            numbers: Numbers::new(),
        }
    }
}
