//! The node's own command line, which wins over parameter files.

use std::ffi::OsString;

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

/// The arguments of a program without those meant for ROS: from `--ros-args` to the next `--`, or
/// to the end.
pub fn own_arguments(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut is_own = true;
    let mut own = Vec::new();
    for argument in arguments {
        if argument == "--ros-args" {
            is_own = false;
        } else if argument == "--" && !is_own {
            is_own = true;
        } else if is_own {
            own.push(argument);
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_ros_are_left_out_wherever_they_stand() {
        let given = ["node", "--ros-args", "-r", "a:=b", "--", "--rover-id=a", "--ros-args", "-p"];
        let own = own_arguments(given.into_iter().map(OsString::from));
        assert_eq!(own, ["node", "--rover-id=a"]);
    }
}
