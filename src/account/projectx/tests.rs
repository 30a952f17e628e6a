//! The interface against a real HTTP server on loopback that answers as firms do.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode as Code;
use axum::response::IntoResponse;

use super::*;
use crate::market::symbol::ContractMonth;
use crate::market::tick::InstrumentId;
use crate::time::Timestamp;

const SECRET: &str = "the-api-key";
const LOGIN: &str = r#"{"success":true,"errorCode":0,"errorMessage":null,"token":"jwt-1"}"#;
const RENEWED: &str = r#"{"success":true,"errorCode":0,"newToken":"jwt-2"}"#;
const FOUND: &str = r#"{"success":true,"contracts":[{"id":"CON.F.US.RTY.Z26","name":"RTYZ6","tickSize":0.1,"activeContract":true},{"id":"CON.F.US.M2K.Z26","name":"M2KZ6"}]}"#;

/// What a firm answers, by the end of the path; the first that fits. Every request is written down.
type Script = Vec<(&'static str, u16, &'static str)>;
type Asked = Arc<Mutex<Vec<String>>>;

async fn firm(script: Script) -> (Projectx, Asked) {
    let asked: Asked = Arc::default();
    let script = Arc::new(Mutex::new(script));
    let log = Arc::clone(&asked);
    let answer = move |request: Request| {
        let (script, log) = (Arc::clone(&script), Arc::clone(&log));
        async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let body = String::from_utf8_lossy(&body).into_owned();
            let token = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
            log.lock().unwrap().push(format!("{} {token} {body}", parts.uri.path()));
            let mut script = script.lock().unwrap();
            let Some(at) = script.iter().position(|(path, ..)| parts.uri.path().ends_with(path)) else {
                return (Code::NOT_FOUND, String::new()).into_response();
            };
            // The last answer of a path repeats.
            let (path, status, text) = script[at];
            if script.iter().filter(|(other, ..)| *other == path).count() > 1 {
                script.remove(at);
            }
            let status = Code::from_u16(status).unwrap();
            ([("retry-after", "7")], (status, text.to_owned())).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let api = format!("http://{}/", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the server of a test")]
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    (Projectx::new(Setup { api, user: "trader".into() }, SECRET.into()), asked)
}

fn wire(symbol: &str, year: i16, month: u8) -> Wire {
    let contract = Some(ContractMonth { year, month });
    Wire { instrument: InstrumentId(0), contract, symbol: symbol.into() }
}

fn at(hours: u64) -> At {
    At { wall: Timestamp::from_nanos(0), monotonic: Duration::from_secs(hours * 3_600) }
}

fn http() -> Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().no_proxy().build().unwrap()
}

async fn ready(
    account: &mut Projectx,
    wires: Vec<Wire>,
    hours: u64,
) -> Result<(String, Vec<String>), AccountError> {
    let ready = account.ready(&http(), wires, at(hours)).await?;
    let [(name, token)] = &ready.secrets[..] else { panic!("{}", ready.secrets.len()) };
    assert_eq!(name, TOKEN);
    Ok((token.expose_secret().to_owned(), ready.wires.into_iter().map(|wire| wire.symbol).collect()))
}

fn paths(asked: &Asked) -> Vec<String> {
    let asked = asked.lock().unwrap();
    asked.iter().map(|line| line.split(' ').next().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_login_brings_a_token_and_a_search_the_firms_own_name() {
    let (mut account, asked) = firm(vec![("loginKey", 200, LOGIN), ("search", 200, FOUND)]).await;
    let (token, symbols) = ready(&mut account, vec![wire("RTYZ6", 2026, 12)], 0).await.unwrap();
    assert_eq!((token.as_str(), &symbols[..]), ("jwt-1", &["CON.F.US.RTY.Z26".to_owned()][..]));
    let said = asked.lock().unwrap().clone();
    assert_eq!(said[0], r#"/api/Auth/loginKey  {"apiKey":"the-api-key","userName":"trader"}"#);
    assert_eq!(said[1], r#"/api/Contract/search Bearer jwt-1 {"live":false,"searchText":"RTY"}"#);
}

#[tokio::test]
async fn a_token_is_confirmed_before_each_connection_and_renewed_without_a_login() {
    let (mut account, asked) =
        firm(vec![("loginKey", 200, LOGIN), ("validate", 200, RENEWED), ("search", 200, FOUND)]).await;
    let wires = || vec![wire("RTYZ6", 2026, 12)];
    ready(&mut account, wires(), 0).await.unwrap();
    assert_eq!(ready(&mut account, wires(), 20).await.unwrap().0, "jwt-2");
    assert_eq!(ready(&mut account, wires(), 40).await.unwrap().0, "jwt-2", "its life began anew at 20 h");
    assert_eq!(ready(&mut account, wires(), 70).await.unwrap().0, "jwt-1");
    assert_eq!(paths(&asked), ["loginKey", "search", "validate", "validate", "loginKey"]);
}

#[tokio::test]
async fn a_token_that_has_expired_early_leads_to_a_login_and_one_that_nobody_can_confirm_is_kept() {
    let expired = r#"{"success":false,"errorCode":3}"#;
    let script = vec![
        ("loginKey", 200, LOGIN),
        ("validate", 200, expired),
        ("validate", 401, ""),
        ("validate", 500, ""),
        ("search", 200, FOUND),
    ];
    let (mut account, asked) = firm(script).await;
    for hours in 0..4 {
        ready(&mut account, vec![wire("RTYZ6", 2026, 12)], hours).await.unwrap();
    }
    let logins = ["loginKey", "search", "validate", "loginKey", "validate", "loginKey", "validate"];
    assert_eq!(paths(&asked), logins);
}

#[tokio::test]
async fn a_refused_key_is_a_refusal_although_the_answer_is_200() {
    let refused = r#"{"success":false,"errorCode":3,"errorMessage":"the-api-key is wrong","token":null}"#;
    let (mut account, asked) = firm(vec![("loginKey", 200, refused)]).await;
    let error = ready(&mut account, vec![], 0).await.unwrap_err();
    let AccountError::Refused(said) = &error else { panic!("{error:?}") };
    let expected =
        r#"the login as "trader" failed with code 3 (wrong user or key): it said "(secret) is wrong""#;
    assert_eq!(said, expected);
    assert!(!format!("{error:?} {account:?}").contains(SECRET));
    assert_eq!(paths(&asked), ["loginKey"], "asked once");
}

#[tokio::test]
async fn what_is_busy_or_broken_is_told_apart_from_a_refusal() {
    let login = |status, text| async move {
        let (mut account, _) = firm(vec![("loginKey", status, text)]).await;
        ready(&mut account, vec![], 0).await.unwrap_err()
    };
    let busy = login(429, "").await;
    assert!(
        matches!(busy, AccountError::Busy { retry_after: Some(wait), .. } if wait.as_secs() == 7),
        "{busy:?}"
    );
    for (status, text) in [
        (500, ""),
        (302, ""),
        (200, "<html>"),
        (200, "{\"success\":true}"),
        (200, "{\"success\":false,\"errorCode\":8}"),
    ] {
        let error = login(status, text).await;
        assert!(matches!(error, AccountError::Unreachable(_)), "{status} {text}: {error:?}");
    }
    for status in [401, 403] {
        let error = login(status, "").await;
        assert!(matches!(error, AccountError::Refused(_)), "{status}: {error:?}");
    }
    let mut nowhere =
        Projectx::new(Setup { api: "http://127.0.0.1:1".into(), user: "t".into() }, SECRET.into());
    let error = ready(&mut nowhere, vec![], 0).await.unwrap_err();
    assert!(matches!(error, AccountError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let long: &'static str = Box::leak("x".repeat(3 << 20).into_boxed_str());
    let (mut account, _) = firm(vec![("loginKey", 200, long)]).await;
    let error = ready(&mut account, vec![], 0).await.unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
}

#[tokio::test]
async fn when_the_search_says_nothing_the_calendars_spelling_does() {
    let nothing = r#"{"success":true,"contracts":[]}"#;
    let (mut account, _) = firm(vec![("loginKey", 200, LOGIN), ("search", 200, nothing)]).await;
    let (_, symbols) = ready(&mut account, vec![wire("ESZ6", 2026, 12)], 0).await.unwrap();
    assert_eq!(symbols, ["CON.F.US.EP.Z26"]);
}

#[tokio::test]
async fn a_contract_that_does_not_exist_is_named_and_a_next_month_may_be_missing() {
    let missing = r#"{"success":false,"errorCode":1,"contract":null}"#;
    let script = || vec![("loginKey", 200, LOGIN), ("search", 200, FOUND), ("searchById", 200, missing)];
    let (mut account, _) = firm(script()).await;
    let error = ready(&mut account, vec![wire("RTYH7", 2027, 3)], 0).await.unwrap_err();
    assert_eq!(error.to_string(), "the firm has no contract RTYH7; it lists CON.F.US.RTY.Z26");
    let wires = vec![wire("RTYZ6", 2026, 12), wire("RTYH7", 2027, 3)];
    assert_eq!(ready(&mut account, wires, 0).await.unwrap().1, ["CON.F.US.RTY.Z26"]);
    let by_id = r#"{"success":true,"contract":{"id":"CON.F.US.RTY.H27"}}"#;
    let (mut account, _) =
        firm(vec![("loginKey", 200, LOGIN), ("search", 200, FOUND), ("searchById", 200, by_id)]).await;
    let (_, symbols) = ready(&mut account, vec![wire("RTYH7", 2027, 3)], 0).await.unwrap();
    assert_eq!(symbols, ["CON.F.US.RTY.H27"]);
}
