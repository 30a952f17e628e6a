//! Any JSON-over-WebSocket source, described by configuration instead of code.

pub mod row;
pub mod spec;
pub mod walk;

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;

use crate::feed::drops::{Drop, Drops};
use crate::feed::json::spec::{Condition, Pointer, Realtime, RowsAt, Spec, Template, TradeAt};
use crate::feed::json::walk::{each, first, holds, number_text};
use crate::feed::protocol::{Frame, Protocol, Reply, Request, Timing, Verdict, Wire};
use crate::market::tick::{Quality, Tick, Update};
use crate::time::Timestamp;

/// A shorter secret would garble every text it is taken out of.
const SECRET_LEAST: usize = 4;
/// Of what a peer said so many characters are shown.
const SAID_MAX: usize = 200;

/// The protocol that a [`Spec`] describes.
#[derive(Debug)]
pub struct Json {
    spec: Spec,
    /// Of each instrument the contract in force first.
    wires: Vec<Wire>,
    secrets: BTreeMap<String, SecretString>,
    /// The greeting's next step; past the end once greeted.
    step: usize,
    realtime: bool,
    drops: Drops,
}

impl Json {
    /// A protocol for these symbols, with what `${name}` stands for.
    #[must_use]
    pub fn new(spec: Spec, wires: Vec<Wire>, secrets: BTreeMap<String, SecretString>) -> Self {
        Self { spec, wires, secrets, step: 0, realtime: false, drops: Drops::default() }
    }

    fn fill(&self, template: &Template, symbol: &str, escape: fn(&str) -> String) -> SecretString {
        let filled = template.fill(|name| match name {
            "symbol" => Some(escape(symbol)),
            name => self.secrets.get(name).map(|secret| escape(secret.expose_secret())),
        });
        SecretString::from(filled)
    }

    /// Says what stands in the greeting's next steps, up to one that waits for an answer.
    fn greet_on(&mut self, reply: &mut Reply) {
        while let Some(greet) = self.spec.greet.get(self.step) {
            if let Some(send) = &greet.send {
                reply.send.push(self.fill(send, "", json_escape));
            }
            if !greet.expect.is_empty() {
                return;
            }
            self.step = self.step.saturating_add(1);
        }
        self.subscribe(reply);
        reply.verdict = Verdict::Ready;
    }

    /// What the peer said when it refused, short and without what we sent.
    fn refusal(&self, message: &RawValue, condition: &Condition) -> String {
        let said = self.scrub(first(message, &condition.at.segments).map_or("", RawValue::get));
        format!("the venue said {} at {}", clip(&said), condition.at)
    }

    fn is_greeted(&self) -> bool {
        self.step >= self.spec.greet.len()
    }

    fn message(&mut self, message: &RawValue, received_at: Timestamp, reply: &mut Reply) {
        if let Some(refused) = self.spec.refuse.iter().find(|condition| holds(message, condition)) {
            reply.verdict = Verdict::Refused(self.refusal(message, refused));
            return;
        }
        if let Realtime::When(conditions) = &self.spec.realtime {
            self.realtime = self.realtime || conditions.iter().all(|condition| holds(message, condition));
        }
        if let Some(greet) = self.spec.greet.get(self.step) {
            if greet.expect.iter().all(|condition| holds(message, condition)) {
                self.step = self.step.saturating_add(1);
                self.greet_on(reply);
            }
            return;
        }
        self.trades(message, received_at, reply);
        self.others(message, received_at, reply);
    }

    fn trades(&mut self, message: &RawValue, received_at: Timestamp, reply: &mut Reply) {
        let (spec, wires, quality) = (&self.spec, &self.wires, self.quality());
        let drops = &mut self.drops;
        each(message, &spec.trade.each.segments, &mut |row| {
            if !is_row(row, &spec.trade.filter) {
                return;
            }
            match trade(row, &spec.trade, wires, drops) {
                Ok((wire, update, exchange_at, sequence)) => reply.ticks.push(Tick {
                    instrument: wire.instrument,
                    contract: wire.contract,
                    update,
                    exchange_at,
                    received_at,
                    sequence,
                    quality,
                }),
                Err(reason) => drops.count(reason),
            }
        });
    }

    /// Quotes and the range of the trade date.
    fn others(&mut self, message: &RawValue, received_at: Timestamp, reply: &mut Reply) {
        let quality = self.quality();
        let Self { spec, wires, drops, .. } = self;
        let mut read = |at: &RowsAt, update: &dyn Fn(&RawValue) -> Option<Update>| {
            each(message, &at.each.segments, &mut |row| {
                if !is_row(row, &at.filter) {
                    return;
                }
                let (wire, update) = match (wire_of(row, at.symbol.as_ref(), wires), update(row)) {
                    (Ok(wire), Some(update)) => (wire, update),
                    (Ok(_), None) => return,
                    (Err(reason), _) => return drops.count(reason),
                };
                reply.ticks.push(Tick {
                    instrument: wire.instrument,
                    contract: wire.contract,
                    update,
                    exchange_at: at.time.as_ref().and_then(|time| row::time(row, time).ok().flatten()),
                    received_at,
                    sequence: None,
                    quality,
                });
            });
        };
        if let Some(at) = &spec.quote {
            read(&at.rows, &|row| {
                let price = |at| row::price(row, at).ok();
                Some(Update::Quote { bid: price(&at.bid), ask: price(&at.ask) })
            });
        }
        if let Some(at) = &spec.day {
            read(&at.rows, &|row| {
                let price = |at| row::price(row, at).ok();
                // Before the first trade of a day there is neither.
                let (high, low) = (price(&at.high), price(&at.low));
                (high.is_some() || low.is_some()).then_some(Update::Range { high, low })
            });
        }
    }

    const fn quality(&self) -> Quality {
        let live = match self.spec.realtime {
            Realtime::Always(live) => live,
            Realtime::When(_) => self.realtime,
        };
        if live { Quality::Live } else { Quality::Delayed }
    }
}

impl Protocol for Json {
    fn timing(&self) -> Timing {
        Timing {
            beat: self.spec.heartbeat.as_ref().map(|beat| beat.every),
            ping: self.spec.ws_ping,
            transport_silence: self.spec.transport_silence,
            market_silence: self.spec.market_silence,
        }
    }

    fn set_wires(&mut self, wires: Vec<Wire>) {
        self.wires = wires;
    }

    fn set_secret(&mut self, name: &str, secret: SecretString) {
        self.secrets.insert(name.to_owned(), secret);
    }

    fn request(&self) -> Request {
        // Several symbols cannot stand in one address; where one does, it is the only one.
        let symbol = self.wires.first().map_or("", |wire| wire.symbol.as_str());
        let headers = self.spec.headers.iter();
        Request {
            url: self.fill(&self.spec.url, symbol, percent_encode),
            headers: headers
                .map(|(name, value)| (name.clone(), self.fill(value, symbol, str::to_owned)))
                .collect(),
        }
    }

    fn connected(&mut self, reply: &mut Reply) {
        (self.step, self.realtime) = (0, false);
        self.greet_on(reply);
    }

    fn frame(&mut self, frame: Frame<'_>, received_at: Timestamp, reply: &mut Reply) {
        let text = match frame {
            Frame::Text(text) => text,
            Frame::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) => return self.drops.count(Drop::NotText),
            },
        };
        match walk::parse(text) {
            Some(message) => self.message(message, received_at, reply),
            None => self.drops.count(Drop::NotJson),
        }
    }

    fn subscribe(&mut self, reply: &mut Reply) {
        for wire in &self.wires {
            reply.send.push(self.fill(&self.spec.subscribe, &wire.symbol, json_escape));
        }
    }

    fn is_in_force(&self, tick: &Tick) -> bool {
        let of_instrument = self.wires.iter().find(|wire| wire.instrument == tick.instrument);
        of_instrument.is_some_and(|first| first.contract == tick.contract)
    }

    fn beat(&mut self, reply: &mut Reply) {
        if let (Some(beat), true) = (&self.spec.heartbeat, self.is_greeted()) {
            reply.send.push(self.fill(&beat.send, "", json_escape));
        }
    }

    fn scrub(&self, text: &str) -> String {
        let secrets = self.secrets.values().map(ExposeSecret::expose_secret);
        secrets.fold(text.to_owned(), |text, secret| without(&text, secret))
    }

    fn drops(&mut self) -> &mut Drops {
        &mut self.drops
    }
}

/// Nulls pad some vendors' arrays; the rest must fulfil the filter.
fn is_row(row: &RawValue, filter: &[Condition]) -> bool {
    row.get() != "null" && filter.iter().all(|condition| holds(row, condition))
}

type Trade<'w> = (&'w Wire, Update, Option<Timestamp>, Option<u64>);

fn trade<'w>(row: &RawValue, at: &TradeAt, wires: &'w [Wire], drops: &mut Drops) -> Result<Trade<'w>, Drop> {
    let wire = wire_of(row, at.symbol.as_ref(), wires)?;
    let price = row::price(row, &at.price)?;
    let size = at.size.as_ref().map_or(Ok(0), |at| row::size(row, at))?;
    let time = at.time.as_ref().map_or(Ok(None), |at| row::time(row, at)).unwrap_or_else(|reason| {
        // The print is real even when its time is not.
        drops.count(reason);
        None
    });
    let sequence = at.sequence.as_ref().and_then(|at| row::sequence(row, at));
    Ok((wire, Update::Trade { price, size }, time, sequence))
}

fn wire_of<'w>(row: &RawValue, at: Option<&Pointer>, wires: &'w [Wire]) -> Result<&'w Wire, Drop> {
    let Some(at) = at else { return wires.first().ok_or(Drop::UnknownSymbol) };
    let value = first(row, &at.segments).ok_or(Drop::WrongShape)?;
    let symbol = number_text(value).ok_or(Drop::WrongShape)?;
    wires.iter().find(|wire| wire.symbol == symbol).ok_or(Drop::UnknownSymbol)
}

/// A text without a secret, however it may be written in it.
pub(super) fn without(text: &str, secret: &str) -> String {
    if secret.len() < SECRET_LEAST {
        return text.to_owned();
    }
    text.replace(secret, "(secret)")
        .replace(&json_escape(secret), "(secret)")
        .replace(&percent_encode(secret), "(secret)")
}

/// What a peer said, short and on one line.
pub(super) fn clip(said: &str) -> String {
    said.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect()
}

/// For a place inside a JSON string.
pub(super) fn json_escape(text: &str) -> String {
    let quoted = serde_json::Value::String(text.to_owned()).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// For a place inside a URL.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

#[cfg(test)]
mod tests;
