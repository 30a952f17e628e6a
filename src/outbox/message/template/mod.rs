//! Words of one's own: texts in the syntax of Jinja, checked before they are needed.
//!
//! A [`Template`] that exists has been rendered for every kind of event, late and as a test, with short, long and
//! hostile names; still, whoever renders one gets the built-in words when it fails. `values` says what a
//! template can ask for, `engine` runs it within limits, `json` and the [`Form`] decide how values are escaped.
//! No template reads a file, and no value can become more than a value.

mod engine;
mod finish;
mod json;
#[cfg(test)]
mod tests;
mod trial;
pub mod values;

use std::collections::BTreeSet;

use minijinja::Value;
use thiserror::Error;

use crate::event::{Event, Kind};
use crate::outbox::message::{Context, Message, Parts};
use values::Exchanges;

/// The longest template, in bytes.
pub const SOURCE_MAX: usize = 64 * 1024;
/// Who asks for one of these can tell one kind of event from another.
const TELL_KIND: &[&str] = &["kind", "what", "headline", "subject"];
/// Who asks for one of these tells every mark: test, rehearsal, late.
const TELL_MARKS: &[&str] = &["prefix", "marks", "headline", "subject"];

/// What a template makes, and with that how its values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A subject or title: one line.
    Line,
    /// Plain text.
    Text,
    /// The HTML part of a mail.
    Html,
    /// A Slack message in mrkdwn.
    Mrkdwn,
    /// A Slack message in JSON: `text`, `blocks` or both.
    Blocks,
    /// A JSON object.
    Object,
    /// A JSON object for Discord.
    Discord,
    /// JSON or text, as TradingView sends it.
    Alert,
}

/// Why a template is refused, or failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// Too long to be a template.
    #[error("is {bytes} bytes long; a template is at most {SOURCE_MAX} bytes")]
    TooLarge {
        /// How long it is.
        bytes: usize,
    },
    /// It holds a character that marks values here.
    #[error(
        "line {line}: holds a character of Unicode's private use (U+F5A00 to U+F5A02), which stands for nothing"
    )]
    Private {
        /// Where.
        line: usize,
    },
    /// A variable that does not exist.
    #[error("line {line}: there is no {name:?}{hint}")]
    Unknown {
        /// Where.
        line: usize,
        /// The name.
        name: String,
        /// What there is.
        hint: String,
    },
    /// It cannot be read, or asks for what is not there.
    #[error("line {line}: {what}")]
    Wrong {
        /// Where.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// It does not end.
    #[error(
        "does not come to an end within {} steps; a template is for a message, not for computing",
        engine::FUEL
    )]
    Endless,
    /// It gives too much.
    #[error("gives {bytes} bytes; at most {max} are sent")]
    TooLong {
        /// How much.
        bytes: usize,
        /// How much is allowed.
        max: usize,
    },
    /// It gives nothing.
    #[error("gives nothing")]
    Empty,
    /// What it gives is not JSON.
    #[error(
        "gives no valid JSON: {what} at {near:?}; write \"{{{{ name }}}}\" for text, {{{{ name }}}} for a value"
    )]
    NotJson {
        /// What is wrong.
        what: String,
        /// What stands there.
        near: String,
    },
    /// What it gives is JSON, but not what the service takes.
    #[error("gives JSON that is not taken: {0}")]
    NotTaken(String),
    /// It failed for one kind of event.
    #[error("for {event}")]
    For {
        /// Which event.
        event: String,
        /// Why.
        source: Box<Self>,
    },
}

/// One checked template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    source: String,
    form: Form,
    /// Its values are escaped as in JSON.
    json: bool,
    /// The variables that it asks for.
    asks: BTreeSet<String>,
}

/// The templates of one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    list: Vec<Template>,
    exchanges: Exchanges,
}

/// A template that failed at work; the built-in words went out in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it should have made.
    pub form: Form,
    /// Why it did not.
    pub error: TemplateError,
}

impl Template {
    /// Reads a template and tries it with every kind of event.
    ///
    /// # Errors
    /// When it cannot be read, or fails for an event of any kind.
    pub fn new(source: &str, form: Form) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_MAX {
            return Err(TemplateError::TooLarge { bytes: source.len() });
        }
        if let Some(line) = source.lines().position(|line| line.contains(json::MARKS)) {
            return Err(TemplateError::Private { line: line.saturating_add(1) });
        }
        let asks = engine::asks(source)?;
        let json = match form {
            Form::Line | Form::Text | Form::Html | Form::Mrkdwn => false,
            Form::Blocks | Form::Object | Form::Discord => true,
            Form::Alert => looks_like_json(source),
        };
        let template = Self { source: source.to_owned(), form, json, asks };
        template.check().map(|()| template)
    }

    fn check(&self) -> Result<(), TemplateError> {
        let failed = |trial: &trial::Trial, error| TemplateError::For {
            event: trial.name.clone(),
            source: Box::new(error),
        };
        engine::with(&self.source, self.escape(), |render| {
            let used = |trial: &&trial::Trial| self.can_tell(trial.kind, trial.rehearsal, trial.test);
            trial::trials().iter().filter(used).try_for_each(|trial| {
                let made = render(&trial.values);
                let sent = made.and_then(|raw| finish::finish(self.form, self.json, &raw, &trial.parts));
                sent.map(drop).map_err(|error| failed(trial, error))
            })
        })?
    }

    fn render(&self, values: &Value, parts: &Parts) -> Result<String, TemplateError> {
        let raw = engine::run(&self.source, self.escape(), values)?;
        finish::finish(self.form, self.json, &raw, parts)
    }

    const fn escape(&self) -> engine::Escape {
        match self.form {
            Form::Html => engine::Escape::Html,
            Form::Mrkdwn => engine::Escape::Slack,
            Form::Blocks => engine::Escape::SlackJson,
            Form::Line | Form::Text | Form::Object | Form::Discord | Form::Alert if self.json => {
                engine::Escape::Json
            }
            Form::Line | Form::Text | Form::Object | Form::Discord | Form::Alert => engine::Escape::Plain,
        }
    }

    /// Whether what it makes can tell this event from others. A body that only ever says "this price, now" is a
    /// lie about a feed, a digest or a test, and whoever trades by it would act on it.
    fn can_tell(&self, kind: Kind, rehearsal: bool, test: bool) -> bool {
        match self.form {
            // Marks are added to these, and people read them.
            Form::Line | Form::Text | Form::Html | Form::Mrkdwn => return true,
            Form::Blocks | Form::Object | Form::Discord | Form::Alert => {}
        }
        let asks = |names: &[&str]| names.iter().any(|name| self.asks.contains(*name));
        (is_of_one_level(kind) || asks(TELL_KIND))
            && (!test || asks(&["test"]) || asks(TELL_MARKS))
            && (!rehearsal || asks(&["rehearsal"]) || asks(TELL_MARKS))
    }
}

/// Whether a template of unknown form gives JSON: it does when the first that it gives by itself is a bracket.
fn looks_like_json(source: &str) -> bool {
    let gives = |trial: &trial::Trial| {
        let raw = engine::run(source, engine::Escape::Plain, &trial.values).unwrap_or_default();
        raw.trim_start().starts_with(['{', '['])
    };
    trial::trials().iter().take(Kind::ALL.len()).any(gives)
}

/// A fact about one level or one price.
const fn is_of_one_level(kind: Kind) -> bool {
    match kind {
        Kind::LevelApproached
        | Kind::LevelCrossed
        | Kind::LevelBroken
        | Kind::LevelRejected
        | Kind::LevelRetested
        | Kind::LevelHeld
        | Kind::LevelFailed
        | Kind::LevelRearmed
        | Kind::RecordSet => true,
        Kind::LevelExpired
        | Kind::LevelSuspended
        | Kind::LevelMoved
        | Kind::ContractRolled
        | Kind::FeedDown
        | Kind::FeedUp
        | Kind::FeedQuiet
        | Kind::FeedQuarantined
        | Kind::ChannelFailing
        | Kind::ChannelRecovered
        | Kind::Digest => false,
    }
}

impl Templates {
    /// These templates; `exchanges` knows where configured instruments are traded.
    #[must_use]
    pub const fn new(list: Vec<Template>, exchanges: Exchanges) -> Self {
        Self { list, exchanges }
    }

    /// The message of `event` in these words, and in the built-in ones where there is no template, where one
    /// could not tell what happened, and where one failed, which is told beside it.
    #[must_use]
    pub fn render(&self, event: &Event, context: &Context) -> (Message, Option<Failed>) {
        let mut message = Message::render(event, context);
        if self.list.is_empty() {
            return (message, None);
        }
        let parts = Parts::new(event, context);
        let values = values::values(event, context, &parts, &self.exchanges);
        let mut failed = None;
        for template in
            self.list.iter().filter(|template| template.can_tell(event.kind, event.rehearsal, context.test))
        {
            match template.render(&values, &parts) {
                Ok(text) => put(&mut message, template.form, text),
                Err(error) => failed = Some(Failed { form: template.form, error }),
            }
        }
        (message, failed)
    }
}

fn put(message: &mut Message, form: Form, text: String) {
    match form {
        Form::Line => {
            message.words.say_headline(&text);
            message.subject = text;
        }
        Form::Text => {
            message.words.say_text(&text);
            message.text = text;
        }
        Form::Html => message.html = text,
        Form::Mrkdwn => message.slack = serde_json::json!({ "text": text }),
        // What was rendered has been parsed before.
        Form::Blocks => message.slack = serde_json::from_str(&text).unwrap_or_default(),
        Form::Object | Form::Discord | Form::Alert => message.body = Some(text),
    }
}
