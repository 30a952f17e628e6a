//! The trade date in progress, trade by trade: what becomes of it is a [`Day`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::derive::{Day, Rth};
use crate::market::calendar::SessionBounds;
use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// The settlement is taken from so long before the end of regular trading hours.
const CLOSING: Duration = Duration::from_secs(30);

/// A trade date so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySoFar {
    day: Day,
}

impl DaySoFar {
    /// The trade date of its first trade, before which so much of it was not watched.
    #[must_use]
    pub const fn begin(date: i32, price: Price, unwatched: Duration) -> Self {
        let day = Day {
            date,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
            rth: None,
            settlement: None,
            unwatched,
        };
        Self { day }
    }

    /// A trade.
    pub fn add(&mut self, price: Price, size: u32, is_rth: bool) {
        let day = &mut self.day;
        day.high = day.high.max(price);
        day.low = day.low.min(price);
        day.close = price;
        day.volume = day.volume.saturating_add(u64::from(size));
        if is_rth {
            let first = Rth { open: price, high: price, low: price, close: price };
            let rth = day.rth.get_or_insert(first);
            rth.high = rth.high.max(price);
            rth.low = rth.low.min(price);
            rth.close = price;
        }
    }

    /// A price that no trade showed.
    pub fn reach(&mut self, high: Option<Price>, low: Option<Price>) {
        self.day.high = high.map_or(self.day.high, |high| self.day.high.max(high));
        self.day.low = low.map_or(self.day.low, |low| self.day.low.min(low));
    }

    /// So much open-market time nobody watched.
    pub fn missed(&mut self, length: Duration) {
        self.day.unwatched = self.day.unwatched.saturating_add(length);
    }

    /// So far.
    #[must_use]
    pub const fn so_far(&self) -> &Day {
        &self.day
    }

    /// The trade date as a whole.
    #[must_use]
    pub const fn over(self, settlement: Option<Price>) -> Day {
        Day { settlement, ..self.day }
    }
}

/// The trades from which the settlement is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The end of the regular trading hours for which it holds.
    end: Option<Timestamp>,
    /// Sum of price times size, in units of 1e-9, as text: it needs more than 64 bits.
    #[serde(with = "text")]
    value: i128,
    size: u64,
}

impl Closing {
    /// A trade, if it lies in the last 30 seconds of regular trading hours.
    pub fn add(&mut self, price: Price, size: u32, at: Timestamp, bounds: &SessionBounds) {
        let Some((_, end)) = bounds.rth.filter(|(_, end)| at < *end && end.since(at) <= CLOSING) else {
            return;
        };
        if self.end != Some(end) {
            *self = Self { end: Some(end), value: 0, size: 0 };
        }
        self.value = self.value.saturating_add(i128::from(price.as_nanos()).saturating_mul(i128::from(size)));
        self.size = self.size.saturating_add(u64::from(size));
    }

    /// The volume-weighted price on the tick grid, if the trades are of the regular trading hours that ended at
    /// `end`.
    #[must_use]
    pub fn price_of(&self, end: Timestamp, tick: TickSize) -> Option<Price> {
        if self.end == Some(end) { self.price(tick) } else { None }
    }

    fn price(&self, tick: TickSize) -> Option<Price> {
        let mean = self.value.checked_div(i128::from(self.size))?;
        i64::try_from(mean).ok().map(|nanos| tick.round(Price::from_nanos(nanos)))
    }
}

mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &i128, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<i128, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}
