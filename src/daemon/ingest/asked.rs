//! What is asked of a venue: the contracts in force, and near a roll the next ones too. It asks nobody itself.

use std::time::Duration;

use crate::config::feed::FeedInstrument;
use crate::feed::protocol::Wire;
use crate::market::instrument::Instrument;
use crate::market::symbol::ContractMonth;
use crate::time::Timestamp;

/// A subscription together with the instrument it is for.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// As configured.
    pub subscription: FeedInstrument,
    /// Whose months and rolls count.
    pub instrument: Instrument,
}

impl Subscribed {
    /// What is asked of the venue at this time: the month in force, and near its end the next one too, so that the
    /// spread between the two is measured before the roll. A feed whose messages name no symbol can carry only one.
    pub(super) fn wires(&self, at: Timestamp, tells_apart: bool) -> Vec<Wire> {
        let front = self.subscription.contract.or(self.instrument.front(at));
        let mut wires = vec![self.wire(front)];
        if let Some((roll, next)) = self.next_roll(at).filter(|(roll, _)| tells_apart && sight(*roll) <= at) {
            let wire = self.wire(Some(next));
            if roll > at && wires.iter().all(|other| other.symbol != wire.symbol) {
                wires.push(wire);
            }
        }
        wires
    }

    fn wire(&self, contract: Option<ContractMonth>) -> Wire {
        let name = contract.map_or_else(
            || self.instrument.root.as_str().to_owned(),
            |month| self.instrument.symbol(month).to_string(),
        );
        let symbol = self.subscription.symbol.fill(|part| (part == "contract").then(|| name.clone()));
        Wire { instrument: self.subscription.instrument, contract, symbol }
    }

    fn next_roll(&self, at: Timestamp) -> Option<(Timestamp, ContractMonth)> {
        if self.subscription.contract.is_some() { None } else { self.instrument.next_roll(at) }
    }

    /// When the answer of `wires` changes.
    pub(super) fn rolls_at(&self, at: Timestamp) -> Option<Timestamp> {
        let (roll, _) = self.next_roll(at)?;
        Some(if at < sight(roll) { sight(roll) } else { roll })
    }
}

/// The next month comes into sight four days before the roll, half an hour before that day's session.
fn sight(roll: Timestamp) -> Timestamp {
    const AHEAD: Duration = Duration::from_secs(4 * 86_400 + 30 * 60);
    roll.saturating_sub(AHEAD)
}
