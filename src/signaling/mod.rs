//! How rovers are introduced to each other.
