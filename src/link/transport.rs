//! The WebRTC connection under a session: the only place that touches str0m.
//!
//! It is negotiated through signaling (SDP, with SNAP so that SCTP needs no handshake of
//! its own) and carries the data channels of [`super::channels`]. It knows nothing of topics or
//! proofs; [`super::session`] does.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::ChannelId;
use str0m::config::Fingerprint;
use str0m::{
    Candidate, CandidateKind as CandidateKindOfIce, IceConnectionState, Input, Rtc, RtcConfig,
};

use super::channels::{Channels, PeerKind};
use super::connection::Connection;
use super::interface::LocalAddress;
use super::multipath::Credentials;
use super::output::Transmit;
use super::peer::Addresses;
use super::snapshot::CandidateKind;
use crate::config::Delivery;

/// Candidates that a peer may name, as many as a rover with four radios has, twice over.
const MAX_REMOTE_CANDIDATES: usize = 16;

/// First byte of a DTLS 1.2 record with application data (RFC 5246 §6.2.1).
pub(super) const DTLS_APPLICATION_DATA: u8 = 23;

/// Datagrams with application data that are kept until DTLS is up. A datagram can overtake the end
/// of the handshake; lost, it would be sent again by SCTP after 3 s only. There are few: the hello,
/// and the topics offered after it.
const MAX_EARLY: usize = 16;

/// Bytes that may be in flight, all channels together. SCTP does not pace: it sends what it may at
/// once, and a receiver with the socket buffer that Linux grants by default (212,992 B, some 90
/// datagrams as the kernel counts them) loses what is beyond. Half of str0m's default fits.
const MAX_IN_FLIGHT: usize = 64 * 1024;

/// Checks of a pair without an answer after which ICE gives it up. They are 3 s apart at last.
const MAX_CHECK_RETRANSMITS: usize = 60;

/// Control messages that may wait for the peer: what it takes to answer all the routes that a
/// peer may offer while all of ours are offered.
const MAX_UNSENT_CONTROL: usize = 3 * super::incoming::MAX_ROUTES;

const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// A local and a remote address.
pub(super) type Pair = (SocketAddr, SocketAddr);

/// Why a session could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum TransportError {
    /// The peer's session description cannot be read.
    #[error("the session description cannot be read: {0}")]
    Description(String),
    /// str0m refused it.
    #[error(transparent)]
    Rtc(#[from] str0m::RtcError),
}

/// What a session puts out.
#[derive(Debug)]
pub(super) enum TransportOutput {
    /// Nothing more to do before this moment.
    Timeout(Instant),
    /// A datagram for the network.
    Transmit(Transmit),
    /// DTLS is up and the control channel is open.
    Opened,
    /// A control message, as it arrived.
    Control(Vec<u8>),
    /// A fragment, as it arrived.
    Fragment(Vec<u8>),
    /// The connection is over, and why.
    Ended(String),
}

/// A DTLS certificate with its key, DER.
pub use str0m::config::DtlsCert as Certificate;

/// Makes a self-signed certificate. `None` where the crypto library has no randomness.
pub fn generate_certificate() -> Option<Certificate> {
    str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()
}

/// SHA-256 of a certificate as session descriptions and `peer_fingerprints` write it.
pub fn fingerprint(certificate: &Certificate) -> String {
    let bytes =
        str0m::crypto::from_feature_flags().sha256_provider.sha256(&certificate.certificate);
    Fingerprint { hash_func: "sha-256".to_owned(), bytes: bytes.to_vec() }.to_string()
}

/// One WebRTC connection.
pub(super) struct Transport {
    connection: Connection,
    offer: Option<SdpPendingOffer>,
    channels: Channels,
    is_connected: bool,
    is_control_open: bool,
    opened_told: bool,
    remote_candidates: usize,
    /// The peer's session id, from its description.
    remote_session: Option<String>,
    /// Addresses that the peer has named, to be taken.
    candidates: Vec<(SocketAddr, CandidateKind)>,
    unsent_control: VecDeque<String>,
    /// What came before DTLS was up, with its path.
    early: VecDeque<(Pair, Vec<u8>)>,
    /// By which the last datagram came: str0m wants one with each, and does not look at it for DTLS.
    pair: Pair,
    /// Both sides' ICE credentials, once both descriptions are known.
    credentials: Option<Credentials>,
    /// Does something else watch the paths, so that ICE need not?
    is_watched: bool,
}

impl Transport {
    /// Begins a connection as the one that offers. Returns it with the SDP offer.
    pub(super) fn offer(
        certificate: &Certificate,
        addresses: &Addresses,
        kind: PeerKind,
        now: Instant,
    ) -> Result<(Self, String), TransportError> {
        let mut rtc = new_rtc(certificate, addresses, kind, now);
        let mut changes = rtc.sdp_api();
        let channels = Channels::offer(kind, &mut changes);
        let Some((offer, pending)) = changes.apply() else {
            return Err(TransportError::Description("nothing to offer".to_owned()));
        };
        let session = Self::new(Connection::new(rtc, now), Some(pending), channels);
        Ok((session, offer.to_sdp_string()))
    }

    /// Begins a connection as the one that answers. Returns it with the SDP answer.
    pub(super) fn answer(
        certificate: &Certificate,
        addresses: &Addresses,
        kind: PeerKind,
        offer: &str,
        now: Instant,
    ) -> Result<(Self, String), TransportError> {
        let (remote, candidates) = split_candidates(offer);
        let offer = SdpOffer::from_sdp_string(&remote)
            .map_err(|error| TransportError::Description(error.to_string()))?;
        let mut rtc = new_rtc(certificate, addresses, kind, now);
        let answer = rtc.sdp_api().accept_offer(offer)?;
        let channels = Channels::answer(kind, &mut rtc);
        let mut session = Self::new(Connection::new(rtc, now), None, channels);
        session.remote_session = session_id(&remote);
        session.set_credentials(&remote, false);
        session.add_remote_candidates(&candidates);
        Ok((session, answer.to_sdp_string()))
    }

    fn new(connection: Connection, offer: Option<SdpPendingOffer>, channels: Channels) -> Self {
        Self {
            connection,
            offer,
            channels,
            is_connected: false,
            is_control_open: false,
            opened_told: false,
            remote_candidates: 0,
            remote_session: None,
            unsent_control: VecDeque::new(),
            early: VecDeque::new(),
            pair: (UNKNOWN, UNKNOWN),
            candidates: Vec::new(),
            credentials: None,
            is_watched: false,
        }
    }

    /// Takes the answer to our offer.
    pub(super) fn handle_answer(&mut self, answer: &str) -> Result<(), TransportError> {
        let Some(pending) = self.offer.take() else { return Ok(()) };
        let (remote, candidates) = split_candidates(answer);
        let answer = SdpAnswer::from_sdp_string(&remote)
            .map_err(|error| TransportError::Description(error.to_string()))?;
        self.connection.rtc_mut().sdp_api().accept_answer(pending, answer)?;
        self.remote_session = session_id(&remote);
        self.set_credentials(&remote, true);
        self.remote_candidates = 0;
        self.add_remote_candidates(&candidates);
        Ok(())
    }

    /// Begins an ICE restart as the side that offers; returns the offer.
    pub(super) fn restart_ice(&mut self) -> Option<String> {
        let mut changes = self.connection.rtc_mut().sdp_api();
        changes.ice_restart(true);
        let (offer, pending) = changes.apply()?;
        self.offer = Some(pending);
        Some(offer.to_sdp_string())
    }

    /// Takes an offer that restarts ICE; returns the answer.
    pub(super) fn handle_restart_offer(&mut self, offer: &str) -> Result<String, TransportError> {
        let (remote, candidates) = split_candidates(offer);
        let offer = SdpOffer::from_sdp_string(&remote)
            .map_err(|error| TransportError::Description(error.to_string()))?;
        let answer = self.connection.rtc_mut().sdp_api().accept_offer(offer)?;
        self.set_credentials(&remote, false);
        self.remote_candidates = 0;
        self.add_remote_candidates(&candidates);
        Ok(answer.to_sdp_string())
    }

    /// Does this description continue the peer's session, or is it one of another?
    pub(super) fn is_same_session(&self, description: &str) -> bool {
        self.remote_session.is_some() && self.remote_session == session_id(description)
    }

    /// Has an offer been made that is not answered?
    pub(super) fn awaits_answer(&self) -> bool {
        self.offer.is_some()
    }

    /// The offer made will not be answered.
    pub(super) fn forget_offer(&mut self) {
        self.offer = None;
    }

    /// Adds a candidate of ours; returns what the peer has to be told.
    pub(super) fn add_local_candidate(&mut self, candidate: LocalCandidate) -> Option<String> {
        let candidate = candidate.for_ice()?;
        self.connection.rtc_mut().add_local_candidate(candidate).map(Candidate::to_sdp_string)
    }

    /// Forgets a candidate of ours that has gone.
    pub(super) fn remove_local_candidate(&mut self, candidate: LocalCandidate) {
        if let Some(candidate) = candidate.for_ice() {
            self.connection.rtc_mut().direct_api().invalidate_candidate(&candidate);
        }
    }

    /// Takes a candidate of the peer's.
    ///
    /// # Errors
    /// What is wrong with it, for people. The session goes on without it.
    pub(super) fn handle_candidate(&mut self, text: &str) -> Result<(), String> {
        let text = text.strip_prefix("a=").unwrap_or(text);
        let candidate = Candidate::from_sdp_string(text).map_err(|error| error.to_string())?;
        let address = candidate.addr();
        if !may_be_sent_to(address) {
            return Err(format!("{address} is no unicast address of a peer"));
        }
        self.candidates.push((address, kind_of(&candidate)));
        // A peer that has moved often enough is found without ICE.
        if self.remote_candidates >= MAX_REMOTE_CANDIDATES {
            return Err(format!("more than {MAX_REMOTE_CANDIDATES} candidates"));
        }
        self.remote_candidates += 1;
        self.connection.rtc_mut().add_remote_candidate(candidate);
        Ok(())
    }

    fn add_remote_candidates(&mut self, candidates: &[String]) {
        for text in candidates {
            if let Err(error) = self.handle_candidate(text) {
                log::debug!("candidate passed over: {error}: {text}");
            }
        }
    }

    /// From now on something else watches the paths: ICE may lose hope.
    pub(super) fn set_watched(&mut self) {
        self.is_watched = true;
    }

    /// Takes the addresses that the peer has named since the last call.
    pub(super) fn take_candidates(&mut self) -> Vec<(SocketAddr, CandidateKind)> {
        std::mem::take(&mut self.candidates)
    }

    /// Takes the ICE credentials of both sides, when they are known.
    pub(super) fn take_credentials(&mut self) -> Option<Credentials> {
        self.credentials.take()
    }

    fn set_credentials(&mut self, remote: &str, is_controlling: bool) {
        let value = |name: &str| {
            remote
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(|text| text.trim().to_owned())
        };
        let (Some(ufrag), Some(password)) = (value("a=ice-ufrag:"), value("a=ice-pwd:")) else {
            return;
        };
        let local = self.connection.rtc_mut().direct_api().local_ice_credentials();
        self.credentials = Some(Credentials {
            remote_ufrag: ufrag,
            remote_password: password,
            is_controlling,
            // As random as the credentials are.
            tie_breaker: value_of(&local.pass),
            local_ufrag: local.ufrag,
        });
    }

    /// SHA-256 of our certificate.
    pub(super) fn local_fingerprint(&mut self) -> Vec<u8> {
        self.connection.rtc_mut().direct_api().local_dtls_fingerprint().bytes.clone()
    }

    /// The certificate that the peer has shown, once DTLS is up: digest and `sha-256 AB:CD:…`.
    /// str0m ends the connection if the session description named another.
    pub(super) fn remote_fingerprint(&mut self) -> Option<(Vec<u8>, String)> {
        let api = self.connection.rtc_mut().direct_api();
        api.remote_dtls_fingerprint().map(|print| (print.bytes.clone(), print.to_string()))
    }

    /// Does this datagram belong here, by what ICE knows?
    pub(super) fn accepts(&self, input: &Input<'_>) -> bool {
        self.connection.accepts(input)
    }

    /// Takes a datagram that came by `pair`. To be followed by [`Transport::poll`] until it says
    /// `Timeout`.
    pub(super) fn handle_datagram(&mut self, pair: Pair, datagram: &[u8], now: Instant) {
        let is_early = !self.is_connected && is_application_data(datagram);
        if is_early && self.early.len() < MAX_EARLY {
            self.early.push_back((pair, datagram.to_vec()));
            return;
        }
        self.receive(pair, datagram, now);
    }

    /// Takes a DTLS datagram that came in a frame, by whatever path. To be followed by
    /// [`Transport::poll`] until it says `Timeout`.
    pub(super) fn handle_unframed(&mut self, datagram: &[u8], now: Instant) {
        if is_dtls(datagram) {
            self.receive(self.pair, datagram, now);
        }
    }

    fn receive(&mut self, pair: Pair, datagram: &[u8], now: Instant) {
        self.pair = pair;
        self.connection.receive(pair.0, pair.1, datagram, now);
    }

    /// Lets time pass. To be followed by [`Transport::poll`] until it says `Timeout`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.connection.handle_timeout(now);
    }

    /// Takes the next datagram that came before DTLS was up; `false` if there is none.
    fn take_early(&mut self, now: Instant) -> bool {
        if !self.is_connected {
            return false;
        }
        let Some((pair, datagram)) = self.early.pop_front() else { return false };
        self.receive(pair, &datagram, now);
        true
    }

    /// Queues a control message.
    pub(super) fn send_control(&mut self, message: String) {
        if self.unsent_control.len() >= MAX_UNSENT_CONTROL {
            self.connection.end("the peer does not take control messages");
            return;
        }
        self.unsent_control.push_back(message);
    }

    /// Hands a fragment to SCTP; `false` if it has no room now. To be followed by
    /// [`Transport::poll`] until it says `Timeout`.
    pub(super) fn write_fragment(
        &mut self,
        delivery: Delivery,
        fragment: &[u8],
        now: Instant,
    ) -> bool {
        self.write(self.channels.of(delivery), true, fragment, now)
    }

    fn write(
        &mut self,
        channel: Option<ChannelId>,
        is_binary: bool,
        data: &[u8],
        now: Instant,
    ) -> bool {
        let Some(channel) = channel.filter(|_| self.is_open()) else { return false };
        self.connection.write(channel, is_binary, data, now)
    }

    /// What is at the other end.
    pub(super) fn kind(&self) -> PeerKind {
        self.channels.kind()
    }

    /// Is the session up?
    pub(super) fn is_open(&self) -> bool {
        self.is_connected && self.is_control_open && !self.connection.is_ended()
    }

    /// Ends the connection in order; returns the datagrams that tell the peer.
    pub(super) fn close(&mut self, now: Instant) -> Vec<Transmit> {
        if let Err(error) = self.connection.rtc_mut().close() {
            log::debug!("connection not closed in order: {error}");
        }
        let mut farewell = Vec::new();
        loop {
            match self.poll(now) {
                TransportOutput::Transmit(transmit) => farewell.push(transmit),
                TransportOutput::Timeout(_) | TransportOutput::Ended(_) => return farewell,
                TransportOutput::Opened
                | TransportOutput::Control(_)
                | TransportOutput::Fragment(_) => {}
            }
        }
    }

    /// The next thing to do.
    pub(super) fn poll(&mut self, now: Instant) -> TransportOutput {
        loop {
            if self.is_open() && !self.opened_told {
                self.opened_told = true;
                return TransportOutput::Opened;
            }
            match self.connection.poll(now) {
                Ok(str0m::Output::Timeout(at)) => {
                    if !self.take_early(now) && !self.write_control(now) {
                        return TransportOutput::Timeout(at);
                    }
                }
                Ok(str0m::Output::Transmit(transmit)) => {
                    let transmit = Transmit {
                        source: transmit.source,
                        destination: transmit.destination,
                        contents: transmit.contents.into(),
                    };
                    return TransportOutput::Transmit(transmit);
                }
                Ok(str0m::Output::Event(event)) => {
                    if let Some(output) = self.handle_event(event) {
                        return output;
                    }
                }
                Err(reason) => return TransportOutput::Ended(reason),
            }
        }
    }

    /// Hands the next control message to SCTP; `false` if there is none or no room for it.
    fn write_control(&mut self, now: Instant) -> bool {
        let Some(message) = self.unsent_control.pop_front() else { return false };
        let is_binary = self.kind() == PeerKind::Rover;
        let written = self.write(self.channels.control(), is_binary, message.as_bytes(), now);
        if !written {
            self.unsent_control.push_front(message);
        }
        written
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "str0m's events are mostly about media")]
    fn handle_event(&mut self, event: str0m::Event) -> Option<TransportOutput> {
        match event {
            str0m::Event::Connected => self.is_connected = true,
            str0m::Event::ChannelOpen(id, label) => {
                self.is_control_open |= self.channels.handle_open(id, &label);
            }
            str0m::Event::ChannelData(data) if self.channels.is_control(data.id, data.binary) => {
                return Some(TransportOutput::Control(data.data));
            }
            str0m::Event::ChannelData(data) => return Some(TransportOutput::Fragment(data.data)),
            str0m::Event::IceConnectionStateChange(IceConnectionState::Disconnected)
                if !self.is_watched =>
            {
                self.connection.end("no path answers");
            }
            str0m::Event::ChannelClose(id) if self.channels.control() == Some(id) => {
                self.connection.end("the peer closed the data channel");
            }
            str0m::Event::Closed => self.connection.end("the peer closed the session"),
            _ => {}
        }
        None
    }
}

/// An address of ours that a peer may send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LocalCandidate {
    pub(super) address: SocketAddr,
    pub(super) kind: CandidateKind,
    /// By which what is sent there arrives.
    local: SocketAddr,
}

/// All of them.
pub(super) fn candidates(addresses: &Addresses) -> Vec<LocalCandidate> {
    let of = |(local, known): (&SocketAddr, &LocalAddress)| {
        let own = LocalCandidate { address: *local, kind: known.kind, local: *local };
        let reflexive = known.reflexive.map(|address| LocalCandidate {
            address,
            kind: CandidateKind::ServerReflexive,
            local: *local,
        });
        [Some(own), reflexive]
    };
    addresses.iter().flat_map(of).flatten().collect()
}

impl LocalCandidate {
    fn for_ice(self) -> Option<Candidate> {
        let Self { address, kind, local } = self;
        let candidate = match kind {
            CandidateKind::ServerReflexive => Candidate::server_reflexive(address, local, "udp"),
            CandidateKind::Relay => Candidate::relayed(address, local, "udp"),
            CandidateKind::Host | CandidateKind::PeerReflexive | CandidateKind::Unknown => {
                Candidate::host(address, "udp")
            }
        };
        candidate.inspect_err(|error| log::debug!("no candidate: address={address}: {error}")).ok()
    }
}

fn new_rtc(certificate: &Certificate, addresses: &Addresses, kind: PeerKind, now: Instant) -> Rtc {
    let mut rtc = RtcConfig::new()
        .clear_codecs()
        .set_dtls_cert(certificate.clone())
        .set_snap_enabled(kind == PeerKind::Rover)
        .set_sctp_max_buffered_amount(MAX_IN_FLIGHT);
    // Standby paths stay warm through an outage; the agent's arithmetic ends at some 120.
    rtc.set_max_stun_retransmits(MAX_CHECK_RETRANSMITS);
    let mut rtc = rtc.build(now);
    for candidate in candidates(addresses).into_iter().filter_map(LocalCandidate::for_ice) {
        rtc.add_local_candidate(candidate);
    }
    rtc
}

/// HMAC-SHA1, with which STUN messages are signed (RFC 8489 §14.5).
pub(super) fn sha1_hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    str0m::crypto::from_feature_flags().sha1_hmac_provider.sha1_hmac(key, parts)
}

/// Is it a DTLS datagram, by its first byte (RFC 7983)?
pub(super) fn is_dtls(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| (20..64).contains(first))
}

/// Is it a DTLS 1.2 record with application data?
pub(super) fn is_application_data(datagram: &[u8]) -> bool {
    datagram.first() == Some(&DTLS_APPLICATION_DATA)
}

fn value_of(text: &str) -> u64 {
    text.bytes().fold(0, |value, byte| value.wrapping_mul(131).wrapping_add(byte.into()))
}

fn kind_of(candidate: &Candidate) -> CandidateKind {
    match candidate.kind() {
        CandidateKindOfIce::Host => CandidateKind::Host,
        CandidateKindOfIce::PeerReflexive => CandidateKind::PeerReflexive,
        CandidateKindOfIce::ServerReflexive => CandidateKind::ServerReflexive,
        CandidateKindOfIce::Relayed => CandidateKind::Relay,
    }
}

/// The session id in the line of the origin (RFC 8866 §5.2).
fn session_id(description: &str) -> Option<String> {
    let origin = description.lines().find_map(|line| line.strip_prefix("o="))?;
    origin.split_ascii_whitespace().nth(1).map(str::to_owned)
}

/// Takes the candidates out of a session description, so that they pass the same checks as
/// trickled ones.
fn split_candidates(description: &str) -> (String, Vec<String>) {
    let (candidates, rest): (Vec<&str>, Vec<&str>) =
        description.lines().partition(|line| line.starts_with("a=candidate:"));
    let rest = rest.iter().flat_map(|line| [line, "\r\n"]).collect();
    (rest, candidates.into_iter().map(str::to_owned).collect())
}

/// May a peer ask us to send there? What is sent before it answers is STUN only, but even that is
/// not to be multiplied by a network.
pub(super) fn may_be_sent_to(address: SocketAddr) -> bool {
    let unicast = match address.ip() {
        IpAddr::V4(ip) => !(ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified()),
        IpAddr::V6(ip) => !(ip.is_multicast() || ip.is_unspecified()),
    };
    unicast && address.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_taken_out_of_a_description() {
        let text = "v=0\r\na=candidate:1 1 udp 1 10.0.0.1 5 typ host\r\na=mid:0\r\n";
        let (rest, candidates) = split_candidates(text);
        assert_eq!(rest, "v=0\r\na=mid:0\r\n");
        assert_eq!(candidates, ["a=candidate:1 1 udp 1 10.0.0.1 5 typ host"]);
    }

    #[test]
    fn only_unicast_addresses_are_sent_to() {
        for (text, expected) in [
            ("10.0.0.1:5", true),
            ("[fd00::1]:5", true),
            ("10.0.0.1:0", false),
            ("0.0.0.0:5", false),
            ("224.0.0.1:5", false),
            ("255.255.255.255:5", false),
            ("[ff02::1]:5", false),
        ] {
            let address = text.parse().expect("an address");
            assert_eq!(may_be_sent_to(address), expected, "{text}");
        }
    }
}
