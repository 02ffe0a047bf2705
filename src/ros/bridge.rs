//! The threads that carry messages between ROS and the link, and what they share.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use super::calls::{Calls, CallsInbox, service_route};
use super::handovers::Handovers;
use super::inbound::Inbound;
use super::outbound::Outbound;
use super::rcl::{GuardCondition, Node, RclError};
use super::report::SharedReport;
use super::shared::{OwnPublishers, Shared};
use crate::config::{Admission, Compression, Config, Service, Topic};
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
    threads: Vec<JoinHandle<()>>,
}

impl Bridge {
    /// Starts the threads. Topics are numbered by their place in [`Config::topics`].
    ///
    /// # Errors
    /// A name that ROS refuses, or a middleware that does not work.
    pub fn start(
        node: Arc<Node>,
        config: &Config,
        application: ApplicationEnd,
    ) -> Result<Self, BridgeError> {
        let names = resolved_names(&node, config)?;
        let admission = Admission::new(config, &names);
        let sent: Vec<(RouteId, String, Topic)> = names
            .into_iter()
            .zip(&config.topics)
            .filter(|(_, topic)| topic.direction.sends())
            .filter_map(|((index, name), topic)| {
                // The configuration holds at most 2,048 topics.
                Some((RouteId(u16::try_from(index).ok()?), name, topic.clone()))
            })
            .collect();
        let services = numbered_services(&node, config)?;
        let wake_outbound = Arc::new(GuardCondition::new(&node)?);
        let calls = CallsInbox::new(&node)?;
        let shared = Shared {
            node,
            application,
            report: SharedReport::default(),
            handovers: Handovers::default(),
            own: OwnPublishers::default(),
            calls,
            stop: Arc::default(),
        };
        let mut bridge = Self { shared, wake_outbound, threads: Vec::new() };
        let (shared, wake) = (bridge.shared.clone(), bridge.wake_outbound.clone());
        if sent.iter().any(|(.., topic)| topic.compression != Compression::None) {
            let shared = shared.clone();
            bridge.spawn("compressor", move || {
                Compressor::new(shared.application.clone()).run(|| shared.is_stopping());
                Ok(())
            })?;
        }
        bridge.spawn("ros_outbound", move || Outbound::new(shared, sent).run(&wake))?;
        let (shared, admitted) = (bridge.shared.clone(), admission.clone());
        let first_call = fastrand::u64(..);
        bridge
            .spawn("ros_calls", move || Calls::new(shared, services, admitted, first_call).run())?;
        let shared = bridge.shared.clone();
        bridge.spawn("ros_inbound", move || {
            Inbound::new(shared, admission).run();
            Ok(())
        })?;
        Ok(bridge)
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
        self.shared.calls.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a thread of the bridge has panicked");
            }
        }
    }
}

/// The absolute name of each topic of the configuration, by its place there.
fn resolved_names(node: &Node, config: &Config) -> Result<Vec<(usize, String)>, BridgeError> {
    let resolve = |(index, topic): (usize, &Topic)| {
        let name = node.resolve_topic(&topic.name);
        let name = name.map_err(|source| BridgeError::Name { key: topic.key(), source })?;
        Ok((index, name))
    };
    config.topics.iter().enumerate().map(resolve).collect()
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
