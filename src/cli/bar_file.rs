//! Files of bars and trade dates: read whole, unpacked, and what is wrong in them said with its line.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;

use crate::cli::CliError;
use crate::cli::output::complain;
use crate::market::bar_text::{self, Parsed, Problem};
use crate::market::price::TickSize;
use crate::study::day_text::{self, ParsedDays};

/// A file larger than this is no list of bars.
const FILE_MAX: u64 = 2 << 30;
/// Faulty rows are named one by one up to here.
const PROBLEMS_NAMED: usize = 20;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Named columns; the stamp is the bar's start
    Csv,
    /// NinjaTrader's export; the stamp is the bar's end
    Ninjatrader,
}

/// The bars of a file.
///
/// # Errors
/// When it cannot be read, or holds no bars.
pub(super) fn bars(
    file: &Path,
    format: Option<Format>,
    tick: TickSize,
    length: Option<Duration>,
) -> Result<Parsed, CliError> {
    let text = text(file)?;
    let bad = |source: Box<dyn std::error::Error + Send + Sync>| {
        CliError::io(format!("{} holds no bars", file.display()), source)
    };
    match format.or_else(|| bar_text::looks_like(&text).map(Format::from)) {
        Some(Format::Csv) => bar_text::parse_csv(&text, tick, length),
        Some(Format::Ninjatrader) => bar_text::parse_ninjatrader(&text, tick, length),
        None => {
            return Err(bad(
                "it is neither CSV with named columns nor a NinjaTrader export; see --format".into()
            ));
        }
    }
    .map_err(|source| bad(source.into()))
}

/// The trade dates of a file.
///
/// # Errors
/// When it cannot be read, or holds no trade dates.
pub(super) fn days(file: &Path, tick: TickSize) -> Result<ParsedDays, CliError> {
    let parsed = day_text::parse(&text(file)?, tick);
    parsed.map_err(|source| CliError::io(format!("{} holds no trade dates", file.display()), source))
}

/// Says what is wrong in a file: the first rows one by one, then how many more.
pub(super) fn complain_of(file: &Path, problems: &[Problem]) {
    let name = file.display();
    for problem in problems.iter().take(PROBLEMS_NAMED) {
        complain(&format!("{name}:{}: {}", problem.line, problem.message));
    }
    if problems.len() > PROBLEMS_NAMED {
        complain(&format!("{name}: {} more rows left out", problems.len() - PROBLEMS_NAMED));
    }
}

fn text(file: &Path) -> Result<String, CliError> {
    let name = file.display();
    let io = |source: std::io::Error| CliError::io(format!("cannot read {name}"), source);
    let large = |size: u64| {
        CliError::io(format!("cannot read {name}"), format!("{size} bytes or more; at most {FILE_MAX}"))
    };
    let size = std::fs::metadata(file).map_err(io)?.len();
    if size > FILE_MAX {
        return Err(large(size));
    }
    let mut bytes = std::fs::read(file).map_err(io)?;
    if file.extension().is_some_and(|end| end == "zst") {
        let packed = std::mem::take(&mut bytes);
        let unpacked = ruzstd::decoding::StreamingDecoder::new(packed.as_slice());
        let unpacked =
            unpacked.map_err(|source| CliError::io(format!("{name} cannot be unpacked"), source))?;
        unpacked.take(FILE_MAX).read_to_end(&mut bytes).map_err(io)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) >= FILE_MAX {
            return Err(large(FILE_MAX));
        }
    }
    let not_text = "it is not text (packed otherwise than as .zst? unpack it first)";
    String::from_utf8(bytes).map_err(|_| CliError::io(format!("{name} holds no rows"), not_text))
}

impl From<bar_text::Format> for Format {
    fn from(format: bar_text::Format) -> Self {
        match format {
            bar_text::Format::Csv => Self::Csv,
            bar_text::Format::Ninjatrader => Self::Ninjatrader,
        }
    }
}
