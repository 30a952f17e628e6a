//! What goes with a mail, from a real ledger.

use super::*;
use crate::deliver::{EmailSettings, Settings, SmtpServer, SmtpTls};
use crate::outbox::message::sample;
use crate::store::bars::{Origin, Rows, Series, StoredBar};
use crate::store::commit::Commit;

/// A ledger in a directory that goes with it.
async fn ledger() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("ledger.db")).await.unwrap();
    (directory, store)
}

fn chicago() -> TimeZone {
    TimeZone::get("America/Chicago").unwrap()
}

/// So many minutes before the sample's break.
fn bar(minutes: u64, price: i64, contract: &str) -> StoredBar {
    let start = sample::at("2026-11-30T20:31:00Z").saturating_sub(Duration::from_secs(60 * minutes));
    let price = Price::from_points(price);
    let length = Duration::from_secs(60);
    let bar = Bar { start, length, open: price, high: price, low: price, close: price, volume: 1 };
    let series = Series { instrument: "RTY".into(), contract: contract.into(), front: contract == "RTYZ6" };
    StoredBar { series, bar, sums: None, origin: Origin::Ticks }
}

fn channel(settings: Settings) -> Channel {
    Channel::open(settings).unwrap()
}

fn email() -> Channel {
    channel(Settings::Email(EmailSettings {
        from: "a@example.com".into(),
        to: vec!["b@example.com".into()],
        servers: vec![SmtpServer {
            host: "localhost".into(),
            port: 25,
            tls: SmtpTls::Plain,
            login: None,
            extra_roots: None,
        }],
        timeout: Duration::from_secs(1),
    }))
}

fn prices(levels: &[Level], highlighted: bool) -> Vec<String> {
    levels
        .iter()
        .filter(|level| level.highlighted == highlighted)
        .map(|level| level.price.to_string())
        .collect()
}

#[tokio::test]
async fn the_picture_holds_the_level_its_neighbours_and_what_happened_before() {
    let (_directory, store) = ledger().await;
    let bars = [bar(9, 2_495, "RTYZ6"), bar(2, 2_499, "RTYZ6"), bar(0, 2_501, "RTYZ6"), bar(500, 1, "RTYZ6")];
    store.import(Rows::Bars(&bars)).await.unwrap();
    let broken = sample::event(Kind::LevelBroken);
    let at = broken.occurred_at.saturating_sub(Duration::from_secs(300));
    let near = Event { occurred_at: at, ..sample::event(Kind::LevelApproached) };
    let later = Event {
        occurred_at: at.saturating_add(Duration::from_secs(900)),
        ..sample::event(Kind::LevelFailed)
    };
    let commit = Commit {
        events: &[near, broken.clone(), later],
        deliveries: &[],
        levels: &[],
        books: &[],
        bars: &[],
        days: &[],
        committed_at: at,
    };
    store.commit(&commit).await.unwrap();
    let chart = chart(&broken, store.history(), &chicago()).await.unwrap().unwrap();
    assert_eq!(chart.title, fact(&broken));
    assert_eq!(chart.subtitle, "RTYZ6, Mon 30 Nov 2026");
    assert_eq!(
        (prices(&chart.levels, true), prices(&chart.levels, false)),
        (vec!["2500".into()], vec!["2525".into(), "2475".into()])
    );
    assert_eq!(
        chart.bars.len(),
        2,
        "not the minute that goes on, and nothing of the night: {:?}",
        chart.bars
    );
    assert_eq!(chart.last, Some((broken.occurred_at, "2500.4".parse().unwrap())));
    let marks: Vec<_> =
        chart.marks.iter().map(|mark| (mark.what.as_str(), mark.sign, mark.highlighted)).collect();
    assert_eq!(marks, [("near", Sign::Dot, false), ("broke", Sign::Up, true)]);
    assert_eq!(chart.until.since(chart.from), SPAN / 6, "ten minutes are not stretched");
}

#[tokio::test]
async fn only_a_mail_has_a_picture_and_only_where_bars_are_recorded() {
    let (_directory, store) = ledger().await;
    let broken = sample::event(Kind::LevelBroken);
    assert_eq!(of(&email(), &broken, &store, &chicago()).await, None);
    store.import(Rows::Bars(&[bar(9, 2_495, "RTYZ6")])).await.unwrap();
    let picture = of(&email(), &broken, &store, &chicago()).await.unwrap();
    assert!(picture.starts_with(b"\x89PNG"), "{picture:?}");
    assert_eq!(of(&channel(Settings::Console), &broken, &store, &chicago()).await, None);
    let down = sample::event(Kind::FeedDown);
    assert_eq!(of(&email(), &down, &store, &chicago()).await, None);
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_costs_the_picture_and_not_the_mail() {
    let (_directory, store) = ledger().await;
    store.close().await;
    assert_eq!(of(&email(), &sample::event(Kind::LevelBroken), &store, &chicago()).await, None);
}

#[tokio::test]
async fn bars_of_another_contract_are_not_mixed_in() {
    let (_directory, store) = ledger().await;
    let rows = [bar(5, 1, "RTYH7"), bar(4, 2, "RTYZ6"), bar(3, 3, ""), bar(2, 4, "RTYZ6")];
    store.import(Rows::Bars(&rows)).await.unwrap();
    let now = sample::at("2026-11-30T20:31:00Z");
    let range = (now.saturating_sub(SPAN), now);
    let closes = |bars: Vec<Bar>| bars.iter().map(|bar| bar.close.to_string()).collect::<Vec<_>>().join(" ");
    let of = |contract| bars(store.history(), "RTY", Some(contract), range);
    assert_eq!(closes(of("RTYZ6").await.unwrap()), "2 3 4", "the chain tells of it while it is in front");
    assert_eq!(closes(of("RTYH7").await.unwrap()), "1");
}

#[test]
fn a_level_of_the_index_lies_where_the_contract_would_be() {
    let mut event = sample::event(Kind::LevelBroken);
    event.level_space = Some(Space::Index);
    assert_eq!(in_contract(&event), None);
    event.numbers.insert("level_in_contract".into(), "2507.5".into());
    assert_eq!(in_contract(&event), "2507.5".parse().ok());
    let levels = levels(&event, "2500");
    assert_eq!(levels[0].name.as_deref(), Some("2500 (index 2,500.0)"));
}

#[test]
fn a_name_that_is_the_price_is_not_said_twice() {
    let name = |name: &str| shown_name(name, "2500".parse().unwrap(), None);
    assert_eq!((name("2500"), name("2,500.0"), name("R1")), (None, None, Some("R1".into())));
}
