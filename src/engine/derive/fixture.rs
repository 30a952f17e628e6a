//! Minutes and days for tests.

use std::time::Duration;

use jiff::civil::Date;

use crate::engine::derive::{Day, Minute, Rth};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::market::trade_date::number_of;
use crate::time::Timestamp;

pub(super) fn p(text: &str) -> Price {
    text.parse().unwrap()
}

pub(super) fn t(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn date(text: &str) -> Date {
    text.parse().unwrap()
}

/// The `n`th minute of the session of a trade date, with one trade.
pub(super) fn minute(trade_date: &str, n: u64, price: &str, size: u32) -> Minute {
    let session_opens = Calendar::cme_equity().session_opens(date(trade_date));
    let minute = minute_at(session_opens.saturating_add(Duration::from_secs(60 * n)), p(price), size);
    Minute { trade_date: number_of(date(trade_date)), session_opens, ..minute }
}

/// The minute that begins at `at`, with one trade.
pub(super) fn minute_at(at: Timestamp, price: Price, size: u32) -> Minute {
    let calendar = Calendar::cme_equity();
    let state = calendar.state(at);
    let opens = calendar.session_opens(state.trade_date);
    Minute::open((at, price, size), state.phase, number_of(state.trade_date), opens)
}

/// A trade date with these prices in regular trading hours and in the whole session.
pub(super) fn day(trade_date: &str, [open, high, low, close]: [&str; 4]) -> Day {
    let [open, high, low, close] = [open, high, low, close].map(p);
    let rth = Some(Rth { open, high, low, close });
    let date = number_of(date(trade_date));
    Day { date, open, high, low, close, volume: 1, rth, settlement: None, unwatched: Duration::ZERO }
}
