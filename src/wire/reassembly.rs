//! Putting the fragments of one route together again.

use super::fragment::{Fragment, Header, Origin, Place};

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
    /// Who published it, if that was told.
    pub origin: Option<Origin>,
    /// What the receiver allows, bytes.
    pub max_size: u32,
}

/// Why a message does not come out; told by its last fragment alone, for a sender may give it up
/// before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// It was delivered before, or a newer one was.
    Old,
    /// It is larger than the receiver allows.
    Oversize,
    /// The receiver had no use for it when it began.
    Unwanted,
}

/// The message of one route that is being put together, and how far the route has come.
///
/// A sender finishes a message or gives it up before it begins the next of the same route, and
/// fragments cross in order: so one that does not fit belongs to a message of which a part got lost.
/// Messages come out with rising sequences, each at most once.
#[derive(Debug)]
pub struct Reassembly {
    partial: Option<Partial>,
    max_message_size: u32,
    delivered: u64,
}

#[derive(Debug)]
struct Partial {
    header: Header,
    /// Bytes that have come.
    arrived: usize,
    /// Those, or why they are not kept.
    data: Result<Vec<u8>, Discard>,
}

impl Reassembly {
    /// Takes messages of up to `max_message_size` bytes whose sequence is beyond `delivered`.
    pub fn new(max_message_size: u32, delivered: u64) -> Self {
        Self { partial: None, max_message_size, delivered }
    }

    /// Changes the limit for messages that have not begun to arrive.
    pub fn set_max_message_size(&mut self, max_message_size: u32) {
        self.max_message_size = max_message_size;
    }

    /// Takes messages again whose sequence is beyond `delivered`.
    pub fn set_delivered(&mut self, delivered: u64) {
        self.delivered = delivered;
    }

    /// Sequence of the newest message that came out.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Bytes held for a message that is incomplete.
    pub fn bytes(&self) -> usize {
        let kept = self.partial.as_ref().filter(|partial| partial.data.is_ok());
        kept.map_or(0, |partial| partial.header.length as usize)
    }

    /// Would this fragment begin a message, and so take memory for it?
    pub fn begins(&self, fragment: &Fragment<'_>) -> bool {
        let Place::First(header) = &fragment.place else { return false };
        self.check(header).is_ok()
    }

    fn check(&self, header: &Header) -> Result<(), Discard> {
        if header.sequence <= self.delivered {
            return Err(Discard::Old);
        }
        if header.length > self.max_message_size {
            return Err(Discard::Oversize);
        }
        Ok(())
    }

    /// Adds a fragment; returns the message when it completes one. `is_wanted` says whether a message
    /// that begins with it is to be kept. One that does not continue what came before is passed over.
    ///
    /// # Errors
    /// [`Discard`] tells, at the end of a message, why it does not come out.
    pub fn handle_fragment(
        &mut self,
        fragment: Fragment<'_>,
        is_wanted: bool,
    ) -> Result<Option<Complete>, Discard> {
        if let Place::First(header) = fragment.place {
            let kept = if is_wanted { self.check(&header) } else { Err(Discard::Unwanted) };
            let data = kept.map(|()| Vec::with_capacity(header.length as usize));
            self.partial = Some(Partial { header, arrived: 0, data });
        }
        let partial = self.partial.as_mut().filter(|partial| partial.is_continued_by(&fragment));
        let Some(partial) = partial else { return Ok(None) };
        partial.arrived += fragment.payload.len();
        if let Ok(data) = &mut partial.data {
            data.extend_from_slice(fragment.payload);
        }
        if partial.arrived < partial.header.length as usize {
            return Ok(None);
        }
        let Some(Partial { header, data, .. }) = self.partial.take() else { return Ok(None) };
        let data = data?;
        self.delivered = header.sequence;
        Ok(Some(Complete {
            sequence: header.sequence,
            taken: header.taken,
            data,
            is_compressed: header.is_compressed,
            origin: header.origin,
            max_size: self.max_message_size,
        }))
    }
}

impl Partial {
    fn is_continued_by(&self, fragment: &Fragment<'_>) -> bool {
        let room = self.header.length as usize - self.arrived;
        fragment.payload.len() <= room
            && match fragment.place {
                Place::First(header) => header == self.header && self.arrived == 0,
                Place::Rest { sequence, offset } => {
                    sequence == self.header.sequence as u32 && offset as usize == self.arrived
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Fragments of at most 40 bytes.
    fn fragments(sequence: u64, message: &[u8]) -> Vec<Fragment<'_>> {
        let length = u32::try_from(message.len()).expect("test messages are small");
        let header =
            Header { epoch: 1, sequence, taken: 0, length, is_compressed: false, origin: None };
        let mut parts = vec![Fragment::of(message, 0, 1, header, 40)];
        let mut offset = parts[0].payload.len();
        while offset < message.len() {
            let part = Fragment::of(message, offset as u32, 1, header, 40);
            offset += part.payload.len();
            parts.push(part);
        }
        parts
    }

    #[test]
    fn a_message_that_was_delivered_is_not_delivered_again() {
        let mut reassembly = Reassembly::new(100, 4);
        let results = [4, 5, 5, 6].map(|sequence| {
            let fragment = fragments(sequence, b"x")[0];
            reassembly.handle_fragment(fragment, true).map(|done| done.is_some())
        });
        assert_eq!(results, [Err(Discard::Old), Ok(true), Err(Discard::Old), Ok(true)]);
        assert_eq!(reassembly.delivered(), 6);
    }

    #[test]
    fn a_message_beyond_the_limit_is_told_at_its_end_and_takes_no_memory() {
        let message = vec![1; 60];
        let mut reassembly = Reassembly::new(50, 0);
        let parts = fragments(1, &message);
        assert!(!reassembly.begins(&parts[0]));
        assert_eq!(reassembly.handle_fragment(parts[0], true), Ok(None));
        assert_eq!(reassembly.bytes(), 0);
        for part in &parts[1..parts.len() - 1] {
            assert_eq!(reassembly.handle_fragment(*part, true), Ok(None));
        }
        assert_eq!(
            reassembly.handle_fragment(parts[parts.len() - 1], true),
            Err(Discard::Oversize)
        );
        let fits = reassembly.handle_fragment(fragments(2, b"fits")[0], true);
        assert!(fits.is_ok_and(|done| done.is_some()));
    }

    #[test]
    fn a_message_that_was_not_wanted_when_it_began_is_told_if_it_is_sent_to_its_end() {
        let message = vec![1; 100];
        let (given_up, sent) = (fragments(1, &message), fragments(2, &message));
        let mut reassembly = Reassembly::new(100, 0);
        let parts = given_up.iter().take(2).chain(&sent);
        let told: Vec<_> =
            parts.filter_map(|part| reassembly.handle_fragment(*part, false).err()).collect();
        assert_eq!(told, [Discard::Unwanted]);
        assert_eq!(reassembly.delivered(), 0);
    }

    #[test]
    fn one_incomplete_message_is_held_at_most() {
        let message = vec![1; 1500];
        let mut reassembly = Reassembly::new(10_000, 0);
        for sequence in 1..100 {
            assert_eq!(
                reassembly.handle_fragment(fragments(sequence, &message)[0], true),
                Ok(None)
            );
        }
        assert_eq!(reassembly.bytes(), 1500);
    }

    #[test]
    fn a_message_of_which_a_part_got_lost_gives_way_to_the_next_one() {
        let message = vec![1; 200];
        let (first, second) = (fragments(1, &message), fragments(2, &message));
        let mut reassembly = Reassembly::new(1_000, 0);
        for part in first.iter().take(2).chain(&first[3..]) {
            assert!(!matches!(reassembly.handle_fragment(*part, true), Ok(Some(_))));
        }
        let out: Vec<_> =
            second.iter().map(|part| reassembly.handle_fragment(*part, true)).collect();
        assert!(matches!(out.last(), Some(Ok(Some(complete))) if complete.data == message));
    }

    proptest! {
        #[test]
        fn a_message_comes_out_whole_or_not_at_all(
            length in 0..500usize,
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let parts = fragments(3, &message);
            let shuffled = order.iter().map(|index| parts[index.index(parts.len())]);
            let mut reassembly = Reassembly::new(500, 0);
            let mut complete = Vec::new();
            for fragment in shuffled.chain(parts.iter().copied()) {
                complete.extend(reassembly.handle_fragment(fragment, true).ok().flatten());
            }
            prop_assert_eq!(complete.len(), 1);
            prop_assert_eq!(&complete[0].data, &message);
        }
    }
}
