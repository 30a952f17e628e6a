//! Between the socket and the session: what is told is taken down where there is a tape.

use secrecy::SecretString;

use crate::daemon::ingest::FeedDriver;
use crate::daemon::ingest::asked::Subscribed;
use crate::feed::protocol::{Protocol, Wire};
use crate::feed::session::{Input, Now, Output};
use crate::feed::tape::{Asked, TapeWire};

impl FeedDriver {
    /// Tells the session, and takes it down where there is a tape.
    pub(super) fn tell(&mut self, input: Input<'_>, now: Now, outputs: &mut Vec<Output>) {
        let Some(tape) = &mut self.tape else { return self.session.handle(input, now, outputs) };
        let before = outputs.len();
        self.session.handle(input.clone(), now, outputs);
        tape.told(&input, now, outputs.len() > before, self.session.protocol());
    }

    /// Tells the protocol what is asked for on the next connection.
    pub(super) fn ask(&mut self, wires: Vec<Wire>, secrets: Vec<(String, SecretString)>, now: Now) {
        if let Some(tape) = &mut self.tape {
            let secrets = secrets.iter().map(|(name, _)| name.clone()).collect();
            let wires = wires.iter().map(|wire| on_tape(wire, &self.subscribed)).collect();
            tape.asked(Asked { wires, secrets }, now);
        }
        let protocol = self.session.protocol();
        for (name, secret) in secrets {
            protocol.set_secret(&name, secret);
        }
        protocol.set_wires(wires);
    }
}

fn on_tape(wire: &Wire, subscribed: &[Subscribed]) -> TapeWire {
    let of_wire = |s: &&Subscribed| s.subscription.instrument == wire.instrument;
    let instrument = subscribed.iter().find(of_wire).map(|s| s.instrument.root.as_str().to_owned());
    TapeWire {
        instrument: instrument.unwrap_or_default(),
        contract: wire.contract,
        symbol: wire.symbol.clone(),
    }
}
