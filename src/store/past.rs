//! Bars and trade dates read back, oldest first, each from whoever knows it best.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::derive::{Day, Rth};
use crate::market::bar::Bar;
use crate::market::price::Price;
use crate::store::bars::{IMPORT, Origin, Series, StoredBar};
use crate::store::error::StoreError;
use crate::store::history::History;
use crate::time::Timestamp;

impl History {
    /// The trade dates of a series, oldest first; the newest so many of them. An empty contract means the front
    /// months one after the other, each day from whoever knows it best.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn days(&self, instrument: &str, contract: &str, newest: u32) -> Result<Vec<Day>, StoreError> {
        // Each date can have a row of its own and one of the chain.
        let limit = i64::from(newest).saturating_mul(3);
        let rows = sqlx::query!(
            r#"select date, open, high, low, close, volume, rth_open, rth_high, rth_low, rth_close, settlement,
                   unwatched, rank
               from days where instrument = ?1 and (contract = ?2 or (?2 = '' and front = 1))
               order by date desc limit ?3"#,
            instrument,
            contract,
            limit
        )
        .fetch_all(self.readers())
        .await?;
        let mut best: BTreeMap<i64, (i64, Day)> = BTreeMap::new();
        for row in rows {
            let rth = match (row.rth_open, row.rth_high, row.rth_low, row.rth_close) {
                (Some(open), Some(high), Some(low), Some(close)) => Some(Rth {
                    open: Price::from_nanos(open),
                    high: Price::from_nanos(high),
                    low: Price::from_nanos(low),
                    close: Price::from_nanos(close),
                }),
                (_, _, _, _) => None,
            };
            let day = Day {
                date: i32::try_from(row.date).unwrap_or_default(),
                open: Price::from_nanos(row.open),
                high: Price::from_nanos(row.high),
                low: Price::from_nanos(row.low),
                close: Price::from_nanos(row.close),
                volume: u64::try_from(row.volume).unwrap_or_default(),
                rth,
                settlement: row.settlement.map(Price::from_nanos),
                unwatched: Duration::from_nanos(u64::try_from(row.unwatched).unwrap_or_default()),
            };
            if best.get(&row.date).is_none_or(|(rank, _)| row.rank > *rank) {
                best.insert(row.date, (row.rank, day));
            }
        }
        let skip = best.len().saturating_sub(usize::try_from(newest).unwrap_or(usize::MAX));
        Ok(best.into_values().skip(skip).map(|(_, day)| day).collect())
    }

    /// The bars of a series from a moment on, oldest first, each time from whoever knows it best: own ticks before
    /// imports, and short bars before long ones. An empty contract means the front months one after the other.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bars(
        &self,
        instrument: &str,
        contract: &str,
        since: Timestamp,
    ) -> Result<Vec<StoredBar>, StoreError> {
        self.bars_between(instrument, contract, since, Timestamp::MAX).await
    }

    /// The same, of bars that began before a moment.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn bars_between(
        &self,
        instrument: &str,
        contract: &str,
        since: Timestamp,
        before: Timestamp,
    ) -> Result<Vec<StoredBar>, StoreError> {
        let (since, before) = (since.as_nanos(), before.as_nanos());
        let rows = sqlx::query!(
            r#"select contract, length, start, front, open, high, low, close, volume, value, square, rank
               from bars where instrument = ?1 and (contract = ?2 or (?2 = '' and front = 1)) and start >= ?3
                   and start < ?4
               order by start, length, rank desc"#,
            instrument,
            contract,
            since,
            before
        )
        .fetch_all(self.readers())
        .await?;
        let mut bars: Vec<StoredBar> = Vec::with_capacity(rows.len());
        for row in rows {
            let bar = Bar {
                start: Timestamp::from_nanos(row.start),
                length: Duration::from_secs(u64::try_from(row.length).unwrap_or(1)),
                open: Price::from_nanos(row.open),
                high: Price::from_nanos(row.high),
                low: Price::from_nanos(row.low),
                close: Price::from_nanos(row.close),
                volume: u64::try_from(row.volume).unwrap_or_default(),
            };
            // A longer bar over a time that is told already would count it twice.
            if bars.last().is_some_and(|last| last.bar.end() > bar.start) {
                continue;
            }
            let sums = row.value.zip(row.square);
            let sums = sums.and_then(|(value, square)| Some((value.parse().ok()?, square.parse().ok()?)));
            let series =
                Series { instrument: instrument.to_owned(), contract: row.contract, front: row.front != 0 };
            let origin = if row.rank == i64::from(IMPORT) { Origin::Import } else { Origin::Ticks };
            bars.push(StoredBar { series, bar, sums, origin });
        }
        Ok(bars)
    }
}
