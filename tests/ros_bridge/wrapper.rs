//! What the wrapper over rcl promises.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rover_link::config::{Durability, Reliability, Timing, TypeName};
use rover_link::ros::qos::{self, EndpointQos};
use rover_link::ros::rcl::{Context, GuardCondition, RclError, TypeSupport, WaitSet};

use crate::fake_link::PATIENCE;
use crate::graph::*;

#[test]
fn a_serialized_message_arrives_as_it_was_with_its_publishers_id_and_number() {
    let _turn = take_turns();
    let (talker, listener) = (node("talker", &[]), node("listener", &[]));
    let mut receiver = Receiver::new(&listener, "/wrapper/chatter", RELIABLE);
    let first = publisher(&talker, "/wrapper/chatter", RELIABLE);
    let second = publisher(&talker, "/wrapper/chatter", RELIABLE);
    meet(&first, &mut receiver);
    meet(&second, &mut receiver);
    assert_ne!(first.id(), second.id());
    let mut last = None;
    for (publisher, words) in [(&first, "one"), (&second, "two"), (&first, "three")] {
        publish(publisher, words);
        let sample = receiver.next();
        assert_eq!(text(&sample.data), words);
        assert_eq!(sample.publisher, publisher.id());
        if words == "three" {
            assert_eq!(sample.sequence, last.map(|last: u64| last + 1));
        } else if words == "one" {
            last = sample.sequence;
        }
    }
    assert!(last.is_some());
}

#[test]
fn a_burst_waits_in_a_subscription_until_it_is_taken() {
    let _turn = take_turns();
    let (talker, listener) = (node("talker", &[]), node("listener", &[]));
    let qos = qos::subscription(RELIABLE);
    let mut receiver = Receiver::new(&listener, "/wrapper/burst", qos);
    let publisher = publisher(&talker, "/wrapper/burst", RELIABLE);
    meet(&publisher, &mut receiver);
    for n in 0..qos::SUBSCRIPTION_DEPTH {
        publish(&publisher, &n.to_string());
    }
    for n in 0..qos::SUBSCRIPTION_DEPTH {
        assert_eq!(receiver.next_text(), n.to_string());
    }
}

#[test]
fn the_graph_tells_type_hash_node_and_qos() {
    let _turn = take_turns();
    let (talker, listener) = (node("talker", &[]), node("listener", &[]));
    let publisher = publisher(&talker, "/wrapper/graph", LATCHED);
    wait_for_publishers(&listener, "/wrapper/graph", 1);
    // The node's name may be told a moment after its publisher.
    wait_for_graph(&listener, "the node of the publisher", |node| {
        node.publishers("/wrapper/graph").expect("the graph")[0].node == "/_talker_bridge"
    });
    let found = listener.publishers("/wrapper/graph").expect("the graph").remove(0);
    assert_eq!(found.id, publisher.id());
    assert_eq!(found.type_name, "std_msgs/msg/String");
    assert_eq!(found.type_hash, string_type().hash());
    let (reliability, durability) = (Reliability::Reliable, Durability::TransientLocal);
    let timing = Timing::default();
    assert_eq!(found.qos, EndpointQos { reliability, durability, timing });
    assert!(talker.owns(&found) && !listener.owns(&found));
    assert!(listener.publishers("/wrapper/nobody").expect("the graph").is_empty());
}

#[test]
fn type_hashes_are_those_of_the_distribution() {
    let hash = "RIHS01_df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18";
    assert_eq!(string_type().hash(), hash);
}

#[test]
fn a_type_that_is_not_installed_is_an_error_that_names_it() {
    for name in ["no_such_msgs/msg/String", "std_msgs/msg/NoSuchType"] {
        let type_name = TypeName::parse(name).expect("a type name");
        let error = TypeSupport::load(&type_name).expect_err("not installed");
        assert!(matches!(error, RclError::TypeNotInstalled { .. }));
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn names_follow_namespace_and_remaps_of_the_visible_node() {
    let _turn = take_turns();
    let arguments = [
        "--ros-args",
        "-r",
        "odom:=odometry",
        "-r",
        "rover_link:scan:=/laser",
        "-r",
        "other:map:=/wrong",
        "-r",
        "__node:=renamed",
    ];
    let context: Vec<_> =
        ["program"].iter().chain(&arguments).map(|text| (*text).to_owned()).collect();
    let context = Context::new(&context).expect("a context");
    let node = rover_link::ros::rcl::Node::new(context, "rover_link", "/a").expect("a node");
    for (name, resolved) in [
        ("odom", "/a/odometry"),
        ("/a/odom", "/a/odometry"),
        ("/odom", "/odom"),
        ("scan", "/laser"),
        ("map", "/a/map"),
        ("~/state", "/a/rover_link/state"),
    ] {
        assert_eq!(node.resolve_topic(name).as_deref(), Ok(resolved), "{name}");
    }
    assert!(node.resolve_topic("no such name").is_err());
    assert!(matches!(node.resolve_topic("a\0b"), Err(RclError::ZeroByte(_))));
}

#[test]
fn wrong_ros_arguments_are_an_error_in_words() {
    let _turn = take_turns();
    let arguments = ["program", "--ros-args", "--params-file", "/no/such/file.yaml"];
    let arguments = arguments.map(str::to_owned);
    let error = Context::new(&arguments).err().expect("no such file");
    assert!(error.to_string().contains("/no/such/file.yaml"), "{error}");
}

#[test]
fn a_guard_condition_ends_a_wait_from_another_thread() {
    let _turn = take_turns();
    let node = node("waiter", &[]);
    let mut wait_set = WaitSet::new(&node).expect("a wait set");
    let wake = GuardCondition::new(&node).expect("a guard condition");
    let is_done = AtomicBool::new(false);
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                wake.trigger().expect("triggered");
            }
        });
        // A change of the graph ends a wait too, and says so.
        while wait_set.wait(&[], &wake, PATIENCE).expect("a wait").graph {}
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(start.elapsed() < PATIENCE);
}
