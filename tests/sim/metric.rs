//! What is measured, in which unit, and what is better.

use serde::{Deserialize, Serialize};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Largest time between two arrivals beyond the publishing period, of one run; the percentile
    /// is over the seeds.
    GapP50,
    GapP95,
    GapP99,
    GapMax,
    /// From publishing to arrival; the percentile is over the messages of all seeds.
    LatencyP50,
    LatencyP99,
    LatencyP999,
    LatencyMax,
    /// Messages that did not arrive, of all seeds.
    Lost,
    /// The same as a part of those published.
    LostRatio,
    /// Messages that arrived again, of all seeds.
    Duplicates,
    /// Messages that arrived after a later one, of all seeds.
    Reordered,
    /// Payload that arrived per second, median over the seeds.
    Goodput,
    /// The same as a part of the rate of the first path, or of that of a TCP transfer.
    GoodputRatio,
    /// The same, most of all seeds: what is to be left to others.
    GoodputRatioMax,
    /// Most messages that arrived within 2.5 ms, of all seeds: a subscriber is awake after so long.
    BurstMax,
    /// From the start of both rovers to the moment when both are connected, p99 over the seeds.
    Setup,
    /// Handovers from one path to another, of the rover that had more, p99 over the seeds.
    Switches,
    /// From the first event to the moment when a path in use is suspect or left for another one,
    /// p99 over the seeds; to the accuracy of a sample.
    Reaction,
    /// Bytes that were sent again or twice, as a part of those sent once, p99 over the seeds.
    ExtraBytes,
    /// IP bytes handed to a path in one direction, p99 over the seeds.
    Bytes,
    /// IP bytes handed to the metered paths, both directions, p99 over the seeds.
    MeteredBytes,
}

impl Metric {
    /// As it is written in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::GapP50 => "gap_p50",
            Self::GapP95 => "gap_p95",
            Self::GapP99 => "gap_p99",
            Self::GapMax => "gap_max",
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP99 => "latency_p99",
            Self::LatencyP999 => "latency_p999",
            Self::LatencyMax => "latency_max",
            Self::Lost => "lost",
            Self::LostRatio => "lost_ratio",
            Self::Duplicates => "duplicates",
            Self::Reordered => "reordered",
            Self::Goodput => "goodput",
            Self::GoodputRatio => "goodput_ratio",
            Self::GoodputRatioMax => "goodput_ratio_max",
            Self::BurstMax => "burst_max",
            Self::Setup => "setup",
            Self::Switches => "switches",
            Self::Reaction => "reaction",
            Self::ExtraBytes => "extra_bytes",
            Self::Bytes => "bytes",
            Self::MeteredBytes => "metered_bytes",
        }
    }

    /// Unit of its values.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::GapP50
            | Self::GapP95
            | Self::GapP99
            | Self::GapMax
            | Self::LatencyP50
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::LatencyMax
            | Self::Setup
            | Self::Reaction => "s",
            Self::Lost | Self::Duplicates | Self::Reordered | Self::Switches | Self::BurstMax => {
                "1"
            }
            Self::LostRatio | Self::GoodputRatio | Self::GoodputRatioMax | Self::ExtraBytes => {
                "ratio"
            }
            Self::Goodput => "B/s",
            Self::Bytes | Self::MeteredBytes => "B",
        }
    }

    /// Does it tell how much arrived?
    pub(crate) fn is_goodput(self) -> bool {
        matches!(self, Self::Goodput | Self::GoodputRatio | Self::GoodputRatioMax)
    }

    /// Is the target reached? What could not be measured does not reach any.
    pub(crate) fn is_met(self, value: f64, target: f64) -> bool {
        let more_is_better = matches!(self, Self::Goodput | Self::GoodputRatio);
        if more_is_better { value >= target } else { value <= target }
    }
}
