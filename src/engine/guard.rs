//! Which prints are believed.
//!
//! A print far from the market is held until a second one or a quote agrees; a print between two ticks is no
//! outright. Distances grow with the square root of the time since the last good print, since price does.

use serde::{Deserialize, Serialize};

use crate::market::price::{Distance, Price, TickSize};
use crate::time::Timestamp;

/// A print as the guard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Print {
    /// On the tick grid.
    pub price: Price,
    /// Contracts.
    pub size: u32,
    /// Engine time.
    pub at: Timestamp,
    /// When it reached this process.
    pub received_at: Timestamp,
}

/// What becomes of a print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the market.
    Good {
        /// An earlier one that was held and is not believed.
        dropped: Option<Print>,
    },
    /// It is the market, and so was the one held before.
    Releases(Print),
    /// Held until something agrees.
    Held {
        /// An earlier one that was held and is not believed.
        dropped: Option<Print>,
    },
}

/// Remembers the last good print, the quote, and what is held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Guard {
    good: Option<(Price, Timestamp)>,
    quote: Option<(Price, Price, Timestamp)>,
    held: Option<Print>,
    #[serde(skip)]
    width: Option<Distance>,
}

/// Prints so near are never doubted, unless a width is configured.
const LEAST_TICKS: i64 = 10;
/// A quote older than this says nothing about a print.
const QUOTE_FRESH_MS: u128 = 5_000;

impl Guard {
    /// With the distance at which a print is doubted; `None` = the larger of 10 ticks and 0.1 %.
    #[must_use]
    pub const fn new(width: Option<Distance>) -> Self {
        Self { good: None, quote: None, held: None, width }
    }

    /// The same memory, with the width of another guard: the configuration may have changed.
    #[must_use]
    pub const fn with_width_of(self, other: &Self) -> Self {
        Self { width: other.width, ..self }
    }

    fn reach(&self, around: Price, tick: TickSize) -> Price {
        let default = || {
            let share = Distance::Percent(Price::from_nanos(100_000_000));
            tick.times(LEAST_TICKS).max(share.resolve(tick, around, None).unwrap_or(Price::ZERO))
        };
        self.width.and_then(|width| width.resolve(tick, around, None)).unwrap_or_else(default)
    }

    /// A trade.
    pub fn on_print(&mut self, print: Print, tick: TickSize) -> Verdict {
        let held = self.held.take();
        if let Some(held) = held
            && self.agree(held, print, tick)
        {
            self.good = Some((print.price, print.at));
            return Verdict::Releases(held);
        }
        if self.is_near(print, tick) {
            self.good = Some((print.price, print.at));
            Verdict::Good { dropped: held }
        } else {
            self.held = Some(print);
            Verdict::Held { dropped: held }
        }
    }

    /// A quote; returns a held print with which it agrees.
    pub fn on_quote(
        &mut self,
        bid: Option<Price>,
        ask: Option<Price>,
        at: Timestamp,
        tick: TickSize,
    ) -> Option<Print> {
        self.quote = match (bid, ask) {
            // A crossed or empty book (before an auction) is no market.
            (Some(bid), Some(ask)) if bid <= ask => Some((bid, ask, at)),
            (Some(_) | None, Some(_) | None) => None,
        };
        let (bid, ask, _) = self.quote?;
        let reach = self.reach(bid, tick);
        let held =
            self.held.take_if(|held| held.price >= bid.minus(reach) && held.price <= ask.plus(reach))?;
        self.good = Some((held.price, held.at));
        Some(held)
    }

    /// A price known to be the market (a snapshot, a bar).
    pub const fn accept(&mut self, price: Price, at: Timestamp) {
        self.good = Some((price, at));
        self.held = None;
    }

    /// Another contract: its prices lie elsewhere.
    pub fn begin_at(&mut self, price: Option<Price>, at: Option<Timestamp>) {
        self.good = price.zip(at);
        self.quote = None;
        self.held = None;
    }

    /// What is near whatever the reach turns out to be: most prints need no more arithmetic than that.
    fn is_very_near(&self, price: Price, (low, high): (Price, Price), tick: TickSize) -> bool {
        let least = tick.times(LEAST_TICKS);
        self.width.is_none() && price >= low.minus(least) && price <= high.plus(least)
    }

    fn is_near(&self, print: Print, tick: TickSize) -> bool {
        if let Some((bid, ask, at)) = self.quote
            && print.at.since(at).as_millis() <= QUOTE_FRESH_MS
        {
            if self.is_very_near(print.price, (bid, ask), tick) {
                return true;
            }
            let reach = self.reach(bid, tick);
            return print.price >= bid.minus(reach) && print.price <= ask.plus(reach);
        }
        let Some((good, at)) = self.good else { return true };
        if self.is_very_near(print.price, (good, good), tick) {
            return true;
        }
        print.price.minus(good).abs() <= self.reach_after(good, print.at.since(at).as_millis(), tick)
    }

    /// The reach, times the square root of the seconds since, at most a tenth of the price.
    fn reach_after(&self, around: Price, ms: u128, tick: TickSize) -> Price {
        let reach = self.reach(around, tick);
        let thousandths = u64::try_from(ms).unwrap_or(u64::MAX).saturating_mul(1_000).isqrt().max(1_000);
        let scaled = i128::from(reach.as_nanos()).saturating_mul(i128::from(thousandths)) / 1_000;
        let most = Price::from_nanos(around.as_nanos().saturating_abs() / 10).max(reach);
        Price::from_nanos(i64::try_from(scaled).unwrap_or(i64::MAX)).min(most)
    }

    /// Whether a second print stands by the held one: it is nearer to it than to the last good one.
    fn agree(&self, held: Print, print: Print, tick: TickSize) -> bool {
        let apart = print.price.minus(held.price).abs();
        let from_good = self.good.map_or(Price::MAX, |(good, _)| print.price.minus(good).abs());
        apart <= self.reach(held.price, tick) && apart <= from_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTY: TickSize = TickSize::from_nanos(100_000_000);

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn print(price: &str, ms: i64) -> Print {
        let at = Timestamp::from_nanos(ms * 1_000_000);
        Print { price: p(price), size: 1, at, received_at: at }
    }

    fn guard() -> Guard {
        let mut guard = Guard::new(None);
        assert_eq!(guard.on_print(print("2450", 0), RTY), Verdict::Good { dropped: None });
        guard
    }

    #[test]
    fn a_lonely_print_far_away_is_never_believed() {
        let mut guard = guard();
        let bad = print("24500", 100);
        assert_eq!(guard.on_print(bad, RTY), Verdict::Held { dropped: None });
        assert_eq!(guard.on_print(print("2450.1", 200), RTY), Verdict::Good { dropped: Some(bad) });
    }

    #[test]
    fn even_after_a_long_silence_a_factor_of_ten_is_doubted() {
        let mut guard = guard();
        assert!(matches!(guard.on_print(print("24500", 86_400_000 * 30), RTY), Verdict::Held { .. }));
    }

    #[test]
    fn a_second_print_in_the_same_place_releases_both() {
        let mut guard = guard();
        let first = print("2455", 100);
        assert_eq!(guard.on_print(first, RTY), Verdict::Held { dropped: None });
        assert_eq!(guard.on_print(print("2455.3", 150), RTY), Verdict::Releases(first));
        assert_eq!(guard.on_print(print("2455.1", 160), RTY), Verdict::Good { dropped: None });
    }

    #[test]
    fn a_print_near_the_market_does_not_vouch_for_a_bad_one() {
        let mut guard = guard();
        let bad = print("2453", 100);
        assert_eq!(guard.on_print(bad, RTY), Verdict::Held { dropped: None });
        assert_eq!(guard.on_print(print("2451", 150), RTY), Verdict::Good { dropped: Some(bad) });
    }

    #[test]
    fn a_quote_that_agrees_releases_what_is_held() {
        let mut guard = guard();
        let held = print("2455", 100);
        assert!(matches!(guard.on_print(held, RTY), Verdict::Held { .. }));
        assert_eq!(guard.on_quote(Some(p("2449.9")), Some(p("2450.1")), held.at, RTY), None);
        assert_eq!(guard.on_quote(Some(p("2454.9")), Some(p("2455.1")), held.at, RTY), Some(held));
    }

    #[test]
    fn a_fresh_quote_decides_and_a_stale_or_crossed_one_does_not() {
        let mut guard = guard();
        let t = |ms: i64| Timestamp::from_nanos(ms * 1_000_000);
        assert_eq!(guard.on_quote(Some(p("2459.9")), Some(p("2460.1")), t(100), RTY), None);
        assert!(matches!(guard.on_print(print("2460", 200), RTY), Verdict::Good { .. }));
        assert_eq!(guard.on_quote(Some(p("2470")), Some(p("2465")), t(300), RTY), None);
        assert!(matches!(guard.on_print(print("2467", 400), RTY), Verdict::Held { .. }));
    }

    #[test]
    fn price_may_move_further_in_more_time() {
        let mut guard = guard();
        // 0.1 % is 2.45 points in a second; 15 seconds allow nearly four times that.
        assert!(matches!(guard.clone().on_print(print("2453", 900), RTY), Verdict::Held { .. }));
        assert!(matches!(guard.on_print(print("2459", 15_000), RTY), Verdict::Good { .. }));
    }

    #[test]
    fn the_width_can_be_configured() {
        let wide = Guard::new(Some("20 points".parse().unwrap()));
        let mut guard = guard().with_width_of(&wide);
        assert!(matches!(guard.on_print(print("2469.9", 10), RTY), Verdict::Good { .. }));
    }
}
