//! The services `~/select_path` and `~/ice_restart`: what an operator may ask of the link.
//!
//! A request is judged by the newest [`Snapshot`], so that the answer can say what there is; the
//! link then does it, and `~/handover_event` tells how it went.

use futures::{Future, StreamExt};
use r2r::QosProfile;
use r2r::rover_link::srv::SelectPath;

use super::text::ros_text;
use crate::link::{Command, PathState, PeerSnapshot, PeerState, Snapshot};
use crate::net::ApplicationEnd;

/// Offers both services. The future serves them and never ends; it is to be polled beside
/// [`r2r::Node::spin_once`].
///
/// # Errors
/// When the services cannot be made.
pub fn serve(
    node: &mut r2r::Node,
    application: ApplicationEnd,
) -> r2r::Result<impl Future<Output = ()> + use<>> {
    let qos = QosProfile::services_default;
    let select = node.create_service::<SelectPath::Service>("~/select_path", qos())?;
    let restart = node.create_service::<SelectPath::Service>("~/ice_restart", qos())?;
    let requests = futures::stream::select(
        select.map(|request| (request, select_path as Judge)),
        restart.map(|request| (request, restart_ice as Judge)),
    );
    Ok(requests.for_each(move |(request, judge)| {
        let verdict = judge(&application.snapshot(), &request.message);
        let success = verdict.is_ok();
        let message = match verdict {
            Ok((command, message)) => {
                application.command(command);
                message
            }
            Err(message) => message,
        };
        log::info!("{}: asked for a path success={success}: {message}", request.message.peer);
        let response = SelectPath::Response { success, message: ros_text(&message) };
        if let Err(error) = request.respond(response) {
            log::warn!("cannot answer a request: {error}");
        }
        futures::future::ready(())
    }))
}

/// What to do about a request and what to say, or why nothing is done.
type Verdict = Result<(Command, String), String>;
type Judge = fn(&Snapshot, &SelectPath::Request) -> Verdict;

fn select_path(snapshot: &Snapshot, request: &SelectPath::Request) -> Verdict {
    let peer = connected_peer(snapshot, &request.peer)?;
    let (id, interface) = (&peer.peer, &request.interface);
    let message = if interface.is_empty() {
        format!("the path to {id} is chosen by the node again")
    } else if leads_to(peer, interface) {
        format!("data to {id} takes {interface} as long as it can")
    } else {
        return Err(format!(
            "there is no usable path to {id} over {interface}; there is {}",
            interfaces(peer)
        ));
    };
    Ok((Command::SelectPath { peer: id.clone(), interface: interface.clone() }, message))
}

fn restart_ice(snapshot: &Snapshot, request: &SelectPath::Request) -> Verdict {
    let peer = connected_peer(snapshot, &request.peer)?;
    let message = format!("the paths to {} are sought anew", peer.peer);
    Ok((Command::RestartIce { peer: peer.peer.clone() }, message))
}

fn connected_peer<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a PeerSnapshot, String> {
    let Some(peer) = snapshot.peers.iter().find(|peer| peer.peer == id) else {
        let known: Vec<&str> = snapshot.peers.iter().map(|peer| peer.peer.as_str()).collect();
        return Err(format!("there is no peer `{id}`; there is {}", list(&known)));
    };
    match peer.state {
        PeerState::Connected | PeerState::Degraded | PeerState::Outage => Ok(peer),
        PeerState::Down | PeerState::Connecting if peer.reason.is_empty() => {
            Err(format!("{id} is not connected"))
        }
        PeerState::Down | PeerState::Connecting => {
            Err(format!("{id} is not connected: {}", peer.reason))
        }
    }
}

/// Does a path that carries data begin at the interface?
fn leads_to(peer: &PeerSnapshot, interface: &str) -> bool {
    let is_usable = |state| match state {
        PathState::Good | PathState::Suspect | PathState::Probation => true,
        PathState::Down | PathState::Checking | PathState::Dead => false,
    };
    peer.paths.iter().any(|path| path.interface == interface && is_usable(path.state))
}

/// The interfaces that have paths to the peer, and how these fare.
fn interfaces(peer: &PeerSnapshot) -> String {
    let mut names: Vec<&str> = peer.paths.iter().map(|path| path.interface.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let described: Vec<String> = names
        .into_iter()
        .map(|name| match leads_to(peer, name) {
            true => name.to_owned(),
            false => format!("{name} (not usable)"),
        })
        .collect();
    list(&described)
}

fn list<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::{path, peer};
    use super::*;

    fn snapshot() -> Snapshot {
        let paths = vec![
            path("wlan0", PathState::Dead),
            path("wwan0", PathState::Suspect),
            path("wwan0", PathState::Checking),
        ];
        let rover_b = PeerSnapshot { state: PeerState::Degraded, paths, ..peer("rover_b") };
        let rover_c = PeerSnapshot { reason: "wrong fleet key".to_owned(), ..peer("rover_c") };
        Snapshot { peers: vec![rover_b, rover_c], ..Snapshot::default() }
    }

    fn request(peer: &str, interface: &str) -> SelectPath::Request {
        SelectPath::Request { peer: peer.to_owned(), interface: interface.to_owned() }
    }

    #[test]
    fn a_usable_interface_is_selected_and_an_empty_one_gives_the_choice_back() {
        for interface in ["wwan0", ""] {
            let (command, _) =
                select_path(&snapshot(), &request("rover_b", interface)).expect("a usable path");
            let (peer, interface) = ("rover_b".to_owned(), interface.to_owned());
            assert_eq!(command, Command::SelectPath { peer, interface });
        }
    }

    #[test]
    fn what_cannot_be_done_is_answered_with_what_there_is() {
        let refusal = |peer, interface| {
            select_path(&snapshot(), &request(peer, interface)).expect_err("a refusal")
        };
        assert_eq!(
            refusal("rover_d", "wwan0"),
            "there is no peer `rover_d`; there is rover_b, rover_c"
        );
        assert_eq!(refusal("rover_c", "wwan0"), "rover_c is not connected: wrong fleet key");
        let there_is = "there is wlan0 (not usable), wwan0";
        for interface in ["wlan0", "eth0"] {
            assert_eq!(
                refusal("rover_b", interface),
                format!("there is no usable path to rover_b over {interface}; {there_is}")
            );
        }
    }

    #[test]
    fn ice_starts_anew_for_a_connected_peer_only() {
        let verdict = |peer| restart_ice(&snapshot(), &request(peer, "ignored"));
        let (command, _) = verdict("rover_b").expect("it is connected");
        assert_eq!(command, Command::RestartIce { peer: "rover_b".to_owned() });
        assert!(verdict("rover_c").is_err() && verdict("rover_d").is_err());
    }
}
