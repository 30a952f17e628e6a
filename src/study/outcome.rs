//! What a break came to: it failed, it was tested again and held, price ran away, or none of them.

use serde::{Deserialize, Serialize};

use crate::event::{Event, Kind};
use crate::market::price::Price;
use crate::study::follow::{Break, Path};
use crate::time::Timestamp;

/// What a break came to within the hour after it (`follow::WITHIN`).
///
/// Failures and retests are those that the engine established by the rule's own distances and times; a rule
/// that does not follow them has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// `level.failed` came, at once or after a retest.
    Failed,
    /// `level.held` came: price returned to the level, and then left it in the direction of the break.
    RetestHeld,
    /// Price neither came back to the level nor closed a bar behind it, and went at least one average true
    /// range beyond the threshold. Known only when the hour is over.
    RanAway,
    /// None of these.
    Open,
}

/// What a break came to; `until` is the end of the hour, if the data reaches it.
#[must_use]
pub fn of(
    broken: &Break<'_>,
    story: &[&Event],
    until: Option<Timestamp>,
    path: Option<&Path>,
    atr: Option<Price>,
) -> Outcome {
    let within = |event: &&&Event| {
        event.occurred_at >= broken.at() && until.is_none_or(|until| event.occurred_at <= until)
    };
    let has = |kind: Kind| story.iter().filter(within).any(|event| event.kind == kind);
    let ran_away = path.zip(atr).is_some_and(|(path, atr)| !path.closed_behind && path.best >= atr);
    match (has(Kind::LevelFailed), has(Kind::LevelHeld), has(Kind::LevelRetested), ran_away) {
        (true, _, _, _) => Outcome::Failed,
        (false, true, _, _) => Outcome::RetestHeld,
        (false, false, false, true) => Outcome::RanAway,
        (false, false, true, _) | (false, false, false, false) => Outcome::Open,
    }
}
