//! Attempts against real peers on loopback.

mod console;
mod email;
mod exec;
mod formats;
mod hostile;
mod peers;
mod raw;
mod slack;
mod slack_bot;
mod smtp_peers;
mod webhook;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::*;
use crate::demo::inbox::Identity;
use crate::event::Kind;
use crate::outbox::message::{Context, sample};

/// Long enough for a busy machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(20);

/// Words that must never come back from a channel.
const PLANTED: &str = "Xylophon7-planted-secret";

struct Post {
    event: Event,
    message: Message,
    first: Option<EventId>,
    receipt: Option<String>,
    sent_at: Timestamp,
}

impl Post {
    fn of(event: Event) -> Self {
        Self::with(event, &sample::context())
    }

    fn with(event: Event, context: &Context) -> Self {
        let message = Message::render(&event, context);
        Self { event, message, first: None, receipt: None, sent_at: context.attempted_at }
    }

    fn letter<'a>(&'a self, target: &'a str) -> Letter<'a> {
        Letter {
            event: &self.event,
            message: &self.message,
            target,
            first_in_thread: self.first.as_ref(),
            thread_receipt: self.receipt.as_deref(),
            sent_at: self.sent_at,
            picture: None,
        }
    }
}

fn broken() -> Post {
    Post::of(sample::event(Kind::LevelBroken))
}

/// What an outcome says, and its name.
fn said(outcome: &Outcome) -> (&'static str, &str) {
    match outcome {
        Outcome::Accepted { receipt } => ("accepted", receipt),
        Outcome::Deferred { reason, .. } => ("deferred", reason),
        Outcome::Refused { reason } => ("refused", reason),
        Outcome::Misconfigured { reason } => ("misconfigured", reason),
        Outcome::Gone { reason } => ("gone", reason),
    }
}

#[track_caller]
fn assert_outcome(outcome: &Outcome, name: &str, words: &str) {
    let (is, text) = said(outcome);
    assert!(is == name && text.contains(words), "wanted {name} with {words:?}, got {outcome:?}");
    assert!(!text.contains(PLANTED) && text.len() <= 1_024, "{outcome:?}");
}

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("authority of the tests")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn root(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    fn identity(&self, hosts: &[&str]) -> Identity {
        self.signed(params(hosts))
    }

    fn signed(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.0).unwrap().pem().into_bytes();
        Identity { chain, key: key.serialize_pem().into_bytes() }
    }
}

fn params(hosts: &[&str]) -> CertificateParams {
    CertificateParams::new(hosts.iter().map(|&host| host.to_owned()).collect::<Vec<_>>()).unwrap()
}

/// Certificates that nobody should trust, and the words that say why.
fn bad_identities(authority: &Authority) -> Vec<(Identity, Vec<u8>, &'static str)> {
    let stranger = Authority::named("somebody").identity(&["localhost"]);
    let renewed = Authority::new().identity(&["localhost"]);
    let mut expired = params(&["localhost"]);
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut early = params(&["localhost"]);
    early.not_before = rcgen::date_time_ymd(2200, 1, 1);
    let mut own = params(&["localhost"]);
    own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let chain = own.self_signed(&key).unwrap().pem().into_bytes();
    let own = Identity { chain: chain.clone(), key: key.serialize_pem().into_bytes() };
    vec![
        (stranger, authority.root(), "an authority that is not trusted here"),
        (renewed, authority.root(), "was not signed by it (was its root renewed?)"),
        (authority.signed(expired), authority.root(), "has expired (2020-01-01T00:00:00.000Z)"),
        (authority.signed(early), authority.root(), "not valid yet (2200-01-01T00:00:00.000Z); is the clock"),
        (authority.identity(&["mail.example"]), authority.root(), "for another host: "),
        (own, chain, "a self-signed one that is an authority's at the same time"),
    ]
}

/// Everything that is logged on this thread while the guard lives, at every level.
fn logged() -> (tracing::subscriber::DefaultGuard, Arc<Mutex<Vec<u8>>>) {
    #[derive(Clone)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Log(Arc::clone(&log));
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    (tracing::subscriber::set_default(subscriber), log)
}

fn text_of(log: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&log.lock().unwrap()).into_owned()
}
