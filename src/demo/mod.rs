//! The whole daemon without configuration and network: an embedded venue and embedded receivers.
//!
//! The peers are real servers on loopback that know nothing of this program's types. Nothing here decides
//! about levels.

pub mod path;
pub mod venue;
