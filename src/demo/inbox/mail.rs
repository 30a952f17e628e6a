//! A mail server that keeps what it gets. It relays nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::demo::inbox::{Identity, InboxError, Kept, smtp};

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct MailOptions {
    /// With it the server offers STARTTLS and wants it before a login.
    pub tls: Option<Identity>,
    /// TLS from the first byte instead of STARTTLS.
    pub implicit_tls: bool,
    /// With it a login is needed before any mail.
    pub login: Option<(String, String)>,
    /// The largest mail, in bytes.
    pub size_max: usize,
    /// How it misbehaves.
    pub faults: Vec<MailFault>,
}

impl Default for MailOptions {
    fn default() -> Self {
        Self { tls: None, implicit_tls: false, login: None, size_max: 1 << 20, faults: Vec::new() }
    }
}

/// One way in which a mail server misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailFault {
    /// Connections are accepted, and not a word is said.
    Silent,
    /// `550` for this recipient.
    RefuseRecipient(String),
    /// This reply to every command of this verb (`MAIL`), or to the connection itself (`CONNECT`).
    Answer {
        /// In capitals.
        verb: String,
        /// Such as `451 4.3.0 try later`.
        reply: String,
    },
    /// This reply to the `nth` mail (counted from 1) after its last line; the mail is not kept.
    AnswerMail {
        /// Which.
        nth: u32,
        /// Such as `451 4.3.0 try later`.
        reply: String,
    },
    /// The `nth` mail (counted from 1) is kept, and the connection ends before the answer.
    HangUpAfterMail {
        /// Which.
        nth: u32,
    },
}

/// One received mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// Headers and body, as sent.
    pub data: String,
    /// Who logged in.
    pub login: Option<String>,
    /// Whether it came over TLS.
    pub tls: bool,
}

impl Mail {
    /// The value of a header, unfolded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        header(&self.data, name)
    }

    /// The body of the first part of this type (`text/plain`), decoded.
    #[must_use]
    pub fn part(&self, media_type: &str) -> Option<String> {
        let bytes = self.bytes(media_type)?;
        Some(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"))
    }

    /// The same for what is no text (`image/png`).
    #[must_use]
    pub fn bytes(&self, media_type: &str) -> Option<Vec<u8>> {
        part(&self.data, media_type)
    }
}

/// Parts may be made of parts.
fn part(text: &str, media_type: &str) -> Option<Vec<u8>> {
    let content_type = header(text, "Content-Type")?;
    let body = text.split_once("\r\n\r\n")?.1;
    if content_type.starts_with(media_type) {
        return Some(decoded(body, header(text, "Content-Transfer-Encoding").as_deref()));
    }
    let boundary = content_type.split("boundary=").nth(1)?.split(';').next()?.trim_matches('"');
    let delimiter = format!("--{boundary}");
    body.split(delimiter.as_str()).skip(1).find_map(|inner| part(inner.trim_start(), media_type))
}

fn header(text: &str, name: &str) -> Option<String> {
    let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
    head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    })
}

fn decoded(body: &str, encoding: Option<&str>) -> Vec<u8> {
    match encoding {
        Some("base64") => BASE64.decode(body.split_whitespace().collect::<String>()).unwrap_or_default(),
        Some("quoted-printable") => unquoted(&body.replace("=\r\n", "")),
        Some(_) | None => body.as_bytes().to_vec(),
    }
}

/// `=E2` becomes its byte; what is no such code stays.
fn unquoted(text: &str) -> Vec<u8> {
    let mut pieces = text.split('=');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let byte = piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match (byte, piece.get(2..)) {
            (Some(byte), Some(rest)) => {
                bytes.push(byte);
                bytes.extend_from_slice(rest.as_bytes());
            }
            (Some(_) | None, _) => {
                bytes.push(b'=');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    bytes
}

/// A mail server on a free port of 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct MailServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// What the connections of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) login: Option<(String, String)>,
    pub(super) size_max: usize,
    pub(super) kept: Kept<Mail>,
    faults: Mutex<Vec<MailFault>>,
    mails: AtomicU32,
    connections: AtomicU32,
}

impl Shared {
    pub(super) fn faults(&self) -> Vec<MailFault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the mail that just ended, from 1.
    pub(super) fn next_mail(&self) -> u32 {
        self.mails.fetch_add(1, Ordering::SeqCst).saturating_add(1)
    }
}

impl MailServer {
    /// Starts a server.
    ///
    /// # Errors
    /// When there is no port, or the certificate does not work.
    pub async fn start(options: MailOptions) -> Result<Self, InboxError> {
        let acceptor = options.tls.as_ref().map(Identity::server_config).transpose()?.map(TlsAcceptor::from);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(InboxError::Listen)?;
        let address = listener.local_addr().map_err(InboxError::Listen)?;
        let shared = Arc::new(Shared {
            login: options.login,
            size_max: options.size_max,
            kept: Kept::new(),
            faults: Mutex::new(options.faults),
            mails: AtomicU32::new(0),
            connections: AtomicU32::new(0),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), acceptor, options.implicit_tls));
        Ok(Self { address, shared, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mails so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Mail> {
        self.shared.kept.all()
    }

    /// The mails so far, once there are `n` of them, or after `deadline`.
    pub async fn wait_for(&self, n: usize, deadline: Duration) -> Vec<Mail> {
        self.shared.kept.wait_for(n, deadline).await
    }

    /// From now on it misbehaves in these ways.
    pub fn set_faults(&self, faults: Vec<MailFault>) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// How many connections it has accepted.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>, implicit_tls: bool) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_ended) = sessions.join_next() => {}
            accepted = listener.accept() => {
                // A connection that failed before it began is the peer's affair.
                if let Ok((stream, _)) = accepted {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    sessions.spawn(smtp::serve(stream, Arc::clone(&shared), tls.clone(), implicit_tls));
                }
            }
        }
    }
}
