//! When a path is given up, and what is sent twice.

use std::time::Duration;

/// The settings of `handover`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandoverSettings {
    /// When urgent data is sent on two paths.
    pub duplicate: Duplicate,
    /// A path is suspect after so much silence beyond what is normal for it.
    pub suspect_silence: Duration,
    /// A path is dead after so much silence beyond what is normal for it.
    pub dead_silence: Duration,
    /// A path that loses a larger part of its datagrams is suspect, 0..1.
    pub max_loss_ratio: f64,
    /// How long a path has to be good before data returns to it; doubled with each return that did
    /// not last.
    pub min_dwell: Duration,
}

impl Default for HandoverSettings {
    /// Healthy radios fall silent for 50 to 90 ms (cell change, Wi-Fi scan): that may start what
    /// costs little and can be taken back, but no handover.
    fn default() -> Self {
        Self {
            duplicate: Duplicate::OnSuspect,
            suspect_silence: Duration::from_millis(30),
            dead_silence: Duration::from_millis(120),
            max_loss_ratio: 0.02,
            min_dwell: Duration::from_secs(2),
        }
    }
}

/// When urgent data is sent on two paths: topics of priority `critical` and `high`, and control
/// messages. Unless never, a path that shows loss carries small messages a second time too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicate {
    /// Never.
    Off,
    /// While the selected path is suspect, and while switching.
    OnSuspect,
    /// Always.
    Always,
}
