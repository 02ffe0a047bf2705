//! The addresses of this machine that may carry the link.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use crate::config::{InterfaceFilter, InterfaceKind};
use crate::link::NetworkInterface;

/// Usable addresses, each with the name of its network interface.
///
/// # Errors
/// What the system says.
pub(super) fn usable_addresses(filter: &InterfaceFilter) -> io::Result<BTreeMap<IpAddr, String>> {
    let interfaces = if_addrs::get_if_addrs()?;
    Ok(interfaces
        .into_iter()
        // Link-local addresses need a zone, which a candidate cannot name.
        .filter(|interface| !interface.is_link_local() && filter.allows(&interface.name))
        .map(|interface| (interface.ip(), interface.name))
        .collect())
}

/// What is known of an interface by its name alone.
pub(super) fn network_interface(name: &str) -> NetworkInterface {
    let kind = kind_of(name);
    NetworkInterface {
        name: name.to_owned(),
        kind,
        metered: matches!(kind, InterfaceKind::Cellular | InterfaceKind::Satellite),
        carrier: true,
        signal_strength: None,
    }
}

/// The kind that the name of an interface stands for, as systemd and the kernel give names.
fn kind_of(name: &str) -> InterfaceKind {
    const PREFIXES: &[(&str, InterfaceKind)] = &[
        ("lo", InterfaceKind::Loopback),
        ("wl", InterfaceKind::Wifi),
        ("ww", InterfaceKind::Cellular),
        ("ppp", InterfaceKind::Cellular),
        ("wg", InterfaceKind::Vpn),
        ("tun", InterfaceKind::Vpn),
        ("tap", InterfaceKind::Vpn),
        ("en", InterfaceKind::Ethernet),
        ("eth", InterfaceKind::Ethernet),
    ];
    PREFIXES
        .iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map_or(InterfaceKind::Unknown, |(_, kind)| *kind)
}
