//! Peers that repeat everything that they are sent: the worst that can happen to a secret that is not looked after.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Stands in every answer, so that a test can see that answers arrive where it looks.
pub(crate) const ECHO: &str = "xylo-echo-marker";

/// What a peer is.
#[derive(Clone)]
pub(crate) enum Role {
    /// Answers every request with the status that its path begins with (`/404/…`). `/posted/…` is answered as Slack
    /// does when it takes a message, `/error/…` as when it does not.
    Http,
    /// A mail server that takes every mail.
    Smtp,
    /// A mail server that refuses every login.
    SmtpRefuses,
    /// A venue. The first connection is refused, the second one closed after answers that are none; from then on it
    /// plays the script.
    Venue(Vec<String>),
}

/// What was said to a peer, one text for a request, a line or a message.
type Heard = Arc<Mutex<Vec<String>>>;

/// A peer on a free port of 127.0.0.1; it ends when it is dropped.
pub(crate) struct Echo {
    pub(crate) addr: SocketAddr,
    heard: Heard,
    _tasks: JoinSet<()>,
}

impl Echo {
    pub(crate) async fn start(role: Role) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let heard = Heard::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, role, Arc::clone(&heard)));
        Self { addr, heard, _tasks: tasks }
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, role: Role, heard: Heard) {
    let mut serving = JoinSet::new();
    let mut connections = 0;
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (role, heard) = (role.clone(), Arc::clone(&heard));
        let nth = connections;
        connections += 1;
        serving.spawn(async move {
            // A client may leave in the middle.
            let _gone = match role {
                Role::Http => http(stream, &heard).await,
                Role::Smtp => smtp(stream, &heard, false).await,
                Role::SmtpRefuses => smtp(stream, &heard, true).await,
                Role::Venue(_) if nth == 0 => refusal(stream, &heard).await,
                Role::Venue(script) => venue(stream, &heard, &script, nth == 1).await,
            };
        });
    }
}

/// Head and body of one request.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(format!("{head}{}", String::from_utf8_lossy(&body)))
}

async fn http(stream: TcpStream, heard: &Heard) -> Option<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = request(&mut stream).await {
        let word = request.split('/').nth(1).unwrap_or_default().to_owned();
        let said = format!("{ECHO} {}", request.replace("\r\n", " | "));
        let body = match word.as_str() {
            "posted" => serde_json::json!({ "ok": true, "ts": "1.2", "channel": said }).to_string(),
            "error" => {
                serde_json::json!({ "ok": false, "error": "missing_scope", "needed": said }).to_string()
            }
            _ => said,
        };
        heard.lock().unwrap().push(request);
        let status = word.parse().unwrap_or(200_u16);
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nX-Said: {ECHO}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
    Some(())
}

async fn smtp(stream: TcpStream, heard: &Heard, refuses: bool) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("220 {ECHO}\r\n").as_bytes()).await.ok()?;
    let (mut all, mut in_data) = (String::new(), false);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        heard.lock().unwrap().push(line.clone());
        if in_data && line != "." {
            continue;
        }
        all = format!("{all} | {line}");
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            _ if in_data => format!("250 {ECHO} taken {all}"),
            "EHLO" => format!("250-{ECHO}\r\n250 AUTH PLAIN"),
            "AUTH" => {
                let bytes = BASE64.decode(line.rsplit(' ').next()?).unwrap_or_default();
                let plain = String::from_utf8_lossy(&bytes).replace('\0', " ");
                all = format!("{all} {plain}");
                let code = if refuses { "535 5.7.8" } else { "235 2.7.0" };
                format!("{code} {ECHO} {all}")
            }
            "DATA" => "354 go on".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            _ => format!("250 {ECHO} {all}"),
        };
        in_data = verb == "DATA" && !in_data;
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

/// Refuses the connection, and repeats how it was asked for.
async fn refusal(stream: TcpStream, heard: &Heard) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let request = request(&mut stream).await?;
    let body = format!("{ECHO} {request}");
    let head = request.replace("\r\n", " | ");
    heard.lock().unwrap().push(request);
    let length = body.len();
    let answer = format!("HTTP/1.1 503 {ECHO}\r\nContent-Length: {length}\r\nX-Said: {head}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.ok()
}

async fn venue(stream: TcpStream, heard: &Heard, script: &[String], repeats: bool) -> Option<()> {
    let mut socket = accept_async(stream).await.ok()?;
    socket.send(Message::text(r#"[{"ev":"status","status":"connected"}]"#)).await.ok()?;
    let login = socket.next().await?.ok()?.into_text().ok()?.to_string();
    heard.lock().unwrap().push(login.clone());
    if repeats {
        socket.send(Message::text(format!("{ECHO} {login}"))).await.ok()?;
        let status = serde_json::json!([{ "ev": "status", "status": ECHO, "message": login }]);
        socket.send(Message::text(status.to_string())).await.ok()?;
        let reason: String = format!("{ECHO} {login}").chars().take(120).collect();
        let close = CloseFrame { code: CloseCode::Policy, reason: reason.as_str().into() };
        return socket.close(Some(close)).await.ok();
    }
    socket.send(Message::text(r#"[{"ev":"status","status":"auth_success"}]"#)).await.ok()?;
    while !socket.next().await?.ok()?.into_text().ok()?.contains("subscribe") {}
    for message in script {
        socket.send(Message::text(message.as_str())).await.ok()?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while socket.next().await?.is_ok() {}
    Some(())
}
