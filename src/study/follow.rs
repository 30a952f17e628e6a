//! What became of a break: where price was afterwards, and how far it went both ways.
//!
//! Everything is seen in the direction of the break: above zero is beyond the threshold, for a support too.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::event::{Event, EventId, Kind, Side};
use crate::market::price::Price;
use crate::study::mean::{multiple, rounded};
use crate::study::outcome::{self, Outcome};
use crate::study::series::{Horizon, Series};
use crate::time::Timestamp;

/// Excursions and outcomes are those of so much open-market time after the break.
pub const WITHIN: Duration = Duration::from_secs(3_600);

/// One break, and what came after it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Followed {
    /// The break's event.
    pub event: EventId,
    /// The level's name.
    pub level: String,
    /// Which way it broke.
    pub side: Side,
    /// When.
    pub broke_at: Timestamp,
    /// The traded price at which the level counted as broken.
    pub threshold: Price,
    /// The average true range of the bars completed before the break, if they were enough.
    pub atr: Option<Price>,
    /// Where price was at each horizon that the data reaches, seen from the threshold.
    pub horizons: BTreeMap<Horizon, Move>,
    /// The largest excursions within an hour, if the data reaches that far.
    pub excursion: Option<Excursion>,
    /// What it came to within an hour.
    pub outcome: Outcome,
    /// Whether the data holds the whole hour, so that the outcome is final.
    pub settled: bool,
}

/// A difference of prices in the direction of the break.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Move {
    /// In points.
    pub points: Price,
    /// In average true ranges, when there is one.
    pub atr: Option<f64>,
}

/// How far price went, at least 0 each way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Excursion {
    /// Beyond the threshold.
    pub favourable: Move,
    /// Back behind it.
    pub adverse: Move,
}

/// A `level.broken` with everything a study needs.
#[derive(Clone, Copy, Debug)]
pub struct Break<'a> {
    /// The event.
    pub event: &'a Event,
    /// The level's name.
    pub level: &'a str,
    /// Which way.
    pub side: Side,
    /// The price that broke it.
    pub price: Price,
    /// The traded price at which the level counted as broken.
    pub threshold: Price,
    /// The level itself in prices of the contract; the threshold when it is an index level.
    pub level_price: Price,
}

impl<'a> Break<'a> {
    /// The break that an event tells of, if it does.
    #[must_use]
    pub fn new(event: &'a Event) -> Option<Self> {
        use crate::event::Space;
        let threshold = event.threshold?.price;
        let in_contract = event.level_space != Some(Space::Index);
        Some(Self {
            event,
            level: event.level.as_deref()?,
            side: event.side?,
            price: event.price.map_or(threshold, |px| px.price),
            threshold,
            level_price: event.level_price.filter(|_| in_contract).map_or(threshold, |px| px.price),
        })
        .filter(|_| event.kind == Kind::LevelBroken)
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.event.occurred_at
    }

    /// How far beyond the threshold a price is.
    #[must_use]
    pub fn beyond(&self, price: Price) -> Price {
        towards(self.side, price.minus(self.threshold))
    }
}

/// A difference of prices in the direction in which a level breaks.
#[must_use]
pub const fn towards(side: Side, difference: Price) -> Price {
    match side {
        Side::Resistance => difference,
        Side::Support => difference.negated(),
    }
}

/// Follows a break through the bars; `story` are the events of its thread.
#[must_use]
pub fn follow(broken: &Break<'_>, story: &[&Event], series: &Series<'_>) -> Followed {
    let at = broken.at();
    let atr = series.atr(at);
    let horizons = Horizon::ALL.into_iter().filter_map(|horizon| {
        let price = series.price(horizon, at)?;
        Some((horizon, Move::new(broken.beyond(price), atr)))
    });
    let window = series.after(at, WITHIN);
    let path = window.map(|until| Path::walk(broken, series, until));
    Followed {
        event: broken.event.id.clone(),
        level: broken.level.to_owned(),
        side: broken.side,
        broke_at: at,
        threshold: broken.threshold,
        atr,
        horizons: horizons.collect(),
        excursion: path.map(|path| path.excursion(atr)),
        outcome: outcome::of(broken, story, window, path.as_ref(), atr),
        settled: window.is_some(),
    }
}

impl Move {
    /// A difference, and how many average true ranges it is.
    #[must_use]
    pub fn new(points: Price, atr: Option<Price>) -> Self {
        Self { points, atr: atr.and_then(|atr| multiple(points, atr)).map(rounded) }
    }
}

/// Where price went after a break.
///
/// Of the bar in which the level broke only the break's price and the close are known to be no earlier than
/// the break; of every later bar its extremes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// The farthest beyond the threshold, at least 0.
    pub best: Price,
    /// The farthest behind it, at most 0.
    pub worst: Price,
    /// Whether a bar closed behind the level.
    pub closed_behind: bool,
}

impl Path {
    /// Until a moment that the data reaches.
    #[must_use]
    pub fn walk(broken: &Break<'_>, series: &Series<'_>, until: Timestamp) -> Self {
        let start = broken.beyond(broken.price);
        let level = broken.beyond(broken.level_price);
        let mut path =
            Self { best: start.max(Price::ZERO), worst: start.min(Price::ZERO), closed_behind: false };
        for bar in series.between(broken.at(), until) {
            path.closed_behind |= broken.beyond(bar.close) < level;
            let known = if bar.start < broken.at() { [bar.close; 2] } else { [bar.high, bar.low] };
            for seen in known.map(|price| broken.beyond(price)) {
                path.best = path.best.max(seen);
                path.worst = path.worst.min(seen);
            }
        }
        path
    }

    fn excursion(&self, atr: Option<Price>) -> Excursion {
        Excursion { favourable: Move::new(self.best, atr), adverse: Move::new(self.worst.negated(), atr) }
    }
}
