//! What the core is told of the addresses of this rover, and of the network interfaces behind them.

use std::net::SocketAddr;

use super::snapshot::CandidateKind;
use crate::config::InterfaceKind;

/// An address by which datagrams leave and arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// The network interface behind it.
    pub interface: NetworkInterface,
    /// [`CandidateKind::Host`]: the interface's own. [`CandidateKind::Relay`]: one that a TURN
    /// server lends, which the interface leads to.
    pub kind: CandidateKind,
    /// Where others see it, if a NAT is on the way: what a STUN server says.
    pub reflexive: Option<SocketAddr>,
}

impl From<NetworkInterface> for LocalAddress {
    /// The interface's own address, with no NAT known.
    fn from(interface: NetworkInterface) -> Self {
        Self { interface, kind: CandidateKind::Host, reflexive: None }
    }
}

impl LocalAddress {
    /// Does all that crosses it pass a TURN server?
    pub fn is_relayed(&self) -> bool {
        self.kind == CandidateKind::Relay
    }
}

/// The network interface behind a local address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterface {
    /// Its name.
    pub name: String,
    /// What it leads to.
    pub kind: InterfaceKind,
    /// Place in the order in which data prefers networks; lower is better, and where there is no
    /// such order all are alike.
    pub preference: u8,
    /// Is each byte paid for?
    pub metered: bool,
    /// Can it carry anything now? `false` the moment a cable is pulled or a radio is off, even
    /// though the address stays.
    pub carrier: bool,
    /// Strength of the radio signal, dBm, where there is one.
    pub signal_strength: Option<i16>,
}
