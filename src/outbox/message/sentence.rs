//! The one sentence of each kind of event, and what it means for whoever watches the level.

use crate::event::{Event, Kind, Reason, Side, Space};
use crate::outbox::message::said::Said;
use crate::outbox::message::{digest, inert};

/// The longest name that stands in a sentence.
const NAME_MAX: usize = 24;

/// What happened, the fact first, without the time: `RTY broke 2,500.0 up: 2,500.4`.
pub(super) fn what(event: &Event) -> String {
    let (who, level, said) = (who(event), level(event), Said(&event.numbers));
    let sentence = match event.kind {
        Kind::LevelApproached => approached(event, &who, &level),
        Kind::LevelCrossed => {
            priced(event, format!("{who} crossed {level} {}, unconfirmed", direction(event)))
        }
        Kind::LevelBroken => priced(event, format!("{who} {} {level} {}", broke(event), direction(event))),
        Kind::LevelRejected => priced(event, format!("{who} was rejected at {level}")),
        Kind::LevelRetested => priced(event, format!("{who} retests {level} from {}", beyond(event))),
        Kind::LevelHeld => priced(event, format!("{who} held {} {level}", beyond(event))),
        Kind::LevelFailed => priced(event, format!("{who} break of {level} failed")),
        Kind::LevelRearmed => priced(event, format!("{who} {level} is armed again")),
        Kind::LevelExpired => format!("{who} {level} expired"),
        Kind::LevelSuspended => format!("{who} {level} is NOT WATCHED ({})", event.reason.as_str()),
        Kind::LevelMoved => said.text("detail").map_or_else(
            || format!("{who} level moved to {level}"),
            |detail| format!("{who} level moved: {detail}"),
        ),
        Kind::RecordSet => record(event, &who),
        Kind::ContractRolled => rolled(event, &who),
        Kind::FeedDown => format!("{} is DOWN ({})", feed(event), event.reason.as_str()),
        Kind::FeedUp => format!("{} is back{}", feed(event), after(said)),
        Kind::FeedQuiet => format!("{} is QUIET: no {who} print in an open session", feed(event)),
        Kind::FeedQuarantined => quarantined(event, &who),
        Kind::ChannelFailing => format!("{} {}", channel(event), failing(event.reason)),
        Kind::ChannelRecovered => format!("{} delivers again{}", channel(event), after(said)),
        Kind::Digest => digest::what(event),
    };
    inert::line(&sentence, 300)
}

/// What that means; nothing when the fact says it all.
pub(super) fn meaning(event: &Event) -> Option<&'static str> {
    match event.kind {
        Kind::LevelApproached => Some("Not broken yet."),
        Kind::LevelCrossed => {
            Some("Beyond the threshold; its confirmation is awaited, nothing is established.")
        }
        Kind::LevelBroken | Kind::RecordSet => broken_means(event.reason),
        Kind::LevelRejected => Some("Price came into the zone and turned away without a break."),
        Kind::LevelRetested => Some("After the break, price came back to the level. It holds or fails now."),
        Kind::LevelHeld => Some("The retest held: the level carried the break."),
        Kind::LevelFailed => Some("Price is back behind the level: the break did not last."),
        Kind::LevelRearmed => Some("The next break will be told."),
        Kind::LevelExpired => Some("The rule came to its end. It fires no more."),
        Kind::LevelSuspended => Some("A person must act: breaks of this level are not seen until then."),
        Kind::LevelMoved => Some("The rule watches the new price from now on."),
        Kind::ContractRolled => Some("Levels are watched on the new contract from now on."),
        Kind::FeedDown => Some("Levels on this feed are not watched until it is back."),
        Kind::FeedUp => Some("Levels are watched again. What broke meanwhile is told as a gap."),
        Kind::FeedQuiet => Some("Connected, but prints are missing: a break could go unseen."),
        Kind::FeedQuarantined => Some("It fires nothing unless a second print or a quote agrees."),
        Kind::ChannelFailing if event.reason == Reason::GaveUp => {
            Some("The message is kept, is listed as dead, and can be sent again by hand.")
        }
        Kind::ChannelFailing => Some("Its messages are kept and tried again."),
        Kind::ChannelRecovered => Some("What was kept is sent now, marked as late."),
        Kind::Digest if event.reason == Reason::HeldBack => {
            Some("Kept back until now, as asked. Each is recorded by itself and can be listed.")
        }
        Kind::Digest => Some("One message for all of them. Each is recorded by itself and can be listed."),
    }
}

const fn broken_means(reason: Reason) -> Option<&'static str> {
    if matches!(reason, Reason::Gap) {
        Some("Nobody saw it cross: the first price after an unwatched time lies beyond.")
    } else if matches!(reason, Reason::SeenByDayHigh) {
        Some("No print showed it; the day's high or low on the feed does.")
    } else {
        None
    }
}

fn approached(event: &Event, who: &str, level: &str) -> String {
    let side = match event.side {
        Some(Side::Support) => "above",
        Some(Side::Resistance) | None => "below",
    };
    priced(
        event,
        match Said(&event.numbers).text("distance_ticks") {
            Some(one) if one == "1" => format!("{who} is 1 tick {side} {level}"),
            Some(ticks) => format!("{who} is {ticks} ticks {side} {level}"),
            None => format!("{who} nears {level} from {side}"),
        },
    )
}

const fn broke(event: &Event) -> &'static str {
    if matches!(event.reason, Reason::Gap) { "gapped over" } else { "broke" }
}

const fn direction(event: &Event) -> &'static str {
    match event.side {
        Some(Side::Support) => "down",
        Some(Side::Resistance) | None => "up",
    }
}

/// On which side of the level price is after its break.
const fn beyond(event: &Event) -> &'static str {
    match event.side {
        Some(Side::Support) => "below",
        Some(Side::Resistance) | None => "above",
    }
}

fn record(event: &Event, who: &str) -> String {
    let old = event.level_price.map(|old| format!(", was {}", old.grouped())).unwrap_or_default();
    match event.price {
        Some(price) => format!("{who} set a record: {}{old}", price.grouped()),
        None => format!("{who} set a record{old}"),
    }
}

fn rolled(event: &Event, who: &str) -> String {
    let to = event.contract.as_ref().map(|contract| format!(" to {}", inert::line(contract, NAME_MAX)));
    format!("{who} rolled{}", to.unwrap_or_default())
}

fn quarantined(event: &Event, who: &str) -> String {
    let price = event.price.map(|price| format!(" {}", price.grouped())).unwrap_or_default();
    format!("{who} print{price} not believed ({})", event.reason.as_str())
}

const fn failing(reason: Reason) -> &'static str {
    if matches!(reason, Reason::GaveUp) { "GAVE UP a message" } else { "does NOT DELIVER" }
}

fn after(said: Said<'_>) -> String {
    said.millis("down_ms").map(|length| format!(" after {length}")).unwrap_or_default()
}

/// The sentence with the price that established the fact.
fn priced(event: &Event, sentence: String) -> String {
    match event.price {
        Some(price) => format!("{sentence}: {}", price.grouped()),
        None => sentence,
    }
}

fn who(event: &Event) -> String {
    event.instrument.as_ref().map_or_else(|| "market".to_owned(), |name| inert::line(name, NAME_MAX))
}

/// The level as it is spoken of: by its price, or by its name when it has none.
fn level(event: &Event) -> String {
    match (event.level_price, event.level_space, &event.level) {
        (Some(price), Some(Space::Index), _) => format!("index {}", price.grouped()),
        (Some(price), Some(Space::Contract) | None, _) => price.grouped(),
        (None, _, Some(name)) => format!("level \"{}\"", inert::line(name, NAME_MAX)),
        (None, _, None) => "a level".to_owned(),
    }
}

fn feed(event: &Event) -> String {
    Said(&event.numbers)
        .text("feed")
        .map_or_else(|| "The feed".to_owned(), |name| format!("Feed {}", inert::clip(&name, NAME_MAX)))
}

fn channel(event: &Event) -> String {
    Said(&event.numbers)
        .text("channel")
        .map_or_else(|| "A channel".to_owned(), |name| format!("Channel {}", inert::clip(&name, NAME_MAX)))
}
