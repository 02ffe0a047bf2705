//! The thread that compresses: neither the driver nor the thread that takes messages from ROS may be
//! held up by a message of megabytes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::compression::{Habit, compressor};
use super::exchange::ApplicationEnd;
use crate::link::RouteId;

/// How late a stop is noticed.
const STOP_INTERVAL: Duration = Duration::from_millis(500);

/// Compresses the messages of all routes that ask for it, one after the other: so those of a route
/// keep their order, and at most one core is kept busy.
pub struct Compressor {
    application: ApplicationEnd,
    habits: BTreeMap<RouteId, Habit>,
}

impl Compressor {
    /// A compressor for what the application sends.
    pub fn new(application: ApplicationEnd) -> Self {
        Self { application, habits: BTreeMap::new() }
    }

    /// Runs until it is to stop.
    pub fn run(mut self, is_stopping: impl Fn() -> bool) {
        // Made when the first message needs it: most rovers compress nothing.
        let mut context = None;
        let mut last = RouteId(u16::MAX);
        while !is_stopping() {
            let Some(mut work) = self.application.take_plain(last, STOP_INTERVAL) else { continue };
            let message = &mut work.taken.message;
            last = message.id;
            let habit = self.habits.entry(last).or_default();
            let context = context.get_or_insert_with(|| {
                let made = compressor();
                if made.is_none() {
                    log::error!("messages cannot be compressed and go as they are");
                }
                made
            });
            let compressed = context.as_mut().and_then(|zstd| habit.compress(zstd, &message.data));
            message.compressed = compressed.map(Into::into);
            self.application.send_on(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::super::exchange::{DriverEnd, exchange};
    use super::*;
    use crate::config::{Compression, QueueLimits};
    use crate::link::{Command, OutgoingMessage, OutgoingRoute, PublisherId, route_of_a_test};

    fn offer(application: &ApplicationEnd, id: u16, compression: Compression, messages: usize) {
        let queue = QueueLimits { messages, ..QueueLimits::default() };
        let max_message_size = 1 << 20;
        let route = OutgoingRoute { compression, queue, max_message_size, ..route_of_a_test(0) };
        application.command(Command::OfferRoute { id: RouteId(id), route });
    }

    fn send(application: &ApplicationEnd, id: u16, data: Vec<u8>) {
        let (id, publisher, data) = (RouteId(id), PublisherId(1), data.into());
        let message = OutgoingMessage { id, publisher, number: 0, data, compressed: None };
        application.send(message, Instant::now());
    }

    /// Lets a compressor work on so many messages.
    fn compress(application: &ApplicationEnd, messages: u32) {
        let left = Cell::new(messages + 1);
        Compressor::new(application.clone()).run(|| {
            left.set(left.get() - 1);
            left.get() == 0
        });
    }

    /// Topic, first byte, and whether it is compressed, of what the driver gets.
    fn drain(driver: &DriverEnd) -> Vec<(u16, u8, bool)> {
        let messages = driver.drain().1.into_iter().map(|taken| taken.message);
        messages.map(|of| (of.id.0, of.data[0], of.compressed.is_some())).collect()
    }

    #[test]
    fn the_messages_of_a_topic_keep_their_order_whichever_of_them_are_compressed() {
        let (application, driver) = exchange();
        offer(&application, 1, Compression::Zstd, 100);
        let sizes = [1000, 1, 100_000, 1000, 2];
        for (number, size) in (0..).zip(sizes) {
            send(&application, 1, vec![number; size]);
        }
        assert_eq!(drain(&driver), []);
        compress(&application, 5);
        let expected = [(1, 0, true), (1, 1, false), (1, 2, true), (1, 3, true), (1, 4, false)];
        assert_eq!(drain(&driver), expected);
    }

    #[test]
    fn a_topic_without_compression_does_not_wait_for_the_others_and_those_take_turns() {
        let (application, driver) = exchange();
        for (id, compression) in
            [(1, Compression::Zstd), (2, Compression::None), (3, Compression::Zstd)]
        {
            offer(&application, id, compression, 100);
            for number in 0..2 {
                send(&application, id, vec![number; 1000]);
            }
        }
        assert_eq!(drain(&driver), [(2, 0, false), (2, 1, false)]);
        compress(&application, 2);
        assert_eq!(drain(&driver), [(1, 0, true), (3, 0, true)]);
        compress(&application, 2);
        assert_eq!(drain(&driver), [(1, 1, true), (3, 1, true)]);
    }

    #[test]
    fn beyond_the_bound_the_oldest_goes_and_is_counted() {
        let (application, driver) = exchange();
        offer(&application, 1, Compression::Zstd, 2);
        for number in 0..5 {
            send(&application, 1, vec![number; 1000]);
        }
        compress(&application, 2);
        assert_eq!(drain(&driver), [(1, 3, true), (1, 4, true)]);
        assert_eq!(driver.outgoing(RouteId(1)).counts.dropped_queue, 3);
    }

    #[test]
    fn what_waits_survives_a_new_offer_but_no_withdrawal() {
        let (application, driver) = exchange();
        let id = RouteId(1);
        offer(&application, 1, Compression::Zstd, 100);
        for number in 0..3 {
            send(&application, 1, vec![number; 1000]);
        }
        let take = || application.take_plain(id, Duration::ZERO).unwrap();
        let first = take();
        offer(&application, 1, Compression::Zstd, 100);
        application.send_on(first);
        assert_eq!(drain(&driver), [(1, 0, false)]);
        let second = take();
        application.command(Command::WithdrawRoute { id });
        offer(&application, 1, Compression::Zstd, 100);
        application.send_on(second);
        assert!(application.take_plain(id, Duration::ZERO).is_none());
        assert_eq!(drain(&driver), []);
    }
}
