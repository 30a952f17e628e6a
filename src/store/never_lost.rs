//! The promise of the outbox, against a model: whatever is recorded, attempted, settled, sent again and cut off
//! by crashes, in any order, every delivery ends delivered or dead, and none is claimed that is not due.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::event::{Event, Kind, ThreadId};
use crate::store::Store;
use crate::store::commit::Commit;
use crate::store::delivery::{DeliveryId, Held, Settled, State};
use crate::store::fixture::{NOTHING, Place, accepted, at, deferred, delivery, event};
use crate::store::history::{DeliveryFilter, End};

const CHANNELS: [&str; 2] = ["mail", "slack"];

#[derive(Clone, Debug)]
enum Step {
    /// Records some events, perhaps not for the first time, each for both channels.
    Commit { first: u32, count: u32 },
    /// Time passes.
    Wait { ms: i64 },
    /// An attempt on a channel, settled at once.
    Try { channel: usize, next: Next },
    /// An attempt that stays under way.
    Begin { channel: usize },
    /// The longest attempt under way comes to its end.
    Settle { next: Next },
    /// Some that wait become one digest.
    Carry { channel: usize, count: usize },
    /// By hand, for any delivery.
    Resend { nth: usize },
    /// The process ends and starts again.
    Crash,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Delivered,
    Retry { ms: i64 },
    Dead,
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![Just(Next::Delivered), (0i64..50).prop_map(|ms| Next::Retry { ms }), Just(Next::Dead),]
}

fn step() -> impl Strategy<Value = Step> {
    let channel = 0..CHANNELS.len();
    prop_oneof![
        2 => (1u32..9, 1u32..4).prop_map(|(first, count)| Step::Commit { first, count }),
        2 => (0i64..40).prop_map(|ms| Step::Wait { ms }),
        4 => (channel.clone(), next()).prop_map(|(channel, next)| Step::Try { channel, next }),
        3 => channel.clone().prop_map(|channel| Step::Begin { channel }),
        2 => next().prop_map(|next| Step::Settle { next }),
        2 => (channel.clone(), 1usize..5).prop_map(|(channel, count)| Step::Carry { channel, count }),
        1 => (0usize..20).prop_map(|nth| Step::Resend { nth }),
        1 => Just(Step::Crash),
    ]
}

/// What a delivery should be.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    channel: &'static str,
    state: State,
    due_at: i64,
    attempts: u32,
    urgent: bool,
    carried_by: Option<DeliveryId>,
    /// Its event's place in the order of recording.
    seq: usize,
    thread: ThreadId,
}

impl Row {
    /// It is not told yet, and not by another one.
    fn is_open(&self) -> bool {
        matches!(self.state, State::Due | State::Sending) && self.carried_by.is_none()
    }

    /// It is open, due, and was never tried.
    fn waits(&self, now: i64) -> bool {
        self.is_open() && self.state == State::Due && self.due_at <= now && self.attempts == 0 && !self.urgent
    }

    /// A later step of its thread has to wait for it.
    fn blocks(&self, now: i64) -> bool {
        self.is_open() && (self.urgent || self.attempts > 0 || self.due_at <= now)
    }
}

struct World {
    place: Place,
    /// Always there but for the moment of a crash.
    store: Option<Store>,
    now: i64,
    recorded: Vec<Event>,
    rows: BTreeMap<DeliveryId, Row>,
}

impl World {
    async fn new() -> Self {
        let place = Place::new();
        let store = Some(place.open().await);
        Self { place, store, now: 0, recorded: Vec::new(), rows: BTreeMap::new() }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Commit { first, count } => self.commit(first, count).await,
            Step::Wait { ms } => self.now += ms,
            Step::Try { channel, next } => {
                if let Some(id) = self.begin(CHANNELS[channel]).await {
                    self.settle(id, next).await;
                }
            }
            Step::Begin { channel } => {
                self.begin(CHANNELS[channel]).await;
            }
            Step::Settle { next } => {
                let sending = self.rows.iter().find(|(_, row)| row.state == State::Sending);
                if let Some(id) = sending.map(|(id, _)| *id) {
                    self.settle(id, next).await;
                }
            }
            Step::Carry { channel, count } => self.carry(CHANNELS[channel], count).await,
            Step::Resend { nth } => self.resend(nth).await,
            Step::Crash => self.crash().await,
        }
        self.compare().await;
    }

    async fn commit(&mut self, first: u32, count: u32) {
        // Threads of three steps, which may be recorded in any order.
        let one = |n: u32| event(&format!("level {}", n / 3), n, Kind::LevelBroken);
        let events: Vec<_> = (first..first + count).map(one).collect();
        let new: Vec<_> = events.iter().filter(|event| !self.recorded.contains(event)).cloned().collect();
        let mut deliveries = Vec::new();
        for event in &events {
            deliveries.extend(CHANNELS.map(|channel| {
                let mut delivery = delivery(event, channel, "");
                delivery.due_at = at(self.now);
                delivery
            }));
        }
        let commit =
            Commit { events: &events, deliveries: &deliveries, committed_at: at(self.now), ..NOTHING };
        let ids = self.store().commit(&commit).await.unwrap();
        assert_eq!(ids.len(), new.len() * CHANNELS.len(), "new events, and only these, are to be told");
        for (id, channel) in ids.into_iter().zip(CHANNELS.into_iter().cycle()) {
            let found = self.store().history().thread_of(id).await.unwrap().unwrap();
            let made =
                found.events.iter().flat_map(|told| &told.deliveries).find(|made| made.delivery.id == id);
            let event = made.unwrap().delivery.event.clone();
            let nth = new.iter().position(|new| new.id == event).unwrap();
            let (seq, thread) = (self.recorded.len() + nth, new[nth].thread.clone());
            self.rows.insert(id, self.row(channel, seq, thread));
        }
        self.recorded.extend(new);
    }

    fn row(&self, channel: &'static str, seq: usize, thread: ThreadId) -> Row {
        let (state, due_at) = (State::Due, self.now);
        Row { channel, state, due_at, attempts: 0, urgent: false, carried_by: None, seq, thread }
    }

    async fn carry(&mut self, channel: &'static str, count: usize) {
        let waiting = self.rows.iter().filter(|(_, row)| row.channel == channel && row.waits(self.now));
        let mut ids: Vec<_> = waiting.map(|(id, row)| (row.due_at, row.seq, *id)).collect();
        ids.sort_unstable();
        let ids: Vec<_> = ids.into_iter().map(|(.., id)| id).collect();
        let found = self.store().waiting(channel, "", at(self.now)).await.unwrap();
        assert_eq!(found.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), ids);
        let Some(carried) = ids.get(..count) else { return };
        let digest = event(&format!("digest {}", self.recorded.len()), 1, Kind::Digest);
        let carrier =
            self.store().carry(&digest, (channel, ""), carried, at(self.now)).await.unwrap().unwrap();
        for (id, row) in &mut self.rows {
            if carried.contains(id) || row.carried_by.is_some_and(|by| carried.contains(&by)) {
                row.carried_by = Some(carrier);
            }
        }
        self.rows.insert(carrier, self.row(channel, self.recorded.len(), digest.thread.clone()));
        self.recorded.push(digest);
    }

    async fn begin(&mut self, channel: &str) -> Option<DeliveryId> {
        let id = self.store().claim(channel, at(self.now), 1, &Held::default()).await.unwrap().first()?.id;
        let number = self.store().begin_attempt(id, at(self.now)).await.unwrap();
        let row = self.rows.get_mut(&id).unwrap();
        (row.state, row.attempts) = (State::Sending, row.attempts + 1);
        assert_eq!(number, row.attempts);
        Some(id)
    }

    async fn settle(&mut self, id: DeliveryId, next: Next) {
        let number = self.rows[&id].attempts;
        let (outcome, settled) = match next {
            Next::Delivered => (accepted(), Settled::Delivered),
            Next::Retry { ms } => (deferred(), Settled::Retry { due_at: at(self.now + ms) }),
            Next::Dead => (deferred(), Settled::Dead),
        };
        self.store().settle(id, number, &outcome, at(self.now), settled).await.unwrap();
        let row = self.rows.get_mut(&id).unwrap();
        match next {
            Next::Delivered => row.state = State::Delivered,
            Next::Retry { ms } => (row.state, row.due_at) = (State::Due, self.now + ms),
            Next::Dead => row.state = State::Dead,
        }
        let ended = row.state;
        for row in self.rows.values_mut().filter(|row| row.carried_by == Some(id)) {
            match (ended, row.state) {
                (State::Delivered | State::Dead, State::Due) | (State::Delivered, State::Dead) => {
                    row.state = ended
                }
                _ => {}
            }
        }
    }

    async fn resend(&mut self, nth: usize) {
        let Some(id) = self.rows.keys().nth(nth).copied() else { return };
        let answer = self.store().resend(id, at(self.now)).await;
        let row = self.rows.get_mut(&id).unwrap();
        if row.state == State::Sending {
            answer.unwrap_err();
        } else {
            assert_eq!(answer.unwrap(), row.state);
            (row.state, row.due_at, row.urgent, row.carried_by) = (State::Due, self.now, true, None);
        }
    }

    async fn crash(&mut self) {
        drop(self.store.take());
        self.store = Some(self.place.open().await);
        let cut: Vec<_> = self.rows.iter_mut().filter(|(_, row)| row.state == State::Sending).collect();
        let ids: Vec<_> = cut.iter().map(|(id, _)| **id).collect();
        for (_, row) in cut {
            (row.state, row.due_at) = (State::Due, self.now);
        }
        assert_eq!(self.store().recover(at(self.now)).await.unwrap(), ids);
    }

    /// The table holds what the model says, and exactly what is due can be claimed, in order.
    async fn compare(&self) {
        let found = self.store().history().deliveries(&DeliveryFilter::default()).await.unwrap();
        assert_eq!(found.len(), self.rows.len(), "none is lost and none made up");
        for delivery in found {
            let row = &self.rows[&delivery.id];
            assert_eq!((delivery.state, delivery.attempts), (row.state, row.attempts), "{}", delivery.id);
        }
        for channel in CHANNELS {
            let claimed = self.store().claim(channel, at(self.now), 1_000, &Held::default()).await.unwrap();
            let claimed: Vec<_> = claimed.iter().map(|due| due.id).collect();
            assert_eq!(claimed, self.claimable(channel));
            let waiting = self.rows.values().filter(|row| row.channel == channel && row.is_open());
            let later = waiting.filter(|row| row.state == State::Due && row.due_at > self.now);
            let next = self.store().next_due(channel, at(self.now)).await.unwrap();
            assert_eq!(next, later.map(|row| at(row.due_at)).min());
        }
    }

    fn claimable(&self, channel: &str) -> Vec<DeliveryId> {
        let here = || self.rows.iter().filter(|(_, row)| row.channel == channel && row.is_open());
        let blocked = |row: &Row| {
            let earlier = |other: &Row| other.thread == row.thread && other.seq < row.seq;
            here().any(|(_, other)| earlier(other) && other.blocks(self.now))
        };
        let ready =
            here().filter(|(_, row)| row.state == State::Due && row.due_at <= self.now && !blocked(row));
        let mut ready: Vec<_> = ready.map(|(id, row)| (!row.urgent, row.due_at, row.seq, *id)).collect();
        ready.sort_unstable();
        ready.into_iter().map(|(.., id)| id).collect()
    }

    /// After a last crash, working off what is due ends everything.
    async fn finish(mut self) {
        self.crash().await;
        self.now += 100;
        for channel in CHANNELS {
            while let Some(id) = self.begin(channel).await {
                self.settle(id, Next::Delivered).await;
            }
        }
        self.compare().await;
        for (id, row) in &self.rows {
            assert!(matches!(row.state, State::Delivered | State::Dead), "{id} is {}", row.state);
            let attempts = self.store().history().attempts(*id).await.unwrap();
            let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
            assert_eq!(numbers, (1..=row.attempts).collect::<Vec<_>>());
            assert!(attempts.iter().all(|attempt| attempt.end != End::UnderWay), "{attempts:?}");
        }
    }
}

/// The daemon calls the store from tasks, which may move between threads.
#[tokio::test]
async fn every_call_can_be_made_from_a_task() {
    let place = Place::new();
    let store = std::sync::Arc::new(place.open().await);
    let mut tasks = tokio::task::JoinSet::new();
    for n in 1..=8u32 {
        let store = std::sync::Arc::clone(&store);
        tasks.spawn(async move {
            let events = [event("2500", n, Kind::LevelBroken)];
            let id = crate::store::fixture::record(&store, &events).await[0];
            store.begin_attempt(id, at(1)).await.unwrap();
            store.settle(id, 1, &accepted(), at(2), Settled::Delivered).await.unwrap();
            store.history().thread_of(id).await.unwrap().unwrap().events.len()
        });
    }
    let seen = tasks.join_all().await;
    assert!(seen.iter().all(|events| (1..=8).contains(events)), "{seen:?}");
    let counts = store.history().counts().await.unwrap();
    assert_eq!(counts.channels["mail"].deliveries, BTreeMap::from([(State::Delivered, 8)]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_delivery_ends_delivered_or_dead_whatever_happens(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.apply(step).await;
            }
            world.finish().await;
        });
    }
}
