//! What is published of one peer, and since when it is connected.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use log::warn;
use r2r::builtin_interfaces::msg::Time;
use r2r::rover_link::msg::{LinkQuality, PathQuality};
use r2r::{Clock, Publisher, QosProfile};

use crate::config::InterfaceKind;
use crate::link::PeerSnapshot;
use crate::ros::text::name_part;

/// What is published of one peer.
pub(super) struct PeerPublishers {
    pub(super) link: Publisher<LinkQuality>,
    /// By the name of the network interface.
    pub(super) paths: BTreeMap<String, InterfacePublisher>,
    /// Start of the session by our clock and by ROS's, which can be a simulated one.
    since: Option<(Instant, Time)>,
}

/// What is published of one network interface towards one peer.
pub(super) struct InterfacePublisher {
    pub(super) publisher: Publisher<PathQuality>,
    pub(super) kind: InterfaceKind,
}

impl PeerPublishers {
    pub(super) fn new(node: &mut r2r::Node, peer: &str) -> r2r::Result<Self> {
        let name = format!("~/{}/link_quality", name_part(peer));
        let link = node.create_publisher(&name, QosProfile::default().reliable())?;
        Ok(Self { link, paths: BTreeMap::new(), since: None })
    }

    pub(super) fn path(
        &mut self,
        node: &mut r2r::Node,
        peer: &str,
        interface: &str,
        kind: InterfaceKind,
    ) -> Option<&Publisher<PathQuality>> {
        if !self.paths.contains_key(interface) {
            let name = format!("~/{}/{}/path_quality", name_part(peer), name_part(interface));
            match node.create_publisher(&name, QosProfile::default().reliable()) {
                Ok(publisher) => {
                    let publisher = InterfacePublisher { publisher, kind };
                    self.paths.insert(interface.to_owned(), publisher);
                }
                Err(error) => {
                    warn!(
                        "{peer}: could not make a status topic interface={interface} error={error}"
                    );
                }
            }
        }
        self.paths.get(interface).map(|interface| &interface.publisher)
    }

    /// When the session began, by ROS's clock; zero while there is none. Told once per session, for
    /// each reading of the two clocks would differ a little.
    pub(super) fn connected_since(
        &mut self,
        peer: &PeerSnapshot,
        now: Instant,
        ros_now: &Time,
    ) -> Time {
        let Some(since) = peer.connected_since else {
            self.since = None;
            return Time::default();
        };
        match &self.since {
            Some((known, stamp)) if *known == since => stamp.clone(),
            _ => {
                let stamp = before(ros_now, now.saturating_duration_since(since));
                self.since = Some((since, stamp.clone()));
                stamp
            }
        }
    }
}

/// The moment `ago` before a clock's `now`; zero where that clock had not begun by then.
pub(super) fn before(now: &Time, ago: Duration) -> Time {
    let now = Duration::new(u64::try_from(now.sec).unwrap_or(0), now.nanosec);
    Clock::to_builtin_time(&now.saturating_sub(ago))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_began_by_the_clock_of_ros() {
        let ros = |sec| Time { sec, nanosec: 0 };
        assert_eq!(before(&ros(1060), Duration::from_secs(60)), ros(1000));
        assert_eq!(before(&ros(30), Duration::from_secs(60)), ros(0), "simulated time began later");
    }
}
