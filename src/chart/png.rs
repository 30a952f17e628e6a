//! The picture in pixels, with a font of its own: the same on every machine. The font has Latin letters; what it has
//! not is a box. The SVG text has every letter that its reader has.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{self, Options, Tree};
use thiserror::Error;

use crate::chart::WIDTH;

/// A picture is at most so many pixels wide.
pub const WIDTH_MAX: u32 = 4_000;
/// For a mail: three pixels for each of a phone's 360.
pub const WIDTH_OF_MAIL: u32 = 1_080;
const FAMILY: &str = "Breakwatch Sans";

/// Why there is no picture.
#[derive(Debug, Error)]
pub enum PngError {
    /// The text is no picture.
    #[error("the SVG cannot be read")]
    Svg(#[from] usvg::Error),
    /// The size is none.
    #[error("a picture must be 1 to {WIDTH_MAX} pixels wide, not {0}")]
    Width(u32),
    /// The pixels cannot be written.
    #[error("the PNG cannot be written: {0}")]
    Encode(String),
}

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(include_bytes!("font/BreakwatchSans-Regular.otf").to_vec());
    fonts.load_font_data(include_bytes!("font/BreakwatchSans-Bold.otf").to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Options { font_family: FAMILY.to_owned(), fontdb: Arc::new(fonts), ..Options::default() }
});

/// The picture as PNG, `width` pixels wide.
///
/// # Errors
/// When the text is not SVG, or the width is not between 1 and [`WIDTH_MAX`].
pub fn png(svg: &str, width: u32) -> Result<Vec<u8>, PngError> {
    let tree = Tree::from_str(svg, &OPTIONS)?;
    let size = tree.size().to_int_size().scale_to_width(width).filter(|_| width <= WIDTH_MAX);
    let size = size.ok_or(PngError::Width(width))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or(PngError::Width(width))?;
    resvg::render(&tree, scaled(width), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| PngError::Encode(error.to_string()))
}

#[expect(clippy::float_arithmetic, reason = "the renderer's own numbers; no price passes here")]
fn scaled(width: u32) -> Transform {
    let unit = |n: u32| f32::from(u16::try_from(n).unwrap_or(u16::MAX));
    let scale = unit(width) / unit(u32::try_from(WIDTH).unwrap_or(1));
    Transform::from_scale(scale, scale)
}
