//! Bad configurations, each with the exact message.

use insta::assert_snapshot;

use super::wrong;
use crate::config::ConfigError;
use crate::config::problem::ProblemKind;

fn level(keys: &str) -> String {
    wrong(&format!("{}{keys}\n", super::LEVEL))
}

const FEED: &str = "[[feed]]\nname = \"m\"\nkind = \"json\"\n";
const URL: &str = "url = \"wss://example.com/\"\n";
const ASKS: &str = "instruments = [\"RTY\"]\nsubscribe = \"${symbol}\"\n";
const TRADE: &str = "[feed.trade]\nprice = \"/p\"\n";

fn feed(keys: &str) -> String {
    wrong(&format!("{FEED}{URL}{ASKS}{keys}\n{TRADE}"))
}

fn email(smtp: &str) -> String {
    wrong(&format!(
        "[[channel]]\nname = \"mail\"\nkind = \"email\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n\
         smtp = {{ host = \"smtp.example.com\", {smtp} }}\n"
    ))
}

fn webhook(keys: &str) -> String {
    wrong(&format!("[[channel]]\nname = \"ops\"\nkind = \"webhook\"\n{keys}\n"))
}

#[test]
fn syntax_is_told_with_line_and_column() {
    assert_snapshot!(wrong("[storage]\npath = \n"), @r#"test.toml:2:8: string values must be quoted, expected literal string"#);
    assert_snapshot!(wrong("[[level]]\nname = \"a\"\nname = \"b\"\n"), @r#"test.toml:3:1: duplicate key"#);
    assert_snapshot!(wrong("[storage\n"), @r#"test.toml:1:9: unclosed table, expected `]`"#);
    assert_snapshot!(wrong("a = 'x\u{0}'"), @r#"test.toml:1:7: invalid literal string, expected non-single-quote visible characters"#);
}

#[test]
fn several_mistakes_are_told_together() {
    assert_snapshot!(wrong(
        "[storge]\n[[level]]\nname = \"a\"\ninstrument = \"RTX\"\nprice = true\nmargn = \"2 ticks\"\nmargin = 2\n\
         [[level]]\nprice = \"2.442,74\"\n[[route]]\nto = [\"mail\"]\n"
    ), @r#"
    test.toml: unknown key "storge"; did you mean "storage"?
    test.toml: level "a": unknown key "margn"; did you mean "margin"?
    test.toml: level "a": instrument: unknown instrument "RTX"; did you mean "RTY"? (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)
    test.toml: level "a": price: true is not a price like 2500, 2442.74 or "2442.74"
    test.toml: level #2: name: is missing; every level has a name, like "2500"
    test.toml: level #2: instrument: is missing; like "RTY"
    test.toml: level #2: price: "2.442,74" is not a decimal number; a price is written 2500, 2442.74 or "2442.74"
    test.toml: route #1: to: there is no channel "mail"
    "#);
}

#[test]
fn keys_are_known() {
    assert_snapshot!(wrong("[[levels]]\n"), @r#"test.toml: unknown key "levels"; did you mean "level"?"#);
    assert_snapshot!(wrong("[storage]\nfoo = 1\n"), @r#"test.toml: storage: unknown key "foo"; known: path, keep_events, keep_bars"#);
    assert_snapshot!(level("fail = { distanc = \"1 tick\" }"), @r#"test.toml: level "2500": fail: unknown key "distanc"; did you mean "distance"?"#);
    assert_snapshot!(wrong("storage = 3\nlevel = 4\nfeed = [5]\n"), @r#"
    test.toml: level: 4 is not a list
    test.toml: feed #1: 5 is not a table
    test.toml: storage: 3 is not a table
    "#);
}

#[test]
fn what_does_not_exist_yet_is_said_to_be_missing() {
    let doors = crate::config::Config::parse(
        "[http]\nlisten = \"127.0.0.1:8787\"\n[control]\nsocket = \"x\"\n",
        "test.toml",
        2026,
    )
    .unwrap();
    let warnings: Vec<String> = doors.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings[..2],
        ["control", "http"]
            .map(|name| format!("test.toml: [{name}] is not available in this version and changes nothing"))
    );
    assert_snapshot!(wrong("[[feed]]\nname = \"tasty\"\nkind = \"dxlink\"\nrefresh_token = { credential = \"x\" }\n"), @r#"test.toml: feed "tasty": kind: "dxlink" is not available in this version; available: json, massive, projectx"#);
    assert_snapshot!(wrong("[instrument.RTY]\nroll = \"volumes\"\n"), @r#"test.toml: instrument.RTY.roll: "volumes" is not allowed; did you mean "volume"?"#);
    assert_snapshot!(webhook("url = \"https://example.com/\"\nsecret = { env = \"X\" }\nformat = \"tradingview\""), @r#"test.toml: channel "ops": secret: belongs to format = "standard"; format = "tradingview" has no use for it"#);
}

#[test]
fn a_mistake_has_a_kind() {
    let kinds = |text: &str| match super::parse(text) {
        Err(ConfigError::Invalid { problems, .. }) => problems.iter().map(|p| p.kind).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(kinds("[instrument.RTY]\nroll = \"volum\"\n"), [ProblemKind::Invalid]);
    assert_eq!(kinds("[htp]\n"), [ProblemKind::UnknownKey]);
    assert_eq!(kinds("["), [ProblemKind::Syntax]);
    assert_eq!(kinds("[instrument.GC]\n"), [ProblemKind::Missing]);
    assert_eq!(kinds("[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = \"x\"\n"), [ProblemKind::Secret]);
    assert_eq!(kinds("include = [\"none.toml\"]\n"), [ProblemKind::File]);
}

#[test]
fn a_level_is_complete_and_unique() {
    assert_snapshot!(wrong("[[level]]\n"), @r#"
    test.toml: level #1: name: is missing; every level has a name, like "2500"
    test.toml: level #1: instrument: is missing; like "RTY"
    test.toml: level #1: price: is missing; like 2500 or "2442.74", or a source
    "#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\n"), @r#"test.toml: level "x": price: is missing; like 2500 or "2442.74", or a source"#);
    assert_snapshot!(wrong(&super::LEVEL.repeat(2)), @r#"test.toml: level "2500": name: another level has this name already"#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\\r\\nBcc: y\"\ninstrument = \"RTY\"\nprice = 1\n"), @r#"test.toml: level "x\r\nBcc: y": name: "x\r\nBcc: y" contains control characters"#);
    assert_snapshot!(wrong("[[level]]\nname = \"\"\ninstrument = \"RTY\"\nprice = 1\n"), @r#"test.toml: level #1: name: is empty"#);
    assert_snapshot!(wrong("[[level]]\nname = 2500\ninstrument = \"RTY\"\nprice = 2500\n"), @r#"test.toml: level #1: name: 2500 is not a text in quotes"#);
}

#[test]
fn an_instrument_is_known() {
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTX\"\nprice = 1\n"), @r#"test.toml: level "x": instrument: unknown instrument "RTX"; did you mean "RTY"? (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)"#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"GC\"\nprice = 1\n"), @r#"test.toml: level "x": instrument: unknown instrument "GC" (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)"#);
    assert_snapshot!(wrong("[instrument.GC]\nname = \"Gold\"\n"), @r#"test.toml: instrument.GC.tick: is missing; an instrument that is not built in needs its smallest price step, like "0.25""#);
    assert_snapshot!(wrong("[instrument.gold]\ntick = 1\n"), @r#"test.toml: instrument: "gold" is not a product root like RTY: 1 to 8 characters of A-Z and 0-9"#);
    assert_snapshot!(wrong("[instrument.RTY]\ntick = 0\npoint_value = -5\nmic = \"cme\"\nguard = \"0 ticks\"\n"), @r#"
    test.toml: instrument.RTY.guard: "0 ticks" must be more than nothing
    test.toml: instrument.RTY.tick: a tick size must be positive, not 0
    test.toml: instrument.RTY.point_value: -5 is not more than nothing
    test.toml: instrument.RTY.mic: "cme" is not a market identifier code like "XCME"
    "#);
    assert_snapshot!(wrong("[instrument.RTY]\nroll = \"cme_mondy\"\n"), @r#"test.toml: instrument.RTY.roll: "cme_mondy" is not allowed; did you mean "cme_monday"?"#);
    assert_snapshot!(wrong("[instrument.RTY]\nroll = { explicit = \"ESZ6\" }\n"), @r#"test.toml: instrument.RTY.roll.explicit: ESZ6 is not a contract of RTY"#);
    assert_snapshot!(wrong("[instrument.RTY]\nroll = {}\n"), @r#"test.toml: instrument.RTY.roll: is either { days_before_expiry = 8 } or { explicit = "RTYZ6" }"#);
    assert_snapshot!(wrong("[instrument.RTY]\nroll = { days_before_expiry = -1 }\n"), @r#"test.toml: instrument.RTY.roll.days_before_expiry: -1 is not a whole number from 0 to 400"#);
    assert_snapshot!(wrong("[instrument.GC]\ntick = 1\nroll = \"cme_monday\"\n"), @r#"test.toml: instrument.GC.roll: has no meaning without contract months (dated = false)"#);
}

#[test]
fn values_of_a_level_have_their_types() {
    assert_snapshot!(level("margin = \"-2 ticks\""), @r#"test.toml: level "2500": margin: "-2 ticks" is negative; a distance like "2 ticks", "10 points", "0.4 %" or "0.25 atr" is not"#);
    assert_snapshot!(level("margin = 2"), @r#"test.toml: level "2500": margin: 2 is not a distance like "2 ticks", "10 points", "0.4 %" or "0.25 atr""#);
    assert_snapshot!(level("approach = \"0 points\"\nrearm = \"0 ticks\""), @r#"
    test.toml: level "2500": approach: "0 points" must be more than nothing
    test.toml: level "2500": rearm: "0 ticks" must be more than nothing
    "#);
    assert_snapshot!(level("cooldown = \"10\"\ngrace = 5"), @r#"
    test.toml: level "2500": grace: 5 is not a duration like "5s" or "10m"
    test.toml: level "2500": cooldown: "10" is not a duration like "5s", "10m" or "400d"
    "#);
    assert_snapshot!(level("side = \"resistence\"\nsessions = \"day\""), @r#"
    test.toml: level "2500": side: "resistence" is not allowed; did you mean "resistance"?
    test.toml: level "2500": sessions: "day" is not allowed; known: any, rth, eth
    "#);
    assert_snapshot!(level("strict = \"yes\"\nmax_per_session = 0"), @r#"
    test.toml: level "2500": strict: "yes" is neither true nor false
    test.toml: level "2500": max_per_session: 0 is not a whole number from 1 to 1000000000
    "#);
    assert_snapshot!(level("expires = 2026-12-18\nseverity = \"urgent\""), @r#"
    test.toml: level "2500": expires: "2026-12-18" is not a time with its offset like "2026-12-18T14:30:00Z"
    test.toml: level "2500": severity: "urgent" is not allowed; known: info, normal, high, critical
    "#);
    assert_snapshot!(level("follow = [\"retest\", \"fail\"]"), @r#"test.toml: level "2500": follow: "fail" is not allowed; did you mean "failed"?"#);
    assert_snapshot!(level("tags = \"desk\"\nnote = 3\nurl = \"javascript:alert(1)\""), @r#"
    test.toml: level "2500": note: 3 is not a text in quotes
    test.toml: level "2500": url: "javascript:alert(1)" is not an address like https://example.com/
    test.toml: level "2500": tags: "desk" is not a list
    "#);
    assert_snapshot!(level("confirm_within = \"2m\""), @r#"test.toml: level "2500": confirm_within: has no meaning without confirm"#);
    assert_snapshot!(level("contract = \"ESZ6\""), @r#"test.toml: level "2500": contract: ESZ6 is not a contract of RTY"#);
    assert_snapshot!(level("contract = \"December\""), @r#"test.toml: level "2500": contract: "December" is not a contract like RTYZ6, /RTYZ26:XCME, /RTYZ26 or CON.F.US.RTY.Z26"#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nprice = 1e300\n"), @r#"test.toml: level "x": price: "1e300" does not fit a price (at most 9 decimals, below 9.2 billion); a price is written 2500, 2442.74 or "2442.74""#);
    assert_snapshot!(wrong("[[level]]\nname = \"x\"\ninstrument = \"RTY\"\nprice = nan\n"), @r#"test.toml: level "x": price: "NaN" is not a decimal number; a price is written 2500, 2442.74 or "2442.74""#);
}

#[test]
fn a_confirmation_is_one_condition() {
    assert_snapshot!(level("confirm = { prints = 2 }"), @r#"test.toml: level "2500": confirm: a table is not a list"#);
    assert_snapshot!(level("confirm = [{ prints = 2, hold = \"5s\" }, {}, { size = 5 }, { prints = 0 }, { hold = \"0s\" }]"), @r#"
    test.toml: level "2500": confirm #1: is several conditions in one; write [{ prints = 2 }, { hold = "5s" }]
    test.toml: level "2500": confirm #2: is empty; it has one of prints, hold, bar_close, session_close, volume, relative_volume, quote
    test.toml: level "2500": confirm #3.size: stands beside prints: { prints = 3, size = 50 }
    test.toml: level "2500": confirm #4.prints: 0 is not a whole number from 1 to 1000000000
    test.toml: level "2500": confirm #5.hold: "0s" must be more than nothing
    "#);
}

#[test]
fn a_feed_of_massive_needs_a_key_and_instruments() {
    let massive = |rest: &str| wrong(&format!("[[feed]]\nname = \"m\"\nkind = \"massive\"\n{rest}"));
    assert_snapshot!(massive(""), @r#"
    test.toml: feed "m": instruments: is missing; like { RTY = "RTYZ6" }, ours = theirs, or ["RTY"] for the contract in force
    test.toml: feed "m": api_key: is missing; like { credential = "api-key" }
    "#);
    assert_snapshot!(massive("instruments = [\"RTY\"]\napi_key = \"k\"\nurl = \"ws://example.com\"\nrealtime = true\n"), @r#"
    test.toml: feed "m": unknown key "realtime"; known: name, kind, api_key, instruments, url, delayed, quotes, transport_silence, market_silence, ca_file
    test.toml: feed "m": api_key: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }
    test.toml: feed "m": url: ws:// to example.com would not be encrypted; a feed's address is wss://…, or ws://… to loopback
    "#);
    assert_snapshot!(massive("instruments = [\"RTY\"]\napi_key = { env = \"K\" }\nurl = \"wss://delayed.massive.com/futures\"\ndelayed = false\n"), @r#"test.toml: feed "m": delayed: is false, but delayed.massive.com serves delayed prices only"#);
}

#[test]
fn a_feed_of_a_prop_firm_needs_a_user_and_both_addresses() {
    let projectx = |rest: &str| {
        wrong(&format!("[[feed]]\nname = \"t\"\nkind = \"projectx\"\ninstruments = [\"RTY\"]\n{rest}"))
    };
    assert_snapshot!(projectx("api = \"http://api.example.com\"\n"), @r#"
    test.toml: feed "t": user: is missing; the name that you log in with
    test.toml: feed "t": api_key: is missing; like { credential = "api-key" }
    test.toml: feed "t": api: http:// to api.example.com would not be encrypted; an interface's address is https://…, or http://… to loopback
    "#);
    let known = "user = \"u\"\napi_key = { env = \"K\" }\n";
    assert_snapshot!(projectx(&format!("{known}api = \"https://api.example.com\"\n")), @r#"test.toml: feed "t": hub: is missing; another firm has both, an api and a hub"#);
    assert_snapshot!(projectx(&format!("{known}hub = \"wss://rtc.example.com\"\n")), @r#"test.toml: feed "t": api: is missing; another firm has both, an api and a hub"#);
}

#[test]
fn a_feed_is_complete_and_protected() {
    assert_snapshot!(wrong("[[feed]]\nname = \"m\"\n"), @r#"test.toml: feed "m": kind: is missing; available: json, massive, projectx"#);
    assert_snapshot!(wrong(FEED), @r#"
    test.toml: feed "m": instruments: is missing; like { RTY = "RTYZ6" }, ours = theirs, or ["RTY"] for the contract in force
    test.toml: feed "m": url: is missing; like "wss://stream.example.com/futures"
    test.toml: feed "m": subscribe: is missing; the message that asks for a symbol, with ${symbol} in it
    test.toml: feed "m": trade: is missing; [feed.trade] says where a trade's price stands
    "#);
    assert_snapshot!(wrong("[[feed]]\nname = \"m\"\nkind = \"jsn\"\n"), @r#"test.toml: feed "m": kind: "jsn" is not allowed; did you mean "json"?"#);
    let address = |url: &str| wrong(&format!("{FEED}url = \"{url}\"\n{ASKS}{TRADE}"));
    assert_snapshot!(address("ws://example.com/x"), @r#"test.toml: feed "m": url: ws:// to example.com would not be encrypted; a feed's address is wss://…, or ws://… to loopback"#);
    assert_snapshot!(address("https://example.com/x"), @r#"test.toml: feed "m": url: https:// is not allowed; a feed's address is wss://…, or ws://… to loopback"#);
    assert_snapshot!(address("wss://user:pass@example.com/x"), @r#"test.toml: feed "m": url: carries a user or password before the host, in plain text; use a header or a secret"#);
    assert_snapshot!(address("wss://example.com/${token}"), @r#"test.toml: feed "m": url: ${token} is neither symbol nor one of secrets; known: symbol"#);
    assert_snapshot!(wrong(&format!("{FEED}{URL}{ASKS}{TRADE}{FEED}{URL}{ASKS}{TRADE}")), @r#"test.toml: feed "m": name: another feed has this name already"#);
}

#[test]
fn the_texts_of_a_feed_name_only_what_there_is() {
    assert_snapshot!(feed("secrets = { token = { env = \"T\" } }\nheartbeat = { send = \"${tokn}\", every = \"5s\" }"), @r#"test.toml: feed "m": heartbeat.send: ${tokn} is neither symbol nor one of secrets; did you mean "token"?"#);
    assert_snapshot!(feed("greet = [{ send = \"${open\" }, {}]"), @r#"
    test.toml: feed "m": greet #1.send: "${open" has a "${" without its "}"
    test.toml: feed "m": greet #2: says nothing; a step has send, expect or both
    "#);
    assert_snapshot!(feed("headers = { \"X-Key\" = \"a\\r\\nb\" }"), @r#"test.toml: feed "m": headers: the value of X-Key contains line ends or other control characters"#);
    assert_snapshot!(feed("headers = { Authorization = \"Bearer abc\" }"), @r#"test.toml: feed "m": headers: the value of Authorization is a secret in plain text; name it in secrets and write ${name}"#);
    assert_snapshot!(feed("headers = { \"not a name\" = \"x\" }"), @r#"test.toml: feed "m": headers: "not a name" is not a name of an HTTP header"#);
    assert_snapshot!(feed("secrets = { symbol = { env = \"T\" }, key = \"s3cret\" }"), @r#"
    test.toml: feed "m": secrets.key: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }
    test.toml: feed "m": secrets.symbol: is no name for a secret: letters, digits, - and _, and not "symbol"
    "#);
    assert_snapshot!(feed("refuse = { \"status\" = 1, \"/x\" = [] }"), @r#"test.toml: feed "m": refuse: an empty list is never fulfilled"#);
    assert_snapshot!(feed("realtime = 3\ntransport_silence = \"0s\"\nws_ping = \"2d\""), @r#"
    test.toml: feed "m": ws_ping: "2d" is not from 1s to 1day
    test.toml: feed "m": transport_silence: "0s" is not from 1s to 1day
    test.toml: feed "m": realtime: 3 is neither true, false nor a condition like { "/mode" = "RealTime" }
    "#);
}

#[test]
fn the_instruments_of_a_feed_are_known_and_told_apart() {
    let asks = |instruments: &str| {
        wrong(&format!("{FEED}{URL}instruments = {instruments}\nsubscribe = \"${{symbol}}\"\n{TRADE}"))
    };
    assert_snapshot!(asks("{}"), @r#"test.toml: feed "m": instruments: is empty; like { RTY = "RTYZ6" }, ours = theirs, or ["RTY"] for the contract in force"#);
    assert_snapshot!(asks("\"RTY\""), @r#"test.toml: feed "m": instruments: "RTY" is neither a table nor a list of names: like { RTY = "RTYZ6" }, ours = theirs, or ["RTY"] for the contract in force"#);
    assert_snapshot!(asks("[\"RTY\", \"RTY\"]"), @r#"test.toml: feed "m": instruments: "RTY" stands there twice"#);
    assert_snapshot!(asks("[\"RTX\"]"), @r#"test.toml: feed "m": instruments.RTX: unknown instrument "RTX"; did you mean "RTY"? (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)"#);
    assert_snapshot!(asks("{ RTY = \"ESZ6\" }"), @r#"test.toml: feed "m": instruments.RTY: "ESZ6" is a contract of ES, not of RTY"#);
    assert_snapshot!(asks("{ RTY = \"${symbol}\" }"), @r#"test.toml: feed "m": instruments.RTY: ${symbol} is not known here; only ${contract} is"#);
    assert_snapshot!(asks("{ RTY = \"x\", ES = \"x\" }"), @r#"test.toml: feed "m": instruments.RTY: stands for the same symbol as another instrument"#);
    assert_snapshot!(asks("[\"RTY\", \"ES\"]"), @r#"test.toml: feed "m": trade.symbol: is missing; a feed of several instruments says which one each row is about"#);
}

#[test]
fn a_secret_never_stands_in_the_file() {
    assert_snapshot!(wrong("[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = \"https://hooks.example.com/s3cret\"\n"), @r#"test.toml: channel "s": url: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }"#);
    assert_snapshot!(email("user = \"u\", password = \"s3cret\""), @r#"test.toml: channel "mail": smtp.password: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }"#);
    let source =
        |source: &str| wrong(&format!("[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = {source}\n"));
    assert_snapshot!(source("{}"), @r#"test.toml: channel "s": url: names 0 sources instead of one; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }"#);
    assert_snapshot!(source("{ env = \"A\", file = \"b\" }"), @r#"test.toml: channel "s": url: names 2 sources instead of one; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }"#);
    assert_snapshot!(source("{ value = \"s3cret\" }"), @r#"
    test.toml: channel "s": url: unknown key "value"; known: credential, file, env, command, ttl
    test.toml: channel "s": url: names 0 sources instead of one; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }
    "#);
    assert_snapshot!(source("{ credential = \"../x\" }"), @r#"test.toml: channel "s": url.credential: is not the name of a credential: a file name without a path"#);
    assert_snapshot!(source("{ env = \"s3cret!\" }"), @r#"test.toml: channel "s": url.env: is not the name of an environment variable: letters, digits and _"#);
    assert_snapshot!(source("{ command = [], ttl = \"0s\" }"), @r#"
    test.toml: channel "s": url.command: is an empty list
    test.toml: channel "s": url.ttl: "0s" must be more than nothing
    "#);
    assert_snapshot!(source("{ env = \"A\", ttl = \"1h\" }"), @r#"test.toml: channel "s": url.ttl: stands beside command only"#);
}

#[test]
fn slack_is_a_webhook_or_a_bot() {
    let slack = |keys: &str| wrong(&format!("[[channel]]\nname = \"s\"\nkind = \"slack\"\n{keys}\n"));
    let (url, token) = ("url = { env = \"U\" }\n", "token = { env = \"T\" }\n");
    assert_snapshot!(slack(""), @r#"test.toml: channel "s": url: is missing; like { credential = "slack-webhook-url" } for an incoming webhook, or token and channel for a bot"#);
    assert_snapshot!(slack(&format!("{url}{token}channel = \"C0123456789\"")), @r#"test.toml: channel "s": url: belongs to an incoming webhook, and token, channel and api belong to a bot; a channel is one of the two"#);
    assert_snapshot!(slack(&format!("{url}api = \"https://slack.example/api\"")), @r#"test.toml: channel "s": url: belongs to an incoming webhook, and token, channel and api belong to a bot; a channel is one of the two"#);
    assert_snapshot!(slack(token), @r##"test.toml: channel "s": channel: is missing; like "C0123456789", or "#alerts""##);
    assert_snapshot!(slack("channel = \"#alerts\""), @r#"test.toml: channel "s": token: is missing; like { credential = "slack-bot-token" }; the token of a bot with the scope chat:write"#);
    assert_snapshot!(slack("token = \"xoxb-s3cret\"\nchannel = \"alerts\"\napi = \"http://slack.example/\""), @r##"
    test.toml: channel "s": token: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }
    test.toml: channel "s": channel: "alerts" is neither the id of a channel like "C0123456789" (in Slack: About, at the end) nor a name like "#alerts"
    test.toml: channel "s": api: http:// to slack.example would not be encrypted; a channel's address is https://…, or http://… to loopback or a private network
    "##);
}

#[test]
fn the_headers_of_a_webhook_are_checked() {
    let headers =
        |text: &str| webhook(&format!("url = \"https://example.com/\"\nsecret = {{ env = \"X\" }}\n{text}"));
    assert_snapshot!(headers("headers = { \"X Y\" = \"z\", Host = \"x\", Content-Type = \"x\", webhook-id = \"1\" }"), @r#"
    test.toml: channel "ops": headers.Content-Type: is set by breakwatch itself
    test.toml: channel "ops": headers.Host: is set by breakwatch itself
    test.toml: channel "ops": headers.X Y: "X Y" is not a name of an HTTP header
    test.toml: channel "ops": headers.webhook-id: is set by breakwatch itself
    "#);
    assert_snapshot!(headers("headers = { Authorization = \"Bearer s3cret\" }"), @r#"test.toml: channel "ops": headers.Authorization: is a secret in plain text; name it in secrets and write ${name}"#);
    assert_snapshot!(headers("headers = { X-Key = \"${kex}\" }\nsecrets = { key = { env = \"K\" } }"), @r#"test.toml: channel "ops": headers.X-Key: ${kex} is none of secrets; did you mean "key"?"#);
    assert_snapshot!(headers("headers = { X-Key = \"a\\nb\", X-Desk = 3 }\nsecrets = { key = \"s3cret\" }"), @r#"
    test.toml: channel "ops": secrets.key: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }
    test.toml: channel "ops": headers.X-Desk: 3 is not a text in quotes
    test.toml: channel "ops": headers.X-Key: has line ends or other characters that cannot stand in a header
    "#);
    assert_snapshot!(headers("headers = \"x\""), @r#"test.toml: channel "ops": headers: "x" is not a table"#);
}

#[test]
fn a_program_is_named_by_its_whole_path() {
    let exec = |keys: &str| wrong(&format!("[[channel]]\nname = \"s\"\nkind = \"exec\"\n{keys}\n"));
    assert_snapshot!(exec("timeout = \"1s\""), @r#"test.toml: channel "s": command: is missing; like ["/usr/local/bin/notify", "argument"]; no shell is involved"#);
    assert_snapshot!(exec("command = []"), @r#"test.toml: channel "s": command: is an empty list"#);
    assert_snapshot!(exec("command = \"notify --now\""), @r#"test.toml: channel "s": command: "notify --now" does not begin with /; a program is named by its whole path, its arguments apart"#);
    assert_snapshot!(exec("command = [\"/usr/bin/notify\", 3]"), @r#"test.toml: channel "s": command: 3 is not a text in quotes"#);
    assert_snapshot!(exec("command = [\"/usr/bin/notify\", \"a\\nb\"]"), @r#"test.toml: channel "s": command: "a\nb" contains control characters"#);
    assert_snapshot!(exec("command = [\"/bin/x\"]\nurl = \"x\""), @r#"test.toml: channel "s": unknown key "url"; known: name, kind, command, timeout, group_wait, rate, quiet"#);
}

#[test]
fn a_channel_is_complete_and_protected() {
    assert_snapshot!(wrong("[[channel]]\nname = \"x\"\n"), @r#"test.toml: channel "x": kind: is missing; available: console, email, slack, webhook, exec"#);
    assert_snapshot!(wrong("[[channel]]\nkind = \"telegraph\"\n"), @r#"test.toml: channel #1: kind: "telegraph" is not allowed; known: console, email, slack, webhook, exec"#);
    assert_snapshot!(wrong("[[channel]]\nname = \"mail\"\nkind = \"email\"\n"), @r#"
    test.toml: channel "mail": from: is missing; like "Breakwatch <alerts@example.com>"
    test.toml: channel "mail": to: is missing; like ["desk@example.com"]
    test.toml: channel "mail": smtp: is missing; like { host = "smtp.example.com", tls = "starttls" }
    "#);
    assert_snapshot!(wrong("[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"desk\"\nto = []\nsmtp = {}\n"), @r#"
    test.toml: channel "m": from: "desk" is not a mail address like "desk@example.com" or "Desk <desk@example.com>"
    test.toml: channel "m": to: is an empty list
    test.toml: channel "m": smtp.host: is missing; like "smtp.example.com"
    "#);
    assert_snapshot!(wrong("[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"a@b.c\"\nto = [\"a@b.c\", \"x\\r\\n@y\"]\nsmtp = { host = \"a b\" }\n"), @r#"
    test.toml: channel "m": to: "x\r\n@y" contains control characters
    test.toml: channel "m": smtp.host: "a b" is not a host name like "smtp.example.com"
    "#);
    assert_snapshot!(email("tls = \"none\""), @r#"test.toml: channel "mail": smtp.tls: "none" to smtp.example.com sends mail and password in plain text, which is for loopback only; write "starttls" or "tls", or allow_plaintext = true"#);
    assert_snapshot!(email("tls = \"ssl\", port = 70000"), @r#"
    test.toml: channel "mail": smtp.tls: "ssl" is not allowed; known: starttls, tls, none
    test.toml: channel "mail": smtp.port: 70000 is not a whole number from 1 to 65535
    "#);
    assert_snapshot!(email("auth = \"ntlm\""), @r#"
    test.toml: channel "mail": smtp.auth: "ntlm" is not allowed; known: plain, login, xoauth2
    test.toml: channel "mail": smtp.user: is missing beside auth
    "#);
    assert_snapshot!(email("auth = \"xoauth2\""), @r#"test.toml: channel "mail": smtp.user: is missing beside auth"#);
    assert_snapshot!(wrong("[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nsmtp = []\n"), @r#"test.toml: channel "m": smtp: lists 0 servers; a mail channel has one to 5"#);
    assert_snapshot!(wrong("[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nsmtp = [{ host = \"a\" }, { host = \"b\", tls = \"none\" }, 3]\n"), @r#"
    test.toml: channel "m": smtp #3: 3 is not a table
    test.toml: channel "m": smtp #2.tls: "none" to b sends mail and password in plain text, which is for loopback only; write "starttls" or "tls", or allow_plaintext = true
    "#);
    assert_snapshot!(email("user = \"u\""), @r#"test.toml: channel "mail": smtp.password: is missing beside user"#);
    assert_snapshot!(email("password = { env = \"P\" }"), @r#"test.toml: channel "mail": smtp.user: is missing beside password"#);
    assert_snapshot!(webhook("url = \"http://example.com/\"\nsecret = { env = \"X\" }\ntimeout = \"1h\""), @r#"
    test.toml: channel "ops": url: http:// to example.com would not be encrypted; a channel's address is https://…, or http://… to loopback or a private network
    test.toml: channel "ops": timeout: "1h" is not from 100ms to 5m
    "#);
    assert_snapshot!(webhook("url = \"x\"\nsecret = []"), @r#"
    test.toml: channel "ops": url: is not an address (relative URL without a base); a channel's address is https://…, or http://… to loopback or a private network
    test.toml: channel "ops": secret: is not a list of 1 to 5 secrets
    "#);
    assert_snapshot!(webhook(""), @r#"
    test.toml: channel "ops": url: is missing; like "https://example.com/hooks"
    test.toml: channel "ops": secret: is missing; like { credential = "webhook-secret" }, or a list of two while one replaces the other
    "#);
    assert_snapshot!(webhook("format = \"discord\"\nsecret = { env = \"X\" }"), @r#"
    test.toml: channel "ops": url: is missing; like { credential = "discord-webhook-url" }; the address is the secret
    test.toml: channel "ops": secret: belongs to format = "standard"; format = "discord" has no use for it
    "#);
    assert_snapshot!(webhook("format = \"ntfy\"\nurl = \"https://ntfy.sh\""), @r#"test.toml: channel "ops": topic: is missing; like "breakwatch-7f3a", or { credential = "ntfy-topic" }; who knows it can read there"#);
    assert_snapshot!(webhook("format = \"ntfy\"\nurl = \"https://ntfy.sh\"\ntopic = \"a/b\""), @r#"test.toml: channel "ops": topic: is not a topic of ntfy: 1 to 64 letters, digits, - and _"#);
    assert_snapshot!(webhook("url = \"https://example.com/\"\nsecret = { env = \"X\" }\ntopic = \"t\""), @r#"test.toml: channel "ops": topic: belongs to format = "ntfy"; format = "standard" has no use for it"#);
    assert_snapshot!(webhook("format = \"pagerduty\"\nurl = \"https://events.pagerduty.com/v2/enqueue\""), @r#"test.toml: channel "ops": routing_key: is missing; like { credential = "pagerduty-routing-key" }; the integration's key"#);
    assert_snapshot!(webhook("format = \"alertmanager\""), @r#"test.toml: channel "ops": url: is missing; like "http://127.0.0.1:9093/api/v2/alerts""#);
    assert_snapshot!(webhook("format = \"teams\""), @r#"test.toml: channel "ops": url: is missing; like { credential = "teams-webhook-url" }; the address is the secret"#);
    assert_snapshot!(webhook("format = \"telegram\"\nurl = { env = \"X\" }"), @r#"test.toml: channel "ops": chat_id: is missing; like -1001234567890, or "@channel""#);
    assert_snapshot!(webhook("format = \"telegram\"\nurl = { env = \"X\" }\nchat_id = \"desk\""), @r#"test.toml: channel "ops": chat_id: "desk" is neither a number like -1001234567890 nor like "@channel""#);
    assert_snapshot!(webhook("format = \"discord\"\nurl = \"https://discord.com/api/webhooks/1/x\""), @r#"test.toml: channel "ops": url: is written in plain text; a secret never stands in the configuration; write { credential = "name" } (systemd), { file = "/path" }, { env = "NAME" } or { command = ["program", "argument"], ttl = "1h" }"#);
    assert_snapshot!(wrong(&"[[channel]]\nname = \"a\"\nkind = \"console\"\n".repeat(2)), @r#"test.toml: channel "a": name: another channel has this name already"#);
}

#[test]
fn plain_mail_is_for_loopback_or_by_permission() {
    for host in ["localhost", "127.0.0.1", "::1"] {
        super::good(&format!(
            "[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nsmtp = {{ host = \"{host}\", tls = \"none\" }}\n"
        ));
    }
    super::good(
        "[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nsmtp = { host = \"relay\", tls = \"none\", allow_plaintext = true }\n",
    );
}

#[test]
fn a_route_leads_somewhere() {
    assert_snapshot!(wrong("[[route]]\n"), @r#"test.toml: route #1: to: is missing; the channels, like ["mail"]"#);
    assert_snapshot!(wrong("[[route]]\nto = []\n"), @r#"test.toml: route #1: to: is an empty list"#);
    let route = |keys: &str| {
        wrong(&format!(
            "{}[[channel]]\nname = \"mail\"\nkind = \"console\"\n[[route]]\n{keys}\n",
            super::LEVEL
        ))
    };
    assert_snapshot!(route("to = [\"mial\"]"), @r#"test.toml: route #1: to: there is no channel "mial"; did you mean "mail"?"#);
    assert_snapshot!(route("to = \"mail\"\nmatch = { kind = \"level.borken\", severity = \"at most high\", level = \"25000\", instrument = \"ES\" }"), @r#"
    test.toml: route #1: match.kind: "level.borken" is no kind of event; did you mean "level.broken"?
    test.toml: route #1: match.severity: "at most high" is not a severity: info, normal, high or critical, or like "at least high"
    test.toml: route #1: match.instrument: there is no level or feed of instrument "ES"; known: RTY
    test.toml: route #1: match.level: there is no level "25000"; did you mean "2500"?
    "#);
    assert_snapshot!(route("to = \"mail\"\ncontinue = 1"), @r#"test.toml: route #1: continue: 1 is neither true nor false"#);
}

#[test]
fn the_daemon_is_set_sensibly() {
    assert_snapshot!(wrong("[storage]\npath = 3\nkeep_events = \"always\"\n"), @r#"
    test.toml: storage.path: 3 is not a text in quotes
    test.toml: storage.keep_events: "always" is not a duration like "5s", "10m" or "400d"; or write "forever"
    "#);
    assert_snapshot!(wrong("[log]\nfilter = \"debgu\"\nformat = \"xml\"\n"), @r#"
    test.toml: log.format: "xml" is not allowed; known: auto, text, json, journald
    test.toml: log.filter: "debgu" is not a filter like "info" or "info,breakwatch::feed=debug"
    "#);
    assert_snapshot!(wrong("[retry]\ndelays = []\ngive_up_after = \"0s\"\n"), @r#"
    test.toml: retry.give_up_after: "0s" must be more than nothing
    test.toml: retry.delays: is empty; the last delay repeats until give_up_after
    "#);
    assert_snapshot!(wrong("[retry]\ndelays = [\"1s\", \"0s\"]\n"), @r#"test.toml: retry.delays: needs at most 100 delays, and the last one, which repeats, must be more than nothing"#);
    assert_snapshot!(wrong("include = \"levels/*.toml\"\n"), @r#"test.toml: include: "levels/*.toml" is not a list"#);
    assert_snapshot!(wrong("include = [\"a**b\"]\n"), @r#"test.toml: include: "a**b" is not a pattern of file names (recursive wildcards must form a single path component)"#);
}

#[test]
fn a_channel_keeps_calm_within_reason() {
    let console = |keys: &str| wrong(&format!("[[channel]]\nname = \"c\"\nkind = \"console\"\n{keys}\n"));
    assert_snapshot!(console("group_wait = \"2d\"\nrate = { messages = 0, per = \"0s\" }"), @r#"
    test.toml: channel "c": group_wait: "2d" is not from 0s to 1day
    test.toml: channel "c": rate.messages: 0 is not a whole number from 1 to 10000
    test.toml: channel "c": rate.per: "0s" is not from 1ms to 1day
    "#);
    assert_snapshot!(console("rate = \"20 a minute\"\nquiet = { between = [\"22:00\", \"22:00\"] }"), @r#"
    test.toml: channel "c": rate: "20 a minute" is not a table
    test.toml: channel "c": quiet.between: begins where it ends, at 22:00; like ["08:30", "15:00"]
    "#);
    assert_snapshot!(console("rate = { messages = 3 }\nquiet = { zone_name = \"Berlin\", days = [\"Mo\"] }"), @r#"
    test.toml: channel "c": rate.per: is missing; how many messages a recipient gets at most, like { messages = 20, per = "1m" }
    test.toml: channel "c": quiet.between: is missing; like ["22:00", "07:00"]; what is critical is told all the same
    test.toml: channel "c": quiet.zone_name: "Berlin" is not the IANA name of a time zone; like "America/New_York"
    test.toml: channel "c": quiet.days: "Mo" is not allowed; did you mean "mon"?
    "#);
}
