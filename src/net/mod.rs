//! Sockets and the driver.
