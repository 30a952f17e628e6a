//! Slack's webhook, played by a receiver.

use super::*;
use crate::demo::inbox::hook::{Answer, HookOptions, HookServer};

const PATH: &str = "/services/T00000000/B00000000/Xylophon7-planted-secret";

async fn slack(answers: Vec<Answer>) -> (HookServer, Channel) {
    let server = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
    let channel = open(&server, DEADLINE);
    (server, channel)
}

fn open(server: &HookServer, timeout: Duration) -> Channel {
    let way = SlackWay::Webhook { url: server.url(PATH).into() };
    Channel::open(Settings::Slack(SlackSettings { way, timeout })).unwrap()
}

#[tokio::test]
async fn the_blocks_are_posted_and_ok_is_the_receipt() {
    let (server, channel) = slack(vec![]).await;
    let post = broken();
    assert_eq!(channel.attempt(&post.letter("")).await, Outcome::Accepted { receipt: "ok".into() });
    let hook = server.received().remove(0);
    assert_eq!((hook.method.as_str(), hook.path.as_str()), ("POST", PATH));
    assert_eq!(hook.headers["content-type"], "application/json");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&hook.body).unwrap(), post.message.slack);
    assert_eq!((channel.kind(), channel.targets()), ("slack", vec![String::new()]));
}

#[tokio::test]
async fn each_answer_has_its_class() {
    let cases = [
        (200, "ok", "accepted", "ok"),
        (200, "ok\n", "accepted", "ok"),
        (200, "<html>sign in</html>", "deferred", "not the expected ok: 200 OK: <html>sign in</html>"),
        (200, "no_service", "refused", "no_service"),
        (204, "", "deferred", "not the expected ok: 204 No Content"),
        (302, "", "misconfigured", "redirects are not followed: 302 Found"),
        (400, "invalid_payload", "refused", "400 Bad Request: invalid_payload"),
        (401, "", "misconfigured", "401 Unauthorized"),
        (403, "action_prohibited", "refused", "403 Forbidden: action_prohibited"),
        (404, "no_service", "refused", "404 Not Found: no_service"),
        (408, "", "deferred", "408"),
        (410, "channel_is_archived", "refused", "410 Gone: channel_is_archived"),
        (413, "", "refused", "413"),
        (429, "", "deferred", "429 Too Many Requests"),
        (500, "rollup_error", "deferred", "500 Internal Server Error: rollup_error"),
        (503, "", "deferred", "503"),
    ];
    for (status, body, outcome, words) in cases {
        let (server, channel) = slack(vec![Answer::new(status, body)]).await;
        assert_outcome(&channel.attempt(&broken().letter("")).await, outcome, words);
        assert_eq!(server.received().len(), 1, "one attempt, never a retry");
    }
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms() {
    let now = broken().sent_at;
    assert_eq!(now.to_string(), "2026-11-30T20:31:07.285Z");
    for (value, milliseconds) in [("30", 30_000), ("Mon, 30 Nov 2026 20:32:07 GMT", 59_715)] {
        let (_server, channel) = slack(vec![Answer::new(429, "").with_header("Retry-After", value)]).await;
        let outcome = channel.attempt(&broken().letter("")).await;
        let wait = Duration::from_millis(milliseconds);
        assert!(
            matches!(outcome, Outcome::Deferred { retry_after: Some(d), .. } if d == wait),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn at_most_one_message_a_second_is_sent() {
    let (server, channel) = slack(vec![]).await;
    let post = broken();
    assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", "ok");
    let soon =
        tokio::time::timeout(Duration::from_millis(500), async { channel.attempt(&post.letter("")).await })
            .await;
    assert!(soon.is_err() && server.received().len() == 1, "the second waits: {soon:?}");
    assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", "ok");
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_peer_that_repeats_the_address_does_not_give_it_away() {
    let (_guard, log) = logged();
    let echo = format!("no hook at {PATH} for {PLANTED}");
    let (server, channel) = slack(vec![Answer::new(404, &echo)]).await;
    assert_outcome(
        &channel.attempt(&broken().letter("")).await,
        "refused",
        "404 Not Found: no hook at [secret] for [secret]",
    );
    drop(server);
    let (gone, short) = (slack(vec![]).await.0, Duration::from_millis(200));
    let channel = open(&gone, short);
    drop(gone);
    assert_outcome(&channel.attempt(&broken().letter("")).await, "deferred", "");
    let way = SlackWay::Webhook { url: format!("htp://hooks.example{PATH}").into() };
    let bad = SlackSettings { way, timeout: short };
    let error = Channel::open(Settings::Slack(bad.clone())).unwrap_err();
    tracing::info!("the log works");
    let everything = format!("{channel:?} {bad:?} {error} {error:?} {}", text_of(&log));
    assert!(everything.contains("the log works") && !everything.contains(PLANTED), "{everything}");
}
