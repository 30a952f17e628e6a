//! Puts the tasks together, runs them, and takes them down in order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use thiserror::Error;
use tokio::sync::{mpsc, watch as channel};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::daemon::bell::Bells;
use crate::daemon::care::{self, Keep};
use crate::daemon::clock::Clock;
use crate::daemon::dispatch::{Dispatch, DispatchError, Post};
use crate::daemon::ingest::{self, FeedDriver, IngestError};
use crate::daemon::notify;
use crate::daemon::past;
use crate::daemon::pulse::{Pulse, Pulses};
use crate::daemon::rules::Rules;
use crate::daemon::watch::{QUEUE_BATCHES, Watch, WatchError};
use crate::daemon::words::Words;
use crate::deliver::{Channel, DeliverError, Settings};
use crate::engine::saved::SavedError;
use crate::engine::{Engine, Setup, Step, report::Last};
use crate::market::tick::Item;
use crate::outbox::calm::Calm;
use crate::outbox::message::template::Templates;
use crate::outbox::retry::Schedule;
use crate::outbox::route::Router;
use crate::store::Store;
use crate::store::error::StoreError;

/// What is in hand when the daemon stops may take so long, feeds and channels each.
const GRACE: Duration = Duration::from_secs(4);
/// The engine's task comes round at least so often.
const WATCH_WITHIN: Duration = Duration::from_secs(20);
/// Beyond its own timeouts a channel's task comes round within so long.
const DISPATCH_WITHIN: Duration = Duration::from_secs(120);

/// Everything that a run needs, checked and with its secrets read.
#[derive(Debug)]
pub struct Plan {
    /// What the engine works on.
    pub setup: Setup,
    /// Reads the levels beside the configuration file.
    pub rules: Rules,
    /// Connections to venues.
    pub feeds: Vec<FeedDriver>,
    /// Channels by name, and how much each tells at once.
    pub channels: Vec<(String, Settings, Calm)>,
    /// In which words each channel tells.
    pub templates: BTreeMap<String, Templates>,
    /// Who is told what.
    pub router: Router,
    /// When to try again.
    pub schedule: Schedule,
    /// The ledger.
    pub database: PathBuf,
    /// How long events and bars are kept.
    pub keep: Keep,
}

/// Why a run could not begin, or ended early.
#[derive(Debug, Error)]
pub enum RunError {
    /// The ledger cannot be opened or read.
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    /// A saved state is damaged.
    #[error("cannot take up where the last run ended")]
    Saved(#[from] SavedError),
    /// A channel cannot be set up.
    #[error("channel {name:?} cannot be used")]
    Channel {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: DeliverError,
    },
    /// The task that decides ended.
    #[error("watching ended")]
    Watch(#[from] WatchError),
    /// A task that sends ended.
    #[error("dispatching ended")]
    Dispatch(#[from] DispatchError),
    /// A task that receives ended.
    #[error("a feed ended")]
    Ingest(#[from] IngestError),
    /// A task ended without an error, or panicked.
    #[error("a task ended that should not have")]
    Task(#[source] Option<JoinError>),
}

impl RunError {
    /// Whether it is a defect rather than a failure of the world outside.
    #[must_use]
    pub const fn is_defect(&self) -> bool {
        matches!(self, Self::Task(_))
    }
}

/// How a task ended.
type Ended = Result<(), RunError>;

/// Runs everything until `stop` is cancelled, and then takes it down: feeds first, then the engine, then the
/// channels. `lasts` receives the last prices for whoever wants to look.
///
/// # Errors
/// When the run cannot begin, or a task ends early: then nothing of what the daemon says could be relied on.
pub async fn run(
    plan: Plan,
    clock: Clock,
    lasts: channel::Sender<Vec<Last>>,
    stop: CancellationToken,
) -> Result<(), RunError> {
    let store = Arc::new(Store::open(&plan.database).await?);
    let unknown = store.recover(clock.wall()).await?;
    if !unknown.is_empty() {
        warn!(count = unknown.len(), "attempts whose answer is unknown are made again, with the same ids");
    }
    let (mut setup, mut rules) = (plan.setup, plan.rules);
    setup.rules.extend(rules.begin(&store).await?);
    let (engine, begun) = restored(setup, &store, &clock).await?;
    let channels = open(plan.channels)?;
    let post = Post {
        store: Arc::clone(&store),
        router: plan.router,
        targets: channels.iter().map(|(name, channel, _)| (name.clone(), channel.targets())).collect(),
        bells: Bells::new(channels.iter().map(|(name, ..)| name.as_str())),
        schedule: plan.schedule,
        clock: clock.clone(),
        zone: chicago(),
    };
    let mut crew = Crew::new(clock);
    crew.feed((engine, rules, begun), plan.feeds, &post, lasts);
    crew.send(channels, plan.templates, &post);
    crew.care(Arc::clone(&store), plan.keep);
    let result = crew.work(stop).await;
    store.close().await;
    result
}

async fn restored(setup: Setup, store: &Store, clock: &Clock) -> Result<(Engine, Step), RunError> {
    let (levels, books) = store.load().await?;
    let mut engine = Engine::new(setup);
    let gone = engine.restore(&levels, &books, clock.now())?;
    if !gone.is_empty() {
        info!(levels = gone.join(", "), "no longer in the configuration");
        store.delete_levels(&gone).await?;
    }
    let mut step = Step::default();
    for book in 0..engine.book_count() {
        past::teach(&mut engine, book, store.history(), clock.now(), &mut step).await?;
    }
    Ok((engine, step))
}

/// All tasks, by the order in which they are taken down.
struct Crew {
    clock: Clock,
    pulses: Vec<Pulse>,
    /// Feeds, and the engine that they fill.
    feeding: JoinSet<Ended>,
    close_feeds: CancellationToken,
    /// Keeps the engine's queue open when there is no feed: its timers still run.
    open: Option<mpsc::Sender<Vec<Item>>>,
    /// Channels, and what looks after the ledger.
    sending: JoinSet<Ended>,
    close_channels: CancellationToken,
}

impl Crew {
    fn new(clock: Clock) -> Self {
        Self {
            clock,
            pulses: Vec::new(),
            feeding: JoinSet::new(),
            close_feeds: CancellationToken::new(),
            open: None,
            sending: JoinSet::new(),
            close_channels: CancellationToken::new(),
        }
    }

    fn feed(
        &mut self,
        (engine, rules, begun): (Engine, Rules, Step),
        feeds: Vec<FeedDriver>,
        post: &Post,
        lasts: channel::Sender<Vec<Last>>,
    ) {
        let (sender, items) = mpsc::channel(QUEUE_BATCHES);
        self.open = feeds.is_empty().then(|| sender.clone());
        for feed in feeds {
            self.pulses.push(feed.pulse.clone());
            let (sender, stop) = (sender.clone(), self.close_feeds.clone());
            self.feeding.spawn(async move { Ok(ingest::run(feed, sender, stop).await?) });
        }
        let watch = Watch {
            engine,
            store: Arc::clone(&post.store),
            router: post.router.clone(),
            targets: post.targets.clone(),
            bells: post.bells.clone(),
            clock: self.clock.clone(),
            pulse: pulse(&mut self.pulses, "watch", WATCH_WITHIN),
            recorded: BTreeMap::new(),
            rules,
            begun,
            lasts,
        };
        self.feeding.spawn(async move { Ok(watch.run(items).await?) });
    }

    fn send(
        &mut self,
        channels: Vec<(String, Channel, Calm)>,
        mut templates: BTreeMap<String, Templates>,
        post: &Post,
    ) {
        for (name, channel, calm) in channels {
            let pulse = pulse(&mut self.pulses, &name, DISPATCH_WITHIN);
            let words = Words::new(templates.remove(&name).unwrap_or_default());
            let dispatch = Dispatch { name, channel, calm, words, post: post.clone(), pulse };
            let stop = self.close_channels.clone();
            self.sending.spawn(async move { Ok(dispatch.run(stop).await?) });
        }
    }

    fn care(&mut self, store: Arc<Store>, keep: Keep) {
        let care = care::run(store, keep, self.clock.clone(), self.close_channels.clone());
        self.sending.spawn(async move {
            care.await;
            Ok(())
        });
    }

    async fn work(mut self, stop: CancellationToken) -> Ended {
        let pulses = Pulses::new(std::mem::take(&mut self.pulses), self.clock.monotonic());
        let watchdog = notify::watchdog(pulses, self.clock.clone(), stop);
        notify::ready("watching");
        info!("ready");
        let early = tokio::select! {
            biased;
            // The watchdog ends when it is told to stop.
            () = watchdog => None,
            ended = self.feeding.join_next() => Some(ended_early(ended)),
            ended = self.sending.join_next() => Some(ended_early(ended)),
        };
        notify::stopping();
        self.close_feeds.cancel();
        self.open = None;
        let fed = finish(&mut self.feeding, "feeds and engine", &self.clock).await;
        self.close_channels.cancel();
        let sent = finish(&mut self.sending, "channels", &self.clock).await;
        early.map_or(Ok(()), Err).and(fed).and(sent)
    }
}

fn pulse(pulses: &mut Vec<Pulse>, name: &str, within: Duration) -> Pulse {
    let pulse = Pulse::new(name, within);
    pulses.push(pulse.clone());
    pulse
}

fn open(channels: Vec<(String, Settings, Calm)>) -> Result<Vec<(String, Channel, Calm)>, RunError> {
    let open = |(name, settings, calm)| match Channel::open(settings) {
        Ok(channel) => Ok((name, channel, calm)),
        Err(source) => Err(RunError::Channel { name, source }),
    };
    channels.into_iter().map(open).collect()
}

fn ended_early(ended: Option<Result<Ended, JoinError>>) -> RunError {
    match ended {
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => RunError::Task(Some(error)),
        Some(Ok(Ok(()))) | None => RunError::Task(None),
    }
}

/// Waits for tasks that were told to end, and ends those that do not.
async fn finish(tasks: &mut JoinSet<Ended>, what: &str, clock: &Clock) -> Ended {
    let deadline = clock.instant_at(clock.monotonic().saturating_add(GRACE));
    let mut result = Ok(());
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(RunError::Task(Some(error))));
            if result.is_ok() {
                result = ended;
            }
        }
    };
    if tokio::time::timeout_at(deadline, all).await.is_err() {
        warn!(what, "did not end in time; what was not sent is in the outbox");
        tasks.shutdown().await;
    }
    result
}

/// The exchange's zone.
#[must_use]
pub fn chicago() -> TimeZone {
    TimeZone::get("America/Chicago").unwrap_or(TimeZone::UTC)
}
