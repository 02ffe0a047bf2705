//! TURN servers that the operator offers to all members, with credentials that run out: the scheme by
//! which a TURN server and whoever hands out its credentials share a secret
//! (draft-uberti-behave-turn-rest-00; coturn calls it `use-auth-secret`).

use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use data_encoding::BASE64;

use super::id::Id;
use super::message::IceServer;

/// How long a credential is good unless set otherwise. Members get a new one after half of it.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// TURN servers and what it takes to make credentials for them.
#[derive(Clone)]
pub struct IceOffer {
    urls: Vec<String>,
    secret: hmac::Key,
    lifetime: Duration,
    /// One moment by both clocks: ours, and that of the world, s since 1970.
    moment: (Instant, u64),
}

impl IceOffer {
    /// Servers with these `turn:` URLs, which all know the secret. `unix_time` is the time of the world
    /// now, s since 1970.
    pub fn new(
        urls: Vec<String>,
        secret: &[u8],
        lifetime: Duration,
        (now, unix_time): (Instant, u64),
    ) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        Self { urls, secret, lifetime, moment: (now, unix_time) }
    }

    /// The servers, with a credential for this member.
    pub(super) fn for_member(&self, rover_id: &Id, now: Instant) -> IceServer {
        let (then, unix_time) = self.moment;
        let passed = now.saturating_duration_since(then);
        let end = unix_time + (passed + self.lifetime).as_secs();
        let username = format!("{end}:{rover_id}");
        let credential = BASE64.encode(hmac::sign(&self.secret, username.as_bytes()).as_ref());
        IceServer { urls: self.urls.clone(), username, credential }
    }

    /// How long a member may go without a new credential.
    pub(super) fn renewal(&self) -> Duration {
        self.lifetime / 2
    }
}

/// Without the secret.
impl fmt::Debug for IceOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceOffer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_names_its_end_and_is_signed_with_the_secret() {
        let now = Instant::now();
        let (urls, lifetime) = (vec!["turn:192.0.2.1".to_owned()], Duration::from_secs(600));
        let offer = IceOffer::new(urls.clone(), b"north", lifetime, (now, 1_000));
        let server = offer.for_member(&"rover_a".parse().unwrap(), now + Duration::from_secs(50));
        assert_eq!(server.urls, urls);
        assert_eq!(server.username, "1650:rover_a");
        // printf 1650:rover_a | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(server.credential, "ling5yuvfiT+wDfqqRhD13YEoV0=");
        assert!(!format!("{offer:?}").contains("north"));
    }
}
