//! The recorded day through the real daemon: a venue that trades it, a mail server and a webhook receiver; and
//! the same with the process killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use breakwatch::daemon::clock::Clock;
use breakwatch::demo::inbox::hook::Hook;
use breakwatch::demo::inbox::mail::Mail;
use breakwatch::demo::venue::{Options, Venue, VenueTrade};
use breakwatch::time::Timestamp;
use serde_json::Value;

use crate::support::peers::{self, Inboxes, LEVELS, assert_signed, data, feed, message_id};
use crate::support::tape::{self, Tape};
use crate::support::{Home, shared, until};

const CSV: &str = "RTYZ4_1m_20241125_1330-1750Z.csv";
/// Where the tests begin: seven minutes before the first break.
const FROM: &str = "2024-11-25T13:50:00Z";
const SPEED: f64 = 1_200.0;
const REHEARSE: &str = "2024-11-25T13:50:00Z@1200";
/// No print after this minute matters: the last level has broken.
const LAST_BREAK: &str = "2477.1";

/// The id of every break that a replay of the day from `FROM` finds, with its level.
fn replayed(home: &Home, day: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(day).unwrap();
    let late = |line: &&str| line.starts_with("ts_") || *line >= FROM;
    let part: Vec<&str> = text.lines().filter(late).collect();
    let file = home.write("part.csv", &part.join("\n"));
    let words = ["replay", file.to_str().unwrap(), "--instrument", "RTYZ4", "--bar", "1m", "--json"];
    let events = home.run(&words).expect(0).json();
    let broken = events.into_iter().filter(|event| event["kind"] == "level.broken");
    broken.map(|event| (text_of(&event, "id"), text_of(&event, "level"))).collect()
}

fn text_of(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_else(|| panic!("no {key} in {event}")).to_owned()
}

/// The breaks that webhooks told of, by id, in the order of their arrival.
fn breaks(hooks: &[Hook]) -> Vec<(String, Value)> {
    let told = hooks.iter().map(|hook| (hook.headers["webhook-id"].clone(), data(hook)));
    told.filter(|(_, event)| event["kind"] == "level.broken").collect()
}

fn levels(breaks: &[(String, Value)]) -> BTreeSet<String> {
    breaks.iter().map(|(_, event)| text_of(event, "level")).collect()
}

/// A venue that trades the day; its clock stands still until `start` is set.
async fn venue(trades: Vec<VenueTrade>, start: &Arc<OnceLock<Clock>>) -> Venue {
    let from: Timestamp = FROM.parse().unwrap();
    let start = Arc::clone(start);
    let now = move || start.get().map_or(from.as_millis(), |clock| clock.now().as_millis());
    Venue::start(trades, Options::new("RTYZ4", peers::KEY, SPEED), now).await.unwrap()
}

fn ids_of_mails(mails: &[Mail]) -> Vec<String> {
    mails.iter().map(|mail| message_id(mail).split('@').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_of_the_day_tells_every_break_once_by_mail_and_webhook() {
    let Some(day) = shared("rehearsal", CSV) else { return };
    let start = Arc::new(OnceLock::new());
    let venue = venue(peers::trades(&day, FROM), &start).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&venue.url())));
    let expected = replayed(&home, &day);

    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    start.set(Clock::rehearsal(FROM.parse().unwrap(), SPEED)).unwrap();
    inboxes.told("level.broken", LAST_BREAK).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let (hooks, mails) = (inboxes.hooks.received(), inboxes.mail.received());
    let told = breaks(&hooks);
    assert_eq!(levels(&told), expected.values().cloned().collect(), "{}", daemon.log());
    for (id, event) in &told {
        assert_eq!(expected.get(id), Some(&text_of(event, "level")), "the replay knows no such break: {event}");
        assert_eq!((&event["rehearsal"], &event["from_bars"]), (&true.into(), &false.into()), "{event}");
    }
    once("webhook", hooks.iter().map(|hook| hook.headers["webhook-id"].clone()).collect());
    once("mail", ids_of_mails(&mails));
    hooks.iter().for_each(assert_signed);
    for mail in &mails {
        let subject = mail.header("Subject").unwrap();
        assert!(subject.starts_with("REHEARSAL"), "{subject}");
        assert!(mail.tls && mail.login.as_deref() == Some("alerts"), "{mail:?}");
        assert_eq!(mail.to, ["desk@example.com"]);
    }
    let mailed: BTreeSet<String> = ids_of_mails(&mails).into_iter().collect();
    assert!(told.iter().all(|(id, _)| mailed.contains(id)), "a break was not mailed");
}

#[track_caller]
fn once(what: &str, ids: Vec<String>) {
    let mut counts = BTreeMap::new();
    for id in ids {
        *counts.entry(id).or_insert(0) += 1;
    }
    counts.retain(|_, count| *count > 1);
    assert!(counts.is_empty(), "a {what} came more than once: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_three_times_loses_nothing_and_repeats_under_the_same_id() {
    let Some(day) = shared("rehearsal", CSV) else { return };
    let messages =
        peers::trades(&day, FROM).iter().map(|t| tape::print(&t.price, t.at_ms, t.seq as usize)).collect();
    let tape = Tape::start(vec![messages], Duration::from_millis(1)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&tape.url())));
    let expected = replayed(&home, &day);

    for (n, level) in ["2450", "2460.8", "2475"].into_iter().enumerate() {
        let daemon = home.start(&format!("run{n}"), &["run", "--rehearse", REHEARSE]);
        until(&format!("a webhook with the break of {level}"), || {
            levels(&breaks(&inboxes.hooks.received())).contains(level).then_some(())
        })
        .await;
        daemon.kill();
    }
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    for level in ["2450", "2460.8", "2475", LAST_BREAK] {
        inboxes.told("level.broken", level).await;
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let told = breaks(&inboxes.hooks.received());
    assert_eq!(levels(&told), expected.values().cloned().collect(), "{}", daemon.log());
    // The same break under another id would be told twice.
    let mut ids: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (id, event) in &told {
        let fact = (text_of(event, "level"), text_of(event, "occurred_at"));
        ids.entry(fact).or_default().insert(id.clone());
        assert_eq!(&text_of(event, "id"), id);
        assert!(expected.contains_key(id), "the replay knows no such break: {event}");
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let mailed: BTreeSet<String> = ids_of_mails(&inboxes.mail.received()).into_iter().collect();
    assert!(told.iter().all(|(id, _)| mailed.contains(id)), "a break was not mailed");
    let rows = home.run(&["deliveries", "--json", "--limit", "10000"]).expect(0).json();
    let lost: Vec<_> = rows.iter().filter(|row| row["state"] == "sending").collect();
    assert!(lost.is_empty(), "{lost:?}");
}
