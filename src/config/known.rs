//! A parameter that there is: the value in force, and what it may be set to.

use std::fmt;
use std::ops::RangeInclusive;

use super::value::Value;

/// A parameter that there is.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The value in force.
    pub value: Value,
    /// What it may be set to.
    pub constraint: Constraint,
}

/// What a parameter may be set to, beyond the kind of its value.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// Its description says it.
    Described,
    /// One of these texts.
    OneOf(Vec<String>),
    /// A whole number in this range.
    Count(RangeInclusive<u64>),
    /// The same, or `auto`.
    CountOrAuto(RangeInclusive<u64>),
    /// A number from 0 to this one.
    NotNegative(f64),
    /// A number above 0 and at most this one.
    Positive(f64),
}

/// For people; empty where there is nothing to say.
impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Described => Ok(()),
            Self::OneOf(choices) => write!(f, "one of {}", choices.join(", ")),
            Self::Count(range) => write!(f, "from {} to {}", range.start(), range.end()),
            Self::CountOrAuto(range) => {
                write!(f, "auto, or from {} to {}", range.start(), range.end())
            }
            Self::NotNegative(most) => write!(f, "from 0 to {most}"),
            Self::Positive(most) => write!(f, "above 0 and at most {most}"),
        }
    }
}
