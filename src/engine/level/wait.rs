//! What a level waits for: the time and the price at which it must be asked again, and its re-arming.

use std::time::Duration;

use crate::engine::level::{EPSILON, Level};
use crate::engine::marks::{Grid, Marks, Wake};
use crate::engine::reject::Visit;
use crate::engine::scene::{Fact, Remark, Scene};
use crate::engine::state::Latch;
use crate::event::{Kind, Reason, Side};
use crate::market::price::Price;
use crate::time::Timestamp;

impl Level {
    /// Arms the level again when everything that re-arming asks for has come together.
    pub(super) fn try_rearm(
        &mut self,
        seen: Price,
        price: Option<Price>,
        marks: &Marks,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        if self.rearm_due(scene).is_none_or(|due| due > scene.at) {
            return;
        }
        self.arm(seen, marks);
        // What is in the zone now was not seen to come in.
        if self.rule.reject.is_some() {
            self.state.life_mut().visit = (seen >= marks.zone_bottom).then_some(Visit::Stale);
        }
        let broke = self
            .state
            .life
            .as_mut()
            .and_then(|life| std::mem::take(&mut life.spent_by_break).then_some(life));
        match broke.and_then(|life| life.told.as_mut()) {
            Some(story) => out.push(story.fact(Kind::LevelRearmed, Reason::Rearmed, scene.at, price)),
            None => self.remark(scene.at, Remark::ArmedQuietly),
        }
    }

    /// When the level can be armed again if price stays where it is; `None` while price is not back.
    pub(super) fn rearm_due(&self, scene: &Scene<'_>) -> Option<Timestamp> {
        let Latch::Spent { behind_since: Some(behind), .. } = &self.state.latch else { return None };
        let stayed = match self.rule.grace {
            Duration::ZERO => *behind,
            grace => scene.book.calendar.add_open(*behind, grace),
        };
        let life = self.state.life.as_deref();
        let alerted = life.and_then(|life| life.alerted_at);
        let cooled = alerted.map(|told| told.saturating_add(self.rule.cooldown));
        let due = cooled.map_or(stayed, |cooled| stayed.max(cooled));
        let today = scene.book.saved.trade_date;
        let breaks = life.and_then(|life| life.breaks).filter(|(date, _)| *date == today);
        match self.rule.max_per_session {
            Some(most) if breaks.map_or(0, |(_, n)| n) >= most => Some(due.max(scene.book.session.until)),
            Some(_) | None => Some(due),
        }
    }

    pub(super) fn set_deadline(&mut self, scene: &Scene<'_>) {
        let latch = match &self.state.latch {
            Latch::Pending(pending) => pending.deadline(&self.rule, scene),
            Latch::Spent { .. } => self.rearm_due(scene),
            Latch::New
            | Latch::Armed { .. }
            | Latch::Unconfirmed
            | Latch::Unplaced
            | Latch::Suspended
            | Latch::Expired => None,
        };
        let watch = self.state.life.as_ref().and_then(|life| life.watch.deadline());
        let expires = self.rule.expires.filter(|_| self.state.latch != Latch::Expired);
        self.deadline = [latch, watch, expires].into_iter().flatten().min();
    }

    /// At which traded prices this level must be asked again.
    #[must_use]
    pub fn wake(&self, grid: Grid) -> Wake {
        let Some(marks) = self.marks(grid) else { return Wake::default() };
        let life = self.state.life.as_deref();
        let visit = life.and_then(|life| life.visit.as_ref());
        let (above, mut below, mut always) = match &self.state.latch {
            Latch::New | Latch::Pending(_) => (None, None, true),
            Latch::Armed { near: false } => (Some(marks.approach.unwrap_or(marks.broken)), None, false),
            Latch::Armed { near: true } => (Some(marks.broken), marks.approach_again, false),
            Latch::Unconfirmed => (None, Some(marks.broken), false),
            Latch::Spent { behind_since, .. } => {
                let far = life.is_some_and(|life| life.far);
                let (again, close) = if far { (None, marks.approach) } else { (marks.approach_again, None) };
                match behind_since {
                    None => (close, again.into_iter().chain([marks.rearm]).max(), false),
                    Some(_) => {
                        let leaves = marks.rearm.plus(EPSILON);
                        (close.into_iter().chain([leaves]).min(), again, false)
                    }
                }
            }
            Latch::Unplaced | Latch::Suspended | Latch::Expired => (None, None, false),
        };
        let mut above = above;
        if let (Some(_), Latch::Armed { .. } | Latch::Unconfirmed) = (self.rule.reject, &self.state.latch) {
            match visit {
                None => above = above.into_iter().chain([marks.zone_bottom]).min(),
                Some(Visit::Stale) => {
                    below = below.into_iter().chain([marks.zone_bottom.minus(EPSILON)]).max();
                }
                Some(Visit::In(_)) => always = true,
            }
        }
        let watch =
            life.zip(self.watched_marks(grid)).map(|(life, marks)| life.watch.wake(&marks, &self.rule));
        let (watch_above, watch_below) = watch.unwrap_or_default();
        above = above.into_iter().chain(watch_above).min();
        below = below.into_iter().chain(watch_below).max();
        match self.rule.side {
            Side::Resistance => Wake { above, below, always },
            Side::Support => {
                Wake { above: below.map(Price::negated), below: above.map(Price::negated), always }
            }
        }
    }
}
