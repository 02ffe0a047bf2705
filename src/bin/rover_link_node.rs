//! `rover_link_node`: bridges chosen topics to other rovers.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::Parser;
use rover_link::config::{Overrides, own_arguments};
use rover_link::ros::node;
use tokio::signal::unix::{SignalKind, signal};

/// Exit status of a configuration that cannot work; clap uses the same for wrong arguments.
const EXIT_CONFIGURATION: u8 = 2;

/// Set by the first SIGINT or SIGTERM.
static STOP: AtomicBool = AtomicBool::new(false);

/// Bridges chosen ROS 2 topics to other rovers over WebRTC data channels.
///
/// What is bridged is said by ROS parameters: give a file by --ros-args --params-file FILE;
/// share/rover_link/config/rover.yaml shows them all. Secrets are read from the environment:
/// ROVER_LINK_TOKEN (signaling server) and ROVER_LINK_FLEET_KEY (shared by all rovers of a fleet).
/// Exit status: 0 after SIGINT or SIGTERM, 2 for a wrong configuration, 1 for anything else.
#[derive(Parser)]
#[command(name = "rover_link_node", version)]
struct Arguments {
    /// This rover's id, instead of the parameter's; empty means not given
    #[arg(long, value_name = "ID")]
    rover_id: Option<String>,

    /// Address of the signaling server, instead of the parameter's; empty means not given
    #[arg(long, value_name = "URL")]
    signaling_url: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(own_arguments(std::env::args_os()));
    let overrides =
        Overrides { rover_id: arguments.rover_id, signaling_url: arguments.signaling_url };
    if let Err(error) = stop_on_signals() {
        eprintln!("rover_link_node: {error:#}");
        return ExitCode::FAILURE;
    }
    match node::run(overrides, &STOP) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rover_link_node: {error}");
            if error.is_configuration() {
                ExitCode::from(EXIT_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

/// Lets the first signal stop the node in order, and the second one at once.
fn stop_on_signals() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        let interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
        (interrupt, signal(SignalKind::terminate()).context("SIGTERM")?)
    };
    let wait = async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait))?;
    Ok(())
}
