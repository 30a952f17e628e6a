//! SVG text: shapes, lines and words. Words are made harmless here, and nowhere else do they enter the text.

use crate::chart::{HEIGHT, PAPER, Sign, WIDTH};

/// Fonts that machines have; pictures in pixels are made with the font of [`super::png`].
const FAMILY: &str = "-apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif";
/// The longest text that is written.
const TEXT_MAX: usize = 120;

/// A place, in tenths of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Point(pub(super) i64, pub(super) i64);

/// Tenths of a unit, written as a decimal number.
struct Tenths(i64);

impl std::fmt::Display for Tenths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        match size % 10 {
            0 => write!(f, "{sign}{}", size / 10),
            rest => write!(f, "{sign}{}.{rest}", size / 10),
        }
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) colour: &'static str,
    /// In tenths of a unit.
    pub(super) width: i64,
    pub(super) dash: Option<&'static str>,
}

impl Pen {
    pub(super) const fn new(colour: &'static str, width: i64) -> Self {
        Self { colour, width, dash: None }
    }
}

/// Which end of the words is at their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
}

/// How words are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text {
    /// In tenths of a unit.
    pub(super) size: i64,
    pub(super) colour: &'static str,
    pub(super) bold: bool,
    pub(super) anchor: Anchor,
    /// With paper around the letters, so that they can be read on lines.
    pub(super) halo: bool,
}

impl Text {
    pub(super) const fn new(size: i64, colour: &'static str) -> Self {
        Self { size, colour, bold: false, anchor: Anchor::Start, halo: false }
    }
}

/// The picture's text as it grows.
pub(super) struct Canvas {
    out: String,
}

impl Canvas {
    /// A sheet of paper. Its own, so that it can be read where the page around it is dark.
    pub(super) fn new(title: &str) -> Self {
        let title = harmless(title);
        let out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" role=\"img\" font-family=\"{FAMILY}\">\n<title>{title}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"14\" fill=\"{PAPER}\"/>\n"
        );
        Self { out }
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.push_str(&text.to_string());
        self.out.push('\n');
    }

    /// A filled rectangle between two corners.
    pub(super) fn area(&mut self, from: Point, until: Point, radius: i64, fill: &str) {
        let (x, y) = (Tenths(from.0), Tenths(from.1));
        let (wide, high) = (Tenths(until.0.saturating_sub(from.0)), Tenths(until.1.saturating_sub(from.1)));
        let radius = Tenths(radius);
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" rx=\"{radius}\" fill=\"{fill}\"/>"
        ));
    }

    /// The same with an outline.
    pub(super) fn frame(&mut self, from: Point, until: Point, radius: i64, pen: Pen) {
        let (x, y) = (Tenths(from.0), Tenths(from.1));
        let (wide, high) = (Tenths(until.0.saturating_sub(from.0)), Tenths(until.1.saturating_sub(from.1)));
        let (radius, width, colour) = (Tenths(radius), Tenths(pen.width), pen.colour);
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" rx=\"{radius}\" fill=\"{PAPER}\" \
             stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        ));
    }

    pub(super) fn line(&mut self, from: Point, until: Point, pen: Pen) {
        let ends = (Tenths(from.0), Tenths(from.1), Tenths(until.0), Tenths(until.1));
        let (colour, width) = (pen.colour, Tenths(pen.width));
        let dash = pen.dash.map(|dash| format!(" stroke-dasharray=\"{dash}\"")).unwrap_or_default();
        self.add(format_args!(
            "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}/>",
            ends.0, ends.1, ends.2, ends.3
        ));
    }

    /// A line through points. One point is a dot.
    pub(super) fn path(&mut self, points: impl Iterator<Item = Point>, pen: Pen) {
        let (way, colour, width) = (way(points), pen.colour, Tenths(pen.width));
        self.add(format_args!(
            "<path d=\"{way}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
        ));
    }

    /// What points enclose, with a rim of the same colour.
    pub(super) fn region(&mut self, points: impl Iterator<Item = Point>, pen: Pen) {
        let (way, colour, width) = (way(points), pen.colour, Tenths(pen.width));
        self.add(format_args!(
            "<path d=\"{way}Z\" fill=\"{colour}\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"/>"
        ));
    }

    /// The sign of something that happened; `size` in units.
    pub(super) fn sign(&mut self, at: Point, sign: Sign, colour: &str, size: i64) {
        let (x, y) = (Tenths(at.0), Tenths(at.1));
        let (wide, high) = (size, size.saturating_mul(2));
        let shape = match sign {
            Sign::Dot => {
                self.add(format_args!(
                    "<circle cx=\"{x}\" cy=\"{y}\" r=\"{}\" fill=\"{colour}\" stroke=\"{PAPER}\" stroke-width=\"3\"/>",
                    size.saturating_sub(2)
                ));
                return;
            }
            Sign::Up => format!("-{size}l{wide} {high}h-{high}z"),
            Sign::Down => format!("{size}l{wide} -{high}h-{high}z"),
        };
        self.add(format_args!(
            "<path transform=\"translate({x} {y})\" d=\"M0 {shape}\" fill=\"{colour}\" stroke=\"{PAPER}\" \
             stroke-width=\"3\" stroke-linejoin=\"round\"/>"
        ));
    }

    pub(super) fn text(&mut self, at: Point, text: Text, words: &str) {
        let (x, y, size, colour) = (Tenths(at.0), Tenths(at.1), Tenths(text.size), text.colour);
        let bold = if text.bold { " font-weight=\"700\"" } else { "" };
        let anchor = match text.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
        };
        let halo = if text.halo {
            format!(" stroke=\"{PAPER}\" stroke-width=\"5\" stroke-linejoin=\"round\" paint-order=\"stroke\"")
        } else {
            String::new()
        };
        let words = harmless(words);
        self.add(format_args!(
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{colour}\"{bold}{anchor}{halo}>{words}</text>"
        ));
    }
}

fn way(points: impl Iterator<Item = Point>) -> String {
    let mut way = String::new();
    let mut begun = false;
    for Point(x, y) in points {
        let letter = if begun { 'L' } else { 'M' };
        way.push_str(&format!("{letter}{} {}", Tenths(x), Tenths(y)));
        if !begun {
            // So that one point alone is a dot.
            way.push_str(&format!("L{} {}", Tenths(x), Tenths(y)));
        }
        begun = true;
    }
    way
}

/// Words that cannot end their element, and that XML allows: no control, direction or invisible characters.
fn harmless(words: &str) -> String {
    let mut out = String::new();
    for c in visible(words).take(TEXT_MAX) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn visible(words: &str) -> impl Iterator<Item = char> {
    let is_hidden = |c: char| {
        matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff0}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
    };
    words.chars().filter(move |&c| !c.is_control() && !is_hidden(c))
}

/// About how wide words are, in tenths of a unit, when bold: rather too wide than too narrow.
pub(super) fn width(words: &str, size: i64) -> i64 {
    let thousandths = visible(words).fold(0i64, |sum, c| sum.saturating_add(width_of(c)));
    thousandths.saturating_mul(size).saturating_div(1_000)
}

/// In thousandths of the size.
const fn width_of(c: char) -> i64 {
    match c {
        ' ' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'i' | 'j' | 'l' | 'I' | '·' => 300,
        '(' | ')' | '[' | ']' | 'f' | 't' | 'r' | '-' | '/' | '"' => 420,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 950,
        'a'..='z' => 600,
        '0'..='9' | '−' => 670,
        'A'..='Z' => 720,
        _ => 900,
    }
}

/// The words, cut to a width.
pub(super) fn fit(words: &str, size: i64, room: i64) -> String {
    if width(words, size) <= room {
        return words.to_owned();
    }
    let mut left = room.saturating_sub(width("…", size));
    let mut kept = String::new();
    for c in visible(words) {
        left = left.saturating_sub(width(c.encode_utf8(&mut [0; 4]), size));
        if left < 0 {
            break;
        }
        kept.push(c);
    }
    format!("{}…", kept.trim_end())
}
