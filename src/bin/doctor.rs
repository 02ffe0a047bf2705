//! `doctor`: says why something does not connect.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rover_link::config::{Overrides, own_arguments};
use rover_link::ros::doctor::{self, Form};

/// Exit status of a configuration that cannot work; clap uses the same for wrong arguments.
const EXIT_CONFIGURATION: u8 = 2;

/// Examines what rover_link_node would meet on this machine and network, and says what is wrong.
///
/// Give it what the node is given: parameters by --ros-args --params-file FILE, namespace and remaps,
/// and the environment. It looks at the network interfaces and their addresses, asks the signaling
/// server and all STUN and TURN servers, tells which NATs are on the way, and whether the types of
/// the topics are installed. Each line is marked `ok`, `note` (may matter, depending on what is
/// wanted) or `PROBLEM`; what would help stands beneath it. It may run beside the node; where that
/// does not run, the rover joins its fleet for a moment.
/// Exit status: 0 for no problem, 1 for some, 2 for a wrong configuration, with which the node would
/// not start.
#[derive(Parser)]
#[command(name = "doctor", version)]
struct Arguments {
    /// This rover's id, instead of the parameter's; empty means not given
    #[arg(long, value_name = "ID")]
    rover_id: Option<String>,

    /// Address of the signaling server, instead of the parameter's; empty means not given
    #[arg(long, value_name = "URL")]
    signaling_url: Option<String>,

    /// How long to wait for the signaling server, for name servers, and for STUN and TURN servers, s
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(1..=300)
    )]
    timeout: u64,

    /// Write one JSON object instead of text
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(own_arguments(std::env::args_os()));
    let overrides =
        Overrides { rover_id: arguments.rover_id, signaling_url: arguments.signaling_url };
    let form = if arguments.json { Form::Json } else { Form::Text };
    match doctor::run(overrides, Duration::from_secs(arguments.timeout), form) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("doctor: {error}");
            if error.is_configuration() {
                ExitCode::from(EXIT_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
