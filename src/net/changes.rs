//! Tells at once when a link, an address or a route of this machine changes: the kernel says so by
//! netlink (rtnetlink(7)). What has changed is then looked up anew; only the moment comes from here.

use std::future::pending;
use std::io;
use std::os::unix::net::UnixDatagram as StdDatagram;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use tokio::net::UnixDatagram;

/// Links, then addresses and routes of IPv4 and IPv6: `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`,
/// `RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_IFADDR` and `RTMGRP_IPV6_ROUTE` of the kernel.
pub(super) const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// A route is there: `RTM_NEWROUTE` of the kernel.
const NEW_ROUTE: u16 = 24;

/// Where a message tells what it is about, bytes.
const MESSAGE_TYPE: std::ops::Range<usize> = 4..6;

/// Room for the beginning of a message, bytes: it only has to be taken off the queue.
const MESSAGE_BUFFER: usize = 64;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Something about links, addresses or routes.
    Any,
    /// The same, and there is a new route: what could not be reached may be now.
    Route,
}

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
    pub(super) async fn next(&mut self) -> Change {
        let Some(socket) = &self.socket else { return pending().await };
        told(socket).await.unwrap_or_else(|error| {
            log::warn!("the loss of a network interface is noticed late from now on: {error}");
            self.socket = None;
            Change::Any
        })
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
async fn told(socket: &UnixDatagram) -> io::Result<Change> {
    let mut buffer = [0; MESSAGE_BUFFER];
    let mut change = Change::Any;
    socket.readable().await?;
    loop {
        match socket.try_recv(&mut buffer) {
            Ok(length) => {
                let about = buffer[..length].get(MESSAGE_TYPE);
                if about == Some(&NEW_ROUTE.to_ne_bytes()) {
                    change = Change::Route;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(change),
            // More has changed than there was room for: all the more reason to look.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => {
                change = Change::Route;
            }
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;
    use std::path::Path;
    use std::time::Duration;

    use super::super::interfaces::usable_addresses;
    use super::super::namespace::{ip, run_inside};
    use super::*;
    use crate::config::InterfaceFilter;
    use crate::link::NetworkInterface;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    /// The addresses of some interfaces that can be used, while this one is open.
    fn usable(interfaces: &str, open: Option<IpAddr>) -> BTreeMap<IpAddr, NetworkInterface> {
        let filter = InterfaceFilter { allow: vec![interfaces.to_owned()], deny: Vec::new() };
        usable_addresses(&filter.into(), |ip| Some(ip) == open, &BTreeMap::new()).unwrap()
    }

    /// A radio with its far end, which has no carrier yet and no address.
    fn add_radio() {
        ip("link add r0 type veth peer name far_r0");
        ip("link set r0 addrgenmode none up");
        ip("link set far_r0 addrgenmode none");
    }

    impl Changes {
        /// Waits for changes until something holds.
        async fn wait_until(&mut self, holds: impl Fn() -> bool) {
            loop {
                tokio::time::timeout(PATIENCE, self.next()).await.expect("it is told");
                if holds() {
                    return;
                }
            }
        }
    }

    #[test]
    fn the_kernel_tells_at_once_that_an_interface_comes_or_goes() {
        run_inside(|| {
            run(async {
                let localhost = IpAddr::from([127, 0, 0, 1]);
                let has_carrier =
                    || usable("lo", None).get(&localhost).is_some_and(|lo| lo.carrier);
                let mut changes = Changes::watch();
                for (state, expected) in [("up", true), ("down", false)] {
                    ip(&format!("link set lo {state}"));
                    changes.wait_until(|| has_carrier() == expected).await;
                }
            });
        });
    }

    #[test]
    fn the_kernel_tells_of_a_new_route_as_such() {
        run_inside(|| {
            add_radio();
            ip("address add 10.0.0.1/24 dev r0");
            run(async {
                let mut changes = Changes::watch();
                ip("link set r0 txqueuelen 500");
                let change = tokio::time::timeout(PATIENCE, changes.next()).await;
                assert_eq!(change.expect("it is told"), Change::Any);
                ip("route add 192.0.2.0/24 dev r0");
                let change = tokio::time::timeout(PATIENCE, changes.next()).await;
                assert_eq!(change.expect("it is told"), Change::Route);
            });
        });
    }

    #[test]
    fn an_ipv6_address_is_used_from_the_moment_it_is_certain_until_it_goes() {
        run_inside(|| {
            if !Path::new("/proc/net/if_inet6").exists() {
                return println!("not tested, for the kernel has no IPv6");
            }
            add_radio();
            run(async {
                let address: IpAddr = "2001:db8::1".parse().unwrap();
                let is_usable = |open| usable("r0", open).contains_key(&address);
                let mut changes = Changes::watch();
                // Without a carrier nobody can be asked whether he has it.
                ip("address add 2001:db8::1/64 dev r0");
                assert!(!is_usable(None), "tentative");
                ip("link set far_r0 up");
                changes.wait_until(|| is_usable(None)).await;
                ip("address change 2001:db8::1/64 dev r0 preferred_lft 0");
                changes.wait_until(|| !is_usable(None)).await;
                assert!(is_usable(Some(address)), "deprecated, in use");
                ip("address delete 2001:db8::1/64 dev r0");
                changes.wait_until(|| !is_usable(Some(address))).await;
            });
        });
    }
}
