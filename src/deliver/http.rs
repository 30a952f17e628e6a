//! One POST to one address that may be a secret; no redirects, no retries, no proxy.

use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url, redirect};
use secrecy::{ExposeSecret, SecretString};

use crate::deliver::DeliverError;
use crate::deliver::answer::{Discretion, chain};
use crate::deliver::guard::{self, GuardedResolver};
use crate::deliver::tls;
use crate::outbox::Outcome;
use crate::time::Timestamp;

/// An answer is read so far, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// Parts of an address that are shorter are not taken for secrets.
const PART_MIN: usize = 8;

/// What a [`Peer`] is made of.
pub(super) struct PeerSettings<'a> {
    pub(super) channel: &'static str,
    pub(super) url: &'a SecretString,
    pub(super) timeout: Duration,
    pub(super) extra_roots: Option<&'a [u8]>,
    pub(super) allow_link_local: bool,
    /// What must not be shown besides the address.
    pub(super) secrets: Vec<String>,
}

/// The one address that a channel posts to.
pub(super) struct Peer {
    client: Client,
    url: Url,
    timeout: Duration,
    pub(super) discretion: Discretion,
}

/// What the peer answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// As far as it came and was read.
    pub(super) body: String,
}

impl Answer {
    /// `404 Not Found: no such hook`.
    pub(super) fn summary(&self) -> String {
        let status = reqwest::StatusCode::from_u16(self.status).ok();
        let name =
            status.and_then(|s| s.canonical_reason()).map(|name| format!(" {name}")).unwrap_or_default();
        let body = self.body.trim();
        if body.is_empty() {
            format!("{}{name}", self.status)
        } else {
            format!("{}{name}: {body}", self.status)
        }
    }
}

impl Peer {
    pub(super) fn open(settings: PeerSettings<'_>) -> Result<Self, DeliverError> {
        let bad_url = || DeliverError::BadUrl { channel: settings.channel };
        let url: Url = settings.url.expose_secret().trim().parse().map_err(|_| bad_url())?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(bad_url)?;
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        if let Some(address) = literal.filter(|&ip| !settings.allow_link_local && guard::is_forbidden(ip)) {
            return Err(DeliverError::Forbidden(address));
        }
        let builder = Client::builder()
            .tls_backend_preconfigured(tls::client_config(host, settings.extra_roots)?)
            .user_agent(concat!("breakwatch/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout);
        let builder = if settings.allow_link_local { builder } else { builder.dns_resolver(GuardedResolver) };
        let client = builder.build().map_err(|e| DeliverError::Http(e.without_url()))?;
        let discretion = Discretion::new(parts(&url).into_iter().chain(settings.secrets));
        Ok(Self { client, url, timeout: settings.timeout, discretion })
    }

    /// Posts `body` as JSON with further `headers`; `now` is what a `Retry-After` date counts from. What is
    /// not an answer is classified already.
    pub(super) async fn post(
        &self,
        mut headers: HeaderMap,
        body: String,
        now: Timestamp,
    ) -> Result<Answer, Outcome> {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        let request = self.client.post(self.url.clone()).headers(headers).body(body);
        // The client has the same timeout; this one also covers what the client might forget.
        let mut heard = None;
        let answered = tokio::time::timeout(self.timeout, async {
            let mut response = request.send().await.map_err(|e| self.failed(e))?;
            let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers(), now));
            let (_, _, body) = heard.insert((status, retry_after, Vec::new()));
            read(&mut response, body).await;
            Ok(())
        });
        let answered = answered.await.unwrap_or_else(|_| Err(self.silent()));
        // The status decides; of the body, what comes in time is kept.
        let Some((status, retry_after, body)) = heard else {
            return Err(answered.err().unwrap_or_else(|| self.silent()));
        };
        Ok(Answer { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn silent(&self) -> Outcome {
        let timeout = crate::time::format_duration(self.timeout);
        self.discretion.deferred(&format!("no answer within {timeout}"), None)
    }

    fn failed(&self, error: reqwest::Error) -> Outcome {
        let error = error.without_url();
        match tls::explain(&error) {
            Some(tls::Trouble::Trust(words)) => {
                return self.discretion.misconfigured(&format!("TLS failed: {words}"));
            }
            Some(tls::Trouble::Handshake(words)) => {
                return self.discretion.deferred(&format!("TLS failed: {words}"), None);
            }
            None => {}
        }
        if let Some(forbidden) = guard::forbidden(&error) {
            return self.discretion.misconfigured(&forbidden.to_string());
        }
        if error.is_timeout() {
            return self.silent();
        }
        self.discretion.deferred(&chain(&error), None)
    }
}

/// Reads the body as far as it is kept.
async fn read(response: &mut reqwest::Response, body: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_MAX.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            break;
        }
    }
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_nanos(0).saturating_add(date).since(now))
}

/// Everything in an address that could be the secret: the whole, and its longer parts.
fn parts(url: &Url) -> Vec<String> {
    let segments = url.path_segments().into_iter().flatten().flat_map(pieces);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    let whole = [url.to_string(), url.path().to_owned(), url.query().unwrap_or_default().to_owned()];
    let login = [url.username().to_owned(), url.password().unwrap_or_default().to_owned()];
    whole
        .into_iter()
        .chain(segments)
        .chain(values)
        .chain(login)
        .filter(|part| part.len() >= PART_MIN)
        .collect()
}

/// A segment of a path as it stands, without its escapes, and what may stand alone in it: of Telegram's
/// `bot123:ABC` a peer may repeat `123:ABC` or `ABC`.
fn pieces(segment: &str) -> Vec<String> {
    let plain = unescaped(segment);
    let mut pieces = vec![segment.to_owned(), plain.clone()];
    pieces.extend(plain.strip_prefix("bot").map(str::to_owned));
    pieces.extend(plain.split(':').map(str::to_owned));
    pieces
}

/// `%3A` read as `:`; what is no escape stays.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_an_address_is_hidden_in_every_form_in_which_a_peer_may_repeat_it() {
        for url in [
            "https://api.telegram.org/bot123456789:AAH-s3cret-token/sendMessage",
            "https://api.telegram.org/bot123456789%3AAAH-s3cret-token/sendMessage",
        ] {
            let discretion = Discretion::new(parts(&url.parse().unwrap()));
            for said in [
                "no bot123456789:AAH-s3cret-token here",
                "no 123456789:AAH-s3cret-token here",
                "no bot123456789%3AAAH-s3cret-token here",
                "no 123456789%3AAAH-s3cret-token here",
                "no AAH-s3cret-token here",
            ] {
                let kept = discretion.keep(said);
                assert!(!kept.contains("s3cret") && kept.contains("here"), "{kept}");
            }
        }
        assert_eq!(unescaped("a%3Ab%zz%4"), "a:b%zz%4");
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let now: Timestamp = "2026-11-30T20:31:07Z".parse().unwrap();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("120"), Some(Duration::from_secs(120)));
        assert_eq!(read("Mon, 30 Nov 2026 20:32:07 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(read("Mon, 30 Nov 2026 20:00:00 GMT"), Some(Duration::ZERO));
        for text in ["soon", "-1", "1.5", ""] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
