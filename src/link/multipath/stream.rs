//! The datagrams of a lane as one stream of bytes, so that each frame can be full whatever the size
//! of what it carries: each datagram with its length before it, and cut anywhere.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Bytes of the length before each datagram.
const PREFIX_LEN: usize = 2;

/// The sending side: datagrams in, segments out.
#[derive(Debug, Default)]
pub(super) struct Packer(BytesMut);

impl Packer {
    /// Adds a datagram.
    pub(super) fn push(&mut self, datagram: &[u8]) {
        let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
        self.0.put_u16(length);
        self.0.extend_from_slice(&datagram[..length.into()]);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes at most so many bytes from the front.
    pub(super) fn cut(&mut self, length: usize) -> Bytes {
        self.0.split_to(length.min(self.0.len())).freeze()
    }
}

/// The receiving side: segments in, datagrams out. It holds less than one datagram and a segment.
#[derive(Debug, Default)]
pub(super) struct Unpacker(BytesMut);

impl Unpacker {
    /// Adds the next segment.
    pub(super) fn push(&mut self, segment: &[u8]) {
        self.0.extend_from_slice(segment);
    }

    /// The next datagram, once all of it is there.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let prefix = self.0.first_chunk::<PREFIX_LEN>()?;
        let length = usize::from(u16::from_be_bytes(*prefix));
        if self.0.len() < PREFIX_LEN + length {
            return None;
        }
        self.0.advance(PREFIX_LEN);
        Some(self.0.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_wherever_they_are_cut(
            datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20),
            cuts in proptest::collection::vec(1..60usize, 1..10),
        ) {
            let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
            let mut out = Vec::new();
            for (datagram, cut) in datagrams.iter().zip(cuts.iter().cycle()) {
                packer.push(datagram);
                unpacker.push(&packer.cut(*cut));
                out.extend(std::iter::from_fn(|| unpacker.pop()));
            }
            unpacker.push(&packer.cut(usize::MAX));
            out.extend(std::iter::from_fn(|| unpacker.pop()));
            prop_assert_eq!(out, datagrams);
            prop_assert_eq!(packer.len(), 0);
        }
    }
}
