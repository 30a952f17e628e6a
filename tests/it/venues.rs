//! The native feeds, against venues that misbehave: the real daemon tells a break exactly once, or says why not.

use std::time::Duration;

use rstest::rstest;

use crate::faults::{PACE, REHEARSE, START_MS, assert_one_break};
use crate::support::peers::{Inboxes, KEY, LEVELS};
use crate::support::sim::{Act, Dialect, Door, END, Sim, Take};
use crate::support::{Home, Running};

use Dialect::{Massive, Projectx};

async fn stage(sim: &Sim, more: &str) -> (Inboxes, Home) {
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", sim.feed(more)));
    (inboxes, home)
}

fn start(home: &Home) -> Running {
    home.start("run", &["run", "--rehearse", REHEARSE])
}

fn at(n: i64) -> i64 {
    START_MS + 200 * n
}

fn print(dialect: Dialect, price: &str, n: i64) -> Act {
    Act::Say(dialect.frame(&[dialect.event(price, at(n), n)]))
}

fn calm(dialect: Dialect, numbers: std::ops::Range<i64>) -> Vec<Act> {
    numbers.map(|n| print(dialect, if n % 2 == 0 { "2449.6" } else { "2449.7" }, n)).collect()
}

/// Below 2450, `between` in the middle, and then the break at 2450.0.
fn market(dialect: Dialect, between: Vec<Act>) -> Vec<Act> {
    let mut acts = calm(dialect, 1..10);
    acts.extend(between);
    acts.extend(calm(dialect, 11..20));
    acts.extend([print(dialect, "2450.0", 20), print(dialect, "2450.1", 21)]);
    acts
}

fn open(acts: Vec<Act>) -> Take {
    Take { door: Door::Open, acts }
}

/// Calm, and then `end`.
fn cut(dialect: Dialect, end: Act) -> Take {
    let mut acts = calm(dialect, 1..5);
    acts.push(end);
    open(acts)
}

/// No secret of ours is anywhere in what the daemon has said.
fn assert_silent_about_secrets(daemon: &Running) {
    let said = format!("{}{}", daemon.log(), daemon.out());
    for secret in [KEY, "a-token-of-the-firm"] {
        assert!(!said.contains(secret), "{said}");
    }
}

fn nothing(_: Dialect) -> Vec<Act> {
    Vec::new()
}

fn priced(price: &'static str) -> impl Fn(Dialect) -> Vec<Act> {
    move |dialect| vec![print(dialect, price, 10)]
}

/// Both have been seen: the last one again, and older ones after it.
fn repeats(dialect: Dialect) -> Vec<Act> {
    let mut acts = vec![print(dialect, "2449.7", 9)];
    acts.extend(calm(dialect, 7..9));
    acts
}

fn gap(dialect: Dialect) -> Vec<Act> {
    // The numbers that follow come late, as far as the venue's own count goes.
    vec![Act::Say(dialect.frame(&[dialect.event("2449.6", at(10), 15)]))]
}

fn several(dialect: Dialect) -> Vec<Act> {
    let event = |n| dialect.event("2449.7", START_MS + 1_900 + n, 9 + n);
    vec![Act::Say(dialect.frame(&["null".into(), event(1), "null".into(), event(2)]))]
}

fn garbage(_: Dialect) -> Vec<Act> {
    vec![Act::Say(format!("{{{{ no JSON \u{202e}{END}"))]
}

fn split(dialect: Dialect) -> Vec<Act> {
    let frame = dialect.frame(&[dialect.event("2449.7", at(10), 10)]);
    let two = format!("{frame}{{\"type\":6}}{END}{frame}");
    let pieces = [two.get(..40), two.get(40..41), two.get(41..two.len() - 1), two.get(two.len() - 1..)];
    pieces.into_iter().map(|piece| Act::Say(piece.unwrap().to_owned())).collect()
}

/// A quote that says less than it could, and whose last price is far above.
fn sparse_quote(dialect: Dialect) -> Vec<Act> {
    let quote = match dialect {
        Massive => r#"[{"ev":"Q","sym":"RTYZ4","bp":null,"ap":2449.8,"t":0}]"#.to_owned(),
        Projectx => {
            let fields = r#"{"symbol":"F.US.RTY","lastPrice":2451.5,"bestBid":null,"bestAsk":2449.8}"#;
            format!(r#"{{"type":1,"target":"GatewayQuote","arguments":["CON.F.US.RTY.Z24",{fields}]}}{END}"#)
        }
    };
    vec![Act::Say(quote)]
}

#[rstest]
#[case::nothing(Massive, nothing, &[])]
#[case::nothing(Projectx, nothing, &[])]
#[case::garbage(Massive, garbage, &["not_json"])]
#[case::garbage(Projectx, garbage, &["not_json"])]
#[case::null_price(Massive, priced("null"), &["bad_price"])]
#[case::null_price(Projectx, priced("null"), &["bad_price"])]
#[case::nan(Massive, priced("\"NaN\""), &["bad_price"])]
#[case::nan(Projectx, priced("\"NaN\""), &["bad_price"])]
#[case::off_grid(Massive, priced("2450.05"), &["off grid"])]
#[case::off_grid(Projectx, priced("2450.05"), &["off grid"])]
#[case::far_off(Massive, priced("24500"), &["far from market"])]
#[case::far_off(Projectx, priced("24500"), &["far from market"])]
#[case::repeats(Massive, repeats, &["duplicate"])]
#[case::repeats(Projectx, repeats, &["duplicate"])]
#[case::gap(Massive, gap, &["sequence_gap"])]
#[case::several(Massive, several, &[])]
#[case::several(Projectx, several, &[])]
#[case::split(Projectx, split, &[])]
#[case::sparse_quote(Massive, sparse_quote, &[])]
#[case::sparse_quote(Projectx, sparse_quote, &[])]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_comes_in_between_tells_nothing_and_the_break_after_it_is_told_once(
    #[case] dialect: Dialect,
    #[case] between: impl Fn(Dialect) -> Vec<Act>,
    #[case] named: &[&str],
) {
    let sim = Sim::start(dialect, vec![open(market(dialect, between(dialect)))], PACE).await;
    let (inboxes, home) = stage(&sim, "").await;
    let mut daemon = start(&home);
    inboxes.told("level.broken", "2450").await;
    if !named.is_empty() {
        daemon.logs(named).await;
    }
    assert_one_break(&inboxes, &daemon);
    assert_eq!(sim.connections(), 1, "no reason to connect anew: {}", daemon.log());
    assert_silent_about_secrets(&daemon);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_old_value_after_a_subscription_is_no_break(#[values(Massive, Projectx)] dialect: Dialect) {
    // Of the evening before, above two levels.
    let old = Act::Say(dialect.frame(&[dialect.event("2461.0", START_MS - 50_000_000, 1)]));
    let acts = [vec![old], market(dialect, Vec::new())].concat();
    let sim = Sim::start(dialect, vec![closed(dialect), open(acts)], PACE).await;
    let (inboxes, home) = stage(&sim, "").await;
    let daemon = start(&home);
    inboxes.told("level.broken", "2450").await;
    assert_one_break(&inboxes, &daemon);
}

const SILENT: &str = "nothing at all came for";
const QUIET: &str = "no print in an open session";

fn closed_at_once(_: Dialect) -> Take {
    open(vec![Act::Close(1001, "see you")])
}

fn closed(dialect: Dialect) -> Take {
    cut(dialect, Act::Close(1012, "the service restarts"))
}

fn frozen(dialect: Dialect) -> Take {
    cut(dialect, Act::Freeze)
}

fn beating(dialect: Dialect) -> Take {
    cut(dialect, Act::Beat)
}

fn door(status: u16) -> impl Fn(Dialect) -> Take {
    move |_| Take { door: Door::Http(status), acts: Vec::new() }
}

fn shutdown(dialect: Dialect) -> Take {
    cut(dialect, Act::Say(format!(r#"{{"type":7,"allowReconnect":true}}{END}"#)))
}

fn failing(dialect: Dialect) -> Take {
    cut(dialect, Act::Say(r#"[{"ev":"status","status":"error","message":"internal error"}]"#.into()))
}

#[rstest]
#[case::closed_at_once(Massive, closed_at_once, "", "closed by the venue: 1001 see you")]
#[case::closed_at_once(Projectx, closed_at_once, "", "closed by the venue: 1001 see you")]
#[case::closed(Massive, closed, "", "1012 the service restarts")]
#[case::closed(Projectx, closed, "", "1012 the service restarts")]
#[case::frozen(Massive, frozen, "transport_silence = \"2s\"", SILENT)]
#[case::frozen(Projectx, frozen, "transport_silence = \"2s\"", SILENT)]
#[case::beating(Massive, beating, "market_silence = \"2s\"", "symbols that do not exist: is RTYZ4 right?")]
#[case::beating(Projectx, beating, "market_silence = \"2s\"", QUIET)]
#[case::bad_gateway(Massive, door(502), "", "HTTP 502")]
#[case::bad_gateway(Projectx, door(502), "", "HTTP 502")]
#[case::too_many(Massive, door(429), "", "HTTP 429")]
#[case::too_many(Projectx, door(429), "", "HTTP 429")]
#[case::shutdown(Projectx, shutdown, "", "the hub closes")]
#[case::failing(Massive, failing, "", "internal error")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_that_fails_is_made_again_and_the_break_after_it_is_told_once(
    #[case] dialect: Dialect,
    #[case] first: impl Fn(Dialect) -> Take,
    #[case] more: &str,
    #[case] named: &str,
) {
    let sim = Sim::start(dialect, vec![first(dialect), open(market(dialect, Vec::new()))], PACE).await;
    let (inboxes, home) = stage(&sim, more).await;
    let mut daemon = start(&home);
    daemon.logs(&[named]).await;
    inboxes.told("level.broken", "2450").await;
    assert_one_break(&inboxes, &daemon);
    assert_eq!(sim.connections(), 2, "{}", daemon.log());
    assert!(sim.logins() <= 1, "a token that the firm still takes needs no login");
    assert_silent_about_secrets(&daemon);
}

/// A wait after a refusal is at least a minute; whoever tried at once would be seen within this time.
const NO_OTHER_TRY: Duration = Duration::from_secs(3);

#[rstest]
#[case::key(Massive, Door::Refuse("auth_failed"), "the key is not taken")]
#[case::kicked(Massive, Door::Refuse("max_connections"), "another client uses this key")]
#[case::contract(Projectx, Door::Refuse("no such contract"), "does not serve CON.F.US.RTY.Z24")]
#[case::forbidden(Massive, Door::Http(403), "HTTP 403")]
#[case::forbidden(Projectx, Door::Http(401), "HTTP 401")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_is_told_and_not_tried_again_at_once(
    #[case] dialect: Dialect,
    #[case] door: Door,
    #[case] named: &str,
) {
    let sim = Sim::start(dialect, vec![Take { door, acts: Vec::new() }], PACE).await;
    let (_inboxes, home) = stage(&sim, "").await;
    let mut daemon = start(&home);
    let line = daemon.logs(&[named]).await;
    assert!(line.contains("a person must act"), "{line}");
    tokio::time::sleep(NO_OTHER_TRY).await;
    assert_eq!(sim.connections(), 1, "{}", daemon.log());
    assert_eq!(daemon.log().matches("a person must act").count(), 1, "{}", daemon.log());
    assert_silent_about_secrets(&daemon);
    assert!(daemon.is_alive());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_login_that_is_refused_is_tried_once_and_the_hub_not_at_all() {
    let sim = Sim::start(Projectx, vec![open(Vec::new())], PACE).await;
    let (_inboxes, home) = stage(&sim, "").await;
    home.write("key", "not-the-right-key");
    let mut daemon = start(&home);
    let line = daemon.logs(&["wrong user or key"]).await;
    assert!(line.contains("a person must act") && line.contains("(secret) is wrong"), "{line}");
    tokio::time::sleep(NO_OTHER_TRY).await;
    assert_eq!((sim.logins(), sim.connections()), (1, 0), "{}", daemon.log());
    assert!(!daemon.log().contains("not-the-right-key"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_token_that_has_expired_meanwhile_is_replaced_before_the_next_connection() {
    let mut acts = calm(Projectx, 1..5);
    acts.extend([Act::Revoke, Act::Close(1001, "")]);
    let takes = vec![open(acts), open(market(Projectx, Vec::new()))];
    let sim = Sim::start(Projectx, takes, PACE).await;
    let (inboxes, home) = stage(&sim, "[log]\nfilter = \"trace\"").await;
    let daemon = start(&home);
    inboxes.told("level.broken", "2450").await;
    assert_one_break(&inboxes, &daemon);
    assert_eq!((sim.logins(), sim.connections()), (2, 2), "{}", daemon.log());
    assert_silent_about_secrets(&daemon);
}

#[rstest]
#[case::busy(429, "HTTP 429")]
#[case::broken(503, "HTTP 503")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_firm_that_is_busy_or_broken_is_asked_again(#[case] status: u16, #[case] named: &str) {
    let sim = Sim::start(Projectx, vec![open(market(Projectx, Vec::new()))], PACE).await;
    sim.trouble(&[status]);
    let (inboxes, home) = stage(&sim, "").await;
    let mut daemon = start(&home);
    let line = daemon.logs(&[named]).await;
    assert!(!line.contains("a person must act"), "{line}");
    inboxes.told("level.broken", "2450").await;
    assert_one_break(&inboxes, &daemon);
    assert_eq!((sim.logins(), sim.connections()), (1, 1), "{}", daemon.log());
}

/// The public client of each protocol, where `.ci/run` says how it is started. It prints the prices that it gets.
#[rstest]
#[case(Massive, "BREAKWATCH_MASSIVE_CLIENT", "massive_client.py")]
#[case(Projectx, "BREAKWATCH_SIGNALR_CLIENT", "signalr_client.mjs")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_client_understands_the_simulator(
    #[case] dialect: Dialect,
    #[case] variable: &str,
    #[case] script: &str,
) {
    let Some(interpreter) = std::env::var_os(variable) else {
        println!("{variable} is not set: nothing was checked against the public client");
        return;
    };
    let sim = Sim::start(dialect, vec![open(market(dialect, Vec::new()))], PACE).await;
    sim.issue(KEY);
    let directory = std::env::var_os("BREAKWATCH_CLIENTS");
    let directory = directory.map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop"),
        std::path::PathBuf::from,
    );
    let mut client = tokio::process::Command::new(interpreter);
    client.arg(directory.join(script)).arg(sim.address().to_string()).arg(KEY).kill_on_drop(true);
    let output = tokio::time::timeout(crate::support::DEADLINE, client.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let prices: Vec<f64> = out.lines().map(|line| line.parse().expect(&out)).collect();
    assert_eq!(
        (prices.len(), prices.first(), prices.last()),
        (20, Some(&2449.7), Some(&2450.1)),
        "{out}{err}"
    );
}
