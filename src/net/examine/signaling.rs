//! Whether the signaling server lets this rover in, and whom it tells of.

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::time::timeout;
use uuid::Uuid;

use crate::config::{Config, Secrets};
use crate::signaling::client::{self, ClientEvent, ClientOptions, Refusal};
use crate::signaling::message::{CAPABILITY_ROVER_LINK, ErrorCode, IceServer, Peer};

/// What became of the attempt to join.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Signaling {
    /// The server has let the rover in, which has left again.
    Joined {
        /// The other members of the fleet.
        members: Vec<Member>,
        /// Time until the welcome, s.
        duration: f64,
    },
    /// A node of this rover is a member already, so all is well; it knows who else is.
    NodeIsMember,
    /// The server wants a token, or another one.
    TokenRefused,
    /// The server refused for another reason.
    Refused {
        /// What it says.
        reason: String,
    },
    /// There was no connection to be had, or not for long enough.
    NotConnected {
        /// What the system says.
        reason: String,
    },
    /// Nothing came in time.
    Silent,
    /// The settings cannot work, whatever the server does.
    Impossible {
        /// Why.
        reason: String,
    },
}

/// Another member of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Its id.
    pub rover_id: String,
    /// Is it a rover of this project rather than a standard WebRTC peer?
    pub is_rover: bool,
}

impl From<Peer> for Member {
    fn from(peer: Peer) -> Self {
        Self { is_rover: peer.is_rover_link(), rover_id: peer.rover_id.into() }
    }
}

/// Joins and leaves; returns the STUN and TURN servers on offer too.
///
/// It takes the rover's own id, so that the server says whether the node has it. It cannot take a
/// living node's place: the server asks that one first.
pub(super) async fn join(
    config: &Config,
    secrets: &Secrets,
    patience: Duration,
) -> (Signaling, Vec<IceServer>) {
    let options = ClientOptions {
        url: config.signaling_url.clone(),
        token: secrets.token.clone(),
        fleet: config.fleet.clone(),
        rover_id: config.rover_id.clone(),
        instance: Uuid::new_v4(),
        capabilities: vec![CAPABILITY_ROVER_LINK.to_owned()],
    };
    let started = Instant::now();
    // The membership ends with the handle.
    let (_handle, mut events) = match client::spawn(options) {
        Ok(spawned) => spawned,
        Err(error) => return (Signaling::Impossible { reason: error.to_string() }, Vec::new()),
    };
    let first = async {
        loop {
            match events.recv().await? {
                ClientEvent::Welcome { peers, ice_servers } => {
                    let members = peers.into_iter().map(Member::from).collect();
                    let duration = started.elapsed().as_secs_f64();
                    return Some((Signaling::Joined { members, duration }, ice_servers));
                }
                ClientEvent::Disconnected { reason } => {
                    return Some((Signaling::NotConnected { reason }, Vec::new()));
                }
                ClientEvent::Refused { refusal, text } => {
                    return Some((refused(refusal, text), Vec::new()));
                }
                // None of them comes before the welcome.
                ClientEvent::IceServers(_)
                | ClientEvent::PeerJoined(_)
                | ClientEvent::PeerLeft { .. }
                | ClientEvent::Signal { .. } => {}
            }
        }
    };
    let told = timeout(patience, first).await.ok().flatten();
    told.unwrap_or((Signaling::Silent, Vec::new()))
}

fn refused(refusal: Refusal, text: String) -> Signaling {
    match refusal {
        Refusal::Protocol(ErrorCode::IdInUse) => Signaling::NodeIsMember,
        Refusal::Http(401) => Signaling::TokenRefused,
        Refusal::Protocol(_) | Refusal::Http(_) => {
            let reason =
                if text.is_empty() { refusal.to_string() } else { format!("{refusal}: {text}") };
            Signaling::Refused { reason }
        }
    }
}
