//! The one integration-test binary: what holds for the whole program, seen from outside.
//!
//! Unit tests stand beside the code; nothing here repeats them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "this crate is tests only, its helpers too"
)]

mod architecture;
mod calm;
mod charts;
mod commands;
mod configuration;
mod derived;
mod digest;
mod faults;
mod levels;
mod market_data;
mod recording;
mod records;
mod rehearsal;
mod replay;
mod secrets;
mod situations;
mod support;
mod venues;
