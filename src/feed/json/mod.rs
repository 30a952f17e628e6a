//! Any JSON-over-WebSocket source, described by configuration instead of code.

pub mod spec;
