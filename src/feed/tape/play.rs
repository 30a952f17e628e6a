//! A tape through a session: what the feed was told is told again, in the same order and at the same times.
//!
//! What the session wants said or done is not done; the tape has what came of it.

use secrecy::SecretString;

use crate::feed::protocol::{Frame, Protocol, Wire};
use crate::feed::session::{Input, Now, Output, Session};
use crate::feed::tape::{Asked, Event, Row, What};
use crate::market::tick::{InstrumentId, Item};

/// Stands for every secret: a protocol may speak otherwise when it has none.
const SECRET: &str = "(secret)";

/// A session that hears a tape.
#[derive(Debug)]
pub struct Player<P> {
    session: Session<P>,
    /// The roots of the instruments, in the order of their ids.
    instruments: Vec<String>,
    outputs: Vec<Output>,
}

impl<P: Protocol> Player<P> {
    /// Before the first line.
    #[must_use]
    pub const fn new(session: Session<P>, instruments: Vec<String>) -> Self {
        Self { session, instruments, outputs: Vec::new() }
    }

    /// Plays one line; what the feed hands on is added to `items`.
    pub fn play(&mut self, row: &Row, items: &mut Vec<Item>) {
        let input = match &row.what {
            What::Text(text) => Input::Frame(Frame::Text(text)),
            What::Bytes(bytes) => Input::Frame(Frame::Binary(bytes)),
            What::Event(Event::Asked(asked)) => return self.ask(asked),
            What::Event(Event::Start) => {
                items.push(self.session.unconnected(row.at));
                Input::Start
            }
            What::Event(Event::Market(open)) => Input::Market { open: *open },
            What::Event(Event::Connected) => Input::Connected,
            What::Event(Event::Failed(failed)) => Input::Failed(failed.clone().into()),
            What::Event(Event::Heard) => Input::Heard,
            What::Event(Event::Closed(why)) => Input::Closed(why),
            What::Event(Event::Timer) => Input::Timer,
        };
        // Without jitter every wait is the shortest, so no timer of the tape comes too early.
        let now = Now { moment: row.up, wall: row.at, jitter: 0 };
        self.session.handle(input, now, &mut self.outputs);
        items.extend(self.outputs.drain(..).filter_map(|output| match output {
            Output::Item(item) => Some(item),
            Output::Connect | Output::Send(_) | Output::Ping | Output::Close | Output::Note(_) => None,
        }));
    }

    /// The protocol, for its counters.
    pub const fn protocol(&mut self) -> &mut P {
        self.session.protocol()
    }

    fn ask(&mut self, asked: &Asked) {
        let wires = asked.wires.iter().filter_map(|wire| {
            // One that this configuration does not know is of no concern here.
            let at = self.instruments.iter().position(|root| *root == wire.instrument)?;
            let instrument = InstrumentId(u32::try_from(at).ok()?);
            Some(Wire { instrument, contract: wire.contract, symbol: wire.symbol.clone() })
        });
        let wires = wires.collect();
        for name in &asked.secrets {
            self.session.protocol().set_secret(name, SecretString::from(SECRET));
        }
        self.session.protocol().set_wires(wires);
    }
}
