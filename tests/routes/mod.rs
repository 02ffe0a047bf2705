//! The topic that tests offer, as most publishers have it: text, reliable, volatile, the last ten.

use std::time::Duration;

use rover_link::config::{
    Compression, Delivery, Durability, History, PeerFilter, Priority, QosProfile, QueueLimits,
    Reliability, Timing, TypeName,
};
use rover_link::link::{OutgoingRoute, RouteKind, RouteOffer};

/// A topic of this name for everybody, of normal priority, with messages of up to 1 MiB.
pub(crate) fn reliable(topic: &str) -> OutgoingRoute {
    OutgoingRoute {
        offer: RouteOffer {
            kind: RouteKind::Topic,
            topic: topic.to_owned(),
            type_name: TypeName::parse("std_msgs/msg/String").expect("a type of ROS"),
            type_hash: "RIHS01_0".to_owned(),
            delivery: Delivery::Reliable,
            qos: QosProfile {
                reliability: Reliability::Reliable,
                durability: Durability::Volatile,
                history: History::KeepLast,
                depth: 10,
                timing: Timing::default(),
            },
        },
        peers: PeerFilter::All,
        priority: Priority::Normal,
        lifespan: Duration::ZERO,
        min_period: Duration::ZERO,
        interfaces: Vec::new(),
        compression: Compression::None,
        queue: QueueLimits::default(),
        max_message_size: 1 << 20,
        history: 0,
    }
}
