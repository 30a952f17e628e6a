//! What holds for every source and every history.

use std::time::Duration;

use proptest::prelude::*;

use super::deriver;
use crate::engine::derive::fixture::{p, t};
use crate::engine::derive::{
    Anchor, BarSize, Day, Deriver, Extreme, Hours, Minute, News, Of, Period, PivotFamily, PivotLine,
    RangeLine, Rth, Source, Value,
};
use crate::market::calendar::{Calendar, Phase};
use crate::market::price::Price;
use crate::time::Timestamp;

/// News that keeps itself.
#[derive(Clone, Debug)]
enum Told {
    Minute(Minute),
    Day(Day),
    Clock(Timestamp),
}

impl Told {
    const fn news(&self) -> News<'_> {
        match self {
            Self::Minute(minute) => News::Minute(minute),
            Self::Day(day) => News::Day(day),
            Self::Clock(now) => News::Clock(*now),
        }
    }
}

fn sources() -> Vec<Source> {
    let quarter = BarSize::Length(Duration::from_secs(900));
    let (high, low) = (Extreme::High, Extreme::Low);
    let hours = Hours::Full;
    vec![
        Source::Prior { period: Period::Day, of: Of::High, hours },
        Source::Prior { period: Period::Week, of: Of::Low, hours: Hours::Rth },
        Source::Pivot { family: PivotFamily::Woodie, line: PivotLine::R(1), hours },
        Source::Developing { period: Period::Week, of: high },
        Source::Developing { period: Period::Day, of: low },
        Source::Overnight { of: high },
        Source::OpeningRange { minutes: 30, line: RangeLine::Above(3) },
        Source::RecordHigh,
        Source::RecordClose,
        Source::Sma { n: 4, bar: quarter },
        Source::Ema { n: 3, bar: BarSize::Day },
        Source::Vwap { anchor: Anchor::Session, sigmas: p("2") },
        Source::Vwap { anchor: Anchor::Week, sigmas: Price::ZERO },
        Source::Donchian { n: 6, bar: quarter, of: low },
        Source::Swing { left: 2, right: 2, bar: quarter, of: high },
        Source::Trendline {
            from: (t("2026-03-02T15:00:00Z"), p("2400")),
            to: (t("2026-03-03T15:00:00Z"), p("2420")),
            log: false,
        },
    ]
}

/// Seven trade dates from 2026-02-27 on with these steps in ticks, a trade every seven minutes or so.
fn story(steps: &[i8]) -> Vec<Told> {
    let calendar = Calendar::cme_equity();
    let (mut at, mut price) = (t("2026-02-26T23:00:00Z"), p("2400"));
    let mut told = Vec::new();
    let mut minutes: Vec<Minute> = Vec::new();
    for (n, step) in steps.iter().cycle().take(1_200).enumerate() {
        price = price.plus(Price::from_nanos(i64::from(*step) * 100_000_000));
        let state = calendar.state(at);
        if !state.phase.is_open() {
            told.push(Told::Day(day_of(&minutes)));
            minutes.clear();
            at = calendar.next_open(at);
        }
        let state = calendar.state(at);
        let opens = calendar.session_opens(state.trade_date);
        let date = crate::market::trade_date::number_of(state.trade_date);
        let minute = Minute::open((at, price, 1 + u32::from(step.unsigned_abs())), state.phase, date, opens);
        minutes.push(minute);
        told.push(Told::Minute(minute));
        if n % 3 == 0 {
            told.push(Told::Clock(minute.bar.end()));
        }
        at = at.saturating_add(Duration::from_secs(60 * (5 + u64::from(step.unsigned_abs()) % 4)));
    }
    told
}

fn day_of(minutes: &[Minute]) -> Day {
    let rth: Vec<Minute> = minutes.iter().filter(|m| m.phase == Phase::Rth).copied().collect();
    let all = prices_of(minutes).unwrap();
    let Rth { open, high, low, close } = all;
    let volume = minutes.iter().map(|m| m.bar.volume).sum();
    let date = minutes[0].trade_date;
    Day {
        date,
        open,
        high,
        low,
        close,
        volume,
        rth: prices_of(&rth),
        settlement: None,
        unwatched: Duration::ZERO,
    }
}

fn prices_of(minutes: &[Minute]) -> Option<Rth> {
    Some(Rth {
        open: minutes.first()?.bar.open,
        high: minutes.iter().map(|m| m.bar.high).max()?,
        low: minutes.iter().map(|m| m.bar.low).min()?,
        close: minutes.last()?.bar.close,
    })
}

fn values(deriver: &mut Deriver, story: &[Told]) -> Vec<Option<Value>> {
    let tell = |told: &Told| {
        deriver.learn(&told.news());
        deriver.value().cloned()
    };
    story.iter().map(tell).collect()
}

fn steps() -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::vec(-20i8..=20, 40..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_value_depends_on_nothing_later(steps in steps(), others in steps(), cut in 1usize..1_100) {
        let (story, other) = (story(&steps), story(&others));
        for source in sources() {
            let whole = values(&mut deriver(&source), &story);
            let mut prefix = deriver(&source);
            let before = values(&mut prefix, &story[..cut]);
            prop_assert_eq!(&whole[..cut], &before[..], "{:?}", source);
            // Whatever comes next leaves what was known then as it was.
            let now = match &story[cut - 1] {
                Told::Minute(minute) => minute.bar.end(),
                Told::Clock(now) => *now,
                Told::Day(day) => Calendar::cme_equity().session_opens(crate::market::trade_date::date_of(day.date).unwrap()),
            };
            if let Some(value) = before.last().unwrap() {
                prop_assert!(matches!(story[cut - 1], Told::Day(_)) || value.as_of <= now, "{:?} {} {}", source, value.as_of, now);
            }
            let _unused = values(&mut prefix, &other);
        }
    }

    #[test]
    fn history_and_then_live_is_the_same_as_all_of_it_live(steps in steps(), cut in 1usize..1_100) {
        let story = story(&steps);
        for source in sources() {
            let all = values(&mut deriver(&source), &story);
            let mut restarted = deriver(&source);
            let history: Vec<Told> =
                story[..cut].iter().filter(|told| !matches!(told, Told::Clock(_))).cloned().collect();
            values(&mut restarted, &history);
            // The overlap is told twice.
            let live = values(&mut restarted, &story[cut.saturating_sub(5)..]);
            prop_assert_eq!(all.last(), live.last(), "{:?}", source);
        }
    }

    #[test]
    fn records_never_fall(steps in steps()) {
        for source in [Source::RecordHigh, Source::RecordClose] {
            let values = values(&mut deriver(&source), &story(&steps));
            let prices: Vec<Option<Price>> = values.into_iter().map(|value| value.map(|v| v.price)).collect();
            prop_assert!(prices.is_sorted(), "{source:?}");
            prop_assert!(prices.last().unwrap().is_some());
        }
    }

    #[test]
    fn the_average_of_equal_closes_is_that_close(nanos in 1i64..5_000_000_000_000, n in 1u32..40, exponential: bool) {
        let price = Price::from_nanos(nanos);
        let bar = BarSize::Day;
        let source = if exponential { Source::Ema { n, bar } } else { Source::Sma { n, bar } };
        let flat = Rth { open: price, high: price, low: price, close: price };
        let mut deriver = deriver(&source);
        for day in 1..=31 {
            let day = Day {
                date: 20_250_300 + day, open: price, high: price, low: price, close: price, volume: 1, rth: Some(flat),
                settlement: None, unwatched: Duration::ZERO,
            };
            deriver.learn(&News::Day(&day));
        }
        prop_assert_eq!(deriver.value().map(|value| value.price), (n <= 31).then_some(price));
    }

    #[test]
    fn a_deadline_lies_after_the_time_that_was_told(steps in steps()) {
        for source in sources() {
            let mut deriver = deriver(&source);
            let mut asked = 0;
            for told in story(&steps) {
                deriver.learn(&told.news());
                if let (Told::Clock(now), Some(deadline)) = (&told, deriver.deadline()) {
                    prop_assert!(deadline > *now, "{source:?}: {deadline} at {now}");
                    asked += 1;
                }
            }
            let timed = matches!(source, Source::Overnight { .. } | Source::Vwap { .. } | Source::Trendline { .. });
            prop_assert!(asked > 0 || !timed, "{source:?}");
        }
    }
}
