//! Price that came to the level and was turned away before a break.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::marks::Marks;
use crate::engine::scene::Scene;
use crate::market::price::Price;
use crate::time::Timestamp;

/// A visit in the zone before the level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visit {
    /// In the zone, and it can still be turned away.
    In(Stay),
    /// Still there, but the time is over, or it was never seen to come in.
    Stale,
}

/// What happened in the zone so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// When price came in.
    pub since: Timestamp,
    /// Until then it can be turned away.
    #[serde(default)]
    pub until: Timestamp,
    /// Price has left the zone since, though it was not turned away.
    #[serde(default)]
    pub out: bool,
    /// The highest price, as seen upwards.
    pub high: Price,
    /// When that was.
    pub high_at: Timestamp,
    /// Contracts traded in the zone and beyond.
    pub volume: u64,
}

/// A price on its way through the zone, as seen upwards; returns a stay that ended in a rejection. What comes into the
/// zone now can be turned away for `within` of open-market time.
pub fn step(
    visit: &mut Option<Visit>,
    (seen, size): (Price, u32),
    marks: &Marks,
    within: Duration,
    scene: &Scene<'_>,
) -> Option<Stay> {
    let (zone, at) = (seen >= marks.zone_bottom, scene.at);
    let comes_in = || {
        let until = scene.book.calendar.add_open(at, within);
        Visit::In(Stay { since: at, until, out: false, high: seen, high_at: at, volume: u64::from(size) })
    };
    match visit {
        None => {
            *visit = zone.then(comes_in);
            None
        }
        Some(Visit::Stale) => {
            if !zone {
                *visit = None;
            }
            None
        }
        Some(Visit::In(stay)) if at > stay.until => {
            *visit = zone.then(|| if stay.out { comes_in() } else { Visit::Stale });
            None
        }
        Some(Visit::In(stay)) => {
            stay.out = !zone;
            if zone {
                stay.volume = stay.volume.saturating_add(u64::from(size));
            }
            if seen > stay.high {
                (stay.high, stay.high_at) = (seen, at);
            }
            let stay = *stay;
            // Where the zone begins at the price that turns away, coming in is not turning away.
            let turned = marks.reject.is_some_and(|back| seen <= back && stay.high > back);
            if turned {
                *visit = zone.then_some(Visit::Stale);
            }
            turned.then_some(stay)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_that_was_saved_without_its_end_is_over() {
        let at: Timestamp = "2024-11-25T15:00:00Z".parse().unwrap();
        let saved =
            serde_json::json!({ "in": { "since": at, "high": "2499.7", "high_at": at, "volume": 3 } });
        let Visit::In(stay) = serde_json::from_value(saved).unwrap() else { panic!("in the zone") };
        assert!(stay.until < stay.since && !stay.out);
    }
}
