//! Bars and trade dates: recorded with what they established, or imported.
//!
//! Own ticks count more than an import, and an import more than a day that was not watched whole. What a bar
//! means is not decided here.

use serde::Serialize;
use sqlx::SqliteConnection;

use crate::engine::derive::{Day, Rth};
use crate::market::bar::Bar;
use crate::market::price::Price;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::time::Timestamp;

/// So many rows become one statement.
pub const ROWS_AT_ONCE: usize = 10_000;
/// Own ticks.
const TICKS: u8 = 2;
/// From a file.
pub(super) const IMPORT: u8 = 1;
/// Own ticks of a day that was not watched whole.
const PARTIAL: u8 = 0;

/// Where a bar or a day comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the ticks that this program saw.
    Ticks,
    /// From a file.
    Import,
}

/// Whose a bar or a day is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// The instrument's root.
    pub instrument: String,
    /// The contract (`RTYZ6`); empty for the front months one after the other, and where there are no months.
    pub contract: String,
    /// The contract was in force.
    pub front: bool,
}

/// A bar of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBar {
    /// Whose.
    pub series: Series,
    /// What.
    pub bar: Bar,
    /// The sums of price times size and of its square, when the trades are known.
    pub sums: Option<(i128, i128)>,
    /// From where.
    pub origin: Origin,
}

/// A trade date of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDay {
    /// Whose.
    pub series: Series,
    /// What.
    pub day: Day,
    /// From where.
    pub origin: Origin,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Rows that were not there.
    pub new: u64,
    /// Rows that were there with other values.
    pub replaced: u64,
    /// Rows that were there, or that own ticks know better.
    pub kept: u64,
}

impl Imported {
    /// Adds what another part of the same import did.
    pub const fn add(&mut self, more: Self) {
        self.new = self.new.saturating_add(more.new);
        self.replaced = self.replaced.saturating_add(more.replaced);
        self.kept = self.kept.saturating_add(more.kept);
    }
}

/// Rows of one kind.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// Bars.
    Bars(&'a [StoredBar]),
    /// Trade dates.
    Days(&'a [StoredDay]),
}

impl Rows<'_> {
    fn len(self) -> u64 {
        let rows = match self {
            Self::Bars(bars) => bars.len(),
            Self::Days(days) => days.len(),
        };
        u64::try_from(rows).unwrap_or(u64::MAX)
    }

    /// How many there are in the ledger.
    async fn count(self, connection: &mut SqliteConnection) -> Result<i64, StoreError> {
        let count = match self {
            Self::Bars(_) => {
                sqlx::query_scalar!(r#"select count(*) as "n!: i64" from bars"#).fetch_one(connection).await
            }
            Self::Days(_) => {
                sqlx::query_scalar!(r#"select count(*) as "n!: i64" from days"#).fetch_one(connection).await
            }
        };
        Ok(count?)
    }

    /// Writes them; returns how many changed the ledger.
    pub(super) async fn save(self, connection: &mut SqliteConnection) -> Result<u64, StoreError> {
        match self {
            Self::Bars(bars) => save_bars(connection, bars).await,
            Self::Days(days) => save_days(connection, days).await,
        }
    }
}

#[derive(Serialize)]
struct BarRow<'a> {
    i: &'a str,
    c: &'a str,
    n: u64,
    t: i64,
    f: u8,
    o: i64,
    h: i64,
    l: i64,
    e: i64,
    v: u64,
    s: Option<String>,
    q: Option<String>,
    r: u8,
}

impl<'a> BarRow<'a> {
    fn new(stored: &'a StoredBar) -> Self {
        let StoredBar { series, bar, sums, origin } = stored;
        Self {
            i: &series.instrument,
            c: &series.contract,
            n: bar.length.as_secs().max(1),
            t: bar.start.as_nanos(),
            f: u8::from(series.front),
            o: bar.open.as_nanos(),
            h: bar.high.as_nanos(),
            l: bar.low.as_nanos(),
            e: bar.close.as_nanos(),
            v: bar.volume,
            s: sums.map(|(value, _)| value.to_string()),
            q: sums.map(|(_, square)| square.to_string()),
            r: if *origin == Origin::Ticks { TICKS } else { IMPORT },
        }
    }
}

#[derive(Serialize)]
struct DayRow<'a> {
    i: &'a str,
    c: &'a str,
    d: i32,
    f: u8,
    o: i64,
    h: i64,
    l: i64,
    e: i64,
    v: u64,
    ro: Option<i64>,
    rh: Option<i64>,
    rl: Option<i64>,
    rc: Option<i64>,
    s: Option<i64>,
    u: u64,
    r: u8,
}

impl<'a> DayRow<'a> {
    fn new(stored: &'a StoredDay) -> Self {
        let StoredDay { series, day, origin } = stored;
        let rth = |price: fn(&Rth) -> Price| day.rth.as_ref().map(|rth| price(rth).as_nanos());
        Self {
            i: &series.instrument,
            c: &series.contract,
            d: day.date,
            f: u8::from(series.front),
            o: day.open.as_nanos(),
            h: day.high.as_nanos(),
            l: day.low.as_nanos(),
            e: day.close.as_nanos(),
            v: day.volume,
            ro: rth(|rth| rth.open),
            rh: rth(|rth| rth.high),
            rl: rth(|rth| rth.low),
            rc: rth(|rth| rth.close),
            s: day.settlement.map(Price::as_nanos),
            u: u64::try_from(day.unwatched.as_nanos()).unwrap_or(u64::MAX >> 1),
            r: match origin {
                Origin::Import => IMPORT,
                Origin::Ticks if day.is_unwatched() => PARTIAL,
                Origin::Ticks => TICKS,
            },
        }
    }
}

async fn save_bars(connection: &mut SqliteConnection, bars: &[StoredBar]) -> Result<u64, StoreError> {
    let mut changed = 0u64;
    for chunk in bars.chunks(ROWS_AT_ONCE) {
        let rows: Vec<_> = chunk.iter().map(BarRow::new).collect();
        let rows = serde_json::to_string(&rows).map_err(StoreError::Encode)?;
        let done = sqlx::query!(
            "insert into bars (instrument, contract, length, start, front, open, high, low, close, volume, value,
                 square, rank)
             select value ->> 'i', value ->> 'c', value ->> 'n', value ->> 't', value ->> 'f', value ->> 'o',
                 value ->> 'h', value ->> 'l', value ->> 'e', value ->> 'v', value ->> 's', value ->> 'q',
                 value ->> 'r'
             from json_each(?1) where true order by key
             on conflict (instrument, contract, length, start) do update set front = excluded.front,
                 open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
                 volume = excluded.volume, value = excluded.value, square = excluded.square, rank = excluded.rank
             where excluded.rank >= rank and (open, high, low, close, volume, value, square, rank) is not
                 (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.value,
                  excluded.square, excluded.rank)",
            rows
        )
        .execute(&mut *connection)
        .await?;
        changed = changed.saturating_add(done.rows_affected());
    }
    Ok(changed)
}

async fn save_days(connection: &mut SqliteConnection, days: &[StoredDay]) -> Result<u64, StoreError> {
    let mut changed = 0u64;
    for chunk in days.chunks(ROWS_AT_ONCE) {
        let rows: Vec<_> = chunk.iter().map(DayRow::new).collect();
        let rows = serde_json::to_string(&rows).map_err(StoreError::Encode)?;
        let done = sqlx::query!(
            "insert into days (instrument, contract, date, front, open, high, low, close, volume, rth_open, rth_high,
                 rth_low, rth_close, settlement, unwatched, rank)
             select value ->> 'i', value ->> 'c', value ->> 'd', value ->> 'f', value ->> 'o', value ->> 'h',
                 value ->> 'l', value ->> 'e', value ->> 'v', value ->> 'ro', value ->> 'rh', value ->> 'rl',
                 value ->> 'rc', value ->> 's', value ->> 'u', value ->> 'r'
             from json_each(?1) where true order by key
             on conflict (instrument, contract, date) do update set front = excluded.front, open = excluded.open,
                 high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
                 rth_open = excluded.rth_open, rth_high = excluded.rth_high, rth_low = excluded.rth_low,
                 rth_close = excluded.rth_close, settlement = excluded.settlement,
                 unwatched = excluded.unwatched, rank = excluded.rank
             where excluded.rank >= rank and (open, high, low, close, volume, rth_high, settlement, rank) is not
                 (excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.rth_high,
                  excluded.settlement, excluded.rank)",
            rows
        )
        .execute(&mut *connection)
        .await?;
        changed = changed.saturating_add(done.rows_affected());
    }
    Ok(changed)
}

impl Store {
    /// Takes rows in, in one transaction. What is there already stays unless it differs, and own ticks stay in any
    /// case.
    ///
    /// # Errors
    /// When the database fails; nothing is taken in then.
    pub async fn import(&self, rows: Rows<'_>) -> Result<Imported, StoreError> {
        let mut transaction = self.begin().await?;
        let before = rows.count(&mut transaction).await?;
        let changed = rows.save(&mut transaction).await?;
        let new =
            u64::try_from(rows.count(&mut transaction).await?.saturating_sub(before)).unwrap_or_default();
        transaction.commit().await?;
        let replaced = changed.saturating_sub(new);
        Ok(Imported { new, replaced, kept: rows.len().saturating_sub(changed) })
    }

    /// Deletes at most ten thousand bars that began before `before`. Returns how many they were; to be called again
    /// until it is none. Trade dates stay.
    ///
    /// # Errors
    /// When the database fails; nothing is deleted then.
    pub async fn prune_bars(&self, before: Timestamp) -> Result<u64, StoreError> {
        let (before, most) = (before.as_nanos(), i64::try_from(ROWS_AT_ONCE).unwrap_or(i64::MAX));
        let mut transaction = self.begin().await?;
        let done = sqlx::query!(
            "delete from bars where (instrument, contract, length, start) in
                 (select instrument, contract, length, start from bars where start < ?1 order by start limit ?2)",
            before,
            most
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::fixture::Place;

    fn series(contract: &str, front: bool) -> Series {
        Series { instrument: "RTY".into(), contract: contract.into(), front }
    }

    fn p(points: i64) -> Price {
        Price::from_points(points)
    }

    fn bar(minute: i64, close: i64, contract: &str, origin: Origin) -> StoredBar {
        let bar = Bar {
            start: Timestamp::from_nanos(minute * 60_000_000_000),
            length: Duration::from_secs(60),
            open: p(close),
            high: p(close),
            low: p(close),
            close: p(close),
            volume: 7,
        };
        let sums = (origin == Origin::Ticks).then_some((i128::MAX, i128::from(close)));
        StoredBar { series: series(contract, true), bar, sums, origin }
    }

    fn day(date: i32, close: i64, contract: &str, origin: Origin, unwatched: u64) -> StoredDay {
        let rth = Rth { open: p(close), high: p(close), low: p(close), close: p(close) };
        let day = Day {
            date,
            open: p(close),
            high: p(close),
            low: p(close),
            close: p(close),
            volume: 7,
            rth: (origin == Origin::Ticks).then_some(rth),
            settlement: None,
            unwatched: Duration::from_secs(unwatched),
        };
        StoredDay { series: series(contract, true), day, origin }
    }

    #[tokio::test]
    async fn bars_come_back_as_they_were_and_an_import_adds_nothing_twice() {
        let place = Place::new();
        let store = place.open().await;
        let bars: Vec<_> = (0..25_000).map(|minute| bar(minute, 2_000, "", Origin::Import)).collect();
        let done = store.import(Rows::Bars(&bars)).await.unwrap();
        assert_eq!(done, Imported { new: 25_000, ..Imported::default() });
        let again = store.import(Rows::Bars(&bars)).await.unwrap();
        assert_eq!(again, Imported { kept: 25_000, ..Imported::default() });
        let changed = bar(3, 2_001, "", Origin::Import);
        let done = store.import(Rows::Bars(std::slice::from_ref(&changed))).await.unwrap();
        assert_eq!(done, Imported { replaced: 1, ..Imported::default() });
        let read = store.history().bars("RTY", "", Timestamp::from_nanos(0)).await.unwrap();
        assert_eq!((read.len(), &read[3], &read[4]), (25_000, &changed, &bars[4]));
    }

    #[tokio::test]
    async fn own_ticks_count_more_than_an_import() {
        let place = Place::new();
        let store = place.open().await;
        let own = bar(1, 2_000, "RTYZ6", Origin::Ticks);
        store.import(Rows::Bars(std::slice::from_ref(&own))).await.unwrap();
        let done = store.import(Rows::Bars(&[bar(1, 1_999, "RTYZ6", Origin::Import)])).await.unwrap();
        assert_eq!(done.kept, 1);
        assert_eq!(store.history().bars("RTY", "RTYZ6", Timestamp::MIN).await.unwrap(), [own]);
    }

    #[tokio::test]
    async fn a_chain_takes_each_day_from_whoever_knows_it_best() {
        let place = Place::new();
        let store = place.open().await;
        let days = [
            day(20_261_120, 1, "", Origin::Import, 0),
            day(20_261_120, 2, "RTYZ6", Origin::Ticks, 3_600),
            day(20_261_121, 3, "", Origin::Import, 0),
            day(20_261_121, 4, "RTYZ6", Origin::Ticks, 10),
            day(20_261_122, 5, "RTYZ6", Origin::Ticks, 9_999),
        ];
        assert_eq!(store.import(Rows::Days(&days)).await.unwrap().new, 5);
        let closes = |days: Vec<Day>| days.iter().map(|day| day.close).collect::<Vec<_>>();
        let history = store.history();
        assert_eq!(closes(history.days("RTY", "", 9).await.unwrap()), [p(1), p(4), p(5)]);
        assert_eq!(closes(history.days("RTY", "", 2).await.unwrap()), [p(4), p(5)]);
        assert_eq!(closes(history.days("RTY", "RTYZ6", 9).await.unwrap()), [p(2), p(4), p(5)]);
        let whole = history.days("RTY", "RTYZ6", 1).await.unwrap();
        assert_eq!(whole, [days[4].day]);
    }

    #[tokio::test]
    async fn a_long_bar_never_tells_a_time_twice() {
        let place = Place::new();
        let store = place.open().await;
        let mut long = bar(0, 2_000, "", Origin::Import);
        long.bar.length = Duration::from_secs(300);
        let short = bar(5, 2_001, "RTYZ6", Origin::Ticks);
        let mut over = bar(5, 2_002, "", Origin::Import);
        over.bar.length = Duration::from_secs(300);
        store.import(Rows::Bars(&[long.clone(), short.clone(), over])).await.unwrap();
        assert_eq!(store.history().bars("RTY", "", Timestamp::MIN).await.unwrap(), [long, short]);
    }

    #[tokio::test]
    async fn old_bars_go_and_trade_dates_stay() {
        let place = Place::new();
        let store = place.open().await;
        store
            .import(Rows::Bars(&[bar(1, 1, "", Origin::Import), bar(9, 1, "", Origin::Import)]))
            .await
            .unwrap();
        store.import(Rows::Days(&[day(19_700_101, 1, "", Origin::Import, 0)])).await.unwrap();
        assert_eq!(store.prune_bars(Timestamp::from_nanos(5 * 60_000_000_000)).await.unwrap(), 1);
        assert_eq!(store.history().bars("RTY", "", Timestamp::MIN).await.unwrap().len(), 1);
        assert_eq!(store.history().days("RTY", "", 9).await.unwrap().len(), 1);
    }
}
