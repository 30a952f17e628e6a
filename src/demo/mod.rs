//! Everything that `breakwatch demo` brings along instead of a network: a venue, a mail server and a webhook
//! receiver, all on loopback. Tests use the same ones.
//!
//! Nothing in here is used by a real run.

pub mod inbox;
pub mod path;
pub mod show;
pub mod venue;
