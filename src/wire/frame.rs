//! Link frames: how the datagrams of a session travel between two rovers.
//!
//! A frame is one UDP datagram. Its first byte lies outside of what RFC 7983 and RFC 9443 give to
//! STUN, DTLS, TURN, RTP and QUIC. All integers are big endian:
//!
//! ```text
//!  0       1       2               4               6               8
//! +-------+-------+-------------------------------+---------------+
//! | mark  | flags | session                       | path          |
//! +-------+-------+-------------------------------+---------------+
//! | number of the frame on this path              | time of …     |
//! +-----------------------------------------------+---------------+
//! | … sending, µs | sections …                                    |
//! +---------------+-----------------------------------------------+
//! | tag (16 bytes)                                                |
//! +---------------------------------------------------------------+
//!
//! data      1 | lane | sequence (4) | length (2) | segment
//! ack       2 | lane | next (4) | bytes (1) | bits: the first is for `next` + 1
//! report    3 | path (2) | highest (6) | age, µs (4) | received (4) | reordering, µs (4)
//! ```
//!
//! A segment of lane 0 is a datagram. One of another lane is a piece of the stream of its datagrams,
//! each with its length (2) before it. `session` and `path` are the sender's; with the number they are the nonce of the tag, which
//! covers everything before it. `next` is the lowest sequence that is missing. A report is about
//! a path of the other side: the highest number that came by it and how long ago, how many came,
//! and by how much one was late that came after a higher one.

use super::WireError;

/// First byte of every link frame, and with it the version of the format.
pub const FRAME_MARK: u8 = 10;

/// Bytes before the sections.
pub const FRAME_HEADER_LEN: usize = 18;

/// Bytes of the tag at the end.
pub const TAG_LEN: usize = 16;

/// Bytes of a frame at most: with UDP and IPv6 before it, what every link has to carry (RFC 8200 §5).
pub const MAX_FRAME_LEN: usize = 1232;

/// Bytes of a data section before its segment.
pub const DATA_OVERHEAD: usize = 8;

/// Bytes of an ack section before its bits.
pub const ACK_OVERHEAD: usize = 7;

/// Bytes of bits in one ack section at most: 1,024 segments.
pub const MAX_ACK_BITS: usize = 128;

/// Bytes of a report section.
pub const REPORT_LEN: usize = 21;

const WANTS_ANSWER: u8 = 1;
const DATA: u8 = 1;
const ACK: u8 = 2;
const REPORT: u8 = 3;

/// What stands before the sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Is the receiver to report at once, on the same path?
    pub wants_answer: bool,
    /// Which session, by the name that both derived for the sender's direction.
    pub session: u32,
    /// The sender's number of the path.
    pub path: u16,
    /// Number of the frame on this path, below 2⁴⁸.
    pub number: u64,
    /// The sender's clock, µs, wrapping.
    pub sent: u32,
}

/// One part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section<'a> {
    /// A segment of a lane.
    Data {
        /// The lane.
        lane: u8,
        /// Its place in the lane.
        sequence: u32,
        /// The segment.
        segment: &'a [u8],
    },
    /// What arrived of a lane.
    Ack {
        /// The lane.
        lane: u8,
        /// The lowest sequence that is missing.
        next: u32,
        /// Bit i (the lowest of a byte first) tells whether `next` + 1 + i is there.
        bits: &'a [u8],
    },
    /// What arrived by a path of the other side's.
    Report(PathReport),
}

/// What arrived by a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathReport {
    /// The other side's number of the path.
    pub path: u16,
    /// Highest number of a frame that came by it, below 2⁴⁸.
    pub highest: u64,
    /// Since that came, µs, saturating.
    pub age: u32,
    /// Frames that came by it, wrapping.
    pub received: u32,
    /// By how much a frame came later than a higher one lately, µs, saturating.
    pub reordering: u32,
}

impl FrameHeader {
    /// Writes the header to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[FRAME_MARK, if self.wants_answer { WANTS_ANSWER } else { 0 }]);
        out.extend_from_slice(&self.session.to_be_bytes());
        out.extend_from_slice(&self.path.to_be_bytes());
        out.extend_from_slice(&self.number.to_be_bytes()[2..]);
        out.extend_from_slice(&self.sent.to_be_bytes());
    }

    /// Reads a frame: its header and its sections. The tag is still to be checked.
    ///
    /// # Errors
    /// [`WireError`] if the bytes are too few or no frame of this version.
    pub fn decode(frame: &[u8]) -> Result<(Self, Sections<'_>), WireError> {
        const LEAST: usize = FRAME_HEADER_LEN + TAG_LEN;
        if frame.len() < LEAST {
            return Err(WireError::ShortFrame(frame.len()));
        }
        if frame[0] != FRAME_MARK {
            return Err(WireError::FrameVersion(frame[0]));
        }
        let mut reader = Reader(&frame[1..FRAME_HEADER_LEN]);
        let header = Self {
            wants_answer: reader.uint(1).unwrap_or(0) & u64::from(WANTS_ANSWER) != 0,
            session: reader.u32().unwrap_or(0),
            path: reader.u16().unwrap_or(0),
            number: reader.uint(6).unwrap_or(0),
            sent: reader.u32().unwrap_or(0),
        };
        Ok((header, Sections(Reader(&frame[FRAME_HEADER_LEN..frame.len() - TAG_LEN]))))
    }
}

impl Section<'_> {
    /// Writes the section to the end of `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Data { lane, sequence, segment } => {
                let length = u16::try_from(segment.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&[DATA, *lane]);
                out.extend_from_slice(&sequence.to_be_bytes());
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&segment[..length.into()]);
            }
            Self::Ack { lane, next, bits } => {
                let bits = &bits[..bits.len().min(MAX_ACK_BITS)];
                out.extend_from_slice(&[ACK, *lane]);
                out.extend_from_slice(&next.to_be_bytes());
                out.push(bits.len() as u8);
                out.extend_from_slice(bits);
            }
            Self::Report(report) => {
                out.push(REPORT);
                out.extend_from_slice(&report.path.to_be_bytes());
                out.extend_from_slice(&report.highest.to_be_bytes()[2..]);
                out.extend_from_slice(&report.age.to_be_bytes());
                out.extend_from_slice(&report.received.to_be_bytes());
                out.extend_from_slice(&report.reordering.to_be_bytes());
            }
        }
    }
}

/// The sections of a frame; ends after the first error.
#[derive(Debug, Clone)]
pub struct Sections<'a>(Reader<'a>);

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.0.is_empty() {
            return None;
        }
        let left = self.0.0.len();
        let section = self.0.section();
        if section.is_none() {
            self.0 = Reader(&[]);
        }
        Some(section.ok_or(WireError::Section(left)))
    }
}

/// Takes bytes from the front; `None` where there are too few.
#[derive(Debug, Clone)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn section(&mut self) -> Option<Section<'a>> {
        Some(match self.uint(1)? as u8 {
            DATA => {
                let (lane, sequence, length) = (self.u8()?, self.u32()?, self.u16()?);
                Section::Data { lane, sequence, segment: self.bytes(length.into())? }
            }
            ACK => {
                let (lane, next, length) = (self.u8()?, self.u32()?, self.u8()?);
                if usize::from(length) > MAX_ACK_BITS {
                    return None;
                }
                Section::Ack { lane, next, bits: self.bytes(length.into())? }
            }
            REPORT => Section::Report(PathReport {
                path: self.u16()?,
                highest: self.uint(6)?,
                age: self.u32()?,
                received: self.u32()?,
                reordering: self.u32()?,
            }),
            _ => return None,
        })
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn uint(&mut self, count: usize) -> Option<u64> {
        Some(self.bytes(count)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn u8(&mut self) -> Option<u8> {
        self.uint(1).map(|value| value as u8)
    }

    fn u16(&mut self) -> Option<u16> {
        self.uint(2).map(|value| value as u16)
    }

    fn u32(&mut self) -> Option<u32> {
        self.uint(4).map(|value| value as u32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = FrameHeader> {
        (any::<bool>(), any::<u32>(), any::<u16>(), 0..1u64 << 48, any::<u32>()).prop_map(
            |(wants_answer, session, path, number, sent)| FrameHeader {
                wants_answer,
                session,
                path,
                number,
                sent,
            },
        )
    }

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(
            header in headers(),
            segment in proptest::collection::vec(any::<u8>(), 0..1100),
            bits in proptest::collection::vec(any::<u8>(), 0..=MAX_ACK_BITS),
            lane in any::<u8>(),
            sequence in any::<u32>(),
            highest in 0..1u64 << 48,
        ) {
            let report = PathReport { path: 7, highest, age: 1, received: 2, reordering: 3 };
            let sections = [
                Section::Data { lane, sequence, segment: &segment },
                Section::Ack { lane, next: sequence, bits: &bits },
                Section::Report(report),
            ];
            let mut frame = Vec::new();
            header.encode(&mut frame);
            prop_assert_eq!(frame.len(), FRAME_HEADER_LEN);
            for section in sections {
                section.encode(&mut frame);
            }
            let expected = FRAME_HEADER_LEN + DATA_OVERHEAD + segment.len()
                + ACK_OVERHEAD + bits.len() + REPORT_LEN;
            prop_assert_eq!(frame.len(), expected);
            frame.extend_from_slice(&[0; TAG_LEN]);
            let (read, found) = FrameHeader::decode(&frame).expect("it was written");
            prop_assert_eq!(read, header);
            let found: Result<Vec<_>, _> = found.collect();
            prop_assert_eq!(found.expect("they were written"), sections.to_vec());
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), marked in any::<bool>()) {
            if marked && let Some(first) = bytes.first_mut() {
                *first = FRAME_MARK;
            }
            if let Ok((_, sections)) = FrameHeader::decode(&bytes) {
                prop_assert!(sections.count() <= bytes.len());
            }
        }
    }

    #[test]
    fn a_section_that_is_cut_short_is_an_error_and_the_last() {
        let mut frame = Vec::new();
        FrameHeader { wants_answer: false, session: 1, path: 1, number: 1, sent: 1 }
            .encode(&mut frame);
        frame.extend_from_slice(&[DATA, 0, 0, 0, 0, 1, 0, 9, 1, 2]);
        frame.extend_from_slice(&[0; TAG_LEN]);
        let (_, sections) = FrameHeader::decode(&frame).expect("the header is whole");
        let found: Vec<_> = sections.collect();
        assert_eq!(found, [Err(WireError::Section(10))]);
    }
}
