//! What a channel holds back, and what becomes one digest when it no longer does.

use jiff::civil::Time;

use super::*;
use crate::event::Kind;
use crate::outbox::calm::{Quiet, Rate};
use crate::outbox::message::sample;
use crate::store::delivery::DeliveryId;

fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Quiet from 22:00 to 07:00 in UTC.
fn calm() -> Calm {
    let quiet = Quiet {
        from: Time::constant(22, 0, 0, 0),
        until: Time::constant(7, 0, 0, 0),
        days: None,
        zone: TimeZone::UTC,
    };
    Calm { group_wait: secs(10), rate: None, quiet: Some(quiet) }
}

fn due(created_at: &str) -> Due {
    Due {
        id: DeliveryId(1),
        event: sample::event(Kind::LevelBroken),
        event_seq: 1,
        committed_at: t(created_at),
        target: "desk".into(),
        attempts: 0,
        created_at: t(created_at),
        due_at: t(created_at),
        urgent: false,
        first_in_thread: None,
    }
}

fn waiting(due: &Due, event: Event) -> Waiting {
    Waiting { id: DeliveryId(2), event, created_at: due.created_at, due_at: due.due_at }
}

#[test]
fn in_quiet_hours_only_what_is_urgent_is_taken_and_their_end_is_waited_for() {
    let course = Course::new("mail", calm());
    let night = t("2026-11-30T23:00:00Z");
    assert!(course.held(night, secs(0)).all_but_urgent);
    assert!(!course.held(t("2026-11-30T21:59:59Z"), secs(0)).all_but_urgent);
    assert_eq!(course.idle(None, night, secs(0)), secs(8 * 3_600));
    assert_eq!(course.idle(Some(t("2026-11-30T23:00:05Z")), night, secs(0)), secs(5));
}

#[test]
fn what_the_night_held_back_is_one_digest_of_everything_and_the_mornings_news_is_not_in_it() {
    let course = Course::new("mail", calm());
    let night = due("2026-12-01T03:00:00Z");
    let bundle = course.bundle_of(&night).unwrap();
    assert_eq!((bundle.group.as_deref(), bundle.least, bundle.reason), (None, 2, Reason::HeldBack));
    assert!(course.belongs(&waiting(&night, sample::event(Kind::FeedUp)), &bundle), "not only levels");
    let morning = due("2026-12-01T07:00:00Z");
    assert!(!course.belongs(&waiting(&morning, sample::event(Kind::LevelBroken)), &bundle));
    // By day: an instrument's levels from the fourth on.
    let bundle = course.bundle_of(&morning).unwrap();
    assert_eq!((bundle.group.as_deref(), bundle.least, bundle.reason), (Some("RTY"), 4, Reason::ManyAtOnce));
    assert!(!course.belongs(&waiting(&night, sample::event(Kind::LevelBroken)), &bundle));
    assert!(!course.belongs(&waiting(&morning, sample::event(Kind::FeedUp)), &bundle));
    assert!(course.belongs(&waiting(&morning, sample::event(Kind::LevelHeld)), &bundle));
}

#[test]
fn a_snoozed_level_is_told_as_what_was_held_back() {
    let course = Course::new("mail", Calm::default());
    let snoozed = Due { due_at: t("2026-12-01T14:00:00Z"), ..due("2026-12-01T12:00:00Z") };
    assert_eq!(course.bundle_of(&snoozed).unwrap().reason, Reason::HeldBack);
    assert!(
        course.bundle_of(&due("2026-12-01T12:00:00Z")).is_none(),
        "without a group_wait nothing is grouped"
    );
}

#[test]
fn what_is_urgent_or_was_tried_goes_by_itself_and_waits_only_for_the_rate() {
    let rate = Some(Rate { messages: 5, per: secs(60) });
    let mut course = Course::new("mail", Calm { rate, ..calm() });
    let news = due("2026-12-01T12:00:00Z");
    for _ in 0..BURST {
        assert!(course.lets(&news, secs(1)));
        course.sends(&news, secs(1));
    }
    assert!(!course.lets(&news, secs(2)), "three of an instrument within ten seconds");
    let urgent = Due { urgent: true, ..news.clone() };
    let tried = Due { attempts: 1, ..news.clone() };
    assert!(course.bundle_of(&urgent).is_none() && course.bundle_of(&tried).is_none());
    for due in [&urgent, &tried] {
        assert!(course.lets(due, secs(2)));
        course.sends(due, secs(2));
    }
    assert!(!course.lets(&urgent, secs(3)), "five in a minute");
    let held = course.held(t("2026-12-01T12:00:03Z"), secs(3));
    let paused = |instrument: Option<&str>| Paused {
        target: "desk".into(),
        instrument: instrument.map(str::to_owned),
        level: None,
    };
    assert_eq!(held.paused, [paused(None), paused(Some("RTY"))]);
    assert_eq!(course.idle(None, t("2026-12-01T12:00:03Z"), secs(3)), secs(8));
}
