//! Fragments: the first of a message tells what it is, those after it where they belong; and cutting
//! a message into them.

/// Version of the framing; the first byte of each fragment.
pub const VERSION: u8 = 1;

/// Flag: the message is one frame of Zstandard (RFC 8878) that tells the size of its content.
const COMPRESSED: u8 = 1;
/// Flag: it goes on with a message.
const CONTINUED: u8 = 2;
/// Flag: the header is followed by the message's [`Origin`].
const ORIGIN: u8 = 4;

/// Bytes before the payload of the first fragment of a message, and of a later one.
const FIRST_HEADER_LEN: usize = 24;
const REST_HEADER_LEN: usize = 12;
/// Bytes of an [`Origin`].
const ORIGIN_LEN: usize = 24;

/// Bytes of a fragment at most where its datagram has to fit a link frame. With SCTP (28) and DTLS
/// 1.2 (37) it makes a datagram of 1093 bytes, below the 1150 that str0m may send: a larger one would
/// be cut again by SCTP. A link frame that carries it (42 more) has room for the acknowledgements of
/// three lanes and reports on two paths (63).
pub const FRAGMENT_LEN: usize = 1028;

/// Bytes that are no fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Shorter than its header.
    #[error("{0} bytes are too few for the header of a fragment")]
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
    /// The first fragment does not fit the length of its message.
    #[error("{payload} bytes do not begin a message of {length}")]
    Extent {
        /// Its bytes.
        payload: usize,
        /// Length of the message.
        length: u32,
    },
    /// A later fragment without a place or without bytes.
    #[error("{payload} bytes at offset {offset} continue no message")]
    Continuation {
        /// Where it would start.
        offset: u32,
        /// Its bytes.
        payload: usize,
    },
}

/// What the first fragment tells about its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
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
    /// Who published it, where the receiver has to know.
    pub origin: Option<Origin>,
}

/// Who published a message at its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Identity of the publisher; no other one ever has the same.
    pub publisher: u128,
    /// Number of the message at its publisher, from 1; 0 where there is none.
    pub number: u64,
}

/// One part of a message. The parts of one cross in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The sender's number of the topic.
    pub route: u16,
    /// Which part it is.
    pub place: Place,
    /// The part: as many bytes as the sender likes, one at least unless the message has none.
    pub payload: &'a [u8],
}

/// Which part of a message a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first one.
    First(Header),
    /// A later one.
    Rest {
        /// The lower half of the number of the message.
        sequence: u32,
        /// Bytes of the message before it.
        offset: u32,
    },
}

impl<'a> Fragment<'a> {
    /// The fragment of `message` that starts at `offset` and has at most `length` bytes, header
    /// included.
    ///
    /// # Panics
    /// If `offset` is beyond the message.
    pub fn of(message: &'a [u8], offset: u32, route: u16, header: Header, length: usize) -> Self {
        let place = match offset {
            0 => Place::First(header),
            _ => Place::Rest { sequence: header.sequence as u32, offset },
        };
        let rest = &message[offset as usize..];
        let most = length.saturating_sub(place.header_len()).max(1);
        Self { route, place, payload: &rest[..rest.len().min(most)] }
    }

    /// Bytes that [`Fragment::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        self.place.header_len() + self.payload.len()
    }

    /// Writes header and payload to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let route = self.route.to_be_bytes();
        match &self.place {
            Place::First(header) => {
                out.extend_from_slice(&[VERSION, header.flags()]);
                out.extend_from_slice(&route);
                out.extend_from_slice(&header.epoch.to_be_bytes());
                out.extend_from_slice(&header.sequence.to_be_bytes());
                out.extend_from_slice(&header.taken.to_be_bytes());
                out.extend_from_slice(&header.length.to_be_bytes());
                if let Some(origin) = header.origin {
                    out.extend_from_slice(&origin.publisher.to_be_bytes());
                    out.extend_from_slice(&origin.number.to_be_bytes());
                }
            }
            Place::Rest { sequence, offset } => {
                out.extend_from_slice(&[VERSION, CONTINUED]);
                out.extend_from_slice(&route);
                out.extend_from_slice(&sequence.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
            }
        }
        out.extend_from_slice(self.payload);
    }

    /// Reads a fragment.
    ///
    /// # Errors
    /// [`WireError`] for anything that [`Fragment::encode`] does not write.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let Some((head, rest)) = bytes.split_first_chunk::<REST_HEADER_LEN>() else {
            return Err(WireError::Short(bytes.len()));
        };
        let [version, flags, route @ ..] = *head;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let u32_at = |at: usize| {
            let at: Option<&[u8; 4]> = bytes.get(at..).and_then(<[u8]>::first_chunk);
            at.map(|bytes| u32::from_be_bytes(*bytes))
        };
        let route = u16::from_be_bytes([route[0], route[1]]);
        let short = || WireError::Short(bytes.len());
        let word = |at: usize| u32_at(at).ok_or_else(short);
        if flags == CONTINUED {
            let (sequence, offset) = (word(4)?, word(8)?);
            if offset == 0 || rest.is_empty() {
                return Err(WireError::Continuation { offset, payload: rest.len() });
            }
            return Ok(Self { route, place: Place::Rest { sequence, offset }, payload: rest });
        }
        if flags & !(COMPRESSED | ORIGIN) != 0 {
            return Err(WireError::Flags(flags));
        }
        let payload = bytes.get(FIRST_HEADER_LEN..).ok_or_else(short)?;
        let (origin, payload) = if flags & ORIGIN == 0 {
            (None, payload)
        } else {
            let (origin, payload) = payload.split_first_chunk().ok_or_else(short)?;
            (Some(Origin::read(origin)), payload)
        };
        let header = Header {
            epoch: word(4)?,
            sequence: u64::from(word(8)?) << 32 | u64::from(word(12)?),
            taken: word(16)?,
            length: word(20)?,
            is_compressed: flags & COMPRESSED != 0,
            origin,
        };
        let is_too_long = payload.len() > header.length as usize;
        if is_too_long || (payload.is_empty() && header.length > 0) {
            return Err(WireError::Extent { payload: payload.len(), length: header.length });
        }
        Ok(Self { route, place: Place::First(header), payload })
    }
}

impl Header {
    fn flags(&self) -> u8 {
        let compressed = if self.is_compressed { COMPRESSED } else { 0 };
        compressed | if self.origin.is_some() { ORIGIN } else { 0 }
    }
}

impl Origin {
    fn read(bytes: &[u8; ORIGIN_LEN]) -> Self {
        let [publisher @ .., a, b, c, d, e, f, g, h] = *bytes;
        Self {
            publisher: u128::from_be_bytes(publisher),
            number: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        }
    }
}

impl Place {
    fn header_len(&self) -> usize {
        match self {
            Self::First(Header { origin: Some(_), .. }) => FIRST_HEADER_LEN + ORIGIN_LEN,
            Self::First(_) => FIRST_HEADER_LEN,
            Self::Rest { .. } => REST_HEADER_LEN,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(sequence: u64, length: usize) -> Header {
        let length = u32::try_from(length).expect("test messages are small");
        let is_compressed = sequence.is_multiple_of(2);
        let origin = Origin { publisher: u128::MAX - 7, number: sequence };
        let origin = sequence.is_multiple_of(3).then_some(origin);
        Header { epoch: 0xDEAD_BEEF, sequence, taken: 1500, length, is_compressed, origin }
    }

    #[test]
    fn a_fragment_is_read_as_it_was_written() {
        let message = vec![5; FRAGMENT_LEN + 3];
        for (offset, sequence) in [(0, 1 << 40), (0, 3 << 40), (1_000, (1 << 40) + 1)] {
            let header = header(sequence, message.len());
            let fragment = Fragment::of(&message, offset, 7, header, FRAGMENT_LEN);
            let mut bytes = Vec::new();
            fragment.encode(&mut bytes);
            assert_eq!(bytes.len(), fragment.encoded_len());
            assert!(bytes.len() <= FRAGMENT_LEN);
            assert_eq!(Fragment::decode(&bytes), Ok(fragment));
        }
    }

    #[test]
    fn a_part_that_does_not_fit_its_message_is_refused() {
        let mut bytes = Vec::new();
        Fragment::of(b"abc", 0, 7, header(1, 3), FRAGMENT_LEN).encode(&mut bytes);
        let cut = FIRST_HEADER_LEN - 1;
        assert_eq!(Fragment::decode(&bytes[..cut]), Err(WireError::Short(cut)));
        bytes.push(b'd');
        assert_eq!(Fragment::decode(&bytes), Err(WireError::Extent { payload: 4, length: 3 }));
        bytes[1] |= ORIGIN;
        let length = bytes.len();
        assert_eq!(Fragment::decode(&bytes), Err(WireError::Short(length)));
        bytes[1] = 0;
        bytes[0] = 9;
        assert_eq!(Fragment::decode(&bytes), Err(WireError::Version(9)));
        bytes.clear();
        Fragment::of(b"abc", 2, 7, header(1, 3), FRAGMENT_LEN).encode(&mut bytes);
        bytes.pop();
        let refused = WireError::Continuation { offset: 2, payload: 0 };
        assert_eq!(Fragment::decode(&bytes), Err(refused));
    }

    #[test]
    fn unknown_flags_are_refused_by_name() {
        let mut bytes = Vec::new();
        Fragment::of(b"abc", 0, 7, header(2, 3), FRAGMENT_LEN).encode(&mut bytes);
        assert_eq!(bytes[1], COMPRESSED);
        bytes[1] |= 0b1000_0000;
        let refused = Fragment::decode(&bytes);
        assert_eq!(refused, Err(WireError::Flags(0b1000_0001)));
        let text = refused.map_err(|error| error.to_string());
        assert_eq!(text, Err("fragment flags 0b10000001 are not known".to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = bytes;
            let _ = Fragment::decode(&bytes);
            if let [version, flags, ..] = &mut bytes[..] {
                *version = VERSION;
                *flags &= COMPRESSED | CONTINUED | ORIGIN;
            }
            if let Ok(fragment) = Fragment::decode(&bytes)
                && let Place::First(header) = fragment.place
            {
                prop_assert!(fragment.payload.len() <= header.length as usize);
            }
        }
    }
}
