//! The engine over recorded data, and what became of its breaks.
//!
//! Pure: reading files and printing belong to the command line. Nothing here looks ahead: a figure at a moment
//! is made of bars that were complete by then.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod baseline;
pub mod compare;
#[cfg(test)]
mod fixture;
pub mod follow;
mod hours;
pub mod interval;
pub mod mean;
pub mod outcome;
pub mod replay;
pub mod report;
pub mod series;
pub mod sweep;
mod text;
