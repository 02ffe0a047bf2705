//! What two rovers say on the control channel: JSON text, one object per data channel message.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::event::PublisherId;
use super::inner::InnerOffer;
use super::route::{Refusal, RouteId, RouteOffer};
use super::snapshot::CandidateKind;

/// Version of the protocol between two rovers: control messages and framing.
pub(crate) const PROTOCOL_VERSION: u32 = 1;

/// One control message. Members and types that this version does not know are passed over, so
/// that a later version can say more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Control {
    /// The first message of each side; nothing else counts before it is proven.
    Hello(Hello),
    /// A topic is offered. `revision` rises each time the sender offers the same id anew.
    Route {
        id: RouteId,
        revision: u32,
        /// Older messages are not to be delivered, µs; 0 for no limit.
        #[serde(default, skip_serializing_if = "is_zero")]
        lifespan: u64,
        #[serde(flatten)]
        offer: RouteOffer,
    },
    /// The offer of this revision may be used.
    RouteAccepted { id: RouteId, revision: u32 },
    /// The offer of this revision may not be used.
    RouteRefused {
        id: RouteId,
        revision: u32,
        #[serde(flatten)]
        refusal: Refusal,
    },
    /// The sender takes a topic back.
    RouteWithdrawn { id: RouteId },
    /// The publishers that a `transient_local` topic of the sender has now: its own kept samples are
    /// those of these.
    Publishers { id: RouteId, publishers: BTreeSet<PublisherId> },
    /// The sender reads link frames from now on.
    FramesReady,
    /// A further lane is to begin; the answer is an offer of the same number.
    Lane {
        /// Its number in frames; a higher one of the same parity takes its place.
        lane: u8,
        #[serde(flatten)]
        offer: InnerOffer,
    },
    /// The sender can be reached there.
    AddressAdded {
        address: SocketAddr,
        #[serde(default = "host")]
        kind: CandidateKind,
    },
    /// The sender can no longer be reached there.
    AddressRemoved {
        address: SocketAddr,
        /// When it was so, by the clock that frames tell, µs: what waits through an outage is out of
        /// date when it arrives.
        #[serde(default)]
        at: Option<u32>,
    },
    /// Something that only a later version knows.
    #[serde(other)]
    Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

fn host() -> CandidateKind {
    CandidateKind::Host
}

/// Who speaks, and the proof of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) rover_id: String,
    pub(crate) instance: Uuid,
    /// Sequences of messages count within it.
    pub(crate) epoch: u32,
    /// HMAC in lower-case hexadecimal digits; missing where no fleet key is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<String>,
    /// 32 random bytes for the keys of link frames, in lower-case hexadecimal digits; missing where
    /// the sender reads no frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) frames: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offered_topic_is_read_as_it_was_written() {
        let text = r#"{"type":"route","id":3,"revision":1,"topic":"/a/odom","ros_type":"nav_msgs/msg/Odometry","type_hash":"RIHS01_0","delivery":"latest","qos":{"reliability":"reliable","durability":"volatile","history":"keep_last","depth":10}}"#;
        let read: Control = serde_json::from_str(text).expect("the documented form");
        assert_eq!(serde_json::to_string(&read).expect("it was read"), text);
    }

    #[test]
    fn a_service_is_offered_with_its_terms_and_a_call_without() {
        let offer = |kind: &str| {
            format!(
                r#"{{"type":"route","id":3,"revision":1,"topic":"/a/reset","ros_type":"std_srvs/srv/Trigger","type_hash":"RIHS01_0","delivery":"reliable","qos":{{"reliability":"reliable","durability":"volatile","history":"keep_last","depth":10}},"kind":{kind}}}"#
            )
        };
        for kind in [r#"{"service":{"timeout":60000000,"priority":"high"}}"#, r#""call""#] {
            let text = offer(kind);
            let read: Control = serde_json::from_str(&text).expect("the documented form");
            assert_eq!(serde_json::to_string(&read).expect("it was read"), text);
        }
        let unknown = serde_json::from_str::<Control>(&offer(r#""dance""#));
        assert!(unknown.is_err(), "a route that means something else is passed over");
    }

    #[test]
    fn a_later_version_may_say_more() {
        let text = r#"{"type":"route_accepted","id":3,"revision":1,"mood":"good"}"#;
        let read: Control = serde_json::from_str(text).expect("an unknown member is passed over");
        assert_eq!(read, Control::RouteAccepted { id: RouteId(3), revision: 1 });
        let read: Control = serde_json::from_str(r#"{"type":"dance","steps":[1]}"#)
            .expect("an unknown type is passed over");
        assert_eq!(read, Control::Unknown);
    }

    #[test]
    fn a_refusal_for_a_reason_of_a_later_version_is_still_a_refusal() {
        let text =
            r#"{"type":"route_refused","id":3,"revision":1,"reason":"full_moon","text":"no"}"#;
        let read: Control = serde_json::from_str(text).expect("an unknown reason is kept as such");
        let Control::RouteRefused { refusal, .. } = read else { panic!("not a refusal: {read:?}") };
        assert_eq!(refusal.reason, crate::link::RefusalReason::Unknown);
        assert_eq!(refusal.text, "no");
    }
}
