//! The bodies that other services take, one file each: what an event says, within the limits of each vendor.
//!
//! Nothing here sends, and nothing here keeps a secret: what a body must carry besides the words is an argument.

pub mod alertmanager;
pub mod discord;
pub mod ntfy;
pub mod pagerduty;
pub mod teams;
pub mod telegram;
#[cfg(test)]
mod tests;
pub mod tradingview;

use crate::event::{Event, Kind};
use crate::outbox::message::facts::Fact;
use crate::outbox::message::{Context, Parts, inert, text};

/// The longest address that is given as a link.
const LINK_MAX: usize = 1_000;

/// What a message says, before it has a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The fact, its time and its contract, on one line.
    headline: String,
    /// What it means, and what its marks (late, rehearsal, test) mean.
    lines: Vec<String>,
    /// Everything else.
    facts: Vec<Fact>,
    /// The thread's page, when it can stand as a link.
    page: Option<String>,
    /// A test of the channel: it is told as something that happens, whatever its kind.
    test: bool,
    /// What a template says in place of lines and facts.
    own_text: Option<String>,
}

impl Words {
    pub(super) fn new(event: &Event, context: &Context, parts: &Parts) -> Self {
        let meaning = parts.meaning.map(str::to_owned);
        Self {
            headline: text::headline(event, context, parts),
            lines: meaning.into_iter().chain(parts.marks.iter().cloned()).collect(),
            facts: parts.facts.clone(),
            page: context.url.clone().filter(|url| is_link(url)),
            test: context.test,
            own_text: None,
        }
    }

    /// Puts a line of one's own in place of the headline.
    pub(super) fn say_headline(&mut self, line: &str) {
        line.clone_into(&mut self.headline);
    }

    /// Puts a text of one's own in place of everything below the headline.
    pub(super) fn say_text(&mut self, text: &str) {
        self.own_text = Some(text.to_owned());
    }
}

/// What an event is for a service that keeps alerts open until they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Open from now on, until the same thread ends.
    Begins,
    /// What began in this thread is over.
    Ends,
    /// Worth telling, and has no end.
    Happens,
}

impl Course {
    const fn of(kind: Kind, test: bool) -> Self {
        if test {
            return Self::Happens;
        }
        match kind {
            Kind::LevelBroken | Kind::FeedDown | Kind::FeedQuiet | Kind::ChannelFailing => Self::Begins,
            Kind::LevelFailed
            | Kind::LevelRearmed
            | Kind::LevelExpired
            | Kind::FeedUp
            | Kind::ChannelRecovered => Self::Ends,
            Kind::LevelApproached
            | Kind::LevelCrossed
            | Kind::LevelRejected
            | Kind::LevelRetested
            | Kind::LevelHeld
            | Kind::LevelSuspended
            | Kind::LevelMoved
            | Kind::RecordSet
            | Kind::ContractRolled
            | Kind::FeedQuarantined
            | Kind::Digest => Self::Happens,
        }
    }
}

/// Whether `text` is an address of the web and nothing but that.
pub(super) fn is_link(text: &str) -> bool {
    let web = text.starts_with("https://") || text.starts_with("http://");
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&'+,;=%".contains(&b);
    web && text.len() <= LINK_MAX && text.bytes().all(allowed)
}

/// How long a vendor takes `text` to be: UTF-16 units, which are never fewer than its characters.
fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).fold(0, usize::saturating_add)
}

/// `text`, cut with an ellipsis so that [`length`] is at most `max`, which is at least 1.
fn fitted(text: &str, max: usize) -> String {
    if length(text) <= max {
        return text.to_owned();
    }
    let mut room = max.saturating_sub(1);
    let fits = |c: &char| match room.checked_sub(c.len_utf16()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let kept: String = text.chars().take_while(fits).collect();
    format!("{}…", kept.trim_end())
}

/// The headline on one line of at most `max`.
fn headline(words: &Words, max: usize) -> String {
    fitted(&inert::line(&words.headline, max), max)
}

/// Meaning, marks and facts, or a text of one's own: as many lines as there is room for by the vendor's `measure`.
fn plain(words: &Words, max: usize, measure: impl Fn(&str) -> usize) -> String {
    let facts = words.facts.iter().map(|fact| format!("{}: {}", fact.label, fact.value));
    let lines: Vec<String> = match &words.own_text {
        Some(text) => text.lines().map(str::to_owned).collect(),
        None => words.lines.iter().cloned().chain(facts).collect(),
    };
    let mut text = String::new();
    for line in lines {
        let size = measure(&text).saturating_add(measure(&line)).saturating_add(1);
        if size > max {
            // No message is empty because its first line is long. A character has at most four of any unit.
            if text.is_empty() {
                text = inert::clip(&line, max / 4);
            }
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}
