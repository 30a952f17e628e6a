//! What must hold for every path of prices and every rule.

use proptest::prelude::*;

use super::restart::Kept;
use super::*;
use crate::engine::level::Level;
use crate::engine::marks::{Grid, Marks};
use crate::engine::rule::Confirm;

/// A step of a random story: a price in ticks around 2500, and how long after the one before.
#[derive(Clone, Debug)]
enum Act {
    Trade { ticks: i64, size: u32, after_ms: i64 },
    Wait { ms: i64 },
    Outage { ms: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (-30i64..30, 1u32..4, 0i64..3_000).prop_map(|(ticks, size, after_ms)| Act::Trade { ticks, size, after_ms }),
        2 => (1i64..20_000).prop_map(|ms| Act::Wait { ms }),
        1 => (1i64..20_000).prop_map(|ms| Act::Outage { ms }),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 1..60)
}

fn confirm() -> impl Strategy<Value = Vec<Confirm>> {
    let one = prop_oneof![
        (1u32..4, prop::option::of(1u64..8)).prop_map(|(count, size)| Confirm::Prints { count, size }),
        (1u64..6).prop_map(|s| Confirm::Hold(secs(s))),
        (1u64..8).prop_map(Confirm::Volume),
    ];
    prop::collection::vec(one, 0..3)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let numbers = (0u32..4, prop::option::of(1u32..15), 0u32..20, 0u64..8, 0u64..20);
    (numbers, confirm(), prop::option::of(1u64..10), any::<(bool, bool)>(), prop::option::of(1u32..3))
        .prop_map(
            |((margin, approach, rearm, grace, cooldown), confirm, within, (up, strict), max_per_session)| {
                with!(rule("2500"), margin: Distance::Ticks(margin),
                    approach: approach.map(Distance::Ticks),
                    rearm: Distance::Ticks(rearm),
                    grace: secs(grace),
                    cooldown: secs(cooldown),
                    confirm,
                    confirm_within: within.map(secs),
                    side: if up { Side::Resistance } else { Side::Support },
                    strict,
                    max_per_session)
            },
        )
}

fn inputs(acts: &[Act]) -> Vec<Input> {
    let mut ms = 0;
    let mut inputs = Vec::new();
    for act in acts {
        match act {
            Act::Trade { ticks, size, after_ms } => {
                ms += after_ms;
                let price = Price::from_nanos(2_500_000_000_000 + ticks * 100_000_000);
                let update = Update::Trade { price, size: *size };
                inputs.push(Input::Item(Item::Tick(Tick { update, ..trade("1", ms) })));
            }
            Act::Wait { ms: more } => {
                ms += more;
                inputs.push(Input::Clock(t(ms)));
            }
            Act::Outage { ms: more } => {
                inputs.push(down(ms));
                ms += more;
                inputs.push(live(ms));
            }
        }
    }
    inputs
}

fn play(engine: &mut Engine, inputs: &[Input]) -> Vec<Event> {
    let mut step = Step::default();
    for input in inputs {
        engine.handle(input, &mut step);
    }
    step.events
}

/// Prices as the rule sees them, upwards.
fn seen(rule: &Rule, input: &Input) -> Option<Price> {
    match input {
        Input::Item(Item::Tick(Tick { update: Update::Trade { price, .. }, .. })) => {
            Some(if rule.side == Side::Resistance { *price } else { price.negated() })
        }
        Input::Item(_) | Input::Clock(_) => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_same_inputs_give_the_same_events(rule in any_rule(), acts in acts()) {
        let inputs = inputs(&acts);
        let once = play(&mut Engine::new(setup(vec![rule.clone()])), &inputs);
        prop_assert_eq!(&once, &play(&mut Engine::new(setup(vec![rule])), &inputs));
        let ids: std::collections::BTreeSet<_> = once.iter().map(|event| event.id.clone()).collect();
        prop_assert_eq!(ids.len(), once.len(), "an id was given twice");
    }

    #[test]
    fn no_two_breaks_without_a_rearming_between_and_none_without_a_crossing(rule in any_rule(), acts in acts()) {
        let inputs = inputs(&acts);
        let events = play(&mut Engine::new(setup(vec![rule.clone()])), &inputs);
        let mut armed = true;
        for event in &events {
            #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is checked together")]
            match event.kind {
                Kind::LevelBroken => { prop_assert!(armed, "{:?}", events); armed = false; }
                Kind::LevelRearmed => { prop_assert!(!armed); armed = true; }
                kind => prop_assert!(matches!(
                    kind,
                    Kind::LevelFailed
                        | Kind::LevelRetested
                        | Kind::LevelHeld
                        | Kind::LevelCrossed
                        | Kind::LevelApproached
                        | Kind::FeedDown
                        | Kind::FeedUp
                ), "unexpected {}", kind),
            }
        }
        let grid = Grid { tick: Instrument::builtin("RTY").unwrap().tick, atr: None };
        let marks = Level::new(rule.clone()).marks(grid).unwrap();
        let beyond = |price: Price| if rule.strict { price > marks.broken } else { price >= marks.broken };
        let prices: Vec<bool> = inputs.iter().filter_map(|input| seen(&rule, input)).map(beyond).collect();
        let crossings = prices.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        let breaks = events.iter().filter(|event| event.kind == Kind::LevelBroken).count();
        prop_assert!(breaks <= crossings, "{breaks} breaks, {crossings} crossings");
        if rule.confirm.is_empty() && rule.cooldown.is_zero() && rule.max_per_session.is_none() && rule.grace.is_zero() {
            prop_assert_eq!(breaks, reference(&marks, &rule, &inputs));
        }
    }

    #[test]
    fn no_more_breaks_than_excursions_behind_the_rearm_price(rule in any_rule(), acts in acts()) {
        let inputs = inputs(&acts);
        let breaks = play(&mut Engine::new(setup(vec![rule.clone()])), &inputs)
            .iter().filter(|event| event.kind == Kind::LevelBroken).count();
        let grid = Grid { tick: Instrument::builtin("RTY").unwrap().tick, atr: None };
        let marks = Level::new(rule.clone()).marks(grid).unwrap();
        let tick = Instrument::builtin("RTY").unwrap().tick;
        let rearm = marks.broken.minus(rule.rearm.resolve(tick, rule.price, None).unwrap().max(tick.price()));
        let behind: Vec<bool> = inputs.iter().filter_map(|i| seen(&rule, i)).map(|price| price <= rearm).collect();
        let excursions = behind.iter().zip(std::iter::once(&false).chain(&behind)).filter(|(now, before)| **now && !**before).count();
        prop_assert!(breaks <= 1 + excursions);
    }

    #[test]
    fn cut_and_restored_at_any_input_nothing_changes(rule in any_rule(), acts in acts(), cut in any::<prop::sample::Index>()) {
        // Whatever was seen before the cut is sent again after it; holds must be watched through, so a rule
        // without one is compared.
        let confirm = rule.confirm.iter().copied().filter(|c| matches!(c, Confirm::Volume(1) | Confirm::Prints { count: 1, .. })).collect();
        let rule = with!(rule, confirm);
        let inputs: Vec<Input> = inputs(&acts).into_iter().filter(|input| seen(&rule, input).is_some()).collect();
        prop_assume!(!inputs.is_empty());
        let whole = play(&mut Engine::new(setup(vec![rule.clone()])), &inputs);
        let cut = cut.index(inputs.len());
        let mut kept = Kept::default();
        let mut engine = Engine::new(setup(vec![rule.clone()]));
        let mut events = Vec::new();
        for input in inputs.iter().take(cut) {
            let mut step = Step::default();
            engine.handle(input, &mut step);
            kept.keep(&engine, &step);
            events.extend(step.events);
        }
        let mut engine = kept.reopen(setup(vec![rule]), t(0));
        events.extend(play(&mut engine, &inputs));
        let said = |events: &[Event]| events.iter().map(|e| (e.id.clone(), e.kind, e.price)).collect::<Vec<_>>();
        prop_assert_eq!(said(&events), said(&whole));
    }
}

/// Breaks of a plain rule, counted the obvious way: armed below, spent beyond, armed again at the re-arm price.
fn reference(marks: &Marks, rule: &Rule, inputs: &[Input]) -> usize {
    let tick = Instrument::builtin("RTY").unwrap().tick;
    let rearm = marks.broken.minus(rule.rearm.resolve(tick, rule.price, None).unwrap().max(tick.price()));
    let mut armed: Option<bool> = None;
    let mut breaks = 0;
    for price in inputs.iter().filter_map(|input| seen(rule, input)) {
        let beyond = if rule.strict { price > marks.broken } else { price >= marks.broken };
        armed = Some(match armed {
            None => !beyond,
            Some(true) if beyond => {
                breaks += 1;
                false
            }
            Some(false) if price <= rearm => true,
            Some(as_before) => as_before,
        });
    }
    breaks
}
