//! A bulk transfer over TCP, sans-IO: a sender that always has something to send, and its receiver.
//!
//! It is what Linux does by default, as far as it matters to whoever shares a queue with it: CUBIC
//! (RFC 9438) without HyStart, ten segments at first (RFC 6928), selective acknowledgements
//! (RFC 6675), delayed ones, and time-outs as in RFC 6298. Connecting, the receiver's window and
//! losses of the last segment are left out.

mod cubic;
mod receiver;
mod sender;

use std::ops::Range;
use std::time::Instant;

pub(crate) use receiver::Receiver;
pub(crate) use sender::Sender;

/// IP bytes of a segment, of the payload in it, and of an acknowledgement: with timestamps.
pub(crate) const SEGMENT: u64 = 1500;
pub(crate) const PAYLOAD: u64 = 1448;
pub(crate) const ACK: u64 = 52;

/// A full segment; they are numbered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    number: u64,
    sent: Instant,
}

/// What the receiver has.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    /// All before this one.
    next: u64,
    /// And these, around the segment that came last.
    block: Range<u64>,
    /// When the segment was sent that is answered.
    echo: Instant,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::link::{Conditions, Link};
    use super::*;

    /// A sender and a receiver at the ends of a link.
    struct Connection {
        sender: Sender,
        receiver: Receiver,
        forth: Link<Segment>,
        back: Link<Ack>,
        now: Instant,
    }

    impl Connection {
        /// 10 Mbit/s, 30 ms, and a queue of so many bytes.
        fn new(queue: u64) -> Self {
            let delay = Duration::from_millis(30);
            let conditions = Conditions { delay, rate: 1.25e6, queue, ..Conditions::default() };
            Self {
                sender: Sender::new(),
                receiver: Receiver::default(),
                forth: Link::new(conditions, 1),
                back: Link::new(conditions, 2),
                now: Instant::now(),
            }
        }

        /// Lets time pass; returns the part of the link's rate that arrived as payload.
        fn run(&mut self, seconds: f64) -> f64 {
            let (before, end) =
                (self.receiver.bytes(), self.now + Duration::from_secs_f64(seconds));
            loop {
                self.sender.handle_timeout(self.now);
                while let Some(ack) = self.back.poll_arrival(self.now) {
                    self.sender.handle_ack(&ack, self.now);
                }
                while let Some(segment) = self.sender.poll_segment(self.now) {
                    self.forth.handle_datagram(segment, 0, SEGMENT, self.now);
                }
                let mut acks: Vec<_> = self.receiver.handle_timeout(self.now).into_iter().collect();
                while let Some(segment) = self.forth.poll_arrival(self.now) {
                    acks.extend(self.receiver.handle_segment(segment, self.now));
                }
                for ack in acks {
                    self.back.handle_datagram(ack, 0, ACK, self.now);
                }
                let deadlines = [
                    self.sender.next_deadline(),
                    self.receiver.next_deadline(),
                    self.forth.next_deadline(),
                    self.back.next_deadline(),
                ];
                let Some(next) = deadlines.into_iter().flatten().min().filter(|at| *at <= end)
                else {
                    self.now = end;
                    return (self.receiver.bytes() - before) as f64 / (1.25e6 * seconds);
                };
                self.now = self.now.max(next);
            }
        }

        fn lose(&mut self, loss: f64, seconds: f64) {
            let conditions = self.forth.conditions();
            self.forth.handle_conditions(Conditions { loss, ..conditions }, self.now);
            self.run(seconds);
            self.forth.handle_conditions(conditions, self.now);
        }
    }

    #[test]
    fn alone_it_fills_the_link() {
        for queue in [64 * 1024, 256 * 1024] {
            let mut connection = Connection::new(queue);
            connection.run(10.0);
            let part = connection.run(50.0);
            assert!((0.9..0.97).contains(&part), "{part} with a queue of {queue} B");
        }
    }

    #[test]
    fn it_fills_the_queue_until_something_is_dropped() {
        let mut connection = Connection::new(256 * 1024);
        connection.run(10.0);
        let before = connection.forth.counters().dropped;
        connection.run(50.0);
        assert!(connection.forth.counters().dropped > before);
        let round_trip = connection.sender.round_trip();
        assert!((0.15..0.3).contains(&round_trip), "{round_trip} s");
    }

    #[test]
    fn a_loss_costs_three_tenths_of_the_window_and_is_repaired() {
        let mut connection = Connection::new(1 << 24);
        // One segment each time, for they leave 1.2 ms one after the other; the first ends slow start.
        connection.run(0.25);
        connection.lose(1.0, 0.001_2);
        connection.run(5.0);
        let window = connection.sender.window();
        connection.lose(1.0, 0.001_2);
        let windows = (0..60).map(|_| {
            connection.run(0.01);
            connection.sender.window()
        });
        let part = windows.fold(window, f64::min) / window;
        assert!((0.7..0.74).contains(&part), "{part}");
        assert!(connection.run(1.0) > 0.7);
    }

    #[test]
    fn after_an_outage_it_begins_slowly_and_recovers() {
        let mut connection = Connection::new(256 * 1024);
        connection.run(10.0);
        connection.lose(1.0, 3.0);
        assert_eq!(connection.sender.window(), 1.0);
        connection.run(10.0);
        assert!(connection.run(10.0) > 0.9);
    }
}
