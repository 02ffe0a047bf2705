//! The receiving end of a transfer.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Ack, PAYLOAD, Segment};

/// Every second segment that comes in order is acknowledged at once, the others after so long.
const ACK_DELAY: Duration = Duration::from_millis(40);

/// The receiver.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    next: u64,
    early: BTreeSet<u64>,
    /// An acknowledgement is due then, and answers what was sent then.
    delayed: Option<(Instant, Instant)>,
}

impl Receiver {
    /// Payload that has arrived in order, bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.next * PAYLOAD
    }

    /// Takes a segment, and answers it unless that can wait.
    pub(crate) fn handle_segment(&mut self, segment: Segment, now: Instant) -> Option<Ack> {
        let Segment { number, sent } = segment;
        let is_in_order = number == self.next && self.early.is_empty();
        if number >= self.next {
            self.early.insert(number);
        }
        while self.early.remove(&self.next) {
            self.next += 1;
        }
        match self.delayed.take() {
            None if is_in_order => {
                self.delayed = Some((now + ACK_DELAY, sent));
                None
            }
            delayed => Some(self.ack(number, delayed.map_or(sent, |(_, echo)| echo))),
        }
    }

    /// When [`Receiver::handle_timeout`] is to be called.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.delayed.map(|(due, _)| due)
    }

    /// Answers what has waited for another segment.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Option<Ack> {
        let (_, echo) = self.delayed.take_if(|(due, _)| *due <= now)?;
        Some(self.ack(self.next, echo))
    }

    fn ack(&self, around: u64, echo: Instant) -> Ack {
        let has = |number: &u64| self.early.contains(number);
        let before = (self.next..around).rev().find(|number| !has(number));
        let begin = before.map_or(self.next, |missing| missing + 1);
        let end = (begin..).find(|number| !has(number)).unwrap_or(begin);
        Ack { next: self.next, block: begin..end, echo }
    }
}
