//! One SMTP transaction, step by step, so that a failure says at which step and what for.
//!
//! Stands on lettre's connection rather than on its transport: the transport's pool keeps a connection whose
//! use was cut short by a timeout, and hides the step. Nothing here has a timeout of its own except the good
//! manners: callers bound the whole.

mod login;
pub(super) mod server;
mod wire;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailParameter};

use crate::deliver::answer::chain;
use crate::deliver::tls;
use crate::time::format_duration;

/// A connection to the server, logged in.
pub(super) type Connection = AsyncSmtpConnection;

/// Good manners towards a peer take no longer than this.
const MANNERS: Duration = Duration::from_secs(1);

/// From whom and to whom.
pub(super) struct Envelope {
    pub(super) from: Address,
    pub(super) to: Address,
}

/// How far an attempt came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Getting the password, when it has to be new.
    Password,
    /// Connection, greeting, TLS.
    Connect,
    /// User and password.
    Login,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA`, before the mail.
    Content,
    /// The mail itself, up to the answer: from here on it may have arrived.
    End,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password => "while asking for a new password",
            Self::Connect => "at the connection",
            Self::Login => "at the login",
            Self::Sender => "at the sender's address",
            Self::Recipient => "at the recipient's address",
            Self::Content | Self::End => "at the mail itself",
        })
    }
}

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server said no.
    Reply {
        /// Three digits.
        code: u16,
        /// Its words.
        text: String,
    },
    /// No trust, in words.
    Trust(String),
    /// The server lacks what the settings ask for.
    Setup(String),
    /// The server lacks what this address needs.
    Unsupported(&'static str),
    /// The connection could not be made, or ended, or what came was not SMTP or not TLS.
    Network(String),
    /// Nothing came for so long.
    Silent(Duration),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { code, text } => write!(f, "{code} {text}"),
            Self::Trust(words) => write!(f, "TLS failed: {words}"),
            Self::Setup(words) | Self::Network(words) => f.write_str(words),
            Self::Unsupported(words) => f.write_str(words),
            Self::Silent(waited) => write!(f, "no answer within {}", format_duration(*waited)),
        }
    }
}

impl Failure {
    /// What an error of the connection means.
    fn of(error: &(dyn Error + 'static)) -> Self {
        match tls::explain(error) {
            Some(tls::Trouble::Trust(words)) => return Self::Trust(words),
            Some(tls::Trouble::Handshake(words)) => return Self::Network(format!("TLS failed: {words}")),
            None => {}
        }
        let Some(smtp) = error.downcast_ref::<smtp::Error>() else { return Self::Network(chain(error)) };
        let source = || smtp.source().map(ToString::to_string);
        match smtp.status() {
            Some(code) => Self::Reply { code: code.into(), text: source().unwrap_or_default() },
            None if smtp.is_client() => Self::Setup(source().unwrap_or_else(|| smtp.to_string())),
            None => Self::Network(chain(error)),
        }
    }
}

impl From<smtp::Error> for Failure {
    fn from(error: smtp::Error) -> Self {
        Self::of(&error)
    }
}

/// Everything before the mail itself: while this is not done, the server has nothing.
pub(super) async fn announce(
    connection: &mut Connection,
    envelope: &Envelope,
    stage: &mut Stage,
) -> Result<(), Failure> {
    *stage = Stage::Sender;
    connection
        .command(Mail::new(Some(envelope.from.clone()), mail_parameters(connection, envelope)?))
        .await?;
    *stage = Stage::Recipient;
    connection.command(Rcpt::new(envelope.to.clone(), Vec::new())).await?;
    *stage = Stage::Content;
    connection.command(Data).await?;
    Ok(())
}

/// The mail itself; the server's answer is the receipt. Without an answer nobody knows whether it was taken.
pub(super) async fn hand_in(connection: &mut Connection, data: &[u8]) -> Result<String, Failure> {
    let response = connection.message(data).await?;
    let words: Vec<&str> = response.message().collect();
    Ok(format!("{} {}", response.code(), words.join(" ")))
}

fn mail_parameters(connection: &Connection, envelope: &Envelope) -> Result<Vec<MailParameter>, Failure> {
    let ascii = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
    if ascii(&envelope.from) && ascii(&envelope.to) {
        return Ok(Vec::new());
    }
    if connection.server_info().supports_feature(Extension::SmtpUtfEight) {
        return Ok(vec![MailParameter::SmtpUtfEight]);
    }
    Err(Failure::Unsupported("the server takes no addresses beyond ASCII"))
}

/// The connection, if the server still answers on it.
pub(super) async fn still_alive(mut connection: Connection) -> Option<Connection> {
    let alive = tokio::time::timeout(MANNERS, connection.test_connected()).await;
    (alive == Ok(true)).then_some(connection)
}

/// Ends a failed transaction: the connection is good for the next one, or gone.
pub(super) async fn reset(connection: Option<Connection>, failure: &Failure) -> Option<Connection> {
    let mut connection = connection?;
    // 421 announces that the server closes the connection.
    if !matches!(failure, Failure::Reply { code, .. } if *code != 421) {
        return None;
    }
    let answered = tokio::time::timeout(MANNERS, connection.command(Rset)).await;
    matches!(answered, Ok(Ok(_))).then_some(connection)
}
