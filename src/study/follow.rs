//! What became of a break: where price was afterwards, and how far it went both ways.
//!
//! Everything is seen in the direction of the break: above zero is beyond the threshold, for a support too.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::event::{Event, EventId, Kind, Px, Side, Space};
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
    pub threshold: Px,
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
    pub points: Px,
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
    pub threshold: Px,
    /// The level itself in prices of the contract; the threshold when it is an index level.
    pub level_price: Price,
}

impl<'a> Break<'a> {
    /// The break that an event tells of, if it does.
    #[must_use]
    pub fn new(event: &'a Event) -> Option<Self> {
        let threshold = event.threshold?;
        let in_contract = event.level_space != Some(Space::Index);
        Some(Self {
            event,
            level: event.level.as_deref()?,
            side: event.side?,
            price: event.price.unwrap_or(threshold).price,
            threshold,
            level_price: event.level_price.filter(|_| in_contract).unwrap_or(threshold).price,
        })
        .filter(|_| event.kind == Kind::LevelBroken)
    }

    /// When.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.event.occurred_at
    }

    /// A difference of prices, with the decimals of the instrument.
    #[must_use]
    pub fn moved(&self, points: Price, atr: Option<Price>) -> Move {
        let atr = atr.and_then(|atr| multiple(points, atr)).map(rounded);
        Move { points: Px { price: points, decimals: self.threshold.decimals }, atr }
    }

    /// How far beyond the threshold a price is.
    #[must_use]
    pub fn beyond(&self, price: Price) -> Price {
        towards(self.side, price.minus(self.threshold.price))
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
        Some((horizon, broken.moved(broken.beyond(price), atr)))
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
        excursion: path.map(|path| path.excursion(broken, atr)),
        outcome: outcome::of(broken, story, window, path.as_ref(), atr),
        settled: window.is_some(),
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

    fn excursion(&self, broken: &Break<'_>, atr: Option<Price>) -> Excursion {
        let [favourable, adverse] = [self.best, self.worst.negated()].map(|points| broken.moved(points, atr));
        Excursion { favourable, adverse }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::bar::Bar;
    use crate::market::calendar::Calendar;
    use crate::study::fixture::{bars, event, p, replayed, rty, rule, t};
    use crate::study::report;

    /// Half a minute into the minute in which the level breaks.
    fn broke_at() -> Timestamp {
        t(20).saturating_add(Duration::from_secs(30))
    }

    /// Twenty minutes below 2450, the break, a rise to 2455, and more than an hour there.
    fn rise() -> Vec<i64> {
        [vec![2449; 20], vec![2451, 2452, 2453, 2454], vec![2455; 60]].concat()
    }

    fn followed(bars: &[Bar], side: Side, later: &[Event]) -> Followed {
        let broken = event(Kind::LevelBroken, side, 20, broke_at());
        let story: Vec<&Event> = std::iter::once(&broken).chain(later).collect();
        follow(&Break::new(&broken).unwrap(), &story, &Series::new(bars, &Calendar::cme_equity()))
    }

    fn points(followed: &Followed) -> Vec<(Horizon, Price, f64)> {
        followed.horizons.iter().map(|(h, m)| (*h, m.points.price, m.atr.unwrap())).collect()
    }

    #[test]
    fn price_is_looked_at_where_it_was_at_each_horizon() {
        let seen = followed(&bars(0, rise()), Side::Resistance, &[]);
        assert_eq!(seen.atr, Some(p("2")));
        let expected = [
            (Horizon::Minute1, p("1"), 0.5),
            (Horizon::Minute5, p("5"), 2.5),
            (Horizon::Minute15, p("5"), 2.5),
            (Horizon::Minute60, p("5"), 2.5),
        ];
        assert_eq!(points(&seen), expected);
    }

    #[test]
    fn a_support_is_the_mirror() {
        let up = followed(&bars(0, rise()), Side::Resistance, &[]);
        let down = followed(&bars(0, rise().into_iter().map(|c| 4900 - c)), Side::Support, &[]);
        assert_eq!(down, Followed { side: Side::Support, ..up });
    }

    #[test]
    fn excursions_count_from_the_threshold_and_only_what_came_after_the_break() {
        // The bar of the break reaches from 2440 to 2470, and nobody knows whether before or after.
        let mut all = bars(0, [vec![2449; 20], vec![2451, 2447], vec![2453; 70]].concat());
        (all[20].low, all[20].high) = (p("2440"), p("2470"));
        let excursion = followed(&all, Side::Resistance, &[]).excursion.unwrap();
        let four = Move { points: Px { price: p("4"), decimals: 1 }, atr: Some(2.0) };
        assert_eq!(excursion.favourable, four);
        assert_eq!(excursion.adverse, four);
        let after_the_hour = [rise()[..80].to_vec(), vec![2400, 2500]].concat();
        let quiet = followed(&bars(0, after_the_hour), Side::Resistance, &[]).excursion.unwrap();
        assert_eq!((quiet.favourable.points.price, quiet.adverse.points.price), (p("6"), p("0")));
    }

    #[test]
    fn a_break_before_the_first_average_true_range_has_points_only() {
        let seen = followed(&bars(10, rise().into_iter().skip(10)), Side::Resistance, &[]);
        let five = Move { points: Px { price: p("5"), decimals: 1 }, atr: None };
        assert_eq!(seen.horizons[&Horizon::Minute5], five);
        assert_eq!((seen.atr, seen.outcome), (None, Outcome::Open));
    }

    #[test]
    fn the_outcome_is_what_the_engine_established_within_the_hour() {
        let rise = bars(0, rise());
        let later = |kind, minute| event(kind, Side::Resistance, 20, t(minute));
        let outcome = |events: &[Event]| followed(&rise, Side::Resistance, events).outcome;
        let retested = later(Kind::LevelRetested, 30);
        assert_eq!(outcome(&[]), Outcome::RanAway);
        assert_eq!(outcome(std::slice::from_ref(&retested)), Outcome::Open, "came back, and then nothing");
        assert_eq!(outcome(&[retested.clone(), later(Kind::LevelHeld, 31)]), Outcome::RetestHeld);
        assert_eq!(outcome(&[retested, later(Kind::LevelFailed, 31)]), Outcome::Failed);
        assert_eq!(outcome(&[later(Kind::LevelFailed, 82)]), Outcome::RanAway, "too late to count");
    }

    #[test]
    fn without_the_whole_hour_a_break_is_not_settled() {
        let whole = followed(&bars(0, rise()), Side::Resistance, &[]);
        let cut = followed(&bars(0, rise())[..80], Side::Resistance, &[]);
        assert!(whole.settled && whole.outcome == Outcome::RanAway && whole.excursion.is_some());
        assert!(!cut.settled && cut.outcome == Outcome::Open && cut.excursion.is_none());
    }

    #[test]
    fn a_close_behind_the_level_is_not_running_away_and_neither_is_standing_still() {
        let with = |after: [i64; 3]| [vec![2449; 20], vec![2451], after.to_vec(), vec![2455; 60]].concat();
        let outcome = |closes| followed(&bars(0, closes), Side::Resistance, &[]).outcome;
        assert_eq!(outcome(with([2452, 2450, 2452])), Outcome::RanAway);
        assert_eq!(outcome(with([2452, 2449, 2452])), Outcome::Open);
        assert_eq!(outcome([vec![2449; 20], vec![2450; 80]].concat()), Outcome::Open);
    }

    #[test]
    fn only_a_break_is_followed() {
        assert!(Break::new(&event(Kind::LevelHeld, Side::Resistance, 20, t(20))).is_none());
        let no_level = Event { level: None, ..event(Kind::LevelBroken, Side::Resistance, 20, t(20)) };
        assert!(Break::new(&no_level).is_none());
    }

    fn study(bars: &[Bar]) -> Vec<Followed> {
        let events = replayed(vec![rule("2450")], bars);
        report::statistics(&events, bars, &rty()).each
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_figure_depends_on_what_came_after_it(
            steps in proptest::collection::vec(-1i64..=1, 120..160), cut in 20usize..120,
        ) {
            let closes = steps.iter().scan(2449, |close, step| { *close += step; Some(*close) });
            let all = bars(0, closes);
            let (whole, short) = (study(&all), study(&all[..cut]));
            prop_assert!(short.len() <= whole.len());
            let series = Series::new(&all, &Calendar::cme_equity());
            for (before, after) in short.iter().zip(&whole) {
                prop_assert_eq!((&before.event, before.atr), (&after.event, after.atr));
                let reached = after.horizons.iter().filter(|(horizon, _)| {
                    series.due(**horizon, after.broke_at).unwrap() <= all[cut - 1].end()
                });
                prop_assert_eq!(before.horizons.iter().collect::<Vec<_>>(), reached.collect::<Vec<_>>());
                if before.settled {
                    prop_assert_eq!((before.excursion, before.outcome), (after.excursion, after.outcome));
                }
            }
        }
    }
}
