//! Lines.

use super::*;
use crate::deliver::console::Console;

async fn lines(colour: bool) -> String {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let channel = Channel::Console(Console::new(theirs, colour));
    let post = broken();
    assert_outcome(&channel.attempt(&post.letter("")).await, "accepted", "written");
    drop(channel);
    let mut text = String::new();
    let mut ours = ours;
    tokio::io::AsyncReadExt::read_to_string(&mut ours, &mut text).await.unwrap();
    text
}

#[tokio::test]
async fn an_alert_is_one_line() {
    let id = broken().event.id;
    let expected = format!("HIGH     RTY broke 2,500.0 up: 2,500.4 at 14:31:07 CT (RTYZ6)  {id}\n");
    assert_eq!(lines(false).await, expected);
    assert!(lines(true).await.starts_with("\u{1b}[1;33mHIGH    \u{1b}[0m RTY broke"));
}

#[tokio::test]
async fn a_closed_output_is_a_reason_to_try_later() {
    let (ours, theirs) = tokio::io::duplex(64);
    drop(ours);
    let channel = Channel::Console(Console::new(theirs, false));
    assert_outcome(&channel.attempt(&broken().letter("")).await, "deferred", "does not take a line");
}
