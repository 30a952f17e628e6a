//! A generated RTY session, modelled on 25 November 2024, when RTYZ4 beat its record of 2021.
//!
//! It is a pure function of a seed: the story is always the same, the noise on it is the seed's. No price in it
//! was ever traded.

use crate::demo::venue::{VenueQuote, VenueTrade};

/// When the session begins, in RFC 3339.
pub const START: &str = "2024-11-25T14:30:00Z";
/// The same in milliseconds since 1970.
pub const START_MS: i64 = 1_732_545_000_000;
/// The contract it pretends to be.
pub const SYMBOL: &str = "RTYZ4";
/// From the first to the last print: until 15:00 in Chicago.
pub const LENGTH_MS: i64 = 390 * 60 * 1_000;

/// The story in seconds after the start and tenths of a point. At 60 times the speed a second is a minute.
const STORY: &[(i64, i64)] = &[
    (0, 24_404), // opens quietly
    (120, 24_432),
    (200, 24_427),
    (300, 24_476), // approaches 2,450
    (360, 24_484),
    (420, 24_503), // breaks it
    (450, 24_514),
    (540, 24_477), // and fails
    (600, 24_485),
    (660, 24_504), // breaks it again
    (720, 24_536),
    (800, 24_503), // comes back to it from above
    (870, 24_529), // holds
    (930, 24_562),
    (990, 24_550),
    (1_080, 24_613), // beats the record, 2,460.8
    (1_140, 24_622),
    (1_260, 24_690),
    (1_320, 24_677),
    (1_410, 24_752), // touches 2,475
    (1_440, 24_763),
    (1_500, 24_731), // and falls back
];
/// What comes after the story stays in here, in tenths of a point.
const AFTERWARDS: (i64, i64) = (24_640, 24_770);
/// How far the noise strays from the story, in thousandths of a tick.
const NOISE_MAX: i64 = 2_500;

/// Trades and quotes of one contract, each in order of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Every print.
    pub trades: Vec<VenueTrade>,
    /// Every change of the best bid and offer.
    pub quotes: Vec<VenueQuote>,
}

/// The session that belongs to `seed`.
#[must_use]
pub fn session(seed: u64) -> Session {
    let mut tape = Tape { random: Random(seed), noise: 0, bid: 0, trades: Vec::new(), quotes: Vec::new() };
    let points = points(&mut Random(!seed));
    for (from, to) in points.iter().zip(points.iter().skip(1)) {
        tape.leg(Leg { from: *from, to: *to });
    }
    Session { trades: tape.trades, quotes: tape.quotes }
}

/// The turning points in milliseconds and tenths: the story, then an aimless afternoon.
fn points(random: &mut Random) -> Vec<(i64, i64)> {
    let mut points: Vec<(i64, i64)> = STORY.iter().map(|(second, price)| (second * 1_000, *price)).collect();
    let (low, high) = AFTERWARDS;
    while let Some((ms, price)) = points.last().copied().filter(|(ms, _)| *ms < LENGTH_MS) {
        let next = (price + random.within(-60, 60)).clamp(low, high);
        points.push(((ms + random.within(120_000, 420_000)).min(LENGTH_MS), next));
    }
    points
}

/// The way from one turning point to the next.
#[derive(Clone, Copy)]
struct Leg {
    from: (i64, i64),
    to: (i64, i64),
}

impl Leg {
    /// Thousandths of the way that are done at `ms`.
    fn done(self, ms: i64) -> i64 {
        (ms - self.from.0) * 1_000 / (self.to.0 - self.from.0)
    }

    /// The price at `ms` in thousandths of a tick, with noise that dies out towards both ends.
    fn price(self, ms: i64, noise: i64) -> i64 {
        let done = self.done(ms);
        let damped = noise * 4 * done * (1_000 - done) / 1_000_000;
        self.from.1 * 1_000 + (self.to.1 - self.from.1) * done + damped
    }

    fn rises(self) -> bool {
        self.to.1 > self.from.1
    }
}

/// What was generated up to now.
struct Tape {
    random: Random,
    noise: i64,
    bid: i64,
    trades: Vec<VenueTrade>,
    quotes: Vec<VenueQuote>,
}

impl Tape {
    fn leg(&mut self, leg: Leg) {
        let mut ms = leg.from.0;
        self.print(ms, leg.from.1, leg.from.1);
        loop {
            let burst = self.random.within(0, 7) == 0;
            ms += if burst { self.random.within(0, 3) } else { self.random.within(150, 1_250) };
            if ms >= leg.to.0 {
                return;
            }
            self.noise = (self.noise + self.random.within(-700, 700)).clamp(-NOISE_MAX, NOISE_MAX);
            let bid = leg.price(ms, self.noise).div_euclid(1_000);
            let buyers_of_ten = if leg.rises() { 7 } else { 3 };
            let bought = self.random.within(1, 10) <= buyers_of_ten;
            self.print(ms, bid, if bought { bid + 1 } else { bid });
        }
    }

    fn print(&mut self, ms: i64, bid: i64, price: i64) {
        let at_ms = START_MS + ms;
        if bid != self.bid {
            self.bid = bid;
            self.quotes.push(VenueQuote { bid: decimal(bid), ask: decimal(bid + 1), at_ms });
        }
        let large = self.random.within(0, 19) == 0;
        let size = self.random.within(1, if large { 60 } else { 6 });
        let seq = self.trades.last().map_or(1, |t| t.seq + 1);
        let size = u32::try_from(size).unwrap_or(1);
        self.trades.push(VenueTrade { price: decimal(price), size, at_ms, seq });
    }
}

fn decimal(tenths: i64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers everywhere, and good enough for noise.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    fn within(&mut self, low: i64, high: i64) -> i64 {
        let range = u64::try_from(high - low + 1).unwrap_or(1);
        low + i64::try_from(self.next() % range).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: [u64; 6] = [0, 1, 7, 20_241_125, 0xdead_beef, u64::MAX];

    fn tenths(price: &str) -> i64 {
        price.replace('.', "").parse().unwrap()
    }

    /// The first print at or after `second` for which `wanted` holds: its second and price.
    fn first(session: &Session, second: i64, wanted: impl Fn(i64) -> bool) -> (i64, i64) {
        let prints = session.trades.iter().map(|t| ((t.at_ms - START_MS) / 1_000, tenths(&t.price)));
        prints.skip_while(|(s, _)| *s < second).find(|(_, p)| wanted(*p)).unwrap()
    }

    fn range(session: &Session, from: i64, to: i64) -> (i64, i64) {
        let inside = |t: &&VenueTrade| (from..=to).contains(&((t.at_ms - START_MS) / 1_000));
        let prices: Vec<i64> = session.trades.iter().filter(inside).map(|t| tenths(&t.price)).collect();
        (*prices.iter().min().unwrap(), *prices.iter().max().unwrap())
    }

    #[test]
    fn the_story_is_told_in_order_whatever_the_seed() {
        for seed in SEEDS {
            let s = session(seed);
            assert_eq!(s.trades[0].price, "2440.4");
            let (approach, _) = first(&s, 0, |p| p >= 24_470);
            let (broken, _) = first(&s, approach, |p| p >= 24_500);
            let (failed, _) = first(&s, broken, |p| p <= 24_495);
            let (again, _) = first(&s, failed, |p| p >= 24_500);
            let (retest, _) = first(&s, again + 60, |p| p <= 24_505);
            let (held, _) = first(&s, retest, |p| p >= 24_520);
            let (record, _) = first(&s, held, |p| p >= 24_608);
            let (touched, _) = first(&s, record, |p| p >= 24_750);
            let times = [approach, broken, failed, again, retest, held, record, touched];
            assert!(times.windows(2).all(|w| w[0] < w[1]), "seed {seed}: {times:?}");
            assert!(broken > 400 && touched < 1_420, "seed {seed}: {times:?}");
            let (low, _) = range(&s, again, record);
            assert!(low > 24_495, "seed {seed}: the second break must not fail, yet traded {low}");
            let (low, _) = range(&s, record, touched);
            assert!(low > 24_603, "seed {seed}: the record must not fail, yet traded {low}");
        }
    }

    #[test]
    fn nothing_is_told_early() {
        for seed in SEEDS {
            let s = session(seed);
            assert!(range(&s, 0, 399).1 < 24_500, "seed {seed}");
            assert!(range(&s, 0, 1_049).1 < 24_608, "seed {seed}");
            assert!(range(&s, 0, 1_399).1 < 24_750, "seed {seed}");
            assert!(range(&s, 0, i64::MAX).1 < 24_775, "seed {seed}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_session_and_another_one_another() {
        assert_eq!(session(7), session(7));
        assert_ne!(session(7), session(8));
    }

    #[test]
    fn prints_come_in_order_inside_the_market_and_often_enough() {
        let s = session(3);
        assert!(s.trades.windows(2).all(|w| w[0].at_ms <= w[1].at_ms && w[0].seq + 1 == w[1].seq));
        assert!(s.trades.windows(2).all(|w| w[1].at_ms - w[0].at_ms < 2_000));
        assert!(s.trades.iter().all(|t| t.size >= 1 && (0..LENGTH_MS).contains(&(t.at_ms - START_MS))));
        assert!(s.quotes.windows(2).all(|w| w[0].at_ms <= w[1].at_ms && w[0].bid != w[1].bid));
        let mut quotes = s.quotes.iter().peekable();
        let mut quote = quotes.next().unwrap();
        for trade in &s.trades {
            while let Some(next) = quotes.next_if(|q| q.at_ms <= trade.at_ms) {
                quote = next;
            }
            let price = tenths(&trade.price);
            let near = price - 2 <= tenths(&quote.bid) && tenths(&quote.ask) <= price + 2;
            assert!(near, "{trade:?} outside {quote:?}");
        }
    }

    #[test]
    fn the_start_is_the_same_in_both_forms() {
        let start: crate::time::Timestamp = START.parse().unwrap();
        assert_eq!(start.as_millis(), START_MS);
    }
}
