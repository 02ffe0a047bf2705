//! The addresses of this machine that may carry the link, and what the kernel knows of the network
//! interfaces behind them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::addresses::{States, Unused, judged};
use crate::config::{InterfaceKind, InterfaceSettings};
use crate::link::NetworkInterface;

/// What the kernel shows of network interfaces as files.
const SYS_CLASS_NET: &str = "/sys/class/net";

/// What drivers of Wi-Fi radios tell, a line each; not there on a machine without one.
const PROC_NET_WIRELESS: &str = "/proc/net/wireless";

/// What the kernel counts of all interfaces, a line each.
const PROC_NET_DEV: &str = "/proc/net/dev";

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
    let verdicts = verdicts(settings, is_open)?.into_iter();
    let used: Vec<_> =
        verdicts.filter(|(_, unused)| unused.is_none()).map(|(found, _)| found).collect();
    Ok(table(&used, settings, kind_by_kernel, signal_strengths(told)))
}

/// An address of this machine, or an interface without any.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) interface: NetworkInterface,
    /// `None` where the interface has none.
    pub(super) address: Option<IpAddr>,
    /// Why the link does not use it; `None` where it does.
    pub(super) unused: Option<Unused>,
}

/// All addresses and interfaces, for people: [`usable_addresses`] are those among them that are used
/// where none has a socket yet.
///
/// # Errors
/// What the system says.
pub(super) fn judged_addresses(settings: &InterfaceSettings) -> io::Result<Vec<Judged>> {
    let told = BTreeMap::new();
    let signal_strength = signal_strengths(&told);
    let describe = |name: &str, carrier: bool| {
        describe(name, carrier, settings, kind_by_kernel, &signal_strength)
    };
    let verdicts = verdicts(settings, |_| false)?;
    let mut all: Vec<_> = verdicts
        .iter()
        .map(|(found, unused)| Judged {
            interface: describe(&found.name, found.is_oper_up()),
            address: Some(found.ip()),
            unused: *unused,
        })
        .collect();
    for name in names(&fs::read_to_string(PROC_NET_DEV)?) {
        if verdicts.iter().all(|(found, _)| found.name != name) {
            // It cannot be read while the interface is down.
            let carrier = Path::new(SYS_CLASS_NET).join(name).join("carrier");
            let carrier = fs::read_to_string(carrier).unwrap_or_default();
            let refusal = settings.filter.refusal(name).map(Unused::from);
            all.push(Judged {
                interface: describe(name, carrier.trim() == "1"),
                address: None,
                unused: refusal.or(Some(Unused::NoAddress)),
            });
        }
    }
    all.sort_by(|one, other| {
        (&one.interface.name, one.address).cmp(&(&other.interface.name, other.address))
    });
    Ok(all)
}

/// The names of all interfaces, from what the kernel tells of them: two lines of headings, then one
/// for each.
fn names(dev: &str) -> impl Iterator<Item = &str> {
    dev.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim()))
}

/// The addresses of this machine, and why some are not used.
fn verdicts(
    settings: &InterfaceSettings,
    is_open: impl Fn(IpAddr) -> bool,
) -> io::Result<Vec<(if_addrs::Interface, Option<Unused>)>> {
    let (mut allowed, mut verdicts) = (Vec::new(), Vec::new());
    for mut found in if_addrs::get_if_addrs()? {
        // An IPv4 address can have a label: the name of its interface, a colon, and anything.
        found.name = found.name.split(':').next().unwrap_or_default().to_owned();
        match settings.filter.refusal(&found.name) {
            Some(refusal) => verdicts.push((found, Some(refusal.into()))),
            None => allowed.push(found),
        }
    }
    let states = States::read(&fs::read_to_string(PROC_NET_IF_INET6).unwrap_or_default());
    verdicts.extend(judged(allowed, &states, is_open));
    Ok(verdicts)
}

fn kind_by_kernel(name: &str) -> InterfaceKind {
    kind_of(name, &Path::new(SYS_CLASS_NET).join(name))
}

/// Tells the strength of an interface's signal, dBm: as the application knows it, else the kernel.
fn signal_strengths(told: &BTreeMap<String, i16>) -> impl Fn(&str) -> Option<i16> {
    let signals = fs::read_to_string(PROC_NET_WIRELESS).unwrap_or_default();
    move |name| told.get(name).copied().or_else(|| signal_strength(&signals, name))
}

/// Addresses with what is known of their interfaces.
fn table(
    found: &[if_addrs::Interface],
    settings: &InterfaceSettings,
    kind: impl Fn(&str) -> InterfaceKind,
    signal_strength: impl Fn(&str) -> Option<i16>,
) -> BTreeMap<IpAddr, NetworkInterface> {
    let describe = |found: &if_addrs::Interface| {
        // IFF_RUNNING: it is up, and so is the layer below.
        describe(&found.name, found.is_oper_up(), settings, &kind, &signal_strength)
    };
    found.iter().map(|found| (found.ip(), describe(found))).collect()
}

fn describe(
    name: &str,
    carrier: bool,
    settings: &InterfaceSettings,
    kind: impl Fn(&str) -> InterfaceKind,
    signal_strength: impl Fn(&str) -> Option<i16>,
) -> NetworkInterface {
    let kind = settings.kind_of(name).unwrap_or_else(|| kind(name));
    NetworkInterface {
        name: name.to_owned(),
        kind,
        preference: settings.preference_of(kind),
        metered: settings.is_metered(kind),
        carrier,
        signal_strength: signal_strength(name),
    }
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
        let judged = judged_addresses(&settings).unwrap();
        let used = judged.iter().filter(|of| of.unused.is_none());
        assert!(used.filter_map(|of| of.address).eq(usable.keys().copied()));
        let others = judged.iter().filter(|of| of.interface.name != "lo");
        assert!(others.into_iter().all(|of| of.unused == Some(Unused::NotAllowed)));
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
    fn interfaces_without_an_address_are_known_by_their_names() {
        let dev = "\
Inter-|   Receive                            |  Transmit
 face |bytes    packets errs drop fifo frame |bytes    packets errs drop fifo colls
    lo:    1564      22    0    0    0     0     1564      22    0    0    0     0
eth0.100:   0       0    0    0    0     0        0       0    0    0    0     0
";
        assert_eq!(names(dev).collect::<Vec<_>>(), ["lo", "eth0.100"]);
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
