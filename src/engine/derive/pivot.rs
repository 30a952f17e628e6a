//! Pivots: the lines that five families of formulas draw from one day's open, high, low and close.
//!
//! Pure arithmetic; each line is rounded once, to the nearest 1e-9. The floor, Woodie, Camarilla and DeMark
//! formulas are those of the domain's table.

use crate::engine::derive::exact::{nanos, price};
use crate::engine::derive::{PivotFamily, PivotLine, Rth};
use crate::market::price::Price;

/// The line of a family, if the family has it.
#[must_use]
pub fn line(family: PivotFamily, line: PivotLine, day: &Rth) -> Option<Price> {
    let day = Prices::of(day);
    match family {
        PivotFamily::Floor => day.floor(line),
        PivotFamily::Camarilla => day.camarilla(line),
        PivotFamily::Woodie => day.woodie(line),
        PivotFamily::Fibonacci => day.fibonacci(line),
        PivotFamily::Demark => day.demark(line),
    }
}

/// Name and version of a family's formulas.
#[must_use]
pub const fn formula(family: PivotFamily) -> &'static str {
    match family {
        PivotFamily::Floor => "pivot.floor/1",
        PivotFamily::Camarilla => "pivot.camarilla/1",
        PivotFamily::Woodie => "pivot.woodie/1",
        PivotFamily::Fibonacci => "pivot.fibonacci/1",
        PivotFamily::Demark => "pivot.demark/1",
    }
}

/// One day in nano-units.
struct Prices {
    open: i128,
    high: i128,
    low: i128,
    close: i128,
}

// Four prices of 64 bits times a few hundred stay far below 127 bits, so nothing here saturates.
impl Prices {
    fn of(day: &Rth) -> Self {
        Self { open: nanos(day.open), high: nanos(day.high), low: nanos(day.low), close: nanos(day.close) }
    }

    fn range(&self) -> i128 {
        self.high.saturating_sub(self.low)
    }

    /// `weights` times high, low, close and range, by `divisor`.
    fn mix(&self, weights: [i128; 4], divisor: i128) -> Option<Price> {
        let parts = [self.high, self.low, self.close, self.range()];
        let terms = parts.into_iter().zip(weights).map(|(part, weight)| part.saturating_mul(weight));
        price(terms.fold(0, i128::saturating_add), divisor)
    }

    /// With `P = (H + L + C) / 3` everywhere written out in thirds.
    fn floor(&self, line: PivotLine) -> Option<Price> {
        match line {
            PivotLine::P => self.mix([1, 1, 1, 0], 3),
            PivotLine::R(1) => self.mix([2, -1, 2, 0], 3),
            PivotLine::S(1) => self.mix([-1, 2, 2, 0], 3),
            PivotLine::R(2) => self.mix([1, 1, 1, 3], 3),
            PivotLine::S(2) => self.mix([1, 1, 1, -3], 3),
            PivotLine::R(3) => self.mix([5, -4, 2, 0], 3),
            PivotLine::S(3) => self.mix([-4, 5, 2, 0], 3),
            PivotLine::R(_) | PivotLine::S(_) => None,
        }
    }

    /// The close plus and minus 1.1 times the range by 12, 6, 4 and 2.
    fn camarilla(&self, line: PivotLine) -> Option<Price> {
        let part = |k: u8| match k {
            1 => Some(120),
            2 => Some(60),
            3 => Some(40),
            4 => Some(20),
            _ => None,
        };
        match line {
            PivotLine::P => None,
            PivotLine::R(k) => part(k).and_then(|d| self.mix([0, 0, d, 11], d)),
            PivotLine::S(k) => part(k).and_then(|d| self.mix([0, 0, d, -11], d)),
        }
    }

    fn woodie(&self, line: PivotLine) -> Option<Price> {
        match line {
            PivotLine::P => self.mix([1, 1, 2, 0], 4),
            PivotLine::R(1) => self.mix([1, -1, 2, 0], 2),
            PivotLine::S(1) => self.mix([-1, 1, 2, 0], 2),
            PivotLine::R(2) => self.mix([1, 1, 2, 4], 4),
            PivotLine::S(2) => self.mix([1, 1, 2, -4], 4),
            PivotLine::R(_) | PivotLine::S(_) => None,
        }
    }

    /// The pivot plus and minus 0.382, 0.618 and 1 times the range.
    fn fibonacci(&self, line: PivotLine) -> Option<Price> {
        let part = |k: u8| match k {
            1 => Some(382 * 3),
            2 => Some(618 * 3),
            3 => Some(1_000 * 3),
            _ => None,
        };
        let by = |weight: i128| self.mix([1_000, 1_000, 1_000, weight], 3_000);
        match line {
            PivotLine::P => by(0),
            PivotLine::R(k) => part(k).and_then(by),
            PivotLine::S(k) => part(k).and_then(|weight: i128| by(weight.saturating_neg())),
        }
    }

    /// `X` depends on whether the day closed below its open, above it, or there.
    fn demark(&self, line: PivotLine) -> Option<Price> {
        let [h, l, c] = match self.close.cmp(&self.open) {
            std::cmp::Ordering::Less => [1, 2, 1],
            std::cmp::Ordering::Greater => [2, 1, 1],
            std::cmp::Ordering::Equal => [1, 1, 2],
        };
        match line {
            PivotLine::P => self.mix([h, l, c, 0], 4),
            PivotLine::R(1) => self.mix([h, l.saturating_sub(2), c, 0], 2),
            PivotLine::S(1) => self.mix([h.saturating_sub(2), l, c, 0], 2),
            PivotLine::R(_) | PivotLine::S(_) => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::derive::PivotLine::{P, R, S};

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn golden() -> Rth {
        Rth { open: p("2447"), high: p("2465"), low: p("2441"), close: p("2458.5") }
    }

    fn assert_lines(family: PivotFamily, wanted: &[(PivotLine, &str)]) {
        for (which, price) in wanted {
            let found = line(family, *which, &golden()).unwrap();
            // The table has three decimals.
            let off = found.minus(p(price)).abs();
            assert!(off <= p("0.0005"), "{family:?} {which:?}: {found}, not {price}");
        }
    }

    #[test]
    fn the_floor_pivots_are_those_of_the_table() {
        let wanted = [
            (P, "2454.833"),
            (R(1), "2468.667"),
            (S(1), "2444.667"),
            (R(2), "2478.833"),
            (S(2), "2430.833"),
            (R(3), "2492.667"),
            (S(3), "2420.667"),
        ];
        assert_lines(PivotFamily::Floor, &wanted);
    }

    #[test]
    fn the_camarilla_pivots_are_those_of_the_table() {
        let wanted =
            [(R(1), "2460.7"), (R(2), "2462.9"), (R(3), "2465.1"), (R(4), "2471.7"), (S(4), "2445.3")];
        assert_lines(PivotFamily::Camarilla, &wanted);
        assert_eq!(line(PivotFamily::Camarilla, S(4), &golden()), Some(p("2445.3")), "exactly");
    }

    #[test]
    fn the_woodie_pivots_are_those_of_the_table() {
        let wanted =
            [(P, "2455.75"), (R(1), "2470.5"), (R(2), "2479.75"), (S(1), "2446.5"), (S(2), "2431.75")];
        assert_lines(PivotFamily::Woodie, &wanted);
    }

    #[test]
    fn the_fibonacci_pivots_are_those_of_the_table() {
        let wanted =
            [(P, "2454.833"), (R(1), "2464.001"), (R(2), "2469.665"), (R(3), "2478.833"), (S(3), "2430.833")];
        assert_lines(PivotFamily::Fibonacci, &wanted);
    }

    #[test]
    fn the_demark_pivots_depend_on_the_open() {
        assert_lines(PivotFamily::Demark, &[(P, "2457.375"), (R(1), "2473.75"), (S(1), "2449.75")]);
        let above = |open| line(PivotFamily::Demark, P, &Rth { open: p(open), ..golden() });
        assert_eq!(above("2460"), Some(p("2451.375")), "closed below its open: (H + 2L + C) / 4");
        assert_eq!(above("2458.5"), Some(p("2455.75")), "closed at its open: (H + L + 2C) / 4");
    }

    #[test]
    fn a_line_that_a_family_does_not_have_is_none() {
        let none = [
            (PivotFamily::Floor, R(4)),
            (PivotFamily::Camarilla, P),
            (PivotFamily::Camarilla, R(5)),
            (PivotFamily::Woodie, S(3)),
            (PivotFamily::Fibonacci, R(0)),
            (PivotFamily::Demark, R(2)),
        ];
        for (family, which) in none {
            assert_eq!(line(family, which, &golden()), None, "{family:?} {which:?}");
        }
    }

    proptest! {
        #[test]
        fn resistances_lie_above_supports_and_rise(low in 0i64..1_000, open in 0i64..100, close in 0i64..100) {
            let day = Rth {
                low: Price::from_points(low), high: Price::from_points(low + 100),
                open: Price::from_points(low + open), close: Price::from_points(low + close),
            };
            for family in [PivotFamily::Floor, PivotFamily::Camarilla, PivotFamily::Fibonacci] {
                for k in 1..=2 {
                    let of = |which| line(family, which, &day).unwrap();
                    prop_assert!(of(R(k)) < of(R(k + 1)) && of(S(k)) > of(S(k + 1)) && of(S(k)) < of(R(k)));
                }
            }
        }
    }
}
