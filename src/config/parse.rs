//! From parameters to [`Config`]: each key, its default and its range, written once.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::Config;
use super::error::{ConfigError, Fault};
use super::filter::{InterfaceFilter, NameGlob, PeerFilter, interface_glob};
use super::handover::{Duplicate, HandoverSettings};
use super::names::{self, TypeName};
use super::qos::{Durability, History, QosOverrides, Reliability};
use super::reader::Reader;
use super::sources::Sources;
use super::topic::{DEFAULT_MAX_MESSAGE_SIZE, Delivery, Direction, Priority, QueueLimits, Topic};
use super::value::Parameters;

/// Most topics of one node: a peer takes no more routes than that from a session.
pub const MAX_TOPICS: usize = 2048;

const DEFAULT_FLEET: &str = "default";

/// A signaling server on the same machine, as it listens by default.
const DEFAULT_SIGNALING_URL: &str = "ws://127.0.0.1:3001";

/// A peer may publish what lies under its own id: two rovers that name each other as peers share
/// topics with nothing more said, and none of them can write over a name of the other's own graph.
const DEFAULT_ACCEPT: &[&str] = &["/{peer}/**"];

const DEFAULT_ALLOW: &[&str] = &["*"];

/// Bridges of containers: their addresses are the same on every machine that has them, so that a
/// check sent to a peer's one ends at our own. The ends of `veth` pairs need no entry, for those
/// that belong to a bridge carry no address.
const DEFAULT_DENY: &[&str] = &["docker*", "br-*"];

/// Often enough for a person to follow, Hz; at 100 Hz the topics are a load of their own.
const DEFAULT_PUBLISH_RATE: f64 = 2.0;
const MAX_PUBLISH_RATE: f64 = 100.0;

/// Longest silence and dwell that can be set, s: who wants longer ones does not want a handover.
const MAX_SILENCE: f64 = 60.0;
const MAX_DWELL: f64 = 3600.0;

/// Longest lifespan that can be set, s: a day.
const MAX_LIFESPAN: f64 = 86_400.0;

/// Everybody, in a list of peers.
const EVERYBODY: &str = "*";

/// Parameters that ROS itself puts on a node.
fn is_of_ros(key: &str) -> bool {
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
/// with the value in force: the one given, else the default.
///
/// # Errors
/// As [`Config::from_parameters`].
pub fn known_parameters(values: &Parameters, sources: &Sources) -> Result<Parameters, ConfigError> {
    let mut reader = Reader::new(values, sources);
    read(&mut reader);
    reader.finish(is_of_ros)
}

/// Reads all there is. Where something was wrong, the reader knows, and the value here is merely
/// one that lets the reading go on.
fn read(reader: &mut Reader<'_>) -> Config {
    let rover_id = reader
        .required("rover_id", "set it in a parameter file, or give --rover-id", names::id)
        .unwrap_or_default();
    let peers = peer_filter(reader, "peers", &[]);
    Config {
        fleet: reader.text("fleet", DEFAULT_FLEET, names::id).unwrap_or_default(),
        signaling_url: reader
            .text("signaling_url", DEFAULT_SIGNALING_URL, names::websocket_url)
            .unwrap_or_default(),
        identity_file: identity_file(reader, &rover_id),
        peer_fingerprints: peer_fingerprints(reader),
        accept: reader.list("accept", DEFAULT_ACCEPT, NameGlob::parse),
        topics: topics(reader, &rover_id, &peers),
        interfaces: InterfaceFilter {
            allow: reader.list("interfaces.allow", DEFAULT_ALLOW, interface_glob),
            deny: reader.list("interfaces.deny", DEFAULT_DENY, interface_glob),
        },
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

fn peer_filter(reader: &mut Reader<'_>, key: &str, default: &[&str]) -> PeerFilter {
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

fn topics(reader: &mut Reader<'_>, rover_id: &str, peers: &PeerFilter) -> Vec<Topic> {
    const IDS: &str = "topic_ids";
    const BLOCK: &str = "topics";
    let ids = reader.list(IDS, &[], names::topic_id);
    if ids.len() > MAX_TOPICS {
        reader.report(IDS, Fault::TooManyTopics { found: ids.len(), most: MAX_TOPICS });
    }
    let described = reader.names_in(BLOCK);
    for id in described.iter().filter(|id| !ids.contains(id)) {
        let block = format!("{BLOCK}.{id}");
        reader.report(&block, Fault::MissingId { id: id.clone() });
        reader.pass_over(&block);
    }
    let mut topics: Vec<Topic> = Vec::new();
    for id in ids {
        let block = format!("{BLOCK}.{id}");
        if described.contains(&id) {
            topics.push(topic(reader, &block, id, rover_id, peers));
        } else {
            reader.report(&block, Fault::MissingBlock { id });
        }
    }
    report_same_remote_names(reader, &topics);
    topics
}

fn topic(
    reader: &mut Reader<'_>,
    block: &str,
    id: String,
    rover_id: &str,
    peers: &PeerFilter,
) -> Topic {
    let key = |field: &str| format!("{block}.{field}");
    let name = reader
        .required(&key("name"), "give the ROS name of the topic", names::topic_name)
        .unwrap_or_default();
    let direction = reader
        .choice(
            &key("direction"),
            &[
                ("send", Direction::Send),
                ("receive", Direction::Receive),
                ("both", Direction::Both),
            ],
        )
        .unwrap_or(Direction::Send);
    let queue = QueueLimits::default();
    Topic {
        remote_name: remote_name(reader, &key("remote_name"), &name, direction, rover_id),
        type_name: reader.optional(&key("type"), TypeName::parse),
        peers: match peer_filter(reader, &key("peers"), &[EVERYBODY]) {
            PeerFilter::All => peers.clone(),
            only @ PeerFilter::Only(_) => only,
        },
        delivery: reader
            .choice(
                &key("delivery"),
                &[
                    ("auto", None),
                    ("reliable", Some(Delivery::Reliable)),
                    ("latest", Some(Delivery::Latest)),
                ],
            )
            .flatten(),
        priority: reader
            .choice(
                &key("priority"),
                &[
                    ("normal", Priority::Normal),
                    ("critical", Priority::Critical),
                    ("high", Priority::High),
                    ("low", Priority::Low),
                ],
            )
            .unwrap_or_default(),
        lifespan: Duration::from_secs_f64(reader.not_negative(&key("lifespan"), 0.0, MAX_LIFESPAN)),
        max_message_size: size(reader, &key("max_message_size"), DEFAULT_MAX_MESSAGE_SIZE),
        queue: QueueLimits {
            messages: size(reader, &key("queue_messages"), queue.messages),
            bytes: size(reader, &key("queue_bytes"), queue.bytes),
        },
        qos: QosOverrides {
            reliability: reader
                .choice(
                    &key("qos.reliability"),
                    &[
                        ("auto", None),
                        ("reliable", Some(Reliability::Reliable)),
                        ("best_effort", Some(Reliability::BestEffort)),
                    ],
                )
                .flatten(),
            durability: reader
                .choice(
                    &key("qos.durability"),
                    &[
                        ("auto", None),
                        ("volatile", Some(Durability::Volatile)),
                        ("transient_local", Some(Durability::TransientLocal)),
                    ],
                )
                .flatten(),
            history: reader
                .choice(
                    &key("qos.history"),
                    &[
                        ("auto", None),
                        ("keep_last", Some(History::KeepLast)),
                        ("keep_all", Some(History::KeepAll)),
                    ],
                )
                .flatten(),
            depth: reader
                .count_or_auto(&key("qos.depth"), SIZES)
                .and_then(|depth| u32::try_from(depth).ok()),
        },
        id,
        name,
        direction,
    }
}

/// Sizes and counts: at least one, at most what DDS has room for.
const SIZES: RangeInclusive<u64> = 1..=i32::MAX as u64;

fn size<T>(reader: &mut Reader<'_>, key: &str, default: T) -> T
where
    T: Copy + TryFrom<u64> + TryInto<u64>,
{
    let written = default.try_into().unwrap_or(*SIZES.end());
    T::try_from(reader.count(key, written, SIZES)).unwrap_or(default)
}

/// The absolute name at the receiver. What is sent lies under our own id, unless another name is
/// given; what goes both ways has the same name everywhere, which only the running node can tell.
fn remote_name(
    reader: &mut Reader<'_>,
    key: &str,
    name: &str,
    direction: Direction,
    rover_id: &str,
) -> Option<String> {
    // Without a rover id any will do to check the rest.
    let rover_id = if rover_id.is_empty() { "rover" } else { rover_id };
    let parse = |text: &str| names::remote_name(text, rover_id);
    let written = reader.optional(key, |text| Ok::<_, Infallible>(text.to_owned()));
    match (direction, written) {
        (Direction::Receive, Some(_)) => {
            reader.report(key, Fault::RemoteNameOfReceived);
            None
        }
        (Direction::Receive | Direction::Both, None) => None,
        (Direction::Send | Direction::Both, Some(_)) => reader.optional(key, parse),
        // A name that was wrong is reported already.
        (Direction::Send, None) if name.is_empty() => None,
        (Direction::Send, None) => {
            let path = name.strip_prefix("~/").or(name.strip_prefix('/')).unwrap_or(name);
            match parse(&format!("/{{peer}}/{path}")) {
                Ok(name) => Some(name),
                Err(error) => {
                    reader.report(key, error);
                    None
                }
            }
        }
    }
}

/// Two topics that arrive under one name could not be told apart at the receiver.
fn report_same_remote_names(reader: &mut Reader<'_>, topics: &[Topic]) {
    let mut first: BTreeMap<&str, &Topic> = BTreeMap::new();
    for topic in topics {
        let Some(name) = topic.remote_name.as_deref() else { continue };
        if let Some(other) = first.insert(name, topic) {
            let fault = Fault::SameRemoteName { name: name.to_owned(), other: other.id.clone() };
            reader.report(&format!("topics.{}.remote_name", topic.id), fault);
        }
    }
}
