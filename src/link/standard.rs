//! A session with a standard WebRTC peer: who may come in without a hello.
//!
//! Such a peer knows no proof of the fleet key. What it can show is its certificate, which the
//! session description named and DTLS has checked.

use std::time::Instant;

use super::identity::Identity;
use super::incoming::Progress;
use super::outbox::Outbox;
use super::session::{Session, SessionOutput};

/// The epoch of a standard peer: its sequences count within one session.
const EPOCH: u32 = 0;

impl Session {
    /// Lets a standard peer in, or not, once its channel is open.
    pub(super) fn admit_standard(
        &mut self,
        identity: &Identity,
        outbox: &Outbox,
        progress: &mut Progress,
        now: Instant,
    ) -> SessionOutput {
        if let Err(reason) = self.check_standard(identity) {
            return SessionOutput::Refused(reason);
        }
        self.lanes.go_bare(now);
        progress.enter_anew(EPOCH);
        // Where a key is configured, the pinned certificate stands in for its proof.
        self.set_proven(identity.fleet_key.is_some(), outbox, now);
        SessionOutput::Proven
    }

    fn check_standard(&mut self, identity: &Identity) -> Result<(), String> {
        let (_, shown) = self.check_certificate(identity)?;
        if identity.fleet_key.is_some() && !identity.peer_fingerprints.contains_key(&self.peer) {
            return Err(format!(
                "it is a standard WebRTC peer, which cannot prove the fleet key; pin its \
                 certificate in peer_fingerprints to let it in; it shows {shown}"
            ));
        }
        Ok(())
    }
}
