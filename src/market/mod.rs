//! The market's own words: prices, contracts, sessions, ticks and bars.
//!
//! Pure: no clock, no file, no socket. Everything here is exact; a float never becomes a price.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod bar;
pub mod bar_text;
pub mod calendar;
mod holidays;
pub mod instrument;
pub mod limits;
pub mod price;
mod session;
pub mod symbol;
pub mod tick;
pub mod trade_date;
