//! The threads that carry messages between ROS and the link, and what they share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::calls::{Calls, CallsInbox, service_route};
use super::handovers::Handovers;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::rcl::{GuardCondition, Node, RclError};
use super::report::SharedReport;
use super::shared::{OwnPublishers, Shared};
use crate::config::{
    Admission, Config, LocalName, ResolvedTopic, Selection, Service, Topic, TopicPattern,
};
use crate::link::RouteId;
use crate::net::{ApplicationEnd, Compressor};

/// Why the bridge cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The name of a topic, service or action cannot be resolved.
    #[error("{key}.name: {source}")]
    Name {
        /// The entry among the parameters, as in `topics.odom`.
        key: String,
        /// What ROS says.
        source: RclError,
    },
    /// ROS refuses something else.
    #[error(transparent)]
    Ros(#[from] RclError),
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running bridge. Dropping it stops its threads, which takes less than a second.
pub struct Bridge {
    shared: Shared,
    wake_outbound: Arc<GuardCondition>,
    changer: Changer,
    threads: Vec<JoinHandle<()>>,
}

/// Lets the running bridge go by another configuration.
#[derive(Clone)]
pub struct Changer {
    node: Arc<Node>,
    application: ApplicationEnd,
    wake_outbound: Arc<GuardCondition>,
    selections: Sender<Selection>,
    admissions: Sender<Admission>,
    calls: CallsInbox,
}

impl Bridge {
    /// Starts the threads.
    ///
    /// # Errors
    /// A name that ROS refuses, or a middleware that does not work.
    pub fn start(
        node: Arc<Node>,
        config: &Config,
        application: ApplicationEnd,
    ) -> Result<Self, BridgeError> {
        let topics = resolved(&node, config)?;
        let services = numbered_services(&node, config)?;
        let wake_outbound = Arc::new(GuardCondition::new(&node)?);
        let calls = CallsInbox::new(&node)?;
        let (selections, new_selections) = channel();
        let (admissions, new_admissions) = channel();
        let changer = Changer {
            node: node.clone(),
            application: application.clone(),
            wake_outbound: wake_outbound.clone(),
            selections,
            admissions,
            calls: calls.clone(),
        };
        let shared = Shared {
            node,
            application,
            report: SharedReport::default(),
            handovers: Handovers::default(),
            own: OwnPublishers::default(),
            calls,
            stop: Arc::default(),
        };
        let mut bridge = Self { shared, wake_outbound, changer, threads: Vec::new() };
        let (selection, admission) = (Selection::new(&topics), Admission::new(config, &topics));
        let (shared, admitted) = (bridge.shared.clone(), admission.clone());
        let first_call = fastrand::u64(..);
        bridge
            .spawn("ros_calls", move || Calls::new(shared, services, admitted, first_call).run())?;
        bridge.spawn_all(selection, new_selections, admission, new_admissions)?;
        Ok(bridge)
    }

    fn spawn_all(
        &mut self,
        selection: Selection,
        selections: Receiver<Selection>,
        admission: Admission,
        admissions: Receiver<Admission>,
    ) -> Result<(), BridgeError> {
        let shared = self.shared.clone();
        self.spawn("compressor", move || {
            Compressor::new(shared.application.clone()).run(|| shared.is_stopping());
            Ok(())
        })?;
        let (shared, wake) = (self.shared.clone(), self.wake_outbound.clone());
        self.spawn("ros_outbound", move || {
            Outbound::new(shared, selection, selections, wake).run()
        })?;
        let shared = self.shared.clone();
        self.spawn("ros_inbound", move || {
            Inbound::new(shared, admission, admissions).run();
            Ok(())
        })
    }

    fn spawn(
        &mut self,
        name: &str,
        run: impl FnOnce() -> Result<(), RclError> + Send + 'static,
    ) -> Result<(), BridgeError> {
        let run = move || {
            if let Err(error) = run() {
                log::error!("the bridge cannot go on: {error}");
            }
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(())
    }

    /// Lets the bridge go by another configuration later.
    pub fn changer(&self) -> Changer {
        self.changer.clone()
    }

    /// What the bridge knows of its topics.
    pub fn report(&self) -> &SharedReport {
        &self.shared.report
    }

    /// The handovers that the link has told of.
    pub fn handovers(&self) -> &Handovers {
        &self.shared.handovers
    }

    /// Has a thread ended by itself? Either ROS or the driver is gone then.
    pub fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Err(error) = self.wake_outbound.trigger() {
            log::warn!("cannot wake the bridge to stop it: {error}");
        }
        self.shared.application.interrupt();
        self.shared.calls.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the bridge has panicked");
            }
        }
    }
}

impl Changer {
    /// Has the bridge go by the topics and by what is accepted of this configuration, from soon on.
    /// What is as it was goes on undisturbed.
    ///
    /// # Errors
    /// A name that ROS refuses, which changes nothing.
    pub fn change(&self, config: &Config) -> Result<(), BridgeError> {
        let topics = resolved(&self.node, config)?;
        // The threads take these for as long as they run, and when they have ended nobody needs to.
        let _ = self.selections.send(Selection::new(&topics));
        let admission = Admission::new(config, &topics);
        self.calls.admission(admission.clone());
        let _ = self.admissions.send(admission);
        if let Err(error) = self.wake_outbound.trigger() {
            log::warn!("cannot wake the bridge, which will look by itself: {error}");
        }
        self.application.interrupt();
        Ok(())
    }
}

/// The entries of the configuration with their absolute names.
fn resolved(node: &Node, config: &Config) -> Result<Vec<ResolvedTopic>, BridgeError> {
    let own = node.visible_name();
    let resolve = |topic: &Topic| {
        let pattern = TopicPattern::new(topic, &own).map(LocalName::Pattern);
        let name = match pattern {
            Some(pattern) => pattern,
            None => {
                let name = node.resolve_topic(&topic.name);
                let key = || topic.key();
                LocalName::Exact(name.map_err(|source| BridgeError::Name { key: key(), source })?)
            }
        };
        Ok(ResolvedTopic { topic: Arc::new(topic.clone()), name })
    };
    config.topics.iter().map(resolve).collect()
}

/// The services of the configuration, each with its number and absolute name.
fn numbered_services(
    node: &Node,
    config: &Config,
) -> Result<Vec<(RouteId, String, Service)>, BridgeError> {
    // The configuration holds at most 2,048 services, so each has a number.
    let services = config.services.iter().enumerate();
    let services = services.filter_map(|(index, service)| Some((service_route(index)?, service)));
    let resolve = |(id, service): (RouteId, &Service)| {
        let name = node.resolve_service(&service.name);
        let name = name.map_err(|source| BridgeError::Name { key: service.key(), source })?;
        Ok((id, name, service.clone()))
    };
    services.map(resolve).collect()
}
