//! From ticks to the ledger: drains what the feeds hand on, lets the engine decide, and commits what it
//! established in one transaction before anybody is told.
//!
//! The only task that touches the engine. It never waits for a peer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use crate::daemon::bell::Bells;
use crate::daemon::chain::Chain;
use crate::daemon::clock::Clock;
use crate::daemon::past;
use crate::daemon::pulse::Pulse;
use crate::daemon::rules::{News, Rules};
use crate::engine::report::Last;
use crate::engine::saved::SavedError;
use crate::engine::{Engine, Input, Step};
use crate::event::{Event, Reason, Severity};
use crate::market::tick::Item;
use crate::outbox::group;
use crate::outbox::route::Router;
use crate::store::Store;
use crate::store::commit::{Commit, NewDelivery};
use crate::store::error::StoreError;
use crate::time::Timestamp;

/// The last price of every instrument, for whoever looks.
pub type Lasts = Vec<Last>;

/// Batches that may wait for the engine, per process. When full, ingest waits, and TCP carries it back.
pub const QUEUE_BATCHES: usize = 256;
/// At most so many batches become one transaction.
const BATCHES_AT_ONCE: usize = 64;
/// How far the prints were read is saved at least so often.
const FLUSH_EVERY: Duration = Duration::from_secs(5);
/// Levels that were added or removed beside the configuration file are looked for so often.
const RULES_EVERY: Duration = Duration::from_secs(2);
/// While nothing can be recorded, it is tried again so often.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// So many remarks are said one by one.
const REMARKS_SAID: usize = 100;
/// While nothing can be recorded, the feeds are held back from here on.
const UNRECORDED_MAX: usize = 100_000;

/// So many events of one step are logged one by one.
const SAID_MAX: usize = 100;

/// Why watching ended.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The ledger is damaged or gone.
    #[error("the ledger cannot be written")]
    Store(#[source] StoreError),
    /// A state has no text.
    #[error("the engine's state cannot be saved")]
    Saved(#[from] SavedError),
}

/// Everything the task works with.
#[derive(Debug)]
pub struct Watch {
    /// Decides.
    pub engine: Engine,
    /// Remembers.
    pub store: Arc<Store>,
    /// Says who is told.
    pub router: Router,
    /// The recipients of each channel.
    pub targets: BTreeMap<String, Vec<String>>,
    /// Wakes the channels.
    pub bells: Bells,
    /// Says how late it is.
    pub clock: Clock,
    /// Shows that this task makes progress.
    pub pulse: Pulse,
    /// How far the prints were read, as it was last recorded.
    pub recorded: BTreeMap<String, String>,
    /// The levels beside the configuration file.
    pub rules: Rules,
    /// What taking up the past established.
    pub begun: Step,
    /// Shows the last prices to whoever looks.
    pub lasts: tokio::sync::watch::Sender<Lasts>,
}

impl Watch {
    /// Works until every feed has ended and everything is recorded.
    ///
    /// # Errors
    /// When the ledger is damaged or gone: the process must end, since nothing it says would be true.
    pub async fn run(mut self, mut items: mpsc::Receiver<Vec<Item>>) -> Result<(), WatchError> {
        let mut batches = Vec::with_capacity(BATCHES_AT_ONCE);
        let mut step = std::mem::take(&mut self.begun);
        let (mut said, mut troubled) = (0, false);
        let mut flushed = self.clock.monotonic();
        let mut looked = flushed;
        loop {
            let open = self.gather(&mut items, &mut batches, &step, (flushed, looked), troubled).await;
            for item in batches.drain(..).flatten() {
                self.engine.handle(&Input::Item(item), &mut step);
            }
            self.engine.handle(&Input::Clock(self.clock.now()), &mut step);
            said = self.say(&mut step, said);
            let due = self.clock.monotonic().saturating_sub(flushed) >= FLUSH_EVERY;
            if !step.is_empty() || !step.recall.is_empty() || due || !open {
                match self.record(&mut step).await {
                    Ok(()) => {
                        if std::mem::take(&mut troubled) {
                            info!("the ledger can be written again");
                        }
                        let recall = std::mem::take(&mut step.recall);
                        (step, said) = (Step::default(), 0);
                        self.recall(recall, &mut step).await?;
                        flushed = self.clock.monotonic();
                    }
                    Err(WatchError::Store(source)) if open && source.is_passing() => {
                        if !std::mem::replace(&mut troubled, true) {
                            error!(error = %Chain(&source), "the ledger cannot be written; trying again");
                        }
                    }
                    Err(source) => return Err(source),
                }
            }
            let now = self.clock.monotonic();
            if step.is_empty() && now.saturating_sub(looked) >= RULES_EVERY {
                looked = now;
                self.take_up_rules(&mut step).await?;
            }
            self.pulse.beat();
            if !self.lasts.is_closed() {
                self.lasts.send_replace(self.engine.lasts());
            }
            if !open {
                return Ok(());
            }
        }
    }

    /// Waits for ticks, a deadline of the engine, or the time to flush or to look for rules. Returns whether feeds
    /// are still open.
    async fn gather(
        &self,
        items: &mut mpsc::Receiver<Vec<Item>>,
        batches: &mut Vec<Vec<Item>>,
        step: &Step,
        (flushed, looked): (Duration, Duration),
        troubled: bool,
    ) -> bool {
        let flush = if troubled {
            self.clock.monotonic().saturating_add(RETRY_EVERY)
        } else {
            flushed.saturating_add(FLUSH_EVERY).min(looked.saturating_add(RULES_EVERY))
        };
        let deadline = self.engine.deadline().map(|at| self.clock.monotonic_at(at));
        let wake = self.clock.instant_at(deadline.map_or(flush, |deadline| deadline.min(flush)));
        if step.events.len() >= UNRECORDED_MAX {
            tokio::time::sleep_until(wake).await;
            return true;
        }
        tokio::select! {
            biased;
            n = items.recv_many(batches, BATCHES_AT_ONCE) => n > 0,
            () = tokio::time::sleep_until(wake) => true,
        }
    }

    /// Levels that were added or removed beside the configuration file.
    async fn take_up_rules(&mut self, step: &mut Step) -> Result<(), WatchError> {
        match self.news_of_rules(step).await {
            Err(source) if source.is_passing() => {
                warn!(error = %Chain(&source), "changed levels cannot be read; trying again");
                Ok(())
            }
            done => done.map_err(WatchError::Store),
        }
    }

    async fn news_of_rules(&mut self, step: &mut Step) -> Result<(), StoreError> {
        let Some(News { removed, added }) = self.rules.news(self.store.history()).await? else {
            return Ok(());
        };
        let gone = self.engine.remove(&removed);
        let before: Vec<_> = (0..self.engine.book_count()).map(|book| self.engine.wanted(book)).collect();
        let count = added.len();
        for rule in added {
            self.engine.add(rule);
        }
        for book in 0..self.engine.book_count() {
            let now = self.engine.wanted(book);
            if now.is_some() && before.get(book) != Some(&now) {
                step.recall.insert(book);
            }
        }
        info!(removed = removed.len(), added = count, "levels changed");
        if !gone.is_empty() {
            self.store.delete_levels(&gone).await?;
        }
        Ok(())
    }

    /// Events, who is told, and every state they rest on: one transaction.
    async fn record(&mut self, step: &mut Step) -> Result<(), WatchError> {
        let mut read = self.engine.saved_books()?;
        read.retain(|book| self.recorded.get(&book.key) != Some(&book.state));
        let (bars, days) = past::stored(&self.engine, step);
        if step.is_empty() && read.is_empty() && bars.is_empty() && days.is_empty() {
            // A closed market writes nothing.
            return Ok(());
        }
        let levels = self.engine.saved_levels(step)?;
        let now = self.clock.wall();
        let (digests, deliveries) = deliveries(&step.events, &self.router, &self.targets, now);
        let established = step.events.len();
        step.events.extend(digests);
        let commit = Commit {
            events: &step.events,
            deliveries: &deliveries,
            levels: &levels,
            books: &read,
            bars: &bars,
            days: &days,
            committed_at: now,
        };
        let new = self.store.commit(&commit).await;
        // What has to be tried again may have grown by then, and its digests with it.
        step.events.truncate(established);
        let new = new.map_err(WatchError::Store)?;
        self.recorded.extend(read.into_iter().map(|book| (book.key, book.state)));
        self.engine.saved();
        if !new.is_empty() {
            self.bells.ring(deliveries.iter().map(|delivery| delivery.channel.as_str()));
        }
        Ok(())
    }

    /// A contract is in force whose own past the engine does not know.
    async fn recall(&mut self, books: BTreeSet<usize>, step: &mut Step) -> Result<(), WatchError> {
        for book in books {
            let now = self.clock.now();
            let taught = past::teach(&mut self.engine, book, self.store.history(), now, step).await;
            taught.map_err(WatchError::Store)?;
        }
        Ok(())
    }

    /// What happened, for the log; the first `said` events were said before. Returns how many are said now.
    fn say(&self, step: &mut Step, said: usize) -> usize {
        for (reason, count) in std::mem::take(&mut step.dropped) {
            warn!(%reason, count, "updates were not believed");
        }
        let remarks = std::mem::take(&mut step.remarks);
        for (level, at, remark) in remarks.iter().take(REMARKS_SAID) {
            info!(level = self.engine.level_name(*level), %at, remark = remark.as_str(), "remark");
        }
        if remarks.len() > REMARKS_SAID {
            info!(count = remarks.len(), "remarks, of which the first were said");
        }
        say_events(step.events.get(said..).unwrap_or_default());
        step.events.len()
    }
}

/// The digests of `events`, and one delivery for each recipient of each channel that is told of an event or
/// digest.
#[must_use]
pub fn deliveries(
    events: &[Event],
    router: &Router,
    targets: &BTreeMap<String, Vec<String>>,
    due_at: Timestamp,
) -> (Vec<Event>, Vec<NewDelivery>) {
    let telling = group::telling(events, router);
    let mut deliveries = Vec::new();
    for (channel, event) in telling.told {
        for target in targets.get(channel).into_iter().flatten() {
            let (event, channel, target) = (event.clone(), channel.to_owned(), target.clone());
            deliveries.push(NewDelivery { event, channel, target, due_at });
        }
    }
    (telling.digests, deliveries)
}

/// The first events, and those for which a person must act.
fn say_events(events: &[Event]) {
    let (first, rest) = events.split_at_checked(SAID_MAX).unwrap_or((events, &[]));
    first.iter().for_each(say_event);
    let grave = |event: &&Event| event.severity == Severity::Critical && event.level.is_none();
    rest.iter().filter(grave).for_each(say_event);
    if !rest.is_empty() {
        info!(count = rest.len(), "more events at once; the ledger has them all");
    }
}

fn say_event(event: &Event) {
    let (kind, reason, id) = (event.kind, event.reason, &event.id);
    let level = event.level.as_deref().unwrap_or_default();
    let price = event.price.map(|price| price.to_string()).unwrap_or_default();
    match event.severity {
        Severity::Critical if reason == Reason::Refused => error!(%id, %kind, %reason, "event"),
        Severity::Critical => warn!(%id, %kind, %reason, level, price, "event"),
        Severity::Info | Severity::Normal | Severity::High => {
            info!(%id, %kind, %reason, level, price, "event")
        }
    }
}
