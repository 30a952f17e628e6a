//! Reads every secret and every certificate that a configuration names, and tells all that is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use secrecy::SecretString;

use super::problem::{Problem, ProblemKind, chain, quoted};
use super::roots::read_roots;
use super::{Config, ConfigError};
use crate::config::feed::FeedConfig;
use crate::deliver::Settings;

/// The secrets of a configuration.
#[derive(Debug)]
pub struct Secrets {
    /// For each feed, in the configuration's order.
    pub feeds: Vec<FeedSecrets>,
    /// For each channel, in the configuration's order, what a delivery needs.
    pub channels: Vec<Settings>,
    /// Secrets that others can read.
    pub warnings: Vec<Problem>,
}

/// What a feed needs beside its description.
#[derive(Debug)]
pub struct FeedSecrets {
    /// What `${name}` stands for.
    pub values: BTreeMap<String, SecretString>,
    /// A PEM file's content with further roots to trust.
    pub extra_roots: Option<Vec<u8>>,
}

impl Config {
    /// Reads all secrets and certificates. `env` is the environment, `credentials` systemd's
    /// `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// When any of them cannot be read or has not the form that is needed; all are told together.
    pub async fn read_secrets(
        &self,
        env: &BTreeMap<String, String>,
        credentials: Option<&Path>,
    ) -> Result<Secrets, ConfigError> {
        let mut wrong = Vec::new();
        let mut secrets = Secrets { feeds: Vec::new(), channels: Vec::new(), warnings: self.open_secrets() };
        for feed in &self.feeds {
            secrets.feeds.push(self.feed_secrets(feed, env, credentials, &mut wrong).await);
        }
        for channel in &self.channels {
            match channel.settings(env, credentials).await {
                Ok(settings) => secrets.channels.push(settings),
                Err(found) => {
                    let place = format!("channel {}", quoted(&channel.name));
                    wrong.extend(found.into_iter().map(|(key, text)| self.unread(&place, &key, text)));
                }
            }
        }
        if wrong.is_empty() {
            Ok(secrets)
        } else {
            Err(ConfigError::Invalid { problems: wrong, unlisted: 0 })
        }
    }

    /// Reads the secrets of one feed; nobody else's are needed.
    ///
    /// # Errors
    /// When any of them cannot be read; all are told together.
    pub async fn read_feed_secrets(
        &self,
        feed: &FeedConfig,
        env: &BTreeMap<String, String>,
        credentials: Option<&Path>,
    ) -> Result<FeedSecrets, ConfigError> {
        let mut wrong = Vec::new();
        let secrets = self.feed_secrets(feed, env, credentials, &mut wrong).await;
        if wrong.is_empty() {
            Ok(secrets)
        } else {
            Err(ConfigError::Invalid { problems: wrong, unlisted: 0 })
        }
    }

    async fn feed_secrets(
        &self,
        feed: &FeedConfig,
        env: &BTreeMap<String, String>,
        credentials: Option<&Path>,
        wrong: &mut Vec<Problem>,
    ) -> FeedSecrets {
        let place = format!("feed {}", quoted(&feed.name));
        let mut values = BTreeMap::new();
        for (name, source) in &feed.secrets {
            match source.read(env, credentials).await {
                Ok(secret) => {
                    values.insert(name.clone(), secret);
                }
                Err(e) => wrong.push(self.unread(&place, &feed.speech.secret_key(name), chain(&e))),
            }
        }
        let mut extra_roots = None;
        if let Some(path) = &feed.extra_roots {
            match read_roots(path).await {
                Ok(pem) => extra_roots = Some(pem),
                Err(e) => wrong.push(self.unread(&place, "ca_file", chain(&e))),
            }
        }
        FeedSecrets { values, extra_roots }
    }

    /// The secrets that everybody can read.
    fn open_secrets(&self) -> Vec<Problem> {
        let mut open = Vec::new();
        for feed in &self.feeds {
            let place = format!("feed {}", quoted(&feed.name));
            for (name, source) in &feed.secrets {
                let text = source.warning();
                open.extend(text.map(|text| self.unread(&place, &feed.speech.secret_key(name), text)));
            }
        }
        for channel in &self.channels {
            let place = format!("channel {}", quoted(&channel.name));
            for (key, source) in channel.secret_sources() {
                open.extend(source.warning().map(|text| self.unread(&place, key, text)));
            }
        }
        open
    }

    fn unread(&self, place: &str, key: &str, text: String) -> Problem {
        let (origin, path) = (self.origin.clone(), format!("{place}: {key}"));
        Problem { origin, path, kind: ProblemKind::Secret, text }
    }
}
