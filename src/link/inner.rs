//! The connection of a further lane: a WebRTC session whose datagrams travel in the link frames of
//! another session and never touch the network themselves.
//!
//! It needs no ICE, and no signaling but two values that the other session's control channel
//! carries. Both sides have one virtual address each, and what the session's own ICE asks is
//! answered on the spot.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use str0m::channel::{ChannelId, SctpInitData};
use str0m::config::{DtlsVersion, Fingerprint};
use str0m::ice::{IceCreds, StunMessage};
use str0m::{Candidate, RtcConfig, RtcError};

use super::channels::agreed_configs;
use super::connection::Connection;
use super::transport::{Certificate, is_dtls, sha1_hmac};
use crate::config::Delivery;

/// Virtual addresses, of TEST-NET-1 (RFC 5737), the same on both sides: nothing is ever sent there.
const OWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 1);

/// ICE proves nothing here: the frames are authenticated, and so is DTLS by its fingerprint.
const USER: &str = "lane";
const PASSWORD: &str = "lanelanelanelanelanelane";

/// A check is answered before it could be sent again; asking seldom saves wake-ups.
const CHECK_PAUSE: Duration = Duration::from_secs(600);

/// Bytes of a datagram at most, all that str0m allows: frames are filled whatever it is, and the
/// larger it is, the less it costs.
const MTU: usize = 1500;

/// Bytes of a fragment at most: SCTP cuts it for three datagrams, for each of which str0m wants 88
/// bytes besides. Larger ones would cost hardly less, and delay what waits behind them.
pub(super) const FRAGMENT_LEN: usize = 3 * (MTU - 88);

/// Bytes of a datagram besides what it carries of a fragment: DTLS 1.2 (37) and SCTP (28).
const OVERHEAD: usize = 65;

/// Bytes that SCTP may hold. The window of the paths is what bounds what is under way.
const MAX_BUFFERED: usize = 1024 * 1024;

/// When all that was written has left, SCTP has nothing to do until the peer says something. It would
/// walk through all that is under way to say so, and in this time it mostly gets more to send.
const REST: Duration = Duration::from_millis(2);

/// What each side tells the other, so that both can begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InnerOffer {
    /// Of the certificate: `sha-256 AB:CD:…`.
    pub(crate) fingerprint: String,
    /// The SCTP INIT chunk, in Base64, so that SCTP needs no handshake.
    pub(crate) init: String,
}

/// Why it cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum InnerError {
    /// The peer's offer cannot be read.
    #[error("the lane's {0} cannot be read")]
    Offer(&'static str),
    /// str0m refused it.
    #[error(transparent)]
    Rtc(#[from] RtcError),
}

/// What comes out.
#[derive(Debug)]
pub(super) enum InnerOutput {
    /// Nothing more to do before this moment.
    Timeout(Instant),
    /// A DTLS datagram for the lane.
    Datagram(Vec<u8>),
    /// It is up.
    Opened,
    /// A fragment, as it arrived.
    Fragment(Vec<u8>),
    /// It is over, and why.
    Ended(String),
}

/// A session within frames.
pub(super) struct Inner {
    connection: Connection,
    sctp: Option<SctpInitData>,
    reliable: ChannelId,
    latest: ChannelId,
    is_started: bool,
    is_open: bool,
    /// Bytes that were written and have not left, as far as datagrams tell.
    unsent: usize,
    /// Has it got nothing but data to send since it was last idle?
    is_only_written: bool,
}

impl Inner {
    /// A session that waits for the peer's offer, and the offer for the peer. `None` where the
    /// library refuses its own values.
    pub(super) fn new(certificate: &Certificate, now: Instant) -> Option<(Self, InnerOffer)> {
        let mut config = RtcConfig::new()
            .clear_codecs()
            .set_dtls_cert(certificate.clone())
            .set_dtls_version(DtlsVersion::Dtls12)
            .set_mtu(MTU..=MTU)
            .set_sctp_max_buffered_amount(MAX_BUFFERED);
        config.set_max_stun_rto(CHECK_PAUSE);
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(OWN, "udp").ok()?);
        rtc.add_remote_candidate(Candidate::host(PEER, "udp").ok()?);
        let credentials = || IceCreds { ufrag: USER.to_owned(), pass: PASSWORD.to_owned() };
        let mut api = rtc.direct_api();
        api.set_local_ice_credentials(credentials());
        api.set_remote_ice_credentials(credentials());
        // Both ask, and each answers itself.
        api.set_ice_controlling(true);
        let fingerprint = api.local_dtls_fingerprint().to_string();
        let [_, reliable, latest] =
            agreed_configs().map(|channel| api.create_data_channel(channel));
        let mut sctp = SctpInitData::new();
        let init = sctp.local_init_string().ok()?;
        let session = Self {
            connection: Connection::new(rtc, now),
            sctp: Some(sctp),
            reliable,
            latest,
            is_started: false,
            is_open: false,
            unsent: 0,
            is_only_written: false,
        };
        Some((session, InnerOffer { fingerprint, init }))
    }

    /// Begins. Exactly one of both sides is active.
    pub(super) fn start(
        &mut self,
        peer: &InnerOffer,
        is_active: bool,
        now: Instant,
    ) -> Result<(), InnerError> {
        let fingerprint: Fingerprint =
            peer.fingerprint.parse().map_err(|_| InnerError::Offer("fingerprint"))?;
        let Some(mut sctp) = self.sctp.take() else { return Ok(()) };
        sctp.set_remote_init_string(&peer.init).map_err(|_| InnerError::Offer("init"))?;
        self.connection.handle_timeout(now);
        let mut api = self.connection.rtc_mut().direct_api();
        api.set_remote_fingerprint(fingerprint);
        api.start_dtls(is_active)?;
        api.start_sctp_with_snap(is_active, sctp)?;
        self.is_started = true;
        Ok(())
    }

    /// Has the peer's offer come?
    pub(super) fn is_started(&self) -> bool {
        self.is_started
    }

    /// Is it up?
    pub(super) fn is_open(&self) -> bool {
        self.is_open && !self.connection.is_ended()
    }

    /// Takes a datagram of the lane. To be followed by [`Inner::poll`] until it says `Timeout`.
    pub(super) fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        if is_dtls(datagram) {
            self.receive(datagram, now);
        }
    }

    /// Lets time pass. To be followed by [`Inner::poll`] until it says `Timeout`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.is_only_written &= self.connection.is_idle(now);
        self.connection.handle_timeout(now);
    }

    /// Hands a fragment to SCTP; `false` if it has no room now. To be followed by [`Inner::poll`]
    /// until it says `Timeout`.
    pub(super) fn write_fragment(
        &mut self,
        delivery: Delivery,
        fragment: &[u8],
        now: Instant,
    ) -> bool {
        if !self.is_open() {
            return false;
        }
        let channel = match delivery {
            Delivery::Reliable => self.reliable,
            Delivery::Latest => self.latest,
        };
        self.is_only_written |= self.connection.is_idle(now);
        let is_written = self.connection.write(channel, true, fragment, now);
        self.unsent += if is_written { fragment.len() } else { 0 };
        is_written
    }

    /// Bytes that SCTP holds and has not sent.
    pub(super) fn unsent(&mut self) -> usize {
        let channels = [self.reliable, self.latest];
        let held = channels.map(|channel| self.connection.buffered_amount(channel)).iter().sum();
        // What is told by datagrams drifts where one carries several fragments.
        self.unsent = self.unsent.min(held);
        self.unsent
    }

    /// The next thing to do.
    #[expect(clippy::wildcard_enum_match_arm, reason = "str0m's events are mostly about media")]
    pub(super) fn poll(&mut self, now: Instant) -> InnerOutput {
        loop {
            match self.connection.poll(now) {
                Ok(str0m::Output::Timeout(at)) => return InnerOutput::Timeout(at),
                Ok(str0m::Output::Transmit(transmit)) => {
                    let datagram: Vec<u8> = transmit.contents.into();
                    if is_dtls(&datagram) {
                        self.unsent -= datagram.len().saturating_sub(OVERHEAD).min(self.unsent);
                        if self.is_only_written && self.unsent == 0 {
                            self.connection.rest(now + REST);
                        }
                        return InnerOutput::Datagram(datagram);
                    }
                    self.answer_check(&datagram, now);
                }
                Ok(str0m::Output::Event(event)) => match event {
                    str0m::Event::Connected => {
                        self.is_open = true;
                        return InnerOutput::Opened;
                    }
                    str0m::Event::ChannelData(data) => return InnerOutput::Fragment(data.data),
                    str0m::Event::Closed => self.connection.end("closed by the peer"),
                    _ => {}
                },
                Err(reason) => return InnerOutput::Ended(reason),
            }
        }
    }

    fn answer_check(&mut self, request: &[u8], now: Instant) {
        const MAX_ANSWER_LEN: usize = 256;
        let Ok(message) = StunMessage::parse(request) else { return };
        if !message.is_binding_request() {
            return;
        }
        let mut answer = vec![0; MAX_ANSWER_LEN];
        let reply = StunMessage::binding_reply(message.trans_id(), OWN);
        if let Ok(length) = reply.to_bytes(Some(PASSWORD.as_bytes()), &mut answer, sha1_hmac) {
            self.receive(&answer[..length], now);
        }
    }

    fn receive(&mut self, datagram: &[u8], now: Instant) {
        self.is_only_written = false;
        self.connection.receive(OWN, PEER, datagram, now);
    }
}
