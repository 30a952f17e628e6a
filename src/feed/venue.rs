//! One of the protocols that a feed can speak. It decides nothing: every call goes to the vendor's own file.

use secrecy::SecretString;

use crate::feed::drops::Drops;
use crate::feed::json::Json;
use crate::feed::massive::Massive;
use crate::feed::projectx::Projectx;
use crate::feed::protocol::{Frame, Protocol, Reply, Request, Timing, Wire};
use crate::market::tick::Tick;
use crate::time::Timestamp;

/// A vendor's protocol, chosen by configuration.
#[derive(Debug)]
pub enum Venue {
    /// Any JSON-over-WebSocket source, by description.
    Json(Box<Json>),
    /// Massive, formerly Polygon.io.
    Massive(Box<Massive>),
    /// ProjectX: TopstepX and other prop firms.
    Projectx(Box<Projectx>),
}

impl Venue {
    fn inner(&self) -> &dyn Protocol {
        match self {
            Self::Json(json) => json.as_ref(),
            Self::Massive(massive) => massive.as_ref(),
            Self::Projectx(projectx) => projectx.as_ref(),
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Protocol {
        match self {
            Self::Json(json) => json.as_mut(),
            Self::Massive(massive) => massive.as_mut(),
            Self::Projectx(projectx) => projectx.as_mut(),
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

    fn silence_hint(&self) -> String {
        self.inner().silence_hint()
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
