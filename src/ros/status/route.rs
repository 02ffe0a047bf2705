//! One topic to or from one peer: what the link counts, beside what the bridge knows of it here.

use std::collections::BTreeSet;

use crate::config::{Config, PeerFilter};
use crate::link::{PeerSnapshot, RouteDirection, RouteId, RouteSnapshot};
use crate::ros::calls::service_index;
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
pub(super) fn routes<'a>(
    config: &'a Config,
    peers: &'a [PeerSnapshot],
    report: &'a BridgeReport,
) -> Vec<Route<'a>> {
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
        linked.chain(idle_routes(config, peer, report))
    };
    peers.iter().flat_map(of_peer).collect()
}

/// Our topics that are meant for the peer and that the link has no route for.
fn idle_routes<'a>(
    config: &'a Config,
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
        let (peers, remote_name) = meant(config, id)?;
        let is_meant = peers.admits(&peer.peer) && !sent.contains(&id);
        is_meant.then(|| Route {
            peer: &peer.peer,
            id,
            direction: RouteDirection::Send,
            remote_topic: remote_name.unwrap_or(&known.topic),
            link: None,
            report: Some(known),
        })
    })
}

/// For whom the configuration means a route of ours, and under which name.
fn meant(config: &Config, id: RouteId) -> Option<(&PeerFilter, Option<&str>)> {
    if let Some(index) = service_index(id) {
        let service = config.services.get(index)?;
        return Some((&service.peers, Some(&service.remote_name)));
    }
    let topic = config.topics.get(usize::from(id.0)).filter(|topic| topic.direction.sends())?;
    Some((&topic.peers, topic.remote_name.as_deref()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::messages::unknown_peer;
    use super::super::tests::{config, route};
    use super::*;

    #[test]
    fn our_topics_are_shown_for_each_peer_they_are_meant_for_connected_or_not() {
        let topic = |topic: &str| TopicReport { topic: topic.to_owned(), ..TopicReport::default() };
        let report = BridgeReport {
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
        let (config, peers) = (config(), [rover_b, unknown_peer("rover_c")]);
        let shown: Vec<_> = routes(&config, &peers, &report)
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
