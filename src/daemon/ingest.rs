//! Drives one feed: owns its socket, and does what the pure session says.
//!
//! It decides nothing. What a frame means is the protocol's business, when to connect the session's. Reading never
//! waits for the rest of the program, other than by the queue being full; then TCP carries the pressure back.

pub mod asked;
pub mod socket;
mod tap;
pub mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::account::{Account, AccountError, At};
use crate::config::secret::SecretSource;
use crate::daemon::chain::Chain;
use crate::daemon::clock::Clock;
use crate::daemon::ingest::asked::Subscribed;
use crate::daemon::ingest::socket::{Heard, Socket};
use crate::daemon::ingest::tls::TlsError;
use crate::daemon::pulse::Pulse;
use crate::daemon::tape::Tape;
use crate::feed::protocol::{Frame, Protocol, Wire};
use crate::feed::session::{Failure, Input, Moment, Note, Now, Output, Session};
use crate::feed::venue::Venue;
use crate::market::tick::{FeedId, Item, Loss};
use crate::time::Timestamp;

/// Messages that one wake-up takes in at most.
const MESSAGES_AT_ONCE: usize = 512;
/// Once it has brought so many items, a wake-up takes in no further message.
const ITEMS_AT_ONCE: usize = 4_096;
/// The task comes round so often, and looks at calendar and roll: in a rehearsal an hour may be a second.
const ROUND_EVERY: Duration = Duration::from_millis(500);
/// Garbage is told at most so often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Why a feed's task ended.
#[derive(Debug, Error)]
pub enum IngestError {
    /// TLS cannot be set up.
    #[error("feed {feed:?} cannot use TLS")]
    Tls {
        /// Which feed.
        feed: String,
        /// Why.
        #[source]
        source: TlsError,
    },
    /// The HTTP client cannot be set up.
    #[error("feed {feed:?} cannot ask over HTTP")]
    Http {
        /// Which feed.
        feed: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The tape cannot be written.
    #[error("the tape of feed {feed:?} cannot be written")]
    Tape {
        /// Which feed.
        feed: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A secret that is asked for again.
#[derive(Clone, Debug)]
pub struct Perishable {
    /// What it is called in the feed's templates.
    pub name: String,
    /// The program.
    pub source: SecretSource,
    /// So long it is good.
    pub ttl: Duration,
    /// When it was last asked for, as time the process has run.
    pub read_at: Duration,
}

/// One feed, ready to run.
#[derive(Debug)]
pub struct FeedDriver {
    /// Its name.
    pub name: String,
    /// Its place in the configuration.
    pub id: FeedId,
    /// Session and protocol.
    pub session: Session<Venue>,
    /// What is asked before every connection, at venues that have such an interface.
    pub account: Option<Account>,
    /// What is asked of it.
    pub subscribed: Vec<Subscribed>,
    /// Its messages name the symbol.
    pub tells_apart: bool,
    /// Further roots to trust, PEM.
    pub extra_roots: Option<Vec<u8>>,
    /// Secrets that a program prints and that grow old, by name.
    pub perishable: Vec<Perishable>,
    /// For address, connection, TLS and upgrade together.
    pub connect_within: Duration,
    /// Says how late it is.
    pub clock: Clock,
    /// Shows that this task makes progress.
    pub pulse: Pulse,
    /// Takes down what the session is told.
    pub tape: Option<Tape>,
}

/// Runs a feed until told to stop. Items go to `out`, in order.
///
/// # Errors
/// When TLS cannot be set up at all, or a tape cannot be written; a venue that does not answer is no error.
pub async fn run(
    driver: FeedDriver,
    out: mpsc::Sender<Vec<Item>>,
    stop: CancellationToken,
) -> Result<(), IngestError> {
    let tls = tls::client_config(driver.extra_roots.as_deref())
        .map_err(|source| IngestError::Tls { feed: driver.name.clone(), source })?;
    let http = http(&tls).map_err(|source| IngestError::Http { feed: driver.name.clone(), source })?;
    let (tls, now) = (std::sync::Arc::new(tls), driver.clock.monotonic());
    let ingest = Ingest {
        driver,
        tls,
        http,
        socket: None,
        out,
        stop,
        rolls_at: None,
        round_at: now,
        told_at: now,
        said: None,
        full: 0,
    };
    ingest.run().await
}

/// For venues' interfaces: no redirects, since a token would go along.
fn http(tls: &rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .user_agent(concat!("breakwatch/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
}

struct Ingest {
    driver: FeedDriver,
    tls: std::sync::Arc<rustls::ClientConfig>,
    http: reqwest::Client,
    socket: Option<Socket>,
    out: mpsc::Sender<Vec<Item>>,
    stop: CancellationToken,
    rolls_at: Option<Timestamp>,
    /// The next round, however busy the feed is.
    round_at: Duration,
    told_at: Duration,
    /// The failure that was told last.
    said: Option<String>,
    /// How often the queue was full.
    full: u64,
}

/// What woke the task.
enum Woken {
    Stop,
    Time,
    Heard(Heard),
}

impl Ingest {
    async fn run(mut self) -> Result<(), IngestError> {
        let first = self.driver.session.unconnected(self.driver.clock.now());
        if !self.hand_on(vec![first]).await {
            return Ok(());
        }
        let (mut items, mut outputs) = (Vec::new(), Vec::new());
        self.market(&mut outputs);
        self.give(Input::Start, &mut outputs);
        loop {
            self.carry_out(&mut outputs, &mut items).await;
            if !items.is_empty() && !self.hand_on(std::mem::take(&mut items)).await {
                break;
            }
            self.tell_drops();
            self.driver.pulse.beat();
            match self.wait().await {
                Woken::Stop => break,
                Woken::Time => {
                    // Late by our own fault, what has come meanwhile is no silence of the venue.
                    if let Some(heard) = self.socket.as_mut().and_then(Socket::hear_now) {
                        self.hear(heard, &mut outputs);
                    }
                    self.round_at = self.driver.clock.monotonic().saturating_add(ROUND_EVERY);
                    self.market(&mut outputs);
                    self.roll(&mut outputs);
                    self.give(Input::Timer, &mut outputs);
                    self.on_tape(Tape::flush)?;
                }
                Woken::Heard(heard) => self.hear(heard, &mut outputs),
            }
        }
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
        self.on_tape(Tape::finish)
    }

    fn on_tape(&mut self, act: fn(&mut Tape) -> std::io::Result<()>) -> Result<(), IngestError> {
        let done = self.driver.tape.as_mut().map_or(Ok(()), act);
        done.map_err(|source| IngestError::Tape { feed: self.driver.name.clone(), source })
    }

    fn now(&self) -> Now {
        Now {
            moment: Moment(self.driver.clock.monotonic()),
            wall: self.driver.clock.now(),
            jitter: self.driver.clock.random_ppm(),
        }
    }

    fn give(&mut self, input: Input<'_>, outputs: &mut Vec<Output>) {
        let now = self.now();
        self.driver.tell(input, now, outputs);
    }

    /// Waits for the socket, the session's deadline, or the stop.
    async fn wait(&mut self) -> Woken {
        let clock = &self.driver.clock;
        let due = self.driver.session.deadline().map_or(self.round_at, |due| due.0.min(self.round_at));
        let wake = clock.instant_at(due);
        let heard = async {
            match &mut self.socket {
                Some(socket) => socket.hear().await,
                None => std::future::pending().await,
            }
        };
        // Time before the socket: a venue that never pauses must not keep us from looking at the clock.
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Woken::Stop,
            () = tokio::time::sleep_until(wake) => Woken::Time,
            heard = heard => Woken::Heard(heard),
        }
    }

    /// Takes in what came, and whatever else is there already.
    fn hear(&mut self, first: Heard, outputs: &mut Vec<Output>) {
        let now = self.now();
        let mut next = Some(first);
        let mut taken = 0_usize;
        while let Some(heard) = next {
            let closed = matches!(heard, Heard::Closed(_));
            let before = outputs.len();
            let driver = &mut self.driver;
            match heard {
                Heard::Text(text) => driver.tell(Input::Frame(Frame::Text(text.as_str())), now, outputs),
                Heard::Binary(bytes) => driver.tell(Input::Frame(Frame::Binary(&bytes)), now, outputs),
                Heard::Control => driver.tell(Input::Heard, now, outputs),
                Heard::Closed(why) => driver.tell(Input::Closed(&why), now, outputs),
            }
            if closed {
                self.socket = None;
            }
            taken = taken.saturating_add(1);
            // What the session wants said or closed comes before anything further is heard.
            let only_items = outputs.iter().skip(before).all(|output| matches!(output, Output::Item(_)));
            let room = taken < MESSAGES_AT_ONCE && outputs.len() < ITEMS_AT_ONCE;
            next = if only_items && room { self.socket.as_mut().and_then(Socket::hear_now) } else { None };
        }
    }

    /// Whether prints are to be expected: while any of the feed's instruments has an open session.
    fn market(&mut self, outputs: &mut Vec<Output>) {
        let now = self.driver.clock.now();
        let open =
            self.driver.subscribed.iter().any(|subscribed| subscribed.instrument.calendar.is_open(now));
        self.give(Input::Market { open }, outputs);
    }

    /// At a roll, and when the next month comes into sight, other symbols are asked for: on a new connection, so that nothing of the old month is left.
    fn roll(&mut self, outputs: &mut Vec<Output>) {
        let now = self.driver.clock.now();
        if self.socket.is_some() && self.rolls_at.is_some_and(|at| at <= now) {
            outputs.push(Output::Close);
            self.give(Input::Closed("other contracts are asked for"), outputs);
        }
    }

    async fn carry_out(&mut self, outputs: &mut Vec<Output>, items: &mut Vec<Item>) {
        // Carrying out may lead to further outputs; a connection that opens speaks first.
        while !outputs.is_empty() {
            let mut further = Vec::new();
            for output in outputs.drain(..) {
                match output {
                    Output::Connect => self.connect(&mut further).await,
                    Output::Send(text) => self.send(text, &mut further).await,
                    Output::Ping => {
                        if let Some(socket) = &mut self.socket
                            && let Err(why) = socket.ping().await
                        {
                            self.lost(&why, &mut further);
                        }
                    }
                    Output::Close => {
                        if let Some(socket) = self.socket.take() {
                            socket.close().await;
                        }
                    }
                    Output::Item(item) => items.push(item),
                    Output::Note(note) => self.say(&note),
                }
            }
            *outputs = further;
        }
    }

    /// Asks again for secrets that have grown old; the old one stays when that fails.
    async fn refresh(&mut self) {
        let now = self.driver.clock.monotonic();
        for secret in self.driver.perishable.iter_mut().filter(|s| now.saturating_sub(s.read_at) >= s.ttl) {
            match secret.source.read(&BTreeMap::new(), None).await {
                Ok(value) => {
                    secret.read_at = now;
                    if let Some(account) = &mut self.driver.account {
                        account.set_secret(&secret.name, value.clone());
                    }
                    self.driver.session.protocol().set_secret(&secret.name, value);
                }
                Err(error) => {
                    let feed = &self.driver.name;
                    warn!(feed, secret = secret.name, error = %Chain(&error), "the secret cannot be renewed");
                }
            }
        }
    }

    async fn connect(&mut self, outputs: &mut Vec<Output>) {
        self.refresh().await;
        let now = self.driver.clock.now();
        let subscribed = &self.driver.subscribed;
        self.rolls_at = subscribed.iter().filter_map(|subscribed| subscribed.rolls_at(now)).min();
        let tells_apart = self.driver.tells_apart;
        let wires = subscribed.iter().flat_map(|subscribed| subscribed.wires(now, tells_apart)).collect();
        if let Err(failure) = self.prepare(wires).await {
            self.give(Input::Failed(failure), outputs);
            return;
        }
        let request = self.driver.session.protocol().request();
        let wall = self.driver.clock.wall();
        let opening = Socket::open(&request, &self.tls, wall, self.driver.connect_within);
        let opened = tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Failure::Unreachable("stopping".into())),
            opened = opening => opened,
        };
        match opened {
            Ok(socket) => {
                self.socket = Some(socket);
                self.give(Input::Connected, outputs);
            }
            Err(failure) => self.give(Input::Failed(failure), outputs),
        }
    }

    /// Tells the protocol what to ask for, after the venue's own interface was asked where there is one.
    async fn prepare(&mut self, wires: Vec<Wire>) -> Result<(), Failure> {
        let now = self.now();
        let Some(account) = &mut self.driver.account else {
            self.driver.ask(wires, Vec::new(), now);
            return Ok(());
        };
        let clock = &self.driver.clock;
        let at = At { wall: clock.wall(), monotonic: clock.monotonic() };
        let asking = account.ready(&self.http, wires, at);
        let ready = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Failure::Unreachable("stopping".into())),
            asked = tokio::time::timeout(self.driver.connect_within, asking) => match asked {
                Ok(ready) => ready.map_err(failure)?,
                Err(_) => return Err(Failure::Unreachable("the venue's interface does not answer".into())),
            },
        };
        let now = self.now();
        self.driver.ask(ready.wires, ready.secrets, now);
        Ok(())
    }

    async fn send(&mut self, text: SecretString, outputs: &mut Vec<Output>) {
        if let Some(socket) = &mut self.socket
            && let Err(why) = socket.send(text).await
        {
            self.lost(&why, outputs);
        }
    }

    fn lost(&mut self, why: &str, outputs: &mut Vec<Output>) {
        self.socket = None;
        self.give(Input::Closed(why), outputs);
    }

    /// Hands items to the engine; waits when its queue is full. Returns whether anybody still takes them.
    async fn hand_on(&mut self, items: Vec<Item>) -> bool {
        match self.out.try_send(items) {
            Ok(()) => {
                if std::mem::take(&mut self.full) > 0 {
                    info!(feed = self.driver.name, "the engine has caught up");
                }
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(items)) => {
                if self.full == 0 {
                    warn!(feed = self.driver.name, "the engine's queue is full; the feed is held back");
                }
                self.full = self.full.saturating_add(1);
                // Also when stopping: the engine drains its queue until every feed has ended.
                self.out.send(items).await.is_ok()
            }
        }
    }

    /// What was not used, at most once a second.
    fn tell_drops(&mut self) {
        let now = self.driver.clock.monotonic();
        if now.saturating_sub(self.told_at) < TELL_EVERY {
            return;
        }
        for (reason, count) in self.driver.session.protocol().drops().take_untold() {
            self.told_at = now;
            warn!(feed = self.driver.name, reason = reason.as_str(), count, "updates were not used");
        }
    }

    /// A failure is told when it begins, changes and ends, not at every try.
    fn say(&mut self, note: &Note) {
        let feed = &self.driver.name;
        match note {
            Note::Live => info!(feed, "subscribed"),
            Note::Resubscribed => warn!(feed, "no print in an open session; subscribed again"),
            Note::Down { loss: Loss::Refused, detail, wait } => {
                error!(feed, detail, ?wait, "the venue refuses us; a person must act");
            }
            Note::Down { loss, detail, wait } if self.said.as_ref() == Some(detail) => {
                debug!(feed, ?loss, detail, ?wait, "still not connected");
            }
            Note::Down { loss: _, detail, wait } => warn!(feed, detail, ?wait, "not connected"),
        }
        self.said = match note {
            Note::Down { detail, .. } => Some(detail.clone()),
            Note::Live => None,
            Note::Resubscribed => self.said.take(),
        };
    }
}

/// What a venue's interface said, as the session understands it.
fn failure(error: AccountError) -> Failure {
    match error {
        AccountError::Refused(said) => Failure::Untrusted(said),
        AccountError::Unreachable(said) => Failure::Unreachable(said),
        AccountError::Busy { said: _, retry_after } => Failure::Http { status: 429, retry_after },
    }
}

#[cfg(test)]
mod tests;
