//! Small real receivers on loopback: a mail server and a hook receiver that keep what they get and, when told
//! to, misbehave in the ways in which real peers do.
//!
//! They are for demonstrations and tests: what they keep is in memory and bounded, and dropping a server ends
//! it with all its connections.

pub mod hook;
pub mod mail;
mod smtp;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::sync::watch;

/// So many messages are kept; further ones are turned away.
pub const KEPT_MAX: usize = 10_000;
/// A connection on which so long nothing comes is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Why a receiver could not be started.
#[derive(Debug, Error)]
pub enum InboxError {
    /// No port on loopback.
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// The certificate or its key cannot be read.
    #[error("the certificate or key of the receiver is not PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// The certificate and its key do not work.
    #[error("the certificate and key of the receiver do not work")]
    Tls(#[source] rustls::Error),
}

/// A server's certificate chain and key, as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate first, then those that signed it.
    pub chain: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    fn server_config(&self) -> Result<Arc<ServerConfig>, InboxError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.chain).collect();
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(InboxError::Pem)?;
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(InboxError::Tls)?
            .with_no_client_auth()
            .with_single_cert(chain.map_err(InboxError::Pem)?, key)
            .map_err(InboxError::Tls)?;
        Ok(Arc::new(config))
    }
}

/// What was received so far, and a way to wait for more.
#[derive(Debug)]
struct Kept<T> {
    items: Mutex<Vec<T>>,
    count: watch::Sender<usize>,
}

impl<T: Clone> Kept<T> {
    fn new() -> Self {
        Self { items: Mutex::new(Vec::new()), count: watch::Sender::new(0) }
    }

    /// Keeps `item`; `false` when there is no room left.
    fn push(&self, item: T) -> bool {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= KEPT_MAX {
            return false;
        }
        items.push(item);
        self.count.send_replace(items.len());
        true
    }

    fn all(&self) -> Vec<T> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything, once there are `n`, or after `deadline`.
    async fn wait_for(&self, n: usize, deadline: Duration) -> Vec<T> {
        let mut count = self.count.subscribe();
        // Whether enough came or time ran out, the caller sees it in what is there.
        drop(tokio::time::timeout(deadline, count.wait_for(|&count| count >= n)).await);
        self.all()
    }
}
