//! The baselines as endpoints: one plain str0m connection with all candidates of all radios, one
//! data channel for each class of messages, and an application that queues while a channel takes
//! nothing. What is more than that, [`Policy`] says.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rover_link::config::Delivery;
use rover_link::link::{Signal, Transmit};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Input, Output, Rtc, RtcConfig};
use uuid::Uuid;

use super::endpoint::{Addresses, Condition, Endpoint, Polled, Who};
use super::fragments::{Incoming, Outgoing};
use super::policy::Policy;
use super::scenario::Traffic;

/// `ice_fast`: the first repetition of a check, the pace of checks, and the unanswered ones after
/// which a path has failed. Shorter ones give up LTE at its usual worst; failure still needs 15 s
/// without a request of the peer's, which no setting changes.
const FAST_INITIAL_RTO: Duration = Duration::from_millis(100);
const FAST_MAX_RTO: Duration = Duration::from_millis(300);
const FAST_RETRANSMITS: usize = 4;

/// `ice_restart`: so much silence makes the application restart ICE.
const RESTART_SILENCE: Duration = Duration::from_secs(1);

/// A connection that is not there by then is made anew.
const SETUP_TIME: Duration = Duration::from_secs(10);

/// How long to wait where nothing is due.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// One end of a plain connection.
pub(crate) struct PlainEndpoint {
    policy: Policy,
    who: Who,
    addresses: Addresses,
    /// The peer that signaling knows of.
    peer: Option<(String, Uuid)>,
    connection: Option<Connection>,
    /// The classes by urgency: number and delivery.
    classes: Vec<(usize, Delivery)>,
    outgoing: BTreeMap<usize, Outgoing>,
    ready: VecDeque<Polled>,
}

struct Connection {
    rtc: Rtc,
    pending: Option<SdpPendingOffer>,
    channels: Vec<ChannelId>,
    incoming: BTreeMap<usize, Incoming>,
    is_connected: bool,
    started: Instant,
    last_received: Instant,
    /// The last restart of ICE, or the beginning.
    last_restart: Instant,
    /// Is another restart due as soon as the one under way is answered?
    restart_again: bool,
    /// Source of the last DTLS datagram.
    selected: Option<SocketAddr>,
}

impl PlainEndpoint {
    /// An endpoint of a link that carries these classes, in either direction.
    pub(crate) fn new(policy: Policy, who: Who, traffic: &[Traffic]) -> Self {
        let mut by_urgency: Vec<_> = traffic.iter().enumerate().collect();
        by_urgency.sort_by_key(|(_, traffic)| traffic.priority);
        Self {
            policy,
            who,
            addresses: Addresses::new(),
            peer: None,
            connection: None,
            classes: by_urgency.iter().map(|(class, of)| (*class, of.delivery)).collect(),
            outgoing: traffic.iter().map(|of| Outgoing::new(of.delivery)).enumerate().collect(),
            ready: VecDeque::new(),
        }
    }

    /// The rover with the smaller id offers.
    fn offers(&self) -> bool {
        self.peer.as_ref().is_some_and(|(peer, _)| self.who.rover_id < *peer)
    }

    fn signal(&mut self, signal: Signal) {
        if let Some((peer, _)) = &self.peer {
            self.ready.push_back(Polled::Signal { to: peer.clone(), signal });
        }
    }

    fn end(&mut self) {
        if self.connection.take().is_some_and(|connection| connection.is_connected) {
            self.ready.push_back(Polled::Disconnected);
        }
    }

    fn new_rtc(&self, now: Instant) -> Rtc {
        let mut config = RtcConfig::new().clear_codecs().set_snap_enabled(true);
        if self.policy == Policy::IceFast {
            config.set_initial_stun_rto(FAST_INITIAL_RTO);
            config.set_max_stun_rto(FAST_MAX_RTO);
            config.set_max_stun_retransmits(FAST_RETRANSMITS);
        }
        let mut rtc = config.build(now);
        for address in self.usable_addresses() {
            rtc.add_local_candidate(candidate(address));
        }
        rtc
    }

    /// Addresses that are worth a candidate: only `ice_restart` looks at the carrier.
    fn usable_addresses(&self) -> Vec<SocketAddr> {
        let looks_at_carrier = self.policy == Policy::IceRestart;
        self.addresses
            .iter()
            .filter(|(_, known)| known.interface.carrier || !looks_at_carrier)
            .map(|(address, _)| *address)
            .collect()
    }

    fn channel_configs(&self) -> Vec<ChannelConfig> {
        self.classes
            .iter()
            .map(|(class, delivery)| ChannelConfig {
                label: format!("class {class}"),
                ordered: *delivery == Delivery::Reliable,
                reliability: match delivery {
                    Delivery::Reliable => Reliability::Reliable,
                    Delivery::Latest => Reliability::MaxRetransmits { retransmits: 0 },
                },
                negotiated: Some(u16::try_from(*class).expect("fewer classes than channels")),
                ..ChannelConfig::default()
            })
            .collect()
    }

    fn offer(&mut self, now: Instant) {
        self.end();
        let mut rtc = self.new_rtc(now);
        let mut changes = rtc.sdp_api();
        let channels = self
            .channel_configs()
            .into_iter()
            .map(|config| changes.add_channel_with_config(config))
            .collect();
        let (offer, pending) = changes.apply().expect("channels are something to offer");
        self.connection = Some(Connection::new(rtc, Some(pending), channels, now));
        self.signal(Signal::Offer(offer.to_sdp_string()));
    }

    fn handle_offer(&mut self, offer: &str, now: Instant) {
        let offer = SdpOffer::from_sdp_string(offer).expect("our own session description");
        let is_restart = self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.is_connected && self.policy == Policy::IceRestart);
        if !is_restart {
            self.end();
            let rtc = self.new_rtc(now);
            self.connection = Some(Connection::new(rtc, None, Vec::new(), now));
        }
        let configs = self.channel_configs();
        let Some(connection) = &mut self.connection else { return };
        let answer = connection.rtc.sdp_api().accept_offer(offer).expect("an offer of our own");
        if !is_restart {
            let mut api = connection.rtc.direct_api();
            connection.channels =
                configs.into_iter().map(|config| api.create_data_channel(config)).collect();
        }
        connection.last_restart = now;
        self.signal(Signal::Answer(answer.to_sdp_string()));
    }

    /// Restarts ICE, or asks the peer to do so.
    fn restart(&mut self, now: Instant) {
        let offers = self.offers();
        let Some(connection) = &mut self.connection else { return };
        // An answer does not tell to which offer it belongs: one after the other.
        if connection.pending.is_some() && now < connection.last_restart + RESTART_SILENCE {
            connection.restart_again = true;
            return;
        }
        connection.last_restart = now;
        if !offers {
            self.signal(Signal::RestartRequest);
            return;
        }
        let mut changes = connection.rtc.sdp_api();
        changes.ice_restart(true);
        let Some((offer, pending)) = changes.apply() else { return };
        connection.pending = Some(pending);
        self.signal(Signal::Offer(offer.to_sdp_string()));
    }

    /// When the application has to look after its connection.
    fn deadline(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        if !connection.is_connected {
            return self.offers().then_some(connection.started + SETUP_TIME);
        }
        let silent = connection.last_received.max(connection.last_restart) + RESTART_SILENCE;
        (self.policy == Policy::IceRestart).then_some(silent)
    }

    /// Hands the most urgent fragment to its channel; `false` if there is none or no room.
    fn write(&mut self) -> bool {
        let Some(connection) = self.connection.as_mut().filter(|of| of.is_connected) else {
            return false;
        };
        for ((class, _), channel) in self.classes.iter().zip(&connection.channels) {
            let Some(outgoing) = self.outgoing.get_mut(class) else { continue };
            let Some(fragment) = outgoing.fragment() else { continue };
            let channel = connection.rtc.channel(*channel);
            let Some(Ok(true)) = channel.map(|mut to| to.write(true, &fragment)) else {
                return false;
            };
            outgoing.advance();
            return true;
        }
        false
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "str0m's events are mostly about media")]
    fn handle_event(&mut self, event: str0m::Event) {
        let Some(connection) = &mut self.connection else { return };
        match event {
            // It comes again after each restart of ICE.
            str0m::Event::Connected if !connection.is_connected => {
                connection.is_connected = true;
                self.ready.push_back(Polled::Connected);
            }
            str0m::Event::ChannelData(data) => {
                let channel = connection.channels.iter().position(|id| *id == data.id);
                let Some((class, _)) = channel.and_then(|at| self.classes.get(at)) else { return };
                let incoming = connection.incoming.entry(*class).or_default();
                if let Some(data) = incoming.handle_fragment(&data.data) {
                    self.ready.push_back(Polled::Delivered { class: *class, data });
                }
            }
            _ => {}
        }
    }
}

impl Connection {
    fn new(
        rtc: Rtc,
        pending: Option<SdpPendingOffer>,
        channels: Vec<ChannelId>,
        now: Instant,
    ) -> Self {
        Self {
            rtc,
            pending,
            channels,
            incoming: BTreeMap::new(),
            is_connected: false,
            started: now,
            last_received: now,
            last_restart: now,
            restart_again: false,
            selected: None,
        }
    }
}

impl Endpoint for PlainEndpoint {
    fn handle_addresses(&mut self, addresses: &Addresses, now: Instant) {
        let before = self.usable_addresses();
        self.addresses.clone_from(addresses);
        let after = self.usable_addresses();
        let Some(connection) = &mut self.connection else { return };
        let mut told = Vec::new();
        for address in before.iter().filter(|address| !after.contains(address)) {
            connection.rtc.direct_api().invalidate_candidate(&candidate(*address));
        }
        for address in after.iter().filter(|address| !before.contains(address)) {
            if let Some(new) = connection.rtc.add_local_candidate(candidate(*address)) {
                told.push(new.to_sdp_string());
            }
        }
        let is_connected = connection.is_connected;
        for candidate in told {
            self.signal(Signal::Candidate(candidate));
        }
        if self.policy == Policy::IceRestart && is_connected && before != after {
            self.restart(now);
        }
    }

    fn handle_present(&mut self, present: &[(String, Uuid)], now: Instant) {
        for (peer, instance) in present {
            self.handle_joined(peer, *instance, now);
        }
    }

    fn handle_joined(&mut self, peer: &str, instance: Uuid, now: Instant) {
        if self.peer.as_ref().is_some_and(|(_, known)| *known == instance) {
            return;
        }
        self.end();
        self.peer = Some((peer.to_owned(), instance));
        if self.offers() {
            self.offer(now);
        }
    }

    fn handle_left(&mut self, _peer: &str) {}

    fn handle_signal(&mut self, from: &str, instance: Uuid, signal: Signal, now: Instant) {
        self.handle_joined(from, instance, now);
        match signal {
            Signal::Offer(offer) => self.handle_offer(&offer, now),
            Signal::Answer(answer) => {
                let Some(connection) = &mut self.connection else { return };
                let Some(pending) = connection.pending.take() else { return };
                let answer = SdpAnswer::from_sdp_string(&answer).expect("our own description");
                if let Err(error) = connection.rtc.sdp_api().accept_answer(pending, answer) {
                    log::debug!("answer to an offer that was replaced: {error}");
                }
                if std::mem::take(&mut connection.restart_again) {
                    self.restart(now);
                }
            }
            Signal::Candidate(text) => {
                let Some(connection) = &mut self.connection else { return };
                let candidate = Candidate::from_sdp_string(&text).expect("a candidate of our own");
                connection.rtc.add_remote_candidate(candidate);
            }
            Signal::RestartRequest => {
                let is_recent = |of: &Connection| now < of.last_restart + RESTART_SILENCE;
                // Both sides notice the same silence.
                if !self.connection.as_ref().is_some_and(is_recent) {
                    self.restart(now);
                }
            }
            Signal::Hangup(_) => {}
        }
    }

    fn handle_datagram(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        let Some(connection) = &mut self.connection else { return };
        connection.last_received = now;
        let Ok(receive) = Receive::new(Protocol::Udp, remote, local, datagram) else { return };
        if let Err(error) = connection.rtc.handle_input(Input::Receive(now, receive)) {
            log::debug!("datagram passed over: {error}");
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            let is_connected = self.connection.as_ref().is_some_and(|of| of.is_connected);
            if is_connected { self.restart(now) } else { self.offer(now) }
        }
        let Some(connection) = &mut self.connection else { return };
        if let Err(error) = connection.rtc.handle_input(Input::Timeout(now)) {
            log::debug!("connection failed: {error}");
        }
    }

    fn publish(&mut self, class: usize, data: Bytes, _now: Instant) {
        if let Some(outgoing) = self.outgoing.get_mut(&class) {
            outgoing.push(data);
        }
    }

    fn poll(&mut self, now: Instant) -> Polled {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return output;
            }
            let deadline = self.deadline().unwrap_or(now + LONGEST_WAIT);
            let Some(connection) = &mut self.connection else {
                return Polled::Timeout(now + LONGEST_WAIT);
            };
            match connection.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    if !self.write() {
                        return Polled::Timeout(at.min(deadline));
                    }
                }
                Ok(Output::Transmit(transmit)) => {
                    if transmit.contents.first().is_some_and(|first| (20..64).contains(first)) {
                        connection.selected = Some(transmit.source);
                    }
                    return Polled::Transmit(Transmit {
                        source: transmit.source,
                        destination: transmit.destination,
                        contents: transmit.contents.into(),
                    });
                }
                Ok(Output::Event(event)) => self.handle_event(event),
                Err(error) => {
                    log::debug!("connection failed: {error}");
                    self.end();
                    if self.offers() {
                        self.offer(now);
                    }
                }
            }
        }
    }

    fn waiting(&self, _now: Instant) -> u64 {
        self.outgoing.values().map(|outgoing| outgoing.waiting() as u64).sum()
    }

    fn condition(&self, _now: Instant) -> Condition {
        let selected = self.connection.as_ref().and_then(|connection| connection.selected);
        Condition { selected, ..Condition::default() }
    }
}

fn candidate(address: SocketAddr) -> Candidate {
    Candidate::host(address, "udp").expect("addresses of the simulation are unicast")
}
