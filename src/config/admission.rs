//! May a peer publish under this name here, and within which limits? A pure decision, taken for
//! each route that a peer offers.

use std::sync::Arc;

use super::filter::{NameGlob, PeerFilter};
use super::names::is_absolute_name;
use super::qos::QosOverrides;
use super::selection::{LocalName, ResolvedTopic};
use super::service::action_of;
use super::topic::{DEFAULT_MAX_MESSAGE_SIZE, QueueLimits, Topic};
use super::topic_pattern::TopicPattern;
use super::{Config, TypeName};

/// What admits peers' topics: entries of `topics` that receive, and the globs of `accept`.
#[derive(Debug, Clone)]
pub struct Admission {
    peers: PeerFilter,
    /// Entries that are no patterns, those that only send too, under their resolved names.
    exact: Vec<(String, Arc<Topic>)>,
    /// Receiving entries that are patterns.
    patterns: Vec<(TopicPattern, Arc<Topic>)>,
    accept: Vec<NameGlob>,
}

/// A name that a peer may publish here, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Admitted<'a> {
    /// Id of the entry that admits it; `None` for a glob of `accept`.
    pub topic: Option<&'a str>,
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
    /// The admission of a configuration, whose `topics` are resolved.
    pub fn new(config: &Config, topics: &[ResolvedTopic]) -> Self {
        let (mut exact, mut patterns) = (Vec::new(), Vec::new());
        for ResolvedTopic { topic, name } in topics {
            match name {
                LocalName::Exact(name) => exact.push((name.clone(), topic.clone())),
                LocalName::Pattern(pattern) if topic.direction.receives() => {
                    patterns.push((pattern.clone(), topic.clone()));
                }
                LocalName::Pattern(_) => {}
            }
        }
        Self { peers: config.peers.clone(), exact, patterns, accept: config.accept.clone() }
    }

    /// Decides whether `peer` may publish this type under `name`, all of which come from the network:
    /// first by the entries of this name in their order; where there is none, by the first pattern
    /// that matches; else by `accept`.
    pub fn admit(&self, peer: &str, name: &str, type_name: &TypeName) -> Option<Admitted<'_>> {
        if !is_absolute_name(name) || !self.peers.admits(peer) {
            return None;
        }
        let receives = |topic: &Topic| topic.direction.receives() && topic.peers.admits(peer);
        let mut of_name = self.exact.iter().filter(|(exact, _)| exact == name).peekable();
        let entry = if of_name.peek().is_some() {
            of_name.map(|(_, topic)| topic).find(|topic| receives(topic))
        } else {
            let type_name = type_name.to_string();
            let mut patterns = self.patterns.iter();
            let found = patterns
                .find(|(pattern, topic)| receives(topic) && pattern.admits(peer, name, &type_name));
            found.map(|(_, topic)| topic)
        };
        if let Some(topic) = entry {
            return Some(Admitted {
                topic: Some(&topic.id),
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
    use super::super::tests::{self, config};
    use super::super::{Direction, TypeName};
    use super::*;

    fn topic(name: &str, direction: Direction, peer: &str) -> Topic {
        let peers = PeerFilter::Only(vec![peer.to_owned()]);
        Topic { peers, max_message_size: 1000, ..tests::topic(name, direction) }
    }

    /// `rover_a`, whose node is `/a/rover_link`.
    fn admission_of(topics: &[Topic]) -> Admission {
        let mut config = config();
        config.peers = PeerFilter::Only(vec!["rover_b".to_owned(), "rover_c".to_owned()]);
        config.accept =
            ["/{peer}/**", "/dock"].map(|glob| NameGlob::parse(glob).expect("a pattern")).into();
        let resolved: Vec<_> = topics
            .iter()
            .map(|topic| {
                let name = match TopicPattern::new(topic, "/a/rover_link") {
                    Some(pattern) => LocalName::Pattern(pattern),
                    None if topic.name.starts_with('/') => LocalName::Exact(topic.name.clone()),
                    None => LocalName::Exact(format!("/a/{}", topic.name)),
                };
                ResolvedTopic { topic: Arc::new(topic.clone()), name }
            })
            .collect();
        Admission::new(&config, &resolved)
    }

    fn admission() -> Admission {
        admission_of(&[
            topic("cmd_vel", Direction::Receive, "rover_b"),
            topic("/chat", Direction::Both, "rover_c"),
            topic("odom", Direction::Send, "rover_b"),
        ])
    }

    fn admit<'a>(admission: &'a Admission, peer: &str, name: &str) -> Option<Admitted<'a>> {
        let type_name = TypeName::parse("std_msgs/msg/String").expect("a type");
        admission.admit(peer, name, &type_name)
    }

    #[test]
    fn an_entry_admits_its_peers_under_its_resolved_name() {
        let admission = admission();
        let admitted = admit(&admission, "rover_b", "/a/cmd_vel").expect("admitted");
        assert_eq!((admitted.topic, admitted.max_message_size), (Some("cmd_vel"), 1000));
        assert_eq!(admit(&admission, "rover_c", "/a/cmd_vel"), None);
        assert_eq!(admit(&admission, "rover_b", "/cmd_vel"), None);
        assert!(admit(&admission, "rover_c", "/chat").is_some());
        assert_eq!(admit(&admission, "rover_b", "/a/odom"), None, "an entry that only sends");
    }

    #[test]
    fn a_glob_admits_with_the_defaults() {
        let admission = admission();
        let admitted = admit(&admission, "rover_b", "/rover_b/odom").expect("admitted");
        assert_eq!((admitted.topic, admitted.max_message_size), (None, DEFAULT_MAX_MESSAGE_SIZE));
        assert_eq!(admit(&admission, "rover_b", "/rover_c/odom"), None);
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
        assert!(admit(&admission, "rover_c", "/dock/_action/feedback").is_some());
        assert!(admit(&admission, "rover_c", "/dock/_action/other").is_none());
    }

    #[test]
    fn strangers_and_illegal_names_are_not_admitted() {
        let admission = admission();
        assert_eq!(admit(&admission, "rover_d", "/rover_d/odom"), None);
        for name in ["", "rover_b/x", "/rover_b/", "/rover_b//x", "/rover_b/../x", "/rover_b/{x}"] {
            assert_eq!(admit(&admission, "rover_b", name), None, "{name}");
        }
    }

    #[test]
    fn a_pattern_admits_with_its_limits_what_no_entry_names() {
        let admission = admission_of(&[
            topic("/sensors/**", Direction::Receive, "rover_b"),
            topic("/sensors/imu", Direction::Send, "rover_b"),
            topic("/sensors/*", Direction::Both, "rover_c"),
            topic("/_hidden/**", Direction::Receive, "rover_b"),
        ]);
        let entry = |peer: &str, name: &str| admit(&admission, peer, name).map(|it| it.topic);
        let admitted = admit(&admission, "rover_b", "/sensors/gps").expect("admitted");
        assert_eq!((admitted.topic, admitted.max_message_size), (Some("/sensors/**"), 1000));
        assert_eq!(entry("rover_c", "/sensors/gps"), Some(Some("/sensors/*")));
        assert_eq!(entry("rover_c", "/sensors/gps/raw"), None);
        assert_eq!(entry("rover_b", "/sensors/imu"), None, "an entry that only sends names it");
        assert_eq!(entry("rover_b", "/_hidden/x"), None);
        assert_eq!(entry("rover_b", "/rover_b/x"), Some(None), "by accept");
    }

    #[test]
    fn a_pattern_for_another_type_leaves_a_topic_to_the_next() {
        let mut images = topic("/cameras/*", Direction::Receive, "rover_b");
        images.type_name = Some(TypeName::parse("sensor_msgs/msg/Image").expect("a type"));
        images.id = "images".to_owned();
        let others = topic("/cameras/*", Direction::Receive, "rover_b");
        let admission = admission_of(&[images, others]);
        let admitted = admit(&admission, "rover_b", "/cameras/a").expect("admitted");
        assert_eq!(admitted.topic, Some("/cameras/*"));
    }
}
