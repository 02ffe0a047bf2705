//! The node's parameters: what ROS was told, the services that show and change them, and
//! `~/reload`.
//!
//! Topics and what is accepted may change while the node runs, all else counts from its start. A
//! change is checked as a whole before any of it counts, by the rules and with the words of the start.

mod message;
mod server;
mod table;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures::{Future, FutureExt, StreamExt};
use r2r::QosProfile;
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters,
    SetParametersAtomically,
};
use r2r::std_srvs::srv::Trigger;

use super::bridge::BridgeError;
use super::rcl::{self, RclError};
use crate::config::{Config, Overrides, Parameters, Settings, Sources};
use server::Server;
use table::Table;

/// How the node was started, and so where its parameters come from.
#[derive(Debug, Clone)]
pub struct Start {
    /// The command line, the program's name first.
    pub arguments: Vec<String>,
    /// Full name of the node.
    pub node: String,
    /// The node's own options.
    pub overrides: Overrides,
}

impl Start {
    /// The parameters as the files have them now, and where each comes from.
    ///
    /// # Errors
    /// What ROS says to the arguments or to a file.
    pub fn read(&self) -> Result<(Parameters, Sources), RclError> {
        let mut values = rcl::parameters(&self.arguments, &self.node)?;
        let mut sources = Sources::of_process();
        self.overrides.clone().apply(&mut values, &mut sources);
        Ok((values, sources))
    }
}

/// Whether the node is to take its time from `/clock`: the wish that was not yet fulfilled, for who
/// owns the node.
pub type SimTimeWish = Rc<Cell<Option<bool>>>;

/// Has the bridge go by another configuration.
pub type Apply = Box<dyn Fn(&Config) -> Result<(), BridgeError>>;

/// Offers the parameter services and `~/reload`. `apply` has the bridge go by another configuration;
/// what it refuses does not count. The future serves them and never ends; it is to be
/// polled beside [`r2r::Node::spin_once`].
///
/// # Errors
/// When the services cannot be made.
pub fn serve(
    node: &mut r2r::Node,
    settings: Settings,
    start: Start,
    apply: Apply,
) -> r2r::Result<(impl Future<Output = ()> + use<>, SimTimeWish)> {
    let table = Table::new(settings);
    let wish = Rc::new(Cell::new(table.uses_sim_time().then_some(true)));
    let server = Server::new(node, table, start, apply, wish.clone())?;
    let server = Rc::new(RefCell::new(server));
    /// Offers one service, whose answer is that of a method of the server.
    macro_rules! offer {
        ($service:ident, $name:literal, $answer:expr) => {{
            let qos = QosProfile::services_default();
            let requests = node.create_service::<$service::Service>($name, qos)?;
            let server = server.clone();
            requests.for_each(move |request| {
                let answer = $answer(&mut *server.borrow_mut(), &request.message);
                if let Err(error) = request.respond(answer) {
                    log::warn!("cannot answer {}: {error}", $name);
                }
                futures::future::ready(())
            })
        }};
    }
    let shown = futures::future::join4(
        offer!(GetParameters, "~/get_parameters", Server::get),
        offer!(GetParameterTypes, "~/get_parameter_types", Server::types),
        offer!(DescribeParameters, "~/describe_parameters", Server::describe),
        offer!(ListParameters, "~/list_parameters", Server::list),
    );
    let changed = futures::future::join3(
        offer!(SetParameters, "~/set_parameters", Server::set),
        offer!(SetParametersAtomically, "~/set_parameters_atomically", Server::set_atomically),
        offer!(Trigger, "~/reload", |server: &mut Server, _: &Trigger::Request| server.reload()),
    );
    Ok((futures::future::join(shown, changed).map(drop), wish))
}
