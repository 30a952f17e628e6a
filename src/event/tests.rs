//! What an event is on the wire, and that its identity depends on nothing but the market.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn an_id_depends_on_the_subject_and_the_market_time_alone() {
    let t = at("2024-11-25T13:57:12.250Z");
    let thread = ThreadId::new("2500", "RTY", t);
    assert_eq!(thread, ThreadId::new("2500", "RTY", t));
    assert_ne!(thread, ThreadId::new("2500", "ES", t));
    assert_ne!(thread, ThreadId::new("2500", "RTY", at("2024-11-25T13:57:12.251Z")));
    let id = EventId::new(&thread, 2, Kind::LevelBroken);
    assert_eq!(id.as_str(), format!("{thread}.2.broken"));
}

#[test]
fn an_id_can_stand_in_any_header() {
    for name in ["x\r\nBcc: y", "Größe 2.500 €", "", "---", &"long ".repeat(100), "<script>"] {
        let id = EventId::new(&ThreadId::new(name, "RTY", Timestamp::MIN), 1, Kind::LevelBroken);
        assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.'), "{id}");
        assert!(id.as_str().len() < 80 && !id.as_str().starts_with('-'), "{id}");
    }
}

#[test]
fn names_that_read_alike_are_told_apart() {
    let t = Timestamp::from_nanos(0);
    assert_ne!(ThreadId::new("a b", "RTY", t), ThreadId::new("a-b", "RTY", t));
}

#[test]
fn every_name_reads_back() {
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse::<Kind>(), Ok(*kind));
        assert_eq!(serde_json::to_string(kind).unwrap(), format!("\"{kind}\""));
    }
    assert!("level.borken".parse::<Kind>().unwrap_err().contains("level.broken"));
}

#[test]
fn the_json_form_is_the_contract() {
    let tick = TickSize::from_nanos(100_000_000);
    let px = |text: &str| Some(Px::new(text.parse().unwrap(), tick));
    let thread = ThreadId::new("2450", "RTY", at("2024-11-25T13:57:15Z"));
    let event = Event {
        id: EventId::new(&thread, 1, Kind::LevelBroken),
        thread,
        kind: Kind::LevelBroken,
        severity: Severity::High,
        level: Some("2450".into()),
        instrument: Some("RTY".into()),
        contract: Some("RTYZ4".into()),
        side: Some(Side::Resistance),
        price: px("2450"),
        threshold: px("2450"),
        level_price: px("2449.97"),
        level_space: Some(Space::Contract),
        occurred_at: at("2024-11-25T13:57:15Z"),
        detected_at: at("2024-11-25T13:57:15.004Z"),
        reason: Reason::Cross,
        late: false,
        from_bars: true,
        rehearsal: false,
        numbers: Numbers::new(),
        about: About::default(),
    };
    let json = serde_json::to_value(&event).unwrap();
    assert_eq!(json["kind"], "level.broken");
    assert_eq!(json["price"], "2450.0");
    assert_eq!(json["level_price"], "2449.97");
    assert_eq!(json["occurred_at"], "2024-11-25T13:57:15.000Z");
    assert_eq!(json["reason"], "cross");
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut contract = vec![
        "id",
        "thread",
        "kind",
        "severity",
        "level",
        "instrument",
        "contract",
        "side",
        "price",
        "threshold",
        "level_price",
        "level_space",
        "occurred_at",
        "detected_at",
        "reason",
        "late",
        "from_bars",
        "numbers",
    ];
    contract.sort_unstable();
    assert_eq!(keys, contract);
    assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
}
