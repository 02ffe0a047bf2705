//! Parameters that change while the node runs: what may change, whether a change is right, and what
//! it comes to. A change that is wrong changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::known::Known;
use super::parse::is_of_ros;
use super::{Config, ConfigError, Parameters, Sources, Value, known};

/// Why parameters cannot be changed so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// It counts from the start of the node.
    #[error(
        "`{0}` is read at start only; change it in the parameter file and start the node again"
    )]
    ReadOnly(String),
    /// The configuration would be wrong.
    #[error(transparent)]
    Wrong(#[from] ConfigError),
}

/// What is in force, and where it comes from.
#[derive(Debug, Clone)]
pub struct Settings {
    values: Parameters,
    sources: Sources,
    config: Config,
    known: BTreeMap<String, Known>,
}

/// What a change comes to; [`Settings::adopt`] puts it in force.
#[derive(Debug, Clone)]
pub struct Change {
    settings: Settings,
    /// Parameters that there were not.
    pub added: Vec<String>,
    /// Parameters with another value.
    pub changed: Vec<String>,
    /// Parameters that there are no more.
    pub removed: Vec<String>,
    /// Parameters whose new value counts from the next start on.
    pub at_next_start: Vec<String>,
}

impl Change {
    /// The configuration as it will be.
    pub fn config(&self) -> &Config {
        &self.settings.config
    }

    /// Does it change nothing?
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }

    /// Ids of the topics whose entries differ.
    pub fn topics(&self) -> BTreeSet<&str> {
        let keys = self.added.iter().chain(&self.changed).chain(&self.removed);
        let of_topics = keys.filter_map(|key| key.strip_prefix("topics."));
        of_topics.filter_map(|rest| rest.split('.').next()).collect()
    }
}

impl Settings {
    /// Those that a node starts with.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(values: Parameters, sources: Sources) -> Result<Self, ConfigError> {
        let config = Config::from_parameters(&values, &sources)?;
        let known = known(&values, &sources)?;
        Ok(Self { values, sources, config, known })
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Each parameter that there is.
    pub fn known(&self) -> &BTreeMap<String, Known> {
        &self.known
    }

    /// Parameters that ROS itself puts on a node, as they were given.
    pub fn of_ros(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.values.iter().filter(|(key, _)| is_of_ros(key))
    }

    /// May a parameter of this name change while the node runs?
    pub fn may_change(key: &str) -> bool {
        matches!(key, "topic_ids" | "accept") || key.starts_with("topics.")
    }

    /// What it comes to if these parameters are set, all at once. [`Value::Unset`] gives a parameter
    /// its default back, or takes one of a topic that is gone away.
    ///
    /// # Errors
    /// The first one that may not change, or all that is wrong with the outcome.
    pub fn set(&self, values: &[(String, Value)]) -> Result<Change, ChangeError> {
        let is_fixed = |key: &&String| self.known.contains_key(*key) && !Self::may_change(key);
        if let Some(key) = values.iter().map(|(key, _)| key).find(is_fixed) {
            return Err(ChangeError::ReadOnly(key.clone()));
        }
        let mut settings = self.clone();
        for (key, value) in values {
            settings.sources.set_at_run_time(key);
            if *value == Value::Unset {
                settings.values.remove(key);
            } else {
                settings.values.insert(key.clone(), value.clone());
            }
        }
        Ok(self.change_to(Self::new(settings.values, settings.sources)?, Vec::new()))
    }

    /// What it comes to if the node's parameters were these. What may not change stays as it is.
    ///
    /// # Errors
    /// All that is wrong with the new parameters.
    pub fn reload(&self, values: Parameters, sources: Sources) -> Result<Change, ConfigError> {
        let new = Self::new(values, sources)?;
        let differs =
            |key: &&String| !Self::may_change(key) && self.known.get(*key) != new.known.get(*key);
        let keys: BTreeSet<&String> = self.known.keys().chain(new.known.keys()).collect();
        let at_next_start: Vec<_> = keys.into_iter().filter(differs).cloned().collect();
        if at_next_start.is_empty() {
            return Ok(self.change_to(new, at_next_start));
        }
        let mut values = self.values.clone();
        values.retain(|key, _| !Self::may_change(key));
        values.extend(new.values.into_iter().filter(|(key, _)| Self::may_change(key)));
        Ok(self.change_to(Self::new(values, new.sources)?, at_next_start))
    }

    fn change_to(&self, settings: Self, at_next_start: Vec<String>) -> Change {
        let (former, new) = (&self.known, &settings.known);
        let keys = |keys: Vec<&String>| keys.into_iter().cloned().collect();
        let differs = |key: &&String| match (former.get(*key), new.get(*key)) {
            (Some(former), Some(new)) => former.value != new.value,
            _ => false,
        };
        Change {
            added: keys(new.keys().filter(|key| !former.contains_key(*key)).collect()),
            changed: keys(new.keys().filter(differs).collect()),
            removed: keys(former.keys().filter(|key| !new.contains_key(*key)).collect()),
            at_next_start,
            settings,
        }
    }

    /// Puts a change in force.
    pub fn adopt(&mut self, change: Change) {
        *self = change.settings;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn texts(texts: &[&str]) -> Value {
        Value::StringList(texts.iter().map(|&text| text.to_owned()).collect())
    }

    fn values() -> Parameters {
        Parameters::from([
            ("rover_id".to_owned(), text("rover_a")),
            ("identity_file".to_owned(), text("identity.pem")),
            ("topic_ids".to_owned(), texts(&["odom"])),
            ("topics.odom.name".to_owned(), text("odom")),
        ])
    }

    fn settings() -> Settings {
        Settings::new(values(), Sources::default()).expect("nothing wrong")
    }

    fn set(values: &[(&str, Value)]) -> Result<Change, ChangeError> {
        let values: Vec<_> =
            values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        settings().set(&values)
    }

    #[test]
    fn a_field_of_a_topic_changes_and_nothing_else_does() {
        let change = set(&[("topics.odom.max_rate", Value::Integer(5))]).expect("nothing wrong");
        assert_eq!(change.changed, ["topics.odom.max_rate"]);
        assert!(change.added.is_empty() && change.removed.is_empty());
        assert_eq!(change.topics(), BTreeSet::from(["odom"]));
        let mut settings = settings();
        settings.adopt(change);
        let known = &settings.known()["topics.odom.max_rate"];
        assert_eq!(known.value, Value::Double(5.0), "as it is described");
        let change = settings.set(&[("topics.odom.max_rate".to_owned(), Value::Unset)]);
        settings.adopt(change.expect("nothing wrong"));
        assert_eq!(settings.known()["topics.odom.max_rate"].value, Value::Double(0.0));
    }

    #[test]
    fn a_topic_comes_and_goes_with_its_id_and_its_block_at_once() {
        let change =
            set(&[("topic_ids", texts(&["odom", "scan"])), ("topics.scan.name", text("scan"))])
                .expect("nothing wrong");
        assert_eq!(change.changed, ["topic_ids"]);
        assert!(change.added.contains(&"topics.scan.qos.depth".to_owned()));
        let mut settings = settings();
        settings.adopt(change);
        let gone = [
            ("topic_ids".to_owned(), texts(&["odom"])),
            ("topics.scan.name".to_owned(), Value::Unset),
        ];
        let change = settings.set(&gone).expect("nothing wrong");
        assert!(change.removed.contains(&"topics.scan.name".to_owned()));
        assert_eq!(change.config().topics.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_texts_of_the_start() {
        let error = |values: &[(&str, Value)]| set(values).expect_err("wrong").to_string();
        assert_eq!(
            error(&[("topics.odom.max_rate", Value::Double(-1.0))]),
            "set at run time: topics.odom.max_rate: must be from 0 to 10000, not -1.0; give a value \
             in that range"
        );
        assert!(
            error(&[("topics.scan.name", text("scan"))]).contains("`scan` is not in topic_ids")
        );
        assert!(error(&[("topics.odom.max_rat", Value::Double(1.0))]).contains("did you mean"));
        assert!(error(&[("topic_ids", texts(&["odom", "scan"]))]).contains("add the block"));
    }

    #[test]
    fn what_counts_from_the_start_cannot_be_set() {
        for (key, value) in [("fleet", text("north")), ("peers", texts(&["rover_b"]))] {
            assert_eq!(
                set(&[("topics.odom.lifespan", Value::Double(1.0)), (key, value)]).expect_err(key),
                ChangeError::ReadOnly(key.to_owned())
            );
        }
        assert!(matches!(set(&[("flet", text("north"))]), Err(ChangeError::Wrong(_))));
    }

    #[test]
    fn a_reload_applies_what_may_change_and_names_the_rest() {
        let mut new = values();
        new.insert("fleet".to_owned(), text("north"));
        new.insert("topics.odom.priority".to_owned(), text("high"));
        let mut settings = settings();
        let change = settings.reload(new.clone(), Sources::default()).expect("nothing wrong");
        assert_eq!(change.at_next_start, ["fleet"]);
        assert_eq!(change.changed, ["topics.odom.priority"]);
        assert_eq!(change.config().fleet, "default");
        settings.adopt(change);
        let change = settings.reload(new.clone(), Sources::default()).expect("nothing wrong");
        assert!(change.is_empty());
        assert_eq!(change.at_next_start, ["fleet"]);
        new.insert("fleet".to_owned(), text("No Fleet"));
        assert!(settings.reload(new, Sources::default()).is_err());
    }

    #[test]
    fn a_reload_takes_back_what_was_set_at_run_time() {
        let mut settings = settings();
        let change = settings.set(&[("accept".to_owned(), texts(&["/**"]))]);
        settings.adopt(change.expect("nothing wrong"));
        let change = settings.reload(values(), Sources::default()).expect("nothing wrong");
        assert_eq!(change.changed, ["accept"]);
    }
}
