//! Shows that a task makes progress. The watchdog is fed only while all of them do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A counter that a task moves on whenever it has come round.
#[derive(Clone, Debug)]
pub struct Pulse {
    name: Arc<str>,
    beats: Arc<AtomicU64>,
    /// A healthy task comes round within so long.
    within: Duration,
}

impl Pulse {
    /// Of a task that comes round within so long when it is healthy.
    #[must_use]
    pub fn new(name: &str, within: Duration) -> Self {
        Self { name: name.into(), beats: Arc::default(), within }
    }

    /// The task has come round.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks at pulses from time to time.
#[derive(Debug)]
pub struct Pulses(Vec<(Pulse, u64, Duration)>);

impl Pulses {
    /// These pulses, all healthy at `now` (time the process has run).
    #[must_use]
    pub fn new(pulses: Vec<Pulse>, now: Duration) -> Self {
        Self(pulses.into_iter().map(|pulse| (pulse, 0, now)).collect())
    }

    /// The tasks that have not come round in time.
    pub fn stuck(&mut self, now: Duration) -> Vec<String> {
        let mut stuck = Vec::new();
        for (pulse, seen, at) in &mut self.0 {
            let beats = pulse.beats.load(Ordering::Relaxed);
            if beats != *seen {
                (*seen, *at) = (beats, now);
            } else if now.saturating_sub(*at) > pulse.within {
                stuck.push(pulse.name.to_string());
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_does_not_come_round_in_time_is_named() {
        let secs = Duration::from_secs;
        let (watch, mail) = (Pulse::new("watch", secs(10)), Pulse::new("mail", secs(60)));
        let mut pulses = Pulses::new(vec![watch.clone(), mail], secs(0));
        watch.beat();
        assert!(pulses.stuck(secs(5)).is_empty());
        assert_eq!(pulses.stuck(secs(16)), ["watch"]);
        assert_eq!(pulses.stuck(secs(61)), ["watch", "mail"]);
        watch.beat();
        assert_eq!(pulses.stuck(secs(62)), ["mail"]);
    }
}
