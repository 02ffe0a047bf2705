//! Parameter values as ROS has them: flat, each under its dotted name.

use std::collections::BTreeMap;
use std::fmt;

/// The parameters of a node by dotted name, for example `topics.odom.qos.depth`.
pub type Parameters = BTreeMap<String, Value>;

/// The value of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value. ROS gives an empty list so, for it cannot tell of what it is a list.
    Unset,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a decimal point.
    Double(f64),
    /// Text.
    String(String),
    /// A list of truth values.
    BoolList(Vec<bool>),
    /// A list of whole numbers.
    IntegerList(Vec<i64>),
    /// A list of numbers with a decimal point.
    DoubleList(Vec<f64>),
    /// A list of texts.
    StringList(Vec<String>),
    /// Bytes, which no parameter file can hold.
    Bytes(Vec<u8>),
}

impl Value {
    /// What kind of value this is, in the words of a person.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unset => "an empty list",
            Self::Bool(_) => "a truth value",
            Self::Integer(_) => "a whole number",
            Self::Double(_) => "a decimal number",
            Self::String(_) => "a text",
            Self::BoolList(_) => "a list of truth values",
            Self::IntegerList(_) => "a list of whole numbers",
            Self::DoubleList(_) => "a list of decimal numbers",
            Self::StringList(_) => "a list of texts",
            Self::Bytes(_) => "a list of bytes",
        }
    }
}

/// Scalars as they are written, lists as what they are.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::String(value) => value.fmt(f),
            Self::Unset
            | Self::BoolList(_)
            | Self::IntegerList(_)
            | Self::DoubleList(_)
            | Self::StringList(_)
            | Self::Bytes(_) => f.write_str(self.kind()),
        }
    }
}
