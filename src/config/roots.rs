//! Files with further certificates to trust.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use tokio::io::AsyncReadExt;

/// The largest file of certificates.
const BYTES_MAX: u64 = 1024 * 1024;

/// Why a file of certificates cannot be used.
#[derive(Debug, Error)]
pub enum RootsError {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It holds no certificate, or something broken.
    #[error("{} is not a PEM file of at least one certificate, at most {BYTES_MAX} bytes", .0.display())]
    NotPem(PathBuf),
}

/// Reads a PEM file of certificates, and makes sure that it is one.
///
/// # Errors
/// When it cannot be read, is too large, or holds no certificate.
pub async fn read_roots(path: &Path) -> Result<Vec<u8>, RootsError> {
    let unreadable = |source| RootsError::Unreadable { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut pem = Vec::new();
    let read = file.take(BYTES_MAX.saturating_add(1)).read_to_end(&mut pem).await.map_err(unreadable)?;
    let small = u64::try_from(read).is_ok_and(|read| read <= BYTES_MAX);
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if small && !certificates.is_empty() => Ok(pem),
        Ok(_) | Err(_) => Err(RootsError::NotPem(path.to_owned())),
    }
}
