//! Peers made of bare connections, for what no real server does on purpose.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::*;

/// A server on loopback that does with each connection what it was told.
pub(super) struct Raw {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ended: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Raw {
    pub(super) async fn start<F, W>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let (ending, ended) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut sessions = JoinSet::new();
            loop {
                tokio::select! {
                    Some(ended) = sessions.join_next() => {
                        ended.unwrap();
                        ending.send_modify(|count| *count += 1);
                    }
                    accepted = listener.accept() => {
                        counted.fetch_add(1, Ordering::SeqCst);
                        sessions.spawn(serve(accepted.unwrap().0));
                    }
                }
            }
        });
        Self { address, connections, ended, _tasks: tasks }
    }

    /// Waits until a connection is over.
    pub(super) async fn wait_for_one(&self) {
        let mut ended = self.ended.clone();
        let one = ended.wait_for(|&count| count > 0);
        tokio::time::timeout(DEADLINE, one).await.expect("the peer goes away").unwrap();
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A port on which nobody listens.
pub(super) async fn closed_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port()
}

/// Ends the connection so that the peer gets a reset instead of an end.
pub(super) fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// Waits until the peer is gone.
pub(super) async fn wait_for_end(stream: &mut TcpStream) {
    let mut bytes = [0; 1_024];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// So much fits into the buffers of two sockets, with room to spare. What a peer took beyond that, it has read.
pub(super) const BUFFERED_MAX: usize = 64 << 20;

/// Sends `text` again and again until the peer is gone; says how many bytes it got rid of.
pub(super) async fn forever(stream: &mut TcpStream, text: &str) -> usize {
    let block = text.repeat(8_192_usize.div_ceil(text.len()));
    let mut sent = 0;
    while stream.write_all(block.as_bytes()).await.is_ok() {
        sent += block.len();
    }
    sent
}

/// How a peer spoils a TLS handshake, and what an attempt makes of it.
pub(super) async fn spoil_tls(stream: &mut TcpStream, how: Spoilt) {
    let mut hello = [0; 16];
    stream.read_exact(&mut hello).await.unwrap();
    match how {
        Spoilt::Garbage => stream.write_all(b"\x00\x01garbage where a ServerHello should be").await.unwrap(),
        Spoilt::End => stream.shutdown().await.unwrap(),
        Spoilt::Reset => return reset(stream),
        Spoilt::Alert(code) => stream.write_all(&[21, 3, 3, 0, 2, 2, code]).await.unwrap(),
    }
    wait_for_end(stream).await;
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Spoilt {
    Garbage,
    End,
    Reset,
    Alert(u8),
}
