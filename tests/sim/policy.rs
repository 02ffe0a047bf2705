//! What keeps the link alive in a run: this project, or one of the baselines.

use serde::{Deserialize, Serialize};

/// What keeps the link alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// This project.
    RoverLink,
    /// Plain str0m with all candidates and its own timers.
    Str0m,
    /// The same with the shortest timers of ICE that are sensible.
    IceFast,
    /// Plain str0m whose application restarts ICE through signaling.
    IceRestart,
}

impl Policy {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::RoverLink, Self::Str0m, Self::IceFast, Self::IceRestart];

    /// As it is written in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RoverLink => "rover_link",
            Self::Str0m => "str0m",
            Self::IceFast => "ice_fast",
            Self::IceRestart => "ice_restart",
        }
    }
}
