//! What the facts mean: one finding for each, with what would help where something is wrong.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::nat::{Mapping, Nat};
use super::{
    AddressState, Examination, IdentityContent, ServerState, Signaling, TurnOutcome, TypeState,
};

/// What one thing that was looked at comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The part of the examination that it belongs to.
    pub section: Section,
    /// How grave it is.
    pub mark: Mark,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub text: String,
    /// What would help; `None` where nothing has to.
    pub remedy: Option<String>,
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Something may be missing, depending on what is wanted.
    Note,
    /// Something does not work.
    Problem,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "PROBLEM",
        })
    }
}

/// A part of the examination; they are shown in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Identity, secrets, peers.
    Rover,
    /// Network interfaces and addresses.
    Interfaces,
    /// The signaling server and who is there.
    Signaling,
    /// STUN and TURN servers.
    IceServers,
    /// How each address is seen from outside.
    Nat,
    /// Types of the topics.
    Topics,
    /// Types of services and actions.
    Services,
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rover => "Rover",
            Self::Interfaces => "Network interfaces",
            Self::Signaling => "Signaling server",
            Self::IceServers => "STUN and TURN servers",
            Self::Nat => "NAT",
            Self::Topics => "Topics",
            Self::Services => "Services and actions",
        })
    }
}

/// All findings, in the order of their sections.
pub fn findings(examination: &Examination) -> Vec<Finding> {
    let mut list = List::default();
    rover(examination, &mut list);
    interfaces(&examination.addresses, &mut list);
    signaling(examination, &mut list);
    ice_servers(examination, &mut list);
    nat(examination, &mut list);
    topics(&examination.topics, &mut list);
    types(Section::Services, &examination.services, "type of its server", &mut list);
    list.0
}

#[derive(Default)]
struct List(Vec<Finding>);

impl List {
    fn add(&mut self, section: Section, mark: Mark, subject: &str, text: impl Into<String>) {
        let (subject, text) = (subject.to_owned(), text.into());
        self.0.push(Finding { section, mark, subject, text, remedy: None });
    }

    /// Says what would help with the last one.
    fn remedy(&mut self, remedy: impl Into<String>) {
        if let Some(last) = self.0.last_mut() {
            last.remedy = Some(remedy.into());
        }
    }
}

fn rover(examination: &Examination, list: &mut List) {
    let Examination { identity, secrets, peers, .. } = examination;
    let mut add = |mark, subject, text: String, remedy: Option<&str>| {
        list.add(Section::Rover, mark, subject, text);
        if let Some(remedy) = remedy {
            list.remedy(remedy);
        }
    };
    let file = identity.file.display();
    match &identity.content {
        IdentityContent::Ready { fingerprint } => {
            add(Mark::Ok, "identity", format!("{file}: {fingerprint}"), None);
        }
        IdentityContent::Missing => {
            add(Mark::Ok, "identity", format!("{file}: made when the node starts"), None);
        }
        IdentityContent::Wrong { reason } => add(Mark::Problem, "identity", reason.clone(), None),
    }
    if peers.is_empty() {
        let remedy = "name the rovers that may connect in `peers`, or [\"*\"] for the whole fleet";
        add(Mark::Problem, "peers", "nobody may connect".to_owned(), Some(remedy));
    } else if peers.iter().any(|peer| peer == "*") {
        add(Mark::Ok, "peers", format!("all of the fleet {}", examination.fleet), None);
    } else {
        add(Mark::Ok, "peers", peers.join(", "), None);
    }
    match (secrets.fleet_key, secrets.fleet_key_is_strong) {
        (true, true) => add(Mark::Ok, "fleet key", "set".to_owned(), None),
        (true, false) => add(
            Mark::Note,
            "fleet key",
            "so short that it may be guessed".to_owned(),
            Some("give ROVER_LINK_FLEET_KEY 16 random bytes or more: openssl rand -hex 32"),
        ),
        (false, _) => add(
            Mark::Note,
            "fleet key",
            "not set: whoever controls the signaling server can pose as a peer".to_owned(),
            Some("set ROVER_LINK_FLEET_KEY, to the same on all rovers"),
        ),
    }
    let set = |is_set| if is_set { "set" } else { "not set" }.to_owned();
    add(Mark::Ok, "token", set(secrets.token), None);
    add(Mark::Ok, "TURN credential", set(secrets.turn), None);
}

fn interfaces(addresses: &[AddressState], list: &mut List) {
    let section = Section::Interfaces;
    for of in addresses {
        let mut about = vec![of.kind.to_string()];
        about.extend(of.metered.then(|| "metered".to_owned()));
        about.extend(of.signal_strength.map(|strength| format!("{strength} dBm")));
        let about = about.join(", ");
        let what = of.address.map_or(about.clone(), |address| format!("{address} ({about})"));
        match &of.unused {
            Some(unused) => {
                let mark = if unused.is_usual() { Mark::Ok } else { Mark::Note };
                list.add(section, mark, &of.interface, format!("{what} not used: {unused}"));
            }
            None if of.carrier => list.add(section, Mark::Ok, &of.interface, what),
            None => {
                let text = format!("{what} has no carrier: used once it has one");
                list.add(section, Mark::Note, &of.interface, text);
            }
        }
    }
    if !addresses.iter().any(AddressState::is_of_use) {
        list.add(section, Mark::Problem, "all", "no address can carry the link now");
        list.remedy("connect a network, or see `interfaces.allow` and `interfaces.deny`");
    }
}

fn signaling(examination: &Examination, list: &mut List) {
    let Examination { signaling_url: url, fleet, rover_id, secrets, .. } = examination;
    let (mark, text, remedy) = match &examination.signaling {
        Signaling::Joined { duration, .. } => {
            let text = format!("lets {rover_id} into the fleet {fleet}, within {}", ms(*duration));
            (Mark::Ok, text, None)
        }
        Signaling::NodeIsMember => {
            let text = format!(
                "reached, and a node has joined as {rover_id} already; if it is not this rover's, \
                 another one has the same rover_id"
            );
            (Mark::Ok, text, None)
        }
        Signaling::TokenRefused if secrets.token => {
            let remedy = "set ROVER_LINK_TOKEN to the token of the server";
            (Mark::Problem, "refuses the token".to_owned(), Some(remedy))
        }
        Signaling::TokenRefused => {
            let remedy = "set ROVER_LINK_TOKEN";
            (Mark::Problem, "wants a token, and none is set".to_owned(), Some(remedy))
        }
        Signaling::Refused { reason } => {
            let remedy = "see whether signaling_url leads to a signaling server of this version";
            (Mark::Problem, format!("refuses: {reason}"), Some(remedy))
        }
        Signaling::NotConnected { reason } => {
            let remedy = "start the signaling server, or correct signaling_url";
            (Mark::Problem, format!("not reached: {reason}"), Some(remedy))
        }
        Signaling::Silent => {
            let remedy = "see whether signaling_url is right, and whether firewalls let TCP pass";
            (Mark::Problem, "does not answer in time".to_owned(), Some(remedy))
        }
        Signaling::Impossible { reason } => (Mark::Problem, reason.clone(), None),
    };
    list.add(Section::Signaling, mark, url, text);
    if let Some(remedy) = remedy {
        list.remedy(remedy);
    }
    members(examination, list);
}

/// Who is there, and who of those that may connect is not.
fn members(examination: &Examination, list: &mut List) {
    let Signaling::Joined { members, .. } = &examination.signaling else { return };
    let (peers, section) = (&examination.peers, Section::Signaling);
    let may_connect = |id: &str| peers.iter().any(|peer| peer == "*" || peer == id);
    for member in members {
        let id = &member.rover_id;
        let kind = if member.is_rover { "" } else { ", a standard WebRTC peer" };
        if may_connect(id) {
            list.add(section, Mark::Ok, id, format!("is there{kind}"));
        } else {
            list.add(section, Mark::Note, id, format!("is there{kind}, and may not connect"));
            list.remedy("name it in `peers` if it is to connect");
        }
    }
    for peer in peers.iter().filter(|peer| *peer != "*") {
        if !members.iter().any(|member| member.rover_id == *peer) {
            list.add(section, Mark::Note, peer, "is not there");
            list.remedy(format!(
                "start its node, with the same signaling_url and the fleet {}",
                examination.fleet
            ));
        }
    }
    if members.is_empty() && peers.iter().any(|peer| peer == "*") {
        list.add(section, Mark::Note, "members", "nobody else is there");
    }
}

fn ice_servers(examination: &Examination, list: &mut List) {
    let section = Section::IceServers;
    if examination.ice_servers.is_empty() {
        let text = "none: peers behind another NAT cannot be reached";
        list.add(section, Mark::Note, "ice_servers", text);
        list.remedy("name a STUN and a TURN server in `ice_servers`, unless all share a network");
    }
    for server in &examination.ice_servers {
        let before = list.0.len();
        ice_server(examination, server, list);
        if server.is_offered
            && let Some(first) = list.0.get_mut(before)
        {
            first.text.push_str(" (offered by the signaling server)");
        }
    }
}

fn ice_server(examination: &Examination, server: &ServerState, list: &mut List) {
    let (section, uri) = (Section::IceServers, &server.uri);
    if let Some(reason) = &server.not_found {
        list.add(section, Mark::Problem, uri, format!("is not found: {reason}"));
        list.remedy("correct its name, or see whether this machine has a name server");
        return;
    }
    if server.is_relay && !server.has_credential {
        list.add(section, Mark::Problem, uri, "is not used, for it wants a credential");
        list.remedy(if server.is_offered {
            "let the signaling server make one: --turn-secret-file"
        } else {
            "set ROVER_LINK_TURN_USERNAME and ROVER_LINK_TURN_CREDENTIAL"
        });
    }
    let stun = examination.stun.iter().filter(|answer| answer.server.to_string() == *uri);
    let stun = stun.map(|answer| {
        let from = answer.local.ip();
        let silent = "see whether it runs, and whether firewalls let UDP pass";
        let time = answer.round_trip_time.ok_or((format!("does not answer {from}"), silent))?;
        Ok(format!("answers {from} within {}", ms(time)))
    });
    let turn = examination.turn.iter().filter(|answer| answer.server.to_string() == *uri);
    let turn: Vec<_> =
        turn.map(|answer| relay(&answer.outcome, answer.local.ip(), server.is_offered)).collect();
    // Some servers that relay answer no questions.
    let relays = turn.iter().any(Result::is_ok);
    one_is_enough(uri, stun.collect(), relays, list);
    one_is_enough(uri, turn, relays, list);
    let is_asked = list.0.iter().any(|finding| finding.subject == *uri);
    if !is_asked {
        list.add(section, Mark::Note, uri, "was not asked: no address in use is of its family");
    }
}

/// What came of asking a TURN server from one address, or why nothing did and what would help.
fn relay(
    outcome: &TurnOutcome,
    from: IpAddr,
    is_offered: bool,
) -> Result<String, (String, &'static str)> {
    match outcome {
        TurnOutcome::Lent { relayed } => Ok(format!("lends {relayed} to {from}")),
        TurnOutcome::Silent => Err((
            format!("lends nothing to {from}: no answer"),
            "see whether it runs, and whether firewalls let this transport pass",
        )),
        TurnOutcome::NotConnected { reason } => Err((
            format!("lends nothing to {from}: not connected: {reason}"),
            "see whether it runs, and whether firewalls let this transport pass",
        )),
        TurnOutcome::CredentialRefused => Err((
            format!("lends nothing to {from}: it refuses the credential"),
            if is_offered {
                "compare the secret in the signaling server's --turn-secret-file, and its clock"
            } else {
                "correct ROVER_LINK_TURN_USERNAME and ROVER_LINK_TURN_CREDENTIAL"
            },
        )),
        TurnOutcome::Refused { code, reason } => Err((
            format!("lends nothing to {from}: refused: {code} {reason}"),
            "see the limits in the configuration of the server, and its log",
        )),
    }
}

/// A server that helps one address is of use, as is one that helps otherwise; one that helps none
/// is a problem.
fn one_is_enough(
    uri: &str,
    results: Vec<Result<String, (String, &str)>>,
    helps_otherwise: bool,
    list: &mut List,
) {
    let helps = helps_otherwise || results.iter().any(Result::is_ok);
    for result in results {
        match result {
            Ok(text) => list.add(Section::IceServers, Mark::Ok, uri, text),
            Err((text, _)) if helps => list.add(Section::IceServers, Mark::Note, uri, text),
            Err((text, remedy)) => {
                list.add(Section::IceServers, Mark::Problem, uri, text);
                list.remedy(remedy);
            }
        }
    }
}

fn nat(examination: &Examination, list: &mut List) {
    let has_relay = |nat: &Nat| {
        let lent = |outcome: &TurnOutcome| matches!(outcome, TurnOutcome::Lent { .. });
        let mut turn = examination.turn.iter();
        turn.any(|answer| answer.local == nat.local && lent(&answer.outcome))
    };
    for of in &examination.nat {
        let address = of.local.ip().to_string();
        let mut add = |mark, text: String| list.add(Section::Nat, mark, &address, text);
        match &of.mapping {
            Mapping::None => add(Mark::Ok, "no NAT: it is seen as it is".to_owned()),
            Mapping::EndpointIndependent { seen } => {
                let text = format!(
                    "seen as {seen} by all servers (endpoint-independent mapping): hole punching \
                     works"
                );
                add(Mark::Ok, text);
            }
            Mapping::SeenOnce { seen } => {
                add(
                    Mark::Note,
                    format!("behind a NAT, seen as {seen}; of which kind is not known"),
                );
                list.remedy(
                    "to tell whether hole punching works, name a second STUN server in \
                     `ice_servers`, at another IP address",
                );
            }
            Mapping::EndpointDependent { seen } => {
                let seen: Vec<_> = seen.iter().map(ToString::to_string).collect();
                let text = format!(
                    "seen by each server as another one, {} (symmetric NAT): peers behind a \
                     strict NAT are reached by TURN only",
                    seen.join(" and ")
                );
                add(Mark::Note, text);
                if !has_relay(of) {
                    list.remedy(
                        "name a TURN server in `ice_servers` that lends an address: none does",
                    );
                }
            }
            Mapping::Unknown => {
                add(Mark::Note, "not known: no STUN server has answered".to_owned());
            }
        }
    }
}

fn topics(topics: &[TypeState], list: &mut List) {
    types(Section::Topics, topics, "type of whoever publishes it first", list);
    if topics.is_empty() {
        list.add(
            Section::Topics,
            Mark::Note,
            "topic_ids",
            "names none: only what `accept` lets in crosses",
        );
    }
}

fn types(section: Section, states: &[TypeState], where_open: &str, list: &mut List) {
    for TypeState { id, type_name, not_installed, .. } in states {
        match (type_name, not_installed) {
            (None, _) => list.add(section, Mark::Ok, id, where_open),
            (Some(name), None) => list.add(section, Mark::Ok, id, format!("{name} is installed")),
            (Some(name), Some(reason)) => {
                list.add(section, Mark::Problem, id, reason);
                let package = name.split('/').next().unwrap_or(name);
                list.remedy(format!(
                    "install the package {package}, or source the workspace that holds it"
                ));
            }
        }
    }
}

/// A time as people read it.
fn ms(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

#[cfg(test)]
mod tests;
