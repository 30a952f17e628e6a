//! One of the protocols that a feed can speak. It decides nothing: every call goes to the vendor's own file.

use secrecy::SecretString;

use crate::feed::drops::Drops;
use crate::feed::json::Json;
use crate::feed::protocol::{Frame, Protocol, Reply, Request, Timing, Wire};
use crate::market::tick::Tick;
use crate::time::Timestamp;

/// A vendor's protocol, chosen by configuration.
#[derive(Debug)]
pub enum Venue {
    /// Any JSON-over-WebSocket source, by description.
    Json(Box<Json>),
}

impl Venue {
    fn inner(&self) -> &dyn Protocol {
        match self {
            Self::Json(json) => json.as_ref(),
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Protocol {
        match self {
            Self::Json(json) => json.as_mut(),
        }
    }
}

impl Protocol for Venue {
    fn timing(&self) -> Timing {
        self.inner().timing()
    }

    fn set_wires(&mut self, wires: Vec<Wire>) {
        self.inner_mut().set_wires(wires);
    }

    fn set_secret(&mut self, name: &str, secret: SecretString) {
        self.inner_mut().set_secret(name, secret);
    }

    fn request(&self) -> Request {
        self.inner().request()
    }

    fn connected(&mut self, reply: &mut Reply) {
        self.inner_mut().connected(reply);
    }

    fn frame(&mut self, frame: Frame<'_>, received_at: Timestamp, reply: &mut Reply) {
        self.inner_mut().frame(frame, received_at, reply);
    }

    fn subscribe(&mut self, reply: &mut Reply) {
        self.inner_mut().subscribe(reply);
    }

    fn is_in_force(&self, tick: &Tick) -> bool {
        self.inner().is_in_force(tick)
    }

    fn beat(&mut self, reply: &mut Reply) {
        self.inner_mut().beat(reply);
    }

    fn scrub(&self, text: &str) -> String {
        self.inner().scrub(text)
    }

    fn drops(&mut self) -> &mut Drops {
        self.inner_mut().drops()
    }
}
