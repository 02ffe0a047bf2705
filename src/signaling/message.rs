//! What clients and the signaling server say to each other: JSON text messages of a `type` each.
//!
//! `B` stands for the body of a signal. At a rover's end it is a [`Body`]; in the server it stays the text that it
//! was, as the server does not look inside. Fields that are not known are ignored, so that a newer client can talk to
//! an older server; a type that is not known is an error.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::id::Id;

/// The version of the protocol, said in every hello.
pub const PROTOCOL_VERSION: u64 = 1;
/// The WebSocket subprotocol (RFC 6455 §1.9) that client and server agree on.
pub const SUBPROTOCOL: &str = "rover-link.v1";
/// Longest message from a client, in bytes. An SDP with all candidates of a rover with many radios has about 4 KiB.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Most capabilities that a member can name; one is in use.
pub const MAX_CAPABILITIES: usize = 16;
/// Longest name of a capability, in bytes.
pub const MAX_CAPABILITY_BYTES: usize = 64;
/// The capability of a member that is a rover of this project; without it, it is a standard WebRTC peer.
pub const CAPABILITY_ROVER_LINK: &str = "rover_link";

/// What a client says first: who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u64,
    /// The fleet it belongs to; it sees no other.
    pub fleet: Id,
    /// Its name, unique in the fleet.
    pub rover_id: Id,
    /// Drawn anew at each start of the program, so that a restart can be told from a reconnect.
    pub instance: Uuid,
    /// What it can do, as [`CAPABILITY_ROVER_LINK`].
    #[serde(default)]
    pub capabilities: Vec<String>,
}

/// A message from a client to the server.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientMessage<B = Body> {
    /// The first message, and only the first.
    Hello(Hello),
    /// Something for another member of the fleet.
    Signal {
        /// The rover it is for.
        to: Id,
        /// What it says.
        body: B,
    },
}

/// A message from the server to a client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage<B = Body> {
    /// The answer to a hello: the client is a member now.
    Welcome {
        /// The other members of the fleet.
        peers: Vec<Peer>,
        /// STUN and TURN servers that the member may use.
        #[serde(default)]
        ice_servers: Vec<IceServer>,
    },
    /// The servers of the welcome again, with other credentials: the former ones run out.
    IceServers {
        /// STUN and TURN servers that the member may use.
        ice_servers: Vec<IceServer>,
    },
    /// Another member came.
    PeerJoined(Peer),
    /// Another member went.
    PeerLeft {
        /// Who went.
        rover_id: Id,
    },
    /// Something from another member.
    Signal {
        /// The rover that says it.
        from: Id,
        /// The start of that rover's program which says it.
        instance: Uuid,
        /// What it says.
        body: B,
    },
    /// The client's message was refused.
    Error {
        /// Why, for programs.
        code: ErrorCode,
        /// Why, for people.
        message: String,
    },
}

/// Another member, as the server presents it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Its name.
    pub rover_id: Id,
    /// The start of its program.
    pub instance: Uuid,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Vec<String>,
}

impl Peer {
    /// Whether it is a rover of this project rather than a standard WebRTC peer.
    pub fn is_rover_link(&self) -> bool {
        self.capabilities.iter().any(|capability| capability == CAPABILITY_ROVER_LINK)
    }
}

/// A STUN or TURN server, in the form that WebRTC uses (W3C WebRTC §4.2.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs of one server.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default)]
    pub username: String,
    /// TURN credential.
    #[serde(default)]
    pub credential: String,
}

/// Why the server refuses a message. It closes the connection after all but `UnknownPeer` and `RateLimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// Not a message of this protocol, or not at this point.
    #[error("bad_message")]
    BadMessage,
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("too_large")]
    TooLarge,
    /// More messages per second than a member may send; this one was dropped.
    #[error("rate_limited")]
    RateLimited,
    /// Nobody of this name is in the fleet now; the message was dropped.
    #[error("unknown_peer")]
    UnknownPeer,
    /// A living member has this `rover_id` already.
    #[error("id_in_use")]
    IdInUse,
    /// The client speaks another version of the protocol.
    #[error("version")]
    Version,
}

impl ErrorCode {
    /// Whether the server closes the connection after this error.
    pub fn is_fatal(self) -> bool {
        !matches!(self, Self::UnknownPeer | Self::RateLimited)
    }
}

/// What rovers say to each other through the server to set a session up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// An SDP offer (RFC 9429).
    Offer {
        /// The session description.
        sdp: String,
    },
    /// The SDP answer to an offer.
    Answer {
        /// The session description.
        sdp: String,
    },
    /// One more candidate (trickle ICE, RFC 8838).
    Candidate {
        /// The candidate attribute (RFC 8839 §5.1), with or without `a=`.
        candidate: String,
        /// The media section it belongs to.
        #[serde(default)]
        mid: String,
    },
    /// No more candidates will come (RFC 8838 §13).
    EndOfCandidates,
    /// The side that does not offer asks for an ICE restart.
    RestartRequest,
    /// The sender gives the session up.
    Hangup {
        /// Why, for people.
        #[serde(default)]
        reason: String,
    },
}

/// Why the text of a client is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Not JSON, or not the fields that the type asks for.
    #[error("not a message of this protocol: {0}")]
    Json(#[from] serde_json::Error),
    /// A type that only a newer version may know.
    #[error("`type` must be `hello` or `signal`")]
    UnknownType,
    /// A hello of another version.
    #[error("this server speaks version {PROTOCOL_VERSION}, not {0}")]
    Version(u64),
    /// More capabilities, or longer ones, than a member may name.
    #[error("at most {MAX_CAPABILITIES} capabilities of at most {MAX_CAPABILITY_BYTES} bytes each")]
    Capabilities,
}

impl DecodeError {
    /// What to tell the client.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Version(_) => ErrorCode::Version,
            Self::Json(_) | Self::UnknownType | Self::Capabilities => ErrorCode::BadMessage,
        }
    }
}

impl ClientMessage<Box<RawValue>> {
    /// Reads a client's text; the body of a signal is checked to be JSON and left as it is.
    ///
    /// The version is judged before the other fields, as another version may have others.
    ///
    /// # Errors
    /// [`DecodeError`], for all that is not a message of this protocol and version.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        struct Header {
            r#type: String,
            version: Option<u64>,
        }
        #[derive(Deserialize)]
        struct Signal {
            to: Id,
            body: Box<RawValue>,
        }

        let header: Header = serde_json::from_str(text)?;
        match (header.r#type.as_str(), header.version) {
            ("hello", Some(version)) if version != PROTOCOL_VERSION => {
                Err(DecodeError::Version(version))
            }
            ("hello", _) => {
                let hello: Hello = serde_json::from_str(text)?;
                let is_short = |capability: &String| capability.len() <= MAX_CAPABILITY_BYTES;
                if hello.capabilities.len() > MAX_CAPABILITIES
                    || !hello.capabilities.iter().all(is_short)
                {
                    return Err(DecodeError::Capabilities);
                }
                Ok(Self::Hello(hello))
            }
            ("signal", _) => {
                let Signal { to, body } = serde_json::from_str(text)?;
                Ok(Self::Signal { to, body })
            }
            _ => Err(DecodeError::UnknownType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const HELLO: &str = r#"{"type":"hello","version":1,"fleet":"default","rover_id":"rover_a",
        "instance":"5f0c7d1e-93a4-4b5e-8f61-3f0a4c1b2d3e","capabilities":["rover_link"]}"#;

    fn refusal(text: &str) -> ErrorCode {
        ClientMessage::decode(text).expect_err(text).code()
    }

    #[test]
    fn a_hello_is_read_with_or_without_fields_of_the_future() {
        let ClientMessage::Hello(hello) = ClientMessage::decode(HELLO).expect("a hello") else {
            panic!("not a hello");
        };
        assert_eq!((hello.fleet.as_str(), hello.rover_id.as_str()), ("default", "rover_a"));
        assert_eq!(hello.capabilities, [CAPABILITY_ROVER_LINK]);
        assert!(
            ClientMessage::decode(&HELLO.replace("\"version\"", "\"colour\":[1],\"version\""))
                .is_ok()
        );
    }

    #[test]
    fn another_version_is_told_apart_even_when_its_fields_differ() {
        assert_eq!(refusal(r#"{"type":"hello","version":2,"name":"x"}"#), ErrorCode::Version);
        assert_eq!(refusal(r#"{"type":"hello","version":0}"#), ErrorCode::Version);
        assert_eq!(refusal(r#"{"type":"hello","version":"1"}"#), ErrorCode::BadMessage);
        assert_eq!(refusal(&HELLO.replace("\"version\":1,", "")), ErrorCode::BadMessage);
    }

    #[test]
    fn what_is_no_message_of_the_protocol_is_a_bad_message() {
        let many = format!("[{}]", vec!["\"x\""; MAX_CAPABILITIES + 1].join(","));
        let long = format!("[\"{}\"]", "x".repeat(MAX_CAPABILITY_BYTES + 1));
        for text in [
            "",
            "hello",
            "[]",
            "null",
            "{}",
            r#"{"type":"howdy"}"#,
            r#"{"type":"signal","to":"rover_b"}"#,
            r#"{"type":"signal","to":"Rover B","body":{}}"#,
            r#"{"type":"signal","type":"hello","to":"rover_b","body":{}}"#,
            &HELLO.replace("rover_a", "../etc"),
            &HELLO.replace("default", ""),
            &HELLO.replace("5f0c7d1e-93a4", "5f0c7d1e"),
            &HELLO.replace("[\"rover_link\"]", &many),
            &HELLO.replace("[\"rover_link\"]", &long),
            &HELLO[..HELLO.len() - 1],
        ] {
            assert_eq!(refusal(text), ErrorCode::BadMessage, "{text}");
        }
    }

    #[test]
    fn the_body_of_a_signal_passes_unchanged() {
        let body = r#"{"z":1e400, "a":18446744073709551616, "z":"twice", "deep":[[[{}]]]}"#;
        let text = format!(r#"{{"type":"signal","to":"rover_b","body":{body}}}"#);
        let ClientMessage::Signal { to, body: kept } =
            ClientMessage::decode(&text).expect("a signal")
        else {
            panic!("not a signal");
        };
        assert_eq!((to.as_str(), kept.get()), ("rover_b", body));

        let relayed = ServerMessage::Signal { from: to, instance: Uuid::nil(), body: kept };
        assert!(serde_json::to_string(&relayed).expect("JSON").contains(body));
    }

    #[test]
    fn bodies_have_the_documented_fields() {
        let text = String::from("v=0");
        for (body, expected) in [
            (Body::Offer { sdp: text.clone() }, json!({"kind": "offer", "sdp": "v=0"})),
            (Body::Answer { sdp: text.clone() }, json!({"kind": "answer", "sdp": "v=0"})),
            (
                Body::Candidate { candidate: text.clone(), mid: String::from("0") },
                json!({"kind": "candidate", "candidate": "v=0", "mid": "0"}),
            ),
            (Body::EndOfCandidates, json!({"kind": "end_of_candidates"})),
            (Body::RestartRequest, json!({"kind": "restart_request"})),
            (Body::Hangup { reason: text }, json!({"kind": "hangup", "reason": "v=0"})),
        ] {
            assert_eq!(serde_json::to_value(&body).expect("JSON"), expected);
            assert_eq!(serde_json::from_value::<Body>(expected).expect("a body"), body);
        }
    }

    #[test]
    fn server_messages_have_the_documented_fields() {
        let peer = || Peer {
            rover_id: "rover_b".parse().expect("an id"),
            instance: Uuid::nil(),
            capabilities: vec![CAPABILITY_ROVER_LINK.to_owned()],
        };
        let nil = "00000000-0000-0000-0000-000000000000";
        let server = IceServer {
            urls: vec!["stun:203.0.113.1:3478".into()],
            username: String::new(),
            credential: String::new(),
        };
        for (message, expected) in [
            (
                ServerMessage::Welcome { peers: vec![peer()], ice_servers: vec![server] },
                json!({"type": "welcome",
                    "peers": [{"rover_id": "rover_b", "instance": nil, "capabilities": ["rover_link"]}],
                    "ice_servers": [{"urls": ["stun:203.0.113.1:3478"], "username": "", "credential": ""}]}),
            ),
            (
                ServerMessage::PeerJoined(peer()),
                json!({"type": "peer_joined", "rover_id": "rover_b", "instance": nil, "capabilities": ["rover_link"]}),
            ),
            (
                ServerMessage::PeerLeft { rover_id: peer().rover_id },
                json!({"type": "peer_left", "rover_id": "rover_b"}),
            ),
            (
                ServerMessage::Signal {
                    from: peer().rover_id,
                    instance: Uuid::nil(),
                    body: Body::EndOfCandidates,
                },
                json!({"type": "signal", "from": "rover_b", "instance": nil, "body": {"kind": "end_of_candidates"}}),
            ),
            (
                ServerMessage::Error { code: ErrorCode::IdInUse, message: "taken".into() },
                json!({"type": "error", "code": "id_in_use", "message": "taken"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&message).expect("JSON"), expected);
            let again: ServerMessage = serde_json::from_value(expected.clone()).expect("a message");
            assert_eq!(serde_json::to_value(&again).expect("JSON"), expected);
        }
    }

    #[test]
    fn every_error_code_reads_as_it_is_written() {
        for code in [
            ErrorCode::BadMessage,
            ErrorCode::TooLarge,
            ErrorCode::RateLimited,
            ErrorCode::UnknownPeer,
            ErrorCode::IdInUse,
            ErrorCode::Version,
        ] {
            assert_eq!(serde_json::to_value(code).expect("JSON"), json!(code.to_string()));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_refused_or_read_but_never_a_panic(text in ".*") {
            let _ = ClientMessage::decode(&text);
            let _ = serde_json::from_str::<ServerMessage>(&text);
        }

        #[test]
        fn arbitrary_bytes_are_refused_or_read_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = ClientMessage::decode(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_damaged_hello_is_refused_or_read_but_never_a_panic(at in 0..HELLO.len(), byte in 0_u8..128) {
            let mut bytes = HELLO.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = ClientMessage::decode(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn a_signal_to_any_id_with_any_text_inside_reads_back(to in "[a-z][a-z0-9_]{0,63}", sdp in ".*") {
            let sent = ClientMessage::Signal { to: to.parse().expect("an id"), body: Body::Offer { sdp: sdp.clone() } };
            let text = serde_json::to_string(&sent).expect("JSON");
            let ClientMessage::Signal { to: read, body } = ClientMessage::decode(&text).expect("a signal") else {
                panic!("not a signal");
            };
            prop_assert_eq!(read.as_str(), to);
            prop_assert_eq!(serde_json::from_str::<Body>(body.get()).expect("a body"), Body::Offer { sdp });
        }
    }
}
