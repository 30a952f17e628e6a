//! ProjectX (TopstepX and other prop firms): the market hub, SignalR's JSON protocol over a WebSocket.
//!
//! Pure: it cuts frames into records, and reads trades and quotes. The token and the names of the contracts come from
//! the firm's REST interface (`account::projectx`). A quote's last price is a state, not a print, and is not used.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::feed::drops::{Drop, Drops};
use crate::feed::json::row::{price_of, size_of, time_of};
use crate::feed::json::spec::TimeFormat;
use crate::feed::json::walk::{number_text, string};
use crate::feed::json::{clip, json_escape, percent_encode, without};
use crate::feed::protocol::{Frame, Protocol, Reply, Request, Timing, Verdict, Wire};
use crate::market::price::Price;
use crate::market::tick::{Quality, Tick, Update};
use crate::time::Timestamp;

/// The market hub of TopstepX.
pub const HUB: &str = "wss://rtc.topstepx.com/hubs/market";
/// What the session's token is called among a feed's secrets.
pub const TOKEN: &str = "token";
/// Ends every record.
const END: char = '\u{1e}';
/// What was not ended yet is at most so long.
const RECORD_MAX: usize = 1 << 20;
/// The hub wants to hear something so often.
const BEAT_EVERY: Duration = Duration::from_secs(15);
const PING_EVERY: Duration = Duration::from_secs(15);
const HANDSHAKE: &str = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
const PING: &str = "{\"type\":6}\u{1e}";
/// What is asked for each contract.
const TARGETS: [&str; 2] = ["SubscribeContractTrades", "SubscribeContractQuotes"];

/// What the configuration says about this feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The market hub, `wss://…`
    pub hub: String,
    /// Nothing at all for so long: the connection is dead.
    pub transport_silence: Duration,
    /// No print in an open session for so long: something is wrong.
    pub market_silence: Duration,
}

/// One connection to a market hub.
#[derive(Debug)]
pub struct Projectx {
    setup: Setup,
    /// Of each instrument the contract in force first.
    wires: Vec<Wire>,
    token: SecretString,
    greeted: bool,
    /// The number of the next invocation.
    next: u64,
    /// What was asked for and not answered yet, by number.
    asked: BTreeMap<u64, String>,
    /// The last quote of each contract: what does not change is not sent again.
    quotes: BTreeMap<String, (Option<Price>, Option<Price>)>,
    rest: Rest,
    drops: Drops,
}

/// The beginning of a record whose end has not come yet.
#[derive(Debug, Default)]
struct Rest {
    text: String,
    /// It was too long: nothing is kept until its end has come.
    overlong: bool,
}

#[derive(Debug, Deserialize)]
struct Record<'a> {
    #[serde(rename = "type")]
    kind: Option<u64>,
    #[serde(borrow)]
    target: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<Vec<&'a RawValue>>,
    #[serde(borrow, rename = "invocationId")]
    invocation: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(rename = "allowReconnect")]
    allow_reconnect: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trade<'a> {
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    #[serde(borrow)]
    volume: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Quote<'a> {
    #[serde(borrow)]
    best_bid: Option<&'a RawValue>,
    #[serde(borrow)]
    best_ask: Option<&'a RawValue>,
    #[serde(borrow)]
    last_updated: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

impl Projectx {
    /// A protocol that knows neither token nor contracts yet.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            wires: Vec::new(),
            token: SecretString::default(),
            greeted: false,
            next: 1,
            asked: BTreeMap::new(),
            quotes: BTreeMap::new(),
            rest: Rest::default(),
            drops: Drops::default(),
        }
    }

    /// Takes in a piece of the stream; frames and records are not the same.
    fn piece(&mut self, text: &str, received_at: Timestamp, reply: &mut Reply) {
        let mut open = text;
        while let Some((head, tail)) = open.split_once(END) {
            open = tail;
            let Rest { text, overlong } = std::mem::take(&mut self.rest);
            if overlong {
                continue;
            }
            let record = if text.is_empty() { Cow::Borrowed(head) } else { Cow::Owned(text + head) };
            self.record(&record, received_at, reply);
            match reply.verdict {
                Verdict::Continue | Verdict::Ready => {}
                Verdict::Refused(_) | Verdict::Kicked(_) | Verdict::Reconnect(_) => return,
            }
        }
        self.keep(open);
    }

    fn keep(&mut self, open: &str) {
        if self.rest.overlong {
            return;
        }
        if self.rest.text.len().saturating_add(open.len()) > RECORD_MAX {
            self.rest = Rest { text: String::new(), overlong: true };
            return self.drops.count(Drop::NotJson);
        }
        self.rest.text.push_str(open);
    }

    fn record(&mut self, text: &str, received_at: Timestamp, reply: &mut Reply) {
        let Ok(record) = serde_json::from_str::<Record<'_>>(text) else {
            let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
            return self.drops.count(if is_json { Drop::WrongShape } else { Drop::NotJson });
        };
        match record.kind {
            None if !self.greeted => self.greet(&record, reply),
            Some(1) if self.greeted => self.invocation(&record, received_at, reply),
            Some(3) => self.completion(&record, reply),
            Some(7) => reply.verdict = self.closing(&record),
            // Pings show that the hub lives; streams are not asked for.
            Some(_) => {}
            None => self.drops.count(Drop::WrongShape),
        }
    }

    /// The answer to the handshake: nothing, or why not.
    fn greet(&mut self, record: &Record<'_>, reply: &mut Reply) {
        if let Some(error) = record.error {
            reply.verdict = Verdict::Refused(format!("the hub refuses the handshake: {}", self.said(error)));
            return;
        }
        self.greeted = true;
        self.subscribe(reply);
        reply.verdict = Verdict::Ready;
    }

    fn said(&self, value: &RawValue) -> String {
        let text = string(value).unwrap_or(Cow::Borrowed(value.get()));
        format!("{:?}", clip(&without(&text, self.token.expose_secret())))
    }

    /// How a call of ours ended.
    fn completion(&mut self, record: &Record<'_>, reply: &mut Reply) {
        let number = record.invocation.and_then(number_text).and_then(|text| text.parse::<u64>().ok());
        let Some(symbol) = number.and_then(|number| self.asked.remove(&number)) else { return };
        let Some(error) = record.error else { return };
        // A contract that is only looked at before its time must not cost the one in force.
        if self.wires.iter().any(|wire| wire.symbol == symbol && self.is_first(wire)) {
            let said = self.said(error);
            reply.verdict = Verdict::Refused(format!("the hub does not serve {symbol}: it said {said}"));
        } else {
            self.drops.count(Drop::UnknownSymbol);
        }
    }

    fn is_first(&self, wire: &Wire) -> bool {
        self.wires.iter().find(|first| first.instrument == wire.instrument) == Some(wire)
    }

    fn closing(&self, record: &Record<'_>) -> Verdict {
        match (record.error, record.allow_reconnect) {
            (Some(error), Some(false) | None) => {
                let said = self.said(error);
                Verdict::Refused(format!("the hub closes and wants no other try: it said {said}"))
            }
            (Some(error), Some(true)) => {
                Verdict::Reconnect(format!("the hub closes: it said {}", self.said(error)))
            }
            (None, _) => Verdict::Reconnect("the hub closes".into()),
        }
    }

    fn invocation(&mut self, record: &Record<'_>, received_at: Timestamp, reply: &mut Reply) {
        let target = record.target.and_then(string).unwrap_or_default();
        let read = match target.as_ref() {
            "GatewayTrade" => Self::trade,
            "GatewayQuote" => Self::quote,
            // Depth and what else a hub may tell are not asked for.
            _ => return,
        };
        let Some([contract, events]) = record.arguments.as_deref().and_then(|all| all.first_chunk()) else {
            return self.drops.count(Drop::WrongShape);
        };
        let contract = string(contract).unwrap_or_default();
        let Some(wire) = self.wires.iter().find(|wire| wire.symbol == contract).cloned() else {
            return self.drops.count(Drop::UnknownSymbol);
        };
        // One event, or several with nulls between.
        let events: Vec<&RawValue> = match serde_json::from_str(events.get()) {
            Ok(events) => events,
            Err(_) => vec![events],
        };
        for event in events.into_iter().filter(|event| event.get() != "null") {
            match read(self, event, &wire) {
                Ok(Some((update, exchange_at))) => reply.ticks.push(Tick {
                    instrument: wire.instrument,
                    contract: wire.contract,
                    update,
                    exchange_at,
                    received_at,
                    sequence: None,
                    quality: Quality::Live,
                }),
                Ok(None) => {}
                Err(reason) => self.drops.count(reason),
            }
        }
    }

    fn trade(&mut self, event: &RawValue, _: &Wire) -> Result<Option<Event>, Drop> {
        let trade: Trade<'_> = serde_json::from_str(event.get()).map_err(|_| Drop::WrongShape)?;
        let price = price_of(trade.price.ok_or(Drop::BadPrice)?)?;
        let size = trade.volume.map_or(Ok(0), size_of)?;
        Ok(Some((Update::Trade { price, size }, self.time(trade.timestamp))))
    }

    /// What is missing or null has not changed.
    fn quote(&mut self, event: &RawValue, wire: &Wire) -> Result<Option<Event>, Drop> {
        let quote: Quote<'_> = serde_json::from_str(event.get()).map_err(|_| Drop::WrongShape)?;
        if quote.best_bid.is_none() && quote.best_ask.is_none() {
            return Ok(None);
        }
        let last = self.quotes.entry(wire.symbol.clone()).or_default();
        for (side, value) in [(&mut last.0, quote.best_bid), (&mut last.1, quote.best_ask)] {
            if let Some(value) = value {
                *side = price_of(value).ok();
            }
        }
        let (bid, ask) = *last;
        Ok(Some((Update::Quote { bid, ask }, self.time(quote.last_updated.or(quote.timestamp)))))
    }

    /// An event is real even when its time is not.
    fn time(&mut self, value: Option<&RawValue>) -> Option<Timestamp> {
        value.map_or(Ok(None), |value| time_of(value, TimeFormat::Rfc3339)).unwrap_or_else(|reason| {
            self.drops.count(reason);
            None
        })
    }
}

type Event = (Update, Option<Timestamp>);

impl Protocol for Projectx {
    fn timing(&self) -> Timing {
        Timing {
            beat: Some(BEAT_EVERY),
            ping: Some(PING_EVERY),
            transport_silence: self.setup.transport_silence,
            market_silence: self.setup.market_silence,
        }
    }

    fn set_wires(&mut self, wires: Vec<Wire>) {
        self.wires = wires;
    }

    fn set_secret(&mut self, name: &str, secret: SecretString) {
        if name == TOKEN {
            self.token = secret;
        }
    }

    fn request(&self) -> Request {
        let hub = &self.setup.hub;
        let mark = if hub.contains('?') { '&' } else { '?' };
        let token = percent_encode(self.token.expose_secret());
        Request { url: format!("{hub}{mark}access_token={token}").into(), headers: Vec::new() }
    }

    fn connected(&mut self, reply: &mut Reply) {
        (self.greeted, self.next) = (false, 1);
        self.asked.clear();
        self.quotes.clear();
        self.rest = Rest::default();
        reply.send.push(HANDSHAKE.into());
    }

    fn frame(&mut self, frame: Frame<'_>, received_at: Timestamp, reply: &mut Reply) {
        match frame {
            Frame::Text(text) => self.piece(text, received_at, reply),
            Frame::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => self.piece(text, received_at, reply),
                Err(_) => self.drops.count(Drop::NotText),
            },
        }
    }

    fn subscribe(&mut self, reply: &mut Reply) {
        self.asked.clear();
        for wire in &self.wires {
            for target in TARGETS {
                let (number, contract) = (self.next, json_escape(&wire.symbol));
                self.next = self.next.saturating_add(1);
                self.asked.insert(number, wire.symbol.clone());
                let call = format!(
                    r#"{{"type":1,"invocationId":"{number}","target":"{target}","arguments":["{contract}"]}}{END}"#
                );
                reply.send.push(call.into());
            }
        }
    }

    fn is_in_force(&self, tick: &Tick) -> bool {
        let of_instrument = self.wires.iter().find(|wire| wire.instrument == tick.instrument);
        of_instrument.is_some_and(|first| first.contract == tick.contract)
    }

    fn beat(&mut self, reply: &mut Reply) {
        reply.send.push(PING.into());
    }

    fn scrub(&self, text: &str) -> String {
        without(text, self.token.expose_secret())
    }

    fn drops(&mut self) -> &mut Drops {
        &mut self.drops
    }
}

#[cfg(test)]
mod tests;
