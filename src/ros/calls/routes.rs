//! The routes of services: what they offer, and which numbers they have. Those of topics are counted
//! from 0, these lie above.

use std::collections::BTreeMap;

use super::pending::Failures;
use crate::config::{
    Compression, DEFAULT_MAX_MESSAGE_SIZE, Delivery, Durability, History, PeerFilter, QosProfile,
    QueueLimits, Reliability, Timing,
};
use crate::link::{CallTerms, IncomingLimits, OutgoingRoute, RouteId, RouteKind, RouteOffer};
use crate::ros::rcl::ServiceTypeSupport;

/// QoS of services in ROS, as the offer tells it.
const SERVICE_QOS: QosProfile = QosProfile {
    reliability: Reliability::Reliable,
    durability: Durability::Volatile,
    history: History::KeepLast,
    depth: 10,
    timing: Timing::NONE,
};

/// A route for the requests or the responses of a service called `name` at the peers. What is older
/// than the service's timeout is of no use.
pub(super) fn route(
    kind: RouteKind,
    name: &str,
    type_support: &ServiceTypeSupport,
    peers: PeerFilter,
    terms: CallTerms,
) -> OutgoingRoute {
    OutgoingRoute {
        offer: RouteOffer {
            topic: name.to_owned(),
            type_name: type_support.name().clone(),
            type_hash: type_support.hash().to_owned(),
            delivery: Delivery::Reliable,
            qos: SERVICE_QOS,
            kind,
        },
        peers,
        priority: terms.priority,
        lifespan: terms.timeout,
        min_period: std::time::Duration::ZERO,
        interfaces: Vec::new(),
        compression: Compression::None,
        queue: QueueLimits::default(),
        max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
        history: 0,
    }
}

/// What a peer's route of requests or responses is granted.
pub(super) fn limits() -> IncomingLimits {
    let queue = QueueLimits::default();
    IncomingLimits { queue, max_message_size: DEFAULT_MAX_MESSAGE_SIZE, again: false }
}

/// Number of the first of our services.
const FIRST_SERVICE: u16 = 0x4000;

/// Number of the first route by which a peer's service is called.
const FIRST_CALL: u16 = 0x8000;

/// Services of peers that are remembered, in use or not: twice the routes of one peer. Beyond, those
/// not in use go, so that a peer which offers other names each time fills no memory.
const MAX_CALLED: usize = 4096;

/// The number of a service of ours, by its place in [`crate::config::Config::services`].
pub(in crate::ros) fn service_route(index: usize) -> Option<RouteId> {
    let index = u16::try_from(index).ok().filter(|index| *index < FIRST_CALL - FIRST_SERVICE)?;
    Some(RouteId(FIRST_SERVICE + index))
}

/// Is it a route of a service, either way?
pub(in crate::ros) fn is_of_service(id: RouteId) -> bool {
    id.0 >= FIRST_SERVICE
}

/// The services of peers that were called or can be, by peer and name. A number stays with its
/// service while there is room, so that what is counted of the route goes on.
#[derive(Debug, Default)]
pub(super) struct Called(BTreeMap<(String, String), Known>);

/// What is remembered of a peer's service beyond one session.
#[derive(Debug)]
pub(super) struct Known {
    /// Our number of the route by which it is called.
    pub(super) route: RouteId,
    /// What failed.
    pub(super) failures: Failures,
    /// Is it in use?
    pub(super) is_open: bool,
}

impl Called {
    /// Finds a service or gives it a number, and takes it into use; `None` if there are too many.
    pub(super) fn open(&mut self, peer: &str, name: &str) -> Option<RouteId> {
        let key = (peer.to_owned(), name.to_owned());
        if !self.0.contains_key(&key) {
            let route = self.free_number()?;
            self.0.insert(
                key.clone(),
                Known { route, failures: Failures::default(), is_open: false },
            );
        }
        let known = self.0.get_mut(&key)?;
        known.is_open = true;
        Some(known.route)
    }

    /// What is known of a service.
    pub(super) fn get_mut(&mut self, peer: &str, name: &str) -> Option<&mut Known> {
        self.0.get_mut(&(peer.to_owned(), name.to_owned()))
    }

    fn free_number(&mut self) -> Option<RouteId> {
        if let Ok(count) = u16::try_from(self.0.len())
            && usize::from(count) < MAX_CALLED
        {
            return Some(RouteId(FIRST_CALL + count));
        }
        let unused = self.0.iter().find(|(_, known)| !known.is_open).map(|(key, _)| key.clone());
        self.0.remove(&unused?).map(|known| known.route)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn our_services_have_numbers_of_their_own() {
        assert_eq!(service_route(3), Some(RouteId(FIRST_SERVICE + 3)));
        assert_eq!(service_route(0x4000), None);
        assert!(!is_of_service(RouteId(2047)) && is_of_service(RouteId(FIRST_CALL)));
    }

    #[test]
    fn a_number_stays_with_its_service_until_the_room_is_needed() {
        let mut called = Called::default();
        let first = called.open("b", "/b/0").expect("room");
        assert_eq!(called.open("b", "/b/0"), Some(first));
        let numbers: BTreeSet<_> =
            (0..MAX_CALLED).filter_map(|n| called.open("b", &format!("/b/{n}"))).collect();
        assert_eq!(numbers.len(), MAX_CALLED);
        assert_eq!(called.open("b", "/b/one_too_many"), None);
        called.get_mut("b", "/b/0").expect("known").is_open = false;
        assert_eq!(called.open("b", "/b/another"), Some(first));
        assert!(called.get_mut("b", "/b/0").is_none());
    }
}
