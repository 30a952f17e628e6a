//! User and password, and getting a new password when the old one has outlived its time.
//!
//! A password with a `ttl` is asked for again before an attempt once it is that old, and once more when the
//! server refuses it. When there is no new one to be had, the old one is still tried: whether it is good is the
//! server's to say, and an alert that goes out is better than one that waits.

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret, SecretString};

use super::{Connection, Failure};
use crate::deliver::{Renewal, SmtpAuth, SmtpLogin};
use crate::time::Timestamp;

/// A command is no longer than this with its line end; longer answers follow on a line of their own (RFC 4954).
const COMMAND_MAX: usize = 512;
/// Whoever could not give a new password is not asked again for so long, unless the server refuses the old one.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// A login.
pub(super) struct Login {
    user: String,
    mechanism: Option<SmtpAuth>,
    renewal: Option<Renewal>,
    kept: Mutex<Kept>,
}

struct Kept {
    password: SecretString,
    /// Still hidden: a peer may repeat it.
    previous: Option<SecretString>,
    /// Of the password that was there at the start nobody knows how old it is.
    read_at: Option<Timestamp>,
    asked_at: Option<Timestamp>,
    /// Why there is no new one, since it was asked for last.
    trouble: Option<String>,
}

impl Login {
    pub(super) fn new(settings: SmtpLogin) -> Self {
        let password = settings.password;
        let kept = Kept { password, previous: None, read_at: None, asked_at: None, trouble: None };
        Self {
            user: settings.user,
            mechanism: settings.mechanism,
            renewal: settings.renewal,
            kept: Mutex::new(kept),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What must not be shown, in every form in which it goes over the wire.
    pub(super) fn secrets(&self) -> Vec<String> {
        let kept = self.kept();
        let forms = |password: &SecretString| {
            let text = password.expose_secret();
            [text.to_owned(), BASE64.encode(text), self.plain(password), self.bearer(password)]
        };
        std::iter::once(&kept.password).chain(&kept.previous).flat_map(forms).collect()
    }

    /// The password to log in with now.
    pub(super) async fn password(&self, now: Timestamp) -> SecretString {
        if let Some(renewal) = self.renewal.as_ref().filter(|renewal| self.is_old(renewal.ttl, now)) {
            self.renew(renewal, now).await;
        }
        self.kept().password.clone()
    }

    /// Another password than the one that was refused; `Err` says why there is none, when that is known.
    pub(super) async fn another(
        &self,
        refused: &SecretString,
        now: Timestamp,
    ) -> Result<SecretString, Option<String>> {
        if let Some(renewal) = self.renewal.as_ref().filter(|_| self.kept().asked_at != Some(now)) {
            self.renew(renewal, now).await;
        }
        let kept = self.kept();
        if kept.password.expose_secret() == refused.expose_secret() {
            return Err(kept.trouble.clone());
        }
        Ok(kept.password.clone())
    }

    fn is_old(&self, ttl: Duration, now: Timestamp) -> bool {
        let kept = self.kept();
        let old = kept.read_at.is_none_or(|read_at| now.since(read_at) >= ttl);
        old && kept.asked_at.is_none_or(|asked_at| now < asked_at || now.since(asked_at) >= ASK_AGAIN)
    }

    /// Not cancel safe in one respect: cut short, it counts as asked, so that a command that hangs cannot keep
    /// a good password from being used.
    async fn renew(&self, renewal: &Renewal, now: Timestamp) {
        self.kept().asked_at = Some(now);
        let renewed = renewal.source.read_again().await;
        let mut kept = self.kept();
        kept.trouble = None;
        match renewed {
            Ok(password) => {
                kept.read_at = Some(now);
                if password.expose_secret() != kept.password.expose_secret() {
                    kept.previous = Some(std::mem::replace(&mut kept.password, password));
                }
            }
            Err(words) => kept.trouble = Some(words),
        }
    }

    /// Logs in by the way that is set, or else by the best one that the server offers.
    pub(super) async fn log_in(
        &self,
        connection: &mut Connection,
        password: &SecretString,
    ) -> Result<(), Failure> {
        match self.way(connection)? {
            SmtpAuth::Plain => said_at_once(connection, "PLAIN", &self.plain(password)).await,
            SmtpAuth::Xoauth2 => said_at_once(connection, "XOAUTH2", &self.bearer(password)).await,
            SmtpAuth::Login => self.question_by_question(connection, password).await,
        }
    }

    fn way(&self, connection: &Connection) -> Result<SmtpAuth, Failure> {
        let offers = |way: &SmtpAuth| connection.server_info().supports_auth_mechanism(mechanism(*way));
        if let Some(way) = self.mechanism {
            let missing = || Failure::Setup(format!("the server does not offer AUTH {}", mechanism(way)));
            return Some(way).filter(offers).ok_or_else(missing);
        }
        let missing = || Failure::Setup("the server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned());
        [SmtpAuth::Plain, SmtpAuth::Login].into_iter().find(offers).ok_or_else(missing)
    }

    fn plain(&self, password: &SecretString) -> String {
        BASE64.encode(format!("\0{}\0{}", self.user, password.expose_secret()))
    }

    /// `user=…^Aauth=Bearer …^A^A`, as the providers that invented it say.
    fn bearer(&self, token: &SecretString) -> String {
        BASE64.encode(format!("user={}\u{1}auth=Bearer {}\u{1}\u{1}", self.user, token.expose_secret()))
    }

    /// The questions' words differ between servers; their order does not.
    async fn question_by_question(
        &self,
        connection: &mut Connection,
        password: &SecretString,
    ) -> Result<(), Failure> {
        asked(&command(connection, "AUTH LOGIN").await?)?;
        asked(&command(connection, &BASE64.encode(&self.user)).await?)?;
        finished(&command(connection, &BASE64.encode(password.expose_secret())).await?)
    }
}

const fn mechanism(way: SmtpAuth) -> Mechanism {
    match way {
        SmtpAuth::Plain => Mechanism::Plain,
        SmtpAuth::Login => Mechanism::Login,
        SmtpAuth::Xoauth2 => Mechanism::Xoauth2,
    }
}

/// A way whose one answer goes along with the command.
async fn said_at_once(connection: &mut Connection, way: &str, answer: &str) -> Result<(), Failure> {
    let whole = format!("AUTH {way} {answer}");
    let reply = if whole.len().saturating_add(2) <= COMMAND_MAX {
        command(connection, &whole).await?
    } else {
        asked(&command(connection, &format!("AUTH {way}")).await?)?;
        command(connection, answer).await?
    };
    if !reply.has_code(334) {
        return finished(&reply);
    }
    // XOAUTH2 says no with a question in JSON, and ends with 535 once it has been answered with nothing.
    let why = challenge(&reply);
    match command(connection, "").await {
        Err(Failure::Reply { code, text }) => Err(Failure::Reply { code, text: format!("{text} ({why})") }),
        Err(other) => Err(other),
        Ok(_) => Err(Failure::Network(format!("the login did not end ({why})"))),
    }
}

async fn command(connection: &mut Connection, line: &(impl Display + ?Sized)) -> Result<Response, Failure> {
    connection.command(format!("{line}\r\n")).await.map_err(|error| Failure::of(&error))
}

fn asked(reply: &Response) -> Result<(), Failure> {
    if reply.has_code(334) {
        return Ok(());
    }
    Err(Failure::Network(format!("the login was answered with {}", reply.code())))
}

fn finished(reply: &Response) -> Result<(), Failure> {
    if reply.has_code(334) {
        return Err(Failure::Network("the login did not end".to_owned()));
    }
    Ok(())
}

/// What a question says, decoded.
fn challenge(reply: &Response) -> String {
    let decoded = reply.first_word().and_then(|word| BASE64.decode(word).ok()).unwrap_or_default();
    String::from_utf8_lossy(&decoded).trim().to_owned()
}
