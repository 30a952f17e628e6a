//! Digests that carry what waits.

use super::*;
use crate::event::Kind;
use crate::store::delivery::{Held, Settled, State};
use crate::store::fixture::{Place, accepted, at, deferred, event, record};
use crate::store::history::DeliveryFilter;

const MAIL: (&str, &str) = ("mail", "desk@example.com");

async fn states(store: &Store) -> Vec<(State, Option<DeliveryId>)> {
    let all = store.history().deliveries(&DeliveryFilter::default()).await.unwrap();
    all.into_iter().map(|delivery| (delivery.state, delivery.carried_by)).collect()
}

async fn claimed(store: &Store) -> Vec<DeliveryId> {
    let due = store.claim("mail", at(99), 100, &Held::default()).await.unwrap();
    due.into_iter().map(|due| due.id).collect()
}

async fn send(store: &Store, id: DeliveryId, next: Settled) {
    let attempt = store.begin_attempt(id, at(99)).await.unwrap();
    let outcome = if next == Settled::Delivered { accepted() } else { deferred() };
    store.settle(id, attempt, &outcome, at(99), next).await.unwrap();
}

#[tokio::test]
async fn what_a_digest_carries_is_not_sent_by_itself_and_ends_as_the_digest_ends() {
    let place = Place::new();
    let store = place.open().await;
    let levels = ["a", "b", "c"].map(|level| event(level, 1, Kind::LevelBroken));
    let ids = record(&store, &levels).await;
    let waiting = store.waiting("mail", MAIL.1, at(99)).await.unwrap();
    assert_eq!(waiting.iter().map(|waiting| waiting.id).collect::<Vec<_>>(), ids);
    let digest = event("digest", 1, Kind::Digest);
    let carrier = store.carry(&digest, MAIL, &ids[..2], at(50)).await.unwrap().unwrap();
    assert_eq!(claimed(&store).await, [ids[2], carrier]);
    let carried = (State::Due, Some(carrier));
    assert_eq!(states(&store).await, [carried, carried, (State::Due, None), (State::Due, None)]);

    // A digest can be carried as well, and everything in it goes along.
    let larger = event("digest", 2, Kind::Digest);
    let second = store.carry(&larger, MAIL, &[ids[2], carrier], at(60)).await.unwrap().unwrap();
    assert_eq!(claimed(&store).await, [second]);
    send(&store, second, Settled::Retry { due_at: at(99) }).await;
    assert!(states(&store).await.iter().all(|(state, _)| *state == State::Due));
    send(&store, second, Settled::Dead).await;
    assert!(states(&store).await.iter().all(|(state, _)| *state == State::Dead));
    store.resend(second, at(99)).await.unwrap();
    send(&store, second, Settled::Delivered).await;
    assert!(states(&store).await.iter().all(|(state, _)| *state == State::Delivered));
}

#[tokio::test]
async fn what_was_tried_meanwhile_is_not_carried_and_then_nothing_is() {
    let place = Place::new();
    let store = place.open().await;
    let ids = record(&store, &["a", "b"].map(|level| event(level, 1, Kind::LevelBroken))).await;
    send(&store, ids[0], Settled::Retry { due_at: at(99) }).await;
    assert_eq!(store.waiting("mail", MAIL.1, at(99)).await.unwrap().len(), 1);
    let digest = event("digest", 1, Kind::Digest);
    assert_eq!(store.carry(&digest, MAIL, &ids, at(50)).await.unwrap(), None);
    assert_eq!(claimed(&store).await.len(), 2, "both are still sent by themselves");
    assert_eq!(states(&store).await.len(), 2, "no delivery of the digest is left");
}

#[tokio::test]
async fn what_is_sent_again_by_hand_leaves_its_digest_and_goes_first() {
    let place = Place::new();
    let store = place.open().await;
    let ids = record(&store, &["a", "b", "c"].map(|level| event(level, 1, Kind::LevelBroken))).await;
    let digest = event("digest", 1, Kind::Digest);
    let carrier = store.carry(&digest, MAIL, &ids[..2], at(50)).await.unwrap().unwrap();
    store.resend(ids[1], at(60)).await.unwrap();
    assert_eq!(claimed(&store).await, [ids[1], ids[2], carrier]);
    send(&store, carrier, Settled::Delivered).await;
    assert_eq!(states(&store).await[1], (State::Due, None));
}
