//! Exact quotients: the small arithmetic that the formulas share.
//!
//! Integers only. What does not fit is `None`, never something near it.

use crate::market::price::Price;

/// The quotient to the nearest integer, halves up; `None` when the divisor is not positive.
pub(super) fn quotient(sum: i128, divisor: i128) -> Option<i128> {
    if divisor <= 0 {
        return None;
    }
    let floor = sum.checked_div_euclid(divisor)?;
    let rest = sum.checked_rem_euclid(divisor)?;
    let up = rest >= divisor.checked_sub(rest)?;
    floor.checked_add(i128::from(up))
}

/// The quotient as a price.
pub(super) fn price(sum: i128, divisor: i128) -> Option<Price> {
    i64::try_from(quotient(sum, divisor)?).ok().map(Price::from_nanos)
}

/// Nano-units, wide enough to calculate with.
pub(super) fn nanos(price: Price) -> i128 {
    i128::from(price.as_nanos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_to_the_nearest_with_halves_up() {
        let all = [(7, 2, 4), (-7, 2, -3), (5, 3, 2), (4, 3, 1), (-4, 3, -1), (-5, 3, -2), (0, 9, 0)];
        for (sum, divisor, wanted) in all {
            assert_eq!(quotient(sum, divisor), Some(wanted), "{sum}/{divisor}");
        }
        assert_eq!(quotient(1, 0), None);
        assert_eq!(price(i128::MAX, 1), None);
    }
}
