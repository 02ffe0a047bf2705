//! The node from its arguments to its end: what is started in which order, and what the main
//! thread does meanwhile.
//!
//! Four threads: the driver (sessions and sockets), two of the bridge (topics to the link, link to
//! topics), and this one, which owns the r2r node with its parameters and status topics. A fifth one
//! compresses what is to be compressed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::executor::LocalPool;
use futures::task::LocalSpawnExt;

use super::bridge::{Bridge, BridgeError};
use super::logging::{self, Rosout};
use super::params::{self, Start};
use super::rcl::{self, RclError};
use super::status::StatusPublisher;
use super::{rcl::Context, services, signal_strength};
use crate::config::{ConfigError, Overrides, Secrets, Settings};
use crate::net::{self, DriverHandle, StartError, clock};

/// Name of the node, unless launch gives another one.
const NODE_NAME: &str = "rover_link";

/// Longest time without a look at signals, logs and services.
const SPIN_TIME: Duration = Duration::from_millis(50);

/// Why a node did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// ROS refuses its arguments or a parameter file.
    #[error("ROS refuses the arguments: {0}")]
    Arguments(RclError),
    /// The parameters or the environment are wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The driver did not start.
    #[error(transparent)]
    Driver(#[from] StartError),
    /// The bridge did not start.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// ROS refuses the bridge's own node.
    #[error("ROS: {0}")]
    Rcl(#[from] RclError),
    /// ROS refuses something else.
    #[error("ROS: {0}")]
    Ros(#[from] r2r::Error),
    /// A thread of the bridge, or the driver, has ended.
    #[error("the bridge has ended; the log says why")]
    Ended,
}

impl NodeError {
    /// Is it for the person who wrote the configuration to put right?
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Arguments(_) | Self::Config(_) => true,
            Self::Driver(error) => {
                matches!(error, StartError::Identity(_) | StartError::Signaling(_))
            }
            Self::Bridge(error) => matches!(error, BridgeError::Name { .. }),
            Self::Rcl(_) | Self::Ros(_) | Self::Ended => false,
        }
    }
}

/// Runs the node of this process until `stop` is set.
///
/// # Errors
/// [`NodeError`], when it cannot start or has to end by itself.
pub fn run(overrides: Overrides, stop: &AtomicBool) -> Result<(), NodeError> {
    logging::start(std::env::args());
    let (context, mut node) = create()?;
    let rosout = Rosout::new(&mut node)?;
    let start = start_of(&node, overrides)?;
    let settings = configure(&start)?;
    let config = settings.config().clone();
    let secrets = Secrets::from_environment()?;

    let bridge_node = rcl::Node::new(context, &node.name()?, &node.namespace()?)?;
    let (application, end) = net::exchange();
    let driver = net::start(&config, &secrets, end)?;
    let bridge = Bridge::start(bridge_node, &config, application.clone())?;
    let mut status = StatusPublisher::new(&mut node, &config)?;
    let mut pool = LocalPool::new();
    let changer = bridge.changer();
    let (parameters_served, sim_time) =
        params::serve(&mut node, settings, start, Box::new(move |config| changer.change(config)))?;
    let link_served = services::serve(&mut node, application.clone())?;
    let signals_taken = signal_strength::listen(&mut node, application.clone())?;
    let served = futures::future::join3(parameters_served, link_served, signals_taken).map(drop);
    if let Err(error) = pool.spawner().spawn_local(served) {
        log::error!("no services: {error}");
    }

    let mut ended = Ok(());
    while !stop.load(Ordering::Relaxed) {
        node.spin_once(status.next_due().saturating_duration_since(clock::now()).min(SPIN_TIME));
        pool.run_until_stalled();
        if let Some(uses_sim_time) = sim_time.take() {
            take_time(&mut node, uses_sim_time);
        }
        status.publish_handovers(bridge.handovers().take());
        if clock::now() >= status.next_due() {
            let report = bridge.report().lock().clone();
            let latencies = || application.take_latencies();
            status.publish(&mut node, &application.snapshot(), &report, latencies);
        }
        rosout.publish();
        if bridge.has_failed() {
            ended = Err(NodeError::Ended);
            break;
        }
    }
    log::info!("stopping");
    end_in_order(bridge, driver);
    rosout.publish();
    ended
}

/// The node, named and remapped as the command line asks for, and a context for a second one.
pub(super) fn create() -> Result<(Context, r2r::Node), NodeError> {
    let arguments: Vec<String> = std::env::args().collect();
    // This context first: it says what ROS does not like, r2r's only that it does not.
    let context = Context::new(&arguments).map_err(NodeError::Arguments)?;
    let node = r2r::Node::create(r2r::Context::create()?, NODE_NAME, "")?;
    Ok((context, node))
}

/// How this process was started.
pub(super) fn start_of(node: &r2r::Node, overrides: Overrides) -> Result<Start, NodeError> {
    let arguments = std::env::args().collect();
    Ok(Start { arguments, node: node.fully_qualified_name()?, overrides })
}

/// The parameters that it was started with, and what they come to.
pub(super) fn configure(start: &Start) -> Result<Settings, NodeError> {
    let (values, sources) = start.read().map_err(NodeError::Arguments)?;
    Ok(Settings::new(values, sources)?)
}

/// Lets the node take its time from `/clock`, or from the system.
fn take_time(node: &mut r2r::Node, uses_sim_time: bool) {
    let source = node.get_time_source();
    if !uses_sim_time {
        source.disable_sim_time();
    } else if let Err(error) = source.enable_sim_time(node) {
        log::error!("cannot subscribe to /clock, so use_sim_time has no effect: {error}");
    }
}

/// The bridge first, so that nothing more is offered; then the driver, which tells the peers.
fn end_in_order(bridge: Bridge, driver: DriverHandle) {
    drop(bridge);
    driver.stop();
}
