//! How the baselines carry messages: cut into fragments that fit a datagram, queued by the
//! application while the data channel takes nothing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rover_link::config::Delivery;

/// Sequence (8 B), offset (4 B) and length (4 B) of a message.
const HEADER: usize = 16;
/// With the header, 1024 bytes: one datagram.
const PAYLOAD: usize = 1024 - HEADER;
/// Incomplete messages that are kept: those that a lost fragment left behind never get complete.
const MAX_INCOMPLETE: usize = 8;

/// Messages of one class on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    delivery: Delivery,
    queue: VecDeque<(u64, Bytes)>,
    /// Of the next fragment in the first message.
    offset: usize,
    published: u64,
}

impl Outgoing {
    pub(crate) fn new(delivery: Delivery) -> Self {
        Self { delivery, queue: VecDeque::new(), offset: 0, published: 0 }
    }

    /// Queues a message. Of `latest` messages only the newest waits behind the one being sent.
    pub(crate) fn push(&mut self, data: Bytes) {
        if self.delivery == Delivery::Latest {
            self.queue.truncate(usize::from(self.offset > 0));
        }
        self.queue.push_back((self.published, data));
        self.published += 1;
    }

    /// The next fragment; it stays until [`Outgoing::advance`].
    pub(crate) fn fragment(&self) -> Option<Vec<u8>> {
        let (sequence, data) = self.queue.front()?;
        let payload = &data[self.offset..data.len().min(self.offset + PAYLOAD)];
        let number = |value: usize| u32::try_from(value).expect("messages are below 4 GiB");
        let mut fragment = Vec::with_capacity(HEADER + payload.len());
        fragment.extend_from_slice(&sequence.to_le_bytes());
        fragment.extend_from_slice(&number(self.offset).to_le_bytes());
        fragment.extend_from_slice(&number(data.len()).to_le_bytes());
        fragment.extend_from_slice(payload);
        Some(fragment)
    }

    /// The fragment was taken.
    pub(crate) fn advance(&mut self) {
        self.offset += PAYLOAD;
        if self.queue.front().is_some_and(|(_, data)| self.offset >= data.len()) {
            self.queue.pop_front();
            self.offset = 0;
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.iter().map(|(_, data)| data.len()).sum::<usize>() - self.offset
    }
}

/// Messages of one class on their way in.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    incomplete: BTreeMap<u64, Incomplete>,
    /// Sequence after that of the last complete message.
    next: u64,
}

#[derive(Debug)]
struct Incomplete {
    data: Vec<u8>,
    missing: usize,
}

impl Incoming {
    /// Takes a fragment; returns the message that it completes. Data channels deliver a fragment
    /// at most once.
    pub(crate) fn handle_fragment(&mut self, fragment: &[u8]) -> Option<Bytes> {
        let (header, payload) = fragment.split_at_checked(HEADER)?;
        let sequence = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
        let offset = u32::from_le_bytes(header[8..12].try_into().expect("four bytes")) as usize;
        let length = u32::from_le_bytes(header[12..].try_into().expect("four bytes")) as usize;
        if sequence < self.next {
            return None;
        }
        let message = self
            .incomplete
            .entry(sequence)
            .or_insert_with(|| Incomplete { data: vec![0; length], missing: length });
        message.data.get_mut(offset..offset + payload.len())?.copy_from_slice(payload);
        message.missing = message.missing.saturating_sub(payload.len());
        if message.missing > 0 {
            if self.incomplete.len() > MAX_INCOMPLETE {
                self.incomplete.pop_first();
            }
            return None;
        }
        let message = self.incomplete.remove(&sequence)?;
        self.next = sequence + 1;
        self.incomplete = self.incomplete.split_off(&self.next);
        Some(message.data.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_put_together_again() {
        let (mut outgoing, mut incoming) = (Outgoing::new(Delivery::Reliable), Incoming::default());
        let messages: Vec<Bytes> =
            [1, 1008, 1009, 5000].iter().map(|size| vec![7; *size].into()).collect();
        messages.iter().for_each(|message| outgoing.push(message.clone()));
        let mut received = Vec::new();
        while let Some(fragment) = outgoing.fragment() {
            assert!(fragment.len() <= 1024);
            received.extend(incoming.handle_fragment(&fragment));
            outgoing.advance();
        }
        assert_eq!(received, messages);
        assert_eq!(outgoing.waiting(), 0);
    }

    #[test]
    fn of_the_latest_only_the_newest_waits_behind_the_one_being_sent() {
        let mut outgoing = Outgoing::new(Delivery::Latest);
        outgoing.push(vec![0; 2000].into());
        outgoing.advance();
        for size in [10, 20, 30] {
            outgoing.push(vec![0; size].into());
        }
        assert_eq!(outgoing.waiting(), 2000 - 1008 + 30);
    }
}
