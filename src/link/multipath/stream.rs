//! The datagrams of a lane as one stream of bytes, so that each frame can be full whatever the size
//! of what it carries: each datagram with its length before it, and cut anywhere.
//!
//! A DTLS record that follows the one before it goes without its header: nothing in that is news.

use std::collections::VecDeque;

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::link::transport::{DTLS_APPLICATION_DATA, is_application_data};

/// Set in the length before a datagram, two bytes, where the header is left out.
const FOLLOWS: u16 = 1 << 15;

/// Bytes of the header of a DTLS 1.2 record, and where in it epoch and sequence number stand, which
/// count as one number here, and the length of what follows (RFC 6347 §4.1).
const HEADER_LEN: usize = 13;
const NUMBER_AT: usize = 3;
const LENGTH_AT: usize = 11;

/// The header of a record with application data, number and length still to be filled in.
const HEADER: [u8; HEADER_LEN] = [DTLS_APPLICATION_DATA, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The header that the next record has, if it follows the one before it.
#[derive(Debug, Default)]
struct NextHeader {
    number: u64,
}

impl NextHeader {
    /// The header before so many bytes.
    fn of(&self, length: usize) -> [u8; HEADER_LEN] {
        let mut header = HEADER;
        header[NUMBER_AT..LENGTH_AT].copy_from_slice(&self.number.to_be_bytes());
        header[LENGTH_AT..].copy_from_slice(&(length as u16).to_be_bytes());
        header
    }

    /// Takes note of a datagram. Is it one record that follows the one before it?
    fn handle(&mut self, datagram: &[u8]) -> bool {
        let Some((header, payload)) = datagram.split_first_chunk::<HEADER_LEN>() else {
            return false;
        };
        let follows = *header == self.of(payload.len());
        if let Some(number) = header[NUMBER_AT..].first_chunk()
            && is_application_data(datagram)
        {
            self.number = u64::from_be_bytes(*number).wrapping_add(1);
        }
        follows
    }
}

/// The sending side: datagrams in, segments out.
#[derive(Debug, Default)]
pub(super) struct Packer {
    next: NextHeader,
    waiting: BytesMut,
}

impl Packer {
    /// Adds a datagram of at most 32,767 bytes; what is longer is cut off there.
    pub(super) fn push(&mut self, datagram: &[u8]) {
        let datagram = &datagram[..datagram.len().min((FOLLOWS - 1).into())];
        let (flag, told) = match self.next.handle(datagram) {
            true => (FOLLOWS, &datagram[HEADER_LEN..]),
            false => (0, datagram),
        };
        self.waiting.put_u16(flag | told.len() as u16);
        self.waiting.extend_from_slice(told);
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes at most so many bytes from the front.
    pub(super) fn cut(&mut self, length: usize) -> Bytes {
        self.waiting.split_to(length.min(self.waiting.len())).freeze()
    }
}

/// The receiving side: segments in, datagrams out.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    next: NextHeader,
    /// The beginning of a length that was cut.
    prefix: Option<u8>,
    /// The datagram that is not whole, and the bytes that it lacks.
    begun: Vec<u8>,
    missing: usize,
    whole: VecDeque<Bytes>,
}

impl Unpacker {
    /// Adds the next segment.
    pub(super) fn push(&mut self, mut segment: &[u8]) {
        while !segment.is_empty() {
            if self.missing == 0 {
                let (first, rest) = (segment[0], &segment[1..]);
                segment = rest;
                let Some(before) = self.prefix.take() else {
                    self.prefix = Some(first);
                    continue;
                };
                self.begin(u16::from_be_bytes([before, first]));
            }
            let (part, rest) = segment.split_at(self.missing.min(segment.len()));
            self.begun.extend_from_slice(part);
            self.missing -= part.len();
            segment = rest;
            if self.missing == 0 {
                self.next.handle(&self.begun);
                self.whole.push_back(Bytes::from(std::mem::take(&mut self.begun)));
            }
        }
    }

    fn begin(&mut self, prefix: u16) {
        self.missing = usize::from(prefix & !FOLLOWS);
        self.begun.reserve(HEADER_LEN + self.missing);
        if prefix & FOLLOWS != 0 {
            self.begun.extend_from_slice(&self.next.of(self.missing));
        }
    }

    /// The next datagram that is whole.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.whole.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record with application data of this number.
    fn record(number: u64, payload: &[u8]) -> Vec<u8> {
        [&NextHeader { number }.of(payload.len()), payload].concat()
    }

    /// Datagrams of any bytes, records in order among them, some with another length than they say.
    fn datagrams() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let payload = || proptest::collection::vec(any::<u8>(), 0..50);
        let steps = (0..4u64, payload(), proptest::bool::weighted(0.1)).prop_map(Some);
        let kinds = prop_oneof![4 => steps, 1 => Just(None)];
        proptest::collection::vec((kinds, payload()), 0..20).prop_map(|kinds| {
            let mut number = 1 << 48;
            let made = kinds.into_iter().map(|(kind, any)| {
                let Some((step, payload, is_torn)) = kind else { return any };
                number += step;
                let mut datagram = record(number, &payload);
                datagram.truncate(datagram.len() - usize::from(is_torn));
                datagram
            });
            made.collect()
        })
    }

    #[test]
    fn a_record_that_follows_the_one_before_it_goes_without_its_header() {
        let mut packer = Packer::default();
        let lengths = [7, 8, 10].map(|number| {
            packer.push(&record(number, b"payload"));
            packer.cut(usize::MAX).len()
        });
        assert_eq!(lengths, [2 + HEADER_LEN + 7, 2 + 7, 2 + HEADER_LEN + 7]);
    }

    proptest! {
        #[test]
        fn datagrams_come_out_as_they_went_in_wherever_they_are_cut(
            datagrams in datagrams(),
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
