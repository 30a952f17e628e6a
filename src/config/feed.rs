//! `[[feed]]` to [`FeedConfig`]: a JSON feed's description, checked as far as it can be without connecting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

use super::address;
use super::file::{FEED, GREET, HEARTBEAT, QUOTE, Shape, TIME, TRADE};
use super::instrument::Instruments;
use super::problem::{ProblemKind, Refusal, hint, quoted, shown};
use super::secret::{SecretSource, secret};
use super::section::{Section, table};
use super::value;
use crate::feed::json::spec::{
    Condition, Greet, Heartbeat, Part, Pointer, QuoteAt, Realtime, Spec, Template, TimeAt, TimeFormat,
    TradeAt,
};
use crate::market::instrument::Instrument;
use crate::market::symbol::{ContractMonth, Symbol};
use crate::market::tick::InstrumentId;
use crate::time::Unit;

/// The name that stands for the wire symbol in a feed's texts.
const SYMBOL: &str = "symbol";
/// The name that stands for the contract in force (`RTYZ6`) in a wire symbol.
const CONTRACT: &str = "contract";
/// Silence and heartbeats are within these limits.
const PERIOD: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
const TRANSPORT_SILENCE: Duration = Duration::from_secs(45);
const MARKET_SILENCE: Duration = Duration::from_secs(120);

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Unique among the feeds.
    pub name: String,
    /// How it is spoken to.
    pub spec: Spec,
    /// What is asked of it.
    pub subscriptions: Vec<Subscription>,
    /// What `${name}` stands for.
    pub secrets: BTreeMap<String, SecretSource>,
    /// A PEM file with further roots to trust.
    pub extra_roots: Option<PathBuf>,
}

/// One instrument of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Ours.
    pub instrument: InstrumentId,
    /// Theirs; `${contract}` in it is the contract in force as Globex spells it (`RTYZ6`).
    pub symbol: Template,
    /// The month that the symbol names, when it names one; else it is the month in force.
    pub contract: Option<ContractMonth>,
}

/// Which keys a feed of this kind has.
pub(super) fn shape(feed: &Table) -> Result<&'static Shape, Refusal> {
    const LATER: &[&str] = &["dxlink", "massive", "tradovate", "projectx", "schwab", "ibkr"];
    match feed.get("kind") {
        Some(kind) => value::choice(&[("json", &FEED)], LATER)(kind),
        None => Err(Refusal { kind: ProblemKind::Missing, text: "is missing; available: json".into() }),
    }
}

/// The instruments that a feed names, known or not.
pub(super) fn instrument_names<'a>(feed: &Section<'a>) -> Vec<&'a str> {
    match feed.get("instruments") {
        Some(Value::Table(pairs)) => pairs.keys().map(String::as_str).collect(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// One feed. `None` when something is wrong with it, which then has been told.
pub(super) fn feed(
    feed: &Section<'_>,
    instruments: &Instruments,
    near_year: i16,
    dir: &Path,
) -> Option<FeedConfig> {
    let name = feed.require("name", "every feed has a name", value::name);
    let secrets = secrets(feed, dir);
    let subscriptions = subscriptions(feed, instruments, near_year);
    let texts = Texts { secrets: &secrets, one_symbol: subscriptions.len() <= 1 };
    let spec = spec(feed, &texts);
    if let (Some(spec), false) = (&spec, texts.one_symbol) {
        let nameless = [
            ("trade.symbol", spec.trade.symbol.is_none()),
            ("quote.symbol", spec.quote.as_ref().is_some_and(|quote| quote.symbol.is_none())),
        ];
        for (place, _) in nameless.iter().filter(|(_, missing)| *missing) {
            let text = "is missing; a feed of several instruments says which one each row is about".into();
            feed.refuse_at(place, Refusal { kind: ProblemKind::Missing, text });
        }
    }
    let extra_roots = feed.read("extra_roots", value::line).map(|path| dir.join(path));
    Some(FeedConfig { name: name?, spec: spec?, subscriptions, secrets, extra_roots })
}

fn secrets(feed: &Section<'_>, dir: &Path) -> BTreeMap<String, SecretSource> {
    let mut secrets = BTreeMap::new();
    for (name, source) in feed.read("secrets", table).into_iter().flatten() {
        let place = format!("secrets.{name}");
        if name == SYMBOL || !is_template_name(name) {
            let text = "is no name for a secret: letters, digits, - and _, and not \"symbol\"";
            feed.refuse_at(&place, text);
        }
        if let Some(source) = secret(feed, &place, source, dir) {
            secrets.insert(name.clone(), source);
        }
    }
    secrets
}

fn is_template_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn subscriptions(feed: &Section<'_>, instruments: &Instruments, near_year: i16) -> Vec<Subscription> {
    const RIGHT: &str = "like { RTY = \"RTYZ6\" }, ours = theirs, or [\"RTY\"] for the contract in force";
    let pairs: Vec<(&str, Option<&Value>)> = match feed.require("instruments", RIGHT, Ok) {
        Some(Value::Table(pairs)) => {
            pairs.iter().map(|(ours, theirs)| (ours.as_str(), Some(theirs))).collect()
        }
        Some(Value::Array(names)) if names.iter().all(Value::is_str) => {
            names.iter().filter_map(Value::as_str).map(|name| (name, None)).collect()
        }
        Some(other) => {
            feed.refuse(
                "instruments",
                format!("{} is neither a table nor a list of names: {RIGHT}", shown(other)),
            );
            return Vec::new();
        }
        None => return Vec::new(),
    };
    if pairs.is_empty() {
        feed.refuse("instruments", format!("is empty; {RIGHT}"));
    }
    let mut subscriptions: Vec<Subscription> = Vec::new();
    for (ours, theirs) in pairs {
        match subscription(ours, theirs, instruments, near_year) {
            Ok(s) if subscriptions.iter().any(|other| other.instrument == s.instrument) => {
                feed.refuse("instruments", format!("{} stands there twice", quoted(ours)));
            }
            Ok(s)
                if subscriptions
                    .iter()
                    .any(|o| o.symbol == s.symbol && names(&s.symbol).next().is_none()) =>
            {
                feed.refuse_at(
                    &format!("instruments.{ours}"),
                    "stands for the same symbol as another instrument",
                );
            }
            Ok(subscription) => subscriptions.push(subscription),
            Err(refusal) => feed.refuse_at(&format!("instruments.{ours}"), refusal),
        }
    }
    subscriptions
}

fn subscription(
    ours: &str,
    theirs: Option<&Value>,
    instruments: &Instruments,
    near_year: i16,
) -> Result<Subscription, Refusal> {
    let id = instruments.find_name(ours)?;
    let Some(instrument) = instruments.get(id) else {
        return Err(format!("unknown instrument {}", quoted(ours)).into());
    };
    let text = match theirs {
        Some(value) => value::line(value)?,
        None if instrument.dated => format!("${{{CONTRACT}}}"),
        None => ours.to_owned(),
    };
    let symbol = parse_template(&text)?;
    for name in names(&symbol) {
        if name != CONTRACT {
            return Err(format!("${{{name}}} is not known here; only ${{{CONTRACT}}} is").into());
        }
        if !instrument.dated {
            return Err(
                format!("{ours} has no contracts (dated = false), so ${{{CONTRACT}}} says nothing").into()
            );
        }
    }
    let contract = named_month(&text, instrument, near_year)?;
    Ok(Subscription { instrument: id, symbol, contract })
}

/// The month in a wire symbol that is spelled as a contract of the instrument.
fn named_month(
    theirs: &str,
    instrument: &Instrument,
    near_year: i16,
) -> Result<Option<ContractMonth>, Refusal> {
    match Symbol::parse(theirs, near_year) {
        Ok(_) if !instrument.dated => Ok(None),
        Ok(symbol) if symbol.root == instrument.root => Ok(Some(symbol.month)),
        Ok(symbol) if Instrument::builtin(symbol.root.as_str()).is_some() => {
            Err(format!("{} is a contract of {}, not of {}", quoted(theirs), symbol.root, instrument.root)
                .into())
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// What may stand in a feed's texts.
struct Texts<'a> {
    secrets: &'a BTreeMap<String, SecretSource>,
    /// Whether there is only one symbol, so that it may stand anywhere.
    one_symbol: bool,
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
fn is_secret_header(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization", "x-api-key"]
        .iter()
        .any(|h| name.eq_ignore_ascii_case(h))
}

fn parse_template(text: &str) -> Result<Template, Refusal> {
    Template::parse(text).map_err(|e| Refusal::from(e.to_string()))
}

fn names(template: &Template) -> impl Iterator<Item = &str> {
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

fn spec(feed: &Section<'_>, texts: &Texts<'_>) -> Option<Spec> {
    let url = feed.require("url", "like \"wss://stream.example.com/futures\"", |v| texts.url(v));
    let right = "the message that asks for a symbol, with ${symbol} in it";
    let subscribe = feed.require("subscribe", right, |v| texts.per_symbol(v));
    let trade = trade(feed);
    let quote = feed.section("quote", &QUOTE).and_then(|quote| quote_at(&quote, trade.as_ref()));
    let period = |key| feed.read(key, value::duration_in(PERIOD));
    Some(Spec {
        headers: feed.read("headers", |v| texts.headers(v)).unwrap_or_default(),
        greet: greet(feed, texts),
        refuse: feed.read("refuse", conditions).unwrap_or_default(),
        heartbeat: heartbeat(feed, texts),
        ws_ping: period("ws_ping"),
        transport_silence: period("transport_silence").unwrap_or(TRANSPORT_SILENCE),
        market_silence: period("market_silence").unwrap_or(MARKET_SILENCE),
        realtime: feed.read("realtime", realtime).unwrap_or(Realtime::Always(true)),
        url: url?,
        subscribe: subscribe?,
        trade: trade?,
        quote,
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
    let each = quote.read("each", pointer).or_else(|| trade.map(|trade| trade.each.clone()));
    Some(QuoteAt {
        each: each.unwrap_or(Pointer { segments: Vec::new() }),
        filter: quote.read("where", conditions).unwrap_or_default(),
        symbol: quote.read("symbol", pointer),
        bid: bid?,
        ask: ask?,
        time: time(quote),
    })
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
