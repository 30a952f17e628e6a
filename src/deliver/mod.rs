//! One attempt on one channel, never a retry.
//!
//! A channel classifies what its peer answered as an [`Outcome`]; `outbox::retry` decides what follows.

use std::time::Duration;

use secrecy::SecretString;

/// What a channel needs to know. Built from the configuration, with its secrets read.
#[derive(Clone, Debug)]
pub enum Settings {
    /// Lines on standard output.
    Console,
    /// Mail by SMTP.
    Email(EmailSettings),
    /// A Slack incoming webhook.
    Slack(SlackSettings),
    /// A signed webhook (Standard Webhooks).
    Webhook(WebhookSettings),
}

/// Mail by SMTP.
#[derive(Clone, Debug)]
pub struct EmailSettings {
    /// `Breakwatch <alerts@example.com>`
    pub from: String,
    /// One delivery each.
    pub to: Vec<String>,
    /// Server name, also for the certificate.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// User and password, when the server wants them.
    pub login: Option<(String, SecretString)>,
    /// A PEM file's content with further roots to trust.
    pub extra_roots: Option<Vec<u8>>,
    /// For the whole attempt.
    pub timeout: Duration,
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

/// A Slack incoming webhook. The address is the secret.
#[derive(Clone, Debug)]
pub struct SlackSettings {
    /// The address.
    pub url: SecretString,
    /// For the whole attempt.
    pub timeout: Duration,
}

/// A signed webhook.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// The address; may carry a secret.
    pub url: SecretString,
    /// `whsec_` + base64 of 24 to 64 bytes; the first signs first, all sign (key rotation).
    pub secrets: Vec<SecretString>,
    /// For the whole attempt.
    pub timeout: Duration,
    /// A PEM file's content with further roots to trust.
    pub extra_roots: Option<Vec<u8>>,
    /// Link-local and metadata addresses are refused unless this is set.
    pub allow_link_local: bool,
}
