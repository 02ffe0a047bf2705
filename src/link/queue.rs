//! One bounded queue of messages. Two policies: reliable topics lose the oldest only when the
//! bounds are reached, `latest` topics keep nothing but the newest. What goes is counted.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::config::{Delivery, QueueLimits};

/// What a queue can hold.
pub trait Payload {
    /// Bytes that count against [`QueueLimits::bytes`].
    fn size(&self) -> usize;
}

impl Payload for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// A bounded first-in, first-out queue.
#[derive(Debug)]
pub struct MessageQueue<T> {
    items: VecDeque<T>,
    bytes: usize,
    limits: QueueLimits,
    dropped: u64,
}

impl<T: Payload> MessageQueue<T> {
    /// An empty queue for messages that cross by `delivery`.
    pub fn new(delivery: Delivery, limits: QueueLimits) -> Self {
        let messages = match delivery {
            Delivery::Reliable => limits.messages.max(1),
            Delivery::Latest => 1,
        };
        let limits = QueueLimits { messages, ..limits };
        Self { items: VecDeque::new(), bytes: 0, limits, dropped: 0 }
    }

    /// Adds a message; the oldest ones go where the bounds ask for it. A single message is always
    /// held, whatever its size: that is bounded by the topic's `max_message_size`.
    pub fn push(&mut self, item: T) {
        let size = item.size();
        while !self.items.is_empty()
            && (self.items.len() >= self.limits.messages || self.bytes + size > self.limits.bytes)
        {
            self.pop();
            self.dropped += 1;
        }
        self.bytes += size;
        self.items.push_back(item);
    }

    /// Takes the oldest message.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.bytes -= item.size();
        Some(item)
    }

    /// Takes over what waits in a former queue, and what that one has counted.
    pub fn take_over(&mut self, former: &mut Self) {
        while let Some(item) = former.pop() {
            self.push(item);
        }
        self.dropped += former.dropped;
    }

    /// Counts anew.
    pub fn forget_dropped(&mut self) {
        self.dropped = 0;
    }

    /// The oldest message.
    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    /// Is nothing waiting?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Messages that had to go, since the queue was made.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut MessageQueue<Bytes>) -> Vec<Bytes> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn a_reliable_queue_keeps_order_and_drops_the_oldest_beyond_its_messages() {
        let mut queue =
            MessageQueue::new(Delivery::Reliable, QueueLimits { messages: 2, bytes: 100 });
        for text in ["a", "b", "c"] {
            queue.push(Bytes::from(text));
        }
        assert_eq!(queue.dropped(), 1);
        assert_eq!(drain(&mut queue), ["b", "c"]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_reliable_queue_drops_the_oldest_beyond_its_bytes_but_holds_one_of_any_size() {
        let mut queue =
            MessageQueue::new(Delivery::Reliable, QueueLimits { messages: 9, bytes: 4 });
        queue.push(Bytes::from("aa"));
        queue.push(Bytes::from("bb"));
        queue.push(Bytes::from("c"));
        assert_eq!(drain(&mut queue), ["bb", "c"]);
        queue.push(Bytes::from("longer than four"));
        assert_eq!(drain(&mut queue), ["longer than four"]);
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn a_latest_queue_keeps_only_the_newest() {
        let mut queue = MessageQueue::new(Delivery::Latest, QueueLimits::default());
        queue.push(Bytes::from("old"));
        queue.push(Bytes::from("new"));
        assert_eq!(queue.dropped(), 1);
        assert_eq!(drain(&mut queue), ["new"]);
    }
}
