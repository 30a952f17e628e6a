//! Round numbers: one level for each multiple around the price, made as price comes near.
//!
//! A multiple is a level like any other, with a life of its own. Which ones exist depends on the path of the
//! price alone.

use std::sync::Arc;

use crate::engine::book::BookIndex;
use crate::engine::derive::round;
use crate::engine::guard::Print;
use crate::engine::index::LevelIndex;
use crate::engine::rule::Rule;
use crate::engine::{Engine, Step};
use crate::market::price::Price;

/// Levels reach so many steps to each side of the price,
const STEPS: i64 = 10;
/// or this part of the price, whichever is more,
const SHARE: i64 = 10;
/// but never more than so many steps.
const STEPS_MAX: i64 = 200;

/// A rule for round numbers, and which of them exist.
#[derive(Clone, Debug)]
pub(super) struct Family {
    rule: Rule,
    book: BookIndex,
    step: Price,
    /// The lowest and highest multiple that exist.
    made: Option<(Price, Price)>,
}

impl Family {
    /// Of which no level exists yet.
    #[must_use]
    pub(super) const fn new(rule: Rule, book: BookIndex, step: Price) -> Self {
        Self { rule, book, step, made: None }
    }

    /// How far levels reach to each side of a price.
    fn reach(&self, price: Price) -> Price {
        let steps = |n: i64| Price::from_nanos(self.step.as_nanos().saturating_mul(n));
        let share = Price::from_nanos(price.abs().as_nanos() / SHARE);
        steps(STEPS).max(share).min(steps(STEPS_MAX))
    }

    /// The multiples that are missing while price is here: none until it nears the edge of those that exist.
    fn missing(&self, price: Price) -> Vec<Price> {
        let reach = self.reach(price);
        let half = Price::from_nanos(reach.as_nanos() / 2);
        if let Some((low, high)) = self.made
            && price.minus(half) >= low
            && price.plus(half) <= high
        {
            return Vec::new();
        }
        let exists =
            |multiple: &Price| self.made.is_some_and(|(low, high)| low <= *multiple && *multiple <= high);
        let around = round::multiples(price.minus(reach), price.plus(reach), self.step);
        around.filter(|multiple| !exists(multiple) && *multiple > Price::ZERO).collect()
    }

    fn level(&self, price: Price) -> Rule {
        let name = format!("{} {price}", self.rule.name);
        Rule { name: name.into(), price, terms: Arc::clone(&self.rule.terms) }
    }

    /// The multiple of which a level has this name, if it is one of this family.
    fn multiple(&self, name: &str) -> Option<Price> {
        let price: Price = name.strip_prefix(&*self.rule.name)?.strip_prefix(' ')?.parse().ok()?;
        (round::at_or_below(price, self.step)? == price && price > Price::ZERO).then_some(price)
    }
}

impl Engine {
    /// Makes the round levels around a price that the book has just seen; `before` is the price before it.
    pub(super) fn spread_out(&mut self, id: BookIndex, before: Option<Price>, print: Print, step: &mut Step) {
        if self.families.is_empty() {
            return;
        }
        for at in 0..self.families.len() {
            let Some(family) = self.families.get(at).filter(|family| family.book == id) else { continue };
            let missing = family.missing(print.price);
            if missing.is_empty() {
                continue;
            }
            for made in self.make(at, missing) {
                if let Some(before) = before {
                    // It could have been watched all the time: price came from there.
                    self.with_level(made, print.at, print.received_at, None, step, |level, scene, _| {
                        level.on_snapshot(before, scene);
                    });
                }
            }
        }
    }

    fn make(&mut self, family: usize, multiples: Vec<Price>) -> Vec<LevelIndex> {
        let Some(family) = self.families.get_mut(family) else { return Vec::new() };
        let book = family.book;
        let mut rules = Vec::with_capacity(multiples.len());
        for multiple in multiples {
            let (low, high) = family.made.unwrap_or((multiple, multiple));
            family.made = Some((low.min(multiple), high.max(multiple)));
            rules.push(family.level(multiple));
        }
        rules.into_iter().filter_map(|rule| self.insert(rule, book)).collect()
    }

    /// Makes the round levels that an earlier process had: their states are known by these names.
    pub(super) fn make_again<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        let mut known: Vec<(usize, Price)> = Vec::new();
        for name in names {
            let families = self.families.iter().enumerate();
            known.extend(families.filter_map(|(at, family)| Some((at, family.multiple(name)?))));
        }
        known.sort_unstable();
        known.dedup();
        for at in 0..self.families.len() {
            let mine = known.iter().filter(|(family, _)| *family == at).map(|(_, multiple)| *multiple);
            let (low, high) = (mine.clone().min(), mine.max());
            let (Some(low), Some(high), Some(family)) = (low, high, self.families.get(at)) else { continue };
            // Between the lowest and the highest there are no holes.
            let all: Vec<Price> = round::multiples(low, high, family.step).collect();
            drop(self.make(at, all));
        }
    }
}
