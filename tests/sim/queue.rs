//! What waits for a radio: one queue for all, or one for each flow, served in turns.

use std::collections::{BTreeMap, VecDeque};

/// Bytes that a flow may send per turn: a full datagram.
const QUANTUM: i64 = 1500;

/// Who waits for whom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Discipline {
    /// All wait in one queue, and what finds no room is dropped.
    #[default]
    Fifo,
    /// Each flow has its own queue and its turn, as in FQ-CoDel (RFC 8290) but without the drops of
    /// CoDel. Where there is no room, the longest queue loses its head.
    Fair,
}

/// Datagrams that wait.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    flows: BTreeMap<u64, Flow<T>>,
    /// Flows that have just begun to wait; they come first (RFC 8290 §4.1).
    fresh: VecDeque<u64>,
    /// Flows that had their first turn.
    others: VecDeque<u64>,
    bytes: u64,
}

#[derive(Debug)]
struct Flow<T> {
    datagrams: VecDeque<(T, u64)>,
    bytes: u64,
    /// Bytes that it may still send in this turn.
    deficit: i64,
}

impl<T> Queue<T> {
    /// Nothing waits.
    pub(crate) fn new() -> Self {
        let (fresh, others) = (VecDeque::new(), VecDeque::new());
        Self { flows: BTreeMap::new(), fresh, others, bytes: 0 }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes a datagram of a flow, where so many bytes may wait; returns the bytes that are dropped.
    pub(crate) fn push(
        &mut self,
        discipline: Discipline,
        flow: u64,
        datagram: (T, u64),
        room: u64,
    ) -> u64 {
        let bytes = datagram.1;
        let key = match discipline {
            Discipline::Fifo if self.bytes + bytes > room => return bytes,
            Discipline::Fifo => 0,
            Discipline::Fair => flow,
        };
        let flow = self.flows.entry(key).or_insert_with(|| {
            self.fresh.push_back(key);
            Flow { datagrams: VecDeque::new(), bytes: 0, deficit: QUANTUM }
        });
        flow.datagrams.push_back(datagram);
        flow.bytes += bytes;
        self.bytes += bytes;
        let mut dropped = 0;
        while self.bytes > room
            && let Some(longest) = self.flows.values_mut().max_by_key(|flow| flow.bytes)
            && let Some((_, bytes)) = longest.pop()
        {
            self.bytes -= bytes;
            dropped += bytes;
        }
        dropped
    }

    /// Takes the datagram whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<(T, u64)> {
        loop {
            let is_fresh = !self.fresh.is_empty();
            let turns = if is_fresh { &mut self.fresh } else { &mut self.others };
            let key = *turns.front()?;
            let flow = self.flows.get_mut(&key)?;
            if flow.deficit > 0
                && let Some(datagram) = flow.pop()
            {
                flow.deficit -= datagram.1 as i64;
                self.bytes -= datagram.1;
                return Some(datagram);
            }
            turns.pop_front();
            if flow.deficit <= 0 {
                flow.deficit += QUANTUM;
                self.others.push_back(key);
            } else if is_fresh {
                // It must not come first again at once.
                self.others.push_back(key);
            } else {
                self.flows.remove(&key);
            }
        }
    }
}

impl<T> Flow<T> {
    fn pop(&mut self) -> Option<(T, u64)> {
        let datagram = self.datagrams.pop_front()?;
        self.bytes -= datagram.1;
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 200_000;

    fn take(queue: &mut Queue<u64>, count: usize) -> Vec<u64> {
        std::iter::from_fn(|| queue.pop()).take(count).map(|(flow, _)| flow).collect()
    }

    #[test]
    fn flows_get_the_same_bytes_whatever_they_send() {
        let mut queue = Queue::new();
        for _ in 0..60 {
            queue.push(Discipline::Fair, 1, (1, 1_500), ROOM);
        }
        for _ in 0..60 {
            queue.push(Discipline::Fair, 2, (2, 500), ROOM);
        }
        let taken = take(&mut queue, 80);
        let of_first = taken.iter().filter(|flow| **flow == 1).count();
        assert!((19..=21).contains(&of_first), "{of_first} of 1500 B, the others of 500 B");
        assert_eq!(take(&mut queue, 100).len(), 40);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_flow_that_sends_little_hardly_waits() {
        let mut queue = Queue::new();
        for _ in 0..50 {
            queue.push(Discipline::Fair, 1, (1, 1_500), ROOM);
        }
        take(&mut queue, 10);
        queue.push(Discipline::Fair, 2, (2, 100), ROOM);
        assert!(take(&mut queue, 2).contains(&2));
    }

    #[test]
    fn the_longest_queue_makes_room() {
        let mut queue = Queue::new();
        let mut dropped = 0;
        for number in 0..100 {
            dropped += queue.push(Discipline::Fair, 1, (number, 1_500), 15_000);
        }
        assert_eq!(dropped, 90 * 1_500);
        assert_eq!(queue.push(Discipline::Fair, 2, (1_000, 100), 15_000), 1_500);
        let taken = take(&mut queue, 100);
        assert!(taken.contains(&1_000) && !taken.contains(&90) && taken.contains(&99), "{taken:?}");
    }

    #[test]
    fn in_one_queue_all_keep_their_order_and_the_last_is_dropped() {
        let mut queue = Queue::new();
        for number in 0..4 {
            let dropped = queue.push(Discipline::Fifo, number, (number, 1_000), 3_500);
            assert_eq!(dropped, if number < 3 { 0 } else { 1_000 });
        }
        assert_eq!(take(&mut queue, 4), [0, 1, 2]);
    }
}
