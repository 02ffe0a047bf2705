//! What came out of one run of a scenario.

use std::time::Duration;

use super::meter::Measured;

/// What came out of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// From the start of both rovers to the moment when both were connected; `None` if they never
    /// were.
    pub(crate) setup: Option<Duration>,
    pub(crate) classes: Vec<ClassOutcome>,
    /// What others transferred.
    pub(crate) flows: Vec<FlowOutcome>,
    /// IP bytes handed to each path and direction.
    pub(crate) paths: Vec<PathOutcome>,
    /// Handovers from one path to another, of the rover that had more.
    pub(crate) switches: usize,
    /// From the first event to the moment when a path in use was suspect or left for another one;
    /// `None` if that never happened.
    pub(crate) reaction: Option<Duration>,
    /// Bytes that were sent again or twice, as a part of those sent once; `None` where nobody
    /// counts.
    pub(crate) extra_bytes: Option<f64>,
    /// Where data went, by time.
    pub(crate) samples: Vec<Sample>,
    /// Handovers and what else there was to see, by time since the start.
    pub(crate) notes: Vec<(Duration, String)>,
}

/// Messages of one class in one direction.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassOutcome {
    /// Number of the class in the scenario.
    pub(crate) class: usize,
    /// The rover that published.
    pub(crate) from: usize,
    pub(crate) measured: Measured,
}

/// A transfer of somebody else's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FlowOutcome {
    /// Number of the transfer in the scenario.
    pub(crate) tcp: usize,
    /// The rover from where it went.
    pub(crate) from: usize,
    /// Payload per second.
    pub(crate) goodput: f64,
}

/// One direction of a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PathOutcome {
    /// Number of the path in the scenario.
    pub(crate) path: usize,
    pub(crate) from: usize,
    pub(crate) bytes: u64,
}

/// What a rover did at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    /// Since the start.
    pub(crate) at: Duration,
    /// For each rover, the path by which its data left.
    pub(crate) selected: Vec<Option<usize>>,
    /// Did a rover hold the path that it used for suspect, or for dead?
    pub(crate) is_suspect: bool,
    /// Bytes that all rovers had sent once, and again or twice.
    pub(crate) bytes: (u64, u64),
}
