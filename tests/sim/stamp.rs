//! What a message carries so that its receiver can judge its journey.

use std::time::{Duration, Instant};

use bytes::Bytes;

/// Bytes of a stamp; the rest of a message is padding.
pub(crate) const LENGTH: usize = 16;

/// A message of `size` bytes.
pub(crate) fn message(sequence: u64, sent: Instant, start: Instant, size: usize) -> Bytes {
    let since = u64::try_from((sent - start).as_nanos()).expect("a run is shorter than 500 years");
    let mut data = vec![0; size.max(LENGTH)];
    data[..8].copy_from_slice(&sequence.to_le_bytes());
    data[8..LENGTH].copy_from_slice(&since.to_le_bytes());
    data.into()
}

/// Sequence of a message, and when it was sent.
pub(crate) fn read(data: &[u8], start: Instant) -> Option<(u64, Instant)> {
    let number = |from: usize| {
        let bytes = data.get(from..from + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("a slice of eight bytes")))
    };
    Some((number(0)?, start + Duration::from_nanos(number(8)?)))
}
