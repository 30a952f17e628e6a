//! Round numbers: which multiples lie around a price, and how round each of them is.
//!
//! Pure arithmetic. Which of them become levels is not decided here.

use crate::market::price::Price;

/// At most so many multiples are listed: a step that is tiny beside its range is a mistake, not a wish.
pub const MULTIPLES_MAX: usize = 10_000;
/// How round a number can be, in points, greatest first.
pub const RANKS: [u16; 5] = [500, 100, 50, 25, 10];

/// The greatest multiple of `step` at or below `price`; `None` when the step is not positive, or it does not fit.
#[must_use]
pub fn at_or_below(price: Price, step: Price) -> Option<Price> {
    let step = Some(step.as_nanos()).filter(|s| *s > 0)?;
    let rest = price.as_nanos().checked_rem_euclid(step)?;
    price.as_nanos().checked_sub(rest).map(Price::from_nanos)
}

/// The smallest multiple of `step` at or above `price`; `None` when the step is not positive, or it does not fit.
#[must_use]
pub fn at_or_above(price: Price, step: Price) -> Option<Price> {
    let below = at_or_below(price, step)?;
    if below == price {
        return Some(price);
    }
    below.as_nanos().checked_add(step.as_nanos()).map(Price::from_nanos)
}

/// All multiples of `step` from `low` to `high`, both included, at most [`MULTIPLES_MAX`] of them from below.
pub fn multiples(low: Price, high: Price, step: Price) -> impl Iterator<Item = Price> {
    let next = move |p: &Price| p.as_nanos().checked_add(step.as_nanos()).map(Price::from_nanos);
    std::iter::successors(at_or_above(low, step), next).take_while(move |p| *p <= high).take(MULTIPLES_MAX)
}

/// The greatest of [`RANKS`] that divides the price, in points: 500 for 2500. `None` for a number that is not round.
#[must_use]
pub fn rank(price: Price) -> Option<u16> {
    let divides =
        |s: &u16| price.as_nanos().checked_rem(Price::from_points(i64::from(*s)).as_nanos()) == Some(0);
    RANKS.into_iter().find(divides)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn twenty_five_hundred_is_as_round_as_it_gets() {
        let ranks = [("2500", 500), ("2400", 100), ("2450", 50), ("2475", 25), ("2460", 10)];
        for (price, wanted) in ranks {
            assert_eq!(rank(p(price)), Some(wanted), "{price}");
        }
        assert_eq!(rank(p("2465")), None);
        assert_eq!(rank(p("2500.1")), None);
    }

    #[test]
    fn a_multiple_is_its_own_neighbour_on_both_sides() {
        assert_eq!(at_or_below(p("2499.9"), p("50")), Some(p("2450")));
        assert_eq!(at_or_above(p("2499.9"), p("50")), Some(p("2500")));
        assert_eq!(at_or_below(p("2500"), p("50")), Some(p("2500")));
        assert_eq!(at_or_above(p("2500"), p("50")), Some(p("2500")));
        assert_eq!(at_or_below(p("-1"), p("25")), Some(p("-25")), "prices can be negative");
        assert_eq!(at_or_below(p("2500"), Price::ZERO), None);
    }

    #[test]
    fn a_range_lists_its_multiples_and_never_more_than_the_limit() {
        let listed: Vec<Price> = multiples(p("2390"), p("2500"), p("25")).collect();
        assert_eq!(listed, ["2400", "2425", "2450", "2475", "2500"].map(p));
        assert_eq!(multiples(p("0"), p("100000"), p("0.1")).count(), MULTIPLES_MAX);
        assert_eq!(multiples(p("2500"), p("2400"), p("25")).count(), 0);
        assert_eq!(multiples(p("1"), p("2"), Price::ZERO).count(), 0);
    }

    proptest! {
        #[test]
        fn the_neighbours_enclose_the_price_and_are_one_step_apart(price in -1_000_000i64..1_000_000, step in 1i64..10_000) {
            let (price, step) = (Price::from_nanos(price), Price::from_nanos(step));
            let (below, above) = (at_or_below(price, step).unwrap(), at_or_above(price, step).unwrap());
            prop_assert!(below <= price && price <= above);
            prop_assert!(below == above || above.minus(below) == step);
            prop_assert_eq!(below.as_nanos() % step.as_nanos(), 0);
        }
    }
}
