//! What a channel says of itself on how much its reader gets: `group_wait`, `rate`, `quiet`.

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::channel::ChannelKind;
use super::file::{QUIET, RATE};
use super::gate;
use super::section::Section;
use super::value;
use super::webhook::FormatConfig;
use crate::outbox::calm::{Calm, Quiet, Rate};

/// What people read waits so long before more of it becomes a digest.
const GROUP_WAIT: Duration = Duration::from_secs(1);
/// Nothing is kept back for longer than this.
const LONGEST: Duration = Duration::from_secs(86_400);
/// A rate counts at most so many messages.
const MESSAGES: RangeInclusive<i64> = 1..=10_000;
/// Whose clock the quiet hours follow unless they say otherwise: the exchange's.
const ZONE: &str = "America/Chicago";

/// How a channel of this kind keeps calm.
pub(super) fn calm(channel: &Section<'_>, kind: &ChannelKind) -> Calm {
    let (group_wait, rate) = defaults(kind);
    Calm {
        group_wait: channel
            .read("group_wait", value::duration_in(Duration::ZERO..=LONGEST))
            .unwrap_or(group_wait),
        rate: if channel.get("rate").is_some() { read_rate(channel) } else { rate },
        quiet: quiet(channel),
    }
}

/// Programs get every event by itself; people's services have limits of their own.
const fn defaults(kind: &ChannelKind) -> (Duration, Option<Rate>) {
    match kind {
        ChannelKind::Console | ChannelKind::Exec(_) => (Duration::ZERO, None),
        ChannelKind::Email(_) => (GROUP_WAIT, None),
        ChannelKind::Slack(_) => (GROUP_WAIT, rate(1, 1)),
        ChannelKind::Webhook(webhook) => match webhook.format {
            FormatConfig::Standard { .. } | FormatConfig::Alertmanager | FormatConfig::Tradingview => {
                (Duration::ZERO, None)
            }
            FormatConfig::Pagerduty { .. } => (Duration::ZERO, rate(120, 60)),
            FormatConfig::Discord => (GROUP_WAIT, rate(5, 2)),
            FormatConfig::Teams => (GROUP_WAIT, rate(4, 1)),
            FormatConfig::Telegram { .. } => (GROUP_WAIT, rate(1, 1)),
            FormatConfig::Ntfy { .. } => (GROUP_WAIT, None),
        },
    }
}

const fn rate(messages: u32, seconds: u64) -> Option<Rate> {
    Some(Rate { messages, per: Duration::from_secs(seconds) })
}

fn read_rate(channel: &Section<'_>) -> Option<Rate> {
    let section = channel.section("rate", &RATE)?;
    let right = "how many messages a recipient gets at most, like { messages = 20, per = \"1m\" }";
    let messages = section.require("messages", right, value::whole(MESSAGES));
    let per = section.require("per", right, value::duration_in(Duration::from_millis(1)..=LONGEST));
    Some(Rate { messages: messages?, per: per? })
}

fn quiet(channel: &Section<'_>) -> Option<Quiet> {
    let section = channel.section("quiet", &QUIET)?;
    let right = "like [\"22:00\", \"07:00\"]; what is critical is told all the same";
    let times = section.require("between", right, gate::times);
    let zone = section.read("zone_name", gate::zone).unwrap_or_else(|| ZONE.to_owned());
    let days = section.read("days", value::one_or_more(value::choice(gate::DAYS, &[])));
    let (from, until) = times?;
    let zone = TimeZoneDatabase::bundled().get(&zone).unwrap_or(TimeZone::UTC);
    Some(Quiet { from, until, days, zone })
}
