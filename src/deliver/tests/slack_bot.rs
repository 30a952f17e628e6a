//! Slack's `chat.postMessage`, played by a receiver.

use serde_json::{Value, json};

use super::*;
use crate::demo::inbox::hook::{Answer, Hook, HookOptions, HookServer};
use crate::event::Severity;

const TOKEN: &str = "xoxb-1-2-Xylophon7-planted-secret";
const POSTED: &str = r#"{"ok":true,"channel":"C0123456789","ts":"1732566672.000100","message":{"text":"x"}}"#;
const ANSWERED: &str = r#"{"ok":true,"channel":"C0123456789","ts":"1732566999.000200",
    "message":{"text":"x","thread_ts":"1732566672.000100"}}"#;
const FIRST: &str = "ts 1732566672.000100 in C0123456789";

async fn bot(answers: Vec<Answer>) -> (HookServer, Channel) {
    let server = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
    let channel = open(&server.url("/api/"), TOKEN).unwrap();
    (server, channel)
}

fn open(api: &str, token: &str) -> Result<Channel, DeliverError> {
    let (token, channel) = (token.to_owned().into(), "C0123456789".to_owned());
    let way = SlackWay::Bot { token, channel, api: api.to_owned() };
    Channel::open(Settings::Slack(SlackSettings { way, timeout: DEADLINE }))
}

fn body(hook: &Hook) -> Value {
    serde_json::from_str(&hook.body).unwrap()
}

#[tokio::test]
async fn a_bot_posts_the_blocks_and_its_receipt_names_the_message() {
    let (server, channel) = bot(vec![Answer::new(200, POSTED)]).await;
    let post = broken();
    assert_eq!(channel.attempt(&post.letter("")).await, Outcome::Accepted { receipt: FIRST.into() });
    let hook = server.received().remove(0);
    assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", "/api/chat.postMessage"));
    assert_eq!(hook.headers["authorization"], format!("Bearer {TOKEN}"));
    assert_eq!(hook.headers["content-type"], "application/json; charset=utf-8");
    let expected = json!({
        "channel": "C0123456789", "text": post.message.slack["text"], "blocks": post.message.slack["blocks"],
        "unfurl_links": false, "unfurl_media": false,
    });
    assert_eq!(body(&hook), expected);
    assert_eq!((channel.kind(), channel.targets()), ("slack", vec![String::new()]));
    // What is taken is never sent again because of something else in the answer.
    let (_server, channel) = bot(vec![Answer::new(200, r#"{"ok":true,"channel":{},"message":null}"#)]).await;
    assert_eq!(channel.attempt(&post.letter("")).await, Outcome::Accepted { receipt: "ok".into() });
}

#[tokio::test]
async fn a_later_message_of_a_thread_answers_to_the_first_and_a_critical_one_is_shown_in_the_channel_too() {
    let (server, channel) = bot(vec![Answer::new(200, ANSWERED)]).await;
    let mut post = Post::of(sample::event(Kind::LevelHeld));
    post.receipt = Some(FIRST.into());
    let answered = Outcome::Accepted {
        receipt: format!("ts 1732566999.000200 in C0123456789, thread {}", "1732566672.000100"),
    };
    assert_eq!(channel.attempt(&post.letter("")).await, answered);
    let mut critical = Post::of(sample::event(Kind::LevelFailed));
    assert_eq!(critical.event.severity, Severity::Critical);
    // The receipt of an answer leads to the same first message.
    critical.receipt = Some("ts 1732566999.000200 in C0123456789, thread 1732566672.000100".into());
    assert_outcome(&channel.attempt(&critical.letter("")).await, "accepted", "thread");
    let bodies: Vec<_> = server.received().iter().map(body).collect();
    assert!(bodies.iter().all(|body| body["thread_ts"] == "1732566672.000100"), "{bodies:?}");
    let shown: Vec<_> = bodies.iter().map(|body| &body["reply_broadcast"]).collect();
    assert_eq!(shown, [&json!(false), &json!(true)]);
}

#[tokio::test]
async fn when_the_first_message_is_gone_the_next_one_stands_by_itself() {
    for error in ["thread_not_found", "cannot_reply_to_message", "restricted_action_thread_locked"] {
        let gone = json!({ "ok": false, "error": error }).to_string();
        let (server, channel) = bot(vec![Answer::new(200, &gone), Answer::new(200, POSTED)]).await;
        let mut post = broken();
        post.receipt = Some(FIRST.into());
        assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", FIRST);
        let bodies: Vec<_> = server.received().iter().map(body).collect();
        assert_eq!(bodies[0]["thread_ts"], "1732566672.000100");
        assert!(bodies.len() == 2 && bodies[1].get("thread_ts").is_none(), "{bodies:?}");
        assert!(bodies[1].get("reply_broadcast").is_none(), "{bodies:?}");
    }
}

#[tokio::test]
async fn what_is_no_receipt_of_this_channel_starts_no_thread() {
    for receipt in ["ok", "", "ts 1732566672.000100 in C9999999999"] {
        let (server, channel) = bot(vec![Answer::new(200, POSTED)]).await;
        let mut post = broken();
        post.receipt = Some(receipt.into());
        assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", FIRST);
        assert!(body(&server.received()[0]).get("thread_ts").is_none(), "{receipt}");
    }
}

#[tokio::test]
async fn each_error_of_the_method_has_its_class() {
    let cases = [
        (200, "invalid_auth", "misconfigured"),
        (200, "not_authed", "misconfigured"),
        (200, "account_inactive", "misconfigured"),
        (200, "token_revoked", "misconfigured"),
        (200, "token_expired", "misconfigured"),
        (200, "not_in_channel", "misconfigured"),
        (200, "channel_not_found", "misconfigured"),
        (200, "is_archived", "misconfigured"),
        (200, "restricted_action", "misconfigured"),
        (200, "msg_too_long", "refused"),
        (200, "invalid_blocks", "refused"),
        (200, "no_text", "refused"),
        (200, "ratelimited", "deferred"),
        (429, "ratelimited", "deferred"),
        (200, "internal_error", "deferred"),
        (200, "fatal_error", "deferred"),
        (503, "service_unavailable", "deferred"),
        (200, "request_timeout", "deferred"),
        (200, "a_word_of_next_year", "deferred"),
        (200, "thread_not_found", "deferred"),
    ];
    for (status, error, class) in cases {
        let said = json!({ "ok": false, "error": error }).to_string();
        let (server, channel) = bot(vec![Answer::new(status, &said)]).await;
        assert_outcome(&channel.attempt(&broken().letter("")).await, class, error);
        assert_eq!(server.received().len(), 1, "one attempt, never a retry");
    }
    let scope = r#"{"ok":false,"error":"missing_scope","needed":"chat:write","provided":"users:read"}"#;
    let others = [
        (200, scope, "misconfigured", "missing_scope (needed: chat:write)"),
        (200, "<html>sign in</html>", "deferred", "200 OK: <html>"),
        (200, r#"{"ok":"true"}"#, "deferred", "200 OK"),
        (302, "", "misconfigured", "redirects are not followed"),
        (400, "", "refused", "400"),
        (404, "", "misconfigured", "404"),
        (500, POSTED, "deferred", "500"),
    ];
    for (status, said, class, words) in others {
        let (_server, channel) = bot(vec![Answer::new(status, said)]).await;
        assert_outcome(&channel.attempt(&broken().letter("")).await, class, words);
    }
}

#[tokio::test]
async fn a_bot_waits_as_long_as_slack_says_and_sends_one_message_a_second() {
    let limited = Answer::new(429, r#"{"ok":false,"error":"ratelimited"}"#).with_header("Retry-After", "30");
    let (server, channel) = bot(vec![limited]).await;
    let post = broken();
    let outcome = channel.attempt(&post.letter("")).await;
    let wait = Some(Duration::from_secs(30));
    assert!(matches!(&outcome, Outcome::Deferred { retry_after, .. } if *retry_after == wait), "{outcome:?}");
    let letter = post.letter("");
    let soon = tokio::time::timeout(Duration::from_millis(500), channel.attempt(&letter)).await;
    assert!(soon.is_err() && server.received().len() == 1, "the second waits: {soon:?}");
}

#[tokio::test]
async fn a_peer_that_repeats_the_token_does_not_give_it_away() {
    let (_guard, log) = logged();
    for said in [
        json!({ "ok": false, "error": "invalid_auth", "needed": TOKEN }).to_string(),
        json!({ "ok": false, "error": TOKEN }).to_string(),
        json!({ "ok": true, "ts": "1.2", "channel": TOKEN }).to_string(),
        format!("Authorization: Bearer {TOKEN}"),
    ] {
        let (_server, channel) = bot(vec![Answer::new(200, &said)]).await;
        let outcome = channel.attempt(&broken().letter("")).await;
        assert!(
            said_of(&outcome).contains("[secret]") && !said_of(&outcome).contains(PLANTED),
            "{outcome:?}"
        );
    }
    let error = open("https://slack.example/api", &format!("{TOKEN}\n")).unwrap_err();
    let way = SlackWay::Bot { token: TOKEN.into(), channel: "#alerts".into(), api: "x".into() };
    tracing::info!("the log works");
    let everything = format!("{way:?} {error} {error:?} {}", text_of(&log));
    assert!(everything.contains("the log works") && !everything.contains(PLANTED), "{everything}");
}

fn said_of(outcome: &Outcome) -> String {
    said(outcome).1.to_owned()
}
