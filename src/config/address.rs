//! Which addresses a feed or a channel may have: encrypted, or so near that nobody listens.

use std::net::IpAddr;

use reqwest::Url;

use super::problem::Refusal;

/// Checks a feed's address: `wss://`, or `ws://` to loopback.
pub(super) fn check_feed(text: &str) -> Result<(), Refusal> {
    const RIGHT: &str = "a feed's address is wss://…, or ws://… to loopback";
    let url = parse(text, RIGHT)?;
    match url.scheme() {
        "wss" => Ok(()),
        "ws" if is_near(&url, is_loopback) => Ok(()),
        "ws" => Err(format!("ws:// to {} would not be encrypted; {RIGHT}", host(&url)).into()),
        scheme => Err(format!("{scheme}:// is not allowed; {RIGHT}").into()),
    }
}

/// Checks a channel's address: `https://`, or `http://` to loopback or a private network.
pub(super) fn check_channel(text: &str) -> Result<(), Refusal> {
    const RIGHT: &str = "a channel's address is https://…, or http://… to loopback or a private network";
    let url = parse(text, RIGHT)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_near(&url, |ip| is_loopback(ip) || is_private(ip)) => Ok(()),
        "http" => Err(format!("http:// to {} would not be encrypted; {RIGHT}", host(&url)).into()),
        scheme => Err(format!("{scheme}:// is not allowed; {RIGHT}").into()),
    }
}

/// Checks the address of a feed's REST interface: `https://`, or `http://` to loopback.
pub(super) fn check_api(text: &str) -> Result<(), Refusal> {
    const RIGHT: &str = "an interface's address is https://…, or http://… to loopback";
    let url = parse(text, RIGHT)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_near(&url, is_loopback) => Ok(()),
        "http" => Err(format!("http:// to {} would not be encrypted; {RIGHT}", host(&url)).into()),
        scheme => Err(format!("{scheme}:// is not allowed; {RIGHT}").into()),
    }
}

/// Whether a host name or address is this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(is_loopback)
}

/// The address may hold a secret, so messages never show more of it than scheme and host.
fn parse(text: &str, right: &str) -> Result<Url, Refusal> {
    if text.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!("contains control characters or spaces; {right}").into());
    }
    let url = Url::parse(text).map_err(|e| Refusal::from(format!("is not an address ({e}); {right}")))?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("names no host; {right}").into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "carries a user or password before the host, in plain text; use a header or a secret".into()
        );
    }
    Ok(url)
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn is_near(url: &Url, near: impl Fn(IpAddr) -> bool) -> bool {
    let host = host(url);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    is_loopback_host(host) || bare.parse().is_ok_and(near)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_near() {
        for good in ["wss://example.com/futures", "ws://127.0.0.1:9000", "ws://[::1]/", "ws://LOCALHOST:1/x"]
        {
            check_feed(good).unwrap();
        }
        for bad in
            ["ws://example.com", "ws://10.0.0.1", "https://example.com", "wss://", "wss://u:p@h/", "x", ""]
        {
            check_feed(bad).unwrap_err();
        }
        for good in ["https://example.com/x", "http://127.0.0.1:8/", "http://10.1.2.3/", "http://[fd00::1]/"]
        {
            check_channel(good).unwrap();
        }
        for bad in [
            "http://example.com",
            "http://8.8.8.8/",
            "ftp://example.com",
            "https://h/a b",
            "http://localhost.example.com/",
        ] {
            check_channel(bad).unwrap_err();
        }
    }

    #[test]
    fn a_key_is_sent_to_this_machine_or_encrypted() {
        for good in ["https://api.example.com", "http://127.0.0.1:8/", "http://localhost:8"] {
            check_api(good).unwrap();
        }
        for bad in ["http://10.1.2.3/", "http://example.com", "wss://example.com", "https://u:p@example.com"]
        {
            check_api(bad).unwrap_err();
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_what_may_be_secret() {
        let refusal = check_channel("http://hooks.example.com/services/T0/B0/s3cret").unwrap_err();
        assert!(!refusal.text.contains("s3cret"), "{}", refusal.text);
    }
}
