//! Takes parameters one by one, each with its kind and default, and notes all that is wrong. The
//! keys asked for are the keys there are: whatever else was given is unknown.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a value of any kind but the one asked for is wrong, also of kinds to come"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::error::{ConfigError, Fault, Problem};
use super::known::{Constraint, Known};
use super::nearest::nearest;
use super::sources::Sources;
use super::value::{Parameters, Value};

/// How an axis or a limit is written that follows from others.
const AUTO: &str = "auto";

/// How something is switched off.
const OFF: &str = "off";

pub(super) struct Reader<'a> {
    values: &'a Parameters,
    pub(super) sources: &'a Sources,
    /// Each parameter asked for, with its value or else its default.
    in_force: BTreeMap<String, Known>,
    /// Keys and blocks that are reported as a whole.
    passed_over: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(values: &'a Parameters, sources: &'a Sources) -> Self {
        let (passed_over, problems) = (Vec::new(), Vec::new());
        Self { values, sources, in_force: BTreeMap::new(), passed_over, problems }
    }

    /// Notes that something is wrong.
    pub(super) fn report(&mut self, key: &str, fault: impl Into<Fault>) {
        let location = self.sources.locate(key);
        self.problems.push(Problem { location, key: key.to_owned(), fault: fault.into() });
    }

    /// Says no more of a key and, if it is a block, of the single keys in it.
    pub(super) fn pass_over(&mut self, block: &str) {
        self.passed_over.push(block.to_owned());
    }

    /// The names that come right after `block.` in the keys given.
    pub(super) fn names_in(&self, block: &str) -> BTreeSet<String> {
        self.values
            .keys()
            .filter_map(|key| key.strip_prefix(block)?.strip_prefix('.'))
            .map(|rest| rest.split('.').next().unwrap_or(rest).to_owned())
            .collect()
    }

    /// A text that has no default; `remedy` says how to give it.
    pub(super) fn required<T, E: Into<Fault>>(
        &mut self,
        key: &str,
        remedy: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text_or(key, "");
        if text.is_empty() {
            if matches!(self.values.get(key), None | Some(Value::String(_))) {
                self.report(key, Fault::Missing { remedy });
            }
            return None;
        }
        self.checked(key, parse(&text))
    }

    /// A text.
    pub(super) fn text<T, E: Into<Fault>>(
        &mut self,
        key: &str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text_or(key, default);
        self.checked(key, parse(&text))
    }

    /// A text where an empty one means none.
    pub(super) fn optional<T, E: Into<Fault>>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text_or(key, "");
        if text.is_empty() { None } else { self.checked(key, parse(&text)) }
    }

    /// One of a few texts; the first is the default.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        // To YAML as ROS reads it, `off` without quotes is a truth value.
        let is_off = self.values.get(key) == Some(&Value::Bool(false)) && names.contains(&OFF);
        let found = if is_off { OFF.to_owned() } else { self.text_or(key, names.first()?) };
        let choices_known = Constraint::OneOf(names.iter().map(|&name| name.to_owned()).collect());
        self.know(key, Value::String(found.clone()), choices_known);
        let chosen = choices.iter().find(|(name, _)| *name == found).map(|(_, value)| *value);
        if chosen.is_none() {
            self.report(key, Fault::NoChoice { found, choices: names.join(", ") });
        }
        chosen
    }

    /// A list of texts, none of them twice.
    pub(super) fn list<T, E: Into<Fault>>(
        &mut self,
        key: &str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let default = || default.iter().map(|&text| text.to_owned()).collect();
        let given = self.take(key, Constraint::Described, || Value::StringList(default()));
        let texts = match given {
            Value::StringList(texts) => texts,
            Value::Unset => Vec::new(),
            found => {
                let entry = if let Value::String(text) = &found { text } else { "a, b" };
                self.wrong_type(key, "a list of texts", &found, format!("[{entry}]"));
                default()
            }
        };
        let mut seen = BTreeSet::new();
        let mut entries = Vec::new();
        for text in &texts {
            if seen.insert(text) {
                entries.extend(self.checked(key, parse(text)));
            } else {
                self.report(key, Fault::Duplicate { entry: text.clone() });
            }
        }
        entries
    }

    /// A whole number within a range.
    pub(super) fn count(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let fallback = i64::try_from(default).unwrap_or(i64::MAX);
        match self.take(key, Constraint::Count(range.clone()), || Value::Integer(fallback)) {
            Value::Integer(found) => self.in_range(key, found, range).unwrap_or(default),
            found => {
                self.wrong_type(key, "a whole number", &found, default.to_string());
                default
            }
        }
    }

    /// A whole number within a range, or `auto`, the default.
    pub(super) fn count_or_auto(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let constraint = Constraint::CountOrAuto(range.clone());
        match self.take(key, constraint, || Value::String(AUTO.to_owned())) {
            Value::String(text) if text == AUTO => None,
            Value::Integer(found) => self.in_range(key, found, range),
            found => {
                self.wrong_type(key, "a whole number or `auto`", &found, range.start().to_string());
                None
            }
        }
    }

    /// A number above zero; a whole number will do.
    pub(super) fn positive(&mut self, key: &str, default: f64, most: f64) -> f64 {
        let constraint = Constraint::Positive(most);
        self.number(key, default, constraint, |value| value > 0.0 && value <= most)
    }

    /// A number that may be zero; a whole number will do.
    pub(super) fn not_negative(&mut self, key: &str, default: f64, most: f64) -> f64 {
        let constraint = Constraint::NotNegative(most);
        self.number(key, default, constraint, |value| (0.0..=most).contains(&value))
    }

    /// Ends the reading: each parameter that there is, with the value in force, unless something
    /// was wrong. `is_foreign` tells keys that are not for us.
    pub(super) fn finish(
        mut self,
        is_foreign: impl Fn(&str) -> bool,
    ) -> Result<BTreeMap<String, Known>, ConfigError> {
        let values = self.values;
        for key in values.keys().filter(|key| !is_foreign(key)) {
            let lies_in = |block: &String| {
                key.strip_prefix(block).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let is_passed_over = self.passed_over.iter().any(lies_in);
            if is_passed_over || self.in_force.contains_key(key) {
                continue;
            }
            let fault = match nearest(key, self.in_force.keys().map(String::as_str)) {
                Some(nearest) => Fault::Misspelt { nearest: nearest.to_owned() },
                None => Fault::Unknown,
            };
            self.report(key, fault);
        }
        let Self { in_force, problems, .. } = self;
        if problems.is_empty() { Ok(in_force) } else { Err(ConfigError { problems }) }
    }

    /// The value of a parameter or its default, which from now on is known.
    fn take(
        &mut self,
        key: &str,
        constraint: Constraint,
        default: impl FnOnce() -> Value,
    ) -> Value {
        let value = self.values.get(key).cloned().unwrap_or_else(default);
        self.know(key, value.clone(), constraint);
        value
    }

    fn know(&mut self, key: &str, value: Value, constraint: Constraint) {
        self.in_force.insert(key.to_owned(), Known { value, constraint });
    }

    fn text_or(&mut self, key: &str, default: &str) -> String {
        match self.take(key, Constraint::Described, || Value::String(default.to_owned())) {
            Value::String(text) => text,
            found => {
                self.wrong_type(key, "a text", &found, format!("\"{found}\""));
                default.to_owned()
            }
        }
    }

    fn number(
        &mut self,
        key: &str,
        default: f64,
        constraint: Constraint,
        is_in_range: impl Fn(f64) -> bool,
    ) -> f64 {
        let value = match self.take(key, constraint.clone(), || Value::Double(default)) {
            Value::Double(value) => value,
            Value::Integer(value) => {
                // Nobody writes 2^53 and means each digit.
                let value = value as f64;
                self.know(key, Value::Double(value), constraint.clone());
                value
            }
            found => {
                self.wrong_type(key, "a number", &found, format!("{default:?}"));
                return default;
            }
        };
        if is_in_range(value) {
            return value;
        }
        let range = constraint.to_string();
        self.report(key, Fault::OutOfRange { range, found: format!("{value:?}") });
        default
    }

    fn in_range(&mut self, key: &str, found: i64, range: RangeInclusive<u64>) -> Option<u64> {
        let value = u64::try_from(found).ok().filter(|value| range.contains(value));
        if value.is_none() {
            let range = format!("from {} to {}", range.start(), range.end());
            self.report(key, Fault::OutOfRange { range, found: found.to_string() });
        }
        value
    }

    fn wrong_type(&mut self, key: &str, expected: &'static str, found: &Value, example: String) {
        self.report(key, Fault::WrongType { expected, found: found.kind(), example });
    }

    fn checked<T, E: Into<Fault>>(&mut self, key: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|error| self.report(key, error)).ok()
    }
}
