//! What the parameter services and `~/reload` answer.

use std::sync::{Arc, Mutex, PoisonError};

use r2r::rcl_interfaces::msg::{
    ListParametersResult, Parameter, ParameterDescriptor, ParameterEvent, ParameterValue,
    SetParametersResult,
};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters,
    SetParametersAtomically,
};
use r2r::std_srvs::srv::Trigger;
use r2r::{Clock, Publisher, QosProfile};

use super::super::node::NodeError;
use super::super::text::ros_text;
use super::message;
use super::table::{SetError, Step, Table, Told};
use super::{Apply, SimTimeWish, Start};
use crate::config::{Change, Value, description};

/// Events that a subscriber of `/parameter_events` may be late by, as rclcpp has it.
const EVENTS_DEPTH: usize = 1000;

/// Answers requests.
pub(super) struct Server {
    table: Table,
    start: Start,
    apply: Apply,
    sim_time: SimTimeWish,
    events: Publisher<ParameterEvent>,
    clock: Arc<Mutex<Clock>>,
}

impl Server {
    pub(super) fn new(
        node: &mut r2r::Node,
        table: Table,
        start: Start,
        apply: Apply,
        sim_time: SimTimeWish,
    ) -> r2r::Result<Self> {
        let qos = QosProfile::default().reliable().keep_last(EVENTS_DEPTH);
        let events = node.create_publisher("/parameter_events", qos)?;
        Ok(Self { table, start, apply, sim_time, events, clock: node.get_ros_clock() })
    }

    pub(super) fn get(&mut self, request: &GetParameters::Request) -> GetParameters::Response {
        let value = |name: &String| match self.table.get(name) {
            Some(known) => message::value(&known.value),
            None => ParameterValue::default(),
        };
        GetParameters::Response { values: request.names.iter().map(value).collect() }
    }

    pub(super) fn types(
        &mut self,
        request: &GetParameterTypes::Request,
    ) -> GetParameterTypes::Response {
        let kind =
            |name: &String| self.table.get(name).map_or(0, |known| message::kind(&known.value));
        GetParameterTypes::Response { types: request.names.iter().map(kind).collect() }
    }

    pub(super) fn describe(
        &mut self,
        request: &DescribeParameters::Request,
    ) -> DescribeParameters::Response {
        let describe = |name: &String| match self.table.get(name) {
            Some(known) => message::descriptor(
                name,
                &known.value,
                &known.constraint,
                description(name),
                !Table::may_change(name),
            ),
            None => ParameterDescriptor { name: ros_text(name), ..ParameterDescriptor::default() },
        };
        DescribeParameters::Response { descriptors: request.names.iter().map(describe).collect() }
    }

    pub(super) fn list(&mut self, request: &ListParameters::Request) -> ListParameters::Response {
        let (names, prefixes) = self.table.list(&request.prefixes, request.depth);
        ListParameters::Response { result: ListParametersResult { names, prefixes } }
    }

    /// Sets all at once where that is right, so that a topic can come with its id and its block in
    /// one request; else one after the other, each for itself.
    pub(super) fn set(&mut self, request: &SetParameters::Request) -> SetParameters::Response {
        let wanted: Vec<_> = request.parameters.iter().map(wanted).collect();
        let results = if self.try_to_set(&wanted).is_ok() {
            wanted.iter().map(|_| result(Ok(()))).collect()
        } else {
            wanted.iter().map(|one| result(self.try_to_set(std::slice::from_ref(one)))).collect()
        };
        SetParameters::Response { results }
    }

    pub(super) fn set_atomically(
        &mut self,
        request: &SetParametersAtomically::Request,
    ) -> SetParametersAtomically::Response {
        let wanted: Vec<_> = request.parameters.iter().map(wanted).collect();
        SetParametersAtomically::Response { result: result(self.try_to_set(&wanted)) }
    }

    fn try_to_set(&mut self, wanted: &[(String, Value)]) -> Result<(), SetError> {
        let step = self.table.set(wanted)?;
        self.go(step)
    }

    /// Has the bridge go by a change, puts it in force and tells of it.
    fn go(&mut self, step: Step) -> Result<(), SetError> {
        if let Some(change) = step.change.as_ref().filter(|change| !change.is_empty()) {
            (self.apply)(change.config())?;
        }
        if step.sim_time.is_some() {
            self.sim_time.set(step.sim_time);
        }
        let told = self.table.adopt(step);
        self.tell(told);
        Ok(())
    }

    fn tell(&self, told: Told) {
        if told == Told::default() {
            return;
        }
        for (name, value) in told.added.iter().chain(&told.changed) {
            log::info!("parameter changed: {name}={}", ros_text(&shown(value)));
        }
        for (name, _) in &told.removed {
            log::info!("parameter removed: {name}");
        }
        let now = self.clock.lock().unwrap_or_else(PoisonError::into_inner).get_now();
        let messages = |of: Vec<_>| of.into_iter().map(message::parameter).collect::<Vec<_>>();
        let event = ParameterEvent {
            stamp: Clock::to_builtin_time(&now.unwrap_or_default()),
            node: self.start.node.clone(),
            new_parameters: messages(told.added),
            changed_parameters: messages(told.changed),
            deleted_parameters: messages(told.removed),
        };
        // r2r logs why it could not.
        let _ = self.events.publish(&event);
    }

    /// Reads the parameter files again, and goes by what may change.
    pub(super) fn reload(&mut self) -> Trigger::Response {
        let outcome = self.try_to_reload();
        let success = outcome.is_ok();
        let message = outcome.unwrap_or_else(|error| error);
        if success {
            log::info!("parameters read again: {message}");
        } else {
            log::warn!("parameters read again, nothing is changed: {message}");
        }
        Trigger::Response { success, message: ros_text(&message) }
    }

    fn try_to_reload(&mut self) -> Result<String, String> {
        let read = self.start.read().map_err(NodeError::Arguments);
        let (values, sources) = read.map_err(|error| error.to_string())?;
        let change = self.table.reload(values, sources).map_err(|error| error.to_string())?;
        let summary = summary(&change);
        let step = Step { change: Some(change), sim_time: None };
        self.go(step).map_err(|error| error.to_string())?;
        Ok(summary)
    }
}

/// A value for the log.
fn shown(value: &Value) -> String {
    if let Value::StringList(list) = value { list.join(", ") } else { value.to_string() }
}

fn wanted(parameter: &Parameter) -> (String, Value) {
    (parameter.name.clone(), message::wanted(&parameter.value))
}

fn result(outcome: Result<(), SetError>) -> SetParametersResult {
    let reason =
        outcome.as_ref().err().map_or_else(String::new, |error| ros_text(&error.to_string()));
    SetParametersResult { successful: outcome.is_ok(), reason }
}

/// What a reload has changed, for people.
fn summary(change: &Change) -> String {
    let topics: Vec<&str> = change.topics().into_iter().collect();
    let mut others = change.changed.iter().filter(|key| !key.starts_with("topics."));
    let mut parts = Vec::new();
    if !topics.is_empty() {
        parts.push(format!("topics changed: {}", topics.join(", ")));
    }
    if others.any(|key| key == "accept") {
        parts.push("accept changed".to_owned());
    }
    if parts.is_empty() && !change.is_empty() {
        parts.push(format!("changed: {}", change.changed.join(", ")));
    }
    if parts.is_empty() {
        parts.push("nothing changed".to_owned());
    }
    if !change.at_next_start.is_empty() {
        let keys = change.at_next_start.join(", ");
        parts.push(format!("read at start only, so start the node again for: {keys}"));
    }
    parts.join("; ")
}
