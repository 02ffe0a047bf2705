//! Where the driver and the ROS threads meet: two sets of bounded queues, one each way, with the
//! commands and events beside them. Neither side ever waits for the other to take something.
//!
//! Messages of compressed topics pass through one more queue first, from which the
//! [`Compressor`](super::Compressor) takes them. The application gives and gets plain messages.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::compression::{CompressionError, decompress};
use crate::config::{Compression, Delivery, QueueLimits};
use crate::link::{
    Command, Event, IncomingMessage, MessageQueue, OutgoingMessage, OutgoingRoute, Payload,
    RouteId, Snapshot,
};

/// Messages of a `latest` topic that are kept from a peer: those that one was waited for come
/// together, and are new all the same.
const CLUMP: usize = 10;

/// A message on its way from ROS to the driver, with the moment it was taken.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The message.
    pub message: OutgoingMessage,
    /// When it was taken; its age counts from here.
    pub at: Instant,
}

impl Payload for Taken {
    fn size(&self) -> usize {
        self.message.data.len() + self.message.compressed.as_ref().map_or(0, Bytes::len)
    }
}

impl Payload for IncomingMessage {
    fn size(&self) -> usize {
        self.data.len()
    }
}

#[derive(Default)]
struct ToDriver {
    commands: VecDeque<Command>,
    routes: BTreeMap<RouteId, Outgoing>,
    /// Offers so far: they tell a route from a former one of the same number.
    offers: u64,
}

/// What waits of a route of ours.
///
/// Both queues have the bounds of the route, and the oldest goes where one is full: messages that
/// were left with ROS instead would get lost there without being counted, or hold up the publisher.
struct Outgoing {
    /// The offer that the route began with.
    offer: u64,
    /// Messages to be compressed; `None` where they go as they are.
    plain: Option<MessageQueue<Taken>>,
    /// Messages for the driver.
    ready: MessageQueue<Taken>,
}

impl Outgoing {
    fn new(offer: u64, route: &OutgoingRoute) -> Self {
        let queue = || MessageQueue::new(route.offer.delivery, route.queue);
        let plain = match route.compression {
            Compression::None => None,
            Compression::Zstd => Some(queue()),
        };
        Self { offer, plain, ready: queue() }
    }

    /// Goes on with what waits of a former offer.
    fn take_over(&mut self, mut former: Self) {
        self.offer = former.offer;
        self.ready.take_over(&mut former.ready);
        if let Some(plain) = &mut former.plain {
            self.plain.as_mut().unwrap_or(&mut self.ready).take_over(plain);
        }
    }

    fn has_plain(&self) -> bool {
        self.plain.as_ref().is_some_and(|plain| !plain.is_empty())
    }

    fn dropped(&self) -> u64 {
        self.ready.dropped() + self.plain.as_ref().map_or(0, MessageQueue::dropped)
    }
}

/// A message that is being compressed.
pub(super) struct InWork {
    pub(super) taken: Taken,
    offer: u64,
}

#[derive(Default)]
struct ToApplication {
    events: VecDeque<Event>,
    queues: BTreeMap<(String, RouteId), Incoming>,
    closed: bool,
}

struct Incoming {
    queue: MessageQueue<IncomingMessage>,
    /// Messages that could not be decompressed within the limit of the route.
    refused: u64,
    /// A closed queue goes once it is empty: what has arrived is still to be taken.
    is_open: bool,
}

impl Incoming {
    fn is_ready(&self, is_busy: impl Fn(&str) -> bool) -> bool {
        self.queue.front().is_some_and(|message| !is_busy(&message.topic))
    }
}

struct Shared {
    to_driver: Mutex<ToDriver>,
    driver_wake: Notify,
    compressor_wake: Condvar,
    to_application: Mutex<ToApplication>,
    application_wake: Condvar,
}

/// The application's end. Clones share it; every method may be called from any thread.
#[derive(Clone)]
pub struct ApplicationEnd {
    shared: Arc<Shared>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

/// The driver's end.
pub struct DriverEnd {
    shared: Arc<Shared>,
    snapshot: watch::Sender<Arc<Snapshot>>,
}

/// What the application gets from [`ApplicationEnd::receive`].
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// Something happened.
    Event(Event),
    /// Messages wait; see [`ApplicationEnd::take`].
    Messages,
    /// Nothing within the time given.
    Nothing,
    /// The driver has ended.
    Closed,
}

/// A pair of ends.
pub fn exchange() -> (ApplicationEnd, DriverEnd) {
    let shared = Arc::new(Shared {
        to_driver: Mutex::default(),
        driver_wake: Notify::new(),
        compressor_wake: Condvar::new(),
        to_application: Mutex::default(),
        application_wake: Condvar::new(),
    });
    let (sender, receiver) = watch::channel(Arc::default());
    (
        ApplicationEnd { shared: shared.clone(), snapshot: receiver },
        DriverEnd { shared, snapshot: sender },
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked left a queue, at worst one message short: it is used on.
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl ApplicationEnd {
    /// Tells the driver something. Offering a route makes its queue, with what waits in a former
    /// one; withdrawing drops it.
    pub fn command(&self, command: Command) {
        let mut to_driver = lock(&self.shared.to_driver);
        match &command {
            Command::OfferRoute { id, route } => {
                to_driver.offers += 1;
                let mut outgoing = Outgoing::new(to_driver.offers, route);
                if let Some(former) = to_driver.routes.remove(id) {
                    outgoing.take_over(former);
                }
                to_driver.routes.insert(*id, outgoing);
            }
            Command::WithdrawRoute { id } => {
                to_driver.routes.remove(id);
            }
            Command::ForgetPublisher { .. }
            | Command::AnswerRoute { .. }
            | Command::SelectPath { .. }
            | Command::RestartIce { .. } => {}
        }
        to_driver.commands.push_back(command);
        drop(to_driver);
        self.shared.driver_wake.notify_one();
    }

    /// Hands over a message of a route that was offered. Never blocks; where the route's queue is
    /// full, the oldest message goes and is counted.
    pub fn send(&self, message: OutgoingMessage, at: Instant) {
        let mut to_driver = lock(&self.shared.to_driver);
        let Some(outgoing) = to_driver.routes.get_mut(&message.id) else { return };
        let taken = Taken { message, at };
        if let Some(plain) = &mut outgoing.plain {
            plain.push(taken);
            drop(to_driver);
            self.shared.compressor_wake.notify_one();
        } else {
            outgoing.ready.push(taken);
            drop(to_driver);
            self.shared.driver_wake.notify_one();
        }
    }

    /// Waits for a message that is to be compressed. Routes take turns: the one that comes next in
    /// number after `last` is first.
    pub(super) fn take_plain(&self, last: RouteId, timeout: Duration) -> Option<InWork> {
        let mut to_driver = lock(&self.shared.to_driver);
        if !to_driver.routes.values().any(Outgoing::has_plain) {
            to_driver = match self.shared.compressor_wake.wait_timeout(to_driver, timeout) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        let has_plain = |(id, outgoing): (&RouteId, &Outgoing)| outgoing.has_plain().then_some(*id);
        let after = (Bound::Excluded(last), Bound::Unbounded);
        let next = to_driver.routes.range(after).find_map(has_plain);
        let id = next.or_else(|| to_driver.routes.iter().find_map(has_plain))?;
        let outgoing = to_driver.routes.get_mut(&id)?;
        let taken = outgoing.plain.as_mut()?.pop()?;
        Some(InWork { taken, offer: outgoing.offer })
    }

    /// Hands over a message of [`ApplicationEnd::take_plain`], compressed or not, unless its route
    /// was withdrawn meanwhile; the same number may stand for another type by now.
    pub(super) fn send_on(&self, InWork { taken, offer }: InWork) {
        let mut to_driver = lock(&self.shared.to_driver);
        let outgoing = to_driver.routes.get_mut(&taken.message.id);
        if let Some(outgoing) = outgoing.filter(|outgoing| outgoing.offer == offer) {
            outgoing.ready.push(taken);
            drop(to_driver);
            self.shared.driver_wake.notify_one();
        }
    }

    /// Waits for an event or for messages; events come first. `is_busy` names topics whose messages
    /// the application cannot take now: they do not end the wait.
    pub fn receive(&self, timeout: Duration, is_busy: impl Fn(&str) -> bool) -> Received {
        let deadline = Instant::now() + timeout;
        let mut inbox = lock(&self.shared.to_application);
        loop {
            if let Some(event) = inbox.events.pop_front() {
                return Received::Event(event);
            }
            if inbox.queues.values().any(|incoming| incoming.is_ready(&is_busy)) {
                return Received::Messages;
            }
            if inbox.closed {
                return Received::Closed;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            inbox = match self.shared.application_wake.wait_timeout(inbox, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Takes the oldest message of each route whose topic `is_busy` does not name.
    pub fn take(&self, is_busy: impl Fn(&str) -> bool) -> Vec<IncomingMessage> {
        let mut inbox = lock(&self.shared.to_application);
        let taken = inbox
            .queues
            .values_mut()
            .filter(|incoming| incoming.is_ready(&is_busy))
            .filter_map(|incoming| incoming.queue.pop())
            .collect();
        inbox.queues.retain(|_, incoming| incoming.is_open || !incoming.queue.is_empty());
        taken
    }

    /// The CDR of a message that was taken. `None` where it was compressed and is damaged or larger
    /// than its route allows, which is counted. One at a time is to be made whole: a small frame can
    /// become a message of that limit.
    pub fn unpack(&self, message: &IncomingMessage) -> Option<Bytes> {
        if !message.is_compressed {
            return Some(message.data.clone());
        }
        match decompress(&message.data, message.max_size) {
            Ok(data) => Some(data.into()),
            Err(error) => {
                self.refuse(message, error);
                None
            }
        }
    }

    fn refuse(&self, message: &IncomingMessage, error: CompressionError) {
        let IncomingMessage { peer, id, topic, .. } = message;
        let mut inbox = lock(&self.shared.to_application);
        // What came of a route that has closed since counts nowhere.
        let Some(incoming) = inbox.queues.get_mut(&(peer.clone(), *id)) else { return };
        incoming.refused += 1;
        let dropped = incoming.refused;
        drop(inbox);
        // The first one, and then ever more seldom.
        if dropped.is_power_of_two() {
            log::warn!("message dropped: peer={peer} topic={topic} dropped={dropped}: {error}");
        }
    }

    /// The newest state of the link.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }
}

impl DriverEnd {
    /// Returns when the application has said or sent something since the last call.
    pub async fn wait(&self) {
        self.shared.driver_wake.notified().await;
    }

    /// Takes everything that the application said and sent: commands first, then the messages of
    /// each route in order.
    pub fn drain(&self) -> (Vec<Command>, Vec<Taken>) {
        let mut to_driver = lock(&self.shared.to_driver);
        let commands = to_driver.commands.drain(..).collect();
        let taken = to_driver
            .routes
            .values_mut()
            .flat_map(|outgoing| std::iter::from_fn(|| outgoing.ready.pop()))
            .collect();
        (commands, taken)
    }

    /// Messages of a route that had to go before the driver took them.
    pub fn dropped_outgoing(&self, id: RouteId) -> u64 {
        lock(&self.shared.to_driver).routes.get(&id).map_or(0, Outgoing::dropped)
    }

    /// Messages of a peer's route that had to go before the application took them.
    pub fn dropped_incoming(&self, peer: &str, id: RouteId) -> u64 {
        let inbox = lock(&self.shared.to_application);
        inbox.queues.get(&(peer.to_owned(), id)).map_or(0, |incoming| incoming.queue.dropped())
    }

    /// Messages of a peer's route that the application could not make whole.
    pub fn refused_incoming(&self, peer: &str, id: RouteId) -> u64 {
        let inbox = lock(&self.shared.to_application);
        inbox.queues.get(&(peer.to_owned(), id)).map_or(0, |incoming| incoming.refused)
    }

    /// Tells the application something.
    pub fn event(&self, event: Event) {
        lock(&self.shared.to_application).events.push_back(event);
        self.shared.application_wake.notify_all();
    }

    /// Makes the queue of a peer's route, which the application has accepted. What waits in a
    /// former queue of the same route is kept.
    pub fn open_incoming(&self, peer: &str, id: RouteId, delivery: Delivery, limits: QueueLimits) {
        let mut inbox = lock(&self.shared.to_application);
        let limits = match delivery {
            Delivery::Reliable => limits,
            Delivery::Latest => QueueLimits { messages: limits.messages.min(CLUMP), ..limits },
        };
        let mut queue = MessageQueue::new(Delivery::Reliable, limits);
        let key = (peer.to_owned(), id);
        let mut refused = 0;
        if let Some(mut former) = inbox.queues.remove(&key) {
            queue.take_over(&mut former.queue);
            refused = former.refused;
        }
        inbox.queues.insert(key, Incoming { queue, refused, is_open: true });
    }

    /// Closes the queue of a peer's route; what waits in it can still be taken.
    pub fn close_incoming(&self, peer: &str, id: RouteId) {
        let mut inbox = lock(&self.shared.to_application);
        if let Some(incoming) = inbox.queues.get_mut(&(peer.to_owned(), id)) {
            incoming.is_open = false;
        }
        inbox.queues.retain(|_, incoming| incoming.is_open || !incoming.queue.is_empty());
    }

    /// Hands over a complete message. Never blocks; where the route's queue is full, the oldest
    /// message goes and is counted.
    pub fn deliver(&self, message: IncomingMessage) {
        let mut inbox = lock(&self.shared.to_application);
        let key = (message.peer.clone(), message.id);
        if let Some(incoming) = inbox.queues.get_mut(&key) {
            incoming.queue.push(message);
            drop(inbox);
            self.shared.application_wake.notify_all();
        }
    }

    /// Shows the newest state of the link.
    pub fn show(&self, snapshot: Snapshot) {
        self.snapshot.send_replace(Arc::new(snapshot));
    }
}

impl Drop for DriverEnd {
    fn drop(&mut self) {
        lock(&self.shared.to_application).closed = true;
        self.shared.application_wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    fn message(text: &'static str) -> IncomingMessage {
        IncomingMessage {
            peer: "b".to_owned(),
            id: RouteId(1),
            topic: Arc::from("/t"),
            data: Bytes::from_static(text.as_bytes()),
            is_compressed: false,
            max_size: 100,
        }
    }

    fn texts(messages: Vec<IncomingMessage>) -> Vec<Bytes> {
        messages.into_iter().map(|message| message.data).collect()
    }

    #[test]
    fn events_come_before_messages_and_a_busy_route_waits() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default());
        driver.deliver(message("one"));
        driver.event(Event::PeerConnected { peer: "b".to_owned() });
        let connected = Event::PeerConnected { peer: "b".to_owned() };
        assert_eq!(application.receive(WAIT, |_| false), Received::Event(connected));
        assert_eq!(application.receive(Duration::ZERO, |_| true), Received::Nothing);
        assert!(application.take(|_| true).is_empty());
        assert_eq!(application.receive(WAIT, |_| false), Received::Messages);
        assert_eq!(texts(application.take(|_| false)), ["one"]);
    }

    #[test]
    fn what_has_arrived_can_be_taken_after_its_route_is_closed() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default());
        driver.deliver(message("one"));
        driver.close_incoming("b", RouteId(1));
        assert_eq!(texts(application.take(|_| false)), ["one"]);
        driver.deliver(message("too late"));
        assert!(application.take(|_| false).is_empty());
    }

    #[test]
    fn what_cannot_be_made_whole_within_the_limit_of_its_route_is_counted() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default());
        let whole = vec![7; 100];
        let frame = |data: &[u8]| Bytes::from(zstd::bulk::compress(data, 1).unwrap());
        for data in [frame(&whole), frame(&[7; 101]), Bytes::from_static(b"no frame")] {
            driver.deliver(IncomingMessage { data, is_compressed: true, ..message("") });
        }
        let taken = std::iter::from_fn(|| application.take(|_| false).pop());
        let unpacked: Vec<_> = taken.map(|message| application.unpack(&message)).collect();
        assert_eq!(unpacked, [Some(whole.into()), None, None]);
        assert_eq!(driver.refused_incoming("b", RouteId(1)), 2);
        assert_eq!(application.unpack(&message("plain")), Some("plain".into()));
    }

    #[test]
    fn a_route_that_opens_again_keeps_what_waits() {
        let (application, driver) = exchange();
        for text in ["one", "two"] {
            driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default());
            driver.deliver(message(text));
        }
        assert_eq!(texts(application.take(|_| false)), ["one"]);
        assert_eq!(texts(application.take(|_| false)), ["two"]);
    }

    #[test]
    fn the_application_learns_that_the_driver_has_ended() {
        let (application, driver) = exchange();
        let waiting = std::thread::spawn(move || application.receive(WAIT, |_| false));
        drop(driver);
        assert_eq!(waiting.join().ok(), Some(Received::Closed));
    }
}
