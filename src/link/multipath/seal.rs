//! Link frames are from the peer and new, or they change nothing: the tag of each frame, and the
//! window that takes each number once.
//!
//! The keys come from 32 random bytes of each side, exchanged over DTLS and bound to both
//! certificates. One key for each direction; the tag is that of AES-128-GCM over nothing, with the
//! frame as associated data.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

use crate::wire::{FrameHeader, TAG_LEN};

/// Binds the keys to their use.
const LABEL: &[u8] = b"rover_link frames v1";

/// AES-128 key and session name of one direction, bytes.
const SECRET_LEN: usize = 16 + 4;

/// One side's contribution to the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::link) struct Share<'a> {
    /// Random, used for this session only.
    pub(in crate::link) random: [u8; 32],
    /// SHA-256 of its certificate.
    pub(in crate::link) fingerprint: &'a [u8],
}

/// Key of one direction.
pub(super) struct FrameKey {
    key: LessSafeKey,
    session: u32,
}

/// Both keys of a session: for what leaves, for what comes.
pub(in crate::link) struct FrameKeys {
    pub(super) outgoing: FrameKey,
    pub(super) incoming: FrameKey,
}

impl FrameKeys {
    /// Derives the keys (RFC 5869); `None` where the crypto library refuses.
    pub(in crate::link) fn derive(own: &Share<'_>, peer: &Share<'_>) -> Option<Self> {
        Some(Self {
            outgoing: FrameKey::derive(own, peer).ok()?,
            incoming: FrameKey::derive(peer, own).ok()?,
        })
    }
}

impl FrameKey {
    fn derive(sender: &Share<'_>, receiver: &Share<'_>) -> Result<Self, Unspecified> {
        let secret = [sender.random, receiver.random].concat();
        let info = [LABEL, sender.fingerprint, receiver.fingerprint];
        let mut bytes = [0; SECRET_LEN];
        Salt::new(HKDF_SHA256, LABEL)
            .extract(&secret)
            .expand(&info, Length(SECRET_LEN))?
            .fill(&mut bytes)?;
        let (key, session) = bytes.split_at(16);
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key)?),
            session: session.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)),
        })
    }

    /// The name of the session in this direction.
    pub(super) fn session(&self) -> u32 {
        self.session
    }

    /// Adds the tag to a frame that is complete but for it.
    pub(super) fn seal(&self, header: &FrameHeader, frame: &mut Vec<u8>) {
        let tag = self.key.seal_in_place_separate_tag(nonce(header), Aad::from(&*frame), &mut []);
        // Fails for lengths only that no frame has; a frame without its tag is passed over.
        if let Ok(tag) = tag {
            frame.extend_from_slice(tag.as_ref());
        }
    }

    /// Did the peer make this frame?
    pub(super) fn is_genuine(&self, header: &FrameHeader, frame: &[u8]) -> bool {
        let Some((body, tag)) = frame.split_last_chunk::<TAG_LEN>() else { return false };
        self.key.open_in_place(nonce(header), Aad::from(body), &mut tag.clone()).is_ok()
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn nonce(header: &FrameHeader) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&header.session.to_be_bytes());
    bytes[4..6].copy_from_slice(&header.path.to_be_bytes());
    bytes[6..].copy_from_slice(&header.number.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(bytes)
}

/// Numbers that may be late, behind the highest.
const WINDOW: u64 = 4_096;
const WORDS: usize = (WINDOW / 64) as usize;

/// Takes each number once (RFC 6479); what is too old to tell is refused.
#[derive(Debug, Clone)]
pub(super) struct ReplayWindow {
    /// One above the highest that was taken.
    end: u64,
    seen: [u64; WORDS],
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { end: 0, seen: [0; WORDS] }
    }
}

impl ReplayWindow {
    /// Takes a number; `false` if it was taken before, or may have been.
    pub(super) fn take(&mut self, number: u64) -> bool {
        if number >= self.end {
            let first = self.end.max((number + 1).saturating_sub(WINDOW));
            for skipped in first..=number {
                self.clear(skipped);
            }
            self.end = number + 1;
        } else if number + WINDOW < self.end {
            return false;
        }
        let (word, bit) = place(number);
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }

    fn clear(&mut self, number: u64) {
        let (word, bit) = place(number);
        self.seen[word] &= !bit;
    }
}

fn place(number: u64) -> (usize, u64) {
    ((number / 64) as usize % WORDS, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(byte: u8) -> Share<'static> {
        Share { random: [byte; 32], fingerprint: if byte == 1 { &[1; 32] } else { &[2; 32] } }
    }

    fn header(number: u64, session: u32) -> FrameHeader {
        FrameHeader { wants_answer: false, session, path: 1, number, sent: 0 }
    }

    fn frame(keys: &FrameKeys, number: u64) -> (FrameHeader, Vec<u8>) {
        let header = header(number, keys.outgoing.session());
        let mut frame = Vec::new();
        header.encode(&mut frame);
        frame.extend_from_slice(b"any sections");
        keys.outgoing.seal(&header, &mut frame);
        (header, frame)
    }

    #[test]
    fn a_frame_is_genuine_for_the_peer_and_for_nobody_else() {
        let a = FrameKeys::derive(&share(1), &share(2)).expect("keys");
        let b = FrameKeys::derive(&share(2), &share(1)).expect("keys");
        let c = FrameKeys::derive(&share(3), &share(1)).expect("keys");
        let (header, frame) = frame(&a, 1);
        assert_eq!(b.incoming.session(), header.session);
        assert!(b.incoming.is_genuine(&header, &frame));
        assert!(!a.incoming.is_genuine(&header, &frame), "sent back to its sender");
        assert!(!c.incoming.is_genuine(&header, &frame), "another session");
    }

    #[test]
    fn a_frame_with_any_bit_changed_is_not_genuine() {
        let a = FrameKeys::derive(&share(1), &share(2)).expect("keys");
        let b = FrameKeys::derive(&share(2), &share(1)).expect("keys");
        let (_, frame) = frame(&a, 1);
        for bit in 0..frame.len() * 8 {
            let mut changed = frame.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok((header, _)) = FrameHeader::decode(&changed) else { continue };
            assert!(!b.incoming.is_genuine(&header, &changed), "bit {bit}");
        }
    }

    #[test]
    fn each_number_is_taken_once_in_any_order() {
        let mut window = ReplayWindow::default();
        for number in [0, 5, 3, 4_000, 4, 70] {
            assert!(window.take(number), "{number}");
            assert!(!window.take(number), "{number} again");
        }
    }

    #[test]
    fn what_is_older_than_the_window_is_refused() {
        let mut window = ReplayWindow::default();
        assert!(window.take(10_000));
        assert!(window.take(10_000 - WINDOW + 1));
        assert!(!window.take(10_000 - WINDOW - 1));
        assert!(window.take(1 << 47), "a leap forgets all");
        assert!(!window.take(10_001));
    }
}
