//! The picture that goes with a mail: recorded bars up to the event, its level, and what happened to it.
//!
//! A picture is an extra. Whatever goes wrong with it, the alert goes out without it, and in time.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use thiserror::Error;
use tokio::task::JoinError;
use tracing::debug;

use crate::chart::png::{PngError, WIDTH_OF_MAIL, png};
use crate::chart::{Chart, Level, Mark, Sign};
use crate::daemon::chain::Chain;
use crate::deliver::Channel;
use crate::event::{Event, Kind, Px, Side, Space};
use crate::market::bar::Bar;
use crate::market::instrument::Instrument;
use crate::market::price::{Price, TickSize};
use crate::outbox::message::fact;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history::{EventFilter, History};
use crate::time::Timestamp;

/// An alert waits for its picture at most so long.
const WITHIN: Duration = Duration::from_secs(2);
/// So far back a picture goes.
pub const SPAN: Duration = Duration::from_secs(6 * 3_600);
/// So many events of the level are looked at for marks.
const EVENTS_MAX: u32 = 100;

/// Why there is no picture.
#[derive(Debug, Error)]
enum PictureError {
    #[error("the ledger cannot be read")]
    Store(#[from] StoreError),
    #[error("the picture cannot be drawn")]
    Png(#[from] PngError),
    #[error("drawing ended early")]
    Task(#[from] JoinError),
    #[error("not drawn within {WITHIN:?}")]
    Late(#[from] tokio::time::error::Elapsed),
}

/// The picture (PNG) for an event on a channel that shows one. `None` when there is nothing to show, and when it
/// cannot be had in time.
pub async fn of(channel: &Channel, event: &Event, store: &Store, zone: &TimeZone) -> Option<Vec<u8>> {
    if !matches!(channel, Channel::Email(_)) {
        return None;
    }
    let made = async { tokio::time::timeout(WITHIN, made(event, store.history(), zone)).await? };
    made.await.unwrap_or_else(|error| {
        debug!(id = %event.id, error = %Chain(&error), "a mail goes out without its picture");
        None
    })
}

async fn made(event: &Event, history: &History, zone: &TimeZone) -> Result<Option<Vec<u8>>, PictureError> {
    let Some(chart) = chart(event, history, zone).await? else { return Ok(None) };
    // Pixels take a processor's time, which other tasks of this thread must not wait for.
    Ok(Some(tokio::task::spawn_blocking(move || png(&chart.svg(), WIDTH_OF_MAIL)).await??))
}

/// What is drawn for an event of a level, if bars are recorded.
async fn chart(event: &Event, history: &History, zone: &TimeZone) -> Result<Option<Chart>, StoreError> {
    let (Some(name), Some(root)) = (&event.level, &event.instrument) else { return Ok(None) };
    let Some(decimals) = event.price.or(event.threshold).or(event.level_price).map(|px| px.decimals) else {
        return Ok(None);
    };
    let (from, until) = (event.occurred_at.saturating_sub(SPAN), event.occurred_at);
    let bars = bars(history, root, event.contract.as_deref(), (from, until)).await?;
    let Some(first) = bars.first() else { return Ok(None) };
    // What was recorded fills the picture, but a minute is not stretched over all of it.
    let from = first.start.min(until.saturating_sub(SPAN / 6));
    let filter = EventFilter {
        since: Some(from),
        level: Some(name.clone()),
        instrument: Some(root.clone()),
        limit: Some(EVENTS_MAX),
        ..EventFilter::default()
    };
    let before = history.events(&filter).await?.into_iter().map(|stored| stored.event);
    let before = before.filter(|other| other.occurred_at <= until && other.id != event.id);
    let marks =
        before.filter(|other| other.contract == event.contract).filter_map(|other| mark(&other, false));
    Ok(Some(Chart {
        title: fact(event),
        subtitle: subtitle(event.contract.as_deref(), until, zone, event.rehearsal),
        bars,
        last: event.price.map(|px| (until, px.price)),
        levels: levels(event, name),
        marks: marks.chain(mark(event, true)).collect(),
        from,
        until,
        zone: zone.clone(),
        tick: tick_of(root, decimals),
    }))
}

/// The contract and the day; a picture that is passed on still says that it is of a rehearsal.
#[must_use]
pub fn subtitle(contract: Option<&str>, at: Timestamp, zone: &TimeZone, rehearsal: bool) -> String {
    let day = zone.to_datetime(at.to_jiff()).strftime("%a %-d %b %Y").to_string();
    let parts = [rehearsal.then_some("REHEARSAL"), contract, Some(&day)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn tick_of(root: &str, decimals: u8) -> TickSize {
    let finest = || TickSize::from_nanos(10u32.saturating_pow(9u32.saturating_sub(u32::from(decimals))));
    Instrument::builtin(root).map_or_else(finest, |instrument| instrument.tick)
}

/// Prices of a contract: its own bars, and where it has none those of the front month while it was that.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn bars(
    history: &History,
    root: &str,
    contract: Option<&str>,
    (from, until): (Timestamp, Timestamp),
) -> Result<Vec<Bar>, StoreError> {
    let chain = history.bars_between(root, "", from, until).await?;
    let mut bars: BTreeMap<Timestamp, Bar> = BTreeMap::new();
    if let Some(contract) = contract {
        let own = history.bars_between(root, contract, from, until).await?;
        bars.extend(own.into_iter().map(|stored| (stored.bar.start, stored.bar)));
    }
    let instrument = Instrument::builtin(root);
    let is_of = |stored: &str, at: Timestamp| {
        let Some(wanted) = contract else { return true };
        let front = || instrument.as_ref().and_then(|i| Some(i.symbol(i.front(at)?).to_string()));
        stored == wanted || (stored.is_empty() && front().is_none_or(|front| front == wanted))
    };
    for stored in chain {
        let bar = stored.bar;
        let before = bars.range(..bar.end()).next_back();
        if before.is_none_or(|(_, own)| own.end() <= bar.start) && is_of(&stored.series.contract, bar.start) {
            bars.insert(bar.start, bar);
        }
    }
    Ok(bars.into_values().filter(|bar| bar.end() <= until).collect())
}

/// The event's level, and the next ones above and below.
fn levels(event: &Event, name: &str) -> Vec<Level> {
    let side = event.side.unwrap_or(Side::Resistance);
    let own = in_contract(event).map(|price| Level {
        name: shown_name(name, price, event.level_price.filter(|_| event.level_space == Some(Space::Index))),
        price,
        side,
        highlighted: true,
    });
    let next = ["next_above", "next_below"].into_iter().filter_map(|key| {
        // `2,525.0 (+24.6)`
        let text = event.numbers.get(key)?.as_str()?.split(' ').next()?.replace(',', "");
        Some(Level { name: None, price: text.parse().ok()?, side, highlighted: false })
    });
    own.into_iter().chain(next).collect()
}

/// Where the level lies in prices of the contract.
#[must_use]
pub fn in_contract(event: &Event) -> Option<Price> {
    let told = event.numbers.get("level_in_contract").and_then(serde_json::Value::as_str);
    let own = || event.level_price.filter(|_| event.level_space != Some(Space::Index)).map(|px| px.price);
    told.and_then(|text| text.parse().ok()).or_else(own)
}

/// The name, unless the price on the axis says the same; with the price of the index, where it is a level of that.
#[must_use]
pub fn shown_name(name: &str, price: Price, index: Option<Px>) -> Option<String> {
    let index = index.map(|px| format!("index {}", px.grouped()));
    let name = (name.replace(',', "").parse() != Ok(price)).then(|| name.to_owned());
    match (name, index) {
        (Some(name), Some(index)) if !index.ends_with(&name) => Some(format!("{name} ({index})")),
        (name, index) => index.or(name),
    }
}

/// What an event looks like on the picture.
#[must_use]
pub fn mark(event: &Event, highlighted: bool) -> Option<Mark> {
    let what = match event.kind {
        Kind::LevelApproached => "near",
        Kind::LevelCrossed => "crossed",
        Kind::LevelBroken => "broke",
        Kind::LevelRejected => "rejected",
        Kind::LevelRetested => "retest",
        Kind::LevelHeld => "held",
        Kind::LevelFailed => "failed",
        Kind::LevelRearmed
        | Kind::LevelExpired
        | Kind::LevelSuspended
        | Kind::LevelMoved
        | Kind::RecordSet
        | Kind::ContractRolled
        | Kind::FeedDown
        | Kind::FeedUp
        | Kind::FeedQuiet
        | Kind::FeedQuarantined
        | Kind::ChannelFailing
        | Kind::ChannelRecovered
        | Kind::Digest => return None,
    };
    let sign = match (event.kind == Kind::LevelBroken, event.side) {
        (true, Some(Side::Resistance)) => Sign::Up,
        (true, Some(Side::Support)) => Sign::Down,
        (true, None) | (false, _) => Sign::Dot,
    };
    let price = event.price?.price;
    Some(Mark { at: event.occurred_at, price, what: what.to_owned(), sign, highlighted })
}

#[cfg(test)]
mod tests;
