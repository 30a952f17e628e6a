//! The life of one level: armed, pending, broken, followed, armed again.
//!
//! The machine knows one direction, up. A support is a resistance in the mirror: its prices change sign on the
//! way in. Time is an argument and timers are inputs; what was established comes back as [`Fact`]s.

mod after;
mod wait;

use crate::engine::confirm::{Closed, Pending, Print};
use crate::engine::follow::Watch;
use crate::engine::gate;
use crate::engine::marks::{Grid, Marks};
use crate::engine::reject::Visit;
use crate::engine::rule::{Confirm, GapPolicy, Half, PriceFrom, Rule};
use crate::engine::scene::{Fact, Remark, Scene};
use crate::engine::state::{Latch, Life, State, Story};
use crate::event::{Kind, Reason, Side, ThreadId};
use crate::market::price::Price;
use crate::time::Timestamp;

/// A rule with the place of its level and its state.
#[derive(Clone, Debug)]
pub struct Level {
    /// What its author asked for.
    pub rule: Rule,
    /// Where the level lies, as a traded price of the contract in force; `None` while nobody knows.
    pub at: Option<Price>,
    /// What happened so far.
    pub state: State,
    /// When it must be asked again, whatever the price.
    pub deadline: Option<Timestamp>,
}

/// One nano-unit: the distance between "at" and "beyond".
const EPSILON: Price = Price::from_nanos(1);

impl Level {
    /// A level that has seen nothing.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { deadline: rule.expires, at: rule.fixed(), rule, state: State::new() }
    }

    /// Takes up a saved state.
    pub fn restore(&mut self, state: State) {
        self.state = state.tidied();
        self.at = self.state.life.as_ref().and_then(|life| life.place).or_else(|| self.rule.fixed());
    }

    /// The price as seen upwards, and back: a support is a resistance in the mirror.
    #[must_use]
    pub fn mirror(&self, price: Price) -> Price {
        self.rule.mirror(price)
    }

    /// The prices that matter, as seen upwards; `None` while the level's place or a distance is not known.
    #[must_use]
    pub fn marks(&self, grid: Grid) -> Option<Marks> {
        Marks::of(&self.rule.terms, self.at?, grid)
    }

    /// The traded price at which the level counts as broken.
    #[must_use]
    pub fn threshold(&self, grid: Grid) -> Option<Price> {
        self.marks(grid).map(|marks| self.mirror(marks.broken))
    }

    fn is_beyond(&self, seen: Price, marks: &Marks) -> bool {
        marks.is_beyond(seen, self.rule.strict)
    }

    /// A price of the kind that the rule compares.
    pub fn on_price(&mut self, price: Price, size: u32, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let Some(marks) = self.marks(scene.grid()) else { return };
        let seen = self.mirror(price);
        self.follow(seen, price, scene, out);
        let beyond = self.is_beyond(seen, &marks);
        if matches!(self.state.latch, Latch::Pending(_) | Latch::Spent { .. }) {
            self.note_range(seen, &marks);
        }
        match &mut self.state.latch {
            Latch::New => self.place(seen, &marks, scene.at),
            Latch::Armed { near } => {
                let near = *near;
                self.while_armed(seen, (price, size), near, &marks, scene, out);
            }
            Latch::Pending(pending) => {
                if scene.gap.is_some() {
                    pending.restart();
                }
                if beyond {
                    let again = pending.is_behind();
                    pending.count(Print { at: scene.at, size });
                    if again {
                        self.quoted_now(&marks, scene);
                    }
                    self.while_pending(price, &marks, scene, out);
                } else if !pending.fall_back() {
                    self.arm(seen, &marks);
                    self.remark(scene.at, Remark::FellBackUnconfirmed);
                }
            }
            Latch::Unconfirmed => {
                if !beyond {
                    self.arm(seen, &marks);
                }
            }
            Latch::Spent { behind_since, .. } => {
                let behind = seen <= marks.rearm;
                *behind_since = if behind { Some(behind_since.unwrap_or(scene.at)) } else { None };
                self.try_rearm(seen, Some(price), &marks, scene, out);
            }
            Latch::Unplaced | Latch::Suspended | Latch::Expired => {}
        }
        self.visit((seen, size), price, &marks, scene, out);
        self.set_deadline(scene);
    }

    /// A price that only tells where the market was: it may place a new rule, and never fires.
    pub fn on_snapshot(&mut self, price: Price, scene: &Scene<'_>) {
        if let (Latch::New, Some(marks)) = (&self.state.latch, self.marks(scene.grid())) {
            self.place(self.mirror(price), &marks, scene.at);
        }
    }

    /// A price that no print showed, but the day's high or low does.
    pub fn on_hidden(&mut self, price: Price, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let Some(marks) = self.marks(scene.grid()) else { return };
        let plain = self.rule.confirm.is_empty() && self.is_beyond(self.mirror(price), &marks);
        if !plain || !matches!(self.state.latch, Latch::Armed { .. }) {
            return;
        }
        match gate::closed(&self.rule, scene) {
            Some(why) => self.spend(scene.at, why),
            None => {
                let pending = Pending::new(&self.rule, scene);
                self.establish(&pending, Reason::SeenByDayHigh, price, scene, out);
            }
        }
        self.set_deadline(scene);
    }

    /// The best bid and offer, for a break that waits for a quote.
    pub fn on_quote(
        &mut self,
        bid: Option<Price>,
        ask: Option<Price>,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        let Some(marks) = self.marks(scene.grid()) else { return };
        let beyond = self.is_quoted_beyond(bid, ask, &marks);
        if let Latch::Pending(pending) = &mut self.state.latch {
            pending.quoted(beyond, scene.at);
            self.set_deadline(scene);
            let last = scene.book.last(self.rule.price_from);
            if let Some(last) = last {
                self.while_pending(last, &marks, scene, out);
                self.set_deadline(scene);
            }
        }
    }

    fn is_quoted_beyond(&self, bid: Option<Price>, ask: Option<Price>, marks: &Marks) -> bool {
        let near = match self.rule.side {
            Side::Resistance => bid,
            Side::Support => ask,
        };
        near.is_some_and(|price| self.is_beyond(self.mirror(price), marks))
    }

    /// Price comes beyond: the quote in force counts from now on, if it was not missed.
    fn quoted_now(&mut self, marks: &Marks, scene: &Scene<'_>) {
        let of = |from| scene.book.watched_last(from);
        let beyond = self.is_quoted_beyond(of(PriceFrom::Bid), of(PriceFrom::Ask), marks);
        if let Latch::Pending(pending) = &mut self.state.latch {
            pending.quoted(beyond, scene.at);
        }
    }

    /// Coming near while the level cannot be approached is not told, then or later.
    fn note_range(&mut self, seen: Price, marks: &Marks) {
        if marks.approach.is_some_and(|close| seen >= close) {
            if let Some(life) = &mut self.state.life {
                life.far = false;
            }
        } else if marks.approach_again.is_some_and(|again| seen <= again) {
            self.state.life_mut().far = true;
        }
    }

    /// Time has passed; `last` is the last price seen.
    pub fn on_time(&mut self, last: Option<Price>, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        if self.rule.expires.is_some_and(|end| end <= scene.at) && self.state.latch != Latch::Expired {
            self.end(Kind::LevelExpired, Reason::Expired, Latch::Expired, scene, out);
        }
        self.follow_time(last, scene, out);
        if let (Some(price), Some(marks)) = (last, self.marks(scene.grid())) {
            let seen = self.mirror(price);
            match &self.state.latch {
                Latch::Pending(_) => self.pending_time(price, &marks, scene, out),
                Latch::Spent { .. } => self.try_rearm(seen, None, &marks, scene, out),
                Latch::New
                | Latch::Armed { .. }
                | Latch::Unconfirmed
                | Latch::Unplaced
                | Latch::Suspended
                | Latch::Expired => {}
            }
        }
        self.set_deadline(scene);
    }

    /// Nobody watches any more: what must hold continuously begins anew.
    pub fn on_feed_lost(&mut self, scene: &Scene<'_>) {
        if let Latch::Pending(pending) = &mut self.state.latch {
            pending.pause();
        }
        self.set_deadline(scene);
    }

    /// The rule cannot be watched until a person acts.
    pub fn suspend(&mut self, reason: Reason, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        if !matches!(self.state.latch, Latch::Suspended | Latch::Expired) {
            self.end(Kind::LevelSuspended, reason, Latch::Suspended, scene, out);
            self.set_deadline(scene);
        }
    }

    /// Where the level lies is not known, and that is worth saying.
    pub fn unplace(&mut self, reason: Reason, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        self.at = None;
        self.state.life_mut().place = None;
        if !matches!(self.state.latch, Latch::Unplaced | Latch::Suspended | Latch::Expired) {
            self.end(Kind::LevelSuspended, reason, Latch::Unplaced, scene, out);
            self.set_deadline(scene);
        }
    }

    /// The level lies elsewhere now. That never breaks it: what price is beyond counts as beyond before.
    pub fn relocate(&mut self, to: Option<Price>, last: Option<Price>, scene: &Scene<'_>) {
        self.at = to;
        let elsewhere = to.filter(|to| self.rule.fixed() != Some(*to));
        if elsewhere.is_some() || self.state.life.is_some() {
            self.state.life_mut().place = elsewhere;
        }
        let (marks, seen) = (self.marks(scene.grid()), last.map(|last| self.mirror(last)));
        let waits = |latch: &Latch| !matches!(latch, Latch::Suspended | Latch::Expired);
        match (marks, seen) {
            (Some(marks), Some(seen)) => self.place_again(seen, &marks, scene.at),
            (Some(_), None) | (None, _) if waits(&self.state.latch) => self.state.latch = Latch::New,
            (Some(_), None) | (None, _) => {}
        }
        self.set_deadline(scene);
    }

    fn place_again(&mut self, seen: Price, marks: &Marks, at: Timestamp) {
        let beyond = self.is_beyond(seen, marks);
        let close = marks.approach.is_some_and(|a| seen >= a);
        if matches!(self.state.latch, Latch::Pending(_) | Latch::Spent { .. }) {
            self.note_range(seen, marks);
        }
        match &mut self.state.latch {
            Latch::New | Latch::Unplaced => self.place(seen, marks, at),
            Latch::Armed { .. } | Latch::Unconfirmed if beyond => self.spend(at, Remark::MovedPast),
            // Coming near by moving is no approach.
            Latch::Armed { near } => *near |= close,
            Latch::Unconfirmed => self.state.latch = Latch::Armed { near: true },
            Latch::Pending(pending) => {
                if !beyond && !pending.fall_back() {
                    self.state.latch = Latch::Armed { near: true };
                    self.remark(at, Remark::FellBackUnconfirmed);
                }
            }
            Latch::Spent { behind_since, .. } => {
                let behind = seen <= marks.rearm;
                *behind_since = if behind { Some(behind_since.unwrap_or(at)) } else { None };
            }
            Latch::Suspended | Latch::Expired => {}
        }
    }

    fn end(&mut self, kind: Kind, reason: Reason, latch: Latch, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        self.state.latch = latch;
        let life = self.state.life_mut();
        (life.watch, life.visit) = (Watch::Off, None);
        if self.rule.half == Some(Half::Second) {
            return;
        }
        let story = life.opening.take().or_else(|| life.told.take());
        let mut story = story.unwrap_or_else(|| self.open(scene.at));
        out.push(story.fact(kind, reason, scene.at, None));
        self.state.life_mut().told = Some(story);
    }

    /// Puts a level that has seen no price yet on its side of it.
    fn place(&mut self, seen: Price, marks: &Marks, at: Timestamp) {
        if self.is_beyond(seen, marks) {
            self.state.latch = Latch::Spent { since: at, behind_since: None };
        } else {
            self.state.latch = Latch::Armed { near: marks.approach.is_some_and(|a| seen >= a) };
            if self.rule.reject.is_some() && seen >= marks.zone_bottom {
                self.state.life_mut().visit = Some(Visit::Stale);
            }
        }
    }

    /// The level can break. Coming near is news when price is not near, and far enough away or was so since the last
    /// break.
    fn arm(&mut self, seen: Price, marks: &Marks) {
        let far = self.state.life.as_ref().is_some_and(|life| life.far);
        let close = marks.approach.is_some_and(|approach| seen >= approach);
        let near = close || marks.approach_again.is_some_and(|again| seen > again) && !far;
        self.state.latch = Latch::Armed { near };
    }

    /// No alert: the level waits to be armed.
    fn spend(&mut self, at: Timestamp, why: Remark) {
        self.state.latch = Latch::Spent { since: at, behind_since: None };
        self.remark(at, why);
    }

    fn while_armed(
        &mut self,
        seen: Price,
        (price, size): (Price, u32),
        near: bool,
        marks: &Marks,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        if self.is_beyond(seen, marks) {
            self.cross(price, size, marks, scene, out);
        } else if !near && marks.approach.is_some_and(|a| seen >= a) {
            self.state.latch = Latch::Armed { near: true };
            self.state.life_mut().far = false;
            let mut story = self.story(scene.at);
            out.push(story.fact(Kind::LevelApproached, Reason::WithinApproach, scene.at, Some(price)));
            self.state.life_mut().opening = Some(story);
        } else if near && marks.approach_again.is_some_and(|a| seen <= a) {
            self.state.latch = Latch::Armed { near: false };
        }
    }

    /// The first price beyond.
    fn cross(&mut self, price: Price, size: u32, marks: &Marks, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        // Crossing is coming near, too.
        if let Some(life) = &mut self.state.life {
            life.far = false;
        }
        let ignored = scene.gap.is_some() && self.rule.gap == GapPolicy::Ignore;
        let closed = if ignored { Some(Remark::GapIgnored) } else { gate::closed(&self.rule, scene) };
        if let Some(why) = closed {
            return self.spend(scene.at, why);
        }
        let mut pending = Pending::new(&self.rule, scene);
        pending.count(Print { at: scene.at, size });
        let bar = scene.gap.is_some() && self.rule.gap == GapPolicy::WaitBar;
        if self.rule.confirm.is_empty() && !bar {
            let reason = if scene.gap.is_some() { Reason::Gap } else { Reason::Cross };
            return self.establish(&pending, reason, price, scene, out);
        }
        let mut story = self.story(scene.at);
        let reason = if scene.gap.is_some() { Reason::Gap } else { Reason::AwaitingConfirmation };
        out.push(pending.describe(story.fact(Kind::LevelCrossed, reason, scene.at, Some(price)), &[], scene));
        self.state.life_mut().opening = Some(story);
        self.state.latch = Latch::Pending(Box::new(pending));
        self.quoted_now(marks, scene);
        self.while_pending(price, marks, scene, out);
    }

    fn while_pending(&mut self, price: Price, marks: &Marks, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let Latch::Pending(pending) = &self.state.latch else { return };
        if pending.is_confirmed(&self.rule, scene) {
            let pending = pending.clone();
            self.establish(&pending, Reason::Confirmed, price, scene, out);
        } else if pending.is_overdue(self.rule.confirm_within, scene) {
            if pending.is_behind() {
                self.arm(self.mirror(price), marks);
            } else {
                self.state.latch = Latch::Unconfirmed;
            }
            self.remark(scene.at, Remark::NotConfirmedInTime);
        }
    }

    fn pending_time(&mut self, last: Price, marks: &Marks, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let Self { rule, state, .. } = self;
        let beyond = |price: Price| marks.is_beyond(rule.mirror(price), rule.strict);
        let Latch::Pending(pending) = &mut state.latch else { return };
        match pending.pass(rule, beyond(last), scene, beyond) {
            Closed::Over => {
                self.arm(self.mirror(last), marks);
                self.remark(scene.at, Remark::FellBackUnconfirmed);
            }
            Closed::Waits => self.while_pending(last, marks, scene, out),
        }
    }

    /// The break is a fact, unless another condition of the rule forbids it.
    fn establish(
        &mut self,
        pending: &Pending,
        reason: Reason,
        price: Price,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        if let Some(why) = gate::barred(&self.rule, scene) {
            return self.spend(scene.at, why);
        }
        let mut story = self.story(scene.at);
        let fact = story.fact(Kind::LevelBroken, reason, scene.at, Some(price));
        out.push(pending.describe(fact, &self.rule.confirm, scene));
        let at = self.at.unwrap_or(self.rule.price);
        let seen = self.mirror(price);
        let away = self.marks(scene.grid()).is_some_and(|marks| seen >= marks.excursion);
        let watch = Watch::begin(&self.rule, at, away, scene);
        let today = scene.book.saved.trade_date;
        let life = self.state.life_mut();
        let so_far = life.breaks.filter(|(date, _)| *date == today).map_or(0, |(_, n)| n);
        life.breaks = Some((today, so_far.saturating_add(1)));
        life.alerted_at = Some(scene.at);
        (life.told, life.opening) = (Some(story), None);
        (life.visit, life.rejections, life.watch) = (None, 0, watch);
        (life.spent_by_break, life.far) = (true, false);
        self.state.latch = Latch::Spent { since: scene.at, behind_since: None };
    }

    /// Whether it must be told of every quote.
    #[must_use]
    pub fn wants_quotes(&self) -> bool {
        matches!(self.state.latch, Latch::Pending(_))
            && self.rule.confirm.iter().any(|condition| matches!(condition, Confirm::Quote(_)))
    }

    /// A resistance that is not yet broken, or a support: worth naming as the next level.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        self.at.is_some() && !matches!(self.state.latch, Latch::Unplaced | Latch::Suspended | Latch::Expired)
    }

    fn remark(&mut self, at: Timestamp, remark: Remark) {
        self.state.life_mut().remark = Some((at, remark));
    }

    /// The story of the break to come: the one that was opened, or a new one.
    fn story(&mut self, at: Timestamp) -> Story {
        match self.state.life_mut().opening.take() {
            Some(story) => story,
            None => self.open(at),
        }
    }

    fn open(&mut self, at: Timestamp) -> Story {
        let scope = if self.rule.half.is_some() { self.rule.side.as_str() } else { "" };
        let life: &mut Life = self.state.life_mut();
        let at_least = life.opened_ms.map_or(i64::MIN, |ms| ms.saturating_add(1));
        let ms = at.as_millis().max(at_least);
        life.opened_ms = Some(ms);
        let opened = Timestamp::from_unit(ms, crate::time::Unit::Ms).unwrap_or(at);
        Story::new(ThreadId::new(&self.rule.name, scope, opened))
    }
}
