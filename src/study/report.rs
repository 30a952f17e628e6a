//! The statistics of a replay: what became of its breaks, and how sure that is.
//!
//! Every figure comes with the number of observations behind it. How it reads is decided in `text`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::event::{Event, ThreadId};
use crate::market::bar::Bar;
use crate::market::instrument::Instrument;
use crate::market::price::Price;
use crate::study::baseline::{Basis, Part, baseline, trade_dates};
use crate::study::follow::{Break, Excursion, Followed, Move, follow};
use crate::study::interval::Rate;
use crate::study::mean::{Mean, points};
use crate::study::outcome::Outcome;
use crate::study::series::{Horizon, Series};
use crate::time::Timestamp;

/// The bars of one contract. Contracts are never mixed: between two of them lies a spread that nobody traded.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Only events of this contract (`RTYZ4`) belong to the bars; `None` = all of the instrument.
    pub contract: Option<&'a str>,
    /// In order of time, without overlaps.
    pub bars: &'a [Bar],
}

/// What became of the breaks of a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Statistics {
    /// The instrument's root.
    pub instrument: String,
    /// What it was measured on.
    pub data: Data,
    /// How many breaks there were.
    pub breaks: usize,
    /// Of which so many were themselves established from bars.
    pub from_bars: usize,
    /// What the breaks came to.
    pub outcomes: Outcomes,
    /// Where price was afterwards, nearest horizon first.
    pub horizons: Vec<AtHorizon>,
    /// How far it went within an hour.
    pub excursions: Excursions,
    /// With what the horizons are compared.
    pub baseline: Basis,
    /// Every break by itself, in order of time.
    pub each: Vec<Followed>,
}

/// The bars behind a statistics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Data {
    /// How many bars.
    pub bars: usize,
    /// How long the first one is.
    pub bar_seconds: Option<u64>,
    /// On how many trade dates.
    pub trade_dates: usize,
    /// Where they begin.
    pub from: Option<Timestamp>,
    /// Where they end.
    pub to: Option<Timestamp>,
}

/// What breaks came to, of those after which the data holds the whole hour.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcomes {
    /// Failed.
    pub failed: Rate,
    /// Tested again, and held.
    pub retest_held: Rate,
    /// Never came back.
    pub ran_away: Rate,
    /// None of these.
    pub open: Rate,
}

/// Where price was at one horizon, in the direction of the breaks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AtHorizon {
    /// Which.
    pub horizon: Horizon,
    /// Points beyond the threshold.
    pub points: Mean,
    /// Average true ranges beyond the threshold.
    pub atr: Mean,
    /// How many were still at or beyond the threshold.
    pub beyond: Rate,
    /// The average true ranges that other entries made.
    pub baseline: Mean,
}

/// The mean of the largest excursions within an hour, of breaks after which the data holds it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Excursions {
    /// Beyond the threshold, in points.
    pub favourable_points: Mean,
    /// Beyond the threshold, in average true ranges.
    pub favourable_atr: Mean,
    /// Behind the threshold, in points.
    pub adverse_points: Mean,
    /// Behind the threshold, in average true ranges.
    pub adverse_atr: Mean,
}

/// The statistics of the events that were established over the bars of one contract, in order of time.
#[must_use]
pub fn statistics(events: &[Event], bars: &[Bar], instrument: &Instrument) -> Statistics {
    over(events, &[Run { contract: None, bars }], instrument)
}

/// The statistics over several contracts; each event is followed through the bars of its own.
#[must_use]
pub fn over(events: &[Event], runs: &[Run<'_>], instrument: &Instrument) -> Statistics {
    let parts = parts(events, runs, instrument);
    let each = followed(events, &parts);
    let base = baseline(&parts, &instrument.calendar);
    let base_at = |horizon| base.horizons.get(&horizon).copied().unwrap_or_default();
    let is_from_bars = |broken: &&Break<'_>| broken.event.from_bars;
    Statistics {
        instrument: instrument.root.as_str().to_owned(),
        data: Data::of(&parts),
        breaks: each.len(),
        from_bars: parts.iter().flat_map(|part| &part.breaks).filter(is_from_bars).count(),
        outcomes: Outcomes::of(&each),
        horizons: Horizon::ALL.into_iter().map(|h| AtHorizon::of(h, &each, base_at(h))).collect(),
        excursions: Excursions::of(&each),
        baseline: base.basis,
        each,
    }
}

/// The bars of each contract with the breaks in them.
pub(super) fn parts<'a>(events: &'a [Event], runs: &[Run<'a>], instrument: &Instrument) -> Vec<Part<'a>> {
    let is_of = |event: &Event, contract: Option<&str>| {
        event.instrument.as_deref() == Some(instrument.root.as_str())
            && (contract.is_none() || event.contract.as_deref() == contract)
    };
    let part = |run: &Run<'a>| Part {
        series: Series::new(run.bars, &instrument.calendar),
        breaks: events.iter().filter(|e| is_of(e, run.contract)).filter_map(Break::new).collect(),
    };
    runs.iter().map(part).collect()
}

/// Every break with what came after it, in order of time.
pub(super) fn followed(events: &[Event], parts: &[Part<'_>]) -> Vec<Followed> {
    let mut stories = BTreeMap::<&ThreadId, Vec<&Event>>::new();
    for event in events {
        stories.entry(&event.thread).or_default().push(event);
    }
    let story = |broken: &Break<'_>| stories.get(&broken.event.thread).map_or(&[][..], Vec::as_slice);
    let of_part =
        |part: &Part<'_>| part.breaks.iter().map(|b| follow(b, story(b), &part.series)).collect::<Vec<_>>();
    let mut each: Vec<Followed> = parts.iter().flat_map(of_part).collect();
    each.sort_by_key(|followed| followed.broke_at);
    each
}

impl Data {
    fn of(parts: &[Part<'_>]) -> Self {
        let bars = || parts.iter().flat_map(|part| part.series.bars());
        Self {
            bars: bars().count(),
            bar_seconds: bars().next().map(|bar| bar.length.as_secs()),
            trade_dates: trade_dates(parts).len(),
            from: bars().map(|bar| bar.start).min(),
            to: bars().map(Bar::end).max(),
        }
    }
}

impl Outcomes {
    fn of(each: &[Followed]) -> Self {
        let rate = |outcome| Rate::count(each.iter().filter(|f| f.settled), |f| f.outcome == outcome);
        Self {
            failed: rate(Outcome::Failed),
            retest_held: rate(Outcome::RetestHeld),
            ran_away: rate(Outcome::RanAway),
            open: rate(Outcome::Open),
        }
    }
}

impl AtHorizon {
    /// One horizon of all breaks.
    #[must_use]
    pub fn of(horizon: Horizon, each: &[Followed], baseline: Mean) -> Self {
        let moves = || each.iter().filter_map(|followed| followed.horizons.get(&horizon));
        let (points, atr) = means(moves());
        let beyond = Rate::count(moves(), |m| m.points.price >= Price::ZERO);
        Self { horizon, points, atr, beyond, baseline }
    }
}

impl Excursions {
    fn of(each: &[Followed]) -> Self {
        let side =
            |of: fn(&Excursion) -> &Move| means(each.iter().filter_map(|f| f.excursion.as_ref()).map(of));
        let (favourable_points, favourable_atr) = side(|e| &e.favourable);
        let (adverse_points, adverse_atr) = side(|e| &e.adverse);
        Self { favourable_points, favourable_atr, adverse_points, adverse_atr }
    }
}

/// In points, and in average true ranges.
fn means<'a>(moves: impl Iterator<Item = &'a Move> + Clone) -> (Mean, Mean) {
    (Mean::of(moves.clone().map(|m| points(m.points.price))), Mean::of(moves.filter_map(|m| m.atr)))
}

#[cfg(test)]
mod tests;
