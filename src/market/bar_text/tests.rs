//! Readers of bars against small texts and against the real exports.

use proptest::prelude::*;

use super::*;

const RTY: TickSize = TickSize::from_nanos(100_000_000);
const CENT: TickSize = TickSize::from_nanos(10_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn csv(text: &str) -> Parsed {
    parse_csv(text, RTY, None).unwrap()
}

fn problems(parsed: &Parsed) -> Vec<(u64, &str)> {
    parsed.problems.iter().map(|p| (p.line, p.message.as_str())).collect()
}

/// A file of `shared/data`; `None` when it is not there.
fn shared(name: &str, test: &str) -> Option<String> {
    let path = format!("{}/../shared/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).ok();
    if text.is_none() {
        println!("shared data absent: {test} checks nothing");
    }
    text
}

#[test]
fn columns_are_found_by_name_in_any_order_and_case() {
    let text = "Symbol,Volume,CLOSE,low,High,Open,Timestamp\nRTYZ4,72,2440.7,2440.6,2441.4,2440.8,2024-11-25T13:30:00Z\n,171,2441.5,2440.8,2441.7,2440.8,2024-11-25 13:31:00\n";
    let parsed = csv(text);
    assert_eq!(parsed.problems, []);
    assert_eq!(parsed.bars[0].contract.as_deref(), Some("RTYZ4"));
    assert_eq!(parsed.bars[1].contract, None);
    let bar = parsed.bars[1].bar;
    assert_eq!((bar.start.to_string().as_str(), bar.length), ("2024-11-25T13:31:00.000Z", MINUTE));
    assert_eq!(
        [bar.open, bar.high, bar.low, bar.close].map(|p| p.to_string()),
        ["2440.8", "2441.7", "2440.8", "2441.5"]
    );
    assert_eq!(bar.volume, 171);
}

#[test]
fn dates_and_binary_noise_are_read() {
    let text = "\u{feff}Date,Close,High,Low,Open,Volume\n1987-09-10,168.97000122070312,168.97999572753906,167.44000244140625,167.44000244140625,179800000.0\n1987-09-11,170.5,170.5,168.75,168.97,1\n";
    let parsed = parse_csv(text, CENT, None).unwrap();
    assert_eq!(parsed.problems, []);
    let bar = parsed.bars[0].bar;
    assert_eq!((bar.close.to_string().as_str(), bar.volume), ("168.97", 179_800_000));
    assert_eq!((bar.start.to_string().as_str(), bar.length), ("1987-09-10T00:00:00.000Z", MINUTE * 1440));
}

#[test]
fn each_bad_row_is_named_with_its_line_and_what_would_be_right() {
    let text = "time,open,high,low,close,volume\n\
        2024-11-25T13:30:00Z,2440.8,2441.4,2440.6,2440.7,72\n\
        \n\
        yesterday,2440.8,2441.4,2440.6,2440.7,72\n\
        2024-11-25T13:31:00Z,2440.85,2441.4,2440.6,2440.7,72\n\
        2024-11-25T13:32:00Z,null,2441.4,2440.6,2440.7,72\n\
        2024-11-25T13:33:00Z,2440.8,2441.4,2440.6,2441.5,72\n\
        2024-11-25T13:34:00Z,2440.8,2441.4,2440.6,2440.7,many\n\
        2024-11-25T13:30:00Z,2440.8,2441.4,2440.6,2440.7,72\n\
        2024-11-25T13:35:00Z,2440.8,2441.4,2440.6,2440.7,0\n\
        2024-11-25T13:36:00Z,2440.8\n\
        2024-11-25T13:37:00Z,2440.8,2441.4,2440.6,2440.7,72\n\
        2024-11-25T13:36:00Z,2440.8,2441.4,2440.6,2440.7,72\n\
        2024-11-25T13:37:00Z,2440.8,2441.4,2440.6,2440.7,72\n";
    let parsed = parse_csv(text, RTY, Some(MINUTE)).unwrap();
    assert_eq!(parsed.bars.len(), 2);
    assert_eq!(
        problems(&parsed),
        [
            (
                4,
                "time: \"yesterday\" is not like 2024-11-25T13:30:00Z, 2024-11-25 13:30:00 (UTC) or 2024-11-25"
            ),
            (5, "open: 2440.85 is not on the 0.1 grid, its neighbours are 2440.8 and 2440.9"),
            (6, "open: \"null\" is not a decimal number"),
            (7, "close 2441.5 is above high 2441.4: the high would have to be at least 2441.5"),
            (8, "volume: \"many\" is not a whole number of contracts"),
            (
                9,
                "2024-11-25T13:30:00.000Z comes after 2024-11-25T13:33:00.000Z: rows must be in order of time"
            ),
            (10, "volume 0 where other rows have some: nothing traded, or the row is not final"),
            (11, "high: \"\" is not a decimal number"),
            (
                13,
                "2024-11-25T13:36:00.000Z comes after 2024-11-25T13:37:00.000Z: rows must be in order of time"
            ),
            (14, "a second row for 2024-11-25T13:37:00.000Z, the first is line 12"),
        ]
    );
}

#[test]
fn two_contracts_may_share_a_moment() {
    let text = "ts,open,high,low,close,volume,contract\n\
        2024-12-17T23:00:00Z,1,1,1,1,5,RTYZ4\n2024-12-17T23:00:00Z,2,2,2,2,5,RTYH5\n2024-12-17T23:05:00Z,2,2,2,2,5,RTYH5\n";
    let parsed = csv(text);
    assert_eq!((parsed.bars.len(), parsed.problems.len()), (3, 0));
    assert_eq!(parsed.bars[0].bar.length, MINUTE * 5);
}

#[test]
fn bars_that_overlap_are_told() {
    let text =
        "ts,open,high,low,close,volume\n2024-12-17T23:00:00Z,1,1,1,1,5\n2024-12-17T23:01:00Z,1,1,1,1,5\n";
    let parsed = parse_csv(text, RTY, Some(MINUTE * 5)).unwrap();
    assert_eq!(
        problems(&parsed),
        [(
            3,
            "starts at 2024-12-17T23:01:00.000Z, before the bar of 2024-12-17T23:00:00.000Z ends: the bars are shorter than 5m"
        )]
    );
}

#[test]
fn a_text_of_volumes_zero_has_no_volumes() {
    let text =
        "ts,open,high,low,close,volume\n2024-12-17T23:00:00Z,1,1,1,1,0\n2024-12-17T23:01:00Z,1,1,1,1,0\n";
    assert_eq!((csv(text).bars.len(), csv(text).problems.len()), (2, 0));
}

#[test]
fn a_missing_column_or_length_is_an_error_of_the_whole() {
    let error = parse_csv("date,open,high,low,volume\n", RTY, None).unwrap_err();
    assert_eq!(error.to_string(), "no column close among date, open, high, low, volume");
    let error = parse_csv("", RTY, None).unwrap_err();
    assert!(matches!(error, BarTextError::Column { .. }), "{error}");
    let one = "ts,open,high,low,close,volume\n2024-12-17T23:00:00Z,1,1,1,1,1\n";
    assert!(matches!(parse_csv(one, RTY, None), Err(BarTextError::NoLength)));
    assert_eq!(parse_csv(one, RTY, Some(MINUTE)).unwrap().bars.len(), 1);
    assert_eq!(csv("ts,open,high,low,close,volume\n"), Parsed::default());
}

#[test]
fn ninjatrader_stamps_the_end_of_a_bar() {
    let text = "20241125 133100;2440.8;2441.4;2440.6;2440.7;72\r\n20241125 133200;2440.8;2441.7;2440.8;2441.5;171\r\n\r\n20241125;1;1;1;1;1\n20241125 133400;1;1;1;1\n";
    let parsed = parse_ninjatrader(text, RTY, None).unwrap();
    assert_eq!(parsed.bars[0].bar.start.to_string(), "2024-11-25T13:30:00.000Z");
    assert_eq!((parsed.bars.len(), parsed.bars[1].bar.length), (2, MINUTE));
    assert_eq!(
        problems(&parsed),
        [
            (4, "time: \"20241125\" is not like 20241125 133100"),
            (5, "\"20241125 133400;1;1;1;1\" is not yyyyMMdd HHmmss;open;high;low;close;volume"),
        ]
    );
}

#[test]
fn formats_are_recognised_by_their_first_line() {
    assert_eq!(looks_like("ts_open_utc,open,high,low,close,volume\n"), Some(Format::Csv));
    assert_eq!(looks_like("\n20241125 133100;2440.8;2441.4;2440.6;2440.7;72\n"), Some(Format::Ninjatrader));
    assert_eq!(looks_like("{\"ev\":\"T\"}\n"), None);
    assert_eq!(looks_like(""), None);
}

#[test]
fn both_real_exports_of_25_november_2024_give_the_same_bars() {
    let test = "both_real_exports_of_25_november_2024_give_the_same_bars";
    let csv_text = shared("RTYZ4_1m_20241125_1330-1750Z.csv", test);
    let ninjatrader_text = shared("RTYZ4_1m_20241125.ninjatrader.txt", test);
    let (Some(csv_text), Some(ninjatrader_text)) = (csv_text, ninjatrader_text) else { return };
    assert_eq!(looks_like(&csv_text), Some(Format::Csv));
    assert_eq!(looks_like(&ninjatrader_text), Some(Format::Ninjatrader));
    let parsed = csv(&csv_text);
    assert_eq!((parsed.bars.len(), parsed.problems.len()), (260, 0));
    assert_eq!(parse_ninjatrader(&ninjatrader_text, RTY, None).unwrap(), parsed);
    // domain.md 7: the first minutes in which these prices were reached.
    for (price, minute) in [("2450", "13:57"), ("2460.8", "15:21"), ("2475", "15:48"), ("2477.1", "15:59")] {
        let price: Price = price.parse().unwrap();
        let first = parsed.bars.iter().find(|row| row.bar.high >= price).unwrap();
        assert_eq!(first.bar.start.to_string(), format!("2024-11-25T{minute}:00.000Z"));
    }
    let high = parsed.bars.iter().map(|row| row.bar.high).max().unwrap();
    assert_eq!(high.to_string(), "2477.1");
}

#[test]
fn the_real_daily_files_show_their_dirt() {
    let test = "the_real_daily_files_show_their_dirt";
    let Some(future) = shared("RTY=F_daily_yahoo_20170710_20260223.csv", test) else { return };
    let parsed = csv(&future);
    assert_eq!(parsed.bars[0].bar.length, MINUTE * 1440);
    let of = |part: &str| parsed.problems.iter().filter(|p| p.message.contains(part)).count();
    assert_eq!((of("volume 0"), of("above high"), of("grid")), (8, 2, 30));
    assert_eq!(parsed.problems.len(), 40);
    let Some(index) = shared("RUT_daily_yahoo_19870910_20260223.csv", test) else { return };
    let parsed = parse_csv(&index, CENT, None).unwrap();
    let last = index.lines().count();
    assert!(
        parsed.problems.iter().any(|p| p.line == u64::try_from(last).unwrap()),
        "the unfinished last row"
    );
}

#[test]
fn the_real_five_minute_file_names_its_contract() {
    let Some(text) =
        shared("RTY_5m_ibkr_20241124_20241206.csv", "the_real_five_minute_file_names_its_contract")
    else {
        return;
    };
    let parsed = csv(&text);
    assert_eq!((parsed.problems.len(), parsed.bars.len()), (0, text.lines().count() - 1));
    assert!(parsed.bars.iter().all(|row| row.contract.as_deref() == Some("RTYZ4")));
    assert_eq!(parsed.bars[0].bar.length, MINUTE * 5);
}

proptest! {
    #[test]
    fn reading_never_panics(text in "[\\PC\n\r]{0,200}") {
        let with_header = format!("date,open,high,low,close,volume\n{text}");
        drop(parse_csv(&text, RTY, None));
        drop(parse_csv(&with_header, RTY, Some(MINUTE)));
        drop(parse_ninjatrader(&text, RTY, Some(MINUTE)));
        prop_assert!(looks_like(&text).is_none() || !text.is_empty());
    }
}
