//! Rates out of few observations, with what they leave open.

use std::fmt;

use serde::Serialize;

use crate::study::mean::rounded;

/// The quantile of the normal distribution that leaves 2.5 % above it.
const Z: f64 = 1.959_963_984_540_054;

/// So many of so many, with the 95 % interval of the rate behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// How many were so,
    pub k: usize,
    /// of how many.
    pub n: usize,
    /// Between which shares the true one lies, from 0 to 1; `None` when there was nothing to count.
    pub interval: Option<Interval>,
}

/// A 95 % interval of a share, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The share that was seen.
    pub share: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Rate {
    /// `k` of `n`; never more than all.
    #[must_use]
    pub fn new(k: usize, n: usize) -> Self {
        let k = k.min(n);
        Self { k, n, interval: wilson(k, n) }
    }

    /// How many of `items` are so.
    pub fn count<T>(items: impl IntoIterator<Item = T>, is_so: impl Fn(&T) -> bool) -> Self {
        let (mut k, mut n) = (0usize, 0usize);
        for item in items {
            n = n.saturating_add(1);
            k = k.saturating_add(usize::from(is_so(&item)));
        }
        Self::new(k, n)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.interval {
            None => String::from("none"),
            Some(Interval { share, low, high }) => {
                let [share, low, high] = [share, low, high].map(percent);
                format!("{} of {}, {share} % ({low}-{high} %)", self.k, self.n)
            }
        };
        f.pad(&text)
    }
}

#[expect(clippy::float_arithmetic, reason = "a share for people")]
fn percent(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

/// The score interval of E. B. Wilson (Journal of the American Statistical Association 22, 1927): it stays
/// within 0 and 1 and is honest for small n, where the textbook interval is not.
#[expect(
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "statistics, not prices; counts are far below 2^53"
)]
fn wilson(k: usize, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let (k, n, z2) = (k as f64, n as f64, Z * Z);
    let share = k / n;
    let scale = 1.0 + z2 / n;
    let middle = (share + z2 / (2.0 * n)) / scale;
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt() / scale;
    let (low, high) = ((middle - half).max(0.0), (middle + half).min(1.0));
    Some(Interval { share: rounded(share), low: rounded(low), high: rounded(high) })
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::float_arithmetic, reason = "a test that overflows fails")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        assert_eq!(Rate::new(7, 10).to_string(), "7 of 10, 70 % (40-89 %)");
        assert_eq!(Rate::new(12, 40).to_string(), "12 of 40, 30 % (18-45 %)");
        assert_eq!(Rate::new(0, 10).to_string(), "0 of 10, 0 % (0-28 %)");
        assert_eq!(Rate::new(1, 1).to_string(), "1 of 1, 100 % (21-100 %)");
        assert_eq!(Rate::new(0, 0).to_string(), "none");
    }

    #[test]
    fn counting_gives_both_numbers() {
        assert_eq!(Rate::count([1, 2, 3, 4], |n| n % 2 == 0), Rate::new(2, 4));
    }

    #[test]
    fn a_rate_of_nothing_has_no_interval_in_json() {
        let json = serde_json::to_string(&Rate::new(0, 0)).unwrap();
        assert_eq!(json, r#"{"k":0,"n":0,"interval":null}"#);
    }

    proptest! {
        #[test]
        fn the_share_lies_in_its_interval_and_more_data_narrows_it(n in 1usize..500, k in 0usize..500) {
            let k = k.min(n);
            let few = Rate::new(k, n).interval.unwrap();
            let many = Rate::new(k * 4, n * 4).interval.unwrap();
            prop_assert!(0.0 <= few.low && few.low <= few.share && few.share <= few.high && few.high <= 1.0);
            prop_assert!(many.high - many.low <= few.high - few.low);
        }
    }
}
