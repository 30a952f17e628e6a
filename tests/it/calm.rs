//! What keeps a reader from being buried, through the real daemon: digests, snoozes, quiet hours, priorities, and a
//! burst into three channels of which two are in trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use breakwatch::demo::inbox::hook::{Answer, HookOptions, HookServer};
use breakwatch::demo::inbox::mail::{MailOptions, MailServer};
use serde_json::Value;

use crate::support::peers::{KEY, data, feed, message_id};
use crate::support::tape::{Tape, print};
use crate::support::{Home, Running, until};

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
const REHEARSE: [&str; 3] = ["run", "--rehearse", "2024-11-25T13:56:00Z@1"];
const SIGNING: &str = "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A level that breaks again and again, and whose failure is not watched.
const FLAPPING: &str = r#"
[[level]]
name = "2450"
instrument = "RTY"
price = 2450
rearm = "2 ticks"
follow = []
"#;

/// A price that swings around 2450, from below to beyond and back, `times` times; then it stays below.
fn swings(times: i64) -> Vec<String> {
    let calm = (1..10).map(|n| print("2449.6", START_MS + 50 * n, n));
    let swing = (0..times).flat_map(|n| [(2 * n, "2450.1"), (2 * n + 1, "2449.6")]);
    calm.chain(swing.map(|(n, price)| print(price, START_MS + 1_000 + 50 * n, 100 + n))).collect()
}

fn mail_channel(mail: &MailServer, keys: &str) -> String {
    let port = mail.address().port();
    format!(
        "[[channel]]\nname = \"mail\"\nkind = \"email\"\nfrom = \"alerts@example.com\"\nto = \"desk@example.com\"\n\
         {keys}\n[channel.smtp]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n"
    )
}

fn hook_channel(name: &str, hooks: &HookServer, keys: &str) -> String {
    let url = hooks.url("/breaks");
    format!(
        "[[channel]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\nsecret = {{ file = \"signing\" }}\n{keys}\n"
    )
}

fn home(config: &str) -> Home {
    let home = Home::new(config);
    home.write("key", KEY);
    home.write("signing", SIGNING);
    home
}

/// Every event of the ledger by its id.
fn events(home: &Home) -> BTreeMap<String, Value> {
    let events = home.run(&["events", "--json"]).expect(0).json();
    events.into_iter().map(|event| (event["id"].as_str().unwrap().to_owned(), event)).collect()
}

/// How many events a message stands for.
fn stands_for(event: &Value) -> u64 {
    if event["kind"] == "digest" { event["numbers"]["count"].as_u64().unwrap() } else { 1 }
}

/// Waits until the ledger has so many breaks. At first there is none.
async fn recorded(home: &Home, breaks: usize) {
    until("a ledger", || (home.run(&["events"]).code == Some(0)).then_some(())).await;
    until(&format!("{breaks} breaks in the ledger"), || {
        let broken = events(home).values().filter(|event| event["kind"] == "level.broken").count();
        (broken == breaks).then_some(())
    })
    .await;
}

async fn all_delivered(home: &Home) {
    until("every delivery is delivered", || {
        let open = |state: &str| home.run(&["deliveries", "--state", state, "--json"]).expect(0).out;
        (open("due").is_empty() && open("sending").is_empty()).then_some(())
    })
    .await;
    assert_eq!(home.run(&["deliveries", "--state", "dead", "--json"]).expect(0).out, "");
}

async fn ends(mut daemon: Running) {
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_level_that_flaps_is_a_few_mails_that_add_up() {
    let tape = Tape::start(vec![swings(14)], Duration::from_millis(5)).await;
    let mail = MailServer::start(MailOptions::default()).await.unwrap();
    let home = home(&format!("{}{FLAPPING}{}", feed(&tape.url()), mail_channel(&mail, "")));
    let daemon = home.start("run", &REHEARSE);
    recorded(&home, 14).await;
    all_delivered(&home).await;
    let events = events(&home);
    let mails = mail.received();
    let told: Vec<&Value> =
        mails.iter().map(|mail| &events[message_id(mail).split('@').next().unwrap()]).collect();
    assert_eq!(told.iter().map(|event| stands_for(event)).sum::<u64>(), 14, "{told:?}");
    assert!(mails.len() <= 8, "{} mails", mails.len());
    let digest = mails.iter().find(|mail| message_id(mail).starts_with("digest-rty-")).unwrap();
    let subject = digest.header("Subject").unwrap();
    assert!(subject.contains("RTY 2,450.0: ") && subject.contains(" breaks up in "), "{subject}");
    let text = digest.part("text/plain").unwrap();
    assert!(text.contains("CT: RTY broke 2,450.0 up: 2,450.1"), "{text}");
    let carried = home.run(&["deliveries"]).expect(0).out;
    assert!(carried.contains("in the digest of delivery "), "{carried}");
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_snoozed_level_is_told_in_one_digest_when_the_snooze_ends() {
    let tape = Tape::start(vec![swings(2)], Duration::from_millis(5)).await;
    let mail = MailServer::start(MailOptions::default()).await.unwrap();
    let home = home(&format!("{}{FLAPPING}{}", feed(&tape.url()), mail_channel(&mail, "")));
    let snoozed = home.run(&["level", "snooze", "2450", "--for", "1h"]).expect(0).out;
    assert!(snoozed.contains("told then, in one digest"), "{snoozed}");
    home.run(&["level", "snooze", "245", "--for", "1h"]).expect(64);
    assert!(home.run(&["level", "list"]).expect(0).out.contains("snoozed until "));
    let daemon = home.start("run", &REHEARSE);
    recorded(&home, 2).await;
    assert_eq!(home.run(&["deliveries", "--state", "due", "--json"]).expect(0).json().len(), 2);
    assert_eq!(mail.received().len(), 0);
    home.run(&["level", "snooze", "2450", "--off"]).expect(0);
    all_delivered(&home).await;
    let told = mail.received();
    assert_eq!(told.len(), 1);
    let subject = told[0].header("Subject").unwrap();
    assert!(subject.contains("RTY 2,450.0: 2 breaks up"), "{subject}");
    let text = told[0].part("text/plain").unwrap();
    assert!(text.contains("Kept back until now, as asked.") && text.contains("Why: held back"), "{text}");
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_quiet_hours_only_what_is_critical_is_told() {
    // The break, and then its failure, which is critical.
    let mut script = swings(1);
    script.extend((0..20).map(|n| print("2449.0", START_MS + 2_000 + 50 * n, 200 + n)));
    let tape = Tape::start(vec![script], Duration::from_millis(5)).await;
    let mail = MailServer::start(MailOptions::default()).await.unwrap();
    let level = FLAPPING.replace("follow = []", "follow = [\"failed\"]");
    // Whenever this runs, it is quiet.
    let now = breakwatch::daemon::clock::Clock::real().wall().to_jiff();
    let hour = |hours: i64| {
        let at = now.saturating_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        jiff::tz::TimeZone::UTC.to_datetime(at).strftime("%H:%M").to_string()
    };
    let quiet = format!("quiet = {{ between = [\"{}\", \"{}\"], zone_name = \"UTC\" }}", hour(-2), hour(2));
    let home = home(&format!("{}{level}{}", feed(&tape.url()), mail_channel(&mail, &quiet)));
    let daemon = home.start("run", &REHEARSE);
    let told = until("a mail", || mail.received().first().cloned()).await;
    assert!(told.header("Subject").unwrap().contains("failed"), "{:?}", told.header("Subject"));
    let due = home.run(&["deliveries", "--state", "due", "--json"]).expect(0).json();
    let due: Vec<&str> = due.iter().map(|delivery| delivery["event"].as_str().unwrap()).collect();
    assert!(due.len() == 1 && due[0].ends_with(".broken"), "{due:?}");
    assert_eq!(mail.received().len(), 1);
    ends(daemon).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_peer_that_is_gone_is_not_asked_again_and_that_is_told_elsewhere() {
    let tape = Tape::start(vec![swings(3)], Duration::from_millis(5)).await;
    let answers = vec![Answer::new(410, "no such hook")];
    let gone = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
    let other = HookServer::start(HookOptions::default()).await.unwrap();
    let channels = format!("{}{}", hook_channel("gone", &gone, ""), hook_channel("other", &other, ""));
    let home = home(&format!("{}{FLAPPING}{channels}", feed(&tape.url())));
    let daemon = home.start("run", &REHEARSE);
    recorded(&home, 3).await;
    let failing = until("word of the failing channel", || {
        other.received().iter().map(data).find(|event| event["kind"] == "channel.failing")
    })
    .await;
    let detail = failing["numbers"]["detail"].as_str().unwrap();
    assert!(
        detail.contains("410 Gone: no such hook; the channel is disabled until the next start"),
        "{detail}"
    );
    until("three breaks elsewhere", || {
        let told = other.received();
        (told.iter().map(data).filter(|event| event["kind"] == "level.broken").count() == 3).then_some(())
    })
    .await;
    assert_eq!(gone.received().len(), 1, "one attempt, and no more");
    let due = home.run(&["deliveries", "--state", "due", "--json"]).expect(0).json();
    assert_eq!(due.len(), 3, "what was not told there is kept: {due:?}");
    ends(daemon).await;
    // Put right, and started again: everything is told, and nothing twice.
    gone.set_answers(vec![Answer::new(200, "")]);
    let daemon = home.start("again", &REHEARSE);
    all_delivered(&home).await;
    let told: BTreeSet<String> =
        gone.received().iter().map(|hook| hook.headers["webhook-id"].clone()).collect();
    assert_eq!(told.iter().filter(|id| id.ends_with(".broken")).count(), 3, "{told:?}");
    ends(daemon).await;
}

/// Twenty levels at each tick from 2,450.0 to 2,499.9.
const LEVELS: usize = 10_000;

fn table() -> String {
    let price = |n: usize| 24_500 + n / 20;
    let rows = (0..LEVELS).map(|n| format!("level {n},RTY,{}.{}\n", price(n) / 10, price(n) % 10));
    format!("name,instrument,price\n{}", rows.collect::<String>())
}

/// How many events the messages of a receiver stand for, each message once however often it came.
fn tally(hooks: &HookServer) -> u64 {
    let mut seen = BTreeSet::new();
    let received = hooks.received();
    let first = received.iter().filter(|hook| seen.insert(&hook.headers["webhook-id"]));
    first.map(data).filter(|event| !event["instrument"].is_null()).map(|event| stands_for(&event)).sum()
}

/// The most memory that the process ever had, in MiB.
fn memory_max(daemon: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_breaks_in_a_second_reach_three_channels_though_one_hangs_and_one_fails_every_other_time()
 {
    let mut script: Vec<String> = (1..10).map(|n| print("2449.6", START_MS + 2 * n, n)).collect();
    let rise = (0..i64::try_from(LEVELS / 20).unwrap()).map(|n| {
        let tenths = 24_500 + n;
        print(&format!("{}.{}", tenths / 10, tenths % 10), START_MS + 100 + 2 * n, 100 + n)
    });
    script.extend(rise);
    let tape = Tape::start(vec![script], Duration::from_millis(1)).await;
    let healthy = HookServer::start(HookOptions::default()).await.unwrap();
    let never = Answer { delay: Duration::from_secs(3_600), ..Answer::new(200, "") };
    let hanging = HookServer::start(HookOptions { answers: vec![never], tls: None }).await.unwrap();
    let every_other = [Answer::new(500, ""), Answer::new(200, "")].into_iter().cycle().take(20_000).collect();
    let failing = HookServer::start(HookOptions { answers: every_other, tls: None }).await.unwrap();
    let keys = "group_wait = \"1s\"\ntimeout = \"500ms\"";
    let channels = [("healthy", &healthy), ("hanging", &hanging), ("failing", &failing)]
        .map(|(name, hooks)| hook_channel(name, hooks, keys));
    let home =
        home(&format!("[retry]\ndelays = [\"0s\", \"200ms\"]\n{}{}", feed(&tape.url()), channels.concat()));
    // `include` stands before the first table.
    let file = home.path("breakwatch.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    home.write("breakwatch.toml", &format!("include = [\"levels.csv\"]\n{text}"));
    home.write("levels.csv", &table());
    let daemon = home.start("run", &REHEARSE);

    let all = u64::try_from(LEVELS).unwrap();
    until("every break at the healthy channel", || (tally(&healthy) == all).then_some(())).await;
    let delivered = home.run(&["deliveries", "--channel", "hanging", "--state", "delivered", "--json"]);
    assert_eq!(delivered.expect(0).out, "", "the other one hangs all the while");
    hanging.set_answers(vec![Answer::new(200, "")]);
    until("every break at the others", || (tally(&hanging) == all && tally(&failing) == all).then_some(()))
        .await;
    all_delivered(&home).await;
    assert_eq!([&healthy, &hanging, &failing].map(tally), [all; 3], "nothing twice under another id");
    assert!(memory_max(&daemon) < 250, "{} MiB", memory_max(&daemon));
    let broken = events(&home).values().filter(|event| event["kind"] == "level.broken").count();
    assert_eq!(broken, LEVELS, "every break is in the ledger");
    ends(daemon).await;
}
