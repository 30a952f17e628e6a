//! No secret leaves by any way that somebody reads: a day on which every peer repeats all that it was sent, every
//! kind of secret is planted, and everything that the program wrote is searched for them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use crate::support::echo::{ECHO, Echo, Role};
use crate::support::tape::print;
use crate::support::{Home, until};

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
const REHEARSE: &str = "2024-11-25T13:56:00Z@1";
/// Not secret: stands wherever a channel or a level is named.
const MARKER: &str = "xylo-marker";

/// Every secret has a core of letters and digits, which is what is searched for: it outlives every escaping.
fn core(name: &str) -> String {
    format!("Plant{name}Zx7Qk9")
}

/// The secrets by their files' names.
fn secrets() -> BTreeMap<&'static str, String> {
    let signing = |name: &str| format!("whsec_{}", base64_of(&format!("{:-<32}", core(name))));
    BTreeMap::from([
        ("feedkey", format!("{}/ä+\"", core("feedkey"))),
        ("feedheader", format!("{}=?&", core("feedheader"))),
        ("smtp", format!("pass {}/ö+\"%", core("smtp"))),
        ("slackbot", format!("xoxb-1-{}", core("slackbot"))),
        ("signing", signing("signing")),
        ("oldsigning", signing("oldsigning")),
        ("header", format!("{}/+=%\"", core("header"))),
        ("topic", core("topic")),
        ("routing", format!("{:0<32}", core("routing"))),
    ])
}

fn base64_of(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The addresses that are secrets, each on this server.
fn addresses(server: &str) -> BTreeMap<&'static str, String> {
    let url = |path: &str, name: &str| format!("{server}/{path}/{}", core(name));
    BTreeMap::from([
        ("slackurl", url("404", "slackurl")),
        ("slackbusy", url("200", "slackbusy")),
        ("opsurl", format!("{}?key={}%2F", url("500", "opsurl"), core("query"))),
        ("discord", url("400", "discord")),
        ("teams", url("200", "teams")),
        ("telegram", format!("{server}/401/bot123456:{}/sendMessage", core("telegram"))),
        ("gone", format!("http://127.0.0.1:9/{}", core("gone"))),
    ])
}

/// Every name whose core is searched for.
const CORES: &[&str] = &[
    "feedkey",
    "feedheader",
    "smtp",
    "slackbot",
    "signing",
    "oldsigning",
    "header",
    "topic",
    "routing",
    "slackurl",
    "slackbusy",
    "opsurl",
    "query",
    "discord",
    "teams",
    "telegram",
    "gone",
    "command",
    "env",
    "literal",
];

/// Which of `words` stand in `text`, as they are or in base64, at whatever place of the encoded text.
fn found(text: &str, words: &[String]) -> Vec<String> {
    let forms = |word: &str| {
        // What stands before a word moves it by up to two bytes within the groups of base64.
        let moved = (0..3).map(|before| {
            let encoded = BASE64.encode(format!("{}{word}", "\0".repeat(before)));
            let (skip, end) = ([0, 2, 3][before], encoded.len() - 2);
            encoded[skip..end].to_owned()
        });
        moved.chain([word.to_owned()]).collect::<Vec<_>>()
    };
    let hidden = |word: &&String| forms(word).iter().any(|form| text.contains(form));
    words.iter().filter(hidden).cloned().collect()
}

fn config(http: &Echo, smtp: [&Echo; 2], venue: &Echo) -> String {
    let server = format!("http://{}", http.addr);
    let mut text = format!(
        r#"
[log]
filter = "trace"
format = "text"
[[feed]]
name = "{MARKER}-venue"
kind = "json"
url = "ws://{}/futures?token=${{key}}"
headers = {{ Authorization = "Bearer ${{header}}" }}
secrets = {{ key = {{ file = "feedkey" }}, header = {{ file = "feedheader" }}, own = {{ command = ["./secret-command"] }} }}
instruments = {{ RTY = "RTYZ4" }}
greet = [
  {{ expect = {{ "/0/status" = "connected" }} }},
  {{ send = '{{"action":"auth","params":"${{key}}","own":"${{own}}"}}', expect = {{ "/0/status" = "auth_success" }} }},
]
subscribe = '{{"action":"subscribe","params":"T.${{symbol}}"}}'
[feed.trade]
each = "/*"
where = {{ "/ev" = "T" }}
symbol = "/sym"
price = "/p"
size = "/s"
time = {{ at = "/t", unit = "ms" }}
sequence = "/q"
[[level]]
name = "{MARKER}-level"
instrument = "RTY"
price = 2450
"#,
        venue.addr
    );
    let mut channel = |name: &str, keys: &str| {
        writeln!(text, "[[channel]]\nname = \"{MARKER}-{name}\"\ntimeout = \"5s\"\n{keys}").unwrap();
    };
    for (name, peer) in [("mail", smtp[0]), ("mail-refused", smtp[1])] {
        let port = peer.addr.port();
        let login = "user = \"alerts\", password = { file = \"smtp\" }";
        channel(
            name,
            &format!(
                "kind = \"email\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n\
                 smtp = {{ host = \"127.0.0.1\", port = {port}, tls = \"none\", {login} }}"
            ),
        );
    }
    for url in ["slackurl", "slackbusy"] {
        channel(url, &format!("kind = \"slack\"\nurl = {{ file = \"{url}\" }}"));
    }
    for api in ["posted", "error"] {
        let bot = "token = { file = \"slackbot\" }\nchannel = \"#alerts\"";
        channel(&format!("bot-{api}"), &format!("kind = \"slack\"\n{bot}\napi = \"{server}/{api}\""));
    }
    let headers = "headers = { Authorization = \"Bearer ${key}\", X-Own = \"${own}\", X-Env = \"${env}\" }\n\
                   secrets = { key = { file = \"header\" }, own = { command = [\"./secret-command\"] }, \
                   env = { env = \"PLANTED\" } }";
    let signing = "secret = [{ file = \"signing\" }, { file = \"oldsigning\" }]";
    let mut webhook =
        |name: &str, keys: &str| channel(name, &format!("kind = \"webhook\"\n{keys}\n{headers}"));
    webhook("ops-taken", &format!("url = \"{server}/200/ops\"\n{signing}"));
    webhook("ops", &format!("url = {{ file = \"opsurl\" }}\n{signing}"));
    webhook("gone", &format!("url = {{ file = \"gone\" }}\n{signing}"));
    webhook("discord", "format = \"discord\"\nurl = { file = \"discord\" }");
    webhook("teams", "format = \"teams\"\nurl = { file = \"teams\" }");
    webhook("telegram", "format = \"telegram\"\nurl = { file = \"telegram\" }\nchat_id = 1");
    webhook(
        "ntfy",
        &format!("format = \"ntfy\"\nurl = \"{server}/200/ntfy\"\ntopic = {{ file = \"topic\" }}"),
    );
    let key = "routing_key = { file = \"routing\" }";
    webhook("pagerduty", &format!("format = \"pagerduty\"\nurl = \"{server}/400/pagerduty\"\n{key}"));
    webhook("alertmanager", &format!("format = \"alertmanager\"\nurl = \"{server}/503/alerts\""));
    channel("own", "kind = \"exec\"\ncommand = [\"/bin/sh\", \"-c\", \"env | tr '\\\\n' ' ' >&2; exit 1\"]");
    text
}

/// Below the level, and then beyond it.
fn script() -> Vec<String> {
    let at = |n: i64| START_MS + 200 * n;
    let mut messages: Vec<String> = (1..10).map(|n| print("2449.6", at(n), n)).collect();
    messages.push(print("2450.0", at(10), 10));
    messages.push(print("2450.1", at(11), 11));
    messages
}

fn home(config: &str, server: &str) -> Home {
    let home = Home::new(config);
    for (name, secret) in secrets().into_iter().chain(addresses(server)) {
        home.write(name, &secret);
    }
    let command = home.write("secret-command", &format!("#!/bin/sh\necho {}\n", core("command")));
    fs::set_permissions(command, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// Everything that a command says, whether it succeeds or not.
fn said(home: &Home, args: &[&str]) -> String {
    let output = home.command(args).env("PLANTED", core("env")).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Every file of the ledger, as it lies on the disk.
fn ledger(home: &Home) -> String {
    let bytes = |name: &str| fs::read(home.path(name)).unwrap_or_default();
    let files = ["breakwatch.db", "breakwatch.db-wal", "breakwatch.db-shm"].map(bytes).concat();
    String::from_utf8_lossy(&files).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_secret_is_in_anything_that_the_program_writes_though_every_peer_repeats_it() {
    let http = Echo::start(Role::Http).await;
    let smtp = [Echo::start(Role::Smtp).await, Echo::start(Role::SmtpRefuses).await];
    let venue = Echo::start(Role::Venue(script())).await;
    let server = format!("http://{}", http.addr);
    let home = home(&config(&http, [&smtp[0], &smtp[1]], &venue), &server);

    let mut command = home.command(&["run", "--rehearse", REHEARSE]);
    command.env("PLANTED", core("env")).env("RUST_BACKTRACE", "full");
    let mut daemon = home.spawn("run", command);
    let channels = [
        "mail",
        "mail-refused",
        "slackurl",
        "slackbusy",
        "bot-posted",
        "bot-error",
        "ops-taken",
        "ops",
        "gone",
        "discord",
        "teams",
        "telegram",
        "ntfy",
        "pagerduty",
        "alertmanager",
        "own",
    ];
    let attempted = |name: &str| {
        let of = format!("channel=\"{MARKER}-{name}\"");
        let log = daemon.log();
        ["delivered", "not delivered", "channel pauses", "given up"]
            .iter()
            .any(|word| log.lines().any(|line| line.contains(word) && line.contains(&of)))
    };
    for name in channels {
        until(&format!("an attempt on {name}"), || attempted(name).then_some(())).await;
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended().await, Some(0), "{}", daemon.log());

    let ids = home.run(&["events", "--json"]).expect(0).json();
    let id =
        ids.iter().find(|event| event["kind"] == "level.broken").unwrap()["id"].as_str().unwrap().to_owned();
    let bad = home.write("bad.toml", &format!("[[channel]]\nname = \"{MARKER}\"\nkind = \"slack\"\nurl = \"https://example.com/{0}\"\n[[channel]]\nname = \"{MARKER}-2\"\nkind = \"webhook\"\nurl = \"https://u:{0}@example.com/\"\nsecret = {{ value = \"{0}\" }}\nheaders = {{ Authorization = \"{0}\" }}\n", core("literal")));
    let mixed = home.write(
        "mixed.toml",
        &format!(
            "[[channel]]\nname = \"{MARKER}\"\nkind = \"slack\"\nurl = {{ file = \"smtp\" }}\n\
             [[channel]]\nname = \"{MARKER}-2\"\nkind = \"webhook\"\nurl = {{ file = \"header\" }}\n\
             secret = {{ file = \"feedkey\" }}\n"
        ),
    );
    let written = [
        ("stdout and log", format!("{}{}", daemon.out(), daemon.log()), true),
        ("ledger", ledger(&home), true),
        ("check", said(&home, &["check"]), false),
        ("check --json", said(&home, &["check", "--json"]), false),
        ("check of a wrong configuration", said(&home, &["check", "--config", bad.to_str().unwrap()]), false),
        ("check of wrong secrets", said(&home, &["check", "--config", mixed.to_str().unwrap()]), false),
        ("run of wrong secrets", said(&home, &["run", "--config", mixed.to_str().unwrap()]), false),
        ("deliveries", said(&home, &["deliveries"]), false),
        ("deliveries --json", said(&home, &["deliveries", "--json"]), false),
        ("events", said(&home, &["events", "--json"]), false),
        ("events show", said(&home, &["events", "show", &id]), true),
        ("events show --json", said(&home, &["events", "show", &id, "--json"]), true),
        ("test-alert", said(&home, &["test-alert"]), true),
        ("test-alert --json", said(&home, &["test-alert", "--json"]), true),
    ];
    let cores: Vec<String> = CORES.iter().map(|name| core(name)).collect();
    for (place, text, holds_answers) in &written {
        // The search finds what is there, so it would find a secret.
        assert_eq!(found(text, &[MARKER.to_owned()]).len(), 1, "{place} names nothing: {text}");
        assert!(!holds_answers || text.contains(ECHO), "{place} holds no answer: {text}");
        let leaked = found(text, &cores);
        let line =
            |line: &&str| leaked.iter().any(|word| !found(line, std::slice::from_ref(word)).is_empty());
        let lines: Vec<&str> =
            text.lines().filter(line).map(|l| l.get(..2_000).unwrap_or(l)).take(20).collect();
        assert!(leaked.is_empty(), "{place} holds {leaked:?}:\n{}", lines.join("\n"));
    }
    // And every one of them was in the hands of somebody who repeats it.
    let heard = [&http, &smtp[0], &smtp[1], &venue].map(|peer| peer.heard().join("\n")).concat();
    let nobody = ["signing", "oldsigning", "gone", "literal"].map(core);
    let missing: Vec<_> = cores
        .iter()
        .filter(|word| !nobody.contains(word) && found(&heard, std::slice::from_ref(*word)).is_empty())
        .collect();
    assert!(missing.is_empty(), "{missing:?} was sent to nobody");
}

#[test]
fn the_search_finds_a_word_in_every_form() {
    let word = core("any");
    for before in ["", "a", "ab", "\0alerts\0", "pass "] {
        for after in ["", "x", "xy", "/\u{f6}"] {
            let text = format!("said {} indeed", base64_of(&format!("{before}{word}{after}")));
            assert_eq!(
                found(&text, std::slice::from_ref(&word)),
                std::slice::from_ref(&word),
                "{before:?} {after:?}"
            );
        }
    }
    assert_eq!(found(&format!("?key={word}%2F"), std::slice::from_ref(&word)).len(), 1);
    assert!(found(&format!("said {}", base64_of("another word")), &[word]).is_empty());
}
