//! The addresses of this machine that may carry the link, and what the kernel knows of the network
//! interfaces behind them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::addresses::{States, in_use};
use crate::config::{InterfaceKind, InterfaceSettings};
use crate::link::NetworkInterface;

/// What the kernel shows of network interfaces as files.
const SYS_CLASS_NET: &str = "/sys/class/net";

/// What drivers of Wi-Fi radios tell, a line each; not there on a machine without one.
const PROC_NET_WIRELESS: &str = "/proc/net/wireless";

/// What the kernel tells of IPv6 addresses, a line each; not there where it has no IPv6.
const PROC_NET_IF_INET6: &str = "/proc/net/if_inet6";

/// `ARPHRD_ETHER`, `ARPHRD_PPP`, `ARPHRD_RAWIP` and `ARPHRD_LOOPBACK` of the kernel.
const HARDWARE_KINDS: &[(&str, InterfaceKind)] = &[
    ("1", InterfaceKind::Ethernet),
    ("512", InterfaceKind::Cellular),
    ("519", InterfaceKind::Cellular),
    ("772", InterfaceKind::Loopback),
];

/// The kinds that names stand for, as systemd and the kernel give them.
const PREFIX_KINDS: &[(&str, InterfaceKind)] = &[
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

/// Usable addresses, each with its network interface. `is_open` tells those that have a socket;
/// `told` are the strengths of signals that the application knows, dBm, by interface.
///
/// # Errors
/// What the system says.
pub(super) fn usable_addresses(
    settings: &InterfaceSettings,
    is_open: impl Fn(IpAddr) -> bool,
    told: &BTreeMap<String, i16>,
) -> io::Result<BTreeMap<IpAddr, NetworkInterface>> {
    let mut found = if_addrs::get_if_addrs()?;
    for found in &mut found {
        // An IPv4 address can have a label: the name of its interface, a colon, and anything.
        let name = found.name.split(':').next().unwrap_or_default().to_owned();
        found.name = name;
    }
    found.retain(|found| settings.filter.allows(&found.name));
    let states = States::read(&fs::read_to_string(PROC_NET_IF_INET6).unwrap_or_default());
    let signals = fs::read_to_string(PROC_NET_WIRELESS).unwrap_or_default();
    let kind = |name: &str| kind_of(name, &Path::new(SYS_CLASS_NET).join(name));
    let signal_strength =
        |name: &str| told.get(name).copied().or_else(|| signal_strength(&signals, name));
    Ok(table(&in_use(found, &states, is_open), settings, kind, signal_strength))
}

/// Addresses with what is known of their interfaces.
fn table(
    found: &[if_addrs::Interface],
    settings: &InterfaceSettings,
    kind: impl Fn(&str) -> InterfaceKind,
    signal_strength: impl Fn(&str) -> Option<i16>,
) -> BTreeMap<IpAddr, NetworkInterface> {
    let describe = |found: &if_addrs::Interface| {
        let kind = settings.kind_of(&found.name).unwrap_or_else(|| kind(&found.name));
        NetworkInterface {
            name: found.name.clone(),
            kind,
            preference: settings.preference_of(kind),
            metered: settings.is_metered(kind),
            // IFF_RUNNING: it is up, and so is the layer below.
            carrier: found.is_oper_up(),
            signal_strength: signal_strength(&found.name),
        }
    };
    found.iter().map(|found| (found.ip(), describe(found))).collect()
}

/// The kind of an interface: what its driver says, else what its name stands for, else what its
/// hardware is. `folder` is the one that the kernel shows it by.
fn kind_of(name: &str, folder: &Path) -> InterfaceKind {
    let of_driver = || {
        let uevent = fs::read_to_string(folder.join("uevent")).unwrap_or_default();
        match uevent.lines().find_map(|line| line.strip_prefix("DEVTYPE="))? {
            "wlan" => Some(InterfaceKind::Wifi),
            "wwan" => Some(InterfaceKind::Cellular),
            "wireguard" => Some(InterfaceKind::Vpn),
            _ => None,
        }
    };
    let of_radio = || folder.join("wireless").exists().then_some(InterfaceKind::Wifi);
    let of_name = || {
        let found = PREFIX_KINDS.iter().find(|(prefix, _)| name.starts_with(prefix));
        found.map(|(_, kind)| *kind)
    };
    let of_tunnel = || folder.join("tun_flags").exists().then_some(InterfaceKind::Vpn);
    let of_hardware = || {
        let hardware = fs::read_to_string(folder.join("type")).unwrap_or_default();
        HARDWARE_KINDS.iter().find(|(code, _)| *code == hardware.trim()).map(|(_, kind)| *kind)
    };
    of_driver()
        .or_else(of_radio)
        .or_else(of_name)
        .or_else(of_tunnel)
        .or_else(of_hardware)
        .unwrap_or(InterfaceKind::Unknown)
}

/// Strength of an interface's signal, dBm, from what the kernel tells of Wi-Fi radios: after the
/// name come status, link quality, and level.
fn signal_strength(wireless: &str, name: &str) -> Option<i16> {
    let line =
        wireless.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))?;
    let level = line.split_whitespace().nth(2)?;
    // A positive level is a ratio of some unknown most: not in dBm.
    level.trim_end_matches('.').parse().ok().filter(|level| *level < 0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr};

    use super::*;
    use crate::config::InterfaceFilter;

    fn found(name: &str, ip: [u8; 4], oper_status: IfOperStatus) -> if_addrs::Interface {
        let (ip, netmask) = (Ipv4Addr::from(ip), Ipv4Addr::from([255, 255, 255, 0]));
        if_addrs::Interface {
            name: name.to_owned(),
            addr: IfAddr::V4(Ifv4Addr { ip, netmask, prefixlen: 24, broadcast: None }),
            index: None,
            oper_status,
            is_p2p: false,
        }
    }

    fn settings() -> InterfaceSettings {
        InterfaceFilter { allow: vec!["*".to_owned()], deny: vec!["docker*".to_owned()] }.into()
    }

    #[test]
    fn each_address_has_its_interface_with_carrier_and_signal() {
        let all = [
            found("wlan0", [10, 0, 0, 1], IfOperStatus::Up),
            found("wwan0", [10, 0, 1, 1], IfOperStatus::Down),
        ];
        let kind = |name: &str| kind_of(name, Path::new("/nowhere"));
        let table = table(&all, &settings(), kind, |name| (name == "wlan0").then_some(-60));
        let wlan = NetworkInterface {
            name: "wlan0".to_owned(),
            kind: InterfaceKind::Wifi,
            preference: 0,
            metered: false,
            carrier: true,
            signal_strength: Some(-60),
        };
        let wwan = NetworkInterface {
            name: "wwan0".to_owned(),
            kind: InterfaceKind::Cellular,
            metered: true,
            carrier: false,
            signal_strength: None,
            ..wlan.clone()
        };
        let expected = [([10, 0, 0, 1].into(), wlan), ([10, 0, 1, 1].into(), wwan)];
        assert_eq!(table, BTreeMap::from(expected));
    }

    #[test]
    fn the_configuration_knows_the_kind_better_than_the_kernel() {
        let all = [
            found("eth0", [10, 0, 0, 1], IfOperStatus::Up),
            found("eth1", [10, 0, 1, 1], IfOperStatus::Up),
        ];
        let settings = InterfaceSettings {
            kinds: vec![(InterfaceKind::Satellite, vec!["eth1".to_owned()])],
            preference: vec![InterfaceKind::Satellite],
            metered: vec![InterfaceKind::Ethernet],
            ..settings()
        };
        let table = table(&all, &settings, |_| InterfaceKind::Ethernet, |_| None);
        let known = table.values().map(|of| (of.kind, of.preference, of.metered));
        assert_eq!(
            known.collect::<Vec<_>>(),
            [(InterfaceKind::Ethernet, 1, true), (InterfaceKind::Satellite, 0, false)]
        );
    }

    #[test]
    fn what_the_application_tells_of_a_signal_counts_and_lo_has_an_address() {
        let settings = InterfaceSettings::from(InterfaceFilter {
            allow: vec!["lo".to_owned()],
            deny: Vec::new(),
        });
        let told = BTreeMap::from([("lo".to_owned(), -70)]);
        let usable = usable_addresses(&settings, |_| false, &told).unwrap();
        assert!(usable.values().all(|interface| interface.name == "lo"));
        let lo = &usable[&IpAddr::from([127, 0, 0, 1])];
        assert_eq!((lo.kind, lo.signal_strength), (InterfaceKind::Loopback, Some(-70)));
    }

    #[test]
    fn the_driver_knows_the_kind_better_than_the_name_and_the_name_better_than_the_hardware() {
        let folder = tempfile::tempdir().unwrap();
        let kind = |name: &str, files: &[(&str, &str)]| {
            let folder = folder.path().join(format!("{name} {}", files.len()));
            fs::create_dir(&folder).unwrap();
            for (file, text) in files {
                fs::write(folder.join(file), text).unwrap();
            }
            kind_of(name, &folder)
        };
        let ethernet = ("type", "1\n");
        let of_driver = ("uevent", "DEVTYPE=wwan\nINTERFACE=eth1\n");
        assert_eq!(kind("eth1", &[of_driver, ethernet]), InterfaceKind::Cellular);
        assert_eq!(kind("radio", &[("wireless", ""), ethernet]), InterfaceKind::Wifi);
        assert_eq!(kind("wwan0", &[("tun_flags", "")]), InterfaceKind::Cellular);
        assert_eq!(kind("mesh", &[("tun_flags", ""), ethernet]), InterfaceKind::Vpn);
        assert_eq!(kind("lan", &[ethernet]), InterfaceKind::Ethernet);
        assert_eq!(kind("mystery", &[]), InterfaceKind::Unknown);
    }

    #[test]
    fn the_signal_is_read_where_it_is_in_dbm() {
        let wireless = "\
Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  -56.  -256        0      0      0      0      0        0
wlan01: 0000   54.   70.  0           0      0      0      0      0        0
";
        assert_eq!(signal_strength(wireless, "wlan0"), Some(-56));
        for name in ["wlan01", "wlan", "eth0"] {
            assert_eq!(signal_strength(wireless, name), None, "{name}");
        }
    }
}
