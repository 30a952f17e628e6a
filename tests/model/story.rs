//! A disagreement as people can read it: as short as it can be made, engine and model side by side.

use std::fmt;
use std::sync::Arc;

use breakwatch::engine::rule::{Rule, Terms};

use crate::contest;
use crate::life::Told;
use crate::path::{self, Act, What};

/// A rule and what happened.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) rule: Rule,
    /// Both sides of the level are watched.
    pub(crate) both: bool,
    pub(crate) acts: Vec<Act>,
}

impl Case {
    pub(crate) fn differs(&self) -> bool {
        self.told().iter().any(|(engine, model)| engine != model)
    }

    /// What the engine and the model tell of each rule.
    fn told(&self) -> Vec<(Vec<Told>, Vec<Told>)> {
        let rules = if self.both { path::halves(&self.rule) } else { vec![self.rule.clone()] };
        let engine = contest::engine(&rules, &self.acts);
        let of = |rule: &Rule| engine.iter().filter(|told| told.side == Some(rule.side)).cloned().collect();
        rules.iter().map(|rule| (of(rule), contest::model(rule, &self.acts))).collect()
    }

    /// Drops inputs and terms one by one while the two still disagree.
    pub(crate) fn shrunk(mut self) -> Self {
        loop {
            let smaller = self.fewer_acts().chain(self.plainer_rules()).find(Self::differs);
            match smaller {
                Some(case) => self = case,
                None => return self,
            }
        }
    }

    fn fewer_acts(&self) -> impl Iterator<Item = Self> + '_ {
        let alone = self.both.then(|| Self { both: false, ..self.clone() });
        alone.into_iter().chain((0..self.acts.len()).rev().map(|n| {
            let mut case = self.clone();
            case.acts.remove(n);
            case
        }))
    }

    fn plainer_rules(&self) -> impl Iterator<Item = Self> + '_ {
        let plain = Terms::plain(self.rule.terms.instrument);
        let resets: [fn(&mut Terms, &Terms); 26] = [
            |t, p| t.side = p.side,
            |t, p| t.price_from = p.price_from,
            |t, p| t.strict = p.strict,
            |t, p| t.margin = p.margin,
            |t, p| t.approach = p.approach,
            |t, p| t.confirm = p.confirm.clone(),
            |t, _| t.confirm.truncate(t.confirm.len().saturating_sub(1)),
            |t, _| t.confirm = t.confirm.iter().skip(1).copied().collect(),
            |t, _| t.confirm = t.confirm.iter().take(1).chain(t.confirm.get(2)).copied().collect(),
            |t, p| t.confirm_within = p.confirm_within,
            |t, p| t.fail = p.fail,
            |t, p| t.retest = p.retest,
            |t, p| t.follow = p.follow,
            |t, p| t.rearm = p.rearm,
            |t, p| t.grace = p.grace,
            |t, p| t.cooldown = p.cooldown,
            |t, p| t.max_per_session = p.max_per_session,
            |t, p| t.gap = p.gap,
            |t, p| t.sessions = p.sessions,
            |t, p| t.zone = p.zone,
            |t, p| t.reject = p.reject,
            |t, p| t.days = p.days,
            |t, p| t.between = p.between.clone(),
            |t, p| t.starts = p.starts,
            |t, p| t.when = p.when.clone(),
            |t, p| t.expires = p.expires,
        ];
        resets.into_iter().filter_map(move |reset| {
            let mut terms = (*self.rule.terms).clone();
            reset(&mut terms, &plain);
            let rule = Rule { terms: Arc::new(terms), ..self.rule.clone() };
            (rule != self.rule).then(|| Self { rule, ..self.clone() })
        })
    }
}

fn row(told: Option<&Told>) -> String {
    told.map_or_else(
        || "-".into(),
        |t| {
            let price = t.price.map_or_else(|| "-".into(), |p| p.with_decimals(1));
            let threshold = t.threshold.map_or_else(|| "-".into(), |p| p.with_decimals(1));
            let turned = t.turned.map(|(at, volume, n)| format!(" at {at} after {volume}, number {n}"));
            let turned = turned.unwrap_or_default();
            format!("{} {} ({}) price {price} threshold {threshold}{turned}", t.at, t.kind, t.reason)
        },
    )
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ours, plain) =
            (format!("{:#?}", self.rule.terms), format!("{:#?}", Terms::plain(self.rule.terms.instrument)));
        let own: Vec<&str> =
            ours.lines().filter(|line| !plain.lines().any(|p| p == *line)).map(str::trim).collect();
        writeln!(
            f,
            "  level {} {:?}{}: {}",
            self.rule.price,
            self.rule.side,
            if self.both { " and the other side" } else { "" },
            own.join(" ")
        )?;
        for act in &self.acts {
            let px = |ticks| path::price(ticks).with_decimals(1);
            let next = matches!(act.what, What::NextTrade(..) | What::NextQuote(..));
            let what = match act.what {
                What::Trade(ticks, size) | What::NextTrade(ticks, size) => {
                    format!("trade {} x {size}", px(ticks))
                }
                What::Quote(bid, ask) | What::NextQuote(bid, ask) => {
                    format!("quote {} / {}", px(bid), px(ask))
                }
                What::Other(points) => format!("other {}", path::other_price(points)),
                What::Clock | What::Down | What::Live | What::Restart => {
                    format!("{:?}", act.what).to_lowercase()
                }
            };
            let what = if next { format!("next contract: {what}") } else { what };
            writeln!(f, "  {} {what}", act.at)?;
        }
        for (engine, model) in self.told() {
            for n in 0..engine.len().max(model.len()) {
                let mark = if engine.get(n) == model.get(n) { "  same  " } else { "  DIFFER" };
                writeln!(f, "{mark} engine {}\n         model  {}", row(engine.get(n)), row(model.get(n)))?;
            }
        }
        Ok(())
    }
}
