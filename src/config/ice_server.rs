//! Addresses of STUN and TURN servers, as URIs (RFC 7064, RFC 7065).

use std::fmt;
use std::net::Ipv6Addr;

use super::names::{NameError, quoted};

/// Where servers listen when no port is written (RFC 8489 §9, RFC 8656 §3.1).
const DEFAULT_PORT: u16 = 3478;

/// What a server does for a rover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IceService {
    /// It tells where a datagram came from.
    Stun,
    /// It lends an address and relays what comes there. The rover speaks to it by UDP.
    TurnOverUdp,
    /// The same by TCP, for networks that let no UDP out.
    TurnOverTcp,
}

/// A STUN or TURN server: `stun:HOST[:PORT]` or `turn:HOST[:PORT][?transport=udp|tcp]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IceServerUri {
    /// What it is for.
    pub service: IceService,
    /// Its name, or its address without brackets.
    pub host: String,
    /// UDP or TCP port.
    pub port: u16,
}

impl IceServerUri {
    /// Reads a URI.
    ///
    /// # Errors
    /// [`NameError::IceServer`], also for `stuns:` and `turns:`: what crosses a relay is encrypted
    /// end to end anyway.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::read(text).ok_or_else(|| NameError::IceServer(quoted(text)))
    }

    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let (authority, query) = match rest.split_once('?') {
            Some((authority, query)) => (authority, Some(query)),
            None => (rest, None),
        };
        let service = match (scheme, query) {
            ("stun", None) => IceService::Stun,
            ("turn", None | Some("transport=udp")) => IceService::TurnOverUdp,
            ("turn", Some("transport=tcp")) => IceService::TurnOverTcp,
            _ => return None,
        };
        let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        } else {
            match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            }
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(is_name) {
            return None;
        }
        let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok())?;
        (port > 0).then(|| Self { service, host: host.to_owned(), port })
    }
}

impl fmt::Display for IceServerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, transport) = match self.service {
            IceService::Stun => ("stun", ""),
            IceService::TurnOverUdp => ("turn", "?transport=udp"),
            IceService::TurnOverTcp => ("turn", "?transport=tcp"),
        };
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{scheme}:[{host}]:{port}{transport}")
        } else {
            write!(f, "{scheme}:{host}:{port}{transport}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_with_its_defaults() {
        for (text, whole) in [
            ("stun:203.0.113.1", "stun:203.0.113.1:3478"),
            ("turn:turn.example.org:99", "turn:turn.example.org:99?transport=udp"),
            ("turn:host?transport=tcp", "turn:host:3478?transport=tcp"),
            ("stun:[2001:db8::1]", "stun:[2001:db8::1]:3478"),
            ("turn:[::1]:5?transport=udp", "turn:[::1]:5?transport=udp"),
        ] {
            let read = IceServerUri::parse(text).unwrap();
            assert_eq!(read.to_string(), whole);
            assert_eq!(IceServerUri::parse(whole).unwrap(), read);
        }
    }

    #[test]
    fn what_no_rover_can_use_is_refused() {
        for text in [
            "",
            "203.0.113.1:3478",
            "turns:203.0.113.1",
            "stun:",
            "stun:host:0",
            "stun:host:70000",
            "stun:host?transport=udp",
            "turn:host?transport=sctp",
            "turn:user@host",
            "stun:[2001:db8::1",
            "stun:[host]",
            "stun:2001:db8::1",
        ] {
            assert!(IceServerUri::parse(text).is_err(), "{text}");
        }
    }
}
