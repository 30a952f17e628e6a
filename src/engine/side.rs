//! The next contract beside the one in force: how far apart they trade, and which of them trades more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::Update;
use crate::time::Timestamp;

/// Prices of two contracts are of the same moment when they are not further apart than this.
const SAME_MOMENT: Duration = Duration::from_secs(2);

/// What is seen of the next contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideMarket {
    /// Which one.
    pub month: ContractMonth,
    /// The middle of its quote, and when that was.
    mid: Option<(Price, Timestamp)>,
    /// The middle of the quote of the contract in force, and when that was.
    ours: Option<(Price, Timestamp)>,
    /// The next contract's middle minus ours, and when that was.
    spread: Option<(Price, Timestamp)>,
    /// Contracts of it traded in this trade date.
    pub volume: u64,
}

impl SideMarket {
    /// A contract that comes into sight.
    #[must_use]
    pub const fn new(month: ContractMonth) -> Self {
        Self { month, mid: None, ours: None, spread: None, volume: 0 }
    }

    /// An update of the next contract.
    pub fn on_theirs(&mut self, update: &Update, at: Timestamp) {
        match update {
            Update::Trade { size, .. } => self.volume = self.volume.saturating_add(u64::from(*size)),
            Update::Quote { bid: Some(bid), ask: Some(ask) } if bid <= ask => {
                self.mid = Some((middle(*bid, *ask), at));
                self.measure();
            }
            Update::Quote { .. } | Update::Range { .. } => {}
        }
    }

    /// A quote of the contract in force.
    pub fn on_ours(&mut self, bid: Price, ask: Price, at: Timestamp) {
        self.ours = Some((middle(bid, ask), at));
        self.measure();
    }

    fn measure(&mut self) {
        let (Some((theirs, their_time)), Some((ours, our_time))) = (self.mid, self.ours) else { return };
        let apart = their_time.since(our_time).max(our_time.since(their_time));
        if apart <= SAME_MOMENT {
            self.spread = Some((theirs.minus(ours), their_time.max(our_time)));
        }
    }

    /// The spread, and when it was measured.
    #[must_use]
    pub const fn spread(&self) -> Option<(Price, Timestamp)> {
        self.spread
    }

    /// A new trade date began.
    pub const fn new_day(&mut self) {
        self.volume = 0;
    }
}

/// The middle between bid and offer.
#[must_use]
pub const fn middle(bid: Price, ask: Price) -> Price {
    Price::from_nanos(bid.as_nanos().midpoint(ask.as_nanos()))
}
