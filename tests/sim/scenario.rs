//! What happens to a link, as a value: the TOML files of `tests/scenarios`, read strictly. Their
//! README says what each key means. A scenario can also be built in code.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::time::Duration;

use rover_link::config::{Delivery, Duplicate, InterfaceKind, Priority};
use serde::{Deserialize, Deserializer};

use super::link::Conditions;
use super::metric::Metric;
use super::policy::Policy;
use super::queue::Discipline;
use super::stamp;

/// Why a file is no scenario.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ScenarioError {
    /// It cannot be read.
    #[error("{file}: {source}")]
    Unreadable { file: String, source: std::io::Error },
    /// It is no TOML, or a key or a value is not known.
    #[error("{file}: {source}")]
    Syntax { file: String, source: toml::de::Error },
    /// Its parts do not fit together.
    #[error("{file}: {reason}")]
    Meaning { file: String, reason: String },
}

/// What happens to the link between two rovers, what they send, and how well that has to arrive.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// From the moment when both sides are connected to the last message that is published.
    #[serde(deserialize_with = "seconds")]
    pub(crate) duration: Duration,
    /// Messages published earlier do not count: the link finds its pace.
    #[serde(default = "usual_warm_up", deserialize_with = "seconds")]
    pub(crate) warm_up: Duration,
    #[serde(default = "on_suspect", deserialize_with = "duplicate")]
    pub(crate) duplicate: Duplicate,
    /// From one rover to the other through the signaling server.
    #[serde(default = "usual_signaling_delay", deserialize_with = "seconds")]
    pub(crate) signaling_delay: Duration,
    /// Loss that comes on top of that of each path, from the beginning on.
    #[serde(default)]
    pub(crate) loss_everywhere: f64,
    /// At most so many seeds are run; for long scenarios.
    pub(crate) seeds: Option<u64>,
    #[serde(default = "all_baselines")]
    pub(crate) baselines: Vec<Policy>,
    /// Do messages that arrived leave in the pace in which the node publishes them?
    #[serde(default)]
    pub(crate) paced: bool,
    #[serde(rename = "path")]
    pub(crate) paths: Vec<Path>,
    pub(crate) traffic: Vec<Traffic>,
    #[serde(default)]
    pub(crate) tcp: Vec<Tcp>,
    #[serde(rename = "event", default)]
    pub(crate) events: Vec<Event>,
    #[serde(rename = "target", default)]
    pub(crate) targets: Targets,
}

/// One network: radios of this name on both rovers reach each other and nothing else.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "PathEntry")]
pub(crate) struct Path {
    pub(crate) name: String,
    pub(crate) kind: InterfaceKind,
    pub(crate) metered: bool,
    /// In both directions, at the beginning.
    pub(crate) conditions: Conditions,
}

/// Who publishes a class of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Publisher {
    A,
    B,
    Both,
}

impl Publisher {
    /// Is this rover one of them?
    pub(crate) fn is(self, rover: usize) -> bool {
        match self {
            Self::A => rover == 0,
            Self::B => rover == 1,
            Self::Both => true,
        }
    }
}

/// Messages of one topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traffic {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) priority: Priority,
    #[serde(default = "reliable")]
    pub(crate) delivery: Delivery,
    /// Messages per second; 0 = as fast as they go.
    pub(crate) rate: f64,
    /// Bytes of a message.
    pub(crate) size: usize,
    pub(crate) from: Publisher,
    /// Zero for no limit.
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) lifespan: Duration,
    /// It begins so late.
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) start: Duration,
}

/// A transfer of somebody else's over TCP, as fast as it goes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tcp {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) from: Publisher,
    /// It begins so late.
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) start: Duration,
}

/// Directions of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    AToB,
    BToA,
    #[default]
    Both,
}

/// What happens, and when.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Event {
    #[serde(deserialize_with = "seconds")]
    pub(crate) at: Duration,
    /// It happens again and again with this period, until `until`.
    #[serde(default, deserialize_with = "some_seconds")]
    pub(crate) every: Option<Duration>,
    #[serde(default, deserialize_with = "some_seconds")]
    pub(crate) until: Option<Duration>,
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) direction: Direction,
    pub(crate) set: Option<Change>,
    /// The change takes so long, in a straight line.
    #[serde(default, deserialize_with = "seconds")]
    pub(crate) ramp: Duration,
    pub(crate) action: Option<Action>,
}

/// What else can happen than a change of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    /// The cable is pulled at rover A, and its kernel says so at once.
    CarrierDown,
    CarrierUp,
    /// Rover A gets another address on this network.
    NewAddress,
    /// Rover A appears from another address to the far side, and the former no longer leads to it.
    NatRebind,
    SignalingDown,
    SignalingUp,
    /// The process is replaced by a new one, without a word.
    RestartA,
    RestartB,
}

impl Action {
    fn needs_path(self) -> bool {
        matches!(self, Self::CarrierDown | Self::CarrierUp | Self::NewAddress | Self::NatRebind)
    }
}

/// New values for some of the conditions of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    #[serde(default, deserialize_with = "some_seconds")]
    pub(crate) delay: Option<Duration>,
    #[serde(default, deserialize_with = "some_seconds")]
    pub(crate) jitter: Option<Duration>,
    pub(crate) reorder: Option<f64>,
    pub(crate) loss: Option<f64>,
    pub(crate) burst: Option<f64>,
    pub(crate) rate: Option<f64>,
    pub(crate) queue: Option<u64>,
    pub(crate) discipline: Option<Discipline>,
    pub(crate) up: Option<bool>,
    pub(crate) held: Option<bool>,
}

impl Change {
    /// The conditions when this part (0..=1) of the change is done.
    pub(crate) fn apply(&self, from: &Conditions, part: f64) -> Conditions {
        let number = |from: f64, to: Option<f64>| to.map_or(from, |to| from + (to - from) * part);
        let time = |from: Duration, to: Option<Duration>| {
            Duration::from_secs_f64(number(from.as_secs_f64(), to.map(|to| to.as_secs_f64())))
        };
        Conditions {
            delay: time(from.delay, self.delay),
            jitter: time(from.jitter, self.jitter),
            reorder: number(from.reorder, self.reorder),
            loss: number(from.loss, self.loss),
            burst: number(from.burst, self.burst),
            rate: number(from.rate, self.rate),
            queue: self.queue.unwrap_or(from.queue),
            discipline: self.discipline.unwrap_or(from.discipline),
            up: self.up.unwrap_or(from.up),
            held: self.held.unwrap_or(from.held),
        }
    }
}

/// What has to be reached: of the whole run, and of each class of messages.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, toml::Value>")]
pub(crate) struct Targets {
    pub(crate) run: BTreeMap<Metric, f64>,
    pub(crate) classes: BTreeMap<String, BTreeMap<Metric, f64>>,
}

impl Scenario {
    /// Reads a scenario from a file.
    ///
    /// # Errors
    /// The file, and what is wrong in it.
    pub(crate) fn read(path: &FilePath) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Unreadable { file: file.clone(), source })?;
        Self::parse(&file, &text)
    }

    /// Reads a scenario from the text of `file`.
    ///
    /// # Errors
    /// The file, and what is wrong in it.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = toml::from_str(text)
            .map_err(|source| ScenarioError::Syntax { file: file.to_owned(), source })?;
        match scenario.contradiction() {
            Some(reason) => Err(ScenarioError::Meaning { file: file.to_owned(), reason }),
            None => Ok(scenario),
        }
    }

    /// Number of a path.
    pub(crate) fn path_index(&self, name: &str) -> Option<usize> {
        self.paths.iter().position(|path| path.name == name)
    }

    /// The events in the order of time, each repetition apart.
    pub(crate) fn timeline(&self) -> Vec<(Duration, &Event)> {
        let mut timeline = Vec::new();
        for event in &self.events {
            let mut at = event.at;
            timeline.push((at, event));
            let Some(every) = event.every else { continue };
            while at + every <= event.until.unwrap_or(self.duration) {
                at += every;
                timeline.push((at, event));
            }
        }
        timeline.sort_by_key(|(at, _)| *at);
        timeline
    }

    /// What does not fit together.
    fn contradiction(&self) -> Option<String> {
        let mut names: Vec<_> = self.paths.iter().map(|path| &path.name).collect();
        names.extend(self.traffic.iter().map(|traffic| &traffic.name));
        names.extend(self.tcp.iter().map(|tcp| &tcp.name));
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("the name `{}` stands twice", pair[0]));
        }
        if self.warm_up >= self.duration {
            return Some("`warm_up` leaves nothing of `duration`".to_owned());
        }
        if self.paths.is_empty() {
            return Some("there is no [[path]]".to_owned());
        }
        let small = |traffic: &&Traffic| traffic.size < stamp::LENGTH;
        if let Some(traffic) = self.traffic.iter().find(small) {
            let (name, least) = (&traffic.name, stamp::LENGTH);
            return Some(format!("`size` of traffic `{name}` is below {least} bytes"));
        }
        if let Some(tcp) = self.tcp.iter().find(|tcp| self.path_index(&tcp.path).is_none()) {
            return Some(format!("the TCP transfer `{}` names no path that exists", tcp.name));
        }
        for (class, targets) in &self.targets.classes {
            let is_tcp = self.tcp.iter().any(|tcp| tcp.name == *class);
            if !is_tcp && self.traffic.iter().all(|traffic| traffic.name != *class) {
                return Some(format!("there is no traffic `{class}` for [target.{class}]"));
            }
            if is_tcp && targets.keys().any(|metric| !metric.is_goodput()) {
                return Some(format!("of the TCP transfer `{class}` only goodput is measured"));
            }
        }
        self.events.iter().find_map(|event| self.contradiction_in(event))
    }

    fn contradiction_in(&self, event: &Event) -> Option<String> {
        let at = event.at.as_secs_f64();
        let path_needed = match (&event.set, event.action) {
            (Some(_), None) => true,
            (None, Some(action)) => action.needs_path(),
            _ => return Some(format!("the event at {at} has to have either `set` or `action`")),
        };
        if event.every.is_some_and(|every| every.is_zero()) {
            return Some(format!("`every` of the event at {at} is 0"));
        }
        match &event.path {
            None if path_needed => Some(format!("the event at {at} has to name a `path`")),
            Some(path) if !path_needed => {
                Some(format!("the event at {at} concerns no path, yet names `{path}`"))
            }
            Some(path) if self.path_index(path).is_none() => {
                Some(format!("the event at {at} names the path `{path}`, which does not exist"))
            }
            _ => None,
        }
    }
}

/// A path as it is written.
#[derive(Deserialize)]
struct PathEntry {
    name: String,
    #[serde(deserialize_with = "interface_kind")]
    kind: InterfaceKind,
    metered: Option<bool>,
    /// The conditions; they are checked key by key when they are read as a [`Change`].
    #[serde(flatten)]
    conditions: toml::Table,
}

impl TryFrom<PathEntry> for Path {
    type Error = toml::de::Error;

    fn try_from(entry: PathEntry) -> Result<Self, Self::Error> {
        let change: Change = entry.conditions.try_into()?;
        let is_paid = matches!(entry.kind, InterfaceKind::Cellular | InterfaceKind::Satellite);
        Ok(Self {
            name: entry.name,
            kind: entry.kind,
            metered: entry.metered.unwrap_or(is_paid),
            conditions: change.apply(&Conditions::default(), 1.0),
        })
    }
}

impl TryFrom<BTreeMap<String, toml::Value>> for Targets {
    type Error = toml::de::Error;

    fn try_from(entries: BTreeMap<String, toml::Value>) -> Result<Self, Self::Error> {
        let mut run = toml::Table::new();
        let mut targets = Self::default();
        for (key, value) in entries {
            if value.is_table() {
                targets.classes.insert(key, value.try_into()?);
            } else {
                run.insert(key, value);
            }
        }
        targets.run = run.try_into()?;
        Ok(targets)
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
}

fn some_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    seconds(from).map(Some)
}

fn duplicate<'de, D: Deserializer<'de>>(from: D) -> Result<Duplicate, D::Error> {
    match String::deserialize(from)?.as_str() {
        "off" => Ok(Duplicate::Off),
        "on_suspect" => Ok(Duplicate::OnSuspect),
        "always" => Ok(Duplicate::Always),
        other => Err(serde::de::Error::unknown_variant(other, &["off", "on_suspect", "always"])),
    }
}

fn interface_kind<'de, D: Deserializer<'de>>(from: D) -> Result<InterfaceKind, D::Error> {
    const KINDS: &[(&str, InterfaceKind)] = &[
        ("ethernet", InterfaceKind::Ethernet),
        ("wifi", InterfaceKind::Wifi),
        ("cellular", InterfaceKind::Cellular),
        ("satellite", InterfaceKind::Satellite),
        ("vpn", InterfaceKind::Vpn),
    ];
    let name = String::deserialize(from)?;
    let kind = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    kind.ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|(known, _)| *known).collect();
        serde::de::Error::custom(format!("unknown kind `{name}`, expected {}", names.join(", ")))
    })
}

fn on_suspect() -> Duplicate {
    Duplicate::OnSuspect
}

fn usual_warm_up() -> Duration {
    Duration::from_secs(1)
}

fn usual_signaling_delay() -> Duration {
    Duration::from_millis(40)
}

fn all_baselines() -> Vec<Policy> {
    vec![Policy::Str0m, Policy::IceFast, Policy::IceRestart]
}

fn reliable() -> Delivery {
    Delivery::Reliable
}
