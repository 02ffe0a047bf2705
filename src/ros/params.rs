//! The node's parameters: what ROS was told, and the services that show what is in force.
//!
//! Parameters are read once, at start: a bridge whose topics and peers change under way would have
//! to take back what it promised. Setting one is refused with a reason.

use futures::Future;
use r2r::indexmap::IndexMap;
use r2r::{Parameter, ParameterValue, RosParams};
use std::sync::{Arc, Mutex, PoisonError};

use crate::config::{Parameters, Value};

/// What the node was given by files and `-p`.
pub fn given(node: &r2r::Node) -> Parameters {
    let params = node.params.lock().unwrap_or_else(PoisonError::into_inner);
    params.iter().map(|(key, param)| (key.clone(), from_ros(&param.value))).collect()
}

/// Offers the parameter services. `in_force` is what they show, see
/// [`known_parameters`](crate::config::known_parameters); `use_sim_time` is obeyed from here on.
/// The future serves them and never ends; it is to be polled beside [`r2r::Node::spin_once`].
///
/// # Errors
/// When the services cannot be made.
pub fn serve(
    node: &mut r2r::Node,
    in_force: Parameters,
) -> r2r::Result<impl Future<Output = ()> + Send + use<>> {
    let (served, _events) =
        node.make_derived_parameter_handler(Arc::new(Mutex::new(ReadOnly(in_force))))?;
    Ok(served)
}

/// Parameters that can be seen and not be set.
struct ReadOnly(Parameters);

impl RosParams for ReadOnly {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _param: Option<Parameter>,
        params: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        for (key, value) in &self.0 {
            params.insert(key.clone(), Parameter::new(to_ros(value)));
        }
        Ok(())
    }

    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        // What is not ours, `use_sim_time` for one, r2r looks up itself.
        let unknown = || r2r::Error::InvalidParameterName { name: name.to_owned() };
        self.0.get(name).map(to_ros).ok_or_else(unknown)
    }

    fn set_parameter(&mut self, name: &str, _value: &ParameterValue) -> r2r::Result<()> {
        Err(refusal(name))
    }

    fn check_parameter(&self, name: &str, _value: &ParameterValue) -> r2r::Result<()> {
        Err(refusal(name))
    }
}

fn refusal(name: &str) -> r2r::Error {
    let msg = "parameters are read at start only; change the parameter file and start the node \
               again";
    r2r::Error::ParameterValueConv { name: name.to_owned(), msg: msg.to_owned() }
}

fn from_ros(value: &ParameterValue) -> Value {
    match value {
        ParameterValue::NotSet => Value::Unset,
        ParameterValue::Bool(value) => Value::Bool(*value),
        ParameterValue::Integer(value) => Value::Integer(*value),
        ParameterValue::Double(value) => Value::Double(*value),
        ParameterValue::String(value) => Value::String(value.clone()),
        ParameterValue::BoolArray(list) => Value::BoolList(list.clone()),
        ParameterValue::ByteArray(list) => Value::Bytes(list.clone()),
        ParameterValue::IntegerArray(list) => Value::IntegerList(list.clone()),
        ParameterValue::DoubleArray(list) => Value::DoubleList(list.clone()),
        ParameterValue::StringArray(list) => Value::StringList(list.clone()),
    }
}

fn to_ros(value: &Value) -> ParameterValue {
    match value {
        // All of our lists are lists of texts.
        Value::Unset => ParameterValue::StringArray(Vec::new()),
        Value::Bool(value) => ParameterValue::Bool(*value),
        Value::Integer(value) => ParameterValue::Integer(*value),
        Value::Double(value) => ParameterValue::Double(*value),
        Value::String(value) => ParameterValue::String(value.clone()),
        Value::BoolList(list) => ParameterValue::BoolArray(list.clone()),
        Value::Bytes(list) => ParameterValue::ByteArray(list.clone()),
        Value::IntegerList(list) => ParameterValue::IntegerArray(list.clone()),
        Value::DoubleList(list) => ParameterValue::DoubleArray(list.clone()),
        Value::StringList(list) => ParameterValue::StringArray(list.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_went() {
        for value in [
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
            assert_eq!(from_ros(&to_ros(&value)), value);
        }
        assert_eq!(to_ros(&Value::Unset), ParameterValue::StringArray(Vec::new()));
    }

    #[test]
    fn parameters_are_shown_and_setting_one_is_refused_with_a_reason() {
        let fleet = || Value::String("default".to_owned());
        let mut params = ReadOnly(Parameters::from([("fleet".to_owned(), fleet())]));
        assert_eq!(params.get_parameter("fleet").expect("known"), to_ros(&fleet()));
        assert!(params.get_parameter("use_sim_time").is_err());
        let refused = params.set_parameter("fleet", &to_ros(&fleet())).expect_err("read only");
        assert!(refused.to_string().contains("start the node again"), "{refused}");
        assert!(params.check_parameter("fleet", &to_ros(&fleet())).is_err());
    }
}
