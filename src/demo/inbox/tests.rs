//! The receivers, spoken to by hand.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::hook::{Answer, HookOptions, HookServer};
use super::mail::{MailFault, MailOptions, MailServer};
use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

/// Says lines and reads whole replies.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(server: &MailServer) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(server.address()).await.unwrap()));
        assert!(client.reply().await.starts_with("220 "));
        client
    }

    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            tokio::time::timeout(DEADLINE, self.0.read_line(&mut reply)).await.unwrap().unwrap();
            if reply[start..].chars().nth(3) != Some('-') {
                return reply.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, text: &str) -> String {
        self.0.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn expect(&mut self, dialogue: &[(&str, &str)]) {
        for (text, start) in dialogue {
            let reply = self.say(text).await;
            assert!(reply.starts_with(start), "{text:?} was answered {reply:?}, not {start:?}");
        }
    }
}

const ENVELOPE: [(&str, &str); 3] =
    [("MAIL FROM:<a@example.com>", "250"), ("RCPT TO:<b@example.com>", "250"), ("DATA", "354")];

async fn server(options: MailOptions) -> MailServer {
    MailServer::start(options).await.unwrap()
}

#[tokio::test]
async fn doubled_dots_are_undone_and_only_a_dot_alone_ends_a_mail() {
    let server = server(MailOptions::default()).await;
    let mut client = Client::connect(&server).await;
    client.expect(&ENVELOPE).await;
    client.expect(&[("Subject: dots\r\n\r\n..one\r\n...two\r\n.\nthree\r\n.", "250"), ("QUIT", "221")]).await;
    let mails = server.wait_for(1, DEADLINE).await;
    assert_eq!(mails[0].data, "Subject: dots\r\n\r\n.one\r\n..two\r\n\nthree\r\n");
    assert_eq!((mails[0].from.as_str(), mails[0].to[0].as_str()), ("a@example.com", "b@example.com"));
    assert_eq!(mails[0].header("subject").as_deref(), Some("dots"));
}

#[tokio::test]
async fn commands_out_of_order_are_turned_down() {
    let server = server(MailOptions::default()).await;
    let mut client = Client::connect(&server).await;
    client
        .expect(&[
            ("EHLO me", "250-"),
            ("noop", "250"),
            ("RCPT TO:<b@example.com>", "503"),
            ("DATA", "503"),
            ("MAIL FROM a@example.com", "501"),
            ("MAIL FROM:<a@example.com>", "250"),
            ("MAIL FROM:<a@example.com>", "503"),
            ("RSET", "250"),
            ("DATA", "503"),
            ("STARTTLS", "502"),
            ("FROBNICATE", "502"),
            ("AUTH PLAIN AGEAYg==", "535"),
        ])
        .await;
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_mail_that_is_too_large_is_turned_down_before_or_after() {
    let server = server(MailOptions { size_max: 100, ..MailOptions::default() }).await;
    let mut client = Client::connect(&server).await;
    assert!(client.say("EHLO me").await.contains("250-SIZE 100"));
    client.expect(&[("MAIL FROM:<a@example.com> SIZE=101", "552")]).await;
    client.expect(&ENVELOPE).await;
    let long = format!("{}\r\n.", "x".repeat(101));
    client.expect(&[(&long, "552")]).await;
    client.expect(&ENVELOPE).await;
    client.expect(&[("short\r\n.", "250")]).await;
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn both_kinds_of_login_work_and_none_works_without_encryption_when_there_is_some() {
    let login = Some(("u".to_owned(), "p".to_owned()));
    let plain = server(MailOptions { login: login.clone(), ..MailOptions::default() }).await;
    for dialogue in [
        vec![("AUTH PLAIN AHUAcA==", "235")],
        vec![("AUTH PLAIN", "334"), ("AHUAcA==", "235")],
        vec![("AUTH LOGIN", "334 VXNlcm5hbWU6"), ("dQ==", "334 UGFzc3dvcmQ6"), ("cA==", "235")],
    ] {
        let mut client = Client::connect(&plain).await;
        client
            .expect(&[("AUTH LOGIN", "334"), ("dQ==", "334"), ("eA==", "535"), ("MAIL FROM:<a@b>", "530")])
            .await;
        client.expect(&dialogue).await;
        client.expect(&[("MAIL FROM:<a@b>", "250")]).await;
    }
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = rcgen::CertificateParams::new(vec![]).unwrap().self_signed(&key).unwrap().pem().into_bytes();
    let tls = Some(Identity { chain, key: key.serialize_pem().into_bytes() });
    let secure = server(MailOptions { login, tls, ..MailOptions::default() }).await;
    let mut client = Client::connect(&secure).await;
    let offered = client.say("EHLO me").await;
    assert!(offered.contains("STARTTLS") && !offered.contains("AUTH"), "{offered}");
    client.expect(&[("AUTH PLAIN AHUAcA==", "538"), ("MAIL FROM:<a@b>", "530")]).await;
}

#[tokio::test]
async fn faults_can_be_changed_while_it_runs() {
    let server = server(MailOptions::default()).await;
    let mut client = Client::connect(&server).await;
    let refuse = MailFault::Answer { verb: "MAIL".into(), reply: "451 4.3.0 later".into() };
    server.set_faults(vec![refuse]);
    client.expect(&[("MAIL FROM:<a@example.com>", "451")]).await;
    server.set_faults(vec![MailFault::HangUpAfterMail { nth: 1 }]);
    client.expect(&ENVELOPE).await;
    assert_eq!(client.say("text\r\n.").await, "", "it hangs up");
    assert_eq!(server.wait_for(1, DEADLINE).await.len(), 1, "and keeps the mail");
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_and_a_dropped_server_is_gone() {
    let server = server(MailOptions::default()).await;
    assert!(server.wait_for(1, Duration::from_millis(20)).await.is_empty());
    let mut client = Client::connect(&server).await;
    drop(server);
    assert_eq!(client.reply().await, "", "its connections end too");
}

#[tokio::test]
async fn a_bad_certificate_is_named_at_the_start() {
    let tls = Some(Identity { chain: b"no".to_vec(), key: b"no".to_vec() });
    let error = MailServer::start(MailOptions { tls, ..MailOptions::default() }).await.unwrap_err();
    assert!(error.to_string().contains("is not PEM"), "{error}");
}

#[tokio::test]
async fn a_hook_is_kept_as_it_came_and_answered_by_the_script() {
    let script = vec![Answer::new(503, "later").with_header("Retry-After", "7"), Answer::new(200, "ok")];
    let server = HookServer::start(HookOptions { answers: script, tls: None }).await.unwrap();
    for status in ["HTTP/1.1 503", "HTTP/1.1 200", "HTTP/1.1 200"] {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request =
            "PUT /a?b=c HTTP/1.1\r\nHost: x\r\nX-Test: y\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer);
        tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
        assert!(answer.starts_with(status), "{answer}");
        assert_eq!(answer.contains("retry-after: 7"), status.ends_with("503"), "{answer}");
    }
    let hooks = server.wait_for(3, DEADLINE).await;
    assert_eq!(
        (hooks[0].method.as_str(), hooks[0].path.as_str(), hooks[0].body.as_str()),
        ("PUT", "/a?b=c", "hi")
    );
    assert_eq!((hooks[0].headers["x-test"].as_str(), hooks.len()), ("y", 3));
}
