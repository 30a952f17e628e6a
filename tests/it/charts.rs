//! The picture of a level: on the command line, and in the mail.

use std::fmt::Write;
use std::time::Duration;

use crate::support::peers::{Inboxes, LEVELS, feed};
use crate::support::tape::{Tape, print};
use crate::support::{Home, until};

/// 2024-11-25T13:56:00Z, in an open session of RTYZ4.
const START_MS: i64 = 1_732_542_960_000;
/// What was imported is over then.
const AT: &str = "2024-11-25T13:56:00Z";

/// A minute's bar after the other, rising from 2,440 to 2,449.
fn bars() -> String {
    let mut text = "time,open,high,low,close,volume\n".to_owned();
    for minute in 30..56 {
        let price = 2_440 + (minute - 30) * 9 / 26;
        writeln!(text, "2024-11-25T13:{minute}:00Z,{price}.0,{price}.8,{price}.0,{price}.5,10").unwrap();
    }
    text
}

fn with_bars(home: &Home) {
    home.write("bars.csv", &bars());
    home.run(&["import", "bars.csv", "--instrument", "RTYZ4"]).expect(0);
}

/// Width and height.
fn size(png: &[u8]) -> (u32, u32) {
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "not a PNG");
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    (number(16), number(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_shows_the_price_on_its_way_to_the_break() {
    let prices = ["2449.6", "2449.7", "2449.8", "2450.0"];
    let script = prices.iter().zip(1..).map(|(price, n): (_, i64)| print(price, START_MS + n, n));
    let tape = Tape::start(vec![script.collect()], Duration::from_millis(1)).await;
    let inboxes = Inboxes::open().await;
    let home = inboxes.home(&format!("{}{LEVELS}", feed(&tape.url())));
    with_bars(&home);
    let _daemon = home.start("run", &["run", "--rehearse", AT]);
    let mail = until("a mail about the break", || {
        inboxes.mail.received().into_iter().find(|mail| mail.header("Subject").unwrap().contains("broke"))
    })
    .await;
    let html = mail.part("text/html").unwrap();
    let (_, rest) = html.split_once("src=\"cid:").expect("the HTML shows a picture");
    let id = rest.split('"').next().unwrap();
    assert!(html.contains("alt=\"Chart: RTY broke 2,450.0 up: 2,450.0\""), "{html}");
    assert!(mail.data.contains(&format!("Content-ID: <{id}>")), "no part has the name {id}");
    assert!(mail.data.contains("Content-Disposition: inline"), "the picture is not shown in its place");
    assert_eq!(size(&mail.bytes("image/png").unwrap()), (1_080, 720));
    let text = mail.part("text/plain").unwrap();
    assert!(text.contains("RTY broke 2,450.0 up"), "the text says everything: {text}");
    let (plain, related) = (mail.data.find("text/plain"), mail.data.find("multipart/related"));
    assert!(plain.unwrap() < related.unwrap(), "programs without HTML take the first part");
}

#[test]
fn a_level_is_drawn_with_its_neighbours_into_the_file_that_was_named() {
    let extra = "[[level]]\nname = \"pivot R 1\"\ninstrument = \"RTY\"\nprice = \"2446.6\"\n";
    let home = Home::new(&format!("{LEVELS}{extra}"));
    with_bars(&home);
    let svg = home.run(&["chart", "pivot R 1", "--at", AT, "--out", "-"]).expect(0).out;
    for words in
        ["<svg", "pivot R 1: resistance at 2,446.6", "RTYZ4, Mon 25 Nov 2024", ">2,450.0<", ">07:00<", ">CT<"]
    {
        assert!(svg.contains(words), "{words:?} is not in {svg}");
    }
    home.run(&["chart", "pivot R 1", "--at", AT, "--out", "a.svg"]).expect(0);
    assert_eq!(std::fs::read_to_string(home.path("a.svg")).unwrap(), svg);
    home.run(&["chart", "2450", "--at", AT, "--hours", "1", "--out", "a.PNG"]).expect(0);
    assert_eq!(size(&std::fs::read(home.path("a.PNG")).unwrap()), (1_440, 960));
}

#[test]
fn a_picture_that_cannot_be_made_says_why() {
    let home = Home::new(LEVELS);
    let ran = home.run(&["chart", "2450", "--out", "a.gif"]).expect(64);
    assert!(ran.err.contains(".svg or .png"), "{}", ran.err);
    let ran = home.run(&["chart", "2451", "--out", "a.png"]).expect(64);
    assert!(ran.err.contains("there is no level \"2451\""), "{}", ran.err);
    home.run(&["chart", "2450", "--out", "a.png", "--hours", "0"]).expect(64);
    home.run(&["chart", "2450", "--out", "no/such/directory/a.png"]).expect(74);
    let svg = home.run(&["chart", "2450", "--out", "-"]).expect(0).out;
    assert!(svg.contains("no prices recorded"), "without a ledger there is none: {svg}");
}
