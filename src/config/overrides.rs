//! The node's own command line, which wins over parameter files.

use super::sources::Sources;
use super::value::{Parameters, Value};

/// Options before `--ros-args`. An empty value is as good as none: launch files pass their
/// arguments on whether they are set or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    /// `--rover-id`.
    pub rover_id: Option<String>,
    /// `--signaling-url`.
    pub signaling_url: Option<String>,
}

impl Overrides {
    /// Puts the options that were given over the parameters.
    pub fn apply(self, values: &mut Parameters, sources: &mut Sources) {
        let options = [
            ("rover_id", "--rover-id", self.rover_id),
            ("signaling_url", "--signaling-url", self.signaling_url),
        ];
        for (key, option, value) in options {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                values.insert(key.to_owned(), Value::String(value));
                sources.set_by_option(key, option);
            }
        }
    }
}
