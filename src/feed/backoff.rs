//! How long to wait before the next connection.
//!
//! Full jitter: a uniform share of a limit that doubles, so that many clients do not come back at once.

use std::time::Duration;

/// The first limit.
const FIRST: Duration = Duration::from_secs(1);
/// The largest limit.
const MOST: Duration = Duration::from_secs(60);
/// Never wait less: a peer that accepts and closes at once must not spin us.
const LEAST: Duration = Duration::from_millis(100);
/// A million parts.
const WHOLE: u32 = 1_000_000;

/// The wait after so many failures in a row; `jitter` is a share in parts per million.
#[must_use]
pub fn wait(failures: u32, jitter: u32) -> Duration {
    share(limit(failures), jitter).max(LEAST)
}

/// The longest wait after so many failures in a row.
#[must_use]
pub fn limit(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(MOST)
}

/// The wait when a person must act, or another client has pushed us out: `base`, doubled each time, at most
/// sixteen times as long; the jitter adds up to a quarter.
#[must_use]
pub fn long_wait(base: Duration, times: u32, jitter: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(4);
    let wait = base.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
    wait.saturating_add(share(wait, jitter).checked_div(4).unwrap_or_default())
}

fn share(of: Duration, jitter: u32) -> Duration {
    of.saturating_mul(jitter.min(WHOLE)).checked_div(WHOLE).unwrap_or(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_doubles_up_to_a_minute() {
        let limits: Vec<u64> = (1..9).map(|failures| limit(failures).as_secs()).collect();
        assert_eq!(limits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(limit(u32::MAX), MOST);
    }

    #[test]
    fn jitter_is_full_and_never_spins() {
        assert_eq!(wait(5, 500_000), Duration::from_secs(8));
        assert_eq!(wait(5, 0), LEAST);
        assert_eq!(wait(5, u32::MAX), Duration::from_secs(16));
    }

    #[test]
    fn a_long_wait_grows_and_is_never_shorter_than_its_base() {
        let base = Duration::from_secs(60);
        assert_eq!(long_wait(base, 1, 0), base);
        assert_eq!(long_wait(base, 3, 0), base * 4);
        assert_eq!(long_wait(base, 99, 1_000_000), base * 20);
    }
}
