//! Which network interfaces carry the link, and what the configuration says of them.

use super::filter::{InterfaceFilter, matches_interface};
use super::interface::InterfaceKind;

/// Kinds whose bytes are paid for, unless the configuration says otherwise.
pub(super) const DEFAULT_METERED: &[InterfaceKind] =
    &[InterfaceKind::Cellular, InterfaceKind::Satellite];

/// The settings of `interfaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// Which are used.
    pub filter: InterfaceFilter,
    /// Kinds of interfaces by globs over their names, which count more than what the kernel tells;
    /// the first that fits.
    pub kinds: Vec<(InterfaceKind, Vec<String>)>,
    /// Kinds in the order in which data prefers them; empty where it prefers none.
    pub preference: Vec<InterfaceKind>,
    /// Kinds whose bytes are paid for.
    pub metered: Vec<InterfaceKind>,
}

impl InterfaceSettings {
    /// The kind that the configuration gives to the interface of this name, if it does.
    pub fn kind_of(&self, name: &str) -> Option<InterfaceKind> {
        let fits = |globs: &[String]| globs.iter().any(|glob| matches_interface(glob, name));
        self.kinds.iter().find(|(_, globs)| fits(globs)).map(|(kind, _)| *kind)
    }

    /// Place of a kind in the order of preference: 0 for the first. Those that are not listed share
    /// the last one.
    pub fn preference_of(&self, kind: InterfaceKind) -> u8 {
        let listed = self.preference.iter().position(|listed| *listed == kind);
        u8::try_from(listed.unwrap_or(self.preference.len())).unwrap_or(u8::MAX)
    }

    /// Is each byte of such a network paid for?
    pub fn is_metered(&self, kind: InterfaceKind) -> bool {
        self.metered.contains(&kind)
    }
}

/// All but the filter as it is by default.
impl From<InterfaceFilter> for InterfaceSettings {
    fn from(filter: InterfaceFilter) -> Self {
        let metered = DEFAULT_METERED.to_vec();
        Self { filter, kinds: Vec::new(), preference: Vec::new(), metered }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> InterfaceSettings {
        InterfaceFilter { allow: vec!["*".to_owned()], deny: Vec::new() }.into()
    }

    #[test]
    fn the_first_kind_that_fits_a_name_is_that_of_the_interface() {
        let globs = |globs: &[&str]| globs.iter().map(|&glob| glob.to_owned()).collect();
        let kinds = vec![
            (InterfaceKind::Satellite, globs(&["eth1", "usb*"])),
            (InterfaceKind::Cellular, globs(&["eth*"])),
        ];
        let settings = InterfaceSettings { kinds, ..settings() };
        assert_eq!(settings.kind_of("eth1"), Some(InterfaceKind::Satellite));
        assert_eq!(settings.kind_of("eth10"), Some(InterfaceKind::Cellular));
        assert_eq!(settings.kind_of("wlan0"), None);
    }

    #[test]
    fn kinds_that_are_not_listed_come_last_and_without_a_list_all_are_alike() {
        let preference = vec![InterfaceKind::Wifi, InterfaceKind::Ethernet];
        let listed = InterfaceSettings { preference, ..settings() };
        let places = |settings: &InterfaceSettings| {
            [
                InterfaceKind::Wifi,
                InterfaceKind::Ethernet,
                InterfaceKind::Vpn,
                InterfaceKind::Unknown,
            ]
            .map(|kind| settings.preference_of(kind))
        };
        assert_eq!(places(&listed), [0, 1, 2, 2]);
        assert_eq!(places(&settings()), [0; 4]);
    }
}
