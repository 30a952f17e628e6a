//! One plausible event of each kind, for tests of messages, routes and channels.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::event::{About, Event, EventId, Kind, Numbers, Px, Reason, Side, Space, ThreadId};
use crate::outbox::message::Context;
use crate::time::Timestamp;

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn px(text: &str) -> Option<Px> {
    Some(serde_json::from_value(Value::String(text.to_owned())).unwrap())
}

/// Thirty-five milliseconds after the sample events.
pub(crate) fn context() -> Context {
    Context {
        zone: TimeZone::get("America/Chicago").unwrap(),
        first_in_thread: None,
        attempted_at: at("2026-11-30T20:31:07.285Z"),
        late_after: Duration::from_secs(30),
        url: Some("http://127.0.0.1:8787/thread/2500".to_owned()),
        test: false,
        picture: false,
    }
}

pub(crate) fn numbers(pairs: &[(&str, Value)]) -> Numbers {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// The level 2,500.0 of RTYZ6, at 14:31:07.250 in Chicago.
fn level(kind: Kind, step: u32, price: &str, reason: Reason, pairs: &[(&str, Value)]) -> Event {
    let thread = ThreadId::new("2500", "RTY", at("2026-11-30T20:14:02.100Z"));
    Event {
        id: EventId::new(&thread, step, kind),
        thread,
        kind,
        severity: kind.severity(),
        level: Some("2500".into()),
        instrument: Some("RTY".into()),
        contract: Some("RTYZ6".into()),
        side: Some(Side::Resistance),
        price: px(price),
        threshold: px("2500.2"),
        level_price: px("2500.0"),
        level_space: Some(Space::Contract),
        occurred_at: at("2026-11-30T20:31:07.250Z"),
        detected_at: at("2026-11-30T20:31:07.254Z"),
        reason,
        late: false,
        from_bars: false,
        rehearsal: false,
        numbers: numbers(pairs),
        about: About {
            note: Some("key mid-term resistance for the E-mini Russell 2000".into()),
            said_by: Some("Oanda".into()),
            url: Some("https://example.com/2024/12/russell".into()),
            tags: vec!["key".into(), "monthly".into()],
        },
    }
}

/// Something about the market or the plumbing, without a level.
fn plumbing(kind: Kind, subject: &str, reason: Reason, pairs: &[(&str, Value)]) -> Event {
    let thread = ThreadId::new(subject, "", at("2026-11-30T20:31:07.250Z"));
    Event {
        id: EventId::new(&thread, 1, kind),
        thread,
        level: None,
        instrument: None,
        contract: None,
        side: None,
        price: None,
        threshold: None,
        level_price: None,
        level_space: None,
        about: About::default(),
        ..level(kind, 1, "0", reason, pairs)
    }
}

fn day() -> Vec<(&'static str, Value)> {
    vec![
        ("next_above", json!("2,525.0 (+24.6)")),
        ("next_below", json!("2,475.0 (-25.4)")),
        ("day_change", json!("31.2")),
        ("day_high", json!("2500.4")),
        ("day_low", json!("2467.0")),
    ]
}

/// The plausible event of `kind`.
pub(crate) fn event(kind: Kind) -> Event {
    match kind {
        Kind::LevelApproached => level(
            kind,
            1,
            "2497.6",
            Reason::WithinApproach,
            &[vec![("distance_ticks", json!(26))], day()].concat(),
        ),
        Kind::LevelCrossed => level(kind, 2, "2500.2", Reason::AwaitingConfirmation, &[("prints", json!(1))]),
        Kind::LevelBroken => {
            let confirmed = vec![("confirmed_by", json!("2 prints, 5s hold")), ("held_ms", json!(5_000))];
            level(kind, 3, "2500.4", Reason::Confirmed, &[confirmed, day()].concat())
        }
        Kind::LevelRejected => level(
            kind,
            2,
            "2495.0",
            Reason::TurnedAway,
            &[
                ("held_ms", json!(42_000)),
                ("volume", json!(318)),
                ("excursion", json!("2500.1")),
                ("times", json!(2)),
            ],
        ),
        Kind::LevelRetested => level(
            kind,
            4,
            "2500.3",
            Reason::BackInZone,
            &[("since_break_ms", json!(754_000)), ("excursion", json!("6.3"))],
        ),
        Kind::LevelHeld => {
            level(kind, 5, "2506.0", Reason::ZoneHeld, &[("since_break_ms", json!(1_320_000))])
        }
        Kind::LevelFailed => level(
            kind,
            4,
            "2499.5",
            Reason::FellBack,
            &[("since_break_ms", json!(295_000)), ("excursion", json!("3.1"))],
        ),
        Kind::LevelRearmed => level(kind, 6, "2494.9", Reason::Rearmed, &[]),
        Kind::LevelExpired => Event { price: None, ..level(kind, 1, "0", Reason::Expired, &[]) },
        Kind::LevelSuspended => Event {
            price: None,
            contract: Some("RTYH7".into()),
            ..level(kind, 1, "0", Reason::SpreadUnknown, &[])
        },
        Kind::LevelMoved => moved(kind),
        Kind::RecordSet => record(kind),
        Kind::ContractRolled => Event {
            instrument: Some("RTY".into()),
            contract: Some("RTYH7".into()),
            ..plumbing(
                kind,
                "RTY",
                Reason::RollPolicy,
                &[("detail", json!("RTYZ6 -> RTYH7 by cme_monday, spread +21.35"))],
            )
        },
        Kind::FeedDown => {
            let numbers = [
                ("feed", json!("tasty")),
                ("last_price", json!("2499.7")),
                ("detail", json!("connection reset by peer")),
            ];
            plumbing(kind, "feed:tasty", Reason::Disconnected, &numbers)
        }
        Kind::FeedUp => plumbing(
            kind,
            "feed:tasty",
            Reason::Restored,
            &[("feed", json!("tasty")), ("down_ms", json!(302_000))],
        ),
        Kind::FeedQuiet => Event {
            instrument: Some("RTY".into()),
            ..plumbing(
                kind,
                "feed:tasty",
                Reason::MarketSilent,
                &[("feed", json!("tasty")), ("last_price", json!("2499.7"))],
            )
        },
        Kind::FeedQuarantined => Event {
            instrument: Some("RTY".into()),
            contract: Some("RTYZ6".into()),
            price: px("2612.3"),
            ..plumbing(
                kind,
                "feed:tasty",
                Reason::FarFromMarket,
                &[("feed", json!("tasty")), ("last_price", json!("2499.7"))],
            )
        },
        Kind::ChannelFailing => {
            let numbers = [("channel", json!("mail")), ("detail", json!("535 5.7.8 authentication failed"))];
            plumbing(kind, "channel:mail", Reason::DeliveryFailing, &numbers)
        }
        Kind::ChannelRecovered => {
            let numbers = [("channel", json!("mail")), ("down_ms", json!(11_400_000))];
            plumbing(kind, "channel:mail", Reason::DeliveryRestored, &numbers)
        }
        Kind::Digest => digest(kind),
    }
}

fn moved(kind: Kind) -> Event {
    Event {
        price: None,
        contract: Some("RTYH7".into()),
        level_price: px("2521.4"),
        threshold: px("2521.6"),
        ..level(
            kind,
            1,
            "0",
            Reason::RollPolicy,
            &[("detail", json!("2,500.0 RTYZ6 -> 2,521.4 RTYH7, spread +21.35"))],
        )
    }
}

fn record(kind: Kind) -> Event {
    Event {
        level: Some("record high".into()),
        level_price: px("2460.8"),
        threshold: px("2460.9"),
        about: About::default(),
        ..level(kind, 1, "2477.1", Reason::Cross, &day())
    }
}

fn digest(kind: Kind) -> Event {
    let numbers = [
        ("broken", json!(99_998)),
        ("approached", json!(2)),
        ("count", json!(100_000)),
        ("lowest", json!("2400.0")),
        ("highest", json!("2500.0")),
        ("levels", json!(["2400", "2400.001", "a & b"])),
        ("first_at", json!("2026-11-30T20:31:07.250Z")),
        ("last_at", json!("2026-11-30T20:31:07.250Z")),
        ("first_event", json!("2400-1c9f2e.m3wq0x1k.1.broken")),
        ("last_event", json!("2500-2b8e11.m3wq0x1k.1.approached")),
    ];
    Event {
        instrument: Some("RTY".into()),
        contract: Some("RTYZ6".into()),
        side: Some(Side::Resistance),
        price: px("2500.4"),
        level_space: Some(Space::Contract),
        ..plumbing(kind, "digest:RTY", Reason::ManyAtOnce, &numbers)
    }
}

/// A fall through support that nobody saw.
pub(crate) fn gap_down() -> Event {
    let gap = [
        ("gap", json!("12.3")),
        ("last_before", json!("2403.1")),
        ("unwatched_from", json!("2026-11-27T21:59:59.900Z")),
        ("unwatched_until", json!("2026-11-30T20:31:07.250Z")),
    ];
    Event {
        level: Some("2400".into()),
        side: Some(Side::Support),
        level_price: px("2400.0"),
        threshold: px("2400.0"),
        about: About::default(),
        ..level(Kind::LevelBroken, 1, "2390.8", Reason::Gap, &gap)
    }
}

/// A break of a cash-index level.
pub(crate) fn index_break() -> Event {
    Event {
        level: Some("record close".into()),
        level_price: px("2442.74"),
        threshold: px("2454.6"),
        level_space: Some(Space::Index),
        about: About::default(),
        ..level(Kind::LevelBroken, 1, "2454.7", Reason::Cross, &[])
    }
}
