//! TLS towards a venue, and its failures in words.
//!
//! rustls with ring, the system's roots and those of the configuration. Nothing here can switch the
//! verification off.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};

use thiserror::Error;

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The further roots are no certificates.
    #[error("the further roots to trust are not PEM certificates: {reason}")]
    Roots {
        /// What is wrong.
        reason: String,
    },
    /// The library refuses.
    #[error("TLS cannot be set up")]
    Library(#[source] rustls::Error),
}

/// The client's side of TLS: the system's roots and `extra_roots` (PEM).
///
/// It brings its own provider, so no process-wide one is needed.
///
/// # Errors
/// When `extra_roots` holds no certificate, or one that cannot be a root.
pub fn client_config(extra_roots: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    // A system without roots is no error here: the first handshake says what is missing.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = extra_roots {
        for root in roots_of(pem)? {
            roots.add(root).map_err(|source| TlsError::Roots { reason: source.to_string() })?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Library)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The certificates of a PEM text, at least one.
///
/// # Errors
/// When there is none, or the text is not PEM.
pub fn roots_of(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let roots = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Roots { reason: source.to_string() })?;
    if roots.is_empty() {
        return Err(TlsError::Roots { reason: "no certificate in it".to_owned() });
    }
    Ok(roots)
}

/// What a person must know about a TLS failure, when `error` or one of its causes is one.
#[must_use]
pub fn explain(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    cause_of(error).map(in_words)
}

fn cause_of<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    std::iter::successors(Some(error), |current| current.source()).find_map(|current| {
        current.downcast_ref::<rustls::Error>().or_else(|| {
            // The source of an I/O error is its content's source, not its content.
            current.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>()
        })
    })
}

/// Whether a certificate is the reason, so that only a person can help. Other failures of TLS may pass by
/// themselves, such as those of a venue that restarts.
#[must_use]
pub fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause_of(error), Some(rustls::Error::InvalidCertificate(_)))
}

fn in_words(error: &rustls::Error) -> String {
    if let rustls::Error::InvalidCertificate(reason) = error {
        return certificate_in_words(reason);
    }
    if let rustls::Error::InvalidMessage(_) = error {
        return "the server does not speak TLS on this port; another port, or another `tls` setting, is \
                needed"
            .to_owned();
    }
    format!("TLS failed: {error}")
}

fn certificate_in_words(reason: &CertificateError) -> String {
    if matches!(reason, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        return format!("the server's certificate has expired ({reason})");
    }
    if matches!(reason, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
        return format!("the server's certificate is not valid yet; is the clock right? ({reason})");
    }
    if matches!(reason, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) {
        return format!("the server's certificate is for another host name ({reason})");
    }
    if matches!(reason, CertificateError::UnknownIssuer) {
        return "the server's certificate is self-signed or its issuer is not trusted here; add the issuer's \
                certificate to the extra roots"
            .to_owned();
    }
    let text = reason.to_string();
    if text.contains("CaUsedAsEndEntity") {
        return "the server's certificate is self-signed and marked as an authority, which cannot be used \
                as a server's certificate; issue one for the server, signed by it"
            .to_owned();
    }
    format!("the server's certificate is not acceptable ({text})")
}
