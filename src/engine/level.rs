//! The life of one level: armed, pending, broken, followed, armed again.
//!
//! The machine knows one direction, up. A support is a resistance in the mirror: its prices change sign on the
//! way in. Time is an argument and timers are inputs; what was established comes back as [`Fact`]s.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::confirm::{Pending, Print};
use crate::engine::follow::{Step, Watch};
use crate::engine::marks::{Marks, Wake};
use crate::engine::rule::{GapPolicy, Rule, Sessions};
use crate::engine::scene::{Fact, Remark, Scene};
use crate::event::{Kind, Numbers, Reason, Side, ThreadId};
use crate::market::calendar::Phase;
use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// A thread being told, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    thread: ThreadId,
    step: u32,
}

/// Whether the level can break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Latch {
    /// No price seen yet.
    New,
    /// Price is on the near side.
    Armed {
        /// The approach was told, or is not news.
        near: bool,
    },
    /// Beyond, and waiting for confirmation.
    Pending(Pending),
    /// Beyond, unconfirmed for too long; armed again as soon as price is back.
    Unconfirmed,
    /// Broken, or found beyond: waits for re-arming.
    Spent {
        /// Since when.
        since: Timestamp,
        /// Since when price is behind the re-arm price, if it is.
        behind_since: Option<Timestamp>,
    },
    /// Cannot be watched until a person changes the rule.
    Suspended,
    /// Over.
    Expired,
}

/// Everything about a level that changes. Saved with the events it caused, in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether the level can break.
    pub latch: Latch,
    /// What is watched after a break.
    pub watch: Watch,
    /// The thread of the break to come.
    opening: Option<Story>,
    /// The thread of the last break.
    told: Option<Story>,
    /// When the last thread was opened, in milliseconds: no two are opened at the same.
    opened_ms: Option<i64>,
    /// The last trade date with a break, and how many it had.
    breaks: Option<(i32, u32)>,
    /// When the last break was told.
    alerted_at: Option<Timestamp>,
    /// The last remark, for people who ask.
    pub remark: Option<(Timestamp, Remark)>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Of a rule that has seen nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            latch: Latch::New,
            watch: Watch::Off,
            opening: None,
            told: None,
            opened_ms: None,
            breaks: None,
            alerted_at: None,
            remark: None,
        }
    }
}

/// A rule with its prices and its state.
#[derive(Clone, Debug)]
pub struct Level {
    /// What its author asked for.
    pub rule: Rule,
    /// The prices that matter, as seen upwards.
    pub marks: Marks,
    /// What happened so far.
    pub state: State,
    /// When it must be asked again, whatever the price.
    pub deadline: Option<Timestamp>,
}

/// One nano-unit: the distance between "at" and "beyond".
const EPSILON: Price = Price::from_nanos(1);

impl Level {
    /// A level on an instrument with this tick size.
    #[must_use]
    pub fn new(rule: Rule, tick: TickSize) -> Self {
        let marks = Marks::of(&rule, tick);
        Self { deadline: rule.expires, rule, marks, state: State::new() }
    }

    /// The price as seen upwards, and back: a support is a resistance in the mirror.
    #[must_use]
    pub fn mirror(&self, price: Price) -> Price {
        match self.rule.side {
            Side::Resistance => price,
            Side::Support => price.negated(),
        }
    }

    /// The traded price at which the level counts as broken.
    #[must_use]
    pub fn threshold(&self) -> Price {
        self.mirror(self.marks.broken)
    }

    fn is_beyond(&self, seen: Price) -> bool {
        if self.rule.strict { seen > self.marks.broken } else { seen >= self.marks.broken }
    }

    /// A price of the kind that the rule compares.
    pub fn on_price(&mut self, price: Price, size: u32, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let seen = self.mirror(price);
        self.follow(seen, price, scene, out);
        match &mut self.state.latch {
            Latch::New => self.first_price(seen, scene),
            Latch::Armed { near } => {
                let near = *near;
                self.while_armed(seen, price, size, near, scene, out);
            }
            Latch::Pending(pending) => {
                if scene.gap.is_some() {
                    pending.restart();
                }
                pending.count(Print { at: scene.at, size });
                self.while_pending(seen, price, scene, out);
            }
            Latch::Unconfirmed => {
                if !self.is_beyond(seen) {
                    self.state.latch = Latch::Armed { near: true };
                }
            }
            Latch::Spent { behind_since, .. } => {
                let behind = seen <= self.marks.rearm;
                *behind_since = if behind { Some(behind_since.unwrap_or(scene.at)) } else { None };
                self.try_rearm(seen, Some(price), scene, out);
            }
            Latch::Suspended | Latch::Expired => {}
        }
        self.set_deadline(scene);
    }

    /// A price that only tells where the market was: it may place a new rule, and never fires.
    pub fn on_snapshot(&mut self, price: Price, scene: &Scene<'_>) {
        if self.state.latch == Latch::New {
            self.first_price(self.mirror(price), scene);
        }
    }

    /// Time has passed; `last` is the last price seen.
    pub fn on_time(&mut self, last: Option<Price>, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        if self.rule.expires.is_some_and(|end| end <= scene.at) && self.state.latch != Latch::Expired {
            self.end(Kind::LevelExpired, Reason::Expired, Latch::Expired, scene, out);
        }
        self.state.watch.pass(scene.at);
        if let Some(price) = last {
            let seen = self.mirror(price);
            match &self.state.latch {
                Latch::Pending(_) => self.while_pending(seen, price, scene, out),
                Latch::Spent { .. } => self.try_rearm(seen, None, scene, out),
                Latch::New | Latch::Armed { .. } | Latch::Unconfirmed | Latch::Suspended | Latch::Expired => {
                }
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

    /// Another contract is in force, and nobody knows how far it is from the old one.
    pub fn on_roll_without_spread(&mut self, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        if !matches!(self.state.latch, Latch::Suspended | Latch::Expired) {
            self.end(Kind::LevelSuspended, Reason::SpreadUnknown, Latch::Suspended, scene, out);
            self.set_deadline(scene);
        }
    }

    fn end(&mut self, kind: Kind, reason: Reason, latch: Latch, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let story = self.state.opening.take().or_else(|| self.state.told.take());
        let mut story = story.unwrap_or_else(|| self.open(scene.at));
        out.push(story.fact(kind, reason, scene.at, None));
        self.state.told = Some(story);
        self.state.watch = Watch::Off;
        self.state.latch = latch;
    }

    fn first_price(&mut self, seen: Price, scene: &Scene<'_>) {
        if self.is_beyond(seen) {
            self.state.latch = Latch::Spent { since: scene.at, behind_since: None };
            self.remark(scene.at, Remark::AlreadyBeyond);
        } else {
            self.state.latch = Latch::Armed { near: self.marks.approach.is_some_and(|a| seen >= a) };
        }
    }

    fn while_armed(
        &mut self,
        seen: Price,
        price: Price,
        size: u32,
        near: bool,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        if self.is_beyond(seen) {
            self.cross(seen, price, size, scene, out);
        } else if !near && self.marks.approach.is_some_and(|a| seen >= a) {
            self.state.latch = Latch::Armed { near: true };
            let mut story = self.story(scene.at);
            out.push(story.fact(Kind::LevelApproached, Reason::WithinApproach, scene.at, Some(price)));
            self.state.opening = Some(story);
        } else if near && self.marks.approach_again.is_some_and(|a| seen <= a) {
            self.state.latch = Latch::Armed { near: false };
        }
    }

    /// The first price beyond.
    fn cross(&mut self, seen: Price, price: Price, size: u32, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let barred = match self.rule.sessions {
            Sessions::Any => false,
            Sessions::Rth => scene.phase != Phase::Rth,
            Sessions::Eth => scene.phase == Phase::Rth,
        };
        let ignored = scene.gap.is_some() && self.rule.gap == GapPolicy::Ignore;
        if barred || ignored {
            self.state.latch = Latch::Spent { since: scene.at, behind_since: None };
            self.remark(scene.at, if barred { Remark::OutsideSessions } else { Remark::GapIgnored });
            return;
        }
        let mut pending = Pending::new(scene.at, scene.gap);
        pending.count(Print { at: scene.at, size });
        if self.rule.confirm.is_empty() {
            let reason = if scene.gap.is_some() { Reason::Gap } else { Reason::Cross };
            return self.establish(&pending, reason, price, scene, out);
        }
        let mut story = self.story(scene.at);
        let reason = if scene.gap.is_some() { Reason::Gap } else { Reason::AwaitingConfirmation };
        out.push(pending.describe(story.fact(Kind::LevelCrossed, reason, scene.at, Some(price)), &[], scene));
        self.state.opening = Some(story);
        self.state.latch = Latch::Pending(pending);
        self.while_pending(seen, price, scene, out);
    }

    fn while_pending(&mut self, seen: Price, price: Price, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let Latch::Pending(pending) = &self.state.latch else { return };
        let pending = pending.clone();
        if !self.is_beyond(seen) {
            self.state.latch = Latch::Armed { near: true };
            self.remark(scene.at, Remark::FellBackUnconfirmed);
        } else if pending.is_confirmed(&self.rule.confirm, scene) {
            self.establish(&pending, Reason::Confirmed, price, scene, out);
        } else if pending.is_overdue(self.rule.confirm_within, scene) {
            self.state.latch = Latch::Unconfirmed;
            self.remark(scene.at, Remark::NotConfirmedInTime);
        }
    }

    /// The break is a fact.
    fn establish(
        &mut self,
        pending: &Pending,
        reason: Reason,
        price: Price,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        let mut story = self.story(scene.at);
        let fact = story.fact(Kind::LevelBroken, reason, scene.at, Some(price));
        out.push(pending.describe(fact, &self.rule.confirm, scene));
        let so_far = self.state.breaks.filter(|(date, _)| *date == scene.trade_date).map_or(0, |(_, n)| n);
        self.state.breaks = Some((scene.trade_date, so_far.saturating_add(1)));
        self.state.alerted_at = Some(scene.at);
        self.state.told = Some(story);
        self.state.opening = None;
        self.state.latch = Latch::Spent { since: scene.at, behind_since: None };
        self.state.watch = Watch::begin(&self.rule, scene);
        let seen = self.mirror(price);
        self.state.watch.step(seen, &self.marks, &self.rule, scene);
    }

    fn follow(&mut self, seen: Price, price: Price, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let broke_at = self.state.watch.broke_at();
        let wanted = self.rule.follow;
        let (kind, reason, wanted) = match self.state.watch.step(seen, &self.marks, &self.rule, scene) {
            Step::None => return,
            Step::Retested => (Kind::LevelRetested, Reason::BackInZone, wanted.retest),
            Step::Held => (Kind::LevelHeld, Reason::ZoneHeld, wanted.held),
            Step::Failed => (Kind::LevelFailed, Reason::FellBack, wanted.failed),
        };
        if let Some(story) = self.state.told.as_mut().filter(|_| wanted) {
            let mut fact = story.fact(kind, reason, scene.at, Some(price));
            if let Some(broke_at) = broke_at {
                let ms = scene.at.since(broke_at).as_millis();
                fact.numbers.insert("since_break_ms".into(), u64::try_from(ms).unwrap_or(u64::MAX).into());
            }
            out.push(fact);
        }
    }

    /// Arms the level again when everything that re-arming asks for has come together.
    fn try_rearm(&mut self, seen: Price, price: Option<Price>, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        if self.rearm_due(scene).is_none_or(|due| due > scene.at) {
            return;
        }
        let near = self.marks.approach_again.is_some_and(|again| seen > again);
        self.state.latch = Latch::Armed { near };
        match &mut self.state.told {
            Some(story) => out.push(story.fact(Kind::LevelRearmed, Reason::Rearmed, scene.at, price)),
            None => self.remark(scene.at, Remark::ArmedQuietly),
        }
    }

    /// When the level can be armed again if price stays where it is; `None` while price is not back.
    fn rearm_due(&self, scene: &Scene<'_>) -> Option<Timestamp> {
        let Latch::Spent { behind_since: Some(behind), .. } = &self.state.latch else { return None };
        let stayed = match self.rule.grace {
            Duration::ZERO => *behind,
            grace => scene.calendar.add_open(*behind, grace),
        };
        let cooled = self.state.alerted_at.map(|told| told.saturating_add(self.rule.cooldown));
        let due = cooled.map_or(stayed, |cooled| stayed.max(cooled));
        let today = self.state.breaks.filter(|(date, _)| *date == scene.trade_date).map_or(0, |(_, n)| n);
        match self.rule.max_per_session {
            Some(most) if today >= most => Some(due.max(scene.phase_until)),
            Some(_) | None => Some(due),
        }
    }

    fn set_deadline(&mut self, scene: &Scene<'_>) {
        let latch = match &self.state.latch {
            Latch::Pending(pending) => pending.deadline(&self.rule, scene),
            Latch::Spent { .. } => self.rearm_due(scene),
            Latch::New | Latch::Armed { .. } | Latch::Unconfirmed | Latch::Suspended | Latch::Expired => None,
        };
        let expires = self.rule.expires.filter(|_| self.state.latch != Latch::Expired);
        self.deadline = [latch, self.state.watch.deadline(), expires].into_iter().flatten().min();
    }

    /// At which traded prices this level must be asked again.
    #[must_use]
    pub fn wake(&self) -> Wake {
        let marks = &self.marks;
        let (mut above, mut below, always) = match &self.state.latch {
            Latch::New | Latch::Pending(_) => (None, None, true),
            Latch::Armed { near: false } => (Some(marks.approach.unwrap_or(marks.broken)), None, false),
            Latch::Armed { near: true } => (Some(marks.broken), marks.approach_again, false),
            Latch::Unconfirmed => (None, Some(marks.broken), false),
            Latch::Spent { behind_since: None, .. } => (None, Some(marks.rearm), false),
            Latch::Spent { behind_since: Some(_), .. } => (Some(marks.rearm.plus(EPSILON)), None, false),
            Latch::Suspended | Latch::Expired => (None, None, false),
        };
        let (watch_above, watch_below) = self.state.watch.wake(marks);
        above = above.into_iter().chain(watch_above).min();
        below = below.into_iter().chain(watch_below).max();
        match self.rule.side {
            Side::Resistance => Wake { above, below, always },
            Side::Support => {
                Wake { above: below.map(Price::negated), below: above.map(Price::negated), always }
            }
        }
    }

    /// A resistance that is not yet broken, or a support: worth naming as the next level.
    #[must_use]
    pub const fn is_watched(&self) -> bool {
        !matches!(self.state.latch, Latch::Suspended | Latch::Expired)
    }

    fn remark(&mut self, at: Timestamp, remark: Remark) {
        self.state.remark = Some((at, remark));
    }

    /// The story of the break to come: the one that was opened, or a new one.
    fn story(&mut self, at: Timestamp) -> Story {
        match self.state.opening.take() {
            Some(story) => story,
            None => self.open(at),
        }
    }

    fn open(&mut self, at: Timestamp) -> Story {
        let at_least = self.state.opened_ms.map_or(i64::MIN, |ms| ms.saturating_add(1));
        let ms = at.as_millis().max(at_least);
        self.state.opened_ms = Some(ms);
        let opened = Timestamp::from_unit(ms, crate::time::Unit::Ms).unwrap_or(at);
        Story { thread: ThreadId::new(&self.rule.name, "", opened), step: 0 }
    }
}

impl Story {
    fn fact(&mut self, kind: Kind, reason: Reason, at: Timestamp, price: Option<Price>) -> Fact {
        self.step = self.step.saturating_add(1);
        Fact {
            kind,
            reason,
            at,
            price,
            thread: self.thread.clone(),
            step: self.step,
            prices: Vec::new(),
            numbers: Numbers::new(),
        }
    }
}
