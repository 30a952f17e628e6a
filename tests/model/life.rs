//! The life of one level, told slowly: the full list of what happened is kept, and every question is answered by
//! walking it. It shares no code with the engine's levels; it knows prices, the calendar and the rule's terms.

use std::time::Duration;

use breakwatch::engine::rule::{Confirm, GapPolicy, Rule, Sessions};
use breakwatch::event::{Kind, Reason, Side};
use breakwatch::market::calendar::Phase;
use breakwatch::market::price::{Distance, Price, TickSize};
use breakwatch::time::Timestamp;

use crate::hours;

/// What is compared with the engine's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) reason: Reason,
    pub(crate) at: Timestamp,
    pub(crate) price: Option<Price>,
    pub(crate) threshold: Option<Price>,
    pub(crate) side: Option<Side>,
}

/// What happened, oldest first.
#[derive(Clone, Copy, Debug)]
enum Noted {
    /// A price, seen upwards.
    Price { at: Timestamp, seen: Price, size: u64 },
    /// Nobody watched here.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Armed,
    /// Crossed at this place of the list.
    Waiting(usize),
    /// Not confirmed in time.
    Lapsed,
    /// Whether a break was told.
    Spent(bool),
    Ended,
}

/// What becomes of a break.
#[derive(Clone, Copy, Debug)]
struct Story {
    at: Timestamp,
    /// The place of the price at which it was established.
    from: usize,
    retested: Option<Timestamp>,
}

pub(crate) struct Life {
    rule: Rule,
    noted: Vec<Noted>,
    stage: Stage,
    breaks: Vec<Timestamp>,
    story: Option<Story>,
    /// An approach was told and price was not far away since.
    near: bool,
    pub(crate) told: Vec<Told>,
}

const TICK: TickSize = TickSize::from_nanos(100_000_000);

impl Life {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            noted: Vec::new(),
            stage: Stage::New,
            breaks: Vec::new(),
            story: None,
            near: false,
            told: Vec::new(),
        }
    }

    fn far(&self, d: Distance) -> Price {
        d.resolve(TICK, self.rule.price, None).unwrap()
    }

    fn mirrored(&self, price: Price) -> Price {
        if self.rule.side == Side::Resistance { price } else { price.negated() }
    }

    /// The level, seen upwards.
    fn level(&self) -> Price {
        self.mirrored(self.rule.price)
    }

    fn threshold(&self) -> Price {
        TICK.ceil(self.level().plus(self.far(self.rule.margin)))
    }

    fn beyond(&self, seen: Price) -> bool {
        if self.rule.strict { seen > self.threshold() } else { seen >= self.threshold() }
    }

    fn last(&self) -> Option<Price> {
        self.noted
            .iter()
            .rev()
            .find_map(|n| if let Noted::Price { seen, .. } = n { Some(*seen) } else { None })
    }

    fn tell(&mut self, kind: Kind, reason: Reason, at: Timestamp, price: Option<Price>) {
        self.told.push(Told {
            kind,
            reason,
            at,
            price: price.map(|p| self.mirrored(p)),
            threshold: Some(self.mirrored(self.threshold())),
            side: Some(self.rule.side),
        });
    }

    /// Nobody watches from here on.
    pub(crate) fn lost(&mut self) {
        self.noted.push(Noted::Lost);
    }

    /// One price of the rule's kind; `gap`: nobody watched what was between the last one and this one.
    pub(crate) fn price(&mut self, at: Timestamp, price: Price, size: u64, gap: bool) {
        if self.stage == Stage::Ended {
            return;
        }
        let seen = self.mirrored(price);
        if gap {
            self.noted.push(Noted::Lost);
        }
        self.noted.push(Noted::Price { at, seen, size });
        self.follow(at, seen);
        let (back, first) = (!self.beyond(seen), self.stage == Stage::New);
        match self.stage {
            Stage::New => self.stage = if back { Stage::Armed } else { Stage::Spent(false) },
            Stage::Armed if !back => self.cross(at, seen, gap),
            Stage::Waiting(_) | Stage::Lapsed if back => self.stage = Stage::Armed,
            Stage::Waiting(_) => self.confirm(at),
            Stage::Spent(_) if self.rearm_due().is_some_and(|due| due <= at) => self.rearm(at, Some(seen)),
            Stage::Armed | Stage::Lapsed | Stage::Spent(_) | Stage::Ended => {}
        }
        self.approach(at, seen, first);
    }

    fn approach(&mut self, at: Timestamp, seen: Price, first: bool) {
        let Some(approach) = self.rule.approach else { return };
        let (near, threshold) = (self.far(approach), self.threshold());
        if seen <= threshold.minus(near).minus(near) {
            self.near = false;
        }
        if seen >= threshold.minus(near) && !self.near {
            // To approach is to come from further away: the first price of all only says where price is.
            if self.stage == Stage::Armed && !first {
                self.tell(Kind::LevelApproached, Reason::WithinApproach, at, Some(seen));
            }
            self.near = true;
        }
    }

    fn cross(&mut self, at: Timestamp, seen: Price, gap: bool) {
        let open = match self.rule.sessions {
            Sessions::Any => true,
            Sessions::Rth => hours::at(at).phase == Phase::Rth,
            Sessions::Eth => hours::at(at).phase != Phase::Rth,
        };
        if !open || (gap && self.rule.gap == GapPolicy::Ignore) {
            self.stage = Stage::Spent(false);
        } else if self.rule.confirm.is_empty() {
            self.broken(at, if gap { Reason::Gap } else { Reason::Cross });
        } else {
            self.stage = Stage::Waiting(self.noted.len() - 1);
            let reason = if gap { Reason::Gap } else { Reason::AwaitingConfirmation };
            self.tell(Kind::LevelCrossed, reason, at, Some(seen));
            self.confirm(at);
        }
    }

    fn broken(&mut self, at: Timestamp, reason: Reason) {
        self.tell(Kind::LevelBroken, reason, at, self.last());
        self.breaks.push(at);
        let follow = self.rule.follow;
        let from = self.noted.iter().rposition(|n| matches!(n, Noted::Price { .. })).unwrap();
        self.story =
            (follow.retest || follow.held || follow.failed).then_some(Story { at, from, retested: None });
        self.stage = Stage::Spent(true);
    }

    /// The prices beyond since the crossing, the last loss, or the last price that was not beyond.
    fn stretch(&self) -> Vec<(Timestamp, u64)> {
        let Stage::Waiting(from) = self.stage else { return Vec::new() };
        let mut all = Vec::new();
        for noted in self.noted.iter().skip(from) {
            match noted {
                Noted::Price { at, seen, size } if self.beyond(*seen) => all.push((*at, *size)),
                Noted::Price { .. } | Noted::Lost => all.clear(),
            }
        }
        all
    }

    fn holds(&self, confirm: &Confirm, at: Timestamp) -> bool {
        let stretch = self.stretch();
        let volume: u64 = stretch.iter().map(|(_, size)| size).sum();
        match confirm {
            Confirm::Prints { count, size } => {
                let mut times: Vec<Timestamp> = stretch.iter().map(|(at, _)| *at).collect();
                times.dedup();
                times.len() >= usize::try_from(*count).unwrap() || size.is_some_and(|size| volume >= size)
            }
            Confirm::Hold(d) => stretch.first().is_some_and(|(from, _)| hours::add_open(*from, *d) <= at),
            Confirm::Volume(v) => volume >= *v,
            Confirm::BarClose { .. }
            | Confirm::SessionClose(_)
            | Confirm::RelativeVolume(_)
            | Confirm::Quote(_) => panic!("the model does not know {confirm:?}"),
        }
    }

    fn confirmed(&self, at: Timestamp) -> bool {
        matches!(self.stage, Stage::Waiting(_))
            && !self.stretch().is_empty()
            && self.rule.confirm.iter().all(|confirm| self.holds(confirm, at))
    }

    fn confirm(&mut self, at: Timestamp) {
        if self.confirmed(at) {
            self.broken(at, Reason::Confirmed);
        }
    }

    fn follow(&mut self, at: Timestamp, seen: Price) {
        let Some(story) = self.story else { return };
        let (fail, retest, flags) = (self.rule.fail, self.rule.retest, self.rule.follow);
        let within = |from, d: Duration| at <= hours::add_open(from, d);
        let level = self.level();
        let open = match story.retested {
            Some(then) => within(then, retest.within),
            None => within(story.at, fail.within),
        };
        if open && seen <= level.minus(self.far(fail.distance)) {
            self.story = None;
            if flags.failed {
                self.tell(Kind::LevelFailed, Reason::FellBack, at, Some(seen));
            }
            return;
        }
        // Price can only return to a zone that it has left.
        let zone_top = level.plus(self.far(retest.zone));
        let excursion = level.plus(self.far(retest.excursion)).max(zone_top.plus(Price::from_nanos(1)));
        let been = self
            .noted
            .iter()
            .skip(story.from)
            .any(|n| matches!(n, Noted::Price { seen, .. } if *seen >= excursion));
        if story.retested.is_none()
            && within(story.at, retest.within)
            && been
            && seen <= level.plus(self.far(retest.zone))
        {
            self.story = Some(Story { retested: Some(at), ..story });
            if flags.retest {
                self.tell(Kind::LevelRetested, Reason::BackInZone, at, Some(seen));
            }
        } else if story.retested.is_some() && open && seen >= level.plus(self.far(retest.hold)) {
            self.story = None;
            if flags.held {
                self.tell(Kind::LevelHeld, Reason::ZoneHeld, at, Some(seen));
            }
        }
    }

    /// When the level is armed again if price stays where it is.
    fn rearm_due(&self) -> Option<Timestamp> {
        let Stage::Spent(_) = self.stage else { return None };
        let line = self.threshold().minus(self.far(self.rule.rearm).max(TICK.price()));
        let mut since = None;
        for noted in &self.noted {
            match noted {
                Noted::Price { at, seen, .. } if *seen <= line => since = since.or(Some(*at)),
                Noted::Price { .. } => since = None,
                Noted::Lost => {}
            }
        }
        let mut due = hours::add_open(since?, self.rule.grace);
        if let Some(last) = self.breaks.last() {
            due = due.max(last.saturating_add(self.rule.cooldown));
            let date = hours::at(*last).date;
            let today = self.breaks.iter().filter(|b| hours::at(**b).date == date).count();
            if self.rule.max_per_session.is_some_and(|max| today >= usize::try_from(max).unwrap()) {
                due = due.max(hours::next_date(*last));
            }
        }
        Some(due)
    }

    /// By a price that did it, or by time alone.
    fn rearm(&mut self, at: Timestamp, price: Option<Price>) {
        if self.stage == Stage::Spent(true) {
            self.tell(Kind::LevelRearmed, Reason::Rearmed, at, price);
        }
        self.stage = Stage::Armed;
    }

    /// Everything that time alone does until `until`, in the order in which it is due.
    pub(crate) fn time(&mut self, until: Timestamp) {
        while let Some((due, act)) = self.next().filter(|(due, _)| *due <= until) {
            act(self, due);
        }
    }

    fn next(&self) -> Option<(Timestamp, fn(&mut Self, Timestamp))> {
        let mut all: Vec<(Timestamp, fn(&mut Self, Timestamp))> = Vec::new();
        if let Some(end) = self.rule.expires.filter(|_| self.stage != Stage::Ended) {
            all.push((end, Self::end));
        }
        if let Some(due) = self.rearm_due() {
            all.push((due, |life, at| life.rearm(at, None)));
        }
        if let Some((from, _)) = self.stretch().first() {
            for confirm in &self.rule.confirm {
                if let Confirm::Hold(d) = confirm {
                    let due = hours::add_open(*from, *d);
                    if self.confirmed(due) {
                        all.push((due, Self::confirm));
                    }
                }
            }
        }
        if let (Stage::Waiting(from), Some(within)) = (self.stage, self.rule.confirm_within)
            && let Noted::Price { at, .. } = self.noted[from]
        {
            all.push((hours::add_open(at, within), |life, _| life.stage = Stage::Lapsed));
        }
        all.into_iter().min_by_key(|(due, _)| *due)
    }

    fn end(&mut self, at: Timestamp) {
        self.tell(Kind::LevelExpired, Reason::Expired, at, None);
        self.stage = Stage::Ended;
        self.story = None;
    }
}
