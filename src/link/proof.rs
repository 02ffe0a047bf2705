//! The proof that a peer knows the fleet key, bound to both certificates of this very session: a
//! signaling server that puts its own certificate between two rovers cannot make one.

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use uuid::Uuid;

/// Binds the proof to its use, so that no other protocol under the same key can be made to give it.
const LABEL: &[u8] = b"rover_link hello v1";

/// The secret that all rovers of a fleet share.
#[derive(Clone)]
pub struct FleetKey(hmac::Key);

impl FleetKey {
    /// A key from its bytes.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl std::fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FleetKey(hidden)")
    }
}

/// One side of a session, as both sides see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party<'a> {
    pub(crate) rover_id: &'a str,
    pub(crate) instance: Uuid,
    /// SHA-256 of the DTLS certificate in use.
    pub(crate) fingerprint: &'a [u8],
}

/// What `sender` says to `receiver`: HMAC-SHA256 in lower-case hexadecimal digits.
pub(crate) fn prove(key: &FleetKey, sender: &Party<'_>, receiver: &Party<'_>) -> String {
    HEXLOWER.encode(hmac::sign(&key.0, &transcript(sender, receiver)).as_ref())
}

/// Is this what `sender` has to say to `receiver`? Takes the same time wherever it differs.
pub(crate) fn is_proven(
    key: &FleetKey,
    sender: &Party<'_>,
    receiver: &Party<'_>,
    proof: &str,
) -> bool {
    HEXLOWER
        .decode(proof.as_bytes())
        .is_ok_and(|tag| hmac::verify(&key.0, &transcript(sender, receiver), &tag).is_ok())
}

/// Each part with its length, so that no two sets of parts give the same bytes.
fn transcript(sender: &Party<'_>, receiver: &Party<'_>) -> Vec<u8> {
    let parts = [
        LABEL,
        sender.rover_id.as_bytes(),
        receiver.rover_id.as_bytes(),
        sender.instance.as_bytes(),
        receiver.instance.as_bytes(),
        sender.fingerprint,
        receiver.fingerprint,
    ];
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Party<'_> =
        Party { rover_id: "a", instance: Uuid::from_u128(1), fingerprint: &[1; 32] };
    const B: Party<'_> =
        Party { rover_id: "b", instance: Uuid::from_u128(2), fingerprint: &[2; 32] };

    #[test]
    fn the_proof_of_the_same_key_and_session_holds() {
        let proof = prove(&FleetKey::new(b"secret"), &A, &B);
        assert!(is_proven(&FleetKey::new(b"secret"), &A, &B, &proof));
    }

    #[test]
    fn a_proof_holds_for_nothing_else() {
        let key = FleetKey::new(b"secret");
        let proof = prove(&key, &A, &B);
        let swapped_certificate = Party { fingerprint: &[3; 32], ..B };
        let other_id = Party { rover_id: "c", ..A };
        let restarted = Party { instance: Uuid::from_u128(3), ..A };
        assert!(!is_proven(&FleetKey::new(b"other"), &A, &B, &proof), "another key");
        assert!(!is_proven(&key, &A, &swapped_certificate, &proof), "another certificate");
        assert!(!is_proven(&key, &other_id, &B, &proof), "another rover");
        assert!(!is_proven(&key, &restarted, &B, &proof), "another instance");
        assert!(!is_proven(&key, &B, &A, &proof), "sent back to its sender");
        assert!(!is_proven(&key, &A, &B, ""), "nothing");
        assert!(!is_proven(&key, &A, &B, "not hexadecimal"), "garbage");
    }

    #[test]
    fn parts_cannot_lend_each_other_bytes() {
        let left = Party { rover_id: "ab", ..A };
        let right = Party { rover_id: "c", ..B };
        let moved_left = Party { rover_id: "a", ..A };
        let moved_right = Party { rover_id: "bc", ..B };
        assert_ne!(transcript(&left, &right), transcript(&moved_left, &moved_right));
    }
}
