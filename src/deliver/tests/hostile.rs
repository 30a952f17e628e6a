//! Texts that an enemy wrote, through every channel to a real peer: no header is added, no markup broken, no limit
//! passed. How each form words them is tested beside the forms.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;
use crate::demo::inbox::hook::{Hook, HookOptions, HookServer};
use crate::demo::inbox::mail::{MailOptions, MailServer};
use crate::event::About;
use crate::outbox::message::formats::telegram::Chat;

const TO: &str = "desk@example.com";
/// Quotes, line ends, HTML, mentions, a mark that turns the direction, an emoji, a NUL, a header, the end of a mail.
const EVIL: &str = "\"x'\\ \r\nBcc: y@evil.example\r\nX-Evil: 1\r\n\r\n.\r\nMAIL FROM:<z@evil.example>\r\n\0\u{202e}\u{200f}\
    <!channel> <@U1> @everyone </td></html><script>alert(1)</script> *b* _c_ `d` [a](https://evil.example) {{7*7}} \
    $(id) %0a 📈";

/// Every text of an event is `text`, its id too.
fn saying(text: &str) -> Post {
    let mut event = sample::event(Kind::LevelBroken);
    event.id = EventId::from(format!("id {}", text.chars().take(200).collect::<String>()));
    event.level = Some(text.to_owned());
    event.level_price = None;
    event.instrument = Some(text.to_owned());
    event.contract = Some(text.to_owned());
    event.numbers = sample::numbers(&[("detail", json!(text)), ("feed", json!(text)), (text, json!(text))]);
    let tags = vec![text.to_owned(); 30];
    let own = || Some(text.to_owned());
    event.about = About { note: own(), said_by: own(), url: own(), tags };
    Post::of(event)
}

fn posts() -> Vec<Post> {
    let long = EVIL.chars().cycle().take(10_000).collect::<String>();
    let mut posts: Vec<_> = [EVIL, &long, &"📈".repeat(10_000), &"\r\n".repeat(5_000)].map(saying).into();
    // As the engine makes it, with an id of its own.
    let mut made = saying(EVIL);
    made.event.id = sample::event(Kind::LevelBroken).id;
    made.first = Some(EventId::from(format!("first {EVIL}")));
    posts.push(made);
    posts
}

#[tokio::test]
async fn a_mail_gets_no_header_and_no_end_from_a_text() {
    let server = MailServer::start(MailOptions::default()).await.unwrap();
    let settings = EmailSettings {
        from: "Breakwatch <alerts@example.com>".into(),
        to: vec![TO.into()],
        servers: vec![SmtpServer {
            host: "localhost".into(),
            port: server.address().port(),
            tls: SmtpTls::Plain,
            login: None,
            extra_roots: None,
        }],
        timeout: DEADLINE,
    };
    let channel = Channel::open(Settings::Email(settings)).unwrap();
    let posts = posts();
    for post in &posts {
        assert_outcome(&channel.attempt(&post.letter(TO)).await, "accepted", "250");
    }
    let mails = server.received();
    assert_eq!(mails.len(), posts.len(), "one mail each, and none of the enemy's");
    for mail in &mails {
        assert_eq!((mail.from.as_str(), &mail.to), ("alerts@example.com", &vec![TO.to_owned()]));
        let head = mail.data.split("\r\n\r\n").next().unwrap();
        let starts = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        let mut names: Vec<_> = starts.map(|line| line.split_once(':').expect(line).0).collect();
        names.sort_unstable();
        for name in ["Bcc", "X-Evil", "MAIL FROM"] {
            assert!(!names.contains(&name), "{head}");
        }
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a header stands there twice: {head}");
        let one_line = head.replace("\r\n", "");
        assert!(one_line.is_ascii() && !one_line.contains(char::is_control), "{head:?}");
        let longest = mail.data.split("\r\n").max_by_key(|line| line.len()).unwrap();
        assert!(longest.len() <= 998, "{longest}");
        assert!(!mail.data.replace("\r\n", "").contains(['\r', '\n', '\0']), "a bare line end, or a NUL");
        let html = mail.part("text/html").unwrap();
        assert!(!html.contains("<script") && html.matches("</html>").count() == 1, "{html}");
        assert!(!mail.part("text/plain").unwrap().lines().any(|line| line.starts_with("Bcc")));
    }
}

async fn received(settings: impl Fn(&HookServer) -> Settings, post: &Post) -> (Option<Hook>, Outcome) {
    let server = HookServer::start(HookOptions::default()).await.unwrap();
    let channel = Channel::open(settings(&server)).unwrap();
    let outcome = channel.attempt(&post.letter("")).await;
    (server.received().pop(), outcome)
}

/// The body of a request whose headers are ours alone.
fn checked(hook: &Hook, limit: usize) -> Value {
    let known = [
        "accept",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ];
    assert!(hook.headers.keys().all(|name| known.contains(&name.as_str())), "{:?}", hook.headers);
    assert!(hook.body.len() < limit, "{} bytes: {}", hook.body.len(), hook.body);
    assert!(!hook.body.contains(char::is_control), "{:?}", hook.body);
    serde_json::from_str(&hook.body).unwrap()
}

#[tokio::test]
async fn slack_gets_no_mention_and_no_link_from_a_text() {
    let ways = |server: &HookServer| {
        let bot =
            SlackWay::Bot { token: "xoxb-1".into(), channel: "#alerts".into(), api: server.url("/api") };
        [SlackWay::Webhook { url: server.url("/services/T/B/x").into() }, bot]
    };
    for post in posts() {
        for n in 0..2 {
            let settings = |server: &HookServer| {
                let way = ways(server)[n].clone();
                Settings::Slack(SlackSettings { way, timeout: DEADLINE })
            };
            let (hook, _) = received(settings, &post).await;
            let body = checked(&hook.unwrap(), 100_000);
            let text = body.to_string();
            assert!(!text.contains("<!") && !text.contains("<@") && !text.contains('\u{202e}'), "{text}");
            assert!(body["blocks"].as_array().unwrap().len() <= 50);
        }
    }
}

#[tokio::test]
async fn every_form_of_a_webhook_stays_what_it_is_whatever_a_text_says() {
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8G".to_owned();
    let formats = [
        (WebhookFormat::Standard { secrets: vec![key.into()] }, 20_000),
        (WebhookFormat::Discord, 30_000),
        (WebhookFormat::Ntfy { topic: "topic".into() }, 16_000),
        (WebhookFormat::Pagerduty { routing_key: "k".repeat(32).into() }, 512_000),
        (WebhookFormat::Alertmanager, 100_000),
        (WebhookFormat::Teams, 28_000),
        (WebhookFormat::Telegram { chat: Chat::Id(1) }, 50_000),
    ];
    for post in posts() {
        for (format, limit) in &formats {
            let settings = |server: &HookServer| {
                Settings::Webhook(WebhookSettings {
                    url: server.url("/hooks").into(),
                    format: format.clone(),
                    headers: vec![],
                    timeout: DEADLINE,
                    extra_roots: None,
                    allow_link_local: false,
                })
            };
            let (hook, outcome) = received(settings, &post).await;
            let Some(hook) = hook else {
                // The signature's id stands in a header, so an id that cannot is never sent.
                assert_outcome(&outcome, "refused", "the event id cannot stand in a header");
                assert!(
                    matches!(format, WebhookFormat::Standard { .. }) && post.event.id.as_str().contains(' ')
                );
                continue;
            };
            assert_outcome(&outcome, "accepted", "200");
            checked(&hook, *limit);
        }
    }
}

#[tokio::test]
async fn a_program_gets_one_line_and_no_variable_from_a_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let script = "#!/bin/sh\nn=$(env | grep -vc '^\\(BREAKWATCH_[A-Z]*\\|PATH\\|PWD\\|OLDPWD\\|SHLVL\\|_\\)=')\n\
                  echo \"lines $(wc -l) others $n subject ${#BREAKWATCH_SUBJECT}\"\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let program = path.display().to_string();
    let settings = ExecSettings { program, arguments: vec![], timeout: DEADLINE };
    let channel = Channel::open(Settings::Exec(settings)).unwrap();
    for post in posts() {
        let outcome = loop {
            let outcome = channel.attempt(&post.letter("")).await;
            // A script that was just written can be busy while another test forks.
            if !said(&outcome).1.contains("Text file busy") {
                break outcome;
            }
            tokio::task::yield_now().await;
        };
        assert_outcome(&outcome, "accepted", "lines 1 others 0 subject ");
    }
}
