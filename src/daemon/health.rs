//! Whether a channel works, told when that changes and not at every failure.

use crate::event::{Event, Kind, Numbers, Reason, ThreadId};
use crate::outbox::Outcome;
use crate::store::delivery::Settled;
use crate::time::Timestamp;

/// So many failures in a row are an outage.
const FAILURES: u32 = 3;

/// The failures of one channel.
#[derive(Clone, Debug)]
pub struct Health {
    channel: String,
    failures: u32,
    outage: Option<Outage>,
}

/// An outage that was told, and how far its thread has come.
#[derive(Clone, Debug)]
struct Outage {
    thread: ThreadId,
    step: u32,
}

impl Health {
    /// A channel that has not been tried.
    #[must_use]
    pub fn new(channel: &str) -> Self {
        Self { channel: channel.to_owned(), failures: 0, outage: None }
    }

    /// Takes one attempt in; returns what must be told through the other channels.
    pub fn after(&mut self, outcome: &Outcome, settled: Settled, now: Timestamp) -> Option<Event> {
        let (detail, at_once) = match outcome {
            Outcome::Accepted { .. } => return self.recovered(now),
            Outcome::Deferred { reason, .. } => (reason, false),
            Outcome::Refused { reason } | Outcome::Misconfigured { reason } | Outcome::Gone { reason } => {
                (reason, true)
            }
        };
        self.failures = self.failures.saturating_add(1);
        let gave_up = settled == Settled::Dead;
        let news = gave_up || (self.outage.is_none() && (at_once || self.failures >= FAILURES));
        if !news {
            return None;
        }
        let reason = if gave_up { Reason::GaveUp } else { Reason::DeliveryFailing };
        Some(self.event(Kind::ChannelFailing, reason, detail, now))
    }

    /// Messages were given up without a further attempt, since the channel is disabled.
    pub fn gave_up(&mut self, count: u64, now: Timestamp) -> Event {
        let detail = format!("{count} given up: the channel is disabled until the next start");
        self.event(Kind::ChannelFailing, Reason::GaveUp, &detail, now)
    }

    fn recovered(&mut self, now: Timestamp) -> Option<Event> {
        self.failures = 0;
        self.outage.as_ref()?;
        let event =
            self.event(Kind::ChannelRecovered, Reason::DeliveryRestored, "messages are taken again", now);
        self.outage = None;
        Some(event)
    }

    fn event(&mut self, kind: Kind, reason: Reason, detail: &str, now: Timestamp) -> Event {
        let subject = format!("channel:{}", self.channel);
        let outage =
            self.outage.get_or_insert_with(|| Outage { thread: ThreadId::new(&subject, "", now), step: 0 });
        outage.step = outage.step.saturating_add(1);
        let mut numbers = Numbers::new();
        numbers.insert("channel".into(), self.channel.clone().into());
        numbers.insert("detail".into(), detail.into());
        Event::bare(kind, reason, &outage.thread, outage.step, (now, now), numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deferred() -> Outcome {
        Outcome::Deferred { reason: "451 try later".into(), retry_after: None }
    }

    const RETRY: Settled = Settled::Retry { due_at: Timestamp::from_nanos(0) };
    const NOW: Timestamp = Timestamp::from_nanos(0);

    #[test]
    fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
        let mut health = Health::new("mail");
        assert!(health.after(&deferred(), RETRY, NOW).is_none());
        assert!(health.after(&deferred(), RETRY, NOW).is_none());
        let begin = health.after(&deferred(), RETRY, NOW).unwrap();
        assert_eq!(
            (begin.kind, begin.numbers["detail"].as_str()),
            (Kind::ChannelFailing, Some("451 try later"))
        );
        assert!(health.after(&deferred(), RETRY, NOW).is_none());
        let accepted = Outcome::Accepted { receipt: "250 ok".into() };
        let end = health.after(&accepted, Settled::Delivered, NOW).unwrap();
        assert_eq!((end.kind, &end.thread), (Kind::ChannelRecovered, &begin.thread));
        assert!(health.after(&accepted, Settled::Delivered, NOW).is_none());
    }

    #[test]
    fn a_message_that_is_given_up_is_told_at_once() {
        let mut health = Health::new("mail");
        let refused = Outcome::Refused { reason: "550 no such user".into() };
        assert_eq!(health.after(&refused, Settled::Dead, NOW).unwrap().reason, Reason::GaveUp);
        assert_eq!(health.after(&refused, Settled::Dead, NOW).unwrap().reason, Reason::GaveUp);
    }

    #[test]
    fn two_hiccups_are_no_outage() {
        let mut health = Health::new("mail");
        let accepted = Outcome::Accepted { receipt: "ok".into() };
        for _ in 0..10 {
            assert!(health.after(&deferred(), RETRY, NOW).is_none());
            assert!(health.after(&deferred(), RETRY, NOW).is_none());
            assert!(health.after(&accepted, Settled::Delivered, NOW).is_none());
        }
    }
}
