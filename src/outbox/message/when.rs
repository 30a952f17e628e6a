//! Times and lengths of time as a trader reads them on a phone.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::time::{Timestamp, zone_name};

/// To the second: `14:31:07 CT`.
#[must_use]
pub fn clock(t: Timestamp, zone: &TimeZone) -> String {
    let local = t.to_jiff().to_zoned_datetime(zone.clone());
    format!("{} {}", local.strftime("%H:%M:%S"), zone_name(&local))
}

/// To the millisecond: `14:31:07.250 CT`.
#[must_use]
pub fn exact_clock(t: Timestamp, zone: &TimeZone) -> String {
    let local = t.to_jiff().to_zoned_datetime(zone.clone());
    format!("{} {}", local.strftime("%H:%M:%S%.3f"), zone_name(&local))
}

/// Exact, with the day: `14:31:07.250 CT on Mon 30 Nov 2026`.
#[must_use]
pub fn moment(t: Timestamp, zone: &TimeZone) -> String {
    let local = t.to_jiff().to_zoned_datetime(zone.clone());
    format!("{} on {}", exact_clock(t, zone), local.strftime("%a %-d %b %Y"))
}

/// Exact, in UTC: `2026-11-30 20:31:07.250 UTC`.
#[must_use]
pub fn utc(t: Timestamp) -> String {
    format!("{} UTC", t.to_jiff().strftime("%Y-%m-%d %H:%M:%S%.3f"))
}

/// In the two largest units: `4 ms`, `12 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`.
#[must_use]
pub fn length(d: Duration) -> String {
    let seconds = d.as_secs();
    let two = |big: u64, small_per_big: u64, small: u64, names: (&str, &str)| {
        let rest = seconds.checked_div(small).unwrap_or(0).checked_rem(small_per_big).unwrap_or(0);
        if rest == 0 { format!("{big} {}", names.0) } else { format!("{big} {} {rest} {}", names.0, names.1) }
    };
    match seconds {
        0 => format!("{} ms", d.as_millis()),
        1..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, 60, 1, ("min", "s")),
        3_600..86_400 => two(seconds / 3_600, 60, 60, ("h", "min")),
        _ => two(seconds / 86_400, 24, 3_600, ("d", "h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn times_follow_the_exchange_through_summer_and_winter() {
        let chicago = TimeZone::get("America/Chicago").unwrap();
        assert_eq!(clock(at("2026-11-30T20:31:07.999Z"), &chicago), "14:31:07 CT");
        assert_eq!(exact_clock(at("2026-07-01T20:31:07.2509Z"), &chicago), "15:31:07.250 CT");
        assert_eq!(moment(at("2026-12-01T05:31:07Z"), &chicago), "23:31:07.000 CT on Mon 30 Nov 2026");
        assert_eq!(utc(at("2026-12-01T05:31:07Z")), "2026-12-01 05:31:07.000 UTC");
        assert_eq!(
            clock(at("2026-12-01T05:31:07Z"), &TimeZone::get("Europe/Berlin").unwrap()),
            "06:31:07 CET"
        );
        assert_eq!(clock(at("2026-12-01T05:31:07Z"), &TimeZone::UTC), "05:31:07 UTC");
    }

    #[test]
    fn lengths_have_at_most_two_units() {
        let cases = [
            (0, "0 ms"),
            (4, "4 ms"),
            (999, "999 ms"),
            (12_900, "12 s"),
            (60_000, "1 min"),
            (125_000, "2 min 5 s"),
            (11_400_000, "3 h 10 min"),
            (86_400_000, "1 d"),
            (187_200_000, "2 d 4 h"),
        ];
        for (ms, text) in cases {
            assert_eq!(length(Duration::from_millis(ms)), text);
        }
    }
}
