//! One update from a feed: a trade or a quote, with both of its clocks.

use serde::{Deserialize, Serialize};

use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::time::Timestamp;

/// The place of an instrument in the configuration's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstrumentId(pub u32);

impl InstrumentId {
    /// As an index into a table of instruments.
    #[must_use]
    pub fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Update {
    /// A trade, also called a print.
    Trade {
        /// Its price as the feed said it, not yet snapped to the tick grid.
        price: Price,
        /// Contracts traded; 0 when the feed does not say.
        size: u32,
    },
    /// The best bid and offer; `None` for a side that is empty.
    Quote {
        /// The best bid.
        bid: Option<Price>,
        /// The best offer.
        ask: Option<Price>,
    },
    /// The extremes of the trade date so far, as the feed knows them; `None` for one that it does not say.
    Range {
        /// The highest trade.
        high: Option<Price>,
        /// The lowest trade.
        low: Option<Price>,
    },
}

/// How far a value can be trusted to be the market of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Traded now, as far as the feed says.
    Live,
    /// The state that a feed sends first after a (re)subscription, possibly days old. It never fires.
    Snapshot,
    /// Delayed by entitlement. It never fires.
    Delayed,
    /// Frozen, halted, indicative or the previous close. It never fires.
    Stale,
    /// Expanded from a bar: the price was reached, the order within the bar is an assumption.
    FromBar,
}

/// One update of one contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Which month; `None` for an instrument without months.
    pub contract: Option<ContractMonth>,
    /// What happened.
    pub update: Update,
    /// When, by the exchange's clock; `None` when the feed does not say, or says something impossible.
    pub exchange_at: Option<Timestamp>,
    /// When it reached this process.
    pub received_at: Timestamp,
    /// The feed's own number of this update.
    pub sequence: Option<u64>,
    /// How far it can be trusted.
    pub quality: Quality,
}

impl Tick {
    /// Exchange time if known, else the time of receipt.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.exchange_at.unwrap_or(self.received_at)
    }
}

/// The place of a feed in the configuration's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeedId(pub u32);

/// The state of a feed's connection. It travels in the stream of ticks, so the engine cannot forget it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Connected, greeted and subscribed: what trades from here on is seen.
    Live,
    /// Not connected: what trades from here on is not seen.
    Down {
        /// What was lost.
        loss: Loss,
        /// For people, without secrets.
        detail: String,
    },
    /// Connected, but no print came within the market silence limit of an open session.
    Quiet,
}

/// Why a connection is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Closed by the peer, reset, or not reachable.
    Disconnected,
    /// Nothing at all arrived within the transport silence limit.
    TransportSilent,
    /// No print arrived in an open session, and a new subscription did not help.
    MarketSilent,
    /// The peer refused us; trying again at once would only make it worse.
    Refused,
}

/// A change of a feed's connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which feed.
    pub feed: FeedId,
    /// When, by the market's clock.
    pub at: Timestamp,
    /// What it is now.
    pub state: LinkState,
}

/// What a feed hands on, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// An update of the market.
    Tick(Tick),
    /// A change of the connection itself.
    Link(Link),
}
