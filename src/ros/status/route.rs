//! One topic to or from one peer: what the link counts, beside what the bridge knows of it here.

use std::collections::BTreeSet;

use crate::link::{PeerSnapshot, RouteDirection, RouteId, RouteSnapshot};
use crate::ros::report::{BridgeReport, TopicReport};

/// One topic to or from one peer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Route<'a> {
    pub(super) peer: &'a str,
    pub(super) id: RouteId,
    pub(super) direction: RouteDirection,
    /// Name at the receiver: our own on routes that arrive, for the name at a peer that sends is
    /// not told.
    pub(super) remote_topic: &'a str,
    /// `None` for a topic of ours without a route: its peer is not connected, or it is not offered
    /// yet.
    pub(super) link: Option<&'a RouteSnapshot>,
    /// `None` for a topic of the peer's that the bridge has not seen yet.
    pub(super) report: Option<&'a TopicReport>,
}

/// All topics to and from these peers, whether or not they cross.
pub(super) fn routes<'a>(peers: &'a [PeerSnapshot], report: &'a BridgeReport) -> Vec<Route<'a>> {
    let of_peer = |peer: &'a PeerSnapshot| {
        let linked = peer.routes.iter().map(move |route| Route {
            peer: &peer.peer,
            id: route.id,
            direction: route.direction,
            remote_topic: &route.topic,
            link: Some(route),
            report: match route.direction {
                RouteDirection::Send => report.outgoing.get(&route.id),
                RouteDirection::Receive => report.incoming.get(&(peer.peer.clone(), route.id)),
            },
        });
        linked.chain(idle_routes(peer, report))
    };
    peers.iter().flat_map(of_peer).collect()
}

/// Our topics that are meant for the peer and that the link has no route for.
fn idle_routes<'a>(
    peer: &'a PeerSnapshot,
    report: &'a BridgeReport,
) -> impl Iterator<Item = Route<'a>> {
    let sent: BTreeSet<RouteId> = peer
        .routes
        .iter()
        .filter(|route| route.direction == RouteDirection::Send)
        .map(|route| route.id)
        .collect();
    report.outgoing.iter().filter_map(move |(&id, known)| {
        let destination = report.destinations.get(&id)?;
        let is_meant = destination.peers.admits(&peer.peer);
        (is_meant && !sent.contains(&id)).then(|| Route {
            peer: &peer.peer,
            id,
            direction: RouteDirection::Send,
            remote_topic: &destination.remote_topic,
            link: None,
            report: Some(known),
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::messages::unknown_peer;
    use super::super::tests::route;
    use super::*;
    use crate::config::PeerFilter;
    use crate::ros::report::Destination;

    #[test]
    fn our_topics_are_shown_for_each_peer_they_are_meant_for_connected_or_not() {
        let topic = |topic: &str| TopicReport { topic: topic.to_owned(), ..TopicReport::default() };
        let meant = |peers: PeerFilter, remote_topic: &str| {
            let remote_topic = remote_topic.to_owned();
            Destination { peers, remote_topic }
        };
        let only_b = PeerFilter::Only(vec!["rover_b".to_owned()]);
        let report = BridgeReport {
            destinations: BTreeMap::from([
                (RouteId(0), meant(only_b, "/rover_a/odom")),
                (RouteId(1), meant(PeerFilter::All, "/chat")),
            ]),
            left_out: 0,
            outgoing: BTreeMap::from([
                (RouteId(0), topic("/a/odom")),
                (RouteId(1), topic("/chat")),
            ]),
            incoming: BTreeMap::from([(("rover_b".to_owned(), RouteId(7)), topic("/chat"))]),
        };
        let mut rover_b = unknown_peer("rover_b");
        rover_b.routes = vec![
            route(RouteId(0), RouteDirection::Send, "/rover_a/odom"),
            route(RouteId(7), RouteDirection::Receive, "/chat"),
        ];
        let peers = [rover_b, unknown_peer("rover_c")];
        let shown: Vec<_> = routes(&peers, &report)
            .into_iter()
            .map(|route| {
                let here = route.report.map(|report| report.topic.as_str());
                (route.peer, here, route.remote_topic, route.link.is_some())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("rover_b", Some("/a/odom"), "/rover_a/odom", true),
                ("rover_b", Some("/chat"), "/chat", true),
                ("rover_b", Some("/chat"), "/chat", false),
                ("rover_c", Some("/chat"), "/chat", false),
            ]
        );
    }
}
