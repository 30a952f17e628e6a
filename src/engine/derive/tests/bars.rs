//! Averages, channels, swings and trend lines.

use std::time::Duration;

use super::{after_days, deriver, known, span, tell_clock, tell_day, tell_minute};
use crate::engine::derive::fixture::{day, minute, minute_at, p, t};
use crate::engine::derive::{Anchor, BarSize, Deriver, Extreme, Minute, Source};
use crate::market::price::Price;

const FIVE: BarSize = BarSize::Length(Duration::from_secs(300));

const fn sma(n: u32, bar: BarSize) -> Source {
    Source::Sma { n, bar }
}

/// Tells one minute and returns the price.
fn at(deriver: &mut Deriver, n: u64, price: &str) -> Option<Price> {
    tell_minute(deriver, &minute("2024-11-26", n, price, 1))
}

#[test]
fn a_bar_ends_when_a_minute_of_a_later_one_comes() {
    let mut average = deriver(&sma(2, FIVE));
    assert_eq!(at(&mut average, 0, "2440"), None);
    assert_eq!(at(&mut average, 2, "2441"), None);
    assert_eq!(at(&mut average, 5, "2450"), None, "one close: 2441");
    assert_eq!(at(&mut average, 12, "2460"), known("2445.5"), "2441 and 2450");
    assert_eq!(at(&mut average, 30, "2470"), known("2455"), "bars without trades do not exist");
}

#[test]
fn a_bar_ends_by_the_clock_or_with_its_last_minute() {
    let mut average = deriver(&sma(1, FIVE));
    at(&mut average, 1, "2440");
    assert_eq!(average.deadline(), Some(t("2024-11-25T23:05:00Z")));
    assert_eq!(tell_clock(&mut average, t("2024-11-25T23:04:59Z")), None);
    assert_eq!(tell_clock(&mut average, t("2024-11-25T23:05:00Z")), known("2440"));
    assert_eq!(average.deadline(), None);
    assert_eq!(at(&mut average, 9, "2450"), known("2450"), "the minute at its end completes it");
    at(&mut average, 11, "2460");
    assert_eq!(
        tell_day(&mut average, &span("2024-11-26", "2460", "2440")),
        known("2460"),
        "the session is over"
    );
}

#[test]
fn daily_averages_count_official_closes() {
    let days = ["2024-11-25", "2024-11-26", "2024-11-27"].map(|date| span(date, "2450", "2430"));
    let mut settled = days;
    settled[2].settlement = known("2453");
    assert_eq!(after_days(&sma(3, BarSize::Day), &settled), [None, None, known("2451")]);
}

#[test]
fn an_exponential_average_is_seeded_with_the_simple_one() {
    let closes = [("2024-11-25", "10"), ("2024-11-26", "11"), ("2024-11-27", "15"), ("2024-11-29", "20")];
    let days = closes.map(|(date, close)| day(date, [close; 4]));
    // Alpha is a half: 12, then (12 + 20) / 2.
    let source = Source::Ema { n: 3, bar: BarSize::Day };
    assert_eq!(after_days(&source, &days), [None, None, known("12"), known("16")]);
}

#[test]
fn a_vwap_is_exact_from_trades_and_its_bands_are_deviations() {
    let source = |sigmas| Source::Vwap { anchor: Anchor::Session, sigmas: p(sigmas) };
    let trades = [("23429.3967", 959), ("23421.9967", 420), ("23401.0433", 821)];
    for (sigmas, wanted) in [("0", "23417.4030"), ("1", "23430.31"), ("-2", "23391.58")] {
        let mut vwap = deriver(&source(sigmas));
        let mut price = None;
        for (n, (at, size)) in (0..).zip(trades) {
            price = tell_minute(&mut vwap, &minute("2024-11-26", n, at, size));
        }
        assert!(price.unwrap().minus(p(wanted)).abs() <= p("0.02"), "{price:?}, not {wanted}");
    }
}

#[test]
fn a_session_vwap_starts_anew_with_every_session() {
    let mut vwap = deriver(&Source::Vwap { anchor: Anchor::Session, sigmas: Price::ZERO });
    assert_eq!(tell_minute(&mut vwap, &minute("2024-11-25", 700, "2440", 5)), None, "it began before");
    assert_eq!(vwap.deadline(), Some(t("2024-11-25T23:00:00Z")));
    assert_eq!(at(&mut vwap, 0, "2450"), known("2450"));
    assert_eq!(at(&mut vwap, 1, "2460"), known("2455"));
    assert_eq!(tell_clock(&mut vwap, t("2024-11-26T23:00:00Z")), None, "nothing traded since the anchor");
}

#[test]
fn a_minute_made_from_a_bar_makes_the_vwap_unknown_until_the_next_anchor() {
    let mut vwap = deriver(&Source::Vwap { anchor: Anchor::Session, sigmas: Price::ZERO });
    at(&mut vwap, 0, "2450");
    let from_bar = Minute { value: 0, square: 0, ..minute("2024-11-26", 1, "2460", 5) };
    assert_eq!(tell_minute(&mut vwap, &from_bar), None);
    assert_eq!(at(&mut vwap, 2, "2470"), None);
    assert_eq!(tell_minute(&mut vwap, &minute("2024-11-27", 0, "2480", 5)), known("2480"));
}

#[test]
fn a_vwap_can_be_anchored_to_the_week_or_to_a_moment() {
    let mut week = deriver(&Source::Vwap { anchor: Anchor::Week, sigmas: Price::ZERO });
    let mut moment =
        deriver(&Source::Vwap { anchor: Anchor::At(t("2024-11-25T14:30:00Z")), sigmas: Price::ZERO });
    let minutes = [
        (minute_at(t("2024-11-24T23:00:00Z"), p("2400"), 1), "2400", None),
        (minute_at(t("2024-11-25T14:30:00Z"), p("2440"), 1), "2420", known("2440")),
        (minute_at(t("2024-11-26T14:30:00Z"), p("2480"), 2), "2450", known("2466.666666667")),
    ];
    for (minute, of_week, of_moment) in minutes {
        assert_eq!(tell_minute(&mut week, &minute), known(of_week));
        assert_eq!(tell_minute(&mut moment, &minute), of_moment);
    }
}

#[test]
fn a_channel_leaves_the_bar_in_progress_out() {
    let mut channel = deriver(&Source::Donchian { n: 2, bar: FIVE, of: Extreme::High });
    at(&mut channel, 0, "2440");
    at(&mut channel, 5, "2450");
    assert_eq!(at(&mut channel, 10, "2490"), known("2450"));
    assert_eq!(at(&mut channel, 11, "2491"), known("2450"));
    assert_eq!(at(&mut channel, 15, "2430"), known("2491"));
    at(&mut channel, 20, "2431");
    assert_eq!(at(&mut channel, 25, "2432"), known("2431"), "2430 and 2431");
}

#[test]
fn a_channel_says_that_its_first_bar_was_not_told_in_full() {
    let mut channel = deriver(&Source::Donchian { n: 1, bar: FIVE, of: Extreme::Low });
    at(&mut channel, 3, "2440");
    at(&mut channel, 5, "2450");
    assert!(channel.value().unwrap().inputs.contains(&("unwatched_bars", p("1"))));
    at(&mut channel, 10, "2450");
    assert_eq!(channel.value().unwrap().inputs, [("n", p("1"))]);
}

#[test]
fn a_swing_is_known_only_after_its_right_bars_and_never_repainted() {
    let highs = ["2440", "2445", "2460", "2450", "2455", "2452", "2451", "2470", "2460"];
    let wanted =
        [None, None, None, None, known("2460"), known("2460"), known("2460"), known("2460"), known("2460")];
    let dates = ["18", "19", "20", "21", "22", "25", "26", "27", "29"].map(|day| format!("2024-11-{day}"));
    let days: Vec<_> = dates.iter().zip(highs).map(|(date, high)| span(date, high, "2400")).collect();
    let source = Source::Swing { left: 2, right: 2, bar: BarSize::Day, of: Extreme::High };
    assert_eq!(
        after_days(&source, &days),
        wanted,
        "2455 has 2460 to its left, 2470 no two bars to its right"
    );
}

#[test]
fn equal_neighbours_and_unwatched_days_make_no_swing() {
    let source = Source::Swing { left: 1, right: 1, bar: BarSize::Day, of: Extreme::Low };
    let of = |lows: [&str; 3]| {
        let dates = ["2024-11-25", "2024-11-26", "2024-11-27"];
        [0, 1, 2].map(|n| span(dates[n], "2500", lows[n]))
    };
    assert_eq!(after_days(&source, &of(["2410", "2400", "2405"])), [None, None, known("2400")]);
    assert_eq!(after_days(&source, &of(["2400", "2400", "2405"])), [None; 3]);
    let mut dark = of(["2410", "2400", "2405"]);
    dark[1].unwatched = Duration::from_secs(3_600);
    assert_eq!(after_days(&source, &dark), [None; 3]);
}

fn line(log: bool) -> Source {
    // 90 minutes of open-market time before the weekend, and 30 after it.
    let from = (t("2024-11-22T20:30:00Z"), p("2400"));
    Source::Trendline { from, to: (t("2024-11-24T23:30:00Z"), p("2424")), log }
}

#[test]
fn weekends_do_not_move_a_trend_line() {
    let mut trend = deriver(&line(false));
    assert_eq!(tell_clock(&mut trend, t("2024-11-22T21:00:30Z")), known("2406"), "of the whole minute");
    assert_eq!(trend.deadline(), Some(t("2024-11-22T21:01:00Z")));
    assert_eq!(tell_clock(&mut trend, t("2024-11-22T22:00:00Z")), known("2418"));
    assert_eq!(trend.deadline(), Some(t("2024-11-24T23:01:00Z")), "it sleeps over the weekend");
    assert_eq!(tell_clock(&mut trend, t("2024-11-24T12:00:00Z")), known("2418"));
    assert_eq!(tell_clock(&mut trend, t("2024-11-24T23:30:00Z")), known("2424"));
    assert_eq!(
        tell_clock(&mut trend, t("2024-11-25T00:30:00Z")),
        known("2436"),
        "and on beyond the second point"
    );
    let mut early = deriver(&line(false));
    assert_eq!(tell_clock(&mut early, t("2024-11-22T20:00:00Z")), known("2394"), "and before the first");
}

#[test]
fn a_line_can_be_straight_in_the_logarithm() {
    let mut trend = deriver(&line(true));
    let half = tell_clock(&mut trend, t("2024-11-22T21:30:00Z")).unwrap();
    // The geometric mean of 2400 and 2424.
    assert!(half.minus(p("2411.970149069")).abs() <= p("0.000000002"), "{half}");
    let end = tell_clock(&mut trend, t("2024-11-24T23:30:00Z")).unwrap();
    assert!(end.minus(p("2424")).abs() <= p("0.000000002"), "{end}");
}

#[test]
fn two_points_at_the_same_open_time_make_no_line() {
    let (from, to) = ((t("2024-11-23T10:00:00Z"), p("2400")), (t("2024-11-23T12:00:00Z"), p("2424")));
    let mut trend = deriver(&Source::Trendline { from, to, log: false });
    assert_eq!(tell_clock(&mut trend, t("2024-11-25T12:00:00Z")), None, "both lie in one weekend");
}
