//! A rover that lives on the loopback of this machine alone.

use std::collections::BTreeMap;
use std::path::Path;

use rover_link::config::{Config, HandoverSettings, InterfaceFilter, PeerFilter};

/// Its settings; the certificate goes to `folder`.
pub(crate) fn config(id: &str, signaling_url: &str, folder: &Path, peers: PeerFilter) -> Config {
    Config {
        rover_id: id.to_owned(),
        fleet: "default".to_owned(),
        signaling_url: signaling_url.to_owned(),
        identity_file: folder.join(format!("{id}.pem")),
        peers,
        peer_fingerprints: BTreeMap::new(),
        ice_servers: Vec::new(),
        accept: Vec::new(),
        topics: Vec::new(),
        services: Vec::new(),
        interfaces: InterfaceFilter { allow: vec!["lo".to_owned()], deny: Vec::new() }.into(),
        handover: HandoverSettings::default(),
        link_quality_publish_rate: 2.0,
    }
}
