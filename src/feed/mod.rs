//! From a vendor's frames to ticks: sessions, continuity and one protocol per vendor.
//!
//! Pure: the session is a transition table; whoever drives it owns the socket and the clock.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod backoff;
pub mod continuity;
pub mod drops;
pub mod json;
pub mod massive;
pub mod projectx;
pub mod protocol;
pub mod session;
pub mod tape;
pub mod venue;
