//! What the core is told of a network interface.

use crate::config::InterfaceKind;

/// The network interface behind a local address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInterface {
    /// Its name.
    pub name: String,
    /// What it leads to.
    pub kind: InterfaceKind,
    /// Is each byte paid for?
    pub metered: bool,
    /// Can it carry anything now? `false` the moment a cable is pulled or a radio is off, even
    /// though the address stays.
    pub carrier: bool,
    /// Strength of the radio signal, dBm, where there is one.
    pub signal_strength: Option<i16>,
}
