//! Templates of channels: which keys each kind has, where they are read from, and what is wrong with them.

use insta::assert_snapshot;

use super::{YEAR, env, good, write, wrong};
use crate::config::Config;

fn mail(template: &str) -> String {
    format!(
        "[[channel]]\nname = \"m\"\nkind = \"email\"\nfrom = \"a@example.com\"\nto = \"b@example.com\"\n\
         template = {template}\nsmtp = {{ host = \"localhost\" }}\n"
    )
}

fn hook(rest: &str) -> String {
    format!("[[channel]]\nname = \"w\"\nkind = \"webhook\"\nurl = \"https://example.com/\"\n{rest}\n")
}

#[test]
fn a_template_is_a_text_or_a_file_beside_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let main = dir.path().join("breakwatch.toml");
    write(&dir.path().join("words/mail.html"), "<p>{{ what }}</p>");
    write(&main, &mail("{ subject = \"{{ headline }}\", html = { file = \"words/mail.html\" } }"));
    let in_file = Config::load(Some(&main), &env(&[]), YEAR).unwrap();
    let in_text = good(&mail("{ subject = \"{{ headline }}\", html = \"<p>{{ what }}</p>\" }"));
    assert_eq!(in_file.channels, in_text.channels);
    assert_ne!(in_file.channels, good(&mail("{ subject = \"{{ headline }}\" }")).channels);

    write(&dir.path().join("words/mail.html"), "<p>\n{{ wat }}</p>");
    let told = Config::load(Some(&main), &env(&[]), YEAR).unwrap_err().to_string();
    assert!(
        told.contains("channel \"m\": template.html: ")
            && told.contains("words/mail.html: line 2: there is no \"wat\"; did you mean \"what\"?"),
        "{told}"
    );
    for (content, expected) in [
        (vec![0xff], "is not UTF-8 text"),
        (vec![b'x'; 70_000], "is longer than 65536 bytes, the most a template has"),
    ] {
        std::fs::write(dir.path().join("words/mail.html"), content).unwrap();
        let told = Config::load(Some(&main), &env(&[]), YEAR).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
    std::fs::remove_file(dir.path().join("words/mail.html")).unwrap();
    let told = Config::load(Some(&main), &env(&[]), YEAR).unwrap_err().to_string();
    assert!(told.contains("words/mail.html\" cannot be read: No such file"), "{told}");
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_channel_and_key() {
    assert_snapshot!(wrong(&mail("{ subject = \"{{ prise }}\", body = \"x\" }")), @r#"
    test.toml: channel "m": template: unknown key "body"; known: subject, text, html
    test.toml: channel "m": template.subject: line 1: there is no "prise"; did you mean "price"?
    "#);
    assert_snapshot!(wrong(&mail("{ text = 5, html = { file = 7 } }")), @r#"
    test.toml: channel "m": template.text: 5 is neither a text nor { file = "…" }
    test.toml: channel "m": template.html.file: 7 is not a text in quotes
    "#);
    assert_snapshot!(wrong(&mail("{}")), @r#"test.toml: channel "m": template: is empty; leave it out for the built-in words"#);
    assert_snapshot!(wrong(&mail("{ text = \"{% if level %}{{ level }}{% endif %}\" }")), @r#"test.toml: channel "m": template.text: for contract.rolled: gives nothing"#);
    assert_snapshot!(wrong("[[channel]]\nname = \"s\"\nkind = \"slack\"\nurl = { env = \"X\" }\ntemplate = { text = \"x\", body = '{ \"text\": \"x\" }' }\n"), @r#"test.toml: channel "s": template.text: stands beside body, which is the whole message with its own text; write one of them"#);
    assert_snapshot!(wrong(&hook("secret = { env = \"X\" }\ntemplate = { body = '{ \"a\": {{ what }' }")), @r#"test.toml: channel "w": template.body: line 1: syntax error: unexpected `}`, expected end of variable block"#);
    assert_snapshot!(wrong(&hook("secret = { env = \"X\" }\ntemplate = { text = \"x\" }")), @r#"test.toml: channel "w": template.text: cannot be written here: this format has only a body"#);
    assert_snapshot!(wrong(&hook("format = \"pagerduty\"\nrouting_key = { env = \"X\" }\ntemplate = { body = \"{}\" }")), @r#"test.toml: channel "w": template.body: cannot be written here: what closes an incident must be told as what opened it was; change the words in PagerDuty"#);
    assert_snapshot!(wrong(&hook("format = \"alertmanager\"\ntemplate = { body = \"[]\" }")), @r#"test.toml: channel "w": template.body: cannot be written here: what ends an alert must carry the labels with which it began; change the words in Alertmanager"#);
    assert_snapshot!(wrong(&hook("format = \"ntfy\"\ntopic = \"x\"\ntemplate = { body = \"{}\" }")), @r#"test.toml: channel "w": template.body: cannot be written here: its topic is a secret, so the body is made here; write subject and text"#);
    assert_snapshot!(wrong(&hook("format = \"tradingview\"\ntemplate = { body = \"{{ticker}} {{open}}\" }")), @r#"test.toml: channel "w": template.body: line 1: there is no "open" here: it is about TradingView's charts and strategies; there are ticker, exchange, close, price, level, volume, time, timenow, side and direction"#);
    assert_snapshot!(wrong("[[channel]]\nname = \"c\"\nkind = \"console\"\ntemplate = { text = \"x\" }\n"), @r#"test.toml: channel "c": unknown key "template"; known: name, kind, group_wait, rate, quiet"#);
}

#[test]
fn each_format_takes_the_templates_that_make_sense_for_it() {
    for rest in [
        "secret = { env = \"X\" }\ntemplate = { body = '{ \"kind\": \"{{ kind }}\" }' }",
        "format = \"tradingview\"\ntemplate = { body = '{{exchange}}:{{ticker}}, price = {{close}}, volume = {{volume}}' }",
        "format = \"tradingview\"",
        "format = \"ntfy\"\ntopic = \"x\"\ntemplate = { subject = \"{{ headline }}\", text = \"{{ what }}\" }",
    ] {
        assert_eq!(good(&hook(rest)).channels.len(), 1);
    }
    for format in ["discord", "teams"] {
        let text = format!(
            "[[channel]]\nname = \"w\"\nkind = \"webhook\"\nurl = {{ env = \"X\" }}\nformat = \"{format}\"\ntemplate = {{ body = '{{ \"content\": \"{{{{ what }}}}\" }}' }}\n"
        );
        assert_eq!(good(&text).channels.len(), 1);
    }
}
