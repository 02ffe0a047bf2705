//! Datagrams that one call hands to the kernel or takes from it.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::slice;

use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};

use crate::link::Transmit;

/// Bytes that are sent together at most: the kernel counts headers too, and ends at 65,535.
const MAX_TOGETHER: usize = 60 * 1024;

/// Room for what the kernel has put together, bytes: the most that it may be.
const ROOM: usize = 65_536;

/// Datagrams that are sent together: by one path, and of one length, but for the last, which may be
/// shorter.
#[derive(Default)]
pub(super) struct Outgoing {
    pair: Option<(SocketAddr, SocketAddr)>,
    length: usize,
    contents: Vec<u8>,
}

impl Outgoing {
    /// Adds a datagram, or returns `false` where it cannot go together with those that are here.
    /// Not more than `limit` go together. An empty one says nothing and is passed over.
    pub(super) fn add(&mut self, transmit: &Transmit, limit: usize) -> bool {
        let pair = Some((transmit.source, transmit.destination));
        let length = transmit.contents.len();
        if self.contents.is_empty() {
            (self.pair, self.length) = (pair, length);
        } else if pair != self.pair
            || length > self.length
            // A shorter one is the last.
            || !self.contents.len().is_multiple_of(self.length)
            || self.contents.len() / self.length >= limit
            || self.contents.len() + length > MAX_TOGETHER
        {
            return false;
        }
        self.contents.extend_from_slice(&transmit.contents);
        true
    }

    pub(super) fn clear(&mut self) {
        self.pair = None;
        self.contents.clear();
    }

    /// The local and the remote address, if there is anything.
    pub(super) fn pair(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.pair
    }

    /// Is there more than one datagram?
    pub(super) fn is_several(&self) -> bool {
        self.contents.len() > self.length
    }

    /// All of it, for one call.
    pub(super) fn together(&self, destination: SocketAddr) -> quinn_udp::Transmit<'_> {
        quinn_udp::Transmit {
            destination,
            ecn: None,
            contents: &self.contents,
            segment_size: Some(self.length),
            src_ip: None,
        }
    }

    /// Each by itself.
    pub(super) fn datagrams(&self) -> slice::Chunks<'_, u8> {
        self.contents.chunks(self.length.max(1))
    }
}

/// A datagram from the network.
pub(super) struct Datagram<'a> {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) contents: &'a [u8],
}

/// What one call has received: one datagram, or up to 64 that the kernel has put together, of one
/// path and of one length, but for the last, which may be shorter.
pub(super) struct Incoming {
    room: Box<[u8]>,
    meta: RecvMeta,
    /// The address whose socket has received it; before the first, one that precedes all others.
    local: SocketAddr,
    /// Where the next datagram begins.
    next: usize,
}

impl Default for Incoming {
    fn default() -> Self {
        Self {
            room: vec![0; ROOM].into(),
            meta: RecvMeta::default(),
            local: ([0, 0, 0, 0], 0).into(),
            next: 0,
        }
    }
}

impl Incoming {
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Is there anything to take? An empty datagram says nothing and is passed over.
    pub(super) fn has_more(&self) -> bool {
        self.next < self.meta.len
    }

    /// Receives, in place of what was here.
    pub(super) fn receive(
        &mut self,
        local: SocketAddr,
        socket: UdpSockRef<'_>,
        state: &UdpSocketState,
    ) -> io::Result<()> {
        let mut room = IoSliceMut::new(&mut self.room);
        state.recv(socket, slice::from_mut(&mut room), slice::from_mut(&mut self.meta))?;
        (self.local, self.next) = (local, 0);
        Ok(())
    }

    /// How many are there to take?
    pub(super) fn count(&self) -> usize {
        (self.meta.len - self.next).div_ceil(self.meta.stride.max(1))
    }

    /// The next datagrams, `most` of them at most.
    pub(super) fn take(&mut self, most: usize) -> impl Iterator<Item = Datagram<'_>> {
        let RecvMeta { addr: remote, len, stride, .. } = self.meta;
        let (local, stride, start) = (self.local, stride.max(1), self.next);
        self.next = len.min(start + most * stride);
        let datagrams = self.room[start..self.next].chunks(stride);
        datagrams.map(move |contents| Datagram { local, remote, contents })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(port: u16, length: usize) -> Transmit {
        let (source, destination) = (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], port).into());
        Transmit { source, destination, contents: vec![length as u8; length] }
    }

    /// Of datagrams of these lengths, how many go together.
    fn fitting(lengths: &[usize], limit: usize) -> usize {
        let mut outgoing = Outgoing::default();
        lengths.iter().take_while(|length| outgoing.add(&datagram(9, **length), limit)).count()
    }

    #[test]
    fn datagrams_of_one_length_go_together_and_a_shorter_one_is_the_last() {
        assert_eq!(fitting(&[100, 100, 100, 40, 40], 64), 4);
        assert_eq!(fitting(&[100, 100, 101], 64), 2);
        assert_eq!(fitting(&[100; 10], 3), 3);
        assert_eq!(fitting(&[100; 10], 1), 1);
        assert_eq!(fitting(&[1200; 64], 64), MAX_TOGETHER / 1200);
        assert_eq!(fitting(&[65_000, 65_000], 64), 1);
    }

    #[test]
    fn datagrams_of_two_paths_do_not_go_together() {
        let mut outgoing = Outgoing::default();
        assert!(outgoing.add(&datagram(9, 100), 64));
        assert!(!outgoing.add(&datagram(10, 100), 64));
        assert!(!outgoing.is_several());
        assert!(outgoing.add(&datagram(9, 90), 64));
        assert!(outgoing.is_several());
        let datagrams: Vec<_> = outgoing.datagrams().map(<[u8]>::len).collect();
        assert_eq!(datagrams, [100, 90]);
        outgoing.clear();
        assert!(outgoing.add(&datagram(10, 200), 64));
    }
}
