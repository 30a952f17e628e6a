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
pub(super) const STORAGE: Shape = shape("storage", &["path", "keep_events", "keep_bars"]);
/// `[log]`
pub(super) const LOG: Shape = shape("log", &["filter", "format"]);
/// `[retry]`
pub(super) const RETRY: Shape = shape("retry", &["delays", "give_up_after"]);
/// `[instrument.X]`
pub(super) const INSTRUMENT: Shape = shape(
    "instrument",
    &[
        "name",
        "index",
        "tick",
        "point_value",
        "mic",
        "dated",
        "roll",
        "guard",
        "basis",
        "hours",
        "zone",
        "holidays",
    ],
);
/// An item of `hours`
pub(super) const HOURS: Shape = shape("instrument.hours", &["since", "open", "close", "rth", "pause"]);
/// An item of `holidays`
pub(super) const HOLIDAY: Shape = shape("instrument.holidays", &["date", "rule", "at", "name"]);
/// `roll = { … }`
pub(super) const ROLL: Shape = shape("instrument.roll", &["days_before_expiry", "explicit"]);
/// `basis = { … }`
pub(super) const BASIS: Shape = shape("instrument.basis", &["rates", "r", "q", "index"]);
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
        "day",
    ],
);
/// `[[feed]]` with `kind = "massive"`
pub(super) const MASSIVE: Shape = shape(
    "feed.massive",
    &[
        "name",
        "kind",
        "api_key",
        "instruments",
        "url",
        "delayed",
        "quotes",
        "transport_silence",
        "market_silence",
        "ca_file",
    ],
);
/// `[[feed]]` with `kind = "projectx"`
pub(super) const PROJECTX: Shape = shape(
    "feed.projectx",
    &[
        "name",
        "kind",
        "user",
        "api_key",
        "instruments",
        "api",
        "hub",
        "transport_silence",
        "market_silence",
        "ca_file",
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
/// `[feed.day]`
pub(super) const DAY: Shape = shape("feed.day", &["each", "where", "symbol", "high", "low", "time"]);
/// `time = { … }`
pub(super) const TIME: Shape = shape("feed.time", &["at", "unit"]);
/// `[[level]]`
pub(super) const LEVEL: Shape = shape(
    "level",
    &[
        "name",
        "instrument",
        "contract",
        "price",
        "source",
        "side",
        "space",
        "price_from",
        "strict",
        "margin",
        "approach",
        "zone",
        "confirm",
        "confirm_within",
        "reject",
        "fail",
        "retest",
        "follow",
        "rearm",
        "grace",
        "cooldown",
        "max_per_session",
        "gap",
        "sessions",
        "days",
        "between",
        "zone_name",
        "when",
        "starts",
        "expires",
        "severity",
        "tags",
        "note",
        "said_by",
        "url",
    ],
);
/// The keys of a level that a table of values can have as columns: those with one plain value.
pub(super) const LEVEL_COLUMNS: &[&str] = &[
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
    "rearm",
    "grace",
    "cooldown",
    "max_per_session",
    "gap",
    "sessions",
    "starts",
    "expires",
    "severity",
    "note",
    "said_by",
    "url",
];
/// An item of `confirm`
pub(super) const CONFIRM: Shape = shape(
    "level.confirm",
    &["prints", "size", "hold", "bar_close", "bars", "session_close", "volume", "relative_volume", "quote"],
);
/// `reject = { … }`
pub(super) const REJECT: Shape = shape("level.reject", &["distance", "within"]);
/// An item of `when`
pub(super) const WHEN: Shape = shape(
    "level.when",
    &["instrument", "above", "below", "stronger_than", "weaker_than", "by", "over", "any", "all"],
);
/// `source = { kind = "round", … }`
pub(super) const SOURCE_ROUND: Shape = shape("level.source.round", &["kind", "step"]);
/// `source = { kind = "prior_day", … }`, and of the longer periods
pub(super) const SOURCE_PRIOR: Shape = shape("level.source.prior_day", &["kind", "of", "hours"]);
/// `source = { kind = "week", … }`, and of the longer periods
pub(super) const SOURCE_PERIOD: Shape = shape("level.source.week", &["kind", "state", "of", "hours"]);
/// `source = { kind = "overnight", … }`
pub(super) const SOURCE_OVERNIGHT: Shape = shape("level.source.overnight", &["kind", "of"]);
/// `source = { kind = "opening_range", … }`
pub(super) const SOURCE_OPENING_RANGE: Shape =
    shape("level.source.opening_range", &["kind", "minutes", "line"]);
/// `source = { kind = "record_high" }`, and what else needs no further key
pub(super) const SOURCE_RECORD: Shape = shape("level.source.record_high", &["kind"]);
/// `source = { kind = "pivot", … }`
pub(super) const SOURCE_PIVOT: Shape = shape("level.source.pivot", &["kind", "family", "line", "hours"]);
/// `source = { kind = "sma", … }` and `ema`
pub(super) const SOURCE_AVERAGE: Shape = shape("level.source.sma", &["kind", "n", "bar"]);
/// `source = { kind = "vwap", … }`
pub(super) const SOURCE_VWAP: Shape = shape("level.source.vwap", &["kind", "anchor", "sigmas"]);
/// `source = { kind = "donchian", … }`
pub(super) const SOURCE_DONCHIAN: Shape = shape("level.source.donchian", &["kind", "n", "bar", "of"]);
/// `source = { kind = "swing", … }`
pub(super) const SOURCE_SWING: Shape = shape("level.source.swing", &["kind", "left", "right", "bar", "of"]);
/// `source = { kind = "trendline", … }`
pub(super) const SOURCE_TRENDLINE: Shape = shape("level.source.trendline", &["kind", "from", "to", "log"]);
/// `fail = { … }`
pub(super) const FAIL: Shape = shape("level.fail", &["distance", "within", "by"]);
/// `retest = { … }`
pub(super) const RETEST: Shape = shape("level.retest", &["zone", "excursion", "hold", "within"]);
/// `[[channel]]` with `kind = "console"`
pub(super) const CONSOLE: Shape = shape("channel.console", &["name", "kind", "group_wait", "rate", "quiet"]);
/// `[[channel]]` with `kind = "email"`
pub(super) const EMAIL: Shape = shape(
    "channel.email",
    &["name", "kind", "from", "to", "smtp", "timeout", "group_wait", "rate", "quiet", "template"],
);
/// `template = { … }` of a mail
pub(super) const EMAIL_TEMPLATE: Shape = shape("channel.email.template", &["subject", "text", "html"]);
/// `smtp = { … }`, or an item of `smtp = [ … ]`
pub(super) const SMTP: Shape = shape(
    "channel.email.smtp",
    &["host", "port", "tls", "user", "password", "auth", "allow_plaintext", "ca_file"],
);
/// `[[channel]]` with `kind = "slack"`
pub(super) const SLACK: Shape = shape(
    "channel.slack",
    &["name", "kind", "url", "token", "channel", "api", "timeout", "group_wait", "rate", "quiet", "template"],
);
/// `template = { … }` of a Slack message
pub(super) const SLACK_TEMPLATE: Shape = shape("channel.slack.template", &["text", "body"]);
/// `[[channel]]` with `kind = "webhook"`
pub(super) const WEBHOOK: Shape = shape(
    "channel.webhook",
    &[
        "name",
        "kind",
        "url",
        "secret",
        "format",
        "topic",
        "routing_key",
        "chat_id",
        "headers",
        "secrets",
        "timeout",
        "ca_file",
        "allow_link_local",
        "group_wait",
        "rate",
        "quiet",
        "template",
    ],
);
/// `rate = { … }`
pub(super) const RATE: Shape = shape("channel.rate", &["messages", "per"]);
/// `quiet = { … }`
pub(super) const QUIET: Shape = shape("channel.quiet", &["between", "zone_name", "days"]);
/// `[[channel]]` with `kind = "exec"`
pub(super) const EXEC: Shape =
    shape("channel.exec", &["name", "kind", "command", "timeout", "group_wait", "rate", "quiet"]);
/// `template = { … }` of a webhook
pub(super) const WEBHOOK_TEMPLATE: Shape = shape("channel.webhook.template", &["body", "subject", "text"]);
/// A template that is a file of its own
pub(super) const TEMPLATE_FILE: Shape = shape("template", &["file"]);
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
    &HOURS,
    &HOLIDAY,
    &ROLL,
    &BASIS,
    &FEED,
    &MASSIVE,
    &PROJECTX,
    &GREET,
    &HEARTBEAT,
    &TRADE,
    &QUOTE,
    &DAY,
    &TIME,
    &LEVEL,
    &CONFIRM,
    &REJECT,
    &WHEN,
    &SOURCE_ROUND,
    &SOURCE_PRIOR,
    &SOURCE_PERIOD,
    &SOURCE_OVERNIGHT,
    &SOURCE_OPENING_RANGE,
    &SOURCE_RECORD,
    &SOURCE_PIVOT,
    &SOURCE_AVERAGE,
    &SOURCE_VWAP,
    &SOURCE_DONCHIAN,
    &SOURCE_SWING,
    &SOURCE_TRENDLINE,
    &FAIL,
    &RETEST,
    &CONSOLE,
    &EMAIL,
    &EMAIL_TEMPLATE,
    &SMTP,
    &SLACK,
    &SLACK_TEMPLATE,
    &WEBHOOK,
    &RATE,
    &QUIET,
    &EXEC,
    &WEBHOOK_TEMPLATE,
    &TEMPLATE_FILE,
    &ROUTE,
    &MATCH,
    &SECRET,
];
