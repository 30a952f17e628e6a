//! How far the futures lie from their index, measured: the median of fresh pairs while the cash market is open.
//!
//! Outside those hours the index stands still and the futures go on: the last median holds.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::market::calendar::SessionBounds;
use crate::market::price::Price;
use crate::time::Timestamp;

/// The median is taken over so many pairs.
const PAIRS: usize = 61;
/// And from so many on.
const PAIRS_LEAST: usize = 5;
/// A pair is taken at most so often.
const EVERY: Duration = Duration::from_secs(10);
/// The two prices of a pair are not further apart than this.
const FRESH: Duration = Duration::from_secs(5);
/// After the open of regular trading hours the index takes so long to have all its members.
const SETTLES: Duration = Duration::from_secs(5 * 60);

/// What was measured so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    pairs: VecDeque<Price>,
    last: Option<Timestamp>,
}

impl Measured {
    /// The index printed, while the futures stood at `futures`.
    pub fn pair(
        &mut self,
        (index, index_at): (Price, Timestamp),
        (futures, futures_at): (Price, Timestamp),
        bounds: &SessionBounds,
    ) {
        let open = bounds
            .rth
            .is_some_and(|(start, end)| start.saturating_add(SETTLES) <= index_at && index_at < end);
        let apart = index_at.since(futures_at).max(futures_at.since(index_at));
        let due = self.last.is_none_or(|last| last.saturating_add(EVERY) <= index_at);
        if !open || apart > FRESH || !due {
            return;
        }
        self.last = Some(index_at);
        self.pairs.push_back(futures.minus(index));
        if self.pairs.len() > PAIRS {
            self.pairs.pop_front();
        }
    }

    /// Futures minus index, once it was measured: the median.
    #[must_use]
    pub fn basis(&self) -> Option<Price> {
        let mut sorted: Vec<Price> = self.pairs.iter().copied().collect();
        sorted.sort_unstable();
        let half = sorted.len() / 2;
        sorted.get(half).copied().filter(|_| sorted.len() >= PAIRS_LEAST)
    }

    /// Another contract is in force: what was measured holds no more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}
