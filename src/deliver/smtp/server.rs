//! One server that takes mail: its idle connection, its login, and how it fared lately.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use secrecy::SecretString;
use tokio_rustls::TlsConnector;

use super::login::Login;
use super::wire::{Trust, Wire};
use super::{Connection, Failure, Stage};
use crate::deliver::{DeliverError, SmtpServer, SmtpTls, tls};
use crate::time::Timestamp;

/// An idle connection is used again for so long; servers close theirs after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(45);
/// A server that could not be used comes last for so long.
const AVOIDED: Duration = Duration::from_secs(60);

/// Where mail is handed in, and how.
pub(in crate::deliver) struct Server {
    host: String,
    port: u16,
    protection: SmtpTls,
    trust: Option<Trust>,
    login: Option<Login>,
    hello: ClientId,
    /// The connection of the last letter. It is taken out while it is used, so that it is closed and not used
    /// again when an attempt is cut short.
    idle: Mutex<Option<(Connection, Timestamp)>>,
    failed: Mutex<Option<(Timestamp, String)>>,
}

impl Server {
    pub(in crate::deliver) fn open(settings: SmtpServer) -> Result<Self, DeliverError> {
        let trust = match settings.tls {
            SmtpTls::Plain => None,
            SmtpTls::Implicit | SmtpTls::StartTls => {
                Some(trust(&settings.host, settings.extra_roots.as_deref())?)
            }
        };
        Ok(Self {
            host: settings.host,
            port: settings.port,
            protection: settings.tls,
            trust,
            login: settings.login.map(Login::new),
            hello: ClientId::default(),
            idle: Mutex::new(None),
            failed: Mutex::new(None),
        })
    }

    /// `smtp.example.com:587`
    pub(in crate::deliver) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What must not be shown.
    pub(in crate::deliver) fn secrets(&self) -> Vec<String> {
        self.login.as_ref().map(Login::secrets).unwrap_or_default()
    }

    /// A connection that is protected and logged in: the idle one, or a new one.
    pub(in crate::deliver) async fn connection(
        &self,
        now: Timestamp,
        share: Duration,
        stage: &mut Stage,
    ) -> Result<Connection, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((connection, used_at)) = idle
            && now.since(used_at) < IDLE_MAX
            && let Some(connection) = super::still_alive(connection).await
        {
            return Ok(connection);
        }
        let Some(login) = &self.login else { return self.connect(share, stage).await };
        *stage = Stage::Password;
        let password = login.password(now).await;
        match self.logged_in(login, &password, share, stage).await {
            Err(Failure::Reply { code: code @ (534 | 535), text }) if *stage == Stage::Login => {
                *stage = Stage::Password;
                let another = login.another(&password, now).await;
                *stage = Stage::Login;
                match another {
                    Ok(password) => self.logged_in(login, &password, share, stage).await,
                    Err(None) => Err(Failure::Reply { code, text }),
                    Err(Some(why)) => {
                        let text = format!("{text}; a new password cannot be had: {why}");
                        Err(Failure::Reply { code, text })
                    }
                }
            }
            other => other,
        }
    }

    async fn logged_in(
        &self,
        login: &Login,
        password: &SecretString,
        share: Duration,
        stage: &mut Stage,
    ) -> Result<Connection, Failure> {
        let mut connection = self.connect(share, stage).await?;
        *stage = Stage::Login;
        login.log_in(&mut connection, password).await?;
        Ok(connection)
    }

    async fn connect(&self, share: Duration, stage: &mut Stage) -> Result<Connection, Failure> {
        *stage = Stage::Connect;
        let address = (self.host.as_str(), self.port);
        let opening = Wire::open(address, self.protection, self.trust.as_ref(), &self.hello, share);
        let wire = Box::new(Box::pin(opening).await?);
        let connected = Connection::connect_with_transport(wire, &self.hello).await;
        connected.map_err(|error| Failure::of(&error))
    }

    /// Keeps a connection for the next letter, if it is still good.
    pub(in crate::deliver) fn keep(&self, connection: Option<Connection>, now: Timestamp) {
        let connection = connection.filter(|connection| !connection.has_broken());
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) =
            connection.map(|connection| (connection, now));
    }

    /// Notes that it could not be used, and why; or that it could.
    pub(in crate::deliver) fn note(&self, now: Timestamp, trouble: Option<String>) {
        let failed = trouble.map(|trouble| (now, trouble));
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    /// Why it comes last: it could not be used a short time ago.
    pub(in crate::deliver) fn avoided(&self, now: Timestamp) -> Option<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lately = |(at, _): &(Timestamp, String)| now >= *at && now.since(*at) < AVOIDED;
        failed.filter(lately).map(|(_, trouble)| trouble)
    }
}

fn trust(host: &str, extra_roots: Option<&[u8]>) -> Result<Trust, DeliverError> {
    let connector = TlsConnector::from(Arc::new(tls::client_config(host, extra_roots)?));
    let bad_name = |source| DeliverError::Tls { host: host.to_owned(), source: Box::new(source) };
    Ok(Trust { connector, name: ServerName::try_from(host.to_owned()).map_err(bad_name)? })
}
