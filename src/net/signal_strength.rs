//! Signal strengths that the application tells, for radios of which the kernel knows none.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a strength counts: by then a rover is elsewhere.
const FRESH_TIME: Duration = Duration::from_secs(10);

/// Strengths that a radio may have, dBm: from far below the noise of any receiver to that of a
/// transmitter beside it.
const DBM: std::ops::RangeInclusive<f64> = -200.0..=50.0;

/// Longest name of a network interface, bytes (`IFNAMSIZ` less its end).
const MAX_NAME: usize = 15;

/// Interfaces that are remembered: more than any machine has radios.
const MAX_INTERFACES: usize = 64;

/// A signal strength that is none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SignalStrengthError {
    /// No network interface can have this name.
    #[error("`{0}` is no name of a network interface")]
    Interface(String),
    /// No radio has such a signal.
    #[error("{0} dBm is not from {start} to {end} dBm", start = DBM.start(), end = DBM.end())]
    Strength(f64),
    /// Too many are told.
    #[error("more than {MAX_INTERFACES} interfaces are told of")]
    TooMany,
}

/// The newest strength of each interface.
#[derive(Debug, Default)]
pub(super) struct SignalStrengths(BTreeMap<String, (i16, Instant)>);

impl SignalStrengths {
    /// Takes a strength, dBm.
    pub(super) fn tell(
        &mut self,
        interface: &str,
        strength: f64,
        now: Instant,
    ) -> Result<(), SignalStrengthError> {
        if interface.is_empty() || interface.len() > MAX_NAME {
            let name = interface.chars().take(MAX_NAME).collect();
            return Err(SignalStrengthError::Interface(name));
        }
        if !DBM.contains(&strength) {
            return Err(SignalStrengthError::Strength(strength));
        }
        self.0.retain(|_, (_, at)| now < *at + FRESH_TIME);
        if self.0.len() >= MAX_INTERFACES && !self.0.contains_key(interface) {
            return Err(SignalStrengthError::TooMany);
        }
        self.0.insert(interface.to_owned(), (strength.round() as i16, now));
        Ok(())
    }

    /// Those that still count, by interface, dBm.
    pub(super) fn fresh(&self, now: Instant) -> BTreeMap<String, i16> {
        let fresh = self.0.iter().filter(|(_, (_, at))| now < *at + FRESH_TIME);
        fresh.map(|(name, (strength, _))| (name.clone(), *strength)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_strength_counts_until_it_is_old() {
        let (mut strengths, now) = (SignalStrengths::default(), Instant::now());
        strengths.tell("wwan0", -80.0, now).unwrap();
        strengths.tell("wwan0", -95.4, now + Duration::from_secs(1)).unwrap();
        let fresh = |after: u64| strengths.fresh(now + Duration::from_secs(after));
        assert_eq!(fresh(10), BTreeMap::from([("wwan0".to_owned(), -95)]));
        assert!(fresh(11).is_empty());
    }

    #[test]
    fn what_no_radio_can_have_is_refused() {
        let (mut strengths, now) = (SignalStrengths::default(), Instant::now());
        for strength in [f64::NAN, f64::NEG_INFINITY, -200.5, 51.0] {
            let refused = strengths.tell("wwan0", strength, now).unwrap_err();
            assert!(refused.to_string().ends_with("is not from -200 to 50 dBm"), "{refused}");
        }
        for name in ["", "a_name_of_16_chr"] {
            let refused = strengths.tell(name, -80.0, now).unwrap_err();
            assert!(matches!(refused, SignalStrengthError::Interface(_)));
        }
        assert!(strengths.fresh(now).is_empty());
    }

    #[test]
    fn ever_new_names_do_not_make_it_grow() {
        let (mut strengths, now) = (SignalStrengths::default(), Instant::now());
        let told = |strengths: &mut SignalStrengths, now| {
            (0..100).filter(|i| strengths.tell(&format!("w{i}"), -80.0, now).is_ok()).count()
        };
        assert_eq!(told(&mut strengths, now), MAX_INTERFACES);
        assert_eq!(told(&mut strengths, now + FRESH_TIME), MAX_INTERFACES);
        assert_eq!(strengths.0.len(), MAX_INTERFACES);
    }
}
