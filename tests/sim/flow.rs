//! A transfer of somebody else's that shares a path with the rovers: TCP from one end to the other.

use std::collections::VecDeque;
use std::time::Instant;

use super::network::Way;
use super::scenario::{Scenario, Tcp};
use super::tcp::{ACK, Ack, Receiver, SEGMENT, Segment, Sender};

/// What crosses the network.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    Segment(Segment),
    Ack(Ack),
}

impl Packet {
    /// IP bytes.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Segment(_) => SEGMENT,
            Self::Ack(_) => ACK,
        }
    }
}

/// One transfer.
#[derive(Debug)]
pub(crate) struct Flow {
    /// Number of the transfer in the scenario.
    pub(crate) tcp: usize,
    pub(crate) from: usize,
    path: usize,
    start: Instant,
    /// Payload that arrives from here on counts, until the end.
    counted: Instant,
    end: Instant,
    sender: Sender,
    receiver: Receiver,
    out: VecDeque<(Way, Packet)>,
    bytes: u64,
}

impl Flow {
    /// The transfers of a scenario that begins at `start`.
    pub(crate) fn all(scenario: &Scenario, rovers: usize, start: Instant) -> Vec<Self> {
        let new = |tcp: usize, of: &Tcp, from: usize| Self {
            tcp,
            from,
            path: scenario.path_index(&of.path).unwrap_or(0),
            start: start + of.start,
            counted: start + scenario.warm_up,
            end: start + scenario.duration,
            sender: Sender::new(),
            receiver: Receiver::default(),
            out: VecDeque::new(),
            bytes: 0,
        };
        let all = scenario.tcp.iter().enumerate();
        all.flat_map(|(tcp, of)| {
            let senders = (0..rovers).filter(|rover| of.from.is(*rover));
            senders.map(move |from| new(tcp, of, from))
        })
        .collect()
    }

    /// When there is something to do next.
    pub(crate) fn next_deadline(&self) -> Instant {
        let own = [self.sender.next_deadline(), self.receiver.next_deadline()];
        own.into_iter().flatten().min().unwrap_or(self.start)
    }

    /// Time passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.sender.handle_timeout(now);
        let ack = self.receiver.handle_timeout(now);
        self.answer(ack);
        self.send(now);
    }

    /// Something arrived.
    pub(crate) fn handle_packet(&mut self, packet: Packet, now: Instant) {
        match packet {
            Packet::Segment(segment) => {
                let before = self.receiver.bytes();
                let ack = self.receiver.handle_segment(segment, now);
                if now >= self.counted && now <= self.end {
                    self.bytes += self.receiver.bytes() - before;
                }
                self.answer(ack);
            }
            Packet::Ack(ack) => self.sender.handle_ack(&ack, now),
        }
        self.send(now);
    }

    /// What is to be sent, and where.
    pub(crate) fn poll_transmit(&mut self) -> Option<(Way, Packet)> {
        self.out.pop_front()
    }

    /// Payload per second, in order.
    pub(crate) fn goodput(&self) -> f64 {
        self.bytes as f64 / (self.end - self.counted).as_secs_f64()
    }

    fn send(&mut self, now: Instant) {
        if now < self.start {
            return;
        }
        while let Some(segment) = self.sender.poll_segment(now) {
            let way = (self.from, 1 - self.from, self.path);
            self.out.push_back((way, Packet::Segment(segment)));
        }
    }

    fn answer(&mut self, ack: Option<Ack>) {
        let way = (1 - self.from, self.from, self.path);
        self.out.extend(ack.map(|ack| (way, Packet::Ack(ack))));
    }
}
