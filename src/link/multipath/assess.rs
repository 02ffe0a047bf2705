//! How a path fares: from what was measured to a state. Pure; the constants are here.

use std::time::{Duration, Instant};

use super::path::Path;
use crate::config::HandoverSettings;
use crate::link::snapshot::PathState;

/// How long a receiver may keep an acknowledgement to itself.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(10);

/// Round trip of a path that was never measured, seconds.
const UNKNOWN_ROUND_TRIP: f64 = 0.2;

/// Spread of the round trip that is allowed for at most, seconds: a path that just went through a
/// bad time must not get as long again before it is suspected.
const MAX_SPREAD: f64 = 0.1;

/// Frames that have to be unconfirmed before a path is dead: one or two may be random loss.
const DEAD_FRAMES: usize = 3;

/// How long a path has to be without fault before it is no longer suspect.
const SUSPECT_TIME: Duration = Duration::from_secs(1);

/// Longest dwell.
const MAX_DWELL: Duration = Duration::from_secs(60);

/// What is wrong with a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// It confirms nothing for so much longer than is normal for it.
    Silent(Duration),
    /// It loses this part.
    Lossy(f64),
}

/// When a frame that leaves now has to be confirmed, if all is well.
pub(super) fn normal_confirmation(path: &Path) -> Duration {
    let round_trip = path.round_trip.smoothed().unwrap_or(UNKNOWN_ROUND_TRIP);
    let spread = path.round_trip.spread().min(MAX_SPREAD);
    ACK_DELAY + Duration::from_secs_f64(round_trip + spread + path.detour)
}

/// When a path, if it stays silent, will be suspect and dead.
pub(super) fn silence_deadlines(
    path: &Path,
    settings: &HandoverSettings,
) -> Option<(Instant, Instant)> {
    let normal = path.unconfirmed_since()? + normal_confirmation(path);
    Some((normal + settings.suspect_silence, normal + settings.dead_silence))
}

/// What is wrong with a path now.
pub(super) fn fault(path: &Path, settings: &HandoverSettings, now: Instant) -> Option<Fault> {
    if let Some((suspect, _)) = silence_deadlines(path, settings)
        && now >= suspect
    {
        let beyond = now.saturating_duration_since(suspect) + settings.suspect_silence;
        return Some(Fault::Silent(beyond));
    }
    let loss = path.loss_sent.certain(now);
    (loss >= settings.max_loss_ratio).then_some(Fault::Lossy(loss))
}

/// How long a path has to be good before it is trusted again.
pub(super) fn dwell(flaps: u32, settings: &HandoverSettings) -> Duration {
    settings.min_dwell.saturating_mul(1 << flaps.min(10)).min(MAX_DWELL.max(settings.min_dwell))
}

/// The state that follows. `path.since` is when the present one was entered or last contradicted.
pub(super) fn next_state(
    path: &Path,
    fault: Option<Fault>,
    settings: &HandoverSettings,
    now: Instant,
) -> PathState {
    if !path.is_up {
        return PathState::Down;
    }
    if !path.is_validated {
        return PathState::Checking;
    }
    let rested = now.saturating_duration_since(path.since);
    match (path.state, fault) {
        (PathState::Dead, Some(Fault::Silent(_))) => PathState::Dead,
        (_, Some(Fault::Silent(silence)))
            if silence >= settings.dead_silence && path.unconfirmed() >= DEAD_FRAMES =>
        {
            PathState::Dead
        }
        (PathState::Probation, Some(Fault::Lossy(_))) => PathState::Probation,
        (_, Some(_)) => PathState::Suspect,
        // What has come up again has to answer first.
        (PathState::Down, None) => PathState::Dead,
        (PathState::Dead, None) if path.last_confirmed.is_none_or(|at| at <= path.since) => {
            PathState::Dead
        }
        (PathState::Dead, None) => PathState::Probation,
        (PathState::Suspect, None) if rested < SUSPECT_TIME => PathState::Suspect,
        (PathState::Probation, None) if rested < dwell(path.flaps, settings) => {
            PathState::Probation
        }
        (_, None) => PathState::Good,
    }
}

/// How long a path in a state that ends by itself has to rest without fault; `None` in others.
pub(super) fn rest_of(path: &Path, settings: &HandoverSettings) -> Option<Duration> {
    match path.state {
        PathState::Suspect => Some(SUSPECT_TIME),
        PathState::Probation => Some(dwell(path.flaps, settings)),
        PathState::Down | PathState::Checking | PathState::Good | PathState::Dead => None,
    }
}
