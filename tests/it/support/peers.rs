//! The receivers, the recorded day as a venue trades it, and the configuration that joins them.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use breakwatch::demo::inbox::Identity;
use breakwatch::demo::inbox::hook::{Hook, HookOptions, HookServer};
use breakwatch::demo::inbox::mail::{Mail, MailOptions, MailServer};
use breakwatch::demo::venue::VenueTrade;
use breakwatch::market::bar_text;
use breakwatch::market::price::TickSize;
use hmac::{Hmac, KeyInit, Mac};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use sha2::Sha256;

use crate::support::{Home, until};

/// The levels of the recorded day, without margin and confirmation.
pub(crate) const LEVELS: &str = r#"
[[level]]
name = "2450"
instrument = "RTY"
price = 2450
[[level]]
name = "2460.8"
instrument = "RTY"
price = "2460.8"
[[level]]
name = "2475"
instrument = "RTY"
price = 2475
[[level]]
name = "2477.1"
instrument = "RTY"
price = 2477.1
[[level]]
name = "2500"
instrument = "RTY"
price = 2500
"#;

pub(crate) const KEY: &str = "the-key-of-the-venue";
const PASSWORD: &str = "the password of the mail server";
const SIGNING_BYTES: [u8; 32] = [7; 32];

/// A feed that speaks as Massive does, at this address.
pub(crate) fn feed(url: &str) -> String {
    format!(
        r#"
[[feed]]
name = "venue"
kind = "json"
url = "{url}"
secrets = {{ key = {{ file = "key" }} }}
instruments = {{ RTY = "${{contract}}" }}
greet = [
  {{ expect = {{ "/0/status" = "connected" }} }},
  {{ send = '{{"action":"auth","params":"${{key}}"}}', expect = {{ "/0/status" = "auth_success" }} }},
]
subscribe = '{{"action":"subscribe","params":"T.${{symbol}}"}}'
[feed.trade]
each = "/*"
where = {{ "/ev" = "T" }}
symbol = "/sym"
price = "/p"
size = "/s"
time = {{ at = "/t", unit = "ms" }}
sequence = "/q"
"#
    )
}

/// A mail server with STARTTLS and login, and a webhook receiver.
pub(crate) struct Inboxes {
    pub(crate) mail: MailServer,
    pub(crate) hooks: HookServer,
    root: String,
}

impl Inboxes {
    pub(crate) async fn open() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let of_host = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let chain = of_host.signed_by(&key, &authority).unwrap().pem().into_bytes();
        let tls = Some(Identity { chain, key: key.serialize_pem().into_bytes() });
        let login = Some(("alerts".to_owned(), PASSWORD.to_owned()));
        let mail = MailServer::start(MailOptions { tls, login, ..MailOptions::default() }).await.unwrap();
        let hooks = HookServer::start(HookOptions::default()).await.unwrap();
        Self { mail, hooks, root: authority.pem() }
    }

    /// Both as channels.
    pub(crate) fn channels(&self) -> String {
        format!(
            r#"
[[channel]]
name = "mail"
kind = "email"
from = "Breakwatch <alerts@example.com>"
to = "desk@example.com"
# The recorded day passes much faster than mail: each event is told by itself all the same.
group_wait = "0s"
[channel.smtp]
host = "localhost"
port = {}
user = "alerts"
password = {{ file = "password" }}
ca_file = "root.pem"

[[channel]]
name = "ops"
kind = "webhook"
url = "{}"
secret = {{ file = "signing" }}
"#,
            self.mail.address().port(),
            self.hooks.url("/breaks")
        )
    }

    /// A home with these channels, this text, and every secret that they name.
    pub(crate) fn home(&self, config: &str) -> Home {
        let home = Home::new(&format!("{config}{}", self.channels()));
        home.write("root.pem", &self.root);
        home.write("key", KEY);
        home.write("password", PASSWORD);
        home.write("signing", &format!("whsec_{}", BASE64.encode(SIGNING_BYTES)));
        home
    }

    /// Waits until a webhook and a mail have told of an event of this kind and level.
    pub(crate) async fn told(&self, kind: &str, level: &str) {
        let hook = until(&format!("a webhook with {kind} of {level}"), || {
            self.hooks.received().into_iter().find(|hook| {
                let event = data(hook);
                event["kind"] == kind && event["level"] == level
            })
        })
        .await;
        let id = hook.headers["webhook-id"].clone();
        until(&format!("a mail with {kind} of {level}"), || {
            self.mail.received().into_iter().find(|mail| message_id(mail).starts_with(&id))
        })
        .await;
    }
}

/// The event that a webhook carries.
pub(crate) fn data(hook: &Hook) -> Value {
    let mut body: Value = serde_json::from_str(&hook.body).expect(&hook.body);
    body["data"].take()
}

/// A mail's id without its brackets: the event's id, `@` and a domain.
pub(crate) fn message_id(mail: &Mail) -> String {
    mail.header("Message-ID").unwrap().trim_matches(['<', '>']).to_owned()
}

/// Fails unless the webhook is signed with our secret, by the letter of the specification.
#[track_caller]
pub(crate) fn assert_signed(hook: &Hook) {
    let header = |name: &str| hook.headers[name].as_str();
    let signed = format!("{}.{}.{}", header("webhook-id"), header("webhook-timestamp"), hook.body);
    let mac = Hmac::<Sha256>::new_from_slice(&SIGNING_BYTES).unwrap().chain_update(signed.as_bytes());
    let expected = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
    assert_eq!(header("webhook-signature"), expected);
    assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", "/breaks"));
}

/// The trades of recorded bars, from `from` on (RFC 3339), as text.
pub(crate) fn trades(file: &Path, from: &str) -> Vec<VenueTrade> {
    let text = std::fs::read_to_string(file).unwrap();
    let tick = TickSize::new("0.1".parse().unwrap()).unwrap();
    let bars = bar_text::parse_csv(&text, tick, None).unwrap().bars;
    let from = from.parse().unwrap();
    let prints = bars.iter().filter(|row| row.bar.start >= from).flat_map(|row| row.bar.prints());
    prints
        .zip(1..)
        .map(|((at, price, size), seq)| VenueTrade {
            price: price.to_string(),
            size,
            at_ms: at.as_millis(),
            seq,
        })
        .collect()
}
