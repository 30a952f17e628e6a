//! In which words one channel tells: its templates, and the built-in words when one of them fails.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use crate::event::Event;
use crate::outbox::message::template::Templates;
use crate::outbox::message::{Context, Message};

/// The words of one channel.
#[derive(Debug, Default)]
pub struct Words {
    templates: Templates,
    /// That one failed has been logged.
    told: AtomicBool,
}

impl Words {
    /// The words of a channel with these templates.
    #[must_use]
    pub const fn new(templates: Templates) -> Self {
        Self { templates, told: AtomicBool::new(false) }
    }

    /// The message of `event`. No template can hold it up: the first failure is logged, and the built-in words
    /// go out.
    pub fn render(&self, channel: &str, event: &Event, context: &Context) -> Message {
        let (message, failed) = self.templates.render(event, context);
        if let Some(failed) = failed
            && !self.told.swap(true, Ordering::Relaxed)
        {
            let (id, form, error) = (&event.id, failed.form, &failed.error);
            warn!(channel, %id, ?form, %error, "a template failed; the built-in words are sent in its place");
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;
    use crate::outbox::message::sample;
    use crate::outbox::message::template::values::Exchanges;
    use crate::outbox::message::template::{Form, Template};

    #[test]
    fn a_template_that_fails_leaves_the_built_in_words_and_is_logged_once() {
        let source = "x{% for a in tags %}{% for b in tags %}{% for c in tags %}{{ a ~ b ~ c }}{% endfor %}{% endfor %}{% endfor %}";
        let templates =
            Templates::new(vec![Template::new(source, Form::Text).unwrap()], Exchanges::default());
        let words = Words::new(templates);
        let mut event = sample::event(Kind::LevelBroken);
        assert_ne!(words.render("mail", &event, &sample::context()).text, "");
        assert!(!words.told.load(Ordering::Relaxed));
        event.about.tags = vec!["x".repeat(100); 50];
        for _ in 0..2 {
            let message = words.render("mail", &event, &sample::context());
            assert_eq!(message, Message::render(&event, &sample::context()));
            assert!(words.told.load(Ordering::Relaxed));
        }
    }
}
