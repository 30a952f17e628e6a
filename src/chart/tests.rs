//! What is drawn of some days, and that whatever is drawn is a picture.

use std::time::Duration;

use proptest::prelude::*;

use super::png::png;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn p(text: &str) -> Price {
    text.parse().unwrap()
}

fn bar(start: Timestamp, prices: [&str; 4]) -> Bar {
    let [open, high, low, close] = prices.map(p);
    Bar { start, length: Duration::from_secs(60), open, high, low, close, volume: 1 }
}

fn level(name: Option<&str>, price: &str, highlighted: bool) -> Level {
    Level { name: name.map(str::to_owned), price: p(price), side: Side::Resistance, highlighted }
}

fn empty() -> Chart {
    Chart {
        title: "RTY broke 2,500.0 up: 2,500.4".into(),
        subtitle: "RTYZ4, Mon 25 Nov 2024".into(),
        bars: Vec::new(),
        last: None,
        levels: vec![level(None, "2500", true)],
        marks: Vec::new(),
        from: at("2024-11-25T14:00:00Z"),
        until: at("2024-11-25T15:00:00Z"),
        zone: TimeZone::get("America/Chicago").unwrap(),
        tick: TickSize::new(p("0.1")).unwrap(),
    }
}

/// Five minutes, a halt, three minutes, and the break.
fn broken() -> Chart {
    let minute = |n: u64| at("2024-11-25T14:00:00Z").saturating_add(Duration::from_secs(60 * n));
    Chart {
        bars: vec![
            bar(minute(10), ["2490.0", "2491.2", "2489.6", "2491.0"]),
            bar(minute(11), ["2491.0", "2493.0", "2490.8", "2492.4"]),
            bar(minute(12), ["2492.4", "2494.1", "2492.0", "2493.3"]),
            bar(minute(13), ["2493.3", "2493.4", "2491.0", "2491.5"]),
            bar(minute(14), ["2491.5", "2495.0", "2491.5", "2494.8"]),
            bar(minute(40), ["2496.0", "2497.0", "2495.5", "2496.8"]),
            bar(minute(41), ["2496.8", "2499.9", "2496.8", "2499.0"]),
            bar(minute(42), ["2499.0", "2499.8", "2498.0", "2499.6"]),
        ],
        last: Some((at("2024-11-25T14:43:20Z"), p("2500.4"))),
        levels: vec![
            level(None, "2500", true),
            level(Some("R1 & <R2>"), "2503.5", false),
            level(None, "2450", false),
            level(None, "2525", false),
        ],
        marks: vec![Mark {
            at: at("2024-11-25T14:43:20Z"),
            price: p("2500.4"),
            what: "broke".into(),
            sign: Sign::Up,
            highlighted: true,
        }],
        until: at("2024-11-25T14:43:20Z"),
        ..empty()
    }
}

/// Bars of a market that swings, one a minute.
fn long(minutes: u64) -> Chart {
    let from = at("2024-11-25T14:00:00Z");
    let bars = (0..minutes).map(|n| {
        let price = |up: u64| Price::from_points(2_400 + i64::try_from((n * 7 + up) % 90).unwrap());
        let start = from.saturating_add(Duration::from_secs(60 * n));
        let (open, close) = (price(0), price(3));
        Bar {
            start,
            length: Duration::from_secs(60),
            open,
            high: open.max(close),
            low: open.min(close),
            close,
            volume: 1,
        }
    });
    Chart { bars: bars.collect(), until: from.saturating_add(Duration::from_secs(60 * minutes)), ..empty() }
}

/// The attributes of every element whose tag begins so.
fn elements<'a>(svg: &'a str, begin: &str) -> Vec<&'a str> {
    svg.lines().filter(|line| line.starts_with(begin)).collect()
}

#[test]
fn a_break_after_a_halt() {
    insta::assert_snapshot!(broken().svg());
}

#[test]
fn a_level_without_prices_says_so() {
    insta::assert_snapshot!(empty().svg());
}

#[test]
fn one_bar_and_equal_prices_are_seen() {
    let start = at("2024-11-25T14:30:00Z");
    let one = Chart { bars: vec![bar(start, ["2499.9"; 4])], ..empty() };
    let svg = one.svg();
    assert_eq!(elements(&svg, "<path").len(), 2, "a range and a line: {svg}");
    assert!(svg.contains(">2,499.9<") && svg.contains(">2,500.0<"), "{svg}");
    assert!(!svg.contains("no prices"), "{svg}");
}

#[test]
fn a_halt_is_no_line() {
    let svg = broken().svg();
    let lines = elements(&svg, "<path d=").into_iter().filter(|path| path.contains("fill=\"none\""));
    assert_eq!(lines.count(), 2, "{svg}");
    assert_eq!(svg.matches(GAP).count(), 1, "{svg}");
}

#[test]
fn a_level_far_away_is_an_arrow_and_leaves_prices_readable() {
    let far = Chart { levels: vec![level(None, "9000", true)], ..broken() };
    let svg = far.svg();
    assert!(svg.contains(">↑ 9,000.0<"), "{svg}");
    let scale = Series::of(&far).scale;
    assert!(!scale.contains(p("9000")) && scale.contains(p("2489.6")), "{scale:?}");
    let near = Chart { levels: vec![level(None, "2510", true)], ..broken() };
    assert!(Series::of(&near).scale.contains(p("2510")), "the level of the picture may stretch it");
}

#[test]
fn prices_below_zero_have_a_true_minus_sign() {
    let start = at("2024-11-25T14:30:00Z");
    let bars = vec![bar(start, ["-3.0", "-1.0", "-40.5", "-37.6"])];
    let svg = Chart { bars, levels: vec![level(None, "-37.6", true)], ..empty() }.svg();
    assert!(svg.contains(">−37.6<") && svg.contains(">−20.0<"), "{svg}");
}

#[test]
fn lines_of_the_grid_are_round_and_few() {
    let tick = |text: &str| TickSize::new(p(text)).unwrap();
    for (low, high, size, lines) in [
        ("2440", "2477", "0.1", "2440 2450 2460 2470"),
        ("5000.25", "5004", "0.25", "5000 5001 5002 5003 5004"),
        ("110", "110.25", "0.03125", "110 110.0625 110.125 110.1875 110.25"),
        ("-1", "1", "1", "-1 0 1"),
    ] {
        let scale = scale::PriceScale::around((p(low), p(high)), Price::ZERO);
        let grid: Vec<_> = scale.grid(tick(size)).iter().map(ToString::to_string).collect();
        assert_eq!(grid.join(" "), lines);
    }
}

#[test]
fn times_are_round_in_the_zone_of_the_exchange() {
    let times = |from: &str, until: &str| {
        let scale = TimeScale::new((at(from), at(until)), (0, 1_000));
        let ticks = scale.ticks(&TimeZone::get("America/Chicago").unwrap());
        ticks.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(times("2024-11-25T11:50:00Z", "2024-11-25T17:50:00Z"), "06:00 07:00 08:00 09:00 10:00 11:00");
    assert_eq!(times("2024-11-26T04:00:00Z", "2024-11-26T09:00:00Z"), "22:00 23:00 26 Nov 01:00 02:00 03:00");
    assert_eq!(
        times("2024-11-20T12:00:00Z", "2024-11-23T12:00:00Z"),
        "12:00 21 Nov 12:00 22 Nov 12:00 23 Nov"
    );
    assert_eq!(times("2024-11-01T12:00:00Z", "2024-11-25T12:00:00Z"), "8 Nov 15 Nov 22 Nov");
    assert_eq!(
        times("2024-03-10T06:30:00Z", "2024-03-10T09:30:00Z"),
        "00:30 01:00 01:30 03:00 03:30 04:00 04:30",
        "summer"
    );
    assert_eq!(
        times("2024-11-25T14:00:00Z", "2024-11-25T14:00:20Z"),
        "08:00:00 08:00:05 08:00:10 08:00:15 08:00:20"
    );
}

#[test]
fn thousands_of_bars_are_no_longer_than_a_screen_is_wide() {
    let [day, month] = [1_440, 30 * 1_440].map(|minutes| long(minutes).svg().len());
    assert!(day < 30_000 && month < 30_000, "{day} and {month} bytes");
    let series = Series::of(&long(30 * 1_440));
    let extremes = series.segments.iter().flatten().map(|column| (column.low, column.high));
    assert!(
        extremes.clone().any(|(low, _)| low == p("2400"))
            && extremes.clone().any(|(_, high)| high == p("2489"))
    );
}

#[test]
fn words_that_others_wrote_end_nothing() {
    let hostile = "</text><script>alert(1)</script>\u{0}\u{202e}]]>&amp;";
    let mut chart = Chart { title: hostile.into(), subtitle: hostile.into(), ..broken() };
    chart.levels.push(level(Some(hostile), "2495", false));
    chart.marks.push(Mark { what: hostile.into(), highlighted: false, ..chart.marks[0].clone() });
    let svg = chart.svg();
    assert!(!svg.contains("<script") && !svg.contains('\u{0}') && !svg.contains('\u{202e}'), "{svg}");
    assert!(svg.contains("&lt;/text&gt;"), "{svg}");
    png(&svg, 100).unwrap();
}

#[test]
fn pixels_have_the_size_that_was_asked_for_and_words_in_them() {
    let words = |title: &str| png(&Chart { title: title.into(), ..broken() }.svg(), WIDTH_OF_PHONE).unwrap();
    let picture = words("RTY broke 2,500.0 up");
    let size = resvg::tiny_skia::Pixmap::decode_png(&picture).map(|pixels| (pixels.width(), pixels.height()));
    assert_eq!(size.unwrap(), (360, 240));
    assert_ne!(picture, words("RTY broke 2,500.0 up too"), "the font is in the program");
    for wrong in [0, png::WIDTH_MAX + 1] {
        assert!(matches!(png(&broken().svg(), wrong), Err(png::PngError::Width(n)) if n == wrong));
    }
    assert!(matches!(png("no picture", 100), Err(png::PngError::Svg(_))));
}

const WIDTH_OF_PHONE: u32 = 360;

fn any_price() -> impl Strategy<Value = Price> {
    prop_oneof![4 => 2_000_000_000_000i64..3_000_000_000_000, 1 => any::<i64>()].prop_map(Price::from_nanos)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let day = 1_732_500_000_000_000_000..1_732_586_400_000_000_000i64;
    prop_oneof![6 => day, 1 => any::<i64>()].prop_map(Timestamp::from_nanos)
}

fn any_bar() -> impl Strategy<Value = Bar> {
    let prices = (any_price(), any_price(), any_price(), any_price());
    (any_time(), 1u64..100_000, prices).prop_map(|(start, length, (open, high, low, close))| Bar {
        start,
        length: Duration::from_secs(length),
        open,
        high,
        low,
        close,
        volume: 0,
    })
}

fn any_chart() -> impl Strategy<Value = Chart> {
    let side = prop_oneof![Just(Side::Resistance), Just(Side::Support)];
    let level = (any::<Option<String>>(), any_price(), side, any::<bool>())
        .prop_map(|(name, price, side, highlighted)| Level { name, price, side, highlighted });
    let sign = prop_oneof![Just(Sign::Up), Just(Sign::Down), Just(Sign::Dot)];
    let mark = (any_time(), any_price(), any::<String>(), sign, any::<bool>())
        .prop_map(|(at, price, what, sign, highlighted)| Mark { at, price, what, sign, highlighted });
    let zone = prop_oneof![Just("America/Chicago"), Just("Asia/Kolkata"), Just("Africa/Casablanca")];
    let lists = (
        prop::collection::vec(any_bar(), 0..400),
        prop::collection::vec(level, 0..20),
        prop::collection::vec(mark, 0..40),
    );
    let words = (any::<String>(), any::<String>());
    let last = prop::option::of((any_time(), any_price()));
    (lists, words, last, any_time(), any_time(), zone, 1..2_000_000_000u32).prop_map(
        |((bars, levels, marks), (title, subtitle), last, from, until, zone, tick)| Chart {
            title,
            subtitle,
            bars,
            last,
            levels,
            marks,
            from,
            until,
            zone: TimeZone::get(zone).unwrap(),
            tick: TickSize::from_nanos(tick),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_drawn_is_a_picture_of_limited_length(chart in any_chart()) {
        let svg = chart.svg();
        prop_assert!(svg.len() < 80_000, "{} bytes", svg.len());
        prop_assert!(resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).is_ok(), "{}", svg);
        prop_assert_eq!(svg, chart.svg());
    }

    #[test]
    fn no_label_of_the_axis_hides_another(chart in any_chart()) {
        let mut middles = axis::middles(&axis::tags(&chart, &Series::of(&chart)));
        middles.sort_unstable();
        let apart = middles.windows(2).all(|pair| pair[1] - pair[0] >= 300);
        prop_assert!(apart, "{middles:?}");
    }
}
