//! Trade dates as numbers (yyyymmdd), as the engine and the ledger keep them.

use jiff::civil::Date;

/// A date as yyyymmdd.
#[must_use]
pub fn number_of(date: Date) -> i32 {
    let year = i32::from(date.year()).saturating_mul(10_000);
    year.saturating_add(i32::from(date.month()).saturating_mul(100)).saturating_add(i32::from(date.day()))
}

/// The date that yyyymmdd stands for; `None` for a number that is no date.
#[must_use]
pub fn date_of(number: i32) -> Option<Date> {
    let (year, rest) = (number.div_euclid(10_000), number.rem_euclid(10_000));
    let (month, day) = (rest.div_euclid(100), rest.rem_euclid(100));
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_date_and_its_number_are_the_same() {
        assert_eq!(number_of(date(2024, 11, 5)), 20_241_105);
        assert_eq!(date_of(20_241_105), Some(date(2024, 11, 5)));
        assert_eq!(date_of(20_241_301), None);
    }
}
