//! Mail to a real server.

use super::*;
use crate::demo::inbox::mail::{Mail, MailFault, MailOptions, MailServer};
use crate::event::About;
use crate::outbox::message::Context;

const TO: &str = "desk@example.com";

fn smtp(server: &MailServer, tls: SmtpTls) -> SmtpServer {
    SmtpServer {
        host: "localhost".into(),
        port: server.address().port(),
        tls,
        login: None,
        extra_roots: None,
    }
}

fn settings(servers: Vec<SmtpServer>) -> EmailSettings {
    EmailSettings {
        from: "Breakwatch <alerts@example.com>".into(),
        to: vec![TO.into(), "Second Desk <second@example.com>".into()],
        servers,
        timeout: DEADLINE,
    }
}

fn channel(servers: Vec<SmtpServer>) -> Channel {
    Channel::open(Settings::Email(settings(servers))).unwrap()
}

fn login() -> Option<SmtpLogin> {
    Some(SmtpLogin {
        user: "alerts".into(),
        password: PLANTED.to_owned().into(),
        renewal: None,
        mechanism: None,
    })
}

fn wanted_login() -> Option<(String, String)> {
    Some(("alerts".into(), PLANTED.into()))
}

async fn plain(faults: Vec<MailFault>) -> (MailServer, Channel) {
    let server = MailServer::start(MailOptions { faults, ..MailOptions::default() }).await.unwrap();
    let channel = channel(vec![smtp(&server, SmtpTls::Plain)]);
    (server, channel)
}

fn answer(verb: &str, reply: &str) -> Vec<MailFault> {
    vec![MailFault::Answer { verb: verb.into(), reply: reply.into() }]
}

#[tokio::test]
async fn a_mail_arrives_under_every_protection() {
    let authority = Authority::new();
    for tls in [SmtpTls::Plain, SmtpTls::StartTls, SmtpTls::Implicit] {
        let options = MailOptions {
            tls: (tls != SmtpTls::Plain).then(|| authority.identity(&["localhost"])),
            implicit_tls: tls == SmtpTls::Implicit,
            login: wanted_login(),
            ..MailOptions::default()
        };
        let server = MailServer::start(options).await.unwrap();
        let smtp = SmtpServer { login: login(), extra_roots: Some(authority.root()), ..smtp(&server, tls) };
        let channel = channel(vec![smtp]);
        let post = broken();
        let outcome = channel.attempt(&post.letter(TO)).await;
        assert_outcome(&outcome, "accepted", "250 2.0.0 ok queued as 1");
        let mails = server.received();
        assert_eq!(mails.len(), 1, "{tls:?}");
        assert_eq!(
            (mails[0].tls, mails[0].login.as_deref()),
            (tls != SmtpTls::Plain, Some("alerts")),
            "{tls:?}"
        );
        assert_eq!((mails[0].from.as_str(), &mails[0].to), ("alerts@example.com", &vec![TO.to_owned()]));
    }
}

#[tokio::test]
async fn a_mail_has_the_headers_that_machines_and_threads_need() {
    let (server, channel) = plain(vec![]).await;
    let mut post = broken();
    let first = EventId::new(&post.event.thread, 1, Kind::LevelApproached);
    post.first = Some(first.clone());
    assert_outcome(
        &channel.attempt(&post.letter("Second Desk <second@example.com>")).await,
        "accepted",
        "250",
    );
    let mail = server.received().remove(0);
    let header = |name: &str| mail.header(name).unwrap_or_default();
    assert_eq!(header("Subject"), "RTY broke 2,500.0 up: 2,500.4 at 14:31:07 CT (RTYZ6)");
    assert_eq!(header("Message-ID"), format!("<{}@example.com>", post.event.id));
    assert_eq!(header("In-Reply-To"), format!("<{first}@example.com>"));
    assert_eq!(header("References"), format!("<{first}@example.com>"));
    assert_eq!(header("Date"), "Mon, 30 Nov 2026 20:31:07 +0000");
    assert_eq!(header("Auto-Submitted"), "auto-generated");
    assert_eq!(header("X-Auto-Response-Suppress"), "All");
    assert_eq!(header("List-Id"), "<breakwatch.example.com>");
    assert!(header("To").contains("second@example.com") && header("From").contains("<alerts@example.com>"));
    assert_eq!(mail.header("Precedence"), None);
    assert!(header("Content-Type").starts_with("multipart/alternative"));
    assert_eq!(mail.part("text/plain").unwrap().trim_end(), post.message.text.trim_end());
    assert_eq!(mail.part("text/html").unwrap().trim_end(), post.message.html.trim_end());
    assert_eq!(mail.to, ["second@example.com"]);
}

#[tokio::test]
async fn the_first_mail_of_a_thread_answers_none() {
    let (server, channel) = plain(vec![]).await;
    let mut post = broken();
    post.first = Some(post.event.id.clone());
    assert_outcome(&channel.attempt(&post.letter(TO)).await, "accepted", "250");
    let mail = server.received().remove(0);
    assert_eq!((mail.header("In-Reply-To"), mail.header("References")), (None, None));
}

#[tokio::test]
async fn no_name_can_add_a_header_or_a_recipient() {
    let evil = "x\r\nBcc: y@evil.example\r\n\r\n.\r\nMAIL FROM:<z@evil.example>\r\n";
    let event = Event {
        level: Some(evil.into()),
        level_price: None,
        instrument: Some(evil.into()),
        contract: Some(evil.into()),
        id: EventId::from(format!("id>\r\nBcc: y@evil.example {evil}")),
        about: About { note: Some(evil.into()), ..About::default() },
        ..sample::event(Kind::LevelBroken)
    };
    let (server, channel) = plain(vec![]).await;
    let mut post = Post::of(event);
    post.first = Some(EventId::from(evil.to_owned()));
    assert_outcome(&channel.attempt(&post.letter(TO)).await, "accepted", "250");
    let mails = server.received();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].header("Bcc"), mails[0].to.len()), (None, 1), "{}", mails[0].data);
    assert!(!mails[0].data.contains("\r\nBcc") && !mails[0].data.contains("\nMAIL"), "{}", mails[0].data);
}

#[tokio::test]
async fn a_wrong_or_missing_login_is_the_settings_fault() {
    let options = MailOptions { login: Some(("alerts".into(), "other".into())), ..MailOptions::default() };
    let server = MailServer::start(options).await.unwrap();
    for (login, words) in [(login(), "at the login: 535"), (None, "at the sender's address: 530")] {
        let channel = channel(vec![SmtpServer { login, ..smtp(&server, SmtpTls::Plain) }]);
        assert_outcome(&channel.attempt(&broken().letter(TO)).await, "misconfigured", words);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn required_starttls_never_falls_back_to_plain_text() {
    let server =
        MailServer::start(MailOptions { login: wanted_login(), ..MailOptions::default() }).await.unwrap();
    let channel = channel(vec![SmtpServer { login: login(), ..smtp(&server, SmtpTls::StartTls) }]);
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "misconfigured", "does not offer STARTTLS");
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_with_the_reason() {
    let authority = Authority::new();
    for (identity, root, words) in bad_identities(&authority) {
        for implicit_tls in [false, true] {
            let options = MailOptions { tls: Some(identity.clone()), implicit_tls, ..MailOptions::default() };
            let server = MailServer::start(options).await.unwrap();
            let tls = if implicit_tls { SmtpTls::Implicit } else { SmtpTls::StartTls };
            let channel = channel(vec![SmtpServer { extra_roots: Some(root.clone()), ..smtp(&server, tls) }]);
            assert_outcome(&channel.attempt(&broken().letter(TO)).await, "misconfigured", words);
            assert!(server.received().is_empty());
        }
    }
}

#[tokio::test]
async fn tls_on_a_plain_port_is_explained() {
    let (server, _) = plain(vec![]).await;
    let channel = channel(vec![smtp(&server, SmtpTls::Implicit)]);
    assert_outcome(
        &channel.attempt(&broken().letter(TO)).await,
        "deferred",
        "at the connection: TLS failed: what came was not TLS (the peer does not speak TLS on this port",
    );
}

#[tokio::test]
async fn each_answer_of_the_server_has_its_class() {
    let cases = [
        ("CONNECT", "554 5.7.1 go away", "misconfigured", "at the connection: 554 5.7.1 go away"),
        ("CONNECT", "421 4.3.2 too busy", "deferred", "at the connection: 421 4.3.2 too busy"),
        ("CONNECT", "hello there", "deferred", "at the connection"),
        ("EHLO", "451 4.7.1 greylisted", "deferred", "at the connection: 451"),
        ("MAIL", "553 5.7.1 not your address", "misconfigured", "at the sender's address: 553"),
        ("MAIL", "451 4.3.0 later", "deferred", "at the sender's address: 451"),
        ("MAIL", "530 5.7.0 log in", "misconfigured", "530"),
        (
            "RCPT",
            "550-5.1.1 no\r\n550 5.1.1 such user",
            "refused",
            "at the recipient's address: 550 5.1.1 no",
        ),
        ("RCPT", "450 4.2.0 greylisted", "deferred", "at the recipient's address: 450"),
        ("RCPT", "421 4.7.0 too many", "deferred", "421"),
        ("RCPT", "534 5.7.9 stronger login", "misconfigured", "534"),
        ("DATA", "554 5.5.1 no", "refused", "at the mail itself: 554"),
        ("DATA", "421 4.3.0 closing", "deferred", "421"),
    ];
    for (verb, reply, outcome, words) in cases {
        let (server, channel) = plain(answer(verb, reply)).await;
        assert_outcome(&channel.attempt(&broken().letter(TO)).await, outcome, words);
        assert!(server.received().is_empty());
        server.set_faults(vec![]);
        assert_outcome(&channel.attempt(&broken().letter(TO)).await, "accepted", "250");
    }
}

#[tokio::test]
async fn a_temporary_failure_of_the_login_is_not_the_settings_fault() {
    let options = MailOptions {
        login: wanted_login(),
        faults: answer("AUTH", "454 4.7.0 backend down"),
        ..MailOptions::default()
    };
    let server = MailServer::start(options).await.unwrap();
    let channel = channel(vec![SmtpServer { login: login(), ..smtp(&server, SmtpTls::Plain) }]);
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "deferred", "at the login: 454");
}

#[tokio::test]
async fn a_mail_that_is_deferred_after_its_last_line_goes_out_later_under_the_same_id() {
    let (server, channel) =
        plain(vec![MailFault::AnswerMail { nth: 1, reply: "451 4.3.0 disk full".into() }]).await;
    assert_outcome(
        &channel.attempt(&broken().letter(TO)).await,
        "deferred",
        "at the mail itself: 451 4.3.0 disk full",
    );
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "accepted", "queued as 2");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_repeat_after_an_unknown_end_can_be_recognised() {
    let (server, channel) = plain(vec![MailFault::HangUpAfterMail { nth: 1 }]).await;
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "deferred", "at the mail itself");
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "accepted", "250");
    let ids: Vec<_> =
        server.received().iter().map(|mail: &Mail| mail.header("Message-ID").unwrap()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test]
async fn one_refused_recipient_does_not_harm_the_others() {
    let (server, channel) = plain(vec![MailFault::RefuseRecipient(TO.into())]).await;
    let targets = channel.targets();
    assert_eq!(targets, [TO, "Second Desk <second@example.com>"]);
    assert_outcome(
        &channel.attempt(&broken().letter(&targets[0])).await,
        "refused",
        "550 5.1.1 <desk@example.com>",
    );
    assert_outcome(&channel.attempt(&broken().letter(&targets[1])).await, "accepted", "250");
    assert_eq!((server.received().len(), server.connections()), (1, 1), "and the connection stays");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_after_the_timeout() {
    let server = MailServer::start(MailOptions { faults: vec![MailFault::Silent], ..MailOptions::default() })
        .await
        .unwrap();
    for tls in [SmtpTls::Plain, SmtpTls::Implicit] {
        let settings =
            EmailSettings { timeout: Duration::from_millis(200), ..settings(vec![smtp(&server, tls)]) };
        let channel = Channel::open(Settings::Email(settings)).unwrap();
        let attempt = tokio::time::timeout(DEADLINE, async { channel.attempt(&broken().letter(TO)).await });
        assert_outcome(&attempt.await.unwrap(), "deferred", "no answer within 200ms at the connection");
    }
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_fresh_and_alive() {
    let (server, channel) = plain(vec![]).await;
    let mut post = broken();
    for _ in 0..3 {
        assert_outcome(&channel.attempt(&post.letter(TO)).await, "accepted", "250");
    }
    assert_eq!(server.connections(), 1);
    post.sent_at = post.sent_at.saturating_add(Duration::from_secs(60));
    assert_outcome(&channel.attempt(&post.letter(TO)).await, "accepted", "250");
    assert_eq!(server.connections(), 2, "an old one is not trusted");
    server.set_faults(answer("NOOP", "421 4.4.2 idle for too long"));
    assert_outcome(&channel.attempt(&post.letter(TO)).await, "accepted", "250");
    assert_eq!((server.connections(), server.received().len()), (3, 5), "nor one that is dead");
}

#[tokio::test]
async fn nobody_listening_is_a_reason_to_try_later() {
    let (server, channel) = plain(vec![]).await;
    drop(server);
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "deferred", "at the connection");
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let (server, _) = plain(vec![]).await;
    let smtp = || SmtpServer { login: login(), ..smtp(&server, SmtpTls::StartTls) };
    let good = || settings(vec![smtp()]);
    let bad_roots = SmtpServer { extra_roots: Some(b"no PEM".to_vec()), ..smtp() };
    let bad_host = SmtpServer { host: "no host".into(), ..smtp() };
    let cases = [
        (EmailSettings { to: vec![], ..good() }, "at least one recipient"),
        (EmailSettings { to: vec!["desk".into()], ..good() }, "\"desk\" is not a mail address"),
        (EmailSettings { to: vec!["a@b.c\r\nBcc: d@e.f".into()], ..good() }, "is not a mail address"),
        (EmailSettings { from: "nobody".into(), ..good() }, "\"nobody\" is not a mail address"),
        (settings(vec![]), "at least one server"),
        (settings(vec![smtp(), bad_roots]), "not PEM certificates"),
        (settings(vec![bad_host]), "TLS to \"no host\" cannot be set up"),
    ];
    for (settings, words) in cases {
        let error = Channel::open(Settings::Email(settings)).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn the_password_is_never_shown_nor_logged() {
    let (_guard, log) = logged();
    let authority = Authority::new();
    let faults = answer("RCPT", &format!("550 you said {PLANTED}"));
    let options = MailOptions {
        login: wanted_login(),
        tls: Some(authority.identity(&["localhost"])),
        faults,
        ..MailOptions::default()
    };
    let server = MailServer::start(options).await.unwrap();
    let settings = settings(vec![SmtpServer {
        login: login(),
        extra_roots: Some(authority.root()),
        ..smtp(&server, SmtpTls::StartTls)
    }]);
    let shown = format!("{settings:?}");
    let channel = Channel::open(Settings::Email(settings)).unwrap();
    assert_outcome(&channel.attempt(&broken().letter(TO)).await, "refused", "550 you said [secret]");
    tracing::info!("the log works");
    let everything = format!("{shown} {channel:?} {}", text_of(&log));
    assert!(everything.contains("the log works"));
    // The base64 form of "\0alerts\0Xylophon7-planted-secret" and of the password alone.
    for secret in [PLANTED, "AGFsZXJ0cwBYeWxvcGhvbjctcGxhbnRlZC1zZWNyZXQ", "WHlsb3Bob243LXBsYW50ZWQtc2VjcmV0"]
    {
        assert!(!everything.contains(secret), "{everything}");
    }
}

#[tokio::test]
async fn a_late_rehearsal_says_both_in_its_subject() {
    let (server, channel) = plain(vec![]).await;
    let event = Event { rehearsal: true, ..sample::event(Kind::LevelBroken) };
    let context = Context { attempted_at: sample::at("2026-11-30T20:36:12Z"), ..sample::context() };
    assert_outcome(&channel.attempt(&Post::with(event, &context).letter(TO)).await, "accepted", "250");
    let subject = server.received()[0].header("Subject").unwrap();
    assert!(subject.starts_with("REHEARSAL LATE 5 min 4 s: RTY broke 2,500.0 up: 2,500.4"), "{subject}");
}
