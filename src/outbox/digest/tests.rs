//! What a digest counts, and its words.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::{EventId, Severity};
use crate::outbox::message::{fact, sample};

/// What happened to a level, so many seconds after the sample's time, at a price.
fn event(kind: Kind, level: &str, at: u64, price: &str) -> Event {
    let event = sample::event(kind);
    let occurred_at = event.occurred_at.saturating_add(Duration::from_secs(at));
    let thread = ThreadId::new(level, "RTY", occurred_at);
    let (id, level, price) = (EventId::new(&thread, 1, kind), Some(level.to_owned()), sample::px(price));
    Event { id, thread, level, price, occurred_at, severity: Severity::High, ..event }
}

fn of(events: &[Event]) -> Event {
    digest(&events.iter().collect::<Vec<_>>(), Reason::ManyAtOnce, "", 1).unwrap()
}

#[test]
fn one_level_that_flaps_is_told_with_its_counts_its_time_and_its_prices() {
    let prices = ["2500.7", "2499.6"];
    let kinds = [Kind::LevelBroken, Kind::LevelRetested];
    let events: Vec<_> = (0..28)
        .map(|n: usize| event(kinds[n % 2], "2500", u64::try_from(n).unwrap() * 180 / 27, prices[n % 2]))
        .collect();
    let told = of(&events);
    assert_eq!(fact(&told), "RTY 2,500.0: 14 breaks up, 14 retests in 3 min, price 2,499.6-2,500.7");
    assert_eq!((told.level.as_deref(), &told.numbers["count"]), (Some("2500"), &json!(28)));
    assert_eq!(told.numbers["happened"].as_array().unwrap().len(), 10);
    assert_eq!(told.numbers["happened"][0], json!({ "at": events[0].occurred_at, "what": fact(&events[0]) }));
}

#[test]
fn different_levels_are_counted_as_levels_and_repeats_as_what_happened() {
    let mut events = vec![
        event(Kind::LevelBroken, "2500", 0, "2500.4"),
        event(Kind::LevelBroken, "2505", 1, "2505.4"),
        event(Kind::LevelHeld, "2450", 2, "2505.4"),
    ];
    assert_eq!(fact(&of(&events)), "RTY: 2 levels broke up, 1 held at 2,500.0");
    events.push(event(Kind::LevelBroken, "2500", 3, "2500.4"));
    assert_eq!(fact(&of(&events)), "RTY: 3 breaks up, 1 retest that held at 2,500.0");
}

#[test]
fn a_night_of_everything_names_the_instruments_and_what_is_no_level() {
    let es = Event { instrument: Some("ES".into()), ..event(Kind::LevelBroken, "7000", 0, "7000.5") };
    let mut up = sample::event(Kind::FeedUp);
    up.instrument = None;
    let told = of(&[es, event(Kind::LevelApproached, "2500", 1, "2499.0"), up]);
    assert_eq!((told.instrument.as_deref(), told.price, told.level.as_deref()), (None, None, None));
    assert_eq!(fact(&told), "ES, RTY: 1 level broke, 1 feed back at 2,500.2");
    let only = of(&[sample::event(Kind::FeedUp), sample::event(Kind::ChannelRecovered)]);
    assert_eq!(fact(&only), "breakwatch: 1 feed back, 1 channel back");
}

#[test]
fn digests_with_the_same_first_event_are_told_apart() {
    let events = [event(Kind::LevelBroken, "2500", 0, "2500.4"), event(Kind::LevelHeld, "2450", 2, "2505.4")];
    let group: Vec<_> = events.iter().collect();
    let one = digest(&group, Reason::HeldBack, "mail/desk/", 7).unwrap();
    let other = digest(&group, Reason::HeldBack, "mail/boss/", 7).unwrap();
    assert_ne!((&one.id, &one.thread), (&other.id, &other.thread));
    assert_eq!(digest(&[], Reason::HeldBack, "", 1), None);
}

proptest! {
    /// However the events are put together, every one is counted once.
    #[test]
    fn digests_of_digests_add_up(kinds in prop::collection::vec(0usize..4, 2..60), cut in 1usize..10) {
        let all = [Kind::LevelBroken, Kind::LevelApproached, Kind::LevelHeld, Kind::RecordSet];
        let events: Vec<_> = kinds.iter().enumerate().map(|(n, kind)| {
            event(all[*kind], &format!("level {n}"), u64::try_from(n).unwrap(), &format!("{}.5", 2_400 + n))
        }).collect();
        let whole = of(&events);
        let parts: Vec<_> = events.chunks(cut).map(|part| if part.len() > 1 { of(part) } else { part[0].clone() }).collect();
        let nested = of(&parts);
        for key in ["count", "broken", "approached", "held", "records", "lowest", "highest", "price_low",
            "price_high", "levels", "happened", "first_at", "last_at", "first_event", "last_event"] {
            prop_assert_eq!(whole.numbers.get(key), nested.numbers.get(key), "{}", key);
        }
        prop_assert_eq!(whole.severity, nested.severity);
    }
}
