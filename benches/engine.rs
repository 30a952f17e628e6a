//! What a tick costs the engine, by the number of levels.
//!
//! `cargo bench --bench engine` measures; `cargo test --bench engine` only shows that it works. The levels are
//! generated; the gold trades are recorded, and their part is left out, and said to be, where the file is absent.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark, its helpers too"
)]

mod common;

use std::hint::black_box;
use std::time::Duration;

use breakwatch::engine::{Engine, Input, Step};
use breakwatch::event::Side;
use common::{Walk, engine, give, instrument, price, rule, scaled, spread, start, terms, trade};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// The generated market trades around 2,455.
const MIDDLE: i64 = 24_550;
/// The walk never comes nearer to a level than one tick.
const NEAR: i64 = 50;
/// So many ticks are handed over at once, as the daemon drains its queue.
const BATCH: usize = 1_000;

/// An engine whose levels are placed already.
fn placed(levels: usize) -> Engine {
    let mut engine = engine(vec![instrument("RTY")], spread(0, levels, MIDDLE, NEAR));
    drop(give(&mut engine, &trade(0, price(MIDDLE), start())));
    engine
}

/// A batch of ticks of a walk.
fn drain(engine: &mut Engine, walk: &mut Walk, mut instrument: impl FnMut(&mut Walk) -> u32) -> Step {
    let mut step = Step::default();
    for _ in 0..BATCH {
        let id = instrument(walk);
        engine.handle(&walk.next(id), &mut step);
    }
    step
}

fn quiet(c: &mut Criterion) {
    let mut group = c.benchmark_group("quiet tick");
    group.throughput(Throughput::Elements(1_000));
    for levels in [1, 100, 10_000, 1_000_000] {
        let mut engine = placed(scaled(levels));
        let mut walk = Walk::new(1, MIDDLE, NEAR - 1);
        group.bench_function(BenchmarkId::from_parameter(levels), |b| {
            b.iter(|| {
                let step = drain(&mut engine, &mut walk, |_| 0);
                assert!(step.is_empty(), "a quiet tick establishes nothing");
            });
        });
    }
    group.finish();
}

fn many_instruments(c: &mut Criterion) {
    let mut group = c.benchmark_group("quiet tick, instruments x 100 levels");
    group.throughput(Throughput::Elements(1_000));
    for count in [1_usize, 10_000] {
        let ids = 0..u32::try_from(scaled(count)).unwrap();
        let instruments = ids.clone().map(|n| instrument(&format!("I{n}"))).collect();
        let rules = ids.clone().flat_map(|id| spread(id, 100, MIDDLE, NEAR)).collect();
        let mut engine = engine(instruments, rules);
        for id in ids.clone() {
            drop(give(&mut engine, &trade(id, price(MIDDLE), start())));
        }
        let mut walk = Walk::new(ids.len(), MIDDLE, NEAR - 1);
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| {
                let all = u64::from(ids.end);
                let step = drain(&mut engine, &mut walk, |walk| u32::try_from(walk.random() % all).unwrap());
                assert!(step.is_empty(), "a quiet tick establishes nothing");
            });
        });
    }
    group.finish();
}

fn crossings(c: &mut Criterion) {
    let mut group = c.benchmark_group("a level on every step of the grid");
    group.throughput(Throughput::Elements(1_000)).sample_size(20);
    for levels in [1_000, 1_000_000] {
        let (count, up) = (scaled(levels), terms(0, Side::Resistance));
        let middle = 1_000 + i64::try_from(count / 2).unwrap();
        let rules = (0..count).map(|n| rule(n, 1_000 + i64::try_from(n).unwrap(), &up)).collect();
        let mut engine = engine(vec![instrument("RTY")], rules);
        drop(give(&mut engine, &trade(0, price(middle), start())));
        let mut walk = Walk::new(1, middle, 400.min(middle - 1_001));
        let (mut ticks, mut events, mut changes) = (0usize, 0usize, 0usize);
        group.bench_function(BenchmarkId::from_parameter(levels), |b| {
            b.iter(|| {
                let step = drain(&mut engine, &mut walk, |_| 0);
                ticks += BATCH;
                events += step.events.len();
                changes += step.levels.len();
                step
            });
        });
        println!(
            "{events} events in {ticks} ticks; {changes} levels changed, each counted once in {BATCH} ticks"
        );
    }
    group.finish();
}

fn gold(c: &mut Criterion) {
    let Some(trades) = common::gold() else {
        println!("recorded gold trades: the file is absent, NOTHING is measured on them");
        return;
    };
    let ticks: Vec<Input> = trades.iter().map(|(at, price)| trade(0, *price, *at)).collect();
    let low = trades.iter().map(|(_, price)| price.as_nanos() / common::TICK).min().unwrap();
    let high = trades.iter().map(|(_, price)| price.as_nanos() / common::TICK).max().unwrap();
    println!("recorded gold trades of 2013-10-07: {} from {low} to {high} in ticks of 0.10", ticks.len());
    let mut group = c.benchmark_group("recorded gold trades");
    group.throughput(Throughput::Elements(u64::try_from(ticks.len()).unwrap())).sample_size(10);
    for levels in [1, 10_000, 1_000_000] {
        // Ten lie within the day's range; the others above and below.
        let (count, up) = (scaled(levels), terms(0, Side::Resistance));
        let (inside, middle) = (count.min(10), (low + high) / 2);
        let rules = || {
            let far = spread(0, count - inside, middle, high - low);
            let near = (0..inside).map(|n| rule(count + n, low + 1 + 20 * i64::try_from(n).unwrap(), &up));
            far.into_iter().chain(near).collect()
        };
        group.bench_function(BenchmarkId::from_parameter(levels), |b| {
            let fresh = || {
                let mut engine = engine(vec![instrument("GC")], rules());
                drop(give(&mut engine, &ticks[0]));
                engine
            };
            let run = |mut engine: Engine| {
                let mut events = 0;
                for batch in ticks.chunks(BATCH) {
                    let mut step = Step::default();
                    for tick in batch {
                        engine.handle(tick, &mut step);
                    }
                    events += step.events.len();
                }
                (engine, black_box(events))
            };
            b.iter_batched(fresh, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn burst(c: &mut Criterion) {
    let mut group = c.benchmark_group("one tick breaks levels");
    group.sample_size(10);
    let up = terms(0, Side::Resistance);
    let count = scaled(100_000);
    group.throughput(Throughput::Elements(u64::try_from(count).unwrap()));
    let fresh = || {
        let place = |n: usize| rule(n, MIDDLE + 1 + i64::try_from(n % 10).unwrap(), &up);
        let mut engine = engine(vec![instrument("RTY")], (0..count).map(place).collect());
        drop(give(&mut engine, &trade(0, price(MIDDLE), start())));
        engine
    };
    let tick = trade(0, price(MIDDLE + 10), start().saturating_add(Duration::from_secs(1)));
    group.bench_function(BenchmarkId::from_parameter(100_000), |b| {
        b.iter_batched(
            fresh,
            |mut engine| {
                let step = give(&mut engine, &tick);
                assert_eq!(step.events.len(), count);
                (engine, step)
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn beginning(c: &mut Criterion) {
    let mut group = c.benchmark_group("the beginning with 1000000 levels");
    group.sample_size(10);
    let count = scaled(1_000_000);
    let fresh = || engine(vec![instrument("RTY")], spread(0, count, MIDDLE, NEAR));
    let first = trade(0, price(MIDDLE), start());
    group.bench_function("construction", |b| {
        b.iter_batched(
            || spread(0, count, MIDDLE, NEAR),
            |rules| engine(vec![instrument("RTY")], rules),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("first price", |b| {
        let place = |mut engine: Engine| {
            let step = give(&mut engine, &first);
            assert_eq!(step.levels.len(), count);
            (engine, step)
        };
        b.iter_batched(fresh, place, BatchSize::PerIteration);
    });
    group.bench_function("states to save", |b| {
        let mut engine = fresh();
        let step = give(&mut engine, &first);
        b.iter(|| engine.saved_levels(&step).unwrap());
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = quiet, many_instruments, crossings, gold, burst, beginning
}
criterion_main!(benches);
