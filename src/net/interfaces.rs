//! The addresses of this machine that may carry the link.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use crate::config::InterfaceFilter;

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
