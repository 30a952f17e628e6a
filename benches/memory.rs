//! How much memory a level takes: what is asked of the allocator, and what the system says.
//!
//! `cargo bench --bench memory` prints it for a million generated levels.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark, its helpers too"
)]

mod common;

use breakwatch::engine::index::Index;
use breakwatch::engine::level::Level;
use breakwatch::engine::marks::Wake;
use breakwatch::event::Side;
use common::{engine, give, instrument, price, rule, scaled, spread, start, terms, trade};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIDDLE: i64 = 24_550;

/// Bytes of this process that lie in memory; 0 where the system does not say.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4_096)
}

fn measure<T>(what: &str, levels: usize, make: impl FnOnce() -> T) -> T {
    let (asked, lay) = (ALLOCATOR.current_usage(), resident());
    let made = make();
    let asked = ALLOCATOR.current_usage().saturating_sub(asked);
    let lay = resident().saturating_sub(lay);
    println!("{what}: {} bytes per level asked for, {} resident", asked / levels, lay / levels);
    made
}

fn index(levels: usize) -> Index {
    let mut index = Index::default();
    for (level, n) in (0u32..).zip(0..levels) {
        let wake = Wake { above: Some(price(i64::try_from(n).unwrap())), ..Wake::default() };
        index.update(level, Wake::default(), wake);
    }
    index
}

fn main() {
    let levels = scaled(1_000_000);
    println!("{levels} generated levels; one level's own value has {} bytes", size_of::<Level>());
    let up = terms(0, Side::Resistance);
    let rules = measure("rules alone (name, price, shared terms)", levels, || {
        (0..levels).map(|n| rule(n, 1_000 + i64::try_from(n).unwrap(), &up)).collect::<Vec<_>>()
    });
    drop(rules);
    drop(measure("index of thresholds alone", levels, || index(levels)));
    let engine = measure("engine after its first price, rules included", levels, || {
        let mut engine = engine(vec![instrument("RTY")], spread(0, levels, MIDDLE, 50));
        drop(give(&mut engine, &trade(0, price(MIDDLE), start())));
        engine
    });
    drop(engine);
}
