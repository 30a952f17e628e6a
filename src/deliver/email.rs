//! Mail: one recipient per letter, threads by `References`, and headers that tell machines to keep quiet.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use secrecy::ExposeSecret;

use crate::deliver::answer::Discretion;
use crate::deliver::smtp::{self, Connection, Envelope, Failure, Server, Stage};
use crate::deliver::{DeliverError, EmailSettings, Letter};
use crate::event::EventId;
use crate::outbox::Outcome;
use crate::time::{Timestamp, format_duration};

/// An idle connection is used again for so long; servers close theirs after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(45);

/// The channel.
pub struct Email {
    from: Mailbox,
    to: Vec<String>,
    server: Server,
    timeout: Duration,
    discretion: Discretion,
    /// The connection of the last letter. It is taken out while it is used, so that it is closed and not used
    /// again when an attempt is cut short.
    idle: Mutex<Option<(Connection, Timestamp)>>,
}

impl Email {
    pub(super) fn open(settings: EmailSettings) -> Result<Self, DeliverError> {
        let from = mailbox(&settings.from)?;
        if settings.to.is_empty() {
            return Err(DeliverError::NoRecipient);
        }
        for to in &settings.to {
            mailbox(to)?;
        }
        let discretion = Discretion::new(secrets(&settings));
        let (to, timeout) = (settings.to.clone(), settings.timeout);
        Ok(Self { from, to, server: Server::new(settings)?, timeout, discretion, idle: Mutex::new(None) })
    }

    pub(super) fn targets(&self) -> &[String] {
        &self.to
    }

    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        let (envelope, data) = match self.compose(letter) {
            Ok(mail) => mail,
            Err(reason) => return self.discretion.refused(&reason),
        };
        let mut stage = Stage::Connect;
        let sent =
            tokio::time::timeout(self.timeout, self.send(letter.sent_at, &envelope, &data, &mut stage)).await;
        match sent {
            Ok((connection, Ok(receipt))) => {
                self.keep(connection, letter.sent_at);
                self.discretion.accepted(&receipt)
            }
            Ok((connection, Err(failure))) => {
                self.keep(smtp::reset(connection, &failure).await, letter.sent_at);
                self.classify(stage, &failure)
            }
            Err(_) => {
                let timeout = format_duration(self.timeout);
                self.discretion.deferred(&format!("no answer within {timeout} {stage}"), None)
            }
        }
    }

    async fn send(
        &self,
        now: Timestamp,
        envelope: &Envelope,
        data: &[u8],
        stage: &mut Stage,
    ) -> (Option<Connection>, Result<String, Failure>) {
        let mut connection = match self.connection(now, stage).await {
            Ok(connection) => connection,
            Err(failure) => return (None, Err(failure)),
        };
        let sent = smtp::send(&mut connection, envelope, data, stage).await;
        (Some(connection), sent)
    }

    async fn connection(&self, now: Timestamp, stage: &mut Stage) -> Result<Connection, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((connection, used_at)) = idle
            && now.since(used_at) < IDLE_MAX
            && let Some(connection) = smtp::still_alive(connection).await
        {
            return Ok(connection);
        }
        self.server.connect(self.timeout, stage).await
    }

    fn keep(&self, connection: Option<Connection>, now: Timestamp) {
        let connection = connection.filter(|connection| !connection.has_broken());
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) =
            connection.map(|connection| (connection, now));
    }

    fn classify(&self, stage: Stage, failure: &Failure) -> Outcome {
        let reason = format!("{stage}: {failure}");
        match failure {
            Failure::Setup(_) | Failure::Tls(_) => self.discretion.misconfigured(&reason),
            Failure::Unsupported(_) => self.discretion.refused(&reason),
            Failure::Reply { code: 530 | 534 | 535 | 538, .. } => self.discretion.misconfigured(&reason),
            Failure::Reply { code: 500.., .. } => match stage {
                // What is refused before a recipient is named concerns all of them.
                Stage::Connect | Stage::Login | Stage::Sender => self.discretion.misconfigured(&reason),
                Stage::Recipient | Stage::Content => self.discretion.refused(&reason),
            },
            Failure::Reply { .. } | Failure::Network(_) => self.discretion.deferred(&reason, None),
        }
    }

    /// The mail, or why it cannot be written to this recipient.
    fn compose(&self, letter: &Letter<'_>) -> Result<(Envelope, Vec<u8>), String> {
        let to = mailbox(letter.target).map_err(|error| error.to_string())?;
        let domain = self.from.email.domain();
        let envelope = Envelope { from: self.from.email.clone(), to: to.email.clone() };
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&letter.message.subject)
            .date(system_time(letter.sent_at))
            .message_id(Some(message_id(&letter.event.id, domain)));
        if let Some(first) = letter.first_in_thread.filter(|&first| *first != letter.event.id) {
            let first = message_id(first, domain);
            mail = mail.in_reply_to(first.clone()).references(first);
        }
        for (name, value) in [
            ("Auto-Submitted", "auto-generated".to_owned()),
            ("X-Auto-Response-Suppress", "All".to_owned()),
            ("List-Id", format!("<breakwatch.{domain}>")),
        ] {
            mail = mail.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        let body =
            MultiPart::alternative_plain_html(letter.message.text.clone(), letter.message.html.clone());
        let mail = mail.multipart(body).map_err(|error| error.to_string())?;
        Ok((envelope, mail.formatted()))
    }
}

fn mailbox(text: &str) -> Result<Mailbox, DeliverError> {
    text.parse().map_err(|source| DeliverError::BadAddress { value: text.to_owned(), source })
}

/// The event's id as a message id. Ids are made of letters, digits, `-` and `.`; whatever else a database might
/// hold is left out, so that no header is ever ended early.
fn message_id(id: &EventId, domain: &str) -> String {
    let clean: String =
        id.as_str().chars().filter(|&c| c.is_ascii_alphanumeric() || c == '-' || c == '.').collect();
    format!("<{clean}@{domain}>")
}

fn system_time(t: Timestamp) -> SystemTime {
    let since_1970 = t.since(Timestamp::from_nanos(0));
    UNIX_EPOCH.checked_add(since_1970).unwrap_or(UNIX_EPOCH)
}

/// The password in every form in which it goes over the wire.
fn secrets(settings: &EmailSettings) -> Vec<String> {
    let Some((user, password)) = &settings.login else { return Vec::new() };
    let password = password.expose_secret();
    vec![password.to_owned(), BASE64.encode(password), BASE64.encode(format!("\0{user}\0{password}"))]
}
