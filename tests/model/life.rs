//! The life of one level, told slowly: the full list of what happened is kept, and every question is answered by
//! walking it. It shares no code with the engine's levels; it knows prices, the calendar and the rule's terms.

use std::time::Duration;

use breakwatch::engine::rule::{Confirm, FailBy, GapPolicy, Half, Official, Rule, Sessions, When};
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
    /// A price of the rule's kind, seen upwards; `gap`: nobody watched what was between the one before and this one.
    Price { at: Timestamp, seen: Price, size: u64, gap: bool },
    /// The best bid (of a support: the best offer), seen upwards.
    Quote { at: Timestamp, seen: Price },
    /// A trade, whatever the rule's kind of price.
    Trade { at: Timestamp, price: Price, size: u64 },
    /// Nobody watched here.
    Lost,
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
    /// The place of the price at which it was established.
    from: usize,
    retested: Option<Timestamp>,
    /// When the last bar ended that could have made it fail.
    bar: Timestamp,
}

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
    /// From this place of the list on, price can be turned away.
    turns_from: usize,
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
            turns_from: 0,
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

    fn beyond(&self, seen: Price) -> bool {
        if self.rule.strict { seen > self.threshold() } else { seen >= self.threshold() }
    }

    /// The last price of the rule's kind.
    fn last(&self) -> Option<Price> {
        self.prices(0).last().map(|(_, seen, _)| seen)
    }

    fn prices(&self, from: usize) -> impl DoubleEndedIterator<Item = (Timestamp, Price, u64)> {
        self.noted.iter().skip(from).filter_map(|noted| match noted {
            Noted::Price { at, seen, size, .. } => Some((*at, *seen, *size)),
            _ => None,
        })
    }

    /// Nobody has missed anything since the last price of the rule's kind.
    fn watched(&self) -> bool {
        let last = self.noted.iter().rfind(|n| matches!(n, Noted::Price { .. } | Noted::Lost));
        matches!(last, Some(Noted::Price { .. }))
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
        self.noted.push(Noted::Quote { at, seen: self.mirrored(near) });
    }

    /// One price of the rule's kind.
    pub(crate) fn price(&mut self, at: Timestamp, price: Price, size: u64) {
        if self.stage == Stage::Ended {
            return;
        }
        let gap = self.last().is_some() && !self.watched();
        let seen = self.mirrored(price);
        self.noted.push(Noted::Price { at, seen, size, gap });
        self.follow(at, seen);
        let (back, first) = (!self.beyond(seen), self.stage == Stage::New);
        match self.stage {
            Stage::New if back => self.arm(),
            Stage::New => self.stage = Stage::Spent(false),
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

    /// Armed after a time in which the level could not break.
    fn arm(&mut self) {
        self.stage = Stage::Armed;
        self.turns_from = self.noted.len();
    }

    /// Price is behind, but a bar has closed beyond, or the close of the session is still to come.
    fn close_can_speak(&self) -> bool {
        self.bars() > 0 || self.official().is_some()
    }

    fn official(&self) -> Option<Official> {
        self.rule.confirm.iter().find_map(|c| if let Confirm::SessionClose(o) = c { Some(*o) } else { None })
    }

    fn approach(&mut self, at: Timestamp, seen: Price, first: bool) {
        let Some(approach) = self.rule.approach else { return };
        let (near, threshold) = (self.far(approach), self.threshold());
        if seen <= threshold.minus(near).minus(near) {
            self.near = false;
        }
        if seen >= threshold.minus(near) && !self.near {
            // To approach is to come from further away: the first price of all only says where price is.
            if self.stage == Stage::Armed && !first {
                self.tell(Kind::LevelApproached, Reason::WithinApproach, at, Some(seen));
            }
            self.near = true;
        }
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
            self.stage = Stage::Spent(false);
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
            self.stage = Stage::Spent(false);
            return;
        }
        self.tell(Kind::LevelBroken, reason, at, self.last());
        self.breaks.push(at);
        let follow = self.rule.follow;
        let from = self.noted.iter().rposition(|n| matches!(n, Noted::Price { .. })).unwrap();
        self.story = (follow.retest || follow.held || follow.failed).then_some(Story {
            at,
            from,
            retested: None,
            bar: at,
        });
        self.stage = Stage::Spent(true);
    }

    /// What was noted since the crossing.
    fn since_crossing(&self) -> &[Noted] {
        match self.stage {
            Stage::Waiting(from, _) => &self.noted[from..],
            _ => &[],
        }
    }

    /// The bar whose close the break needs: by its confirmation, or because it came in a gap.
    fn bar(&self) -> Option<Duration> {
        let asked = self
            .rule
            .confirm
            .iter()
            .find_map(|c| if let Confirm::BarClose { length, .. } = c { Some(*length) } else { None });
        let in_gap = matches!(self.since_crossing().first(), Some(Noted::Price { gap: true, .. }));
        let length = match self.rule.fail.by {
            FailBy::Bar(length) => length,
            FailBy::Trade => BAR,
        };
        asked.or((in_gap && self.rule.gap == GapPolicy::WaitBar).then_some(length))
    }

    /// Bars in a row that closed beyond.
    fn bars(&self) -> usize {
        self.bars.iter().rev().take_while(|(_, beyond)| *beyond).count()
    }

    /// Whether the last close of regular hours since the crossing was beyond.
    fn closed(&self) -> bool {
        self.closes.last().is_some_and(|(_, beyond)| *beyond)
    }

    /// Price is behind the threshold although the break still waits.
    fn behind(&self) -> bool {
        self.last().is_some_and(|last| !self.beyond(last))
    }

    /// The prices beyond since the crossing, the last loss, or the last price that was not beyond.
    fn stretch(&self) -> Vec<(Timestamp, u64)> {
        let mut stretch = Vec::new();
        for noted in self.since_crossing() {
            match noted {
                Noted::Price { at, seen, size, .. } if self.beyond(*seen) => stretch.push((*at, *size)),
                Noted::Price { .. } | Noted::Lost => stretch.clear(),
                Noted::Quote { .. } | Noted::Trade { .. } => {}
            }
        }
        stretch
    }

    /// Since when, after the crossing or after price came beyond again, the quote is seen beyond.
    fn quoted_since(&self) -> Option<Timestamp> {
        let Stage::Waiting(from, _) = self.stage else { return None };
        // The quote in force, and since when it counts.
        let (mut quote, mut since, mut behind) = (None, None, true);
        for (n, noted) in self.noted.iter().enumerate() {
            match noted {
                Noted::Lost => (quote, since) = (None, None),
                Noted::Quote { at, seen } => {
                    quote = Some(*seen);
                    since = if self.beyond(*seen) { since.or((n > from).then_some(*at)) } else { None };
                }
                Noted::Price { at, seen, .. } if n >= from => {
                    if !self.beyond(*seen) {
                        since = None;
                    } else if behind && quote.is_some_and(|quote| self.beyond(quote)) {
                        since = since.or(Some(*at));
                    }
                    behind = !self.beyond(*seen);
                }
                Noted::Price { .. } | Noted::Trade { .. } => {}
            }
        }
        since
    }

    fn holds(&self, confirm: &Confirm, at: Timestamp) -> bool {
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

    fn confirmed(&self, at: Timestamp) -> bool {
        let Stage::Waiting(..) = self.stage else { return false };
        // Against a price that is behind, only the official close can speak.
        let close_alone =
            self.closed() && self.rule.confirm.iter().all(|c| matches!(c, Confirm::SessionClose(_)));
        let bar_missing = self.rule.gap == GapPolicy::WaitBar
            && matches!(self.since_crossing().first(), Some(Noted::Price { gap: true, .. }))
            && self.bars() == 0;
        (!self.behind() || close_alone)
            && !bar_missing
            && self.rule.confirm.iter().all(|confirm| self.holds(confirm, at))
    }

    fn confirm(&mut self, at: Timestamp) {
        if self.confirmed(at) {
            self.broken(at, Reason::Confirmed);
        }
    }

    /// A bar ended, whose close the break waits for.
    fn bar_closed(&mut self, at: Timestamp) {
        self.bars.push((at, self.watched() && !self.behind()));
        if self.behind() && self.official().is_none() {
            self.stage = Stage::Armed;
        }
        self.confirm(at);
    }

    /// Regular trading hours ended.
    fn session_closed(&mut self, at: Timestamp) {
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
    fn settlement(&self, end: Timestamp) -> Option<Price> {
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

    /// Whether the price that came last was turned away: it has come into the zone before the level, seen to come in,
    /// and was then as far behind the level as the rule asks.
    fn reject(&mut self) {
        let Some(reject) = self.rule.reject else { return };
        if !matches!(self.stage, Stage::Armed | Stage::Waiting(..) | Stage::Lapsed) {
            return;
        }
        let bottom = self.level().minus(self.far(self.rule.zone));
        let back = self.level().minus(self.far(reject.distance));
        let before = self.noted.iter().take(self.turns_from).rev();
        let before =
            before.filter_map(|n| if let Noted::Price { seen, .. } = n { Some(*seen) } else { None }).next();
        let mut inside = before.is_some_and(|before| before >= bottom);
        // When price came in, how far it got, and what was traded.
        let mut visit: Option<(Timestamp, Price, u64)> = None;
        let mut turned = None;
        for (at, seen, size) in self.prices(self.turns_from) {
            turned = None;
            let zone = seen >= bottom;
            visit = visit.filter(|(since, _, _)| at <= hours::add_open(*since, reject.within));
            match &mut visit {
                Some((_, high, volume)) => {
                    *volume += if zone { size } else { 0 };
                    *high = seen.max(*high);
                    if seen <= back && *high > back {
                        turned = Some((at, seen, *high, *volume));
                        visit = None;
                    }
                }
                None if zone && !inside => visit = Some((at, seen, size)),
                None => {}
            }
            inside = zone;
        }
        if let Some((at, seen, high, volume)) = turned {
            let so_far = self.told.iter().rev().take_while(|t| t.kind != Kind::LevelBroken);
            let number = so_far.filter(|t| t.kind == Kind::LevelRejected).count() + 1;
            self.tell(Kind::LevelRejected, Reason::TurnedAway, at, Some(seen));
            let high = self.mirrored(high);
            self.told.last_mut().unwrap().turned = Some((high, volume, number));
        }
    }

    fn follow(&mut self, at: Timestamp, seen: Price) {
        let Some(story) = self.story else { return };
        let (fail, retest, flags) = (self.rule.fail, self.rule.retest, self.rule.follow);
        let within = |from, d: Duration| at <= hours::add_open(from, d);
        let level = self.level();
        let open = match story.retested {
            Some(then) => within(then, retest.within),
            None => within(story.at, fail.within),
        };
        if open && fail.by == FailBy::Trade && seen <= level.minus(self.far(fail.distance)) {
            return self.failed(at, seen);
        }
        // Price can only return to a zone that it has left.
        let zone_top = level.plus(self.far(retest.zone));
        let excursion = level.plus(self.far(retest.excursion)).max(zone_top.plus(Price::from_nanos(1)));
        let been = self
            .noted
            .iter()
            .skip(story.from)
            .any(|n| matches!(n, Noted::Price { seen, .. } if *seen >= excursion));
        if story.retested.is_none()
            && within(story.at, retest.within)
            && been
            && seen <= level.plus(self.far(retest.zone))
        {
            self.story = Some(Story { retested: Some(at), bar: at, ..story });
            if flags.retest {
                self.tell(Kind::LevelRetested, Reason::BackInZone, at, Some(seen));
            }
        } else if story.retested.is_some() && open && seen >= level.plus(self.far(retest.hold)) {
            self.story = None;
            if flags.held {
                self.tell(Kind::LevelHeld, Reason::ZoneHeld, at, Some(seen));
            }
        }
    }

    fn failed(&mut self, at: Timestamp, seen: Price) {
        self.story = None;
        if self.rule.follow.failed {
            self.tell(Kind::LevelFailed, Reason::FellBack, at, Some(seen));
        }
    }

    /// A bar ended that can make the break fail.
    fn fail_bar_closed(&mut self, at: Timestamp) {
        self.story = self.story.map(|story| Story { bar: at, ..story });
        if let Some(last) = self.last().filter(|last| *last < self.level() && self.watched()) {
            self.failed(at, last);
        }
    }

    /// Until then a break can fail.
    fn fail_until(&self) -> Option<Timestamp> {
        let story = self.story?;
        Some(match story.retested {
            Some(then) => hours::add_open(then, self.rule.retest.within),
            None => hours::add_open(story.at, self.rule.fail.within),
        })
    }

    /// When the level is armed again if price stays where it is.
    fn rearm_due(&self) -> Option<Timestamp> {
        let Stage::Spent(_) = self.stage else { return None };
        let line = self.threshold().minus(self.far(self.rule.rearm).max(TICK.price()));
        let mut since = None;
        for noted in &self.noted {
            match noted {
                Noted::Price { at, seen, .. } if *seen <= line => since = since.or(Some(*at)),
                Noted::Price { .. } => since = None,
                _ => {}
            }
        }
        let mut due = hours::add_open(since?, self.rule.grace);
        if let Some(last) = self.breaks.last() {
            due = due.max(last.saturating_add(self.rule.cooldown));
            let date = hours::at(*last).date;
            let today = self.breaks.iter().filter(|b| hours::at(**b).date == date).count();
            if self.rule.max_per_session.is_some_and(|max| today >= usize::try_from(max).unwrap()) {
                due = due.max(hours::next_date(*last));
            }
        }
        Some(due)
    }

    /// By a price that did it, or by time alone.
    fn rearm(&mut self, at: Timestamp, price: Option<Price>) {
        if self.stage == Stage::Spent(true) {
            self.tell(Kind::LevelRearmed, Reason::Rearmed, at, price);
        }
        self.arm();
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

    fn next(&self) -> Option<(Timestamp, fn(&mut Self, Timestamp))> {
        let mut all: Vec<(Timestamp, fn(&mut Self, Timestamp))> = Vec::new();
        if let Some(end) = self.rule.expires.filter(|_| self.stage != Stage::Ended) {
            all.push((end, Self::end));
        }
        if let (FailBy::Bar(length), Some(limit)) = (self.rule.fail.by, self.fail_until()) {
            let end = hours::bar_end(self.story.map_or(self.now, |story| story.bar), length);
            all.extend((end <= limit).then_some((end, Self::fail_bar_closed as fn(&mut Self, Timestamp))));
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
                _ => None,
            };
            if let Some(due) = due.filter(|due| self.confirmed(*due)) {
                all.push((due, Self::confirm));
            }
        }
        if let (Stage::Waiting(from, _), Some(within)) = (self.stage, self.rule.confirm_within)
            && let Noted::Price { at, .. } = self.noted[from]
        {
            all.push((hours::add_open(at, within), Self::lapse));
        }
        all.into_iter().min_by_key(|(due, _)| *due)
    }

    /// Not confirmed in time.
    fn lapse(&mut self, _: Timestamp) {
        self.stage = if self.behind() { Stage::Armed } else { Stage::Lapsed };
    }

    fn end(&mut self, at: Timestamp) {
        if self.rule.half != Some(Half::Second) {
            self.tell(Kind::LevelExpired, Reason::Expired, at, None);
        }
        self.stage = Stage::Ended;
        self.story = None;
    }
}
