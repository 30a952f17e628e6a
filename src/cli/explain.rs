//! `breakwatch explain`: why a level fired, or why it stayed quiet; also while the daemon runs.
//!
//! It reads the configuration and the database, and changes neither.

use std::path::Path;

use serde::Serialize;

use crate::cli::events::of_store;
use crate::cli::output::{print, print_json};
use crate::cli::{CliError, Exit, load, runtime};
use crate::config::Config;
use crate::config::problem::hint;
use crate::daemon::clock::Clock;
use crate::daemon::plan;
use crate::daemon::rules::Rules;
use crate::engine::Engine;
use crate::engine::derive::Source;
use crate::engine::explain::{Explanation, nearest_miss};
use crate::engine::rule::Rule;
use crate::event::{Event, Kind, Px, Side};
use crate::market::tick::InstrumentId;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::history::{EventFilter, History};
use crate::time::Timestamp;

/// So many events before and after a moment are shown.
const AROUND: usize = 5;
/// An event about doubtful prints speaks for so long.
const DOUBT: std::time::Duration = std::time::Duration::from_secs(60);

/// Say why a level fired, or why it stayed quiet.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch explain 2500 --at 2024-11-25T15:21:00Z")]
pub struct Args {
    /// The level's name
    level: String,
    /// What the history tells of this moment (RFC 3339), instead of how it stands now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Bars are looked through so far back.
const LOOK_BACK: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// Everything that is said.
#[derive(Debug, Serialize)]
struct Answer {
    level: String,
    /// Whether there was a database.
    recorded: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    now: Vec<Explanation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    then: Option<Then>,
    nearest_miss: Option<NearMiss>,
    notes: Vec<String>,
}

/// What the history tells of a moment.
#[derive(Debug, Serialize)]
struct Then {
    at: Timestamp,
    state: &'static str,
    before: Vec<Event>,
    after: Vec<Event>,
    unwatched: Vec<Unwatched>,
}

/// A time in which nobody watched, or a print was doubted.
#[derive(Debug, Serialize)]
struct Unwatched {
    what: String,
    from: Timestamp,
    until: Option<Timestamp>,
}

/// The price that came nearest without a break.
#[derive(Debug, Serialize)]
struct NearMiss {
    at: Timestamp,
    price: Px,
    threshold: Px,
    ticks: i64,
}

/// Runs the command.
///
/// # Errors
/// When the configuration or the database cannot be read, or no level has this name.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let config = load(path)?;
    let answer = runtime()?.block_on(answer(config, args))?;
    if args.json { print_json(&answer) } else { print(&text(&answer)) }
}

/// The rule that a name means. Levels of a rule for round numbers have the rule's name and their price.
///
/// # Errors
/// When no level has this name.
pub fn rule_of<'a>(config: &'a Config, name: &str) -> Result<&'a Rule, CliError> {
    let is_of = |rule: &&Rule| {
        matches!(rule.source, Some(Source::Round { .. }))
            && name.strip_prefix(&*rule.name).is_some_and(|rest| rest.starts_with(' '))
    };
    let exact = config.levels.iter().find(|rule| &*rule.name == name);
    exact.or_else(|| config.levels.iter().find(is_of)).ok_or_else(|| {
        let names = config.levels.iter().map(|rule| &*rule.name);
        CliError::Usage(format!("there is no level {name:?}{}", hint(name, names)))
    })
}

async fn answer(mut config: Config, args: &Args) -> Result<Answer, CliError> {
    let history = open(&config.storage.path).await?;
    if let Some(history) = &history {
        // Levels beside the file.
        let news = Rules::new(&config).news(history).await.map_err(of_store)?;
        config.levels.extend(news.into_iter().flat_map(|news| news.added));
    }
    let config = &config;
    let rule = rule_of(config, &args.level)?;
    let (engine, clock) = (engine(config, history.as_ref()).await?, Clock::real());
    let mut events = Vec::new();
    if let Some(history) = &history {
        events =
            all(history, EventFilter { level: Some(args.level.clone()), ..EventFilter::default() }).await?;
    }
    let mut answer = Answer {
        level: args.level.clone(),
        recorded: history.is_some(),
        now: Vec::new(),
        then: None,
        nearest_miss: nearest(config, &events, args.at),
        notes: Vec::new(),
    };
    if let Some(history) = &history {
        let halves = engine.explain(&args.level, clock.wall());
        let of_bars =
            of_bars(config, history, &halves, &events, args.at.unwrap_or_else(|| clock.wall())).await?;
        answer.nearest_miss =
            answer.nearest_miss.into_iter().chain(of_bars).min_by_key(|miss| (miss.ticks, miss.at));
    }
    match (args.at, &history) {
        (Some(at), Some(history)) => {
            let feeds = feeds(history, config, rule.instrument, at).await?;
            answer.then = Some(then(at, &events, feeds));
            answer.notes.push(
                "recorded are events only: that price came near, a gate that blocked and prices between them are not"
                    .to_owned(),
            );
        }
        (Some(_), None) => {}
        (None, _) => answer.now = now(&engine, &args.level, clock.wall()),
    }
    add_notes(&mut answer, config);
    if let Some(history) = history {
        history.close().await;
    }
    Ok(answer)
}

fn add_notes(answer: &mut Answer, config: &Config) {
    if !answer.recorded {
        let path = config.storage.path.display();
        answer.notes.push(format!("there is no database {path} yet: this is the configuration alone"));
    }
    if answer.now.is_empty() && answer.then.is_none() && answer.recorded {
        answer.notes.push("not watched yet: its levels are made when price comes near".to_owned());
    }
    if answer.now.iter().any(|said| !said.conditions.is_empty()) {
        answer
            .notes
            .push("how long price has been beyond is counted by the daemon and not recorded".to_owned());
    }
}

/// How the level stands. That this process watches nothing is no news.
fn now(engine: &Engine, name: &str, now: Timestamp) -> Vec<Explanation> {
    let said = engine.explain(name, now).into_iter();
    said.map(|said| Explanation { unwatched_since: None, ..said }).collect()
}

/// The history, if there is one.
///
/// # Errors
/// When there is one that cannot be read.
pub async fn open(path: &Path) -> Result<Option<History>, CliError> {
    match Store::open_read_only(path).await {
        Ok(history) => Ok(Some(history)),
        Err(StoreError::Missing(_) | StoreError::NoDirectory(_)) => Ok(None),
        Err(error) => Err(of_store(error)),
    }
}

/// An engine that stands where the daemon's stood when it last recorded something.
///
/// # Errors
/// When the states cannot be read.
pub async fn engine(config: &Config, history: Option<&History>) -> Result<Engine, CliError> {
    let clock = Clock::real();
    let mut engine = Engine::new(plan::setup(config, &clock));
    let Some(history) = history else { return Ok(engine) };
    let (levels, books) = history.load().await.map_err(of_store)?;
    let restored = engine.restore(&levels, &books, clock.wall());
    restored.map_err(|source| CliError::io("the recorded states cannot be read", source))?;
    Ok(engine)
}

/// Every event of a filter, however many there are.
async fn all(history: &History, filter: EventFilter) -> Result<Vec<Event>, CliError> {
    let mut filter = EventFilter { after_seq: Some(0), ..filter };
    let mut found = Vec::new();
    loop {
        let events = history.events(&filter).await.map_err(of_store)?;
        let Some(last) = events.last() else { return Ok(found) };
        filter.after_seq = Some(last.seq);
        found.extend(events.into_iter().map(|stored| stored.event));
    }
}

/// What of the feeds of the level's instrument covered a moment.
async fn feeds(
    history: &History,
    config: &Config,
    instrument: InstrumentId,
    at: Timestamp,
) -> Result<Vec<Unwatched>, CliError> {
    let kinds = vec![Kind::FeedDown, Kind::FeedUp, Kind::FeedQuiet, Kind::FeedQuarantined];
    let events = all(history, EventFilter { kinds, ..EventFilter::default() }).await?;
    let carries = |event: &Event| {
        let feed = event.numbers.get("feed").and_then(serde_json::Value::as_str);
        let feed = config.feeds.iter().find(|known| Some(&*known.name) == feed);
        feed.is_none_or(|feed| feed.subscriptions.iter().any(|s| s.instrument == instrument))
    };
    Ok(events
        .iter()
        .filter(|event| carries(event))
        .filter_map(|event| covering(event, &events, at))
        .collect())
}

fn covering(event: &Event, all: &[Event], at: Timestamp) -> Option<Unwatched> {
    let from = event.occurred_at;
    let until = match event.kind {
        Kind::FeedDown | Kind::FeedQuiet => {
            let end = all.iter().filter(|other| other.kind == Kind::FeedUp && other.thread == event.thread);
            end.map(|end| end.occurred_at).find(|end| *end >= from)
        }
        Kind::FeedQuarantined => Some(from.saturating_add(DOUBT)),
        Kind::LevelApproached
        | Kind::LevelCrossed
        | Kind::LevelBroken
        | Kind::LevelRejected
        | Kind::LevelRetested
        | Kind::LevelHeld
        | Kind::LevelFailed
        | Kind::LevelRearmed
        | Kind::LevelExpired
        | Kind::LevelSuspended
        | Kind::LevelMoved
        | Kind::RecordSet
        | Kind::ContractRolled
        | Kind::FeedUp
        | Kind::ChannelFailing
        | Kind::ChannelRecovered
        | Kind::Digest => return None,
    };
    let covers = from <= at && until.is_none_or(|until| at <= until);
    covers.then(|| Unwatched { what: format!("{} ({})", event.kind, event.reason), from, until })
}

fn then(at: Timestamp, events: &[Event], unwatched: Vec<Unwatched>) -> Then {
    let (before, after): (Vec<&Event>, Vec<&Event>) =
        events.iter().partition(|event| event.occurred_at <= at);
    let telling = before.iter().rev().find_map(|event| state_after(event.kind));
    let skip = before.len().saturating_sub(AROUND);
    Then {
        at,
        state: telling.unwrap_or("not recorded: nothing happened to it before"),
        before: before.into_iter().skip(skip).cloned().collect(),
        after: after.into_iter().take(AROUND).cloned().collect(),
        unwatched,
    }
}

/// Where a level stands after an event, as far as the event tells.
const fn state_after(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::LevelApproached => Some("near"),
        Kind::LevelCrossed => Some("waiting for confirmation, unless it fell back, which is not recorded"),
        Kind::LevelBroken => Some("broken"),
        Kind::LevelRejected => Some("armed: price was turned away"),
        Kind::LevelRetested => Some("broken, and tested again"),
        Kind::LevelHeld => Some("broken, and held"),
        Kind::LevelFailed => Some("the break failed; it waits to be armed"),
        Kind::LevelRearmed => Some("armed"),
        Kind::LevelExpired => Some("expired"),
        Kind::LevelSuspended => Some("suspended, or not placed"),
        Kind::LevelMoved
        | Kind::RecordSet
        | Kind::ContractRolled
        | Kind::FeedDown
        | Kind::FeedUp
        | Kind::FeedQuiet
        | Kind::FeedQuarantined
        | Kind::ChannelFailing
        | Kind::ChannelRecovered
        | Kind::Digest => None,
    }
}

/// The nearest price among the approaches and rejections that were recorded until a moment.
fn nearest(config: &Config, events: &[Event], until: Option<Timestamp>) -> Option<NearMiss> {
    let known = events.iter().filter(|event| until.is_none_or(|until| event.occurred_at <= until));
    known.filter_map(|event| near(config, event)).min_by_key(|miss| (miss.ticks, miss.at))
}

/// The nearest price among the recorded bars since the level's last break, at most so long ago.
async fn of_bars(
    config: &Config,
    history: &History,
    halves: &[Explanation],
    events: &[Event],
    until: Timestamp,
) -> Result<Option<NearMiss>, CliError> {
    let broke = |event: &&Event| event.kind == Kind::LevelBroken && event.occurred_at <= until;
    let broken = events.iter().filter(broke).map(|event| event.occurred_at).max();
    let since = until.saturating_sub(LOOK_BACK).max(broken.unwrap_or(Timestamp::MIN));
    let mut nearest = None;
    for half in halves {
        let Some(threshold) = half.threshold else { continue };
        let root = &half.instrument;
        let Some(tick) =
            config.instrument_id(root).and_then(|id| config.instruments.get(id.index())).map(|i| i.tick)
        else {
            continue;
        };
        let bars = history.bars(root, "", since).await.map_err(of_store)?;
        let known = bars.iter().filter(|stored| stored.bar.end() <= until);
        let prices = known.map(|stored| (stored.bar.start, stored.bar.high, stored.bar.low));
        let miss = nearest_miss(prices, threshold.price, half.side, tick).filter(|miss| miss.ticks > 0);
        nearest = nearest
            .into_iter()
            .chain(miss.map(|miss| NearMiss {
                at: miss.at,
                price: Px::new(miss.price, tick),
                threshold,
                ticks: miss.ticks,
            }))
            .min_by_key(|miss| (miss.ticks, miss.at));
    }
    Ok(nearest)
}

fn near(config: &Config, event: &Event) -> Option<NearMiss> {
    if !matches!(event.kind, Kind::LevelApproached | Kind::LevelRejected) {
        return None;
    }
    let instrument = config.instruments.get(config.instrument_id(event.instrument.as_deref()?)?.index())?;
    let (threshold, side) = (event.threshold?, event.side?);
    let name = if side == Side::Resistance { "zone_high" } else { "zone_low" };
    let extreme =
        event.numbers.get(name).and_then(serde_json::Value::as_str).and_then(|text| text.parse().ok());
    let price = extreme.or(event.price.map(|px| px.price))?;
    let before = match side {
        Side::Resistance => threshold.price.minus(price),
        Side::Support => price.minus(threshold.price),
    };
    let ticks = instrument.tick.count(before);
    (ticks > 0).then(|| NearMiss {
        at: event.occurred_at,
        price: Px::new(price, instrument.tick),
        threshold,
        ticks,
    })
}

fn text(answer: &Answer) -> String {
    let mut text: String = answer.now.iter().map(explained).collect();
    if let Some(then) = &answer.then {
        text.push_str(&told(&answer.level, then));
    }
    if let Some(miss) = &answer.nearest_miss {
        let (price, threshold) = (miss.price.grouped(), miss.threshold.grouped());
        text.push_str(&line(
            "nearest miss",
            &format!("{} ticks: {price} before {threshold} at {}", miss.ticks, miss.at),
        ));
    }
    for note in &answer.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    text
}

fn line(name: &str, value: &str) -> String {
    format!("  {name:<16} {value}\n")
}

fn explained(said: &Explanation) -> String {
    let contract = said.contract.as_ref().map(|contract| format!(" {contract}")).unwrap_or_default();
    let since = said.since.map(|since| format!(" since {since}")).unwrap_or_default();
    let mut text =
        format!("{} ({}{contract}, {}): {}{since}\n", said.name, said.instrument, said.side, said.state);
    for missing in &said.missing {
        text.push_str(&line("waits for", missing));
    }
    text.push_str(&line("confirmed by", &said.confirm));
    for condition in &said.conditions {
        let met = if condition.met { "met" } else { "not met" };
        text.push_str(&line("", &format!("{}: {met} ({})", condition.what, condition.progress)));
    }
    let prices = [
        ("level", said.in_contract),
        ("level in index", said.in_index),
        ("breaks at", said.threshold),
        ("  in index", said.threshold_in_index),
        ("approach", said.approach),
        ("re-arms at", said.rearm),
        ("fails at", said.fail),
    ];
    for (name, price) in prices {
        text.push_str(&price.map(|price| line(name, &price.grouped())).unwrap_or_default());
    }
    text.push_str(&line("last price", &last(said)));
    for outage in &said.outages {
        text.push_str(&line("feed", &format!("{}: {} since {}", outage.feed, outage.reason, outage.since)));
    }
    if let Some(remark) = &said.remark {
        text.push_str(&line("last remark", &format!("{} at {}", remark.what, remark.at)));
    }
    text
}

fn last(said: &Explanation) -> String {
    let (Some(last), Some(at)) = (said.last, said.last_at) else { return "none recorded".to_owned() };
    let distance = match said.ticks_to_go {
        Some(ticks @ 1..) => format!(", {ticks} ticks before the threshold"),
        Some(ticks) => format!(", {} ticks beyond the threshold", ticks.unsigned_abs()),
        None => String::new(),
    };
    format!("{} at {at}{distance}", last.grouped())
}

fn told(level: &str, then: &Then) -> String {
    let mut text = format!("{level} at {}: {}\n", then.at, then.state);
    for (name, events) in [("before", &then.before), ("after", &then.after)] {
        if events.is_empty() {
            text.push_str(&line(name, "no event"));
        }
        for event in events {
            let price = event.price.map(|px| format!(" at {}", px.grouped())).unwrap_or_default();
            text.push_str(&line(
                name,
                &format!("{} {}{price} ({})", event.occurred_at, event.kind, event.reason),
            ));
        }
    }
    for unwatched in &then.unwatched {
        let until = unwatched.until.map_or_else(|| "now".to_owned(), |until| until.to_string());
        let words = if unwatched.what.starts_with(Kind::FeedQuarantined.as_str()) {
            "a print was doubted"
        } else {
            "nobody watched"
        };
        text.push_str(&line(
            "feed",
            &format!("{words} from {} to {until}: {}", unwatched.from, unwatched.what),
        ));
    }
    text
}
