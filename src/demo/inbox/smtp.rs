//! One SMTP connection (RFC 5321 with STARTTLS, AUTH, SIZE). It must not deliver anything anywhere.

use std::io;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::demo::inbox::IDLE_MAX;
use crate::demo::inbox::mail::{Mail, MailFault, Shared};

/// The longest line, of commands (a login may be long) and of mails.
const LINE_MAX: u64 = 16 * 1024;
/// Recipients of one mail.
const RECIPIENTS_MAX: usize = 100;

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Serves one connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>, tls: Option<TlsAcceptor>, implicit: bool) {
    let mut session = Session {
        io: Some(BufReader::new(Box::new(stream))),
        shared,
        tls,
        encrypted: false,
        login: None,
        from: None,
        to: Vec::new(),
    };
    // A connection that breaks is the peer's affair: what was received is kept.
    drop(session.run(implicit).await);
}

struct Session {
    /// Taken only while it is wrapped in TLS.
    io: Option<BufReader<Box<dyn Duplex>>>,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    encrypted: bool,
    login: Option<String>,
    from: Option<String>,
    to: Vec<String>,
}

/// What to do after a command.
enum Next {
    Reply(String),
    Encrypt,
    HangUp,
}

fn reply(text: &str) -> Next {
    Next::Reply(text.to_owned())
}

impl Session {
    async fn run(&mut self, implicit: bool) -> io::Result<()> {
        if self.shared.faults().contains(&MailFault::Silent) {
            return self.say_nothing().await;
        }
        if implicit {
            self.encrypt().await?;
        }
        let greeting = self.scripted("CONNECT");
        self.say(greeting.as_deref().unwrap_or("220 inbox.invalid ESMTP")).await?;
        if greeting.is_some() {
            return Ok(());
        }
        while let Some(line) = self.line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let verb = verb.to_ascii_uppercase();
            let next = match self.scripted(&verb) {
                Some(text) => Next::Reply(text),
                None => self.command(&verb, rest.trim()).await?,
            };
            match next {
                Next::Reply(text) => self.say(&text).await?,
                Next::Encrypt => self.encrypt().await?,
                Next::HangUp => return Ok(()),
            }
            if verb == "QUIT" {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn command(&mut self, verb: &str, rest: &str) -> io::Result<Next> {
        Ok(match verb {
            "EHLO" => Next::Reply(self.capabilities()),
            "HELO" => reply("250 inbox.invalid"),
            "STARTTLS" if self.tls.is_some() && !self.encrypted => {
                self.say("220 2.0.0 go ahead").await?;
                Next::Encrypt
            }
            "AUTH" => self.authenticate(rest).await?,
            "MAIL" => self.mail(rest),
            "RCPT" => self.recipient(rest),
            "DATA" if self.to.is_empty() => reply("503 5.5.1 no recipients"),
            "DATA" => self.data().await?,
            "RSET" => {
                self.reset();
                reply("250 2.0.0 ok")
            }
            "NOOP" => reply("250 2.0.0 ok"),
            "VRFY" => reply("252 2.5.2 try and see"),
            "QUIT" => reply("221 2.0.0 bye"),
            _ => reply("502 5.5.2 not implemented"),
        })
    }

    fn capabilities(&self) -> String {
        let mut lines =
            vec!["inbox.invalid".to_owned(), format!("SIZE {}", self.shared.size_max), "8BITMIME".to_owned()];
        if self.tls.is_some() && !self.encrypted {
            lines.push("STARTTLS".to_owned());
        }
        if self.shared.login.is_some() && self.may_log_in() {
            lines.push("AUTH PLAIN LOGIN".to_owned());
        }
        let last = lines.len().saturating_sub(1);
        let marked = lines
            .iter()
            .enumerate()
            .map(|(n, line)| format!("250{}{line}", if n == last { ' ' } else { '-' }));
        marked.collect::<Vec<_>>().join("\r\n")
    }

    const fn may_log_in(&self) -> bool {
        self.encrypted || self.tls.is_none()
    }

    async fn authenticate(&mut self, rest: &str) -> io::Result<Next> {
        if !self.may_log_in() {
            return Ok(reply("538 5.7.11 encryption required"));
        }
        let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let (user, password) = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => {
                let text = if initial.is_empty() { self.ask("").await? } else { decoded(initial) };
                let mut words = text.split('\0').skip(1).map(str::to_owned);
                (words.next().unwrap_or_default(), words.next().unwrap_or_default())
            }
            "LOGIN" => (self.ask("Username:").await?, self.ask("Password:").await?),
            _ => return Ok(reply("504 5.5.4 unknown mechanism")),
        };
        let known = self.shared.login.as_ref().is_some_and(|login| *login == (user.clone(), password));
        if known {
            self.login = Some(user);
        }
        Ok(reply(if known { "235 2.7.0 welcome" } else { "535 5.7.8 authentication failed" }))
    }

    async fn ask(&mut self, question: &str) -> io::Result<String> {
        self.say(&format!("334 {}", BASE64.encode(question))).await?;
        let line = self.line().await?.unwrap_or_default();
        Ok(decoded(String::from_utf8_lossy(&line).trim()))
    }

    fn mail(&mut self, rest: &str) -> Next {
        if self.shared.login.is_some() && self.login.is_none() {
            return reply("530 5.7.0 authentication required");
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return reply("501 5.5.4 MAIL FROM:<address>");
        };
        if self.from.is_some() {
            return reply("503 5.5.1 one mail at a time");
        }
        let size = parameters
            .to_ascii_uppercase()
            .split_whitespace()
            .find_map(|p| p.strip_prefix("SIZE=")?.parse().ok());
        if size.is_some_and(|size: usize| size > self.shared.size_max) {
            return reply("552 5.3.4 too large");
        }
        self.from = Some(from);
        reply("250 2.1.0 ok")
    }

    fn recipient(&mut self, rest: &str) -> Next {
        if self.from.is_none() {
            return reply("503 5.5.1 MAIL first");
        }
        let Some((to, _)) = path(rest, "TO:") else { return reply("501 5.5.4 RCPT TO:<address>") };
        if self.shared.faults().contains(&MailFault::RefuseRecipient(to.clone())) {
            return Next::Reply(format!("550 5.1.1 <{to}>: no such user here"));
        }
        if self.to.len() >= RECIPIENTS_MAX {
            return reply("452 4.5.3 too many recipients");
        }
        self.to.push(to);
        reply("250 2.1.5 ok")
    }

    async fn data(&mut self) -> io::Result<Next> {
        self.say("354 end with a single dot").await?;
        let Some(data) = self.text().await? else { return Ok(Next::HangUp) };
        let number = self.shared.next_mail();
        let mail = Mail {
            from: self.from.clone().unwrap_or_default(),
            to: self.to.clone(),
            data: String::from_utf8_lossy(&data).into_owned(),
            login: self.login.clone(),
            tls: self.encrypted,
        };
        self.reset();
        if data.len() > self.shared.size_max {
            return Ok(reply("552 5.3.4 too large"));
        }
        for fault in self.shared.faults() {
            if let MailFault::AnswerMail { nth, reply } = &fault
                && *nth == number
            {
                return Ok(Next::Reply(reply.clone()));
            }
        }
        if !self.shared.kept.push(mail) {
            return Ok(reply("452 4.3.1 the inbox is full"));
        }
        if self.shared.faults().contains(&MailFault::HangUpAfterMail { nth: number }) {
            return Ok(Next::HangUp);
        }
        Ok(Next::Reply(format!("250 2.0.0 ok queued as {number}")))
    }

    /// The mail up to the single dot, with doubled dots undone; no more than the limit is kept of it.
    async fn text(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut data = Vec::new();
        while let Some(line) = self.line().await? {
            if line == b".\r\n" {
                return Ok(Some(data));
            }
            if data.len() <= self.shared.size_max {
                data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
        Ok(None)
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn scripted(&self, verb: &str) -> Option<String> {
        self.shared.faults().into_iter().find_map(|fault| match fault {
            MailFault::Answer { verb: of, reply } if of == verb => Some(reply),
            MailFault::Answer { .. }
            | MailFault::Silent
            | MailFault::RefuseRecipient(_)
            | MailFault::AnswerMail { .. }
            | MailFault::HangUpAfterMail { .. } => None,
        })
    }

    async fn say_nothing(&mut self) -> io::Result<()> {
        while self.line().await?.is_some() {}
        Ok(())
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        let io = self.io.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let write = async {
            io.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
            io.get_mut().flush().await
        };
        tokio::time::timeout(IDLE_MAX, write).await?
    }

    /// One line with its end; `None` at the end of the connection.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let io = self.io.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut line = Vec::new();
        let mut bounded = io.take(LINE_MAX);
        let read = bounded.read_until(b'\n', &mut line);
        tokio::time::timeout(IDLE_MAX, read).await??;
        match line.last() {
            Some(b'\n') => Ok(Some(line)),
            Some(_) => Err(io::ErrorKind::InvalidData.into()),
            None => Ok(None),
        }
    }

    /// TLS from here on. What came before counts for nothing, and what was sent ahead of the handshake is
    /// dropped with the buffer.
    async fn encrypt(&mut self) -> io::Result<()> {
        let plain = self.io.take().ok_or(io::ErrorKind::NotConnected)?.into_inner();
        let acceptor = self.tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let stream = tokio::time::timeout(IDLE_MAX, acceptor.accept(plain)).await??;
        self.io = Some(BufReader::new(Box::new(stream)));
        self.encrypted = true;
        self.login = None;
        self.reset();
        Ok(())
    }
}

/// The address in `FROM:<address> parameters`, and the parameters.
fn path(rest: &str, key: &str) -> Option<(String, String)> {
    let value = rest.get(key.len()..).filter(|_| rest.to_ascii_uppercase().starts_with(key))?;
    let (address, parameters) = value.trim_start().strip_prefix('<')?.split_once('>')?;
    Some((address.to_owned(), parameters.trim().to_owned()))
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&BASE64.decode(text).unwrap_or_default()).into_owned()
}
