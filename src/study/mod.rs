//! The engine over recorded data, and what became of its breaks.
//!
//! Pure: reading files and printing belong to the command line.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod replay;
