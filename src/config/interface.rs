//! What kind of network an interface leads to.

use std::fmt;

/// Kind of a network interface; the numbers are those of `PathQuality.msg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InterfaceKind {
    /// Not known.
    Unknown = 0,
    /// Cable.
    Ethernet = 1,
    /// IEEE 802.11.
    Wifi = 2,
    /// LTE, 5G.
    Cellular = 3,
    /// By satellite.
    Satellite = 4,
    /// A tunnel over another interface.
    Vpn = 5,
    /// Within the machine.
    Loopback = 6,
}

impl InterfaceKind {
    /// Its name in the configuration and in what people read.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ethernet => "ethernet",
            Self::Wifi => "wifi",
            Self::Cellular => "cellular",
            Self::Satellite => "satellite",
            Self::Vpn => "vpn",
            Self::Loopback => "loopback",
        }
    }
}

impl fmt::Display for InterfaceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
