//! The recorded day through the real daemon: a venue that trades it, a mail server and a webhook receiver; and
//! the same with the process killed in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use breakwatch::daemon::clock::Clock;
use breakwatch::demo::inbox::hook::{Answer, Hook};
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
/// Where they end: six minutes after the last level's first break.
const UNTIL: &str = "2024-11-25T16:05:00Z";

/// The id of every break that a replay of this part of the day finds, with its level.
fn replayed(home: &Home, day: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(day).unwrap();
    let within = |line: &&str| line.starts_with("ts_") || (*line >= FROM && *line < UNTIL);
    let part: Vec<&str> = text.lines().filter(within).collect();
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

fn ids_of_hooks(hooks: &[Hook]) -> Vec<String> {
    hooks.iter().map(|hook| hook.headers["webhook-id"].clone()).collect()
}

fn ids_of_mails(mails: &[Mail]) -> Vec<String> {
    mails.iter().map(|mail| message_id(mail).split('@').next().unwrap().to_owned()).collect()
}

/// The trades of this part of the day.
fn trades(day: &Path) -> Vec<VenueTrade> {
    let end: Timestamp = UNTIL.parse().unwrap();
    peers::trades(day, FROM).into_iter().filter(|trade| trade.at_ms < end.as_millis()).collect()
}

/// Waits until every one of these events was told by webhook and by mail.
async fn all_told(inboxes: &Inboxes, ids: &BTreeMap<String, String>) {
    until(&format!("webhooks and mails with {ids:?}"), || {
        let hooked = ids_of_hooks(&inboxes.hooks.received());
        let mailed = ids_of_mails(&inboxes.mail.received());
        ids.keys().all(|id| hooked.contains(id) && mailed.contains(id)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_of_the_day_tells_every_break_once_by_mail_and_webhook() {
    let Some(day) = shared("rehearsal", CSV) else { return };
    let start = Arc::new(OnceLock::new());
    let venue = venue(trades(&day), &start).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&venue.url())));
    let expected = replayed(&home, &day);

    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    start.set(Clock::rehearsal(FROM.parse().unwrap(), SPEED)).unwrap();
    all_told(&inboxes, &expected).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let (hooks, mails) = (inboxes.hooks.received(), inboxes.mail.received());
    let told = breaks(&hooks);
    assert_eq!(levels(&told).len(), 4, "{}", daemon.log());
    for (id, event) in &told {
        assert_eq!(
            expected.get(id),
            Some(&text_of(event, "level")),
            "the replay knows no such break: {event}"
        );
        assert_eq!((&event["rehearsal"], &event["from_bars"]), (&true.into(), &false.into()), "{event}");
    }
    once("webhook", ids_of_hooks(&hooks));
    once("mail", ids_of_mails(&mails));
    hooks.iter().for_each(assert_signed);
    for mail in &mails {
        let subject = mail.header("Subject").unwrap();
        assert!(subject.starts_with("REHEARSAL"), "{subject}");
        assert!(mail.tls && mail.login.as_deref() == Some("alerts"), "{mail:?}");
        assert_eq!(mail.to, ["desk@example.com"]);
    }
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
    let message = |t: &VenueTrade| tape::print(&t.price, t.at_ms, i64::try_from(t.seq).unwrap());
    let messages = trades(&day).iter().map(message).collect();
    let tape = Tape::start(vec![messages], Duration::from_millis(1)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&tape.url())));
    let expected = replayed(&home, &day);

    // The first time in the middle of an attempt: the hook is kept, and its answer never comes.
    inboxes.hooks.set_answers(vec![Answer { delay: Duration::from_secs(8), ..Answer::new(200, "ok") }]);
    let daemon = home.start("run0", &["run", "--rehearse", REHEARSE]);
    let first = until("a first webhook", || inboxes.hooks.received().into_iter().next()).await;
    daemon.kill();
    inboxes.hooks.set_answers(vec![]);
    for level in ["2460.8", "2475"] {
        let daemon = home.start(level, &["run", "--rehearse", REHEARSE]);
        until(&format!("a webhook with the break of {level}"), || {
            levels(&breaks(&inboxes.hooks.received())).contains(level).then_some(())
        })
        .await;
        daemon.kill();
    }
    let mut daemon = home.start("run", &["run", "--rehearse", REHEARSE]);
    all_told(&inboxes, &expected).await;
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let hooks = inboxes.hooks.received();
    let again = hooks.iter().filter(|hook| hook.headers["webhook-id"] == first.headers["webhook-id"]);
    assert!(again.count() > 1, "what was sent without an answer is sent again");
    // The same fact under another id would look like a new one.
    let mut ids: BTreeMap<(String, String, String), BTreeSet<String>> = BTreeMap::new();
    for hook in &hooks {
        let (id, event) = (&hook.headers["webhook-id"], data(hook));
        assert_eq!(&text_of(&event, "id"), id);
        let subject = format!("{} {}", event["level"], event["kind"]);
        ids.entry((subject, text_of(&event, "thread"), text_of(&event, "occurred_at")))
            .or_default()
            .insert(id.clone());
        assert!(event["kind"] != "level.broken" || expected.contains_key(id), "no such break: {event}");
        assert_signed(hook);
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let rows = home.run(&["deliveries", "--json", "--limit", "10000"]).expect(0).json();
    let open: Vec<_> =
        rows.iter().filter(|row| row["state"] == "sending" || row["state"] == "dead").collect();
    assert!(open.is_empty(), "{open:?}");
}
