//! Webhooks in the forms of other services, against receivers that answer as those do.

use super::*;
use crate::demo::inbox::hook::{Answer, Hook, HookOptions, HookServer};

/// Like the address of a service whose address is the secret.
const PATH: &str = "/api/webhooks/1234567890/Xylophon7-planted-secret";

async fn open(format: WebhookFormat, answers: Vec<Answer>) -> (HookServer, Channel) {
    let server = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
    let settings = WebhookSettings {
        url: server.url(PATH).into(),
        format,
        headers: vec![],
        timeout: DEADLINE,
        extra_roots: None,
        allow_link_local: false,
    };
    (server, Channel::open(Settings::Webhook(settings)).unwrap())
}

/// What arrives of `post`, and what became of it.
async fn sent(format: WebhookFormat, post: &Post, answer: Answer) -> (Hook, Outcome) {
    let (server, channel) = open(format, vec![answer]).await;
    let outcome = channel.attempt(&post.letter("")).await;
    let hook = server.received().remove(0);
    assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", PATH));
    assert_eq!(hook.headers["content-type"], "application/json");
    assert!(!hook.headers.keys().any(|name| name.starts_with("webhook-")), "{:?}", hook.headers);
    (hook, outcome)
}

fn json(hook: &Hook) -> serde_json::Value {
    serde_json::from_str(&hook.body).unwrap()
}

/// One attempt for each answer, and how each is classified.
async fn assert_classes(format: WebhookFormat, cases: &[(Answer, &str, &str)]) {
    for (answer, class, words) in cases {
        let (_, outcome) = sent(format.clone(), &broken(), answer.clone()).await;
        assert_outcome(&outcome, class, words);
    }
}

#[tokio::test]
async fn discord_gets_content_and_one_embed_and_answers_without_content() {
    let (hook, outcome) = sent(WebhookFormat::Discord, &broken(), Answer::new(204, "")).await;
    assert_outcome(&outcome, "accepted", "204 No Content");
    let body = json(&hook);
    assert_eq!(body["content"], "RTY broke 2,500.0 up: 2,500.4 at 14:31:07 CT (RTYZ6)");
    assert_eq!(body["embeds"].as_array().unwrap().len(), 1);
    assert_eq!(body["allowed_mentions"], serde_json::json!({ "parse": [] }));
}

#[tokio::test]
async fn discord_is_classified_by_its_status() {
    let unknown = format!("{{\"message\": \"Unknown Webhook {PLANTED}\", \"code\": 10015}}");
    let cases = [
        (Answer::new(404, &unknown), "refused", "Unknown Webhook [secret]"),
        (Answer::new(401, ""), "misconfigured", "401"),
        (Answer::new(400, "{\"code\": 50035}"), "refused", "50035"),
        (Answer::new(502, ""), "deferred", "502"),
    ];
    assert_classes(WebhookFormat::Discord, &cases).await;
    let busy = Answer::new(429, "{\"retry_after\": 2.5}").with_header("Retry-After", "3");
    let (_, outcome) = sent(WebhookFormat::Discord, &broken(), busy).await;
    assert!(
        matches!(outcome, Outcome::Deferred { retry_after: Some(d), .. } if d.as_secs() == 3),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn ntfy_gets_topic_title_and_priority_and_its_echo_hides_the_topic() {
    let ntfy = WebhookFormat::Ntfy { topic: PLANTED.to_owned().into() };
    let echo = Answer::new(200, &format!("{{\"id\":\"x\",\"topic\":\"{PLANTED}\"}}"));
    let (hook, outcome) = sent(ntfy.clone(), &broken(), echo).await;
    assert_outcome(&outcome, "accepted", "\"topic\":\"[secret]\"");
    let body = json(&hook);
    assert_eq!((&body["topic"], &body["priority"]), (&PLANTED.into(), &4.into()));
    assert_eq!(body["title"], "RTY broke 2,500.0 up: 2,500.4 at 14:31:07 CT (RTYZ6)");
    let cases = [
        (Answer::new(403, "{\"code\":40301}"), "misconfigured", "40301"),
        (Answer::new(413, ""), "refused", "413"),
        (Answer::new(429, ""), "deferred", "429"),
    ];
    assert_classes(ntfy, &cases).await;
}

#[tokio::test]
async fn pagerduty_gets_a_trigger_with_its_key_which_never_comes_back() {
    let pagerduty = WebhookFormat::Pagerduty { routing_key: PLANTED.to_owned().into() };
    let taken = Answer::new(202, "{\"status\":\"success\",\"message\":\"Event processed\"}");
    let (hook, outcome) = sent(pagerduty.clone(), &broken(), taken).await;
    assert_outcome(&outcome, "accepted", "Event processed");
    let body = json(&hook);
    assert_eq!((&body["routing_key"], &body["event_action"]), (&PLANTED.into(), &"trigger".into()));
    let failed = Post::of(sample::event(Kind::LevelFailed));
    let (hook, _) = sent(pagerduty.clone(), &failed, Answer::new(202, "")).await;
    let end = json(&hook);
    assert_eq!((&end["event_action"], &end["dedup_key"]), (&"resolve".into(), &body["dedup_key"]));
    let invalid = format!("{{\"status\":\"invalid event\",\"errors\":[\"bad key {PLANTED}\"]}}");
    let cases = [
        (Answer::new(400, &invalid), "refused", "bad key [secret]"),
        (Answer::new(429, ""), "deferred", "429"),
        (Answer::new(500, ""), "deferred", "500"),
    ];
    assert_classes(pagerduty, &cases).await;
}

#[tokio::test]
async fn alertmanager_gets_an_alert_that_stays_open_and_is_closed_by_its_end() {
    let (hook, outcome) = sent(WebhookFormat::Alertmanager, &broken(), Answer::new(200, "")).await;
    assert_outcome(&outcome, "accepted", "200 OK");
    let failed = Post::of(sample::event(Kind::LevelFailed));
    let (end, _) = sent(WebhookFormat::Alertmanager, &failed, Answer::new(200, "")).await;
    let (alert, end) = (json(&hook), json(&end));
    assert_eq!(alert[0]["labels"], end[0]["labels"]);
    assert_eq!(alert[0]["endsAt"], "2026-12-01T20:31:07.285Z", "a day after the attempt");
    assert_eq!(end[0]["endsAt"], "2026-11-30T20:31:07.250Z");
    let cases = [
        (Answer::new(400, "\"start time must be before end time\""), "refused", "start time"),
        (Answer::new(500, ""), "deferred", "500"),
    ];
    assert_classes(WebhookFormat::Alertmanager, &cases).await;
}

#[tokio::test]
async fn teams_gets_a_card_and_its_answer_is_read_for_what_teams_did() {
    let (hook, outcome) = sent(WebhookFormat::Teams, &broken(), Answer::new(202, "")).await;
    assert_outcome(&outcome, "accepted", "202 Accepted");
    let body = json(&hook);
    assert_eq!(body["type"], "message");
    let card = &body["attachments"][0];
    assert_eq!(card["contentType"], "application/vnd.microsoft.card.adaptive");
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
    let cases = [
        (Answer::new(200, "1"), "accepted", "200 OK: 1"),
        (Answer::new(200, &format!("{failed} 429 with ContextId x")), "deferred", "error 429"),
        (Answer::new(200, &format!("{failed} 413 with ContextId x")), "refused", "error 413"),
        (Answer::new(401, ""), "misconfigured", "401"),
        (Answer::new(429, ""), "deferred", "429"),
    ];
    assert_classes(WebhookFormat::Teams, &cases).await;
}

#[tokio::test]
async fn telegram_gets_a_text_and_says_in_its_body_when_to_come_back() {
    let telegram = WebhookFormat::Telegram { chat: Chat::Id(-1_001_234_567_890) };
    let taken = Answer::new(200, "{\"ok\":true,\"result\":{\"message_id\":7}}");
    let (hook, outcome) = sent(telegram.clone(), &broken(), taken).await;
    assert_outcome(&outcome, "accepted", "\"message_id\":7");
    let body = json(&hook);
    assert_eq!(body["chat_id"], -1_001_234_567_890_i64);
    assert!(body["text"].as_str().unwrap().starts_with("RTY broke 2,500.0 up: 2,500.4 at 14:31:07 CT"));
    let cases = [
        (Answer::new(400, "{\"description\":\"Bad Request: chat not found\"}"), "misconfigured", "chat not"),
        (Answer::new(400, "{\"description\":\"Bad Request: message is too long\"}"), "refused", "too long"),
        (Answer::new(401, "{\"description\":\"Unauthorized\"}"), "misconfigured", "401"),
        (Answer::new(403, "{\"description\":\"Forbidden: bot was kicked\"}"), "misconfigured", "kicked"),
        (Answer::new(404, "{\"description\":\"Not Found\"}"), "misconfigured", "404"),
    ];
    assert_classes(telegram.clone(), &cases).await;
    for (body, seconds) in [("{\"parameters\":{\"retry_after\":34}}", Some(34)), ("{}", None), ("busy", None)]
    {
        let (_, outcome) = sent(telegram.clone(), &broken(), Answer::new(429, body)).await;
        let Outcome::Deferred { retry_after, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(retry_after.map(|wait| wait.as_secs()), seconds, "{body}");
    }
}

#[tokio::test]
async fn who_takes_tradingviews_alerts_gets_json_as_json_and_text_as_text() {
    let (hook, outcome) = sent(WebhookFormat::Tradingview, &broken(), Answer::new(200, "ok")).await;
    assert_outcome(&outcome, "accepted", "200 OK");
    let body = json(&hook);
    assert_eq!((&body["ticker"], &body["close"]), (&"RTYZ2026".into(), &serde_json::json!(2500.4)));
    let mut post = broken();
    post.message.body = Some("RTYZ2026 crossing 2500.4".into());
    let (server, channel) = open(WebhookFormat::Tradingview, vec![Answer::new(200, "ok")]).await;
    assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", "200 OK");
    let hook = server.received().remove(0);
    assert_eq!(hook.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(hook.body, "RTYZ2026 crossing 2500.4");
}
