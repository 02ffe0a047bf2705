//! What the bridge's other threads tell the one of the calls. Messages come to it straight from the
//! link's queues, which are bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::Admission;
use crate::link::Event;
use crate::ros::rcl::{GuardCondition, Node, RclError};

/// The inbox; clones share it.
#[derive(Clone)]
pub(in crate::ros) struct CallsInbox {
    news: Arc<Mutex<News>>,
    wake: Arc<GuardCondition>,
}

/// What is new since the last look.
#[derive(Default)]
pub(super) struct News {
    /// What happened on the link; not more than the link has routes and answers open.
    pub(super) events: VecDeque<Event>,
    /// Has the ROS graph changed?
    pub(super) graph: bool,
    /// What is admitted from now on, where that has changed.
    pub(super) admission: Option<Admission>,
}

impl CallsInbox {
    /// An empty inbox.
    pub(in crate::ros) fn new(node: &Arc<Node>) -> Result<Self, RclError> {
        Ok(Self { news: Arc::default(), wake: Arc::new(GuardCondition::new(node)?) })
    }

    /// Something happened on the link.
    pub(in crate::ros) fn event(&self, event: Event) {
        self.tell(|news| news.events.push_back(event));
    }

    /// The ROS graph has changed. A change wakes one wait only, so whoever sees it tells the others.
    pub(in crate::ros) fn graph_changed(&self) {
        self.tell(|news| news.graph = true);
    }

    /// Peers' services are admitted by this from now on.
    pub(in crate::ros) fn admission(&self, admission: Admission) {
        self.tell(|news| news.admission = Some(admission));
    }

    /// Ends the wait that is going on.
    pub(in crate::ros) fn wake(&self) {
        if let Err(error) = self.wake.trigger() {
            log::warn!("cannot wake the thread of the calls: {error}");
        }
    }

    /// What a wait can be ended by.
    pub(super) fn guard(&self) -> &GuardCondition {
        &self.wake
    }

    /// Takes what is new.
    pub(super) fn take(&self) -> News {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn tell(&self, tell: impl FnOnce(&mut News)) {
        tell(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake();
    }
}
