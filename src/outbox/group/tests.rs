use serde_json::json;

use super::*;
use crate::event::{Severity, Side, Space, ThreadId};
use crate::outbox::message::{self, sample};
use crate::outbox::route::{Route, SeverityMatch};

/// A break of the level `n` points above 2,400, `n` milliseconds after the sample's time.
fn broken(n: i64) -> Event {
    let event = sample::event(Kind::LevelBroken);
    let at = event.occurred_at.saturating_add(std::time::Duration::from_millis(n.unsigned_abs()));
    let name = format!("level {n}");
    let thread = ThreadId::new(&name, "RTY", at);
    Event {
        id: EventId::new(&thread, 1, Kind::LevelBroken),
        thread,
        level: Some(name),
        level_price: sample::px(&format!("{}.0", 2_400 + n)),
        occurred_at: at,
        ..event
    }
}

fn breaks(count: i64) -> Vec<Event> {
    (0..count).map(broken).collect()
}

fn router(routes: Vec<Route>) -> Router {
    Router::new(routes, vec!["mail".into(), "slack".into()])
}

fn told<'a>(telling: &'a Telling<'_>, channel: &str) -> Vec<&'a str> {
    telling.told.iter().filter(|(to, _)| *to == channel).map(|(_, id)| id.as_str()).collect()
}

#[test]
fn up_to_twenty_events_are_told_each_by_itself() {
    let (events, router) = (breaks(20), router(vec![]));
    let telling = telling(&events, &router);
    assert_eq!(telling.digests, []);
    let ids: Vec<_> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(told(&telling, "mail"), ids);
    assert_eq!(told(&telling, "slack"), ids);
}

#[test]
fn more_of_one_instrument_are_one_digest_with_its_numbers() {
    let (mut events, router) = (breaks(101), router(vec![]));
    events[7] = Event { kind: Kind::LevelFailed, ..events[7].clone() };
    let telling = telling(&events, &router);
    let [digest] = telling.digests.as_slice() else { panic!("{:?}", telling.digests) };
    assert_eq!(told(&telling, "mail"), [digest.id.as_str()]);
    assert_eq!(told(&telling, "slack"), [digest.id.as_str()], "both are told of the same events");
    assert_eq!((digest.kind, digest.severity), (Kind::Digest, Severity::High));
    assert_eq!((digest.level.as_ref(), digest.instrument.as_deref()), (None, Some("RTY")));
    assert_eq!((digest.price, digest.side), (events[100].price, Some(Side::Resistance)));
    assert_eq!(digest.occurred_at, events[0].occurred_at);
    let names: Vec<_> = (0..10).map(|n| format!("level {n}")).collect();
    let told = |n: usize| json!({ "at": events[n].occurred_at, "what": message::fact(&events[n]) });
    let expected = [
        ("happened", json!((0..10).map(told).collect::<Vec<_>>())),
        ("price_low", json!("2500.4")),
        ("price_high", json!("2500.4")),
        ("broken", json!(100)),
        ("failed", json!(1)),
        ("count", json!(101)),
        ("lowest", json!("2400.0")),
        ("highest", json!("2500.0")),
        ("levels", json!(names)),
        ("first_at", json!(events[0].occurred_at)),
        ("last_at", json!(events[100].occurred_at)),
        ("first_event", json!(events[0].id)),
        ("last_event", json!(events[100].id)),
    ];
    assert_eq!(digest.numbers, sample::numbers(&expected));
    assert!(digest.thread.as_str().starts_with("digest-rty-"), "{}", digest.thread);
}

#[test]
fn what_is_critical_is_never_hidden_in_a_digest_of_the_rest() {
    let router = router(vec![]);
    let failed =
        |event: &Event| Event { severity: Severity::Critical, kind: Kind::LevelFailed, ..event.clone() };
    let mut events = breaks(60);
    events[7] = failed(&events[7]);
    let one = telling(&events, &router);
    assert_eq!(one.digests.len(), 1);
    assert_eq!(told(&one, "mail"), [one.digests[0].id.as_str(), events[7].id.as_str()]);
    // When that alone is more than anyone can read, it is a digest of its own.
    let events: Vec<_> =
        breaks(60).iter().enumerate().map(|(n, e)| if n % 2 == 0 { failed(e) } else { e.clone() }).collect();
    let two = telling(&events, &router);
    assert_eq!(
        two.digests.iter().map(|d| d.severity).collect::<Vec<_>>(),
        [Severity::Critical, Severity::High]
    );
    assert_eq!(told(&two, "mail").len(), 2);
}

#[test]
fn a_repeat_has_the_same_id_and_another_crossing_another_one() {
    let router = router(vec![]);
    let (events, others) = (breaks(30), (1..31).map(broken).collect::<Vec<_>>());
    assert_eq!(telling(&events, &router), telling(&events, &router));
    // What was tried again may have grown in the meantime.
    let grown = breaks(40);
    let ids = [&events, &grown, &others].map(|events| telling(events, &router).digests[0].id.clone());
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[test]
fn what_is_not_about_a_level_is_never_in_a_digest() {
    let router = router(vec![]);
    let mut events = breaks(25);
    events.extend([Kind::FeedDown, Kind::ChannelFailing, Kind::ContractRolled].map(sample::event));
    let telling = telling(&events, &router);
    let digest = telling.digests[0].id.as_str();
    let single = |n: usize| events[n].id.as_str();
    assert_eq!(telling.digests[0].numbers["count"], 25);
    // The failing channel is `mail`.
    assert_eq!(told(&telling, "mail"), [digest, single(25), single(27)]);
    assert_eq!(told(&telling, "slack"), [digest, single(25), single(26), single(27)]);
}

#[test]
fn each_instrument_is_counted_for_itself() {
    let router = router(vec![]);
    let of = |root: &str, event: Event| Event { instrument: Some(root.into()), ..event };
    let mut events: Vec<_> = breaks(21).into_iter().map(|event| of("ES", event)).collect();
    events.extend(breaks(20).into_iter().map(|event| of("RTY", event)));
    let telling = telling(&events, &router);
    assert_eq!(telling.digests.len(), 1);
    assert_eq!(telling.digests[0].instrument.as_deref(), Some("ES"));
    assert_eq!(told(&telling, "mail").len(), 21, "one digest and twenty breaks");
}

#[test]
fn a_channel_that_is_told_of_fewer_events_has_its_own_digest_or_none() {
    let high = Some(SeverityMatch::AtLeast(Severity::High));
    let to = |name: &str| vec![name.to_owned()];
    let router = router(vec![
        Route { severity: high, to: to("mail"), go_on: true, ..Route::default() },
        Route { to: to("slack"), ..Route::default() },
    ]);
    let quiet = |event: Event| Event { severity: Severity::Info, ..event };
    let mixed = |loud: i64| (0..60).map(move |n| if n < loud { broken(n) } else { quiet(broken(n)) });
    let events: Vec<_> = mixed(30).collect();
    let both = telling(&events, &router);
    assert_eq!(both.digests.iter().map(|d| &d.numbers["count"]).collect::<Vec<_>>(), [30, 60]);
    assert_eq!(both.digests[0].thread, both.digests[1].thread);
    assert_eq!(told(&both, "mail"), [both.digests[0].id.as_str()]);
    assert_eq!(told(&both, "slack"), [both.digests[1].id.as_str()]);
    let events: Vec<_> = mixed(3).collect();
    let one = telling(&events, &router);
    assert_eq!((one.digests.len(), told(&one, "mail").len(), told(&one, "slack").len()), (1, 3, 1));
}

#[test]
fn levels_of_both_spaces_are_compared_on_the_contract() {
    let router = router(vec![]);
    let mut events = breaks(30);
    let (space, price) = (Some(Space::Index), sample::px("99.0"));
    events[3] = Event { level_space: space, level_price: price, ..events[3].clone() };
    let mixed = telling(&events, &router);
    assert_eq!(mixed.digests[0].numbers["lowest"], "2500.2", "the thresholds of the sample");
    assert_eq!(mixed.digests[0].level_space, None);
}
