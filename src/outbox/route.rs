//! Chooses the channels that are told of an event; must not know what a channel is.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::event::{Event, Kind, Severity};

/// One entry of the routing table. A condition that is `None` holds for every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Only these kinds; naming kinds also tells those that are not told by default.
    pub kinds: Option<Vec<Kind>>,
    /// Only so urgent.
    pub severity: Option<SeverityMatch>,
    /// Only these instruments.
    pub instruments: Option<Vec<String>>,
    /// Only these levels.
    pub levels: Option<Vec<String>>,
    /// Only events that carry one of these tags.
    pub tags: Option<Vec<String>>,
    /// Channel names.
    pub to: Vec<String>,
    /// Whether later routes are looked at as well (`continue = true`).
    pub go_on: bool,
}

/// A condition on the severity: `"at least high"` or `"high"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeverityMatch {
    /// This one or a more urgent one.
    AtLeast(Severity),
    /// This one only.
    Exactly(Severity),
}

/// Why a text is not a condition on the severity.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{text:?} is not a severity like \"high\" or \"at least high\": {why}")]
pub struct SeverityMatchError {
    /// What was given.
    pub text: String,
    /// What is wrong with it, and what is allowed.
    pub why: String,
}

impl SeverityMatch {
    fn holds(self, severity: Severity) -> bool {
        match self {
            Self::AtLeast(least) => severity >= least,
            Self::Exactly(wanted) => severity == wanted,
        }
    }
}

impl fmt::Display for SeverityMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(severity) => write!(f, "at least {severity}"),
            Self::Exactly(severity) => write!(f, "{severity}"),
        }
    }
}

impl FromStr for SeverityMatch {
    type Err = SeverityMatchError;

    fn from_str(text: &str) -> Result<Self, SeverityMatchError> {
        let parse = |name: &str| {
            name.trim()
                .parse()
                .map_err(|why| SeverityMatchError { text: text.chars().take(40).collect(), why })
        };
        match text.trim().strip_prefix("at least ") {
            Some(name) => parse(name).map(Self::AtLeast),
            None => parse(text).map(Self::Exactly),
        }
    }
}

/// The routing table.
#[derive(Clone, Debug)]
pub struct Router {
    routes: Vec<Route>,
    all_channels: Vec<String>,
}

impl Router {
    /// A table of `routes` over `all_channels`; without routes every channel is told what is told by default.
    #[must_use]
    pub const fn new(routes: Vec<Route>, all_channels: Vec<String>) -> Self {
        Self { routes, all_channels }
    }

    /// The channels that are told of `event`, each once, in the order of the table.
    ///
    /// The first route that matches decides, unless it says to go on. That a channel fails is never told
    /// through that channel itself: when no other one is routed, all the others are told.
    #[must_use]
    pub fn route(&self, event: &Event) -> Vec<&str> {
        let routed = self.routed(event);
        let Some(failing) = failing_channel(event).filter(|_| !routed.is_empty()) else { return routed };
        let others = without(&routed, failing);
        if others.is_empty() { without(&distinct(&self.all_channels), failing) } else { others }
    }

    fn routed(&self, event: &Event) -> Vec<&str> {
        if self.routes.is_empty() {
            return if is_told_by_default(event) { distinct(&self.all_channels) } else { Vec::new() };
        }
        let mut to = Vec::new();
        for route in self.routes.iter().filter(|route| route.matches(event)) {
            to.extend(&route.to);
            if !route.go_on {
                break;
            }
        }
        distinct(to)
    }
}

/// A level that follows an average moves all day: such moves are kept, and told only to whoever asks for them.
fn is_told_by_default(event: &Event) -> bool {
    let follows = event.kind == Kind::LevelMoved && event.severity == Severity::Info;
    event.kind.told_by_default() && !follows
}

impl Route {
    fn matches(&self, event: &Event) -> bool {
        let kind = match &self.kinds {
            Some(kinds) => kinds.contains(&event.kind),
            None => is_told_by_default(event),
        };
        kind && self.severity.is_none_or(|wanted| wanted.holds(event.severity))
            && names(self.instruments.as_deref(), event.instrument.as_ref())
            && names(self.levels.as_deref(), event.level.as_ref())
            && self.tags.as_ref().is_none_or(|tags| tags.iter().any(|tag| event.about.tags.contains(tag)))
    }
}

fn names(wanted: Option<&[String]>, value: Option<&String>) -> bool {
    wanted.is_none_or(|wanted| value.is_some_and(|value| wanted.contains(value)))
}

fn failing_channel(event: &Event) -> Option<&str> {
    let channel = event.numbers.get("channel").and_then(serde_json::Value::as_str);
    channel.filter(|_| event.kind == Kind::ChannelFailing)
}

fn without<'a>(channels: &[&'a str], name: &str) -> Vec<&'a str> {
    channels.iter().copied().filter(|channel| *channel != name).collect()
}

fn distinct<'a>(channels: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for channel in channels {
        if !seen.contains(&channel.as_str()) {
            seen.push(channel.as_str());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::message::sample;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn to(names: &[&str]) -> Route {
        Route { to: strings(names), ..Route::default() }
    }

    fn router(routes: Vec<Route>) -> Router {
        Router::new(routes, strings(&["mail", "slack", "ops"]))
    }

    #[test]
    fn without_routes_every_channel_is_told_what_is_told_by_default() {
        let router = router(vec![]);
        for &kind in Kind::ALL {
            let told = router.route(&sample::event(kind));
            let expected: &[&str] = if !kind.told_by_default() {
                &[]
            } else if kind == Kind::ChannelFailing {
                &["slack", "ops"]
            } else {
                &["mail", "slack", "ops"]
            };
            assert_eq!(told, expected, "{kind}");
        }
    }

    #[test]
    fn a_level_that_follows_the_market_moves_without_a_word_unless_someone_asks() {
        let moved = Event { severity: Severity::Info, ..sample::event(Kind::LevelMoved) };
        assert_eq!(router(vec![]).route(&moved), [""; 0]);
        let asked = Route { kinds: Some(vec![Kind::LevelMoved]), ..to(&["slack"]) };
        assert_eq!(router(vec![asked]).route(&moved), ["slack"]);
    }

    #[test]
    fn the_first_match_decides_unless_it_says_to_go_on() {
        let high = Some("at least high".parse().unwrap());
        let urgent = Route { severity: high, ..to(&["mail", "slack"]) };
        let table = router(vec![urgent.clone(), to(&["slack", "ops"])]);
        assert_eq!(table.route(&sample::event(Kind::LevelBroken)), ["mail", "slack"]);
        assert_eq!(table.route(&sample::event(Kind::LevelApproached)), ["slack", "ops"]);
        let table = router(vec![Route { go_on: true, ..urgent }, to(&["slack", "ops"])]);
        assert_eq!(table.route(&sample::event(Kind::LevelBroken)), ["mail", "slack", "ops"]);
    }

    #[test]
    fn a_route_that_names_a_kind_tells_it_whatever_the_default() {
        let quiet = Route { kinds: Some(vec![Kind::LevelCrossed]), ..to(&["ops"]) };
        let table = router(vec![quiet, to(&["mail"])]);
        assert_eq!(table.route(&sample::event(Kind::LevelCrossed)), ["ops"]);
        assert_eq!(table.route(&sample::event(Kind::LevelBroken)), ["mail"]);
        assert!(table.route(&sample::event(Kind::LevelRearmed)).is_empty());
    }

    #[test]
    fn every_condition_of_a_route_must_hold() {
        let event = sample::event(Kind::LevelBroken);
        let all = Route {
            kinds: Some(vec![Kind::LevelBroken]),
            severity: Some(SeverityMatch::Exactly(Severity::High)),
            instruments: Some(strings(&["ES", "RTY"])),
            levels: Some(strings(&["2500"])),
            tags: Some(strings(&["other", "key"])),
            ..to(&["mail"])
        };
        assert_eq!(router(vec![all.clone()]).route(&event), ["mail"]);
        for broken in [
            Route { kinds: Some(vec![Kind::LevelFailed]), ..all.clone() },
            Route { severity: Some(SeverityMatch::AtLeast(Severity::Critical)), ..all.clone() },
            Route { instruments: Some(strings(&["ES"])), ..all.clone() },
            Route { levels: Some(strings(&["2450"])), ..all.clone() },
            Route { tags: Some(strings(&["other"])), ..all.clone() },
            Route { tags: Some(vec![]), ..all },
        ] {
            assert!(router(vec![broken.clone()]).route(&event).is_empty(), "{broken:?}");
        }
    }

    #[test]
    fn a_feed_event_matches_no_route_that_names_levels_or_instruments() {
        let mut event = sample::event(Kind::FeedDown);
        event.instrument = None;
        let table =
            router(vec![Route { instruments: Some(strings(&["RTY"])), ..to(&["mail"]) }, to(&["ops"])]);
        assert_eq!(table.route(&event), ["ops"]);
    }

    #[test]
    fn that_a_channel_fails_is_told_through_the_others() {
        let failing = sample::event(Kind::ChannelFailing);
        assert_eq!(failing.numbers["channel"], "mail");
        assert_eq!(router(vec![to(&["mail", "ops"])]).route(&failing), ["ops"]);
        assert_eq!(router(vec![to(&["mail"])]).route(&failing), ["slack", "ops"]);
        assert!(Router::new(vec![], strings(&["mail"])).route(&failing).is_empty());
        assert_eq!(router(vec![to(&["mail"])]).route(&sample::event(Kind::ChannelRecovered)), ["mail"]);
    }

    #[test]
    fn severity_conditions_read_and_write() {
        for text in ["high", "at least normal", "critical"] {
            assert_eq!(text.parse::<SeverityMatch>().unwrap().to_string(), text);
        }
        for text in ["", "at least", "at most high", "High", "urgent"] {
            let error = text.parse::<SeverityMatch>().unwrap_err();
            assert!(error.to_string().contains("critical"), "{error}");
        }
    }
}
