//! ProjectX's REST interface: a token for the market hub, and what the firm calls a contract.
//!
//! A key that is refused is asked about once and no more; the session waits long. No message carries key or token.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use crate::account::{AccountError, At, Ready};
use crate::feed::projectx::TOKEN;
use crate::feed::protocol::Wire;
use crate::market::symbol::{Spelling, Symbol};

/// The interface of TopstepX.
pub const API: &str = "https://api.topstepx.com";
/// What the key is called among a feed's secrets.
pub const KEY: &str = "api_key";
/// A token is good for 24 hours; one of this age is not tried any more.
const TOKEN_LIFE: Duration = Duration::from_secs(23 * 3_600);
/// An answer is at most so long.
const BODY_MAX: usize = 1 << 20;
/// Of a firm's own words so many characters are shown.
const SAID_MAX: usize = 200;
/// Of a list of contracts so many are shown.
const LISTED_MAX: usize = 5;
/// How ProjectX's contract ids begin.
const ID_PREFIX: &str = "CON.";
/// Their code for an error that is not the user's.
const UNKNOWN_ERROR: i64 = 8;

/// Where to ask, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The firm's REST interface, `https://…`
    pub api: String,
    /// The user's name.
    pub user: String,
}

/// An account with a firm, with what it said so far.
#[derive(Debug)]
pub struct Projectx {
    setup: Setup,
    key: SecretString,
    token: Option<Token>,
    /// The firm's ids of contracts, by the calendar's names.
    ids: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Token {
    value: SecretString,
    since: Duration,
}

/// Any of their answers. It may hold a token, and so has no `Debug`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    success: bool,
    error_code: Option<i64>,
    error_message: Option<String>,
    token: Option<String>,
    new_token: Option<String>,
    contracts: Option<Vec<Contract>>,
    contract: Option<Contract>,
}

#[derive(Deserialize)]
struct Contract {
    id: String,
    #[serde(default)]
    name: Option<String>,
}

/// What a firm knows of a contract.
enum Known {
    As(String),
    /// There are others of the product, but not this one.
    Not(Vec<String>),
}

impl Projectx {
    /// An account that was not asked yet.
    #[must_use]
    pub fn new(setup: Setup, key: SecretString) -> Self {
        Self { setup, key, token: None, ids: BTreeMap::new() }
    }

    /// Another value of the key, for the next login.
    pub fn set_secret(&mut self, name: &str, secret: SecretString) {
        if name == KEY {
            self.key = secret;
        }
    }

    /// A token that the firm takes just now, and its own ids for what is wanted.
    ///
    /// # Errors
    /// When it refuses the user or a contract, does not answer, or wants to be left alone.
    pub async fn ready(&mut self, http: &Client, wires: Vec<Wire>, at: At) -> Result<Ready, AccountError> {
        let token = self.token(http, at).await?;
        let mut named: Vec<Wire> = Vec::new();
        for wire in wires {
            let in_force = named.iter().all(|other| other.instrument != wire.instrument);
            match self.id(http, &wire, &token, at).await? {
                Known::As(symbol) => named.push(Wire { symbol, ..wire }),
                Known::Not(listed) if in_force => return Err(missing(&wire.symbol, &listed)),
                // The next month is looked at before its time; it may not be there yet.
                Known::Not(_) => {}
            }
        }
        Ok(Ready { secrets: vec![(TOKEN.to_owned(), token)], wires: named })
    }

    /// The token at hand, once the firm has confirmed or replaced it, or a new one.
    async fn token(&mut self, http: &Client, at: At) -> Result<SecretString, AccountError> {
        let age = |token: &Token| at.monotonic.saturating_sub(token.since);
        if let Some(token) = self.token.clone().filter(|token| age(token) < TOKEN_LIFE) {
            match self.ask(http, "Auth/validate", "{}".to_owned(), Some(&token.value), at).await {
                Ok(answer) if answer.success => {
                    if let Some(value) = answer.new_token.filter(|new| !new.is_empty()) {
                        return Ok(self.take(value.into(), at));
                    }
                    return Ok(token.value);
                }
                // It has expired early, or was revoked.
                Ok(_) | Err(AccountError::Refused(_)) => self.token = None,
                // The hub may well take it.
                Err(AccountError::Unreachable(_) | AccountError::Busy { .. }) => return Ok(token.value),
            }
        }
        self.log_in(http, at).await
    }

    async fn log_in(&mut self, http: &Client, at: At) -> Result<SecretString, AccountError> {
        let body = json!({ "userName": self.setup.user, "apiKey": self.key.expose_secret() }).to_string();
        let answer = self.ask(http, "Auth/loginKey", body, None, at).await?;
        let code = answer.error_code.unwrap_or_default();
        match answer.token.filter(|token| answer.success && !token.is_empty()) {
            Some(token) => Ok(self.take(token.into(), at)),
            None => {
                let said = answer.error_message.map_or_else(String::new, |said| self.clean(&said));
                let text = format!(
                    "the login as {:?} failed with code {code} ({}){said}",
                    self.setup.user,
                    login_error(code)
                );
                Err(if code == UNKNOWN_ERROR || (code == 0 && answer.success) {
                    AccountError::Unreachable(text)
                } else {
                    AccountError::Refused(text)
                })
            }
        }
    }

    fn take(&mut self, value: SecretString, at: At) -> SecretString {
        self.token = Some(Token { value: value.clone(), since: at.monotonic });
        value
    }

    /// What the firm calls a contract.
    async fn id(
        &mut self,
        http: &Client,
        wire: &Wire,
        token: &SecretString,
        at: At,
    ) -> Result<Known, AccountError> {
        if let Some(id) = self.ids.get(&wire.symbol) {
            return Ok(Known::As(id.clone()));
        }
        let Some(near_year) = wire.contract.map(|month| month.year) else {
            return Ok(Known::As(wire.symbol.clone()));
        };
        let Ok(symbol) = Symbol::parse(&wire.symbol, near_year) else {
            return Ok(Known::As(wire.symbol.clone()));
        };
        let known = self.look_up(http, symbol, &wire.symbol, near_year, token, at).await?;
        if let Known::As(id) = &known {
            self.ids.insert(wire.symbol.clone(), id.clone());
        }
        Ok(known)
    }

    async fn look_up(
        &self,
        http: &Client,
        symbol: Symbol,
        written: &str,
        near_year: i16,
        token: &SecretString,
        at: At,
    ) -> Result<Known, AccountError> {
        let body = json!({ "searchText": symbol.root.as_str(), "live": false }).to_string();
        let found = self.ask(http, "Contract/search", body, Some(token), at).await?;
        let names = |contract: &Contract| {
            let names = [Some(contract.id.clone()), contract.name.clone()];
            names.into_iter().flatten().find_map(|name| Symbol::parse(&name, near_year).ok())
        };
        let listed: Vec<(Symbol, String)> = found
            .contracts
            .unwrap_or_default()
            .into_iter()
            .filter_map(|contract| Some((names(&contract)?, contract.id)))
            .filter(|(listed, _)| listed.root == symbol.root)
            .collect();
        if let Some((_, id)) = listed.iter().find(|(listed, _)| *listed == symbol) {
            return Ok(Known::As(id.clone()));
        }
        let own = if written.starts_with(ID_PREFIX) {
            written.to_owned()
        } else {
            symbol.spell(Spelling::ProjectX, "")
        };
        if listed.is_empty() {
            return Ok(Known::As(own));
        }
        // A search may list the active contract only.
        let body = json!({ "contractId": own }).to_string();
        let answer = self.ask(http, "Contract/searchById", body, Some(token), at).await?;
        match answer.contract.filter(|_| answer.success) {
            Some(contract) => Ok(Known::As(contract.id)),
            None => Ok(Known::Not(listed.into_iter().map(|(_, id)| id).collect())),
        }
    }

    /// One request and its answer.
    async fn ask(
        &self,
        http: &Client,
        what: &str,
        body: String,
        token: Option<&SecretString>,
        at: At,
    ) -> Result<Answer, AccountError> {
        let url = format!("{}/api/{what}", self.setup.api.trim_end_matches('/'));
        let mut request = http.post(url).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            let mut value =
                value.map_err(|_| AccountError::Unreachable("the token fits no HTTP header".into()))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|error| unreachable(what, error))?;
        let response = check(what, response, at)?;
        let body = bounded(what, response).await?;
        // What cannot be read is not shown: it may hold a token.
        serde_json::from_slice(&body).map_err(|_| {
            AccountError::Unreachable(format!("{what} was not answered with the JSON that it should be"))
        })
    }

    /// What the firm said, short and without what we sent.
    fn clean(&self, said: &str) -> String {
        let key = self.key.expose_secret();
        let said = if key.is_empty() { said.to_owned() } else { said.replace(key, "(secret)") };
        let said: String = said.chars().filter(|c| !c.is_control()).take(SAID_MAX).collect();
        if said.is_empty() { said } else { format!(": it said {said:?}") }
    }
}

fn missing(symbol: &str, listed: &[String]) -> AccountError {
    let listed: Vec<&str> = listed.iter().take(LISTED_MAX).map(String::as_str).collect();
    AccountError::Refused(format!("the firm has no contract {symbol}; it lists {}", listed.join(", ")))
}

/// Their codes of a failed login.
const fn login_error(code: i64) -> &'static str {
    match code {
        0 => "without a token",
        1 => "no such user",
        2 => "wrong password",
        3 => "wrong user or key",
        4 | 5 => "the application is not known",
        6 => "the device is not allowed",
        7 => "an agreement is not signed",
        UNKNOWN_ERROR => "an error of the firm's",
        9 => "no API subscription",
        10 => "keys are switched off for this account",
        _ => "a code that is not documented",
    }
}

fn unreachable(what: &str, error: reqwest::Error) -> AccountError {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
    AccountError::Unreachable(format!("{what} failed: {error}{cause}"))
}

fn check(what: &str, response: Response, at: At) -> Result<Response, AccountError> {
    let status = response.status();
    let text = format!("{what} was answered with HTTP {}", status.as_u16());
    match status {
        status if status.is_success() => Ok(response),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(AccountError::Refused(text)),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(AccountError::Busy { said: text, retry_after: retry_after(&response, at) })
        }
        _ => Err(AccountError::Unreachable(text)),
    }
}

/// Seconds, or a date.
fn retry_after(response: &Response, at: At) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let since_1970 = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_secs(u64::try_from(at.wall.as_secs()).ok()?);
    Some(since_1970.saturating_sub(now))
}

async fn bounded(what: &str, mut response: Response) -> Result<Vec<u8>, AccountError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(what, error))? {
        if body.len().saturating_add(chunk.len()) > BODY_MAX {
            return Err(AccountError::Unreachable(format!("{what} was answered with too much")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
