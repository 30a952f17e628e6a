//! One task per channel: takes what is due from the outbox, attempts it, and settles the row.
//!
//! A channel that hangs or fails never delays another one. What an answer means for the row is decided by
//! `outbox::retry`; this task only carries it out.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::daemon::bell::Bells;
use crate::daemon::chain::Chain;
use crate::daemon::clock::Clock;
use crate::daemon::health::Health;
use crate::daemon::pulse::Pulse;
use crate::daemon::watch::deliveries;
use crate::deliver::{Channel, Letter};
use crate::event::Event;
use crate::outbox::Outcome;
use crate::outbox::message::{Context, Message};
use crate::outbox::retry::{Decision, Schedule};
use crate::outbox::route::Router;
use crate::store::Store;
use crate::store::commit::Commit;
use crate::store::delivery::{Due, Settled};
use crate::store::error::StoreError;

/// The outbox is looked into at least so often, whatever bells were missed.
pub const POLL_EVERY: Duration = Duration::from_secs(2);
/// Taken from the outbox at once.
const CLAIM_AT_ONCE: u32 = 16;
/// While the ledger cannot be read or written, it is tried again so often.
const TROUBLE_EVERY: Duration = Duration::from_secs(1);
/// A message is late when it is sent so long after the fact.
const LATE_AFTER: Duration = Duration::from_secs(5);

/// Why dispatching ended.
#[derive(Debug, Error)]
pub enum DispatchError {
    /// The ledger is damaged or gone.
    #[error("the outbox of channel {channel:?} cannot be used")]
    Store {
        /// Which channel.
        channel: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

/// Everything that all channels share.
#[derive(Clone, Debug)]
pub struct Post {
    /// The outbox.
    pub store: Arc<Store>,
    /// For telling one channel's trouble through the others.
    pub router: Router,
    /// The recipients of each channel.
    pub targets: std::collections::BTreeMap<String, Vec<String>>,
    /// Wakes the channels.
    pub bells: Bells,
    /// When to try again, and when to give up.
    pub schedule: Schedule,
    /// Says how late it is.
    pub clock: Clock,
    /// In which zone times are told.
    pub zone: TimeZone,
}

/// One channel at work.
#[derive(Debug)]
pub struct Dispatch {
    /// Its name.
    pub name: String,
    /// Makes one attempt.
    pub channel: Channel,
    /// What all channels share.
    pub post: Post,
    /// Shows that this task makes progress.
    pub pulse: Pulse,
}

impl Dispatch {
    /// Works until told to stop; ends the attempt in hand first.
    ///
    /// # Errors
    /// When the ledger is damaged or gone.
    pub async fn run(self, stop: CancellationToken) -> Result<(), DispatchError> {
        let bell = self.post.bells.of(&self.name);
        let mut health = Health::new(&self.name);
        let mut paused_until = Duration::ZERO;
        while !stop.is_cancelled() {
            self.pulse.beat();
            let now = self.post.clock.monotonic();
            let pause = if now < paused_until {
                paused_until.saturating_sub(now)
            } else {
                match self.round(&mut health, &stop).await {
                    Ok(Round::Paused(pause)) => {
                        paused_until = self.post.clock.monotonic().saturating_add(pause);
                        pause
                    }
                    Ok(Round::More) => continue,
                    Ok(Round::Idle(pause)) => pause,
                    Err(source) if source.is_passing() => {
                        error!(channel = self.name, error = %Chain(&source), "the outbox cannot be used; trying again");
                        TROUBLE_EVERY
                    }
                    Err(source) => return Err(DispatchError::Store { channel: self.name, source }),
                }
            };
            self.rest(&bell, pause, now < paused_until, &stop).await;
        }
        Ok(())
    }

    /// Waits for the bell, the next delivery that is due, or the next look into the outbox.
    async fn rest(&self, bell: &Notify, pause: Duration, deaf: bool, stop: &CancellationToken) {
        let clock = &self.post.clock;
        let until = clock.instant_at(clock.monotonic().saturating_add(pause.min(POLL_EVERY)));
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = bell.notified(), if !deaf => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// Everything that is due now, as far as one look goes.
    async fn round(&self, health: &mut Health, stop: &CancellationToken) -> Result<Round, StoreError> {
        let post = &self.post;
        let due = post.store.claim(&self.name, post.clock.wall(), CLAIM_AT_ONCE).await?;
        if due.is_empty() {
            let next = post.store.next_due(&self.name).await?;
            return Ok(Round::Idle(next.map_or(POLL_EVERY, |next| next.since(post.clock.wall()))));
        }
        for delivery in &due {
            if stop.is_cancelled() {
                return Ok(Round::Idle(Duration::ZERO));
            }
            self.pulse.beat();
            if let Some(pause) = self.deliver(delivery, health).await? {
                return Ok(Round::Paused(pause));
            }
        }
        Ok(Round::More)
    }

    /// One attempt, from its record to its end. Returns how long the channel pauses, if it must.
    async fn deliver(&self, due: &Due, health: &mut Health) -> Result<Option<Duration>, StoreError> {
        let post = &self.post;
        let context = Context {
            zone: post.zone.clone(),
            first_in_thread: due.first_in_thread.clone(),
            attempted_at: post.clock.now(),
            late_after: LATE_AFTER.mul_f64(post.clock.speed()),
            url: None,
            test: false,
        };
        let message = Message::render(&due.event, &context);
        let attempt = post.store.begin_attempt(due.id, post.clock.wall()).await?;
        let letter = Letter {
            event: &due.event,
            message: &message,
            target: &due.target,
            first_in_thread: due.first_in_thread.as_ref(),
            sent_at: post.clock.wall(),
        };
        let outcome = self.channel.attempt(&letter).await;
        let ended = post.clock.wall();
        let jitter = post.clock.random_ppm();
        let decision = post.schedule.decide(attempt, due.created_at, ended, &outcome, jitter);
        let (settled, pause) = match &decision {
            Decision::Delivered => (Settled::Delivered, None),
            Decision::Retry { at } => (Settled::Retry { due_at: *at }, None),
            Decision::Dead { .. } => (Settled::Dead, None),
            Decision::PauseChannel { retry_at } => {
                (Settled::Retry { due_at: *retry_at }, Some(retry_at.since(ended)))
            }
        };
        post.store.settle(due.id, attempt, &outcome, ended, settled).await?;
        self.say(due, attempt, &outcome, &decision);
        if let Some(event) = health.after(&outcome, settled, post.clock.now()) {
            self.tell(event).await?;
        }
        Ok(pause)
    }

    fn say(&self, due: &Due, attempt: u32, outcome: &Outcome, decision: &Decision) {
        let (id, channel, target) = (&due.event.id, &self.name, &due.target);
        match (decision, outcome) {
            (Decision::Delivered, Outcome::Accepted { receipt }) => {
                let real = self.post.clock.real_since(due.event.occurred_at);
                info!(%id, channel, target, attempt, receipt, after = ?real, "delivered");
            }
            (Decision::Dead { .. }, _) => error!(%id, channel, target, attempt, ?outcome, "given up"),
            (Decision::PauseChannel { .. }, _) => debug!(%id, channel, target, ?outcome, "channel pauses"),
            (Decision::Delivered | Decision::Retry { .. }, _) => {
                debug!(%id, channel, target, attempt, ?outcome, "not delivered; will try again");
            }
        }
    }

    /// Tells a channel's trouble through the others.
    async fn tell(&self, event: Event) -> Result<(), StoreError> {
        let post = &self.post;
        warn!(channel = self.name, kind = %event.kind, reason = %event.reason, "channel");
        let events = [Event { rehearsal: post.clock.is_rehearsal(), ..event }];
        let mut others = deliveries(&events, &post.router, &post.targets, post.clock.wall());
        others.retain(|delivery| delivery.channel != self.name);
        let committed_at = post.clock.wall();
        let commit = Commit {
            events: &events,
            deliveries: &others,
            levels: &[],
            books: &[],
            bars: &[],
            days: &[],
            committed_at,
        };
        post.store.commit(&commit).await?;
        post.bells.ring(others.iter().map(|delivery| delivery.channel.as_str()));
        Ok(())
    }
}

/// What one look into the outbox came to.
enum Round {
    /// There may be more.
    More,
    /// Nothing is due for so long.
    Idle(Duration),
    /// The channel is set up wrongly and pauses for so long.
    Paused(Duration),
}
