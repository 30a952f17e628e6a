//! An HTTP receiver that keeps every request and answers by a script.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::demo::inbox::{IDLE_MAX, Identity, InboxError, Kept};

/// The largest body that is kept.
const BODY_MAX: usize = 1 << 20;

/// How the receiver behaves.
#[derive(Clone, Debug, Default)]
pub struct HookOptions {
    /// The answers in turn; the last one repeats. Without any: `200` and `ok`.
    pub answers: Vec<Answer>,
    /// With it the receiver speaks HTTPS.
    pub tls: Option<Identity>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// How long the answer takes.
    pub delay: Duration,
    /// The connection ends before any answer.
    pub hang_up: bool,
}

impl Answer {
    /// `status` with `body`, at once.
    #[must_use]
    pub fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned(), delay: Duration::ZERO, hang_up: false }
    }

    /// With this header as well.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// One received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// A receiver on a free port of 127.0.0.1. Dropping it ends it.
#[derive(Debug)]
pub struct HookServer {
    address: SocketAddr,
    secure: bool,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    kept: Kept<Hook>,
    answers: Mutex<Vec<Answer>>,
    answered: AtomicUsize,
}

impl Shared {
    fn next_answer(&self) -> Answer {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let n = self.answered.fetch_add(1, Ordering::SeqCst);
        answers.get(n).or_else(|| answers.last()).cloned().unwrap_or_else(|| Answer::new(200, "ok"))
    }
}

impl HookServer {
    /// Starts a receiver.
    ///
    /// # Errors
    /// When there is no port, or the certificate does not work.
    pub async fn start(options: HookOptions) -> Result<Self, InboxError> {
        let tls = options.tls.as_ref().map(Identity::server_config).transpose()?.map(TlsAcceptor::from);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(InboxError::Listen)?;
        let address = listener.local_addr().map_err(InboxError::Listen)?;
        let (answers, answered) = (Mutex::new(options.answers), AtomicUsize::new(0));
        let shared = Arc::new(Shared { kept: Kept::new(), answers, answered });
        let secure = tls.is_some();
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(HookListener { listener, tls }, Arc::clone(&shared)));
        Ok(Self { address, secure, shared, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `path` on it, by the name `localhost`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://localhost:{}{path}", self.address.port())
    }

    /// The requests so far, oldest first.
    #[must_use]
    pub fn received(&self) -> Vec<Hook> {
        self.shared.kept.all()
    }

    /// The requests so far, once there are `n` of them, or after `deadline`.
    pub async fn wait_for(&self, n: usize, deadline: Duration) -> Vec<Hook> {
        self.shared.kept.wait_for(n, deadline).await
    }

    /// From now on it answers thus, from the first answer on.
    pub fn set_answers(&self, answers: Vec<Answer>) {
        let mut current = self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *current = answers;
        self.shared.answered.store(0, Ordering::SeqCst);
    }
}

async fn serve(listener: HookListener, shared: Arc<Shared>) {
    let app = Router::new().fallback(answer).with_state(shared).into_make_service_with_connect_info::<Cut>();
    // It never returns an error, and ends when its task is dropped.
    drop(axum::serve(listener, app).await);
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, BODY_MAX).await.unwrap_or_default();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let kept = shared.kept.push(Hook {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    let script = if kept { shared.next_answer() } else { Answer::new(507, "the inbox is full") };
    tokio::time::sleep(script.delay).await;
    if script.hang_up {
        cut.0.store(true, Ordering::SeqCst);
    }
    response(script)
}

fn response(script: Answer) -> Response {
    let mut response = Response::new(Body::from(script.body));
    *response.status_mut() = StatusCode::from_u16(script.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in script.headers {
        // A header that HTTP does not allow cannot be sent: a mistake in the script.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse::<HeaderValue>()) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

struct HookListener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Listener for HookListener {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        loop {
            let (stream, from) = Listener::accept(&mut self.listener).await;
            let Some(tls) = &self.tls else { return (Line::new(Box::new(stream)), from) };
            // A client that does not trust the certificate goes away; the next one is served.
            if let Ok(Ok(stream)) = tokio::time::timeout(IDLE_MAX, tls.accept(stream)).await {
                return (Line::new(Box::new(stream)), from);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Cuts the connection on which a request came.
#[derive(Clone)]
struct Cut(Arc<AtomicBool>);

impl Connected<IncomingStream<'_, HookListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, HookListener>) -> Self {
        Self(Arc::clone(&stream.io().cut))
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection that can be cut by the handler of a request.
struct Line {
    stream: Box<dyn Duplex>,
    cut: Arc<AtomicBool>,
}

impl Line {
    fn new(stream: Box<dyn Duplex>) -> Self {
        Self { stream, cut: Arc::default() }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
