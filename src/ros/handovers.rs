//! Handovers on their way from the link to `~/handover_event`: logged the moment they are told,
//! kept until the thread that owns the node publishes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::link::{Handover, HandoverPath, HandoverPhase};

/// Most phases that wait to be published; the thread that does it looks 20 times a second, and
/// dwell times keep handovers far more seldom than that. Beyond it the oldest go.
const MAX_WAITING: usize = 1000;

/// The phases of handovers that nobody has published yet. Clones share them.
#[derive(Clone, Default)]
pub struct Handovers(Arc<Mutex<VecDeque<(Instant, Handover)>>>);

impl Handovers {
    /// Logs a phase and keeps it, with the moment it happened.
    pub fn add(&self, at: Instant, handover: Handover) {
        log(&handover);
        let mut waiting = self.lock();
        if waiting.len() >= MAX_WAITING {
            waiting.pop_front();
        }
        waiting.push_back((at, handover));
    }

    /// Takes all that wait, the oldest first.
    pub fn take(&self) -> VecDeque<(Instant, Handover)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Instant, Handover)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What went well is for information; what began or failed is odd, for it need not have been.
fn log(handover: &Handover) {
    let (level, what) = match handover.phase {
        HandoverPhase::Started => (log::Level::Warn, "handover started"),
        HandoverPhase::Completed => (log::Level::Info, "handover completed"),
        HandoverPhase::Failed => (log::Level::Warn, "handover failed"),
        HandoverPhase::PathLost => (log::Level::Warn, "no path left"),
        HandoverPhase::PathRecovered => (log::Level::Info, "a path is back"),
    };
    let Handover { id, peer, reason_text, switch_duration, outage_duration, .. } = handover;
    let (from, to) = (interface(handover.from.as_ref()), interface(handover.to.as_ref()));
    log::log!(
        level,
        "{peer}: {what} handover_id={id} from={from} to={to} switch={switch_duration:.3} \
         outage={outage_duration:.3}: {reason_text}"
    );
}

/// Name of the interface, or `-` where there is no path.
pub(super) fn interface(path: Option<&HandoverPath>) -> &str {
    path.map_or("-", |path| &path.interface)
}
