//! Putting the fragments of one route together again.

use std::collections::VecDeque;

use super::fragment::{FRAGMENT_PAYLOAD, Fragment};

/// Messages of one route that may be incomplete at once. A sender finishes a message before it
/// begins the next of the same route; on an unordered channel the two can overlap.
const MAX_PARTIAL: usize = 2;

/// A message, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complete {
    /// Number of the message.
    pub sequence: u64,
    /// When it was taken from its topic, by the sender's clock, µs, wrapping.
    pub taken: u32,
    /// The message.
    pub data: Vec<u8>,
    /// Is it compressed?
    pub is_compressed: bool,
    /// What the receiver allows, bytes.
    pub max_size: u32,
}

/// Why a fragment led to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Its message was delivered before, or a newer one was.
    Old,
    /// Its message is larger than the receiver allows; told once per message.
    Oversize,
    /// A further fragment of a message that was refused.
    Refused,
}

/// The messages of one route that are being put together, and how far the route has come.
///
/// Messages come out with rising sequences, each at most once.
#[derive(Debug)]
pub struct Reassembly {
    partial: VecDeque<Partial>,
    max_message_size: u32,
    delivered: u64,
    refused: u64,
}

#[derive(Debug)]
struct Partial {
    sequence: u64,
    data: Vec<u8>,
    arrived: Vec<bool>,
    missing: usize,
}

impl Reassembly {
    /// Takes messages of up to `max_message_size` bytes whose sequence is beyond `delivered`.
    pub fn new(max_message_size: u32, delivered: u64) -> Self {
        Self { partial: VecDeque::new(), max_message_size, delivered, refused: 0 }
    }

    /// Changes the limit for messages that have not begun to arrive.
    pub fn set_max_message_size(&mut self, max_message_size: u32) {
        self.max_message_size = max_message_size;
    }

    /// Sequence of the newest message that came out.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes held for incomplete messages.
    pub fn bytes(&self) -> usize {
        self.partial.iter().map(|partial| partial.data.len()).sum()
    }

    /// Would this fragment begin a message, and so take memory for it?
    pub fn begins(&self, fragment: &Fragment<'_>) -> bool {
        let header = &fragment.header;
        header.sequence > self.delivered
            && header.length <= self.max_message_size
            && self.partial.iter().all(|partial| partial.sequence != header.sequence)
    }

    /// Adds a fragment; returns the message when it completes one.
    ///
    /// # Errors
    /// [`Discard`] tells why the fragment led to nothing.
    pub fn handle_fragment(&mut self, fragment: Fragment<'_>) -> Result<Option<Complete>, Discard> {
        let header = fragment.header;
        if header.sequence <= self.delivered {
            return Err(Discard::Old);
        }
        if header.length > self.max_message_size {
            let first = self.refused != header.sequence;
            self.refused = header.sequence;
            return Err(if first { Discard::Oversize } else { Discard::Refused });
        }
        let index = self.partial_index(header.sequence, header.length);
        let partial = &mut self.partial[index];
        if partial.data.len() != header.length as usize {
            return Err(Discard::Refused);
        }
        partial.add(fragment);
        if partial.missing > 0 {
            return Ok(None);
        }
        let Some(done) = self.partial.remove(index) else { return Ok(None) };
        self.delivered = done.sequence;
        self.partial.retain(|partial| partial.sequence > done.sequence);
        Ok(Some(Complete {
            sequence: done.sequence,
            taken: header.taken,
            data: done.data,
            is_compressed: header.is_compressed,
            max_size: self.max_message_size,
        }))
    }

    /// Where the message is being put together; begins it if need be, at the cost of the oldest.
    fn partial_index(&mut self, sequence: u64, length: u32) -> usize {
        if let Some(index) = self.partial.iter().position(|partial| partial.sequence == sequence) {
            return index;
        }
        if self.partial.len() == MAX_PARTIAL {
            self.partial.pop_front();
        }
        let length = length as usize;
        // An empty message has one fragment as well.
        let fragments = length.div_ceil(FRAGMENT_PAYLOAD).max(1);
        self.partial.push_back(Partial {
            sequence,
            data: vec![0; length],
            arrived: vec![false; fragments],
            missing: fragments,
        });
        self.partial.len() - 1
    }
}

impl Partial {
    fn add(&mut self, fragment: Fragment<'_>) {
        let start = fragment.offset as usize;
        let arrived = &mut self.arrived[start / FRAGMENT_PAYLOAD];
        if !*arrived {
            *arrived = true;
            self.missing -= 1;
            self.data[start..start + fragment.payload.len()].copy_from_slice(fragment.payload);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Header;

    fn fragments(sequence: u64, message: &[u8]) -> Vec<Fragment<'_>> {
        let length = u32::try_from(message.len()).expect("test messages are small");
        let header =
            Header { route: 1, epoch: 1, sequence, taken: 0, length, is_compressed: false };
        let count = message.len().div_ceil(FRAGMENT_PAYLOAD).max(1);
        (0..count)
            .map(|index| Fragment::of(message, (index * FRAGMENT_PAYLOAD) as u32, header))
            .collect()
    }

    #[test]
    fn a_message_that_was_delivered_is_not_delivered_again() {
        let mut reassembly = Reassembly::new(100, 4);
        let results = [4, 5, 5, 6].map(|sequence| {
            reassembly.handle_fragment(fragments(sequence, b"x")[0]).map(|done| done.is_some())
        });
        assert_eq!(results, [Err(Discard::Old), Ok(true), Err(Discard::Old), Ok(true)]);
        assert_eq!(reassembly.delivered(), 6);
    }

    #[test]
    fn a_message_beyond_the_limit_is_told_once_and_takes_no_memory() {
        let message = vec![1; 2 * FRAGMENT_PAYLOAD];
        let mut reassembly = Reassembly::new(FRAGMENT_PAYLOAD as u32, 0);
        let parts = fragments(1, &message);
        assert_eq!(reassembly.handle_fragment(parts[0]), Err(Discard::Oversize));
        assert_eq!(reassembly.handle_fragment(parts[1]), Err(Discard::Refused));
        assert_eq!(reassembly.bytes(), 0);
        assert!(
            reassembly.handle_fragment(fragments(2, b"fits")[0]).is_ok_and(|done| done.is_some())
        );
    }

    #[test]
    fn a_length_that_changes_within_a_message_is_refused() {
        let (long, longer) = (vec![1; 1500], vec![1; 3000]);
        let mut reassembly = Reassembly::new(10_000, 0);
        assert_eq!(reassembly.handle_fragment(fragments(1, &long)[0]), Ok(None));
        assert_eq!(reassembly.handle_fragment(fragments(1, &longer)[2]), Err(Discard::Refused));
    }

    #[test]
    fn incomplete_messages_are_bounded() {
        let message = vec![1; 1500];
        let mut reassembly = Reassembly::new(10_000, 0);
        for sequence in 1..100 {
            assert_eq!(reassembly.handle_fragment(fragments(sequence, &message)[0]), Ok(None));
        }
        assert_eq!(reassembly.bytes(), MAX_PARTIAL * 1500);
    }

    proptest! {
        #[test]
        fn fragments_in_any_order_and_number_give_the_message_once(
            length in 0..5_000usize,
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let parts = fragments(3, &message);
            let shuffled = order.iter().map(|index| parts[index.index(parts.len())]);
            let mut reassembly = Reassembly::new(5_000, 0);
            let mut complete = Vec::new();
            for fragment in shuffled.chain(parts.iter().copied()) {
                complete.extend(reassembly.handle_fragment(fragment).ok().flatten());
            }
            prop_assert_eq!(complete.len(), 1);
            prop_assert_eq!(&complete[0].data, &message);
        }
    }
}
