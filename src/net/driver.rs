//! The driver: the one loop that owns the sessions. It moves bytes, signals and time between the
//! core, the sockets, the signaling server and the application; it decides nothing.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::time::{self, MissedTickBehavior};
use uuid::Uuid;

use super::batch::Datagram;
use super::changes::{Change, Changes};
use super::clock;
use super::exchange::DriverEnd;
use super::identity::{IdentityError, load_or_create};
use super::interfaces::usable_addresses;
use super::servers::Servers;
use super::sockets::Sockets;
use crate::config::{Config, InterfaceSettings, STRONG_FLEET_KEY_BYTES, Secrets};
use crate::link::{
    Event, Fleet, FleetKey, Identity, Output, PeerKind, RouteDirection, SignalingState, Snapshot,
    fingerprint,
};
use crate::signaling::client::{self, ClientError, ClientEvent, ClientHandle, ClientOptions};
use crate::signaling::message::{CAPABILITY_ROVER_LINK, Peer as Member};

/// How often the addresses of the machine are looked at though nothing is known to have changed:
/// for signal strengths, and where the kernel does not tell of changes.
const ADDRESS_INTERVAL: Duration = Duration::from_secs(2);

/// Shortest time from a look at the addresses to one that a refused datagram gives rise to: some
/// are refused for as long as a peer names addresses that cannot be reached from here.
const DOUBT_PAUSE: Duration = Duration::from_millis(200);

/// How often the state of the link is shown to the application.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(100);

/// Who does nothing for so long was suspended: networks, NATs and servers may have forgotten us.
const SUSPENSION: Duration = Duration::from_secs(2);

/// How long the driver may take to end.
const STOP_TIME: Duration = Duration::from_secs(1);

/// Why the driver did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The signaling settings cannot work.
    #[error(transparent)]
    Signaling(#[from] ClientError),
    /// The system refused a thread or a runtime.
    #[error("the driver cannot run: {0}")]
    System(#[from] io::Error),
    /// The driver's thread ended before it had started.
    #[error("the driver ended while it was being started")]
    Ended,
}

/// A running driver. Dropping it without [`DriverHandle::stop`] stops it too, without waiting.
pub struct DriverHandle {
    stop: Option<oneshot::Sender<()>>,
    done: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

impl DriverHandle {
    /// Ends all sessions in order and waits for it, one second at most.
    pub fn stop(mut self) {
        drop(self.stop.take());
        match self.done.recv_timeout(STOP_TIME) {
            Err(mpsc::RecvTimeoutError::Timeout) => log::warn!("the driver does not end"),
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                if self.thread.join().is_err() {
                    log::error!("the driver has panicked");
                }
            }
        }
    }
}

/// Starts the driver on a thread of its own.
///
/// # Errors
/// [`StartError`]; whatever the network does later is no error.
pub fn start(
    config: &Config,
    secrets: &Secrets,
    application: DriverEnd,
) -> Result<DriverHandle, StartError> {
    let certificate = load_or_create(&config.identity_file)?;
    log::info!("this rover: id={} fingerprint={}", config.rover_id, fingerprint(&certificate));
    match &secrets.fleet_key {
        None => log::warn!(
            "no ROVER_LINK_FLEET_KEY: whoever controls the signaling server can pose as a peer"
        ),
        Some(key) if key.len() < STRONG_FLEET_KEY_BYTES => log::warn!(
            "ROVER_LINK_FLEET_KEY has {} bytes: one of fewer than {STRONG_FLEET_KEY_BYTES} may be \
             guessed",
            key.len()
        ),
        Some(_) => {}
    }
    let instance = Uuid::new_v4();
    let (seed, epoch) = instance.as_u64_pair();
    let identity = Identity {
        rover_id: config.rover_id.clone(),
        instance,
        epoch: (epoch & u64::from(u32::MAX)) as u32,
        certificate,
        fleet_key: secrets.fleet_key.as_deref().map(FleetKey::new),
        peers: config.peers.clone(),
        peer_fingerprints: config.peer_fingerprints.clone(),
    };
    let options = ClientOptions {
        url: config.signaling_url.clone(),
        token: secrets.token.clone(),
        fleet: config.fleet.clone(),
        rover_id: config.rover_id.clone(),
        instance,
        capabilities: vec![CAPABILITY_ROVER_LINK.to_owned()],
    };
    let interfaces = config.interfaces.clone();
    let settings = config.handover;
    let (ice_servers, turn) = (config.ice_servers.clone(), secrets.turn.clone());
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let (done_sender, done) = mpsc::channel();
    let (started_sender, started) = mpsc::channel();
    let thread = thread::Builder::new().name("driver".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let (signaling, events) = match client::spawn(options) {
                Ok(spawned) => spawned,
                Err(error) => {
                    let _ = started_sender.send(Err(error));
                    return;
                }
            };
            let _ = started_sender.send(Ok(()));
            let driver = Driver {
                fleet: Fleet::new(identity, settings, seed, clock::now()),
                sockets: Sockets::default(),
                within_reach: BTreeSet::new(),
                servers: Servers::new(&ice_servers, turn.as_ref(), clock::now()),
                interfaces,
                signaling,
                signaling_state: SignalingState::default(),
                application,
                looked_at: clock::now(),
                shown_at: clock::now(),
            };
            driver.run(events, stopped).await;
        });
        // Nobody waits any more where this fails.
        let _ = done_sender.send(());
    })?;
    match started.recv() {
        Ok(Ok(())) => Ok(DriverHandle { stop: Some(stop), done, thread }),
        Ok(Err(error)) => Err(error.into()),
        Err(mpsc::RecvError) => Err(StartError::Ended),
    }
}

struct Driver {
    fleet: Fleet,
    sockets: Sockets,
    /// The addresses with a carrier, when they were last looked at.
    within_reach: BTreeSet<SocketAddr>,
    servers: Servers,
    interfaces: InterfaceSettings,
    signaling: ClientHandle,
    signaling_state: SignalingState,
    application: DriverEnd,
    looked_at: Instant,
    shown_at: Instant,
}

impl Driver {
    async fn run(
        mut self,
        mut events: tokio::sync::mpsc::Receiver<ClientEvent>,
        stopped: impl Future,
    ) {
        let mut stopped = pin!(stopped);
        let mut changes = Changes::watch();
        let mut addresses = time::interval(ADDRESS_INTERVAL);
        let mut snapshots = time::interval(SNAPSHOT_INTERVAL);
        for ticks in [&mut addresses, &mut snapshots] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let wake = self.put_out();
            // The answers to datagrams that came together go together too: that keeps nothing waiting
            // for long, and gets all of them done sooner.
            if !self.sockets.has_more() {
                self.sockets.flush();
            }
            if self.sockets.take_doubt() && clock::now() > self.looked_at + DOUBT_PAUSE {
                self.look_at_addresses();
                continue;
            }
            tokio::select! {
                _ = &mut stopped => break,
                () = self.sockets.wait() => self.take_from_network(),
                () = self.servers.wait() => self.take_from_servers(),
                () = self.application.wait() => self.take_from_application(),
                Some(event) = events.recv() => self.handle_signaling(event),
                () = wait_until(wake) => self.fleet.handle_timeout(clock::now()),
                change = changes.next() => self.handle_change(change),
                _ = addresses.tick() => self.look_at_addresses(),
                _ = snapshots.tick() => self.show(),
            }
        }
        self.fleet.close(clock::now());
        self.put_out();
        self.servers.end(&mut self.sockets, clock::now());
        self.sockets.flush();
    }

    /// Puts out what the core has ready; returns when it wants to be called again.
    fn put_out(&mut self) -> Instant {
        loop {
            let now = clock::now();
            match self.fleet.poll_output(now) {
                Output::Timeout(at) => {
                    let due = self.servers.work(&mut self.sockets, now);
                    if !self.servers.take_changed() {
                        return at.min(due);
                    }
                    self.fleet.handle_addresses(self.servers.addresses(), now);
                }
                Output::Transmit(transmit) => self.servers.send(transmit, &mut self.sockets, now),
                Output::Signal { to, signal } => self.signaling.send(&to, signal.into()),
                Output::Event(event) => {
                    if let Event::RouteClosed { peer, id } = &event {
                        self.application.close_incoming(peer, *id);
                    }
                    self.application.event(event);
                }
                Output::IncomingOpened { peer, id, delivery, limits, run } => {
                    self.application.open_incoming(&peer, id, delivery, limits.queue, run);
                }
                Output::Deliver(message) => self.application.deliver(message),
            }
        }
    }

    fn take_from_network(&mut self) {
        let now = clock::now();
        let Self { fleet, servers, sockets, .. } = self;
        for Datagram { local, remote, contents } in sockets.take() {
            let deliver = |local, remote, data: &[u8]| {
                fleet.handle_datagram(local, remote, data, now);
            };
            if !servers.handle_datagram(local, contents, now, deliver) {
                fleet.handle_datagram(local, remote, contents, now);
            }
        }
    }

    fn take_from_servers(&mut self) {
        let now = clock::now();
        let Self { fleet, servers, sockets, .. } = self;
        servers.take(sockets, now, |local, remote, data| {
            fleet.handle_datagram(local, remote, data, now);
        });
    }

    fn take_from_application(&mut self) {
        let (commands, taken) = self.application.drain();
        for command in commands {
            self.fleet.handle_command(command, clock::now());
        }
        for taken in taken {
            match taken.to {
                None => self.fleet.handle_message(taken.message, taken.at),
                Some(peer) => self.fleet.handle_message_for(&peer, taken.message, taken.at),
            }
        }
    }

    fn handle_signaling(&mut self, event: ClientEvent) {
        let now = clock::now();
        match event {
            ClientEvent::IceServers(servers) => self.servers.set_offered(&servers, now),
            ClientEvent::Welcome { peers, ice_servers } => {
                self.signaling_state = SignalingState::Connected;
                self.servers.set_offered(&ice_servers, now);
                let present: Vec<_> = peers
                    .into_iter()
                    .map(|peer| (peer.rover_id.to_string(), peer.instance, kind_of(&peer)))
                    .collect();
                self.fleet.handle_present(&present, now);
            }
            ClientEvent::PeerJoined(peer) => {
                self.fleet.handle_joined(&peer.rover_id, peer.instance, kind_of(&peer), now);
            }
            ClientEvent::PeerLeft { rover_id } => self.fleet.handle_left(&rover_id),
            ClientEvent::Signal { from, instance, body } => {
                if let Some(signal) = body.into() {
                    self.fleet.handle_signal(&from, instance, signal, now);
                }
            }
            // Told once until the next change, however often the client tries.
            ClientEvent::Disconnected { reason: why } | ClientEvent::Refused { text: why, .. } => {
                log::warn!("not connected with the signaling server: {why}");
                self.signaling_state = SignalingState::Failed(why);
            }
        }
    }

    fn handle_change(&mut self, change: Change) {
        self.look_at_addresses();
        if change == Change::Route {
            self.try_all();
        }
    }

    /// Tries at once whatever could not be reached.
    fn try_all(&mut self) {
        self.fleet.handle_reachable(clock::now());
        self.signaling.check();
    }

    fn look_at_addresses(&mut self) {
        self.looked_at = clock::now();
        let former = self.sockets.addresses();
        let is_open = |ip| former.keys().any(|address| address.ip() == ip);
        let told = self.application.signal_strengths(self.looked_at);
        match usable_addresses(&self.interfaces, is_open, &told) {
            Ok(usable) => {
                self.sockets.update(&usable);
                let own = self.sockets.addresses();
                let within_reach = own.iter().filter(|(_, interface)| interface.carrier);
                let within_reach: BTreeSet<_> = within_reach.map(|(address, _)| *address).collect();
                if within_reach != self.within_reach {
                    self.within_reach = within_reach;
                    self.signaling.check();
                }
                self.servers.set_hosts(&own, &mut self.sockets, self.looked_at);
            }
            Err(error) => log::warn!("the addresses of this machine cannot be read: {error}"),
        }
    }

    /// Looks at everything anew if nothing was done for a while: the machine or this program was
    /// suspended.
    fn notice_suspension(&mut self) {
        let now = clock::now();
        let pause = now.saturating_duration_since(self.shown_at);
        self.shown_at = now;
        if pause >= SUSPENSION {
            log::info!("suspended for {:.1} s: networks are looked at anew", pause.as_secs_f64());
            self.look_at_addresses();
            self.try_all();
        }
    }

    /// Shows the state of the link, with what only this room knows of it.
    fn show(&mut self) {
        self.notice_suspension();
        let mut peers = self.fleet.snapshot(clock::now());
        for peer in &mut peers {
            for route in &mut peer.routes {
                let held = match route.direction {
                    RouteDirection::Send => self.application.outgoing(route.id),
                    RouteDirection::Receive => {
                        // What has crossed for the core may still wait here.
                        route.counts.messages = 0;
                        self.application.incoming(&peer.peer, route.id)
                    }
                };
                route.counts += held.counts;
                route.waiting += held.waiting;
                route.waiting_bytes += held.waiting_bytes;
                peer.messages_dropped += held.counts.dropped();
            }
        }
        self.application.show(Snapshot { signaling: self.signaling_state.clone(), peers });
    }
}

/// Returns at this moment, or soon after. A timer of tokio waits for the next millisecond even if the
/// moment is past; while the machine is suspended it stands still, unlike the clock.
async fn wait_until(moment: Instant) {
    let left = moment.saturating_duration_since(clock::now());
    if !left.is_zero() {
        time::sleep(left).await;
    }
}

fn kind_of(peer: &Member) -> PeerKind {
    if peer.is_rover_link() { PeerKind::Rover } else { PeerKind::Standard }
}
