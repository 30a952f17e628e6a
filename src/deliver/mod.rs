//! One attempt on one channel, never a retry.
//!
//! A channel classifies what its peer answered as an [`Outcome`]; `outbox::retry` decides what follows. Every
//! await on a peer ends with the channel's timeout, and no secret reaches an outcome, an error or a `Debug`.

mod answer;
pub mod console;
mod email;
mod exec;
mod guard;
mod http;
mod slack;
mod smtp;
mod tls;
mod webhook;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use thiserror::Error;

use crate::event::{Event, EventId};
use crate::outbox::Outcome;
use crate::outbox::message::Message;
use crate::outbox::message::formats::telegram::Chat;
use crate::time::Timestamp;

/// What a channel needs to know. Built from the configuration, with its secrets read.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Lines on standard output.
    Console,
    /// Mail by SMTP.
    Email(EmailSettings),
    /// Slack, by an incoming webhook or a bot.
    Slack(SlackSettings),
    /// A webhook: signed (Standard Webhooks), or as another service takes it.
    Webhook(WebhookSettings),
    /// A program.
    Exec(ExecSettings),
}

/// Mail by SMTP.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// `Breakwatch <alerts@example.com>`
    pub from: String,
    /// One delivery each.
    pub to: Vec<String>,
    /// At least one, in the order in which they are tried.
    pub servers: Vec<SmtpServer>,
    /// For the whole attempt, however many servers it tries.
    pub timeout: Duration,
}

/// One server that takes mail.
#[derive(Clone, Debug)]
pub struct SmtpServer {
    /// Server name, also for the certificate.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// When the server wants one.
    pub login: Option<SmtpLogin>,
    /// A PEM file's content with further roots to trust.
    pub extra_roots: Option<Vec<u8>>,
}

/// A user of a mail server.
#[derive(Clone, Debug)]
pub struct SmtpLogin {
    /// The user's name.
    pub user: String,
    /// The password, or the access token.
    pub password: SecretString,
    /// Set when the password does not last.
    pub renewal: Option<Renewal>,
    /// How to log in; `None` = the best of PLAIN and LOGIN that the server offers.
    pub mechanism: Option<SmtpAuth>,
}

/// How to log in at a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpAuth {
    /// User and password at once.
    Plain,
    /// User and password one after the other.
    Login,
    /// User and access token.
    Xoauth2,
}

/// A secret that is read again when it is `ttl` old, or when the peer refuses it.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// So long it is good.
    pub ttl: Duration,
    /// Where it comes from.
    pub source: Arc<dyn ReadAgain>,
}

/// Reads a secret again. The channels do not know where secrets come from.
pub trait ReadAgain: fmt::Debug + Send + Sync {
    /// The secret as it is now, or in words why it cannot be had, with nothing secret in them.
    fn read_again(&self) -> BoxFuture<'_, Result<SecretString, String>>;
}

/// How an SMTP connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// TLS from the first byte (465).
    Implicit,
    /// STARTTLS, required: never falls back to plain text (587).
    StartTls,
    /// None: loopback, or explicitly allowed.
    Plain,
}

/// Slack.
#[derive(Clone, Debug)]
pub struct SlackSettings {
    /// How it is reached.
    pub way: SlackWay,
    /// For one request.
    pub timeout: Duration,
}

/// How Slack is reached.
#[derive(Clone, Debug)]
pub enum SlackWay {
    /// An incoming webhook.
    Webhook {
        /// The address is the secret.
        url: SecretString,
    },
    /// A bot that calls `chat.postMessage`; it can answer in threads.
    Bot {
        /// `xoxb-…`, with the scope `chat:write`.
        token: SecretString,
        /// `C0123456789` or `#name`.
        channel: String,
        /// Where the methods are: `https://slack.com/api`.
        api: String,
    },
}

/// A webhook.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The address; may carry a secret.
    pub url: SecretString,
    /// In which form it tells.
    pub format: WebhookFormat,
    /// Sent beside the body.
    pub headers: Vec<(String, HeaderText)>,
    /// For the whole attempt.
    pub timeout: Duration,
    /// A PEM file's content with further roots to trust.
    pub extra_roots: Option<Vec<u8>>,
    /// Link-local and metadata addresses are refused unless this is set.
    pub allow_link_local: bool,
}

/// What stands in a header.
#[derive(Clone, Debug)]
pub struct HeaderText {
    /// The whole value, secrets filled in.
    pub value: SecretString,
    /// The secrets in it.
    pub secrets: Vec<SecretString>,
}

/// In which form a webhook tells, with what that form needs besides the address.
#[derive(Clone, Debug)]
pub enum WebhookFormat {
    /// Signed JSON (Standard Webhooks).
    Standard {
        /// `whsec_` + base64 of 24 to 64 bytes; the first signs first, all sign (key rotation).
        secrets: Vec<SecretString>,
    },
    /// A Discord webhook. The address is the secret.
    Discord,
    /// An ntfy server.
    Ntfy {
        /// Who knows it can read what is told there, so it is kept as a secret.
        topic: SecretString,
    },
    /// PagerDuty's Events API v2.
    Pagerduty {
        /// The integration's key.
        routing_key: SecretString,
    },
    /// Alertmanager's API v2.
    Alertmanager,
    /// A Teams workflow or incoming webhook. The address is the secret.
    Teams,
    /// Telegram's `sendMessage`. The address holds the bot's token.
    Telegram {
        /// Who is written to.
        chat: Chat,
    },
    /// Any service that takes TradingView's alerts: JSON or text.
    Tradingview,
}

/// A program that reads the event on its standard input.
#[derive(Clone, Debug)]
pub struct ExecSettings {
    /// Its absolute path.
    pub program: String,
    /// What it is given; other users of the machine can see it.
    pub arguments: Vec<String>,
    /// For the whole attempt.
    pub timeout: Duration,
}

/// Why a channel cannot be opened. No message carries a secret.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// A sender or recipient is not an address.
    #[error("{value:?} is not a mail address like \"Breakwatch <alerts@example.com>\"")]
    BadAddress {
        /// What was given.
        value: String,
        /// What is wrong with it.
        #[source]
        source: lettre::address::AddressError,
    },
    /// Mail without a recipient.
    #[error("a mail channel needs at least one recipient")]
    NoRecipient,
    /// Mail without a server.
    #[error("a mail channel needs at least one server")]
    NoServer,
    /// The further roots are no certificates.
    #[error("the further roots to trust are not PEM certificates")]
    BadRoots,
    /// TLS cannot be set up.
    #[error("TLS to {host:?} cannot be set up")]
    Tls {
        /// The peer.
        host: String,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The address is not one; it is a secret, so it is not shown.
    #[error("the address of a {channel} channel is not an http:// or https:// URL")]
    BadUrl {
        /// The kind of the channel.
        channel: &'static str,
    },
    /// The address is link-local, where clouds keep credentials.
    #[error("the address of a webhook is {0}, a link-local or metadata address, which is not allowed")]
    Forbidden(std::net::IpAddr),
    /// A signing secret has the wrong form; it is not shown.
    #[error("a webhook secret must be whsec_ and the base64 form of 24 to 64 bytes")]
    BadSecret,
    /// A webhook that nobody could verify.
    #[error("a webhook needs at least one secret to sign with")]
    NoSecret,
    /// What stands in a header cannot stand there; it may be a secret, so it is not shown.
    #[error("{what} cannot stand in a header")]
    BadHeader {
        /// What it is.
        what: String,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] reqwest::Error),
}

/// What is to be delivered once, to one target.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its words.
    pub message: &'a Message,
    /// One of [`Channel::targets`].
    pub target: &'a str,
    /// The first event of the thread, when it is another one.
    pub first_in_thread: Option<&'a EventId>,
    /// The receipt of the message of this thread that was taken last, on the same channel and target.
    pub thread_receipt: Option<&'a str>,
    /// When this attempt is made, by the wall clock.
    pub sent_at: Timestamp,
    /// A picture (PNG) for channels that show one; the message was rendered with its place.
    pub picture: Option<&'a [u8]>,
}

/// A way to tell people. It makes single attempts; several at once are allowed.
pub enum Channel {
    /// Lines on a terminal or in a file.
    Console(console::Console),
    /// Mail.
    Email(Box<email::Email>),
    /// Slack.
    Slack(Box<slack::Slack>),
    /// A webhook.
    Webhook(Box<webhook::Webhook>),
    /// A program.
    Exec(Box<exec::Exec>),
}

impl Channel {
    /// Opens the channel: checks its settings and reads the machine's trusted roots. Nothing is connected.
    ///
    /// # Errors
    /// When the settings cannot work.
    pub fn open(settings: Settings) -> Result<Self, DeliverError> {
        Ok(match settings {
            Settings::Console => Self::Console(console::Console::stdout()),
            Settings::Email(settings) => Self::Email(Box::new(email::Email::open(settings)?)),
            Settings::Slack(settings) => Self::Slack(Box::new(slack::Slack::open(settings)?)),
            Settings::Webhook(settings) => Self::Webhook(Box::new(webhook::Webhook::open(&settings)?)),
            Settings::Exec(settings) => Self::Exec(Box::new(exec::Exec::open(settings))),
        })
    }

    /// The kind, as it is called in the configuration.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Console(_) => "console",
            Self::Email(_) => "email",
            Self::Slack(_) => "slack",
            Self::Webhook(_) => "webhook",
            Self::Exec(_) => "exec",
        }
    }

    /// Whether a message answers to an earlier one of its thread by what the peer said of that one.
    #[must_use]
    pub const fn answers(&self) -> bool {
        match self {
            Self::Slack(slack) => slack.answers(),
            Self::Console(_) | Self::Email(_) | Self::Webhook(_) | Self::Exec(_) => false,
        }
    }

    /// One delivery each: the recipients of a mail, one empty text for other channels.
    #[must_use]
    pub fn targets(&self) -> Vec<String> {
        match self {
            Self::Email(email) => email.targets().to_vec(),
            Self::Console(_) | Self::Slack(_) | Self::Webhook(_) | Self::Exec(_) => vec![String::new()],
        }
    }

    /// One attempt. It ends within the channel's timeout, give or take a second of good manners; a bot of Slack
    /// may need two requests.
    ///
    /// When the future is dropped before its end, the peer may or may not have got the letter; nothing else is
    /// left behind.
    pub async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        match self {
            Self::Console(console) => console.attempt(letter).await,
            Self::Email(email) => Box::pin(email.attempt(letter)).await,
            Self::Slack(slack) => Box::pin(slack.attempt(letter)).await,
            Self::Webhook(webhook) => Box::pin(webhook.attempt(letter)).await,
            Self::Exec(exec) => Box::pin(exec.attempt(letter)).await,
        }
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Channel({})", self.kind())
    }
}
