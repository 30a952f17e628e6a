//! What a break must meet before it counts: prints, time, volume, bars, closes and quotes beyond the threshold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::rule::{Confirm, FailBy, GapPolicy, Official, Terms};
use crate::engine::scene::{Fact, Gap, Scene};
use crate::time::{Timestamp, format_duration};

/// The bar of a rule that waits for one and names none.
const BAR: Duration = Duration::from_secs(5 * 60);

/// One print beyond the threshold.
#[derive(Clone, Copy, Debug)]
pub struct Print {
    /// Its exchange time.
    pub at: Timestamp,
    /// Contracts traded.
    pub size: u32,
}

/// A break that waits for its confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// When the threshold was crossed.
    pub since: Timestamp,
    /// What nobody saw before the crossing.
    gap: Option<Gap>,
    /// Prints at distinct exchange times.
    prints: u32,
    last_print_at: Option<Timestamp>,
    /// Contracts traded beyond.
    volume: u64,
    /// Since when somebody has watched price stay beyond.
    held_since: Option<Timestamp>,
    /// Since when somebody has watched the quote stay beyond.
    #[serde(default)]
    quoted_since: Option<Timestamp>,
    /// Bars in a row that closed beyond.
    #[serde(default)]
    bars: u32,
    /// When the bar in progress ends.
    #[serde(default)]
    bar_ends: Option<Timestamp>,
    /// The session's official price lay beyond.
    #[serde(default)]
    closed: bool,
    /// When that is known next.
    #[serde(default)]
    close_due: Option<Timestamp>,
    /// Price is behind the threshold again, while a bar or the session is still to close.
    #[serde(default)]
    behind: bool,
}

/// What the end of a bar or of regular trading hours made of a pending break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It still waits.
    Waits,
    /// It did not close beyond, and price is behind the threshold: it is over.
    Over,
}

impl Pending {
    /// Crossed now.
    #[must_use]
    pub fn new(terms: &Terms, scene: &Scene<'_>) -> Self {
        let gap = scene.gap;
        let mut pending = Self {
            since: scene.at,
            gap,
            prints: 0,
            last_print_at: None,
            volume: 0,
            held_since: None,
            quoted_since: None,
            bars: 0,
            bar_ends: None,
            closed: false,
            close_due: None,
            behind: false,
        };
        pending.plan(terms, scene);
        pending
    }

    /// Looks when the next bar and the next session close.
    fn plan(&mut self, terms: &Terms, scene: &Scene<'_>) {
        let bar = self.bar_of(terms);
        self.bar_ends = bar.and_then(|length| scene.bar_end(length));
        let waits = official(&terms.confirm).is_some();
        self.close_due = if waits { scene.rth_end() } else { None };
    }

    /// The bar whose close it needs.
    fn bar_of(&self, terms: &Terms) -> Option<Duration> {
        bar_close(&terms.confirm).map(|(length, _)| length).or_else(|| {
            (self.gap.is_some() && terms.gap == GapPolicy::WaitBar).then_some(match terms.fail.by {
                FailBy::Bar(length) => length,
                FailBy::Trade => BAR,
            })
        })
    }

    /// Counts a print beyond.
    pub fn count(&mut self, print: Print) {
        // One sweep prints many times within one exchange time stamp; it is one print here.
        if self.last_print_at.is_none_or(|last| print.at > last) {
            self.prints = self.prints.saturating_add(1);
            self.last_print_at = Some(print.at);
        }
        self.volume = self.volume.saturating_add(u64::from(print.size));
        self.held_since = self.held_since.or(Some(print.at));
        self.behind = false;
    }

    /// The quote on the near side lies beyond, or does not.
    pub fn quoted(&mut self, beyond: bool, at: Timestamp) {
        self.quoted_since = if beyond { self.quoted_since.or(Some(at)) } else { None };
    }

    /// Nobody watches: what was counted is no longer continuous.
    pub const fn pause(&mut self) {
        self.restart();
        self.quoted_since = None;
    }

    /// What was counted is no longer consecutive: price fell back, or nobody watched for a while.
    pub const fn restart(&mut self) {
        self.prints = 0;
        self.last_print_at = None;
        self.volume = 0;
        self.held_since = None;
    }

    /// Price is behind the threshold. Returns whether a close still to come may confirm the break all the same.
    pub fn fall_back(&mut self) -> bool {
        self.restart();
        self.quoted_since = None;
        self.behind = true;
        self.bars > 0 || self.close_due.is_some()
    }

    /// Whether price is behind the threshold at the moment.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.behind
    }

    /// Time has passed: bars and sessions that ended by now are counted. `beyond` says so of a price.
    pub fn pass(
        &mut self,
        terms: &Terms,
        last_beyond: bool,
        scene: &Scene<'_>,
        beyond: impl Fn(crate::market::price::Price) -> bool,
    ) -> Closed {
        let (mut bar_ended, mut session_ended) = (false, false);
        if self.bar_ends.is_some_and(|end| end <= scene.at) {
            // A bar that ended while nobody watched closed nobody knows where.
            self.bars = if scene.watched && last_beyond { self.bars.saturating_add(1) } else { 0 };
            self.bar_ends = self.bar_of(terms).and_then(|length| scene.bar_end(length));
            bar_ended = true;
        }
        if self.close_due.is_some_and(|end| end <= scene.at) {
            let price = official(&terms.confirm).and_then(|which| scene.official(which));
            self.closed = price.is_some_and(beyond);
            self.close_due = scene.rth_end();
            session_ended = true;
        }
        // With a session to close, a bar alone ends nothing.
        let by_bar = bar_ended && self.bars == 0 && self.close_due.is_none();
        let by_session = session_ended && !self.closed;
        if self.behind && (by_bar || by_session) { Closed::Over } else { Closed::Waits }
    }

    /// Whether everything that the rule asks for is met.
    #[must_use]
    pub fn is_confirmed(&self, terms: &Terms, scene: &Scene<'_>) -> bool {
        // With price behind, only an official close can speak for the break.
        let closes_alone = self.closed && terms.confirm.iter().all(|c| matches!(c, Confirm::SessionClose(_)));
        if self.behind && !closes_alone {
            return false;
        }
        let waits_for_bar = self.gap.is_some() && terms.gap == GapPolicy::WaitBar && self.bars == 0;
        !waits_for_bar && terms.confirm.iter().all(|condition| self.is_met(condition, scene))
    }

    /// Whether one condition is met.
    #[must_use]
    pub fn is_met(&self, condition: &Confirm, scene: &Scene<'_>) -> bool {
        let over = |since: Option<Timestamp>, length: Duration| {
            since.is_some_and(|since| scene.book.calendar.add_open(since, length) <= scene.at)
        };
        match condition {
            Confirm::Prints { count, size } => {
                self.prints >= *count || size.is_some_and(|size| self.volume >= size)
            }
            Confirm::Hold(duration) => over(self.held_since, *duration),
            Confirm::BarClose { bars, .. } => self.bars >= *bars,
            Confirm::SessionClose(_) => self.closed,
            Confirm::Volume(volume) => self.volume >= *volume,
            Confirm::RelativeVolume(times) => scene.book.relative_volume().is_some_and(|now| now >= *times),
            Confirm::Quote(duration) => over(self.quoted_since, *duration),
        }
    }

    /// How far one condition has come, in words.
    #[must_use]
    pub fn progress(&self, condition: &Confirm, scene: &Scene<'_>) -> String {
        let beyond = |since: Option<Timestamp>| match since {
            Some(since) => format_duration(scene.book.calendar.open_between(since, scene.at)) + " so far",
            None => "not running".to_owned(),
        };
        match condition {
            Confirm::Prints { size: None, .. } => format!("{} so far", self.prints),
            Confirm::Prints { size: Some(_), .. } => {
                format!("{} prints, {} contracts so far", self.prints, self.volume)
            }
            Confirm::Hold(_) => beyond(self.held_since),
            Confirm::Quote(_) => beyond(self.quoted_since),
            Confirm::BarClose { .. } => format!("{} so far", self.bars),
            Confirm::SessionClose(_) if self.closed => "closed beyond".to_owned(),
            Confirm::SessionClose(_) => "not closed beyond yet".to_owned(),
            Confirm::Volume(_) => format!("{} contracts so far", self.volume),
            Confirm::RelativeVolume(_) => {
                scene.book.relative_volume().map_or("not known".to_owned(), |now| format!("{now} times now"))
            }
        }
    }

    /// Whether the rule's patience is over.
    #[must_use]
    pub fn is_overdue(&self, within: Option<Duration>, scene: &Scene<'_>) -> bool {
        within.is_some_and(|within| scene.book.calendar.add_open(self.since, within) <= scene.at)
    }

    /// When time alone may change something.
    #[must_use]
    pub fn deadline(&self, terms: &Terms, scene: &Scene<'_>) -> Option<Timestamp> {
        let calendar = &scene.book.calendar;
        let times = terms.confirm.iter().filter_map(|condition| match condition {
            Confirm::Hold(duration) => self.held_since.map(|since| calendar.add_open(since, *duration)),
            Confirm::Quote(duration) => self.quoted_since.map(|since| calendar.add_open(since, *duration)),
            Confirm::Prints { .. }
            | Confirm::BarClose { .. }
            | Confirm::SessionClose(_)
            | Confirm::Volume(_)
            | Confirm::RelativeVolume(_) => None,
        });
        let patience = terms.confirm_within.map(|within| calendar.add_open(self.since, within));
        let closes = self.bar_ends.into_iter().chain(self.close_due);
        times.filter(|due| *due > scene.at).chain(closes).chain(patience).min()
    }

    /// Adds what was counted to a fact.
    #[must_use]
    pub fn describe(&self, mut fact: Fact, confirmed_by: &[Confirm], scene: &Scene<'_>) -> Fact {
        if !confirmed_by.is_empty() {
            let held = self.held_since.map_or(0, |since| scene.at.since(since).as_millis());
            fact.numbers.insert("confirmed_by".into(), describe(confirmed_by).into());
            fact.numbers.insert("held_ms".into(), u64::try_from(held).unwrap_or(u64::MAX).into());
            fact.numbers.insert("prints".into(), self.prints.into());
            fact.numbers.insert("volume".into(), self.volume.into());
            fact.numbers.insert("crossed_at".into(), self.since.to_string().into());
            if self.bars > 0 {
                fact.numbers.insert("bars".into(), self.bars.into());
            }
            self.describe_measures(&mut fact, confirmed_by, scene);
        }
        if let (Some(gap), Some(price)) = (self.gap, fact.price) {
            fact.prices.push(("gap", price.minus(gap.last).abs()));
            fact.prices.push(("last_before", gap.last));
            fact.numbers.insert("unwatched_from".into(), gap.from.to_string().into());
            fact.numbers.insert("unwatched_until".into(), gap.until.to_string().into());
        }
        fact
    }

    fn describe_measures(&self, fact: &mut Fact, confirmed_by: &[Confirm], scene: &Scene<'_>) {
        for condition in confirmed_by {
            match condition {
                Confirm::RelativeVolume(_) => {
                    let times = scene.book.relative_volume().map(|times| times.with_decimals(0));
                    fact.numbers.insert("relative_volume".into(), times.into());
                }
                Confirm::SessionClose(which) if self.closed => {
                    fact.prices.extend(scene.official(*which).map(|price| ("session_close", price)));
                }
                Confirm::SessionClose(_)
                | Confirm::Prints { .. }
                | Confirm::Hold(_)
                | Confirm::BarClose { .. }
                | Confirm::Volume(_)
                | Confirm::Quote(_) => {}
            }
        }
    }
}

/// The bar close among the conditions.
fn bar_close(conditions: &[Confirm]) -> Option<(Duration, u32)> {
    conditions.iter().find_map(|condition| match condition {
        Confirm::BarClose { length, bars } => Some((*length, *bars)),
        Confirm::Prints { .. }
        | Confirm::Hold(_)
        | Confirm::SessionClose(_)
        | Confirm::Volume(_)
        | Confirm::RelativeVolume(_)
        | Confirm::Quote(_) => None,
    })
}

/// The official price among the conditions.
fn official(conditions: &[Confirm]) -> Option<Official> {
    conditions.iter().find_map(|condition| match condition {
        Confirm::SessionClose(which) => Some(*which),
        Confirm::Prints { .. }
        | Confirm::Hold(_)
        | Confirm::BarClose { .. }
        | Confirm::Volume(_)
        | Confirm::RelativeVolume(_)
        | Confirm::Quote(_) => None,
    })
}

/// The conditions in words (`2 prints, 5s hold`).
#[must_use]
pub fn describe(conditions: &[Confirm]) -> String {
    conditions.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// One condition in words.
#[must_use]
pub fn word(condition: &Confirm) -> String {
    match condition {
        Confirm::Prints { count, size: None } => format!("{count} prints"),
        Confirm::Prints { count, size: Some(size) } => format!("{count} prints or {size} contracts"),
        Confirm::Hold(duration) => format!("{} hold", format_duration(*duration)),
        Confirm::BarClose { length, bars: 1 } => format!("{} bar close", format_duration(*length)),
        Confirm::BarClose { length, bars } => format!("{bars} {} bar closes", format_duration(*length)),
        Confirm::SessionClose(Official::Rth) => "RTH close".to_owned(),
        Confirm::SessionClose(Official::Settlement) => "settlement".to_owned(),
        Confirm::Volume(volume) => format!("{volume} contracts"),
        Confirm::RelativeVolume(times) => format!("{times} times the usual volume"),
        Confirm::Quote(duration) => format!("{} quoted", format_duration(*duration)),
    }
}
