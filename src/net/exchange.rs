//! Where the driver and the ROS threads meet: two sets of bounded queues, one each way, with the
//! commands and events beside them. Neither side ever waits for the other to take something.
//!
//! Messages of compressed topics pass through one more queue first, from which the
//! [`Compressor`](super::Compressor) takes them. The application gives and gets plain messages.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::clock;
use super::compression::{CompressionError, decompress};
use super::routes::{Held, InWork, Incoming, Latency, Outcome, Outgoing, Stage, Taken};
use super::signal_strength::{SignalStrengthError, SignalStrengths};
use crate::config::{Delivery, QueueLimits};
use crate::link::{Command, Event, IncomingMessage, OutgoingMessage, RouteId, Snapshot};

#[derive(Default)]
struct ToDriver {
    commands: VecDeque<Command>,
    routes: BTreeMap<RouteId, Outgoing>,
    /// Offers so far: they tell a route from a former one of the same number.
    offers: u64,
    signals: SignalStrengths,
}

#[derive(Default)]
struct ToApplication {
    events: VecDeque<Event>,
    queues: BTreeMap<(String, RouteId), Incoming>,
    is_interrupted: bool,
    closed: bool,
}

struct Shared {
    to_driver: Mutex<ToDriver>,
    driver_wake: Notify,
    compressor_wake: Condvar,
    to_application: Mutex<ToApplication>,
    application_wake: Condvar,
    calls_wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
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
        calls_wake: OnceLock::new(),
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
                if let Some(outgoing) = to_driver.routes.get_mut(id) {
                    outgoing.close();
                }
            }
            Command::ChangeAnswer { peer, id, answer: Err(_) } => {
                let mut inbox = lock(&self.shared.to_application);
                if let Some(incoming) = inbox.queues.get_mut(&(peer.clone(), *id)) {
                    incoming.close();
                }
            }
            Command::SetPublishers { .. }
            | Command::AnswerRoute { .. }
            | Command::ChangeAnswer { answer: Ok(_), .. }
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
        self.push(Taken { message, at, to: None });
    }

    /// As [`ApplicationEnd::send`], for one of the peers that have the route.
    pub fn send_to(&self, peer: &str, message: OutgoingMessage, at: Instant) {
        self.push(Taken { message, at, to: Some(peer.to_owned()) });
    }

    fn push(&self, taken: Taken) {
        let mut to_driver = lock(&self.shared.to_driver);
        let Some(outgoing) = to_driver.routes.get_mut(&taken.message.id) else { return };
        let stage = outgoing.push(taken);
        drop(to_driver);
        self.wake(stage);
    }

    fn wake(&self, stage: Stage) {
        match stage {
            Stage::Plain => self.shared.compressor_wake.notify_one(),
            Stage::Ready => self.shared.driver_wake.notify_one(),
            Stage::Dropped => {}
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
        to_driver.routes.get_mut(&id)?.take_plain()
    }

    /// Hands over a message of [`ApplicationEnd::take_plain`], compressed or not.
    pub(super) fn send_on(&self, work: InWork) {
        let mut to_driver = lock(&self.shared.to_driver);
        let Some(outgoing) = to_driver.routes.get_mut(&work.taken.message.id) else { return };
        let stage = outgoing.take_back(work);
        drop(to_driver);
        self.wake(stage);
    }

    /// Waits for an event or for messages of topics; events come first. `is_busy` names topics whose messages
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
            if std::mem::take(&mut inbox.is_interrupted) {
                return Received::Nothing;
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

    /// Ends the wait that [`ApplicationEnd::receive`] is in, or the next one.
    pub fn interrupt(&self) {
        lock(&self.shared.to_application).is_interrupted = true;
        self.shared.application_wake.notify_all();
    }

    /// Takes the oldest message of each route whose topic `is_busy` does not name; each is to be
    /// settled.
    pub fn take(&self, is_busy: impl Fn(&str) -> bool) -> Vec<IncomingMessage> {
        let mut inbox = lock(&self.shared.to_application);
        inbox
            .queues
            .values_mut()
            .filter(|incoming| incoming.is_ready(&is_busy))
            .filter_map(Incoming::take)
            .collect()
    }

    /// Takes the oldest request or response of each route that `is_busy` does not tell to wait; each is
    /// to be settled.
    pub fn take_calls(&self, is_busy: impl Fn(&IncomingMessage) -> bool) -> Vec<IncomingMessage> {
        let mut inbox = lock(&self.shared.to_application);
        inbox
            .queues
            .values_mut()
            .filter(|incoming| incoming.has_call(&is_busy))
            .filter_map(Incoming::take)
            .collect()
    }

    /// What is to be done when a request or a response has come, on the driver's task: no more than
    /// to wake somebody. The first one given counts.
    pub fn wake_for_calls(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.calls_wake.set(Box::new(wake));
    }

    /// Counts a message that was taken.
    pub fn settle(&self, message: &IncomingMessage, outcome: Outcome, now: Instant) {
        let mut inbox = lock(&self.shared.to_application);
        if let Some(incoming) = inbox.queues.get_mut(&(message.peer.clone(), message.id)) {
            incoming.settle(message, outcome, now);
        }
    }

    /// How long the messages of each route of a peer's took that were published since this was last
    /// asked.
    pub fn take_latencies(&self) -> BTreeMap<(String, RouteId), Latency> {
        let mut inbox = lock(&self.shared.to_application);
        let queues = inbox.queues.iter_mut();
        queues.map(|(key, incoming)| (key.clone(), incoming.take_latency())).collect()
    }

    /// The CDR of a message that was taken. `None` where it was compressed and is damaged or larger
    /// than its route allows, which settles it. One at a time is to be made whole: a small frame can
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
        let Some(incoming) = inbox.queues.get_mut(&(peer.clone(), *id)) else { return };
        let dropped = incoming.settle(message, Outcome::Refused, clock::now()).dropped_oversize;
        drop(inbox);
        // The first one, and then ever more seldom.
        if dropped.is_power_of_two() {
            log::warn!("message dropped: peer={peer} topic={topic} dropped={dropped}: {error}");
        }
    }

    /// Tells the driver how strong the signal of a radio is, dBm, which it shows for the next 10 s.
    ///
    /// # Errors
    /// [`SignalStrengthError`] for what cannot be, which changes nothing.
    pub fn tell_signal_strength(
        &self,
        interface: &str,
        strength: f64,
        now: Instant,
    ) -> Result<(), SignalStrengthError> {
        lock(&self.shared.to_driver).signals.tell(interface, strength, now)
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
            .flat_map(|outgoing| std::iter::from_fn(|| outgoing.pass_on()))
            .collect();
        (commands, taken)
    }

    /// Signal strengths that the application has told lately, by interface, dBm.
    pub fn signal_strengths(&self, now: Instant) -> BTreeMap<String, i16> {
        lock(&self.shared.to_driver).signals.fresh(now)
    }

    /// Messages of a route of ours on their way to the driver.
    pub fn outgoing(&self, id: RouteId) -> Held {
        lock(&self.shared.to_driver).routes.get(&id).map(Outgoing::held).unwrap_or_default()
    }

    /// Messages of a peer's route on their way to the application.
    pub fn incoming(&self, peer: &str, id: RouteId) -> Held {
        let inbox = lock(&self.shared.to_application);
        inbox.queues.get(&(peer.to_owned(), id)).map(Incoming::held).unwrap_or_default()
    }

    /// Tells the application something.
    pub fn event(&self, event: Event) {
        let mut inbox = lock(&self.shared.to_application);
        if let Event::PublishersTold { peer, id, .. } = &event {
            // Only the newest counts, and a peer that tells it faster than it is heard fills no queue.
            let (of, number) = (peer, id);
            inbox.events.retain(|waiting| {
                !matches!(waiting, Event::PublishersTold { peer, id, .. } if peer == of && id == number)
            });
        }
        inbox.events.push_back(event);
        drop(inbox);
        self.shared.application_wake.notify_all();
    }

    /// Makes the queue of a peer's route, which the application has accepted. What waits in a
    /// former queue of the same route is kept, and what was counted in the same run of the peer.
    pub fn open_incoming(
        &self,
        peer: &str,
        id: RouteId,
        delivery: Delivery,
        limits: QueueLimits,
        run: u64,
    ) {
        let mut inbox = lock(&self.shared.to_application);
        let key = (peer.to_owned(), id);
        let mut incoming = Incoming::new(delivery, limits, run);
        if let Some(former) = inbox.queues.remove(&key) {
            incoming.take_over(former);
        }
        inbox.queues.insert(key, incoming);
    }

    /// Closes the queue of a peer's route; what waits in it can still be taken.
    pub fn close_incoming(&self, peer: &str, id: RouteId) {
        let mut inbox = lock(&self.shared.to_application);
        if let Some(incoming) = inbox.queues.get_mut(&(peer.to_owned(), id)) {
            incoming.close();
        }
    }

    /// Hands over a complete message. Never blocks; where the route's queue is full, the oldest
    /// message goes and is counted.
    pub fn deliver(&self, message: IncomingMessage) {
        let mut inbox = lock(&self.shared.to_application);
        let key = (message.peer.clone(), message.id);
        if let Some(incoming) = inbox.queues.get_mut(&key) {
            let is_call = !message.kind.is_topic();
            incoming.push(message);
            drop(inbox);
            if !is_call {
                self.shared.application_wake.notify_all();
            } else if let Some(wake) = self.shared.calls_wake.get() {
                wake();
            }
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
    use crate::link::{PublisherId, Refusal, RefusalReason, RouteKind};

    const WAIT: Duration = Duration::from_secs(20);

    fn message(text: &'static str) -> IncomingMessage {
        IncomingMessage {
            peer: "b".to_owned(),
            id: RouteId(1),
            topic: Arc::from("/t"),
            data: Bytes::from_static(text.as_bytes()),
            is_compressed: false,
            max_size: 100,
            kind: RouteKind::Topic,
            origin: None,
            taken: None,
        }
    }

    fn texts(messages: Vec<IncomingMessage>) -> Vec<Bytes> {
        messages.into_iter().map(|message| message.data).collect()
    }

    #[test]
    fn events_come_before_messages_and_a_busy_route_waits() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default(), 1);
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
    fn calls_are_taken_by_who_is_woken_for_them_and_messages_of_topics_by_the_other() {
        let (application, driver) = exchange();
        let (woken, wakes) = std::sync::mpsc::channel();
        application.wake_for_calls(move || woken.send(()).expect("the test waits"));
        for id in [1, 2] {
            let id = RouteId(id);
            driver.open_incoming("b", id, Delivery::Reliable, QueueLimits::default(), 1);
        }
        let call = IncomingMessage { id: RouteId(2), kind: RouteKind::Call, ..message("request") };
        driver.deliver(call.clone());
        wakes.try_recv().expect("woken");
        assert_eq!(application.receive(Duration::ZERO, |_| false), Received::Nothing);
        driver.deliver(message("one"));
        assert!(wakes.try_recv().is_err());
        assert_eq!(texts(application.take(|_| false)), ["one"]);
        assert!(application.take_calls(|_| true).is_empty());
        assert_eq!(application.take_calls(|_| false), [call]);
    }

    #[test]
    fn of_what_a_peer_tells_of_its_publishers_the_newest_counts() {
        let (application, driver) = exchange();
        let told = |id: u16, publishers: &[u128]| {
            let publishers = publishers.iter().copied().map(PublisherId).collect();
            Event::PublishersTold { peer: "b".to_owned(), id: RouteId(id), publishers }
        };
        for event in [told(1, &[1]), told(2, &[1]), told(1, &[1, 2])] {
            driver.event(event);
        }
        let next = || application.receive(Duration::ZERO, |_| false);
        assert_eq!(next(), Received::Event(told(2, &[1])));
        assert_eq!(next(), Received::Event(told(1, &[1, 2])));
        assert_eq!(next(), Received::Nothing);
    }

    #[test]
    fn a_signal_strength_is_told_to_the_driver() {
        let ((application, driver), now) = (exchange(), Instant::now());
        application.tell_signal_strength("wwan0", -85.0, now).unwrap();
        assert!(application.tell_signal_strength("wwan0", f64::NAN, now).is_err());
        assert_eq!(driver.signal_strengths(now), BTreeMap::from([("wwan0".to_owned(), -85)]));
    }

    #[test]
    fn what_has_arrived_can_be_taken_after_its_route_is_closed() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default(), 1);
        driver.deliver(message("one"));
        driver.close_incoming("b", RouteId(1));
        assert_eq!(texts(application.take(|_| false)), ["one"]);
        driver.deliver(message("too late"));
        assert!(application.take(|_| false).is_empty());
    }

    #[test]
    fn what_cannot_be_made_whole_within_the_limit_of_its_route_is_counted() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default(), 1);
        let whole = vec![7; 100];
        let frame = |data: &[u8]| Bytes::from(zstd::bulk::compress(data, 1).unwrap());
        for data in [frame(&whole), frame(&[7; 101]), Bytes::from_static(b"no frame")] {
            driver.deliver(IncomingMessage { data, is_compressed: true, ..message("") });
        }
        let taken = std::iter::from_fn(|| application.take(|_| false).pop());
        let unpacked: Vec<_> = taken.map(|message| application.unpack(&message)).collect();
        assert_eq!(unpacked, [Some(whole.into()), None, None]);
        assert_eq!(driver.incoming("b", RouteId(1)).counts.dropped_oversize, 2);
        assert_eq!(application.unpack(&message("plain")), Some("plain".into()));
    }

    #[test]
    fn each_message_that_came_waits_or_is_counted_once() {
        let (application, driver) = exchange();
        let counted = |taken: u64| {
            let Held { counts, waiting, .. } = driver.incoming("b", RouteId(1));
            assert_eq!(taken, counts.messages + waiting + counts.dropped());
            (counts.messages, waiting, counts.dropped_queue, counts.dropped_closed)
        };
        let limits = QueueLimits { messages: 2, ..QueueLimits::default() };
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, limits, 1);
        for text in ["one", "two", "three"] {
            driver.deliver(message(text));
        }
        assert_eq!(counted(3), (0, 2, 1, 0));
        let two = application.take(|_| false).remove(0);
        assert_eq!(counted(3), (0, 2, 1, 0), "in hand");
        application.settle(&two, Outcome::Published, Instant::now());
        assert_eq!(counted(3), (1, 1, 1, 0));
        driver.close_incoming("b", RouteId(1));
        driver.deliver(message("too late"));
        let three = application.take(|_| false).remove(0);
        application.settle(&three, Outcome::Closed, Instant::now());
        assert_eq!(counted(4), (1, 0, 1, 2));
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, limits, 1);
        assert_eq!(counted(4), (1, 0, 1, 2), "the same run of the peer");
        driver.deliver(message("five"));
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, limits, 2);
        assert_eq!(driver.incoming("b", RouteId(1)).counts.taken, 1);
        assert_eq!(counted(1), (0, 1, 0, 0), "of the run before");
    }

    #[test]
    fn a_route_that_opens_again_keeps_what_waits() {
        let (application, driver) = exchange();
        for text in ["one", "two"] {
            driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default(), 1);
            driver.deliver(message(text));
        }
        assert_eq!(texts(application.take(|_| false)), ["one"]);
        assert_eq!(texts(application.take(|_| false)), ["two"]);
    }

    #[test]
    fn an_interrupt_ends_one_wait() {
        let (application, driver) = exchange();
        application.interrupt();
        assert_eq!(application.receive(WAIT, |_| false), Received::Nothing);
        let connected = Event::PeerConnected { peer: "b".to_owned() };
        driver.event(connected.clone());
        assert_eq!(application.receive(WAIT, |_| false), Received::Event(connected));
    }

    #[test]
    fn a_route_that_is_refused_after_all_takes_nothing_more() {
        let (application, driver) = exchange();
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default(), 1);
        let refusal = Refusal { reason: RefusalReason::NotAccepted, text: "no".to_owned() };
        let (peer, id, answer) = ("b".to_owned(), RouteId(1), Err(refusal));
        application.command(Command::ChangeAnswer { peer, id, answer });
        driver.deliver(message("too late"));
        assert!(application.take(|_| false).is_empty());
        assert_eq!(driver.incoming("b", RouteId(1)).counts.dropped_closed, 1);
        driver.open_incoming("b", RouteId(1), Delivery::Reliable, QueueLimits::default(), 1);
        driver.deliver(message("welcome"));
        assert_eq!(texts(application.take(|_| false)), ["welcome"]);
    }

    #[test]
    fn the_application_learns_that_the_driver_has_ended() {
        let (application, driver) = exchange();
        let waiting = std::thread::spawn(move || application.receive(WAIT, |_| false));
        drop(driver);
        assert_eq!(waiting.join().ok(), Some(Received::Closed));
    }
}
