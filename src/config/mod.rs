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
mod error;
mod filter;
mod handover;
mod ice_server;
mod interface;
mod interfaces;
mod names;
mod nearest;
mod overrides;
mod parse;
mod parse_interfaces;
mod parse_topics;
mod qos;
mod reader;
mod secrets;
mod sources;
mod topic;
mod value;

pub use admission::{Admission, Admitted};
pub use error::{ConfigError, Fault, Problem};
pub use filter::{InterfaceFilter, InterfaceRefusal, NameGlob, PeerFilter};
pub use handover::{Duplicate, HandoverSettings};
pub use ice_server::{IceServerUri, IceService};
pub use interface::InterfaceKind;
pub use interfaces::InterfaceSettings;
pub use names::{MAX_ID_BYTES, MAX_NAME_BYTES, NameError, TypeName, is_absolute_name};
pub use overrides::{Overrides, own_arguments};
pub use parse::known_parameters;
pub use parse_topics::MAX_TOPICS;
pub use qos::{Durability, History, Liveliness, QosOverrides, QosProfile, Reliability, Timing};
pub use secrets::{STRONG_FLEET_KEY_BYTES, Secrets};
pub use sources::{Location, Sources};
pub use topic::{
    Compression, DEFAULT_MAX_MESSAGE_SIZE, Delivery, Direction, Priority, QueueLimits, Topic,
};
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
    /// The bridged topics, in the order of `topic_ids`.
    pub topics: Vec<Topic>,
    /// Which network interfaces carry the link, and what is known of them.
    pub interfaces: InterfaceSettings,
    /// When a path is given up, and what is sent twice.
    pub handover: HandoverSettings,
    /// How often link quality is published, Hz.
    pub link_quality_publish_rate: f64,
}
