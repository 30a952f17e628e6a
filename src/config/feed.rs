//! `[[feed]]` to [`FeedConfig`]: the feed's name, what is asked of it, and the sources of its secrets.
//!
//! How it is spoken to is the matter of `spec`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::file::{FEED, MASSIVE, PROJECTX, Shape};
use super::instrument::Instruments;
use super::problem::{ProblemKind, Refusal, quoted, shown};
use super::secret::{SecretSource, secret};
use super::section::{Section, table};
use super::spec::{SYMBOL, Texts, names, parse_template, silences, spec};
use super::{address, value};
use crate::account::projectx as account;
use crate::feed::json::spec::{Spec, Template};
use crate::feed::{massive, projectx};
use crate::market::instrument::Instrument;
use crate::market::symbol::{ContractMonth, Symbol};
use crate::market::tick::InstrumentId;

/// The name that stands for the contract in force (`RTYZ6`) in a wire symbol.
const CONTRACT: &str = "contract";

/// One feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedConfig {
    /// Unique among the feeds.
    pub name: String,
    /// How it is spoken to.
    pub speech: Speech,
    /// What is asked of it.
    pub subscriptions: Vec<FeedInstrument>,
    /// What `${name}` stands for.
    pub secrets: BTreeMap<String, SecretSource>,
    /// A PEM file with further roots to trust.
    pub extra_roots: Option<PathBuf>,
}

/// How a feed is spoken to: which protocol, with what the configuration says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speech {
    /// Any JSON-over-WebSocket source, by description.
    Json(Box<Spec>),
    /// Massive, formerly Polygon.io.
    Massive(massive::Setup),
    /// ProjectX: TopstepX and other prop firms.
    Projectx {
        /// The market hub.
        hub: projectx::Setup,
        /// The interface that is asked before a connection.
        account: account::Setup,
    },
}

impl Speech {
    /// Whether its messages name the symbol, so that it can carry two contracts at once.
    #[must_use]
    pub fn tells_apart(&self) -> bool {
        match self {
            Self::Json(spec) => spec.trade.symbol.is_some(),
            Self::Massive(_) | Self::Projectx { .. } => true,
        }
    }

    /// The key under which a secret stands in the configuration.
    #[must_use]
    pub fn secret_key(&self, name: &str) -> String {
        match self {
            Self::Json(_) => format!("secrets.{name}"),
            Self::Massive(_) | Self::Projectx { .. } => name.to_owned(),
        }
    }
}

/// One instrument of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedInstrument {
    /// Ours.
    pub instrument: InstrumentId,
    /// Theirs; `${contract}` in it is the contract in force as Globex spells it (`RTYZ6`).
    pub symbol: Template,
    /// The month that the symbol names, when it names one; else it is the month in force.
    pub contract: Option<ContractMonth>,
}

/// Which keys a feed of this kind has.
pub(super) fn shape(feed: &Table) -> Result<&'static Shape, Refusal> {
    const LATER: &[&str] = &["dxlink", "tradovate", "schwab", "ibkr"];
    const KINDS: &[(&str, &Shape)] = &[("json", &FEED), ("massive", &MASSIVE), ("projectx", &PROJECTX)];
    match feed.get("kind") {
        Some(kind) => value::choice(KINDS, LATER)(kind),
        None => {
            let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            let text = format!("is missing; available: {}", names.join(", "));
            Err(Refusal { kind: ProblemKind::Missing, text })
        }
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
    let subscriptions = subscriptions(feed, instruments, near_year);
    let extra_roots = feed.read("ca_file", value::line).map(|path| dir.join(path));
    let (speech, secrets) = match feed.get("kind").and_then(Value::as_str) {
        Some("massive") => massive(feed, dir)?,
        Some("projectx") => projectx(feed, dir)?,
        Some(_) | None => json(feed, &subscriptions, dir)?,
    };
    Some(FeedConfig { name: name?, speech, subscriptions, secrets, extra_roots })
}

type Spoken = (Speech, BTreeMap<String, SecretSource>);

fn json(feed: &Section<'_>, subscriptions: &[FeedInstrument], dir: &Path) -> Option<Spoken> {
    let secrets = secrets(feed, dir);
    let texts = Texts { secrets: &secrets, one_symbol: subscriptions.len() <= 1 };
    let spec = spec(feed, &texts);
    if let (Some(spec), false) = (&spec, texts.one_symbol) {
        let nameless = [
            ("trade.symbol", spec.trade.symbol.is_none()),
            ("quote.symbol", spec.quote.as_ref().is_some_and(|quote| quote.rows.symbol.is_none())),
            ("day.symbol", spec.day.as_ref().is_some_and(|day| day.rows.symbol.is_none())),
        ];
        for (place, _) in nameless.iter().filter(|(_, missing)| *missing) {
            let text = "is missing; a feed of several instruments says which one each row is about".into();
            feed.refuse_at(place, Refusal { kind: ProblemKind::Missing, text });
        }
    }
    Some((Speech::Json(Box::new(spec?)), secrets))
}

fn massive(feed: &Section<'_>, dir: &Path) -> Option<Spoken> {
    let secrets = one_secret(feed, massive::KEY, dir);
    let url = feed.read("url", feed_url).unwrap_or_else(|| massive::URL.to_owned());
    let says_delayed = url.split('/').nth(2) == Some(massive::DELAYED_HOST);
    let delayed = feed.read("delayed", value::flag);
    if says_delayed && delayed == Some(false) {
        feed.refuse("delayed", format!("is false, but {} serves delayed prices only", massive::DELAYED_HOST));
    }
    let quotes = feed.read("quotes", value::flag).unwrap_or(true);
    let (transport_silence, market_silence) = silences(feed);
    let delayed = says_delayed || delayed == Some(true);
    let setup = massive::Setup { url, delayed, quotes, transport_silence, market_silence };
    Some((Speech::Massive(setup), secrets?))
}

fn projectx(feed: &Section<'_>, dir: &Path) -> Option<Spoken> {
    let user = feed.require("user", "the name that you log in with", value::line);
    let secrets = one_secret(feed, account::KEY, dir);
    let api = feed.read("api", |value| {
        let api = value::line(value)?;
        address::check_api(&api)?;
        Ok(api)
    });
    let hub = feed.read("hub", feed_url);
    for (here, there, key) in [(&api, &hub, "hub"), (&hub, &api, "api")] {
        if here.is_some() && there.is_none() && feed.get(key).is_none() {
            let text = "is missing; another firm has both, an api and a hub".into();
            feed.refuse(key, Refusal { kind: ProblemKind::Missing, text });
        }
    }
    let (transport_silence, market_silence) = silences(feed);
    let hub = hub.unwrap_or_else(|| projectx::HUB.to_owned());
    let hub = projectx::Setup { hub, transport_silence, market_silence };
    let account = account::Setup { api: api.unwrap_or_else(|| account::API.to_owned()), user: user? };
    Some((Speech::Projectx { hub, account }, secrets?))
}

fn feed_url(value: &Value) -> Result<String, Refusal> {
    let url = value::line(value)?;
    address::check_feed(&url)?;
    Ok(url)
}

/// The one secret of a feed.
fn one_secret(feed: &Section<'_>, key: &'static str, dir: &Path) -> Option<BTreeMap<String, SecretSource>> {
    let source = feed.require(key, "like { credential = \"api-key\" }", Ok)?;
    Some(BTreeMap::from([(key.to_owned(), secret(feed, key, source, dir)?)]))
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

fn subscriptions(feed: &Section<'_>, instruments: &Instruments, near_year: i16) -> Vec<FeedInstrument> {
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
    let mut subscriptions: Vec<FeedInstrument> = Vec::new();
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
) -> Result<FeedInstrument, Refusal> {
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
    Ok(FeedInstrument { instrument: id, symbol, contract })
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
