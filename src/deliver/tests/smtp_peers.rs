//! How mail fares with servers that behave well, badly, or not at all: each behaviour a case.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::future::BoxFuture;
use rstest::rstest;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::raw::{BUFFERED_MAX, Raw, Spoilt, closed_port, forever, reset, spoil_tls, wait_for_end};
use super::*;

const TO: &str = "desk@example.com";
/// Of a peer that says nothing; long enough for a busy machine to get that far.
const HASTY: Duration = Duration::from_secs(1);

/// What a scripted server does at a line.
#[derive(Clone, Debug)]
enum Act {
    Say(String),
    Reset,
    HangUp,
    Nothing,
    Forever(&'static str),
}

fn say(reply: &str) -> Option<Act> {
    Some(Act::Say(reply.to_owned()))
}

/// A server that does as a script says, and otherwise what a plain SMTP server does. The script sees every line;
/// `CONNECT` stands for the connection itself, `END` for the end of a mail.
struct Scripted {
    raw: Raw,
    lines: Arc<Mutex<Vec<String>>>,
    script: Arc<Mutex<Script>>,
}

type Script = Box<dyn Fn(&str) -> Option<Act> + Send>;

impl Scripted {
    async fn start(script: impl Fn(&str) -> Option<Act> + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let (log, play) = (Arc::clone(&lines), Arc::clone(&script));
        let raw = Raw::start(move |stream| talk(stream, Arc::clone(&log), Arc::clone(&play))).await;
        Self { raw, lines, script }
    }

    async fn good() -> Self {
        Self::start(|_| None).await
    }

    fn now(&self, script: impl Fn(&str) -> Option<Act> + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    fn smtp(&self) -> SmtpServer {
        plain(self.raw.address.port())
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The ids of the mails that came to their end.
    fn mails(&self) -> Vec<String> {
        let lines = self.lines();
        let ids = lines.iter().filter(|line| line.starts_with("Message-ID: "));
        ids.cloned().collect()
    }
}

fn plain(port: u16) -> SmtpServer {
    SmtpServer { host: "127.0.0.1".into(), port, tls: SmtpTls::Plain, login: None, extra_roots: None }
}

async fn talk(stream: TcpStream, lines: Arc<Mutex<Vec<String>>>, script: Arc<Mutex<Script>>) {
    let mut stream = BufReader::new(stream);
    let mut in_mail = false;
    let mut line = "CONNECT".to_owned();
    loop {
        lines.lock().unwrap().push(line.clone());
        let event = match in_mail {
            true if line == "." => Some("END".to_owned()),
            true => None,
            false => Some(line.clone()),
        };
        if let Some(event) = event {
            let act = script.lock().unwrap()(&event);
            let act = act.unwrap_or_else(|| Act::Say(usual(&event).to_owned()));
            in_mail = event == "DATA" && matches!(&act, Act::Say(reply) if reply.starts_with("354"));
            match act {
                Act::Say(reply) => {
                    if stream.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await.is_err() {
                        return;
                    }
                }
                Act::Reset => return reset(stream.get_ref()),
                Act::HangUp => return,
                Act::Nothing => return wait_for_end(stream.get_mut()).await,
                Act::Forever(text) => {
                    let sent = forever(stream.get_mut(), text).await;
                    lines.lock().unwrap().push(format!("SENT {sent}"));
                    return;
                }
            }
        }
        let mut next = String::new();
        if !stream.read_line(&mut next).await.is_ok_and(|read| read > 0) {
            return;
        }
        line = next.trim_end().to_owned();
    }
}

fn usual(event: &str) -> &'static str {
    match event.split(' ').next().unwrap() {
        "CONNECT" => "220 scripted.invalid ESMTP",
        "EHLO" => "250-scripted.invalid\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250 8BITMIME",
        "AUTH" => "235 2.7.0 welcome",
        "DATA" => "354 go on",
        "QUIT" => "221 bye",
        _ => "250 2.0.0 ok",
    }
}

fn channel(servers: Vec<SmtpServer>, timeout: Duration) -> Channel {
    let settings = EmailSettings {
        from: "Breakwatch <alerts@example.com>".into(),
        to: vec![TO.into()],
        servers,
        timeout,
    };
    Channel::open(Settings::Email(settings)).unwrap()
}

fn with_login(smtp: SmtpServer, mechanism: Option<SmtpAuth>, password: &str) -> SmtpServer {
    let login =
        SmtpLogin { user: "alerts".into(), password: password.to_owned().into(), renewal: None, mechanism };
    SmtpServer { login: Some(login), ..smtp }
}

async fn attempt(channel: &Channel) -> Outcome {
    attempt_at(channel, 0).await
}

async fn attempt_at(channel: &Channel, seconds: u64) -> Outcome {
    let mut post = broken();
    post.sent_at = post.sent_at.saturating_add(Duration::from_secs(seconds));
    let attempt = async { channel.attempt(&post.letter(TO)).await };
    tokio::time::timeout(DEADLINE * 2, attempt).await.expect("an attempt ends")
}

#[rstest]
#[tokio::test]
async fn whatever_ends_a_transaction_the_mail_goes_out_at_the_next_attempt_under_the_same_id(
    #[values("CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END")] at: &'static str,
    #[values("421", "reset", "hang up", "black hole")] what: &'static str,
) {
    let server = Scripted::start(move |event| {
        event.starts_with(at).then(|| match what {
            "421" => Act::Say("421 4.3.2 closing".into()),
            "reset" => Act::Reset,
            "hang up" => Act::HangUp,
            _ => Act::Nothing,
        })
    })
    .await;
    let timeout = if what == "black hole" { HASTY } else { DEADLINE };
    let smtp = with_login(server.smtp(), None, PLANTED);
    let channel = channel(vec![smtp], timeout);
    let stage = match at {
        "CONNECT" | "EHLO" => "at the connection",
        "AUTH" => "at the login",
        "MAIL" => "at the sender's address",
        "RCPT" => "at the recipient's address",
        _ => "at the mail itself",
    };
    let outcome = attempt(&channel).await;
    assert_outcome(&outcome, "deferred", stage);
    let (_, words) = said(&outcome);
    assert_eq!(words.contains("it may have arrived"), at == "END" && what != "421", "{words}");
    assert_eq!(words.contains("no answer within 1s"), what == "black hole", "{words}");
    server.now(|_| None);
    assert_outcome(&attempt(&channel).await, "accepted", "250 2.0.0 ok");
    let mails = server.mails();
    assert_eq!(mails.len(), if at == "END" { 2 } else { 1 });
    assert!(mails.iter().all(|id| *id == mails[0]), "{mails:?}");
}

#[rstest]
#[case::greylisted("RCPT", "451 4.7.1 greylisted, come back later", "deferred")]
#[case::full_for_now("RCPT", "452 4.2.2 mailbox full", "deferred")]
#[case::no_such_user("RCPT", "550 5.1.1 no such user", "refused")]
#[case::no_relaying("RCPT", "554 5.7.1 relaying denied", "refused")]
#[case::data_later("DATA", "451 4.3.0 later", "deferred")]
#[case::data_never("DATA", "554 5.5.1 no", "refused")]
#[case::disk_full("END", "452 4.3.1 disk full", "deferred")]
#[case::too_large("END", "552 5.3.4 too large", "refused")]
#[case::spam("END", "554 5.7.1 looks like spam", "refused")]
#[tokio::test]
async fn what_is_said_about_a_recipient_or_a_mail_has_its_class_and_is_not_asked_elsewhere(
    #[case] at: &'static str,
    #[case] reply: &'static str,
    #[case] class: &str,
) {
    let server = Scripted::start(move |event| event.starts_with(at).then(|| Act::Say(reply.into()))).await;
    let other = Scripted::good().await;
    let channel = channel(vec![server.smtp(), other.smtp()], DEADLINE);
    assert_outcome(&attempt(&channel).await, class, reply);
    assert_eq!(other.raw.connections(), 0, "another server is not asked about it");
    server.now(|_| None);
    assert_outcome(&attempt(&channel).await, "accepted", "250 2.0.0 ok (by 127.0.0.1:");
    assert_eq!((server.raw.connections(), other.raw.connections()), (1, 0), "and the connection stays");
}

#[rstest]
#[case::greeting_lines("CONNECT", "220-still greeting\r\n")]
#[case::greeting_without_end("CONNECT", "220 blah blah ")]
#[case::hello_lines("EHLO", "250-X\r\n")]
#[case::answer_without_end("RCPT", "x")]
#[case::empty_lines("MAIL", "\r\n")]
#[case::receipt_lines("END", "250-and another thing\r\n")]
#[case::receipt_without_end("END", "250 queued as ")]
#[tokio::test]
async fn an_endless_answer_is_read_to_its_limit_and_no_further(
    #[case] at: &'static str,
    #[case] text: &'static str,
) {
    let server = Scripted::start(move |event| event.starts_with(at).then_some(Act::Forever(text))).await;
    let channel = channel(vec![server.smtp()], DEADLINE);
    let outcome = attempt(&channel).await;
    assert_outcome(&outcome, "deferred", "");
    assert!(!said(&outcome).1.contains("no answer within"), "it did not wait for the end: {outcome:?}");
    server.raw.wait_for_one().await;
    let last = server.lines().pop().unwrap();
    let sent: usize = last.strip_prefix("SENT ").unwrap().parse().unwrap();
    assert!(sent < BUFFERED_MAX, "{sent} bytes were taken");
}

#[tokio::test]
async fn an_endless_answer_before_tls_is_bounded_too() {
    let server = Scripted::start(|event| (event == "CONNECT").then_some(Act::Forever("220-x\r\n"))).await;
    let channel = channel(vec![SmtpServer { tls: SmtpTls::StartTls, ..server.smtp() }], DEADLINE);
    assert_outcome(&attempt(&channel).await, "deferred", "an answer of more than 8192 bytes");
}

#[tokio::test]
async fn what_is_said_between_starttls_and_tls_is_no_answer() {
    let server = Scripted::start(|event| match event {
        "STARTTLS" => say("220 go ahead\r\n250-evil.invalid\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 ok"),
        _ if event.starts_with("EHLO") => say("250-scripted.invalid\r\n250 STARTTLS"),
        _ => None,
    })
    .await;
    let smtp = SmtpServer { tls: SmtpTls::StartTls, ..with_login(server.smtp(), None, PLANTED) };
    assert_outcome(
        &attempt(&channel(vec![smtp], DEADLINE)).await,
        "deferred",
        "TLS failed: what came was not TLS",
    );
    assert!(server.lines().iter().all(|line| !line.starts_with("AUTH") && !line.starts_with("MAIL")));
}

#[rstest]
#[case::garbage(Spoilt::Garbage, "deferred", "what came was not TLS")]
#[case::end(Spoilt::End, "deferred", "tls handshake eof")]
#[case::reset(Spoilt::Reset, "deferred", "reset")]
#[case::internal_error(Spoilt::Alert(80), "deferred", "InternalError")]
#[case::handshake_failure(Spoilt::Alert(40), "misconfigured", "HandshakeFailure")]
#[case::unrecognised_name(Spoilt::Alert(112), "misconfigured", "UnrecognisedName")]
#[tokio::test]
async fn a_spoilt_handshake_is_tried_again_unless_the_peers_do_not_fit(
    #[case] how: Spoilt,
    #[case] class: &str,
    #[case] words: &str,
) {
    let server = Raw::start(move |mut stream| async move { spoil_tls(&mut stream, how).await }).await;
    let smtp = SmtpServer { tls: SmtpTls::Implicit, ..plain(server.address.port()) };
    assert_outcome(&attempt(&channel(vec![smtp], DEADLINE)).await, class, words);
}

#[rstest]
#[case::usual("VXNlcm5hbWU6", "UGFzc3dvcmQ6")]
#[case::with_a_nul("VXNlciBOYW1lAA==", "UGFzc3dvcmQA")]
#[case::empty("", "")]
#[tokio::test]
async fn a_server_that_knows_login_only_gets_user_and_password_one_by_one(
    #[case] first: &'static str,
    #[case] second: &'static str,
    #[values(None, Some(SmtpAuth::Login))] mechanism: Option<SmtpAuth>,
) {
    let (user, password) = (BASE64.encode("alerts"), BASE64.encode(PLANTED));
    let (u, p) = (user.clone(), password.clone());
    let server = Scripted::start(move |event| match event {
        "AUTH LOGIN" => Some(Act::Say(format!("334 {first}"))),
        _ if event == u => Some(Act::Say(format!("334 {second}"))),
        _ if event == p => say("235 2.7.0 welcome"),
        _ if event.starts_with("EHLO") => say("250-scripted.invalid\r\n250 AUTH LOGIN"),
        _ => None,
    })
    .await;
    let channel = channel(vec![with_login(server.smtp(), mechanism, PLANTED)], DEADLINE);
    assert_outcome(&attempt(&channel).await, "accepted", "250");
    let lines = server.lines();
    let at = lines.iter().position(|line| line == "AUTH LOGIN").unwrap();
    assert_eq!(lines[at + 1..at + 3], [user, password]);
}

#[tokio::test]
async fn the_way_that_is_set_is_used_and_no_other() {
    let server = Scripted::start(|event| {
        event.starts_with("EHLO").then(|| Act::Say("250-scripted.invalid\r\n250 AUTH PLAIN LOGIN".into()))
    })
    .await;
    let smtp = with_login(server.smtp(), Some(SmtpAuth::Xoauth2), PLANTED);
    assert_outcome(
        &attempt(&channel(vec![smtp], DEADLINE)).await,
        "misconfigured",
        "at the login: the server does not offer AUTH XOAUTH2",
    );
    assert!(server.lines().iter().all(|line| !line.starts_with("AUTH")));
    server.now(|event| event.starts_with("EHLO").then(|| Act::Say("250 scripted.invalid".into())));
    let smtp = with_login(server.smtp(), None, PLANTED);
    assert_outcome(
        &attempt(&channel(vec![smtp], DEADLINE)).await,
        "misconfigured",
        "the server offers neither AUTH PLAIN nor AUTH LOGIN",
    );
}

fn bearer(token: &str) -> String {
    BASE64.encode(format!("user=alerts\u{1}auth=Bearer {token}\u{1}\u{1}"))
}

#[tokio::test]
async fn an_access_token_goes_along_with_the_command_or_after_it_when_it_is_long() {
    let server = Scripted::start(|event| (event == "AUTH XOAUTH2").then(|| Act::Say("334 ".into()))).await;
    let long = "t".repeat(2_000);
    for (token, n) in [("short", 0), (long.as_str(), 1)] {
        let smtp = with_login(server.smtp(), Some(SmtpAuth::Xoauth2), token);
        let expected = bearer(token);
        if n == 1 {
            let whole = expected.clone();
            server.now(move |event| match event {
                "AUTH XOAUTH2" => say("334 "),
                _ if event == whole => say("235 welcome"),
                _ => None,
            });
        }
        assert_outcome(&attempt(&channel(vec![smtp], DEADLINE)).await, "accepted", "250");
        let lines = server.lines();
        let at = lines.iter().rposition(|line| line.starts_with("AUTH XOAUTH2")).unwrap();
        if n == 0 {
            assert_eq!(lines[at], format!("AUTH XOAUTH2 {expected}"));
        } else {
            assert_eq!((lines[at].as_str(), &lines[at + 1]), ("AUTH XOAUTH2", &expected));
        }
    }
}

/// Gives the passwords of a list, one after the other, and then fails.
#[derive(Debug)]
struct Passwords(Mutex<Vec<&'static str>>);

impl ReadAgain for Passwords {
    fn read_again(&self) -> BoxFuture<'_, Result<SecretString, String>> {
        let next = self.0.lock().unwrap().pop();
        Box::pin(async move { next.map(SecretString::from).ok_or_else(|| "command \"token\" failed".into()) })
    }
}

fn renewed(smtp: SmtpServer, ttl: Duration, mut tokens: Vec<&'static str>) -> SmtpServer {
    tokens.reverse();
    let smtp = with_login(smtp, Some(SmtpAuth::Xoauth2), "at-the-start");
    let renewal = Some(Renewal { ttl, source: Arc::new(Passwords(Mutex::new(tokens))) });
    SmtpServer { login: smtp.login.map(|login| SmtpLogin { renewal, ..login }), ..smtp }
}

/// A server that takes one token, and says no in JSON to any other, as the big providers do.
async fn taking(token: &'static str) -> Scripted {
    Scripted::start(move |event| match event {
        "" => say("535 5.7.8 not accepted"),
        _ if event.starts_with("AUTH") && event.ends_with(&bearer(token)) => say("235 welcome"),
        _ if event.starts_with("AUTH") => {
            let why = BASE64.encode(r#"{"status":"400","schemes":"Bearer"}"#);
            Some(Act::Say(format!("334 {why}")))
        }
        "NOOP" => Some(Act::HangUp),
        _ => None,
    })
    .await
}

fn tokens_of(server: &Scripted) -> usize {
    server.lines().iter().filter(|line| line.starts_with("AUTH")).count()
}

#[tokio::test]
async fn a_refused_token_is_answered_told_and_renewed_once() {
    let server = taking("fresh-token").await;
    // Read at the first attempt, since nobody knows how old the one from the start is; refused, and renewed.
    let smtp = renewed(server.smtp(), Duration::from_secs(3_000), vec!["stale-token"]);
    let outcome = attempt(&channel(vec![smtp], DEADLINE)).await;
    assert_outcome(
        &outcome,
        "misconfigured",
        "at the login: 535 5.7.8 not accepted ({\"status\":\"400\",\"schemes\":\"Bearer\"})",
    );
    assert!(!said(&outcome).1.contains("stale-token"));
    assert_eq!(tokens_of(&server), 1, "a token of this very moment is not asked for again");

    let tokens = vec!["stale-token", "fresh-token"];
    let channel = channel(vec![renewed(server.smtp(), Duration::from_secs(3_000), tokens)], DEADLINE);
    assert_outcome(&attempt(&channel).await, "misconfigured", "535");
    assert_outcome(&attempt_at(&channel, 10).await, "accepted", "250");
}

#[tokio::test]
async fn a_token_is_renewed_when_its_time_is_over_and_not_before() {
    let server = taking("first").await;
    let tokens = vec!["first", "second"];
    let channel = channel(vec![renewed(server.smtp(), Duration::from_secs(3_000), tokens)], DEADLINE);
    assert_outcome(&attempt(&channel).await, "accepted", "250");
    assert_outcome(&attempt_at(&channel, 2_999).await, "accepted", "250");
    let later = taking("second").await;
    server.now(move |event| later.script.lock().unwrap()(event));
    assert_outcome(&attempt_at(&channel, 3_000).await, "accepted", "250");
    assert_eq!(tokens_of(&server), 3, "each was taken at once");
}

#[tokio::test]
async fn without_a_new_token_the_old_one_is_used_until_the_server_refuses_it() {
    let server = taking("at-the-start").await;
    let channel = channel(vec![renewed(server.smtp(), Duration::from_secs(60), vec![])], DEADLINE);
    assert_outcome(&attempt(&channel).await, "accepted", "250");
    let strict = taking("another").await;
    server.now(move |event| strict.script.lock().unwrap()(event));
    let outcome = attempt_at(&channel, 100).await;
    assert_outcome(&outcome, "misconfigured", "a new password cannot be had: command \"token\" failed");
    assert!(!said(&outcome).1.contains("at-the-start"), "{outcome:?}");
}

#[tokio::test]
async fn a_command_that_hangs_ends_with_the_attempt_and_does_not_keep_a_good_token_back() {
    #[derive(Debug)]
    struct Hangs;
    impl ReadAgain for Hangs {
        fn read_again(&self) -> BoxFuture<'_, Result<SecretString, String>> {
            Box::pin(std::future::pending())
        }
    }
    let server = taking("at-the-start").await;
    let smtp = renewed(server.smtp(), Duration::from_secs(60), vec![]);
    let renewal = Some(Renewal { ttl: Duration::from_secs(60), source: Arc::new(Hangs) });
    let smtp = SmtpServer { login: smtp.login.map(|login| SmtpLogin { renewal, ..login }), ..smtp };
    let channel = channel(vec![smtp], HASTY);
    assert_outcome(
        &attempt(&channel).await,
        "deferred",
        "no answer within 1s while asking for a new password",
    );
    assert_outcome(&attempt_at(&channel, 1).await, "accepted", "250");
}

#[tokio::test]
async fn an_address_beyond_ascii_needs_a_server_that_takes_it() {
    let able = Scripted::start(|event| {
        event.starts_with("EHLO").then(|| Act::Say("250-scripted.invalid\r\n250 SMTPUTF8".into()))
    })
    .await;
    let unable = Scripted::good().await;
    let letter = broken();
    let to = "dësk@example.com";
    let outcome = channel(vec![unable.smtp()], DEADLINE).attempt(&letter.letter(to)).await;
    assert_outcome(&outcome, "refused", "the server takes no addresses beyond ASCII");
    let both = channel(vec![unable.smtp(), able.smtp()], DEADLINE);
    assert_outcome(&both.attempt(&letter.letter(to)).await, "accepted", "takes no addresses beyond ASCII");
    let sender = able.lines().into_iter().find(|line| line.starts_with("MAIL")).unwrap();
    assert_eq!(sender, "MAIL FROM:<alerts@example.com> SMTPUTF8");
    assert_outcome(&attempt(&both).await, "accepted", &format!("(by {})", name(&unable)));
}

fn name(server: &Scripted) -> String {
    format!("127.0.0.1:{}", server.raw.address.port())
}

#[rstest]
#[case::full("CONNECT", "421 4.3.2 too busy")]
#[case::not_here("CONNECT", "554 5.7.1 go away")]
#[case::no_hello("EHLO", "451 4.7.1 later")]
#[case::wrong_password("AUTH", "535 5.7.8 wrong")]
#[case::login_down("AUTH", "454 4.7.0 backend down")]
#[case::other_sender("MAIL", "553 5.7.1 not your address")]
#[case::login_wanted("RCPT", "530 5.7.0 log in")]
#[case::closing("RCPT", "421 4.3.2 closing")]
#[case::closing_at_data("DATA", "421 4.3.2 closing")]
#[tokio::test]
async fn what_a_server_says_about_itself_is_asked_elsewhere_and_told(
    #[case] at: &'static str,
    #[case] reply: &'static str,
) {
    let server = Scripted::start(move |event| event.starts_with(at).then(|| Act::Say(reply.into()))).await;
    let other = Scripted::good().await;
    let channel = channel(vec![with_login(server.smtp(), None, PLANTED), other.smtp()], DEADLINE);
    let outcome = attempt(&channel).await;
    assert_outcome(
        &outcome,
        "accepted",
        &format!("250 2.0.0 ok (by {}; {} failed ", name(&other), name(&server)),
    );
    assert_outcome(&outcome, "accepted", reply);
    assert_eq!((server.mails().len(), other.mails().len()), (0, 1));
}

#[rstest]
#[case::refused("refused")]
#[case::black_hole("black hole")]
#[case::silent_later("silent later")]
#[case::reset("reset")]
#[case::no_address("no address")]
#[case::no_tls("no TLS")]
#[case::wrong_certificate("wrong certificate")]
#[tokio::test]
async fn a_server_that_cannot_be_used_leaves_time_for_the_next_one(#[case] what: &'static str) {
    let good = Scripted::good().await;
    let bad = Scripted::start(move |event| match (what, event) {
        ("black hole", "CONNECT") => Some(Act::Nothing),
        ("silent later", _) if event.starts_with("RCPT") => Some(Act::Nothing),
        ("reset", _) if event.starts_with("MAIL") => Some(Act::Reset),
        _ => None,
    })
    .await;
    let authority = Authority::new();
    let options = crate::demo::inbox::mail::MailOptions {
        tls: Some(authority.identity(&["mail.example"])),
        ..Default::default()
    };
    let stranger = crate::demo::inbox::mail::MailServer::start(options).await.unwrap();
    let (first, words) = match what {
        "refused" => (plain(closed_port().await), "onnection refused"),
        "black hole" => (bad.smtp(), "no answer within 1s"),
        "silent later" => (bad.smtp(), "failed at the recipient's address: no answer within 1s"),
        "reset" => (bad.smtp(), "failed at the sender's address: "),
        "no address" => {
            (SmtpServer { host: "mx.invalid".into(), ..bad.smtp() }, "failed at the connection: ")
        }
        "no TLS" => (SmtpServer { tls: SmtpTls::StartTls, ..bad.smtp() }, "does not offer STARTTLS"),
        _ => {
            let first = SmtpServer {
                host: "localhost".into(),
                tls: SmtpTls::StartTls,
                extra_roots: Some(authority.root()),
                ..plain(stranger.address().port())
            };
            (first, "TLS failed: the peer's certificate is for another host")
        }
    };
    // Nothing is waited for but the black holes, and for them half of this.
    let timeout = if matches!(what, "black hole" | "silent later") { HASTY * 2 } else { DEADLINE };
    let outcome = attempt(&channel(vec![first, good.smtp()], timeout)).await;
    assert_outcome(&outcome, "accepted", words);
    assert_eq!(good.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_failed_comes_last_for_a_minute() {
    let (first, second) = (Scripted::start(|_| Some(Act::HangUp)).await, Scripted::good().await);
    let channel = channel(vec![first.smtp(), second.smtp()], DEADLINE);
    assert_outcome(
        &attempt(&channel).await,
        "accepted",
        &format!("{} failed at the connection", name(&first)),
    );
    let outcome = attempt_at(&channel, 30).await;
    assert_outcome(&outcome, "accepted", &format!("{} left out, it failed at the connection", name(&first)));
    assert_eq!(
        (first.raw.connections(), second.raw.connections()),
        (1, 1),
        "the second one's connection stays"
    );
    // As a last resort it is asked all the same.
    first.now(|_| None);
    second.now(|_| Some(Act::HangUp));
    assert_outcome(
        &attempt_at(&channel, 40).await,
        "accepted",
        &format!("(by {}; {} failed", name(&first), name(&second)),
    );
    assert_outcome(&attempt_at(&channel, 50).await, "accepted", &format!("(by {})", name(&first)));
    assert_eq!(first.raw.connections(), 2, "its connection stays as well");
    first.now(|_| Some(Act::HangUp));
    second.now(|_| None);
    assert_outcome(
        &attempt_at(&channel, 110).await,
        "accepted",
        &format!("(by {}; {} failed", name(&second), name(&first)),
    );
    first.now(|_| None);
    assert_outcome(&attempt_at(&channel, 171).await, "accepted", &format!("(by {})", name(&first)));
}

#[rstest]
#[case::died(Act::HangUp)]
#[case::reset(Act::Reset)]
#[case::silent(Act::Nothing)]
#[case::closing(Act::Say("421 4.3.2 closing".into()))]
#[case::later(Act::Say("451 4.3.0 later".into()))]
#[tokio::test]
async fn a_mail_that_was_sent_is_never_sent_elsewhere_in_the_same_attempt(#[case] act: Act) {
    let answered = matches!(act, Act::Say(_));
    let timeout = if matches!(act, Act::Nothing) { HASTY * 2 } else { DEADLINE };
    let first = Scripted::start(move |event| (event == "END").then(|| act.clone())).await;
    let second = Scripted::good().await;
    let channel = channel(vec![first.smtp(), second.smtp()], timeout);
    assert_outcome(&attempt(&channel).await, "deferred", "at the mail itself");
    assert_eq!((first.mails().len(), second.raw.connections()), (1, 0));
    // What did not answer is left out at the next attempt: the same mail under the same id.
    assert_outcome(&attempt_at(&channel, 1).await, if answered { "deferred" } else { "accepted" }, "");
    let mails: Vec<_> = first.mails().into_iter().chain(second.mails()).collect();
    assert!(mails.len() == 2 && mails[0] == mails[1], "{mails:?}");
}

#[rstest]
#[case::both_set_up_wrongly("535 5.7.8 wrong", "misconfigured")]
#[case::one_may_pass("454 4.7.0 backend down", "deferred")]
#[tokio::test]
async fn when_all_servers_fail_each_says_why(#[case] second_says: &'static str, #[case] class: &str) {
    let wrong = |reply: &'static str| {
        Scripted::start(move |event| event.starts_with("AUTH").then(|| Act::Say(reply.into())))
    };
    let (first, second) = (wrong("535 5.7.8 bad password").await, wrong(second_says).await);
    let servers = [&first, &second].map(|server| with_login(server.smtp(), None, PLANTED));
    let outcome = attempt(&channel(servers.to_vec(), DEADLINE)).await;
    assert_outcome(&outcome, class, &format!("{}: at the login: 535 5.7.8 bad password; ", name(&first)));
    assert_outcome(&outcome, class, &format!("{}: at the login: {second_says}", name(&second)));
}
