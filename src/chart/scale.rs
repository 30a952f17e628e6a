//! From prices and times to places, and the round numbers between which a reader counts.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, ToSpan};

use crate::chart::{BOTTOM, TOP};
use crate::market::price::{Price, TickSize};
use crate::time::{Timestamp, zone_name as zone_of};

/// Lines of the price grid: rather more than too few.
const LINES: std::ops::RangeInclusive<i128> = 3..=6;
/// At most so many times stand on the time axis.
const TIMES_MAX: i64 = 7;
/// Dates are wider.
const DAYS_MAX: i64 = 6;
/// Distances of times on the axis within a day, in seconds.
const SECONDS: &[i64] =
    &[1, 5, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 14_400, 21_600, 43_200];
const DAY: i64 = 86_400;

/// Which prices are seen, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PriceScale {
    low: i128,
    high: i128,
}

impl PriceScale {
    /// From the lowest to the highest of `prices`, at least `span_min`, with room above and below.
    pub(super) fn around((low, high): (Price, Price), span_min: Price) -> Self {
        let (low, high) = (nanos(low), nanos(high));
        let lacking = nanos(span_min).saturating_sub(high.saturating_sub(low)).max(0);
        let half = lacking.saturating_add(1).saturating_div(2);
        let (low, high) = (low.saturating_sub(half), high.saturating_add(half));
        let room = high.saturating_sub(low).saturating_mul(8).saturating_div(100).max(1);
        Self { low: low.saturating_sub(room), high: high.saturating_add(room) }
    }

    pub(super) const fn span(&self) -> i128 {
        self.high.saturating_sub(self.low)
    }

    pub(super) fn middle(&self) -> Price {
        let middle = self.low.saturating_add(self.high).saturating_div(2);
        Price::from_nanos(i64::try_from(middle).unwrap_or_default())
    }

    pub(super) fn contains(&self, price: Price) -> bool {
        (self.low..=self.high).contains(&nanos(price))
    }

    /// In tenths of a unit. What is not seen lies at the edge.
    pub(super) fn y(&self, price: Price) -> i64 {
        let down =
            self.high.saturating_sub(nanos(price)).saturating_mul(i128::from(BOTTOM.saturating_sub(TOP)));
        let down = down.checked_div(self.span()).unwrap_or(0);
        i64::try_from(down).unwrap_or(i64::MAX).saturating_add(TOP).clamp(TOP, BOTTOM)
    }

    /// Round prices, from the lowest up.
    pub(super) fn grid(&self, tick: TickSize) -> Vec<Price> {
        let Some(step) = self.step(nanos(tick.price())) else { return Vec::new() };
        let first = self.low.saturating_add(step).saturating_sub(1).div_euclid(step).saturating_mul(step);
        let lines = usize::try_from(*LINES.end()).unwrap_or_default();
        let prices = (0i128..).map(|n| first.saturating_add(step.saturating_mul(n)));
        let seen = prices.take_while(|price| *price <= self.high).take(lines.saturating_add(1));
        seen.filter_map(|price| i64::try_from(price).ok().map(Price::from_nanos)).collect()
    }

    /// The smallest round distance that gives few lines: 1, 2 or 5 times a power of ten points where the tick allows
    /// that, else so many ticks.
    fn step(&self, tick: i128) -> Option<i128> {
        let few = |step: &i128| self.span().checked_div(*step).is_some_and(|lines| lines < *LINES.end());
        let enough =
            |step: &i128| self.span().checked_div(*step).is_some_and(|lines| lines >= *LINES.start());
        let on_tick = |step: &i128| step.checked_rem(tick) == Some(0);
        let round = round_of(1).filter(on_tick).find(few).filter(enough);
        round.or_else(|| round_of(tick).find(few))
    }
}

fn nanos(price: Price) -> i128 {
    i128::from(price.as_nanos())
}

/// 1, 2, 5, 10, 20, 50, ... times something.
fn round_of(unit: i128) -> impl Iterator<Item = i128> {
    let power = |n: u32| 10i128.checked_pow(n);
    (0..22).filter_map(power).flat_map(move |power| {
        [1, 2, 5].into_iter().map(move |digit: i128| digit.saturating_mul(power).saturating_mul(unit))
    })
}

/// Which times are seen, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeScale {
    from: Timestamp,
    until: Timestamp,
    left: i64,
    right: i64,
}

impl TimeScale {
    pub(super) const fn new((from, until): (Timestamp, Timestamp), (left, right): (i64, i64)) -> Self {
        Self { from, until, left, right }
    }

    pub(super) fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }

    /// In tenths of a unit. What is not seen lies at the edge.
    pub(super) fn x(&self, at: Timestamp) -> i64 {
        let passed = i128::from(at.as_nanos()).saturating_sub(i128::from(self.from.as_nanos()));
        let all = i128::from(self.until.as_nanos()).saturating_sub(i128::from(self.from.as_nanos()));
        let wide = i128::from(self.right.saturating_sub(self.left));
        let right = passed.saturating_mul(wide).checked_div(all).unwrap_or(0);
        i64::try_from(right).unwrap_or(i64::MAX).saturating_add(self.left).clamp(self.left, self.right)
    }

    /// Round times in the zone, with their words: `09:30`, and `26 Nov` at midnight.
    pub(super) fn ticks(&self, zone: &TimeZone) -> Vec<(Timestamp, String)> {
        let seconds = self.until.as_secs().saturating_sub(self.from.as_secs());
        if seconds <= 0 {
            return Vec::new();
        }
        let fits = |step: &&i64| seconds.checked_div(**step).is_some_and(|n| n < TIMES_MAX);
        let midnight = zone.to_datetime(self.from.to_jiff()).date();
        let mut ticks: Vec<Timestamp> = match SECONDS.iter().find(fits) {
            Some(&step) => times(self.from, step, zone).collect(),
            None => days(midnight, seconds, zone).collect(),
        };
        // A local time that clocks leave out is another one.
        ticks.sort_unstable();
        ticks.dedup();
        ticks.retain(|at| self.contains(*at));
        ticks.into_iter().map(|at| (at, words(zone.to_datetime(at.to_jiff()), seconds))).collect()
    }
}

/// Local times every so many seconds of the day, from about a moment on.
fn times(from: Timestamp, step: i64, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
    let local = zone.to_datetime(from.to_jiff());
    let passed = local.duration_since(local.date().at(0, 0, 0, 0)).as_secs();
    let first = passed.saturating_sub(passed.checked_rem(step).unwrap_or(0));
    // Where clocks are set back, local times come again: an hour more is looked through.
    let more = 3_600i64.checked_div(step).unwrap_or(0).saturating_add(1);
    (0..=TIMES_MAX.saturating_add(1).saturating_add(more)).filter_map(move |n| {
        let passed = SignedDuration::from_secs(first.saturating_add(n.saturating_mul(step)));
        let local = local.date().at(0, 0, 0, 0).checked_add(passed).ok()?;
        Some(instant(local, zone))
    })
}

/// Midnights, so many days apart that few are seen.
fn days(midnight: Date, seen: i64, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
    let step = [1, 2, 3, 4, 7, 14, 28]
        .into_iter()
        .find(|days| seen.checked_div(DAY.saturating_mul(*days)).is_some_and(|n| n < DAYS_MAX));
    let step = step.unwrap_or_else(|| seen.saturating_div(TIMES_MAX * DAY).saturating_add(1));
    (1..=TIMES_MAX.saturating_add(1)).filter_map(move |n| {
        let local = midnight.checked_add(n.saturating_mul(step).days()).ok()?.at(0, 0, 0, 0);
        Some(instant(local, zone))
    })
}

fn instant(local: DateTime, zone: &TimeZone) -> Timestamp {
    zone.to_ambiguous_timestamp(local).compatible().map_or(Timestamp::MAX, Timestamp::from_jiff)
}

fn words(local: DateTime, seen: i64) -> String {
    if local.time() == jiff::civil::Time::midnight() {
        local.strftime("%-d %b").to_string()
    } else if seen < 120 {
        local.strftime("%H:%M:%S").to_string()
    } else {
        local.strftime("%H:%M").to_string()
    }
}

/// To the second: `14:31:07`.
pub(super) fn clock(at: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(at.to_jiff()).strftime("%H:%M:%S").to_string()
}

/// The zone's short name.
pub(super) fn zone_name(at: Timestamp, zone: &TimeZone) -> String {
    zone_of(&at.to_jiff().to_zoned_datetime(zone.clone()))
}
