//! Massive (formerly Polygon.io), futures: a key, lists of events, every trade with its number.
//!
//! Pure: it says what to say and reads what comes. Aggregates are not asked for: in them `s` is a time, in trades a
//! size. A symbol that does not exist is confirmed like any other; only the silence of the market shows it.

use std::borrow::Cow;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::feed::drops::{Drop, Drops};
use crate::feed::json::row::{price_of, size_of, time_of};
use crate::feed::json::spec::TimeFormat;
use crate::feed::json::walk::{number_text, string};
use crate::feed::json::{clip, json_escape, without};
use crate::feed::protocol::{Frame, Protocol, Reply, Request, Timing, Verdict, Wire};
use crate::market::tick::{Quality, Tick, Update};
use crate::time::{Timestamp, Unit};

/// Where real-time futures are served.
pub const URL: &str = "wss://socket.massive.com/futures";
/// The host of the delayed feed.
pub const DELAYED_HOST: &str = "delayed.massive.com";
/// What the key is called among a feed's secrets.
pub const KEY: &str = "api_key";
/// Their sockets die without a word; a ping that is not answered shows it.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A subscription that is not answered does not hold up the next one for longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What the configuration says about this feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// `wss://…`
    pub url: String,
    /// Whether its prices are delayed by entitlement.
    pub delayed: bool,
    /// Whether quotes are asked for beside trades.
    pub quotes: bool,
    /// Nothing at all for so long: the connection is dead.
    pub transport_silence: Duration,
    /// No print in an open session for so long: something is wrong.
    pub market_silence: Duration,
}

/// One connection to Massive.
#[derive(Debug)]
pub struct Massive {
    setup: Setup,
    /// Of each instrument the contract in force first.
    wires: Vec<Wire>,
    key: SecretString,
    step: Step,
    drops: Drops,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Their greeting is due.
    Opened,
    /// The key was sent.
    Identified,
    /// What was asked for so far, by number; the last one may not be answered yet.
    Subscribing(usize),
}

/// An item of a message; what it says depends on `ev`.
#[derive(Debug, Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    ev: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    sym: Option<&'a RawValue>,
    #[serde(borrow)]
    p: Option<&'a RawValue>,
    #[serde(borrow)]
    s: Option<&'a RawValue>,
    #[serde(borrow)]
    q: Option<&'a RawValue>,
    #[serde(borrow)]
    t: Option<&'a RawValue>,
    #[serde(borrow)]
    bp: Option<&'a RawValue>,
    #[serde(borrow)]
    ap: Option<&'a RawValue>,
}

impl Massive {
    /// A protocol with this key; it knows no symbols yet.
    #[must_use]
    pub fn new(setup: Setup, key: SecretString) -> Self {
        Self { setup, wires: Vec::new(), key, step: Step::Opened, drops: Drops::default() }
    }

    /// What is asked for, one after the other: a refusal does not name what it refuses.
    fn channel(&self, number: usize) -> Option<String> {
        let kinds: &[&str] = if self.setup.quotes { &["T", "Q"] } else { &["T"] };
        let mut all = self.wires.iter().flat_map(|wire| kinds.iter().map(move |kind| (kind, wire)));
        all.nth(number).map(|(kind, wire)| format!("{kind}.{}", wire.symbol))
    }

    fn ask(&mut self, number: usize, reply: &mut Reply) {
        self.step = Step::Subscribing(number);
        if let Some(channel) = self.channel(number) {
            let channel = json_escape(&channel);
            reply.send.push(format!(r#"{{"action":"subscribe","params":"{channel}"}}"#).into());
        }
    }

    fn ask_next(&mut self, reply: &mut Reply) {
        if let Step::Subscribing(number) = self.step
            && self.channel(number).is_some()
        {
            self.ask(number.saturating_add(1), reply);
        }
    }

    fn status(&mut self, row: &Row<'_>, reply: &mut Reply) {
        let text =
            |value: Option<&RawValue>| value.and_then(string).map_or_else(String::new, Cow::into_owned);
        let said = clip(&without(&text(row.message), self.key.expose_secret()));
        match (text(row.status).as_str(), self.step) {
            ("connected", Step::Opened) => {
                self.step = Step::Identified;
                let key = json_escape(self.key.expose_secret());
                reply.send.push(format!(r#"{{"action":"auth","params":"{key}"}}"#).into());
            }
            ("auth_success", Step::Identified) => {
                self.ask(0, reply);
                reply.verdict = Verdict::Ready;
            }
            ("auth_failed", _) => {
                reply.verdict = Verdict::Refused(format!("the key is not taken: Massive said {said:?}"));
            }
            ("auth_timeout", _) => {
                reply.verdict = Verdict::Refused(format!("the key came too late: Massive said {said:?}"));
            }
            ("max_connections", _) => {
                let text = "another client uses this key: Massive allows one connection for each key";
                reply.verdict = Verdict::Kicked(format!("{text}, and said {said:?}"));
            }
            // They are about to close; what is still in their buffer is late.
            (status @ ("slow_consumer" | "force_disconnect"), _) => {
                reply.verdict = Verdict::Reconnect(format!("Massive said {status}: {said:?}"));
            }
            ("success", _) => self.ask_next(reply),
            ("error", _) => reply.verdict = self.error(&said),
            // Whatever else they tell, no price depends on it.
            (_, _) => {}
        }
    }

    fn error(&self, said: &str) -> Verdict {
        if !said.to_ascii_lowercase().contains("not authorized") {
            return Verdict::Reconnect(format!("Massive said {said:?}"));
        }
        let of = match self.step {
            Step::Opened | Step::Identified => None,
            Step::Subscribing(number) => self.channel(number),
        };
        let of = of.as_deref().unwrap_or("futures");
        let way_out = if of.starts_with("Q.") { "; quotes = false does without them" } else { "" };
        Verdict::Refused(format!("the key's plan does not include {of}: Massive said {said:?}{way_out}"))
    }

    fn row(&mut self, text: &RawValue, received_at: Timestamp, reply: &mut Reply) {
        if text.get() == "null" {
            return;
        }
        let Ok(row) = serde_json::from_str::<Row<'_>>(text.get()) else {
            return self.drops.count(Drop::WrongShape);
        };
        match row.ev.and_then(string).as_deref() {
            Some("status") => self.status(&row, reply),
            Some("T") => self.market(&row, received_at, reply, Self::trade),
            Some("Q") => self.market(&row, received_at, reply, Self::quote),
            // Aggregates and what else a key may bring are not asked for.
            Some(_) => {}
            None => self.drops.count(Drop::WrongShape),
        }
    }

    fn market(
        &mut self,
        row: &Row<'_>,
        received_at: Timestamp,
        reply: &mut Reply,
        read: fn(&Row<'_>) -> Result<Update, Drop>,
    ) {
        let wire = row.sym.and_then(string).ok_or(Drop::WrongShape).and_then(|symbol| {
            self.wires.iter().find(|wire| wire.symbol == symbol).ok_or(Drop::UnknownSymbol)
        });
        match wire.and_then(|wire| Ok((wire, read(row)?))) {
            Ok((wire, update)) => reply.ticks.push(Tick {
                instrument: wire.instrument,
                contract: wire.contract,
                update,
                exchange_at: time(row, &mut self.drops),
                received_at,
                sequence: row.q.and_then(|value| number_text(value)?.parse().ok()),
                quality: if self.setup.delayed { Quality::Delayed } else { Quality::Live },
            }),
            Err(reason) => self.drops.count(reason),
        }
    }

    fn trade(row: &Row<'_>) -> Result<Update, Drop> {
        let price = price_of(row.p.ok_or(Drop::BadPrice)?)?;
        Ok(Update::Trade { price, size: row.s.map_or(Ok(0), size_of)? })
    }

    fn quote(row: &Row<'_>) -> Result<Update, Drop> {
        let price = |value: Option<&RawValue>| value.and_then(|value| price_of(value).ok());
        Ok(Update::Quote { bid: price(row.bp), ask: price(row.ap) })
    }
}

/// A print is real even when its time is not.
fn time(row: &Row<'_>, drops: &mut Drops) -> Option<Timestamp> {
    let time = row.t.map_or(Ok(None), |value| time_of(value, TimeFormat::Unix(Unit::Ms)));
    time.unwrap_or_else(|reason| {
        drops.count(reason);
        None
    })
}

impl Protocol for Massive {
    fn timing(&self) -> Timing {
        Timing {
            beat: Some(ANSWER_WITHIN),
            ping: Some(PING_EVERY),
            transport_silence: self.setup.transport_silence,
            market_silence: self.setup.market_silence,
        }
    }

    fn set_wires(&mut self, wires: Vec<Wire>) {
        self.wires = wires;
    }

    fn set_secret(&mut self, name: &str, secret: SecretString) {
        if name == KEY {
            self.key = secret;
        }
    }

    fn request(&self) -> Request {
        Request { url: self.setup.url.clone().into(), headers: Vec::new() }
    }

    fn connected(&mut self, _: &mut Reply) {
        self.step = Step::Opened;
    }

    fn frame(&mut self, frame: Frame<'_>, received_at: Timestamp, reply: &mut Reply) {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => return self.drops.count(Drop::NotText),
            },
        };
        let rows: Vec<&RawValue> = match serde_json::from_str(text) {
            Ok(rows) => rows,
            Err(_) => match serde_json::from_str(text) {
                Ok(row) => vec![row],
                Err(_) => return self.drops.count(Drop::NotJson),
            },
        };
        for row in rows {
            self.row(row, received_at, reply);
            match reply.verdict {
                Verdict::Continue | Verdict::Ready => {}
                Verdict::Refused(_) | Verdict::Kicked(_) | Verdict::Reconnect(_) => return,
            }
        }
    }

    fn subscribe(&mut self, reply: &mut Reply) {
        self.ask(0, reply);
    }

    fn is_in_force(&self, tick: &Tick) -> bool {
        let of_instrument = self.wires.iter().find(|wire| wire.instrument == tick.instrument);
        of_instrument.is_some_and(|first| first.contract == tick.contract)
    }

    fn silence_hint(&self) -> String {
        let symbols: Vec<&str> = self.wires.iter().map(|wire| wire.symbol.as_str()).collect();
        format!("; Massive confirms symbols that do not exist: is {} right?", symbols.join(", "))
    }

    /// A channel that does not exist is not answered at all.
    fn beat(&mut self, reply: &mut Reply) {
        self.ask_next(reply);
    }

    fn scrub(&self, text: &str) -> String {
        without(text, self.key.expose_secret())
    }

    fn drops(&mut self) -> &mut Drops {
        &mut self.drops
    }
}

#[cfg(test)]
mod tests;
