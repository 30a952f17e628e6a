//! The whole daemon on a generated session: a venue, a mail server and a webhook receiver on loopback, and what
//! they saw.
//!
//! The daemon is the real one with a real configuration; only its peers are ours. Nothing leaves the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError};
use crate::daemon::clock::Clock;
use crate::daemon::plan;
use crate::daemon::start::{self, RunError};
use crate::daemon::watch::Lasts;
use crate::demo::inbox::InboxError;
use crate::demo::inbox::hook::{HookOptions, HookServer};
use crate::demo::inbox::mail::{MailOptions, MailServer};
use crate::demo::path;
use crate::demo::venue::{Options, Venue, VenueError};

/// The demo's key at its venue; it opens nothing else.
const KEY: &str = "demo-key";
/// Names the key's variable in the environment that the configuration is given.
const KEY_NAME: &str = "BREAKWATCH_DEMO_KEY";
/// Names the variable of the Slack-shaped receiver's address.
const SLACK_NAME: &str = "BREAKWATCH_DEMO_SLACK";
/// The session that is generated is always the same.
const SEED: u64 = 20_241_125;

/// How to show it.
#[derive(Clone, Debug)]
pub struct Show {
    /// How many times as fast as the market.
    pub speed: f64,
    /// Where the ledger goes.
    pub dir: PathBuf,
}

/// Why the demo could not be shown.
#[derive(Debug, Error)]
pub enum ShowError {
    /// The embedded venue could not start.
    #[error("the demo's venue could not start")]
    Venue(#[from] VenueError),
    /// An embedded receiver could not start.
    #[error("the demo's receivers could not start")]
    Inbox(#[from] InboxError),
    /// The demo's configuration is wrong, which is a defect.
    #[error("the demo's configuration is wrong")]
    Config(#[from] ConfigError),
    /// The daemon failed.
    #[error("the daemon could not go on")]
    Run(#[from] RunError),
}

/// The peers, the configuration and the clock of a demo that has not begun.
#[derive(Debug)]
pub struct Stage {
    /// Where the trades come from.
    pub venue: Venue,
    /// Takes the mails.
    pub mail: MailServer,
    /// Takes what would go to Slack.
    pub slack: HookServer,
    /// What the daemon is told.
    pub config: Config,
    /// Market time.
    pub clock: Clock,
    env: BTreeMap<String, String>,
}

impl Stage {
    /// Starts the peers; the market's clock runs from here on.
    ///
    /// # Errors
    /// When a port on loopback cannot be had.
    pub async fn set(show: &Show) -> Result<Self, ShowError> {
        let mail = MailServer::start(MailOptions::default()).await?;
        let slack = HookServer::start(HookOptions::default()).await?;
        let session = path::session(SEED);
        let clock = Clock::rehearsal(path::START.parse().unwrap_or_default(), show.speed);
        let options = Options { quotes: session.quotes, ..Options::new(path::SYMBOL, KEY, show.speed) };
        let venue_clock = clock.clone();
        let venue = Venue::start(session.trades, options, move || venue_clock.now().as_millis()).await?;
        let slack_url = format!("http://{}/services/demo", slack.address());
        let env = BTreeMap::from([(KEY_NAME.into(), KEY.into()), (SLACK_NAME.into(), slack_url)]);
        let text = configuration(&venue.url(), mail.address().port(), &show.dir);
        let config = Config::parse(&text, "demo.toml", 2024)?;
        Ok(Self { venue, mail, slack, config, clock, env })
    }

    /// Runs the daemon until `stop` is cancelled; `lasts` receives the last prices.
    ///
    /// # Errors
    /// When the daemon cannot go on.
    pub async fn run(&self, lasts: watch::Sender<Lasts>, stop: CancellationToken) -> Result<(), ShowError> {
        let secrets = self.config.read_secrets(&self.env, None).await?;
        let plan = plan::build(&self.config, secrets, &self.clock);
        Ok(start::run(plan, self.clock.clone(), lasts, stop).await?)
    }

    /// Ends the peers.
    pub async fn strike(self) {
        self.venue.stop().await;
    }
}

/// What a user would write, with the addresses of the embedded peers.
fn configuration(venue: &str, mail_port: u16, dir: &Path) -> String {
    let database = toml::Value::String(dir.join("breakwatch.db").display().to_string());
    format!(
        r#"[storage]
path = {database}

[[feed]]
name = "demo venue"
kind = "json"
url = "{venue}"
secrets = {{ key = {{ env = "{KEY_NAME}" }} }}
instruments = {{ RTY = "{symbol}" }}
greet = [
  {{ expect = {{ "/0/status" = "connected" }} }},
  {{ send = '{{"action":"auth","params":"${{key}}"}}', expect = {{ "/0/status" = "auth_success" }} }},
]
subscribe = '{{"action":"subscribe","params":"T.${{symbol}},Q.${{symbol}}"}}'
refuse = {{ "/0/status" = ["auth_failed", "not authorized"] }}
ws_ping = "20s"
[feed.trade]
each = "/*"
where = {{ "/ev" = "T" }}
symbol = "/sym"
price = "/p"
size = "/s"
time = {{ at = "/t", unit = "ms" }}
sequence = "/q"
[feed.quote]
each = "/*"
where = {{ "/ev" = "Q" }}
symbol = "/sym"
bid = "/bp"
ask = "/ap"
time = {{ at = "/t", unit = "ms" }}

[[level]]
name = "2450"
instrument = "RTY"
price = 2450
approach = "5 points"
confirm = [{{ prints = 2 }}]
note = "the round number below the record"

[[level]]
name = "record high"
instrument = "RTY"
price = "2460.8"
confirm = [{{ prints = 2 }}, {{ hold = "5s" }}]
note = "the front month's highest price before this session"

[[level]]
name = "2475"
instrument = "RTY"
price = 2475

[[channel]]
name = "terminal"
kind = "console"

[[channel]]
name = "mail"
kind = "email"
from = "Breakwatch <alerts@example.com>"
to = ["desk@example.com"]
smtp = {{ host = "127.0.0.1", port = {mail_port}, tls = "none" }}

[[channel]]
name = "slack"
kind = "slack"
url = {{ env = "{SLACK_NAME}" }}
"#,
        symbol = path::SYMBOL,
    )
}

/// How long a demo lasts when nobody says: the story and a little more, at 60 times the speed.
#[must_use]
pub fn usual_length(speed: f64) -> Duration {
    Duration::from_secs(1_560).div_f64(speed)
}
