//! A tape through the same session, protocol and engine as live.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use secrecy::SecretString;

use crate::cli::output::complain;
use crate::cli::{CliError, year_of};
use crate::config::Config;
use crate::daemon::chain::Chain;
use crate::daemon::clock::Clock;
use crate::daemon::plan;
use crate::engine::{Engine, FeedSetup, Input, Step};
use crate::event::Event;
use crate::feed::tape::play::Player;
use crate::feed::tape::{Header, LINE_MAX, Row, TapeError, What, is_tape};
use crate::market::tick::{FeedId, InstrumentId, Item};

/// Damaged lines are named one by one up to here.
const NAMED_MAX: u64 = 20;

/// What came of a tape.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// In order.
    pub(super) events: Vec<Event>,
    /// Messages.
    pub(super) frames: u64,
    /// Trades and quotes.
    pub(super) ticks: u64,
    /// Lines that could not be read.
    pub(super) damaged: u64,
}

/// Whether a file says that it is a tape. One that cannot be read says nothing.
pub(super) fn looks_like(file: &Path) -> bool {
    let mut begin = Vec::new();
    open(file).is_ok_and(|input| input.take(64).read_to_end(&mut begin).is_ok()) && is_tape(&begin)
}

fn open(file: &Path) -> io::Result<Box<dyn BufRead>> {
    let input = BufReader::with_capacity(256 << 10, File::open(file)?);
    if file.extension().is_some_and(|end| end == "zst") {
        let unpacked = ruzstd::decoding::StreamingDecoder::new(input).map_err(io::Error::other)?;
        return Ok(Box::new(BufReader::new(unpacked)));
    }
    Ok(Box::new(input))
}

/// Reads one line, without more than a line may have; returns whether there was one.
fn next_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let most = u64::try_from(LINE_MAX).unwrap_or(u64::MAX);
    let read = input.take(most).read_until(b'\n', line)?;
    let mut rest = Vec::new();
    let mut last = line.last().copied();
    // What is longer is no line of a tape, and is passed over to its end.
    while read == LINE_MAX && last.is_some_and(|byte| byte != b'\n') {
        rest.clear();
        input.take(most).read_until(b'\n', &mut rest)?;
        last = rest.last().copied();
    }
    Ok(read > 0)
}

/// Plays a tape; with the rules of one instrument only when one is named.
///
/// # Errors
/// When the file cannot be read, is no tape, or its feed does not fit the configuration.
pub(super) fn replay(config: &Config, file: &Path, only: Option<InstrumentId>) -> Result<Played, CliError> {
    let name = file.display().to_string();
    let io = |source: io::Error| CliError::io(format!("cannot read {name}"), source);
    let mut input = open(file).map_err(io)?;
    let mut line = Vec::new();
    next_line(&mut *input, &mut line).map_err(io)?;
    let header = Header::read(&String::from_utf8_lossy(&line));
    let header = header.map_err(|source| CliError::io(format!("{name} cannot be replayed"), source))?;
    let (mut engine, mut player) = stage(config, &header, &name, only)?;
    let (mut played, mut step, mut items) = (Played::default(), Step::default(), Vec::new());
    let mut number = 1_u64;
    while next_line(&mut *input, &mut line).map_err(io)? {
        number = number.saturating_add(1);
        match row(&line) {
            Ok(row) => {
                played.frames = played.frames.saturating_add(u64::from(!matches!(row.what, What::Event(_))));
                wake(&mut engine, &row, &mut step);
                player.play(&row, &mut items);
                for item in items.drain(..) {
                    played.ticks = played.ticks.saturating_add(u64::from(matches!(item, Item::Tick(_))));
                    engine.handle(&Input::Item(item), &mut step);
                }
                engine.handle(&Input::Clock(row.at), &mut step);
            }
            Err(error) => {
                played.damaged = played.damaged.saturating_add(1);
                if played.damaged <= NAMED_MAX {
                    complain(&format!("{name}:{number}: left out: {}", Chain(&error)));
                }
            }
        }
        played.events.append(&mut std::mem::take(&mut step).events);
    }
    Ok(played)
}

fn row(line: &[u8]) -> Result<Row, TapeError> {
    Row::read(&String::from_utf8_lossy(line))
}

/// Engine and player as the live run had them.
fn stage(
    config: &Config,
    header: &Header,
    name: &str,
    only: Option<InstrumentId>,
) -> Result<(Engine, Player<crate::feed::venue::Venue>), CliError> {
    let feed = config.feed_of_tape(&header.table, &format!("{name}: feed"), year_of(header.at))?;
    let clock = if header.rehearsal { Clock::rehearsal(header.at, header.speed) } else { Clock::real() };
    let secrets = feed.secrets.keys().map(|name| (name.clone(), SecretString::from("(secret)")));
    let session = plan::session(FeedId(0), &feed.speech, secrets.collect(), &clock);
    let instruments: Vec<InstrumentId> = feed.subscriptions.iter().map(|s| s.instrument).collect();
    let mut setup = plan::setup(config, &clock);
    setup.rules.retain(|rule| {
        instruments.contains(&rule.instrument) && only.is_none_or(|only| only == rule.instrument)
    });
    setup.feeds = vec![FeedSetup { name: header.feed.clone(), instruments }];
    let roots = config.instruments.iter().map(|instrument| instrument.root.as_str().to_owned());
    Ok((Engine::new(setup), Player::new(session, roots.collect())))
}

/// Timers that were due before this line.
fn wake(engine: &mut Engine, row: &Row, step: &mut Step) {
    while let Some(due) = engine.deadline().filter(|due| *due < row.at) {
        engine.handle(&Input::Clock(due), step);
        if engine.deadline() == Some(due) {
            return;
        }
    }
}
