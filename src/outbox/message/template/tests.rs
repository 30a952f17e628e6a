//! Templates: what is refused, what is escaped, and that no alert is lost to one.

use serde_json::{Value as Json, json};

use super::*;
use crate::outbox::message::formats::tradingview;
use crate::outbox::message::sample;

fn with(source: &str, form: Form) -> Templates {
    let template = Template::new(source, form).unwrap_or_else(|error| panic!("{}", said(&error)));
    Templates::new(vec![template], Exchanges::default())
}

fn refused(source: &str, form: Form) -> String {
    said(&Template::new(source, form).unwrap_err())
}

/// The error with its cause.
fn said(error: &TemplateError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

fn rendered(source: &str, form: Form, event: &Event) -> Message {
    let (message, failed) = with(source, form).render(event, &sample::context());
    assert_eq!(failed, None);
    message
}

fn broken() -> Event {
    sample::event(Kind::LevelBroken)
}

/// The break of a level with this note.
fn noted(note: &str) -> Event {
    let mut event = broken();
    event.about.note = Some(note.to_owned());
    event
}

fn json_of(source: &str, event: &Event) -> Json {
    serde_json::from_str(&rendered(source, Form::Object, event).body.unwrap()).unwrap()
}

#[test]
fn every_variable_has_its_value() {
    let event = broken();
    let context = sample::context();
    let parts = Parts::new(&event, &context);
    let values = values::values(&event, &context, &parts, &Exchanges::default());
    let known: BTreeSet<&str> = values::names().collect();
    let there: BTreeSet<String> = values.try_iter().unwrap().map(|key| key.to_string()).collect();
    assert_eq!(there.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    let source = values::names().map(|name| format!("{name}={{{{ {name} }}}}\n")).collect::<String>();
    insta::assert_snapshot!("variables", rendered(&source, Form::Text, &event).text);
}

#[test]
fn the_built_in_words_are_as_without_templates() {
    for &kind in Kind::ALL {
        let event = sample::event(kind);
        let (message, failed) = Templates::default().render(&event, &sample::context());
        assert_eq!((message, failed), (Message::render(&event, &sample::context()), None));
    }
}

#[test]
fn one_template_changes_what_it_is_for_and_nothing_else() {
    let event = broken();
    let built_in = Message::render(&event, &sample::context());
    let message = rendered("{{ instrument }}: {{ price|grouped }}", Form::Line, &event);
    assert_eq!(message.subject, "RTY: 2,500.4");
    assert_eq!(
        (&message.text, &message.html, &message.slack),
        (&built_in.text, &built_in.html, &built_in.slack)
    );
    let message = rendered(
        "{{ what }}\n{% for f in facts %}\n{{ f.label }}={{ f.value }}\n{% endfor %}",
        Form::Text,
        &event,
    );
    assert!(
        message.text.starts_with("RTY broke 2,500.0 up: 2,500.4\nPrice=2,500.4 (RTYZ6)\nLevel="),
        "{}",
        message.text
    );
    assert_eq!(message.subject, built_in.subject);
}

#[test]
fn mistakes_are_told_with_their_line_and_what_would_be_right() {
    let told = [
        ("a\n{{ prise }}", Form::Text),
        ("a\n{{ numbers.day_hihg }}", Form::Text),
        ("{{ zzzzzz }}", Form::Text),
        ("a\n\n{{ price", Form::Text),
        ("{{ price|safe }}", Form::Text),
        ("{{ price|nonsense }}", Form::Text),
        ("{% include \"/etc/passwd\" %}", Form::Text),
        ("{{ strategy.order.action }}", Form::Alert),
        ("{% for i in range(100000) %}x{% endfor %}", Form::Text),
        ("{% for i in range(9999) %}{{ \"x\" * 2000 }}{% endfor %}", Form::Text),
        ("{% if price %}x{% endif %}", Form::Text),
        ("{{ \"y\" * 250000 }}", Form::Html),
        ("{{ price + side }}", Form::Text),
        ("{ \"a\": {{ price }}, }", Form::Object),
        ("{ \"a\": \"\\{{ note }}\" }", Form::Object),
        ("[1]", Form::Object),
        ("{ \"username\": \"x\" }", Form::Discord),
        ("{ \"text\": \"\" }", Form::Blocks),
        (
            "{ \"blocks\": [{ \"type\": \"header\", \"text\": { \"type\": \"plain_text\", \"text\": \"{{ note }}\" } }] }",
            Form::Blocks,
        ),
        ("\u{f5a00}", Form::Text),
    ];
    let lines: Vec<String> =
        told.iter().map(|(source, form)| format!("{source:?}: {}", refused(source, *form))).collect();
    insta::assert_snapshot!("mistakes", lines.join("\n"));
    let long = "x".repeat(SOURCE_MAX + 1);
    assert!(refused(&long, Form::Text).contains("65537 bytes"));
}

#[test]
fn no_value_ends_a_string_or_adds_a_key() {
    let evil = "x\", \"admin\": true, \"y\": \"\\";
    let source = r#"{ "in": "a {{ note }} b", "alone": {{ note }}, "exact": {{ note|tojson }}, {{ note }}: 1,
        "list": [{{ tags }}, {{ level }}, {{ level|tojson }}], "within": "{{ tags }}", "as text": "{{ note|tojson }}",
        {% set kept %}{{ note }}{% endset %}"kept": "{{ kept }}",
        {% filter upper %}"filtered": 1{% endfilter %},
        "none": {{ none }}, "nothing": "{{ none }}", "test": {{ test }}, "price": {{ price }} }"#;
    // A value as a key only works when it is known.
    let refused = refused(source, Form::Object);
    assert!(refused.contains("no valid JSON") || refused.contains("key"), "{refused}");
    let source = source.replace("{{ note }}: 1,", "");
    let body =
        json_of(&source.replace("{% filter upper %}\"filtered\": 1{% endfilter %},", ""), &noted(evil));
    let expected = json!({
        "in": format!("a {evil} b"),
        "alone": evil,
        "exact": evil,
        "list": [["key", "monthly"], 2500, "2500"],
        "within": "key, monthly",
        "as text": evil,
        "kept": evil,
        "none": null,
        "nothing": "",
        "test": false,
        "price": 2500.4,
    });
    assert_eq!(body, expected);
}

#[test]
fn no_text_becomes_markup() {
    let evil = "<script>alert('1')</script> & \"q\" <!channel> {{ 7 * 7 }} {% raw %}";
    let html = rendered(
        "<a title='{{ note }}'>{{ note }}</a>{% autoescape false %}{{ note }}{% endautoescape %}",
        Form::Html,
        &noted(evil),
    )
    .html;
    assert!(!html.contains("<script") && !html.contains("'1'") && html.contains("{{ 7 * 7 }}"), "{html}");
    assert_eq!(html.matches("&lt;script&gt;").count(), 3);
    let slack = rendered("*{{ note }}*", Form::Mrkdwn, &noted(evil)).slack;
    assert_eq!(
        slack["text"],
        format!("*{}*", evil.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
    );
    let kept = "{% set kept %}<{{ note }}>{% endset %}{{ kept }}";
    let said = rendered(kept, Form::Mrkdwn, &noted("a & b")).slack;
    assert_eq!(said["text"], "<a &amp; b>");
    let source = r#"{ "text": "{{ note }}", "blocks": [{ "type": "divider" }] }"#;
    assert!(
        !with(source, Form::Blocks)
            .render(&noted(evil), &sample::context())
            .0
            .slack
            .to_string()
            .contains("<!channel>")
    );
    let subject = rendered("{{ note or what }}", Form::Line, &noted("a\r\nBcc: b\u{202e}")).subject;
    assert_eq!(subject, "a Bcc: b");
    let mut linked = broken();
    linked.about.url = Some("javascript:alert(1)".into());
    assert_eq!(rendered("<a href=\"{{ url }}\">x</a>", Form::Html, &linked).html, "<a href=\"\">x</a>");
}

#[test]
fn what_is_late_a_test_or_a_rehearsal_says_so_whatever_the_template_says() {
    let event = Event { rehearsal: true, late: true, ..broken() };
    let context = Context { test: true, ..sample::context() };
    let render = |source, form| with(source, form).render(&event, &context).0;
    assert_eq!(render("{{ price or kind }}", Form::Line).subject, "TEST REHEARSAL LATE 35 ms: 2500.4");
    assert_eq!(render("{{ price or kind }}", Form::Text).text, "TEST REHEARSAL LATE 35 ms: 2500.4");
    assert_eq!(
        render("{{ prefix }}{{ price or kind }}", Form::Text).text,
        "TEST REHEARSAL LATE 35 ms: 2500.4"
    );
    let html = render("<html><body class=\"a\"><p>x</p></body></html>", Form::Html).html;
    assert_eq!(
        html,
        "<html><body class=\"a\"><p><strong>TEST REHEARSAL LATE 35 ms</strong></p><p>x</p></body></html>"
    );
}

#[test]
fn a_body_that_cannot_tell_what_happened_is_not_used_for_it() {
    let mute = with(r#"{ "ticker": "{{ ticker }}", "action": "buy" }"#, Form::Alert);
    let body =
        |templates: &Templates, event: &Event, context: &Context| templates.render(event, context).0.body;
    let context = sample::context();
    assert_eq!(body(&mute, &broken(), &context).unwrap(), r#"{ "ticker": "RTYZ2026", "action": "buy" }"#);
    for kind in [Kind::Digest, Kind::FeedDown, Kind::ContractRolled, Kind::ChannelRecovered, Kind::LevelMoved]
    {
        assert_eq!(body(&mute, &sample::event(kind), &context), None, "{kind}");
    }
    let rehearsed = Event { rehearsal: true, ..broken() };
    let test = Context { test: true, ..context.clone() };
    assert_eq!(body(&mute, &rehearsed, &context), None);
    assert_eq!(body(&mute, &broken(), &test), None);
    // It is not tried with what it is not used for.
    with(r#"{ "twice": {{ price|float * 2 }} }"#, Form::Alert);
    let told = with(r#"{ "a": "{{ kind }}", "t": {{ test }}, "r": {{ rehearsal }} }"#, Form::Alert);
    assert!(body(&told, &sample::event(Kind::Digest), &context).is_some());
    assert!(body(&told, &rehearsed, &test).is_some());
}

#[test]
fn a_template_that_fails_at_work_leaves_the_built_in_words() {
    // Only this many tags make it fail, and no trial has them.
    let source = "{% for a in tags %}{% for b in tags %}{% for c in tags %}{{ a ~ b ~ c }}{% endfor %}{% endfor %}{% endfor %}x";
    let mut event = broken();
    event.about.tags = vec!["x".repeat(100); 50];
    let (message, failed) = with(source, Form::Text).render(&event, &sample::context());
    assert_eq!(failed.unwrap(), Failed { form: Form::Text, error: TemplateError::Endless });
    assert_eq!(message, Message::render(&event, &sample::context()));
}

#[test]
fn tradingview_takes_json_and_text() {
    let text = "{{exchange}}:{{ticker}}, price = {{close}}, volume = {{volume}} at {{time}}, now {{timenow}}";
    let event = sample::event(Kind::LevelRejected);
    let body = rendered(text, Form::Alert, &event).body.unwrap();
    assert_eq!(
        body,
        "CME_MINI:RTYZ2026, price = 2495.0, volume = 318 at 2026-11-30T20:31:07Z, now 2026-11-30T20:31:07Z"
    );
    let hidden = "{% if kind %}{ \"a\": \"{{ note }}\" }{% endif %}";
    let body = rendered(hidden, Form::Alert, &noted("\"")).body.unwrap();
    assert_eq!(serde_json::from_str::<Json>(&body).unwrap(), json!({ "a": "\"" }));
}

#[test]
fn the_body_for_tradingview_is_the_same_with_and_without_its_template() {
    let mut events: Vec<Event> = Kind::ALL.iter().map(|&kind| sample::event(kind)).collect();
    events.extend([sample::index_break(), noted("x\"\\"), Event { rehearsal: true, ..broken() }]);
    for event in events {
        let message = rendered(tradingview::TEMPLATE, Form::Alert, &event);
        let made: Json = serde_json::from_str(&message.body.unwrap()).unwrap();
        let at = sample::context().attempted_at;
        assert_eq!(made, tradingview::body(&event, &message.words, at), "{}", event.kind);
    }
}

#[test]
fn what_slack_would_refuse_for_its_length_is_cut() {
    let source = r#"{ "text": "{{ note }}", "blocks": [
        { "type": "header", "text": { "type": "plain_text", "text": "{{ note or what }}" } },
        { "type": "section", "fields": [{ "type": "plain_text", "text": "{{ note or what }}{{ note }}{{ note }}" }] }] }"#;
    let slack = rendered(source, Form::Blocks, &noted(&"a&".repeat(500))).slack;
    let header = slack["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(header.chars().count() <= 150 && header.ends_with("&amp;a…"), "{header}");
    assert!(slack["blocks"][1]["fields"][0]["text"].as_str().unwrap().chars().count() <= 2_000);
    assert!(slack["text"].as_str().unwrap().chars().count() <= 4_000);
}

#[test]
fn ntfy_and_telegram_take_a_text_of_ones_own() {
    use crate::outbox::message::formats::{ntfy, telegram};
    let title = Template::new("{{ instrument }} {{ kind }}", Form::Line).unwrap();
    let text = Template::new("{{ what }}\n\nat {{ occurred_at }}\n", Form::Text).unwrap();
    let event = broken();
    let (message, failed) =
        Templates::new(vec![title, text], Exchanges::default()).render(&event, &sample::context());
    assert_eq!(failed, None);
    let body = ntfy::body(&event, &message.words, "topic");
    assert_eq!(body["title"], "RTY level.broken");
    let told = "RTY broke 2,500.0 up: 2,500.4\n\nat 14:31:07.250 CT on Mon 30 Nov 2026";
    assert_eq!(body["message"], told);
    let telegram =
        |message: &Message| telegram::body(&event, &message.words, &telegram::Chat::Id(1))["text"].clone();
    assert_eq!(telegram(&message), told);
    let long = telegram(&rendered("{{ \"y\" * 9000 }}", Form::Text, &event));
    assert_eq!(long.as_str().unwrap().chars().count(), 1_024);
}

#[test]
fn nobody_is_mentioned_on_discord_by_a_name() {
    let body = rendered(r#"{ "content": "{{ what }}: {{ note }}" }"#, Form::Discord, &noted("@everyone"))
        .body
        .unwrap();
    let body: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(body["allowed_mentions"], json!({ "parse": [] }));
}

#[test]
fn instruments_that_are_configured_have_their_exchange() {
    let event = Event { instrument: Some("CL".into()), contract: None, ..broken() };
    let at = |mic: &str| tradingview::exchange(&event, &Exchanges::from([("CL".to_owned(), mic.to_owned())]));
    assert_eq!((at("XNYM").as_deref(), at("XXXX").as_deref()), (Some("NYMEX"), Some("XXXX")));
    assert_eq!(tradingview::ticker(&event).as_deref(), Some("CL1!"));
    let ym = Event { instrument: Some("YM".into()), contract: Some("YMH7".into()), ..broken() };
    assert_eq!(tradingview::exchange(&ym, &Exchanges::new()).as_deref(), Some("CBOT_MINI"));
    assert_eq!(tradingview::ticker(&ym).as_deref(), Some("YMH2027"));
}

proptest::proptest! {
    #[test]
    fn json_stays_json_whatever_a_name_holds(text in proptest::prelude::any::<String>()) {
        let source = r#"{ "in": "a{{ note }}b", "alone": {{ note }}, "list": [{{ note|tojson }}, {{ level }}], "last": 1 }"#;
        let template = Template { source: source.to_owned(), form: Form::Object, json: true, asks: BTreeSet::new() };
        let mut event = noted(&text);
        event.level = Some(text);
        let (message, failed) = Templates::new(vec![template], Exchanges::default()).render(&event, &sample::context());
        proptest::prop_assert_eq!(failed, None);
        let body: Json = serde_json::from_str(&message.body.unwrap()).unwrap();
        proptest::prop_assert_eq!(body.as_object().unwrap().len(), 4);
        proptest::prop_assert_eq!(body["list"].as_array().unwrap().len(), 2);
        proptest::prop_assert_eq!(&body["last"], 1);
    }
}

/// The documentation's table is this module's.
#[test]
fn the_documentation_has_every_variable() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with("| **")).collect();
    let table: Vec<String> =
        values::VARIABLES.iter().map(|(name, meaning)| format!("| **{name}** | {meaning} |")).collect();
    assert_eq!(rows, table);
}
