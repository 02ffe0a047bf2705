//! The signaling server, as far as a link can see it: it introduces the rovers and passes on what
//! they say, each after its delay, and may be out of reach.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rover_link::link::Signal;
use uuid::Uuid;

/// What a rover hears from the server.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Those who are there already.
    Present(Vec<(String, Uuid)>),
    /// A rover came.
    Joined { rover_id: String, instance: Uuid },
    /// A rover went.
    Left { rover_id: String },
    /// A rover says something.
    Signal { from: String, instance: Uuid, signal: Signal },
}

/// The signaling server.
#[derive(Debug)]
pub(crate) struct Signaling {
    /// From one rover to another.
    delay: Duration,
    is_up: bool,
    registered: BTreeMap<String, Uuid>,
    /// By the moment of arrival, and in the order of sending: to whom, and what.
    in_flight: BTreeMap<(Instant, u64), (String, Notice)>,
    sent: u64,
}

impl Signaling {
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            delay,
            is_up: true,
            registered: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
        }
    }

    /// A rover connects.
    pub(crate) fn handle_member(&mut self, rover_id: &str, instance: Uuid, now: Instant) {
        if !self.is_up {
            return;
        }
        let present: Vec<_> = self.registered.clone().into_iter().collect();
        for (other, _) in &present {
            let notice = Notice::Joined { rover_id: rover_id.to_owned(), instance };
            self.send(other, notice, now);
        }
        self.registered.insert(rover_id.to_owned(), instance);
        self.send(rover_id, Notice::Present(present), now);
    }

    /// The connection of a rover ends.
    pub(crate) fn handle_gone(&mut self, rover_id: &str, now: Instant) {
        self.registered.remove(rover_id);
        for other in self.registered.keys().cloned().collect::<Vec<_>>() {
            self.send(&other, Notice::Left { rover_id: rover_id.to_owned() }, now);
        }
    }

    /// A rover says something to another one.
    pub(crate) fn handle_signal(&mut self, from: &str, to: &str, signal: Signal, now: Instant) {
        let Some(instance) = self.registered.get(from).copied() else { return };
        self.send(to, Notice::Signal { from: from.to_owned(), instance, signal }, now);
    }

    /// The server goes out of reach. It comes back without members.
    pub(crate) fn handle_outage(&mut self) {
        self.is_up = false;
        self.registered.clear();
        self.in_flight.clear();
    }

    /// The server is in reach again.
    pub(crate) fn handle_return(&mut self) {
        self.is_up = true;
    }

    /// When a notice arrives.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.in_flight.first_key_value().map(|((at, _), _)| *at)
    }

    /// The next notice that has arrived by now, and at whom.
    pub(crate) fn poll_notice(&mut self, now: Instant) -> Option<(String, Notice)> {
        let first = self.in_flight.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    fn send(&mut self, to: &str, notice: Notice, now: Instant) {
        if self.registered.contains_key(to) {
            self.sent += 1;
            self.in_flight.insert((now + self.delay, self.sent), (to.to_owned(), notice));
        }
    }
}
