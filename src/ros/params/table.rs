//! All parameters of the node by name: those of the configuration, and those of ROS. Pure.

use std::collections::BTreeSet;

use crate::config::{Change, ChangeError, Constraint, Known, Parameters, Settings, Sources, Value};

/// Whether the node takes its time from `/clock`.
const USE_SIM_TIME: &str = "use_sim_time";

/// Parts the names of blocks.
const SEPARATOR: char = '.';

/// All parameters.
pub(super) struct Table {
    settings: Settings,
    uses_sim_time: bool,
}

/// Why parameters cannot be set so.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetError {
    /// Not within the rules.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// `use_sim_time` is something else than a truth value.
    #[error("`{USE_SIM_TIME}` must be true or false, not {0}")]
    SimTime(&'static str),
    /// The bridge cannot go by it.
    #[error(transparent)]
    Bridge(#[from] super::super::bridge::BridgeError),
}

/// What a change comes to.
pub(super) struct Step {
    /// Of the configuration; `None` if that stays.
    pub(super) change: Option<Change>,
    /// Another `use_sim_time`.
    pub(super) sim_time: Option<bool>,
}

/// Parameters with their values, as they are told after a change.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) added: Vec<(String, Value)>,
    pub(super) changed: Vec<(String, Value)>,
    pub(super) removed: Vec<(String, Value)>,
}

impl Table {
    pub(super) fn new(settings: Settings) -> Self {
        let given = settings.of_ros().find(|(key, _)| *key == USE_SIM_TIME);
        let uses_sim_time = match given.map(|(_, value)| value) {
            Some(Value::Bool(value)) => *value,
            Some(other) => {
                log::warn!(
                    "{USE_SIM_TIME} must be true or false, not {}; it is false",
                    other.kind()
                );
                false
            }
            None => false,
        };
        Self { settings, uses_sim_time }
    }

    pub(super) fn uses_sim_time(&self) -> bool {
        self.uses_sim_time
    }

    /// What is known of a parameter, if there is one of this name.
    pub(super) fn get(&self, name: &str) -> Option<Known> {
        if name == USE_SIM_TIME {
            let value = Value::Bool(self.uses_sim_time);
            return Some(Known { value, constraint: Constraint::Described });
        }
        let of_ros = || {
            let mut given = self.settings.of_ros();
            let (_, value) = given.find(|(key, _)| *key == name)?;
            Some(Known { value: value.clone(), constraint: Constraint::Described })
        };
        self.settings.known().get(name).cloned().or_else(of_ros)
    }

    /// May it be set while the node runs?
    pub(super) fn may_change(name: &str) -> bool {
        name == USE_SIM_TIME || Settings::may_change(name)
    }

    /// The names within these blocks, or of all parameters, with at most so many parts below each
    /// (0: however many), and the blocks that they are in; as rclcpp has it.
    pub(super) fn list(&self, blocks: &[String], depth: u64) -> (Vec<String>, Vec<String>) {
        let is_near = |rest: &str| depth == 0 || (rest.matches(SEPARATOR).count() as u64) < depth;
        let is_in = |name: &str, block: &str| {
            let rest = name.strip_prefix(block).and_then(|rest| rest.strip_prefix(SEPARATOR));
            name == block || rest.is_some_and(is_near)
        };
        let is_wanted = |name: &str| match blocks {
            [] => is_near(name),
            blocks => blocks.iter().any(|block| is_in(name, block)),
        };
        let names: Vec<String> = self.names().into_iter().filter(|name| is_wanted(name)).collect();
        let in_blocks = names.iter().filter_map(|name| name.rsplit_once(SEPARATOR));
        let prefixes: BTreeSet<&str> = in_blocks.map(|(prefix, _)| prefix).collect();
        let prefixes = prefixes.into_iter().map(str::to_owned).collect();
        (names, prefixes)
    }

    fn names(&self) -> BTreeSet<String> {
        let of_ros = self.settings.of_ros().map(|(key, _)| key.as_str());
        let known = self.settings.known().keys().map(String::as_str);
        known.chain(of_ros).chain([USE_SIM_TIME]).map(str::to_owned).collect()
    }

    /// What it comes to if these parameters are set, all at once.
    pub(super) fn set(&self, values: &[(String, Value)]) -> Result<Step, SetError> {
        let (of_ros, ours): (Vec<_>, Vec<_>) =
            values.iter().cloned().partition(|(key, _)| key == USE_SIM_TIME);
        let sim_time = match of_ros.last() {
            Some((_, Value::Bool(value))) => Some(*value),
            Some((_, other)) => return Err(SetError::SimTime(other.kind())),
            None => None,
        };
        let change = if ours.is_empty() { None } else { Some(self.settings.set(&ours)?) };
        Ok(Step { change, sim_time: sim_time.filter(|value| *value != self.uses_sim_time) })
    }

    /// What it comes to if the node's parameters were these.
    pub(super) fn reload(&self, values: Parameters, sources: Sources) -> Result<Change, SetError> {
        Ok(self.settings.reload(values, sources).map_err(ChangeError::from)?)
    }

    /// Puts it in force, and says what is to be told.
    pub(super) fn adopt(&mut self, Step { change, sim_time }: Step) -> Told {
        let mut told = Told::default();
        if let Some(change) = change {
            let removed = change.removed.iter().map(|name| (name.clone(), Value::Unset));
            told.removed = removed.collect();
            let (added, changed) = (change.added.clone(), change.changed.clone());
            self.settings.adopt(change);
            let with_value = |name: String| {
                let known = self.settings.known().get(&name)?;
                Some((name, known.value.clone()))
            };
            told.added = added.into_iter().filter_map(with_value).collect();
            told.changed = changed.into_iter().filter_map(with_value).collect();
        }
        if let Some(value) = sim_time {
            self.uses_sim_time = value;
            told.changed.push((USE_SIM_TIME.to_owned(), Value::Bool(value)));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn table() -> Table {
        let values = Parameters::from([
            ("rover_id".to_owned(), text("rover_a")),
            ("identity_file".to_owned(), text("identity.pem")),
            ("topic_ids".to_owned(), Value::StringList(vec!["odom".to_owned()])),
            ("topics.odom.name".to_owned(), text("odom")),
            ("use_sim_time".to_owned(), Value::Bool(true)),
            ("qos_overrides./clock.subscription.depth".to_owned(), Value::Integer(3)),
        ]);
        Table::new(Settings::new(values, Sources::default()).expect("nothing wrong"))
    }

    fn list(blocks: &[&str], depth: u64) -> Vec<String> {
        let blocks: Vec<_> = blocks.iter().map(|&block| block.to_owned()).collect();
        table().list(&blocks, depth).0
    }

    #[test]
    fn parameters_of_ros_are_shown_beside_ours() {
        let value = |name: &str| table().get(name).map(|known| known.value);
        assert_eq!(value("use_sim_time"), Some(Value::Bool(true)));
        assert_eq!(value("qos_overrides./clock.subscription.depth"), Some(Value::Integer(3)));
        assert_eq!(value("rover_id"), Some(text("rover_a")));
        assert_eq!(value("rover"), None);
    }

    #[test]
    fn names_are_listed_by_block_and_depth() {
        assert_eq!(list(&["handover"], 0).len(), 5);
        assert_eq!(list(&["topics"], 1), Vec::<String>::new());
        assert!(list(&["topics"], 2).contains(&"topics.odom.name".to_owned()));
        assert!(!list(&["topics"], 2).contains(&"topics.odom.qos.depth".to_owned()));
        assert!(list(&["topics"], 3).contains(&"topics.odom.qos.depth".to_owned()));
        assert_eq!(list(&["rover_id"], 1), ["rover_id"]);
        assert_eq!(list(&["rover"], 0), Vec::<String>::new(), "no block of this name");
        assert!(list(&[], 1).contains(&"use_sim_time".to_owned()));
        assert!(list(&[], 1).iter().all(|name| !name.contains('.')));
        let (names, prefixes) = table().list(&[], 0);
        assert_eq!(names.len(), table().names().len());
        assert!(prefixes.contains(&"topics.odom.qos".to_owned()));
    }

    #[test]
    fn what_was_set_is_told_with_its_value() {
        let mut table = table();
        let set = |table: &Table, key: &str, value| table.set(&[(key.to_owned(), value)]);
        let step = set(&table, "topics.odom.max_rate", Value::Integer(5)).expect("right");
        let told = table.adopt(step);
        assert_eq!(told.changed, [("topics.odom.max_rate".to_owned(), Value::Double(5.0))]);
        let step = set(&table, "use_sim_time", Value::Bool(false)).expect("right");
        assert_eq!(step.sim_time, Some(false));
        table.adopt(step);
        assert!(!table.uses_sim_time());
        let step = set(&table, "use_sim_time", Value::Bool(false)).expect("right");
        assert_eq!(table.adopt(step), Told::default());
        assert!(set(&table, "use_sim_time", Value::Integer(1)).is_err());
        let refused = set(&table, "fleet", text("north")).map(drop).expect_err("read only");
        assert!(refused.to_string().contains("start the node again"), "{refused}");
    }
}
