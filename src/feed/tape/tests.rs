//! Lines of a tape.

use super::*;

#[test]
fn every_line_reads_back_as_it_was_written() {
    let month = ContractMonth { year: 2026, month: 12 };
    let wire = TapeWire { instrument: "RTY".into(), contract: Some(month), symbol: "RTYZ6".into() };
    for what in [
        What::Text("[{\"a\":\"\\u0000\n\"}]".into()),
        What::Bytes(vec![0, 255, 30]),
        What::Event(Event::Start),
        What::Event(Event::Market(false)),
        What::Event(Event::Asked(Asked { wires: vec![wire], secrets: vec!["token".into()] })),
        What::Event(Event::Failed(Failed::Http { status: 429, retry_after_ms: Some(5) })),
        What::Event(Event::Closed("why".into())),
        What::Event(Event::Timer),
    ] {
        let row = Row { at: Timestamp::from_nanos(7), up: Moment(Duration::from_nanos(42)), what };
        let mut line = Vec::new();
        row.write(&mut line).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(Row::read(std::str::from_utf8(&line).unwrap()).unwrap(), row);
    }
}

#[test]
fn what_is_no_line_is_refused() {
    for line in ["", "{}", "{\"at\":1,\"up\":1}", "{\"at\":1,\"up\":1,\"text\":\"a\",\"bytes\":\"\"}"] {
        assert!(Row::read(line).is_err(), "{line}");
    }
    assert!(matches!(Row::read("{\"at\":1,\"up\":1,\"bytes\":\"!\"}"), Err(TapeError::Bytes(_))));
}

#[test]
fn a_header_of_a_later_version_is_refused_by_its_number() {
    let header = Header::new("venue", "json", Timestamp::from_nanos(0), String::new());
    let line = serde_json::to_string(&header).unwrap();
    assert!(is_tape(line.as_bytes()));
    assert_eq!(Header::read(&line).unwrap(), header);
    let later = line.replace("\"version\":1", "\"version\":9");
    assert!(matches!(Header::read(&later), Err(TapeError::Version(9))));
    assert!(matches!(Header::read("time,open"), Err(TapeError::NoTape)));
}

#[test]
fn a_secret_is_taken_out_of_text_bytes_and_reasons() {
    let scrub = |text: &str| text.replace("hunter2", "(secret)");
    let text = |what: What| format!("{what:?}");
    for input in [
        Input::Frame(Frame::Text("x hunter2 y")),
        Input::Closed("hunter2"),
        Input::Failed(Failure::Unreachable("hunter2".into())),
    ] {
        let said = text(What::of(&input, scrub));
        assert!(said.contains("(secret)") && !said.contains("hunter2"), "{said}");
    }
    let bytes = What::of(&Input::Frame(Frame::Binary(b"\xffhunter2")), scrub);
    let What::Bytes(bytes) = bytes else { panic!("bytes stay bytes") };
    assert!(!bytes.windows(7).any(|part| part == b"hunter2"));
    assert_eq!(What::of(&Input::Frame(Frame::Binary(b"\xff")), scrub), What::Bytes(vec![255]));
}
