//! What a rover's ROS node does with messages that arrived: it publishes those of one topic in a
//! [`pace`](super::pace), and the others wait.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::pace::Pace;

/// Messages that wait to be published, by class.
#[derive(Debug, Default)]
pub(crate) struct Release {
    classes: BTreeMap<usize, (Pace, VecDeque<Bytes>)>,
}

impl Release {
    /// A message of a class arrived.
    pub(crate) fn handle_arrived(&mut self, class: usize, data: Bytes, now: Instant) {
        let (_, waiting) =
            self.classes.entry(class).or_insert_with(|| (Pace::new(now), VecDeque::new()));
        waiting.push_back(data);
    }

    /// A message that is published now, with its class.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<(usize, Bytes)> {
        self.classes.iter_mut().find_map(|(class, (pace, waiting))| {
            let data = if pace.ready_at() <= now { waiting.pop_front() } else { None }?;
            pace.spend(now);
            Some((*class, data))
        })
    }

    /// When a message can be published next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.classes.values().filter(|(_, waiting)| !waiting.is_empty());
        waiting.map(|(pace, _)| pace.ready_at()).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Half of the depth of a usual history may come at once, and the rest while the subscriber
    /// wakes up: within 2.5 ms.
    const DEPTH: usize = 10;
    const WAKE_UP: Duration = Duration::from_micros(2_500);

    #[test]
    fn what_arrives_in_one_burst_is_published_evenly_and_nothing_is_lost() {
        let (mut release, start) = (Release::default(), Instant::now());
        for number in 0..1_000u32 {
            release.handle_arrived(7, number.to_le_bytes().to_vec().into(), start);
        }
        release.handle_arrived(8, Bytes::from_static(b"of another topic"), start);
        let (mut published, mut now) = (Vec::new(), start);
        loop {
            while let Some((class, data)) = release.poll(now) {
                published.push((class, data, now));
            }
            let Some(next) = release.next_deadline() else { break };
            assert!(next > now, "time passes");
            now = next;
        }
        let other = published.iter().position(|(class, _, _)| *class == 8).unwrap();
        assert_eq!(published.remove(other).2, start, "another topic does not wait");
        let numbers: Vec<_> = published.iter().map(|(_, data, _)| data.to_vec()).collect();
        let expected: Vec<_> = (0..1_000u32).map(|number| number.to_le_bytes().to_vec()).collect();
        assert_eq!(numbers, expected);
        let times: Vec<_> = published.iter().map(|(_, _, at)| *at - start).collect();
        for from in &times {
            let window = *from..*from + WAKE_UP;
            let burst = times.iter().filter(|at| window.contains(*at)).count();
            assert!(burst <= DEPTH, "{burst} from {from:?} on");
        }
        assert_eq!(times.last(), Some(&Duration::from_micros(497_500)), "no slower than 2 kHz");
    }
}
