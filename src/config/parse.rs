//! From parameters to [`Config`]: each key, its default and its range, written once; those of topics
//! in `parse_topics`, those of services in `parse_services`, those of network interfaces in
//! `parse_interfaces`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::error::{ConfigError, Fault};
use super::filter::{NameGlob, PeerFilter};
use super::handover::{Duplicate, HandoverSettings};
use super::ice_server::IceServerUri;
use super::known::Known;
use super::names;
use super::parse_interfaces::interfaces;
use super::parse_services::services;
use super::parse_topics::topics;
use super::reader::Reader;
use super::sources::Sources;
use super::value::Parameters;

const DEFAULT_FLEET: &str = "default";

/// A signaling server on the same machine, as it listens by default.
const DEFAULT_SIGNALING_URL: &str = "ws://127.0.0.1:3001";

/// A peer may publish what lies under its own id: two rovers that name each other as peers share
/// topics with nothing more said, and none of them can write over a name of the other's own graph.
const DEFAULT_ACCEPT: &[&str] = &["/{peer}/**"];

/// Often enough for a person to follow, Hz; at 100 Hz the topics are a load of their own.
const DEFAULT_PUBLISH_RATE: f64 = 2.0;
const MAX_PUBLISH_RATE: f64 = 100.0;

/// Longest silence and dwell that can be set, s: who wants longer ones does not want a handover.
const MAX_SILENCE: f64 = 60.0;
const MAX_DWELL: f64 = 3600.0;

/// Everybody, in a list of peers.
pub(super) const EVERYBODY: &str = "*";

/// Parameters that ROS itself puts on a node.
pub(super) fn is_of_ros(key: &str) -> bool {
    matches!(key, "use_sim_time" | "start_type_description_service")
        || key.starts_with("qos_overrides.")
}

impl Config {
    /// Reads the parameters of a node, the way ROS gives them.
    ///
    /// # Errors
    /// All that is wrong, each with its place, key and remedy.
    pub fn from_parameters(values: &Parameters, sources: &Sources) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(values, sources);
        let config = read(&mut reader);
        reader.finish(is_of_ros)?;
        Ok(config)
    }
}

/// Each parameter that there is for these values (topics have some for each entry of `topic_ids`),
/// with the value in force, the one given or else the default, and with what it may be set to.
///
/// # Errors
/// As [`Config::from_parameters`].
pub fn known(
    values: &Parameters,
    sources: &Sources,
) -> Result<BTreeMap<String, Known>, ConfigError> {
    let mut reader = Reader::new(values, sources);
    read(&mut reader);
    reader.finish(is_of_ros)
}

/// The values in force alone: see [`known`].
///
/// # Errors
/// As [`Config::from_parameters`].
pub fn known_parameters(values: &Parameters, sources: &Sources) -> Result<Parameters, ConfigError> {
    let known = known(values, sources)?;
    Ok(known.into_iter().map(|(key, known)| (key, known.value)).collect())
}

/// Reads all there is. Where something was wrong, the reader knows, and the value here is merely
/// one that lets the reading go on.
fn read(reader: &mut Reader<'_>) -> Config {
    let rover_id = reader
        .required("rover_id", "set it in a parameter file, or give --rover-id", names::id)
        .unwrap_or_default();
    let peers = peer_filter(reader, "peers", &[]);
    let mut topics = topics(reader, &rover_id, &peers);
    let services = services(reader, &rover_id, &peers, &mut topics);
    Config {
        fleet: reader.text("fleet", DEFAULT_FLEET, names::id).unwrap_or_default(),
        signaling_url: reader
            .text("signaling_url", DEFAULT_SIGNALING_URL, names::websocket_url)
            .unwrap_or_default(),
        identity_file: identity_file(reader, &rover_id),
        peer_fingerprints: peer_fingerprints(reader),
        ice_servers: reader.list("ice_servers", &[], IceServerUri::parse),
        accept: reader.list("accept", DEFAULT_ACCEPT, NameGlob::parse),
        topics,
        services,
        interfaces: interfaces(reader),
        handover: handover(reader),
        link_quality_publish_rate: reader.positive(
            "link_quality.publish_rate",
            DEFAULT_PUBLISH_RATE,
            MAX_PUBLISH_RATE,
        ),
        rover_id,
        peers,
    }
}

pub(super) fn peer_filter(reader: &mut Reader<'_>, key: &str, default: &[&str]) -> PeerFilter {
    let id = |text: &str| if text == EVERYBODY { Ok(text.to_owned()) } else { names::id(text) };
    let ids = reader.list(key, default, id);
    if ids.iter().all(|id| id != EVERYBODY) {
        return PeerFilter::Only(ids);
    }
    if ids.len() > 1 {
        reader.report(key, Fault::MoreThanEverybody);
    }
    PeerFilter::All
}

fn handover(reader: &mut Reader<'_>) -> HandoverSettings {
    const DEAD_SILENCE: &str = "handover.dead_silence";
    let default = HandoverSettings::default();
    let duplicate = reader
        .choice(
            "handover.duplicate",
            &[
                ("on_suspect", Duplicate::OnSuspect),
                ("off", Duplicate::Off),
                ("always", Duplicate::Always),
            ],
        )
        .unwrap_or(default.duplicate);
    let mut seconds = |key: &str, default: Duration, most: f64| {
        Duration::from_secs_f64(reader.positive(key, default.as_secs_f64(), most))
    };
    let suspect_silence = seconds("handover.suspect_silence", default.suspect_silence, MAX_SILENCE);
    let dead_silence = seconds(DEAD_SILENCE, default.dead_silence, MAX_SILENCE);
    let min_dwell = seconds("handover.min_dwell", default.min_dwell, MAX_DWELL);
    if dead_silence <= suspect_silence {
        reader.report(DEAD_SILENCE, Fault::DeadBeforeSuspect { dead_silence, suspect_silence });
    }
    HandoverSettings {
        duplicate,
        suspect_silence,
        dead_silence,
        max_loss_ratio: reader.positive("handover.max_loss_ratio", default.max_loss_ratio, 1.0),
        min_dwell,
    }
}

/// Where the identity is kept. `~/` is the user's home, as in a shell.
fn identity_file(reader: &mut Reader<'_>, rover_id: &str) -> PathBuf {
    const KEY: &str = "identity_file";
    let written = reader.optional(KEY, |text| Ok::<_, Infallible>(text.to_owned()));
    let sources = reader.sources;
    let file = match written.as_deref() {
        None => sources
            .ros_home
            .as_ref()
            .map(|ros_home| ros_home.join("rover_link").join(rover_id).with_extension("pem")),
        Some(path) => match path.strip_prefix("~/") {
            Some(rest) => sources.home.as_ref().map(|home| home.join(rest)),
            None => Some(path.into()),
        },
    };
    if file.is_none() {
        let remedy = "give an absolute path, for neither HOME nor ROS_HOME is set";
        reader.report(KEY, Fault::Missing { remedy });
    }
    file.unwrap_or_default()
}

fn peer_fingerprints(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    const BLOCK: &str = "peer_fingerprints";
    let mut fingerprints = BTreeMap::new();
    for peer in reader.names_in(BLOCK) {
        let key = format!("{BLOCK}.{peer}");
        let fingerprint = reader.text(&key, "", names::fingerprint).unwrap_or_default();
        if let Err(error) = names::id(&peer) {
            reader.report(&key, error);
        }
        fingerprints.insert(peer, fingerprint);
    }
    fingerprints
}
