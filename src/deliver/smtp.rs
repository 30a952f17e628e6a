//! One SMTP transaction, step by step, so that a failure says at which step and what for.
//!
//! Stands on lettre's connection rather than on its transport: the transport's pool keeps a connection whose
//! use was cut short by a timeout, and hides the step. Nothing here has a timeout of its own except the good
//! manners: callers bound the whole.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use secrecy::ExposeSecret;

use crate::deliver::answer::chain;
use crate::deliver::tls;
use crate::deliver::{DeliverError, EmailSettings, SmtpTls};

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
    /// Connection, greeting, TLS.
    Connect,
    /// User and password.
    Login,
    /// `MAIL FROM`.
    Sender,
    /// `RCPT TO`.
    Recipient,
    /// `DATA` and the mail itself.
    Content,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "at the connection",
            Self::Login => "at the login",
            Self::Sender => "at the sender's address",
            Self::Recipient => "at the recipient's address",
            Self::Content => "at the mail itself",
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
    /// No trust, or no TLS at all, in words.
    Tls(String),
    /// The server lacks what the settings ask for.
    Setup(String),
    /// The server lacks what this address needs.
    Unsupported(&'static str),
    /// The connection could not be made, or ended, or what came was not SMTP.
    Network(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply { code, text } => write!(f, "{code} {text}"),
            Self::Tls(words) => write!(f, "TLS failed: {words}"),
            Self::Setup(words) | Self::Network(words) => f.write_str(words),
            Self::Unsupported(words) => f.write_str(words),
        }
    }
}

impl From<smtp::Error> for Failure {
    fn from(error: smtp::Error) -> Self {
        if let Some(words) = tls::explain(&error) {
            return Self::Tls(words);
        }
        if let Some(code) = error.status() {
            let text = error.source().map(ToString::to_string).unwrap_or_default();
            return Self::Reply { code: code.into(), text };
        }
        if error.is_client() {
            let words = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            return Self::Setup(words);
        }
        Self::Network(chain(&error))
    }
}

/// Where mail is handed in, and how.
pub(super) struct Server {
    host: String,
    port: u16,
    protection: SmtpTls,
    tls: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
}

impl Server {
    pub(super) fn new(settings: EmailSettings) -> Result<Self, DeliverError> {
        let tls = match settings.tls {
            SmtpTls::Plain => None,
            SmtpTls::Implicit | SmtpTls::StartTls => Some(parameters(&settings)?),
        };
        let login = settings.login;
        Ok(Self {
            host: settings.host,
            port: settings.port,
            protection: settings.tls,
            tls,
            credentials: login
                .map(|(user, password)| Credentials::new(user, password.expose_secret().to_owned())),
            hello: ClientId::default(),
        })
    }

    /// A connection with its protection and login done.
    pub(super) async fn connect(&self, timeout: Duration, stage: &mut Stage) -> Result<Connection, Failure> {
        *stage = Stage::Connect;
        let implicit = self.tls.clone().filter(|_| self.protection == SmtpTls::Implicit);
        let address = (self.host.as_str(), self.port);
        let connecting = Connection::connect_tokio1(address, Some(timeout), &self.hello, implicit, None);
        let mut connection = Box::pin(connecting).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.protection == SmtpTls::StartTls) {
            if !connection.can_starttls() {
                return Err(Failure::Setup(
                    "the server does not offer STARTTLS, and plain text is not allowed".to_owned(),
                ));
            }
            Box::pin(connection.starttls(tls, &self.hello)).await?;
        }
        if let Some(credentials) = &self.credentials {
            *stage = Stage::Login;
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
}

fn parameters(settings: &EmailSettings) -> Result<TlsParameters, DeliverError> {
    let failed =
        |source: smtp::Error| DeliverError::Tls { host: settings.host.clone(), source: Box::new(source) };
    let mut builder = TlsParameters::builder(settings.host.clone());
    let extra = settings.extra_roots.as_deref().map(tls::certificates).transpose()?;
    for root in extra.unwrap_or_default() {
        builder = builder.add_root_certificate(Certificate::from_der(root.to_vec()).map_err(failed)?);
    }
    builder.build_rustls().map_err(failed)
}

/// Hands in one mail; the server's answer is the receipt.
pub(super) async fn send(
    connection: &mut Connection,
    envelope: &Envelope,
    data: &[u8],
    stage: &mut Stage,
) -> Result<String, Failure> {
    *stage = Stage::Sender;
    connection
        .command(Mail::new(Some(envelope.from.clone()), mail_parameters(connection, envelope)?))
        .await?;
    *stage = Stage::Recipient;
    connection.command(Rcpt::new(envelope.to.clone(), Vec::new())).await?;
    *stage = Stage::Content;
    connection.command(Data).await?;
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
