//! Reading: how much there is, for `status` and the metrics.
//!
//! It counts and judges nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::store::delivery::State;
use crate::store::error::StoreError;
use crate::store::history::{History, undecoded};
use crate::time::Timestamp;

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Events recorded.
    pub events: u64,
    /// When the latest was recorded.
    pub last_committed_at: Option<Timestamp>,
    /// Deliveries by channel, and by state within it.
    pub channels: BTreeMap<String, ChannelCounts>,
}

/// How much there is on one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChannelCounts {
    /// Deliveries by state; a state without any is missing.
    pub deliveries: BTreeMap<State, u64>,
    /// Since when the oldest that is neither delivered nor dead waits.
    pub waiting_since: Option<Timestamp>,
}

impl History {
    /// How much there is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let mut view = self.begin().await?;
        let events = sqlx::query!(
            r#"select count(*) as "events!: i64",
                   (select committed_at from events order by seq desc limit 1) as "last: i64" from events"#
        )
        .fetch_one(&mut *view)
        .await?;
        let rows = sqlx::query!(
            r#"select channel as "channel!", state as "state!", count(*) as "deliveries!: i64",
                   min(opened_at) as "oldest!: i64"
               from deliveries group by channel, state order by channel, state"#
        )
        .fetch_all(&mut *view)
        .await?;
        view.commit().await?;
        let mut counts = Counts {
            events: events.events.unsigned_abs(),
            last_committed_at: events.last.map(Timestamp::from_nanos),
            channels: BTreeMap::new(),
        };
        for row in rows {
            let state: State = row.state.parse().map_err(|why: String| undecoded("a delivery", why))?;
            let channel = counts.channels.entry(row.channel).or_default();
            channel.deliveries.insert(state, row.deliveries.unsigned_abs());
            if matches!(state, State::Due | State::Sending) {
                let oldest = Timestamp::from_nanos(row.oldest);
                channel.waiting_since = Some(channel.waiting_since.map_or(oldest, |t| t.min(oldest)));
            }
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::store::delivery::Settled;
    use crate::store::fixture::{Place, accepted, at, event, record};

    #[tokio::test]
    async fn everything_is_counted_by_channel_and_state() {
        let place = Place::new();
        let store = place.open().await;
        assert_eq!(store.history().counts().await.unwrap(), Counts::default());
        let ids = record(&store, &[1, 2, 3].map(|n| event("2500", n, Kind::LevelBroken))).await;
        store.begin_attempt(ids[0], at(20)).await.unwrap();
        store.settle(ids[0], 1, &accepted(), at(21), Settled::Delivered).await.unwrap();
        store.resend(ids[2], at(30)).await.unwrap();
        let counts = store.history().counts().await.unwrap();
        let mail = ChannelCounts {
            deliveries: BTreeMap::from([(State::Due, 2), (State::Delivered, 1)]),
            waiting_since: Some(at(10)),
        };
        let channels = BTreeMap::from([("mail".to_owned(), mail)]);
        assert_eq!(counts, Counts { events: 3, last_committed_at: Some(at(10)), channels });
    }
}
