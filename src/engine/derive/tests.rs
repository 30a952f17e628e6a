//! Derivers as their owner sees them: news goes in, levels come out.

mod bars;
mod periods;
mod properties;
mod real;

use crate::engine::derive::fixture::{day, p};
use crate::engine::derive::{Day, Deriver, Minute, News, Source};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::time::Timestamp;

fn deriver(source: &Source) -> Deriver {
    Deriver::new(source, &Calendar::cme_equity())
}

/// The price after each of the days.
fn after_days(source: &Source, days: &[Day]) -> Vec<Option<Price>> {
    let mut deriver = deriver(source);
    days.iter().map(|day| tell_day(&mut deriver, day)).collect()
}

fn tell_day(deriver: &mut Deriver, day: &Day) -> Option<Price> {
    tell(deriver, &News::Day(day))
}

fn tell_minute(deriver: &mut Deriver, minute: &Minute) -> Option<Price> {
    tell(deriver, &News::Minute(minute))
}

fn tell_clock(deriver: &mut Deriver, now: Timestamp) -> Option<Price> {
    tell(deriver, &News::Clock(now))
}

/// The price after the news; what is said about a change must agree with it.
fn tell(deriver: &mut Deriver, news: &News<'_>) -> Option<Price> {
    let price = |deriver: &Deriver| deriver.value().map(|value| value.price);
    let before = price(deriver);
    let changed = deriver.learn(news);
    let after = price(deriver);
    assert_eq!(changed, before != after, "{news:?}");
    after
}

/// A day on which everything happened at one price but for its extremes.
fn span(date: &str, high: &str, low: &str) -> Day {
    day(date, [low, high, low, high])
}

fn known(text: &str) -> Option<Price> {
    Some(p(text))
}
