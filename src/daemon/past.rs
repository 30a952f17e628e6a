//! The past, from the ledger to the engine and back: history that derived levels need, minutes and days that
//! are over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::derive::reach::Days;
use crate::engine::derive::{Day, Minute, Source};
use crate::engine::moves::{History as Past, Wanted};
use crate::engine::{Engine, Step};
use crate::market::calendar::{Calendar, Phase, SessionBounds};
use crate::market::instrument::Instrument;
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;
use crate::market::trade_date::{date_of, number_of};
use crate::store::bars::{Origin, Series, StoredBar, StoredDay};
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::time::Timestamp;

/// Trade dates for an average true range: by then less than 2 % of its seed is left.
const ATR_DAYS: u32 = 14 * 5;
/// Minutes for what volume is usual: twenty trade dates.
const PROFILE: Duration = Duration::from_secs(35 * 86_400);

/// Tells a book what happened before. Its levels find their places.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn teach(
    engine: &mut Engine,
    book: usize,
    history: &History,
    now: Timestamp,
    step: &mut Step,
) -> Result<(), StoreError> {
    let Some(wanted) = engine.wanted(book) else { return Ok(()) };
    let Some(instrument) = engine.instrument(wanted.instrument).cloned() else { return Ok(()) };
    let own = own(&instrument, &wanted, history, now).await?;
    let chained = chained(&instrument, &wanted, history, now).await?;
    engine.teach(book, &own, &chained, now, step);
    Ok(())
}

async fn own(
    instrument: &Instrument,
    wanted: &Wanted,
    history: &History,
    now: Timestamp,
) -> Result<Past, StoreError> {
    let Need { mut days, mut since } = need(&wanted.own, now);
    if wanted.atr {
        days = days.max(ATR_DAYS);
    }
    if wanted.profile {
        since = since.min(now.saturating_sub(PROFILE));
    }
    if !wanted.closes.is_zero() {
        since = since.min(now.saturating_sub(wanted.closes.saturating_mul(2)));
    }
    let root = instrument.root.as_str();
    let Some(month) = wanted.month else {
        // Without months the chain is the instrument itself; with months nobody knows yet whose past is wanted.
        return if instrument.dated {
            Ok(Past::default())
        } else {
            read(root, "", instrument, days, since, history).await
        };
    };
    let contract = instrument.symbol(month).to_string();
    let mut past = read(root, &contract, instrument, days, since, history).await?;
    let chain = read(root, "", instrument, days, since, history).await?;
    add_front(&mut past, chain, instrument, month);
    Ok(past)
}

/// While a month was in front, the chain tells of it.
fn add_front(past: &mut Past, chain: Past, instrument: &Instrument, month: ContractMonth) {
    let in_front = |at: Timestamp| instrument.front(at) == Some(month);
    let mut days: BTreeMap<i32, Day> = chain
        .days
        .into_iter()
        .filter(|day| in_front(noon(day.date, &instrument.calendar)))
        .map(|day| (day.date, day))
        .collect();
    days.extend(past.days.drain(..).map(|day| (day.date, day)));
    past.days = days.into_values().collect();
    let mut minutes: BTreeMap<Timestamp, Minute> = chain
        .minutes
        .into_iter()
        .filter(|minute| in_front(minute.bar.start))
        .map(|minute| (minute.bar.start, minute))
        .collect();
    minutes.extend(past.minutes.drain(..).map(|minute| (minute.bar.start, minute)));
    past.minutes = minutes.into_values().collect();
}

/// The middle of a trade date (yyyymmdd), by the venue's clock.
#[must_use]
pub fn noon(date: i32, calendar: &Calendar) -> Timestamp {
    date_of(date).map_or(Timestamp::MIN, |date| calendar.instant(date.at(12, 0, 0, 0)))
}

async fn chained(
    instrument: &Instrument,
    wanted: &Wanted,
    history: &History,
    now: Timestamp,
) -> Result<Past, StoreError> {
    let Need { days, since } = need(&wanted.chained, now);
    read(instrument.root.as_str(), "", instrument, days, since, history).await
}

/// How many trade dates, and minutes since when.
struct Need {
    days: u32,
    since: Timestamp,
}

fn need(sources: &[Source], now: Timestamp) -> Need {
    let mut need = Need { days: 0, since: Timestamp::MAX };
    for reach in sources.iter().map(Source::reach) {
        need.days = need.days.max(match reach.days {
            Days::None => 0,
            Days::Last(n) => n,
            Days::All => u32::MAX,
        });
        let back = reach.minutes.map(|back| now.saturating_sub(back));
        need.since = [back, reach.since].into_iter().flatten().fold(need.since, Timestamp::min);
    }
    need
}

async fn read(
    root: &str,
    contract: &str,
    instrument: &Instrument,
    days: u32,
    since: Timestamp,
    history: &History,
) -> Result<Past, StoreError> {
    let days = if days == 0 { Vec::new() } else { history.days(root, contract, days).await? };
    let bars = if since == Timestamp::MAX { Vec::new() } else { history.bars(root, contract, since).await? };
    Ok(Past { days, minutes: minutes(&bars, &instrument.calendar) })
}

/// Bars with their place in the session; those outside of every session are of no market.
fn minutes(bars: &[StoredBar], calendar: &Calendar) -> Vec<Minute> {
    let mut session: Option<SessionBounds> = None;
    let mut minutes = Vec::with_capacity(bars.len());
    for StoredBar { bar, sums, .. } in bars {
        session = session
            .filter(|bounds| bounds.contains(bar.start))
            .or_else(|| calendar.session_bounds(bar.start));
        let Some(bounds) = session else { continue };
        let (value, square) = sums.unwrap_or_default();
        minutes.push(Minute {
            bar: *bar,
            phase: if bounds.is_rth(bar.start) { Phase::Rth } else { Phase::Eth },
            trade_date: number_of(bounds.trade_date),
            session_opens: bounds.opens,
            value,
            square,
        });
    }
    minutes
}

/// What is over, as the ledger keeps it.
#[must_use]
pub fn stored(engine: &Engine, step: &Step) -> (Vec<StoredBar>, Vec<StoredDay>) {
    let bars = step.minutes.iter().filter_map(|past| {
        let series = series(engine, past.instrument, past.month, past.front)?;
        let Minute { bar, value, square, .. } = past.what;
        Some(StoredBar { series, bar, sums: Some((value, square)), origin: Origin::Ticks })
    });
    let days = step.days.iter().filter_map(|past| {
        let series = series(engine, past.instrument, past.month, past.front)?;
        Some(StoredDay { series, day: past.what, origin: Origin::Ticks })
    });
    (bars.collect(), days.collect())
}

fn series(engine: &Engine, id: InstrumentId, month: Option<ContractMonth>, front: bool) -> Option<Series> {
    let instrument = engine.instrument(id)?;
    let contract = month.map(|month| instrument.symbol(month).to_string()).unwrap_or_default();
    Some(Series { instrument: instrument.root.as_str().to_owned(), contract, front })
}
