//! From parameters to the topics: `topic_ids`, and a block for each of them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::Fault;
use super::filter::PeerFilter;
use super::names::{self, TypeName};
use super::parse::{EVERYBODY, peer_filter};
use super::parse_interfaces::interface_kind;
use super::qos::{Durability, History, QosOverrides, Reliability};
use super::reader::Reader;
use super::service::{ACTION_SERVICES, ACTION_TOPICS};
use super::topic::{
    Compression, DEFAULT_MAX_MESSAGE_SIZE, Delivery, Direction, Priority, QueueLimits, Topic,
};
use super::topic_pattern::{self, NAME, PatternError, is_pattern};

/// Most topics and services of one node together: a peer takes no more routes than that from a
/// session.
pub const MAX_ROUTES: usize = 2048;

/// Longest lifespan or timeout that can be set, s: a day.
pub(super) const MAX_LIFESPAN: f64 = 86_400.0;

/// What error texts call an entry of `topics`.
const TOPIC: &str = "topic";

/// Highest `max_rate` that can be set, Hz.
const MAX_RATE: f64 = 10_000.0;

pub(super) fn topics(reader: &mut Reader<'_>, rover_id: &str, peers: &PeerFilter) -> Vec<Topic> {
    let mut topics: Vec<Topic> = Vec::new();
    for (id, block) in blocks(reader, "topic_ids", "topics", TOPIC, 0) {
        topics.push(topic(reader, &block, id, rover_id, peers));
    }
    report_same_remote_names(reader, &topics);
    topics
}

/// The ids of a list and the block of each; `routes` is how many there are before these.
pub(super) fn blocks(
    reader: &mut Reader<'_>,
    list: &'static str,
    blocks: &str,
    noun: &'static str,
    routes: usize,
) -> Vec<(String, String)> {
    let ids = reader.list(list, &[], |text| names::entry_id(text, noun));
    let each = if noun == "action" { ACTION_SERVICES.len() + ACTION_TOPICS.len() } else { 1 };
    let found = routes + ids.len() * each;
    if found > MAX_ROUTES && !ids.is_empty() {
        reader.report(list, Fault::TooManyRoutes { found, most: MAX_ROUTES });
    }
    let described = reader.names_in(blocks);
    for id in described.iter().filter(|id| !ids.contains(id)) {
        let block = format!("{blocks}.{id}");
        reader.report(&block, Fault::MissingId { id: id.clone(), list });
        reader.pass_over(&block);
    }
    let block = |id: String| {
        let block = format!("{blocks}.{id}");
        if described.contains(&id) {
            return Some((id, block));
        }
        reader.report(&block, Fault::MissingBlock { id, list });
        None
    };
    ids.into_iter().filter_map(block).collect()
}

/// The peers that something is shared with: all of ours, unless some are named.
pub(super) fn shared_with(reader: &mut Reader<'_>, key: &str, peers: &PeerFilter) -> PeerFilter {
    match peer_filter(reader, key, &[EVERYBODY]) {
        PeerFilter::All => peers.clone(),
        only @ PeerFilter::Only(_) => only,
    }
}

pub(super) fn priority(reader: &mut Reader<'_>, key: &str, default: Priority) -> Priority {
    let mut choices = [
        ("normal", Priority::Normal),
        ("critical", Priority::Critical),
        ("high", Priority::High),
        ("low", Priority::Low),
    ];
    // The first one is the default.
    choices.sort_by_key(|(_, priority)| *priority != default);
    reader.choice(key, &choices).unwrap_or(default)
}

fn topic(
    reader: &mut Reader<'_>,
    block: &str,
    id: String,
    rover_id: &str,
    peers: &PeerFilter,
) -> Topic {
    let key = |field: &str| format!("{block}.{field}");
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
    let name = reader
        .required(&key("name"), "give the ROS name of the topic", |text| name(text, direction))
        .unwrap_or_default();
    let queue = QueueLimits::default();
    Topic {
        remote_name: remote_name(reader, &key("remote_name"), &name, direction, rover_id),
        exclude: exclude(reader, &key("exclude"), &name, direction),
        type_name: reader.optional(&key("type"), TypeName::of_message),
        peers: shared_with(reader, &key("peers"), peers),
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
        priority: priority(reader, &key("priority"), Priority::default()),
        lifespan: Duration::from_secs_f64(reader.not_negative(&key("lifespan"), 0.0, MAX_LIFESPAN)),
        min_period: min_period(reader.not_negative(&key("max_rate"), 0.0, MAX_RATE)),
        interfaces: reader.list(&key("interfaces"), &[], interface_kind),
        compression: reader
            .choice(
                &key("compression"),
                &[("none", Compression::None), ("zstd", Compression::Zstd)],
            )
            .unwrap_or_default(),
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
        is_of_action: false,
        name,
        direction,
    }
}

/// A name, or a pattern over names.
fn name(text: &str, direction: Direction) -> Result<String, Fault> {
    if is_pattern(text) {
        Ok(topic_pattern::parse(text, direction)?)
    } else {
        Ok(names::ros_name(text, TOPIC)?)
    }
}

/// What a pattern is not to match.
fn exclude(reader: &mut Reader<'_>, key: &str, name: &str, direction: Direction) -> Vec<String> {
    let globs = reader.list(key, &[], |text| topic_pattern::parse(text, direction));
    // A name that was wrong is reported already.
    if !globs.is_empty() && !is_pattern(name) && !name.is_empty() {
        reader.report(key, PatternError::ExcludeWithoutPattern);
    }
    globs
}

/// The period of a rate, zero for zero.
fn min_period(rate: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / rate).unwrap_or_default()
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
    let parse = |text: &str| names::remote_name(text, TOPIC, rover_id);
    let written = reader.optional(key, |text| Ok::<_, Infallible>(text.to_owned()));
    match (direction, written) {
        (Direction::Receive, Some(_)) => {
            reader.report(key, Fault::RemoteNameOfReceived);
            None
        }
        (Direction::Receive | Direction::Both, None) => None,
        (Direction::Send | Direction::Both, Some(_)) if is_pattern(name) => {
            reader.optional(key, |text| remote_pattern(text, rover_id))
        }
        (Direction::Send | Direction::Both, Some(_)) => reader.optional(key, parse),
        // A name that was wrong is reported already.
        (Direction::Send, None) if name.is_empty() => None,
        (Direction::Send, None) if is_pattern(name) => Some(format!("/{rover_id}/{NAME}")),
        (Direction::Send, None) => match names::default_remote_name(name, TOPIC, rover_id) {
            Ok(name) => Some(name),
            Err(error) => {
                reader.report(key, error);
                None
            }
        },
    }
}

/// The remote name of a pattern, in which the matched name is left open.
fn remote_pattern(text: &str, rover_id: &str) -> Result<String, PatternError> {
    if !text.contains(NAME) {
        return Err(PatternError::RemoteName(names::quoted(text)));
    }
    if names::remote_name(&text.replace(NAME, "name"), TOPIC, rover_id).is_err() {
        return Err(PatternError::RemoteForm(names::quoted(text)));
    }
    Ok(text.replace("{peer}", rover_id))
}

/// Two topics that arrive under one name could not be told apart at the receiver.
fn report_same_remote_names(reader: &mut Reader<'_>, topics: &[Topic]) {
    let mut first: BTreeMap<&str, &Topic> = BTreeMap::new();
    for topic in topics {
        // Patterns may have the same: of those that match a topic, one counts.
        let exact = topic.remote_name.as_deref().filter(|_| !is_pattern(&topic.name));
        let Some(name) = exact else { continue };
        if let Some(other) = first.insert(name, topic) {
            let (name, other) = (name.to_owned(), other.id.clone());
            let fault = Fault::SameRemoteName { name, noun: TOPIC, other };
            reader.report(&format!("topics.{}.remote_name", topic.id), fault);
        }
    }
}
