//! What the threads of the bridge share.

use std::collections::BTreeSet;
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

/// The publishers that stand for peers' topics, by which our own messages are told from others'.
#[derive(Clone, Default)]
pub(super) struct OwnPublishers(Arc<Mutex<BTreeSet<PublisherId>>>);

impl OwnPublishers {
    /// Makes a publisher that counts as own from before anybody can see it.
    pub(super) fn make(
        &self,
        make: impl FnOnce() -> Result<Publisher, RclError>,
    ) -> Result<Publisher, RclError> {
        let mut ids = self.lock();
        let publisher = make()?;
        ids.insert(publisher.id());
        Ok(publisher)
    }

    /// The publisher is gone. Its GID is not used again for as long as the process lives.
    pub(super) fn forget(&self, id: PublisherId) {
        self.lock().remove(&id);
    }

    /// Is it one of ours?
    pub(super) fn contains(&self, id: PublisherId) -> bool {
        self.lock().contains(&id)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PublisherId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
