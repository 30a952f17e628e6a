//! Settings to compare: reads them, and applies every combination to a set of rules.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::engine::rule::{Confirm, Rule};
use crate::market::price::{Distance, PriceError};
use crate::time::{TimeError, format_duration, parse_duration};

/// A sweep makes at most so many combinations.
pub const COMBINATIONS_MAX: usize = 1_000;
/// What can be swept.
const KNOWN: &str = "margin, rearm, hold or prints";

/// Values of one or more keys; every combination is a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    axes: Vec<Vec<Change>>,
    combinations: usize,
}

/// What a setting changes in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Margin(Distance),
    Rearm(Distance),
    /// Zero = without a hold.
    Hold(Duration),
    /// One = the first print beyond is enough.
    Prints(u32),
}

/// Why a sweep cannot be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SweepError {
    /// Not `key=value,value`.
    #[error("{0:?} is not a sweep like margin=0,1,2,4 or hold=0s,5s,30s")]
    NotSweep(String),
    /// No such key.
    #[error("{0:?} cannot be swept: {KNOWN} can")]
    Key(String),
    /// A key twice.
    #[error("{0} is swept twice: give all its values at once, like {0}=1,2")]
    Twice(&'static str),
    /// A value twice.
    #[error("{0} occurs twice in the sweep")]
    SameValue(String),
    /// Not a distance.
    #[error("{key} {value:?} is neither a number of ticks nor a distance like 2 ticks, 0.5 points or 0.1 %")]
    Distance {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        #[source]
        source: PriceError,
    },
    /// A distance that depends on the data.
    #[error("{key} {value:?} cannot be swept: give it in ticks, points or percent")]
    Atr {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
    },
    /// Not a duration.
    #[error("hold {value:?} is not a duration like 0s, 5s or 1m")]
    Hold {
        /// What was given.
        value: String,
        /// What is wrong with it.
        #[source]
        source: TimeError,
    },
    /// Not a number of prints.
    #[error("prints {0:?} is not a whole number from 1 on")]
    Prints(String),
    /// Too many.
    #[error("{0} combinations are more than the {COMBINATIONS_MAX} that a sweep may have")]
    TooMany(usize),
}

impl Sweep {
    /// Reads what was given with each `--sweep`: `margin` and `rearm` in ticks or as distances, `hold` as
    /// durations, `prints` as counts. Of nothing, the one setting that changes nothing.
    ///
    /// # Errors
    /// When a text is not a sweep, a key or value is not known or given twice, or the combinations are too
    /// many.
    pub fn parse(texts: &[String]) -> Result<Self, SweepError> {
        let mut axes: Vec<Vec<Change>> = Vec::new();
        for text in texts {
            let axis = axis(text)?;
            if let Some(key) = axis.first().map(Change::key).filter(|key| is_swept(&axes, key)) {
                return Err(SweepError::Twice(key));
            }
            axes.push(axis);
        }
        let combinations = axes.iter().fold(1usize, |product, axis| product.saturating_mul(axis.len()));
        if combinations > COMBINATIONS_MAX {
            return Err(SweepError::TooMany(combinations));
        }
        Ok(Self { axes, combinations })
    }

    /// How many settings there are.
    #[must_use]
    pub const fn combinations(&self) -> usize {
        self.combinations
    }

    /// Every setting by its name, with the rules as it would have them; the last key changes fastest.
    pub fn rules(&self, rules: &[Rule]) -> impl Iterator<Item = (String, Vec<Rule>)> {
        (0..self.combinations).map(|nth| {
            let changes = self.combination(nth);
            let changed =
                |rule: &Rule| changes.iter().fold(rule.clone(), |rule, change| change.applied(rule));
            (label(&changes), rules.iter().map(changed).collect())
        })
    }

    /// The digits of `nth`, in a number system with one place for each key.
    fn combination(&self, nth: usize) -> Vec<Change> {
        let mut rest = nth;
        let mut changes = Vec::with_capacity(self.axes.len());
        for axis in self.axes.iter().rev() {
            let digit = rest.checked_rem(axis.len()).unwrap_or_default();
            rest = rest.checked_div(axis.len()).unwrap_or_default();
            changes.extend(axis.get(digit));
        }
        changes.reverse();
        changes
    }
}

fn is_swept(axes: &[Vec<Change>], key: &str) -> bool {
    axes.iter().flatten().any(|change| change.key() == key)
}

fn label(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "as configured".to_owned();
    }
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn axis(text: &str) -> Result<Vec<Change>, SweepError> {
    let (key, values) = text.split_once('=').ok_or_else(|| SweepError::NotSweep(clip(text)))?;
    let mut axis = Vec::new();
    for value in values.split(',') {
        let change = Change::parse(key.trim(), value.trim())?;
        if axis.contains(&change) {
            return Err(SweepError::SameValue(change.to_string()));
        }
        axis.push(change);
        if axis.len() > COMBINATIONS_MAX {
            return Err(SweepError::TooMany(values.split(',').count()));
        }
    }
    Ok(axis)
}

impl Change {
    fn parse(key: &str, value: &str) -> Result<Self, SweepError> {
        match key {
            "margin" => distance("margin", value).map(Self::Margin),
            "rearm" => distance("rearm", value).map(Self::Rearm),
            "hold" => {
                let hold = parse_duration(value);
                hold.map(Self::Hold).map_err(|source| SweepError::Hold { value: clip(value), source })
            }
            "prints" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                count.map(Self::Prints).ok_or_else(|| SweepError::Prints(clip(value)))
            }
            _ => Err(SweepError::Key(clip(key))),
        }
    }

    const fn key(&self) -> &'static str {
        match self {
            Self::Margin(_) => "margin",
            Self::Rearm(_) => "rearm",
            Self::Hold(_) => "hold",
            Self::Prints(_) => "prints",
        }
    }

    /// A rule with this change; conditions that it does not name stay as they are.
    fn applied(&self, mut rule: Rule) -> Rule {
        match *self {
            Self::Margin(margin) => rule.margin = margin,
            Self::Rearm(rearm) => rule.rearm = rearm,
            Self::Hold(hold) => {
                rule.confirm.retain(|confirm| !matches!(confirm, Confirm::Hold(_)));
                if !hold.is_zero() {
                    rule.confirm.push(Confirm::Hold(hold));
                }
            }
            Self::Prints(count) => {
                rule.confirm.retain(|confirm| !matches!(confirm, Confirm::Prints { .. }));
                if count > 1 {
                    rule.confirm.push(Confirm::Prints { count, size: None });
                }
            }
        }
        rule
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key();
        match self {
            Self::Margin(distance) | Self::Rearm(distance) => write!(f, "{key} {distance}"),
            Self::Hold(hold) => write!(f, "{key} {}", format_duration(*hold)),
            Self::Prints(count) => write!(f, "{key} {count}"),
        }
    }
}

fn distance(key: &'static str, value: &str) -> Result<Distance, SweepError> {
    let ticks = value.parse().map(Distance::Ticks);
    let distance = ticks.or_else(|_| value.parse());
    match distance.map_err(|source| SweepError::Distance { key, value: clip(value), source })? {
        Distance::Atr(_) => Err(SweepError::Atr { key, value: clip(value) }),
        distance @ (Distance::Ticks(_) | Distance::Points(_) | Distance::Percent(_)) => Ok(distance),
    }
}

/// Keeps messages short, whatever was typed.
fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::study::fixture::rule;

    fn sweep(texts: &[&str]) -> Result<Sweep, SweepError> {
        Sweep::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn labels(sweep: &Sweep) -> Vec<String> {
        sweep.rules(&[]).map(|(label, _)| label).collect()
    }

    #[test]
    fn every_combination_comes_once_and_in_order() {
        let sweep = sweep(&["margin=0,1, 0.5 points", "hold=0s,5s"]).unwrap();
        assert_eq!(sweep.combinations(), 6);
        let expected = [
            "margin 0 ticks, hold 0s",
            "margin 0 ticks, hold 5s",
            "margin 1 tick, hold 0s",
            "margin 1 tick, hold 5s",
            "margin 0.5 points, hold 0s",
            "margin 0.5 points, hold 5s",
        ];
        assert_eq!(labels(&sweep), expected);
    }

    #[test]
    fn no_sweep_is_one_setting_that_changes_nothing() {
        let sweep = sweep(&[]).unwrap();
        let rules = [rule("2450")];
        assert_eq!(sweep.rules(&rules).collect::<Vec<_>>(), [("as configured".to_owned(), rules.to_vec())]);
    }

    #[test]
    fn a_setting_changes_what_it_names_in_every_rule_and_leaves_the_rest() {
        let five = Confirm::Hold(Duration::from_secs(5));
        let mut configured = rule("2450");
        configured.confirm = vec![Confirm::Volume(10), five, Confirm::Prints { count: 4, size: Some(9) }];
        let rules = [configured.clone(), rule("2460")];
        let sweep = sweep(&["rearm=3", "hold=0s,1m", "prints=1,2"]).unwrap();
        let settings: Vec<Vec<Rule>> = sweep.rules(&rules).map(|(_, rules)| rules).collect();
        let [first, .., last] = settings.as_slice() else { panic!("{settings:?}") };
        assert_eq!(first[0].confirm, [Confirm::Volume(10)], "no hold, and one print");
        let (minute, two) = (Duration::from_secs(60), Confirm::Prints { count: 2, size: None });
        assert_eq!(last[0].confirm, [Confirm::Volume(10), Confirm::Hold(minute), two]);
        assert_eq!(last[1].confirm, [Confirm::Hold(minute), two]);
        assert!(settings.iter().flatten().all(|rule| rule.rearm == Distance::Ticks(3)));
        let mut back = last[0].clone();
        (back.rearm, back.confirm) = (configured.rearm, configured.confirm.clone());
        assert_eq!(back, configured);
    }

    #[rstest]
    #[case(&["margin"], "\"margin\" is not a sweep like margin=0,1,2,4 or hold=0s,5s,30s")]
    #[case(&["marign=1"], "\"marign\" cannot be swept: margin, rearm, hold or prints can")]
    #[case(&["margin=1", "margin=2"], "margin is swept twice: give all its values at once, like margin=1,2")]
    #[case(&["margin=1,1 tick"], "margin 1 tick occurs twice in the sweep")]
    #[case(&["margin=0.5"], "margin \"0.5\" is neither a number of ticks nor a distance like 2 ticks, 0.5 points or 0.1 %")]
    #[case(&["margin="], "margin \"\" is neither a number of ticks nor a distance like 2 ticks, 0.5 points or 0.1 %")]
    #[case(&["rearm=0.25 atr"], "rearm \"0.25 atr\" cannot be swept: give it in ticks, points or percent")]
    #[case(&["hold=5"], "hold \"5\" is not a duration like 0s, 5s or 1m")]
    #[case(&["prints=0"], "prints \"0\" is not a whole number from 1 on")]
    fn what_cannot_be_swept_is_named_with_what_can(#[case] texts: &[&str], #[case] message: &str) {
        assert_eq!(sweep(texts).unwrap_err().to_string(), message);
    }

    #[test]
    fn combinations_have_a_limit() {
        let many = |n: usize| (1..=n).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let [margin, rearm] = ["margin", "rearm"].map(|key| format!("{key}={}", many(40)));
        assert_eq!(sweep(&[&margin, &rearm]), Err(SweepError::TooMany(1_600)));
        assert_eq!(sweep(&[&format!("margin={}", many(1_000))]).unwrap().combinations(), 1_000);
        assert_eq!(sweep(&[&format!("margin={}", many(1_001))]), Err(SweepError::TooMany(1_001)));
    }
}
