//! Bytes only: how a message is cut into fragments and put together again, and what a link frame
//! (`frame`) looks like. No clock, no sockets,
//! no allocation that a peer could make grow without bound. The decoders take any bytes.
//!
//! One fragment is one data channel message. All integers are big endian:
//!
//! ```text
//!  0       1       2               4                               8
//! +-------+-------+---------------+-------------------------------+
//! |version| zero  | route         | epoch of the sender           |
//! +-------+-------+---------------+-------------------------------+
//! | sequence of the message within its route and epoch            |
//! +-------------------------------+-------------------------------+
//! | taken at, sender's clock, µs  | length of the message, bytes  |
//! +-------------------------------+-------------------------------+
//! | offset of this fragment       | payload …                     |
//! +-------------------------------+-------------------------------+
//! ```

mod fragment;
mod frame;
mod reassembly;

pub use fragment::{FRAGMENT_PAYLOAD, Fragment, HEADER_LEN, Header, VERSION, WireError};
pub use frame::{
    ACK_OVERHEAD, DATA_OVERHEAD, FRAME_HEADER_LEN, FRAME_MARK, FrameHeader, MAX_ACK_BITS,
    MAX_FRAME_LEN, PathReport, REPORT_LEN, Section, Sections, TAG_LEN,
};
pub use reassembly::{Complete, Discard, Reassembly};
