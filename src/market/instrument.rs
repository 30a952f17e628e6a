//! What an instrument is: its facts, when its contracts expire, and which one is in front.
//!
//! Everything follows from the calendar and the roll policy. A roll by volume is not decided here, it needs the
//! market's data: whoever has seen it asks [`Instrument::rolls_by_volume`].

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::market::calendar::Calendar;
use crate::market::price::{Price, TickSize};
use crate::market::symbol::{ContractMonth, Root, Symbol};
use crate::time::Timestamp;

/// The contract months of an instrument: March, June, September, December.
const QUARTERLY: [u8; 4] = [3, 6, 9, 12];
/// So many days before the third Friday is the Monday of its week,
const MONDAY_BEFORE: u16 = 4;
/// and so many before is the Thursday of the week before.
const THURSDAY_BEFORE: u16 = 8;

/// When the next month takes over. In the configuration: `cme_monday`, `cme_thursday`, `volume`,
/// `{ days_before_expiry = 5 }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollPolicy {
    /// On the Monday before the third Friday.
    #[default]
    CmeMonday,
    /// On the Thursday eight days before the third Friday.
    CmeThursday,
    /// In the session in which the next month's volume first exceeds that of the front month; at the latest as
    /// by [`RollPolicy::CmeMonday`].
    Volume,
    /// So many calendar days before the last trade date.
    DaysBeforeExpiry(u16),
    /// Never: this one contract until it expires.
    Explicit(ContractMonth),
}

/// Why something about an instrument cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InstrumentError {
    /// Not a roll policy.
    #[error("{0:?} is not a roll policy that stands alone: cme_monday, cme_thursday or volume")]
    RollPolicy(String),
}

impl FromStr for RollPolicy {
    type Err = InstrumentError;

    fn from_str(text: &str) -> Result<Self, InstrumentError> {
        match text {
            "cme_monday" => Ok(Self::CmeMonday),
            "cme_thursday" => Ok(Self::CmeThursday),
            "volume" => Ok(Self::Volume),
            _ => Err(InstrumentError::RollPolicy(text.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for RollPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CmeMonday => f.write_str("cme_monday"),
            Self::CmeThursday => f.write_str("cme_thursday"),
            Self::Volume => f.write_str("volume"),
            Self::DaysBeforeExpiry(days) => write!(f, "days_before_expiry = {days}"),
            Self::Explicit(month) => write!(f, "explicit = {month}"),
        }
    }
}

/// A product and its contract facts.
#[derive(Clone, Debug)]
pub struct Instrument {
    /// The product root (`RTY`).
    pub root: Root,
    /// For people (`E-mini Russell 2000`).
    pub name: String,
    /// The cash index under it.
    pub index: Option<String>,
    /// The smallest price step.
    pub tick: TickSize,
    /// What one point of one contract is worth, in the contract's currency.
    pub point_value: Price,
    /// The exchange, ISO 10383.
    pub mic: String,
    /// Its sessions.
    pub calendar: Calendar,
    /// When the next month takes over.
    pub roll: RollPolicy,
    /// Whether it has contract months (March, June, September, December).
    pub dated: bool,
}

/// The facts of a built-in instrument: root, name, index, tick size and point value in nano-units, exchange.
type Facts = (&'static str, &'static str, &'static str, u32, i64, &'static str);

const BUILTIN: [Facts; 8] = [
    ("RTY", "E-mini Russell 2000", "Russell 2000", 100_000_000, 50_000_000_000, "XCME"),
    ("M2K", "Micro E-mini Russell 2000", "Russell 2000", 100_000_000, 5_000_000_000, "XCME"),
    ("ES", "E-mini S&P 500", "S&P 500", 250_000_000, 50_000_000_000, "XCME"),
    ("MES", "Micro E-mini S&P 500", "S&P 500", 250_000_000, 5_000_000_000, "XCME"),
    ("NQ", "E-mini Nasdaq-100", "Nasdaq-100", 250_000_000, 20_000_000_000, "XCME"),
    ("MNQ", "Micro E-mini Nasdaq-100", "Nasdaq-100", 250_000_000, 2_000_000_000, "XCME"),
    ("YM", "E-mini Dow", "Dow", 1_000_000_000, 5_000_000_000, "XCBT"),
    ("MYM", "Micro E-mini Dow", "Dow", 1_000_000_000, 500_000_000, "XCBT"),
];

/// The roots that need no configuration.
pub const BUILTIN_ROOTS: [&str; 8] = ["RTY", "M2K", "ES", "MES", "NQ", "MNQ", "YM", "MYM"];

impl Instrument {
    /// The built-in facts of a root; `None` when they must be configured.
    #[must_use]
    pub fn builtin(root: &str) -> Option<Self> {
        let (root, name, index, tick, point, mic) = *BUILTIN.iter().find(|facts| facts.0 == root)?;
        Some(Self {
            root: Root::new(root).ok()?,
            name: name.to_owned(),
            index: Some(index.to_owned()),
            tick: TickSize::from_nanos(tick),
            point_value: Price::from_nanos(point),
            mic: mic.to_owned(),
            calendar: Calendar::cme_equity(),
            roll: RollPolicy::default(),
            dated: true,
        })
    }

    /// The contract of a month.
    #[must_use]
    pub const fn symbol(&self, month: ContractMonth) -> Symbol {
        Symbol { root: self.root, month }
    }

    /// When a contract is traded for the last time: 08:30 on the third Friday, or on the business day before
    /// when that is an exchange holiday. A month that is none (13) has expired at all times.
    #[must_use]
    pub fn last_trade(&self, month: ContractMonth) -> Timestamp {
        let date = third_friday(month).map(|friday| self.last_trade_date(friday));
        date.map_or(Timestamp::MIN, |date| self.calendar.instant(date.at(8, 30, 0, 0)))
    }

    /// When the next month takes over from this one: at the open of the session of the roll day, on the
    /// evening before it. A roll on Monday 2026-12-14 means that all of trade date 2026-12-14 is the next
    /// month's, from Sunday 17:00 on. With [`RollPolicy::Explicit`] nothing takes over before the expiry; with
    /// [`RollPolicy::Volume`] this is the latest moment.
    #[must_use]
    pub fn roll_at(&self, month: ContractMonth) -> Timestamp {
        let Some(friday) = third_friday(month) else { return Timestamp::MIN };
        let roll_day = match self.roll {
            RollPolicy::CmeMonday | RollPolicy::Volume => days_before(friday, MONDAY_BEFORE),
            RollPolicy::CmeThursday => days_before(friday, THURSDAY_BEFORE),
            RollPolicy::DaysBeforeExpiry(days) => days_before(self.last_trade_date(friday), days),
            RollPolicy::Explicit(_) => return self.last_trade(month),
        };
        self.calendar.session_opens(roll_day)
    }

    /// The contract in force; `None` for an instrument without months, and when an explicit contract has
    /// expired. With [`RollPolicy::Volume`] the next month may have taken over already, see
    /// [`Instrument::rolls_by_volume`].
    #[must_use]
    pub fn front(&self, at: Timestamp) -> Option<ContractMonth> {
        if !self.dated {
            return None;
        }
        let ahead = match self.roll {
            RollPolicy::Explicit(month) => return Some(month).filter(|m| at < self.last_trade(*m)),
            RollPolicy::DaysBeforeExpiry(days) => days,
            RollPolicy::CmeMonday | RollPolicy::CmeThursday | RollPolicy::Volume => 0,
        };
        // No month before that of `earliest` can still be in front, and its second successor always can.
        let earliest = self.calendar.local(at).date().saturating_add(days(ahead));
        let mut months = std::iter::successors(quarter_of(earliest), |m| following(*m)).take(3);
        months.find(|m| at < self.roll_at(*m))
    }

    /// The next roll: when, and to which month. `None` when there will be none.
    #[must_use]
    pub fn next_roll(&self, at: Timestamp) -> Option<(Timestamp, ContractMonth)> {
        if matches!(self.roll, RollPolicy::Explicit(_)) {
            return None;
        }
        let front = self.front(at)?;
        Some((self.roll_at(front), following(front)?))
    }

    /// Whether the next month takes over when it has traded `next` contracts in a session and the month in front
    /// `volume`. Never with any other policy.
    #[must_use]
    pub fn rolls_by_volume(&self, volume: u64, next: u64) -> bool {
        self.roll == RollPolicy::Volume && next > volume
    }

    fn last_trade_date(&self, friday: Date) -> Date {
        if self.calendar.is_trading_day(friday) { friday } else { self.calendar.business_day_before(friday) }
    }
}

fn third_friday(month: ContractMonth) -> Option<Date> {
    let first = Date::new(month.year, i8::try_from(month.month).ok()?, 1).ok()?;
    first.nth_weekday_of_month(3, Weekday::Friday).ok()
}

/// The first contract month that does not end before `date`.
fn quarter_of(date: Date) -> Option<ContractMonth> {
    let month = QUARTERLY.into_iter().find(|m| i8::try_from(*m).is_ok_and(|m| m >= date.month()))?;
    Some(ContractMonth { year: date.year(), month })
}

/// The contract month after this one.
fn following(month: ContractMonth) -> Option<ContractMonth> {
    match QUARTERLY.into_iter().find(|m| *m > month.month) {
        Some(later) => Some(ContractMonth { year: month.year, month: later }),
        None => Some(ContractMonth { year: month.year.checked_add(1)?, month: *QUARTERLY.first()? }),
    }
}

fn days(n: u16) -> SignedDuration {
    SignedDuration::from_hours(i64::from(n).saturating_mul(24))
}

fn days_before(date: Date, n: u16) -> Date {
    date.saturating_sub(days(n))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn rty(roll: RollPolicy) -> Instrument {
        Instrument { roll, ..Instrument::builtin("RTY").unwrap() }
    }

    fn month(text: &str) -> ContractMonth {
        ContractMonth::parse(text, 2026).unwrap()
    }

    fn ct(text: &str) -> Timestamp {
        Calendar::cme_equity().instant(text.parse().unwrap())
    }

    #[test]
    fn the_built_in_facts_are_those_of_the_exchange() {
        for root in BUILTIN_ROOTS {
            let instrument = Instrument::builtin(root).unwrap();
            assert_eq!(instrument.root.as_str(), root);
            assert!(instrument.dated && instrument.index.is_some());
        }
        assert_eq!(BUILTIN.map(|facts| facts.0), BUILTIN_ROOTS);
        let facts = |root| {
            let i = Instrument::builtin(root).unwrap();
            (i.tick.to_string(), i.point_value.to_string(), i.mic)
        };
        assert_eq!(facts("RTY"), ("0.1".into(), "50".into(), "XCME".into()));
        assert_eq!(facts("NQ"), ("0.25".into(), "20".into(), "XCME".into()));
        assert_eq!(facts("MYM"), ("1".into(), "0.5".into(), "XCBT".into()));
        assert!(Instrument::builtin("GC").is_none() && Instrument::builtin("rty").is_none());
    }

    #[rstest]
    #[case("M26", "2026-06-18 08:30")]
    #[case("M27", "2027-06-17 08:30")]
    #[case("Z25", "2025-12-19 08:30")]
    #[case("Z26", "2026-12-18 08:30")]
    #[case("H27", "2027-03-19 08:30")]
    #[case("H08", "2008-03-20 08:30")] // the third Friday was Good Friday
    fn the_last_trade_is_on_the_third_friday_or_before(#[case] contract: &str, #[case] last: &str) {
        assert_eq!(rty(RollPolicy::CmeMonday).last_trade(month(contract)), ct(last));
    }

    #[rstest]
    #[case(RollPolicy::CmeMonday, "Z26", "2026-12-13 17:00")]
    #[case(RollPolicy::CmeMonday, "M26", "2026-06-14 17:00")]
    #[case(RollPolicy::Volume, "Z26", "2026-12-13 17:00")]
    #[case(RollPolicy::CmeThursday, "Z26", "2026-12-09 17:00")]
    #[case(RollPolicy::CmeThursday, "M26", "2026-06-10 17:00")]
    #[case(RollPolicy::DaysBeforeExpiry(0), "M26", "2026-06-17 17:00")]
    #[case(RollPolicy::DaysBeforeExpiry(5), "Z26", "2026-12-12 17:00")]
    fn a_roll_takes_force_on_the_evening_before(
        #[case] roll: RollPolicy,
        #[case] contract: &str,
        #[case] at: &str,
    ) {
        assert_eq!(rty(roll).roll_at(month(contract)), ct(at));
    }

    #[test]
    fn the_front_month_changes_at_the_open_of_the_roll_day() {
        let rty = rty(RollPolicy::CmeMonday);
        assert_eq!(rty.front(ct("2026-12-13 16:59:59")), Some(month("Z26")));
        assert_eq!(rty.front(ct("2026-12-13 17:00")), Some(month("H27")));
        assert_eq!(rty.calendar.trade_date(ct("2026-12-13 17:00")), jiff::civil::date(2026, 12, 14));
        assert_eq!(rty.next_roll(ct("2026-11-30 09:00")), Some((ct("2026-12-13 17:00"), month("H27"))));
        assert_eq!(rty.next_roll(ct("2026-12-13 17:00")), Some((ct("2027-03-14 17:00"), month("M27"))));
        assert_eq!(rty.symbol(month("Z26")).to_string(), "RTYZ6");
    }

    #[test]
    fn volume_must_exceed_and_monday_is_the_latest() {
        let rty = rty(RollPolicy::Volume);
        assert!(!rty.rolls_by_volume(100_000, 100_000) && rty.rolls_by_volume(100_000, 100_001));
        assert_eq!(rty.roll_at(month("Z26")), ct("2026-12-13 17:00"));
        assert!(!super::tests::rty(RollPolicy::CmeMonday).rolls_by_volume(1, 2));
    }

    #[test]
    fn an_early_roll_looks_past_the_nearest_months() {
        let rty = rty(RollPolicy::DaysBeforeExpiry(200));
        // 200 days before 2027-06-17 is 2026-11-29.
        assert_eq!(rty.front(ct("2026-11-28 16:59")), Some(month("M27")));
        assert_eq!(rty.front(ct("2026-11-28 17:00")), Some(month("U27")));
    }

    #[test]
    fn an_explicit_contract_stops_at_its_expiry() {
        let rty = rty(RollPolicy::Explicit(month("Z26")));
        assert_eq!(rty.front(ct("2020-01-01 00:00")), Some(month("Z26")));
        assert_eq!(rty.front(ct("2026-12-18 08:29:59.999")), Some(month("Z26")));
        assert_eq!(rty.front(ct("2026-12-18 08:30")), None);
        assert_eq!(rty.next_roll(ct("2026-12-01 00:00")), None);
        assert_eq!(rty.roll_at(month("Z26")), ct("2026-12-18 08:30"));
    }

    #[test]
    fn an_instrument_without_months_has_no_front() {
        let index = Instrument { dated: false, ..rty(RollPolicy::CmeMonday) };
        assert_eq!(
            (index.front(ct("2026-12-01 09:00")), index.next_roll(ct("2026-12-01 09:00"))),
            (None, None)
        );
    }

    #[test]
    fn policies_are_read_by_their_names() {
        assert_eq!("cme_monday".parse(), Ok(RollPolicy::CmeMonday));
        assert_eq!("cme_thursday".parse(), Ok(RollPolicy::CmeThursday));
        assert_eq!("volume".parse(), Ok(RollPolicy::Volume));
        assert_eq!(RollPolicy::Volume.to_string(), "volume");
        assert_eq!(
            "open_interest".parse::<RollPolicy>().unwrap_err().to_string(),
            "\"open_interest\" is not a roll policy that stands alone: cme_monday, cme_thursday or volume"
        );
        assert_eq!(serde_json::from_str::<RollPolicy>("\"cme_monday\"").unwrap(), RollPolicy::CmeMonday);
        let days = serde_json::from_str::<RollPolicy>(r#"{"days_before_expiry":5}"#).unwrap();
        assert_eq!(days, RollPolicy::DaysBeforeExpiry(5));
        assert_eq!(days.to_string(), "days_before_expiry = 5");
    }

    fn policies() -> impl Strategy<Value = RollPolicy> {
        prop_oneof![
            Just(RollPolicy::CmeMonday),
            Just(RollPolicy::CmeThursday),
            Just(RollPolicy::Volume),
            any::<u16>().prop_map(RollPolicy::DaysBeforeExpiry),
            (0u16..400).prop_map(RollPolicy::DaysBeforeExpiry),
            (2000i16..2100, 0u8..14)
                .prop_map(|(year, month)| RollPolicy::Explicit(ContractMonth { year, month })),
        ]
    }

    proptest! {
        #[test]
        fn the_front_month_has_not_expired(roll in policies(), secs in 0i64..7_000_000_000) {
            let (rty, at) = (rty(roll), Timestamp::from_nanos(secs * 1_000_000_000));
            let front = rty.front(at);
            prop_assert!(front.is_none_or(|m| at < rty.last_trade(m)));
            prop_assert!(front.is_some() || matches!(roll, RollPolicy::Explicit(_)));
        }

        #[test]
        fn the_front_month_holds_until_the_next_roll_and_then_changes(roll in policies(), secs in 0i64..4_000_000_000) {
            let (rty, at) = (rty(roll), Timestamp::from_nanos(secs * 1_000_000_000));
            if let Some((roll_at, next)) = rty.next_roll(at) {
                prop_assert!(roll_at > at);
                prop_assert_eq!(rty.front(roll_at.saturating_sub(Duration::from_nanos(1))), rty.front(at));
                prop_assert_eq!(rty.front(roll_at), Some(next));
            }
        }

        #[test]
        fn the_front_of_any_moment_is_answered(roll in policies(), nanos in any::<i64>()) {
            let (rty, at) = (rty(roll), Timestamp::from_nanos(nanos));
            prop_assert!(rty.front(at).is_none_or(|m| at < rty.last_trade(m)));
        }
    }
}
