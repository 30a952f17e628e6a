//! Bars through the engine, with time passing as it did.
//!
//! A hole in the recording is a time in which nobody watched. The engine is told so, as a feed would tell it.

use std::time::Duration;

use crate::engine::{Engine, Input, Step};
use crate::market::bar::Bar;
use crate::market::calendar::Calendar;
use crate::market::symbol::ContractMonth;
use crate::market::tick::{FeedId, InstrumentId, Item, Link, LinkState, Loss, Quality, Tick, Update};
use crate::time::Timestamp;

/// No bar for more than so much open-market time is a hole; a market can be quiet for less.
pub const HOLE: Duration = Duration::from_secs(30 * 60);

/// Recorded bars of one instrument on their way through an engine.
#[derive(Debug)]
pub struct Replay {
    /// The engine, of the rules to replay.
    pub engine: Engine,
    instrument: InstrumentId,
    calendar: Calendar,
    feed: FeedId,
    /// The end of the last bar.
    seen_until: Option<Timestamp>,
}

impl Replay {
    /// Before the first bar. `feed` is the feed of the engine's setup that carries the instrument; it goes down
    /// for each hole. Without one in the setup holes are not noticed.
    #[must_use]
    pub const fn new(engine: Engine, instrument: InstrumentId, calendar: Calendar, feed: FeedId) -> Self {
        Self { engine, instrument, calendar, feed, seen_until: None }
    }

    /// One bar: its four prints, and every timer that was due before each of them.
    pub fn bar(&mut self, bar: &Bar, contract: Option<ContractMonth>, step: &mut Step) {
        self.hole_before(bar, step);
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
        self.seen_until = Some(bar.end());
    }

    /// The data is over: what was due until the end of its last bar still happens.
    pub fn end(&mut self, last: &Bar, step: &mut Step) {
        self.pass(last.start.saturating_add(last.length).saturating_add(Duration::from_nanos(1)), step);
    }

    /// Tells of the hole that ends with this bar, if there is one. Bars of an hour or a day leave longer times
    /// without one, so they are allowed one bar.
    fn hole_before(&mut self, bar: &Bar, step: &mut Step) {
        let Some(from) = self.seen_until else { return };
        // Most bars follow at once, and the calendar need not be asked.
        let limit = HOLE.max(bar.length);
        if bar.start.since(from) <= limit || self.calendar.open_between(from, bar.start) <= limit {
            return;
        }
        self.pass(from, step);
        let detail = format!("no bars from {from} to {}, in an open session", bar.start);
        self.link(from, LinkState::Down { loss: Loss::MarketSilent, detail }, step);
        self.pass(bar.start, step);
        self.link(bar.start, LinkState::Live, step);
    }

    fn link(&mut self, at: Timestamp, state: LinkState, step: &mut Step) {
        self.engine.handle(&Input::Item(Item::Link(Link { feed: self.feed, at, state })), step);
    }

    /// Time passes up to, and without, `at`.
    fn pass(&mut self, at: Timestamp, step: &mut Step) {
        while let Some(due) = self.engine.deadline().filter(|due| *due < at) {
            self.engine.handle(&Input::Clock(due), step);
        }
    }
}
