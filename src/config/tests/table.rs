//! Tables of levels: what is read, what is shared, and what is wrong with its line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use insta::assert_snapshot;

use super::{LEVEL, YEAR, good, write};
use crate::config::Config;
use crate::config::level_table::level_table;
use crate::engine::rule::{Half, Rule};
use crate::event::Side;
use crate::market::price::Distance;

fn read(text: &str) -> Result<Vec<Rule>, String> {
    let config = good(LEVEL);
    level_table(text, "l.csv", &config.instruments, &config.basis, YEAR).map_err(|e| e.to_string())
}

fn wrong(text: &str) -> String {
    read(text).unwrap_err()
}

#[test]
fn a_row_is_the_level_that_its_keys_would_be() {
    let table = read(
        "\u{feff}price,name,instrument,side,margin,strict,max_per_session,note,expires\r\n\
         2442.74, a ,RTY,support,2 ticks,true,3,\"one, two\",2026-12-18T14:30:00Z\r\n\
         2500,b,RTY,,,,,,\r\n",
    )
    .unwrap();
    let toml = good(
        "[[level]]\nname = \"a\"\ninstrument = \"RTY\"\nprice = \"2442.74\"\nside = \"support\"\nmargin = \"2 ticks\"\n\
         strict = true\nmax_per_session = 3\nnote = \"one, two\"\nexpires = \"2026-12-18T14:30:00Z\"\n\
         [[level]]\nname = \"b\"\ninstrument = \"RTY\"\nprice = 2500\n",
    );
    assert_eq!(table, toml.levels);
}

#[test]
fn rows_that_differ_in_name_and_price_share_their_terms() {
    let rules = read(
        "name,instrument,price,margin\na,RTY,1,2 ticks\nb,RTY,2,2 ticks\nc,RTY,3,3 ticks\nd,RTY,4,2 ticks\n",
    )
    .unwrap();
    let shares = |a: usize, b: usize| Arc::ptr_eq(&rules[a].terms, &rules[b].terms);
    assert!(shares(0, 1) && shares(0, 3) && !shares(0, 2));
    assert_eq!(rules[2].margin, Distance::Ticks(3));
}

#[test]
fn cells_do_not_run_into_each_other() {
    let rules = read("name,instrument,price,note,said_by\na,RTY,1,x,\nb,RTY,2,,x\n").unwrap();
    assert_eq!((rules[0].about.note.as_deref(), rules[0].about.said_by.as_deref()), (Some("x"), None));
    assert_eq!((rules[1].about.note.as_deref(), rules[1].about.said_by.as_deref()), (None, Some("x")));
}

#[test]
fn a_row_with_both_sides_is_two_halves() {
    let rules = read("name,instrument,price,side\na,RTY,1,both\nb,RTY,2,both\n").unwrap();
    let halves: Vec<_> = rules.iter().map(|rule| (&*rule.name, rule.side, rule.half)).collect();
    let (up, down) = ((Side::Resistance, Some(Half::First)), (Side::Support, Some(Half::Second)));
    assert_eq!(halves, [("a", up.0, up.1), ("a", down.0, down.1), ("b", up.0, up.1), ("b", down.0, down.1)]);
    assert!(Arc::ptr_eq(&rules[0].terms, &rules[2].terms) && Arc::ptr_eq(&rules[1].terms, &rules[3].terms));
}

#[test]
fn what_is_wrong_in_a_table_is_told_with_its_line() {
    assert_snapshot!(wrong("name,instrument,price,margn,confirm,name\n"), @r#"
    l.csv:1: unknown column "margn"; did you mean "margin"?
    l.csv:1: confirm cannot be a column: it is not one plain value; write a [[level]] for it
    l.csv:1: column "name" stands there twice
    "#);
    assert_snapshot!(wrong("name\n"), @r#"
    l.csv:1: there is no column instrument; a table of levels has name, instrument and price
    l.csv:1: there is no column price; a table of levels has name, instrument and price
    "#);
    assert_snapshot!(wrong(""), @r#"
    l.csv:1: there is no column name; a table of levels has name, instrument and price
    l.csv:1: there is no column instrument; a table of levels has name, instrument and price
    l.csv:1: there is no column price; a table of levels has name, instrument and price
    "#);
    assert_snapshot!(wrong("name,instrument,price,margin\n,RTY,1,\nb,RTX,2,\nc,RTY,x,2 tiks\nd,RTY,1\ne,,1,\n"), @r#"
    l.csv:2: level: name: is empty
    l.csv:3: level "b": instrument: unknown instrument "RTX"; did you mean "RTY"? (built in: RTY, M2K, ES, MES, NQ, MNQ, YM, MYM; any other needs a table [instrument.X] with its tick)
    l.csv:4: level "c": margin: "2 tiks" is not a distance like "2 ticks", "10 points", "0.4 %" or "0.25 atr"
    l.csv:4: level "c": price: "x" is not a decimal number; a price is written 2500, 2442.74 or "2442.74"
    l.csv:5: has 3 cells, but the header has 4
    l.csv:6: level "e": instrument: is missing; like "RTY"
    "#);
    assert_snapshot!(wrong("name,instrument,price,strict\na,RTY,1,\nb,RTY,2,\na,RTY,3,maybe\na,RTY,4,\n"), @r#"
    l.csv:4: level "a": strict: "maybe" is neither true nor false
    l.csv:4: level "a": name: another level has this name already
    l.csv:5: level "a": name: another level has this name already
    "#);
}

#[test]
fn the_same_mistake_in_many_rows_is_told_once() {
    let mut text = "name,instrument,price,margin\n".to_owned();
    for n in 0..1_000 {
        writeln!(text, "{n},RTY,{n},2 tiks").unwrap();
    }
    assert_eq!(wrong(&text).lines().count(), 1);
}

#[test]
fn a_table_is_included_beside_other_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("breakwatch.toml");
    write(&file, &format!("include = [\"levels/*\"]\n{LEVEL}"));
    write(&dir.path().join("levels/a.csv"), "name,instrument,price\nx,ES,6000\ny,RTY,2400\n");
    write(&dir.path().join("levels/b.toml"), &LEVEL.replace("\"2500\"", "\"b\""));
    let load = || Config::load(Some(&file), &BTreeMap::new(), YEAR);
    let config = load().unwrap();
    let names: Vec<&str> = config.levels.iter().map(|level| &*level.name).collect();
    assert_eq!(names, ["2500", "b", "x", "y"]);
    assert_eq!(config.instruments[config.levels[2].instrument.index()].root.as_str(), "ES");
    write(&dir.path().join("levels/c.csv"), "name,instrument,price\nx,ES,6000\n2500,RTY,1\n");
    let error = load().unwrap_err().to_string().replace(&dir.path().display().to_string(), "DIR");
    assert_snapshot!(error, @r#"
    DIR/levels/c.csv:2: level "x": name: another level has this name already
    DIR/levels/c.csv:3: level "2500": name: another level has this name already
    "#);
}

#[test]
fn a_hundred_thousand_rows_load_and_share_their_terms() {
    let mut text = "name,instrument,price,margin\n".to_owned();
    for n in 0..100_000 {
        writeln!(text, "level {n},RTY,{n}.5,2 ticks").unwrap();
    }
    let rules = read(&text).unwrap();
    assert_eq!(rules.len(), 100_000);
    assert!(rules.iter().all(|rule| Arc::ptr_eq(&rule.terms, &rules[0].terms)));
}
