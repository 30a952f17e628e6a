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
        format!(
            "{word} takes longer than `confirm_within` ({within}); it can never fire; make `confirm_within` longer"
        )
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::{Input, Step};
    use crate::market::symbol::ContractMonth;
    use crate::market::tick::{Item, Quality, Tick, Update};

    const NOW: &str = "2026-11-24T15:00:00Z";

    /// What is told of the levels of a file, after a trade at 2,450.
    fn told(levels: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("breakwatch.toml");
        let feed = "[[feed]]\nname = \"f\"\nkind = \"json\"\nurl = \"ws://127.0.0.1:1/\"\nsubscribe = \"x\"\n\
                    realtime = true\ninstruments = { RTY = \"RTYZ6\" }\ntrade = { price = \"/p\" }\n";
        std::fs::write(&file, format!("{feed}{levels}")).unwrap();
        let config = Config::load(Some(&file), &BTreeMap::new(), 2026).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut engine = runtime.block_on(crate::cli::explain::engine(&config, None)).unwrap();
        let at = NOW.parse().unwrap();
        let instrument = config.instruments.iter().position(|i| i.root.as_str() == "RTY").unwrap();
        engine.handle(
            &Input::Item(Item::Tick(Tick {
                instrument: InstrumentId(u32::try_from(instrument).unwrap()),
                contract: Some(ContractMonth { year: 2026, month: 12 }),
                update: Update::Trade { price: "2450".parse().unwrap(), size: 1 },
                exchange_at: Some(at),
                received_at: at,
                sequence: None,
                quality: Quality::Live,
            })),
            &mut Step::default(),
        );
        let said = engine.explain_all(at);
        let mut lints = Lints::new(&config, at, false);
        let of = |rule: &Rule| said.iter().find(|said| *said.name == *rule.name && said.side == rule.side);
        config.levels.iter().flat_map(|rule| lints.of(rule, of(rule))).collect()
    }

    #[track_caller]
    fn one(keys: &str, expected: &str) {
        let told = told(&format!("[[level]]\nname = \"a\"\ninstrument = \"RTY\"\n{keys}\n"));
        assert!(matches!(told.as_slice(), [text] if text.contains(expected)), "{keys}: {told:?}");
    }

    #[test]
    fn a_rule_that_can_fire_is_not_spoken_of() {
        assert_eq!(told("[[level]]\nname = \"a\"\ninstrument = \"RTY\"\nprice = 2500\n"), [""; 0]);
    }

    #[test]
    fn a_rule_whose_time_is_over_or_never_comes_is_named() {
        one("price = 2500\nexpires = 2026-11-20T00:00:00Z", "expired at 2026-11-20");
        one("price = 2500\ncontract = \"RTYU6\"", "RTYU6 stopped trading at 2026-09-18");
        one(
            "price = 2500\nsessions = \"rth\"\nbetween = [\"20:00\", \"21:00\"]",
            "have no open moment in common",
        );
        one(
            "price = 2500\nconfirm = [{ hold = \"10m\" }]\nconfirm_within = \"5m\"",
            "takes longer than `confirm_within` (5m)",
        );
    }

    #[test]
    fn a_rule_that_waits_for_what_does_not_come_is_named() {
        one("price = 2500\nwhen = [{ instrument = \"ES\", above = 6000 }]", "no feed brings ES");
        one("source = { kind = \"prior_day\", of = \"high\" }", "breakwatch import");
        one("price = 2500\nconfirm = [{ relative_volume = 1.5 }]", "what volume is usual is not known");
        one("price = 2500\nmargin = \"0.5 atr\"", "needs 14 trade dates");
    }

    #[test]
    fn a_level_that_lies_oddly_is_named() {
        one("price = 2440", "is side = \"support\" meant?");
        one("price = 2460\nside = \"support\"", "is side = \"resistance\" meant?");
        one("price = 2200\nside = \"support\"", "beyond the price limit of about");
        let levels: String = ["2400", "2500", "2550", "25500"]
            .map(|price| format!("[[level]]\nname = \"{price}\"\ninstrument = \"RTY\"\nprice = {price}\n"))
            .concat();
        let told = told(&levels);
        assert!(told.iter().any(|text| text.contains("\"25500\": 25500 is far from")), "{told:?}");
    }
}
