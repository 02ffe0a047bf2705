//! One UDP socket per usable local address, shared by all sessions.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::config::InterfaceKind;
use crate::link::{NetworkInterface, Transmit};

/// Room that the kernel is asked for per socket and direction, bytes: what 100 Mbit/s brings
/// within 80 ms, in which the driver may be kept from reading by a busy machine.
const SOCKET_BUFFER: usize = 1024 * 1024;

/// All sockets, by local address.
#[derive(Default)]
pub(super) struct Sockets {
    sockets: BTreeMap<SocketAddr, Bound>,
    /// The address whose socket gave the last datagram: the next one is asked first.
    last: Option<SocketAddr>,
    /// Did the kernel refuse a datagram as if an interface had gone?
    is_doubtful: bool,
}

struct Bound {
    socket: UdpSocket,
    interface: NetworkInterface,
    /// Datagrams that the kernel did not take.
    not_taken: u64,
    /// Is the socket tied to its interface?
    is_tied: bool,
}

impl Bound {
    /// Ties the socket to its interface, or loosens it. Kernels before 5.7 let root alone do this.
    fn tie(&mut self, is_tied: bool) {
        if self.is_tied == is_tied {
            return;
        }
        self.is_tied = is_tied;
        let name = &self.interface.name;
        let device = is_tied.then_some(name.as_bytes());
        if let Err(error) = SockRef::from(&self.socket).bind_device(device) {
            log::warn!("datagrams may leave by another interface than {name}: {error}");
        }
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
                log::info!("address gone: interface={name} address={ip}");
                return false;
            };
            match (*carrier, interface.carrier) {
                (true, false) => log::info!("no carrier: interface={name} address={ip}"),
                (false, true) => log::info!("carrier back: interface={name} address={ip}"),
                (true, true) | (false, false) => {}
            }
            interface.clone_into(&mut bound.interface);
            true
        });
        for (ip, interface) in usable {
            if self.sockets.keys().any(|address| address.ip() == *ip) {
                continue;
            }
            let name = &interface.name;
            match bind(*ip, name) {
                Ok((address, socket)) => {
                    log::info!("address in use: interface={name} address={address}");
                    let interface = interface.clone();
                    let bound = Bound { socket, interface, not_taken: 0, is_tied: false };
                    self.sockets.insert(address, bound);
                }
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
        for bound in self.sockets.values_mut().filter(|bound| real(bound)) {
            bound.tie(names.len() > 1);
        }
    }

    /// Local addresses, with their ports and what is known of the interfaces behind them.
    pub(super) fn addresses(&self) -> BTreeMap<SocketAddr, NetworkInterface> {
        self.sockets.iter().map(|(address, bound)| (*address, bound.interface.clone())).collect()
    }

    /// Has an interface gone, by what the kernel said to a datagram since the last call?
    pub(super) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.is_doubtful)
    }

    /// Sends a datagram. One that the kernel does not take now is lost, as it may be anywhere on
    /// its way.
    pub(super) fn send(&mut self, transmit: &Transmit) {
        let Some(bound) = self.sockets.get_mut(&transmit.source) else { return };
        if let Err(error) = bound.socket.try_send_to(&transmit.contents, transmit.destination) {
            bound.not_taken += 1;
            self.is_doubtful |= matches!(
                error.kind(),
                io::ErrorKind::NetworkDown
                    | io::ErrorKind::NetworkUnreachable
                    | io::ErrorKind::AddrNotAvailable
            );
            // The first one, and then ever more seldom.
            if bound.not_taken.is_power_of_two() {
                let (local, remote) = (transmit.source, transmit.destination);
                let count = bound.not_taken;
                log::debug!(
                    "datagram not sent: local={local} remote={remote} so_far={count}: {error}"
                );
            }
        }
    }

    /// The next datagram of any socket: its length, and the local and the remote address.
    pub(super) async fn receive(&mut self, buffer: &mut [u8]) -> (usize, SocketAddr, SocketAddr) {
        poll_fn(|context| self.poll_receive(context, buffer)).await
    }

    fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<(usize, SocketAddr, SocketAddr)> {
        // The sockets take turns, so that a flooded one does not silence the others.
        let last = self.last;
        let after = self.sockets.iter().filter(|(address, _)| Some(**address) > last);
        let rest = self.sockets.iter().filter(|(address, _)| Some(**address) <= last);
        for (local, bound) in after.chain(rest) {
            // An error here is the echo of an earlier datagram that could not be delivered.
            loop {
                let mut read = ReadBuf::new(buffer);
                match bound.socket.poll_recv_from(context, &mut read) {
                    Poll::Ready(Ok(remote)) => {
                        self.last = Some(*local);
                        return Poll::Ready((read.filled().len(), *local, remote));
                    }
                    Poll::Ready(Err(error)) => log::trace!("socket: local={local}: {error}"),
                    Poll::Pending => break,
                }
            }
        }
        Poll::Pending
    }
}

fn bind(ip: IpAddr, interface: &str) -> io::Result<(SocketAddr, UdpSocket)> {
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
    let socket = UdpSocket::from_std(socket.into())?;
    Ok((socket.local_addr()?, socket))
}

#[cfg(test)]
mod tests {
    use super::super::namespace::{ip, run_inside};
    use super::*;

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
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(send_by_each_radio());
        });
    }

    async fn send_by_each_radio() {
        let sent = |radio: &str| {
            let counted = ip(&format!("-json -stats link show {radio}"));
            let counted: serde_json::Value = serde_json::from_str(&counted).unwrap();
            counted[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
        };
        let interface = |radio: &str| NetworkInterface {
            name: radio.to_owned(),
            kind: InterfaceKind::Ethernet,
            metered: false,
            carrier: true,
            signal_strength: None,
        };
        let radios = [("r1", [10, 0, 1, 1], "r0"), ("r0", [10, 0, 0, 1], "r1")];
        let usable = radios.map(|(radio, address, _)| (IpAddr::from(address), interface(radio)));
        let mut sockets = Sockets::default();
        sockets.update(&BTreeMap::from(usable));
        for (radio, address, other) in radios {
            let of_radio = |source: &&SocketAddr| source.ip() == IpAddr::from(address);
            let source = *sockets.sockets.keys().find(of_radio).unwrap();
            sockets.sockets[&source].socket.writable().await.unwrap();
            let destination = ([192, 0, 2, 1], 9).into();
            let before = (sent(radio), sent(other));
            sockets.send(&Transmit { source, destination, contents: vec![1] });
            // What is sent first is the question who has the address.
            assert!(sent(radio) > before.0, "{radio}");
            assert_eq!(sent(other), before.1, "{other}");
        }
    }
}
