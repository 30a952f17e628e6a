//! Bars through the engine, with time passing as it did.

use std::time::Duration;

use crate::engine::{Engine, Input, Step};
use crate::market::bar::Bar;
use crate::market::symbol::ContractMonth;
use crate::market::tick::{InstrumentId, Item, Quality, Tick, Update};
use crate::time::Timestamp;

/// Recorded bars of one contract on their way through an engine.
#[derive(Debug)]
pub struct Replay {
    /// The engine, of the rules to replay.
    pub engine: Engine,
    /// Whose bars they are.
    pub instrument: InstrumentId,
}

impl Replay {
    /// One bar: its four prints, and every timer that was due before each of them.
    pub fn bar(&mut self, bar: &Bar, contract: Option<ContractMonth>, step: &mut Step) {
        for (at, price, size) in bar.prints() {
            self.pass(at, step);
            let tick = Tick {
                instrument: self.instrument,
                contract,
                update: Update::Trade { price, size },
                exchange_at: Some(at),
                received_at: at,
                sequence: None,
                quality: Quality::FromBar,
            };
            self.engine.handle(&Input::Item(Item::Tick(tick)), step);
        }
    }

    /// The data is over: what was due until the end of its last bar still happens.
    pub fn end(&mut self, last: &Bar, step: &mut Step) {
        self.pass(last.start.saturating_add(last.length).saturating_add(Duration::from_nanos(1)), step);
    }

    /// Time passes up to, and without, `at`.
    fn pass(&mut self, at: Timestamp, step: &mut Step) {
        while let Some(due) = self.engine.deadline().filter(|due| *due < at) {
            self.engine.handle(&Input::Clock(due), step);
        }
    }
}
