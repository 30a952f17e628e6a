//! The state of feeds, and the silence that must be explained.
//!
//! A feed that is back within the grace time was not down. The grace counts open-market time only: over a
//! weekend no one is alarmed.

use serde::{Deserialize, Serialize};

use crate::engine::book::BookIndex;
use crate::engine::scene::Scene;
use crate::engine::{Engine, FeedSetup, Step, index_of};
use crate::event::{Event, Kind, Numbers, Reason, ThreadId};
use crate::market::tick::{FeedId, Link, LinkState, Loss, Tick};
use crate::time::Timestamp;

/// What is wrong with a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    since: Timestamp,
    kind: Kind,
    reason: Reason,
    detail: String,
    told: bool,
    step: u32,
}

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedLink {
    outage: Option<Outage>,
}

/// One feed.
#[derive(Clone, Debug)]
pub struct LinkWatch {
    /// Its name and instruments.
    pub setup: FeedSetup,
    /// What survives a restart.
    pub saved: SavedLink,
    /// When the outage is told.
    due: Option<Timestamp>,
    live: bool,
    delayed_told: bool,
}

impl LinkWatch {
    /// A feed of which nothing is known yet.
    #[must_use]
    pub const fn new(setup: FeedSetup) -> Self {
        Self { setup, saved: SavedLink { outage: None }, due: None, live: false, delayed_told: false }
    }

    /// When time must be told.
    #[must_use]
    pub const fn deadline(&self) -> Option<Timestamp> {
        self.due
    }

    /// Since when it is not well, and why.
    #[must_use]
    pub fn outage(&self) -> Option<(Timestamp, Reason)> {
        self.saved.outage.as_ref().map(|outage| (outage.since, outage.reason))
    }

    /// The name under which its state is saved.
    #[must_use]
    pub fn key(&self) -> String {
        format!("feed:{}", self.setup.name)
    }
}

impl Engine {
    pub(super) fn on_link(&mut self, link: &Link, step: &mut Step) {
        match &link.state {
            LinkState::Live => self.on_link_live(link.feed, link.at, step),
            LinkState::Down { loss, detail } => self.on_link_down(link.feed, link.at, *loss, detail, step),
            LinkState::Quiet => self.on_link_quiet(link.feed, link.at, step),
        }
    }

    fn link(&mut self, feed: FeedId) -> Option<&mut LinkWatch> {
        self.links.get_mut(index_of(feed.0))
    }

    /// The books that a feed fills.
    fn books_of(&self, feed: FeedId) -> Vec<usize> {
        let instruments = self
            .links
            .get(index_of(feed.0))
            .map(|link| link.setup.instruments.as_slice())
            .unwrap_or_default();
        instruments.iter().filter_map(|id| self.by_instrument.get(id.index())).flatten().copied().collect()
    }

    fn on_link_live(&mut self, feed: FeedId, at: Timestamp, step: &mut Step) {
        for book in self.books_of(feed) {
            if let Some(book) = self.books.get_mut(book) {
                book.watched();
            }
        }
        let Some(link) = self.link(feed) else { return };
        link.live = true;
        // A market that was silent is back with its first print, not with a connection.
        if link.saved.outage.as_ref().is_none_or(|outage| outage.kind == Kind::FeedDown) {
            self.end_outage(feed, at, at, step);
        }
    }

    /// What must hold continuously begins anew in all levels of a book.
    pub(super) fn nobody_watches(&mut self, id: BookIndex, at: Timestamp, now: Timestamp, step: &mut Step) {
        let Some(book) = self.books.get(id) else { return };
        let waiting: Vec<_> = book.lanes.iter().flat_map(|lane| lane.index.always()).collect();
        for level in waiting {
            self.with_level(level, at, now, None, step, |level, scene: &Scene<'_>, _| {
                level.on_feed_lost(scene);
            });
        }
    }

    fn on_link_down(&mut self, feed: FeedId, at: Timestamp, loss: Loss, detail: &str, step: &mut Step) {
        for id in self.books_of(feed) {
            // What was due before is decided by what was seen before.
            self.pass(id, at.saturating_sub(self.limits.timer_slack), at, step);
            let Some(book) = self.books.get_mut(id) else { continue };
            book.unwatched(at);
            self.nobody_watches(id, at, at, step);
        }
        let reason = match loss {
            Loss::Disconnected => Reason::Disconnected,
            Loss::TransportSilent => Reason::TransportSilent,
            Loss::MarketSilent => Reason::MarketSilent,
            Loss::Refused => Reason::Refused,
        };
        let grace = if loss == Loss::Refused { std::time::Duration::ZERO } else { self.limits.down_grace };
        let Some(link) = self.link(feed) else { return };
        link.live = false;
        // An outage that was told is told again only when a person must act.
        let told = |outage: &Outage| outage.told && outage.kind == Kind::FeedDown;
        if link
            .saved
            .outage
            .as_ref()
            .is_some_and(|outage| told(outage) && (loss != Loss::Refused || outage.reason == reason))
        {
            return;
        }
        let (since, steps) = link.saved.outage.as_ref().map_or((at, 0), |outage| (outage.since, outage.step));
        let outage = Outage {
            since,
            kind: Kind::FeedDown,
            reason,
            detail: detail.to_owned(),
            told: false,
            step: steps,
        };
        link.saved.outage = Some(outage);
        step.feeds.insert(feed);
        let due = self.open_time_after(feed, at, grace);
        if let Some(link) = self.link(feed) {
            link.due = Some(link.due.map_or(due, |earlier| earlier.min(due)));
        }
        if loss == Loss::Refused {
            self.tell_outage(feed, at, step);
        }
    }

    fn on_link_quiet(&mut self, feed: FeedId, at: Timestamp, step: &mut Step) {
        let Some(link) = self.link(feed) else { return };
        if link.saved.outage.as_ref().is_some_and(|outage| outage.told) {
            return;
        }
        link.saved.outage = Some(Outage {
            since: at,
            kind: Kind::FeedQuiet,
            reason: Reason::MarketSilent,
            detail: "connected, but no print comes in an open session".into(),
            told: false,
            step: 0,
        });
        self.tell_outage(feed, at, step);
    }

    /// A print has come: whatever was silent is not.
    pub(super) fn link_of_tick(&mut self, tick: &Tick, step: &mut Step) {
        let silent = |link: &LinkWatch| {
            link.saved.outage.is_some() && link.setup.instruments.contains(&tick.instrument)
        };
        let Some(at) = self.links.iter().position(silent) else { return };
        if let Ok(feed) = u32::try_from(at) {
            self.end_outage(FeedId(feed), tick.at(), tick.received_at, step);
        }
    }

    /// Delayed and frozen values arm nothing, and people must know that nobody watches.
    pub(super) fn on_not_live(&mut self, tick: &Tick, step: &mut Step) {
        super::count(step, Reason::Refused);
        let carries = |link: &LinkWatch| link.setup.instruments.contains(&tick.instrument);
        let Some(link) = self.links.iter_mut().find(|link| carries(link) && !link.delayed_told) else {
            return;
        };
        link.delayed_told = true;
        let at = tick.received_at;
        let thread = ThreadId::new(&link.key(), "delayed", at);
        let mut numbers = Numbers::new();
        numbers.insert("feed".into(), link.setup.name.clone().into());
        numbers.insert("detail".into(), "the feed sends delayed or frozen prices; they arm nothing".into());
        let event = Event::bare(Kind::FeedQuiet, Reason::Refused, &thread, 1, (at, at), numbers);
        step.events.push(Event { rehearsal: self.rehearsal, ..event });
    }

    pub(super) fn links_on_clock(&mut self, now: Timestamp, step: &mut Step) {
        for at in 0..self.links.len() {
            let due = self.links.get(at).and_then(LinkWatch::deadline).is_some_and(|due| due <= now);
            if let (true, Ok(feed)) = (due, u32::try_from(at)) {
                self.tell_outage(FeedId(feed), now, step);
            }
        }
    }

    fn tell_outage(&mut self, feed: FeedId, now: Timestamp, step: &mut Step) {
        let rehearsal = self.rehearsal;
        let Some(link) = self.link(feed) else { return };
        link.due = None;
        let name = link.setup.name.clone();
        let Some(outage) = link.saved.outage.as_mut().filter(|outage| !outage.told) else { return };
        outage.told = true;
        outage.step = outage.step.saturating_add(1);
        let thread = ThreadId::new(&format!("feed:{name}"), "", outage.since);
        let mut numbers = Numbers::new();
        numbers.insert("feed".into(), name.into());
        numbers.insert("detail".into(), outage.detail.clone().into());
        let event =
            Event::bare(outage.kind, outage.reason, &thread, outage.step, (outage.since, now), numbers);
        step.events.push(Event { rehearsal, ..event });
        step.feeds.insert(feed);
    }

    fn end_outage(&mut self, feed: FeedId, at: Timestamp, now: Timestamp, step: &mut Step) {
        let rehearsal = self.rehearsal;
        let Some(link) = self.link(feed) else { return };
        link.due = None;
        let Some(outage) = link.saved.outage.take() else { return };
        step.feeds.insert(feed);
        if !outage.told {
            return;
        }
        let name = link.setup.name.clone();
        let thread = ThreadId::new(&format!("feed:{name}"), "", outage.since);
        let down = at.since(outage.since).as_millis();
        let mut numbers = Numbers::new();
        numbers.insert("feed".into(), name.into());
        numbers.insert("down_ms".into(), u64::try_from(down).unwrap_or(u64::MAX).into());
        let last = outage.step.saturating_add(1);
        let event = Event::bare(Kind::FeedUp, Reason::Restored, &thread, last, (at, now), numbers);
        step.events.push(Event { rehearsal, ..event });
    }

    /// `grace` of open-market time from now, by the first instrument of the feed.
    fn open_time_after(&self, feed: FeedId, at: Timestamp, grace: std::time::Duration) -> Timestamp {
        let book = self.books_of(feed).first().and_then(|book| self.books.get(*book));
        book.map_or_else(|| at.saturating_add(grace), |book| book.calendar.add_open(at, grace))
    }
}
