//! A process that ends and begins again forgets nothing and repeats nothing.

use super::*;
use crate::engine::rule::Confirm;
use crate::engine::saved::{SavedBook, SavedLevel};
use crate::event::About;

/// What a store would hold.
#[derive(Default)]
pub(super) struct Kept {
    levels: BTreeMap<String, SavedLevel>,
    books: Vec<SavedBook>,
}

impl Kept {
    pub(super) fn keep(&mut self, engine: &Engine, step: &Step) {
        for level in engine.saved_levels(step).unwrap() {
            self.levels.insert(level.key.clone(), level);
        }
        self.books = engine.saved_books().unwrap();
    }

    pub(super) fn reopen(&self, setup: Setup, now: Timestamp) -> Engine {
        let mut engine = Engine::new(setup);
        let levels: Vec<SavedLevel> = self.levels.values().cloned().collect();
        engine.restore(&levels, &self.books, now).unwrap();
        engine
    }
}

fn run(engine: &mut Engine, kept: &mut Kept, inputs: &[Input]) -> Vec<Event> {
    let mut step = Step::default();
    for input in inputs {
        engine.handle(input, &mut step);
    }
    kept.keep(engine, &step);
    step.events
}

fn ticks(prices: &[(&str, i64)]) -> Vec<Input> {
    prices.iter().map(|(price, ms)| Input::Item(Item::Tick(trade(price, *ms)))).collect()
}

#[test]
fn a_venue_that_replays_from_the_start_tells_nothing_twice() {
    let day =
        ticks(&[("2499", 0), ("2500", 100), ("2499", 200), ("2500.5", 300), ("2501", 400), ("2510", 500)]);
    let rules = || setup(vec![rule("2500"), rule("2510")]);
    let whole = run(&mut Engine::new(rules()), &mut Kept::default(), &day);
    for cut in 0..day.len() {
        let mut kept = Kept::default();
        let mut events = run(&mut Engine::new(rules()), &mut kept, &day[..cut]);
        let mut engine = kept.reopen(rules(), t(600));
        events.extend(run(&mut engine, &mut kept, &day));
        let ids = |events: &[Event]| events.iter().map(|e| e.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&events), ids(&whole), "cut at {cut}");
    }
}

#[test]
fn prints_of_the_same_millisecond_are_told_apart_by_their_number() {
    let day = ticks(&[("2499", 100), ("2499.5", 100), ("2500", 100)]);
    let mut kept = Kept::default();
    assert!(run(&mut Engine::new(setup(vec![rule("2500")])), &mut kept, &day[..2]).is_empty());
    let mut engine = kept.reopen(setup(vec![rule("2500")]), t(200));
    assert_eq!(run(&mut engine, &mut kept, &day).len(), 1);
}

#[test]
fn a_break_while_the_process_was_away_is_a_gap_break() {
    let mut kept = Kept::default();
    run(&mut Engine::new(setup(vec![rule("2500")])), &mut kept, &ticks(&[("2499", 0)]));
    let mut engine = kept.reopen(setup(vec![rule("2500")]), t(60_000));
    let events = run(&mut engine, &mut kept, &ticks(&[("2505", 61_000)]));
    assert_eq!(events[0].reason, crate::event::Reason::Gap);
}

#[test]
fn a_cooldown_survives_a_restart() {
    let rules = || setup(vec![with!(rule("2500"), cooldown: secs(60))]);
    let mut kept = Kept::default();
    run(&mut Engine::new(rules()), &mut kept, &ticks(&[("2499", 0), ("2500", 100), ("2490", 200)]));
    let mut engine = kept.reopen(rules(), t(30_000));
    let mut events =
        run(&mut engine, &mut kept, &ticks(&[("2490", 30_000), ("2500", 31_000), ("2490", 32_000)]));
    events.extend(run(&mut engine, &mut kept, &[Input::Clock(t(61_000))]));
    assert_eq!(events.iter().map(|e| e.kind).collect::<Vec<_>>(), [Kind::LevelRearmed]);
}

#[test]
fn only_the_text_of_a_rule_may_change_without_the_level_beginning_anew() {
    let mut kept = Kept::default();
    run(&mut Engine::new(setup(vec![rule("2500")])), &mut kept, &ticks(&[("2499", 0), ("2500", 100)]));
    let about = About { note: Some("new words".into()), ..About::default() };
    let mut engine = kept.reopen(setup(vec![with!(rule("2500"), about, cooldown: secs(1))]), t(200));
    assert!(run(&mut engine, &mut Kept::default(), &ticks(&[("2500.1", 200), ("2500.2", 300)])).is_empty());
    let moved = Rule { price: p("2500.2"), ..rule("2500") };
    let mut engine = kept.reopen(setup(vec![moved]), t(200));
    assert_eq!(run(&mut engine, &mut kept, &ticks(&[("2500.1", 200), ("2500.2", 300)])).len(), 1);
}

#[test]
fn a_level_that_left_the_configuration_is_named() {
    let mut kept = Kept::default();
    run(&mut Engine::new(setup(vec![rule("2500")])), &mut kept, &ticks(&[("2499", 0)]));
    let levels: Vec<SavedLevel> = kept.levels.values().cloned().collect();
    let gone = Engine::new(setup(vec![rule("2600")])).restore(&levels, &kept.books, t(0)).unwrap();
    assert_eq!(gone, ["2500"]);
}

#[test]
fn a_position_from_a_wrong_clock_is_forgotten() {
    let mut kept = Kept::default();
    let far = 400 * 86_400_000;
    run(&mut Engine::new(setup(vec![rule("2500")])), &mut kept, &ticks(&[("2499", far)]));
    let mut engine = kept.reopen(setup(vec![rule("2500")]), t(0));
    assert_eq!(run(&mut engine, &mut kept, &ticks(&[("2499", 100), ("2500", 200)])).len(), 1);
}

#[test]
fn a_pending_confirmation_survives_but_its_time_was_not_watched() {
    let rules = || setup(vec![with!(rule("2500"), confirm: vec![Confirm::Hold(secs(5))])]);
    let mut kept = Kept::default();
    run(&mut Engine::new(rules()), &mut kept, &ticks(&[("2499", 0), ("2500", 100)]));
    let mut engine = kept.reopen(rules(), t(60_000));
    let mut events = run(&mut engine, &mut kept, &[Input::Clock(t(60_000))]);
    events.extend(run(&mut engine, &mut kept, &ticks(&[("2500.5", 61_000)])));
    assert!(events.is_empty());
    events.extend(run(&mut engine, &mut kept, &[Input::Clock(t(67_000))]));
    assert_eq!(events[0].kind, Kind::LevelBroken);
}
