//! What a venue or a mail server may do wrong, against the real daemon: nothing false is told, and what follows is.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use breakwatch::daemon::clock::Clock;
use breakwatch::demo::inbox::mail::MailFault;
use breakwatch::demo::venue::{Fault, Options, Venue, VenueTrade};
use rstest::rstest;

use crate::support::peers::{self, Inboxes, LEVELS, data, feed};
use crate::support::tape::{Tape, print};
use crate::support::{Home, Running, until};

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
pub(crate) const START_MS: i64 = 1_732_542_960_000;
pub(crate) const REHEARSE: &str = "2024-11-25T13:56:00Z@1";
/// Between two messages: slow enough that each is taken in by itself.
pub(crate) const PACE: Duration = Duration::from_millis(5);

async fn stage(url: &str) -> (Inboxes, Home) {
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(url)));
    (inboxes, home)
}

/// The market: below 2450, `bad` in the middle, and then the break at 2450.0.
fn script(bad: &str) -> Vec<String> {
    let at = |n: i64| START_MS + 200 * n;
    let calm = |n: i64| print(if n % 2 == 0 { "2449.6" } else { "2449.7" }, at(n), n);
    let mut messages: Vec<String> = (1..10).map(calm).collect();
    messages.push(bad.to_owned());
    messages.extend((11..20).map(calm));
    messages.push(print("2450.0", at(20), 20));
    messages.push(print("2450.1", at(21), 21));
    messages
}

/// Fails unless exactly one break was told: that of 2450 at 2450.0.
pub(crate) fn assert_one_break(inboxes: &Inboxes, daemon: &Running) {
    let told = inboxes.hooks.received();
    let levels: Vec<_> = told.iter().map(data).filter(|event| !event["level"].is_null()).collect();
    let broken: Vec<_> = levels.iter().filter(|event| event["kind"] == "level.broken").collect();
    assert_eq!(broken.len(), 1, "{levels:?}\n{}", daemon.log());
    assert_eq!((&broken[0]["level"], &broken[0]["price"]), (&"2450".into(), &"2450.0".into()));
    assert!(levels.iter().all(|event| event["level"] == "2450"), "{levels:?}");
}

#[rstest]
#[case::nan("NaN", "not_json")]
#[case::nan_as_text("\"NaN\"", "bad_price")]
#[case::zero("0", "bad_price")]
#[case::negative("-1", "bad_price")]
#[case::beyond_every_float("1e309", "bad_price")]
#[case::between_two_ticks("2450.05", "off grid")]
#[case::ten_times_too_high("24500", "far from market")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_price_that_is_none_tells_nothing_and_the_break_after_it_is_told(
    #[case] price: &str,
    #[case] named: &str,
) {
    let tape = Tape::start(vec![script(&print(price, START_MS + 2_000, 10))], PACE).await;
    let (inboxes, home) = stage(&tape.url()).await;
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    inboxes.told("level.broken", "2450").await;
    daemon.logs(&[named]).await;
    assert_one_break(&inboxes, &daemon);
    assert_eq!(tape.connections(), 1, "one bad price is no reason to connect anew");
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn garbage_is_counted_and_the_break_after_it_is_told() {
    let tape = Tape::start(vec![script("{{{ this is no JSON \u{0} \u{202e}")], PACE).await;
    let (inboxes, home) = stage(&tape.url()).await;
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    inboxes.told("level.broken", "2450").await;
    daemon.logs(&["not_json", "count=1"]).await;
    assert_one_break(&inboxes, &daemon);
    assert!(daemon.is_alive());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_message_of_twenty_megabytes_ends_the_connection_and_the_next_one_tells_the_break() {
    let calm = print("2449.6", START_MS, 1);
    let tape = Tape::start(vec![vec![calm.clone(), "x".repeat(20 << 20)], script(&calm)], PACE).await;
    let (inboxes, home) = stage(&tape.url()).await;
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    daemon.logs(&["the venue sent too much"]).await;
    inboxes.told("level.broken", "2450").await;
    assert_one_break(&inboxes, &daemon);
    assert_eq!(tape.connections(), 2);
    let memory = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap_or_default();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    assert!(peak.is_none_or(|kb| kb.trim().parse::<u64>().unwrap() < 200_000), "{memory}");
    assert!(daemon.is_alive());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_that_is_cut_is_made_again_and_the_break_after_it_is_told() {
    let trades: Vec<VenueTrade> = (1..=300)
        .map(|n| VenueTrade {
            price: if n < 200 { "2449.7".to_owned() } else { "2450.0".to_owned() },
            size: 1,
            at_ms: START_MS + 1_000 + 10 * n,
            seq: n.unsigned_abs(),
        })
        .collect();
    let start: Arc<OnceLock<Clock>> = Arc::default();
    let (at, speed) = (Arc::clone(&start), 1.0);
    let now = move || at.get().map_or(START_MS, |clock| clock.now().as_millis());
    let faults = vec![Fault::Cut(20)];
    let options = Options { faults, ..Options::new("RTYZ4", peers::KEY, speed) };
    let venue = Venue::start(trades, options, now).await.unwrap();
    let (inboxes, home) = stage(&venue.url()).await;
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    daemon.logs(&["subscribed"]).await;
    start.set(Clock::rehearsal("2024-11-25T13:56:00Z".parse().unwrap(), speed)).unwrap();
    daemon.logs(&["WARN", "not connected"]).await;
    inboxes.told("level.broken", "2450").await;
    assert_one_break(&inboxes, &daemon);
    assert_eq!(daemon.log().matches("subscribed").count(), 2, "{}", daemon.log());
    assert!(daemon.is_alive());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn one_refused_recipient_of_three_is_told_elsewhere_and_the_two_others_get_their_mail() {
    let tape = Tape::start(vec![script(&print("2449.6", START_MS + 2_000, 10))], PACE).await;
    let inboxes = Inboxes::open().await;
    let three = r#"["first@example.com", "gone@example.com", "third@example.com"]"#;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&tape.url())));
    let config = std::fs::read_to_string(home.path("breakwatch.toml")).unwrap();
    home.write("breakwatch.toml", &config.replace("\"desk@example.com\"", three));
    inboxes.mail.set_faults(vec![MailFault::RefuseRecipient("gone@example.com".into())]);
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    let failing = until("the failure is told elsewhere", || {
        inboxes.hooks.received().iter().map(data).find(|event| event["kind"] == "channel.failing")
    });
    let failing = failing.await;
    let detail = failing["numbers"]["detail"].to_string();
    assert!(failing["numbers"]["channel"] == "mail" && detail.contains("550 5.1.1"), "{failing}");
    let mails = until("two mails", || {
        let mails = inboxes.mail.received();
        (mails.len() >= 2).then_some(mails)
    });
    let mails = mails.await;
    let to: Vec<_> = mails.iter().flat_map(|mail| mail.to.clone()).collect();
    assert_eq!(to, ["first@example.com", "third@example.com"]);
    assert_eq!(peers::message_id(&mails[0]), peers::message_id(&mails[1]));
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
    let states: Vec<_> = home.run(&["deliveries", "--json"]).expect(0).json();
    let state = |target: &str| {
        let row = states.iter().find(|row| row["channel"] == "mail" && row["target"] == target).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    let each = ["first@example.com", "gone@example.com", "third@example.com"].map(state);
    assert_eq!(each, ["delivered", "dead", "delivered"]);
}
