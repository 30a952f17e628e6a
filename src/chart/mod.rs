//! One picture of the last hours: price, levels, and the break marked; read on a phone.
//!
//! The picture is SVG text, made of whole numbers, so that the same input gives the same text; [`png`] turns it
//! into pixels with its own font, so that no machine needs one. Where bars, levels and words come from is not
//! decided here.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

mod axis;
mod canvas;
mod place;
pub mod png;
mod scale;
mod series;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;

use crate::chart::axis::Tag;
use crate::chart::canvas::{Anchor, Canvas, Pen, Point, Text};
use crate::chart::place::{Area, Labels};
use crate::chart::scale::{PriceScale, TimeScale};
use crate::chart::series::Series;
use crate::event::Side;
use crate::market::bar::Bar;
use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// The picture's size in units: twice the width of a phone, so 22 units of text are 11 pixels there.
pub const WIDTH: i64 = 720;
/// See [`WIDTH`].
pub const HEIGHT: i64 = 480;
/// So many marks are drawn; of more the latest.
const MARKS_MAX: usize = 24;

/// Where the parts lie, in tenths of a unit.
const LEFT: i64 = 200;
const TOP: i64 = 1_040;
const BOTTOM: i64 = 4_200;
const RIGHT_EDGE: i64 = 7_060;
const TITLE_AT: i64 = 490;
const SUBTITLE_AT: i64 = 800;
/// Between the newest price and the axis.
const BREATH: i64 = 140;

const PAPER: &str = "#ffffff";
const INK: &str = "#17202e";
const FAINT_INK: &str = "#566170";
const GRID: &str = "#e6e9ee";
const GAP: &str = "#f3f4f6";
const RANGE: &str = "#b4c8ea";
const PRICE: &str = "#23457f";
const ACCENT: &str = "#c2410c";
const LEVEL: &str = "#7b8794";

/// Everything that is drawn.
#[derive(Clone, Debug)]
pub struct Chart {
    /// The fact.
    pub title: String,
    /// The contract, the day.
    pub subtitle: String,
    /// Prices; those outside of the time range are left out.
    pub bars: Vec<Bar>,
    /// The newest price, when it is newer than the bars.
    pub last: Option<(Timestamp, Price)>,
    /// Levels, in prices of the bars.
    pub levels: Vec<Level>,
    /// What happened, oldest first.
    pub marks: Vec<Mark>,
    /// The left end.
    pub from: Timestamp,
    /// The right end.
    pub until: Timestamp,
    /// For the time axis.
    pub zone: TimeZone,
    /// For the price axis.
    pub tick: TickSize,
}

/// A level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Its name, where its price alone does not say it.
    pub name: Option<String>,
    /// Its price.
    pub price: Price,
    /// Which way it breaks: the name stands on the side that price comes to last.
    pub side: Side,
    /// The one that the picture is about.
    pub highlighted: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// At which price.
    pub price: Price,
    /// In a word or two: `broke`.
    pub what: String,
    /// Its sign.
    pub sign: Sign,
    /// The one that the picture is about: its time stands on the axis.
    pub highlighted: bool,
}

/// The sign of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A break by rising prices.
    Up,
    /// A break by falling prices.
    Down,
    /// Anything else.
    Dot,
}

impl Chart {
    /// The picture as SVG. Its length has a limit, whatever is drawn.
    #[must_use]
    pub fn svg(&self) -> String {
        let series = Series::of(self);
        let tags = axis::tags(self, &series);
        let right = RIGHT_EDGE.saturating_sub(axis::gutter(&tags, &series.scale, self.tick));
        let time = TimeScale::new((self.from, self.until), (LEFT, right.saturating_sub(BREATH)));
        let plot = Plot { chart: self, series: &series, price: &series.scale, time, right };
        plot.draw(&tags)
    }
}

/// The picture while it is drawn.
struct Plot<'a> {
    chart: &'a Chart,
    series: &'a Series,
    price: &'a PriceScale,
    time: TimeScale,
    /// Where the plot ends and the price axis begins.
    right: i64,
}

impl Plot<'_> {
    fn draw(&self, tags: &[Tag]) -> String {
        let mut canvas = Canvas::new(&self.chart.title);
        self.head(&mut canvas);
        self.gaps(&mut canvas);
        self.price_grid(tags, &mut canvas);
        self.time_axis(&mut canvas);
        self.levels(&mut canvas);
        self.prices(&mut canvas);
        let mut labels = self.names(&mut canvas);
        self.marks(&mut labels, &mut canvas);
        self.tags(tags, &mut canvas);
        if self.series.segments.is_empty() {
            self.nothing(&mut canvas);
        }
        canvas.finish()
    }

    fn head(&self, canvas: &mut Canvas) {
        let room = RIGHT_EDGE.saturating_sub(LEFT);
        let sizes = [300, 270, 240];
        let fits = |size: &i64| canvas::width(&self.chart.title, *size) <= room;
        let size = sizes.into_iter().find(fits).unwrap_or(240);
        let title = Text { bold: true, ..Text::new(size, INK) };
        canvas.text(Point(LEFT, TITLE_AT), title, &canvas::fit(&self.chart.title, size, room));
        let subtitle = canvas::fit(&self.chart.subtitle, 220, self.right.saturating_sub(LEFT));
        canvas.text(Point(LEFT, SUBTITLE_AT), Text::new(220, FAINT_INK), &subtitle);
    }

    /// Times without prices, wide enough to be seen.
    fn gaps(&self, canvas: &mut Canvas) {
        for (from, until) in self.series.gaps() {
            let (x, end) = (self.time.x(from), self.time.x(until));
            if end.saturating_sub(x) >= 60 {
                canvas.area(Point(x, TOP), Point(end, BOTTOM), 0, GAP);
            }
        }
    }

    fn price_grid(&self, tags: &[Tag], canvas: &mut Canvas) {
        for price in self.price.grid(self.chart.tick) {
            let y = self.price.y(price);
            canvas.line(Point(LEFT, y), Point(self.right, y), Pen::new(GRID, 20));
            if tags.iter().all(|tag| tag.leaves_free(y)) {
                let at = Point(self.right.saturating_add(axis::INDENT), y.saturating_add(80));
                let label = axis::digits(price, self.chart.tick);
                canvas.text(at, Text::new(axis::SIZE, FAINT_INK), &label);
            }
        }
    }

    fn time_axis(&self, canvas: &mut Canvas) {
        canvas.line(Point(LEFT, BOTTOM), Point(self.right, BOTTOM), Pen::new(LEVEL, 20));
        let mut taken = Vec::new();
        taken.extend(self.highlighted().map(|mark| self.time_of(mark, canvas)));
        let mut label = |x: i64, words: &str, anchor: Anchor, canvas: &mut Canvas| {
            let area = axis::time_label(x, words, anchor, axis::APART);
            let free = area.is_within(60, self.right) && taken.iter().all(|other| !area.touches(other));
            if free {
                let text = Text { anchor, ..Text::new(axis::SIZE, FAINT_INK) };
                canvas.text(Point(x, axis::TIME_AT), text, words);
                taken.push(area);
            }
            free
        };
        let zone = scale::zone_name(self.chart.until, &self.chart.zone);
        label(LEFT, &canvas::fit(&zone, axis::SIZE, 900), Anchor::Start, canvas);
        for (at, words) in self.time.ticks(&self.chart.zone) {
            let x = self.time.x(at);
            if label(x, &words, Anchor::Middle, canvas) {
                let end = BOTTOM.saturating_add(axis::STROKE);
                canvas.line(Point(x, BOTTOM), Point(x, end), Pen::new(LEVEL, 20));
            }
        }
    }

    fn highlighted(&self) -> Option<&Mark> {
        let within = |mark: &&Mark| mark.highlighted && self.time.contains(mark.at);
        self.chart.marks.iter().rfind(within)
    }

    /// The time of the break, on the axis below it.
    fn time_of(&self, mark: &Mark, canvas: &mut Canvas) -> Area {
        let x = self.time.x(mark.at);
        let pen = Pen { dash: Some("4 5"), ..Pen::new(ACCENT, 20) };
        canvas.line(Point(x, self.price.y(mark.price)), Point(x, BOTTOM), pen);
        let words = scale::clock(mark.at, &self.chart.zone);
        let area = axis::time_label(x, &words, Anchor::Middle, axis::PADDING).moved_into(60, self.right);
        canvas.area(Point(area.left, area.top), Point(area.right, area.bottom), 60, ACCENT);
        let text = Text { bold: true, anchor: Anchor::Middle, ..Text::new(axis::SIZE, PAPER) };
        canvas.text(Point(area.middle(), axis::TIME_AT), text, &words);
        area
    }

    fn levels(&self, canvas: &mut Canvas) {
        for level in self.series.shown(&self.chart.levels) {
            let y = self.price.y(level.price);
            let pen = if level.highlighted {
                Pen::new(ACCENT, 35)
            } else {
                Pen { dash: Some("9 7"), ..Pen::new(LEVEL, 18) }
            };
            canvas.line(Point(LEFT, y), Point(self.right, y), pen);
        }
    }

    fn prices(&self, canvas: &mut Canvas) {
        for segment in &self.series.segments {
            let at =
                |column: &series::Column, price: Price| Point(self.time.x(column.at), self.price.y(price));
            let highs = segment.iter().map(|column| at(column, column.high));
            let lows = segment.iter().rev().map(|column| at(column, column.low));
            // Round joins give a range without width one that can be seen.
            canvas.region(highs.chain(lows), Pen::new(RANGE, 24));
        }
        for segment in &self.series.segments {
            // A close is the price at the end, and an extreme lies anywhere between: in the middle.
            let open = segment.first().map(|first| (first.from, first.open));
            let closes = segment.iter().map(|column| (column.until, column.close));
            let prices = open.into_iter().chain(closes);
            let closes = prices.map(|(at, price)| Point(self.time.x(at), self.price.y(price)));
            canvas.path(closes, Pen::new(PRICE, 25));
        }
    }

    /// The names of levels, as far as there is room.
    fn names(&self, canvas: &mut Canvas) -> Labels {
        let mut labels =
            Labels::new(Area { left: LEFT, right: self.right, top: SUBTITLE_AT + 60, bottom: BOTTOM });
        // A sign must stay visible, so no words stand on it.
        for mark in self.shown_marks() {
            labels.keep_free(Area::around(self.point(mark), 130));
        }
        let mut levels: Vec<_> = self.series.shown(&self.chart.levels).collect();
        levels.sort_by_key(|level| !level.highlighted);
        for level in levels {
            let Some(name) = &level.name else { continue };
            let colour = if level.highlighted { ACCENT } else { FAINT_INK };
            let text = Text { bold: level.highlighted, halo: true, ..Text::new(220, colour) };
            let name = canvas::fit(name, 220, self.right.saturating_sub(LEFT).saturating_div(2));
            let wide = canvas::width(&name, 220);
            let y = self.price.y(level.price);
            let (over, under) = (y.saturating_sub(90), y.saturating_add(230));
            let ys = match level.side {
                Side::Resistance => [over, under],
                Side::Support => [under, over],
            };
            let far = self.right.saturating_sub(wide).saturating_sub(BREATH);
            let near = LEFT.saturating_add(60);
            let part =
                |n: i64| near.saturating_add(far.saturating_sub(near).saturating_mul(n).saturating_div(4));
            let places = [0, 4, 1, 2, 3].into_iter().flat_map(|n| ys.map(|y| Point(part(n), y)));
            // Where there is no price behind the words, if there is such a place.
            let prices = |area: &Area| self.series.is_beside(area, &self.time);
            if let Some(at) = labels.place(places, wide, prices) {
                canvas.text(at, text, &name);
            }
        }
        labels
    }

    fn point(&self, mark: &Mark) -> Point {
        Point(self.time.x(mark.at), self.price.y(mark.price))
    }

    fn shown_marks(&self) -> impl Iterator<Item = &Mark> {
        let within = |mark: &&Mark| self.time.contains(mark.at);
        let marks: Vec<_> = self.chart.marks.iter().filter(within).collect();
        let skip = marks.len().saturating_sub(MARKS_MAX);
        marks.into_iter().skip(skip)
    }

    /// Signs, the highlighted one on top, and their words where there is room: the latest first.
    fn marks(&self, labels: &mut Labels, canvas: &mut Canvas) {
        let mut marks: Vec<_> = self.shown_marks().collect();
        marks.sort_by_key(|mark| mark.highlighted);
        for mark in &marks {
            let colour = if mark.highlighted { ACCENT } else { INK };
            canvas.sign(self.point(mark), mark.sign, colour, if mark.highlighted { 12 } else { 8 });
        }
        for mark in marks.iter().rev() {
            let words = canvas::fit(&mark.what, 220, 2_600);
            let wide = canvas::width(&words, 220);
            let Point(x, y) = self.point(mark);
            let (over, under) = (y.saturating_sub(190), y.saturating_add(330));
            let ys = if mark.sign == Sign::Down { [under, over] } else { [over, under] };
            let half = wide.saturating_div(2);
            let lefts = [
                x.saturating_sub(half),
                x.saturating_sub(wide).saturating_sub(60),
                x.saturating_add(60),
                x.saturating_sub(wide).saturating_sub(170),
            ];
            let places = lefts.into_iter().flat_map(|left| ys.map(|y| Point(left, y)));
            let prices = |area: &Area| self.series.is_beside(area, &self.time);
            let colour = if mark.highlighted { ACCENT } else { INK };
            if let Some(at) = labels.place(places, wide, prices) {
                canvas.text(at, Text { bold: true, halo: true, ..Text::new(220, colour) }, &words);
            }
        }
    }

    fn tags(&self, tags: &[Tag], canvas: &mut Canvas) {
        for tag in tags {
            tag.draw(self.right, canvas);
        }
    }

    fn nothing(&self, canvas: &mut Canvas) {
        let middle = LEFT.saturating_add(self.right).saturating_div(2);
        let at = Point(middle, TOP.saturating_add(BOTTOM.saturating_sub(TOP).saturating_div(4)));
        let text = Text { anchor: Anchor::Middle, halo: true, ..Text::new(260, FAINT_INK) };
        canvas.text(at, text, "no prices recorded");
    }
}
