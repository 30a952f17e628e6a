//! What price does anyway: the follow-through of entries that have nothing to do with a break.
//!
//! No randomness: where the textbook draws entries at random, all of them are taken.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::event::Side;
use crate::market::bar::Bar;
use crate::market::calendar::Calendar;
use crate::study::follow::{Break, towards};
use crate::study::mean::{Mean, multiple};
use crate::study::series::{Horizon, Series};
use crate::time::Timestamp;

/// With what the breaks are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Entries at the same minute of the day, on every other trade date of the data.
    SameTimeOnOtherDates,
    /// Entries at every bar: the data has a single trade date.
    EveryBar,
}

/// The mean follow-through of entries at the open of a bar, in average true ranges, each in the direction of
/// the break that it stands beside. An entry beside several breaks counts as often.
#[derive(Clone, Debug, PartialEq)]
pub struct Baseline {
    /// Which entries.
    pub basis: Basis,
    /// The means, with the number of different entries behind each.
    pub horizons: BTreeMap<Horizon, Mean>,
}

/// A series and the breaks in it.
#[derive(Debug)]
pub struct Part<'a> {
    /// The bars of one contract.
    pub series: Series<'a>,
    /// The breaks that happened in them.
    pub breaks: Vec<Break<'a>>,
}

/// A bar at whose open a trader could have entered.
struct Entry<'a> {
    series: &'a Series<'a>,
    bar: &'a Bar,
    side: Side,
    weight: u32,
}

/// A minute of the day, by the venue's clock, and a direction.
type Moment = (i32, Side);

/// The baseline of all breaks of all parts.
#[must_use]
pub fn baseline(parts: &[Part<'_>], calendar: &Calendar) -> Baseline {
    let one_date = trade_dates(parts).len() <= 1;
    let basis = if one_date { Basis::EveryBar } else { Basis::SameTimeOnOtherDates };
    let entries = match basis {
        Basis::EveryBar => every_bar(parts),
        Basis::SameTimeOnOtherDates => same_time(parts, calendar),
    };
    let mean = |horizon| Mean::weighted(entries.iter().filter_map(|e| Some((e.figure(horizon)?, e.weight))));
    Baseline { basis, horizons: Horizon::ALL.into_iter().map(|h| (h, mean(h))).collect() }
}

/// The trade dates on which there are bars.
#[must_use]
pub fn trade_dates(parts: &[Part<'_>]) -> BTreeSet<Date> {
    let dates = |part: &Part<'_>| -> BTreeSet<Date> {
        part.series.bars().iter().filter_map(|bar| part.series.trade_date(bar.start)).collect()
    };
    parts.iter().flat_map(dates).collect()
}

impl Entry<'_> {
    fn figure(&self, horizon: Horizon) -> Option<f64> {
        let (at, price) = (self.bar.start, self.series.price(horizon, self.bar.start)?);
        multiple(towards(self.side, price.minus(self.bar.open)), self.series.atr(at)?)
    }
}

fn every_bar<'a>(parts: &'a [Part<'a>]) -> Vec<Entry<'a>> {
    let mut weights = BTreeMap::<Side, u32>::new();
    for broken in parts.iter().flat_map(|part| &part.breaks) {
        add(weights.entry(broken.side).or_default());
    }
    let entries = |part: &'a Part<'a>| {
        let entry = |(bar, (side, weight))| Entry { series: &part.series, bar, side, weight };
        let bars = part.series.bars().iter();
        let pairs = bars.flat_map(|bar| weights.iter().map(move |(side, weight)| (bar, (*side, *weight))));
        pairs.map(entry).collect::<Vec<_>>()
    };
    parts.iter().flat_map(entries).collect()
}

fn same_time<'a>(parts: &'a [Part<'a>], calendar: &Calendar) -> Vec<Entry<'a>> {
    let wanted = moments(parts, calendar);
    let mut entries = Vec::new();
    for Part { series, .. } in parts {
        let mut last = None;
        for bar in series.bars() {
            let Some(date) = series.trade_date(bar.start) else { continue };
            let minute = minute_of(bar.start, calendar);
            // Of several bars in a minute the first one is the entry.
            if last.replace((date, minute)) == Some((date, minute)) {
                continue;
            }
            for side in Side::ALL.iter().copied() {
                let weight = wanted.get(&(minute, side)).map_or(0, |dates| others(dates, date));
                if weight > 0 {
                    entries.push(Entry { series, bar, side, weight });
                }
            }
        }
    }
    entries
}

/// When in the day the breaks were, and on which trade dates how many.
fn moments(parts: &[Part<'_>], calendar: &Calendar) -> BTreeMap<Moment, BTreeMap<Date, u32>> {
    let mut moments = BTreeMap::<Moment, BTreeMap<Date, u32>>::new();
    for Part { series, breaks } in parts {
        for broken in breaks {
            let at = series.bar_at(broken.at()).map_or(broken.at(), |bar| bar.start);
            if let Some(date) = series.trade_date(at) {
                let dates = moments.entry((minute_of(at, calendar), broken.side)).or_default();
                add(dates.entry(date).or_default());
            }
        }
    }
    moments
}

/// How many breaks were on other dates than this one.
fn others(dates: &BTreeMap<Date, u32>, date: Date) -> u32 {
    dates.iter().filter(|(other, _)| **other != date).fold(0, |sum, (_, n)| sum.saturating_add(*n))
}

fn add(count: &mut u32) {
    *count = count.saturating_add(1);
}

fn minute_of(at: Timestamp, calendar: &Calendar) -> i32 {
    let local = calendar.local(at);
    i32::from(local.hour()).saturating_mul(60).saturating_add(i32::from(local.minute()))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::float_arithmetic, reason = "a test that overflows fails")]
mod tests {
    use super::*;
    use crate::event::{Event, Kind};
    use crate::study::fixture::{bars, event, t};

    const DAY: u64 = 24 * 60;

    fn of(parts: &[(&[Bar], &[Event])]) -> Baseline {
        let calendar = Calendar::cme_equity();
        let parts: Vec<Part<'_>> = parts
            .iter()
            .map(|(bars, events)| Part {
                series: Series::new(bars, &calendar),
                breaks: events.iter().filter_map(Break::new).collect(),
            })
            .collect();
        baseline(&parts, &calendar)
    }

    fn broken(side: Side, minute: u64) -> Event {
        event(Kind::LevelBroken, side, minute, t(minute))
    }

    #[test]
    fn one_day_is_compared_with_every_bar() {
        // Price rises by one point a minute; the average true range is 2. The close of an entry's own minute
        // is its open, and after five minutes it is four points higher.
        let bars = bars(0, 2400..2430);
        let base = of(&[(&bars, &[broken(Side::Resistance, 20)])]);
        assert_eq!(base.basis, Basis::EveryBar);
        assert_eq!(base.horizons[&Horizon::Minute1], Mean { n: 16, mean: Some(0.0) }, "from the 15th bar on");
        assert_eq!(base.horizons[&Horizon::Minute5], Mean { n: 12, mean: Some(2.0) });
        assert_eq!(base.horizons[&Horizon::Minute60], Mean::default());
    }

    #[test]
    fn a_support_is_compared_with_falling_prices() {
        let bars = bars(0, 2400..2430);
        let down = of(&[(&bars, &[broken(Side::Support, 20)])]);
        assert_eq!(down.horizons[&Horizon::Minute5].mean, Some(-2.0));
        let (up, one_down) = (broken(Side::Resistance, 20), broken(Side::Support, 25));
        let both = of(&[(&bars, &[up.clone(), up, one_down])]);
        assert_eq!(
            both.horizons[&Horizon::Minute5],
            Mean { n: 24, mean: Some(0.6667) },
            "two of three are up"
        );
    }

    #[test]
    fn several_days_are_compared_at_the_same_time_of_day() {
        // Tuesday rises by a point a minute, Wednesday falls; Monday, the day of the break, would disturb.
        let days = [
            bars(0, (0..30).map(|n| 2400 + 10 * n)),
            bars(DAY, 2400..2430),
            bars(2 * DAY, (2400..2430).rev()),
        ];
        let all: Vec<Bar> = days.iter().flatten().copied().collect();
        let base = of(&[(&all, &[broken(Side::Resistance, 20)])]);
        assert_eq!(base.basis, Basis::SameTimeOnOtherDates);
        assert_eq!(base.horizons[&Horizon::Minute5], Mean { n: 2, mean: Some(base_mean(&all)) });
        let tuesday: Vec<Bar> = days[..2].iter().flatten().copied().collect();
        let base = of(&[(&tuesday, &[broken(Side::Resistance, 20)])]);
        assert_eq!(base.horizons[&Horizon::Minute5].n, 1);
        assert!(base.horizons[&Horizon::Minute5].mean.unwrap() > 0.0);
    }

    /// By hand: four points up on Tuesday and four down on Wednesday, each in its own average true range.
    fn base_mean(all: &[Bar]) -> f64 {
        let series = Series::new(all, &Calendar::cme_equity());
        let four = crate::market::price::Price::from_points(4);
        let ratio = |at| multiple(four, series.atr(t(at)).unwrap()).unwrap();
        crate::study::mean::rounded((ratio(DAY + 20) - ratio(2 * DAY + 20)) / 2.0)
    }

    #[test]
    fn of_several_bars_in_a_minute_the_first_is_the_entry() {
        let seconds = |minute: u64| {
            let minute = bars(minute, 2400..2430);
            let halves = |bar: &Bar| {
                let half = std::time::Duration::from_secs(30);
                [0, 1].map(|n| Bar { start: bar.start.saturating_add(half * n), length: half, ..*bar })
            };
            minute.iter().flat_map(halves).collect::<Vec<_>>()
        };
        let all: Vec<Bar> = [seconds(0), seconds(DAY)].concat();
        let base = of(&[(&all, &[broken(Side::Resistance, 20)])]);
        assert_eq!(base.horizons[&Horizon::Minute5].n, 1);
    }
}
