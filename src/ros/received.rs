//! The publishers that stand here for topics of peers.
//!
//! Peers that send to the same name share what stands for it, and it stays when a peer goes and
//! comes back: local subscribers see the same publishers as before, and late ones still get what was
//! latched.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::mismatch::{OurSide, note_subscriptions};
use super::pace::Pace;
use super::qos::EndpointQos;
use super::rcl::{Publisher, RclError, TypeSupport};
use super::report::TopicReport;
use super::shared::Shared;
use super::stand_ins::{StandIns, Total};
use crate::config::{Durability, QosProfile, TypeName};
use crate::link::{IncomingMessage, PublisherId, RouteId};

/// Most publishers kept, used or not: twice the routes of one peer. Beyond, those of topics that no
/// peer uses go, so that a peer which offers other names each time it connects fills no memory.
pub(super) const MAX_PUBLISHERS: usize = 4096;

/// A route of a peer: its id and its number of the topic.
pub(super) type RouteKey = (String, RouteId);

/// All of them, by topic name.
#[derive(Default)]
pub(super) struct ReceivedTopics {
    topics: BTreeMap<String, ReceivedTopic>,
    /// Names of those that wait for subscribers to confirm.
    waiting: BTreeSet<String>,
    /// Publishers of all of them.
    total: Total,
}

/// What stands for one topic, and the routes that use it.
pub(super) struct ReceivedTopic {
    stand_ins: StandIns,
    type_support: TypeSupport,
    qos: QosProfile,
    pace: Pace,
    /// The routes, each with the QoS that it asked for.
    users: BTreeMap<RouteKey, QosProfile>,
}

/// Why a publisher cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdvertiseError {
    /// The name is taken.
    #[error("another peer sends {0} to it")]
    OtherType(TypeName),
    /// There are too many.
    #[error("there are {MAX_PUBLISHERS} topics from peers already")]
    TooMany,
    /// ROS refuses.
    #[error(transparent)]
    Ros(#[from] RclError),
}

impl ReceivedTopics {
    /// Finds or makes the publishers of a name for a route. Such that nobody uses and that do not
    /// fit are replaced; such that others use keep their QoS. Returns whether samples that were
    /// latched here before are gone.
    pub(super) fn advertise(
        &mut self,
        name: &str,
        user: RouteKey,
        type_support: TypeSupport,
        qos: QosProfile,
        shared: &Shared,
    ) -> Result<bool, AdvertiseError> {
        if let Some(topic) = self.topics.get(name) {
            let fits = topic.type_support.name() == type_support.name();
            if topic.users.is_empty() && !(fits && topic.qos == qos) {
                self.topics.remove(name);
            } else if !fits {
                return Err(AdvertiseError::OtherType(topic.type_support.name().clone()));
            }
        } else {
            self.make_room()?;
        }
        let (topic, is_new) = match self.topics.entry(name.to_owned()) {
            Entry::Occupied(topic) => (topic.into_mut(), false),
            Entry::Vacant(place) => {
                let (node, type_of, name) =
                    (shared.node.clone(), type_support.clone(), name.to_owned());
                let make = move || Publisher::new(&node, &type_of, &name, qos);
                let stand_ins = StandIns::new(shared.own.clone(), self.total.clone(), qos, make)?;
                let (pace, users) = (Pace::new(Instant::now()), BTreeMap::new());
                (place.insert(ReceivedTopic { stand_ins, type_support, qos, pace, users }), true)
            }
        };
        topic.users.insert(user, qos);
        Ok(is_new && qos.durability == Durability::TransientLocal)
    }

    /// The route is closed; the publisher stays.
    pub(super) fn release(&mut self, name: &str, user: &RouteKey) {
        if let Some(topic) = self.topics.get_mut(name) {
            topic.users.remove(user);
        }
    }

    /// The publishers go too, if no route uses them: nothing is admitted under the name any more.
    pub(super) fn remove_unused(&mut self, name: &str) {
        if self.topics.get(name).is_some_and(|topic| topic.users.is_empty()) {
            self.topics.remove(name);
        }
    }

    /// Notes which publishers a topic has at a peer.
    pub(super) fn follow(&mut self, name: &str, peer: &str, publishers: &BTreeSet<PublisherId>) {
        let Some(topic) = self.topics.get_mut(name) else { return };
        if let Err(error) = topic.stand_ins.follow(peer, publishers, Instant::now()) {
            log::warn!("{peer}: cannot publish topic={name}: {error}");
        }
    }

    /// Publishes a message. `None` if there is no such topic, else whether it is new.
    pub(super) fn publish(
        &mut self,
        message: &IncomingMessage,
        data: &[u8],
    ) -> Option<Result<bool, RclError>> {
        let (name, now) = (&*message.topic, Instant::now());
        let topic = self.topics.get_mut(name)?;
        topic.pace.spend(now);
        let published = topic.stand_ins.publish(message, data, now);
        if topic.stand_ins.confirmed_by().is_some() {
            self.waiting.insert(name.to_owned());
        }
        Some(published)
    }

    /// Lets topics go on whose subscribers have confirmed what was published.
    pub(super) fn confirm(&mut self) {
        let (topics, now) = (&mut self.topics, Instant::now());
        self.waiting.retain(|name| {
            let Some(topic) = topics.get_mut(name) else { return false };
            topic.stand_ins.confirm(now);
            topic.stand_ins.confirmed_by().is_some()
        });
    }

    pub(super) fn get(&self, name: &str) -> Option<&ReceivedTopic> {
        self.topics.get(name)
    }

    fn make_room(&mut self) -> Result<(), AdvertiseError> {
        while self.total.get() >= MAX_PUBLISHERS {
            let unused = self.topics.iter().find(|(_, topic)| topic.users.is_empty());
            let name = unused.ok_or(AdvertiseError::TooMany)?.0.clone();
            self.topics.remove(&name);
        }
        Ok(())
    }

    /// All names.
    pub(super) fn names(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    /// Reports local subscriptions of a name that do not fit what is offered, and peers that asked
    /// for another QoS than the one that shared publishers have.
    pub(super) fn check(&mut self, name: &str, shared: &Shared) {
        let now = Instant::now();
        let Some(topic) = self.topics.get_mut(name) else { return };
        if let Err(error) = topic.stand_ins.check(now) {
            log::warn!("cannot publish topic={name}: {error}");
        }
        if topic.users.is_empty() {
            return;
        }
        match topic.mismatches(name, shared) {
            Ok(mut common) => {
                let late = topic.stand_ins.late(now);
                if !late.is_nothing() {
                    common.is_late = true;
                    common.remark(late.of_peer());
                }
                topic.show(common, shared);
            }
            Err(error) => log::warn!("cannot look up subscriptions topic={name}: {error}"),
        }
    }
}

impl ReceivedTopic {
    /// When the next message may be published; in the past if at once.
    pub(super) fn ready_at(&self) -> Instant {
        let ready_at = self.pace.ready_at();
        self.stand_ins.confirmed_by().map_or(ready_at, |confirmed_by| ready_at.max(confirmed_by))
    }

    fn mismatches(&self, name: &str, shared: &Shared) -> Result<TopicReport, RclError> {
        let mut found = shared.node.subscriptions(name)?;
        found.retain(|subscription| !shared.node.owns(subscription));
        let type_name = self.type_support.name().to_string();
        let mut report = TopicReport { topic: name.to_owned(), ..TopicReport::default() };
        let (type_hash, qos) = (self.type_support.hash(), self.qos.into());
        note_subscriptions(&mut report, &OurSide { type_name: &type_name, type_hash, qos }, &found);
        report.type_name = type_name;
        Ok(report)
    }

    fn show(&self, common: TopicReport, shared: &Shared) {
        for (key, asked) in &self.users {
            let mut report = common.clone();
            if *asked != self.qos {
                report.qos_mismatch = true;
                let asked = EndpointQos::from(*asked);
                let (depth, kept) = (self.qos.depth, EndpointQos::from(self.qos));
                report.remark(format!(
                    "asked for as {asked}, but published as {kept} with depth {depth}, since \
                     another peer that sends to the same name asked for that"
                ));
            }
            let (peer, topic) = (&key.0, &report.topic);
            let former = shared.report.lock().incoming.insert(key.clone(), report.clone());
            if former.is_none_or(|former| former.remark != report.remark)
                && !report.remark.is_empty()
            {
                log::warn!("{peer}: topic={topic}: {}", report.remark);
            }
        }
    }
}
