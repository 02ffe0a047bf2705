//! Bytes only: how a message is cut into fragments and put together again, and what a link frame
//! (`frame`) looks like. No clock, no sockets,
//! no allocation that a peer could make grow without bound. The decoders take any bytes.
//!
//! One fragment is one data channel message. All integers are big endian. The first of a message:
//!
//! ```text
//!  0       1       2               4                               8
//! +-------+-------+---------------+-------------------------------+
//! |version| flags | route         | epoch of the sender           |
//! +-------+-------+---------------+-------------------------------+
//! | sequence of the message within its route and epoch            |
//! +-------------------------------+-------------------------------+
//! | taken at, sender's clock, µs  | length of the message, bytes  |
//! +-------------------------------+-------------------------------+
//! | payload …                                                     |
//! +---------------------------------------------------------------+
//! ```
//!
//! Those after it, in order:
//!
//! ```text
//!  0       1       2               4                               8
//! +-------+-------+---------------+-------------------------------+
//! |version| flags | route         | sequence, lower 32 bits       |
//! +-------+-------+---------------+-------------------------------+
//! | offset of the payload         | payload …                     |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! Flag 1, in the first: the message, put together, is one frame of Zstandard (RFC 8878), which tells
//! the size of its content. Flag 2, alone: it goes on with a message. Flag 4, in the first: before the
//! payload stand who published the message at its sender (16 bytes) and its number there (8 bytes, 0
//! where it has none). Other flags are zero; a fragment with one that the receiver does not know is
//! passed over. A fragment may have any size that the data channel takes.
//!
//! A service crosses between two rovers as two routes, whose messages are calls:
//!
//! ```text
//!  0                               8
//! +-------------------------------+-------------------------------+
//! | number of the call            | CDR of request or response …  |
//! +-------------------------------+-------------------------------+
//! ```
//!
//! The rover that has the server offers a route of the kind `service` (`"kind":{"service":
//! {"timeout":60000000,"priority":"high"}}`, the timeout in µs, 0 for none), with the type and hash of
//! the service; responses cross on it, each to the peer that has called. A rover that admits the name
//! accepts it and offers one of the kind `"call"` with the same name, type and hash to that peer,
//! which accepts it as long as it offers the service; requests cross on that. The caller chooses the
//! numbers, no two alike for as long as it runs; one that started anew begins elsewhere. Each side
//! ends its calls when the session ends or its route is withdrawn. Routes without `kind` are topics.
//!
//! With a standard WebRTC peer (a member of the fleet without the capability `rover_link`) all
//! crosses one data channel, labelled `rover_link` and opened by the side with the smaller id. A
//! binary message is one fragment. A text message is JSON and names the routes: each side offers
//! its topics (`{"type":"route","id":1,"revision":1,"topic":…,"ros_type":…,"type_hash":…,
//! "delivery":"reliable","qos":{…}}`), and the other one answers with the same `id` and `revision`
//! (`route_accepted`, or `route_refused` with `reason` and `text`), which may be changed later by the
//! other answer; `route_withdrawn` takes a topic back. Fragments of a route may be sent while it is
//! accepted. Such a peer writes 0 as its epoch and counts the messages of each route from 1 within a
//! session. It is sent no flags, but may send them. It is offered no services, and those that it
//! offers are refused.

mod call;
mod fragment;
mod frame;
mod reassembly;

pub use call::CallMessage;
pub use fragment::{FRAGMENT_LEN, Fragment, Header, Origin, Place, VERSION, WireError};
pub use frame::{
    ACK_OVERHEAD, DATA_OVERHEAD, FRAME_HEADER_LEN, FRAME_MARK, FrameHeader, MAX_ACK_BITS,
    MAX_FRAME_LEN, PathReport, REPORT_LEN, Section, Sections, TAG_LEN,
};
pub use reassembly::{Complete, Discard, Reassembly};
