//! What a feed sent that was not used, counted by reason.

use std::collections::BTreeMap;

/// Why something that a peer sent was not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// A message that is not JSON.
    NotJson,
    /// A message that is neither text nor UTF-8.
    NotText,
    /// A row without the fields it should have.
    WrongShape,
    /// A price that is no positive decimal number of at most 20 digits.
    BadPrice,
    /// A size that is no number.
    BadSize,
    /// An exchange time that is no time, long ago, or in the future; the row is used without it.
    BadTime,
    /// A symbol that nobody asked for.
    UnknownSymbol,
    /// The same update again.
    Duplicate,
    /// Numbers are missing between two updates; nothing is dropped, but something was lost.
    SequenceGap,
    /// The numbering began anew; nothing is dropped.
    SequenceReset,
}

impl Drop {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotText => "not_text",
            Self::WrongShape => "wrong_shape",
            Self::BadPrice => "bad_price",
            Self::BadSize => "bad_size",
            Self::BadTime => "bad_time",
            Self::UnknownSymbol => "unknown_symbol",
            Self::Duplicate => "duplicate",
            Self::SequenceGap => "sequence_gap",
            Self::SequenceReset => "sequence_reset",
        }
    }
}

/// Counters, since the start and since they were last told.
#[derive(Clone, Debug, Default)]
pub struct Drops {
    total: BTreeMap<Drop, u64>,
    untold: BTreeMap<Drop, u64>,
}

impl Drops {
    /// Counts one.
    pub fn count(&mut self, reason: Drop) {
        for counters in [&mut self.total, &mut self.untold] {
            let n = counters.entry(reason).or_default();
            *n = n.saturating_add(1);
        }
    }

    /// Since the start.
    #[must_use]
    pub const fn total(&self) -> &BTreeMap<Drop, u64> {
        &self.total
    }

    /// Since this was last called.
    pub fn take_untold(&mut self) -> BTreeMap<Drop, u64> {
        std::mem::take(&mut self.untold)
    }
}
