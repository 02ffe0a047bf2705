//! The core: sessions with peers. No I/O, no clock, no ROS.
