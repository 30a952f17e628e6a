//! Reads a channel's secrets and files, and checks their form: what a delivery needs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};

use super::address;
use super::channel::{ChannelConfig, ChannelKind, EmailConfig, SmtpConfig};
use super::exec::{ExecConfig, check_program};
use super::header::{HeadersConfig, check_header_value};
use super::problem::{Refusal, chain};
use super::roots::read_roots;
use super::secret::SecretSource;
use super::slack::{SlackConfig, SlackWayConfig, check_token};
use super::spec::names;
use super::webhook::{
    FormatConfig, TextSource, WebhookConfig, check_routing_key, check_send_message, check_topic,
};
use crate::deliver::{
    EmailSettings, ExecSettings, HeaderText, ReadAgain, Renewal, Settings, SlackSettings, SlackWay,
    SmtpLogin, SmtpServer, WebhookFormat, WebhookSettings,
};
use crate::feed::json::spec::Template;

/// A webhook secret is `whsec_` and so many bytes in base64.
const SIGNING_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

impl ChannelConfig {
    /// Reads the channel's secrets and files. All that is wrong is told together, each with its key.
    ///
    /// # Errors
    /// When a secret or a file cannot be read, or has not the form that the channel needs.
    pub async fn settings(
        &self,
        env: &BTreeMap<String, String>,
        credentials: Option<&Path>,
    ) -> Result<Settings, Vec<(String, String)>> {
        let mut reader = Reader { env, credentials, wrong: Vec::new() };
        let settings = match &self.kind {
            ChannelKind::Console => Some(Settings::Console),
            ChannelKind::Email(email) => reader.email(email).await.map(Settings::Email),
            ChannelKind::Slack(slack) => reader.slack(slack).await.map(Settings::Slack),
            ChannelKind::Webhook(webhook) => reader.webhook(webhook).await.map(Settings::Webhook),
            ChannelKind::Exec(exec) => reader.exec(exec).await.map(Settings::Exec),
        };
        match settings {
            Some(settings) if reader.wrong.is_empty() => Ok(settings),
            Some(_) | None => Err(reader.wrong),
        }
    }
}

struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    credentials: Option<&'a Path>,
    wrong: Vec<(String, String)>,
}

impl Reader<'_> {
    async fn email(&mut self, email: &EmailConfig) -> Option<EmailSettings> {
        let mut servers = Vec::with_capacity(email.servers.len());
        for (n, server) in (1_usize..).zip(&email.servers) {
            let place = if email.servers.len() == 1 { "smtp".to_owned() } else { format!("smtp #{n}") };
            servers.extend(self.server(&place, server).await);
        }
        Some(EmailSettings {
            from: email.from.clone(),
            to: email.to.clone(),
            servers,
            timeout: email.timeout,
        })
    }

    async fn slack(&mut self, slack: &SlackConfig) -> Option<SlackSettings> {
        let way = match &slack.way {
            SlackWayConfig::Webhook { url } => {
                SlackWay::Webhook { url: self.secret("url", url, check_url).await? }
            }
            SlackWayConfig::Bot { token, channel, api } => SlackWay::Bot {
                token: self.secret("token", token, check_token).await?,
                channel: channel.clone(),
                api: api.clone(),
            },
        };
        Some(SlackSettings { way, timeout: slack.timeout })
    }

    async fn exec(&mut self, exec: &ExecConfig) -> Option<ExecSettings> {
        if let Err(text) = check_program(&exec.program).await {
            self.wrong.push(("command".to_owned(), text));
            return None;
        }
        let (program, arguments) = (exec.program.clone(), exec.arguments.clone());
        Some(ExecSettings { program, arguments, timeout: exec.timeout })
    }

    async fn server(&mut self, place: &str, server: &SmtpConfig) -> Option<SmtpServer> {
        let login = match &server.login {
            Some(login) => {
                let password = self.secret(&format!("{place}.password"), &login.password, |_| Ok(())).await;
                Some((login, password))
            }
            None => None,
        };
        let extra_roots = self.roots(&format!("{place}.ca_file"), server.extra_roots.as_deref()).await;
        let login = match login {
            Some((login, password)) => Some(SmtpLogin {
                user: login.user.clone(),
                password: password?,
                renewal: renewal(&login.password),
                mechanism: login.mechanism,
            }),
            None => None,
        };
        Some(SmtpServer { host: server.host.clone(), port: server.port, tls: server.tls, login, extra_roots })
    }

    async fn webhook(&mut self, webhook: &WebhookConfig) -> Option<WebhookSettings> {
        let check = match &webhook.format {
            FormatConfig::Telegram { .. } => check_send_message,
            FormatConfig::Standard { .. }
            | FormatConfig::Discord
            | FormatConfig::Ntfy { .. }
            | FormatConfig::Pagerduty { .. }
            | FormatConfig::Alertmanager
            | FormatConfig::Teams
            | FormatConfig::Tradingview => check_url,
        };
        let url = self.text("url", &webhook.url, check).await;
        let format = self.format(&webhook.format).await;
        let headers = self.headers(&webhook.headers).await;
        let extra_roots = self.roots("ca_file", webhook.extra_roots.as_deref()).await;
        Some(WebhookSettings {
            url: url?,
            format: format?,
            headers,
            timeout: webhook.timeout,
            extra_roots,
            allow_link_local: webhook.allow_link_local,
        })
    }

    async fn format(&mut self, format: &FormatConfig) -> Option<WebhookFormat> {
        Some(match format {
            FormatConfig::Standard { secrets: sources } => {
                let mut secrets = Vec::with_capacity(sources.len());
                for source in sources {
                    secrets.extend(self.secret("secret", source, check_signing).await);
                }
                WebhookFormat::Standard { secrets }
            }
            FormatConfig::Discord => WebhookFormat::Discord,
            FormatConfig::Alertmanager => WebhookFormat::Alertmanager,
            FormatConfig::Teams => WebhookFormat::Teams,
            FormatConfig::Tradingview => WebhookFormat::Tradingview,
            FormatConfig::Telegram { chat } => WebhookFormat::Telegram { chat: chat.clone() },
            FormatConfig::Ntfy { topic } => {
                WebhookFormat::Ntfy { topic: self.text("topic", topic, check_topic).await? }
            }
            FormatConfig::Pagerduty { routing_key } => WebhookFormat::Pagerduty {
                routing_key: self.secret("routing_key", routing_key, check_routing_key).await?,
            },
        })
    }

    async fn headers(&mut self, config: &HeadersConfig) -> Vec<(String, HeaderText)> {
        let mut values = BTreeMap::new();
        for (name, source) in &config.secrets {
            let read = self.secret(&format!("secrets.{name}"), source, check_header_value).await;
            values.extend(read.map(|secret| (name.as_str(), secret)));
        }
        let fill = |template: &Template| {
            template.fill(|name| values.get(name).map(|secret| secret.expose_secret().to_owned()))
        };
        let text = |template: &Template| HeaderText {
            value: fill(template).into(),
            secrets: names(template).filter_map(|name| values.get(name).cloned()).collect(),
        };
        config.headers.iter().map(|(name, template)| (name.clone(), text(template))).collect()
    }

    async fn text(
        &mut self,
        key: &str,
        source: &TextSource,
        check: impl Fn(&str) -> Result<(), Refusal>,
    ) -> Option<SecretString> {
        match source {
            TextSource::Plain(text) => Some(SecretString::from(text.clone())),
            TextSource::Secret(source) => self.secret(key, source, check).await,
        }
    }

    async fn secret(
        &mut self,
        key: &str,
        source: &SecretSource,
        check: impl Fn(&str) -> Result<(), Refusal>,
    ) -> Option<SecretString> {
        let text = match source.read(self.env, self.credentials).await {
            Ok(secret) => match check(secret.expose_secret()) {
                Ok(()) => return Some(secret),
                Err(refusal) => format!("{source}: {}", refusal.text),
            },
            Err(e) => chain(&e),
        };
        self.wrong.push((key.to_owned(), text));
        None
    }

    async fn roots(&mut self, key: &str, path: Option<&Path>) -> Option<Vec<u8>> {
        match read_roots(path?).await {
            Ok(pem) => Some(pem),
            Err(e) => {
                self.wrong.push((key.to_owned(), chain(&e)));
                None
            }
        }
    }
}

/// Set for what a program prints and what does not last.
fn renewal(source: &SecretSource) -> Option<Renewal> {
    match source {
        SecretSource::Command { ttl: Some(ttl), .. } => {
            Some(Renewal { ttl: *ttl, source: Arc::new(source.clone()) })
        }
        SecretSource::Command { ttl: None, .. }
        | SecretSource::Credential(_)
        | SecretSource::File(_)
        | SecretSource::Env(_) => None,
    }
}

impl ReadAgain for SecretSource {
    fn read_again(&self) -> BoxFuture<'_, Result<SecretString, String>> {
        // Only commands are asked again, and they need neither environment nor credentials.
        Box::pin(async { self.read(&BTreeMap::new(), None).await.map_err(|error| chain(&error)) })
    }
}

fn check_url(text: &str) -> Result<(), Refusal> {
    address::check_channel(text)
}

/// Standard Webhooks: `whsec_` and 24 to 64 bytes in base64.
fn check_signing(text: &str) -> Result<(), Refusal> {
    let bytes = text.strip_prefix("whsec_").and_then(|encoded| STANDARD.decode(encoded).ok());
    match bytes {
        Some(bytes) if SIGNING_BYTES.contains(&bytes.len()) => Ok(()),
        Some(_) | None => Err("is not whsec_ and 24 to 64 bytes in base64; \
             make one with: echo \"whsec_$(openssl rand -base64 32)\""
            .into()),
    }
}
