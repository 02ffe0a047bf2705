//! Making messages smaller and whole again: Zstandard (RFC 8878), one frame for each message.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::get_frame_content_size;

/// Smaller messages are not tried, bytes: with header, SCTP and DTLS a datagram of them is of about
/// the same size.
const MIN_SIZE: usize = 256;

/// Of ten parts, so many have to suffice: what saves less is not worth the receiver's time.
const PAYS_BELOW: usize = 9;

/// Tuned for a small computer: on a point cloud level 3 saves one percent more and takes nearly twice
/// as long, and level 7 no more than that in five times as long. It gives up soon on what is noisy.
const LEVEL: i32 = 1;

/// Messages of a topic in a row that do not pay before the topic is tried more seldom.
const TRIES: u32 = 4;

/// Messages of such a topic that go as they are between two tries.
const PAUSE: u32 = 32;

/// Why a message cannot be made whole again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CompressionError {
    /// It is larger than the receiver allows.
    #[error("{size} bytes when decompressed, {limit} are allowed")]
    Oversize {
        /// Bytes, as it says itself.
        size: u64,
        /// Bytes that are allowed.
        limit: u32,
    },
    /// It is no frame of Zstandard that tells its size and holds so much.
    #[error("it cannot be decompressed")]
    Damaged,
}

/// Makes the messages of one topic smaller where that pays, and learns where it does not.
#[derive(Debug, Default)]
pub(super) struct Habit {
    /// Messages in a row that did not pay.
    in_vain: u32,
    /// Messages to go as they are before the next try.
    pause: u32,
}

impl Habit {
    /// The message as one frame, or `None` where it goes as it is.
    pub(super) fn compress(
        &mut self,
        compressor: &mut Compressor<'_>,
        data: &[u8],
    ) -> Option<Vec<u8>> {
        if data.len() < MIN_SIZE {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        let compressed = compress(compressor, data);
        self.in_vain = if compressed.is_some() { 0 } else { self.in_vain + 1 };
        if self.in_vain >= TRIES {
            self.pause = PAUSE;
        }
        compressed
    }
}

/// What [`Habit::compress`] works with. `None` where memory is short.
pub(super) fn compressor() -> Option<Compressor<'static>> {
    Compressor::new(LEVEL).ok()
}

fn compress(compressor: &mut Compressor<'_>, data: &[u8]) -> Option<Vec<u8>> {
    // There is room for what pays, and it gives up when that is full.
    let mut compressed = Vec::with_capacity(data.len() / 10 * PAYS_BELOW);
    compressor.compress_to_buffer(data, &mut compressed).ok()?;
    // It may wait for long, and most of the room is not needed.
    compressed.shrink_to_fit();
    Some(compressed)
}

/// Makes a message whole again. The frame comes from the network: it has to tell a size of at most
/// `limit` bytes, and gets no more room than that, whatever it goes on to say.
pub(super) fn decompress(frame: &[u8], limit: u32) -> Result<Vec<u8>, CompressionError> {
    let size = content_size(frame).ok_or(CompressionError::Damaged)?;
    if size > u64::from(limit) {
        return Err(CompressionError::Oversize { size, limit });
    }
    let room = usize::try_from(size).map_err(|_| CompressionError::Damaged)?;
    let mut data = Vec::with_capacity(room);
    Decompressor::new()
        .and_then(|mut decompressor| decompressor.decompress_to_buffer(frame, &mut data))
        .map_err(|_| CompressionError::Damaged)?;
    Ok(data)
}

/// The size that a frame tells.
fn content_size(frame: &[u8]) -> Option<u64> {
    get_frame_content_size(frame).ok().flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u32 = 1 << 20;

    fn compressible(size: usize) -> Vec<u8> {
        (0..size).map(|at| (at / 50 % 251) as u8).collect()
    }

    fn incompressible(size: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        (0..size).map(|_| random.u8(..)).collect()
    }

    fn frame_of(data: &[u8]) -> Vec<u8> {
        compress(&mut compressor().unwrap(), data).unwrap()
    }

    #[test]
    fn a_message_comes_out_as_it_went_in_and_smaller_meanwhile() {
        let (mut compressor, mut habit) = (compressor().unwrap(), Habit::default());
        for size in [MIN_SIZE, 10_000, LIMIT as usize] {
            let data = compressible(size);
            let frame = habit.compress(&mut compressor, &data).unwrap();
            assert!(frame.len() < size / 2, "{} of {size}", frame.len());
            assert_eq!(decompress(&frame, LIMIT), Ok(data));
        }
    }

    #[test]
    fn what_is_small_or_saves_less_than_a_tenth_goes_as_it_is() {
        let mut compressor = compressor().unwrap();
        let mut pays = |data: &[u8]| Habit::default().compress(&mut compressor, data).is_some();
        assert!(!pays(&compressible(MIN_SIZE - 1)));
        assert!(!pays(&incompressible(100_000)));
        let saves = |percent: usize| {
            let mut data = incompressible(100_000);
            data[..percent * 1000].fill(0);
            data
        };
        assert!(!pays(&saves(8)));
        assert!(pays(&saves(12)));
    }

    #[test]
    fn a_topic_that_does_not_pay_is_tried_ever_and_again() {
        let (mut compressor, mut habit) = (compressor().unwrap(), Habit::default());
        let mut pays = |data: &[u8]| habit.compress(&mut compressor, data).is_some();
        let (good, bad) = (compressible(1000), incompressible(1000));
        for _ in 1..TRIES {
            assert!(!pays(&bad));
        }
        assert!(pays(&good), "not yet given up");
        for _ in 0..TRIES {
            assert!(!pays(&bad));
        }
        for _ in 0..PAUSE {
            assert!(!pays(&good), "not tried");
        }
        assert!(!pays(&bad), "tried, in vain again");
        for _ in 0..PAUSE {
            assert!(!pays(&good), "not tried");
        }
        assert!(pays(&good));
        assert!(pays(&good), "once it pays, all are tried");
    }

    #[test]
    fn a_message_larger_than_allowed_is_refused_before_anything_is_decompressed() {
        let frame = frame_of(&vec![0; 1 << 26]);
        let size = 1 << 26;
        assert_eq!(
            decompress(&frame, LIMIT),
            Err(CompressionError::Oversize { size, limit: LIMIT })
        );
    }

    #[test]
    fn a_frame_gets_no_more_room_than_it_asked_for() {
        let mut frame = frame_of(&vec![0; 1 << 16]);
        // Behind magic number and descriptor follows the size (RFC 8878 §3.1.1.1).
        assert_eq!(content_size(&frame), Some(1 << 16));
        let told = frame[5..].iter().position(|byte| *byte != 0).unwrap() + 5;
        frame[told] ^= 0x40;
        assert_ne!(content_size(&frame), Some(1 << 16));
        assert_eq!(decompress(&frame, LIMIT), Err(CompressionError::Damaged));

        let one_more = [frame_of(&[0; 1000]), frame_of(&[0; 1000])].concat();
        assert_eq!(decompress(&one_more, LIMIT), Err(CompressionError::Damaged));
    }

    #[test]
    fn a_frame_that_does_not_tell_its_size_is_refused() {
        let mut compressor = compressor().unwrap();
        compressor.include_contentsize(false).unwrap();
        let frame = compress(&mut compressor, &compressible(1000)).unwrap();
        assert_eq!(content_size(&frame), None);
        assert_eq!(decompress(&frame, LIMIT), Err(CompressionError::Damaged));
    }

    proptest! {
        #[test]
        fn any_message_comes_out_as_it_went_in(
            data in proptest::collection::vec(0..4_u8, MIN_SIZE..2_000),
        ) {
            prop_assert_eq!(decompress(&frame_of(&data), LIMIT), Ok(data));
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic_and_never_grow_beyond_the_limit(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            limit in 0..3_000_u32,
        ) {
            let mut frame = frame_of(&compressible(2_000));
            for (index, byte) in damage {
                let at = index.index(frame.len());
                frame[at] = byte;
            }
            let behind_magic = [&frame[..4], &noise[..]].concat();
            for bytes in [&noise, &behind_magic, &frame] {
                if let Ok(data) = decompress(bytes, limit) {
                    prop_assert!(data.len() <= limit as usize);
                }
            }
        }
    }
}
