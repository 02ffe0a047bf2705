//! May a peer publish under this name here, and within which limits? A pure decision, taken for
//! each route that a peer offers.

use super::filter::{NameGlob, PeerFilter};
use super::names::is_absolute_name;
use super::qos::QosOverrides;
use super::service::action_of;
use super::topic::{DEFAULT_MAX_MESSAGE_SIZE, QueueLimits, Topic};
use super::{Config, TypeName};

/// What admits peers' topics: entries of `topics` that receive, and the globs of `accept`.
#[derive(Debug, Clone)]
pub struct Admission {
    peers: PeerFilter,
    /// Receiving entries under their resolved names.
    entries: Vec<(String, usize, Topic)>,
    accept: Vec<NameGlob>,
}

/// A name that a peer may publish here, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Admitted<'a> {
    /// The entry that admits it, by its place in [`Config::topics`]; `None` for a glob of `accept`.
    pub topic: Option<usize>,
    /// The type that the entry asks for.
    pub type_name: Option<&'a TypeName>,
    /// Larger messages are dropped and counted, bytes of CDR.
    pub max_message_size: u32,
    /// Bounds on what waits to be published.
    pub queue: QueueLimits,
    /// Explicit QoS of the entry.
    pub qos: QosOverrides,
}

impl Admission {
    /// The admission of a configuration. `resolved` are the absolute names of its topics by their
    /// place in [`Config::topics`], after namespace and remaps; entries that do not receive are
    /// passed over.
    pub fn new(config: &Config, resolved: &[(usize, String)]) -> Self {
        let entries = resolved
            .iter()
            .filter_map(|(index, name)| {
                let topic = config.topics.get(*index).filter(|topic| topic.direction.receives())?;
                Some((name.clone(), *index, topic.clone()))
            })
            .collect();
        Self { peers: config.peers.clone(), entries, accept: config.accept.clone() }
    }

    /// Decides whether `peer` may publish under `name`, both of which come from the network: first
    /// by the entries in their order, then by `accept`.
    pub fn admit(&self, peer: &str, name: &str) -> Option<Admitted<'_>> {
        if !is_absolute_name(name) || !self.peers.admits(peer) {
            return None;
        }
        let entry = |(resolved, _, topic): &&(String, usize, Topic)| {
            resolved == name && topic.peers.admits(peer)
        };
        if let Some((_, index, topic)) = self.entries.iter().find(entry) {
            return Some(Admitted {
                topic: Some(*index),
                type_name: topic.type_name.as_ref(),
                max_message_size: topic.max_message_size,
                queue: topic.queue,
                qos: topic.qos,
            });
        }
        self.accepts(peer, name).then(|| Admitted {
            topic: None,
            type_name: None,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE,
            queue: QueueLimits::default(),
            qos: QosOverrides::default(),
        })
    }

    /// Decides whether a service of `peer` may have this name here, both of which come from the
    /// network: by `accept` alone.
    pub fn admits_service(&self, peer: &str, name: &str) -> bool {
        is_absolute_name(name) && self.peers.admits(peer) && self.accepts(peer, name)
    }

    /// Does a glob of `accept` match the name, or that of the action that it is a part of?
    fn accepts(&self, peer: &str, name: &str) -> bool {
        let names = [Some(name), action_of(name)];
        let matches = |glob: &NameGlob| names.iter().flatten().any(|name| glob.matches(peer, name));
        self.accept.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Compression, Direction, HandoverSettings, InterfaceFilter, Priority};
    use super::*;

    fn topic(name: &str, direction: Direction, peer: &str) -> Topic {
        Topic {
            id: name.to_owned(),
            is_of_action: false,
            name: name.to_owned(),
            type_name: None,
            direction,
            remote_name: None,
            peers: PeerFilter::Only(vec![peer.to_owned()]),
            delivery: None,
            priority: Priority::Normal,
            lifespan: Duration::ZERO,
            min_period: Duration::ZERO,
            interfaces: Vec::new(),
            compression: Compression::None,
            max_message_size: 1000,
            queue: QueueLimits::default(),
            qos: QosOverrides::default(),
        }
    }

    fn admission() -> Admission {
        let config = Config {
            rover_id: "rover_a".to_owned(),
            fleet: "default".to_owned(),
            signaling_url: String::new(),
            identity_file: "identity.pem".into(),
            peers: PeerFilter::Only(vec!["rover_b".to_owned(), "rover_c".to_owned()]),
            peer_fingerprints: Default::default(),
            ice_servers: Vec::new(),
            accept: ["/{peer}/**", "/dock"]
                .map(|glob| NameGlob::parse(glob).expect("a pattern"))
                .into(),
            topics: vec![
                topic("cmd_vel", Direction::Receive, "rover_b"),
                topic("chat", Direction::Both, "rover_c"),
                topic("odom", Direction::Send, "rover_b"),
            ],
            services: Vec::new(),
            interfaces: InterfaceFilter { allow: Vec::new(), deny: Vec::new() }.into(),
            handover: HandoverSettings::default(),
            link_quality_publish_rate: 2.0,
        };
        let names = ["/a/cmd_vel", "/chat", "/a/odom"].map(str::to_owned);
        Admission::new(&config, &names.into_iter().enumerate().collect::<Vec<_>>())
    }

    #[test]
    fn an_entry_admits_its_peers_under_its_resolved_name() {
        let admission = admission();
        let admitted = admission.admit("rover_b", "/a/cmd_vel").expect("admitted");
        assert_eq!((admitted.topic, admitted.max_message_size), (Some(0), 1000));
        assert_eq!(admission.admit("rover_c", "/a/cmd_vel"), None);
        assert_eq!(admission.admit("rover_b", "/cmd_vel"), None);
        assert!(admission.admit("rover_c", "/chat").is_some());
        assert_eq!(admission.admit("rover_b", "/a/odom"), None, "an entry that only sends");
    }

    #[test]
    fn a_glob_admits_with_the_defaults() {
        let admission = admission();
        let admitted = admission.admit("rover_b", "/rover_b/odom").expect("admitted");
        assert_eq!((admitted.topic, admitted.max_message_size), (None, DEFAULT_MAX_MESSAGE_SIZE));
        assert_eq!(admission.admit("rover_b", "/rover_c/odom"), None);
    }

    #[test]
    fn a_service_is_admitted_by_a_glob_and_a_part_of_an_action_by_the_actions_name() {
        let admission = admission();
        assert!(admission.admits_service("rover_b", "/rover_b/reset"));
        assert!(!admission.admits_service("rover_b", "/a/cmd_vel"), "an entry is for a topic");
        assert!(!admission.admits_service("rover_d", "/rover_d/reset"));
        assert!(!admission.admits_service("rover_b", "/rover_b//reset"));
        assert!(admission.admits_service("rover_c", "/dock/_action/send_goal"));
        assert!(!admission.admits_service("rover_c", "/dock/other"));
        assert!(admission.admit("rover_c", "/dock/_action/feedback").is_some());
        assert!(admission.admit("rover_c", "/dock/_action/other").is_none());
    }

    #[test]
    fn strangers_and_illegal_names_are_not_admitted() {
        let admission = admission();
        assert_eq!(admission.admit("rover_d", "/rover_d/odom"), None);
        for name in ["", "rover_b/x", "/rover_b/", "/rover_b//x", "/rover_b/../x", "/rover_b/{x}"] {
            assert_eq!(admission.admit("rover_b", name), None, "{name}");
        }
    }
}
