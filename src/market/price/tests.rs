//! Prices, grids and distances are exact.

use proptest::prelude::*;

use super::*;

fn p(text: &str) -> Price {
    text.parse().unwrap()
}

const RTY: TickSize = TickSize::from_nanos(100_000_000);

#[test]
fn decimal_text_is_read_exactly() {
    assert_eq!(p("2442.74").as_nanos(), 2_442_740_000_000);
    assert_eq!(p("2500").as_nanos(), 2_500_000_000_000);
    assert_eq!(p("-0.000000001").as_nanos(), -1);
    assert_eq!(p(".5").as_nanos(), 500_000_000);
    assert_eq!(p("5.").as_nanos(), 5_000_000_000);
    assert_eq!(p("2450.0000000000000000").as_nanos(), 2_450_000_000_000);
    assert_eq!(Price::parse("4.3020691E7", false).unwrap().as_nanos(), 43_020_691_000_000_000);
    assert_eq!(Price::parse("24513e-1", false).unwrap(), p("2451.3"));
}

#[test]
fn what_is_not_a_price_is_refused() {
    for text in [
        "", "NaN", "Infinity", "2,500", "2500,0", "1.2.3", "--1", "1e", "e5", "0x10", " ", "1 2", "1e+-2",
        "²",
    ] {
        assert!(matches!(Price::parse(text, true), Err(PriceError::NotDecimal(_))), "{text:?}");
    }
    for text in ["1e309", "99999999999999999999", "1e99999999999", "9300000000"] {
        assert!(matches!(Price::parse(text, true), Err(PriceError::OutOfRange(_))), "{text:?}");
    }
    assert!(matches!(Price::parse("0.1234567891", false), Err(PriceError::OutOfRange(_))));
}

#[test]
fn binary_noise_is_rounded_only_where_allowed() {
    assert_eq!(Price::parse("2451.3000000000001", true).unwrap(), p("2451.3"));
    assert_eq!(Price::parse("168.97000122070312", true).unwrap().as_nanos(), 168_970_001_221);
    assert_eq!(Price::parse("0.0000000005", true).unwrap().as_nanos(), 1);
    assert_eq!(Price::parse("0.00000000049", true).unwrap().as_nanos(), 0);
    assert_eq!(Price::parse("0.00000000009", true).unwrap().as_nanos(), 0);
    assert!(Price::parse("2451.3000000000001", false).is_err());
    assert_eq!(Price::from_f64_shortest(2400.1).unwrap(), p("2400.1"));
    assert!(Price::from_f64_shortest(f64::NAN).is_err());
}

#[test]
fn prices_are_written_with_the_precision_of_the_instrument() {
    assert_eq!(p("2450").with_decimals(1), "2450.0");
    assert_eq!(p("2442.74").with_decimals(1), "2442.74");
    assert_eq!(p("-1.5").with_decimals(0), "-1.5");
    assert_eq!(p("2500").grouped(1), "2,500.0");
    assert_eq!(p("-1234567.25").grouped(2), "-1,234,567.25");
    assert_eq!(p("999").grouped(0), "999");
}

#[test]
fn a_break_never_fires_before_the_true_level() {
    // domain.md 1: 2442.74 gives 2442.8 up and 2442.7 down.
    assert_eq!(RTY.ceil(p("2442.74")), p("2442.8"));
    assert_eq!(RTY.floor(p("2442.74")), p("2442.7"));
    assert_eq!(RTY.ceil(p("2450")), p("2450"));
    assert_eq!(RTY.floor(p("-0.05")), p("-0.1"));
    assert_eq!(RTY.ceil(p("-0.05")), p("0"));
}

#[test]
fn noise_below_one_percent_of_a_tick_snaps_and_more_is_off_grid() {
    assert_eq!(RTY.snap(p("2451.3000001")), Ok(p("2451.3")));
    assert_eq!(RTY.snap(p("2451.2990001")), Ok(p("2451.3")));
    assert!(RTY.snap(p("2451.299")).is_err());
    assert_eq!(RTY.snap(p("2450.05")), Err(PriceError::OffGrid { price: p("2450.05"), tick: RTY }));
}

#[test]
fn decimals_follow_the_grid() {
    assert_eq!(RTY.decimals(), 1);
    assert_eq!(TickSize::from_nanos(250_000_000).decimals(), 2);
    assert_eq!(TickSize::from_nanos(1_000_000_000).decimals(), 0);
}

#[test]
fn distances_read_write_and_resolve() {
    let at = p("2500");
    for (text, points) in
        [("2 ticks", "0.2"), ("1 tick", "0.1"), ("10 points", "10"), ("0.4 %", "10"), ("0.25 points", "0.3")]
    {
        let d: Distance = text.parse().unwrap();
        assert_eq!(d.to_string(), text);
        assert_eq!(d.resolve(RTY, at, None), Some(p(points)), "{text}");
    }
    assert_eq!("10points".parse::<Distance>().unwrap(), Distance::Points(p("10")));
    let atr: Distance = "0.25 atr".parse().unwrap();
    assert_eq!(atr.resolve(RTY, at, None), None);
    assert_eq!(atr.resolve(RTY, at, Some(p("40"))), Some(p("10")));
    for text in ["", "10", "points", "-2 ticks", "1.5 ticks", "10 pips"] {
        assert!(text.parse::<Distance>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn every_price_survives_its_text(nanos in any::<i64>()) {
        let price = Price::from_nanos(nanos);
        prop_assert_eq!(price.to_string().parse::<Price>(), Ok(price));
    }

    #[test]
    fn parsing_never_panics(text in "\\PC{0,60}", lossy in any::<bool>()) {
        drop(Price::parse(&text, lossy));
    }

    #[test]
    fn the_grid_brackets_every_price(nanos in -1_000_000_000_000_000i64..1_000_000_000_000_000, tick in 1u32..2_000_000_000) {
        let (price, tick) = (Price::from_nanos(nanos), TickSize::from_nanos(tick));
        let (floor, ceil) = (tick.floor(price), tick.ceil(price));
        prop_assert!(floor <= price && price <= ceil);
        prop_assert!(ceil.minus(floor) == Price::ZERO || ceil.minus(floor) == tick.price());
        prop_assert_eq!(tick.snap(floor), Ok(floor));
    }
}
