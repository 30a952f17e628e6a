//! A scripted protocol under a clock that the tests turn.

use secrecy::ExposeSecret;

use super::*;
use crate::feed::drops::Drops;
use crate::feed::protocol::{Request, Timing, Wire};
use crate::market::price::Price;
use crate::market::symbol::ContractMonth;

/// Says `hello`, is ready on `ok`, refuses on `no`, is kicked on `out`; a number is a trade at that price.
#[derive(Default)]
struct Toy {
    drops: Drops,
}

impl Protocol for Toy {
    fn set_wires(&mut self, _: Vec<Wire>) {}

    fn set_secret(&mut self, _: &str, _: SecretString) {}

    fn timing(&self) -> Timing {
        Timing {
            beat: Some(secs(15)),
            ping: Some(secs(20)),
            transport_silence: secs(45),
            market_silence: secs(120),
        }
    }

    fn request(&self) -> Request {
        Request { url: "ws://localhost".into(), headers: Vec::new() }
    }

    fn connected(&mut self, reply: &mut Reply) {
        reply.send.push("hello".into());
    }

    fn frame(&mut self, frame: Frame<'_>, received_at: Timestamp, reply: &mut Reply) {
        let Frame::Text(text) = frame else { return };
        match text {
            "ok" => reply.verdict = Verdict::Ready,
            "no" => reply.verdict = Verdict::Refused("no".into()),
            "out" => reply.verdict = Verdict::Kicked("out".into()),
            "again" => reply.verdict = Verdict::Reconnect("again".into()),
            text => {
                let next = ContractMonth { year: 2027, month: 3 };
                let contract = text.starts_with("next ").then_some(next);
                let text = text.trim_start_matches("next ");
                let (price, at) = text.split_once('@').map_or((text, None), |(p, at)| (p, at.parse().ok()));
                let Ok(price) = price.parse::<Price>() else { return };
                reply.ticks.push(Tick {
                    instrument: InstrumentId(0),
                    contract,
                    update: Update::Trade { price, size: 1 },
                    exchange_at: at.map(wall),
                    received_at,
                    sequence: None,
                    quality: Quality::Live,
                });
            }
        }
    }

    fn subscribe(&mut self, reply: &mut Reply) {
        reply.send.push("subscribe".into());
    }

    fn is_in_force(&self, tick: &Tick) -> bool {
        tick.contract.is_none()
    }

    fn beat(&mut self, reply: &mut Reply) {
        reply.send.push("beat".into());
    }

    fn scrub(&self, text: &str) -> String {
        text.replace("s3cret", "(secret)")
    }

    fn drops(&mut self) -> &mut Drops {
        &mut self.drops
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn wall(second: i64) -> Timestamp {
    Timestamp::from_unit(1_732_545_000 + second, crate::time::Unit::S).unwrap()
}

struct World {
    session: Session<Toy>,
    second: u64,
}

impl World {
    fn new() -> Self {
        Self { session: Session::new(FeedId(0), Toy::default(), Limits::default()), second: 0 }
    }

    /// Up to live, at second 0.
    fn live() -> Self {
        let mut world = Self::new();
        world.give(Input::Start);
        world.give(Input::Connected);
        world.say("ok");
        world
    }

    fn give(&mut self, input: Input<'_>) -> Vec<String> {
        let wall = wall(i64::try_from(self.second).unwrap());
        let now = Now { moment: Moment(secs(self.second)), wall, jitter: 1_000_000 };
        let mut out = Vec::new();
        self.session.handle(input, now, &mut out);
        out.iter().filter_map(describe).collect()
    }

    fn say(&mut self, text: &str) -> Vec<String> {
        self.give(Input::Frame(Frame::Text(text)))
    }

    /// Lets time pass up to `second`, with every timer that is due.
    fn until(&mut self, second: u64) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(due) = self.session.deadline().filter(|due| due.0 <= secs(second)) {
            self.second = due.0.as_secs();
            said.extend(self.give(Input::Timer));
        }
        self.second = second;
        said
    }
}

fn describe(output: &Output) -> Option<String> {
    Some(match output {
        Output::Connect => "connect".into(),
        Output::Send(text) => text.expose_secret().to_owned(),
        Output::Ping => "ping".into(),
        Output::Close => "close".into(),
        Output::Item(Item::Tick(tick)) => format!("{:?}", tick.quality),
        Output::Item(Item::Link(link)) => match &link.state {
            LinkState::Live => "live".into(),
            LinkState::Quiet => "quiet".into(),
            LinkState::Down { loss, .. } => format!("{loss:?}"),
        },
        Output::Note(_) => return None,
    })
}

#[test]
fn a_connection_is_greeted_and_lives() {
    let mut world = World::new();
    assert_eq!(world.give(Input::Start), ["connect"]);
    assert_eq!(world.give(Input::Connected), ["hello"]);
    assert_eq!(world.say("ok"), ["live"]);
    assert_eq!(world.say("2450@0"), ["Live"]);
}

#[test]
fn the_first_old_value_after_a_subscription_is_a_snapshot() {
    let mut world = World::live();
    world.second = 100;
    world.give(Input::Heard);
    assert_eq!(world.say("2450@-60"), ["Snapshot"]);
    assert_eq!(world.say("2451@100"), ["Live"]);
    let mut world = World::live();
    assert_eq!(world.say("2450"), ["Snapshot"], "no exchange time");
    assert_eq!(world.say("2450"), ["Live"]);
}

#[test]
fn a_live_first_print_is_not_swallowed() {
    let mut world = World::live();
    assert_eq!(world.say("2450@-1"), ["Live"]);
}

#[test]
fn a_dead_peer_is_found_by_what_does_not_arrive() {
    let mut world = World::live();
    world.say("2450@0");
    let said = world.until(45);
    assert_eq!(
        said,
        ["beat", "ping", "beat", "ping", "close", "TransportSilent"].map(String::from)[..said.len()]
    );
    assert_eq!(said.last().unwrap(), "TransportSilent");
    assert_eq!(world.until(46), ["connect"]);
}

#[test]
fn a_silent_market_is_asked_again_and_then_left() {
    let mut world = World::live();
    let mut said = Vec::new();
    for second in (30..=240).step_by(30) {
        said.extend(world.until(second));
        world.give(Input::Heard);
    }
    said.retain(|word| word != "beat" && word != "ping");
    assert_eq!(said, ["quiet", "subscribe", "close", "MarketSilent"]);
}

#[test]
fn prints_of_the_next_contract_break_no_silence() {
    let mut world = World::live();
    let mut said = Vec::new();
    for second in (30..=120).step_by(30) {
        said.extend(world.until(second));
        world.say(&format!("next 2450@{second}"));
    }
    assert!(said.contains(&"quiet".to_owned()), "{said:?}");
}

#[test]
fn a_closed_market_may_be_silent() {
    let mut world = World::live();
    world.give(Input::Market { open: false });
    for second in (30..=600).step_by(30) {
        assert!(world.until(second).iter().all(|word| word == "beat" || word == "ping"));
        world.give(Input::Heard);
    }
    // The silence counts from the opening.
    world.give(Input::Market { open: true });
    for second in (630..720).step_by(30) {
        assert!(!world.until(second).contains(&"quiet".to_owned()));
        world.give(Input::Heard);
    }
    assert!(world.until(720).contains(&"quiet".to_owned()));
}

#[test]
fn heartbeats_and_snapshots_are_no_prints() {
    let mut world = World::live();
    for second in (30..120).step_by(30) {
        world.until(second);
        world.say("heartbeat");
    }
    assert!(world.until(120).contains(&"quiet".to_owned()));
    world.say("2450@-900");
    for second in (130..240).step_by(30) {
        world.until(second);
        world.say("heartbeat");
    }
    assert!(world.until(240).contains(&"MarketSilent".to_owned()));
}

#[test]
fn a_mere_connect_or_greeting_does_not_reset_the_backoff() {
    let mut world = World::new();
    world.give(Input::Start);
    let mut waits = Vec::new();
    for _ in 0..8 {
        world.give(Input::Connected);
        world.say("ok");
        world.say("2450");
        world.give(Input::Closed("reset"));
        let due = world.session.deadline().unwrap().0;
        waits.push(due.as_secs() - world.second);
        world.until(due.as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn a_healthy_connection_resets_the_backoff() {
    let mut world = World::new();
    world.give(Input::Start);
    for _ in 0..5 {
        world.give(Input::Failed(Failure::Unreachable("refused".into())));
        let due = world.session.deadline().unwrap().0.as_secs();
        world.until(due);
    }
    world.give(Input::Connected);
    world.say("ok");
    world.second += 31;
    world.say(&format!("2450@{}", world.second));
    world.give(Input::Closed("reset"));
    assert_eq!(world.session.deadline().unwrap().0.as_secs() - world.second, 1);
}

#[test]
fn a_refusal_waits_long_and_longer() {
    let mut world = World::new();
    world.give(Input::Start);
    world.give(Input::Connected);
    assert_eq!(world.say("no"), ["close", "Refused"]);
    let wait = world.session.deadline().unwrap().0;
    assert!(wait >= secs(900));
    world.until(wait.as_secs());
    let refused = Failure::Http { status: 401, retry_after: None };
    assert_eq!(world.give(Input::Failed(refused)), ["Refused"]);
    assert!(world.session.deadline().unwrap().0 - wait >= secs(1_800));
}

#[test]
fn a_kicked_client_does_not_kick_back_at_once() {
    let mut world = World::live();
    assert_eq!(world.say("out"), ["close", "Refused"]);
    assert!(world.session.deadline().unwrap().0 >= secs(60));
}

#[test]
fn kicks_are_answered_with_longer_and_longer_waits_although_trading_was_healthy_between() {
    let mut world = World::live();
    let mut waits = Vec::new();
    for _ in 0..3 {
        world.second += 31;
        world.say(&format!("2450@{}", world.second));
        world.say("out");
        let due = world.session.deadline().unwrap().0.as_secs();
        waits.push(due - world.second);
        world.until(due);
        world.give(Input::Connected);
        world.say("ok");
    }
    assert!(waits[0] >= 60 && waits[1] >= 120 && waits[2] >= 240, "{waits:?}");
}

#[test]
fn what_a_peer_says_is_told_without_our_secrets() {
    let mut world = World::live();
    let now = Now { moment: Moment(secs(0)), wall: wall(0), jitter: 0 };
    let mut out = Vec::new();
    world.session.handle(Input::Closed("bad key s3cret"), now, &mut out);
    assert!(format!("{out:?}").contains("bad key (secret)") && !format!("{out:?}").contains("s3cret"));
}

#[test]
fn retry_after_is_obeyed() {
    let mut world = World::new();
    world.give(Input::Start);
    world.give(Input::Failed(Failure::Http { status: 503, retry_after: Some(secs(90)) }));
    assert_eq!(world.session.deadline().unwrap().0, secs(90));
}

#[test]
fn a_handshake_that_never_ends_is_ended() {
    let mut world = World::new();
    world.give(Input::Start);
    assert_eq!(world.until(10), ["close", "Disconnected"]);
    assert_eq!(world.until(11), ["connect"]);
    world.give(Input::Connected);
    world.until(20);
    world.give(Input::Heard);
    assert_eq!(world.until(26), ["close", "TransportSilent"]);
}

#[test]
fn what_belongs_to_a_gone_connection_is_ignored() {
    let mut world = World::live();
    world.give(Input::Closed("reset"));
    assert!(world.say("2450").is_empty());
    assert!(world.give(Input::Closed("again")).is_empty());
    assert!(world.give(Input::Connected).is_empty());
}
