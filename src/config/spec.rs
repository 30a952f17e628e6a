//! The keys of a JSON feed to [`Spec`]: what is said, and where values stand; checked as far as it can be without
//! connecting.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Value;

use super::address;
use super::file::{DAY, GREET, HEARTBEAT, QUOTE, TIME, TRADE};
use super::problem::{ProblemKind, Refusal, hint, quoted, shown};
use super::secret::SecretSource;
use super::section::{Section, table};
use super::value;
use crate::feed::json::spec::{
    Condition, DayAt, Greet, Heartbeat, Part, Pointer, QuoteAt, Realtime, RowsAt, Spec, Template, TimeAt,
    TimeFormat, TradeAt,
};
use crate::time::Unit;

/// The name that stands for the wire symbol in a feed's texts.
pub(super) const SYMBOL: &str = "symbol";
/// Silence and heartbeats are within these limits.
const PERIOD: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Nothing at all for so long: reconnect.
const TRANSPORT_SILENCE: Duration = Duration::from_secs(45);
/// No print for so long: alarm.
const MARKET_SILENCE: Duration = Duration::from_secs(120);

/// What may stand in a feed's texts.
pub(super) struct Texts<'a> {
    /// What `${name}` can be, beside `${symbol}`.
    pub(super) secrets: &'a BTreeMap<String, SecretSource>,
    /// Whether there is only one symbol, so that it may stand anywhere.
    pub(super) one_symbol: bool,
}

impl Texts<'_> {
    /// A text that is sent once for the whole connection.
    fn template(&self, value: &Value) -> Result<Template, Refusal> {
        let template = self.per_symbol(value)?;
        if !self.one_symbol && names(&template).any(|name| name == SYMBOL) {
            return Err("${symbol} says nothing here, as the feed has several instruments".into());
        }
        Ok(template)
    }

    /// A text that is sent once for each symbol.
    fn per_symbol(&self, value: &Value) -> Result<Template, Refusal> {
        let template = parse_template(value::text(value)?)?;
        for name in names(&template) {
            if name != SYMBOL && !self.secrets.contains_key(name) {
                let known = self.secrets.keys().map(String::as_str).chain([SYMBOL]);
                let text = format!("${{{name}}} is neither symbol nor one of secrets{}", hint(name, known));
                return Err(text.into());
            }
        }
        Ok(template)
    }

    fn url(&self, value: &Value) -> Result<Template, Refusal> {
        let template = self.template(value)?;
        // Whatever a name stands for, it must not decide about scheme or host.
        let filled: String = template.parts.iter().map(|part| literal(part).unwrap_or("x")).collect();
        address::check_feed(&filled)?;
        Ok(template)
    }

    fn headers(&self, value: &Value) -> Result<Vec<(String, Template)>, Refusal> {
        let mut headers = Vec::new();
        for (name, text) in table(value)? {
            if reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(format!("{} is not a name of an HTTP header", quoted(name)).into());
            }
            let template = self.template(text)?;
            if template.parts.iter().filter_map(literal).any(|text| text.chars().any(char::is_control)) {
                return Err(
                    format!("the value of {name} contains line ends or other control characters").into()
                );
            }
            if is_secret_header(name) && names(&template).next().is_none() {
                let text = format!(
                    "the value of {name} is a secret in plain text; name it in secrets and write ${{name}}"
                );
                return Err(Refusal { kind: ProblemKind::Secret, text });
            }
            headers.push((name.clone(), template));
        }
        Ok(headers)
    }
}

/// Headers whose value is a secret always.
pub(super) fn is_secret_header(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization", "x-api-key"]
        .iter()
        .any(|h| name.eq_ignore_ascii_case(h))
}

/// A text with `${name}` in it.
pub(super) fn parse_template(text: &str) -> Result<Template, Refusal> {
    Template::parse(text).map_err(|e| Refusal::from(e.to_string()))
}

/// The names in a template.
pub(super) fn names(template: &Template) -> impl Iterator<Item = &str> {
    template.parts.iter().filter_map(|part| match part {
        Part::Name(name) => Some(name.as_str()),
        Part::Text(_) => None,
    })
}

fn literal(part: &Part) -> Option<&str> {
    match part {
        Part::Text(text) => Some(text),
        Part::Name(_) => None,
    }
}

/// How long a feed may say nothing at all, and tell no print in an open session.
pub(super) fn silences(feed: &Section<'_>) -> (Duration, Duration) {
    let period = |key| feed.read(key, value::duration_in(PERIOD));
    (
        period("transport_silence").unwrap_or(TRANSPORT_SILENCE),
        period("market_silence").unwrap_or(MARKET_SILENCE),
    )
}

/// How a feed is spoken to. `None` when something is wrong with it, which then has been told.
pub(super) fn spec(feed: &Section<'_>, texts: &Texts<'_>) -> Option<Spec> {
    let url = feed.require("url", "like \"wss://stream.example.com/futures\"", |v| texts.url(v));
    let right = "the message that asks for a symbol, with ${symbol} in it";
    let subscribe = feed.require("subscribe", right, |v| texts.per_symbol(v));
    let trade = trade(feed);
    let quote = feed.section("quote", &QUOTE).and_then(|quote| quote_at(&quote, trade.as_ref()));
    let day = feed.section("day", &DAY).and_then(|day| day_at(&day, trade.as_ref()));
    let ws_ping = feed.read("ws_ping", value::duration_in(PERIOD));
    let (transport_silence, market_silence) = silences(feed);
    Some(Spec {
        headers: feed.read("headers", |v| texts.headers(v)).unwrap_or_default(),
        greet: greet(feed, texts),
        refuse: feed.read("refuse", conditions).unwrap_or_default(),
        heartbeat: heartbeat(feed, texts),
        ws_ping,
        transport_silence,
        market_silence,
        realtime: feed.read("realtime", realtime).unwrap_or(Realtime::Always(true)),
        url: url?,
        subscribe: subscribe?,
        trade: trade?,
        quote,
        day,
    })
}

fn greet(feed: &Section<'_>, texts: &Texts<'_>) -> Vec<Greet> {
    let mut steps = Vec::new();
    for step in feed.sections("greet", &GREET) {
        let send = step.read("send", |v| texts.template(v));
        let expect = step.read("expect", conditions);
        if step.is_empty() {
            step.refuse_whole("says nothing; a step has send, expect or both");
        }
        steps.push(Greet { send, expect: expect.unwrap_or_default() });
    }
    steps
}

fn heartbeat(feed: &Section<'_>, texts: &Texts<'_>) -> Option<Heartbeat> {
    let heartbeat = feed.section("heartbeat", &HEARTBEAT)?;
    let send = heartbeat.require("send", "the message", |v| texts.template(v));
    let every = heartbeat.require("every", "like \"15s\"", value::duration_in(PERIOD));
    Some(Heartbeat { send: send?, every: every? })
}

fn realtime(value: &Value) -> Result<Realtime, Refusal> {
    match value {
        Value::Boolean(always) => Ok(Realtime::Always(*always)),
        Value::Table(_) => conditions(value).map(Realtime::When),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Datetime(_) | Value::Array(_) => {
            let text = "is neither true, false nor a condition like { \"/mode\" = \"RealTime\" }";
            Err(format!("{} {text}", shown(value)).into())
        }
    }
}

fn trade(feed: &Section<'_>) -> Option<TradeAt> {
    if feed.get("trade").is_none() {
        let text = "is missing; [feed.trade] says where a trade's price stands".into();
        feed.refuse("trade", Refusal { kind: ProblemKind::Missing, text });
    }
    let trade = feed.section("trade", &TRADE)?;
    let price = trade.require("price", "like \"/p\"", pointer);
    Some(TradeAt {
        each: trade.read("each", pointer).unwrap_or(Pointer { segments: Vec::new() }),
        filter: trade.read("where", conditions).unwrap_or_default(),
        symbol: trade.read("symbol", pointer),
        price: price?,
        size: trade.read("size", pointer),
        time: time(&trade),
        sequence: trade.read("sequence", pointer),
    })
}

fn quote_at(quote: &Section<'_>, trade: Option<&TradeAt>) -> Option<QuoteAt> {
    let bid = quote.require("bid", "like \"/bp\"", pointer);
    let ask = quote.require("ask", "like \"/ap\"", pointer);
    Some(QuoteAt { rows: rows(quote, trade), bid: bid?, ask: ask? })
}

fn day_at(day: &Section<'_>, trade: Option<&TradeAt>) -> Option<DayAt> {
    let high = day.require("high", "like \"/h\"", pointer);
    let low = day.require("low", "like \"/l\"", pointer);
    Some(DayAt { rows: rows(day, trade), high: high?, low: low? })
}

fn rows(section: &Section<'_>, trade: Option<&TradeAt>) -> RowsAt {
    let each = section.read("each", pointer).or_else(|| trade.map(|trade| trade.each.clone()));
    RowsAt {
        each: each.unwrap_or(Pointer { segments: Vec::new() }),
        filter: section.read("where", conditions).unwrap_or_default(),
        symbol: section.read("symbol", pointer),
        time: time(section),
    }
}

fn time(row: &Section<'_>) -> Option<TimeAt> {
    const UNITS: &[(&str, TimeFormat)] = &[
        ("s", TimeFormat::Unix(Unit::S)),
        ("ms", TimeFormat::Unix(Unit::Ms)),
        ("us", TimeFormat::Unix(Unit::Us)),
        ("ns", TimeFormat::Unix(Unit::Ns)),
        ("rfc3339", TimeFormat::Rfc3339),
    ];
    let time = row.section("time", &TIME)?;
    let at = time.require("at", "like \"/t\"", pointer);
    let format = time.require("unit", "one of s, ms, us, ns, rfc3339", value::choice(UNITS, &[]));
    Some(TimeAt { at: at?, format: format? })
}

fn pointer(value: &Value) -> Result<Pointer, Refusal> {
    Pointer::parse(value::text(value)?).map_err(|e| Refusal::from(e.to_string()))
}

/// `{ "/0/status" = "connected" }`, or a list of allowed values.
fn conditions(value: &Value) -> Result<Vec<Condition>, Refusal> {
    let mut conditions = Vec::new();
    for (at, wanted) in table(value)? {
        let at = Pointer::parse(at).map_err(|e| Refusal::from(e.to_string()))?;
        let any_of = match wanted.as_array() {
            Some(values) if values.is_empty() => return Err("an empty list is never fulfilled".into()),
            Some(values) => values.iter().map(json).collect::<Result<_, _>>()?,
            None => vec![json(wanted)?],
        };
        conditions.push(Condition { at, any_of });
    }
    if conditions.is_empty() { Err("is an empty table, not a condition".into()) } else { Ok(conditions) }
}

fn json(value: &Value) -> Result<serde_json::Value, Refusal> {
    if value.as_float().is_some_and(|f| !f.is_finite()) {
        return Err(format!("{} does not exist in JSON", shown(value)).into());
    }
    serde_json::to_value(value).map_err(|e| Refusal::from(e.to_string()))
}
