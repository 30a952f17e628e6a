//! The tasks of the running daemon, and nothing else.
//!
//! ```text
//!  venue ──frames──► ingest (one per feed) ──items──► watch ──commit──► ledger
//!                     feed::Session                    engine::Engine      │
//!                     clock, socket                        │ bell          │ due rows
//!                                                          ▼               ▼
//!                                                     dispatch (one per channel) ──► mail, Slack, webhook
//!
//!  signal ──► stop: ingest closes, watch drains and commits, dispatch ends the attempt in hand, the ledger closes
//!  notify ──► systemd: ready, alive while every task makes progress, stopping
//! ```
//!
//! All tasks live in one `JoinSet`; one that ends early ends the process, and systemd starts it again.

pub mod bell;
pub mod care;
pub mod chain;
pub mod clock;
pub mod dispatch;
pub mod health;
pub mod ingest;
pub mod notify;
pub mod past;
pub mod picture;
pub mod plan;
pub mod pulse;
pub mod rules;
pub mod shutdown;
pub mod start;
pub mod tape;
pub mod watch;
pub mod words;
