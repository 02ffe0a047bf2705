//! One UDP socket per usable local address, shared by all sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use quinn_udp::UdpSocketState;
use rustix::net::sockopt::{ip_mtu_discover, set_ip_mtu_discover};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::task::consume_budget;

use super::batch::{Datagram, Incoming, Outgoing};
use crate::config::InterfaceKind;
use crate::link::{MAX_DATAGRAMS_AT_ONCE, NetworkInterface, Transmit};

/// Room that the kernel is asked for per socket and direction, bytes: what 100 Mbit/s brings
/// within 80 ms, in which the driver may be kept from reading by a busy machine.
const SOCKET_BUFFER: usize = 1024 * 1024;

/// All sockets, by local address.
#[derive(Default)]
pub(super) struct Sockets {
    sockets: BTreeMap<SocketAddr, Bound>,
    outgoing: Outgoing,
    incoming: Incoming,
    /// Did the kernel refuse a datagram as if an interface had gone?
    is_doubtful: bool,
}

struct Bound {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Datagrams that the kernel takes in one call.
    together: usize,
    interface: NetworkInterface,
    /// Datagrams that the kernel did not take.
    not_taken: u64,
    /// Is the socket tied to its interface, as far as the kernel lets us?
    is_tied: bool,
    /// Is it one more at the same address, for a server?
    is_further: bool,
}

impl Bound {
    /// Ties the socket to its interface, or loosens it. Kernels before 5.7 let root alone tie, and
    /// all of them root alone loosen.
    fn tie(&mut self, is_tied: bool, address: SocketAddr) {
        if self.is_tied == is_tied {
            return;
        }
        self.is_tied = is_tied;
        let name = &self.interface.name;
        let device = is_tied.then_some(name.as_bytes());
        match SockRef::from(&self.socket).bind_device(device) {
            Ok(()) if is_tied => {
                log::info!("tied to its interface: interface={name} address={address}");
            }
            Ok(()) => log::info!("left to the routes: interface={name} address={address}"),
            Err(error) if is_tied => log::warn!(
                "not tied to its interface, so the routes decide by which one datagrams of this \
                 address leave; run as root, or give a rule for each source address (ip-rule(8)): \
                 interface={name} address={address}: {error}"
            ),
            Err(error) => {
                self.is_tied = true;
                log::trace!(
                    "stays tied to its interface: interface={name} address={address}: {error}"
                );
            }
        }
    }

    /// Sends datagrams, together if there are several. Returns whether the kernel refused one as if
    /// an interface had gone.
    fn send(&mut self, (local, remote): (SocketAddr, SocketAddr), outgoing: &Outgoing) -> bool {
        let is_several = outgoing.is_several();
        if is_several && self.send_together(&outgoing.together(remote)).is_ok() {
            return false;
        }
        // One by one then: the kernel took none of them together, and says to each why.
        let (mut is_taken, mut is_doubtful) = (false, false);
        for datagram in outgoing.datagrams() {
            let Err(error) = self.socket.try_send_to(datagram, remote) else {
                is_taken = true;
                continue;
            };
            self.not_taken += 1;
            is_doubtful |= matches!(
                error.kind(),
                io::ErrorKind::NetworkDown
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            );
            // The first one, and then ever more seldom.
            if self.not_taken.is_power_of_two() {
                let count = self.not_taken;
                log::debug!(
                    "datagram not sent: local={local} remote={remote} so_far={count}: {error}"
                );
            }
        }
        // What fails either way says nothing about sending together.
        if is_several && is_taken {
            self.together = self.state.max_gso_segments();
        }
        is_doubtful
    }

    fn send_together(&self, transmit: &quinn_udp::Transmit<'_>) -> io::Result<()> {
        let send = || self.state.try_send((&self.socket).into(), transmit);
        self.socket.try_io(Interest::WRITABLE, send)
    }
}

impl Sockets {
    /// Opens sockets for new addresses, closes those whose address has gone, and notes what has
    /// changed about the interfaces behind the others.
    pub(super) fn update(&mut self, usable: &BTreeMap<IpAddr, NetworkInterface>) {
        self.sockets.retain(|address, bound| {
            let NetworkInterface { name, carrier, .. } = &bound.interface;
            let ip = address.ip();
            let Some(interface) = usable.get(&ip).filter(|interface| interface.name == *name)
            else {
                if !bound.is_further {
                    log::info!("address gone: interface={name} address={ip}");
                }
                return false;
            };
            match (*carrier, interface.carrier) {
                _ if bound.is_further => {}
                (true, false) => log::info!("no carrier: interface={name} address={ip}"),
                (false, true) => log::info!("carrier back: interface={name} address={ip}"),
                (true, true) | (false, false) => {}
            }
            interface.clone_into(&mut bound.interface);
            true
        });
        for (ip, interface) in usable {
            if self.own().any(|(address, _)| address.ip() == *ip) {
                continue;
            }
            let name = &interface.name;
            match self.open(*ip, interface.clone(), false) {
                Ok(address) => log::info!("address in use: interface={name} address={address}"),
                // The kernel still sees whether anybody else has it (RFC 4862 §5.4), and tells
                // when it is done.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    log::debug!("address not ready: interface={name} address={ip}");
                }
                Err(error) => {
                    log::warn!("address not used: interface={name} address={ip}: {error}");
                }
            }
        }
        self.tie_to_interfaces();
    }

    /// With several interfaces the route with the least metric would decide which one a datagram
    /// leaves by, whatever its address. With one there is nothing to decide, and a tied socket would
    /// not hear a second rover on the same machine, which the kernel reaches by `lo`.
    fn tie_to_interfaces(&mut self) {
        let real = |bound: &Bound| bound.interface.kind != InterfaceKind::Loopback;
        let names: BTreeSet<_> = self
            .sockets
            .values()
            .filter(|bound| real(bound))
            .map(|bound| bound.interface.name.clone())
            .collect();
        for (address, bound) in self.sockets.iter_mut().filter(|(_, bound)| real(bound)) {
            bound.tie(names.len() > 1, *address);
        }
    }

    /// Local addresses, with their ports and what is known of the interfaces behind them.
    pub(super) fn addresses(&self) -> BTreeMap<SocketAddr, NetworkInterface> {
        self.own().map(|(address, bound)| (*address, bound.interface.clone())).collect()
    }

    fn own(&self) -> impl Iterator<Item = (&SocketAddr, &Bound)> {
        self.sockets.iter().filter(|(_, bound)| !bound.is_further)
    }

    /// Opens one more socket at an address, which [`Sockets::addresses`] does not tell of.
    pub(super) fn open_further(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        let like = self.sockets.get(&address)?;
        let (interface, is_tied) = (like.interface.clone(), like.is_tied);
        let name = interface.name.clone();
        match self.open(address.ip(), interface, true) {
            Ok(further) => {
                self.sockets.get_mut(&further)?.tie(is_tied, further);
                Some(further)
            }
            Err(error) => {
                log::debug!("no further socket: interface={name} address={address}: {error}");
                None
            }
        }
    }

    /// Closes a further socket.
    pub(super) fn close(&mut self, address: SocketAddr) {
        self.sockets.remove(&address);
    }

    /// The interface that the socket of an address is tied to, if it is.
    pub(super) fn tied_to(&self, address: SocketAddr) -> Option<&str> {
        let bound = self.sockets.get(&address).filter(|bound| bound.is_tied)?;
        Some(&bound.interface.name)
    }

    fn open(
        &mut self,
        ip: IpAddr,
        interface: NetworkInterface,
        is_further: bool,
    ) -> io::Result<SocketAddr> {
        let (address, socket, state) = bind(ip, &interface.name)?;
        let together = state.max_gso_segments();
        let (not_taken, is_tied) = (0, false);
        let bound = Bound { socket, state, together, interface, not_taken, is_tied, is_further };
        self.sockets.insert(address, bound);
        Ok(address)
    }

    /// Has an interface gone, by what the kernel said to a datagram since the last call?
    pub(super) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.is_doubtful)
    }

    /// Sends a datagram, at [`Sockets::flush`] at the latest: it may go together with others.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let limit = self.sockets.get(&transmit.source).map_or(1, |bound| bound.together);
        if !self.outgoing.add(transmit, limit) {
            self.flush();
            self.outgoing.add(transmit, limit);
        }
    }

    /// Sends what has not gone yet. What the kernel does not take now is lost, as it may be anywhere
    /// on its way.
    pub(super) fn flush(&mut self) {
        if let Some(pair) = self.outgoing.pair()
            && let Some(bound) = self.sockets.get_mut(&pair.0)
        {
            self.is_doubtful |= bound.send(pair, &self.outgoing);
        }
        self.outgoing.clear();
    }

    /// Has more come together with what was received last? Then the next datagrams are there at once.
    pub(super) fn has_more(&self) -> bool {
        self.incoming.has_more()
    }

    /// Waits until there are datagrams of any socket to be taken.
    pub(super) async fn wait(&mut self) {
        // However many came together, the reactor looks at the other sockets and at the clock as
        // often as if each had come alone.
        consume_budget().await;
        while !self.incoming.has_more() {
            poll_fn(|context| self.poll_receive(context)).await;
        }
        for _ in 1..self.incoming.count().min(MAX_DATAGRAMS_AT_ONCE) {
            consume_budget().await;
        }
    }

    /// The next datagrams: some that came together.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        self.incoming.take(MAX_DATAGRAMS_AT_ONCE)
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The sockets take turns, so that a flooded one does not silence the others: the one after
        // that which gave the last datagram is asked first.
        let last = self.incoming.local();
        let after = self.sockets.iter().filter(|(address, _)| **address > last);
        let rest = self.sockets.iter().filter(|(address, _)| **address <= last);
        for (local, Bound { socket, state, .. }) in after.chain(rest) {
            while let Poll::Ready(ready) = socket.poll_recv_ready(context) {
                let receive = || self.incoming.receive(*local, socket.into(), state);
                match ready.and_then(|()| socket.try_io(Interest::READABLE, receive)) {
                    Ok(()) => return Poll::Ready(()),
                    // There was nothing after all.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // The echo of an earlier datagram that could not be delivered.
                    Err(error) => log::trace!("socket: local={local}: {error}"),
                }
            }
        }
        Poll::Pending
    }
}

fn bind(ip: IpAddr, interface: &str) -> io::Result<(SocketAddr, UdpSocket, UdpSocketState)> {
    let wanted = SocketAddr::new(ip, 0);
    let socket = Socket::new(Domain::for_address(wanted), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // Both are wishes: the kernel grants what its limits allow.
    for result in
        [socket.set_recv_buffer_size(SOCKET_BUFFER), socket.set_send_buffer_size(SOCKET_BUFFER)]
    {
        if let Err(error) = result {
            log::debug!("socket buffer: interface={interface}: {error}");
        }
    }
    socket.bind(&wanted.into())?;
    // Errors that routers and peers report (IP_RECVERR) are not asked for: the kernel gives them in
    // place of sending the next datagram, to whomever that goes, and anybody can forge them.
    // The state forbids the kernel to fragment, which it has to do on links that carry less than
    // our datagrams have. With IPv6 there are none (RFC 8200, section 5).
    let mtu_discover = ip_mtu_discover(&socket)?;
    let state = UdpSocketState::new((&socket).into())?;
    set_ip_mtu_discover(&socket, mtu_discover)?;
    let socket = UdpSocket::from_std(socket.into())?;
    Ok((socket.local_addr()?, socket, state))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    use tokio::time::timeout;

    use super::super::namespace::{ip, run_inside};
    use super::*;

    /// Far beyond what a datagram takes on a machine that has other things to do.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs of one length, with others between them that are shorter or longer.
    const LENGTHS: [&[usize]; 3] =
        [&[1200; 130], &[1200, 1200, 40, 1200, 1201, 1200, 1, 1, 2, 1], &[9000; 16]];

    fn interface(name: &str, kind: InterfaceKind) -> NetworkInterface {
        NetworkInterface {
            name: name.to_owned(),
            kind,
            preference: 0,
            metered: false,
            carrier: true,
            signal_strength: None,
        }
    }

    /// One socket; none where the machine has no such address.
    async fn bound_to(ip: IpAddr) -> Option<(Sockets, SocketAddr)> {
        let mut sockets = Sockets::default();
        sockets.update(&BTreeMap::from([(ip, interface("lo", InterfaceKind::Loopback))]));
        let address = *sockets.sockets.keys().next()?;
        sockets.sockets[&address].socket.writable().await.unwrap();
        Some((sockets, address))
    }

    async fn cross(
        (from, source): (&mut Sockets, SocketAddr),
        (to, destination): (&mut Sockets, SocketAddr),
    ) {
        for lengths in LENGTHS {
            let contents = |number: usize, length| vec![number as u8; length];
            let mut expected = lengths.iter().enumerate();
            // As much as the kernel holds for a socket.
            for some in lengths.chunks(70) {
                for (number, length) in expected.clone().take(some.len()) {
                    let contents = contents(number, *length);
                    from.send(&Transmit { source, destination, contents });
                }
                from.flush();
                assert_eq!(from.sockets[&source].not_taken, 0);
                let mut expected = expected.by_ref().take(some.len()).peekable();
                while expected.peek().is_some() {
                    let arrival = timeout(PATIENCE, to.wait());
                    arrival.await.expect("a machine loses nothing to itself");
                    for datagram in to.take() {
                        let (number, length) = expected.next().expect("none that was not sent");
                        assert_eq!((datagram.local, datagram.remote), (destination, source));
                        assert!(datagram.contents == contents(number, *length), "{number}");
                    }
                }
            }
        }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    #[test]
    fn datagrams_arrive_whole_and_in_order_whether_they_go_together_or_not() {
        run(async {
            for ip in [IpAddr::from([127, 0, 0, 1]), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                let (Some((mut a, at_a)), Some((mut b, at_b))) =
                    (bound_to(ip).await, bound_to(ip).await)
                else {
                    println!("not tested, for there is no {ip}");
                    continue;
                };
                b.sockets.get_mut(&at_b).unwrap().together = 1;
                cross((&mut a, at_a), (&mut b, at_b)).await;
                cross((&mut b, at_b), (&mut a, at_a)).await;
            }
        });
    }

    #[test]
    fn datagrams_that_the_kernel_does_not_take_together_go_one_by_one() {
        run_inside(|| {
            // It sends nothing together that has to be fragmented.
            ip("link set lo mtu 1000 up");
            run(async {
                let ip = IpAddr::from([127, 0, 0, 1]);
                let (mut a, at_a) = bound_to(ip).await.unwrap();
                let (mut b, at_b) = bound_to(ip).await.unwrap();
                cross((&mut a, at_a), (&mut b, at_b)).await;
            });
        });
    }

    #[test]
    fn each_datagram_that_the_kernel_does_not_take_counts() {
        run_inside(|| {
            ip("link set lo up");
            run(async {
                let (mut sockets, source) = bound_to([127, 0, 0, 1].into()).await.unwrap();
                let together = sockets.sockets[&source].together;
                let destination = ([192, 0, 2, 1], 9).into();
                for _ in 0..3 {
                    sockets.send(&Transmit { source, destination, contents: vec![1; 100] });
                }
                sockets.flush();
                assert_eq!(sockets.sockets[&source].not_taken, 3);
                assert_eq!(sockets.sockets[&source].together, together);
                assert!(sockets.take_doubt());
            });
        });
    }

    #[test]
    fn a_datagram_leaves_by_the_interface_of_its_address_whatever_the_routes() {
        run_inside(|| {
            for (radio, address, metric) in [("r0", "10.0.0.1", 100), ("r1", "10.0.1.1", 200)] {
                ip(&format!("link add {radio} type veth peer name far_{radio}"));
                for end in [radio.to_owned(), format!("far_{radio}")] {
                    // Nothing is sent but what the test sends.
                    ip(&format!("link set {end} addrgenmode none up"));
                }
                ip(&format!("address add {address}/24 dev {radio}"));
                ip(&format!("route add default dev {radio} metric {metric}"));
            }
            run(send_by_each_radio());
        });
    }

    #[test]
    fn a_socket_that_may_not_be_loosened_stays_tied() {
        run_inside(|| {
            for (radio, address) in [("r0", "10.0.0.1/24"), ("r1", "10.0.1.1/24")] {
                ip(&format!("link add {radio} type veth peer name far_{radio}"));
                ip(&format!("address add {address} dev {radio}"));
            }
            let none = CapabilitySet::empty();
            let unprivileged =
                CapabilitySets { effective: none, permitted: none, inheritable: none };
            set_capabilities(None, unprivileged).unwrap();
            run(async {
                let usable = [("r0", [10, 0, 0, 1]), ("r1", [10, 0, 1, 1])].map(|(radio, ip)| {
                    (IpAddr::from(ip), interface(radio, InterfaceKind::Ethernet))
                });
                let mut sockets = Sockets::default();
                let device = |sockets: &Sockets| {
                    let bound = sockets.sockets.values().next().unwrap();
                    let device = SockRef::from(&bound.socket).device().unwrap();
                    (device.map(|name| String::from_utf8(name).unwrap()), bound.is_tied)
                };
                sockets.update(&BTreeMap::from(usable.clone()));
                let tied = (Some("r0".to_owned()), true);
                assert_eq!(device(&sockets), tied);
                sockets.update(&BTreeMap::from([usable[0].clone()]));
                assert_eq!(device(&sockets), tied);
                sockets.update(&BTreeMap::from(usable));
                assert_eq!(device(&sockets), tied);
            });
        });
    }

    async fn send_by_each_radio() {
        let sent = |radio: &str| {
            let counted = ip(&format!("-json -stats link show {radio}"));
            let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
            counted[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
        };
        let radios = [("r1", [10, 0, 1, 1], "r0"), ("r0", [10, 0, 0, 1], "r1")];
        let usable = radios.map(|(radio, address, _)| {
            (IpAddr::from(address), interface(radio, InterfaceKind::Ethernet))
        });
        let mut sockets = Sockets::default();
        sockets.update(&BTreeMap::from(usable));
        for (radio, address, other) in radios {
            let of_radio = |source: &&SocketAddr| source.ip() == IpAddr::from(address);
            let source = *sockets.sockets.keys().find(of_radio).unwrap();
            sockets.sockets[&source].socket.writable().await.unwrap();
            let destination = ([192, 0, 2, 1], 9).into();
            let before = (sent(radio), sent(other));
            sockets.send(&Transmit { source, destination, contents: vec![1] });
            sockets.flush();
            // What is sent first is the question who has the address.
            assert!(sent(radio) > before.0, "{radio}");
            assert_eq!(sent(other), before.1, "{other}");
        }
    }
}
