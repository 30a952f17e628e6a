//! The volume-weighted average price since an anchor, and its standard deviation, exact from trades.
//!
//! `vwap = sum(p v) / sum(v)`, `sigma^2 = sum(v p^2) / sum(v) - vwap^2`. A minute that does not know its trades makes
//! both unknown until the next anchor: nothing is approximated from bars.

use jiff::civil::Date;

use crate::engine::derive::dates::{Watch, first_of, key, next_opens, opens};
use crate::engine::derive::exact::{nanos, price, quotient};
use crate::engine::derive::{Anchor, Minute, News, Period, Value};
use crate::market::calendar::Calendar;
use crate::market::price::Price;
use crate::market::trade_date::date_of;
use crate::time::Timestamp;

/// Units of a price in a point, as `sigmas` are counted.
const UNIT: i128 = 1_000_000_000;

/// Follows the trades since the anchor.
#[derive(Clone, Debug)]
pub(super) struct Vwap {
    anchor: Anchor,
    sigmas: Price,
    watch: Watch,
    run: Option<Run>,
}

/// Everything since one anchor.
#[derive(Clone, Debug)]
struct Run {
    /// The period's number; zero when the anchor is a moment.
    key: i32,
    sums: Sums,
    /// Every trade since the anchor was told, with its price.
    whole: bool,
    as_of: Timestamp,
    /// The next anchor.
    until: Timestamp,
}

/// Sums over trades, with prices in nano-units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    volume: i128,
    value: i128,
    square: i128,
}

impl Sums {
    fn add(&mut self, minute: &Minute) {
        self.volume = self.volume.saturating_add(i128::from(minute.bar.volume));
        self.value = self.value.saturating_add(minute.value);
        self.square = self.square.saturating_add(minute.square);
    }

    fn vwap(&self) -> Option<i128> {
        quotient(self.value, self.volume)
    }

    /// The standard deviation, rounded down to 1e-9.
    ///
    /// The squares are taken around the rounded average: `sum(v (p - m)^2)` stays exact, and the half unit by
    /// which `m` can be off adds less than one unit squared.
    fn sigma(&self) -> Option<i128> {
        let mean = self.vwap()?;
        let cross = mean.checked_mul(2)?.checked_mul(self.value)?;
        let around = mean.checked_mul(mean)?.checked_mul(self.volume)?;
        let sum = self.square.checked_sub(cross)?.checked_add(around)?;
        quotient(sum, self.volume)?.checked_isqrt()
    }
}

impl Vwap {
    pub(super) fn new(anchor: Anchor, sigmas: Price) -> Self {
        Self { anchor, sigmas, watch: Watch::default(), run: None }
    }

    pub(super) fn learn(&mut self, news: &News<'_>, calendar: &Calendar) -> bool {
        self.watch.learn(news);
        match news {
            News::Minute(minute) => self.minute(minute, calendar),
            News::Clock(now) => self.run.take_if(|run| run.until <= *now).is_some(),
            News::Day(_) => false,
        }
    }

    fn minute(&mut self, minute: &Minute, calendar: &Calendar) -> bool {
        let Some(date) = date_of(minute.trade_date) else {
            return false;
        };
        let key = match self.anchor {
            Anchor::At(from) if minute.bar.start < from => return false,
            Anchor::At(_) => 0,
            Anchor::Session => key(Period::Day, date),
            Anchor::Week => key(Period::Week, date),
            Anchor::Month => key(Period::Month, date),
        };
        let begun = self.run.take_if(|run| run.key != key).is_some();
        let mut run = self.run.take().unwrap_or_else(|| self.begun(key, date, calendar));
        run.whole = run.whole && minute.has_sums();
        run.sums.add(minute);
        run.as_of = minute.bar.end();
        self.run = Some(run);
        begun || minute.bar.volume > 0
    }

    fn begun(&self, key: i32, date: Date, calendar: &Calendar) -> Run {
        let of = |period| {
            let first = first_of(calendar, period, date);
            (opens(calendar, first), next_opens(calendar, period, date))
        };
        let (from, until) = match self.anchor {
            Anchor::Session => of(Period::Day),
            Anchor::Week => of(Period::Week),
            Anchor::Month => of(Period::Month),
            Anchor::At(from) => (calendar.next_open(from), Timestamp::MAX),
        };
        let whole = self.watch.covers(from);
        Run { key, sums: Sums::default(), whole, as_of: Timestamp::MIN, until }
    }

    pub(super) fn value(&self) -> Option<Value> {
        let run = self.run.as_ref().filter(|run| run.whole)?;
        let (vwap, sigma) = (run.sums.vwap()?, run.sums.sigma()?);
        let shift = quotient(nanos(self.sigmas).checked_mul(sigma)?, UNIT)?;
        let level = price(vwap.checked_add(shift)?, 1)?;
        let volume = Price::from_points(i64::try_from(run.sums.volume).ok()?);
        let inputs = vec![
            ("vwap", price(vwap, 1)?),
            ("sigma", price(sigma, 1)?),
            ("sigmas", self.sigmas),
            ("volume", volume),
        ];
        Some(Value::new("vwap/1", level, run.as_of, inputs))
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.run.as_ref().map(|run| run.until).filter(|until| *until < Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::calendar::Phase;

    fn p(text: &str) -> Price {
        text.parse().unwrap()
    }

    fn sums(trades: &[(Price, u32)]) -> Sums {
        let at = Timestamp::from_nanos(0);
        let mut sums = Sums::default();
        for (price, size) in trades {
            sums.add(&Minute::open((at, *price, *size), Phase::Rth, 20_241_125, at));
        }
        sums
    }

    #[test]
    fn the_average_and_its_deviation_are_those_of_the_table() {
        let trades = [("23429.3967", 959), ("23421.9967", 420), ("23401.0433", 821)].map(|(t, n)| (p(t), n));
        let wanted = [("23429.3967", "0"), ("23427.1429", "3.41"), ("23417.4030", "12.91")];
        for (n, (vwap, sigma)) in (1..).zip(wanted) {
            let sums = sums(&trades[..n]);
            let found = |nanos: i128| price(nanos, 1).unwrap();
            let (found_vwap, found_sigma) = (found(sums.vwap().unwrap()), found(sums.sigma().unwrap()));
            assert!(found_vwap.minus(p(vwap)).abs() <= p("0.00005"), "{found_vwap}, not {vwap}");
            assert!(found_sigma.minus(p(sigma)).abs() <= p("0.005"), "{found_sigma}, not {sigma}");
        }
        assert_eq!(sums(&trades[..1]).sigma(), Some(0), "one price has no deviation at all");
    }

    #[test]
    fn a_busy_month_of_a_dear_contract_fits() {
        let (volume, price) = (60_000_000i128, 60_000_000_000_000i128);
        let sums = Sums { volume, value: volume * price, square: volume * price * price };
        assert_eq!(sums.vwap(), Some(price));
        assert_eq!(sums.sigma(), Some(0));
    }

    proptest! {
        #[test]
        fn the_average_lies_between_the_lowest_and_the_highest_trade(
            trades in proptest::collection::vec((20_000i64..30_000, 1u32..5_000), 1..100),
        ) {
            let trades: Vec<_> = trades.into_iter().map(|(t, n)| (Price::from_nanos(t * 100_000_000), n)).collect();
            let prices: Vec<_> = trades.iter().map(|(price, _)| nanos(*price)).collect();
            let (low, high) = (*prices.iter().min().unwrap(), *prices.iter().max().unwrap());
            let sums = sums(&trades);
            let vwap = sums.vwap().unwrap();
            prop_assert!((low..=high).contains(&vwap));
            prop_assert!(sums.sigma().unwrap() <= high - low);
        }
    }
}
