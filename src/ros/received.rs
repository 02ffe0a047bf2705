//! The publishers that stand here for topics of peers.
//!
//! There is one per topic name, whoever sends: peers that send to the same name share it, and it
//! stays when a peer goes and comes back, so that local subscribers never see a second one and
//! late ones still get what was latched.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Instant;

use super::mismatch::{OurSide, note_subscriptions};
use super::pace::Pace;
use super::qos::EndpointQos;
use super::rcl::{Publisher, RclError, TypeSupport};
use super::report::TopicReport;
use super::shared::Shared;
use crate::config::{QosProfile, TypeName};
use crate::link::RouteId;

/// Most publishers kept, used or not: twice the routes of one peer. Beyond, those that no peer
/// uses go, so that a peer which offers other names each time it connects fills no memory.
const MAX_PUBLISHERS: usize = 4096;

/// A route of a peer: its id and its number of the topic.
pub(super) type RouteKey = (String, RouteId);

/// All of them, by topic name.
#[derive(Default)]
pub(super) struct ReceivedTopics(BTreeMap<String, ReceivedTopic>);

/// One publisher and the routes that use it.
pub(super) struct ReceivedTopic {
    publisher: Publisher,
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
    /// Finds or makes the publisher of a name for a route. One that nobody uses and that does not
    /// fit is replaced; one that others use keeps its QoS.
    pub(super) fn advertise(
        &mut self,
        name: &str,
        user: RouteKey,
        type_support: TypeSupport,
        qos: QosProfile,
        shared: &Shared,
    ) -> Result<(), AdvertiseError> {
        if let Some(topic) = self.0.get(name) {
            let fits = topic.type_support.name() == type_support.name();
            if topic.users.is_empty() && !(fits && topic.qos == qos) {
                self.remove(name, shared);
            } else if !fits {
                return Err(AdvertiseError::OtherType(topic.type_support.name().clone()));
            }
        } else {
            self.make_room(shared)?;
        }
        let topic = match self.0.entry(name.to_owned()) {
            Entry::Occupied(topic) => topic.into_mut(),
            Entry::Vacant(place) => {
                let make = || Publisher::new(&shared.node, &type_support, name, qos);
                let publisher = shared.own.make(make)?;
                let (pace, users) = (Pace::new(Instant::now()), BTreeMap::new());
                place.insert(ReceivedTopic { publisher, type_support, qos, pace, users })
            }
        };
        topic.users.insert(user, qos);
        Ok(())
    }

    /// The route is closed; the publisher stays.
    pub(super) fn release(&mut self, name: &str, user: &RouteKey) {
        if let Some(topic) = self.0.get_mut(name) {
            topic.users.remove(user);
        }
    }

    /// The publisher goes too, if no route uses it: nothing is admitted under the name any more.
    pub(super) fn remove_unused(&mut self, name: &str, shared: &Shared) {
        if self.0.get(name).is_some_and(|topic| topic.users.is_empty()) {
            self.remove(name, shared);
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&ReceivedTopic> {
        self.0.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut ReceivedTopic> {
        self.0.get_mut(name)
    }

    fn make_room(&mut self, shared: &Shared) -> Result<(), AdvertiseError> {
        while self.0.len() >= MAX_PUBLISHERS {
            let unused = self.0.iter().find(|(_, topic)| topic.users.is_empty());
            let name = unused.ok_or(AdvertiseError::TooMany)?.0.clone();
            self.remove(&name, shared);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str, shared: &Shared) {
        if let Some(ReceivedTopic { publisher, .. }) = self.0.remove(name) {
            let id = publisher.id();
            drop(publisher);
            shared.own.forget(id);
        }
    }

    /// The names that routes use.
    pub(super) fn names(&self) -> Vec<String> {
        let used = self.0.iter().filter(|(_, topic)| !topic.users.is_empty());
        used.map(|(name, _)| name.clone()).collect()
    }

    /// Reports local subscriptions of a name that do not fit what is offered, and peers that asked
    /// for another QoS than the one that a shared publisher has.
    pub(super) fn check(&self, name: &str, shared: &Shared) {
        let Some(topic) = self.get(name).filter(|topic| !topic.users.is_empty()) else { return };
        match topic.mismatches(name, shared) {
            Ok(common) => topic.show(common, shared),
            Err(error) => log::warn!("cannot look up subscriptions topic={name}: {error}"),
        }
    }
}

impl ReceivedTopic {
    /// When the next message may be published; in the past if at once.
    pub(super) fn ready_at(&self) -> Instant {
        self.pace.ready_at()
    }

    /// Publishes CDR.
    pub(super) fn publish(&mut self, data: &[u8]) -> Result<(), RclError> {
        self.pace.spend(Instant::now());
        self.publisher.publish(data)
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
