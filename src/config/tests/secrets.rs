//! Reading secrets: from each source, with everything that can be wrong with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{env, good, repository, write};
use crate::config::channel::ChannelKind;
use crate::config::secret::{SecretError, SecretSource};
use crate::deliver::{Settings, SlackWay, SmtpAuth, SmtpLogin, WebhookFormat};

const WEBHOOK: &str = "[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"https://example.com/hook\"\n";

fn command(argv: &[&str]) -> SecretSource {
    SecretSource::Command { argv: argv.iter().map(|a| (*a).to_owned()).collect(), ttl: None }
}

async fn read(source: &SecretSource, dir: &Path) -> Result<String, SecretError> {
    let secret = source.read(&env(&[("KEY", "from env"), ("EMPTY", "\n")]), Some(dir)).await?;
    Ok(secret.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_is_read_from_each_source_without_its_line_end() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("key"), "from file\r\n");
    write(&dir.path().join("two"), "two\n\n");
    let from = async |source: SecretSource| read(&source, dir.path()).await.unwrap();
    assert_eq!(from(SecretSource::Credential("key".into())).await, "from file");
    assert_eq!(from(SecretSource::File(dir.path().join("two"))).await, "two\n");
    assert_eq!(from(SecretSource::Env("KEY".into())).await, "from env");
    assert_eq!(from(command(&["printf", "%s\\n", "from $(x)"])).await, "from $(x)");
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("empty"), "\n");
    write(&dir.path().join("long"), &"x".repeat(65_537));
    std::fs::write(dir.path().join("bytes"), b"\xff\xfe").unwrap();
    let cases = [
        (SecretSource::Credential("missing".into()), "missing cannot be read"),
        (SecretSource::Credential("empty".into()), "credential \"empty\" is empty"),
        (SecretSource::File(dir.path().join("long")), "is longer than 65536 bytes"),
        (SecretSource::File(dir.path().join("bytes")), "is not a text"),
        (SecretSource::Env("NONE".into()), "environment variable NONE is not set"),
        (SecretSource::Env("EMPTY".into()), "environment variable EMPTY is empty"),
        (command(&["false"]), "command \"false\" failed (exit status: 1)"),
        (command(&["/no/such/program"]), "command \"/no/such/program\" cannot be run"),
        (command(&["yes"]), "command \"yes\" failed (signal: 13 (SIGPIPE))"),
    ];
    for (source, text) in cases {
        let error = read(&source, dir.path()).await.unwrap_err().to_string();
        assert!(error.ends_with(text), "{error}");
    }
    let none = SecretSource::Credential("x".into()).read(&BTreeMap::new(), None).await.unwrap_err();
    assert!(matches!(none, SecretError::NoCredentials(_)));
}

#[tokio::test]
async fn a_secret_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write(&path, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G\n");
    let config = good(&format!("{WEBHOOK}secret = {{ file = \"{}\" }}\n", path.display()));
    for (mode, warnings) in [(0o644, 1), (0o640, 0)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let secrets = config.read_secrets(&BTreeMap::new(), None).await.unwrap();
        assert_eq!(secrets.warnings.len(), warnings, "{:?}", secrets.warnings);
    }
}

#[tokio::test]
async fn everything_that_cannot_be_read_is_told_together() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("webhook"), "whsec_c2hvcnQ=\n");
    write(&dir.path().join("slack"), "http://hooks.example.com/s3cret\n");
    write(&dir.path().join("ca.pem"), "no certificate\n");
    let config = good(&format!(
        "{}{WEBHOOK}secret = [{{ credential = \"webhook\" }}, {{ env = \"OLD\" }}]\nca_file = \"{}\"\n\
         [[channel]]\nname = \"slack\"\nkind = \"slack\"\nurl = {{ credential = \"slack\" }}\n",
        include_str!("design.toml").split("[[channel]]").next().unwrap(),
        dir.path().join("ca.pem").display(),
    ));
    let error = config.read_secrets(&BTreeMap::new(), Some(dir.path())).await.unwrap_err().to_string();
    assert!(!error.contains("s3cret") && !error.contains("c2hvcnQ"), "{error}");
    let error = error.replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(error, @r#"
    test.toml: feed "custom": secrets.key: DIR/custom-key cannot be read: No such file or directory (os error 2)
    test.toml: channel "ops": secret: credential "webhook": is not whsec_ and 24 to 64 bytes in base64; make one with: echo "whsec_$(openssl rand -base64 32)"
    test.toml: channel "ops": secret: environment variable OLD is not set
    test.toml: channel "ops": ca_file: DIR/ca.pem is not a PEM file of at least one certificate, at most 1048576 bytes
    test.toml: channel "slack": url: credential "slack": http:// to hooks.example.com would not be encrypted; a channel's address is https://…, or http://… to loopback or a private network
    "#);
}

#[tokio::test]
async fn with_its_secrets_a_channel_has_the_settings_of_a_delivery() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("smtp-password"), "hunter2\n");
    write(&dir.path().join("slack-webhook-url"), "https://hooks.example.com/services/T/B/x\n");
    write(&dir.path().join("webhook-secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G\n");
    write(&dir.path().join("custom-key"), "k\n");
    let config = good(include_str!("design.toml"));
    let secrets = config.read_secrets(&BTreeMap::new(), Some(dir.path())).await.unwrap();
    assert_eq!(secrets.feeds[0].values["key"].expose_secret(), "k");
    let [Settings::Email(email), Settings::Slack(slack), Settings::Webhook(webhook)] = &secrets.channels[..]
    else {
        panic!("{:?}", secrets.channels);
    };
    let SmtpLogin { user, password, .. } = email.servers[0].login.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose_secret()), ("alerts", "hunter2"));
    let SlackWay::Webhook { url } = &slack.way else { panic!("{slack:?}") };
    assert_eq!(url.expose_secret(), "https://hooks.example.com/services/T/B/x");
    assert!(matches!(&webhook.format, WebhookFormat::Standard { secrets } if secrets.len() == 1));
    assert_eq!(webhook.timeout, Duration::from_secs(10));
    let printed = format!("{config:?} {secrets:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("MfKQ9r8"));
}

#[tokio::test]
async fn a_password_with_a_ttl_can_be_read_again_and_a_wrong_server_is_named_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().to_str().unwrap();
    let token = dir.path().join("token");
    write(&token, "first\n");
    let channel = |second: &str| {
        format!(
            "[[channel]]\nname = \"mail\"\nkind = \"email\"\nfrom = \"a@b.c\"\nto = \"a@b.c\"\nsmtp = [\n\
             {{ host = \"mx1.example.com\", user = \"u\", auth = \"xoauth2\", \
             password = {{ command = [\"cat\", \"{home}/token\"], ttl = \"50m\" }} }},\n{second}\n]\n"
        )
    };
    let second = "{ host = \"mx2.example.com\", user = \"u\", auth = \"login\", password = { env = \"P\" } }";
    let secrets = good(&channel(second)).read_secrets(&env(&[("P", "p")]), None).await.unwrap();
    let [Settings::Email(email)] = &secrets.channels[..] else { panic!("{:?}", secrets.channels) };
    let warned = |text: &str| {
        let warnings = good(text).warnings;
        warnings
            .iter()
            .filter(|w| w.text.contains("an access token"))
            .map(|w| w.path.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(warned(&channel(second)), [""; 0]);
    let once = second.replace("\"login\"", "\"xoauth2\"");
    assert_eq!(warned(&channel(&once)), ["channel \"mail\": smtp #2"]);
    let logins: Vec<&SmtpLogin> = email.servers.iter().filter_map(|smtp| smtp.login.as_ref()).collect();
    assert_eq!((logins[0].mechanism, logins[1].mechanism), (Some(SmtpAuth::Xoauth2), Some(SmtpAuth::Login)));
    assert_eq!(logins[0].password.expose_secret(), "first");
    assert!(logins[1].renewal.is_none());
    let renewal = logins[0].renewal.as_ref().unwrap();
    assert_eq!(renewal.ttl, Duration::from_secs(50 * 60));
    write(&token, "second\n");
    assert_eq!(renewal.source.read_again().await.unwrap().expose_secret(), "second");
    std::fs::remove_file(&token).unwrap();
    let words = renewal.source.read_again().await.unwrap_err();
    assert!(words.starts_with("command \"cat\" failed (exit status: 1)"), "{words}");
    let error = good(&channel(second)).read_secrets(&BTreeMap::new(), None).await.unwrap_err().to_string();
    for place in ["smtp #1.password: command", "smtp #2.password: environment variable P is not set"] {
        assert!(error.contains(place), "{error}");
    }
}

#[tokio::test]
async fn the_shipped_file_needs_three_credentials_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let config = good(&repository("deploy/breakwatch.toml"));
    let error = config.read_secrets(&BTreeMap::new(), Some(dir.path())).await.unwrap_err().to_string();
    assert_eq!(error.lines().count(), 3, "{error}");
    write(&dir.path().join("massive-api-key"), "k\n");
    write(&dir.path().join("smtp-password"), "p\n");
    write(&dir.path().join("slack-webhook-url"), "https://hooks.example.com/services/T/B/x\n");
    config.read_secrets(&BTreeMap::new(), Some(dir.path())).await.unwrap();
}

#[tokio::test]
async fn the_headers_of_a_webhook_are_filled_with_secrets() {
    let config = good(&format!(
        "{WEBHOOK}secret = {{ env = \"S\" }}\nsecrets = {{ key = {{ env = \"KEY\" }} }}\n\
         headers = {{ Authorization = \"Bearer ${{key}}\", X-Desk = \"north\" }}\n"
    ));
    let signing = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G";
    let read = async |key: &str| config.read_secrets(&env(&[("S", signing), ("KEY", key)]), None).await;
    let secrets = read("s3cret").await.unwrap();
    let [Settings::Webhook(webhook)] = &secrets.channels[..] else { panic!("{secrets:?}") };
    let values: Vec<_> = webhook.headers.iter().map(|(n, v)| (n.as_str(), v.value.expose_secret())).collect();
    assert_eq!(values, [("Authorization", "Bearer s3cret"), ("X-Desk", "north")]);
    assert!(!format!("{secrets:?}").contains("s3cret"));
    let error = read("s3cret\r\nX: y").await.unwrap_err().to_string();
    let right = "has line ends or other characters that cannot stand in a header";
    assert_eq!(error, format!("test.toml: channel \"ops\": secrets.key: environment variable KEY: {right}"));
    let keys: Vec<_> = config.channels[0].secret_sources().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["secret", "secrets"]);
}

#[tokio::test]
async fn a_program_that_cannot_be_run_is_told_before_it_matters() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let config = good(&format!(
        "[[channel]]\nname = \"own\"\nkind = \"exec\"\ncommand = [\"{}\", \"x\"]\n",
        path.display()
    ));
    let read = async || match config.read_secrets(&BTreeMap::new(), None).await {
        Ok(secrets) => format!("{:?}", secrets.channels),
        Err(e) => e.to_string().replace(&dir.path().display().to_string(), "DIR"),
    };
    let place = "test.toml: channel \"own\": command: DIR/notify";
    assert_eq!(read().await, format!("{place} cannot be run: No such file or directory (os error 2)"));
    write(&path, "#!/bin/sh\n");
    let right = "is not a program; run chmod +x DIR/notify if it should be one";
    assert_eq!(read().await, format!("{place} {right}"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(read().await.contains("arguments: [\"x\"]"), "{}", read().await);
}

#[test]
fn a_channel_names_the_sources_of_its_secrets() {
    let config = good(include_str!("design.toml"));
    let keys: Vec<_> = config.channels.iter().flat_map(|c| c.secret_sources()).map(|(key, _)| key).collect();
    assert_eq!(keys, ["smtp.password", "url", "secret"]);
    assert!(matches!(config.channels[1].kind, ChannelKind::Slack(_)));
}

#[tokio::test]
async fn a_bot_of_slack_has_a_token_a_channel_and_slacks_address() {
    let channel =
        "[[channel]]\nname = \"s\"\nkind = \"slack\"\ntoken = { env = \"T\" }\nchannel = \"#alerts\"\n";
    let said = async |token: &str| {
        let secrets = good(channel).read_secrets(&env(&[("T", token)]), None).await;
        secrets.map(|secrets| format!("{:?}", secrets.channels)).map_err(|e| e.to_string())
    };
    let right = said("xoxb-1-s3cret").await.unwrap();
    assert!(right.contains("#alerts") && right.contains("https://slack.com/api"), "{right}");
    assert!(!right.contains("s3cret"), "{right}");
    for wrong in ["xoxp-1-s3cret", "xapp-1-s3cret", "xoxb-1-s3cret x"] {
        let right = "token: environment variable T: is not the token of a bot, which begins with xoxb-";
        assert_eq!(said(wrong).await.unwrap_err(), format!("test.toml: channel \"s\": {right}"));
    }
    assert_eq!(good(channel).channels[0].secret_sources()[0].0, "token");
}

#[tokio::test]
async fn the_keys_of_other_services_are_read_and_their_form_is_checked() {
    let channel = |keys: &str| {
        let url = "url = \"https://example.com/\"";
        good(&format!("[[channel]]\nname = \"ops\"\nkind = \"webhook\"\n{url}\n{keys}"))
    };
    let read = async |keys: &str, secret: &str| {
        let secrets = channel(keys).read_secrets(&env(&[("KEY", secret)]), None).await;
        secrets.map(|secrets| format!("{:?}", secrets.channels[0])).map_err(|e| e.to_string())
    };
    let ntfy = "format = \"ntfy\"\ntopic = { env = \"KEY\" }\n";
    assert!(!read(ntfy, "s3cret-topic").await.unwrap().contains("s3cret"));
    insta::assert_snapshot!(read(ntfy, "s3cret/topic").await.unwrap_err(), @r#"test.toml: channel "ops": topic: environment variable KEY: is not a topic of ntfy: 1 to 64 letters, digits, - and _"#);
    let telegram = "[[channel]]\nname = \"ops\"\nkind = \"webhook\"\nformat = \"telegram\"\n\
                    url = { env = \"KEY\" }\nchat_id = \"-1001234567890\"\n";
    let said = async |url: &str| match good(telegram).read_secrets(&env(&[("KEY", url)]), None).await {
        Ok(secrets) => format!("{:?}", secrets.channels[0]),
        Err(e) => e.to_string(),
    };
    let right = said("https://api.telegram.org/bot1:s3cret/sendMessage").await;
    assert!(right.contains("Id(-1001234567890)") && !right.contains("s3cret"), "{right}");
    insta::assert_snapshot!(said("https://api.telegram.org/bot1:s3cret").await, @r#"test.toml: channel "ops": url: environment variable KEY: does not end in /sendMessage, as https://api.telegram.org/bot<token>/sendMessage does"#);
    let pagerduty = "format = \"pagerduty\"\nrouting_key = { env = \"KEY\" }\n";
    assert!(read(pagerduty, &"k".repeat(32)).await.is_ok());
    insta::assert_snapshot!(read(pagerduty, "s3cret").await.unwrap_err(), @r#"test.toml: channel "ops": routing_key: environment variable KEY: is not the key of an integration: 32 letters and digits"#);
}
