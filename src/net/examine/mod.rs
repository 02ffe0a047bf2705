//! What the node would meet with its settings on this machine and network, tried once: for people who
//! look for the reason why something does not connect.
//!
//! [`examine`] gathers the facts, with the code that the driver uses too; [`findings`] says what they
//! mean, and what would help. Nothing here changes anything: sockets and the instance are of its own,
//! and what servers lend is given back.

mod findings;
mod nat;
mod signaling;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde::{Serialize, Serializer};
use tokio::time::{sleep, timeout};

pub use self::findings::{Finding, Mark, Section, findings};
pub use self::nat::{Mapping, Nat};
pub use self::signaling::{Member, Signaling};
pub use super::addresses::Unused;
pub use super::servers::inquiry::{StunAnswer, TurnAnswer, TurnOutcome};

use super::identity::{IdentityError, load};
use super::interfaces::{Judged, judged_addresses};
use super::servers::{self, Server, inquiry};
use super::sockets::Sockets;
use crate::config::{
    Config, IceService, InterfaceKind, PeerFilter, STRONG_FLEET_KEY_BYTES, Secrets, Topic, TypeName,
};
use crate::link::fingerprint;

/// What takes longer is announced: someone may be waiting for it.
const SLOW: Duration = Duration::from_secs(1);

/// All that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examination {
    /// This rover.
    pub rover_id: String,
    /// Its fleet.
    pub fleet: String,
    /// Rover ids that may connect; `["*"]` is the whole fleet.
    pub peers: Vec<String>,
    /// Its DTLS certificate.
    pub identity: IdentityState,
    /// Which secrets there are.
    pub secrets: SecretsState,
    /// The addresses of this machine, and its interfaces without any.
    pub addresses: Vec<AddressState>,
    /// Address of the signaling server.
    pub signaling_url: String,
    /// What the signaling server says.
    pub signaling: Signaling,
    /// STUN and TURN servers of the configuration, and those that signaling offers.
    pub ice_servers: Vec<ServerState>,
    /// What STUN servers say, and TURN servers when they are asked the same.
    pub stun: Vec<StunAnswer>,
    /// What TURN servers do.
    pub turn: Vec<TurnAnswer>,
    /// What NATs do.
    pub nat: Vec<Nat>,
    /// The types of the topics.
    pub topics: Vec<TypeState>,
    /// The types of services and actions.
    pub services: Vec<TypeState>,
}

/// The file with the certificate and key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityState {
    /// The file.
    pub file: PathBuf,
    /// What is in it.
    #[serde(flatten)]
    pub content: IdentityContent,
}

/// What the file of the identity holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum IdentityContent {
    /// A certificate, for its owner alone.
    Ready {
        /// What peers can pin: `sha-256 AB:CD:…`.
        fingerprint: String,
    },
    /// There is no file: the node makes one.
    Missing,
    /// The node would stop at it.
    Wrong {
        /// Why, with the remedy.
        reason: String,
    },
}

/// Which secrets there are, never what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SecretsState {
    /// Is `ROVER_LINK_TOKEN` set?
    pub token: bool,
    /// Is `ROVER_LINK_FLEET_KEY` set?
    pub fleet_key: bool,
    /// Is it too long to be guessed?
    pub fleet_key_is_strong: bool,
    /// Are `ROVER_LINK_TURN_USERNAME` and `ROVER_LINK_TURN_CREDENTIAL` set?
    pub turn: bool,
}

/// One address of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressState {
    /// Its network interface.
    pub interface: String,
    /// The address; `None` where the interface has none.
    pub address: Option<IpAddr>,
    /// What the interface leads to.
    #[serde(serialize_with = "as_text")]
    pub kind: InterfaceKind,
    /// Is each byte paid for?
    pub metered: bool,
    /// Can the interface carry anything now?
    pub carrier: bool,
    /// Of a radio, dBm.
    pub signal_strength: Option<i16>,
    /// Why the link does not use it; `None` where it does.
    pub unused: Option<Unused>,
}

impl AddressState {
    /// Would data leave by it now?
    pub fn is_of_use(&self) -> bool {
        self.unused.is_none() && self.carrier
    }
}

/// A STUN or TURN server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerState {
    /// Its URI.
    pub uri: String,
    /// Is it one that signaling offers?
    pub is_offered: bool,
    /// Does it relay?
    pub is_relay: bool,
    /// Is there a username and credential for it?
    pub has_credential: bool,
    /// Where it is.
    pub addresses: Vec<SocketAddr>,
    /// Why that is not known, where it is not.
    pub not_found: Option<String>,
}

/// The type of one topic, service or action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypeState {
    /// Its id in `topic_ids`, `service_ids` or `action_ids`.
    pub id: String,
    /// Its name, as written.
    pub name: String,
    /// Its type; `None` where the configuration leaves that to whoever publishes or serves it.
    #[serde(rename = "type")]
    pub type_name: Option<String>,
    /// Why the type cannot be used here; `None` where it can.
    pub not_installed: Option<String>,
}

/// Tries everything, each step for so long at most. `check_type` says why a type cannot be used;
/// `announce` is told of what takes long.
///
/// Where nothing answers it takes three times `patience`. Needs a tokio runtime; names that are
/// being resolved may keep a thread of it busy for longer.
pub async fn examine(
    config: &Config,
    secrets: &Secrets,
    patience: Duration,
    check_type: impl Fn(&TypeName) -> Result<(), String>,
    announce: impl Fn(&str),
) -> Examination {
    let mut sockets = Sockets::default();
    let addresses = addresses(config, &mut sockets);

    let joining = signaling::join(config, secrets, patience);
    let text = format!("asking the signaling server {} …", config.signaling_url);
    let (signaling, offered) = announced(joining, &announce, &text).await;

    let resolving = found(known_servers(config, secrets, &offered), patience);
    let found = announced(resolving, &announce, "looking up names of servers …").await;
    let (states, servers): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let asking = inquiry::ask(&servers, &mut sockets, Instant::now() + patience);
    let answers = announced(asking, &announce, "asking STUN and TURN servers …").await;

    Examination {
        rover_id: config.rover_id.clone(),
        fleet: config.fleet.clone(),
        peers: match &config.peers {
            PeerFilter::All => vec!["*".to_owned()],
            PeerFilter::Only(ids) => ids.clone(),
        },
        identity: identity(config),
        secrets: secrets_state(secrets),
        addresses,
        signaling_url: config.signaling_url.clone(),
        signaling,
        ice_servers: states,
        nat: nat::nats(&answers.stun),
        stun: answers.stun,
        turn: answers.turn,
        topics: topics(config, &check_type),
        services: services(config, &check_type),
    }
}

/// Does something, and says so if it is slow.
async fn announced<T>(doing: impl Future<Output = T>, announce: &impl Fn(&str), text: &str) -> T {
    let mut doing = pin!(doing);
    tokio::select! {
        biased;
        done = &mut doing => return done,
        () = sleep(SLOW) => announce(text),
    }
    doing.await
}

fn identity(config: &Config) -> IdentityState {
    let content = match load(&config.identity_file) {
        Ok(Some(certificate)) => IdentityContent::Ready { fingerprint: fingerprint(&certificate) },
        Ok(None) => IdentityContent::Missing,
        Err(error @ IdentityError::Io { .. }) => IdentityContent::Wrong {
            reason: format!("{error}; it has to belong to the user who runs the node"),
        },
        Err(error) => IdentityContent::Wrong { reason: error.to_string() },
    };
    IdentityState { file: config.identity_file.clone(), content }
}

fn secrets_state(secrets: &Secrets) -> SecretsState {
    let key = secrets.fleet_key.as_ref();
    SecretsState {
        token: secrets.token.is_some(),
        fleet_key: key.is_some(),
        fleet_key_is_strong: key.is_some_and(|key| key.len() >= STRONG_FLEET_KEY_BYTES),
        turn: secrets.turn.is_some(),
    }
}

/// The addresses of this machine; those in use have a socket then.
fn addresses(config: &Config, sockets: &mut Sockets) -> Vec<AddressState> {
    let judged = judged_addresses(&config.interfaces).unwrap_or_else(|error| {
        log::error!("the addresses of this machine cannot be read: {error}");
        Vec::new()
    });
    let usable = judged.iter().filter(|of| of.unused.is_none());
    let usable = usable.filter_map(|of| Some((of.address?, of.interface.clone())));
    sockets.update(&usable.collect());
    let open: Vec<_> = sockets.addresses().into_keys().map(|address| address.ip()).collect();
    let state = |Judged { interface, address, unused }: Judged| {
        let has_socket = address.is_some_and(|address| open.contains(&address));
        let no_socket = (!has_socket).then_some(Unused::NoSocket);
        AddressState {
            interface: interface.name,
            address,
            kind: interface.kind,
            metered: interface.metered,
            carrier: interface.carrier,
            signal_strength: interface.signal_strength,
            unused: unused.or(no_socket),
        }
    };
    judged.into_iter().map(state).collect()
}

/// The servers of the configuration, and after them those that signaling offers.
fn known_servers(
    config: &Config,
    secrets: &Secrets,
    offered: &[crate::signaling::message::IceServer],
) -> Vec<(Server, bool)> {
    let configured = servers::configured(&config.ice_servers, secrets.turn.as_ref());
    let mut known: Vec<_> = configured.into_iter().map(|server| (server, false)).collect();
    for server in servers::offered(offered) {
        // It may be one of the configuration, with the credential that is missing there.
        known.retain(|(other, _)| other.uri != server.uri || other.credentials.is_some());
        if known.iter().all(|(other, _)| *other != server) {
            known.push((server, true));
        }
    }
    known
}

/// Looks up where servers are, all at once.
async fn found(
    servers: Vec<(Server, bool)>,
    patience: Duration,
) -> Vec<(ServerState, (Server, Vec<SocketAddr>))> {
    let look_up = async |(server, is_offered): (Server, bool)| {
        let found = timeout(patience, servers::look_up(&server.uri)).await;
        let (addresses, not_found) = match found {
            Ok(Ok(addresses)) => (addresses, None),
            Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
            Err(_) => (Vec::new(), Some("no name server answers".to_owned())),
        };
        let state = ServerState {
            uri: server.uri.to_string(),
            is_offered,
            is_relay: server.uri.service != IceService::Stun,
            has_credential: server.credentials.is_some(),
            addresses: addresses.clone(),
            not_found,
        };
        (state, (server, addresses))
    };
    join_all(servers.into_iter().map(look_up)).await
}

type CheckType<'a> = &'a dyn Fn(&TypeName) -> Result<(), String>;

fn topics(config: &Config, check_type: CheckType<'_>) -> Vec<TypeState> {
    let topics = config.topics.iter().filter(|topic| !topic.is_of_action);
    let state = |topic: &Topic| state(&topic.id, &topic.name, topic.type_name.as_ref(), check_type);
    topics.map(state).collect()
}

/// Of the parts of an action the first stands for all.
fn services(config: &Config, check_type: CheckType<'_>) -> Vec<TypeState> {
    let mut seen = BTreeSet::new();
    let services = config.services.iter().filter(|service| seen.insert(service.key()));
    services
        .map(|service| state(&service.id, &service.name, service.type_name.as_ref(), check_type))
        .collect()
}

fn state(
    id: &str,
    name: &str,
    type_name: Option<&TypeName>,
    check_type: CheckType<'_>,
) -> TypeState {
    TypeState {
        id: id.to_owned(),
        name: name.to_owned(),
        type_name: type_name.map(ToString::to_string),
        not_installed: type_name.and_then(|name| check_type(name).err()),
    }
}

/// Writes what people read.
pub(super) fn as_text<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
