//! breakwatch: tells people, once, with its reasons and its delay, when a price level breaks.

pub mod time;

pub mod market;

pub mod event;

pub mod feed;

pub mod engine;

pub mod outbox;

pub mod deliver;

pub mod demo;
