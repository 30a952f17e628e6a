//! A WebSocket server that plays a script to whoever subscribes, from its beginning on every connection.
//!
//! Unlike the demo's venue it keeps no clock and may send anything. It speaks the same words.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

/// One trade on the wire, as its own message. The price is written as it stands.
pub(crate) fn print(price: &str, at_ms: i64, sequence: i64) -> String {
    format!(r#"[{{"ev":"T","sym":"RTYZ4","p":{price},"s":3,"t":{at_ms},"q":{sequence}}}]"#)
}

/// The running server; it ends when it is dropped.
pub(crate) struct Tape {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

/// What is played: the first connection gets the first script, and so on; the last one repeats.
struct Scripts {
    each: Vec<Vec<String>>,
    pace: Duration,
}

impl Tape {
    /// Plays `scripts` with a pause of `pace` after every message.
    pub(crate) async fn start(scripts: Vec<Vec<String>>, pace: Duration) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let scripts = Arc::new(Scripts { each: scripts, pace });
        tasks.spawn(accept(listener, scripts, Arc::clone(&connections)));
        Self { addr, connections, _tasks: tasks }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/futures", self.addr)
    }

    /// How many have connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, scripts: Arc<Scripts>, connections: Arc<AtomicUsize>) {
    let mut serving = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let nth = connections.fetch_add(1, Ordering::SeqCst).min(scripts.each.len() - 1);
        serving.spawn(serve(stream, Arc::clone(&scripts), nth));
    }
}

async fn serve(stream: TcpStream, scripts: Arc<Scripts>, nth: usize) {
    let large = WebSocketConfig::default().max_write_buffer_size(usize::MAX);
    let Ok(mut socket) = accept_async_with_config(stream, Some(large)).await else { return };
    play(&mut socket, &scripts.each[nth], scripts.pace).await;
}

/// `None` when the client leaves in the middle: it is served no further.
async fn play(socket: &mut WebSocketStream<TcpStream>, script: &[String], pace: Duration) -> Option<()> {
    for status in ["connected", "auth_success"] {
        socket.send(Message::text(format!(r#"[{{"ev":"status","status":"{status}"}}]"#))).await.ok()?;
    }
    while !socket.next().await?.ok()?.into_text().ok()?.contains("subscribe") {}
    for message in script {
        socket.send(Message::text(message.as_str())).await.ok()?;
        tokio::time::sleep(pace).await;
    }
    while socket.next().await?.is_ok() {}
    Some(())
}
