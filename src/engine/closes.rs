//! Closes of the last minutes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::market::price::Price;
use crate::time::Timestamp;

/// Closes of the last minutes, for returns over a few of them.
#[derive(Clone, Debug, Default)]
pub struct Closes {
    /// So many are kept; none when nobody asks.
    pub keep: Duration,
    list: VecDeque<(Timestamp, Price)>,
}

impl Closes {
    pub(super) fn push(&mut self, end: Timestamp, close: Price) {
        if self.keep.is_zero() {
            return;
        }
        let oldest = end.saturating_sub(self.keep);
        // One before the oldest stays: it is the price that held then.
        while self.list.get(1).is_some_and(|(at, _)| *at <= oldest) {
            self.list.pop_front();
        }
        self.list.push_back((end, close));
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// The close of the last minute that had ended at this time; `None` before the first one.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<Price> {
        let after = self.list.partition_point(|(end, _)| *end <= at);
        self.list.get(after.checked_sub(1)?).map(|(_, close)| *close)
    }
}
