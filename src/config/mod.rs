//! Every setting, with its default and its unit. Settings are parsed once, into types that cannot
//! hold a wrong value; nothing is validated later.
//!
//! What may be written in a parameter file, with units and defaults, is documented in
//! `config/rover.yaml`; a test holds that file against the parser.
//!
//! The way in: the flat [`Parameters`] that ROS gives, the [`Overrides`] of the command line on top,
//! [`Config::from_parameters`]. [`Sources`] knows the files they came from, so that a [`Problem`]
//! can say where it is. Secrets are no parameters, see [`Secrets`].

mod admission;
mod change;
mod description;
mod error;
mod filter;
mod handover;
mod ice_server;
mod interface;
mod interfaces;
mod known;
mod names;
mod nearest;
mod overrides;
mod parse;
mod parse_interfaces;
mod parse_services;
mod parse_topics;
mod qos;
mod reader;
mod secrets;
mod selection;
mod service;
mod sources;
mod topic;
mod topic_pattern;
mod value;

pub use admission::{Admission, Admitted};
pub use change::{Change, ChangeError, Settings};
pub use description::description;
pub use error::{ConfigError, Fault, Problem};
pub use filter::{InterfaceFilter, InterfaceRefusal, NameGlob, PeerFilter};
pub use handover::{Duplicate, HandoverSettings};
pub use ice_server::{IceServerUri, IceService};
pub use interface::InterfaceKind;
pub use interfaces::InterfaceSettings;
pub use known::{Constraint, Known};
pub use names::{MAX_ID_BYTES, MAX_NAME_BYTES, NameError, TypeName, is_absolute_name};
pub use overrides::{Overrides, own_arguments};
pub use parse::{known, known_parameters};
pub use parse_topics::MAX_ROUTES;
pub use qos::{Durability, History, Liveliness, QosOverrides, QosProfile, Reliability, Timing};
pub use secrets::{STRONG_FLEET_KEY_BYTES, Secrets};
pub use selection::{LocalName, ResolvedTopic, Selection};
pub use service::Service;
pub use sources::{Location, Sources};
pub use topic::{
    Compression, DEFAULT_MAX_MESSAGE_SIZE, Delivery, Direction, Priority, QueueLimits, Topic,
};
pub use topic_pattern::{PatternError, TopicPattern};
pub use value::{Parameters, Value};

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that one node was told.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// This rover's id, unique in the fleet: `[a-z][a-z0-9_]*`.
    pub rover_id: String,
    /// The fleet whose members can see each other.
    pub fleet: String,
    /// `ws://` or `wss://` address of the signaling server.
    pub signaling_url: String,
    /// File with the DTLS certificate and key.
    pub identity_file: PathBuf,
    /// Who may connect.
    pub peers: PeerFilter,
    /// DTLS fingerprints that pin a peer's identity, by rover id: `sha-256 AB:CD:…`.
    pub peer_fingerprints: BTreeMap<String, String>,
    /// STUN and TURN servers, in the order of preference; signaling may offer more.
    pub ice_servers: Vec<IceServerUri>,
    /// Names that peers may publish here besides the topics below.
    pub accept: Vec<NameGlob>,
    /// The bridged topics, in the order of `topic_ids`, then those of `action_ids`.
    pub topics: Vec<Topic>,
    /// The services that peers may call, in the order of `service_ids`, then those of `action_ids`.
    pub services: Vec<Service>,
    /// Which network interfaces carry the link, and what is known of them.
    pub interfaces: InterfaceSettings,
    /// When a path is given up, and what is sent twice.
    pub handover: HandoverSettings,
    /// How often link quality is published, Hz.
    pub link_quality_publish_rate: f64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An entry with nothing but its name, which is its id too, and its direction.
    pub(crate) fn topic(name: &str, direction: Direction) -> Topic {
        Topic { id: name.to_owned(), name: name.to_owned(), direction, ..config().topics.remove(0) }
    }

    /// A configuration with one topic, and defaults for the rest.
    pub(crate) fn config() -> Config {
        let text = |text: &str| Value::String(text.to_owned());
        let values = Parameters::from([
            ("rover_id".to_owned(), text("rover_a")),
            ("identity_file".to_owned(), text("identity.pem")),
            ("topic_ids".to_owned(), Value::StringList(vec!["odom".to_owned()])),
            ("topics.odom.name".to_owned(), text("odom")),
        ]);
        let mut config =
            Config::from_parameters(&values, &Sources::default()).expect("nothing wrong");
        config.topics[0].remote_name = None;
        config
    }
}
