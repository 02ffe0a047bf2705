//! The examination as a program: parameters as the node reads them, types as it loads them, and what
//! was found as text or JSON.

mod table;

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;
use tokio::runtime;

use super::node::{self, NodeError};
use super::rcl::{self, ServiceTypeSupport, TypeSupport};
use super::{logging, rcl::RclError};
use crate::config::{Config, Overrides, Secrets, TypeName};
use crate::net::examine::{Mark, examine, findings};

/// How the findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A table for each section.
    Text,
    /// One JSON object.
    Json,
}

/// Why there is no examination.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DoctorError {
    /// The node would not start either.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The system gives no runtime.
    #[error("cannot run: {0}")]
    Runtime(io::Error),
    /// Nobody takes what was found.
    #[error("standard output: {0}")]
    Output(io::Error),
}

impl DoctorError {
    /// Is it for the person who wrote the configuration to put right?
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Node(error) => error.is_configuration(),
            Self::Runtime(_) | Self::Output(_) => false,
        }
    }
}

/// Examines what the node of this process's arguments would meet, each step for `patience` at most,
/// and writes what was found to stdout; tells whether there is no problem. Has to be called before
/// any thread is started.
///
/// # Errors
/// [`DoctorError`]; one of the configuration is the one that the node would end with.
pub fn run(overrides: Overrides, patience: Duration, form: Form) -> Result<bool, DoctorError> {
    let (config, secrets) = settings(overrides)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(DoctorError::Runtime)?;
    let check_type = |name: &TypeName| {
        let loaded = match name.folder() {
            "msg" => TypeSupport::load(name).map(drop),
            _ => ServiceTypeSupport::load(name).map(drop),
        };
        loaded.map_err(|error: RclError| error.to_string())
    };
    let announce = |text: &str| eprintln!("{text}");
    let examination = runtime.block_on(examine(&config, &secrets, patience, check_type, announce));
    // A name server that does not answer is not waited for.
    runtime.shutdown_background();

    let findings = findings(&examination);
    let is_well = findings.iter().all(|finding| finding.mark != Mark::Problem);
    let text = match form {
        Form::Text => table::text(&findings),
        Form::Json => {
            let version = env!("CARGO_PKG_VERSION");
            let all = json!({
                "version": version,
                "is_well": is_well,
                "findings": findings,
                "facts": examination,
            });
            format!("{all:#}\n")
        }
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(DoctorError::Output)?;
    Ok(is_well)
}

/// What the node would be told. Its ROS node is there for no longer than it takes to read that, and
/// seen by nobody.
fn settings(overrides: Overrides) -> Result<(Config, Secrets), NodeError> {
    // What is found is told by the findings; the log is for who asks for it.
    if std::env::args().any(|argument| argument == "--log-level") {
        logging::start(std::env::args());
    }
    rcl::discover_nobody();
    let (_context, node) = node::create()?;
    let settings = node::configure(&node::start_of(&node, overrides)?)?;
    Ok((settings.config().clone(), Secrets::from_environment()?))
}
