//! Which data channels a connection has, and what crosses each.

use str0m::Rtc;
use str0m::change::SdpApi;
use str0m::channel::{ChannelConfig, ChannelId};

use crate::config::Delivery;

/// Label of the one channel with a standard peer.
const LABEL: &str = "rover_link";

/// What is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKind {
    /// Another rover of this project.
    Rover,
    /// Any WebRTC peer that speaks the documented messages: a browser, another stack.
    Standard,
}

/// The data channels of a connection.
#[derive(Debug)]
pub(super) enum Channels {
    /// With another rover: three, with ids that both sides know, so that none has to be opened on
    /// the wire.
    Agreed {
        /// Control messages.
        control: ChannelId,
        /// Fragments that cross in order.
        reliable: ChannelId,
        /// Fragments that need no order.
        latest: ChannelId,
    },
    /// With a standard peer: one, opened on the wire (RFC 8832) by the side that offers. Text is a
    /// control message, what is binary is a fragment.
    One(Option<ChannelId>),
}

impl Channels {
    /// Those of the side that offers.
    pub(super) fn offer(kind: PeerKind, changes: &mut SdpApi<'_>) -> Self {
        match kind {
            PeerKind::Rover => {
                Self::agreed(agreed_configs().map(|config| changes.add_channel_with_config(config)))
            }
            PeerKind::Standard => {
                let config = ChannelConfig { label: LABEL.to_owned(), ..ChannelConfig::default() };
                Self::One(Some(changes.add_channel_with_config(config)))
            }
        }
    }

    /// Those of the side that answers.
    pub(super) fn answer(kind: PeerKind, rtc: &mut Rtc) -> Self {
        match kind {
            PeerKind::Rover => Self::agreed(
                agreed_configs().map(|config| rtc.direct_api().create_data_channel(config)),
            ),
            PeerKind::Standard => Self::One(None),
        }
    }

    fn agreed([control, reliable, latest]: [ChannelId; 3]) -> Self {
        Self::Agreed { control, reliable, latest }
    }

    /// What is at the other end.
    pub(super) fn kind(&self) -> PeerKind {
        match self {
            Self::Agreed { .. } => PeerKind::Rover,
            Self::One(_) => PeerKind::Standard,
        }
    }

    /// That of control messages.
    pub(super) fn control(&self) -> Option<ChannelId> {
        match self {
            Self::Agreed { control, .. } => Some(*control),
            Self::One(channel) => *channel,
        }
    }

    /// That of fragments.
    pub(super) fn of(&self, delivery: Delivery) -> Option<ChannelId> {
        match (self, delivery) {
            (Self::Agreed { reliable, .. }, Delivery::Reliable) => Some(*reliable),
            (Self::Agreed { latest, .. }, Delivery::Latest) => Some(*latest),
            (Self::One(channel), _) => *channel,
        }
    }

    /// Takes a channel that has opened; can control messages cross now?
    pub(super) fn handle_open(&mut self, id: ChannelId, label: &str) -> bool {
        if let Self::One(channel @ None) = self
            && label == LABEL
        {
            *channel = Some(id);
        }
        self.control() == Some(id)
    }

    /// Is what came by this channel a control message?
    pub(super) fn is_control(&self, id: ChannelId, is_binary: bool) -> bool {
        match self {
            Self::Agreed { control, .. } => *control == id,
            Self::One(_) => !is_binary,
        }
    }
}

/// The channels between two rovers.
pub(super) fn agreed_configs() -> [ChannelConfig; 3] {
    let channel = |id, label: &str, ordered| ChannelConfig {
        label: label.to_owned(),
        ordered,
        negotiated: Some(id),
        ..ChannelConfig::default()
    };
    // `latest` needs no order: what is older than what was delivered is dropped anyway.
    [channel(0, "control", true), channel(1, "reliable", true), channel(2, "latest", false)]
}
