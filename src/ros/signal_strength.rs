//! The topic `~/signal_strength`: how strong the signals of radios are of which the kernel knows
//! nothing, a modem's for one. `PathQuality.signal_strength` shows them.

use std::collections::BTreeSet;

use futures::{Future, StreamExt};
use r2r::QosProfile;
use r2r::rover_link::msg::SignalStrength;

use crate::net::{ApplicationEnd, SignalStrengthError, clock};

/// Causes of which one is logged. More differ only in their figures.
const MAX_TOLD: usize = 16;

/// Listens to the topic. The future passes on what comes and never ends; it is to be polled beside
/// [`r2r::Node::spin_once`].
///
/// # Errors
/// When the subscription cannot be made.
pub fn listen(
    node: &mut r2r::Node,
    application: ApplicationEnd,
) -> r2r::Result<impl Future<Output = ()> + use<>> {
    // Best effort, which takes from publishers of any reliability.
    let messages =
        node.subscribe::<SignalStrength>("~/signal_strength", QosProfile::sensor_data())?;
    let mut faults = Faults::default();
    Ok(messages.for_each(move |SignalStrength { interface, signal_strength, .. }| {
        let told = application.tell_signal_strength(&interface, signal_strength, clock::now());
        if let Err(error) = told
            && faults.is_new(&error)
        {
            log::warn!("signal strength passed over: interface={interface}: {error}");
        }
        futures::future::ready(())
    }))
}

/// What was wrong so far: each is told once.
#[derive(Default)]
struct Faults(BTreeSet<String>);

impl Faults {
    fn is_new(&mut self, error: &SignalStrengthError) -> bool {
        self.0.len() < MAX_TOLD && self.0.insert(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_told_once_and_not_for_ever() {
        let mut faults = Faults::default();
        assert!(faults.is_new(&SignalStrengthError::TooMany));
        assert!(!faults.is_new(&SignalStrengthError::TooMany));
        let told =
            (0..100).filter(|i| faults.is_new(&SignalStrengthError::Strength(f64::from(1000 + i))));
        assert_eq!(told.count(), MAX_TOLD - 1);
    }
}
