//! The registry in virtual time: each test moves the clock itself.

use std::time::{Duration, Instant};

use rover_link::signaling::ice_offer::IceOffer;
use rover_link::signaling::message::{ErrorCode, ServerMessage};
use rover_link::signaling::registry::{
    CHALLENGE_TIMEOUT, ConnectionId, HELLO_TIMEOUT, MEMBER_RATE, Output, Registry,
};
use serde_json::json;

const HALF_A_CHALLENGE: Duration = CHALLENGE_TIMEOUT.checked_div(2).expect("not by zero");

/// A registry with a clock, whose outputs read as short lines: `1 welcome [rover_a]`.
struct Stage {
    registry: Registry,
    now: Instant,
    connections: u64,
}

impl Stage {
    fn new() -> Self {
        Self::with(None)
    }

    fn with(ice_offer: Option<IceOffer>) -> Self {
        let registry = Registry::new(HELLO_TIMEOUT, ice_offer);
        Self { registry, now: Instant::now(), connections: 0 }
    }

    fn open(&mut self) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        self.registry.handle_open(connection, self.now);
        connection
    }

    fn hello(&mut self, connection: ConnectionId, fleet: &str, rover_id: &str, instance: u8) {
        let instance = format!("00000000-0000-0000-0000-0000000000{instance:02}");
        let hello = json!({"type": "hello", "version": 1, "fleet": fleet, "rover_id": rover_id,
            "instance": instance, "capabilities": []});
        self.registry.handle_text(connection, &hello.to_string(), self.now);
    }

    /// A new connection that says hello.
    fn come(&mut self, rover_id: &str, instance: u8) -> ConnectionId {
        let connection = self.open();
        self.hello(connection, "default", rover_id, instance);
        connection
    }

    fn signal(&mut self, connection: ConnectionId, to: &str) {
        let signal = json!({"type": "signal", "to": to, "body": {"kind": "restart_request"}});
        self.registry.handle_text(connection, &signal.to_string(), self.now);
    }

    fn wait(&mut self, duration: Duration) {
        self.now += duration;
        self.registry.handle_timeout(self.now);
    }

    fn outputs(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.registry.poll_output()).flat_map(lines).collect()
    }
}

fn lines(output: Output) -> Vec<String> {
    match output {
        Output::Ping(connection) => vec![format!("{} ping", connection.0)],
        Output::Close { connection, code } => {
            let code = code.map_or(String::from("replaced"), |code| code.to_string());
            vec![format!("{} close {code}", connection.0)]
        }
        Output::Send { to, message } => {
            let text = match message {
                ServerMessage::Welcome { peers, .. } => {
                    let ids: Vec<_> = peers.iter().map(|peer| peer.rover_id.as_str()).collect();
                    format!("welcome [{}]", ids.join(" "))
                }
                ServerMessage::IceServers { ice_servers } => {
                    format!("ice_servers {}", ice_servers[0].username)
                }
                ServerMessage::PeerJoined(peer) => format!("joined {}", peer.rover_id),
                ServerMessage::PeerLeft { rover_id } => format!("left {rover_id}"),
                ServerMessage::Signal { from, .. } => format!("signal {from}"),
                ServerMessage::Error { code, .. } => format!("error {code}"),
            };
            to.iter().map(|connection| format!("{} {text}", connection.0)).collect()
        }
    }
}

#[test]
fn members_of_a_fleet_see_each_other_come_and_go() {
    let mut stage = Stage::new();
    let a = stage.come("rover_a", 1);
    let b = stage.come("rover_b", 2);
    stage.come("rover_c", 3);
    assert_eq!(
        stage.outputs(),
        [
            "1 welcome []",
            "2 welcome [rover_a]",
            "1 joined rover_b",
            "3 welcome [rover_a rover_b]",
            "1 joined rover_c",
            "2 joined rover_c",
        ]
    );
    stage.registry.handle_close(b, stage.now);
    assert_eq!(stage.outputs(), ["1 left rover_b", "3 left rover_b"]);
    stage.registry.handle_close(a, stage.now);
    assert_eq!(stage.outputs(), ["3 left rover_a"]);
}

#[test]
fn fleets_do_not_see_or_hear_each_other() {
    let mut stage = Stage::new();
    let (a, b) = (stage.open(), stage.open());
    stage.hello(a, "mars", "rover_a", 1);
    stage.hello(b, "moon", "rover_b", 2);
    stage.signal(a, "rover_b");
    stage.registry.handle_close(b, stage.now);
    assert_eq!(stage.outputs(), ["1 welcome []", "2 welcome []", "1 error unknown_peer"]);
}

#[test]
fn the_same_id_in_two_fleets_is_two_rovers() {
    let mut stage = Stage::new();
    let (a, b) = (stage.open(), stage.open());
    stage.hello(a, "mars", "rover_a", 1);
    stage.hello(b, "moon", "rover_a", 2);
    assert_eq!(stage.outputs(), ["1 welcome []", "2 welcome []"]);
}

#[test]
fn a_connection_that_says_nothing_is_closed_when_its_time_is_over() {
    let mut stage = Stage::new();
    stage.open();
    assert_eq!(stage.registry.poll_timeout(), Some(stage.now + HELLO_TIMEOUT));
    stage.wait(HELLO_TIMEOUT - Duration::from_millis(1));
    assert_eq!(stage.outputs(), [""; 0]);
    stage.wait(Duration::from_millis(1));
    assert_eq!(stage.outputs(), ["1 error bad_message", "1 close bad_message"]);
    assert_eq!(stage.registry.poll_timeout(), None);
}

#[test]
fn members_get_new_credentials_for_turn_before_the_former_ones_run_out() {
    const LIFETIME: Duration = Duration::from_secs(600);
    let (urls, moment) = (vec!["turn:192.0.2.1".to_owned()], (Instant::now(), 1_000_000));
    let mut stage = Stage::with(Some(IceOffer::new(urls, b"secret", LIFETIME, moment)));
    stage.now = moment.0;
    let a = stage.come("rover_a", 1);
    let Some(Output::Send { message: ServerMessage::Welcome { ice_servers, .. }, .. }) =
        stage.registry.poll_output()
    else {
        panic!("no welcome")
    };
    assert_eq!(ice_servers[0].username, "1000600:rover_a");
    stage.wait(LIFETIME / 2);
    assert_eq!(stage.outputs(), ["1 ice_servers 1000900:rover_a"]);
    // A connection in place of this one has got its own with the welcome.
    stage.come("rover_a", 1);
    assert_eq!(stage.outputs(), ["1 close replaced", "2 welcome []"]);
    stage.wait(LIFETIME / 2);
    assert_eq!(stage.outputs(), ["2 ice_servers 1001200:rover_a"]);
    stage.registry.handle_close(ConnectionId(2), stage.now);
    assert_eq!(stage.registry.poll_timeout(), None, "{a:?}");
}

#[test]
fn a_member_has_nothing_to_time_out() {
    let mut stage = Stage::new();
    stage.come("rover_a", 1);
    assert_eq!(stage.registry.poll_timeout(), None);
    stage.wait(HELLO_TIMEOUT * 100);
    assert_eq!(stage.outputs(), ["1 welcome []"]);
}

#[test]
fn a_signal_before_the_hello_and_a_second_hello_are_bad_messages() {
    let mut stage = Stage::new();
    let early = stage.open();
    stage.signal(early, "rover_b");
    assert_eq!(stage.outputs(), ["1 error bad_message", "1 close bad_message"]);

    let twice = stage.come("rover_a", 1);
    stage.hello(twice, "default", "rover_a", 1);
    assert_eq!(stage.outputs(), ["2 welcome []", "2 error bad_message", "2 close bad_message"]);
}

#[test]
fn what_arrives_after_a_close_is_ignored() {
    let mut stage = Stage::new();
    let a = stage.open();
    stage.registry.handle_invalid(a, ErrorCode::TooLarge, "too large", stage.now);
    assert_eq!(stage.outputs(), ["1 error too_large", "1 close too_large"]);
    stage.hello(a, "default", "rover_a", 1);
    stage.registry.handle_invalid(a, ErrorCode::TooLarge, "too large", stage.now);
    stage.registry.handle_pong(a, stage.now);
    stage.registry.handle_close(a, stage.now);
    assert_eq!(stage.outputs(), [""; 0]);
}

#[test]
fn a_member_that_breaks_the_protocol_leaves_its_fleet() {
    let mut stage = Stage::new();
    stage.come("rover_a", 1);
    let b = stage.come("rover_b", 2);
    stage.outputs();
    stage.registry.handle_text(b, "{\"type\":\"howdy\"}", stage.now);
    assert_eq!(stage.outputs(), ["2 error bad_message", "2 close bad_message", "1 left rover_b"]);
}

#[test]
fn more_than_the_rate_is_dropped_with_an_error_each_and_the_member_stays() {
    let mut stage = Stage::new();
    let a = stage.come("rover_a", 1);
    stage.come("rover_b", 2);
    stage.outputs();
    for _ in 0..MEMBER_RATE + 10 {
        stage.signal(a, "rover_b");
    }
    let outputs = stage.outputs();
    let count = |line: &str| outputs.iter().filter(|&output| output == line).count();
    assert_eq!(count("2 signal rover_a"), MEMBER_RATE as usize);
    assert_eq!(count("1 error rate_limited"), 10);
    assert_eq!(outputs.len(), MEMBER_RATE as usize + 10);

    stage.wait(Duration::from_secs(1));
    stage.signal(a, "rover_b");
    assert_eq!(stage.outputs(), ["2 signal rover_a"]);
}

#[test]
fn the_same_instance_takes_its_place_over_without_the_fleet_noticing() {
    let mut stage = Stage::new();
    let b = stage.come("rover_b", 2);
    let old = stage.come("rover_a", 1);
    stage.outputs();
    stage.come("rover_a", 1);
    assert_eq!(stage.outputs(), ["2 close replaced", "3 welcome [rover_b]"]);

    stage.signal(b, "rover_a");
    stage.registry.handle_close(old, stage.now);
    assert_eq!(stage.outputs(), ["3 signal rover_b"]);
}

#[test]
fn a_newcomer_is_refused_when_the_holder_of_its_id_answers_the_ping() {
    let mut stage = Stage::new();
    let holder = stage.come("rover_a", 1);
    stage.come("rover_a", 2);
    assert_eq!(stage.outputs(), ["1 welcome []", "1 ping"]);
    stage.wait(HALF_A_CHALLENGE);
    stage.registry.handle_pong(holder, stage.now);
    assert_eq!(stage.outputs(), ["2 error id_in_use", "2 close id_in_use"]);
    stage.wait(CHALLENGE_TIMEOUT * 2);
    assert_eq!(stage.outputs(), [""; 0]);
    assert_eq!(stage.registry.poll_timeout(), None);
}

#[test]
fn a_newcomer_takes_over_when_the_holder_of_its_id_stays_silent() {
    let mut stage = Stage::new();
    stage.come("rover_a", 1);
    stage.come("rover_b", 3);
    stage.outputs();
    stage.come("rover_a", 2);
    assert_eq!(stage.outputs(), ["1 ping"]);
    assert_eq!(stage.registry.poll_timeout(), Some(stage.now + CHALLENGE_TIMEOUT));
    stage.wait(CHALLENGE_TIMEOUT);
    assert_eq!(
        stage.outputs(),
        ["1 close replaced", "2 left rover_a", "3 welcome [rover_b]", "2 joined rover_a"]
    );
    assert_eq!(stage.registry.poll_timeout(), None);
}

#[test]
fn a_newcomer_takes_over_at_once_when_the_holder_of_its_id_leaves() {
    let mut stage = Stage::new();
    let holder = stage.come("rover_a", 1);
    stage.come("rover_a", 2);
    stage.outputs();
    stage.registry.handle_close(holder, stage.now);
    assert_eq!(stage.outputs(), ["2 welcome []"]);
    stage.wait(CHALLENGE_TIMEOUT * 2);
    assert_eq!(stage.outputs(), [""; 0]);
}

#[test]
fn a_third_instance_is_refused_while_two_contend() {
    let mut stage = Stage::new();
    stage.come("rover_a", 1);
    stage.come("rover_a", 2);
    stage.outputs();
    stage.come("rover_a", 3);
    assert_eq!(stage.outputs(), ["3 error id_in_use", "3 close id_in_use"]);
    stage.wait(CHALLENGE_TIMEOUT);
    assert_eq!(stage.outputs(), ["1 close replaced", "2 welcome []"]);
}

#[test]
fn a_challenger_may_come_again_over_a_new_connection() {
    let mut stage = Stage::new();
    stage.come("rover_a", 1);
    stage.come("rover_a", 2);
    stage.wait(HALF_A_CHALLENGE);
    stage.outputs();
    stage.come("rover_a", 2);
    assert_eq!(stage.outputs(), ["2 close replaced", "1 ping"]);
    stage.wait(CHALLENGE_TIMEOUT);
    assert_eq!(stage.outputs(), ["1 close replaced", "3 welcome []"]);
    assert_eq!(stage.registry.poll_timeout(), None);
}

#[test]
fn a_challenger_that_leaves_or_talks_too_early_changes_nothing_for_the_holder() {
    let mut stage = Stage::new();
    let holder = stage.come("rover_a", 1);
    let leaves = stage.come("rover_a", 2);
    stage.registry.handle_close(leaves, stage.now);
    let talks = stage.come("rover_a", 3);
    stage.outputs();
    stage.signal(talks, "rover_a");
    assert_eq!(stage.outputs(), ["3 error bad_message", "3 close bad_message"]);
    stage.wait(CHALLENGE_TIMEOUT * 2);
    stage.registry.handle_pong(holder, stage.now);
    stage.signal(holder, "rover_a");
    assert_eq!(stage.outputs(), ["1 signal rover_a"]);
}

#[test]
fn a_holder_that_reconnects_during_a_challenge_keeps_its_id() {
    let mut stage = Stage::new();
    stage.come("rover_a", 1);
    stage.come("rover_a", 2);
    stage.outputs();
    stage.come("rover_a", 1);
    assert_eq!(
        stage.outputs(),
        ["1 close replaced", "3 welcome []", "2 error id_in_use", "2 close id_in_use"]
    );
    assert_eq!(stage.registry.poll_timeout(), None);
}
