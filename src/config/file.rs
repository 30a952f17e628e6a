//! The shape of the configuration file: which tables and keys may stand in it, and nothing about their values.
//!
//! A derived serde mirror would end at the first mistake and could not tell them together, so the file stays
//! a tree of TOML values, and this page says which keys that tree may have. `docs/configuration.md` is held
//! against it by a test.

/// The keys of one kind of table.
#[derive(Debug)]
pub(super) struct Shape {
    /// As the documentation calls it.
    pub(super) name: &'static str,
    /// The keys.
    pub(super) keys: &'static [&'static str],
    /// Keys that will exist one day, with what there is instead.
    pub(super) later: &'static [(&'static str, &'static str)],
}

const fn shape(name: &'static str, keys: &'static [&'static str]) -> Shape {
    Shape { name, keys, later: &[] }
}

const SECTIONS: &str =
    "include, [storage], [log], [retry], [[feed]], [instrument.X], [[level]], [[channel]], [[route]]";

/// The file itself.
pub(super) const FILE: Shape = Shape {
    name: "file",
    keys: &["include", "storage", "log", "retry", "feed", "instrument", "level", "channel", "route"],
    later: &[("http", SECTIONS), ("control", SECTIONS)],
};
/// A file that is named by `include`.
pub(super) const INCLUDED: Shape = shape("included file", &["level"]);
/// `[storage]`
pub(super) const STORAGE: Shape = shape("storage", &["path", "keep_events"]);
/// `[log]`
pub(super) const LOG: Shape = shape("log", &["filter", "format"]);
/// `[retry]`
pub(super) const RETRY: Shape = shape("retry", &["delays", "give_up_after"]);
/// `[instrument.X]`
pub(super) const INSTRUMENT: Shape = shape(
    "instrument",
    &["name", "index", "tick", "point_value", "mic", "dated", "roll", "guard", "holidays"],
);
/// An item of `holidays`
pub(super) const HOLIDAY: Shape = shape("instrument.holidays", &["date", "rule", "at", "name"]);
/// `roll = { … }`
pub(super) const ROLL: Shape = shape("instrument.roll", &["days_before_expiry", "explicit"]);
/// `[[feed]]` with `kind = "json"`
pub(super) const FEED: Shape = shape(
    "feed",
    &[
        "name",
        "kind",
        "url",
        "headers",
        "secrets",
        "instruments",
        "greet",
        "subscribe",
        "refuse",
        "heartbeat",
        "ws_ping",
        "transport_silence",
        "market_silence",
        "realtime",
        "ca_file",
        "trade",
        "quote",
    ],
);
/// An item of `greet`
pub(super) const GREET: Shape = shape("feed.greet", &["send", "expect"]);
/// `heartbeat = { … }`
pub(super) const HEARTBEAT: Shape = shape("feed.heartbeat", &["send", "every"]);
/// `[feed.trade]`
pub(super) const TRADE: Shape =
    shape("feed.trade", &["each", "where", "symbol", "price", "size", "time", "sequence"]);
/// `[feed.quote]`
pub(super) const QUOTE: Shape = shape("feed.quote", &["each", "where", "symbol", "bid", "ask", "time"]);
/// `time = { … }`
pub(super) const TIME: Shape = shape("feed.time", &["at", "unit"]);
/// `[[level]]`
pub(super) const LEVEL: Shape = Shape {
    name: "level",
    keys: &[
        "name",
        "instrument",
        "contract",
        "price",
        "side",
        "space",
        "price_from",
        "strict",
        "margin",
        "approach",
        "zone",
        "confirm",
        "confirm_within",
        "fail",
        "retest",
        "follow",
        "rearm",
        "grace",
        "cooldown",
        "max_per_session",
        "gap",
        "sessions",
        "expires",
        "severity",
        "tags",
        "note",
        "said_by",
        "url",
    ],
    later: &[
        ("source", "price"),
        ("reject", "fail, retest"),
        ("days", "sessions, expires"),
        ("between", "sessions, expires"),
        ("zone_name", "sessions, expires"),
        ("when", "sessions, expires"),
    ],
};
/// An item of `confirm`
pub(super) const CONFIRM: Shape = Shape {
    name: "level.confirm",
    keys: &["prints", "size", "hold", "volume"],
    later: &[
        ("bar_close", CONFIRMATIONS),
        ("bars", CONFIRMATIONS),
        ("session_close", CONFIRMATIONS),
        ("relative_volume", CONFIRMATIONS),
        ("quote", CONFIRMATIONS),
    ],
};
const CONFIRMATIONS: &str = "prints (with size), hold, volume";
/// `fail = { … }`
pub(super) const FAIL: Shape = shape("level.fail", &["distance", "within", "by"]);
/// `retest = { … }`
pub(super) const RETEST: Shape = shape("level.retest", &["zone", "excursion", "hold", "within"]);
/// `[[channel]]` with `kind = "console"`
pub(super) const CONSOLE: Shape = shape("channel.console", &["name", "kind"]);
/// `[[channel]]` with `kind = "email"`
pub(super) const EMAIL: Shape = shape("channel.email", &["name", "kind", "from", "to", "smtp", "timeout"]);
/// `smtp = { … }`
pub(super) const SMTP: Shape =
    shape("channel.email.smtp", &["host", "port", "tls", "user", "password", "allow_plaintext", "ca_file"]);
/// `[[channel]]` with `kind = "slack"`
pub(super) const SLACK: Shape = shape("channel.slack", &["name", "kind", "url", "timeout"]);
/// `[[channel]]` with `kind = "webhook"`
pub(super) const WEBHOOK: Shape = shape(
    "channel.webhook",
    &["name", "kind", "url", "secret", "format", "timeout", "ca_file", "allow_link_local"],
);
/// `[[route]]`
pub(super) const ROUTE: Shape = shape("route", &["match", "to", "continue"]);
/// `match = { … }`
pub(super) const MATCH: Shape = shape("route.match", &["kind", "severity", "instrument", "level", "tag"]);
/// `{ credential = … }` and its like
pub(super) const SECRET: Shape = shape("secret", &["credential", "file", "env", "command", "ttl"]);

/// Every shape, for the documentation's test.
#[cfg(test)]
pub(super) const SHAPES: &[&Shape] = &[
    &FILE,
    &INCLUDED,
    &STORAGE,
    &LOG,
    &RETRY,
    &INSTRUMENT,
    &HOLIDAY,
    &ROLL,
    &FEED,
    &GREET,
    &HEARTBEAT,
    &TRADE,
    &QUOTE,
    &TIME,
    &LEVEL,
    &CONFIRM,
    &FAIL,
    &RETEST,
    &CONSOLE,
    &EMAIL,
    &SMTP,
    &SLACK,
    &WEBHOOK,
    &ROUTE,
    &MATCH,
    &SECRET,
];
