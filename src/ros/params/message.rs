//! Parameter values and their descriptions as the messages of rcl_interfaces have them.

use r2r::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, Parameter, ParameterDescriptor, ParameterType, ParameterValue,
};

use super::super::text::ros_text;
use crate::config::{Constraint, Value};

/// The numbers of the kinds.
const BOOL: u8 = ParameterType::PARAMETER_BOOL as u8;
const INTEGER: u8 = ParameterType::PARAMETER_INTEGER as u8;
const DOUBLE: u8 = ParameterType::PARAMETER_DOUBLE as u8;
const STRING: u8 = ParameterType::PARAMETER_STRING as u8;
const BYTE_ARRAY: u8 = ParameterType::PARAMETER_BYTE_ARRAY as u8;
const BOOL_ARRAY: u8 = ParameterType::PARAMETER_BOOL_ARRAY as u8;
const INTEGER_ARRAY: u8 = ParameterType::PARAMETER_INTEGER_ARRAY as u8;
const DOUBLE_ARRAY: u8 = ParameterType::PARAMETER_DOUBLE_ARRAY as u8;
const STRING_ARRAY: u8 = ParameterType::PARAMETER_STRING_ARRAY as u8;

/// A value as it is shown. All of our lists are lists of texts, so an empty one is one too.
pub(super) fn value(value: &Value) -> ParameterValue {
    let mut message = ParameterValue { type_: kind(value), ..ParameterValue::default() };
    match value {
        Value::Unset => {}
        Value::Bool(value) => message.bool_value = *value,
        Value::Integer(value) => message.integer_value = *value,
        Value::Double(value) => message.double_value = *value,
        Value::String(text) => message.string_value = ros_text(text),
        Value::BoolList(list) => message.bool_array_value.clone_from(list),
        Value::IntegerList(list) => message.integer_array_value.clone_from(list),
        Value::DoubleList(list) => message.double_array_value.clone_from(list),
        Value::StringList(list) => {
            message.string_array_value = list.iter().map(|text| ros_text(text)).collect();
        }
        Value::Bytes(list) => message.byte_array_value.clone_from(list),
    }
    message
}

/// The number of a value's kind.
pub(super) fn kind(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => BOOL,
        Value::Integer(_) => INTEGER,
        Value::Double(_) => DOUBLE,
        Value::String(_) => STRING,
        Value::Bytes(_) => BYTE_ARRAY,
        Value::BoolList(_) => BOOL_ARRAY,
        Value::IntegerList(_) => INTEGER_ARRAY,
        Value::DoubleList(_) => DOUBLE_ARRAY,
        Value::Unset | Value::StringList(_) => STRING_ARRAY,
    }
}

/// The value that a message asks for; [`Value::Unset`] for none, and for a kind that there is not. An
/// empty list may be of any kind: nobody can tell of what it is a list.
pub(super) fn wanted(message: &ParameterValue) -> Value {
    let is_empty = match message.type_ {
        BYTE_ARRAY => message.byte_array_value.is_empty(),
        BOOL_ARRAY => message.bool_array_value.is_empty(),
        INTEGER_ARRAY => message.integer_array_value.is_empty(),
        DOUBLE_ARRAY => message.double_array_value.is_empty(),
        _ => false,
    };
    if is_empty { Value::StringList(Vec::new()) } else { wanted_as_told(message) }
}

fn wanted_as_told(message: &ParameterValue) -> Value {
    match message.type_ {
        BOOL => Value::Bool(message.bool_value),
        INTEGER => Value::Integer(message.integer_value),
        DOUBLE => Value::Double(message.double_value),
        STRING => Value::String(message.string_value.clone()),
        BYTE_ARRAY => Value::Bytes(message.byte_array_value.clone()),
        BOOL_ARRAY => Value::BoolList(message.bool_array_value.clone()),
        INTEGER_ARRAY => Value::IntegerList(message.integer_array_value.clone()),
        DOUBLE_ARRAY => Value::DoubleList(message.double_array_value.clone()),
        STRING_ARRAY => Value::StringList(message.string_array_value.clone()),
        _ => Value::Unset,
    }
}

/// A parameter with its value.
pub(super) fn parameter((name, shown): (String, Value)) -> Parameter {
    Parameter { name, value: value(&shown) }
}

/// What a parameter is, and what it may be set to.
pub(super) fn descriptor(
    name: &str,
    shown: &Value,
    constraint: &Constraint,
    description: &str,
    read_only: bool,
) -> ParameterDescriptor {
    let mut descriptor = ParameterDescriptor {
        name: name.to_owned(),
        type_: kind(shown),
        description: ros_text(description),
        additional_constraints: ros_text(&constraint.to_string()),
        read_only,
        ..ParameterDescriptor::default()
    };
    match constraint {
        Constraint::Described | Constraint::OneOf(_) => {}
        Constraint::CountOrAuto(_) => descriptor.dynamic_typing = true,
        Constraint::Count(range) => {
            let limit = |value: &u64| i64::try_from(*value).unwrap_or(i64::MAX);
            let (from_value, to_value) = (limit(range.start()), limit(range.end()));
            descriptor.integer_range = vec![IntegerRange { from_value, to_value, step: 1 }];
        }
        Constraint::NotNegative(most) | Constraint::Positive(most) => {
            let range = FloatingPointRange { from_value: 0.0, to_value: *most, step: 0.0 };
            descriptor.floating_point_range = vec![range];
        }
    }
    descriptor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_went() {
        for shown in [
            Value::Bool(true),
            Value::Integer(-7),
            Value::Double(0.5),
            Value::String("odom".to_owned()),
            Value::BoolList(vec![true, false]),
            Value::IntegerList(vec![1, 2]),
            Value::DoubleList(vec![1.0, 2.5]),
            Value::StringList(vec!["a".to_owned()]),
            Value::Bytes(vec![1, 2, 3]),
        ] {
            assert_eq!(wanted(&value(&shown)), shown);
        }
        assert_eq!(wanted(&value(&Value::Unset)), Value::StringList(Vec::new()));
        assert_eq!(wanted(&value(&Value::Bytes(Vec::new()))), Value::StringList(Vec::new()));
        let unknown = ParameterValue { type_: 77, ..ParameterValue::default() };
        assert_eq!(wanted(&unknown), Value::Unset);
    }

    #[test]
    fn a_range_is_told_where_there_is_one() {
        let rate = Constraint::Positive(100.0);
        let told = descriptor("rate", &Value::Double(2.0), &rate, "How often.", true);
        assert_eq!(told.floating_point_range[0].to_value, 100.0);
        assert_eq!(told.additional_constraints, "above 0 and at most 100");
        assert!(told.read_only && !told.dynamic_typing);
        let depth = Constraint::CountOrAuto(1..=9);
        let told = descriptor("depth", &Value::String("auto".to_owned()), &depth, "", false);
        assert!(told.dynamic_typing && told.integer_range.is_empty());
        let size = descriptor("size", &Value::Integer(5), &Constraint::Count(1..=9), "", false);
        assert_eq!((size.integer_range[0].from_value, size.integer_range[0].to_value), (1, 9));
    }
}
