//! A signed webhook against a receiver that checks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::*;
use crate::demo::inbox::hook::{Answer, Hook, HookOptions, HookServer};

/// `PLANTED` is its first bytes.
const KEY: &[u8] = b"Xylophon7-planted-secret, signing";
const OLD_KEY: &[u8] = b"another key of enough bytes";

fn secret(key: &[u8]) -> SecretString {
    format!("whsec_{}", BASE64.encode(key)).into()
}

fn settings(server: &HookServer) -> WebhookSettings {
    WebhookSettings {
        url: server.url(&format!("/hooks/{PLANTED}?token={PLANTED}")).into(),
        format: WebhookFormat::Standard { secrets: vec![secret(KEY)] },
        headers: vec![],
        timeout: DEADLINE,
        extra_roots: None,
        allow_link_local: false,
    }
}

async fn webhook(answers: Vec<Answer>) -> (HookServer, Channel) {
    let server = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
    let channel = Channel::open(Settings::Webhook(settings(&server))).unwrap();
    (server, channel)
}

/// What a receiver computes, written from the specification.
fn expected_signature(hook: &Hook, key: &[u8]) -> String {
    let content =
        format!("{}.{}.{}", hook.headers["webhook-id"], hook.headers["webhook-timestamp"], hook.body);
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(content.as_bytes());
    format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn every_key_signs_the_same_id_on_every_attempt() {
    let server = HookServer::start(HookOptions::default()).await.unwrap();
    let format = WebhookFormat::Standard { secrets: vec![secret(KEY), secret(OLD_KEY)] };
    let settings = WebhookSettings { format, ..settings(&server) };
    let channel = Channel::open(Settings::Webhook(settings)).unwrap();
    let mut post = broken();
    for later in [0, 60] {
        post.sent_at = sample::at("2026-11-30T20:31:07.999Z").saturating_add(Duration::from_secs(later));
        assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", "200 OK: ok");
    }
    let hooks = server.received();
    for (hook, seconds) in hooks.iter().zip(["1796070667", "1796070727"]) {
        assert_eq!(hook.method, "POST");
        assert_eq!(hook.headers["content-type"], "application/json");
        assert_eq!(hook.headers["webhook-id"], post.event.id.as_str());
        assert_eq!(hook.headers["webhook-timestamp"], seconds);
        let both = format!("{} {}", expected_signature(hook, KEY), expected_signature(hook, OLD_KEY));
        assert_eq!(hook.headers["webhook-signature"], both);
        assert_eq!(hook.body, post.message.webhook);
        assert!(hook.headers["user-agent"].starts_with("breakwatch/"));
    }
    assert_ne!(hooks[0].headers["webhook-signature"], hooks[1].headers["webhook-signature"]);
}

#[tokio::test]
async fn each_status_has_its_class() {
    let classes: [(&str, &[u16]); 5] = [
        ("accepted", &[200, 201, 202, 204, 299]),
        ("misconfigured", &[300, 301, 302, 303, 304, 307, 308, 401, 403]),
        ("gone", &[410]),
        ("refused", &[400, 404, 405, 409, 413, 422, 451, 499]),
        ("deferred", &[408, 425, 429, 500, 501, 502, 503, 504, 599]),
    ];
    for (outcome, statuses) in classes {
        for &status in statuses {
            let (server, channel) = webhook(vec![Answer::new(status, "")]).await;
            assert_outcome(&channel.attempt(&broken().letter("")).await, outcome, &status.to_string());
            assert_eq!(server.received().len(), 1, "one attempt, never a retry");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = HookServer::start(HookOptions::default()).await.unwrap();
    for status in [301, 302, 307, 308] {
        let away = Answer::new(status, "").with_header("Location", &elsewhere.url("/"));
        let (server, channel) = webhook(vec![away]).await;
        assert_outcome(
            &channel.attempt(&broken().letter("")).await,
            "misconfigured",
            "redirects are not followed",
        );
        assert_eq!((server.received().len(), elsewhere.received().len()), (1, 0));
    }
}

#[tokio::test]
async fn busy_peers_say_when_to_come_back() {
    for status in [429, 503] {
        let (_server, channel) = webhook(vec![Answer::new(status, "").with_header("Retry-After", "7")]).await;
        let outcome = channel.attempt(&broken().letter("")).await;
        assert!(
            matches!(outcome, Outcome::Deferred { retry_after: Some(d), .. } if d.as_secs() == 7),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_slow_or_broken_peer_is_a_reason_to_try_later() {
    let slow = Answer { delay: DEADLINE, ..Answer::new(200, "ok") };
    let server = HookServer::start(HookOptions { answers: vec![slow], tls: None }).await.unwrap();
    let hasty = WebhookSettings { timeout: Duration::from_millis(200), ..settings(&server) };
    let channel = Channel::open(Settings::Webhook(hasty)).unwrap();
    assert_outcome(&channel.attempt(&broken().letter("")).await, "deferred", "no answer within 200ms");

    let (server, channel) =
        webhook(vec![Answer { hang_up: true, ..Answer::new(200, "ok") }, Answer::new(200, "")]).await;
    assert_outcome(&channel.attempt(&broken().letter("")).await, "deferred", "");
    assert_outcome(&channel.attempt(&broken().letter("")).await, "accepted", "200 OK");
    assert_eq!(server.received().len(), 2);
    drop(server);
    assert_outcome(&channel.attempt(&broken().letter("")).await, "deferred", "");
}

#[tokio::test]
async fn a_long_answer_is_not_kept_and_hides_what_it_repeats() {
    let long = format!("{PLANTED} {}", "x".repeat(5_000_000));
    let (_server, channel) = webhook(vec![Answer::new(200, &long)]).await;
    let outcome = channel.attempt(&broken().letter("")).await;
    assert_outcome(&outcome, "accepted", "200 OK: [secret] xxx");
    assert_eq!(said(&outcome).1.len(), 1_024);
}

#[tokio::test]
async fn https_is_trusted_by_its_root_and_refused_with_the_reason() {
    let authority = Authority::new();
    let open = async |identity: Identity, root: Vec<u8>| {
        let server =
            HookServer::start(HookOptions { tls: Some(identity), ..HookOptions::default() }).await.unwrap();
        let settings = WebhookSettings { extra_roots: Some(root), ..settings(&server) };
        (Channel::open(Settings::Webhook(settings)).unwrap(), server)
    };
    let (channel, _server) = open(authority.identity(&["localhost"]), authority.root()).await;
    assert_outcome(&channel.attempt(&broken().letter("")).await, "accepted", "200 OK");
    for (identity, root, words) in bad_identities(&authority) {
        let (channel, server) = open(identity, root).await;
        assert_outcome(&channel.attempt(&broken().letter("")).await, "misconfigured", words);
        assert!(server.received().is_empty());
    }
}

#[tokio::test]
async fn https_on_a_plain_port_is_explained() {
    let server = HookServer::start(HookOptions::default()).await.unwrap();
    let url = server.url("/").replace("http:", "https:").into();
    let channel = Channel::open(Settings::Webhook(WebhookSettings { url, ..settings(&server) })).unwrap();
    assert_outcome(
        &channel.attempt(&broken().letter("")).await,
        "deferred",
        "what came was not TLS (the peer does not speak TLS on this port",
    );
}

#[tokio::test]
async fn link_local_and_metadata_addresses_are_refused_unless_allowed() {
    let server = HookServer::start(HookOptions::default()).await.unwrap();
    for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "0xa9fea9fe", "2852039166"] {
        let to = |allow_link_local| WebhookSettings {
            url: format!("http://{host}/latest/{PLANTED}").into(),
            allow_link_local,
            ..settings(&server)
        };
        let error = Channel::open(Settings::Webhook(to(false))).unwrap_err();
        assert!(matches!(error, DeliverError::Forbidden(_)), "{host}: {error:?}");
        assert!(Channel::open(Settings::Webhook(to(true))).is_ok(), "{host}");
    }
}

#[tokio::test]
async fn configured_headers_are_sent_and_their_secrets_are_hidden() {
    let (_guard, log) = logged();
    let echo = format!("Authorization: Bearer {PLANTED}, desk north; {}", BASE64.encode(PLANTED));
    for (status, class) in [(200, "accepted"), (401, "misconfigured"), (500, "deferred")] {
        let server = webhook(vec![Answer::new(status, &echo)]).await.0;
        let bearer = HeaderText { value: format!("Bearer {PLANTED}").into(), secrets: vec![PLANTED.into()] };
        let desk = HeaderText { value: "north".into(), secrets: vec![] };
        let headers = vec![("Authorization".to_owned(), bearer), ("X-Desk".to_owned(), desk)];
        let settings = WebhookSettings { headers, ..settings(&server) };
        let printed = format!("{settings:?}");
        let channel = Channel::open(Settings::Webhook(settings)).unwrap();
        let outcome = channel.attempt(&broken().letter("")).await;
        assert_outcome(&outcome, class, "Authorization: [secret], desk north; [secret]");
        let hook = server.received().remove(0);
        assert_eq!(hook.headers["authorization"], format!("Bearer {PLANTED}"));
        assert_eq!(hook.headers["x-desk"], "north");
        assert!(hook.headers.contains_key("webhook-signature") && !printed.contains(PLANTED), "{printed}");
    }
    let server = webhook(vec![]).await.0;
    let bad = HeaderText { value: format!("{PLANTED}\r\nX: y").into(), secrets: vec![PLANTED.into()] };
    let bad = WebhookSettings { headers: vec![("X-Key".into(), bad)], ..settings(&server) };
    let error = Channel::open(Settings::Webhook(bad)).unwrap_err();
    assert_eq!(error.to_string(), "the header \"X-Key\" of a webhook channel cannot stand in a header");
    tracing::info!("the log works");
    let log = text_of(&log);
    assert!(log.contains("the log works") && !log.contains(PLANTED), "{log}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_named_without_their_secrets() {
    let server = HookServer::start(HookOptions::default()).await.unwrap();
    let signed =
        |secrets| WebhookSettings { format: WebhookFormat::Standard { secrets }, ..settings(&server) };
    let cases = [
        (signed(vec![]), "at least one secret"),
        (signed(vec![PLANTED.to_owned().into()]), "whsec_"),
        (
            WebhookSettings { url: format!("ftp://x/{PLANTED}").into(), ..settings(&server) },
            "not an http:// or https:// URL",
        ),
        (
            WebhookSettings { url: PLANTED.to_owned().into(), ..settings(&server) },
            "not an http:// or https:// URL",
        ),
        (WebhookSettings { extra_roots: Some(vec![]), ..settings(&server) }, "not PEM certificates"),
    ];
    for (settings, words) in cases {
        let shown = format!("{settings:?}");
        let error = Channel::open(Settings::Webhook(settings)).unwrap_err();
        let text = format!("{error} {error:?} {shown}");
        assert!(text.contains(words) && !text.contains(PLANTED), "{text}");
    }
}
