//! From parameters to the settings of network interfaces.

use super::error::Fault;
use super::filter::{InterfaceFilter, interface_glob};
use super::interface::InterfaceKind;
use super::interfaces::{DEFAULT_METERED, InterfaceSettings};
use super::reader::Reader;

const DEFAULT_ALLOW: &[&str] = &["*"];

/// Bridges of containers: their addresses are the same on every machine that has them, so that a
/// check sent to a peer's one ends at our own. The ends of `veth` pairs need no entry, for those
/// that belong to a bridge carry no address.
const DEFAULT_DENY: &[&str] = &["docker*", "br-*"];

/// Kinds that can be written.
const NETWORK_KINDS: &[InterfaceKind] = &[
    InterfaceKind::Ethernet,
    InterfaceKind::Wifi,
    InterfaceKind::Cellular,
    InterfaceKind::Satellite,
    InterfaceKind::Vpn,
];

pub(super) fn interfaces(reader: &mut Reader<'_>) -> InterfaceSettings {
    let metered: Vec<_> = DEFAULT_METERED.iter().map(|kind| kind.name()).collect();
    InterfaceSettings {
        filter: InterfaceFilter {
            allow: reader.list("interfaces.allow", DEFAULT_ALLOW, interface_glob),
            deny: reader.list("interfaces.deny", DEFAULT_DENY, interface_glob),
        },
        kinds: kinds(reader),
        preference: reader.list("interfaces.preference", &[], network_kind),
        metered: reader.list("interfaces.metered", &metered, network_kind),
    }
}

/// ROS cannot list the entries of a block; hence the ids, which are kinds, with a list of names each.
fn kinds(reader: &mut Reader<'_>) -> Vec<(InterfaceKind, Vec<String>)> {
    const BLOCK: &str = "interfaces.kinds";
    let named = |text: &str| network_kind(text).map(|kind| (text.to_owned(), kind));
    let ids = reader.list("interfaces.kind_ids", &[], named);
    let described = reader.names_in(BLOCK);
    for id in described.iter().filter(|id| ids.iter().all(|(listed, _)| listed != *id)) {
        let key = format!("{BLOCK}.{id}");
        reader.report(&key, Fault::UnlistedKind { id: id.clone() });
        reader.pass_over(&key);
    }
    let mut kinds = Vec::new();
    for (id, kind) in ids {
        let key = format!("{BLOCK}.{id}");
        if described.contains(&id) {
            kinds.push((kind, reader.list(&key, &[], interface_glob)));
        } else {
            reader.report(&key, Fault::MissingKind { id });
        }
    }
    kinds
}

fn network_kind(text: &str) -> Result<InterfaceKind, Fault> {
    kind_among(NETWORK_KINDS.iter().copied(), text)
}

/// The kind of this name, loopback too.
pub(super) fn interface_kind(text: &str) -> Result<InterfaceKind, Fault> {
    kind_among(NETWORK_KINDS.iter().copied().chain([InterfaceKind::Loopback]), text)
}

fn kind_among(
    mut kinds: impl Iterator<Item = InterfaceKind> + Clone,
    text: &str,
) -> Result<InterfaceKind, Fault> {
    let names = kinds.clone().map(InterfaceKind::name);
    kinds.find(|kind| kind.name() == text).ok_or_else(|| Fault::NoChoice {
        found: text.to_owned(),
        choices: names.collect::<Vec<_>>().join(", "),
    })
}
