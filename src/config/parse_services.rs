//! From parameters to the services and actions that peers may use: `service_ids`, `action_ids`, and
//! a block for each of them. An action is nothing but three services and two topics.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::Fault;
use super::filter::PeerFilter;
use super::names::{self, TypeName};
use super::parse_topics::{MAX_LIFESPAN, blocks, priority, shared_with};
use super::reader::Reader;
use super::service::{ACTION_SERVICES, ACTION_TOPICS, CANCEL_TYPE, Service, part_of};
use super::topic::{Priority, Topic};

/// How long a caller waits by default, s: longer than what answers at once needs over a bad link, and
/// no longer than a person would wait.
const DEFAULT_TIMEOUT: f64 = 60.0;

/// Services come before most topics: somebody waits for the answer.
const DEFAULT_PRIORITY: Priority = Priority::High;

const SERVICE: &str = "service";
const ACTION: &str = "action";

/// What both kinds of entries have.
struct Entry {
    id: String,
    name: String,
    remote_name: String,
    peers: PeerFilter,
    priority: Priority,
}

/// Reads all services: those of `services`, then those that actions are made of, whose topics are
/// added to `topics`.
pub(super) fn services(
    reader: &mut Reader<'_>,
    rover_id: &str,
    peers: &PeerFilter,
    topics: &mut Vec<Topic>,
) -> Vec<Service> {
    let mut services = Vec::new();
    for (id, block) in blocks(reader, "service_ids", "services", SERVICE, topics.len()) {
        let entry = entry(reader, &block, id, SERVICE, rover_id, peers);
        let timeout =
            reader.not_negative(&format!("{block}.timeout"), DEFAULT_TIMEOUT, MAX_LIFESPAN);
        services.push(Service {
            type_name: reader.optional(&format!("{block}.type"), TypeName::of_service),
            id: entry.id,
            is_of_action: false,
            name: entry.name,
            remote_name: entry.remote_name,
            peers: entry.peers,
            priority: entry.priority,
            timeout: Duration::from_secs_f64(timeout),
        });
    }
    let routes = topics.len() + services.len();
    for (id, block) in blocks(reader, "action_ids", "actions", ACTION, routes) {
        let entry = entry(reader, &block, id, ACTION, rover_id, peers);
        let type_name = reader.optional(&format!("{block}.type"), TypeName::of_action);
        services.extend(services_of(&entry, type_name.as_ref()));
        topics.extend(topics_of(&entry));
    }
    report_same_remote_names(reader, &services);
    services
}

fn entry(
    reader: &mut Reader<'_>,
    block: &str,
    id: String,
    noun: &'static str,
    rover_id: &str,
    peers: &PeerFilter,
) -> Entry {
    let key = |field: &str| format!("{block}.{field}");
    let parse = |text: &str| {
        let name = names::ros_name(text, noun)?;
        fits(&name, text, noun)
    };
    let name = reader.required(&key("name"), "give its ROS name", parse).unwrap_or_default();
    // Without a rover id any will do to check the rest.
    let rover_id = if rover_id.is_empty() { "rover" } else { rover_id };
    let parse = |text: &str| fits(&names::remote_name(text, noun, rover_id)?, text, noun);
    let written = reader.optional(&key("remote_name"), parse);
    // What is wrong with the name is reported already.
    let remote_name = written.or_else(|| names::default_remote_name(&name, noun, rover_id).ok());
    Entry {
        id,
        remote_name: remote_name.unwrap_or_default(),
        peers: shared_with(reader, &key("peers"), peers),
        priority: priority(reader, &key("priority"), DEFAULT_PRIORITY),
        name,
    }
}

/// The parts of an action have longer names than the action itself.
fn fits(name: &str, written: &str, noun: &'static str) -> Result<String, names::NameError> {
    let longest = if noun == ACTION { part_of("", "cancel_goal").len() } else { 0 };
    if name.len() + longest <= names::MAX_NAME_BYTES {
        Ok(name.to_owned())
    } else {
        Err(names::NameError::Name(names::quoted(written), noun))
    }
}

fn services_of(action: &Entry, type_name: Option<&TypeName>) -> impl Iterator<Item = Service> {
    ACTION_SERVICES.into_iter().map(move |(part, suffix, lasts)| Service {
        id: action.id.clone(),
        is_of_action: true,
        name: part_of(&action.name, part),
        type_name: match suffix {
            Some(suffix) => type_name.map(|action| action.part(suffix)),
            None => TypeName::of_service(CANCEL_TYPE).ok(),
        },
        remote_name: part_of(&action.remote_name, part),
        peers: action.peers.clone(),
        priority: action.priority,
        timeout: if lasts { Duration::ZERO } else { Duration::from_secs_f64(DEFAULT_TIMEOUT) },
    })
}

/// Their types and QoS are those of the action's server.
fn topics_of(action: &Entry) -> impl Iterator<Item = Topic> {
    ACTION_TOPICS.into_iter().map(|part| {
        Topic::of_action(
            &action.id,
            part_of(&action.name, part),
            part_of(&action.remote_name, part),
            action.peers.clone(),
            action.priority,
        )
    })
}

/// Two services of one name could not be told apart at the peers.
fn report_same_remote_names(reader: &mut Reader<'_>, services: &[Service]) {
    let mut first: BTreeMap<&str, &Service> = BTreeMap::new();
    for service in services.iter().filter(|service| !service.remote_name.is_empty()) {
        let name = service.remote_name.as_str();
        if let Some(other) = first.insert(name, service) {
            let noun = if other.is_of_action { ACTION } else { SERVICE };
            let fault =
                Fault::SameRemoteName { name: name.to_owned(), noun, other: other.id.clone() };
            reader.report(&format!("{}.remote_name", service.key()), fault);
        }
    }
}
