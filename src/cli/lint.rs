//! What makes a rule look as if it could never fire, or not yet. Each warning names the level, what, and what would
//! be right.
//!
//! It decides nothing: a configuration with warnings is valid.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::engine::explain::Explanation;
use crate::engine::moves::needs_history;
use crate::engine::rule::{Confirm, Rule, Terms, Weekdays, When};
use crate::event::{Side, Space};
use crate::market::calendar::Calendar;
use crate::market::instrument::Instrument;
use crate::market::limits::{CME_EQUITY, Decline, Reach};
use crate::market::price::Price;
use crate::market::tick::InstrumentId;
use crate::time::Timestamp;

/// So far ahead a time is looked for at which a rule may fire.
const AHEAD_MINUTES: u64 = 14 * 24 * 60;
/// A last price older than this is no reference for today's limits.
const REFERENCE_AGE: Duration = Duration::from_secs(4 * 86_400);

/// What all levels together say.
#[derive(Debug)]
pub struct Lints<'a> {
    config: &'a Config,
    at: Timestamp,
    /// Whether there is a database.
    recorded: bool,
    typical: BTreeMap<InstrumentId, Price>,
    fed: BTreeSet<InstrumentId>,
    /// Whether rules with these terms may ever fire; levels of one table share them.
    open: HashMap<*const Terms, bool>,
}

impl<'a> Lints<'a> {
    /// Looks at everything once.
    #[must_use]
    pub fn new(config: &'a Config, at: Timestamp, recorded: bool) -> Self {
        let fed = config.feeds.iter().flat_map(|feed| &feed.subscriptions).map(|s| s.instrument).collect();
        Self { config, at, recorded, typical: typical(&config.levels), fed, open: HashMap::new() }
    }

    /// What is odd about one level; `said` is what is known of it.
    pub fn of(&mut self, rule: &Rule, said: Option<&Explanation>) -> Vec<String> {
        let Some(instrument) = self.config.instruments.get(rule.instrument.index()) else {
            return Vec::new();
        };
        let mut found = self.dates(rule, instrument);
        found.extend(self.typo(rule, instrument));
        found.extend(self.never_open(rule, instrument));
        found.extend(impatient(rule));
        found.extend(self.unfed(rule));
        if let Some(said) = said {
            found.extend(wrong_side(rule, said));
            found.extend(self.beyond_limit(said, instrument));
            found.extend(self.unknown(rule, said));
        }
        found.into_iter().map(|text| format!("level {:?}: {text}", rule.name)).collect()
    }

    fn dates(&self, rule: &Rule, instrument: &Instrument) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(end) = rule.expires.filter(|end| *end <= self.at) {
            found.push(format!(
                "expired at {end}; it can never fire; give it a later `expires`, or take it out"
            ));
        }
        if let (Some(start), Some(end)) = (rule.starts, rule.expires)
            && start >= end
        {
            found.push(format!(
                "starts at {start}, but expires at {end}; it can never fire; `starts` must be earlier"
            ));
        }
        if let Some(month) = rule.contract
            && instrument.last_trade(month) <= self.at
        {
            let (symbol, last) = (instrument.symbol(month), instrument.last_trade(month));
            let now =
                instrument.front(self.at).map(|month| format!("; in force is {}", instrument.symbol(month)));
            let now = now.unwrap_or_default();
            found.push(format!("{symbol} stopped trading at {last}; it can never fire{now}"));
        }
        found
    }

    fn typo(&self, rule: &Rule, instrument: &Instrument) -> Option<String> {
        let typical = self.typical.get(&rule.instrument).filter(|_| is_named(rule))?;
        let (price, middle) = (rule.price.as_nanos(), typical.as_nanos());
        let odd = price > middle.saturating_mul(5) || price < middle.div_euclid(5);
        odd.then(|| {
            let root = instrument.root.as_str();
            format!(
                "{} is far from the other levels of {root}, like {typical}; is a digit missing or too many?",
                rule.price
            )
        })
    }

    fn never_open(&mut self, rule: &Rule, instrument: &Instrument) -> Option<String> {
        let at = self.at;
        let open = self
            .open
            .entry(Arc::as_ptr(&rule.terms))
            .or_insert_with(|| ever_open(rule, &instrument.calendar, at));
        let text = "its `sessions`, `days` and `between` have no open moment in common in the next two weeks; it can \
                    never fire; widen one of them";
        (!*open).then(|| text.to_owned())
    }

    fn unfed(&self, rule: &Rule) -> Vec<String> {
        if self.fed.is_empty() {
            return Vec::new();
        }
        let mut wanted = BTreeSet::new();
        When::instruments(&rule.when, &mut |id, _| {
            wanted.insert(id);
        });
        let missing = wanted.difference(&self.fed).filter_map(|id| self.config.instruments.get(id.index()));
        let text = |instrument: &Instrument| {
            let root = instrument.root.as_str();
            format!(
                "`when` looks at {root}, but no feed brings {root}; it can never fire; add {root} to a feed's instruments"
            )
        };
        missing.map(text).collect()
    }

    fn beyond_limit(&self, said: &Explanation, instrument: &Instrument) -> Option<String> {
        let (last, last_at, threshold) = (said.last?.price, said.last_at?, said.threshold?);
        if self.at.since(last_at) > REFERENCE_AGE {
            return None;
        }
        let limits =
            CME_EQUITY.in_force(&instrument.calendar, self.at, last, instrument.tick, Decline::First)?;
        match limits.reach(threshold.price) {
            Reach::WithinLimits => None,
            Reach::BeyondLimit(limit) => Some(format!(
                "breaks at {}, beyond the price limit of about {} (from the last price {}): it cannot be reached now",
                threshold.grouped(),
                limit.grouped(threshold.decimals),
                said.last?.grouped()
            )),
        }
    }

    fn unknown(&self, rule: &Rule, said: &Explanation) -> Vec<String> {
        let mut found = Vec::new();
        let import = "import it with: breakwatch import";
        let derived = rule.source.as_ref().filter(|_| !rule.is_priced());
        match (said.in_contract, derived) {
            (None, Some(source)) if needs_history(source) => {
                found.push(format!("not watched yet: it follows from history that is not there; {import}"));
            }
            (None, Some(_)) => found.push("not watched yet: it is known during the session".to_owned()),
            (None, None) if rule.space == Space::Index => found.push(
                "not watched yet: no basis was measured; it is known when index and futures have been seen together \
                 in regular trading hours"
                    .to_owned(),
            ),
            (None, None) | (Some(_), _) => {}
        }
        if rule.measures_in_atr() && said.in_contract.is_some() && said.threshold.is_none() {
            found.push(format!(
                "not watched yet: its average true range needs 14 trade dates of history; {import}"
            ));
        }
        let relative = rule.confirm.iter().any(|condition| matches!(condition, Confirm::RelativeVolume(_)));
        if relative && !self.recorded {
            found.push(format!("what volume is usual is not known until there is history; {import}"));
        }
        found
    }
}

/// Whether its author named a price.
fn is_named(rule: &Rule) -> bool {
    rule.source.is_none()
}

/// The middle price of each instrument's levels, where there are enough to say.
fn typical(levels: &[Rule]) -> BTreeMap<InstrumentId, Price> {
    let mut prices: BTreeMap<InstrumentId, Vec<Price>> = BTreeMap::new();
    for rule in levels.iter().filter(|rule| is_named(rule)) {
        prices.entry(rule.instrument).or_default().push(rule.price);
    }
    let middle = |(id, mut prices): (InstrumentId, Vec<Price>)| {
        prices.sort_unstable();
        let middle = prices.get(prices.len() / 2).copied();
        middle.filter(|_| prices.len() >= 3).map(|price| (id, price))
    };
    prices.into_iter().filter_map(middle).collect()
}

/// Whether there is an open minute at which the rule may fire.
fn ever_open(rule: &Rule, calendar: &Calendar, at: Timestamp) -> bool {
    if rule.between.is_none() && rule.days == Weekdays::default() {
        return true;
    }
    let between = rule.between.as_ref().map(|between| (between, between.clock(calendar.zone())));
    (0..AHEAD_MINUTES).any(|minute| {
        let at = at.saturating_add(Duration::from_secs(minute.saturating_mul(60)));
        let state = calendar.state(at);
        let session = state.phase.is_open() && rule.sessions.admits(state.phase);
        let within = between.as_ref().is_none_or(|(between, clock)| between.holds(at, clock));
        session && rule.days.has(state.trade_date.weekday()) && within
    })
}

/// Confirmation that takes longer than the rule waits for it.
fn impatient(rule: &Rule) -> Vec<String> {
    let Some(within) = rule.confirm_within else { return Vec::new() };
    let least = |condition: &Confirm| match condition {
        Confirm::Hold(length) | Confirm::Quote(length) => *length,
        Confirm::BarClose { length, bars } => length.saturating_mul(bars.saturating_sub(1)),
        Confirm::Prints { .. }
        | Confirm::SessionClose(_)
        | Confirm::Volume(_)
        | Confirm::RelativeVolume(_) => Duration::ZERO,
    };
    let long = rule.confirm.iter().filter(|condition| least(condition) > within);
    let text = |condition: &Confirm| {
        let (word, within) = (crate::engine::confirm::word(condition), crate::time::format_duration(within));
        format!("{word} takes longer than `within` ({within}); it can never fire; make `within` longer")
    };
    long.map(text).collect()
}

/// Price is already beyond a level that has only one side.
fn wrong_side(rule: &Rule, said: &Explanation) -> Option<String> {
    let waits = said.state == "waits for its first price" || said.state == "beyond, and waits to be armed";
    let beyond = rule.half.is_none() && waits && said.ticks_to_go.is_some_and(|ticks| ticks <= 0);
    let (last, rearm) = (said.last.filter(|_| beyond)?.grouped(), said.rearm?.grouped());
    let (is, other) = match rule.side {
        Side::Resistance => ("a resistance at or below", Side::Support),
        Side::Support => ("a support at or above", Side::Resistance),
    };
    Some(format!(
        "{is} the last price {last}: it waits until price is back to {rearm}; is side = \"{other}\" meant?"
    ))
}
