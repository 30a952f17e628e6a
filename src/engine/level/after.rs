//! What is told around a break: what became of it, and how price was turned away before it.

use crate::engine::follow::{Step, Watch};
use crate::engine::level::Level;
use crate::engine::marks::{Grid, Marks};
use crate::engine::reject::{self, Stay, Visit};
use crate::engine::rule::PriceFrom;
use crate::engine::scene::{Fact, Scene};
use crate::engine::state::Latch;
use crate::event::{Kind, Reason, Side};
use crate::market::price::Price;
use crate::time::Timestamp;

impl Level {
    /// The prices that matter to the watch: of the level as it lay when it broke.
    pub(super) fn watched_marks(&self, grid: Grid) -> Option<Marks> {
        let watch = &self.state.life.as_ref()?.watch;
        watch.broke_at()?;
        Marks::of(&self.rule.terms, watch.level().or(self.at)?, grid)
    }

    pub(super) fn follow(&mut self, seen: Price, price: Price, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let Some(marks) = self.watched_marks(scene.grid()) else { return };
        let Some(life) = self.state.life.as_mut() else { return };
        let broke_at = life.watch.broke_at();
        let step = life.watch.step(seen, &marks, &self.rule.terms, scene);
        self.tell_step(step, broke_at, Some(price), scene, out);
    }

    pub(super) fn follow_time(&mut self, last: Option<Price>, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let seen = last.map(|last| self.mirror(last));
        let Some(marks) = self.watched_marks(scene.grid()) else { return };
        let Some(life) = self.state.life.as_mut() else { return };
        let broke_at = life.watch.broke_at();
        let step = life.watch.on_time(seen, &marks, &self.rule.terms, scene);
        self.tell_step(step, broke_at, last, scene, out);
    }

    fn tell_step(
        &mut self,
        step: Step,
        broke_at: Option<Timestamp>,
        price: Option<Price>,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        let wanted = self.rule.follow;
        let (kind, reason, wanted) = match step {
            Step::None => return,
            Step::Retested => (Kind::LevelRetested, Reason::BackInZone, wanted.retest),
            Step::Held => (Kind::LevelHeld, Reason::ZoneHeld, wanted.held),
            Step::Failed => (Kind::LevelFailed, Reason::FellBack, wanted.failed),
        };
        let life = self.state.life_mut();
        if let Some(story) = life.told.as_mut().filter(|_| wanted) {
            let mut fact = story.fact(kind, reason, scene.at, price);
            if let Some(broke_at) = broke_at {
                let ms = scene.at.since(broke_at).as_millis();
                fact.numbers.insert("since_break_ms".into(), u64::try_from(ms).unwrap_or(u64::MAX).into());
            }
            out.push(fact);
        }
    }

    /// Another contract takes over: what was seen in prices of the old one is seen in those of the new one, as far as
    /// the spread between the two is known.
    pub fn turn(&mut self, spread: Option<Price>, scene: &Scene<'_>) {
        let (terms, tick) = (&self.rule.terms, scene.book.tick);
        let Some(life) = self.state.life.as_mut() else { return };
        let Some(spread) = spread else {
            (life.watch, life.visit) = (Watch::Off, life.visit.map(|_| Visit::Stale));
            return;
        };
        life.watch.turn(|level| terms.on_grid(level.plus(spread), tick));
        let is_mid = terms.price_from == PriceFrom::Mid;
        if let Some(Visit::In(stay)) = &mut life.visit {
            let exact = terms.mirror(stay.high).plus(spread);
            stay.high = terms.mirror(if is_mid { exact } else { tick.round(exact) });
        }
    }

    /// Price in the zone before the level, while it is not broken.
    pub(super) fn visit(
        &mut self,
        seen: (Price, u32),
        price: Price,
        marks: &Marks,
        scene: &Scene<'_>,
        out: &mut Vec<Fact>,
    ) {
        let Some(reject) = self.rule.reject else { return };
        let visiting = self.state.life.as_ref().is_some_and(|life| life.visit.is_some());
        match &self.state.latch {
            Latch::Armed { .. } | Latch::Pending(_) | Latch::Unconfirmed => {}
            Latch::New | Latch::Spent { .. } | Latch::Unplaced | Latch::Suspended | Latch::Expired => return,
        }
        if !visiting && seen.0 < marks.zone_bottom {
            return;
        }
        let turned = reject::step(&mut self.state.life_mut().visit, seen, marks, reject.within, scene);
        if let Some(stay) = turned {
            self.tell_rejection(stay, price, scene, out);
        }
    }

    fn tell_rejection(&mut self, stay: Stay, price: Price, scene: &Scene<'_>, out: &mut Vec<Fact>) {
        let mut story = self.story(scene.at);
        let mut fact = story.fact(Kind::LevelRejected, Reason::TurnedAway, scene.at, Some(price));
        let high = self.mirror(stay.high);
        let life = self.state.life_mut();
        life.rejections = life.rejections.saturating_add(1);
        life.opening = Some(story);
        let extreme = if self.rule.side == Side::Resistance { "zone_high" } else { "zone_low" };
        fact.prices.push((extreme, high));
        fact.numbers.insert("zone_extreme_at".into(), stay.high_at.to_string().into());
        fact.numbers.insert("zone_since".into(), stay.since.to_string().into());
        fact.numbers.insert("zone_volume".into(), stay.volume.into());
        fact.numbers.insert("rejections".into(), self.state.life_mut().rejections.into());
        out.push(fact);
    }
}
