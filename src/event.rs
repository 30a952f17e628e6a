//! What was established: events, their identity and their numbers.
//!
//! An event is a fact, complete in itself: whoever reads it needs no other table. This module knows neither
//! how facts are found nor how they are told.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::market::price::{Price, TickSize};
use crate::time::Timestamp;

/// Declares an enum of names that are written in files and on the wire.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    format!("{text:?} is none of {}", known.join(", "))
                })
            }
        }
    };
}

names! {
    /// What kind of fact.
    Kind {
        /// Price came within the approach distance.
        LevelApproached = "level.approached",
        /// Price is beyond the threshold and waits for its confirmation.
        LevelCrossed = "level.crossed",
        /// The break is established by its rule.
        LevelBroken = "level.broken",
        /// Price entered the zone and was turned away.
        LevelRejected = "level.rejected",
        /// After the break, price came back to the level.
        LevelRetested = "level.retested",
        /// The retest held.
        LevelHeld = "level.held",
        /// The break failed.
        LevelFailed = "level.failed",
        /// The level can break again.
        LevelRearmed = "level.rearmed",
        /// The rule came to its end.
        LevelExpired = "level.expired",
        /// The rule cannot be watched until a person acts.
        LevelSuspended = "level.suspended",
        /// The level has another price now.
        LevelMoved = "level.moved",
        /// A record was set.
        RecordSet = "record.set",
        /// Another contract is in force.
        ContractRolled = "contract.rolled",
        /// Nothing comes from a feed.
        FeedDown = "feed.down",
        /// The feed is back.
        FeedUp = "feed.up",
        /// The feed is connected, but no print comes in an open session.
        FeedQuiet = "feed.quiet",
        /// A print was not believed.
        FeedQuarantined = "feed.quarantined",
        /// A channel does not deliver.
        ChannelFailing = "channel.failing",
        /// The channel delivers again.
        ChannelRecovered = "channel.recovered",
        /// Very many facts about one instrument's levels at once; each is recorded by itself as well.
        Digest = "digest",
    }
}

impl Kind {
    /// How urgent facts of this kind are unless the rule says otherwise.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::LevelApproached | Self::LevelCrossed | Self::LevelRearmed | Self::FeedQuarantined => {
                Severity::Info
            }
            Self::LevelRejected
            | Self::LevelRetested
            | Self::LevelHeld
            | Self::LevelExpired
            | Self::LevelMoved
            | Self::ContractRolled
            | Self::FeedUp
            | Self::ChannelRecovered => Severity::Normal,
            Self::LevelBroken | Self::RecordSet | Self::FeedQuiet | Self::Digest => Severity::High,
            Self::LevelFailed | Self::LevelSuspended | Self::FeedDown | Self::ChannelFailing => {
                Severity::Critical
            }
        }
    }

    /// Whether people are told of it when no route says otherwise; the rest is only kept.
    #[must_use]
    pub const fn told_by_default(self) -> bool {
        !matches!(self, Self::LevelCrossed | Self::LevelRearmed | Self::FeedQuarantined)
    }

    /// The last part of the name (`broken`), which ends an [`EventId`].
    #[must_use]
    pub fn step(self) -> &'static str {
        self.as_str().rsplit('.').next().unwrap_or_default()
    }
}

names! {
    /// How urgent.
    Severity {
        /// Good to know.
        Info = "info",
        /// Worth reading today.
        Normal = "normal",
        /// Worth reading now.
        High = "high",
        /// A person should act.
        Critical = "critical",
    }
}

names! {
    /// Which way a level is broken.
    Side {
        /// Broken by rising prices.
        Resistance = "resistance",
        /// Broken by falling prices.
        Support = "support",
    }
}

names! {
    /// In which prices a level is expressed.
    Space {
        /// Prices of the futures contract.
        Contract = "contract",
        /// Prices of the cash index.
        Index = "index",
    }
}

names! {
    /// Why the engine established the fact.
    Reason {
        /// The first price beyond the threshold, and the rule asks for no more.
        Cross = "cross",
        /// Beyond the threshold; its confirmation is awaited.
        AwaitingConfirmation = "awaiting confirmation",
        /// Everything the rule asks for was met.
        Confirmed = "confirmed",
        /// The first price after a time in which nobody watched lies beyond the threshold.
        Gap = "gap",
        /// The session's high or low, as told by the feed, lies beyond, though no print showed it.
        SeenByDayHigh = "seen by day high",
        /// Price came within the rule's approach distance.
        WithinApproach = "within approach distance",
        /// Price fell back behind the level by the rule's failure distance.
        FellBack = "fell back",
        /// Price came back into the zone around the level.
        BackInZone = "back in zone",
        /// Price left the zone in the direction of the break.
        ZoneHeld = "zone held",
        /// Back by the re-arm distance, long enough, with the cooldown over.
        Rearmed = "back behind re-arm price",
        /// Price turned away from the zone before a break.
        TurnedAway = "turned away",
        /// The rule's end was reached.
        Expired = "expired",
        /// Another contract is in force, and its distance from the old one is unknown.
        SpreadUnknown = "spread unknown at roll",
        /// Where the level lies follows from history, of which there is not enough yet.
        HistoryUnknown = "history unknown",
        /// Where the level lies follows from the index, whose distance from the futures is not known yet.
        BasisUnknown = "basis unknown",
        /// The contract was traded for the last time.
        ContractExpired = "contract expired",
        /// What the level follows from has changed.
        Derived = "derived anew",
        /// The futures lie at another distance from their index.
        Basis = "basis changed",
        /// A trade date ended beyond the record before it.
        Record = "record beaten",
        /// By the roll policy.
        RollPolicy = "roll policy",
        /// The connection is gone.
        Disconnected = "disconnected",
        /// Connected, but nothing at all arrives.
        TransportSilent = "transport silent",
        /// No print in an open session.
        MarketSilent = "market silent",
        /// The peer refused; a person must act.
        Refused = "refused",
        /// Prints arrive again.
        Restored = "restored",
        /// Too far from the market, and nothing confirmed it.
        FarFromMarket = "far from market",
        /// Between two ticks: a spread or BTIC, not an outright.
        OffGrid = "off grid",
        /// The exchange time ran backwards.
        TimeBackwards = "time backwards",
        /// The peer of a channel does not take messages.
        DeliveryFailing = "delivery failing",
        /// The peer of a channel takes messages again.
        DeliveryRestored = "delivery restored",
        /// A message was given up.
        GaveUp = "gave up",
        /// More levels at once than can be told one by one.
        ManyAtOnce = "many at once",
        /// Quiet hours or a snooze kept it back until now.
        HeldBack = "held back",
    }
}

/// A price together with the decimals it is shown with: `"2450.0"` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Px {
    /// The exact price.
    pub price: Price,
    /// At least so many decimals are shown.
    pub decimals: u8,
}

impl Px {
    /// `price` with the precision of `tick`.
    #[must_use]
    pub fn new(price: Price, tick: TickSize) -> Self {
        let text = price.with_decimals(tick.decimals());
        Self { price, decimals: decimals_of(&text) }
    }

    /// For people, with commas between thousands (`2,450.0`).
    #[must_use]
    pub fn grouped(&self) -> String {
        self.price.grouped(self.decimals)
    }
}

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.price.with_decimals(self.decimals))
    }
}

impl Serialize for Px {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Px {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
        let price = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self { price, decimals: decimals_of(&text) })
    }
}

fn decimals_of(text: &str) -> u8 {
    text.split_once('.').map_or(0, |(_, fraction)| u8::try_from(fraction.len()).unwrap_or(9))
}

/// One life of a level, from its first event to its re-arming; or one outage of a feed or channel.
///
/// Its text is `<name>-<hash>.<episode>`: a readable form of the subject's name, six hex digits that tell
/// apart what reads alike, and the episode's first event in milliseconds, base 36. It depends on nothing but
/// the subject and the market's own time, so a restart or a replay makes the same thread again, and a new
/// database does not repeat an old one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ThreadId(String);

impl ThreadId {
    /// The thread of `subject` (a level's name, `feed:NAME`, `channel:NAME`) within `scope` (an instrument,
    /// or nothing), opened at `opened_at`.
    #[must_use]
    pub fn new(subject: &str, scope: &str, opened_at: Timestamp) -> Self {
        let digest = Sha256::new().chain_update(scope).chain_update([0]).chain_update(subject).finalize();
        let hash: String = digest.iter().take(3).map(|b| format!("{b:02x}")).collect();
        let mut slug = String::new();
        for c in subject.chars() {
            let c = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
            if slug.len() < 32 && !(c == '-' && (slug.is_empty() || slug.ends_with('-'))) {
                slug.push(c);
            }
        }
        let slug = match slug.trim_end_matches('-') {
            "" => "x",
            slug => slug,
        };
        Self(format!("{slug}-{hash}.{}", base36(opened_at.as_millis())))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<String> for ThreadId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The identity of an event: thread, step within it, and kind (`2500-1c9f2e.m3wq0x1k.2.broken`).
///
/// The same break has the same id after any restart or replay; peers recognise a repeat by it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(String);

impl EventId {
    /// The `step`-th event of `thread`, counted from 1.
    #[must_use]
    pub fn new(thread: &ThreadId, step: u32, kind: Kind) -> Self {
        Self(format!("{thread}.{step}.{}", kind.step()))
    }

    /// The text: ASCII letters, digits, `-` and `.` only, so it can stand in a mail or HTTP header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<String> for EventId {
    fn from(text: String) -> Self {
        Self(text)
    }
}

fn base36(value: i64) -> String {
    let mut rest = value.unsigned_abs();
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        digits.push(u32::try_from(rest % 36).ok().and_then(|d| char::from_digit(d, 36)).unwrap_or('0'));
        rest /= 36;
    }
    let sign = if value < 0 { "n" } else { "" };
    digits.into_iter().rev().fold(String::from(sign), |mut text, digit| {
        text.push(digit);
        text
    })
}

/// What belongs to the kind, by name: prices as [`Px`] strings, durations as `…_ms` integers.
pub type Numbers = BTreeMap<String, serde_json::Value>;

/// What its author said about a level, as it was when the event happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Whose level it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said_by: Option<String>,
    /// Where that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// For routing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// One established fact. Its JSON form is the contract of `events --json`, the API and the webhook's `data`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Who it is.
    pub id: EventId,
    /// Which story it belongs to.
    pub thread: ThreadId,
    /// What happened.
    pub kind: Kind,
    /// How urgent.
    pub severity: Severity,
    /// The level's name; `None` for feeds and channels.
    pub level: Option<String>,
    /// The instrument's root (`RTY`).
    pub instrument: Option<String>,
    /// The contract (`RTYZ6`).
    pub contract: Option<String>,
    /// Which way.
    pub side: Option<Side>,
    /// The price that established it.
    pub price: Option<Px>,
    /// The traded price at which the level counts as broken.
    pub threshold: Option<Px>,
    /// The level itself.
    pub level_price: Option<Px>,
    /// In which prices the level is expressed.
    pub level_space: Option<Space>,
    /// When, by the exchange's clock.
    pub occurred_at: Timestamp,
    /// When this process established it.
    pub detected_at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Established noticeably later than it occurred.
    pub late: bool,
    /// Established from bars: the moment within the bar is unknown.
    pub from_bars: bool,
    /// From a rehearsal: nothing of it happened today.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
    /// What belongs to the kind.
    pub numbers: Numbers,
    /// What the level's author said.
    #[serde(default, skip_serializing_if = "is_default")]
    pub about: About,
}

impl Event {
    /// The `step`-th event of a thread, about no level, with the severity of its kind.
    #[must_use]
    pub fn bare(
        kind: Kind,
        reason: Reason,
        thread: &ThreadId,
        step: u32,
        (occurred_at, detected_at): (Timestamp, Timestamp),
        numbers: Numbers,
    ) -> Self {
        Self {
            id: EventId::new(thread, step, kind),
            thread: thread.clone(),
            kind,
            severity: kind.severity(),
            level: None,
            instrument: None,
            contract: None,
            side: None,
            price: None,
            threshold: None,
            level_price: None,
            level_space: None,
            occurred_at,
            detected_at,
            reason,
            late: false,
            from_bars: false,
            rehearsal: false,
            numbers,
            about: About::default(),
        }
    }
}

fn is_default(about: &About) -> bool {
    *about == About::default()
}

#[cfg(test)]
mod tests;
