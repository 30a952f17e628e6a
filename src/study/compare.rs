//! Several settings beside each other, over the same data.

use std::fmt;

use serde::Serialize;

use crate::event::Event;
use crate::market::instrument::Instrument;
use crate::study::interval::Rate;
use crate::study::mean::Mean;
use crate::study::outcome::Outcome;
use crate::study::report::{AtHorizon, Run, followed, parts};
use crate::study::series::Horizon;

/// What one setting made of the data.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Which (`margin 2 ticks, hold 5s`).
    pub setting: String,
    /// How many breaks it found.
    pub breaks: usize,
    /// How many of them failed, of those after which the data holds an hour.
    pub failed: Rate,
    /// Average true ranges beyond the threshold after 15 minutes.
    pub atr_15m: Mean,
}

impl Setting {
    /// Of the events that were established with this setting.
    #[must_use]
    pub fn new(setting: String, events: &[Event], runs: &[Run<'_>], instrument: &Instrument) -> Self {
        let each = followed(events, &parts(events, runs, instrument));
        let failed = Rate::count(each.iter().filter(|f| f.settled), |f| f.outcome == Outcome::Failed);
        let atr_15m = AtHorizon::of(Horizon::Minute15, &each, Mean::default()).atr;
        Self { setting, breaks: each.len(), failed, atr_15m }
    }
}

/// The settings of a sweep, in its order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Comparison {
    /// One row each.
    pub settings: Vec<Setting>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.settings.iter().map(|s| s.setting.chars().count());
        let width = names.max().unwrap_or_default().max("setting".len());
        let row = |f: &mut fmt::Formatter<'_>, [setting, breaks, failed, atr]: [&str; 4]| {
            writeln!(f, "{setting:<width$} {breaks:>7}  {failed:<27} {atr}")
        };
        row(f, ["setting", "breaks", "failed, 95 %", "ATR after 15 minutes"])?;
        for s in &self.settings {
            let atr = match s.atr_15m.n {
                0 => "none".to_owned(),
                n => format!("{} (n {n})", s.atr_15m.signed(2)),
            };
            row(f, [&s.setting, &s.breaks.to_string(), &s.failed.to_string(), &atr])?;
        }
        writeln!(f, "\nATR counts from each setting's threshold, not from the price at its confirmation.")?;
        match self.settings.len() {
            0 | 1 => Ok(()),
            n => writeln!(f, "The best of {n} settings on the same data is partly luck."),
        }
    }
}
