//! The life of one level, told slowly: the full list of what happened is kept, and every question is answered by
//! walking it. It shares no code with the engine's levels; it knows prices, the calendar and the rule's terms.

mod after;
mod confirm;

use std::time::Duration;

use breakwatch::engine::rule::{Confirm, FailBy, GapPolicy, Half, Rule, Sessions, When};
use breakwatch::event::{Kind, Reason, Side};
use breakwatch::market::calendar::Phase;
use breakwatch::market::price::{Distance, Price, TickSize};
use breakwatch::time::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::hours;

/// What is compared with the engine's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) kind: Kind,
    pub(crate) reason: Reason,
    pub(crate) at: Timestamp,
    pub(crate) price: Option<Price>,
    pub(crate) threshold: Option<Price>,
    pub(crate) side: Option<Side>,
    /// Of a rejection: the extreme price, the volume, and how many so far.
    pub(crate) turned: Option<(Price, u64, usize)>,
}

/// What happened, oldest first.
#[derive(Clone, Copy, Debug)]
enum Noted {
    /// A price of the rule's kind.
    Price(Seen),
    /// Whether the best bid (of a support: the best offer) is beyond.
    Quote { at: Timestamp, beyond: bool },
    /// A trade, whatever the rule's kind of price.
    Trade { at: Timestamp, price: Price, size: u64 },
    /// Nobody watched here.
    Lost,
    /// The level moved; how the last price lies to it now.
    Moved { at: Timestamp, beyond: bool, back: bool },
}

/// A price, seen upwards, and how it lay to the level when it came.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Timestamp,
    price: Price,
    size: u64,
    /// Nobody watched what was between the price before and this one.
    gap: bool,
    beyond: bool,
    /// Behind the re-arm price.
    back: bool,
    /// In the zone before the level, or beyond.
    zone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    Armed,
    /// Crossed at this place of the list, at this time.
    Waiting(usize, Timestamp),
    /// Not confirmed in time.
    Lapsed,
    /// Whether a break was told.
    Spent(bool),
    Ended,
}

/// What becomes of a break.
#[derive(Clone, Copy, Debug)]
struct Story {
    at: Timestamp,
    /// Price has been far enough beyond.
    away: bool,
    retested: Option<Timestamp>,
    /// When the last bar ended that could have made it fail.
    bar: Timestamp,
}

/// What is due.
type Act = fn(&mut Life, Timestamp);

pub(crate) struct Life {
    rule: Rule,
    noted: Vec<Noted>,
    stage: Stage,
    breaks: Vec<Timestamp>,
    story: Option<Story>,
    /// An approach was told and price was not far away since.
    near: bool,
    /// When bars ended since the crossing, and whether they closed beyond.
    bars: Vec<(Timestamp, bool)>,
    /// When regular trading hours ended since the crossing, and whether they closed beyond.
    closes: Vec<(Timestamp, bool)>,
    /// Coming back counts from this place of the list on.
    spent_from: usize,
    /// Of price in the zone before the level, seen to come in: when it came, how far it got, what was traded.
    visit: Option<(Timestamp, Price, u64)>,
    /// The last price was in the zone.
    inside: bool,
    /// Everything until then has been looked at.
    now: Timestamp,
    /// The last trade of the other instrument, and its trade date.
    other: Option<(Date, Price)>,
    pub(crate) told: Vec<Told>,
}

/// Bars of a rule that names none.
const BAR: Duration = Duration::from_secs(300);

const TICK: TickSize = TickSize::from_nanos(100_000_000);

impl Life {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            noted: Vec::new(),
            stage: Stage::New,
            breaks: Vec::new(),
            story: None,
            near: false,
            bars: Vec::new(),
            closes: Vec::new(),
            spent_from: 0,
            visit: None,
            inside: false,
            now: Timestamp::MIN,
            other: None,
            told: Vec::new(),
        }
    }

    fn far(&self, d: Distance) -> Price {
        d.resolve(TICK, self.rule.price, None).unwrap()
    }

    fn mirrored(&self, price: Price) -> Price {
        if self.rule.side == Side::Resistance { price } else { price.negated() }
    }

    /// The level, seen upwards.
    fn level(&self) -> Price {
        self.mirrored(self.rule.price)
    }

    fn threshold(&self) -> Price {
        TICK.ceil(self.level().plus(self.far(self.rule.margin)))
    }

    fn is_back(&self, seen: Price) -> bool {
        seen <= self.threshold().minus(self.far(self.rule.rearm).max(TICK.price()))
    }

    fn beyond(&self, seen: Price) -> bool {
        if self.rule.strict { seen > self.threshold() } else { seen >= self.threshold() }
    }

    /// The last price of the rule's kind.
    fn last(&self) -> Option<Price> {
        self.prices(0).last().map(|seen| seen.price)
    }

    fn prices(&self, from: usize) -> impl DoubleEndedIterator<Item = &Seen> {
        self.noted
            .iter()
            .skip(from)
            .filter_map(|n| if let Noted::Price(seen) = n { Some(seen) } else { None })
    }

    /// Nobody has missed anything since the last price of the rule's kind.
    fn watched(&self) -> bool {
        let last = self.noted.iter().rfind(|n| matches!(n, Noted::Price(_) | Noted::Lost));
        matches!(last, Some(Noted::Price(_)))
    }

    fn tell(&mut self, kind: Kind, reason: Reason, at: Timestamp, price: Option<Price>) {
        self.told.push(Told {
            kind,
            reason,
            at,
            price: price.map(|p| self.mirrored(p)),
            threshold: Some(self.mirrored(self.threshold())),
            side: Some(self.rule.side),
            turned: None,
        });
    }

    /// Nobody watches from here on.
    pub(crate) fn lost(&mut self) {
        self.noted.push(Noted::Lost);
        self.other = None;
    }

    pub(crate) fn other(&mut self, at: Timestamp, price: Price) {
        self.other = Some((hours::at(at).date, price));
    }

    pub(crate) fn trade(&mut self, at: Timestamp, price: Price, size: u64) {
        self.noted.push(Noted::Trade { at, price, size });
    }

    pub(crate) fn quote(&mut self, at: Timestamp, bid: Price, ask: Price) {
        let near = if self.rule.side == Side::Resistance { bid } else { ask };
        let beyond = self.beyond(self.mirrored(near));
        self.noted.push(Noted::Quote { at, beyond });
    }

    /// One price of the rule's kind.
    pub(crate) fn price(&mut self, at: Timestamp, price: Price, size: u64) {
        if self.stage == Stage::Ended {
            return;
        }
        let gap = self.last().is_some() && !self.watched();
        let seen = self.mirrored(price);
        let (beyond, back) = (self.beyond(seen), self.is_back(seen));
        let zone = seen >= self.level().minus(self.far(self.rule.zone));
        self.noted.push(Noted::Price(Seen { at, price: seen, size, gap, beyond, back, zone }));
        self.follow(at, seen);
        let (back, first) = (!self.beyond(seen), self.stage == Stage::New);
        match self.stage {
            Stage::New if back => self.arm(),
            Stage::New => self.spend(false),
            Stage::Armed if !back => self.cross(at, seen, gap),
            Stage::Waiting(..) if back && self.close_can_speak() => {}
            Stage::Waiting(..) | Stage::Lapsed if back => self.stage = Stage::Armed,
            Stage::Waiting(..) => self.confirm(at),
            Stage::Spent(_) if self.rearm_due().is_some_and(|due| due <= at) => self.rearm(at, Some(seen)),
            Stage::Armed | Stage::Lapsed | Stage::Spent(_) | Stage::Ended => {}
        }
        self.approach(at, seen, first);
        self.reject();
    }

    /// A quote was noted: it may be what a break waits for.
    pub(crate) fn quoted(&mut self, at: Timestamp) {
        if self.rule.confirm.iter().any(|c| matches!(c, Confirm::Quote(_))) {
            self.confirm(at);
        }
    }

    /// Not armed from here on; price that is back already comes back with the next one.
    fn spend(&mut self, by_break: bool) {
        self.stage = Stage::Spent(by_break);
        self.spent_from = self.noted.len();
    }

    /// Armed after a time in which the level could not break.
    fn arm(&mut self) {
        self.stage = Stage::Armed;
        let last = self.prices(0).last();
        (self.inside, self.visit) = (last.is_some_and(|last| last.zone), None);
    }

    fn admitted(&self, at: Timestamp) -> bool {
        let now = hours::at(at);
        let rth = now.phase == Phase::Rth;
        let session = match self.rule.sessions {
            Sessions::Any => true,
            Sessions::Rth => rth,
            Sessions::Eth => !rth,
        };
        let time = self.rule.between.as_ref().is_none_or(|between| {
            let zone = between.zone.as_deref().unwrap_or("America/Chicago");
            let clock = TimeZone::get(zone).unwrap().to_datetime(at.to_jiff()).time();
            let (from, until) = (clock >= between.from, clock < between.until);
            if between.from <= between.until { from && until } else { from || until }
        });
        session
            && time
            && self.rule.starts.is_none_or(|start| start <= at)
            && self.rule.days.has(now.date.weekday())
    }

    fn cross(&mut self, at: Timestamp, seen: Price, gap: bool) {
        if !self.admitted(at) || (gap && self.rule.gap == GapPolicy::Ignore) {
            self.spend(false);
        } else if self.rule.confirm.is_empty() && !(gap && self.rule.gap == GapPolicy::WaitBar) {
            self.broken(at, if gap { Reason::Gap } else { Reason::Cross });
        } else {
            self.stage = Stage::Waiting(self.noted.len() - 1, at);
            (self.bars, self.closes) = (Vec::new(), Vec::new());
            let reason = if gap { Reason::Gap } else { Reason::AwaitingConfirmation };
            self.tell(Kind::LevelCrossed, reason, at, Some(seen));
            self.confirm(at);
        }
    }

    fn is_true(&self, when: &When, at: Timestamp) -> Option<bool> {
        let other = self.other.filter(|(date, _)| *date == hours::at(at).date).map(|(_, price)| price);
        match when {
            When::Above(_, price) => other.map(|other| other >= *price),
            When::Below(_, price) => other.map(|other| other <= *price),
            When::All(list) => {
                let all: Vec<_> = list.iter().map(|when| self.is_true(when, at)).collect();
                let known = !all.contains(&None);
                if all.contains(&Some(false)) { Some(false) } else { known.then_some(true) }
            }
            When::Any(list) => {
                let all: Vec<_> = list.iter().map(|when| self.is_true(when, at)).collect();
                let known = !all.contains(&None);
                if all.contains(&Some(true)) { Some(true) } else { known.then_some(false) }
            }
            When::Stronger(_) | When::Weaker(_) => panic!("the model does not know {when:?}"),
        }
    }

    fn broken(&mut self, at: Timestamp, reason: Reason) {
        if self.is_true(&When::All(self.rule.when.clone()), at) != Some(true) {
            self.spend(false);
            return;
        }
        self.tell(Kind::LevelBroken, reason, at, self.last());
        self.breaks.push(at);
        let follow = self.rule.follow;
        let away = self.last().unwrap() >= self.excursion();
        self.story = (follow.retest || follow.held || follow.failed).then_some(Story {
            at,
            away,
            retested: None,
            bar: at,
        });
        self.spend(true);
    }

    /// Everything that time alone does until `until`, in the order in which it is due.
    pub(crate) fn time(&mut self, until: Timestamp) {
        loop {
            let next = self.next().filter(|(due, _)| *due <= until);
            // Over the end of a trade date nobody sees where price goes.
            let date = (self.now > Timestamp::MIN).then(|| hours::next_date(self.now));
            let date = date.filter(|date| *date <= next.map_or(until, |(due, _)| due));
            if let Some(date) = date {
                self.noted.push(Noted::Lost);
                self.now = date;
            } else if let Some((due, act)) = next {
                self.now = self.now.max(due);
                act(self, due);
            } else {
                break;
            }
        }
        self.now = self.now.max(until);
    }

    fn next(&self) -> Option<(Timestamp, Act)> {
        let mut all: Vec<(Timestamp, Act)> = Vec::new();
        if let Some(end) = self.rule.expires.filter(|_| self.stage != Stage::Ended) {
            all.push((end, Self::end));
        }
        if let (FailBy::Bar(length), Some(limit)) = (self.rule.fail.by, self.fail_until()) {
            let end = hours::bar_end(self.story.map_or(self.now, |story| story.bar), length);
            if end <= limit {
                all.push((end, Self::fail_bar_closed));
            }
        }
        if let Some(due) = self.rearm_due() {
            all.push((due, |life, at| life.rearm(at, None)));
        }
        if let Stage::Waiting(_, crossed) = self.stage {
            let after = |list: &[(Timestamp, bool)]| list.last().map_or(crossed, |(at, _)| *at);
            if let Some(length) = self.bar() {
                all.push((hours::bar_end(after(&self.bars), length), Self::bar_closed));
            }
            if self.official().is_some() {
                all.push((hours::rth_end(after(&self.closes)), Self::session_closed));
            }
        }
        for confirm in &self.rule.confirm {
            let due = match confirm {
                Confirm::Hold(d) => self.stretch().first().map(|(from, _)| hours::add_open(*from, *d)),
                Confirm::Quote(d) => self.quoted_since().map(|from| hours::add_open(from, *d)),
                Confirm::Prints { .. }
                | Confirm::BarClose { .. }
                | Confirm::SessionClose(_)
                | Confirm::Volume(_)
                | Confirm::RelativeVolume(_) => None,
            };
            if let Some(due) = due.filter(|due| self.confirmed(*due)) {
                all.push((due, Self::confirm));
            }
        }
        if let (Stage::Waiting(_, crossed), Some(within)) = (self.stage, self.rule.confirm_within) {
            all.push((hours::add_open(crossed, within), Self::lapse));
        }
        all.into_iter().min_by_key(|(due, _)| *due)
    }

    fn end(&mut self, at: Timestamp) {
        if self.rule.half != Some(Half::Second) {
            self.tell(Kind::LevelExpired, Reason::Expired, at, None);
        }
        self.stage = Stage::Ended;
        self.story = None;
    }
}
