//! The price axis: which labels stand on it, and that none hides another.

use crate::chart::canvas::{self, Anchor, Canvas, Pen, Point, Text};
use crate::chart::place::Area;
use crate::chart::scale::PriceScale;
use crate::chart::series::Series;
use crate::chart::{ACCENT, BOTTOM, Chart, FAINT_INK, LEVEL, PAPER, PRICE, TOP};
use crate::market::price::{Price, TickSize};

/// The size of labels, in tenths of a unit: eleven and a half pixels on a phone.
pub(super) const SIZE: i64 = 230;
/// From the plot's edge to a label.
pub(super) const INDENT: i64 = 200;
/// The length of the stroke at a time.
pub(super) const STROKE: i64 = 60;
/// The base line of times.
pub(super) const TIME_AT: i64 = 4_530;
/// Within a tag, left and right of its words.
pub(super) const PADDING: i64 = 80;
/// Left and right of words that stand by themselves.
pub(super) const APART: i64 = 35;
/// The height of a tag.
const HIGH: i64 = 300;
/// Where tags stand whose prices are not seen.
const ABOVE_PLOT: i64 = TOP - 260;
const BELOW_PLOT: i64 = TIME_AT - 80;
/// From one tag to the next.
const PITCH: i64 = 320;

/// What a tag is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Highlighted,
    Last,
    Level,
}

/// A label on the axis that has a place of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    words: String,
    about: About,
    /// Where its price lies.
    at: i64,
    /// Its price is not seen.
    beyond: bool,
    /// Where it stands.
    middle: i64,
}

/// The price for the axis: with the instrument's decimals, and a true minus sign.
pub(super) fn digits(price: Price, tick: TickSize) -> String {
    price.grouped(tick.decimals()).replacen('-', "−", 1)
}

/// Labels for the newest price and every level, moved apart.
pub(super) fn tags(chart: &Chart, series: &Series) -> Vec<Tag> {
    let scale = &series.scale;
    let about = |highlighted: bool| if highlighted { About::Highlighted } else { About::Level };
    let tag = |price: Price, about: About, arrow: &str| {
        let at = scale.y(price);
        let words = format!("{arrow}{}", digits(price, chart.tick));
        Tag { words, about, at, beyond: !arrow.is_empty(), middle: at }
    };
    let shown = series.shown(&chart.levels).map(|level| tag(level.price, about(level.highlighted), ""));
    let beyond = series.beyond(&chart.levels).map(|level| {
        let (arrow, middle) =
            if scale.y(level.price) <= TOP { ("↑ ", ABOVE_PLOT) } else { ("↓ ", BELOW_PLOT) };
        Tag { middle, ..tag(level.price, about(level.highlighted), arrow) }
    });
    let mut tags: Vec<Tag> = shown.collect();
    tags.extend(series.last.map(|price| tag(price, About::Last, "")));
    // The newest price and a level at the same place: whoever comes from above stands above.
    tags.sort_by_key(|tag| (tag.at, tag.about == About::Highlighted));
    spread(&mut tags);
    // What is not seen stands above and below the plot, out of the way of the prices.
    tags.extend(beyond);
    tags
}

/// How much room the axis needs.
pub(super) fn gutter(tags: &[Tag], scale: &PriceScale, tick: TickSize) -> i64 {
    let grid = scale.grid(tick).into_iter().map(|price| canvas::width(&digits(price, tick), SIZE));
    let widest = tags.iter().map(|tag| canvas::width(&tag.words, SIZE)).chain(grid).max().unwrap_or(0);
    INDENT.saturating_add(widest).saturating_add(PADDING).clamp(900, 3_000)
}

/// Moves tags apart, each as little as possible: those that touch form a block around the middle of their places.
fn spread(tags: &mut [Tag]) {
    let mut blocks: Vec<(i64, i64)> = Vec::new();
    for tag in tags.iter() {
        blocks.push((tag.at, 1));
        while let [.., (above, n), (below, m)] = blocks.as_slice()
            && bottom(*above, *n) > top(*below, *m)
        {
            let weighted = above.saturating_mul(*n).saturating_add(below.saturating_mul(*m));
            let count = n.saturating_add(*m);
            let joined = (inside(weighted.checked_div(count).unwrap_or(*above), count), count);
            blocks.truncate(blocks.len().saturating_sub(2));
            blocks.push(joined);
        }
        if let Some((middle, n)) = blocks.last_mut() {
            *middle = inside(*middle, *n);
        }
    }
    let mut tags = tags.iter_mut();
    for (middle, n) in blocks {
        let first = top(middle, n).saturating_add(PITCH / 2);
        for nth in 0..n {
            if let Some(tag) = tags.next() {
                tag.middle = first.saturating_add(nth.saturating_mul(PITCH));
            }
        }
    }
}

const fn top(middle: i64, n: i64) -> i64 {
    middle.saturating_sub(n.saturating_mul(PITCH / 2))
}

const fn bottom(middle: i64, n: i64) -> i64 {
    middle.saturating_add(n.saturating_mul(PITCH / 2))
}

/// A block's middle, moved so that the block lies between the plot's ends.
fn inside(middle: i64, n: i64) -> i64 {
    let half = n.saturating_mul(PITCH / 2);
    let (first, last) =
        (TOP.saturating_sub(20).saturating_add(half), BOTTOM.saturating_add(20).saturating_sub(half));
    middle.clamp(first, last.max(first))
}

/// What the words of a time cover on the time axis, with so much around them.
pub(super) fn time_label(x: i64, words: &str, anchor: Anchor, around: i64) -> Area {
    let wide = canvas::width(words, SIZE);
    let left = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x.saturating_sub(wide.saturating_div(2)),
    };
    Area {
        left: left.saturating_sub(around),
        right: left.saturating_add(wide).saturating_add(around),
        top: TIME_AT.saturating_sub(230),
        bottom: TIME_AT.saturating_add(70),
    }
}

#[cfg(test)]
pub(super) fn middles(tags: &[Tag]) -> Vec<i64> {
    tags.iter().map(|tag| tag.middle).collect()
}

impl Tag {
    /// Whether a label of the grid can stand there too.
    pub(super) const fn leaves_free(&self, y: i64) -> bool {
        self.middle.saturating_sub(y).saturating_abs() >= 260
    }

    /// Draws it right of the plot, with a line to its price.
    pub(super) fn draw(&self, right: i64, canvas: &mut Canvas) {
        let colour = match self.about {
            About::Highlighted => ACCENT,
            About::Last => PRICE,
            About::Level => LEVEL,
        };
        let left = right.saturating_add(INDENT).saturating_sub(PADDING);
        if !self.beyond {
            canvas.line(Point(right, self.at), Point(left, self.middle), Pen::new(colour, 20));
        }
        let wide = canvas::width(&self.words, SIZE).saturating_add(2 * PADDING);
        let corner = Point(left, self.middle.saturating_sub(HIGH / 2));
        let end = Point(left.saturating_add(wide), self.middle.saturating_add(HIGH / 2));
        let ink = match self.about {
            About::Level => {
                canvas.frame(corner, end, 60, Pen::new(colour, 16));
                FAINT_INK
            }
            About::Highlighted | About::Last => {
                canvas.area(corner, end, 60, colour);
                PAPER
            }
        };
        let bold = self.about != About::Level;
        let at = Point(left.saturating_add(wide.saturating_div(2)), self.middle.saturating_add(82));
        canvas.text(at, Text { bold, anchor: Anchor::Middle, ..Text::new(SIZE, ink) }, &self.words);
    }
}
