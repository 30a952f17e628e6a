//! How far price can go now: daily price limits.
//!
//! The rules are data; prices and times are given by whoever watches the market. It decides nothing about levels:
//! it only says which of them cannot be reached at the moment.

use std::time::Duration;

use crate::market::calendar::Calendar;
use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// One hundredth of a percent is one of so many parts.
const WHOLE: i128 = 10_000;

/// How far a decline has come in regular trading hours. Each step opens when the cash market trades again after
/// the halt at the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decline {
    /// No limit was reached today.
    #[default]
    First,
    /// The first one was.
    Second,
    /// The second one was.
    Third,
}

/// The daily limits of a venue, in hundredths of a percent of the reference: the fixing of 15:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRules {
    /// Outside regular trading hours, in both directions.
    pub eth: u16,
    /// In regular trading hours, downwards only, one after the other.
    pub rth_down: [u16; 3],
    /// So long before the end of regular trading hours only the last step still counts.
    pub last_only: Duration,
}

/// The rules of equity index futures on CME Globex. The steps are those of the cash market's own breakers, which
/// know only the last one after 14:25 (11:25 on a short day).
pub const CME_EQUITY: LimitRules =
    LimitRules { eth: 700, rth_down: [700, 1_300, 2_000], last_only: Duration::from_secs(35 * 60) };

/// The lowest and the highest price that can trade, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLimits {
    /// No trade below.
    pub lower: Option<Price>,
    /// No trade above.
    pub upper: Option<Price>,
}

/// Whether a price can trade now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It can.
    WithinLimits,
    /// It cannot: this limit lies before it.
    BeyondLimit(Price),
}

impl LimitRules {
    /// The limits in force at a moment, `None` while the market is closed. They lie on the grid, rounded towards
    /// the reference. From 15:00 on the reference is the fixing of the day itself.
    #[must_use]
    pub fn in_force(
        &self,
        calendar: &Calendar,
        at: Timestamp,
        reference: Price,
        tick: TickSize,
        decline: Decline,
    ) -> Option<PriceLimits> {
        let session = calendar.session_bounds(at)?;
        let rth_ends = session.rth.filter(|_| session.is_rth(at)).map(|(_, end)| end);
        let [first, second, third] = self.rth_down;
        let (up, down) = match (rth_ends, decline) {
            (None, _) => (Some(self.eth), self.eth),
            (Some(end), _) if at >= end.saturating_sub(self.last_only) => (None, third),
            (Some(_), Decline::First) => (None, first),
            (Some(_), Decline::Second) => (None, second),
            (Some(_), Decline::Third) => (None, third),
        };
        let upper = up.map(|up| tick.floor(reference.plus(part(reference, up))));
        Some(PriceLimits { lower: Some(tick.ceil(reference.minus(part(reference, down)))), upper })
    }
}

impl PriceLimits {
    /// Whether a price can trade within these limits.
    #[must_use]
    pub fn reach(&self, price: Price) -> Reach {
        let beyond = |limit: Option<Price>, is: fn(&Price, &Price) -> bool| limit.filter(|l| is(&price, l));
        match beyond(self.lower, Price::lt).or_else(|| beyond(self.upper, Price::gt)) {
            Some(limit) => Reach::BeyondLimit(limit),
            None => Reach::WithinLimits,
        }
    }
}

/// So many hundredths of a percent of a price, without its sign, rounded down.
fn part(of: Price, hundredths: u16) -> Price {
    let nanos = i128::from(of.as_nanos()).abs().saturating_mul(i128::from(hundredths));
    let part = nanos.checked_div(WHOLE).unwrap_or_default();
    Price::from_nanos(i64::try_from(part).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::instrument::Instrument;

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn tick() -> TickSize {
        Instrument::builtin("RTY").unwrap().tick
    }

    fn limits(at: &str, decline: Decline) -> Option<(Option<Price>, Option<Price>)> {
        let calendar = Calendar::cme_equity();
        let at = calendar.instant(at.parse().unwrap());
        let limits = CME_EQUITY.in_force(&calendar, at, p("2441.3"), tick(), decline)?;
        Some((limits.lower, limits.upper))
    }

    #[test]
    fn overnight_and_after_the_close_price_moves_seven_percent_either_way() {
        // 7 % of 2441.3 is 170.891: 2270.409 and 2612.191, on the grid towards the reference.
        let both = Some((Some(p("2270.5")), Some(p("2612.1"))));
        for at in ["2024-11-24 17:00", "2024-11-25 08:29:59", "2024-11-25 15:00", "2024-11-25 15:59"] {
            assert_eq!(limits(at, Decline::First), both, "{at}");
        }
        assert_eq!(limits("2024-11-25 16:30", Decline::First), None, "closed");
        // A halted day has no regular hours.
        assert_eq!(limits("2024-09-02 10:00", Decline::First), both);
    }

    #[test]
    fn in_regular_hours_price_is_limited_downwards_only_and_step_by_step() {
        let down = |at, decline| limits(at, decline).unwrap();
        assert_eq!(down("2024-11-25 08:30", Decline::First), (Some(p("2270.5")), None));
        assert_eq!(down("2024-11-25 10:00", Decline::Second), (Some(p("2124.0")), None));
        assert_eq!(down("2024-11-25 10:00", Decline::Third), (Some(p("1953.1")), None));
        assert_eq!(down("2024-11-25 14:24:59", Decline::First), (Some(p("2270.5")), None));
        assert_eq!(down("2024-11-25 14:25", Decline::First), (Some(p("1953.1")), None));
        assert_eq!(down("2024-11-29 11:25", Decline::First), (Some(p("1953.1")), None));
    }

    #[test]
    fn a_level_beyond_the_limit_is_told_with_the_limit() {
        let limits = PriceLimits { lower: Some(p("2270.5")), upper: Some(p("2612.1")) };
        assert_eq!(limits.reach(p("2270.5")), Reach::WithinLimits);
        assert_eq!(limits.reach(p("2270.4")), Reach::BeyondLimit(p("2270.5")));
        assert_eq!(limits.reach(p("2612.1")), Reach::WithinLimits);
        assert_eq!(limits.reach(p("2700")), Reach::BeyondLimit(p("2612.1")));
        assert_eq!(PriceLimits { upper: None, ..limits }.reach(p("9999")), Reach::WithinLimits);
    }

    proptest! {
        #[test]
        fn limits_lie_on_the_grid_and_on_their_side(nanos in 0i64..9_000_000_000_000) {
            let calendar = Calendar::cme_equity();
            let at = calendar.instant("2024-11-25 02:00".parse().unwrap());
            let reference = Price::from_nanos(nanos);
            let limits = CME_EQUITY.in_force(&calendar, at, reference, tick(), Decline::First).unwrap();
            let (lower, upper) = (limits.lower.unwrap(), limits.upper.unwrap());
            prop_assert!(lower.as_nanos() % 100_000_000 == 0 && upper.as_nanos() % 100_000_000 == 0);
            let width = i128::from(nanos) * 7 / 100;
            prop_assert!(i128::from(reference.as_nanos()) - i128::from(lower.as_nanos()) <= width);
            prop_assert!(i128::from(upper.as_nanos()) - i128::from(reference.as_nanos()) <= width);
        }
    }
}
