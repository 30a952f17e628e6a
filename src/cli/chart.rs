//! `breakwatch chart`: one level among the prices of the last hours, as a picture.
//!
//! It reads the configuration and the database, and changes neither.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::chart::png::png;
use crate::chart::{Chart, Level, Mark};
use crate::cli::events::of_store;
use crate::cli::explain::{engine, open, rule_of};
use crate::cli::output::print;
use crate::cli::{CliError, Exit, load, runtime};
use crate::config::Config;
use crate::daemon::clock::Clock;
use crate::daemon::rules::Rules;
use crate::daemon::{picture, start};
use crate::engine::explain::Explanation;
use crate::event::{Event, Kind, Space};
use crate::market::bar::Bar;
use crate::market::price::{Price, TickSize};
use crate::store::history::{EventFilter, History};
use crate::time::Timestamp;

/// The picture's width in pixels: twice its units.
const WIDTH: u32 = 1_440;
/// Without prices in the hours that were asked for, the newest ones are looked for so far back.
const LOOK_BACK: Duration = Duration::from_secs(35 * 86_400);
/// At most a year.
const HOURS_MAX: i64 = 366 * 24;

/// Draw a level among the prices of the last hours.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: breakwatch chart 2500 --hours 12 --out 2500.png")]
pub struct Args {
    /// The level's name
    level: String,
    /// Where the picture goes: a name that ends in .svg or .png, or - for SVG on standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// So many hours are seen
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=HOURS_MAX))]
    hours: u32,
    /// The last moment that is seen (RFC 3339) [default: now, or the newest recorded price]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// In which form the picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Printed,
    Svg,
    Png,
}

/// Runs the command.
///
/// # Errors
/// When the file's name says no form, the configuration or the database cannot be read, no level has this name, or
/// the file cannot be written.
pub fn main(path: Option<&Path>, args: &Args) -> Result<Exit, CliError> {
    let form = form(&args.out)?;
    let config = load(path)?;
    let svg = runtime()?.block_on(chart(config, args))?.svg();
    let written = match form {
        Form::Printed => return print(&svg),
        Form::Svg => std::fs::write(&args.out, &svg),
        Form::Png => std::fs::write(&args.out, pixels(&svg)?),
    };
    written.map_err(|source| CliError::io(format!("cannot write {}", args.out.display()), source))?;
    Ok(Exit::Ok)
}

fn form(out: &Path) -> Result<Form, CliError> {
    let ending = out.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        _ if out == Path::new("-") => Ok(Form::Printed),
        Some("svg") => Ok(Form::Svg),
        Some("png") => Ok(Form::Png),
        Some(_) | None => {
            let out = out.display();
            Err(CliError::Usage(format!("--out {out}: the name must end in .svg or .png, or be - for SVG")))
        }
    }
}

fn pixels(svg: &str) -> Result<Vec<u8>, CliError> {
    png(svg, WIDTH).map_err(|source| CliError::Software {
        what: "the picture cannot be drawn".into(),
        source: source.into(),
    })
}

async fn chart(mut config: Config, args: &Args) -> Result<Chart, CliError> {
    let history = open(&config.storage.path).await?;
    if let Some(history) = &history {
        // Levels beside the file.
        let news = Rules::new(&config).news(history).await.map_err(of_store)?;
        config.levels.extend(news.into_iter().flat_map(|news| news.added));
    }
    let (id, pinned) = rule_of(&config, &args.level).map(|rule| (rule.instrument, rule.contract))?;
    let now = Clock::real().wall();
    let engine = engine(&config, history.as_ref()).await?;
    let instrument = config
        .instruments
        .get(id.index())
        .ok_or_else(|| CliError::Usage(format!("level {:?} has no instrument", args.level)))?;
    let own = engine.explain(&args.level, now);
    let then = args.at.and_then(|at| pinned.or_else(|| instrument.front(at)));
    let then = then.map(|month| instrument.symbol(month).to_string());
    let scene = Scene {
        name: &args.level,
        root: instrument.root.to_string(),
        contract: then.or_else(|| own.first().and_then(|said| said.contract.clone())),
        tick: instrument.tick,
        all: engine.explain_all(now),
        own,
    };
    let chart = scene.chart(args, history.as_ref(), now).await;
    if let Some(history) = history {
        history.close().await;
    }
    chart
}

/// What is known without looking at prices.
struct Scene<'a> {
    name: &'a str,
    root: String,
    /// The contract that is in force, or was at the moment that is looked at.
    contract: Option<String>,
    tick: TickSize,
    /// Every level.
    all: Vec<Explanation>,
    /// The level itself: its halves, or the round numbers of its rule.
    own: Vec<Explanation>,
}

impl Scene<'_> {
    async fn chart(&self, args: &Args, history: Option<&History>, now: Timestamp) -> Result<Chart, CliError> {
        let span = Duration::from_secs(u64::from(args.hours).saturating_mul(3_600));
        let contract = self.contract.as_deref();
        let mut until = args.at.unwrap_or(now);
        let (mut bars, mut events) = (Vec::new(), Vec::new());
        if let Some(history) = history {
            bars = self.bars(history, contract, (until.saturating_sub(span), until)).await?;
            if bars.is_empty() && args.at.is_none() {
                let newest = self.bars(history, contract, (now.saturating_sub(LOOK_BACK), now)).await?;
                until = newest.last().map_or(until, Bar::end);
                bars = newest.into_iter().filter(|bar| bar.start >= until.saturating_sub(span)).collect();
            }
            events = self.events(history, until).await?;
        }
        let zone = start::chicago();
        let last = self.last(args.at.is_none(), &bars);
        until = last.map_or(until, |(at, _)| at.max(until));
        let newest = last.map(|(_, price)| price).or_else(|| bars.last().map(|bar| bar.close));
        let place = self.place(&events, args.at, newest);
        let from = until.saturating_sub(span);
        Ok(Chart {
            title: self.title(place),
            subtitle: picture::subtitle(contract, until, &zone, false),
            bars,
            last,
            levels: self.levels(place),
            marks: marks(&events, from),
            from,
            until,
            zone,
            tick: self.tick,
        })
    }

    async fn bars(
        &self,
        history: &History,
        contract: Option<&str>,
        range: (Timestamp, Timestamp),
    ) -> Result<Vec<Bar>, CliError> {
        picture::bars(history, &self.root, contract, range).await.map_err(of_store)
    }

    /// What was recorded of the level until a moment, oldest first.
    async fn events(&self, history: &History, until: Timestamp) -> Result<Vec<Event>, CliError> {
        let filter = EventFilter {
            level: Some(self.name.to_owned()),
            instrument: Some(self.root.clone()),
            ..EventFilter::default()
        };
        let events = history.events(&filter).await.map_err(of_store)?;
        let events = events.into_iter().map(|stored| stored.event);
        Ok(events.filter(|event| event.occurred_at <= until).collect())
    }

    /// The newest price, when the daemon has recorded one since the last bar.
    fn last(&self, is_now: bool, bars: &[Bar]) -> Option<(Timestamp, Price)> {
        let said = self.own.first().filter(|_| is_now)?;
        let newest = bars.last().map_or(Timestamp::MIN, Bar::end);
        said.last_at.zip(said.last.map(|px| px.price)).filter(|(at, _)| *at >= newest)
    }

    /// Where the level lies, or lay at a moment as far as the history tells. Of several that have its name it is
    /// the one nearest to the price.
    fn place(&self, events: &[Event], at: Option<Timestamp>, newest: Option<Price>) -> Option<Price> {
        let then = || events.iter().rev().find_map(picture::in_contract);
        let places = self.own.iter().filter_map(|said| said.in_contract).map(|px| px.price);
        let away = |price: &Price| newest.map(|newest| price.minus(newest).abs());
        let now = || places.min_by_key(away);
        at.and_then(|_| then()).or_else(now)
    }

    fn title(&self, place: Option<Price>) -> String {
        let side = self.own.first().map_or("level", |said| said.side.as_str());
        let Some(place) = place else { return format!("{}: not placed yet", self.name) };
        let price = place.grouped(self.tick.decimals());
        match picture::shown_name(self.name, place, None) {
            Some(name) => format!("{name}: {side} at {price}"),
            None => format!("{} {side} at {price}", self.root),
        }
    }

    fn levels(&self, place: Option<Price>) -> Vec<Level> {
        let is_own = |said: &Explanation| self.own.iter().any(|own| own.name == said.name);
        let own = self.own.first().zip(place).map(|(said, price)| Level {
            name: named(said, self.name, price),
            price,
            side: said.side,
            highlighted: true,
        });
        let others = self.all.iter().filter(|said| said.instrument == self.root);
        let others = others.filter(|said| !is_own(said) || said.in_contract.map(|px| px.price) != place);
        let others = others.filter_map(|said| {
            let price = said.in_contract?.price;
            Some(Level { name: named(said, &said.name, price), price, side: said.side, highlighted: false })
        });
        own.into_iter().chain(others).collect()
    }
}

fn named(said: &Explanation, name: &str, price: Price) -> Option<String> {
    picture::shown_name(name, price, said.in_index.filter(|_| said.space == Space::Index))
}

/// The events that are seen. The picture is about the last break, or else about the last event.
fn marks(events: &[Event], from: Timestamp) -> Vec<Mark> {
    let seen: Vec<&Event> = events.iter().filter(|event| event.occurred_at >= from).collect();
    let has_mark = |event: &&&Event| picture::mark(event, false).is_some();
    let broke = seen.iter().rev().find(|event| event.kind == Kind::LevelBroken);
    let main = broke.or_else(|| seen.iter().rev().find(has_mark)).map(|event| &event.id);
    seen.iter().filter_map(|event| picture::mark(event, main == Some(&event.id))).collect()
}
