//! The clock as a value. Nothing else in the program reads a clock or draws a random number.
//!
//! A rehearsal's clock starts where it is told and runs faster; what concerns peers (retries, timeouts) stays in
//! real time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// Tells the market's time, the wall's time, and how long the process has run.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: tokio::time::Instant,
    rehearsal: Option<Rehearsal>,
}

/// How market time runs in a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rehearsal {
    /// Market time at the start of the process.
    pub from: Timestamp,
    /// So many times as fast as the wall's clock.
    pub speed: f64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::real()
    }
}

impl Clock {
    /// Market time is the wall's time.
    #[must_use]
    pub fn real() -> Self {
        Self::new(None)
    }

    /// Market time starts at `from` and runs `speed` times as fast.
    #[must_use]
    pub fn rehearsal(from: Timestamp, speed: f64) -> Self {
        Self::new(Some(Rehearsal { from, speed }))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    fn new(rehearsal: Option<Rehearsal>) -> Self {
        Self(Arc::new(Inner { started: tokio::time::Instant::now(), rehearsal }))
    }

    /// The market's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.0.rehearsal {
            Some(Rehearsal { from, speed }) => from.saturating_add(self.monotonic().mul_f64(speed)),
            None => self.wall(),
        }
    }

    /// The wall's time, also in a rehearsal.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_nanos(0).saturating_add(since)
    }

    /// How long the process has run; never jumps.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads clocks")]
    pub fn monotonic(&self) -> Duration {
        tokio::time::Instant::now().saturating_duration_since(self.0.started)
    }

    /// When the market's time will be `at`, as a time the process has run; the present for the past.
    #[must_use]
    pub fn monotonic_at(&self, at: Timestamp) -> Duration {
        let ahead = at.since(self.now());
        let real = match self.0.rehearsal {
            Some(Rehearsal { speed, .. }) => ahead.div_f64(speed),
            None => ahead,
        };
        self.monotonic().saturating_add(real.min(FAR))
    }

    /// For `tokio::time::sleep_until`.
    #[must_use]
    pub fn instant_at(&self, monotonic: Duration) -> tokio::time::Instant {
        self.0.started.checked_add(monotonic).unwrap_or(self.0.started)
    }

    /// How many times as fast as the wall's clock market time runs.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.0.rehearsal.map_or(1.0, |rehearsal| rehearsal.speed)
    }

    /// Whether nothing of this happens today.
    #[must_use]
    pub fn is_rehearsal(&self) -> bool {
        self.0.rehearsal.is_some()
    }

    /// The real time that has passed since the market's time was `at`; zero for the future.
    #[must_use]
    pub fn real_since(&self, at: Timestamp) -> Duration {
        self.now().since(at).div_f64(self.speed())
    }

    /// A random share in parts per million, for jitter.
    #[must_use]
    pub fn random_ppm(&self) -> u32 {
        rand::random_range(0..1_000_000)
    }
}

/// Sleeping longer than this is the same as sleeping this long and looking again.
const FAR: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rehearsal_starts_where_it_is_told_and_runs_as_fast() {
        let from: Timestamp = "2024-11-25T13:30:00Z".parse().unwrap();
        let clock = Clock::rehearsal(from, 60.0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now(), from.saturating_add(Duration::from_secs(120)));
        assert_eq!(clock.monotonic_at(from.saturating_add(Duration::from_secs(180))), Duration::from_secs(3));
        assert_eq!(clock.monotonic_at(from), Duration::from_secs(2));
        assert_eq!(clock.real_since(from), Duration::from_secs(2));
    }

    #[tokio::test]
    async fn the_real_clock_tells_the_wall_time() {
        let clock = Clock::real();
        assert!(clock.now() >= "2024-01-01T00:00:00Z".parse().unwrap());
        assert!(clock.random_ppm() < 1_000_000);
    }
}
