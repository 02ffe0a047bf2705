//! Services that peers may call, and what an action is made of.

use std::time::Duration;

use super::filter::PeerFilter;
use super::names::TypeName;
use super::topic::Priority;

/// A service of this rover that peers may call: one entry of `services`, or a part of one of
/// `actions`.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The entry's id in `service_ids`, or that of the action in `action_ids`.
    pub id: String,
    /// Is it a part of an action?
    pub is_of_action: bool,
    /// ROS name as written; relative names follow the namespace, remaps apply.
    pub name: String,
    /// Its type, where the ROS graph may not tell it.
    pub type_name: Option<TypeName>,
    /// Absolute name at the peers; `{peer}` is already replaced.
    pub remote_name: String,
    /// Who may call it.
    pub peers: PeerFilter,
    /// How urgent requests and responses are.
    pub priority: Priority,
    /// A call that is not answered for so long is given up; zero for no limit.
    pub timeout: Duration,
}

impl Service {
    /// Its block among the parameters.
    pub fn key(&self) -> String {
        let block = if self.is_of_action { "actions" } else { "services" };
        format!("{block}.{}", self.id)
    }
}

/// What lies between the name of an action and that of a part of it.
const PART: &str = "/_action/";

/// The services of an action: last part of the name, suffix of the type (`None`: the same type for
/// all actions), and whether its answer may take as long as the goal does.
pub(super) const ACTION_SERVICES: [(&str, Option<&str>, bool); 3] = [
    ("send_goal", Some("SendGoal"), false),
    ("cancel_goal", None, false),
    ("get_result", Some("GetResult"), true),
];

/// The topics of an action, by the last part of the name.
pub(super) const ACTION_TOPICS: [&str; 2] = ["feedback", "status"];

/// The type by which goals of any action are cancelled.
pub(super) const CANCEL_TYPE: &str = "action_msgs/srv/CancelGoal";

/// The name of a part of an action.
pub(super) fn part_of(action: &str, part: &str) -> String {
    format!("{action}{PART}{part}")
}

/// The action that a topic or service of this name is a part of.
pub(super) fn action_of(name: &str) -> Option<&str> {
    let (action, part) = name.split_once(PART)?;
    let is_part = ACTION_TOPICS.contains(&part)
        || ACTION_SERVICES.iter().any(|(service, ..)| *service == part);
    is_part.then_some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_names_its_action_and_nothing_else_does() {
        for part in ["send_goal", "cancel_goal", "get_result", "feedback", "status"] {
            assert_eq!(action_of(&part_of("/rover_b/dock", part)), Some("/rover_b/dock"));
        }
        for name in ["/rover_b/dock", "/rover_b/dock/_action/other", "/rover_b/_action"] {
            assert_eq!(action_of(name), None, "{name}");
        }
    }
}
