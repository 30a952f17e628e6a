//! `[[channel]]` to [`ChannelConfig`], with the sources of its secrets. Nothing is read here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::Mailbox;
use toml::{Table, Value};

use super::calm;
use super::exec::{self, ExecConfig};
use super::file::{CONSOLE, EMAIL, EXEC, SLACK, SMTP, Shape, WEBHOOK};
use super::problem::{ProblemKind, Refusal, quoted, shown};
use super::secret::{SecretSource, secret};
use super::section::Section;
use super::slack::{self, SlackConfig};
use super::value;
use super::webhook::{self, WebhookConfig};
use super::{address, template};
use crate::deliver::{SmtpAuth, SmtpTls};
use crate::outbox::calm::Calm;
use crate::outbox::message::template::Templates;
use crate::outbox::message::template::values::Exchanges;

/// An attempt takes at most so long unless the channel says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The servers of one mail channel.
const SERVERS_MAX: usize = 5;
/// What a channel can say.
const TIMEOUTS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(300);

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    /// Unique among the channels.
    pub name: String,
    /// What it is.
    pub kind: ChannelKind,
    /// How much its reader gets, and when.
    pub calm: Calm,
    /// Words of one's own.
    pub templates: Templates,
}

/// What a channel is, with the sources of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Lines on standard output.
    Console,
    /// Mail by SMTP.
    Email(EmailConfig),
    /// Slack, by an incoming webhook or a bot.
    Slack(SlackConfig),
    /// A webhook, in one of several forms.
    Webhook(WebhookConfig),
    /// A program.
    Exec(ExecConfig),
}

/// Mail by SMTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailConfig {
    /// `Breakwatch <alerts@example.com>`
    pub from: String,
    /// At least one.
    pub to: Vec<String>,
    /// At least one, in the order in which they are tried.
    pub servers: Vec<SmtpConfig>,
    /// For the whole attempt.
    pub timeout: Duration,
}

/// One server that takes mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpConfig {
    /// Server name, also for the certificate.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// Who logs in.
    pub login: Option<LoginConfig>,
    /// A PEM file with further roots to trust.
    pub extra_roots: Option<PathBuf>,
}

/// A user of a mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginConfig {
    /// The user's name.
    pub user: String,
    /// Where the password or the access token comes from.
    pub password: SecretSource,
    /// How to log in; `None` = the best of PLAIN and LOGIN that the server offers.
    pub mechanism: Option<SmtpAuth>,
}

/// Which keys a channel of this kind has.
pub(super) fn shape(channel: &Table) -> Result<&'static Shape, Refusal> {
    const KINDS: &[(&str, &Shape)] = &[
        ("console", &CONSOLE),
        ("email", &EMAIL),
        ("slack", &SLACK),
        ("webhook", &WEBHOOK),
        ("exec", &EXEC),
    ];
    match channel.get("kind") {
        Some(kind) => value::choice(KINDS, &[])(kind),
        None => {
            let text = "is missing; available: console, email, slack, webhook, exec".into();
            Err(Refusal { kind: ProblemKind::Missing, text })
        }
    }
}

/// One channel. `None` when something is wrong with it, which then has been told.
pub(super) fn channel(channel: &Section<'_>, dir: &Path, exchanges: &Exchanges) -> Option<ChannelConfig> {
    let name = channel.require("name", "every channel has a name", value::name);
    let kind = match channel.get("kind").and_then(Value::as_str) {
        Some("email") => email(channel, dir).map(ChannelKind::Email),
        Some("slack") => slack::slack(channel, dir).map(ChannelKind::Slack),
        Some("webhook") => webhook::webhook(channel, dir).map(ChannelKind::Webhook),
        Some("exec") => exec::exec(channel).map(ChannelKind::Exec),
        Some(_) | None => Some(ChannelKind::Console),
    };
    let templates = template::templates(channel, dir);
    let (name, kind) = (name?, kind?);
    let calm = calm::calm(channel, &kind);
    Some(ChannelConfig { name, kind, calm, templates: Templates::new(templates, exchanges.clone()) })
}

pub(super) fn timeout(channel: &Section<'_>) -> Duration {
    channel.read("timeout", value::duration_in(TIMEOUTS)).unwrap_or(TIMEOUT)
}

pub(super) fn extra_roots(section: &Section<'_>, dir: &Path) -> Option<PathBuf> {
    section.read("ca_file", value::line).map(|path| dir.join(path))
}

pub(super) fn required_secret(
    section: &Section<'_>,
    key: &'static str,
    right: &str,
    dir: &Path,
) -> Option<SecretSource> {
    let value = section.require(key, right, Ok)?;
    secret(section, key, value, dir)
}

fn email(channel: &Section<'_>, dir: &Path) -> Option<EmailConfig> {
    let from = channel.require("from", "like \"Breakwatch <alerts@example.com>\"", mailbox);
    let to = channel.require("to", "like [\"desk@example.com\"]", value::one_or_more(mailbox));
    let timeout = timeout(channel);
    if channel.get("smtp").is_none() {
        let text = "is missing; like { host = \"smtp.example.com\", tls = \"starttls\" }".into();
        channel.refuse("smtp", Refusal { kind: ProblemKind::Missing, text });
    }
    let servers = servers(channel, dir);
    Some(EmailConfig { from: from?, to: to?, servers: servers?, timeout })
}

/// One table, or a list of them. `None` when one of them is wrong, or there is none.
fn servers(channel: &Section<'_>, dir: &Path) -> Option<Vec<SmtpConfig>> {
    let sections = match channel.get("smtp") {
        Some(Value::Array(list)) if !(1..=SERVERS_MAX).contains(&list.len()) => {
            let text = format!("lists {} servers; a mail channel has one to {SERVERS_MAX}", list.len());
            channel.refuse("smtp", text);
            return None;
        }
        Some(Value::Array(_)) => channel.sections("smtp", &SMTP),
        Some(_) | None => vec![channel.section("smtp", &SMTP)?],
    };
    // Whatever is wrong with the other ones is told as well, before the first wrong one ends it.
    let servers: Vec<_> = sections.iter().map(|smtp| server(smtp, dir)).collect();
    servers.into_iter().collect()
}

fn server(smtp: &Section<'_>, dir: &Path) -> Option<SmtpConfig> {
    let host = smtp.require("host", "like \"smtp.example.com\"", host_name);
    let tls = tls(smtp, host.as_deref());
    let port = match tls {
        SmtpTls::Implicit => 465,
        SmtpTls::StartTls => 587,
        SmtpTls::Plain => 25,
    };
    let port = smtp.read("port", value::whole(1..=65_535)).unwrap_or(port);
    let login = login(smtp, dir);
    let extra_roots = extra_roots(smtp, dir);
    Some(SmtpConfig { host: host?, port, tls, login, extra_roots })
}

fn tls(smtp: &Section<'_>, host: Option<&str>) -> SmtpTls {
    const WAYS: &[(&str, SmtpTls)] =
        &[("starttls", SmtpTls::StartTls), ("tls", SmtpTls::Implicit), ("none", SmtpTls::Plain)];
    let tls = smtp.read("tls", value::choice(WAYS, &[])).unwrap_or(SmtpTls::StartTls);
    let allowed = smtp.read("allow_plaintext", value::flag).unwrap_or(false);
    if let (SmtpTls::Plain, false, Some(host)) = (tls, allowed, host)
        && !address::is_loopback_host(host)
    {
        let text = "sends mail and password in plain text, which is for loopback only; \
             write \"starttls\" or \"tls\", or allow_plaintext = true";
        smtp.refuse("tls", format!("\"none\" to {host} {text}"));
    }
    tls
}

fn login(smtp: &Section<'_>, dir: &Path) -> Option<LoginConfig> {
    const WAYS: &[(&str, SmtpAuth)] =
        &[("plain", SmtpAuth::Plain), ("login", SmtpAuth::Login), ("xoauth2", SmtpAuth::Xoauth2)];
    let user = smtp.read("user", value::line);
    let password = smtp.get("password").and_then(|value| secret(smtp, "password", value, dir));
    let mechanism = smtp.read("auth", value::choice(WAYS, &[]));
    let missing = |text: &str| Refusal { kind: ProblemKind::Missing, text: text.to_owned() };
    match (smtp.get("user").is_some(), smtp.get("password").is_some()) {
        (true, false) => smtp.refuse("password", missing("is missing beside user")),
        (false, true) => smtp.refuse("user", missing("is missing beside password")),
        (false, false) if smtp.get("auth").is_some() => {
            smtp.refuse("user", missing("is missing beside auth"))
        }
        (true, true) | (false, false) => {}
    }
    if mechanism == Some(SmtpAuth::Xoauth2)
        && password
            .as_ref()
            .is_some_and(|source| !matches!(source, SecretSource::Command { ttl: Some(_), .. }))
    {
        smtp.warn(
            "an access token of xoauth2 lasts about an hour and is read once; \
             write password = { command = [\"program\"], ttl = \"50m\" } to have it renewed",
        );
    }
    Some(LoginConfig { user: user?, password: password?, mechanism })
}

/// An address as it stands in `From` and `To`.
fn mailbox(value: &Value) -> Result<String, Refusal> {
    let text = value::line(value)?;
    let right = "a mail address like \"desk@example.com\" or \"Desk <desk@example.com>\"";
    text.parse::<Mailbox>().map_err(|_| format!("{} is not {right}", shown(value)))?;
    Ok(text)
}

/// A name or an address without anything around it.
fn host_name(value: &Value) -> Result<String, Refusal> {
    let text = value::name(value)?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.bytes().all(allowed) || text.parse::<std::net::IpAddr>().is_ok() {
        return Ok(text);
    }
    Err(format!("{} is not a host name like \"smtp.example.com\"", quoted(&text)).into())
}

impl ChannelConfig {
    /// The sources of its secrets, with their keys.
    #[must_use]
    pub fn secret_sources(&self) -> Vec<(&'static str, &SecretSource)> {
        match &self.kind {
            ChannelKind::Console | ChannelKind::Exec(_) => Vec::new(),
            ChannelKind::Email(email) => {
                let logins = email.servers.iter().filter_map(|server| server.login.as_ref());
                logins.map(|login| ("smtp.password", &login.password)).collect()
            }
            ChannelKind::Slack(slack) => vec![slack.secret_source()],
            ChannelKind::Webhook(webhook) => webhook.secret_sources(),
        }
    }
}
