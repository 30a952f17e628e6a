//! Statistics of hand-made days, and of the real one.

use std::time::Duration;

use super::*;
use crate::event::{Kind, Side};
use crate::study::compare::{Comparison, Setting};
use crate::study::fixture::{bars, event, p, record_day, replayed, rty, rule, t, two_weeks};
use crate::study::sweep::Sweep;

#[test]
fn without_a_break_there_is_nothing_to_follow() {
    let bars = bars(0, [2400; 3]);
    let text = statistics(&[], &bars, &rty()).to_string();
    let head = "0 breaks on RTY in 3 bars of 1m on 1 trade date, 2024-11-25 15:00Z to 2024-11-25 15:03Z.";
    assert_eq!(text, format!("{head}\nThere is nothing to follow.\n"));
    assert!(statistics(&[], &[], &rty()).to_string().starts_with("0 breaks on RTY in 0 bars"));
}

#[test]
fn every_figure_says_of_how_many() {
    let closes = [vec![2449; 20], vec![2451, 2452, 2453, 2454], vec![2455; 70]].concat();
    let bars = bars(0, closes);
    let broken = |minute| event(Kind::LevelBroken, Side::Resistance, minute, t(minute));
    // The second one comes ten minutes before the end.
    let told = statistics(&[broken(20), broken(84)], &bars, &rty());
    let at = |horizon| *told.horizons.iter().find(|at| at.horizon == horizon).unwrap();
    assert_eq!((told.breaks, told.from_bars, told.outcomes.ran_away), (2, 2, Rate::new(1, 1)));
    assert_eq!(at(Horizon::Minute5).points, Mean { n: 2, mean: Some(5.0) });
    assert_eq!(at(Horizon::Minute5).beyond, Rate::new(2, 2));
    assert_eq!(at(Horizon::Minute15).atr, Mean { n: 1, mean: Some(2.5) });
    assert_eq!(at(Horizon::Day1).points, Mean::default());
    let text = told.to_string();
    for part in
        ["Within 60 minutes of open market (1 of 2 breaks)", "n is small", "The breaks come from bars"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn other_instruments_and_contracts_are_not_followed() {
    let all = bars(0, [vec![2449; 20], vec![2455; 70]].concat());
    let broken = event(Kind::LevelBroken, Side::Resistance, 20, t(20));
    let es = Event { instrument: Some("ES".into()), ..broken.clone() };
    assert_eq!(statistics(std::slice::from_ref(&es), &all, &rty()).breaks, 0);
    let h5 = Event { contract: Some("RTYH5".into()), ..event(Kind::LevelBroken, Side::Support, 30, t(30)) };
    let dearer = bars(0, [2500; 90]);
    let runs = [Run { contract: Some("RTYZ4"), bars: &all }, Run { contract: Some("RTYH5"), bars: &dearer }];
    let told = over(&[broken, h5], &runs, &rty());
    let after_5m = |nth: usize| told.each[nth].horizons[&Horizon::Minute5].points.price;
    assert_eq!((told.breaks, after_5m(0), after_5m(1)), (2, p("5"), p("-50")));
}

#[test]
fn the_breaks_of_2450_on_the_record_day_are_as_counted_by_hand() {
    let Some(bars) = record_day() else { return };
    let told = statistics(&replayed(vec![rule("2450")], &bars), &bars, &rty());
    let first = told.each.first().unwrap();
    // By hand, from the file: the 27 bars before 13:57 have a Wilder average of 1.06265; the closes of 13:57,
    // 14:01, 14:11 and 14:56 are 2449.3, 2445.8, 2445.3 and 2447.0; from 13:58 to 14:56 the high is 2458.1
    // and the low 2440.1.
    assert_eq!(first.broke_at.to_string(), "2024-11-25T13:57:15.000Z");
    assert_eq!(first.atr.unwrap().with_decimals(0).get(..7), Some("1.06265"));
    let seen: Vec<(Price, f64)> = first.horizons.values().map(|m| (m.points.price, m.atr.unwrap())).collect();
    let expected = [("-0.7", -0.6587), ("-4.2", -3.9524), ("-4.7", -4.4229), ("-3", -2.8231)];
    assert_eq!(seen, expected.map(|(points, atr)| (p(points), atr)));
    let excursion = first.excursion.unwrap();
    assert_eq!((excursion.favourable.points.price, excursion.adverse.points.price), (p("8.1"), p("9.9")));
    assert_eq!((first.outcome, first.settled), (Outcome::Failed, true));
    assert_eq!((told.data.bars, told.data.trade_dates), (260, 1));
    let outcomes = told.outcomes;
    let kinds = [outcomes.failed, outcomes.retest_held, outcomes.ran_away, outcomes.open];
    assert_eq!(kinds.iter().map(|rate| rate.k).sum::<usize>(), outcomes.failed.n);
}

#[test]
fn two_weeks_are_compared_at_the_same_time_of_day() {
    let Some(bars) = two_weeks() else { return };
    let told = statistics(&replayed(vec![rule("2450")], &bars), &bars, &rty());
    assert_eq!(told.baseline, Basis::SameTimeOnOtherDates);
    // Thanksgiving belongs to the trade date of the Friday after it.
    assert!(told.breaks > 5 && told.data.trade_dates == 9, "{told}");
    let day = told.horizons.iter().find(|at| at.horizon == Horizon::Day1).unwrap();
    assert!(day.points.n > 0 && day.baseline.n > 0, "{told}");
    let minute = told.horizons.first().unwrap();
    assert_eq!((minute.horizon, minute.points.n), (Horizon::Minute1, 0), "bars of five minutes do not know");
}

#[test]
fn a_sweep_compares_settings_on_the_same_bars() {
    let Some(bars) = record_day() else { return };
    let sweep = Sweep::parse(&["margin=0,4".to_owned(), "hold=0s,30s".to_owned()]).unwrap();
    let runs = [Run { contract: None, bars: &bars }];
    let rules = [rule("2450")];
    let settings =
        sweep.rules(&rules).map(|(label, rules)| Setting::new(label, &replayed(rules, &bars), &runs, &rty()));
    let table = Comparison { settings: settings.collect() };
    let [plain, hold, margin, both] = table.settings.as_slice() else { panic!("{table}") };
    assert_eq!(plain.setting, "margin 0 ticks, hold 0s");
    assert!(hold.breaks < plain.breaks && both.breaks <= margin.breaks, "{table}");
    let alone = statistics(&replayed(vec![rule("2450")], &bars), &bars, &rty());
    assert_eq!((plain.breaks, plain.failed), (alone.breaks, alone.outcomes.failed));
}

#[test]
fn the_json_names_horizons_and_writes_prices_as_text() {
    let bars = bars(0, [vec![2449; 20], vec![2455; 70]].concat());
    let broken = event(Kind::LevelBroken, Side::Resistance, 20, t(20).saturating_add(Duration::from_secs(1)));
    let json = serde_json::to_value(statistics(&[broken], &bars, &rty())).unwrap();
    let first = &json["each"][0];
    assert_eq!(first["horizons"]["15m"], serde_json::json!({"points": "5.0", "atr": 2.5}));
    assert_eq!((&first["outcome"], &json["baseline"]), (&"ran_away".into(), &"every_bar".into()));
    assert_eq!(json["horizons"][4]["horizon"], "rth_close");
}
