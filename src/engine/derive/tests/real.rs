//! Records of the real index and the real futures.

use std::path::Path;
use std::time::Duration;

use super::{deriver, known};
use crate::engine::derive::{Day, News, Source};
use crate::market::price::{Price, TickSize};

/// Days of a file in `../shared/data`; a missing file fails the test.
fn days(file: &str, tick: u32) -> Vec<Day> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(file);
    let text = std::fs::read_to_string(&path);
    let text =
        text.unwrap_or_else(|e| panic!("{}: {e}: this test needs the real data there", path.display()));
    text.lines().skip(1).filter_map(|line| parsed(line, TickSize::from_nanos(tick))).collect()
}

/// `Date,Close,High,Low,Open,Volume` with the noise of binary floats; a row without volume is no day.
fn parsed(line: &str, tick: TickSize) -> Option<Day> {
    let fields: Vec<&str> = line.split(',').collect();
    let date = fields[0].replace('-', "").parse().unwrap();
    let price = |n: usize| tick.round(Price::parse(fields[n], true).unwrap());
    let volume = fields[5].parse().unwrap();
    let (close, high, low, open) = (price(1), price(2), price(3), price(4));
    let unwatched = Duration::ZERO;
    (volume > 0).then_some(Day {
        date,
        open,
        high,
        low,
        close,
        volume,
        rth: None,
        settlement: None,
        unwatched,
    })
}

/// The dates on which the value changed, and to what.
fn changes(source: &Source, days: &[Day]) -> Vec<(i32, Option<Price>)> {
    let mut deriver = deriver(source);
    let mut changes = Vec::new();
    for day in days {
        if deriver.learn(&News::Day(day)) {
            changes.push((day.date, deriver.value().map(|value| value.price)));
        }
    }
    changes
}

fn assert_in_order(found: &[(i32, Option<Price>)], since: i32, wanted: &[(i32, &str)]) {
    let found: Vec<_> = found.iter().filter(|(date, _)| *date >= since).take(wanted.len()).copied().collect();
    let wanted: Vec<_> = wanted.iter().map(|(date, price)| (*date, known(price))).collect();
    assert_eq!(found, wanted);
}

#[test]
fn the_index_had_two_different_records() {
    let days = days("RUT_daily_yahoo_19870910_20260223.csv", 10_000_000);
    let closes = changes(&Source::RecordClose, &days);
    assert_in_order(&closes, 20_211_108, &[(20_211_108, "2442.74"), (20_250_918, "2467.7")]);
    let highs = changes(&Source::RecordHigh, &days);
    assert_in_order(&highs, 20_211_108, &[(20_211_108, "2458.86"), (20_241_125, "2466.49")]);
}

#[test]
fn the_futures_beat_their_record_high_before_their_record_close_held() {
    let days = days("RTY=F_daily_yahoo_20170710_20260223.csv", 100_000_000);
    let highs = changes(&Source::RecordHigh, &days);
    assert_in_order(&highs, 20_241_125, &[(20_241_125, "2477.1")]);
    let closes = changes(&Source::RecordClose, &days);
    let wanted = [(20_241_111, "2448.5"), (20_241_125, "2451"), (20_250_918, "2468.8")];
    assert_in_order(&closes, 20_241_111, &wanted);
    assert!(closes.contains(&(20_251_006, known("2501"))), "the first close above 2500");
}
