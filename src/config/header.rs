//! `headers` and `secrets` of a webhook: what is sent beside its body. Nothing is read here.

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::header::{HeaderName, HeaderValue};
use toml::Value;

use super::problem::{ProblemKind, Refusal, hint, quoted};
use super::secret::{SecretSource, secret};
use super::section::{Section, table};
use super::spec::{is_secret_header, names, parse_template};
use super::value;
use crate::feed::json::spec::{Part, Template};

/// At most so many headers.
const HEADERS_MAX: usize = 50;
/// What the request itself says.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// So the signature's headers begin.
const SIGNATURE: &str = "webhook-";

/// What is sent beside the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadersConfig {
    /// Names, and values with `${name}` in them.
    pub headers: Vec<(String, Template)>,
    /// What `${name}` stands for.
    pub secrets: BTreeMap<String, SecretSource>,
}

/// The headers. What is wrong with them has been told.
pub(super) fn headers(channel: &Section<'_>, dir: &Path) -> HeadersConfig {
    let mut secrets = BTreeMap::new();
    for (name, source) in channel.read("secrets", table).into_iter().flatten() {
        if let Some(source) = secret(channel, &format!("secrets.{name}"), source, dir) {
            secrets.insert(name.clone(), source);
        }
    }
    let mut headers = Vec::new();
    let given = channel.read("headers", table).into_iter().flatten();
    for (n, (name, text)) in given.enumerate() {
        if n == HEADERS_MAX {
            channel.refuse("headers", format!("are more than {HEADERS_MAX}"));
            break;
        }
        match header(name, text, &secrets) {
            Ok(template) => headers.push((name.clone(), template)),
            Err(refusal) => channel.refuse_at(&format!("headers.{name}"), refusal),
        }
    }
    HeadersConfig { headers, secrets }
}

fn header(name: &str, text: &Value, secrets: &BTreeMap<String, SecretSource>) -> Result<Template, Refusal> {
    let small = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Err(format!("{} is not a name of an HTTP header", quoted(name)).into());
    }
    if RESERVED.contains(&small.as_str()) || small.starts_with(SIGNATURE) {
        return Err("is set by breakwatch itself".into());
    }
    let template = parse_template(value::text(text)?)?;
    if let Some(unknown) = names(&template).find(|name| !secrets.contains_key(*name)) {
        let hint = hint(unknown, secrets.keys().map(String::as_str));
        return Err(format!("${{{unknown}}} is none of secrets{hint}").into());
    }
    for part in &template.parts {
        match part {
            Part::Text(text) => check_header_value(text)?,
            Part::Name(_) => {}
        }
    }
    if is_secret_header(name) && names(&template).next().is_none() {
        let text = "is a secret in plain text; name it in secrets and write ${name}";
        return Err(Refusal { kind: ProblemKind::Secret, text: text.into() });
    }
    Ok(template)
}

/// What can stand in a header. The value may be a secret, so it is not shown.
pub(super) fn check_header_value(text: &str) -> Result<(), Refusal> {
    match HeaderValue::from_str(text) {
        Ok(_) => Ok(()),
        Err(_) => Err("has line ends or other characters that cannot stand in a header".into()),
    }
}
