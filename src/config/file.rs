//! The shape of the configuration file: which tables and keys may stand in it, and nothing about their values.
//!
//! A derived serde mirror would end at the first mistake and could not tell them together, so the file stays
//! a tree of TOML values, and this page says which keys that tree may have. `docs/configuration.md` is held
//! against it by a test.

use toml::{Table, Value};

use super::problem::{ProblemKind, Problems, Refusal, hint, not_available, quoted, shown};

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
pub(super) const INSTRUMENT: Shape =
    shape("instrument", &["name", "index", "tick", "point_value", "mic", "dated", "roll", "guard"]);
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
        "extra_roots",
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
pub(super) const SMTP: Shape = shape(
    "channel.email.smtp",
    &["host", "port", "tls", "user", "password", "allow_plaintext", "extra_roots"],
);
/// `[[channel]]` with `kind = "slack"`
pub(super) const SLACK: Shape = shape("channel.slack", &["name", "kind", "url", "timeout"]);
/// `[[channel]]` with `kind = "webhook"`
pub(super) const WEBHOOK: Shape = shape(
    "channel.webhook",
    &["name", "kind", "url", "secret", "format", "timeout", "extra_roots", "allow_link_local"],
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

/// One table of the file, with its place. Whoever opens it has its unknown keys told.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    table: &'a Table,
    shape: &'static Shape,
    origin: &'a Origin,
    /// Stands before a key in messages: `storage.`, `level "2500": `.
    prefix: String,
    problems: &'a Problems,
}

/// Where a tree of values comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// The file.
    pub(super) file: String,
    /// Keys (`storage.path`) that the environment sets, with the variable.
    pub(super) overrides: std::collections::BTreeMap<String, String>,
}

impl Origin {
    fn of(&self, path: &str) -> &str {
        self.overrides.get(path).unwrap_or(&self.file)
    }
}

impl<'a> Section<'a> {
    /// The file itself.
    pub(super) fn root(
        table: &'a Table,
        shape: &'static Shape,
        origin: &'a Origin,
        problems: &'a Problems,
    ) -> Self {
        let section = Self { table, shape, origin, prefix: String::new(), problems };
        section.check_keys();
        section
    }

    /// A key's value.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Value> {
        debug_assert!(self.shape.keys.contains(&key), "{key} is not in the shape of {}", self.shape.name);
        #[cfg(test)]
        tests::note_read(self.shape.name, key);
        self.table.get(key)
    }

    /// Reads a key's value; `None` when it is not there, or is refused and told.
    pub(super) fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        match read(self.get(key)?) {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.refuse(key, refusal);
                None
            }
        }
    }

    /// Reads a key that must be there; `right` says what it could be.
    pub(super) fn require<T>(
        &self,
        key: &'static str,
        right: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Refusal>,
    ) -> Option<T> {
        if self.get(key).is_none() {
            let text = format!("is missing; {right}");
            self.refuse(key, Refusal { kind: ProblemKind::Missing, text });
        }
        self.read(key, read)
    }

    /// The table under a key.
    pub(super) fn section(&self, key: &'static str, shape: &'static Shape) -> Option<Self> {
        let table = self.read(key, table)?;
        Some(self.inner(table, shape, format!("{}{key}.", self.prefix)))
    }

    /// The tables of a list, with their place in it.
    pub(super) fn sections(&self, key: &'static str, shape: &'static Shape) -> Vec<Self> {
        let items = self.read(key, list).unwrap_or_default();
        let mut sections = Vec::with_capacity(items.len());
        for (n, item) in (1_usize..).zip(items) {
            match table(item) {
                Ok(table) => sections.push(self.inner(table, shape, format!("{}{key} #{n}.", self.prefix))),
                Err(refusal) => self.refuse_at(&format!("{key} #{n}"), refusal),
            }
        }
        sections
    }

    /// The tables of a list whose items have names: messages call them by name where there is one. `shape`
    /// may depend on the item's `kind`.
    pub(super) fn named(
        &self,
        key: &'static str,
        shape: impl Fn(&'a Table) -> Result<&'static Shape, Refusal>,
    ) -> Vec<Self> {
        let items = self.read(key, list).unwrap_or_default();
        let mut sections = Vec::with_capacity(items.len());
        for (n, item) in (1_usize..).zip(items) {
            let name = item.get("name").and_then(Value::as_str).filter(|name| !name.trim().is_empty());
            let place = name.map_or_else(|| format!("{key} #{n}"), |name| format!("{key} {}", quoted(name)));
            let table = match table(item) {
                Ok(table) => table,
                Err(refusal) => {
                    self.refuse_at(&place, refusal);
                    continue;
                }
            };
            match shape(table) {
                Ok(shape) => sections.push(self.inner(table, shape, format!("{place}: "))),
                Err(refusal) => self.refuse_at(&format!("{place}: kind"), refusal),
            }
        }
        sections
    }

    /// A table that was found in this one; `prefix` stands before its keys in messages.
    pub(super) fn inner(&self, table: &'a Table, shape: &'static Shape, prefix: String) -> Self {
        let section = Self { table, shape, origin: self.origin, prefix, problems: self.problems };
        section.check_keys();
        section
    }

    /// Whether the table names a key that is not available yet.
    pub(super) fn names_later(&self, key: &str) -> bool {
        self.shape.later.iter().any(|(later, _)| *later == key) && self.table.contains_key(key)
    }

    /// Whether nothing stands in the table.
    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Tells what is wrong with a key's value.
    pub(super) fn refuse(&self, key: &'static str, refusal: impl Into<Refusal>) {
        self.refuse_at(key, refusal);
    }

    /// Tells what is wrong at a place below this table.
    pub(super) fn refuse_at(&self, place: &str, refusal: impl Into<Refusal>) {
        let path = format!("{}{place}", self.prefix);
        self.problems.add(self.origin.of(&path), &path, refusal.into());
    }

    /// Tells what is wrong with the table as a whole.
    pub(super) fn refuse_whole(&self, refusal: impl Into<Refusal>) {
        let path = self.place();
        self.problems.add(self.origin.of(path), path, refusal.into());
    }

    /// Tells a warning about the table as a whole.
    pub(super) fn warn(&self, text: impl Into<String>) {
        self.problems.warn(&self.origin.file, self.place(), text.into());
    }

    /// What stands before the keys of a table at `place` below this one.
    pub(super) fn path(&self, place: &str) -> String {
        format!("{}{place}.", self.prefix)
    }

    /// How messages call this table.
    pub(super) fn place(&self) -> &str {
        self.prefix.trim_end_matches(['.', ':', ' '])
    }

    fn check_keys(&self) {
        for key in self.table.keys() {
            if self.shape.keys.contains(&key.as_str()) {
                continue;
            }
            let refusal = match self.shape.later.iter().find(|(later, _)| later == key) {
                Some((later, available)) if self.prefix.is_empty() => {
                    not_available(&format!("[{later}]"), available)
                }
                Some((later, available)) => not_available(later, available),
                None => self.unknown(key),
            };
            let origin = self.origin.of(&format!("{}{key}", self.prefix));
            self.problems.add(origin, self.place(), refusal);
        }
    }

    fn unknown(&self, key: &str) -> Refusal {
        let text = format!("unknown key {}{}", quoted(key), hint(key, self.shape.keys.iter().copied()));
        Refusal { kind: ProblemKind::UnknownKey, text }
    }
}

/// A table.
pub(super) fn table(value: &Value) -> Result<&Table, Refusal> {
    value.as_table().ok_or_else(|| format!("{} is not a table", shown(value)).into())
}

/// A list.
pub(super) fn list(value: &Value) -> Result<&[Value], Refusal> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| format!("{} is not a list", shown(value)).into())
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    thread_local! {
        /// Which keys of which shapes this thread has read.
        static READ: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn note_read(shape: &'static str, key: &'static str) {
        READ.with_borrow_mut(|read| read.insert((shape, key)));
    }

    /// Every key that this thread has read.
    pub(in crate::config) fn read_keys() -> BTreeSet<(&'static str, &'static str)> {
        READ.take()
    }
}
