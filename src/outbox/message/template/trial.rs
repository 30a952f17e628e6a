//! The events with which a template is tried before it is used: every kind, and what enemies would write.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::event::{About, Event, Kind, Numbers, Px, Reason, Side, Space, ThreadId};
use crate::market::price::Price;
use crate::outbox::message::template::values::{Exchanges, values};
use crate::outbox::message::{Context, Parts};
use crate::time::Timestamp;

/// 30 November 2026, 14:31:07.250 in Chicago.
const AT: Timestamp = Timestamp::from_nanos(1_796_070_667_250_000_000);
/// Quotes, line ends, markup, mentions, template syntax, marks that turn the reading direction.
const HOSTILE: &str =
    "x\"'\\\r\nBcc: y\u{0}\u{202e}{{ 7 * 7 }}{% for a in b %}${h}<!channel><b>&amp;</b></at>*_~`|]}";
/// How often the longest names repeat their six characters.
const LONG: usize = 2_000;

/// One event with which templates are tried.
pub(super) struct Trial {
    /// What it is, for messages.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) rehearsal: bool,
    pub(super) test: bool,
    /// What a template can ask for.
    pub(super) values: minijinja::Value,
    /// What is made of it without templates.
    pub(super) parts: Parts,
}

impl Trial {
    fn new(name: String, event: &Event, test: bool) -> Self {
        let context = context(test);
        let parts = Parts::new(event, &context);
        let values = values(event, &context, &parts, &Exchanges::new());
        Self { name, kind: event.kind, rehearsal: event.rehearsal, test, values, parts }
    }
}

/// They are the same for every template.
static TRIALS: LazyLock<Vec<Trial>> = LazyLock::new(every);

/// Every kind of event in every state that a message depends on; one of each kind comes first.
pub(super) fn trials() -> &'static [Trial] {
    &TRIALS
}

fn every() -> Vec<Trial> {
    let mut trials: Vec<Trial> =
        Kind::ALL.iter().map(|&kind| Trial::new(kind.to_string(), &event(kind), false)).collect();
    for &kind in Kind::ALL {
        let named = |what: &str| format!("{kind} ({what})");
        let marked = Event { late: true, rehearsal: true, ..event(kind) };
        trials.push(Trial::new(named("late rehearsal"), &marked, false));
        trials.push(Trial::new(named("test"), &event(kind), true));
        let sparse = Event { numbers: Numbers::new(), about: About::default(), ..event(kind) };
        trials.push(Trial::new(named("without details"), &sparse, false));
        for (text, what) in
            [(HOSTILE.to_owned(), "hostile names"), ("long \"".repeat(LONG), "very long names")]
        {
            trials.push(Trial::new(named(what), &saying(event(kind), &text), false));
        }
    }
    trials
}

fn context(test: bool) -> Context {
    Context {
        zone: TimeZone::get("America/Chicago").unwrap_or(TimeZone::UTC),
        first_in_thread: None,
        attempted_at: AT.saturating_add(Duration::from_millis(35)),
        late_after: Duration::from_secs(30),
        url: Some("http://127.0.0.1:8787/thread/2500".to_owned()),
        test,
        picture: false,
    }
}

fn event(kind: Kind) -> Event {
    let thread = ThreadId::new("2500", "RTY", AT);
    let bare = Event::bare(kind, Reason::Confirmed, &thread, 1, (AT, AT), numbers(kind));
    match kind {
        Kind::FeedDown | Kind::FeedUp | Kind::ChannelFailing | Kind::ChannelRecovered => bare,
        Kind::FeedQuiet => Event { instrument: Some("RTY".into()), ..bare },
        Kind::ContractRolled => of_contract(bare),
        Kind::FeedQuarantined | Kind::Digest => Event { price: points(2500), ..of_contract(bare) },
        Kind::LevelExpired | Kind::LevelSuspended | Kind::LevelMoved => {
            Event { price: None, ..of_level(bare) }
        }
        Kind::LevelApproached
        | Kind::LevelCrossed
        | Kind::LevelBroken
        | Kind::LevelRejected
        | Kind::LevelRetested
        | Kind::LevelHeld
        | Kind::LevelFailed
        | Kind::LevelRearmed
        | Kind::RecordSet => of_level(bare),
    }
}

fn of_contract(event: Event) -> Event {
    Event { instrument: Some("RTY".into()), contract: Some("RTYZ6".into()), ..event }
}

fn of_level(event: Event) -> Event {
    Event {
        level: Some("2500".into()),
        side: Some(Side::Resistance),
        price: points(2501),
        threshold: points(2500),
        level_price: points(2500),
        level_space: Some(Space::Contract),
        about: About {
            note: Some("key resistance".into()),
            said_by: Some("Oanda".into()),
            url: Some("https://example.com/2024/12/russell".into()),
            tags: vec!["key".into(), "monthly".into()],
        },
        ..of_contract(event)
    }
}

fn points(points: i64) -> Option<Px> {
    Some(Px { price: Price::from_points(points), decimals: 1 })
}

fn numbers(kind: Kind) -> Numbers {
    let pairs: &[(&str, Value)] = match kind {
        Kind::LevelApproached => &[("distance_ticks", json!(26)), ("day_change", json!("31.2"))],
        Kind::LevelBroken | Kind::LevelRejected => {
            &[("confirmed_by", json!("2 prints")), ("held_ms", json!(5_000)), ("volume", json!(318))]
        }
        Kind::LevelCrossed
        | Kind::LevelRetested
        | Kind::LevelHeld
        | Kind::LevelFailed
        | Kind::LevelRearmed
        | Kind::RecordSet => &[("since_break_ms", json!(754_000)), ("next_above", json!("2,525.0 (+24.6)"))],
        Kind::LevelExpired | Kind::LevelSuspended => &[],
        Kind::LevelMoved | Kind::ContractRolled => &[("detail", json!("RTYZ6 -> RTYH7, spread +21.35"))],
        Kind::FeedDown | Kind::FeedUp | Kind::FeedQuiet | Kind::FeedQuarantined => {
            &[("feed", json!("tasty")), ("last_price", json!("2499.7")), ("down_ms", json!(302_000))]
        }
        Kind::ChannelFailing | Kind::ChannelRecovered => {
            &[("channel", json!("mail")), ("detail", json!("535 5.7.8 authentication failed"))]
        }
        Kind::Digest => &[
            ("broken", json!(99_998)),
            ("count", json!(100_000)),
            ("lowest", json!("2400.0")),
            ("highest", json!("2500.0")),
            ("levels", json!(["2400", "2450"])),
        ],
    };
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// The event with every text in it replaced.
fn saying(mut event: Event, text: &str) -> Event {
    let fields = [&mut event.level, &mut event.instrument, &mut event.contract];
    fields.into_iter().flatten().for_each(|field| text.clone_into(field));
    for value in event.numbers.values_mut().filter(|value| value.is_string()) {
        *value = json!(text);
    }
    event.about = About {
        note: Some(text.to_owned()),
        said_by: Some(text.to_owned()),
        url: Some(text.to_owned()),
        tags: vec![text.to_owned(); 3],
    };
    event
}
