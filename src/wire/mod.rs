//! Bytes only: message header, fragments, reassembly.
