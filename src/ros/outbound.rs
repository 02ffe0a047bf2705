//! From topics to the link: one thread that watches the graph for the publishers of each topic we
//! send, and hands over each message the moment it comes.
//!
//! It never waits for anybody but ROS: the link's queues take everything and drop by themselves.
//! What our own publishers publish (messages from peers) is left out always, so that no topic
//! echoes, whatever the configuration; a message from a peer is not sent on to a third.
//!
//! Which topics are sent follows from the entries of the configuration, which may change, and from
//! the graph, for entries that are patterns. What of a topic outlives such a change goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::rcl::{Arrivals, Endpoint, GuardCondition, RclError, TopicTypes, WaitSet};
use super::route_numbers::RouteNumbers;
use super::sent_topic::{Origin, SentTopic};
use super::shared::Shared;
use super::sweep::Sweep;
use crate::config::{MAX_ROUTES, Selection, Topic};
use crate::link::RouteId;
use crate::net::clock;

/// The graph is looked at so often even when nothing reports a change.
const GRAPH_INTERVAL: Duration = Duration::from_secs(1);

/// Longest time without a look at messages while the graph is looked at, but for what subscribing to
/// one topic takes.
const DRAIN_INTERVAL: Duration = Duration::from_millis(2);

/// Messages taken from one topic before the others get their turn.
const MAX_TAKEN_IN_A_ROW: u32 = 64;

/// A topic by its absolute name and the id of the entry that it belongs to.
type Key = (String, String);

/// The thread's own things.
pub(super) struct Outbound {
    shared: Shared,
    selection: Selection,
    changes: Receiver<Selection>,
    wake: Arc<GuardCondition>,
    arrivals: Arc<Arrivals>,
    topics: BTreeMap<RouteId, SentTopic>,
    ids: BTreeMap<Key, RouteId>,
    /// Topics that a pattern matches and that nobody else publishes, with the pattern's entry.
    candidates: BTreeMap<String, Arc<Topic>>,
    /// Those among them for which there is no number.
    left_out: BTreeSet<String>,
    numbers: RouteNumbers,
    graph: TopicTypes,
    sweep: Sweep,
    /// Topics of which more messages wait.
    unfinished: BTreeSet<RouteId>,
}

impl Outbound {
    /// What comes by `changes` replaces `selection`; `wake` is to be triggered then, and when the
    /// bridge stops.
    pub(super) fn new(
        shared: Shared,
        selection: Selection,
        changes: Receiver<Selection>,
        wake: Arc<GuardCondition>,
    ) -> Self {
        let mut outbound = Self {
            shared,
            selection: Selection::default(),
            changes,
            arrivals: Arrivals::new(wake.clone()),
            wake,
            topics: BTreeMap::new(),
            ids: BTreeMap::new(),
            candidates: BTreeMap::new(),
            left_out: BTreeSet::new(),
            numbers: RouteNumbers::default(),
            graph: TopicTypes::new(),
            sweep: Sweep::new(GRAPH_INTERVAL, Instant::now()),
            unfinished: BTreeSet::new(),
        };
        outbound.select(selection);
        outbound
    }

    /// Runs until the bridge stops.
    ///
    /// # Errors
    /// When waiting for ROS fails, which it does only when the middleware is broken.
    pub(super) fn run(mut self) -> Result<(), RclError> {
        let mut wait_set = WaitSet::new(&self.shared.node)?;
        while !self.shared.is_stopping() {
            if let Some(selection) = self.changes.try_iter().last() {
                self.select(selection);
            }
            if Instant::now() >= self.sweep.due() {
                self.look_at_graph();
            }
            let timeout = match self.unfinished.is_empty() {
                true => self.sweep.due().saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            if wait_set.wait(&[], &self.wake, timeout)?.graph {
                self.sweep.note_change();
                self.shared.calls.graph_changed();
            }
            self.drain();
        }
        Ok(())
    }

    /// Takes what has come, a bounded number of messages of each topic.
    fn drain(&mut self) {
        let arrived = self.arrivals.take().into_iter().filter_map(|id| u16::try_from(id).ok());
        self.unfinished.extend(arrived.map(RouteId));
        let (topics, shared) = (&mut self.topics, &self.shared);
        self.unfinished.retain(|id| {
            topics.get_mut(id).is_some_and(|topic| topic.drain(MAX_TAKEN_IN_A_ROW, shared))
        });
    }

    /// Does a slice of the work.
    fn look_at_graph(&mut self) {
        if self.sweep.begin_slice(Instant::now()) {
            self.look_at_names();
        }
        let mut drained = Instant::now();
        while let Some(name) = self.sweep.next() {
            self.look_up(&name);
            if self.shared.is_stopping() {
                return;
            }
            // To subscribe takes longer than to look up.
            if drained.elapsed() > DRAIN_INTERVAL {
                self.drain();
                drained = Instant::now();
            }
        }
        self.sweep.end_slice(Instant::now());
    }

    /// Finds topics that patterns match, and what is to be looked up: what is new in the graph first.
    fn look_at_names(&mut self) {
        let began = clock::thread_time();
        let graph = self.shared.node.topics();
        self.sweep.spend_on_names(clock::thread_time().saturating_sub(began));
        let graph = match graph {
            Ok(graph) => graph,
            Err(error) => {
                log::warn!("cannot look at the graph: {error}");
                return;
            }
        };
        let former = std::mem::replace(&mut self.graph, graph);
        let is_new = |(name, types): &(&String, &Vec<String>)| former.get(*name) != Some(*types);
        let new: Vec<String> =
            self.graph.iter().filter(is_new).map(|(name, _)| name.clone()).collect();
        new.iter().for_each(|name| self.consider(name));
        self.candidates.retain(|name, _| self.graph.contains_key(name));
        self.left_out.retain(|name| self.candidates.contains_key(name));
        let known = self.known_names();
        let new: Vec<String> = new.into_iter().filter(|name| known.contains(name)).collect();
        if self.sweep.is_over() {
            self.sweep.begin(known);
        }
        self.sweep.hurry(new);
    }

    /// The topics that are sent or may be.
    fn known_names(&self) -> BTreeSet<String> {
        self.ids.keys().map(|(name, _)| name).chain(self.candidates.keys()).cloned().collect()
    }

    /// Makes a topic a candidate where a pattern matches it, unless it is sent already.
    fn consider(&mut self, name: &str) {
        let types = self.graph.get(name).map_or(&[][..], Vec::as_slice);
        match self.selection.pattern_of(name, types) {
            Some(entry) if !self.ids.contains_key(&(name.to_owned(), entry.id.clone())) => {
                self.candidates.insert(name.to_owned(), entry.clone());
            }
            _ => {
                self.candidates.remove(name);
            }
        }
    }

    fn look_up(&mut self, name: &str) {
        let began = clock::thread_time();
        let publishers = self.shared.node.publishers(name);
        self.sweep.spend(clock::thread_time().saturating_sub(began));
        let mut publishers = match publishers {
            Ok(publishers) => publishers,
            Err(error) => {
                log::warn!("cannot look up publishers topic={name}: {error}");
                return;
            }
        };
        publishers.retain(|publisher| !self.shared.own.contains(publisher.id));
        self.welcome(name, &publishers);
        let now = Instant::now();
        for id in self.ids_of(name) {
            let Some(topic) = self.topics.get_mut(&id) else { continue };
            topic.look(&publishers, now, &self.shared, &self.arrivals);
            // Should the middleware ever fail to tell of a message, it waits no longer than this.
            self.unfinished.insert(id);
            if topic.is_deserted(now, &self.shared) {
                self.remove(id);
                self.consider(name);
            }
        }
    }

    /// Sends a topic that a pattern matches once somebody publishes it.
    fn welcome(&mut self, name: &str, publishers: &[Endpoint]) {
        let Some(entry) = self.candidates.get(name) else { return };
        let type_name = entry.type_name.as_ref().map(ToString::to_string);
        let fits = |of: &Endpoint| type_name.as_ref().is_none_or(|wanted| *wanted == of.type_name);
        if !publishers.iter().any(fits) {
            self.left_out.remove(name);
        } else if let Some(id) = self.numbers.give(name) {
            let entry = entry.clone();
            self.candidates.remove(name);
            self.left_out.remove(name);
            self.add(id, name.to_owned(), entry, Origin::Pattern);
        } else if self.left_out.insert(name.to_owned()) {
            log::warn!(
                "topic={name} is not sent, though `{}` matches it: {MAX_ROUTES} topics are already; \
                 let patterns match fewer, by their `exclude` or `type`",
                entry.name
            );
        }
        self.shared.report.lock().left_out = self.left_out.len();
    }

    fn ids_of(&self, name: &str) -> Vec<RouteId> {
        let from = (name.to_owned(), String::new());
        let of_name = self.ids.range(from..).take_while(|((of, _), _)| of == name);
        of_name.map(|(_, id)| *id).collect()
    }

    fn add(&mut self, id: RouteId, name: String, entry: Arc<Topic>, origin: Origin) {
        self.ids.insert((name.clone(), entry.id.clone()), id);
        self.topics.insert(id, SentTopic::new(id, name, entry, origin));
    }

    fn remove(&mut self, id: RouteId) {
        if let Some(mut topic) = self.topics.remove(&id) {
            topic.withdraw(&self.shared);
            self.ids.retain(|_, of| *of != id);
            self.numbers.release(id);
            let mut report = self.shared.report.lock();
            report.outgoing.remove(&id);
            report.destinations.remove(&id);
        }
    }

    /// Goes by other entries from now on. A topic whose entry is still there goes on with it, one
    /// that another entry stands for now goes on with that, and all others are withdrawn.
    fn select(&mut self, selection: Selection) {
        self.selection = selection;
        let mut former = std::mem::take(&mut self.ids);
        let mut wanted = self.wanted(&former);
        let mut keep = |former: &mut BTreeMap<Key, RouteId>, key: Key, by: Key, topic: Wanted| {
            let Some(id) = former.remove(&by) else { return Some((key, topic)) };
            if let Some(sent) = self.topics.get_mut(&id) {
                sent.configure(topic.0.clone(), topic.1);
            }
            self.ids.insert(key, id);
            None
        };
        wanted = wanted
            .into_iter()
            .filter_map(|(key, topic)| keep(&mut former, key.clone(), key, topic))
            .collect();
        wanted = wanted
            .into_iter()
            .filter_map(|(key, topic)| {
                let from = (key.0.clone(), String::new());
                let other = former.range(from..).next().map(|(other, _)| other.clone());
                let other = other.filter(|other| other.0 == key.0);
                keep(&mut former, key.clone(), other.unwrap_or_else(|| key.clone()), topic)
            })
            .collect();
        former.into_values().for_each(|id| self.remove(id));
        self.candidates.clear();
        self.left_out.clear();
        for ((name, _), (entry, origin)) in wanted {
            if origin == Origin::WrittenOut
                && let Some(id) = self.number_for(&name)
            {
                self.add(id, name, entry, origin);
            }
        }
        let names: Vec<String> = self.graph.keys().cloned().collect();
        names.iter().for_each(|name| self.consider(name));
        self.sweep.hurry(self.known_names());
        self.sweep.wake(Instant::now());
    }

    /// All that is to be sent now: what is written out, and of what patterns match, what is sent
    /// already.
    fn wanted(&self, former: &BTreeMap<Key, RouteId>) -> BTreeMap<Key, Wanted> {
        let key = |name: &String, entry: &Arc<Topic>| (name.clone(), entry.id.clone());
        let exact = self.selection.exact().iter();
        let mut wanted: BTreeMap<Key, Wanted> = exact
            .map(|(name, entry)| (key(name, entry), (entry.clone(), Origin::WrittenOut)))
            .collect();
        for ((name, _), id) in former {
            let in_use = || self.topics.get(id).and_then(SentTopic::type_in_use);
            let types = self.graph.get(name).cloned();
            let types = types.unwrap_or_else(|| in_use().into_iter().collect());
            if let Some(entry) = self.selection.pattern_of(name, &types) {
                wanted.insert(key(name, entry), (entry.clone(), Origin::Pattern));
            }
        }
        wanted
    }

    /// A number for what is written out, at the cost of a topic that a pattern matches where there
    /// is none left.
    fn number_for(&mut self, name: &str) -> Option<RouteId> {
        if let Some(id) = self.numbers.give(name) {
            return Some(id);
        }
        let mut topics = self.topics.iter().rev();
        let (id, _) = topics.find(|(_, topic)| topic.origin() == Origin::Pattern)?;
        let id = *id;
        self.remove(id);
        self.numbers.give(name)
    }
}

/// An entry, and how it came to stand for a topic.
type Wanted = (Arc<Topic>, Origin);
