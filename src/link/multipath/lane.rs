//! A lane: datagrams that arrive all, once and in order, whatever happens to the frames that
//! carry them. The sender keeps each until it is acknowledged, the receiver holds back what came
//! too early.
//!
//! SCTP above it sees a network that neither loses nor reorders. Neither side ever gives up: a
//! sender that has no room refuses what is new, and SCTP sends that again.

use std::collections::VecDeque;
use std::time::Instant;

use crate::wire::MAX_ACK_BITS;

/// Datagrams of one lane that may be unacknowledged, and how far ahead of a missing one a receiver
/// holds.
const MAX_DATAGRAMS: usize = 4_096;

/// Bytes of them, each way: the largest window, and what SCTP may add at once.
const MAX_BYTES: usize = 576 * 1024;

/// A frame that carried a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copy {
    /// Our number of the path.
    pub(super) path: u16,
    /// Number of the frame on it.
    pub(super) number: u64,
}

/// A datagram that is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) datagram: Vec<u8>,
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
    bytes: usize,
}

impl LaneSender {
    /// Takes a datagram; returns its sequence, or `None` if there is no room.
    pub(super) fn push(&mut self, datagram: Vec<u8>) -> Option<u32> {
        if self.entries.len() >= MAX_DATAGRAMS || self.bytes + datagram.len() > MAX_BYTES {
            return None;
        }
        let sequence = self.base.wrapping_add(self.entries.len() as u32);
        self.bytes += datagram.len();
        self.entries.push_back(Some(Unacked { datagram, copy: None, tries: 0, is_due: false }));
        Some(sequence)
    }

    /// Notes what the peer has. What it cannot have is passed over.
    pub(super) fn handle_ack(&mut self, next: u32, bits: &[u8]) {
        let confirmed = next.wrapping_sub(self.base) as usize;
        if confirmed > self.entries.len() {
            return;
        }
        for entry in self.entries.drain(..confirmed).flatten() {
            self.bytes -= entry.datagram.len();
        }
        self.base = next;
        for (index, entry) in self.entries.iter_mut().skip(1).take(bits.len() * 8).enumerate() {
            if bits[index / 8] & (1 << (index % 8)) != 0
                && let Some(entry) = entry.take()
            {
                self.bytes -= entry.datagram.len();
            }
        }
    }

    /// The datagram of this sequence, unless it is acknowledged.
    pub(super) fn get(&self, sequence: u32) -> Option<&Unacked> {
        self.entries.get(sequence.wrapping_sub(self.base) as usize)?.as_ref()
    }

    /// The datagram of this sequence, unless it is acknowledged.
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

    /// Bytes that are not acknowledged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What became of a datagram that arrived.
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
    ready: VecDeque<Vec<u8>>,
    /// From `next` on.
    held: VecDeque<Option<Vec<u8>>>,
    held_bytes: usize,
}

impl LaneReceiver {
    /// Takes a datagram.
    pub(super) fn handle(&mut self, sequence: u32, datagram: &[u8]) -> Arrival {
        let ahead = sequence.wrapping_sub(self.next) as usize;
        if ahead >= 1 << 31 {
            return Arrival::Duplicate;
        }
        if self.held.get(ahead).is_some_and(Option::is_some) {
            return Arrival::Duplicate;
        }
        if ahead >= MAX_DATAGRAMS || (ahead > 0 && self.held_bytes + datagram.len() > MAX_BYTES) {
            return Arrival::Refused;
        }
        if ahead >= self.held.len() {
            self.held.resize(ahead + 1, None);
        }
        self.held[ahead] = Some(datagram.to_vec());
        self.held_bytes += datagram.len();
        while let Some(Some(_)) = self.held.front()
            && let Some(Some(datagram)) = self.held.pop_front()
        {
            self.held_bytes -= datagram.len();
            self.next = self.next.wrapping_add(1);
            self.ready.push_back(datagram);
        }
        if ahead == 0 { Arrival::InOrder } else { Arrival::Early }
    }

    /// The next datagram in order.
    pub(super) fn pop(&mut self) -> Option<Vec<u8>> {
        self.ready.pop_front()
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

    fn datagram(index: u32) -> Vec<u8> {
        index.to_be_bytes().to_vec()
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
                let sequence = sender.push(datagram(index as u32)).expect("room");
                if !lost {
                    receiver.handle(sequence, &datagram(index as u32));
                }
                if *twice {
                    let again: Vec<_> = sender.iter().map(|(at, entry)| (at, entry.datagram.clone())).collect();
                    for (at, datagram) in again.into_iter().rev() {
                        receiver.handle(at, &datagram);
                    }
                }
                received.extend(std::iter::from_fn(|| receiver.pop()));
                if !ack_lost {
                    let (next, bits) = receiver.ack();
                    sender.handle_ack(next, &bits);
                }
            }
            let rest: Vec<_> = sender.iter().map(|(at, entry)| (at, entry.datagram.clone())).collect();
            for (at, datagram) in rest {
                receiver.handle(at, &datagram);
            }
            received.extend(std::iter::from_fn(|| receiver.pop()));
            let expected: Vec<_> = (0..fates.len() as u32).map(datagram).collect();
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
                sender.push(datagram(index));
            }
            sender.handle_ack(next, &bits);
            let left: usize = sender.iter().map(|(_, entry)| entry.datagram.len()).sum();
            prop_assert_eq!(left, sender.bytes());
        }
    }

    #[test]
    fn both_sides_are_bounded() {
        let mut sender = LaneSender::default();
        let taken = std::iter::from_fn(|| sender.push(vec![0; 1_000])).count();
        assert_eq!(taken, MAX_BYTES / 1_000);
        let mut receiver = LaneReceiver::default();
        assert_eq!(receiver.handle(MAX_DATAGRAMS as u32, &[1]), Arrival::Refused);
        let early = (1..MAX_DATAGRAMS as u32)
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
