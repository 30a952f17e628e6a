//! What of the bars is seen: no more columns than can be told apart, and no line where there was no price.

use std::time::Duration;

use crate::chart::place::Area;
use crate::chart::scale::{PriceScale, TimeScale};
use crate::chart::{Chart, Level};
use crate::market::bar::Bar;
use crate::market::price::Price;
use crate::time::Timestamp;

/// So many columns are drawn: two units each.
const COLUMNS: i128 = 280;
/// Shorter times without a bar are no gap: nobody traded for a while.
const GAP_MIN: Duration = Duration::from_secs(300);
/// At least so many ticks are seen.
const TICKS_MIN: i64 = 20;
/// The levels that the picture is about may stretch the prices' own span by this factor, in tenths.
const STRETCH: i128 = 30;
/// Other levels, in tenths.
const STRETCH_OTHERS: i128 = 15;
/// So many levels are drawn besides the highlighted ones: those nearest to the newest price.
const LEVELS_MAX: usize = 5;
/// And so many highlighted ones.
const HIGHLIGHTED_MAX: usize = 3;

/// Bars that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// The middle.
    pub(super) at: Timestamp,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) open: Price,
    pub(super) high: Price,
    pub(super) low: Price,
    pub(super) close: Price,
}

impl Column {
    fn of_bar(bar: &Bar) -> Self {
        let (high, low) = (bar.high.max(bar.low), bar.low.min(bar.high));
        let (high, low) = (high.max(bar.open).max(bar.close), low.min(bar.open).min(bar.close));
        Self {
            at: middle(bar.start, bar.end()),
            from: bar.start,
            until: bar.end(),
            open: bar.open,
            high,
            low,
            close: bar.close,
        }
    }

    const fn of_price(at: Timestamp, price: Price) -> Self {
        Self { at, from: at, until: at, open: price, high: price, low: price, close: price }
    }

    fn add(&mut self, later: &Self) {
        self.until = self.until.max(later.until);
        self.at = middle(self.from, self.until);
        (self.high, self.low) = (self.high.max(later.high), self.low.min(later.low));
        self.close = later.close;
    }
}

fn middle(from: Timestamp, until: Timestamp) -> Timestamp {
    let half = until.since(from).checked_div(2).unwrap_or_default();
    from.saturating_add(half)
}

/// Everything that is seen of prices.
pub(super) struct Series {
    /// Columns without a gap between them, oldest first; none is empty.
    pub(super) segments: Vec<Vec<Column>>,
    /// Which prices are seen.
    pub(super) scale: PriceScale,
    /// The newest price.
    pub(super) last: Option<Price>,
}

impl Series {
    pub(super) fn of(chart: &Chart) -> Self {
        let segments = segments(chart);
        let columns = || segments.iter().flatten();
        let last = columns().next_back().map(|column| column.close);
        let low = columns().map(|column| column.low).min();
        let high = columns().map(|column| column.high).max();
        let scale = scale(chart, low.zip(high));
        Self { segments, scale, last }
    }

    /// The times between two segments.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let ends = self.segments.iter().filter_map(|segment| segment.last());
        let begins = self.segments.iter().skip(1).filter_map(|segment| segment.first());
        ends.zip(begins).map(|(end, begin)| (end.until, begin.from))
    }

    /// The levels that lie in what is seen: highlighted ones, and the nearest others. Each price once.
    pub(super) fn shown<'a>(&self, levels: &'a [Level]) -> impl Iterator<Item = &'a Level> {
        let mut seen: Vec<&Level> = levels.iter().filter(|level| self.scale.contains(level.price)).collect();
        seen.sort_by_key(|level| (!level.highlighted, level.price.minus(self.middle()).abs()));
        let mut shown: Vec<&Level> = Vec::new();
        for level in seen {
            let others = shown.iter().filter(|shown| !shown.highlighted).count();
            let is_new = shown.iter().all(|shown| shown.price != level.price);
            if is_new
                && (level.highlighted || others < LEVELS_MAX)
                && shown.len() < LEVELS_MAX + HIGHLIGHTED_MAX
            {
                shown.push(level);
            }
        }
        shown.into_iter()
    }

    /// The nearest levels that are too far away to be seen: at most one above and one below, a highlighted one first.
    pub(super) fn beyond<'a>(&self, levels: &'a [Level]) -> impl Iterator<Item = &'a Level> {
        let middle = self.middle();
        let nearest = |above: bool| {
            let there = levels.iter().filter(move |level| !self.scale.contains(level.price));
            there
                .filter(move |level| (level.price > middle) == above)
                .min_by_key(|level| (!level.highlighted, level.price.minus(middle).abs()))
        };
        [nearest(true), nearest(false)].into_iter().flatten()
    }

    fn middle(&self) -> Price {
        self.last.unwrap_or_else(|| self.scale.middle())
    }

    /// Whether no price lies in an area.
    pub(super) fn is_beside(&self, area: &Area, time: &TimeScale) -> bool {
        let touches = |column: &Column| {
            let x = time.x(column.at);
            let column = Area {
                left: x.saturating_sub(20),
                right: x.saturating_add(20),
                top: self.scale.y(column.high).saturating_sub(20),
                bottom: self.scale.y(column.low).saturating_add(20),
            };
            column.touches(area)
        };
        !self.segments.iter().flatten().any(touches)
    }
}

fn segments(chart: &Chart) -> Vec<Vec<Column>> {
    let within = |bar: &&Bar| bar.start >= chart.from && bar.end() <= chart.until;
    let mut bars: Vec<Column> = chart.bars.iter().filter(within).map(Column::of_bar).collect();
    bars.sort_by_key(|column| column.from);
    let newest = bars.last().map_or(Timestamp::MIN, |column| column.until);
    let last = chart.last.filter(|(at, _)| *at >= newest && (chart.from..=chart.until).contains(at));
    bars.extend(last.map(|(at, price)| Column::of_price(at, price)));
    let bucket = Bucket::of(chart);
    let mut segments: Vec<Vec<Column>> = Vec::new();
    for bar in bars {
        match segments.last_mut() {
            Some(segment) if !segment.last().is_some_and(|before| bucket.is_gap(before, &bar)) => {
                match segment.last_mut().filter(|before| bucket.is_same(before, &bar)) {
                    Some(before) => before.add(&bar),
                    None => segment.push(bar),
                }
            }
            Some(_) | None => segments.push(vec![bar]),
        }
    }
    segments
}

/// The time that one column has on the picture.
struct Bucket {
    from: Timestamp,
    length: i128,
    /// There are more bars than columns.
    crowded: bool,
}

impl Bucket {
    fn of(chart: &Chart) -> Self {
        let all = i128::from(chart.until.as_nanos()).saturating_sub(i128::from(chart.from.as_nanos()));
        let crowded = i128::try_from(chart.bars.len()).unwrap_or(i128::MAX) > COLUMNS;
        Self { from: chart.from, length: all.saturating_div(COLUMNS).max(1), crowded }
    }

    fn index(&self, at: Timestamp) -> i128 {
        let passed = i128::from(at.as_nanos()).saturating_sub(i128::from(self.from.as_nanos()));
        passed.checked_div(self.length).unwrap_or(0)
    }

    fn is_same(&self, before: &Column, bar: &Column) -> bool {
        self.crowded && self.index(before.from) == self.index(bar.from)
    }

    /// Longer than three bars, than a pause in trading, and than what can be seen.
    fn is_gap(&self, before: &Column, bar: &Column) -> bool {
        let bars = bar.until.since(bar.from).saturating_mul(3);
        let seen = if self.crowded { self.length.saturating_mul(2) } else { 0 };
        let seen = Duration::from_nanos(u64::try_from(seen).unwrap_or(u64::MAX));
        bar.from.since(before.until) > bars.max(GAP_MIN).max(seen)
    }
}

/// A hundredth of a price above and below it: what is seen where only a level is known.
fn around(price: Price) -> (Price, Price) {
    let reach = Price::from_nanos(price.abs().as_nanos().saturating_div(100));
    (price.minus(reach), price.plus(reach))
}

/// The prices' own span, stretched to the levels as far as prices stay readable.
fn scale(chart: &Chart, prices: Option<(Price, Price)>) -> PriceScale {
    let highlighted = |level: &&Level| level.highlighted;
    let own = prices.or_else(|| {
        let level = chart.levels.iter().find(highlighted).or_else(|| chart.levels.first());
        level.map(|level| around(level.price))
    });
    let span_min = chart.tick.times(TICKS_MIN);
    let Some(mut range) = own else { return PriceScale::around((Price::ZERO, Price::ZERO), span_min) };
    let base = PriceScale::around(range, span_min).span();
    let mut levels: Vec<&Level> = chart.levels.iter().collect();
    let distance = |level: &Level| {
        let out = level.price.minus(range.1).max(range.0.minus(level.price));
        (!level.highlighted, out)
    };
    levels.sort_by_key(|level| distance(level));
    for level in levels {
        let wider = (range.0.min(level.price), range.1.max(level.price));
        let most = if level.highlighted { STRETCH } else { STRETCH_OTHERS };
        let span = PriceScale::around(wider, span_min).span();
        if span.saturating_mul(10) <= base.saturating_mul(most) {
            range = wider;
        }
    }
    PriceScale::around(range, span_min)
}
