//! What a venue wants to know before a connection, and says about it: tokens, the address to connect to, and what its
//! contracts are called. One file for each venue that has such an interface.
//!
//! One look-up, never a retry: when to ask again is the session's business. No secret reaches an error.

pub mod projectx;

use std::time::Duration;

use secrecy::SecretString;
use thiserror::Error;

use crate::feed::protocol::Wire;
use crate::time::Timestamp;

/// What a venue said before a connection.
#[derive(Debug, Default)]
pub struct Ready {
    /// Values of secrets for the protocol, by name; the address of the socket may be among them.
    pub secrets: Vec<(String, SecretString)>,
    /// What is asked of the venue, with its own names for the contracts.
    pub wires: Vec<Wire>,
}

/// Why a venue cannot be connected to. No message carries a secret.
#[derive(Debug, Error)]
pub enum AccountError {
    /// The venue refuses us: a person must act, and asking again soon does harm.
    #[error("{0}")]
    Refused(String),
    /// It did not answer, or not as expected: worth another try.
    #[error("{0}")]
    Unreachable(String),
    /// It wants to be left alone for a while.
    #[error("{said}")]
    Busy {
        /// In its words.
        said: String,
        /// For so long.
        retry_after: Option<Duration>,
    },
}

/// The times of a look-up.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// The wall's clock, for what expires at a date.
    pub wall: Timestamp,
    /// The clock that never jumps, for what is good for so long.
    pub monotonic: Duration,
}

/// A venue's interface, with what it said so far.
#[derive(Debug)]
pub enum Account {
    /// ProjectX: TopstepX and other prop firms.
    Projectx(Box<projectx::Projectx>),
}

impl Account {
    /// Asks for what the next connection needs; `wires` are what is wanted, named as the calendar and the configuration
    /// name them. What is still good is not asked for again.
    ///
    /// # Errors
    /// When the venue refuses, does not answer, or wants to be left alone.
    pub async fn ready(
        &mut self,
        http: &reqwest::Client,
        wires: Vec<Wire>,
        at: At,
    ) -> Result<Ready, AccountError> {
        match self {
            Self::Projectx(account) => account.ready(http, wires, at).await,
        }
    }

    /// Another value of a secret, for the next look-up.
    pub fn set_secret(&mut self, name: &str, secret: SecretString) {
        match self {
            Self::Projectx(account) => account.set_secret(name, secret),
        }
    }
}
