//! Mail: one recipient per letter, threads by `References`, and headers that tell machines to keep quiet.
//!
//! With several servers an attempt goes on to the next one while the mail has not been handed in and another
//! server might take it. Once the mail's last line was sent it stays with that server: whether it was taken is
//! unknown then, and only a later attempt under the same id may ask again.

use std::fmt::Display;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};

use crate::deliver::answer::Discretion;
use crate::deliver::smtp::server::Server;
use crate::deliver::smtp::{self, Connection, Envelope, Failure, Stage};
use crate::deliver::{DeliverError, EmailSettings, Letter};
use crate::event::EventId;
use crate::outbox::Outcome;
use crate::outbox::message::picture_id;
use crate::time::Timestamp;

/// The longest id that stands in a header: a line of one is at most 998 bytes long.
const ID_MAX: usize = 400;

/// The channel.
pub struct Email {
    from: Mailbox,
    to: Vec<String>,
    servers: Vec<Server>,
    timeout: Duration,
}

/// How far an attempt has come.
struct Progress {
    /// Which server has the word.
    server: usize,
    stage: Stage,
    /// The servers before it, and what was wrong with them.
    passed: Vec<(usize, Stage, Failure)>,
}

/// How one server fared.
type Ended = (Option<Connection>, Result<String, Failure>);

impl Email {
    pub(super) fn open(settings: EmailSettings) -> Result<Self, DeliverError> {
        let from = mailbox(&settings.from)?;
        if settings.to.is_empty() {
            return Err(DeliverError::NoRecipient);
        }
        for to in &settings.to {
            mailbox(to)?;
        }
        if settings.servers.is_empty() {
            return Err(DeliverError::NoServer);
        }
        let servers = settings.servers.into_iter().map(Server::open).collect::<Result<_, _>>()?;
        Ok(Self { from, to: settings.to, servers, timeout: settings.timeout })
    }

    pub(super) fn targets(&self) -> &[String] {
        &self.to
    }

    pub(super) async fn attempt(&self, letter: &Letter<'_>) -> Outcome {
        let now = letter.sent_at;
        let (envelope, data) = match self.compose(letter) {
            Ok(mail) => mail,
            Err(reason) => return self.discretion().refused(&reason),
        };
        let order = self.order(now);
        let avoided = self.avoided(now);
        let mut progress = Progress { server: 0, stage: Stage::Connect, passed: Vec::new() };
        let trying = self.by_turns(now, &order, &envelope, &data, &mut progress);
        let (connection, sent) = tokio::time::timeout(self.timeout, Box::pin(trying))
            .await
            .unwrap_or_else(|_| (None, Err(Failure::Silent(self.timeout))));
        self.note(now, &progress, sent.as_ref().err());
        match sent {
            Ok(receipt) => {
                self.keep(&progress, connection, now);
                self.accepted(&receipt, &progress, &avoided)
            }
            Err(failure) => {
                self.keep(&progress, smtp::reset(connection, &failure).await, now);
                self.failed(progress, failure)
            }
        }
    }

    /// The servers in their order, those that failed a short time ago last.
    fn order(&self, now: Timestamp) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(|&at| self.servers.get(at).is_some_and(|server| server.avoided(now).is_some()));
        order
    }

    /// The servers that failed a short time ago, and how.
    fn avoided(&self, now: Timestamp) -> Vec<(usize, String)> {
        let failed = |(at, server): (usize, &Server)| Some((at, server.avoided(now)?));
        self.servers.iter().enumerate().filter_map(failed).collect()
    }

    /// One server after the other, as long as another one might do better. All but the last have to come to the
    /// mail itself within their part of the timeout, so that a silent one leaves time for the next.
    async fn by_turns(
        &self,
        now: Timestamp,
        order: &[usize],
        envelope: &Envelope,
        data: &[u8],
        progress: &mut Progress,
    ) -> Ended {
        let share = self.timeout.checked_div(u32::try_from(order.len()).unwrap_or(1)).unwrap_or(self.timeout);
        let servers = order.iter().filter_map(|&at| Some((at, self.servers.get(at)?)));
        for (turn, (at, server)) in (1..).zip(servers) {
            progress.server = at;
            let is_last = turn >= order.len();
            let within = if is_last { self.timeout } else { share };
            let opening = open(server, now, share, envelope, &mut progress.stage);
            let opened = tokio::time::timeout(within, Box::pin(opening))
                .await
                .unwrap_or_else(|_| Opened::Failed(None, Failure::Silent(within)));
            match opened {
                Opened::Ready(mut connection) => {
                    progress.stage = Stage::End;
                    let sent = smtp::hand_in(&mut connection, data).await;
                    return (Some(connection), sent);
                }
                Opened::Failed(_, failure) if !is_last && is_the_servers_own(progress.stage, &failure) => {
                    progress.passed.push((at, progress.stage, failure));
                }
                Opened::Failed(connection, failure) => return (connection, Err(failure)),
            }
        }
        (None, Err(Failure::Network("no server was left".to_owned())))
    }

    /// Remembers which servers could not be used.
    fn note(&self, now: Timestamp, progress: &Progress, last: Option<&Failure>) {
        let note = |at: usize, trouble| {
            if let Some(server) = self.servers.get(at) {
                server.note(now, trouble);
            }
        };
        for (at, stage, failure) in &progress.passed {
            if is_trouble(*stage, failure) {
                note(*at, Some(format!("{stage}: {failure}")));
            }
        }
        let trouble = last.filter(|failure| is_trouble(progress.stage, failure));
        note(progress.server, trouble.map(|failure| format!("{}: {failure}", progress.stage)));
    }

    fn keep(&self, progress: &Progress, connection: Option<Connection>, now: Timestamp) {
        if let Some(server) = self.servers.get(progress.server) {
            server.keep(connection, now);
        }
    }

    /// Says with several servers which one took it, and why it was not one before it.
    fn accepted(&self, receipt: &str, progress: &Progress, avoided: &[(usize, String)]) -> Outcome {
        if self.servers.len() == 1 {
            return self.discretion().accepted(receipt);
        }
        let is_passed = |at: usize| progress.passed.iter().any(|(passed, ..)| *passed == at);
        let left_out = avoided.iter().filter(|(at, _)| *at < progress.server && !is_passed(*at));
        let left_out = left_out.map(|(at, why)| format!("{} left out, it failed {why}", self.name(*at)));
        let failed = progress.passed.iter();
        let failed = failed.map(|(at, stage, why)| format!("{} failed {stage}: {why}", self.name(*at)));
        let taken = std::iter::once(format!("by {}", self.name(progress.server)));
        let words = taken.chain(left_out).chain(failed).collect::<Vec<_>>().join("; ");
        self.discretion().accepted(&format!("{receipt} ({words})"))
    }

    /// What the failures come to. What is said about the recipient or the mail is the last word; otherwise the
    /// mail waits as long as one of the failures may pass.
    fn failed(&self, progress: Progress, last: Failure) -> Outcome {
        let Progress { server, stage, mut passed } = progress;
        let last_word = (!is_the_servers_own(stage, &last)).then(|| means(stage, &last));
        passed.push((server, stage, last));
        let words = passed.iter().map(|(at, stage, failure)| self.reason(*at, *stage, failure));
        let reason = words.collect::<Vec<_>>().join("; ");
        let all = passed.iter().map(|(_, stage, failure)| means(*stage, failure));
        let discretion = self.discretion();
        match last_word.or(all.max()) {
            Some(Meaning::Deferred) | None => discretion.deferred(&reason, None),
            Some(Meaning::Misconfigured) => discretion.misconfigured(&reason),
            Some(Meaning::Refused) => discretion.refused(&reason),
        }
    }

    fn reason(&self, at: usize, stage: Stage, failure: &Failure) -> String {
        let words: &dyn Display = match failure {
            Failure::Silent(_) => &format!("{failure} {stage}"),
            Failure::Reply { .. }
            | Failure::Trust(_)
            | Failure::Setup(_)
            | Failure::Unsupported(_)
            | Failure::Network(_) => &format!("{stage}: {failure}"),
        };
        let unknown = stage == Stage::End && matches!(failure, Failure::Silent(_) | Failure::Network(_));
        let end = if unknown { " (it may have arrived)" } else { "" };
        if self.servers.len() == 1 {
            format!("{words}{end}")
        } else {
            format!("{}: {words}{end}", self.name(at))
        }
    }

    fn name(&self, at: usize) -> String {
        self.servers.get(at).map(Server::name).unwrap_or_default()
    }

    /// Hides the passwords as they are now: they can change.
    fn discretion(&self) -> Discretion {
        Discretion::new(self.servers.iter().flat_map(Server::secrets))
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
        let mail = mail.multipart(body(letter)).map_err(|error| error.to_string())?;
        Ok((envelope, mail.formatted()))
    }
}

/// The plain text first; then the HTML, together with the picture that it shows.
fn body(letter: &Letter<'_>) -> MultiPart {
    let (text, html) = (letter.message.text.clone(), letter.message.html.clone());
    // Words of one's own may do without it.
    let Some(picture) = letter.picture.filter(|_| html.contains("cid:")) else {
        return MultiPart::alternative_plain_html(text, html);
    };
    let Ok(png) = ContentType::parse("image/png") else {
        return MultiPart::alternative_plain_html(text, html);
    };
    let attached = Attachment::new_inline_with_name(picture_id(&letter.event.id), "chart.png".to_owned());
    let shown = MultiPart::related()
        .singlepart(SinglePart::html(html))
        .singlepart(attached.body(picture.to_vec(), png));
    MultiPart::alternative().singlepart(SinglePart::plain(text)).multipart(shown)
}

fn mailbox(text: &str) -> Result<Mailbox, DeliverError> {
    text.parse().map_err(|source| DeliverError::BadAddress { value: text.to_owned(), source })
}

/// The event's id as a message id. Ids are made of letters, digits, `-` and `.`; whatever else a database might
/// hold is left out, so that no header is ever ended early.
fn message_id(id: &EventId, domain: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '.';
    let clean: String = id.as_str().chars().filter(allowed).take(ID_MAX).collect();
    format!("<{clean}@{domain}>")
}

fn system_time(t: Timestamp) -> SystemTime {
    let since_1970 = t.since(Timestamp::from_nanos(0));
    UNIX_EPOCH.checked_add(since_1970).unwrap_or(UNIX_EPOCH)
}

/// How far a server let us come.
enum Opened {
    /// The mail itself comes next.
    Ready(Connection),
    /// It does not; with the connection, if there is one.
    Failed(Option<Connection>, Failure),
}

/// Connects to `server`, and says everything that comes before the mail.
async fn open(
    server: &Server,
    now: Timestamp,
    share: Duration,
    envelope: &Envelope,
    stage: &mut Stage,
) -> Opened {
    let mut connection = match server.connection(now, share, stage).await {
        Ok(connection) => connection,
        Err(failure) => return Opened::Failed(None, failure),
    };
    match smtp::announce(&mut connection, envelope, stage).await {
        Ok(()) => Opened::Ready(connection),
        Err(failure) => Opened::Failed(Some(connection), failure),
    }
}

/// What a failure means for the mail. The later one outweighs the earlier one where servers differ.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meaning {
    Refused,
    Misconfigured,
    Deferred,
}

fn means(stage: Stage, failure: &Failure) -> Meaning {
    match failure {
        Failure::Setup(_) | Failure::Trust(_) => Meaning::Misconfigured,
        Failure::Unsupported(_) => Meaning::Refused,
        Failure::Reply { code: 530 | 534 | 535 | 538, .. } => Meaning::Misconfigured,
        Failure::Reply { code: 500.., .. } => match stage {
            // What is refused before a recipient is named concerns all of them.
            Stage::Password | Stage::Connect | Stage::Login | Stage::Sender => Meaning::Misconfigured,
            Stage::Recipient | Stage::Content | Stage::End => Meaning::Refused,
        },
        Failure::Reply { .. } | Failure::Network(_) | Failure::Silent(_) => Meaning::Deferred,
    }
}

/// Whether another server might take the mail. What is said about a recipient or the mail is said for good, and
/// a mail that was sent is never sent elsewhere in the same attempt.
const fn is_the_servers_own(stage: Stage, failure: &Failure) -> bool {
    match (stage, failure) {
        (Stage::End, _) => false,
        (Stage::Password | Stage::Connect | Stage::Login | Stage::Sender, _) => true,
        (Stage::Recipient | Stage::Content, Failure::Reply { code, .. }) => {
            matches!(*code, 421 | 530 | 534 | 535 | 538)
        }
        (Stage::Recipient | Stage::Content, _) => true,
    }
}

/// Whether the server itself is in trouble, so that another one is asked first for a while.
const fn is_trouble(stage: Stage, failure: &Failure) -> bool {
    match failure {
        Failure::Unsupported(_) => false,
        Failure::Network(_) | Failure::Silent(_) => true,
        Failure::Reply { .. } | Failure::Trust(_) | Failure::Setup(_) => is_the_servers_own(stage, failure),
    }
}
