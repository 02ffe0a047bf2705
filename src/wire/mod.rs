//! Bytes only: how a message is cut into fragments and put together again. No clock, no sockets,
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
//! | age of the message, µs        | length of the message, bytes  |
//! +-------------------------------+-------------------------------+
//! | offset of this fragment       | payload …                     |
//! +-------------------------------+-------------------------------+
//! ```

mod fragment;
mod reassembly;

pub use fragment::{FRAGMENT_PAYLOAD, Fragment, HEADER_LEN, Header, VERSION, WireError};
pub use reassembly::{Complete, Discard, Reassembly};
