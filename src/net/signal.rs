//! Signals between rovers, as the core knows them and as the signaling server carries them.

use crate::link::Signal;
use crate::signaling::message::Body;

impl From<Signal> for Body {
    fn from(signal: Signal) -> Self {
        match signal {
            Signal::Offer(sdp) => Self::Offer { sdp },
            Signal::Answer(sdp) => Self::Answer { sdp },
            Signal::Candidate(candidate) => Self::Candidate { candidate, mid: String::new() },
            Signal::RestartRequest => Self::RestartRequest,
            Signal::Hangup(reason) => Self::Hangup { reason },
        }
    }
}

impl From<Body> for Option<Signal> {
    fn from(body: Body) -> Self {
        match body {
            Body::Offer { sdp } => Some(Signal::Offer(sdp)),
            Body::Answer { sdp } => Some(Signal::Answer(sdp)),
            Body::Candidate { candidate, .. } => Some(Signal::Candidate(candidate)),
            // Checks go on as long as the session does: there is nothing to end.
            Body::EndOfCandidates => None,
            Body::RestartRequest => Some(Signal::RestartRequest),
            Body::Hangup { reason } => Some(Signal::Hangup(reason)),
        }
    }
}
