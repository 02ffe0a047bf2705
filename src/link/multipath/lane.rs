//! A lane: datagrams that arrive all, once and in order, whatever happens to the frames that
//! carry them. The sender keeps each until it is acknowledged, the receiver holds back what came
//! too early.
//!
//! What a frame carries, is acknowledged and is sent again is a segment. On the urgent lane that is
//! a datagram; on others it is a piece of the stream of datagrams, as large as the frame can take.
//!
//! SCTP above it sees a network that neither loses nor reorders. Neither side ever gives up: a
//! sender that has no room refuses what is new, and SCTP sends that again.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::stream::{Packer, Unpacker};
use crate::wire::MAX_ACK_BITS;

/// Segments of one lane that may be unacknowledged, and how far ahead of a missing one a receiver
/// holds.
const MAX_SEGMENTS: usize = 4_096;

/// Bytes of them, each way: the largest window, and what SCTP may add at once.
const MAX_BYTES: usize = 576 * 1024;

/// A frame that carried a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// Our number of the path.
    pub(super) path: u16,
    /// Number of the frame on it.
    pub(super) number: u64,
}

/// A segment that is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) segment: Bytes,
    /// The newest copy, and when it left; `None` while it has not left at all.
    pub(super) copy: Option<(Copy, Instant)>,
    /// Times that it was sent again.
    pub(super) tries: u32,
    /// Is it to be sent again as soon as the pace allows?
    pub(super) is_due: bool,
}

/// The sending side.
#[derive(Debug, Default)]
pub(super) struct LaneSender {
    /// Sequence of the first entry.
    base: u32,
    /// `None` = acknowledged before an earlier one.
    entries: VecDeque<Option<Unacked>>,
    /// Of the entries.
    bytes: usize,
    /// What is not cut yet.
    waiting: Packer,
}

impl LaneSender {
    /// Takes a segment that is to leave; returns its sequence, or `None` if there is no room.
    pub(super) fn push(&mut self, segment: Bytes) -> Option<u32> {
        if self.entries.len() >= MAX_SEGMENTS || self.bytes() + segment.len() > MAX_BYTES {
            return None;
        }
        Some(self.enter(segment))
    }

    /// Adds a datagram to the stream; `false` if there is no room.
    pub(super) fn queue(&mut self, datagram: &[u8]) -> bool {
        if self.bytes() + datagram.len() > MAX_BYTES {
            return false;
        }
        self.waiting.push(datagram);
        true
    }

    /// Bytes of the stream that are not cut yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Cuts a segment of at most so many bytes from the stream; returns its sequence, or `None` if
    /// nothing waits or too many are unacknowledged.
    pub(super) fn cut(&mut self, length: usize) -> Option<u32> {
        if self.waiting.len() == 0 || self.entries.len() >= MAX_SEGMENTS {
            return None;
        }
        let segment = self.waiting.cut(length);
        Some(self.enter(segment))
    }

    fn enter(&mut self, segment: Bytes) -> u32 {
        let sequence = self.base.wrapping_add(self.entries.len() as u32);
        self.bytes += segment.len();
        self.entries.push_back(Some(Unacked { segment, copy: None, tries: 0, is_due: false }));
        sequence
    }

    /// Notes what the peer has. What it cannot have is passed over.
    pub(super) fn handle_ack(&mut self, next: u32, bits: &[u8]) {
        let confirmed = next.wrapping_sub(self.base) as usize;
        if confirmed > self.entries.len() {
            return;
        }
        for entry in self.entries.drain(..confirmed).flatten() {
            self.bytes -= entry.segment.len();
        }
        self.base = next;
        for (index, entry) in self.entries.iter_mut().skip(1).take(bits.len() * 8).enumerate() {
            if bits[index / 8] & (1 << (index % 8)) != 0
                && let Some(entry) = entry.take()
            {
                self.bytes -= entry.segment.len();
            }
        }
    }

    /// The segment of this sequence, unless it is acknowledged.
    pub(super) fn get(&self, sequence: u32) -> Option<&Unacked> {
        self.entries.get(sequence.wrapping_sub(self.base) as usize)?.as_ref()
    }

    /// The segment of this sequence, unless it is acknowledged.
    pub(super) fn get_mut(&mut self, sequence: u32) -> Option<&mut Unacked> {
        self.entries.get_mut(sequence.wrapping_sub(self.base) as usize)?.as_mut()
    }

    /// What is not acknowledged, oldest first, with its sequence.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &Unacked)> {
        let base = self.base;
        self.entries.iter().enumerate().filter_map(move |(index, entry)| {
            entry.as_ref().map(|entry| (base.wrapping_add(index as u32), entry))
        })
    }

    /// Bytes that are not acknowledged, those that wait included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.waiting.len()
    }
}

/// What became of a segment that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The next in order.
    InOrder,
    /// An earlier one is missing.
    Early,
    /// It was there before.
    Duplicate,
    /// Too far ahead to be held.
    Refused,
}

/// The receiving side.
#[derive(Debug, Default)]
pub(super) struct LaneReceiver {
    /// Lowest sequence that is missing.
    next: u32,
    /// Complete up to `next`, to be taken.
    ready: VecDeque<Bytes>,
    /// From `next` on.
    held: VecDeque<Option<Bytes>>,
    held_bytes: usize,
    unpacker: Unpacker,
}

impl LaneReceiver {
    /// Takes a segment.
    pub(super) fn handle(&mut self, sequence: u32, segment: &[u8]) -> Arrival {
        let ahead = sequence.wrapping_sub(self.next) as usize;
        if ahead >= 1 << 31 {
            return Arrival::Duplicate;
        }
        if self.held.get(ahead).is_some_and(Option::is_some) {
            return Arrival::Duplicate;
        }
        if ahead >= MAX_SEGMENTS || (ahead > 0 && self.held_bytes + segment.len() > MAX_BYTES) {
            return Arrival::Refused;
        }
        if ahead >= self.held.len() {
            self.held.resize(ahead + 1, None);
        }
        self.held[ahead] = Some(Bytes::copy_from_slice(segment));
        self.held_bytes += segment.len();
        while let Some(Some(_)) = self.held.front()
            && let Some(Some(segment)) = self.held.pop_front()
        {
            self.held_bytes -= segment.len();
            self.next = self.next.wrapping_add(1);
            self.ready.push_back(segment);
        }
        if ahead == 0 { Arrival::InOrder } else { Arrival::Early }
    }

    /// The next segment in order.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// The next datagram of the stream.
    pub(super) fn pop_streamed(&mut self) -> Option<Bytes> {
        loop {
            if let Some(datagram) = self.unpacker.pop() {
                return Some(datagram);
            }
            let segment = self.pop()?;
            self.unpacker.push(&segment);
        }
    }

    /// Is something missing that must have been sent?
    pub(super) fn has_gap(&self) -> bool {
        !self.held.is_empty()
    }

    /// The lowest sequence that is missing, and bits for what is there beyond it.
    pub(super) fn ack(&self) -> (u32, Vec<u8>) {
        let mut bits = Vec::new();
        let beyond = self.held.iter().skip(1).take(MAX_ACK_BITS * 8);
        for (index, _) in beyond.enumerate().filter(|(_, held)| held.is_some()) {
            bits.resize(index / 8 + 1, 0);
            bits[index / 8] |= 1 << (index % 8);
        }
        (self.next, bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(index: u32) -> Bytes {
        Bytes::copy_from_slice(&index.to_be_bytes())
    }

    proptest! {
        #[test]
        fn all_arrive_once_and_in_order_whatever_is_lost_or_sent_twice(
            fates in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..200),
            start in prop_oneof![Just(0), Just(u32::MAX - 20), any::<u32>()],
        ) {
            let mut sender = LaneSender { base: start, ..LaneSender::default() };
            let mut receiver = LaneReceiver { next: start, ..LaneReceiver::default() };
            let mut received = Vec::new();
            for (index, (lost, twice, ack_lost)) in fates.iter().enumerate() {
                let sequence = sender.push(segment(index as u32)).expect("room");
                if !lost {
                    receiver.handle(sequence, &segment(index as u32));
                }
                if *twice {
                    let again: Vec<_> = sender.iter().map(|(at, entry)| (at, entry.segment.clone())).collect();
                    for (at, segment) in again.into_iter().rev() {
                        receiver.handle(at, &segment);
                    }
                }
                received.extend(std::iter::from_fn(|| receiver.pop()));
                if !ack_lost {
                    let (next, bits) = receiver.ack();
                    sender.handle_ack(next, &bits);
                }
            }
            let rest: Vec<_> = sender.iter().map(|(at, entry)| (at, entry.segment.clone())).collect();
            for (at, segment) in rest {
                receiver.handle(at, &segment);
            }
            received.extend(std::iter::from_fn(|| receiver.pop()));
            let expected: Vec<_> = (0..fates.len() as u32).map(segment).collect();
            prop_assert_eq!(received, expected);
            let (next, bits) = receiver.ack();
            sender.handle_ack(next, &bits);
            prop_assert_eq!((sender.iter().count(), sender.bytes()), (0, 0));
        }

        #[test]
        fn no_ack_can_harm_a_sender(
            next in any::<u32>(),
            bits in proptest::collection::vec(any::<u8>(), 0..=MAX_ACK_BITS),
        ) {
            let mut sender = LaneSender::default();
            for index in 0..20 {
                sender.push(segment(index));
            }
            sender.handle_ack(next, &bits);
            let left: usize = sender.iter().map(|(_, entry)| entry.segment.len()).sum();
            prop_assert_eq!(left, sender.bytes());
        }
    }

    #[test]
    fn both_sides_are_bounded() {
        let mut sender = LaneSender::default();
        let taken = std::iter::from_fn(|| sender.push(Bytes::from(vec![0; 1_000]))).count();
        assert_eq!(taken, MAX_BYTES / 1_000);
        let mut receiver = LaneReceiver::default();
        assert_eq!(receiver.handle(MAX_SEGMENTS as u32, &[1]), Arrival::Refused);
        let early = (1..MAX_SEGMENTS as u32)
            .filter(|sequence| receiver.handle(*sequence, &[0; 1_000]) == Arrival::Early)
            .count();
        assert_eq!(early, MAX_BYTES / 1_000);
        assert_eq!(
            receiver.handle(0, &[0; 1_000]),
            Arrival::InOrder,
            "the missing one always has room"
        );
    }
}
