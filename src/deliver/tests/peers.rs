//! How a post over HTTP fares with each behaviour of a peer, for a signed webhook and for Slack: each a case.

use std::sync::atomic::{AtomicUsize, Ordering};

use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::raw::{BUFFERED_MAX, Raw, Spoilt, closed_port, forever, reset, spoil_tls, wait_for_end};
use super::*;
use crate::demo::inbox::hook::{Answer, HookOptions, HookServer};

/// Of a peer that does not end; long enough for a busy machine to get that far.
const HASTY: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum To {
    Webhook,
    Slack,
}

fn open(to: To, url: String, timeout: Duration, extra_roots: Option<Vec<u8>>) -> Channel {
    let url = url.into();
    let settings = match to {
        To::Slack => Settings::Slack(SlackSettings { way: SlackWay::Webhook { url }, timeout }),
        To::Webhook => Settings::Webhook(WebhookSettings {
            url,
            headers: Vec::new(),
            format: WebhookFormat::Standard {
                secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned().into()],
            },
            timeout,
            extra_roots,
            allow_link_local: false,
        }),
    };
    Channel::open(settings).unwrap()
}

async fn attempt(channel: &Channel) -> Outcome {
    let attempt = async { channel.attempt(&broken().letter("")).await };
    tokio::time::timeout(DEADLINE * 2, attempt).await.expect("an attempt ends")
}

/// The whole request; the answer to half of one could be cut off by a reset.
async fn request(stream: &mut TcpStream) {
    let mut got = Vec::new();
    let mut whole = usize::MAX;
    while got.len() < whole {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "the request ended early");
        got.extend_from_slice(&bytes[..read]);
        if let Some(head) = got.windows(4).position(|end| end == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&got[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            whole = head + 4 + length.trim().parse::<usize>().unwrap();
        }
    }
}

fn url(raw: &Raw, scheme: &str) -> String {
    format!("{scheme}://localhost:{}/hooks/{PLANTED}", raw.address.port())
}

#[rstest]
#[case::ok(200, "accepted", "accepted")]
#[case::no_content(204, "accepted", "deferred")]
#[case::moved(301, "misconfigured", "misconfigured")]
#[case::bad_request(400, "refused", "refused")]
#[case::unauthorized(401, "misconfigured", "misconfigured")]
#[case::not_found(404, "refused", "refused")]
#[case::request_timeout(408, "deferred", "deferred")]
#[case::gone(410, "gone", "refused")]
#[case::too_large(413, "refused", "refused")]
#[case::too_early(425, "deferred", "deferred")]
#[case::too_many(429, "deferred", "deferred")]
#[case::server_error(500, "deferred", "deferred")]
#[case::unavailable(503, "deferred", "deferred")]
#[case::gateway_timeout(504, "deferred", "deferred")]
#[tokio::test]
async fn each_status_ends_as_it_should(#[case] status: u16, #[case] webhook: &str, #[case] slack: &str) {
    for (to, class) in [(To::Webhook, webhook), (To::Slack, slack)] {
        let answers = vec![Answer::new(status, if status == 200 { "ok" } else { "" })];
        let server = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
        let channel = open(to, server.url(&format!("/{PLANTED}")), DEADLINE, None);
        let words = if status == 200 { "ok".to_owned() } else { status.to_string() };
        assert_outcome(&attempt(&channel).await, class, &words);
        assert_eq!(server.received().len(), 1, "one attempt, never a retry");
    }
}

#[rstest]
#[case::seconds("30", Duration::from_secs(30))]
#[case::a_date("Mon, 30 Nov 2026 20:32:07 GMT", Duration::from_millis(59_715))]
#[case::a_date_that_is_past("Mon, 30 Nov 2026 20:00:00 GMT", Duration::ZERO)]
#[tokio::test]
async fn a_busy_peer_says_when_to_come_back(
    #[case] header: &str,
    #[case] wait: Duration,
    #[values(To::Webhook, To::Slack)] to: To,
    #[values(429, 503)] status: u16,
) {
    let answers = vec![Answer::new(status, "").with_header("Retry-After", header)];
    let server = HookServer::start(HookOptions { answers, tls: None }).await.unwrap();
    let outcome = attempt(&open(to, server.url("/"), DEADLINE, None)).await;
    assert!(matches!(outcome, Outcome::Deferred { retry_after: Some(d), .. } if d == wait), "{outcome:?}");
}

/// What a bare peer does once it has the request.
#[derive(Clone, Copy, Debug)]
enum Act {
    Silent,
    HangUp,
    Reset,
    ResetAfter(&'static str),
    SilentAfter(&'static str),
    TrickleAfter(&'static str),
    Forever(&'static str, &'static str),
}

async fn act(mut stream: TcpStream, act: Act, sent: Arc<AtomicUsize>) {
    request(&mut stream).await;
    match act {
        Act::Silent => wait_for_end(&mut stream).await,
        Act::HangUp => {}
        Act::Reset => reset(&stream),
        Act::ResetAfter(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            // So that the peer reads it before the reset throws it away.
            tokio::time::sleep(HASTY / 4).await;
            reset(&stream);
        }
        Act::SilentAfter(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            wait_for_end(&mut stream).await;
        }
        Act::TrickleAfter(text) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(HASTY / 20).await;
            }
        }
        Act::Forever(text, then) => {
            stream.write_all(text.as_bytes()).await.unwrap();
            sent.store(forever(&mut stream, then).await, Ordering::SeqCst);
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n";
const OK_OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\nbusy";
const GONE: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 100\r\n\r\nno_service";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[rstest]
#[case::black_hole(Act::Silent, "deferred", "deferred", "no answer within 1s")]
#[case::hung_up(Act::HangUp, "deferred", "deferred", "")]
#[case::reset_before_the_answer(Act::Reset, "deferred", "deferred", "")]
#[case::reset_in_the_head(Act::ResetAfter("HTTP/1.1 200 OK\r\ncontent-le"), "deferred", "deferred", "")]
#[case::reset_in_the_body(Act::ResetAfter(OK_OK), "accepted", "accepted", "ok")]
#[case::reset_in_the_body_of_a_refusal(Act::ResetAfter(GONE), "refused", "refused", "no_service")]
#[case::silent_in_the_head(Act::SilentAfter("HTTP/1.1 200 OK\r\n"), "deferred", "deferred", "no answer")]
#[case::silent_body(Act::SilentAfter(OK), "accepted", "deferred", "200 OK")]
#[case::silent_body_of_a_busy_peer(Act::SilentAfter(BUSY), "deferred", "deferred", "503")]
#[case::slow_body(Act::TrickleAfter(OK_OK), "accepted", "accepted", "ok")]
#[case::slow_body_of_a_refusal(Act::TrickleAfter(GONE), "refused", "refused", "404 Not Found: no_service")]
#[case::slow_head(Act::TrickleAfter("HTTP/1.1 200 OK\r\nx-slow: "), "deferred", "deferred", "no answer")]
#[case::endless_body(Act::Forever(OK, "x"), "accepted", "deferred", "200 OK: xxx")]
#[case::endless_chunks(Act::Forever(CHUNKED, "2\r\nxx\r\n"), "accepted", "deferred", "200 OK: xxx")]
#[case::endless_header(Act::Forever("HTTP/1.1 200 OK\r\nx: ", "x"), "deferred", "deferred", "")]
#[case::endless_headers(Act::Forever("HTTP/1.1 200 OK\r\n", "x: y\r\n"), "deferred", "deferred", "")]
#[case::endless_interim_answers(
    Act::Forever("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"),
    "deferred",
    "deferred",
    ""
)]
#[case::not_http(Act::ResetAfter("220 mail.example ESMTP\r\n"), "deferred", "deferred", "")]
#[tokio::test]
async fn each_misbehaviour_ends_in_time_and_the_status_decides(
    #[case] how: Act,
    #[case] webhook: &str,
    #[case] slack: &str,
    #[case] words: &str,
) {
    for (to, class) in [(To::Webhook, webhook), (To::Slack, slack)] {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&sent);
        let server = Raw::start(move |stream| act(stream, how, Arc::clone(&counted))).await;
        let channel = open(to, url(&server, "http"), HASTY, None);
        let outcome = attempt(&channel).await;
        assert_outcome(&outcome, class, words);
        let asked = matches!(&outcome, Outcome::Deferred { retry_after: Some(d), .. } if d.as_secs() == 7);
        assert_eq!(asked, matches!(how, Act::SilentAfter(BUSY)), "{outcome:?}");
        assert_eq!(server.connections(), 1, "one attempt, never a retry");
        server.wait_for_one().await;
        // Interim answers are read and forgotten until the time is over; everything else has a limit.
        let limited = !said(&outcome).1.contains("no answer within");
        assert!(!limited || sent.load(Ordering::SeqCst) < BUFFERED_MAX, "{sent:?} bytes were taken");
    }
}

#[rstest]
#[tokio::test]
async fn a_refused_connection_and_an_unknown_host_are_reasons_to_try_later(
    #[values(To::Webhook, To::Slack)] to: To,
    #[values("http", "https")] scheme: &str,
) {
    let refused = format!("{scheme}://localhost:{}/{PLANTED}", closed_port().await);
    assert_outcome(&attempt(&open(to, refused, DEADLINE, None)).await, "deferred", "onnect");
    let unknown = format!("{scheme}://hooks.invalid/{PLANTED}");
    assert_outcome(&attempt(&open(to, unknown, HASTY * 4, None)).await, "deferred", "");
}

#[rstest]
#[case::garbage(Spoilt::Garbage, "deferred", "what came was not TLS")]
#[case::end(Spoilt::End, "deferred", "tls handshake eof")]
#[case::reset(Spoilt::Reset, "deferred", "reset")]
#[case::internal_error(Spoilt::Alert(80), "deferred", "InternalError")]
#[case::handshake_failure(Spoilt::Alert(40), "misconfigured", "HandshakeFailure")]
#[case::protocol_version(Spoilt::Alert(70), "misconfigured", "ProtocolVersion")]
#[tokio::test]
async fn a_spoilt_handshake_is_tried_again_unless_the_peers_do_not_fit(
    #[case] how: Spoilt,
    #[case] class: &str,
    #[case] words: &str,
    #[values(To::Webhook, To::Slack)] to: To,
) {
    let server = Raw::start(move |mut stream| async move { spoil_tls(&mut stream, how).await }).await;
    assert_outcome(&attempt(&open(to, url(&server, "https"), DEADLINE, None)).await, class, words);
}

#[rstest]
#[case::unknown_authority(0)]
#[case::expired(2)]
#[case::not_valid_yet(3)]
#[case::wrong_host(4)]
#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_for_a_person_to_change(#[case] which: usize) {
    let authority = Authority::new();
    let (identity, root, words) = bad_identities(&authority).swap_remove(which);
    let options = HookOptions { tls: Some(identity), ..HookOptions::default() };
    let server = HookServer::start(options).await.unwrap();
    let channel = open(To::Webhook, server.url("/"), DEADLINE, Some(root));
    assert_outcome(&attempt(&channel).await, "misconfigured", words);
    // Slack has no further roots: to it every one of these is unknown.
    let channel = open(To::Slack, server.url("/"), DEADLINE, None);
    assert_outcome(&attempt(&channel).await, "misconfigured", "TLS failed: the peer's certificate");
    assert!(server.received().is_empty());
}
