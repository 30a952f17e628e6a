//! Connections that do not come about: no upgrade, no trust.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rstest::rstest;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

use super::*;

#[rstest]
#[case("401 Unauthorized", Loss::Refused)]
#[case("403 Forbidden", Loss::Refused)]
#[case("404 Not Found", Loss::Disconnected)]
#[case("200 OK", Loss::Disconnected)]
#[case("500 Internal Server Error", Loss::Disconnected)]
#[tokio::test]
async fn an_answer_that_is_no_upgrade_is_named(#[case] status: &str, #[case] wanted: Loss) {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    venue.answer(&format!("HTTP/1.1 {status}\r\ncontent-type: text/html\r\n\r\n<html>no</html>")).await;
    let (loss, detail) = feed.down().await;
    let code = status.split(' ').next().unwrap();
    assert!(loss == wanted && detail.contains(&format!("HTTP {code}")), "{loss:?} {detail}");
    if wanted == Loss::Disconnected {
        feed.recovers(&venue).await;
    }
}

#[rstest]
#[tokio::test]
async fn the_wait_that_a_venue_asks_for_is_kept(
    #[values("429 Too Many Requests", "503 Service Unavailable")] status: &str,
) {
    let venue = Venue::open().await;
    let mut feed = Setup::of(&venue).start().await;
    venue.answer(&format!("HTTP/1.1 {status}\r\nretry-after: 2\r\n\r\n")).await;
    assert_eq!(feed.down().await.0, Loss::Disconnected);
    let since = feed.clock.monotonic();
    feed.recovers(&venue).await;
    let waited = feed.clock.monotonic().saturating_sub(since);
    // The first wait of its own is at most a second.
    assert!(waited >= Duration::from_millis(1_800), "{waited:?}");
}

#[tokio::test]
async fn a_redirection_is_not_followed() {
    let (venue, other) = (Venue::open().await, Venue::open().await);
    let mut feed = Setup::of(&venue).start().await;
    let location = format!("ws://127.0.0.1:{}/", other.port());
    venue.answer(&format!("HTTP/1.1 301 Moved Permanently\r\nlocation: {location}\r\n\r\n")).await;
    assert!(feed.down().await.1.contains("HTTP 301"));
    feed.recovers(&venue).await;
    let nobody = futures_util::FutureExt::now_or_never(other.0.accept());
    assert!(nobody.is_none(), "{nobody:?}");
}

#[tokio::test]
async fn an_upgrade_that_is_never_answered_is_given_up() {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.limits.connect = Duration::from_secs(1);
    let mut feed = setup.start().await;
    let _silent = venue.tcp().await;
    let (loss, detail) = feed.down().await;
    assert_eq!((loss, detail.as_str()), (Loss::Disconnected, "no connection within 1 s"));
    feed.recovers(&venue).await;
}

#[rstest]
#[case::many_short_ones("x-more: and more\r\n")]
#[case::one_long_one("and more, ")]
#[tokio::test]
async fn endless_headers_are_given_up(#[case] more: &str) {
    let venue = Venue::open().await;
    let mut setup = Setup::of(&venue);
    setup.limits.connect = Duration::from_secs(2);
    let mut feed = setup.start().await;
    let mut tcp = venue.tcp().await;
    let more = more.repeat(100);
    let endless = async {
        tcp.write_all(b"HTTP/1.1 101 Switching Protocols\r\nx: y").await.unwrap();
        if more.contains('\n') {
            tcp.write_all(b"\r\n").await.unwrap();
        }
        while tcp.write_all(more.as_bytes()).await.is_ok() {}
    };
    soon(endless).await;
    assert_eq!(feed.down().await.0, Loss::Disconnected);
    feed.recovers(&venue).await;
}

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate chain and its key, PEM.
type Identity = (String, String);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn signed(&self, params: &CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn localhost() -> CertificateParams {
    CertificateParams::new(vec!["localhost".to_owned()]).unwrap()
}

fn acceptor((chain, key): &Identity) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            tls::roots_of(chain.as_bytes()).unwrap(),
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        );
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

fn secure(venue: &Venue, authority: &Authority) -> Setup {
    let mut setup = Setup::url(&format!("wss://localhost:{}/feed?key=${{key}}", venue.port()));
    setup.extra_roots = Some(authority.0.pem().into_bytes());
    setup
}

#[tokio::test]
async fn a_root_of_the_configuration_is_trusted() {
    let (venue, authority) = (Venue::open().await, Authority::new("ours"));
    let acceptor = acceptor(&authority.signed(&localhost()));
    let mut feed = secure(&venue, &authority).start().await;
    let tls = soon(acceptor.accept(venue.tcp().await)).await.unwrap();
    let mut peer = soon(Box::pin(accept_async(tls))).await.unwrap();
    soon(peer.next()).await.unwrap().unwrap();
    peer.send(Message::text(r#"{"is":"welcome"}"#)).await.unwrap();
    feed.live().await;
    peer.send(Message::text(feed.trade("2450.1", Duration::ZERO))).await.unwrap();
    assert_eq!(feed.price().await, "2450.1");
}

/// A certificate that nobody should trust.
fn bad(kind: &str, authority: &Authority) -> Identity {
    let mut params = localhost();
    match kind {
        "self-signed" => {
            let key = KeyPair::generate().unwrap();
            return (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
        }
        "of a stranger" => return Authority::new("a stranger").signed(&params),
        "expired" => params.not_after = rcgen::date_time_ymd(2020, 1, 1),
        "early" => params.not_before = rcgen::date_time_ymd(2200, 1, 1),
        _ => params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap(),
    }
    authority.signed(&params)
}

#[rstest]
#[case("self-signed", "self-signed or its issuer is not trusted")]
#[case("of a stranger", "its issuer is not trusted")]
#[case("expired", "has expired")]
#[case("early", "not valid yet")]
#[case("of another host", "for another host name")]
#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_is_refused_in_words(
    #[case] kind: &str,
    #[case] words: &str,
) {
    let (venue, authority) = (Venue::open().await, Authority::new("ours"));
    let acceptor = acceptor(&bad(kind, &authority));
    let mut feed = secure(&venue, &authority).start().await;
    let accepted = soon(acceptor.accept(venue.tcp().await)).await;
    // With TLS 1.3 the server may be done before the client looks at the certificate; then nothing follows.
    if let Ok(mut tls) = accepted {
        let mut heard = Vec::new();
        drop(soon(tls.read_to_end(&mut heard)).await);
        assert!(heard.is_empty());
    }
    let (loss, detail) = feed.down().await;
    assert!(loss == Loss::Refused && detail.contains(words), "{loss:?} {detail}");
}

#[tokio::test]
async fn a_venue_without_tls_is_never_spoken_to_in_plain_text() {
    let (venue, authority) = (Venue::open().await, Authority::new("ours"));
    let mut feed = secure(&venue, &authority).start().await;
    let mut tcp = venue.tcp().await;
    tcp.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await.unwrap();
    // It may pass, such as a venue that restarts: no refusal.
    let (loss, detail) = feed.down().await;
    assert!(loss == Loss::Disconnected && detail.contains("does not speak TLS"), "{loss:?} {detail}");
    let mut heard = Vec::new();
    drop(soon(tcp.read_to_end(&mut heard)).await);
    assert!(heard.starts_with(&[0x16, 0x03]) && !String::from_utf8_lossy(&heard).contains("GET"));
}
