//! Means of figures, with the number of figures behind them.
//!
//! Floats belong here and to `interval`: these are figures for people, no prices, and no decision hangs on
//! them.

use serde::Serialize;

use crate::market::price::Price;

/// A mean is told with so many steps to one.
const STEPS: f64 = 10_000.0;
/// Nano-units in one point.
const NANOS: f64 = 1e9;

/// A mean of `n` figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Mean {
    /// Of how many.
    pub n: usize,
    /// The mean, to four decimals; `None` of nothing.
    pub mean: Option<f64>,
}

impl Mean {
    /// Of figures that all count the same.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        Self::weighted(figures.into_iter().map(|figure| (figure, 1)))
    }

    /// Of figures that count so many times each; `n` says how many figures there are, not how often they count.
    #[must_use]
    #[expect(clippy::float_arithmetic, reason = "a figure for people")]
    pub fn weighted(figures: impl IntoIterator<Item = (f64, u32)>) -> Self {
        let (mut n, mut sum, mut weights) = (0usize, 0.0, 0.0);
        for (figure, weight) in figures {
            let weight = f64::from(weight);
            n = n.saturating_add(1);
            sum += figure * weight;
            weights += weight;
        }
        Self { n, mean: (weights > 0.0).then(|| rounded(sum / weights)) }
    }

    /// With its sign and `decimals` decimals; a dash when there is none.
    #[must_use]
    pub fn signed(&self, decimals: usize) -> String {
        self.mean.map_or_else(|| String::from("-"), |mean| signed(mean, decimals))
    }
}

/// With its sign; what rounds to nothing has none.
fn signed(figure: f64, decimals: usize) -> String {
    let text = format!("{figure:+.decimals$}");
    let is_zero = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
    if is_zero { text.trim_start_matches(['+', '-']).to_owned() } else { text }
}

/// How many times `unit` goes into `of`; `None` when the unit is not positive.
#[must_use]
#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a figure for people: prices in nano-units keep 15 digits"
)]
pub fn multiple(of: Price, unit: Price) -> Option<f64> {
    (unit > Price::ZERO).then(|| of.as_nanos() as f64 / unit.as_nanos() as f64)
}

/// A difference of prices in points.
#[must_use]
#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "a figure for people: prices in nano-units keep 15 digits"
)]
pub fn points(of: Price) -> f64 {
    of.as_nanos() as f64 / NANOS
}

/// To four decimals: what is behind them is noise, and the same on every machine.
#[must_use]
#[expect(clippy::float_arithmetic, reason = "a figure for people")]
pub fn rounded(figure: f64) -> f64 {
    // Adding zero turns a negative zero into a plain one.
    (figure * STEPS).round() / STEPS + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_says_of_how_many() {
        assert_eq!(Mean::of([1.0, 2.0, 6.0]), Mean { n: 3, mean: Some(3.0) });
        assert_eq!(Mean::of([]), Mean { n: 0, mean: None });
        assert_eq!(Mean::weighted([(1.0, 3), (5.0, 1)]), Mean { n: 2, mean: Some(2.0) });
    }

    #[test]
    fn a_mean_is_told_with_its_sign() {
        assert_eq!(Mean::of([0.126]).signed(2), "+0.13");
        assert_eq!(Mean::of([-1.5]).signed(1), "-1.5");
        assert_eq!(Mean::of([-0.001]).signed(2), "0.00");
        assert_eq!(Mean::of([]).signed(2), "-");
    }

    #[test]
    fn nothing_is_measured_in_units_of_nothing() {
        assert_eq!(multiple(Price::from_points(3), Price::from_points(2)), Some(1.5));
        assert_eq!(multiple(Price::from_points(3), Price::ZERO), None);
        assert!(points(Price::from_nanos(-2_500_000_000)) < -2.49);
    }
}
