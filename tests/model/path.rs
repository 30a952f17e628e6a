//! Random rules and random paths of the market around their level.

use std::sync::Arc;
use std::time::Duration;

use breakwatch::engine::rule::{
    Between, Confirm, Fail, FailBy, Follow, GapPolicy, Half, Official, PriceFrom, Reject, Retest, Rule,
    Sessions, Terms, Weekdays, When,
};
use breakwatch::event::Side;
use breakwatch::market::price::{Distance, Price};
use breakwatch::market::tick::InstrumentId;
use breakwatch::time::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::dice::Dice;
use crate::hours;

/// What happens at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A trade so many ticks above 2500.
    Trade(i64, u32),
    /// The best bid and offer, in ticks above 2500.
    Quote(i64, i64),
    /// The same, of the next contract.
    NextTrade(i64, u32),
    NextQuote(i64, i64),
    /// A trade of the other instrument, in points above 5000.
    Other(i64),
    Clock,
    Down,
    Live,
    Restart,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Act {
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

/// Which rules of the domain are drawn. What is false is compared as soon as the engine has it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Features {
    pub(crate) quotes: bool,
    pub(crate) restarts: bool,
    /// Closes of bars and sessions, quotes, times of the day, other instruments, rejection, both sides.
    pub(crate) all: bool,
    /// The next contract comes into sight and takes over.
    pub(crate) rolls: bool,
}

const ANCHORS: &[&str] = &[
    "2024-11-25T15:00:00Z", // regular hours
    "2024-11-25T14:29:52Z", // just before they begin
    "2024-11-25T20:59:52Z", // just before they end
    "2024-11-25T21:59:52Z", // just before the daily break
    "2024-11-25T22:59:00Z", // in the daily break
    "2024-11-22T21:59:50Z", // just before the weekend
    "2024-11-01T20:59:50Z", // before the weekend in which summer time ends
    "2024-11-28T17:59:50Z", // before the halt of Thanksgiving
    "2024-11-29T18:14:50Z", // before the early close after it
];

/// The trade date of the Monday before the third Friday begins.
pub(crate) const ROLL: Timestamp = Timestamp::from_nanos(1_734_303_600_000_000_000);

/// Around the moment at which the contract of March takes over.
const ROLLS: &[&str] = &["2024-12-13T21:59:30Z", "2024-12-13T21:59:52Z", "2024-12-15T22:59:00Z"];

pub(crate) fn after(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos() + ms * 1_000_000)
}

pub(crate) fn price(ticks: i64) -> Price {
    Price::from_nanos(2_500_000_000_000 + ticks * 100_000_000)
}

pub(crate) fn other_price(points: i64) -> Price {
    Price::from_nanos((5_000 + points) * 1_000_000_000)
}

fn secs(n: i64) -> Duration {
    Duration::from_secs(n.unsigned_abs())
}

fn ticks(dice: &mut Dice, a: i64, b: i64) -> Distance {
    Distance::Ticks(u32::try_from(dice.between(a, b)).unwrap())
}

const OTHER: InstrumentId = InstrumentId(1);

fn bar(dice: &mut Dice) -> Duration {
    secs(dice.pick(&[5, 10, 30, 60]))
}

fn when(dice: &mut Dice, deep: bool) -> When {
    let price = other_price(dice.between(-2, 2));
    match dice.below(if deep { 4 } else { 2 }) {
        0 => When::Above(OTHER, price),
        1 => When::Below(OTHER, price),
        2 => When::Any((0..2).map(|_| when(dice, false)).collect()),
        _ => When::All((0..2).map(|_| when(dice, false)).collect()),
    }
}

/// Half an hour around what the clock of a zone shows at `start`, or the rest of the day.
fn between(dice: &mut Dice, start: Timestamp) -> Between {
    let zone = dice.pick(&[None, Some("Europe/London")]);
    let clock = TimeZone::get(zone.unwrap_or("America/Chicago")).unwrap();
    let mut edge = || clock.to_datetime(after(start, dice.between(-10_000, 40_000)).to_jiff()).time();
    Between { from: edge(), until: edge(), zone: zone.map(str::to_owned) }
}

fn confirm(dice: &mut Dice, features: Features) -> Confirm {
    match dice.below(if features.all { 8 } else { 3 }) {
        3..6 => Confirm::BarClose { length: bar(dice), bars: u32::try_from(dice.between(1, 3)).unwrap() },
        6 => Confirm::SessionClose(dice.pick(&[Official::Rth, Official::Settlement])),
        7 => Confirm::Quote(secs(dice.between(1, 6))),
        0 => {
            let size = dice.percent(30).then(|| dice.below(12) + 1);
            Confirm::Prints { count: u32::try_from(dice.between(1, 4)).unwrap(), size }
        }
        1 => Confirm::Hold(secs(dice.between(1, 6))),
        _ => Confirm::Volume(dice.below(10) + 1),
    }
}

pub(crate) fn rule(dice: &mut Dice, features: Features, start: Timestamp) -> Rule {
    let mut terms = Terms::plain(InstrumentId(0));
    terms.side = dice.pick(&[Side::Resistance, Side::Support]);
    terms.strict = dice.percent(20);
    terms.margin = ticks(dice, 0, 3);
    if dice.percent(30) {
        terms.margin = Distance::Ticks(0);
    }
    terms.approach = dice.percent(40).then(|| ticks(dice, 1, 12));
    terms.confirm = (0..dice.pick(&[0, 0, 1, 1, 2, 3])).map(|_| confirm(dice, features)).collect();
    // One kind of bar, one kind of close.
    let kinds: Vec<_> = terms.confirm.iter().map(std::mem::discriminant).collect();
    let mut at = 0;
    terms.confirm.retain(|_| {
        at += 1;
        !kinds[..at - 1].contains(&kinds[at - 1])
    });
    terms.confirm_within = dice.percent(30).then(|| secs(dice.between(1, 9)));
    terms.fail =
        Fail { distance: ticks(dice, 0, 8), within: secs(dice.pick(&[3, 7, 30, 1800])), ..terms.fail };
    terms.retest = Retest {
        zone: ticks(dice, 0, 6),
        excursion: ticks(dice, 0, 12),
        hold: ticks(dice, 1, 12),
        within: secs(dice.pick(&[3, 7, 30, 1800])),
    };
    if dice.percent(40) {
        terms.follow = Follow { retest: dice.percent(50), held: dice.percent(50), failed: dice.percent(50) };
    }
    terms.rearm = ticks(dice, 0, 8);
    terms.grace = secs(dice.pick(&[0, 0, 1, 4, 8]));
    terms.cooldown = secs(dice.pick(&[0, 0, 2, 5, 20]));
    terms.max_per_session = dice.percent(25).then(|| u32::try_from(dice.between(1, 2)).unwrap());
    terms.gap = dice.pick(&[GapPolicy::Fire, GapPolicy::Ignore]);
    terms.sessions = dice.pick(&[Sessions::Any, Sessions::Any, Sessions::Rth, Sessions::Eth]);
    terms.expires = dice.percent(10).then(|| after(start, dice.between(500, 40_000)));
    if features.quotes {
        terms.price_from =
            dice.pick(&[PriceFrom::Trade, PriceFrom::Trade, PriceFrom::Bid, PriceFrom::Ask, PriceFrom::Mid]);
    }
    if features.all {
        more(&mut terms, dice, start);
    }
    let off = dice.pick(&[0, 0, 40_000_000]);
    let level = Price::from_nanos(price(0).as_nanos() + off);
    Rule { name: "2500".into(), price: level, terms: Arc::new(terms) }
}

fn quote(dice: &mut Dice, next: u64, dearer: i64, bid: i64, ask: i64) -> What {
    if dice.percent(next) { What::NextQuote(bid + dearer, ask + dearer) } else { What::Quote(bid, ask) }
}

fn more(terms: &mut Terms, dice: &mut Dice, start: Timestamp) {
    terms.zone = ticks(dice, 0, 8);
    terms.reject = dice
        .percent(40)
        .then(|| Reject { distance: ticks(dice, 0, 12), within: secs(dice.pick(&[2, 5, 20, 1800])) });
    if dice.percent(30) {
        terms.fail.by = FailBy::Bar(bar(dice));
    }
    if dice.percent(30) {
        terms.gap = GapPolicy::WaitBar;
    }
    if dice.percent(10) {
        terms.days = [Weekday::Monday, Weekday::Friday].into_iter().fold(Weekdays::default(), Weekdays::with);
    }
    terms.between = dice.percent(10).then(|| between(dice, start));
    terms.starts = dice.percent(10).then(|| after(start, dice.between(0, 30_000)));
    if dice.percent(20) {
        terms.when = (0..dice.between(1, 2)).map(|_| when(dice, true)).collect();
    }
}

/// The two halves of a level with both sides.
pub(crate) fn halves(rule: &Rule) -> Vec<Rule> {
    let half = |side, half| {
        let terms = Terms { side, half: Some(half), ..(*rule.terms).clone() };
        Rule { terms: Arc::new(terms), ..rule.clone() }
    };
    vec![half(Side::Resistance, Half::First), half(Side::Support, Half::Second)]
}

pub(crate) fn start(dice: &mut Dice, features: Features) -> Timestamp {
    dice.pick(if features.rolls { ROLLS } else { ANCHORS }).parse().unwrap()
}

pub(crate) fn acts(dice: &mut Dice, features: Features, start: Timestamp) -> Vec<Act> {
    let mut at = hours::next_open(start);
    let mut here = dice.between(-20, 20);
    let mut acts = Vec::new();
    // What the clock was last told, and whether the next update must bear a later time than the one before.
    let mut clock = start;
    let mut strictly = false;
    let dearer = dice.between(-5, 220);
    // Which contract is shown: seldom both, after the roll mostly the next one.
    let mut next = 0;
    for _ in 0..dice.between(4, 60) {
        let step = match dice.below(40) {
            0..4 => 0,
            4..38 => dice.pick(&[1, 100, 250, 500, 777, 1_000, 1_300, 2_000, 3_000]),
            38 => dice.between(5_000, 60_000),
            _ => dice.pick(&[600_000, 3_600_000, 9 * 3_600_000]),
        };
        at = hours::next_open(after(at, step.max(i64::from(strictly))).max(after(clock, -250)));
        strictly = false;
        if features.rolls {
            next = if at < ROLL { 10 } else { 90 };
        }
        here += match dice.below(10) {
            0 => dice.between(-15, 15),
            1..3 => -here.signum() * 3,
            _ => dice.between(-3, 3),
        };
        let mut add = |at, what| acts.push(Act { at, what });
        match dice.below(100) {
            0..6 => {
                clock = after(at, dice.between(0, 2_000));
                add(clock, What::Clock);
            }
            6..9 => {
                let since = at.max(clock);
                add(since, What::Down);
                at = after(since, dice.between(1, 20_000));
                clock = at;
                if dice.percent(50) {
                    add(at, What::Clock);
                }
                add(at, What::Live);
                strictly = true;
            }
            9..11 if features.restarts => {
                at = after(at.max(clock), dice.between(1, 20_000));
                clock = at;
                add(at, What::Restart);
                strictly = true;
            }
            11..18 if features.all => add(at, What::Other(dice.between(-3, 3))),
            9..35 if features.quotes => {
                let ask = here + dice.between(-1, 3);
                add(at, quote(dice, next, dearer, here, ask));
            }
            35..50 if features.rolls => {
                // Both at once, so that the spread is known.
                add(at, What::Quote(here, here + dice.between(0, 3)));
                let bid = here + dearer + dice.between(-2, 2);
                add(at, What::NextQuote(bid, bid + dice.between(0, 3)));
            }
            _ => {
                let size = u32::try_from(dice.between(1, 4)).unwrap();
                let of_next = dice.percent(next);
                add(at, if of_next { What::NextTrade(here + dearer, size) } else { What::Trade(here, size) });
            }
        }
    }
    acts.push(Act { at: after(at.max(clock), 3_000_000), what: What::Clock });
    acts
}
