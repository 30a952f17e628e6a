//! breakwatch: tells people, once, with its reasons and its delay, when a price level breaks.
//!
//! Modules stand in the order in which data flows. A venue's frames become ticks (`feed`), the engine decides what
//! they did to levels (`engine`), what it established is recorded together with whom it is told to (`store`,
//! `outbox`), and then told (`deliver`). Everything up to `chart` is pure; `daemon` owns the tasks, the clock and
//! the sockets.

pub mod time;

pub mod market;

pub mod event;

pub mod feed;

pub mod engine;

pub mod outbox;

pub mod study;

pub mod chart;

pub mod store;

pub mod deliver;

pub mod account;

pub mod config;

pub mod daemon;

pub mod demo;

pub mod cli;
