//! From a cash-index price to a price of the futures contract and back: the fair value of domain.md 3.
//!
//! Pure arithmetic over configured rates. A measured basis is not computed here.

use crate::market::price::{Price, TickSize};
use crate::market::tick::InstrumentId;

/// Where an instrument's basis comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// From rates: interest less dividends, in percent a year, in units of 1e-9.
    Rates(Price),
    /// Measured against this instrument, the cash index itself.
    Index(InstrumentId),
}

/// Index prices are shown in hundredths.
pub const CENTS: TickSize = TickSize::from_nanos(10_000_000);

/// A year of money-market interest has so many days.
const YEAR_DAYS: i128 = 360;
/// A rate of so many units is everything: a hundred percent, in units of 1e-9 of a percent.
const WHOLE: i128 = 100_000_000_000;
/// What a rate times days is divided by.
const DIVISOR: i128 = WHOLE.saturating_mul(YEAR_DAYS);

/// The fair price of a futures contract that ends in so many days: `S * (1 + (r - q) * d / 360)`, rounded to
/// the nearest 1e-9. The rate is `r - q` in percent a year, in units of 1e-9.
#[must_use]
pub fn fair(spot: Price, rate: Price, days: u32) -> Price {
    let growth = i128::from(rate.as_nanos()).saturating_mul(i128::from(days));
    let carry = divided(i128::from(spot.as_nanos()).saturating_mul(growth), DIVISOR);
    price(i128::from(spot.as_nanos()).saturating_add(carry))
}

/// The cash-index price for which this is the fair price of a futures contract that ends in so many days. A
/// rate so negative that nothing would be left of the index has no such price; then it is the contract's own.
#[must_use]
pub fn cash(futures: Price, rate: Price, days: u32) -> Price {
    let growth = i128::from(rate.as_nanos()).saturating_mul(i128::from(days));
    let divisor = DIVISOR.saturating_add(growth);
    if divisor <= 0 {
        return futures;
    }
    price(divided(i128::from(futures.as_nanos()).saturating_mul(DIVISOR), divisor))
}

/// The quotient, rounded to the nearest whole number, a half away from zero. The divisor is positive.
fn divided(value: i128, divisor: i128) -> i128 {
    let half = divisor.checked_div(2).unwrap_or_default();
    let shifted = if value < 0 { value.saturating_sub(half) } else { value.saturating_add(half) };
    shifted.checked_div(divisor).unwrap_or_default()
}

fn price(nanos: i128) -> Price {
    let limit = if nanos < 0 { i64::MIN } else { i64::MAX };
    Price::from_nanos(i64::try_from(nanos).unwrap_or(limit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::price::TickSize;

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn the_record_close_of_the_index_is_a_price_of_the_contract() {
        let tick = TickSize::new(p("0.1")).unwrap();
        for (days, shown, threshold) in
            [(60, "2454.55", "2454.6"), (90, "2460.45", "2460.5"), (5, "2443.72", "2443.8")]
        {
            let fair = fair(p("2442.74"), p("2.9"), days);
            assert_eq!(TickSize::new(p("0.01")).unwrap().round(fair).with_decimals(2), shown, "{days} days");
            assert_eq!(tick.ceil(fair), p(threshold), "{days} days");
        }
    }

    #[test]
    fn on_the_last_day_the_contract_is_the_index() {
        assert_eq!(fair(p("2442.74"), p("2.9"), 0), p("2442.74"));
        assert_eq!(cash(p("2442.74"), p("2.9"), 0), p("2442.74"));
    }

    #[test]
    fn dividends_above_interest_make_the_contract_cheaper() {
        assert_eq!(fair(p("2400"), p("-1.5"), 360), p("2364"));
        assert_eq!(cash(p("2364"), p("-1.5"), 360), p("2400"));
    }

    #[test]
    fn extremes_stay_within_a_price() {
        let (most, least) = (Price::from_nanos(i64::MAX), Price::from_nanos(i64::MIN));
        assert_eq!(fair(most, most, u32::MAX), most);
        assert_eq!(fair(least, most, u32::MAX), least);
        assert_eq!(cash(most, least, u32::MAX), most);
    }

    proptest! {
        #[test]
        fn there_and_back_is_where_it_began(nanos in 1_000_000_000_i64..100_000_000_000_000, rate in -20_000_000_000_i64..20_000_000_000, days in 0_u32..800) {
            let (spot, rate) = (Price::from_nanos(nanos), Price::from_nanos(rate));
            let back = cash(fair(spot, rate, days), rate, days);
            prop_assert!((back.as_nanos() - nanos).abs() <= 2, "{spot} came back as {back}");
        }
    }
}
