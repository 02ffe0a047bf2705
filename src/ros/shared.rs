//! What the threads of the bridge share.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::calls::CallsInbox;
use super::handovers::Handovers;
use super::rcl::{Node, Publisher, RclError};
use super::report::SharedReport;
use crate::link::PublisherId;
use crate::net::ApplicationEnd;

/// What all threads use.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) node: Arc<Node>,
    pub(super) application: ApplicationEnd,
    pub(super) report: SharedReport,
    pub(super) handovers: Handovers,
    pub(super) own: OwnPublishers,
    pub(super) calls: CallsInbox,
    pub(super) stop: Arc<AtomicBool>,
}

impl Shared {
    /// Shall the threads end?
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Publishers that are gone and still count as own: what they published last may not be taken yet.
/// Far more than can go in the time that takes.
const MAX_GONE: usize = 4096;

/// The publishers that stand for peers' topics, by which our own messages are told from others'.
#[derive(Clone, Default)]
pub(super) struct OwnPublishers(Arc<Mutex<Own>>);

#[derive(Default)]
struct Own {
    ids: BTreeSet<PublisherId>,
    /// Those of them that are gone, the first one to go first.
    gone: VecDeque<PublisherId>,
}

impl OwnPublishers {
    /// Makes a publisher that counts as own from before anybody can see it.
    pub(super) fn make(
        &self,
        make: impl FnOnce() -> Result<Publisher, RclError>,
    ) -> Result<Publisher, RclError> {
        let mut own = self.lock();
        let publisher = make()?;
        own.ids.insert(publisher.id());
        Ok(publisher)
    }

    /// The publisher is gone. Its GID is not used again for as long as the process lives, so it can
    /// count as own for as long as messages of it may come.
    pub(super) fn forget(&self, id: PublisherId) {
        self.lock().forget(id);
    }

    /// Is it one of ours?
    pub(super) fn contains(&self, id: PublisherId) -> bool {
        self.lock().ids.contains(&id)
    }

    fn lock(&self) -> MutexGuard<'_, Own> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Own {
    fn forget(&mut self, id: PublisherId) {
        self.gone.push_back(id);
        if self.gone.len() > MAX_GONE
            && let Some(first) = self.gone.pop_front()
        {
            self.ids.remove(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_that_has_just_gone_still_counts_as_own() {
        let mut own = Own::default();
        let ids = || (0..=MAX_GONE as u128).map(PublisherId);
        own.ids.extend(ids());
        ids().for_each(|id| own.forget(id));
        assert!(own.ids.iter().eq(ids().skip(1).collect::<Vec<_>>().iter()));
    }
}
