//! Whether an update continues the stream: repeats are dropped, gaps and resets are counted.
//!
//! Time that runs backwards is not judged here: the engine's book knows what it has seen before a restart.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::feed::drops::{Drop, Drops};
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;
use crate::market::tick::{InstrumentId, Tick, Update};
use crate::time::Timestamp;

/// Exchange times before the year 2000 are none.
const EARLIEST: Timestamp = Timestamp::from_nanos(946_684_800_000_000_000);

/// Numbers this far back may still come late; a lower one means that the numbering began anew.
const WINDOW: u64 = 256;

/// What was last seen of one contract.
#[derive(Clone, Debug, Default)]
struct Last {
    sequence: Option<u64>,
    /// The numbers seen within the window.
    recent: VecDeque<u64>,
    at: Option<Timestamp>,
    trade: Option<(Timestamp, Price, u32)>,
}

/// Watches the trades of one connection.
#[derive(Clone, Debug, Default)]
pub struct Continuity {
    last: BTreeMap<(InstrumentId, Option<ContractMonth>), Last>,
}

impl Continuity {
    /// Looks at a tick, takes out a time that cannot be, and says whether the tick is new. An exchange time may
    /// be `ahead` of the time of receipt.
    pub fn admit(&mut self, tick: &mut Tick, ahead: Duration, drops: &mut Drops) -> bool {
        let latest = tick.received_at.saturating_add(ahead);
        if tick.exchange_at.is_some_and(|at| at < EARLIEST || at > latest) {
            tick.exchange_at = None;
            drops.count(Drop::BadTime);
        }
        let Update::Trade { price, size } = tick.update else { return true };
        let last = self.last.entry((tick.instrument, tick.contract)).or_default();
        let new = match (tick.sequence, last.sequence) {
            (Some(sequence), Some(before)) => last.admit_number(sequence, before, tick.exchange_at, drops),
            (Some(_), None) => true,
            // Without a number, the same time, price and size as just before is a last trade that was sent again.
            // Without a time as well, nothing tells a repeat from a print, and a print must not be lost.
            (None, _) => tick.exchange_at.is_none_or(|at| last.trade != Some((at, price, size))),
        };
        if !new {
            drops.count(Drop::Duplicate);
            return false;
        }
        if let Some(sequence) = tick.sequence {
            last.number(sequence);
        }
        last.at = tick.exchange_at.or(last.at);
        last.trade = tick.exchange_at.map(|at| (at, price, size));
        true
    }
}

impl Last {
    fn admit_number(&self, sequence: u64, before: u64, at: Option<Timestamp>, drops: &mut Drops) -> bool {
        if sequence > before {
            if sequence > before.saturating_add(1) {
                drops.count(Drop::SequenceGap);
            }
            return true;
        }
        if self.recent.contains(&sequence) {
            // The same number with a later time is another trade of a new numbering.
            return self.is_later(at) && sequence < before;
        }
        let late = before.saturating_sub(sequence) < WINDOW;
        if !late {
            drops.count(Drop::SequenceReset);
        }
        late || self.is_later(at) || at.is_none()
    }

    fn is_later(&self, at: Option<Timestamp>) -> bool {
        matches!((at, self.at), (Some(at), Some(last)) if at > last)
    }

    fn number(&mut self, sequence: u64) {
        let before = self.sequence.unwrap_or(sequence);
        if before.saturating_sub(sequence) >= WINDOW {
            self.recent.clear();
            self.sequence = Some(sequence);
        } else {
            self.sequence = Some(before.max(sequence));
        }
        self.recent.push_back(sequence);
        let newest = self.sequence.unwrap_or(sequence);
        while self.recent.front().is_some_and(|seen| newest.saturating_sub(*seen) >= WINDOW)
            || self.recent.len() > usize::try_from(WINDOW).unwrap_or(usize::MAX)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::tick::Quality;

    fn trade(price: i64, ms: Option<i64>, sequence: Option<u64>) -> Tick {
        let base = 1_732_545_000_000;
        Tick {
            instrument: InstrumentId(0),
            contract: None,
            update: Update::Trade { price: Price::from_points(price), size: 1 },
            exchange_at: ms.map(|ms| Timestamp::from_nanos((base + ms) * 1_000_000)),
            received_at: Timestamp::from_nanos((base + 1_000) * 1_000_000),
            sequence,
            quality: Quality::Live,
        }
    }

    /// Which of these are admitted, and what was counted.
    fn admitted(ticks: &[Tick]) -> (Vec<bool>, Vec<(Drop, u64)>) {
        let (mut continuity, mut drops) = (Continuity::default(), Drops::default());
        let ahead = Duration::from_secs(300);
        let new = ticks.iter().map(|tick| continuity.admit(&mut tick.clone(), ahead, &mut drops)).collect();
        (new, drops.total().clone().into_iter().collect())
    }

    #[test]
    fn numbers_tell_repeats_gaps_and_late_prints_apart() {
        let (new, counted) = admitted(&[
            trade(1, Some(0), Some(10)),
            trade(1, Some(0), Some(11)),
            trade(1, Some(0), Some(11)),
            trade(2, Some(5), Some(20)),
            trade(2, Some(5), Some(10)),
            trade(9, Some(4), Some(15)),
            trade(9, Some(4), Some(15)),
            trade(2, Some(6), Some(21)),
        ]);
        assert_eq!(new, [true, true, false, true, false, true, false, true]);
        assert_eq!(counted, [(Drop::Duplicate, 3), (Drop::SequenceGap, 1)]);
    }

    #[test]
    fn a_numbering_that_begins_anew_does_not_mute_the_feed() {
        for time in [Some(10), None] {
            let mut ticks = vec![trade(1, Some(0), Some(50_000))];
            ticks.extend((1..4).map(|n| trade(1, time.map(|t| t + n), u64::try_from(n).ok())));
            let (new, counted) = admitted(&ticks);
            assert_eq!(new, [true; 4]);
            assert_eq!(counted, [(Drop::SequenceReset, 1)]);
        }
    }

    #[test]
    fn without_numbers_a_last_trade_sent_again_is_a_repeat() {
        let (new, _) = admitted(&[
            trade(1, Some(0), None),
            trade(1, Some(0), None),
            trade(2, Some(0), None),
            trade(1, Some(0), None),
            trade(1, Some(1), None),
        ]);
        assert_eq!(new, [true, false, true, true, true]);
    }

    #[test]
    fn without_number_and_time_every_print_counts() {
        assert_eq!(admitted(&[trade(1, None, None), trade(1, None, None)]).0, [true, true]);
    }

    #[test]
    fn times_that_cannot_be_are_taken_out() {
        let mut drops = Drops::default();
        for ms in [-1_732_545_000_000, 400_000, 9_000_000_000_000 - 1_732_545_000_000] {
            let mut tick = trade(1, Some(ms), None);
            assert!(Continuity::default().admit(&mut tick, Duration::from_secs(300), &mut drops));
            assert_eq!(tick.exchange_at, None);
        }
        assert_eq!(drops.total().get(&Drop::BadTime), Some(&3));
    }
}
