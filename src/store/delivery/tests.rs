//! A delivery's life, step by step.

use super::*;
use crate::event::Kind;
use crate::store::commit::Commit;
use crate::store::fixture::{NOTHING, Place, accepted, at, deferred, delivery, event, record};
use crate::store::history::{DeliveryFilter, End};

async fn state(store: &Store, id: DeliveryId) -> State {
    let all = store.history().deliveries(&DeliveryFilter::default()).await.unwrap();
    all.iter().find(|delivery| delivery.id == id).unwrap().state
}

async fn claimed(store: &Store, now: i64) -> Vec<DeliveryId> {
    store.claim("mail", at(now), 100, &Held::default()).await.unwrap().into_iter().map(|due| due.id).collect()
}

#[tokio::test]
async fn a_delivery_goes_from_due_through_sending_to_delivered() {
    let place = Place::new();
    let store = place.open().await;
    let first = event("2500", 1, Kind::LevelBroken);
    let id = record(&store, std::slice::from_ref(&first)).await[0];
    let due = store.claim("mail", at(20), 10, &Held::default()).await.unwrap();
    let expected = Due {
        id,
        event: first,
        event_seq: due[0].event_seq,
        committed_at: at(10),
        target: "desk@example.com".into(),
        attempts: 0,
        created_at: at(10),
        due_at: at(0),
        urgent: false,
        first_in_thread: None,
    };
    assert_eq!(due, [expected]);
    assert_eq!(store.begin_attempt(id, at(21)).await.unwrap(), 1);
    assert_eq!(claimed(&store, 30).await, [], "what is being sent is not claimed");
    store.settle(id, 1, &accepted(), at(22), Settled::Delivered).await.unwrap();
    assert_eq!(state(&store, id).await, State::Delivered);
    assert_eq!(claimed(&store, 99).await, []);
    let attempts = store.history().attempts(id).await.unwrap();
    assert_eq!((attempts[0].number, attempts[0].begun_at), (1, at(21)));
    assert_eq!(attempts[0].end, End::Answered { at: at(22), outcome: accepted() });
}

#[tokio::test]
async fn a_retry_waits_for_its_time_and_counts_on() {
    let place = Place::new();
    let store = place.open().await;
    let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
    store.begin_attempt(id, at(1)).await.unwrap();
    store.settle(id, 1, &deferred(), at(2), Settled::Retry { due_at: at(50) }).await.unwrap();
    assert_eq!(claimed(&store, 49).await, []);
    assert_eq!(store.next_due("mail", at(49)).await.unwrap(), Some(at(50)));
    let due = store.claim("mail", at(50), 10, &Held::default()).await.unwrap();
    assert_eq!((due[0].id, due[0].attempts, due[0].created_at), (id, 1, at(10)));
    assert_eq!(store.begin_attempt(id, at(50)).await.unwrap(), 2);
    store.settle(id, 2, &deferred(), at(51), Settled::Dead).await.unwrap();
    assert_eq!((state(&store, id).await, store.next_due("mail", at(51)).await.unwrap()), (State::Dead, None));
}

#[tokio::test]
async fn deliveries_are_claimed_by_channel_and_in_order() {
    let place = Place::new();
    let store = place.open().await;
    let events: Vec<_> = (1..=3).map(|n| event(&format!("level {n}"), n, Kind::LevelBroken)).collect();
    let mut deliveries: Vec<_> = events.iter().rev().map(|event| delivery(event, "mail", "")).collect();
    deliveries[0].due_at = at(-5);
    deliveries.push(delivery(&events[0], "slack", ""));
    store.commit(&Commit { events: &events, deliveries: &deliveries, ..NOTHING }).await.unwrap();
    let due = store.claim("mail", at(0), 10, &Held::default()).await.unwrap();
    let order: Vec<_> = due.iter().map(|due| &due.event.id).collect();
    assert_eq!(order, [&events[2].id, &events[0].id, &events[1].id], "the longest due, then as recorded");
    assert_eq!(store.claim("mail", at(0), 2, &Held::default()).await.unwrap(), due[..2]);
    assert_eq!(store.claim("slack", at(0), 10, &Held::default()).await.unwrap().len(), 1);
    assert_eq!(store.claim("none", at(0), 10, &Held::default()).await.unwrap(), []);
    assert_eq!(store.next_due("mail", at(-9)).await.unwrap(), Some(at(-5)));
}

#[tokio::test]
async fn a_thread_is_told_step_by_step_and_tied_to_its_first_event_on_the_channel() {
    let place = Place::new();
    let store = place.open().await;
    let events: Vec<_> = (1..=4).map(|n| event("2500", n, Kind::LevelBroken)).collect();
    let other = event("2450", 1, Kind::LevelBroken);
    let deliveries: Vec<_> =
        [&events[1], &events[2], &events[3], &other].map(|event| delivery(event, "mail", "")).into();
    let all = [events.clone(), vec![other]].concat();
    let ids = store.commit(&Commit { events: &all, deliveries: &deliveries, ..NOTHING }).await.unwrap();
    assert_eq!(claimed(&store, 0).await, [ids[0], ids[3]]);
    store.begin_attempt(ids[0], at(1)).await.unwrap();
    assert_eq!(claimed(&store, 2).await, [ids[3]], "the second step waits while the first is being sent");
    store.settle(ids[0], 1, &deferred(), at(2), Settled::Retry { due_at: at(50) }).await.unwrap();
    assert_eq!(claimed(&store, 49).await, [ids[3]], "and while the first waits to be tried again");
    assert_eq!(store.next_due("mail", at(49)).await.unwrap(), Some(at(50)));
    store.begin_attempt(ids[0], at(50)).await.unwrap();
    store.settle(ids[0], 2, &accepted(), at(51), Settled::Delivered).await.unwrap();
    assert_eq!(claimed(&store, 60).await, [ids[1], ids[3]]);
    store.begin_attempt(ids[1], at(60)).await.unwrap();
    store.settle(ids[1], 1, &deferred(), at(61), Settled::Dead).await.unwrap();
    let due = store.claim("mail", at(70), 10, &Held::default()).await.unwrap();
    assert_eq!(
        due.iter().map(|due| due.id).collect::<Vec<_>>(),
        [ids[2], ids[3]],
        "a dead one is no obstacle"
    );
    let first: Vec<_> = due.iter().map(|due| due.first_in_thread.as_ref()).collect();
    assert_eq!(first, [Some(&events[1].id), None], "the first event was not told on this channel");
}

/// An event that a person should act on.
fn urgent(level: &str, step: u32) -> Event {
    Event { severity: crate::event::Severity::Critical, ..event(level, step, Kind::LevelFailed) }
}

#[tokio::test]
async fn what_is_urgent_goes_first_but_never_before_an_earlier_step_that_can_be_told() {
    let place = Place::new();
    let store = place.open().await;
    let events = [
        event("2450", 1, Kind::LevelBroken),
        event("2500", 1, Kind::LevelBroken),
        urgent("2500", 2),
        urgent("x", 1),
    ];
    let ids = record(&store, &events).await;
    assert_eq!(claimed(&store, 20).await, [ids[3], ids[0], ids[1]]);
    let quiet = Held { all_but_urgent: true, ..Held::default() };
    let due = store.claim("mail", at(20), 10, &quiet).await.unwrap();
    assert_eq!(
        due.iter().map(|due| due.id).collect::<Vec<_>>(),
        [ids[2], ids[3]],
        "quiet hours hold no urgent step"
    );
    store.begin_attempt(ids[1], at(21)).await.unwrap();
    store.settle(ids[1], 1, &deferred(), at(22), Settled::Retry { due_at: at(50) }).await.unwrap();
    let due = store.claim("mail", at(30), 10, &quiet).await.unwrap();
    assert_eq!(
        due.iter().map(|due| due.id).collect::<Vec<_>>(),
        [ids[3]],
        "what was tried is not held any more"
    );
}

#[tokio::test]
async fn a_paused_target_or_instrument_is_passed_over() {
    let place = Place::new();
    let store = place.open().await;
    let es = Event { instrument: Some("ES".into()), ..event("es", 1, Kind::LevelBroken) };
    let feed = Event { level: None, ..event("feed", 1, Kind::FeedUp) };
    let events = [event("a", 1, Kind::LevelBroken), urgent("b", 1), es, feed];
    let mut deliveries: Vec<_> = events.iter().map(|event| delivery(event, "mail", "one")).collect();
    deliveries.push(delivery(&events[0], "mail", "two"));
    let ids = store.commit(&Commit { events: &events, deliveries: &deliveries, ..NOTHING }).await.unwrap();
    let claim = async |paused: &[(&str, Option<&str>)]| {
        let paused = paused.iter().map(|(target, instrument)| Paused {
            target: (*target).to_owned(),
            instrument: instrument.map(str::to_owned),
            level: None,
        });
        let held = Held { all_but_urgent: false, paused: paused.collect() };
        let due = store.claim("mail", at(0), 10, &held).await.unwrap();
        due.into_iter().map(|due| due.id).collect::<Vec<_>>()
    };
    assert_eq!(claim(&[]).await, [ids[1], ids[0], ids[4], ids[2], ids[3]]);
    assert_eq!(claim(&[("one", None)]).await, [ids[4]]);
    assert_eq!(claim(&[("one", Some("RTY"))]).await, [ids[1], ids[4], ids[2], ids[3]]);
    store.begin_attempt(ids[0], at(0)).await.unwrap();
    store.settle(ids[0], 1, &deferred(), at(0), Settled::Retry { due_at: at(0) }).await.unwrap();
    let tried = claim(&[("one", Some("RTY")), ("two", Some("RTY"))]).await;
    assert_eq!(tried, [ids[1], ids[0], ids[2], ids[3]], "what was tried is not grouped");
    let of_level = |level: &str| Paused {
        target: "two".into(),
        instrument: Some("RTY".into()),
        level: Some(level.to_owned()),
    };
    for (level, claimed) in [("a", 4), ("z", 5)] {
        let held = Held { all_but_urgent: false, paused: vec![of_level(level)] };
        assert_eq!(store.claim("mail", at(0), 10, &held).await.unwrap().len(), claimed, "{level}");
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_an_attempt_makes_it_due_again_with_an_unknown_end() {
    let place = Place::new();
    let store = place.open().await;
    let ids = record(&store, &[1, 2, 3].map(|n| event(&format!("level {n}"), n, Kind::LevelBroken))).await;
    store.begin_attempt(ids[0], at(20)).await.unwrap();
    store.settle(ids[0], 1, &accepted(), at(21), Settled::Delivered).await.unwrap();
    store.begin_attempt(ids[1], at(22)).await.unwrap();
    drop(store);

    let store = place.open().await;
    assert_eq!(store.recover(at(100)).await.unwrap(), [ids[1]]);
    assert_eq!(claimed(&store, 100).await, [ids[2], ids[1]]);
    let attempts = store.history().attempts(ids[1]).await.unwrap();
    assert_eq!(attempts[0].end, End::Unknown { noticed_at: at(100) });
    let late = store.settle(ids[1], 1, &accepted(), at(101), Settled::Delivered).await;
    assert!(matches!(late, Err(StoreError::NotUnderWay { attempt: 1, .. })), "{late:?}");
    assert_eq!(store.begin_attempt(ids[1], at(102)).await.unwrap(), 2);
    assert_eq!(store.history().attempts(ids[0]).await.unwrap().len(), 1, "the delivered one is left alone");
}

#[tokio::test]
async fn what_a_wrong_clock_put_off_for_years_is_due_after_the_next_start() {
    let place = Place::new();
    let store = place.open().await;
    let ids = record(&store, &[1, 2].map(|n| event(&format!("level {n}"), n, Kind::LevelBroken))).await;
    for (id, due_at) in [(ids[0], Timestamp::MAX), (ids[1], at(600_000))] {
        store.begin_attempt(id, at(1)).await.unwrap();
        store.settle(id, 1, &deferred(), at(2), Settled::Retry { due_at }).await.unwrap();
    }
    assert_eq!(store.recover(at(100)).await.unwrap(), []);
    assert_eq!(claimed(&store, 100).await, [ids[0]]);
}

#[tokio::test]
async fn an_attempt_begins_only_when_due_and_settles_only_once() {
    let place = Place::new();
    let store = place.open().await;
    let id = record(&store, &[event("2500", 1, Kind::LevelBroken)]).await[0];
    let early = store.settle(id, 1, &accepted(), at(1), Settled::Delivered).await;
    assert!(matches!(early, Err(StoreError::NotUnderWay { .. })));
    store.begin_attempt(id, at(1)).await.unwrap();
    let twice = store.begin_attempt(id, at(1)).await;
    assert!(matches!(twice, Err(StoreError::WrongState { state: State::Sending, .. })), "{twice:?}");
    store.settle(id, 1, &accepted(), at(2), Settled::Delivered).await.unwrap();
    let again = store.settle(id, 1, &deferred(), at(3), Settled::Dead).await;
    assert!(matches!(again, Err(StoreError::NotUnderWay { .. })));
    let after = store.begin_attempt(id, at(4)).await;
    assert!(matches!(after, Err(StoreError::WrongState { state: State::Delivered, .. })), "{after:?}");
    let none = store.begin_attempt(DeliveryId(999), at(4)).await;
    assert!(matches!(none, Err(StoreError::NoDelivery(DeliveryId(999)))), "{none:?}");
    assert_eq!(state(&store, id).await, State::Delivered);
}

#[tokio::test]
async fn by_hand_a_delivery_is_sent_again_and_says_what_it_was() {
    let place = Place::new();
    let store = place.open().await;
    let ids = record(&store, &[1, 2, 3].map(|n| event(&format!("level {n}"), n, Kind::LevelBroken))).await;
    for (id, next) in [(ids[0], Settled::Delivered), (ids[1], Settled::Dead)] {
        store.begin_attempt(id, at(1)).await.unwrap();
        store.settle(id, 1, &deferred(), at(2), next).await.unwrap();
    }
    assert_eq!(store.resend(ids[0], at(70)).await.unwrap(), State::Delivered);
    assert_eq!(store.resend(ids[1], at(71)).await.unwrap(), State::Dead);
    assert_eq!(store.resend(ids[2], at(72)).await.unwrap(), State::Due);
    let due = store.claim("mail", at(99), 10, &Held::default()).await.unwrap();
    assert_eq!(due.iter().map(|due| due.id).collect::<Vec<_>>(), ids);
    assert_eq!((due[1].attempts, due[1].created_at), (1, at(71)));
    assert_eq!(store.begin_attempt(ids[1], at(99)).await.unwrap(), 2);
    let sending = store.resend(ids[1], at(100)).await;
    assert!(matches!(sending, Err(StoreError::WrongState { state: State::Sending, .. })));
    assert!(matches!(store.resend(DeliveryId(0), at(100)).await, Err(StoreError::NoDelivery(_))));
}

#[test]
fn states_and_ids_read_back() {
    for state in State::ALL {
        assert_eq!(state.to_string().parse::<State>(), Ok(state));
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{state}\""));
    }
    assert!("lost".parse::<State>().unwrap_err().contains("dead"));
    assert_eq!("42".parse(), Ok(DeliveryId(42)));
}

#[tokio::test]
async fn what_a_disabled_channel_kept_too_long_is_given_up_with_what_it_carries() {
    let place = Place::new();
    let store = place.open().await;
    let events = ["a", "b", "c"].map(|level| event(level, 1, Kind::LevelBroken));
    let ids = record(&store, &events).await;
    let digest = event("digest", 1, Kind::Digest);
    let to = ("mail", "desk@example.com");
    let carrier = store.carry(&digest, to, &ids[..2], at(40)).await.unwrap().unwrap();
    assert_eq!(store.give_up("mail", at(9)).await.unwrap(), 0);
    assert_eq!(store.give_up("slack", at(99)).await.unwrap(), 0, "another channel");
    assert_eq!(store.give_up("mail", at(10)).await.unwrap(), 1);
    assert_eq!((state(&store, ids[2]).await, state(&store, ids[0]).await), (State::Dead, State::Due));
    assert_eq!(store.give_up("mail", at(40)).await.unwrap(), 1);
    for id in [ids[0], ids[1], carrier] {
        assert_eq!(state(&store, id).await, State::Dead);
    }
}

#[tokio::test]
async fn a_message_knows_what_was_said_of_the_last_one_of_its_thread_on_its_channel_and_target() {
    let place = Place::new();
    let store = place.open().await;
    let events: Vec<_> = (1..=3).map(|n| event("2500", n, Kind::LevelBroken)).collect();
    let other = event("2450", 1, Kind::LevelBroken);
    let all = [events.clone(), vec![other]].concat();
    let to = |target| all.iter().map(move |event| delivery(event, "mail", target));
    let deliveries: Vec<_> = to("a").chain(to("b")).collect();
    let ids = store.commit(&Commit { events: &all, deliveries: &deliveries, ..NOTHING }).await.unwrap();
    let send = async |id: DeliveryId, ended: i64, outcome: &Outcome, next| {
        let number = store.begin_attempt(id, at(ended)).await.unwrap();
        store.settle(id, number, outcome, at(ended), next).await.unwrap();
    };
    let said = |text: &str| Outcome::Accepted { receipt: text.into() };
    let receipt = async |id: DeliveryId| store.thread_receipt(id).await.unwrap();
    let (first, second, third) = (ids[0], ids[1], ids[2]);
    assert_eq!(receipt(first).await, None);
    send(second, 1, &deferred(), Settled::Retry { due_at: at(0) }).await;
    assert_eq!(receipt(third).await, None, "what was not taken has no receipt");
    send(second, 2, &said("two"), Settled::Delivered).await;
    assert_eq!(receipt(first).await.as_deref(), Some("two"));
    send(first, 3, &said("one"), Settled::Delivered).await;
    assert_eq!(receipt(third).await.as_deref(), Some("one"), "the last that was taken");
    assert_eq!(receipt(ids[6]).await, None, "not that of another target");
    assert_eq!(receipt(ids[3]).await, None, "not that of another thread");
    assert_eq!(receipt(first).await.as_deref(), Some("two"), "not its own");
}
