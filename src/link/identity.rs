//! Who this rover is.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::proof::FleetKey;
use super::transport::Certificate;
use crate::config::PeerFilter;

/// What this rover shows to its peers, and whom it lets in.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id, unique in the fleet.
    pub rover_id: String,
    /// Drawn when the node starts: a peer thereby notices a restart.
    pub instance: Uuid,
    /// Drawn when the node starts: sequences of messages count within it.
    pub epoch: u32,
    /// DTLS certificate and key.
    pub certificate: Certificate,
    /// Shared by the fleet; without it nobody is authenticated.
    pub fleet_key: Option<FleetKey>,
    /// Who may connect.
    pub peers: PeerFilter,
    /// DTLS fingerprints that pin a peer's identity, by rover id: `sha-256 AB:CD:…`.
    pub peer_fingerprints: BTreeMap<String, String>,
}
