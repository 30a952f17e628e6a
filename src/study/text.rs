//! Statistics in plain text, for a terminal.

use std::fmt;

use crate::study::baseline::Basis;
use crate::study::mean::Mean;
use crate::study::report::{AtHorizon, Statistics};
use crate::time::{Timestamp, format_duration};

/// Below so many observations the text says that they are few.
const FEW: usize = 20;

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        if self.breaks == 0 {
            return f.write_str("There is nothing to follow.\n");
        }
        self.table(f)?;
        self.first_hour(f)?;
        self.notes(f)
    }
}

impl Statistics {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = &self.data;
        let length = std::time::Duration::from_secs(data.bar_seconds.unwrap_or_default());
        write!(f, "{} on {}", count(self.breaks, "break"), self.instrument)?;
        write!(f, " in {} of {}", count(data.bars, "bar"), format_duration(length))?;
        write!(f, " on {}", count(data.trade_dates, "trade date"))?;
        if let (Some(from), Some(to)) = (data.from, data.to) {
            write!(f, ", {} to {}", to_the_minute(from), to_the_minute(to))?;
        }
        f.write_str(".\n")
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        row(f, ["after the break", "n", "points", "ATR", "still beyond, 95 %", "baseline ATR"])?;
        for at in &self.horizons {
            if at.points.n > 0 {
                at.row(f)?;
            }
        }
        let absent = self.horizons.iter().filter(|at| at.points.n == 0).map(|at| at.horizon.words());
        let absent: Vec<&str> = absent.collect();
        if !absent.is_empty() {
            writeln!(f, "The data says nothing of: {}.", absent.join(", "))?;
        }
        Ok(())
    }

    fn first_hour(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (outcomes, far) = (&self.outcomes, &self.excursions);
        let settled = outcomes.failed.n;
        writeln!(f, "\nWithin 60 minutes of open market ({settled} of {} breaks):", self.breaks)?;
        if settled == 0 {
            return writeln!(f, "  the data ends too early");
        }
        for (name, rate) in [
            ("failed", outcomes.failed),
            ("retest held", outcomes.retest_held),
            ("ran away", outcomes.ran_away),
            ("open", outcomes.open),
        ] {
            writeln!(f, "  {name:<12} {rate}")?;
        }
        for (name, points, atr) in [
            ("farthest on", far.favourable_points, far.favourable_atr),
            ("and back", far.adverse_points, far.adverse_atr),
        ] {
            let mean = |mean: Mean| mean.signed(1).trim_start_matches('+').to_owned();
            writeln!(f, "  {name:<12} {} points, {} ATR on average", mean(points), mean(atr))?;
        }
        Ok(())
    }

    fn notes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        if self.horizons.iter().any(|at| (1..FEW).contains(&at.points.n)) {
            writeln!(
                f,
                "n is small where it is below {FEW}: such a figure proves nothing, whatever it says."
            )?;
        }
        if self.breaks > 1 {
            writeln!(
                f,
                "Breaks soon after each other share their future: less is known than the intervals say."
            )?;
        }
        let entries = match self.baseline {
            Basis::EveryBar => "every bar, as the data has a single trade date",
            Basis::SameTimeOnOtherDates => "the same minute of the day on all other trade dates",
        };
        writeln!(f, "Baseline: entries at {entries}, in the direction of the breaks.")?;
        writeln!(
            f,
            "ATR: 14 of these bars (Wilder), completed before the break. Points and ATR count from the"
        )?;
        writeln!(f, "threshold in the direction of the break.")?;
        let breaks = match self.from_bars {
            0 => "The breaks were seen in trades".to_owned(),
            n if n == self.breaks => {
                "The breaks come from bars, too: when within a bar is an assumption".to_owned()
            }
            n => format!("{n} of the breaks come from bars, too: when within a bar is an assumption"),
        };
        writeln!(f, "Prices are closes of bars. {breaks}.")
    }
}

impl AtHorizon {
    fn row(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let baseline = match self.baseline.n {
            0 => "none".to_owned(),
            n => format!("{} (n {n})", self.baseline.signed(2)),
        };
        let (n, beyond) = (self.points.n.to_string(), self.beyond.to_string());
        let (points, atr) = (self.points.signed(1), self.atr.signed(2));
        row(f, [self.horizon.words(), &n, &points, &atr, &beyond, &baseline])
    }
}

fn row(f: &mut fmt::Formatter<'_>, cells: [&str; 6]) -> fmt::Result {
    let [horizon, n, points, atr, beyond, baseline] = cells;
    writeln!(f, "{horizon:<15} {n:>4} {points:>8} {atr:>7}  {beyond:<27} {baseline}")
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// `2024-11-25 13:30Z`.
fn to_the_minute(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..16).map_or(text.clone(), |text| format!("{}Z", text.replace('T', " ")))
}
