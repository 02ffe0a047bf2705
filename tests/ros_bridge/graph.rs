//! A ROS node of the test's own, beside the bridge's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rover_link::config::{
    Durability, History, Liveliness, QosProfile, Reliability, Timing, TypeName,
};
use rover_link::ros::rcl::{
    Context, GuardCondition, Node, Publisher, Sample, Subscription, TypeSupport, WaitSet,
};

use crate::fake_link::PATIENCE;

pub(crate) const RELIABLE: QosProfile = QosProfile {
    reliability: Reliability::Reliable,
    durability: Durability::Volatile,
    history: History::KeepLast,
    depth: 1000,
    timing: Timing {
        deadline: None,
        lifespan: None,
        liveliness: Liveliness::Automatic,
        lease: None,
    },
};
pub(crate) const BEST_EFFORT: QosProfile =
    QosProfile { reliability: Reliability::BestEffort, ..RELIABLE };
pub(crate) const LATCHED: QosProfile =
    QosProfile { durability: Durability::TransientLocal, depth: 1, ..RELIABLE };

/// Tests take turns: they share the process's ROS domain, and rcl starts one context at a time.
pub(crate) fn take_turns() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn node(name: &str, arguments: &[&str]) -> Arc<Node> {
    let arguments: Vec<_> =
        ["program"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    let context = Context::new(&arguments).expect("a context");
    Node::new(context, name, "/").expect("a node")
}

pub(crate) fn string_type() -> TypeSupport {
    load("std_msgs/msg/String")
}

pub(crate) fn load(name: &str) -> TypeSupport {
    TypeSupport::load(&TypeName::parse(name).expect("a type name")).expect("an installed type")
}

/// `std_msgs/msg/String` in CDR, little endian.
pub(crate) fn string(text: &str) -> Vec<u8> {
    let mut data = vec![0, 1, 0, 0];
    data.extend((text.len() as u32 + 1).to_le_bytes());
    data.extend(text.as_bytes());
    data.push(0);
    data
}

/// The text of a `std_msgs/msg/String`.
pub(crate) fn text(data: &[u8]) -> String {
    let length: [u8; 4] = data[4..8].try_into().expect("a length");
    let end = 8 + u32::from_le_bytes(length) as usize - 1;
    String::from_utf8(data[8..end].to_vec()).expect("UTF-8")
}

pub(crate) fn publish(publisher: &Publisher, words: &str) {
    publisher.publish(&string(words)).expect("published");
}

/// Publishes until messages arrive: publisher and subscription find each other a moment after the
/// graph shows both.
pub(crate) fn meet(publisher: &Publisher, receiver: &mut Receiver) {
    let deadline = Instant::now() + PATIENCE;
    while receiver.within(Duration::from_millis(5)).is_none() {
        assert!(Instant::now() < deadline, "publisher and subscription never met");
        publish(publisher, "anybody there?");
    }
    publish(publisher, "go");
    while receiver.next_text() != "go" {}
}

pub(crate) fn publisher(node: &Arc<Node>, topic: &str, qos: QosProfile) -> Publisher {
    Publisher::new(node, &string_type(), topic, qos).expect("a publisher")
}

/// A subscription with what is needed to wait for it.
pub(crate) struct Receiver {
    subscription: Subscription,
    wait_set: WaitSet,
    wake: GuardCondition,
}

impl Receiver {
    pub(crate) fn new(node: &Arc<Node>, topic: &str, qos: QosProfile) -> Self {
        let subscription = Subscription::new(node, &string_type(), topic, qos);
        Self {
            subscription: subscription.expect("a subscription"),
            wait_set: WaitSet::new(node).expect("a wait set"),
            wake: GuardCondition::new(node).expect("a guard condition"),
        }
    }

    /// The next message, if one comes in time.
    pub(crate) fn within(&mut self, time: Duration) -> Option<Sample> {
        let deadline = Instant::now() + time;
        loop {
            if let Some(sample) = self.subscription.take().expect("a take") {
                return Some(sample);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.wait_set.wait(&[&self.subscription], &self.wake, left).expect("a wait");
        }
    }

    pub(crate) fn next(&mut self) -> Sample {
        self.within(PATIENCE).expect("a message in time")
    }

    pub(crate) fn next_text(&mut self) -> String {
        text(&self.next().data)
    }
}

/// Waits for changes of the graph until `condition` holds.
pub(crate) fn wait_for_graph(
    node: &Arc<Node>,
    what: &str,
    mut condition: impl FnMut(&Node) -> bool,
) {
    let mut wait_set = WaitSet::new(node).expect("a wait set");
    let wake = GuardCondition::new(node).expect("a guard condition");
    let deadline = Instant::now() + PATIENCE;
    while !condition(node) {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        wait_set.wait(&[], &wake, Duration::from_millis(20)).expect("a wait");
    }
}

/// Waits until a topic has so many publishers.
pub(crate) fn wait_for_publishers(node: &Arc<Node>, topic: &str, count: usize) {
    wait_for_graph(node, &format!("{count} publishers of {topic}"), |node| {
        node.publishers(topic).expect("the graph").len() == count
    });
}
