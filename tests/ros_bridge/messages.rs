//! Messages on their way from one topic over a link to another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rover_link::config::{Config, Delivery, Durability, Parameters, Sources, Value};
use rover_link::link::{OutgoingMessage, RouteId, RouteOffer};
use rover_link::ros::bridge::Bridge;
use rover_link::ros::rcl::Node;

use crate::fake_link::{self, FakeLink, Mirror, Seen};
use crate::graph::*;

/// A configuration with the given parameters besides the usual ones.
pub(crate) fn config(topics: &[&str], parameters: &[(&str, &str)]) -> Config {
    config_with("topic_ids", topics, parameters)
}

/// The same with these ids in another list.
pub(crate) fn config_with(list_key: &str, ids: &[&str], parameters: &[(&str, &str)]) -> Config {
    let list = |ids: &[&str]| Value::StringList(ids.iter().map(|id| (*id).to_owned()).collect());
    let mut values = Parameters::from([
        ("rover_id".to_owned(), Value::String("rover_a".to_owned())),
        ("identity_file".to_owned(), Value::String("/not/read/here.pem".to_owned())),
        ("peers".to_owned(), list(&["rover_b", "rover_c"])),
        (list_key.to_owned(), list(ids)),
    ]);
    for (key, value) in parameters {
        values.insert((*key).to_owned(), Value::String((*value).to_owned()));
    }
    Config::from_parameters(&values, &Sources::default()).expect("a configuration")
}

/// Peers offer `/rover_a/x` back as `/<peer>/x`, and what is not ours as it is.
pub(crate) fn mirror(peer: &str, offer: &RouteOffer) -> Option<RouteOffer> {
    let topic = offer.topic.replace("/rover_a/", &format!("/{peer}/"));
    Some(RouteOffer { topic, ..offer.clone() })
}

pub(crate) fn bridge(
    config: &Config,
    peers: &'static [&'static str],
    mirror: Mirror,
) -> (Bridge, FakeLink) {
    bridge_of(node("rover_link", &[]), config, peers, mirror)
}

/// The same with a node of which the test knows what it has seen.
pub(crate) fn bridge_of(
    node: Arc<Node>,
    config: &Config,
    peers: &'static [&'static str],
    mirror: Mirror,
) -> (Bridge, FakeLink) {
    let (application, link) = FakeLink::start(peers, mirror);
    let bridge = Bridge::start(node, config, application).expect("a bridge");
    (bridge, link)
}

#[test]
fn reliable_messages_cross_complete_and_in_order() {
    let _turn = take_turns();
    let config = config(&["m"], &[("topics.m.name", "/messages/odom")]);
    let (bridge, _link) = bridge(&config, &["rover_b"], mirror);
    let others = node("others", &[]);
    let mut receiver = Receiver::new(&others, "/rover_b/messages/odom", RELIABLE);
    let publisher = publisher(&others, "/messages/odom", RELIABLE);
    meet(&publisher, &mut receiver);
    let start = Instant::now();
    for n in 0..3000 {
        publish(&publisher, &n.to_string());
    }
    for n in 0..3000 {
        assert_eq!(receiver.next_text(), n.to_string());
    }
    // A short burst, then two per millisecond.
    assert!(start.elapsed() >= Duration::from_millis(1490), "{:?}", start.elapsed());
    assert!(!bridge.has_failed());
}

#[test]
fn messages_of_a_compressed_topic_cross_complete_and_in_order() {
    let _turn = take_turns();
    let name = "/messages/compressed";
    let config = config(&["m"], &[("topics.m.name", name), ("topics.m.compression", "zstd")]);
    let (bridge, link) = bridge(&config, &["rover_b"], mirror);
    let others = node("others", &[]);
    let mut receiver = Receiver::new(&others, &format!("/rover_b{name}"), RELIABLE);
    let publisher = publisher(&others, name, RELIABLE);
    meet(&publisher, &mut receiver);
    let words = |n: usize| n.to_string().repeat(1 + n % 3 * 10_000);
    for n in 0..100 {
        publish(&publisher, &words(n));
    }
    for n in 0..100 {
        assert!(receiver.next_text() == words(n), "{n}");
    }
    let is_compressed = |of: &&OutgoingMessage| of.compressed.is_some();
    assert_eq!(link.seen().messages.iter().filter(is_compressed).count(), 66);
    assert!(!bridge.has_failed());
}

#[test]
fn a_burst_into_the_bridge_loses_nothing() {
    let _turn = take_turns();
    let config = config(&["m"], &[("topics.m.name", "/messages/burst")]);
    let (_bridge, link) = bridge(&config, &[], mirror);
    let others = node("others", &[]);
    let publisher = publisher(&others, "/messages/burst", RELIABLE);
    fake_link::meet(&publisher, &link);
    for n in 0..10_000 {
        publish(&publisher, &n.to_string());
    }
    link.wait_for("10,000 messages", |seen| seen.messages.len() >= 10_000);
    let seen = link.seen();
    assert!(seen.messages.iter().all(|message| message.publisher == publisher.id()));
    for (n, message) in seen.messages.iter().enumerate() {
        assert_eq!(text(&message.data), n.to_string());
    }
}

#[test]
fn a_new_publisher_is_noticed_at_once() {
    let _turn = take_turns();
    let config = config(&["m"], &[("topics.m.name", "/messages/new")]);
    let (bridge, link) = bridge(&config, &[], mirror);
    let others = node("others", &[]);
    let report = bridge.report().clone();
    wait_for_graph(&others, "a remark", |_| {
        report.lock().outgoing.values().any(|topic| topic.remark.contains("topics.m.type"))
    });
    let _publisher = publisher(&others, "/messages/new", BEST_EFFORT);
    let start = Instant::now();
    link.wait_for("an offer", |seen| seen.offers == 1);
    // The aim is 50 ms; a machine under load gets more.
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    let seen = link.seen();
    let route = seen.routes.values().next().expect("a route");
    assert_eq!(route.offer.topic, "/rover_a/messages/new");
    assert_eq!(route.offer.type_name.to_string(), "std_msgs/msg/String");
    assert_eq!(route.offer.type_hash, string_type().hash());
    assert_eq!(route.offer.delivery, Delivery::Latest);
    assert_eq!(route.history, 0);
    drop(seen);
    wait_for_graph(&others, "no remark", |_| {
        report.lock().outgoing.values().all(|topic| topic.remark.is_empty())
    });
}

#[test]
fn a_latched_message_crosses_once_and_reaches_late_subscribers() {
    let _turn = take_turns();
    let config = config(&["m"], &[("topics.m.name", "/messages/map")]);
    let others = node("others", &[]);
    let publisher = publisher(&others, "/messages/map", LATCHED);
    publish(&publisher, "old");
    publish(&publisher, "map");
    let (_bridge, link) = bridge(&config, &["rover_b"], mirror);
    link.wait_for("the map", |seen| !seen.messages.is_empty());
    let mut late = Receiver::new(&others, "/rover_b/messages/map", LATCHED);
    assert_eq!(late.next_text(), "map");
    assert_eq!(late.within(Duration::from_millis(100)), None);
    {
        let seen = link.seen();
        let route = seen.routes.values().next().expect("a route");
        assert_eq!(
            (route.offer.qos.durability, route.offer.qos.depth),
            (Durability::TransientLocal, 1)
        );
        assert_eq!(route.history, 1);
        assert_eq!(seen.messages.len(), 1);
    }
    // A volatile publisher joins and leaves: the subscription is made anew twice, and must not
    // take the map for a new one.
    let id = publisher.id();
    {
        let joined = crate::graph::publisher(&others, "/messages/map", RELIABLE);
        link.wait_for("a second offer", |seen| seen.offers == 2);
        drop(joined);
    }
    link.wait_for("a third offer", |seen| seen.offers == 3);
    publish(&publisher, "new map");
    link.wait_for("the new map", |seen| seen.messages.len() >= 2);
    assert_eq!(text(&link.seen().messages[1].data), "new map");
    drop(publisher);
    let is_gone = |seen: &Seen| !seen.publishers[&RouteId(0)].contains(&id);
    link.wait_for("the publisher's end", is_gone);
}

#[test]
fn the_largest_messages_cross_unchanged() {
    let _turn = take_turns();
    let config = config(&["m"], &[("topics.m.name", "/messages/large")]);
    let (_bridge, _link) = bridge(&config, &["rover_b"], mirror);
    let others = node("others", &[]);
    let mut receiver = Receiver::new(&others, "/rover_b/messages/large", RELIABLE);
    let publisher = publisher(&others, "/messages/large", RELIABLE);
    meet(&publisher, &mut receiver);
    for size in [0, 1, 1024, 64 * 1024, 1024 * 1024, 16 * 1024 * 1024] {
        let words: String = (0..size).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
        publish(&publisher, &words);
        assert!(receiver.next_text() == words, "{size} bytes");
    }
}

#[test]
fn a_topic_bridged_both_ways_never_echoes() {
    let _turn = take_turns();
    let parameters = [
        ("topics.m.name", "/messages/chat"),
        ("topics.m.direction", "both"),
        ("topics.m.type", "std_msgs/msg/String"),
    ];
    let config = config(&["m"], &parameters);
    let (_bridge, link) = bridge(&config, &["rover_b", "rover_c"], mirror);
    let others = node("others", &[]);
    let mut receiver = Receiver::new(&others, "/messages/chat", RELIABLE);
    let publisher = publisher(&others, "/messages/chat", RELIABLE);
    link.wait_for("both routes", |seen| seen.accepted.len() >= 2);
    fake_link::meet(&publisher, &link);
    // The last greeting comes from here and from both peers.
    let mut greetings = 0;
    while greetings < 3 {
        greetings += u32::from(receiver.next_text() == "go");
    }
    assert_eq!(others.publishers("/messages/chat").expect("the graph").len(), 2);
    for n in 0..20 {
        publish(&publisher, &n.to_string());
        // The original, then one from each peer.
        for _ in 0..3 {
            assert_eq!(receiver.next_text(), n.to_string());
        }
    }
    assert_eq!(receiver.within(Duration::from_millis(200)), None);
    assert_eq!(link.seen().messages.len(), 20);
}

#[test]
fn a_bridge_stops_within_a_second_even_with_a_backlog() {
    let _turn = take_turns();
    let config = config(&["m"], &[("topics.m.name", "/messages/stop")]);
    let (bridge, link) = bridge(&config, &["rover_b"], mirror);
    let others = node("others", &[]);
    let publisher = publisher(&others, "/messages/stop", RELIABLE);
    fake_link::meet(&publisher, &link);
    for n in 0..5000 {
        publish(&publisher, &n.to_string());
    }
    link.wait_for("the backlog", |seen| seen.messages.len() >= 5000);
    let start = Instant::now();
    drop(bridge);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
