//! Decides what price did to levels.

#![warn(clippy::arithmetic_side_effects, clippy::float_arithmetic)]

pub mod rule;
