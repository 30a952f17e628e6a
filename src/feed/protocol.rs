//! What a vendor's protocol must be able to do: turn frames into ticks, and words of ours into frames.
//!
//! A protocol is pure and keeps the state of one connection. When to speak is the session's business; a protocol
//! says what to say.

use std::time::Duration;

use secrecy::SecretString;

use crate::feed::drops::Drops;
use crate::market::symbol::ContractMonth;
use crate::market::tick::{InstrumentId, Tick};
use crate::time::Timestamp;

/// What came over the socket.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// The upgrade request; its parts may carry secrets.
#[derive(Debug)]
pub struct Request {
    /// `wss://…`
    pub url: SecretString,
    /// Further headers.
    pub headers: Vec<(String, SecretString)>,
}

/// When a protocol speaks, and what silence it bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// `Protocol::beat` is called so often.
    pub beat: Option<Duration>,
    /// A WebSocket ping is sent so often.
    pub ping: Option<Duration>,
    /// Nothing at all for so long: the connection is dead.
    pub transport_silence: Duration,
    /// No print in an open session for so long: something is wrong.
    pub market_silence: Duration,
}

/// One symbol that is asked of the venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Ours.
    pub instrument: InstrumentId,
    /// The month that the symbol means.
    pub contract: Option<ContractMonth>,
    /// Theirs.
    pub symbol: String,
}

/// What a frame means for the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    #[default]
    Continue,
    /// Greeted and subscribed.
    Ready,
    /// The peer refuses us: a person must act.
    Refused(String),
    /// Another client with our credentials has pushed us out.
    Kicked(String),
    /// The peer wants us to connect again.
    Reconnect(String),
}

/// What a protocol answers to a frame.
#[derive(Debug, Default)]
pub struct Reply {
    /// To be sent, in order. May carry secrets.
    pub send: Vec<SecretString>,
    /// What the market did.
    pub ticks: Vec<Tick>,
    /// What it means for the connection.
    pub verdict: Verdict,
}

/// One vendor's protocol.
pub trait Protocol {
    /// When it speaks, and what silence it bears.
    fn timing(&self) -> Timing;

    /// Other symbols from the next connection on; of each instrument the contract in force first.
    fn set_wires(&mut self, wires: Vec<Wire>);

    /// Another value of a secret from the next connection on.
    fn set_secret(&mut self, name: &str, secret: SecretString);

    /// The upgrade request for the next connection.
    fn request(&self) -> Request;

    /// A connection is open: forgets the last one, and says the first words.
    fn connected(&mut self, reply: &mut Reply);

    /// A frame has come.
    fn frame(&mut self, frame: Frame<'_>, received_at: Timestamp, reply: &mut Reply);

    /// Subscribes to everything again.
    fn subscribe(&mut self, reply: &mut Reply);

    /// Whether a tick is of the contract that is watched; one that is only looked at before its time breaks no silence.
    fn is_in_force(&self, tick: &Tick) -> bool;

    /// What a market that stays silent may mean at this venue, for people; nothing when it means nothing special.
    fn silence_hint(&self) -> String {
        String::new()
    }

    /// It is time for a heartbeat.
    fn beat(&mut self, reply: &mut Reply);

    /// A text of the peer's without our secrets: some vendors repeat what they were sent.
    fn scrub(&self, text: &str) -> String;

    /// What was not used, by reason.
    fn drops(&mut self) -> &mut Drops;
}
