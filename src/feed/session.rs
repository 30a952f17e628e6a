//! The life of a connection as one transition table: wait, connect, greet, live, quiet, and wait again.
//!
//! Time is an argument, jitter comes in as a number, effects are returned by value. Whether the session of the
//! market is open is told from outside: silence at night is no alarm.

use std::collections::BTreeSet;
use std::time::Duration;

use secrecy::SecretString;

use crate::feed::backoff;
use crate::feed::continuity::Continuity;
use crate::feed::protocol::{Frame, Protocol, Reply, Verdict};
use crate::market::symbol::ContractMonth;
use crate::market::tick::{FeedId, InstrumentId, Item, Link, LinkState, Loss, Quality, Tick, Update};
use crate::time::Timestamp;

/// Time on a clock that never jumps, since the start of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(pub Duration);

impl Moment {
    fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d))
    }

    fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Named limits of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For address, connection, TLS and upgrade together.
    pub connect: Duration,
    /// From the open socket to the subscription.
    pub greet: Duration,
    /// Live and delivering for so long: earlier failures are forgotten.
    pub healthy_after: Duration,
    /// After a refusal, at least.
    pub refused_wait: Duration,
    /// After another client has pushed us out, at least.
    pub kicked_wait: Duration,
    /// A first value older than the subscription by more than this is a snapshot.
    pub snapshot_age: Duration,
    /// An exchange time may be so far ahead of ours.
    pub ahead: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            greet: Duration::from_secs(15),
            healthy_after: Duration::from_secs(30),
            refused_wait: Duration::from_secs(900),
            kicked_wait: Duration::from_secs(60),
            snapshot_age: Duration::from_secs(2),
            ahead: Duration::from_secs(300),
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No address, no route, refused, reset, timed out, not a WebSocket.
    Unreachable(String),
    /// The certificate is not to be trusted.
    Untrusted(String),
    /// An HTTP answer instead of an upgrade.
    Http {
        /// Its status.
        status: u16,
        /// How long the peer asked us to wait.
        retry_after: Option<Duration>,
    },
}

/// Everything a session is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Begin.
    Start,
    /// The socket is open.
    Connected,
    /// The socket could not be opened.
    Failed(Failure),
    /// A message.
    Frame(Frame<'a>),
    /// Bytes that are no message: a ping, a pong.
    Heard,
    /// The socket is closed; why, for people.
    Closed(&'a str),
    /// The deadline is reached.
    Timer,
    /// The market's session opens or closes.
    Market {
        /// Whether prints are to be expected.
        open: bool,
    },
}

/// The times around an input.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For waits.
    pub moment: Moment,
    /// The market's clock, for ticks.
    pub wall: Timestamp,
    /// A random share in parts per million.
    pub jitter: u32,
}

/// Everything a session wants done.
#[derive(Debug)]
pub enum Output {
    /// Open a socket.
    Connect,
    /// Send a text message; may carry secrets.
    Send(SecretString),
    /// Send a WebSocket ping.
    Ping,
    /// Close the socket.
    Close,
    /// Hand on.
    Item(Item),
    /// For the log.
    Note(Note),
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Subscribed.
    Live,
    /// Subscribed again, since no print came.
    Resubscribed,
    /// Not connected; the next try is so far away.
    Down {
        /// What was lost.
        loss: Loss,
        /// For people.
        detail: String,
        /// Until the next try.
        wait: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Wait { until: Moment },
    Connecting { until: Moment },
    Greeting { until: Moment, heard: Moment },
    Live { since: Moment, heard: Moment, printed: Moment, quiet: bool, beat: Moment, ping: Moment },
}

/// One connection to one venue.
#[derive(Debug)]
pub struct Session<P> {
    feed: FeedId,
    protocol: P,
    limits: Limits,
    state: State,
    market_open: bool,
    failures: u32,
    refusals: u32,
    kicks: u32,
    continuity: Continuity,
    subscribed_at: Timestamp,
    seen: BTreeSet<(InstrumentId, Option<ContractMonth>)>,
}

impl<P: Protocol> Session<P> {
    /// A session that has not begun.
    #[must_use]
    pub fn new(feed: FeedId, protocol: P, limits: Limits) -> Self {
        Self {
            feed,
            protocol,
            limits,
            state: State::Idle,
            market_open: true,
            failures: 0,
            refusals: 0,
            kicks: 0,
            continuity: Continuity::default(),
            subscribed_at: Timestamp::MAX,
            seen: BTreeSet::new(),
        }
    }

    /// The protocol, for its request and its counters.
    pub const fn protocol(&mut self) -> &mut P {
        &mut self.protocol
    }

    /// What is told before the first try, which may take its time.
    #[must_use]
    pub fn unconnected(&self, at: Timestamp) -> Item {
        let state = LinkState::Down { loss: Loss::Disconnected, detail: "not connected yet".to_owned() };
        Item::Link(Link { feed: self.feed, at, state })
    }

    /// When `Timer` is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Moment> {
        let timing = self.protocol.timing();
        match self.state {
            State::Idle => None,
            State::Wait { until } | State::Connecting { until } => Some(until),
            State::Greeting { until, heard } => Some(until.min(heard.plus(timing.transport_silence))),
            State::Live { heard, printed, beat, ping, .. } => {
                let silence = self.market_open.then(|| printed.plus(timing.market_silence));
                let beat = timing.beat.map(|every| beat.plus(every));
                let ping = timing.ping.map(|every| ping.plus(every));
                [Some(heard.plus(timing.transport_silence)), silence, beat, ping].into_iter().flatten().min()
            }
        }
    }

    /// Takes one input in; what is to be done is added to `out`.
    pub fn handle(&mut self, input: Input<'_>, now: Now, out: &mut Vec<Output>) {
        match (self.state, input) {
            (State::Idle, Input::Start) => self.connect(now, out),
            (State::Wait { until }, Input::Timer) if now.moment >= until => self.connect(now, out),
            (State::Connecting { .. }, Input::Connected) => self.greet(now, out),
            (State::Connecting { .. }, Input::Failed(failure)) => self.failed(failure, now, out),
            (State::Connecting { until }, Input::Timer) if now.moment >= until => {
                out.push(Output::Close);
                self.down(Loss::Disconnected, "the connection was not made in time", None, now, out);
            }
            (State::Greeting { until, heard }, Input::Timer) => self.greeting_timer(until, heard, now, out),
            (State::Greeting { .. } | State::Live { .. }, Input::Frame(frame)) => self.frame(frame, now, out),
            (State::Greeting { .. } | State::Live { .. }, Input::Heard) => self.heard(now),
            (State::Greeting { .. } | State::Live { .. }, Input::Closed(why)) => {
                self.down(Loss::Disconnected, why, None, now, out);
            }
            (State::Live { .. }, Input::Timer) => self.live_timer(now, out),
            (_, Input::Market { open }) => self.market(open, now),
            // What belongs to a connection that is gone, or comes early.
            (
                State::Idle,
                Input::Connected
                | Input::Failed(_)
                | Input::Frame(_)
                | Input::Heard
                | Input::Closed(_)
                | Input::Timer,
            )
            | (
                State::Wait { .. },
                Input::Start
                | Input::Connected
                | Input::Failed(_)
                | Input::Frame(_)
                | Input::Heard
                | Input::Closed(_)
                | Input::Timer,
            )
            | (
                State::Connecting { .. },
                Input::Start | Input::Frame(_) | Input::Heard | Input::Closed(_) | Input::Timer,
            )
            | (
                State::Greeting { .. } | State::Live { .. },
                Input::Start | Input::Connected | Input::Failed(_),
            ) => {}
        }
    }

    fn connect(&mut self, now: Now, out: &mut Vec<Output>) {
        self.state = State::Connecting { until: now.moment.plus(self.limits.connect) };
        out.push(Output::Connect);
    }

    fn greet(&mut self, now: Now, out: &mut Vec<Output>) {
        self.state = State::Greeting { until: now.moment.plus(self.limits.greet), heard: now.moment };
        // A vendor may number each connection anew; repeats across connections are known by their time.
        self.continuity = Continuity::default();
        let mut reply = Reply::default();
        self.protocol.connected(&mut reply);
        self.carry_out(reply, now, out);
    }

    fn failed(&mut self, failure: Failure, now: Now, out: &mut Vec<Output>) {
        match failure {
            Failure::Unreachable(detail) => self.down(Loss::Disconnected, &detail, None, now, out),
            Failure::Untrusted(detail) => self.refused(&detail, now, out),
            Failure::Http { status: status @ (401 | 403), .. } => {
                self.refused(&format!("the venue answered HTTP {status}: it does not let us in"), now, out);
            }
            Failure::Http { status, retry_after } => {
                let detail = format!("the venue answered HTTP {status} instead of a WebSocket");
                self.down(Loss::Disconnected, &detail, retry_after, now, out);
            }
        }
    }

    fn greeting_timer(&mut self, until: Moment, heard: Moment, now: Now, out: &mut Vec<Output>) {
        let silent = now.moment >= heard.plus(self.protocol.timing().transport_silence);
        if silent || now.moment >= until {
            out.push(Output::Close);
            let detail = "the venue did not finish its greeting in time";
            self.down(Loss::TransportSilent, detail, None, now, out);
        }
    }

    fn live_timer(&mut self, now: Now, out: &mut Vec<Output>) {
        let timing = self.protocol.timing();
        let State::Live { heard, printed, quiet, beat, ping, .. } = self.state else { return };
        if now.moment >= heard.plus(timing.transport_silence) {
            out.push(Output::Close);
            let detail = format!("nothing at all came for {} s", timing.transport_silence.as_secs());
            return self.down(Loss::TransportSilent, &detail, None, now, out);
        }
        if self.market_open && now.moment >= printed.plus(timing.market_silence) {
            return self.market_silent(quiet, now, out);
        }
        if timing.beat.is_some_and(|every| now.moment >= beat.plus(every)) {
            let mut reply = Reply::default();
            self.protocol.beat(&mut reply);
            self.carry_out(reply, now, out);
            if let State::Live { beat, .. } = &mut self.state {
                *beat = now.moment;
            }
        }
        if timing.ping.is_some_and(|every| now.moment >= ping.plus(every)) {
            out.push(Output::Ping);
            if let State::Live { ping, .. } = &mut self.state {
                *ping = now.moment;
            }
        }
    }

    /// No print in an open session: first a new subscription, then a new connection.
    fn market_silent(&mut self, was_quiet: bool, now: Now, out: &mut Vec<Output>) {
        if was_quiet {
            out.push(Output::Close);
            let detail = "connected, but no print came in an open session, nor after a new subscription";
            let detail = format!("{detail}{}", self.protocol.silence_hint());
            return self.down(Loss::MarketSilent, &detail, None, now, out);
        }
        out.push(self.link(LinkState::Quiet, now));
        out.push(Output::Note(Note::Resubscribed));
        if let State::Live { printed, quiet, .. } = &mut self.state {
            (*printed, *quiet) = (now.moment, true);
        }
        let mut reply = Reply::default();
        self.protocol.subscribe(&mut reply);
        self.subscribed(now);
        self.carry_out(reply, now, out);
    }

    fn market(&mut self, open: bool, now: Now) {
        if let (true, false, State::Live { printed, .. }) = (open, self.market_open, &mut self.state) {
            *printed = now.moment;
        }
        self.market_open = open;
    }

    fn heard(&mut self, now: Now) {
        if let State::Greeting { heard, .. } | State::Live { heard, .. } = &mut self.state {
            *heard = now.moment;
        }
    }

    fn frame(&mut self, frame: Frame<'_>, now: Now, out: &mut Vec<Output>) {
        self.heard(now);
        let mut reply = Reply::default();
        self.protocol.frame(frame, now.wall, &mut reply);
        self.carry_out(reply, now, out);
    }

    fn carry_out(&mut self, reply: Reply, now: Now, out: &mut Vec<Output>) {
        out.extend(reply.send.into_iter().map(Output::Send));
        match reply.verdict {
            Verdict::Continue => {}
            Verdict::Ready => self.live(now, out),
            Verdict::Refused(detail) => {
                out.push(Output::Close);
                return self.refused(&detail, now, out);
            }
            Verdict::Kicked(detail) => {
                out.push(Output::Close);
                self.kicks = self.kicks.saturating_add(1);
                let wait = backoff::long_wait(self.limits.kicked_wait, self.kicks, now.jitter);
                return self.down(Loss::Refused, &detail, Some(wait), now, out);
            }
            Verdict::Reconnect(detail) => {
                out.push(Output::Close);
                return self.down(Loss::Disconnected, &detail, None, now, out);
            }
        }
        for tick in reply.ticks {
            self.tick(tick, now, out);
        }
    }

    fn live(&mut self, now: Now, out: &mut Vec<Output>) {
        let moment = now.moment;
        self.state = State::Live {
            since: moment,
            heard: moment,
            printed: moment,
            quiet: false,
            beat: moment,
            ping: moment,
        };
        self.subscribed(now);
        out.push(self.link(LinkState::Live, now));
        out.push(Output::Note(Note::Live));
    }

    fn subscribed(&mut self, now: Now) {
        self.seen.clear();
        self.subscribed_at = now.wall;
    }

    fn tick(&mut self, mut tick: Tick, now: Now, out: &mut Vec<Output>) {
        if !self.continuity.admit(&mut tick, self.limits.ahead, self.protocol.drops()) {
            return;
        }
        if let Update::Trade { .. } = tick.update {
            if self.seen.insert((tick.instrument, tick.contract))
                && tick.quality == Quality::Live
                && self.is_snapshot(&tick)
            {
                tick.quality = Quality::Snapshot;
            }
            self.printed(&tick, now);
        }
        out.push(Output::Item(Item::Tick(tick)));
    }

    /// The first value after a subscription is a snapshot, unless its own time says that it has just traded.
    fn is_snapshot(&self, tick: &Tick) -> bool {
        let fresh = self.subscribed_at.saturating_sub(self.limits.snapshot_age);
        tick.exchange_at.is_none_or(|at| at < fresh)
    }

    fn printed(&mut self, tick: &Tick, now: Now) {
        let State::Live { since, printed, quiet, .. } = &mut self.state else { return };
        if tick.quality != Quality::Snapshot && self.protocol.is_in_force(tick) {
            (*printed, *quiet) = (now.moment, false);
        }
        if now.moment.since(*since) >= self.limits.healthy_after {
            (self.failures, self.refusals) = (0, 0);
        }
        // Two clients with one key push each other out for ever, each healthy in between.
        if now.moment.since(*since) >= KICKS_FORGOTTEN_AFTER {
            self.kicks = 0;
        }
    }

    fn refused(&mut self, detail: &str, now: Now, out: &mut Vec<Output>) {
        self.refusals = self.refusals.saturating_add(1);
        let wait = backoff::long_wait(self.limits.refused_wait, self.refusals, now.jitter);
        self.down(Loss::Refused, detail, Some(wait), now, out);
    }

    fn down(
        &mut self,
        loss: Loss,
        detail: &str,
        at_least: Option<Duration>,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        self.failures = self.failures.saturating_add(1);
        let detail = self.protocol.scrub(detail);
        let asked = at_least.unwrap_or_default().min(WAIT_MOST);
        let wait = backoff::wait(self.failures, now.jitter).max(asked);
        self.state = State::Wait { until: now.moment.plus(wait) };
        out.push(self.link(LinkState::Down { loss, detail: detail.clone() }, now));
        out.push(Output::Note(Note::Down { loss, detail, wait }));
    }

    fn link(&self, state: LinkState, now: Now) -> Output {
        Output::Item(Item::Link(Link { feed: self.feed, at: now.wall, state }))
    }
}

/// So long without being pushed out, and the other client is gone.
const KICKS_FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
/// No peer can make us wait longer than this.
const WAIT_MOST: Duration = Duration::from_secs(6 * 3_600);

#[cfg(test)]
mod tests;
