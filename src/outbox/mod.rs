//! What is told to whom, when, and in which words; pure decisions over events.
//!
//! `route` chooses channels, `group` makes one message of very many, `calm` says how many a reader gets and when,
//! `digest` makes the event that stands for many, `retry` decides after every attempt, `message` turns an event into
//! text. Nothing here sends or stores.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects, clippy::float_arithmetic))]

pub mod calm;
pub mod digest;
pub mod group;
pub mod message;
pub mod retry;
pub mod route;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a peer answered to one attempt. The channel classifies; `retry` decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The peer took it.
    Accepted {
        /// What it said (a queue id, `ok`, `204 No Content`); at most 1 KiB.
        receipt: String,
    },
    /// Not now: worth another attempt.
    Deferred {
        /// Why, for people; at most 1 KiB, without secrets.
        reason: String,
        /// How long the peer asked us to wait.
        retry_after: Option<Duration>,
    },
    /// Never: this message will not be taken by this peer.
    Refused {
        /// Why, for people; at most 1 KiB, without secrets.
        reason: String,
    },
    /// The channel itself is set up wrongly (credentials, TLS): a person must act; no attempt is burned.
    Misconfigured {
        /// Why, for people; at most 1 KiB, without secrets.
        reason: String,
    },
    /// The peer wants nothing more from this channel: it is not asked again before the next start.
    Gone {
        /// Why, for people; at most 1 KiB, without secrets.
        reason: String,
    },
}
