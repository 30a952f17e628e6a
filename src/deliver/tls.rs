//! Whom we trust, and why we do not trust a peer, in words that help.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::deliver::DeliverError;
use crate::time::{Timestamp, Unit};

/// Certificates in a PEM file's content; at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, DeliverError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or(DeliverError::BadRoots)
}

/// rustls with ring, trusting the machine's roots and `extra_roots`.
pub(super) fn client_config(host: &str, extra_roots: Option<&[u8]>) -> Result<ClientConfig, DeliverError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in extra_roots.map(certificates).transpose()?.unwrap_or_default() {
        roots.add(certificate).map_err(|_| DeliverError::BadRoots)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| DeliverError::Tls { host: host.to_owned(), source: Box::new(e) })?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What TLS failed of, in words.
pub(super) enum Trouble {
    /// The peer is not trusted, or has no TLS in common: nothing changes until a person acts.
    Trust(String),
    /// What came was broken, once: it may pass.
    Handshake(String),
}

/// In words, when the cause of `error` is TLS.
pub(super) fn explain(error: &(dyn Error + 'static)) -> Option<Trouble> {
    find(error).map(trouble)
}

/// The TLS error among the causes. An `io::Error` hides its content from `source()`.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls adds variants; those without words of ours keep theirs, and may pass"
)]
fn trouble(error: &rustls::Error) -> Trouble {
    match error {
        rustls::Error::InvalidCertificate(error) => Trouble::Trust(certificate_words(error)),
        rustls::Error::NoCertificatesPresented => Trouble::Trust("the peer shows no certificate".to_owned()),
        rustls::Error::PeerIncompatible(_) => {
            Trouble::Trust(format!("no TLS version or cipher in common: {error}"))
        }
        rustls::Error::AlertReceived(alert) => {
            let words = format!("the peer ended the handshake: {alert:?}");
            if is_passing(*alert) { Trouble::Handshake(words) } else { Trouble::Trust(words) }
        }
        rustls::Error::InvalidMessage(_) => Trouble::Handshake(
            "what came was not TLS (the peer does not speak TLS on this port, or wants STARTTLS, or is broken)"
                .to_owned(),
        ),
        other => Trouble::Handshake(other.to_string()),
    }
}

/// Whether the peer's complaint is about itself or this one connection rather than about who talks to whom.
const fn is_passing(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CloseNotify
            | AlertDescription::UnexpectedMessage
            | AlertDescription::BadRecordMac
            | AlertDescription::DecodeError
            | AlertDescription::DecryptError
            | AlertDescription::InternalError
            | AlertDescription::UserCanceled
    )
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "rustls adds variants; those without words of ours keep theirs"
)]
fn certificate_words(error: &CertificateError) -> String {
    let day = |time: &rustls::pki_types::UnixTime| {
        let seconds = i64::try_from(time.as_secs()).ok();
        let at = seconds.and_then(|seconds| Timestamp::from_unit(seconds, Unit::S));
        at.map(|at| format!(" ({at})")).unwrap_or_default()
    };
    match error {
        CertificateError::Expired => "the peer's certificate has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the peer's certificate has expired{}", day(not_after))
        }
        CertificateError::NotValidYet => not_valid_yet(""),
        CertificateError::NotValidYetContext { not_before, .. } => not_valid_yet(&day(not_before)),
        CertificateError::NotValidForName => "the peer's certificate is for another host".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            format!("the peer's certificate is for another host: {}, not {}", presented.join(", "), expected.to_str())
        }
        CertificateError::UnknownIssuer => "the peer's certificate is signed by an authority that is not trusted here: \
             it is self-signed or from a private authority, whose root must be given as a further root"
            .to_owned(),
        CertificateError::BadSignature => {
            "the peer's certificate names a trusted authority but was not signed by it (was its root renewed?)".to_owned()
        }
        CertificateError::Revoked => "the peer's certificate was revoked".to_owned(),
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the peer's certificate is a self-signed one that is an authority's at the same time: such a \
             certificate is never accepted for a server, even when trusted; let an authority of your own sign one, \
             and give its root as a further root"
                .to_owned()
        }
        other => format!("the peer's certificate is not accepted: {other}"),
    }
}

fn not_valid_yet(from: &str) -> String {
    format!("the peer's certificate is not valid yet{from}; is the clock of this machine right?")
}
