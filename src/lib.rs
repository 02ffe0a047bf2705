//! `rover_link` bridges chosen ROS 2 topics from rover to rover over WebRTC data channels.
//!
//! The core is deterministic: it does no I/O and looks at no clock, so that virtual time can prove
//! what it does, and the same code is driven by sockets in production.
//!
//! The rooms, each of which may use only those to its right: `bin → ros → net → link → wire`.
//!
//! - [`config`]: every setting, parsed once, with its default and unit.
//! - [`wire`]: bytes only: message header, fragments, reassembly, link frames.
//! - [`link`]: the core: sessions with peers, who may come in, which topics cross, and by which path.
//! - [`signaling`]: the WebSocket protocol that introduces rovers to each other, server and client.
//! - `net` (feature `net`): sockets, the driver, the one loop that owns the sessions, and what it
//!   exchanges with the application, compressed where a topic asks for it.
//! - `ros` (feature `ros`): the node; the only place that knows ROS.
//!
//! # Run loop
//!
//! Whoever drives the core gives it one input, takes outputs until it says `Timeout`, and waits for
//! the next input or for that moment. The driver does it with sockets, the tests with virtual time:
//!
//! ```
//! use std::time::Instant;
//!
//! use rover_link::config::{HandoverSettings, PeerFilter};
//! use rover_link::link::{Fleet, Identity, Output, PeerKind, Signal, generate_certificate};
//!
//! let identity = Identity {
//!     rover_id: "rover_a".to_owned(),
//!     instance: uuid::Uuid::new_v4(),
//!     epoch: 1,
//!     certificate: generate_certificate().expect("a source of randomness"),
//!     fleet_key: None,
//!     peers: PeerFilter::All,
//!     peer_fingerprints: Default::default(),
//! };
//! let now = Instant::now();
//! let mut fleet = Fleet::new(identity, HandoverSettings::default(), 1, now);
//!
//! // The signaling server sees a rover with a larger id: this one is to offer.
//! fleet.handle_joined("rover_b", uuid::Uuid::new_v4(), PeerKind::Rover, now);
//! let mut signals = Vec::new();
//! let wake = loop {
//!     match fleet.poll_output(now) {
//!         Output::Timeout(at) => break at,
//!         Output::Signal { to, signal } => signals.push((to, signal)),
//!         Output::Transmit(_) => unreachable!("it knows no address to send to"),
//!         Output::Event(_) | Output::IncomingOpened { .. } | Output::Deliver(_) => {}
//!     }
//! };
//! assert!(signals.is_empty() && wake <= now, "time has to pass first, be it none");
//! fleet.handle_timeout(now);
//! assert!(matches!(fleet.poll_output(now), Output::Signal { signal: Signal::Offer(_), .. }));
//! ```

#[forbid(unsafe_code)]
pub mod config;
#[forbid(unsafe_code)]
pub mod link;
#[cfg(feature = "net")]
#[forbid(unsafe_code)]
pub mod net;
#[cfg(feature = "ros")]
pub mod ros;
#[forbid(unsafe_code)]
pub mod signaling;
#[forbid(unsafe_code)]
pub mod wire;
