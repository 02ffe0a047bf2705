//! The header of a fragment, and cutting a message into fragments.

/// Version of the framing; the first byte of each fragment.
pub const VERSION: u8 = 1;

/// Flag: the message is one frame of Zstandard (RFC 8878) that tells the size of its content.
const COMPRESSED: u8 = 1;

/// Bytes of the header.
pub const HEADER_LEN: usize = 28;

/// Payload of every fragment of a message but the last, bytes. With the header, SCTP (28) and
/// DTLS 1.2 (37) it makes one datagram of 1093 bytes, below the 1150 that str0m may send: a larger
/// one would be cut again by SCTP. A link frame that carries it (42 more) has room for the
/// acknowledgements of three lanes and reports on two paths (63).
pub const FRAGMENT_PAYLOAD: usize = 1000;

/// Bytes that are no fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Shorter than a header.
    #[error("{0} bytes are too few for a fragment header of {HEADER_LEN}")]
    Short(usize),
    /// Another version of the framing.
    #[error("fragment version {0}, expected {VERSION}")]
    Version(u8),
    /// Flags of a later version: what they say of the message is not known here.
    #[error("fragment flags {0:#010b} are not known")]
    Flags(u8),
    /// Shorter than an empty link frame.
    #[error("{0} bytes are too few for a link frame")]
    ShortFrame(usize),
    /// Not the mark of a link frame.
    #[error("link frame mark {0}, expected {mark}", mark = super::FRAME_MARK)]
    FrameVersion(u8),
    /// A section of a link frame is cut short or of an unknown kind.
    #[error("no section of a link frame in its last {0} bytes")]
    Section(usize),
    /// Offset, payload and length of the message do not fit each other.
    #[error("a fragment of {payload} bytes at offset {offset} is no part of a message of {length}")]
    Extent {
        /// Where it would start.
        offset: u32,
        /// Its bytes.
        payload: usize,
        /// Length of the message.
        length: u32,
    },
}

/// What each fragment tells about its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The sender's number of the topic.
    pub route: u16,
    /// Drawn by the sending node when it starts; sequences count within it.
    pub epoch: u32,
    /// Number of the message, from 1.
    pub sequence: u64,
    /// When the message was taken from its topic, by the sender's clock, µs, wrapping.
    pub taken: u32,
    /// Bytes of the whole message, as it crosses.
    pub length: u32,
    /// Is the message compressed?
    pub is_compressed: bool,
}

/// One part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The same for all fragments of a message, but for the age.
    pub header: Header,
    /// Where the payload belongs, a multiple of [`FRAGMENT_PAYLOAD`].
    pub offset: u32,
    /// The part.
    pub payload: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The fragment of `message` that starts at `offset`.
    ///
    /// # Panics
    /// If `offset` is beyond the message.
    pub fn of(message: &'a [u8], offset: u32, header: Header) -> Self {
        let rest = &message[offset as usize..];
        Self { header, offset, payload: &rest[..rest.len().min(FRAGMENT_PAYLOAD)] }
    }

    /// Writes header and payload to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = &self.header;
        out.extend_from_slice(&[VERSION, if header.is_compressed { COMPRESSED } else { 0 }]);
        out.extend_from_slice(&header.route.to_be_bytes());
        out.extend_from_slice(&header.epoch.to_be_bytes());
        out.extend_from_slice(&header.sequence.to_be_bytes());
        out.extend_from_slice(&header.taken.to_be_bytes());
        out.extend_from_slice(&header.length.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(self.payload);
    }

    /// Reads a fragment.
    ///
    /// # Errors
    /// [`WireError`] for anything that [`Fragment::encode`] does not write.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(WireError::Short(bytes.len()));
        };
        if head[0] != VERSION {
            return Err(WireError::Version(head[0]));
        }
        let unknown = head[1] & !COMPRESSED;
        if unknown != 0 {
            return Err(WireError::Flags(unknown));
        }
        let u32_at =
            |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let header = Header {
            route: u16::from_be_bytes([head[2], head[3]]),
            epoch: u32_at(4),
            sequence: u64::from(u32_at(8)) << 32 | u64::from(u32_at(12)),
            taken: u32_at(16),
            length: u32_at(20),
            is_compressed: head[1] & COMPRESSED != 0,
        };
        let offset = u32_at(24);
        // A fragment is full unless it is the last: so its place follows from its offset alone.
        let expected =
            header.length.checked_sub(offset).map(|rest| (rest as usize).min(FRAGMENT_PAYLOAD));
        let aligned = (offset as usize).is_multiple_of(FRAGMENT_PAYLOAD);
        let empty_tail = payload.is_empty() && offset > 0;
        if expected != Some(payload.len()) || !aligned || empty_tail {
            return Err(WireError::Extent {
                offset,
                payload: payload.len(),
                length: header.length,
            });
        }
        Ok(Self { header, offset, payload })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn header(sequence: u64, length: usize) -> Header {
        let length = u32::try_from(length).expect("test messages are small");
        Header {
            route: 7,
            epoch: 0xDEAD_BEEF,
            sequence,
            taken: 1500,
            length,
            is_compressed: sequence.is_multiple_of(2),
        }
    }

    #[test]
    fn a_fragment_is_read_as_it_was_written() {
        let message = vec![5; FRAGMENT_PAYLOAD + 3];
        for (offset, sequence) in [(0, 1 << 40), (FRAGMENT_PAYLOAD as u32, (1 << 40) + 1)] {
            let fragment = Fragment::of(&message, offset, header(sequence, message.len()));
            let mut bytes = Vec::new();
            fragment.encode(&mut bytes);
            assert_eq!(bytes.len(), HEADER_LEN + fragment.payload.len());
            assert_eq!(Fragment::decode(&bytes), Ok(fragment));
        }
    }

    #[test]
    fn a_part_that_does_not_fit_its_message_is_refused() {
        let mut bytes = Vec::new();
        Fragment::of(b"abc", 0, header(1, 3)).encode(&mut bytes);
        assert_eq!(
            Fragment::decode(&bytes[..HEADER_LEN - 1]),
            Err(WireError::Short(HEADER_LEN - 1))
        );
        bytes.push(b'd');
        assert_eq!(
            Fragment::decode(&bytes),
            Err(WireError::Extent { offset: 0, payload: 4, length: 3 })
        );
        bytes[0] = 9;
        assert_eq!(Fragment::decode(&bytes), Err(WireError::Version(9)));
    }

    #[test]
    fn unknown_flags_are_refused_by_name() {
        let mut bytes = Vec::new();
        Fragment::of(b"abc", 0, header(2, 3)).encode(&mut bytes);
        assert_eq!(bytes[1], COMPRESSED);
        bytes[1] |= 0b1000_0010;
        let refused = Fragment::decode(&bytes);
        assert_eq!(refused, Err(WireError::Flags(0b1000_0010)));
        let text = refused.map_err(|error| error.to_string());
        assert_eq!(text, Err("fragment flags 0b10000010 are not known".to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = bytes;
            let _ = Fragment::decode(&bytes);
            if let [version, flags, ..] = &mut bytes[..] {
                *version = VERSION;
                *flags &= COMPRESSED;
            }
            if let Ok(fragment) = Fragment::decode(&bytes) {
                prop_assert!(fragment.offset as usize + fragment.payload.len() <= fragment.header.length as usize);
            }
        }
    }
}
