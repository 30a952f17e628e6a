//! The bytes below SMTP: address, connection, STARTTLS and TLS, and a bound on what a peer may say at once.
//!
//! lettre reads a reply until its line ends, however long that takes, and keeps what a peer sent ahead of a TLS
//! handshake. Both are a peer's to choose, so neither is left to it here: answers are bounded, and what comes
//! between STARTTLS and the handshake is taken for a part of the handshake, which then fails.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::commands::{Ehlo, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, ServerInfo};
use lettre::transport::smtp::response::Response;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;
use crate::deliver::SmtpTls;

/// The longest answer to one command, in bytes.
const ANSWER_MAX: usize = 64 * 1024;
/// And in lines: with each of them lettre reads the answer again from its beginning.
const LINES_MAX: usize = 200;
/// The longest answer before TLS, in bytes.
const PREAMBLE_MAX: usize = 8 * 1024;
/// After STARTTLS a server says nothing until it is spoken to, while lettre waits for its greeting: the one that
/// was read before stands in for it.
const GREETING: &[u8] = b"220 encrypted\r\n";

/// How a server's TLS is spoken.
pub(super) struct Trust {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

/// A connection to a mail server.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    peer: SocketAddr,
    /// Read before anything that comes from the peer.
    ahead: &'static [u8],
    /// Bytes read since the last write.
    heard: usize,
    /// And lines.
    lines: usize,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Connects, and protects the connection as far as asked. Each address of the host gets its part of `share`.
    pub(super) async fn open(
        address: (&str, u16),
        protection: SmtpTls,
        trust: Option<&Trust>,
        hello: &ClientId,
        share: Duration,
    ) -> Result<Self, Failure> {
        let mut tcp = connected(address, share).await?;
        let peer = tcp.peer_addr().map_err(network)?;
        let wire = |stream, ahead| Self { stream, peer, ahead, heard: 0, lines: 0 };
        let Some(trust) = trust else { return Ok(wire(Stream::Plain(tcp), &[])) };
        let ahead = match protection {
            SmtpTls::StartTls => {
                ask_for_tls(&mut tcp, hello).await?;
                GREETING
            }
            SmtpTls::Implicit | SmtpTls::Plain => &[],
        };
        let tls = trust.connector.connect(trust.name.clone(), tcp).await;
        Ok(wire(Stream::Tls(Box::new(tls.map_err(|error| Failure::of(&error))?)), ahead))
    }
}

async fn connected((host, port): (&str, u16), share: Duration) -> Result<TcpStream, Failure> {
    let found =
        lookup_host((host, port)).await.map_err(|e| Failure::Network(format!("no address of the host: {e}")));
    let addresses: Vec<SocketAddr> = found?.collect();
    let each = share.checked_div(u32::try_from(addresses.len()).unwrap_or(1)).unwrap_or(share);
    let mut last = Failure::Network("the host has no address".to_owned());
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = network(error),
            Err(_) => last = Failure::Silent(each),
        }
    }
    Err(last)
}

/// From the greeting to the server's word that it speaks TLS now.
async fn ask_for_tls(tcp: &mut TcpStream, hello: &ClientId) -> Result<(), Failure> {
    reply(tcp).await?;
    tcp.write_all(Ehlo::new(hello.clone()).to_string().as_bytes()).await.map_err(network)?;
    let able = ServerInfo::from_response(&reply(tcp).await?).map_err(|e| Failure::of(&e))?;
    if !able.supports_feature(Extension::StartTls) {
        let text = "the server does not offer STARTTLS, and plain text is not allowed";
        return Err(Failure::Setup(text.to_owned()));
    }
    tcp.write_all(Starttls.to_string().as_bytes()).await.map_err(network)?;
    reply(tcp).await.map(drop)
}

/// One reply, and not a byte behind it: what follows belongs to TLS.
async fn reply(tcp: &mut TcpStream) -> Result<Response, Failure> {
    let mut text = Vec::new();
    while text.len() < PREAMBLE_MAX {
        let byte = tcp.read_u8().await.map_err(network)?;
        text.push(byte);
        if byte == b'\n' && is_last_line(&text) {
            return parsed(&String::from_utf8_lossy(&text));
        }
    }
    Err(Failure::Network(format!("an answer of more than {PREAMBLE_MAX} bytes")))
}

/// Every line of a reply but its last one has a hyphen behind the code.
fn is_last_line(text: &[u8]) -> bool {
    let line = text.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    line.get(3) != Some(&b'-')
}

fn parsed(text: &str) -> Result<Response, Failure> {
    let response: Response =
        text.parse().map_err(|_| Failure::Network("the answer is not SMTP".to_owned()))?;
    if response.is_positive() {
        return Ok(response);
    }
    let words: Vec<&str> = response.message().collect();
    Err(Failure::Reply { code: response.code().into(), text: words.join(" ") })
}

fn network(error: io::Error) -> Failure {
    Failure::of(&error)
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (now, later) = self.ahead.split_at(self.ahead.len().min(buf.remaining()));
        if !now.is_empty() {
            buf.put_slice(now);
            self.ahead = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        };
        let new = buf.filled().get(before..).unwrap_or_default();
        self.heard = self.heard.saturating_add(new.len());
        self.lines = self.lines.saturating_add(new.iter().filter(|&&byte| byte == b'\n').count());
        if self.heard > ANSWER_MAX || self.lines > LINES_MAX {
            let text = format!("an answer of more than {LINES_MAX} lines or {ANSWER_MAX} bytes");
            return Poll::Ready(Err(io::Error::other(text)));
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        (self.heard, self.lines) = (0, 0);
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
