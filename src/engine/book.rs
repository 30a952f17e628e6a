//! The market of one instrument: what is known of it now, and which levels hang on it.

mod lessons;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::engine::basis::Basis;
use crate::engine::closes::Closes;
use crate::engine::day::{Closing, DaySoFar};
use crate::engine::derive::atr::AverageTrueRange;
use crate::engine::derive::volume::VolumeProfile;
use crate::engine::derive::{Day, Deriver, Minute, Source};
use crate::engine::guard::{Guard, Print, Verdict};
use crate::engine::index::{Index, LevelIndex};
use crate::engine::marks::Grid;
use crate::engine::measure::Measured;
use crate::engine::rule::PriceFrom;
use crate::engine::scene::Gap;
use crate::engine::side::SideMarket;
use crate::market::calendar::{Calendar, SessionBounds, SessionState};
use crate::market::instrument::Instrument;
use crate::market::price::{Price, TickSize};
use crate::market::symbol::ContractMonth;
use crate::market::tick::{InstrumentId, Tick};
use crate::market::trade_date::number_of;
use crate::time::Timestamp;

/// The place of a book in the engine's list.
pub type BookIndex = usize;

/// The books of one instrument: its front, and the months that rules name. With thousands of instruments a list on the
/// heap for each is one more miss of the cache for every tick.
pub type BooksOf = SmallVec<[BookIndex; 2]>;

/// Exchange times this far back on a live connection are doubted.
const BACKWARDS_NS: i64 = 5_000_000_000;
/// So many doubtful prints in a row are believed: then the one before them was wrong.
const BACKWARDS_BELIEVED: usize = 3;

/// How far the stream of prints was read, so that a repeat of it is recognised after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last exchange time.
    pub at: Timestamp,
    /// How many prints bore it.
    pub prints: u32,
    /// The feed's number of the last one.
    pub sequence: Option<u64>,
}

/// What survives a restart.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The contract in force.
    pub contract: Option<ContractMonth>,
    /// How far the prints were read.
    pub position: Option<Position>,
    /// The engine's time of the last price.
    pub last_at: Option<Timestamp>,
    /// The last price of each kind (trade, bid, ask, mid).
    pub last: [Option<Price>; 4],
    /// Which prints are believed.
    pub guard: Guard,
    /// The trade date as yyyymmdd.
    pub trade_date: i32,
    /// Highest trade of the trade date.
    pub high: Option<Price>,
    /// Lowest trade of the trade date.
    pub low: Option<Price>,
    /// Last trade of the trade date before.
    pub prior: Option<Price>,
    /// The trade date so far.
    #[serde(default)]
    pub day: Option<DaySoFar>,
    /// The trades from which the settlement is made.
    #[serde(default)]
    pub closing: Closing,
    /// How far the futures lie from their index.
    #[serde(default)]
    pub basis: Measured,
    /// The next contract's market, as far as it is seen.
    #[serde(default)]
    pub side: Option<SideMarket>,
    /// Contracts traded in the trade date.
    #[serde(default)]
    pub volume: u64,
    /// By volume this month takes over with its next print.
    #[serde(default)]
    pub roll_to: Option<ContractMonth>,
    /// The contract has been traded for the last time, and that was said.
    #[serde(default)]
    pub expired: bool,
}

/// A derived place, and the levels that lie there.
#[derive(Clone, Debug)]
pub struct Derived {
    /// From where.
    pub source: Source,
    /// What it has learnt.
    pub deriver: Deriver,
    /// Whose place it is.
    pub levels: Vec<LevelIndex>,
    /// Where it lay when the last trade date was over: a record beyond it is news.
    pub announced: Option<Price>,
}

/// Levels that compare one kind of price.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// Which levels a price concerns.
    pub index: Index,
    /// Nobody watched since then.
    pub unwatched_since: Option<Timestamp>,
}

/// The market of one instrument, or of one pinned month of it.
#[derive(Clone, Debug)]
pub struct Book {
    /// Which instrument.
    pub instrument: InstrumentId,
    /// Only this month.
    pub pinned: Option<ContractMonth>,
    /// The root's name.
    pub root: String,
    /// The tick grid.
    pub tick: TickSize,
    /// Sessions.
    pub calendar: Calendar,
    /// What survives a restart.
    pub saved: Saved,
    /// One for each kind of price.
    pub lanes: [Lane; 4],
    /// All levels by price, to name the next one above and below.
    pub prices: BTreeSet<(Price, LevelIndex)>,
    /// Levels that wait for a time.
    pub timers: BTreeSet<(Timestamp, LevelIndex)>,
    /// The part of the day, valid until its end.
    pub session: SessionState,
    /// The session in progress; while the market is closed, the last one.
    pub bounds: Option<SessionBounds>,
    /// The minute in progress.
    pub minute: Option<Minute>,
    /// Closes of the last minutes.
    pub closes: Closes,
    /// Places that follow from history.
    pub derived: Vec<Derived>,
    /// The average true range of the last trade dates, if a rule measures with it,
    pub atr: Option<AverageTrueRange>,
    /// and what distances are measured with until the next one.
    pub measure: Option<Price>,
    /// What volume is usual, if a rule asks.
    pub profile: Option<VolumeProfile>,
    /// Levels that must be told of every quote.
    pub quoted: BTreeSet<LevelIndex>,
    /// When the last quote came.
    pub quoted_at: Option<Timestamp>,
    /// Levels with distances in average true ranges.
    pub in_atr: Vec<LevelIndex>,
    /// Levels in index prices.
    pub in_index: Vec<LevelIndex>,
    /// It was said which levels have no place.
    pub places_told: bool,
    /// When its only contract is traded for the last time.
    pub expires: Option<Timestamp>,
    /// Where levels in index prices lie, if it is configured.
    pub basis: Option<Basis>,
    /// When the engine must look at it, whatever trades.
    pub due: Option<Timestamp>,
    /// The next doubtful print is worth an event again from here on.
    pub doubt_told_until: Timestamp,
    resume: Option<Position>,
    repeated: u32,
    backwards: Vec<Tick>,
}

/// What reading a trade's time and number said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// New.
    Fresh,
    /// Seen before the restart or reconnection.
    Repeat,
    /// Its time runs backwards: held.
    Doubtful,
    /// Its time ran backwards, and so did that of the prints before it: they are the truth.
    Believed(Vec<Tick>),
}

impl Book {
    /// An instrument of which nothing is known yet.
    #[must_use]
    pub fn new(
        id: InstrumentId,
        instrument: &Instrument,
        pinned: Option<ContractMonth>,
        guard: Guard,
    ) -> Self {
        Self {
            instrument: id,
            pinned,
            root: instrument.root.as_str().to_owned(),
            tick: instrument.tick,
            calendar: instrument.calendar.clone(),
            session: SessionState {
                until: Timestamp::MIN,
                ..instrument.calendar.state(Timestamp::default())
            },
            saved: Saved {
                contract: pinned,
                position: None,
                last_at: None,
                last: [None; 4],
                guard,
                trade_date: 0,
                high: None,
                low: None,
                prior: None,
                day: None,
                closing: Closing::default(),
                basis: Measured::default(),
                side: None,
                volume: 0,
                roll_to: None,
                expired: false,
            },
            bounds: None,
            minute: None,
            closes: Closes::default(),
            derived: Vec::new(),
            atr: None,
            measure: None,
            in_atr: Vec::new(),
            in_index: Vec::new(),
            places_told: false,
            quoted_at: None,
            expires: None,
            profile: None,
            quoted: BTreeSet::new(),
            basis: None,
            due: None,
            lanes: Default::default(),
            prices: BTreeSet::new(),
            timers: BTreeSet::new(),
            doubt_told_until: Timestamp::MIN,
            resume: None,
            repeated: 0,
            backwards: Vec::new(),
        }
    }

    /// The name under which its state is saved.
    #[must_use]
    pub fn key(&self) -> String {
        match self.pinned {
            Some(month) => format!("{}:{}-{:02}", self.root, month.year, month.month),
            None => self.root.clone(),
        }
    }

    /// Takes up where an earlier process ended. A position far in the future came from a wrong clock.
    pub fn restore(&mut self, saved: Saved, now: Timestamp) {
        let horizon = now.saturating_add(std::time::Duration::from_secs(86_400));
        let guard = std::mem::replace(&mut self.saved.guard, Guard::new(None));
        self.saved = saved;
        self.saved.guard = self.saved.guard.clone().with_width_of(&guard);
        self.saved.position = self.saved.position.filter(|position| position.at <= horizon);
        self.saved.last_at = self.saved.last_at.filter(|at| *at <= horizon);
        self.unwatched(self.saved.last_at.unwrap_or(now));
        self.resume = self.saved.position;
        // Asked anew with the first price; until then days to expiry count from today.
        self.session = SessionState { until: Timestamp::MIN, ..self.calendar.state(now) };
    }

    /// From here on nobody sees what trades.
    pub fn unwatched(&mut self, at: Timestamp) {
        let since = self.saved.last_at.map_or(at, |last| last.min(at));
        for lane in &mut self.lanes {
            lane.unwatched_since = lane.unwatched_since.or(Some(since));
        }
    }

    /// From here on prints come again; some may be repeats.
    pub fn watched(&mut self) {
        self.resume = self.saved.position;
        self.repeated = 0;
        self.backwards.clear();
    }

    /// The engine's time for a tick: it never runs backwards.
    #[must_use]
    pub fn time_of(&self, tick: &Tick, ahead: std::time::Duration) -> Timestamp {
        let at = tick.at().min(tick.received_at.saturating_add(ahead));
        self.saved.last_at.map_or(at, |last| last.max(at))
    }

    /// Whether a trade is new, by its own time and number.
    pub fn read(&mut self, tick: &Tick) -> Read {
        let Some(at) = tick.exchange_at else { return Read::Fresh };
        if let Some(resume) = self.resume {
            if self.is_repeat(tick, at, resume) {
                return Read::Repeat;
            }
            if at > resume.at {
                self.resume = None;
            }
        }
        let believed = match self.saved.position {
            Some(last) if at.as_nanos() < last.at.as_nanos().saturating_sub(BACKWARDS_NS) => {
                self.backwards.push(*tick);
                if self.backwards.len() < BACKWARDS_BELIEVED {
                    return Read::Doubtful;
                }
                Some(std::mem::take(&mut self.backwards))
            }
            Some(_) | None => None,
        };
        self.backwards.clear();
        self.saved.position = Some(match self.saved.position {
            Some(last) if last.at == at => Position {
                at,
                prints: last.prints.saturating_add(1),
                sequence: tick.sequence.or(last.sequence),
            },
            // A print a little out of order does not move the position back.
            Some(last) if last.at > at && believed.is_none() => last,
            Some(_) | None => Position { at, prints: 1, sequence: tick.sequence },
        });
        believed.map_or(Read::Fresh, Read::Believed)
    }

    fn is_repeat(&mut self, tick: &Tick, at: Timestamp, resume: Position) -> bool {
        if let (Some(sequence), Some(last)) = (tick.sequence, resume.sequence) {
            return sequence <= last && at <= resume.at;
        }
        let again = at == resume.at && self.repeated < resume.prints;
        if again {
            self.repeated = self.repeated.saturating_add(1);
        }
        again || at < resume.at
    }

    /// What distances are measured with.
    #[must_use]
    pub const fn grid(&self) -> Grid {
        Grid { tick: self.tick, atr: self.measure }
    }

    /// Takes the time in, and with it a new part of the day. Returns the trade date that is over, if one is.
    pub fn advance(&mut self, at: Timestamp) -> Option<Day> {
        if at < self.session.until && self.session.until != Timestamp::MIN {
            return None;
        }
        let over = self.bounds;
        self.session = self.calendar.state(at);
        let bounds = self.calendar.session_bounds(at);
        self.bounds = bounds.or(self.bounds);
        let today = number_of(self.session.trade_date);
        if today == self.saved.trade_date {
            return None;
        }
        let settlement = over
            .and_then(|bounds| bounds.rth)
            .and_then(|(_, end)| self.saved.closing.price_of(end, self.tick));
        let missed = self.trade_lane().and_then(|lane| lane.unwatched_since);
        let ended = over.map_or(at, |bounds| bounds.closes);
        let day = self.saved.day.take().map(|mut day| {
            if let Some(since) = missed {
                day.missed(self.calendar.open_between(since, ended));
            }
            day.over(settlement)
        });
        self.saved.trade_date = today;
        self.saved.prior = self.last(PriceFrom::Trade).or(self.saved.prior);
        self.saved.high = None;
        self.saved.low = None;
        if let Some(last_at) = self.saved.last_at {
            self.unwatched(last_at);
        }
        day
    }

    fn trade_lane(&self) -> Option<&Lane> {
        self.lane(PriceFrom::Trade)
    }

    /// The settlement of the regular trading hours that ended last in this session, once they are over.
    #[must_use]
    pub fn settlement(&self) -> Option<Price> {
        let (_, end) = self.bounds?.rth?;
        self.saved.closing.price_of(end, self.tick)
    }

    /// The volume of the trade date so far as a multiple of what is usual, in units of 1e-9.
    #[must_use]
    pub fn relative_volume(&self) -> Option<Price> {
        self.profile.as_ref()?.relative()
    }

    /// The best bid.
    #[must_use]
    pub fn bid(&self) -> Option<Price> {
        self.last(PriceFrom::Bid)
    }

    /// The best offer.
    #[must_use]
    pub fn ask(&self) -> Option<Price> {
        self.last(PriceFrom::Ask)
    }

    /// Whether somebody has seen every price of this kind since the last one.
    #[must_use]
    pub fn is_watched(&self, from: PriceFrom) -> bool {
        self.lane(from).is_some_and(|lane| lane.unwatched_since.is_none())
    }

    /// The last price of a kind.
    #[must_use]
    pub fn last(&self, from: PriceFrom) -> Option<Price> {
        self.saved.last.get(lane_of(from)).copied().flatten()
    }

    /// The last price of a kind, if nobody has missed one since.
    #[must_use]
    pub fn watched_last(&self, from: PriceFrom) -> Option<Price> {
        self.last(from).filter(|_| self.is_watched(from))
    }

    /// Takes a price in; returns what nobody saw before it, if there is such a time.
    pub fn take(&mut self, from: PriceFrom, price: Price, at: Timestamp) -> Option<Gap> {
        let lane = lane_of(from);
        let before = self.last(from);
        if let Some(last) = self.saved.last.get_mut(lane) {
            *last = Some(price);
        }
        self.saved.last_at = Some(at);
        if from == PriceFrom::Mid {
            self.quoted_at = Some(at);
        }
        if from == PriceFrom::Trade {
            self.saved.high = Some(self.saved.high.map_or(price, |high| high.max(price)));
            self.saved.low = Some(self.saved.low.map_or(price, |low| low.min(price)));
        }
        let since = self.lanes.get_mut(lane)?.unwatched_since.take()?;
        Some(Gap { last: before?, from: since, until: at })
    }

    /// Asks the guard about a trade that lies on the grid.
    pub fn judge(&mut self, print: Print) -> Verdict {
        self.saved.guard.on_print(print, self.tick)
    }

    /// The levels that compare this kind of price.
    #[must_use]
    pub fn lane(&self, from: PriceFrom) -> Option<&Lane> {
        self.lanes.get(lane_of(from))
    }

    /// The same, to change.
    pub fn lane_mut(&mut self, from: PriceFrom) -> Option<&mut Lane> {
        self.lanes.get_mut(lane_of(from))
    }
}

const fn lane_of(from: PriceFrom) -> usize {
    match from {
        PriceFrom::Trade => 0,
        PriceFrom::Bid => 1,
        PriceFrom::Ask => 2,
        PriceFrom::Mid => 3,
    }
}
