//! What two rovers say to each other through signaling, before there is a session.

/// The body of a signal. The room that speaks with the signaling server puts it on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// An SDP offer; only the peer with the smaller id sends one.
    Offer(String),
    /// The SDP answer to it.
    Answer(String),
    /// A candidate that was found after the description was made.
    Candidate(String),
    /// Asks the peer that offers for a new session.
    RestartRequest,
    /// The session is refused or ends, and why.
    Hangup(String),
}
