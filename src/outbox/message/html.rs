//! The HTML part of the mail: the same facts, readable at the width of a phone, in light and dark.

use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, context};

use crate::event::{Event, Severity};
use crate::outbox::message::{Context, Parts, inert, picture_id};

const NAME: &str = "mail.html";
/// Steps of the template engine; the template needs a few hundred.
const FUEL: u64 = 50_000;

static TEMPLATES: LazyLock<Option<Environment<'static>>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_fuel(Some(FUEL));
    templates.add_template(NAME, include_str!("mail.html")).ok()?;
    Some(templates)
});

/// The mail; if the template cannot be rendered, the plain facts in its place.
pub(super) fn mail(event: &Event, context: &Context, parts: &Parts) -> String {
    let plain = || format!("<pre>{}</pre>", escape(&super::text::plain(parts)));
    render(event, context, parts).unwrap_or_else(plain)
}

fn render(event: &Event, context: &Context, parts: &Parts) -> Option<String> {
    let facts: Vec<_> = parts
        .facts
        .iter()
        .map(|fact| context! { label => fact.label.as_str(), value => fact.value.as_str(), link => link(&fact.value) })
        .collect();
    let values = context! {
        what => parts.what.as_str(),
        mark => parts.prefix.trim_end_matches([':', ' ']),
        marks => &parts.marks,
        meaning => parts.meaning,
        kind => event.kind.as_str(),
        colour => colour(event.severity),
        picture => context.picture.then(|| picture_id(&event.id)),
        facts => facts,
        page => context.url.as_deref().map(|url| inert::line(url, 1_000)).filter(|url| link(url)),
    };
    TEMPLATES.as_ref()?.get_template(NAME).ok()?.render(values).ok()
}

/// Only what is plainly a web address becomes a link; `javascript:` does not.
fn link(value: &str) -> bool {
    (value.starts_with("https://") || value.starts_with("http://")) && !value.contains(char::is_whitespace)
}

/// Readable as a bar on white and on black.
const fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "#6b7280",
        Severity::Normal => "#2563eb",
        Severity::High => "#d97706",
        Severity::Critical => "#dc2626",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
