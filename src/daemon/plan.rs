//! From a checked configuration and its secrets to what a run needs.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use crate::account::{self, Account};
use crate::config::Config;
use crate::config::channel::ChannelConfig;
use crate::config::feed::{FeedConfig, Speech};
use crate::config::secret::SecretSource;
use crate::config::secrets::{FeedSecrets, Secrets};
use crate::daemon::care::Keep;
use crate::daemon::clock::Clock;
use crate::daemon::ingest::asked::Subscribed;
use crate::daemon::ingest::{FeedDriver, Perishable};
use crate::daemon::pulse::Pulse;
use crate::daemon::rules::Rules;
use crate::daemon::start::Plan;
use crate::deliver::Settings;
use crate::engine::{self, FeedSetup, Rolls, Setup};
use crate::feed::json::Json;
use crate::feed::json::spec::Spec;
use crate::feed::massive::{self, Massive};
use crate::feed::projectx::{self, Projectx};
use crate::feed::session::{self, Session};
use crate::feed::venue::Venue;
use crate::market::tick::FeedId;
use crate::outbox::calm::Calm;
use crate::outbox::route::Router;

/// A feed's task comes round at least so often.
const INGEST_WITHIN: Duration = Duration::from_secs(30);
/// A silence shorter than this is a pause of the machine.
const SILENCE_LEAST: Duration = Duration::from_secs(10);
/// In a rehearsal the venue's clock is the truth, however far it is from ours.
const AHEAD_IN_REHEARSAL: Duration = Duration::from_secs(86_400);

/// What a run needs.
#[must_use]
pub fn build(config: &Config, secrets: Secrets, clock: &Clock) -> Plan {
    let open = |(channel, settings): (&ChannelConfig, Settings)| {
        (channel.name.clone(), settings, calm(&channel.calm, clock))
    };
    let channels: Vec<_> = config.channels.iter().zip(secrets.channels).map(open).collect();
    let templates = config.channels.iter().map(|channel| (channel.name.clone(), channel.templates.clone()));
    let feeds = config.feeds.iter().zip(secrets.feeds).enumerate();
    Plan {
        setup: setup(config, clock),
        rules: Rules::new(config),
        feeds: feeds.filter_map(|(at, (feed, secrets))| driver(config, at, feed, secrets, clock)).collect(),
        router: Router::new(config.routes.clone(), channels.iter().map(|(name, ..)| name.clone()).collect()),
        channels,
        templates: templates.collect(),
        schedule: config.retry.clone(),
        database: config.storage.path.clone(),
        keep: Keep { events: config.storage.keep_events, bars: config.storage.keep_bars },
    }
}

/// News comes as much faster in a rehearsal; what a peer takes at most stays what it is.
fn calm(calm: &Calm, clock: &Clock) -> Calm {
    Calm { group_wait: calm.group_wait.div_f64(clock.speed()), ..calm.clone() }
}

/// What the engine works on.
#[must_use]
pub fn setup(config: &Config, clock: &Clock) -> Setup {
    let feeds = config.feeds.iter().map(|feed| FeedSetup {
        name: feed.name.clone(),
        instruments: feed.subscriptions.iter().map(|subscription| subscription.instrument).collect(),
    });
    Setup {
        instruments: config.instruments.clone(),
        guards: config.guards.clone(),
        basis: config.basis.clone(),
        rules: config.levels.clone(),
        feeds: feeds.collect(),
        limits: engine_limits(clock),
        rehearsal: clock.is_rehearsal(),
        rolls: Rolls::ByPolicy,
    }
}

/// A real second is many market seconds in a rehearsal: what is measured in market time has as much longer.
fn engine_limits(clock: &Clock) -> engine::Limits {
    let limits = engine::Limits::default();
    let speed = clock.speed();
    engine::Limits {
        timer_slack: limits.timer_slack.mul_f64(speed),
        late_after: limits.late_after.mul_f64(speed),
        down_grace: limits.down_grace.mul_f64(speed),
        ahead: if clock.is_rehearsal() { AHEAD_IN_REHEARSAL } else { limits.ahead },
    }
}

fn session_limits(clock: &Clock) -> session::Limits {
    let limits = session::Limits::default();
    session::Limits {
        snapshot_age: limits.snapshot_age.mul_f64(clock.speed()),
        ahead: if clock.is_rehearsal() { AHEAD_IN_REHEARSAL } else { limits.ahead },
        ..limits
    }
}

/// One feed, ready to run; `at` is its place in the configuration.
#[must_use]
pub fn driver(
    config: &Config,
    at: usize,
    feed: &FeedConfig,
    secrets: FeedSecrets,
    clock: &Clock,
) -> Option<FeedDriver> {
    let id = FeedId(u32::try_from(at).ok()?);
    let subscribed = feed.subscriptions.iter().filter_map(|subscription| {
        let instrument = config.instruments.get(subscription.instrument.index())?.clone();
        Some(Subscribed { subscription: subscription.clone(), instrument })
    });
    let account = account(&feed.speech, &secrets.values);
    Some(FeedDriver {
        name: feed.name.clone(),
        id,
        session: session(id, &feed.speech, secrets.values, clock),
        subscribed: subscribed.collect(),
        account,
        tells_apart: feed.speech.tells_apart(),
        extra_roots: secrets.extra_roots,
        perishable: perishable(feed, clock),
        connect_within: session_limits(clock).connect,
        clock: clock.clone(),
        pulse: Pulse::new(&format!("feed {}", feed.name), INGEST_WITHIN),
        tape: None,
    })
}

/// A session that has not begun, with the protocol that its feed speaks.
#[must_use]
pub fn session(
    id: FeedId,
    speech: &Speech,
    secrets: BTreeMap<String, SecretString>,
    clock: &Clock,
) -> Session<Venue> {
    Session::new(id, venue(speech, secrets, clock), session_limits(clock))
}

/// The protocol that a feed speaks.
fn venue(speech: &Speech, secrets: BTreeMap<String, SecretString>, clock: &Clock) -> Venue {
    match speech {
        Speech::Json(spec) => {
            let market_silence = silence(spec.market_silence, clock);
            let spec = Spec { market_silence, ..spec.as_ref().clone() };
            Venue::Json(Box::new(Json::new(spec, Vec::new(), secrets)))
        }
        Speech::Massive(setup) => {
            let market_silence = silence(setup.market_silence, clock);
            let setup = massive::Setup { market_silence, ..setup.clone() };
            Venue::Massive(Box::new(Massive::new(setup, taken(&secrets, massive::KEY))))
        }
        Speech::Projectx { hub, account: _ } => {
            let market_silence = silence(hub.market_silence, clock);
            Venue::Projectx(Box::new(Projectx::new(projectx::Setup { market_silence, ..hub.clone() })))
        }
    }
}

/// What is asked before a connection.
fn account(speech: &Speech, secrets: &BTreeMap<String, SecretString>) -> Option<Account> {
    match speech {
        Speech::Json(_) | Speech::Massive(_) => None,
        Speech::Projectx { hub: _, account } => {
            let key = taken(secrets, account::projectx::KEY);
            let asked = account::projectx::Projectx::new(account.clone(), key);
            Some(Account::Projectx(Box::new(asked)))
        }
    }
}

/// A secret by its name; the configuration requires it.
fn taken(secrets: &BTreeMap<String, SecretString>, name: &str) -> SecretString {
    secrets.get(name).cloned().unwrap_or_default()
}

/// Silence of the market is measured on the real clock. However fast a rehearsal goes, its venue and this machine may
/// pause for a moment.
fn silence(configured: Duration, clock: &Clock) -> Duration {
    configured.div_f64(clock.speed()).max(SILENCE_LEAST.min(configured))
}

/// The feed's secrets that must be asked for again, read just now.
fn perishable(feed: &FeedConfig, clock: &Clock) -> Vec<Perishable> {
    let aging = |(name, source): (&String, &SecretSource)| match source {
        SecretSource::Command { ttl: Some(ttl), .. } => Some(Perishable {
            name: name.clone(),
            source: source.clone(),
            ttl: *ttl,
            read_at: clock.monotonic(),
        }),
        SecretSource::Command { ttl: None, .. }
        | SecretSource::Credential(_)
        | SecretSource::File(_)
        | SecretSource::Env(_) => None,
    };
    feed.secrets.iter().filter_map(aging).collect()
}
