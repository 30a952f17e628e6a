//! Around the break: coming near, being turned away, what became of it, arming again, and another contract.

use std::time::Duration;

use breakwatch::engine::rule::{FailBy, Half, PriceFrom};
use breakwatch::event::{Kind, Reason, Side};
use breakwatch::market::price::Price;
use breakwatch::time::Timestamp;

use super::{Life, Noted, Seen, Stage, Story, TICK};
use crate::hours;

impl Life {
    /// The next contract takes over, dearer by this much; `None` when nobody knows by how much.
    pub(crate) fn roll(&mut self, at: Timestamp, spread: Option<Price>) {
        if self.stage == Stage::Ended {
            return;
        }
        let Some(spread) = spread else {
            if self.rule.half != Some(Half::Second) {
                self.tell(Kind::LevelSuspended, Reason::SpreadUnknown, at, None);
            }
            (self.stage, self.story) = (Stage::Ended, None);
            return;
        };
        let exact = self.rule.price.plus(spread);
        self.rule.price =
            if self.rule.side == Side::Resistance { TICK.ceil(exact) } else { TICK.floor(exact) };
        let (side, mid) = (self.rule.side, self.rule.price_from == PriceFrom::Mid);
        let mirrored = |price: Price| if side == Side::Resistance { price } else { price.negated() };
        for noted in &mut self.noted {
            if let Noted::Price(seen) = noted {
                let exact = mirrored(seen.price).plus(spread);
                seen.price = mirrored(if mid { exact } else { TICK.round(exact) });
            }
        }
        if let Some((_, high, _)) = &mut self.visit {
            let exact = mirrored(*high).plus(spread);
            *high = mirrored(if mid { exact } else { TICK.round(exact) });
        }
        if let Some(last) = self.last() {
            self.moved(at, last);
        }
    }

    /// The level moved: that never breaks it.
    pub(super) fn moved(&mut self, at: Timestamp, last: Price) {
        let (beyond, back) = (self.beyond(last), self.is_back(last));
        self.noted.push(Noted::Moved { at, beyond, back });
        if let Some(approach) = self.rule.approach {
            let (near, threshold) = (self.far(approach), self.threshold());
            if last >= threshold.minus(near) {
                self.near = true;
            } else if last <= threshold.minus(near).minus(near) && self.stage != Stage::Armed {
                self.near = false;
            }
        }
        match self.stage {
            Stage::Armed | Stage::Lapsed if beyond => self.spend(false),
            Stage::Lapsed => (self.stage, self.near) = (Stage::Armed, true),
            Stage::Waiting(..) if !beyond && !self.close_can_speak() => {
                (self.stage, self.near) = (Stage::Armed, true);
            }
            Stage::New | Stage::Armed | Stage::Waiting(..) | Stage::Spent(_) | Stage::Ended => {}
        }
    }

    pub(super) fn approach(&mut self, at: Timestamp, seen: Price, first: bool) {
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

    /// Whether the price that came last was turned away: it has come into the zone before the level, seen to come in,
    /// and was then as far behind the level as the rule asks.
    pub(super) fn reject(&mut self) {
        let Some(reject) = self.rule.reject else { return };
        if !matches!(self.stage, Stage::Armed | Stage::Waiting(..) | Stage::Lapsed) {
            return;
        }
        let back = self.level().minus(self.far(reject.distance));
        let Some(Seen { at, price: seen, size, zone, .. }) = self.prices(0).last().copied() else { return };
        let comes_in = zone && !self.inside;
        self.inside = zone;
        let over = |since| at > hours::add_open(since, reject.within);
        match &mut self.visit {
            Some((since, high, volume)) if !over(*since) => {
                *volume += if zone { size } else { 0 };
                *high = seen.max(*high);
            }
            visit => *visit = comes_in.then_some((at, seen, size)),
        }
        if let Some((_, high, volume)) = self.visit.filter(|(_, high, _)| seen <= back && *high > back) {
            self.visit = None;
            let so_far = self.told.iter().rev().take_while(|t| t.kind != Kind::LevelBroken);
            let number = so_far.filter(|t| t.kind == Kind::LevelRejected).count() + 1;
            self.tell(Kind::LevelRejected, Reason::TurnedAway, at, Some(seen));
            let high = self.mirrored(high);
            self.told.last_mut().unwrap().turned = Some((high, volume, number));
        }
    }

    pub(super) fn follow(&mut self, at: Timestamp, seen: Price) {
        let Some(story) = self.story else { return };
        let (fail, retest, flags) = (self.rule.fail, self.rule.retest, self.rule.follow);
        let within = |from, d: Duration| at <= hours::add_open(from, d);
        let level = self.level();
        let open = match story.retested {
            Some(then) => within(then, retest.within),
            None => within(story.at, fail.within),
        };
        if open && fail.by == FailBy::Trade && seen <= level.minus(self.far(fail.distance)) {
            return self.failed(at, seen);
        }
        if seen >= self.excursion() {
            self.story = Some(Story { away: true, ..story });
        }
        if story.retested.is_none()
            && within(story.at, retest.within)
            && story.away
            && seen <= level.plus(self.far(retest.zone))
        {
            self.story = Some(Story { retested: Some(at), bar: at, ..story });
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

    /// Price can only return to a zone that it has left.
    pub(super) fn excursion(&self) -> Price {
        let retest = self.rule.retest;
        let zone_top = self.level().plus(self.far(retest.zone));
        self.level().plus(self.far(retest.excursion)).max(zone_top.plus(Price::from_nanos(1)))
    }

    pub(super) fn failed(&mut self, at: Timestamp, seen: Price) {
        self.story = None;
        if self.rule.follow.failed {
            self.tell(Kind::LevelFailed, Reason::FellBack, at, Some(seen));
        }
    }

    /// A bar ended that can make the break fail.
    pub(super) fn fail_bar_closed(&mut self, at: Timestamp) {
        self.story = self.story.map(|story| Story { bar: at, ..story });
        if let Some(last) = self.last().filter(|last| *last < self.level() && self.watched()) {
            self.failed(at, last);
        }
    }

    /// Until then a break can fail.
    pub(super) fn fail_until(&self) -> Option<Timestamp> {
        let story = self.story?;
        Some(match story.retested {
            Some(then) => hours::add_open(then, self.rule.retest.within),
            None => hours::add_open(story.at, self.rule.fail.within),
        })
    }

    /// When the level is armed again if price stays where it is.
    pub(super) fn rearm_due(&self) -> Option<Timestamp> {
        let Stage::Spent(_) = self.stage else { return None };
        let mut since = None;
        for noted in self.noted.iter().skip(self.spent_from) {
            match noted {
                Noted::Price(Seen { at, back: true, .. }) | Noted::Moved { at, back: true, .. } => {
                    since = since.or(Some(*at));
                }
                Noted::Price(_) | Noted::Moved { .. } => since = None,
                Noted::Quote { .. } | Noted::Trade { .. } | Noted::Lost => {}
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
    pub(super) fn rearm(&mut self, at: Timestamp, price: Option<Price>) {
        if self.stage == Stage::Spent(true) {
            self.tell(Kind::LevelRearmed, Reason::Rearmed, at, price);
        }
        self.arm();
    }
}
