//! Tells at once when a link or an address of this machine changes: the kernel says so by netlink
//! (rtnetlink(7)). What has changed is then looked up anew; only the moment comes from here.

use std::future::pending;
use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tokio::net::UnixDatagram;

/// Links, IPv4 addresses and IPv6 addresses: `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR` and
/// `RTMGRP_IPV6_IFADDR` of the kernel.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// Room for the beginning of a message, bytes: it only has to be taken off the queue.
const MESSAGE_BUFFER: usize = 64;

/// The kernel's word that something has changed.
pub(super) struct Changes {
    /// `None` where the kernel does not tell.
    socket: Option<UnixDatagram>,
}

impl Changes {
    /// Asks the kernel to tell. Where it refuses, nothing is ever told, which is said once.
    pub(super) fn watch() -> Self {
        match open() {
            Ok(socket) => Self { socket: Some(socket) },
            Err(error) => {
                log::warn!("the loss of a network interface is noticed late: {error}");
                Self { socket: None }
            }
        }
    }

    /// Returns when something has changed since the last call.
    pub(super) async fn next(&mut self) {
        let Some(socket) = &self.socket else { return pending().await };
        if let Err(error) = told(socket).await {
            log::warn!("the loss of a network interface is noticed late from now on: {error}");
            self.socket = None;
        }
    }
}

fn open() -> io::Result<UnixDatagram> {
    let socket = net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
        // The first protocol of the family: NETLINK_ROUTE.
        None,
    )?;
    net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    // Tokio has no netlink sockets. To receive, they are like any others that stay in the machine.
    UnixDatagram::from_std(StdDatagram::from(socket))
}

/// Waits for a message and takes all there are.
async fn told(socket: &UnixDatagram) -> io::Result<()> {
    let mut buffer = [0; MESSAGE_BUFFER];
    socket.readable().await?;
    loop {
        match socket.try_recv(&mut buffer) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            // More has changed than there was room for: all the more reason to look.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::super::interfaces::usable_addresses;
    use super::super::namespace::{ip, run_inside};
    use super::*;
    use crate::config::InterfaceFilter;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn the_kernel_tells_at_once_that_an_interface_comes_or_goes() {
        run_inside(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(loopback_comes_and_goes());
        });
    }

    async fn loopback_comes_and_goes() {
        let filter = InterfaceFilter { allow: vec!["lo".to_owned()], deny: Vec::new() };
        let has_carrier = || {
            let found = usable_addresses(&filter).unwrap();
            found.get(&IpAddr::V4(Ipv4Addr::LOCALHOST)).is_some_and(|lo| lo.carrier)
        };
        let mut changes = Changes::watch();
        for (state, expected) in [("up", true), ("down", false)] {
            ip(&format!("link set lo {state}"));
            loop {
                tokio::time::timeout(PATIENCE, changes.next()).await.expect("it is told");
                if has_carrier() == expected {
                    break;
                }
            }
        }
    }
}
