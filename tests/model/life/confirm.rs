//! What a break waits for: prints, time, quotes, closes of bars and of sessions.

use std::time::Duration;

use breakwatch::engine::rule::{Confirm, FailBy, GapPolicy, Official};
use breakwatch::event::Reason;
use breakwatch::market::price::Price;
use breakwatch::time::Timestamp;

use super::{BAR, Life, Noted, Seen, Stage, TICK};
use crate::hours;

impl Life {
    /// Price is behind, but a bar has closed beyond, or the close of the session is still to come.
    pub(super) fn close_can_speak(&self) -> bool {
        self.bars() > 0 || self.official().is_some()
    }

    pub(super) fn official(&self) -> Option<Official> {
        self.rule.confirm.iter().find_map(|c| if let Confirm::SessionClose(o) = c { Some(*o) } else { None })
    }

    /// What was noted since the crossing.
    pub(super) fn since_crossing(&self) -> &[Noted] {
        match self.stage {
            Stage::Waiting(from, _) => &self.noted[from..],
            Stage::New | Stage::Armed | Stage::Lapsed | Stage::Spent(_) | Stage::Ended => &[],
        }
    }

    /// The bar whose close the break needs: by its confirmation, or because it came in a gap.
    pub(super) fn bar(&self) -> Option<Duration> {
        let asked = self
            .rule
            .confirm
            .iter()
            .find_map(|c| if let Confirm::BarClose { length, .. } = c { Some(*length) } else { None });
        let in_gap = matches!(self.since_crossing().first(), Some(Noted::Price(Seen { gap: true, .. })));
        let length = match self.rule.fail.by {
            FailBy::Bar(length) => length,
            FailBy::Trade => BAR,
        };
        asked.or((in_gap && self.rule.gap == GapPolicy::WaitBar).then_some(length))
    }

    /// Bars in a row that closed beyond.
    pub(super) fn bars(&self) -> usize {
        self.bars.iter().rev().take_while(|(_, beyond)| *beyond).count()
    }

    /// Whether the last close of regular hours since the crossing was beyond.
    pub(super) fn closed(&self) -> bool {
        self.closes.last().is_some_and(|(_, beyond)| *beyond)
    }

    /// Price is behind the threshold although the break still waits.
    pub(super) fn behind(&self) -> bool {
        let last = self.noted.iter().rev().find_map(|n| match n {
            Noted::Price(seen) => Some(seen.beyond),
            // Moving the level behind the price is not coming beyond.
            Noted::Moved { beyond: false, .. } => Some(false),
            Noted::Moved { .. } | Noted::Quote { .. } | Noted::Trade { .. } | Noted::Lost => None,
        });
        last == Some(false)
    }

    /// The prices beyond since the crossing, the last loss, or the last price that was not beyond.
    pub(super) fn stretch(&self) -> Vec<(Timestamp, u64)> {
        let mut stretch = Vec::new();
        for noted in self.since_crossing() {
            match noted {
                Noted::Price(seen) if seen.beyond => stretch.push((seen.at, seen.size)),
                Noted::Price(_) | Noted::Lost | Noted::Moved { beyond: false, .. } => stretch.clear(),
                Noted::Moved { .. } | Noted::Quote { .. } | Noted::Trade { .. } => {}
            }
        }
        stretch
    }

    /// Since when, after the crossing or after price came beyond again, the quote is seen beyond.
    pub(super) fn quoted_since(&self) -> Option<Timestamp> {
        let Stage::Waiting(from, _) = self.stage else { return None };
        // The quote in force, and since when it counts.
        let (mut quote, mut since, mut behind) = (None, None, true);
        for (n, noted) in self.noted.iter().enumerate() {
            match noted {
                Noted::Lost => (quote, since) = (None, None),
                Noted::Quote { at, beyond } => {
                    quote = Some(*beyond);
                    since = if *beyond { since.or((n > from).then_some(*at)) } else { None };
                }
                Noted::Price(seen) if n >= from => {
                    if !seen.beyond {
                        since = None;
                    } else if behind && quote == Some(true) {
                        since = since.or(Some(seen.at));
                    }
                    behind = !seen.beyond;
                }
                Noted::Moved { beyond: false, .. } if n >= from => (since, behind) = (None, true),
                Noted::Price(_) | Noted::Trade { .. } | Noted::Moved { .. } => {}
            }
        }
        since
    }

    pub(super) fn holds(&self, confirm: &Confirm, at: Timestamp) -> bool {
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
            Confirm::BarClose { bars, .. } => self.bars() >= usize::try_from(*bars).unwrap(),
            Confirm::SessionClose(_) => self.closed(),
            Confirm::Quote(d) => self.quoted_since().is_some_and(|from| hours::add_open(from, *d) <= at),
            Confirm::RelativeVolume(_) => panic!("the model does not know {confirm:?}"),
        }
    }

    pub(super) fn confirmed(&self, at: Timestamp) -> bool {
        let Stage::Waiting(..) = self.stage else { return false };
        // Against a price that is behind, only the official close can speak.
        let close_alone =
            self.closed() && self.rule.confirm.iter().all(|c| matches!(c, Confirm::SessionClose(_)));
        let bar_missing = self.rule.gap == GapPolicy::WaitBar
            && matches!(self.since_crossing().first(), Some(Noted::Price(Seen { gap: true, .. })))
            && self.bars() == 0;
        (!self.behind() || close_alone)
            && !bar_missing
            && self.rule.confirm.iter().all(|confirm| self.holds(confirm, at))
    }

    pub(super) fn confirm(&mut self, at: Timestamp) {
        if self.confirmed(at) {
            self.broken(at, Reason::Confirmed);
        }
    }

    /// A bar ended, whose close the break waits for.
    pub(super) fn bar_closed(&mut self, at: Timestamp) {
        self.bars.push((at, self.watched() && !self.behind()));
        if self.behind() && self.official().is_none() {
            self.stage = Stage::Armed;
        }
        self.confirm(at);
    }

    /// Regular trading hours ended.
    pub(super) fn session_closed(&mut self, at: Timestamp) {
        let trade = self.noted.iter().rfind(|n| matches!(n, Noted::Trade { .. } | Noted::Lost));
        let last = if let Some(Noted::Trade { price, .. }) = trade { Some(*price) } else { None };
        let price = match self.official() {
            Some(Official::Settlement) => last.map(|last| self.settlement(at).unwrap_or(last)),
            Some(Official::Rth) | None => last,
        };
        let beyond = price.is_some_and(|price| self.beyond(self.mirrored(price)));
        self.closes.push((at, beyond));
        if self.behind() && !beyond {
            self.stage = Stage::Armed;
        }
        self.confirm(at);
    }

    /// Volume-weighted over the last 30 seconds, on the tick grid.
    pub(super) fn settlement(&self, end: Timestamp) -> Option<Price> {
        let (mut value, mut volume) = (0, 0);
        for noted in &self.noted {
            if let Noted::Trade { at, price, size } = noted
                && *at < end
                && end.since(*at) <= Duration::from_secs(30)
            {
                value += i128::from(price.as_nanos()) * i128::from(*size);
                volume += i128::from(*size);
            }
        }
        let mean = value.checked_div(volume)?;
        Some(TICK.round(Price::from_nanos(i64::try_from(mean).unwrap())))
    }

    /// Not confirmed in time.
    pub(super) fn lapse(&mut self, _: Timestamp) {
        self.stage = if self.behind() { Stage::Armed } else { Stage::Lapsed };
    }
}
