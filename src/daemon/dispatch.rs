//! One task per channel: takes what is due from the outbox, attempts it, and settles the row.
//!
//! A channel that hangs or fails never delays another one. What an answer means for the row is decided by
//! `outbox::retry`, how much a reader gets at once by `outbox::calm`; this task only carries it out.

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
use crate::daemon::picture;
use crate::daemon::pulse::Pulse;
use crate::daemon::watch::deliveries;
use crate::daemon::words::Words;
use crate::deliver::{Channel, Letter};
use crate::event::{Event, Reason};
use crate::outbox::Outcome;
use crate::outbox::calm::{BURST, Calm, Group, Pace};
use crate::outbox::digest::digest;
use crate::outbox::message::Context;
use crate::outbox::retry::{Decision, Schedule};
use crate::outbox::route::Router;
use crate::store::Store;
use crate::store::carry::Waiting;
use crate::store::commit::Commit;
use crate::store::delivery::{Due, Held, Paused, Settled};
use crate::store::error::StoreError;
use crate::time::Timestamp;

/// The outbox is looked into at least so often, whatever bells were missed.
pub const POLL_EVERY: Duration = Duration::from_secs(2);
/// Taken from the outbox at once.
const CLAIM_AT_ONCE: u32 = 16;
/// After an attempt that took longer, the outbox is looked into again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(200);
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
    /// How much a reader gets, and when.
    pub calm: Calm,
    /// In which words it tells.
    pub words: Words,
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
        let mut course = Course::new(&self.name, self.calm.clone());
        while !stop.is_cancelled() {
            self.pulse.beat();
            let now = self.post.clock.monotonic();
            let deaf = now < course.paused_until;
            let pause = if deaf {
                course.paused_until.saturating_sub(now)
            } else {
                match self.round(&mut course, &stop).await {
                    Ok(Round::Paused(pause)) => {
                        course.paused_until = self.post.clock.monotonic().saturating_add(pause);
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
            self.rest(&bell, pause, deaf, &stop).await;
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
    async fn round(&self, course: &mut Course, stop: &CancellationToken) -> Result<Round, StoreError> {
        let post = &self.post;
        let now = post.clock.wall();
        if course.disabled {
            return self.lie_still(course, now).await;
        }
        let held = course.held(now, post.clock.monotonic());
        let due = post.store.claim(&self.name, now, CLAIM_AT_ONCE, &held).await?;
        if due.is_empty() {
            let next = post.store.next_due(&self.name, now).await?;
            return Ok(Round::Idle(course.idle(next, now, post.clock.monotonic())));
        }
        for delivery in &due {
            if stop.is_cancelled() {
                return Ok(Round::Idle(Duration::ZERO));
            }
            self.pulse.beat();
            if !course.lets(delivery, post.clock.monotonic()) {
                // The next look passes it over.
                continue;
            }
            if self.bundled(delivery, course, now).await? {
                return Ok(Round::More);
            }
            let began = post.clock.monotonic();
            course.sends(delivery, began);
            match self.deliver(delivery, &mut course.health).await? {
                After::Pause(pause) => return Ok(Round::Paused(pause)),
                After::Disable => {
                    course.disabled = true;
                    return Ok(Round::Idle(POLL_EVERY));
                }
                After::GoOn => {}
            }
            if post.clock.monotonic().saturating_sub(began) > LOOK_AGAIN_AFTER {
                // What is urgent may have come meanwhile, and must not wait for the rest of a slow peer's.
                return Ok(Round::More);
            }
        }
        Ok(Round::More)
    }

    /// Whether a digest was made of the delivery and what waits beside it.
    async fn bundled(&self, due: &Due, course: &Course, now: Timestamp) -> Result<bool, StoreError> {
        let Some(wanted) = course.bundle_of(due) else { return Ok(false) };
        let waiting = self.post.store.waiting(&self.name, &due.target, now).await?;
        let group: Vec<_> = waiting.iter().filter(|other| course.belongs(other, &wanted)).collect();
        if group.len() < wanted.least {
            return Ok(false);
        }
        let events: Vec<_> = group.iter().map(|waiting| &waiting.event).collect();
        let ids: Vec<_> = group.iter().map(|waiting| waiting.id).collect();
        let scope = format!("{}/{}/", self.name, due.target);
        // A delivery is carried once, so its number makes the digest's id one of its kind.
        let step = ids.first().and_then(|id| u32::try_from(id.0).ok()).unwrap_or(u32::MAX);
        let Some(digest) = digest(&events, wanted.reason, &scope, step) else { return Ok(false) };
        let to = (self.name.as_str(), due.target.as_str());
        let made = self.post.store.carry(&digest, to, &ids, now).await?;
        if made.is_some() {
            debug!(channel = self.name, id = %digest.id, count = ids.len(), "one digest of what waited");
        }
        Ok(made.is_some())
    }

    /// A disabled channel sends nothing. What waits is given up in time, and that is told elsewhere.
    async fn lie_still(&self, course: &mut Course, now: Timestamp) -> Result<Round, StoreError> {
        let before = self.post.schedule.given_up_before(now);
        let count = self.post.store.give_up(&self.name, before).await?;
        if count > 0 {
            error!(channel = self.name, count, "given up: the channel is disabled until the next start");
            let event = course.health.gave_up(count, self.post.clock.now());
            self.tell(event).await?;
        }
        Ok(Round::Idle(POLL_EVERY))
    }

    /// One attempt, from its record to its end.
    async fn deliver(&self, due: &Due, health: &mut Health) -> Result<After, StoreError> {
        let post = &self.post;
        let picture = picture::of(&self.channel, &due.event, &post.store, &post.zone).await;
        let context = Context {
            zone: post.zone.clone(),
            first_in_thread: due.first_in_thread.clone(),
            attempted_at: post.clock.now(),
            late_after: LATE_AFTER.mul_f64(post.clock.speed()),
            url: None,
            test: false,
            picture: picture.is_some(),
        };
        let message = self.words.render(&self.name, &due.event, &context);
        let thread_receipt =
            if self.channel.answers() { post.store.thread_receipt(due.id).await? } else { None };
        let attempt = post.store.begin_attempt(due.id, post.clock.wall()).await?;
        let letter = Letter {
            event: &due.event,
            message: &message,
            target: &due.target,
            first_in_thread: due.first_in_thread.as_ref(),
            thread_receipt: thread_receipt.as_deref(),
            sent_at: post.clock.wall(),
            picture: picture.as_deref(),
        };
        let outcome = self.channel.attempt(&letter).await;
        let ended = post.clock.wall();
        let jitter = post.clock.random_ppm();
        let decision = post.schedule.decide(attempt, due.created_at, ended, &outcome, jitter);
        let (settled, after) = match &decision {
            Decision::Delivered => (Settled::Delivered, After::GoOn),
            Decision::Retry { at } => (Settled::Retry { due_at: *at }, After::GoOn),
            Decision::Dead { .. } => (Settled::Dead, After::GoOn),
            Decision::PauseChannel { retry_at } => {
                (Settled::Retry { due_at: *retry_at }, After::Pause(retry_at.since(ended)))
            }
            Decision::DisableChannel => (Settled::Retry { due_at: ended }, After::Disable),
        };
        post.store.settle(due.id, attempt, &outcome, ended, settled).await?;
        self.say(due, attempt, &outcome, &decision);
        if let Some(event) = health.after(&outcome, settled, post.clock.now()) {
            self.tell(event).await?;
        }
        Ok(after)
    }

    fn say(&self, due: &Due, attempt: u32, outcome: &Outcome, decision: &Decision) {
        let (id, channel, target) = (&due.event.id, &self.name, &due.target);
        match (decision, outcome) {
            (Decision::Delivered, Outcome::Accepted { receipt }) => {
                let real = self.post.clock.real_since(due.event.occurred_at);
                info!(%id, channel, target, attempt, receipt, after = ?real, "delivered");
            }
            (Decision::Dead { .. }, _) => error!(%id, channel, target, attempt, ?outcome, "given up"),
            (Decision::DisableChannel, _) => error!(%id, channel, target, ?outcome, "channel is disabled"),
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
        // One event makes no digest.
        let (_, mut others) = deliveries(&events, &post.router, &post.targets, post.clock.wall());
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

/// How far a channel has come.
struct Course {
    health: Health,
    pace: Pace,
    /// Nothing is sent before, by the clock that never jumps.
    paused_until: Duration,
    /// The peer wants nothing more: nothing is sent before the next start.
    disabled: bool,
}

/// What follows an attempt for the channel as a whole.
enum After {
    GoOn,
    /// It is set up wrongly and pauses for so long.
    Pause(Duration),
    /// The peer wants nothing more.
    Disable,
}

/// Which deliveries become one digest.
struct Bundle {
    /// What was held back on purpose; otherwise what is grouped under this instrument.
    group: Option<String>,
    /// From so many on.
    least: usize,
    reason: Reason,
}

impl Course {
    fn new(channel: &str, calm: Calm) -> Self {
        Self {
            health: Health::new(channel),
            pace: Pace::new(calm),
            paused_until: Duration::ZERO,
            disabled: false,
        }
    }

    /// What must not be sent now.
    fn held(&self, now: Timestamp, monotonic: Duration) -> Held {
        let paused = self.pace.paused(monotonic).map(|waits| Paused {
            target: waits.target.to_owned(),
            instrument: waits.instrument.map(str::to_owned),
            level: waits.level.map(str::to_owned),
        });
        Held { all_but_urgent: self.pace.calm().quiet_until(now).is_some(), paused: paused.collect() }
    }

    /// How long there is nothing to do, unless the bell rings.
    fn idle(&self, next_due: Option<Timestamp>, now: Timestamp, monotonic: Duration) -> Duration {
        let quiet = self.pace.calm().quiet_until(now);
        let times = next_due.into_iter().chain(quiet).map(|at| at.since(now));
        let waits = self.pace.paused(monotonic).map(|waits| waits.wait);
        times.chain(waits).min().unwrap_or(POLL_EVERY)
    }

    /// What a delivery is grouped under.
    fn group_of<'a>(&self, due: &'a Due) -> Option<Group<'a>> {
        self.pace.calm().group_of(&due.event).filter(|_| !goes_by_itself(due))
    }

    fn lets(&self, due: &Due, monotonic: Duration) -> bool {
        self.pace.wait(&due.target, self.group_of(due), monotonic).is_zero()
    }

    fn sends(&mut self, due: &Due, monotonic: Duration) {
        let group = self.group_of(due);
        self.pace.sent(&due.target, group, monotonic);
    }

    fn bundle_of(&self, due: &Due) -> Option<Bundle> {
        if goes_by_itself(due) {
            return None;
        }
        if self.pace.calm().was_held(due.created_at, due.due_at) {
            return Some(Bundle { group: None, least: 2, reason: Reason::HeldBack });
        }
        let group = self.group_of(due)?.instrument.to_owned();
        Some(Bundle { group: Some(group), least: BURST.saturating_add(1), reason: Reason::ManyAtOnce })
    }

    fn belongs(&self, waiting: &Waiting, bundle: &Bundle) -> bool {
        let calm = self.pace.calm();
        let held = calm.was_held(waiting.created_at, waiting.due_at);
        match &bundle.group {
            None => held,
            Some(group) => !held && calm.group_of(&waiting.event).is_some_and(|of| of.instrument == group),
        }
    }
}

/// What is urgent is never grouped, and what was tried keeps its id.
const fn goes_by_itself(due: &Due) -> bool {
    due.urgent || due.attempts > 0
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

#[cfg(test)]
mod tests;
