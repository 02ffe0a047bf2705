//! A link without a network: each peer offers what it is offered back under another name and sends
//! all messages back with it, so that one bridge is both ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rover_link::config::Durability;
use rover_link::link::{
    Command, Event, IncomingMessage, Origin, OutgoingMessage, OutgoingRoute, PublisherId, Refusal,
    RouteId, RouteKind, RouteOffer,
};
use rover_link::net::{ApplicationEnd, DriverEnd, exchange};
use rover_link::ros::rcl::Publisher;
use tokio::sync::mpsc;

use crate::graph;

/// Longest that anything in these tests may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// All that the bridge told the link.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) routes: BTreeMap<RouteId, OutgoingRoute>,
    pub(crate) offers: u32,
    pub(crate) messages: Vec<OutgoingMessage>,
    pub(crate) publishers: BTreeMap<RouteId, BTreeSet<PublisherId>>,
    pub(crate) refusals: Vec<(String, RouteId, Refusal)>,
    pub(crate) accepted: Vec<(String, RouteId)>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

pub(crate) struct FakeLink {
    shared: Arc<Shared>,
    events: mpsc::UnboundedSender<Event>,
    thread: Option<JoinHandle<()>>,
}

/// What a peer makes of an offer of ours before it is offered back; `None` = it does not.
pub(crate) type Mirror = fn(peer: &str, offer: &RouteOffer) -> Option<RouteOffer>;

impl FakeLink {
    pub(crate) fn start(peers: &'static [&'static str], mirror: Mirror) -> (ApplicationEnd, Self) {
        let (application, driver) = exchange();
        let shared = Arc::new(Shared::default());
        let (events, inbox) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let run = Run { driver, peers, mirror, shared: shared.clone() };
        let thread = thread::spawn(move || runtime.block_on(run.run(inbox)));
        (application, Self { shared, events, thread: Some(thread) })
    }

    /// Tells the bridge something as if the network had.
    pub(crate) fn event(&self, event: Event) {
        self.events.send(event).expect("the link runs");
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what the bridge told fulfils `condition`.
    pub(crate) fn wait_for(&self, what: &str, mut condition: impl FnMut(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen();
        while !condition(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited in vain: {what}");
            seen = self.shared.changed.wait_timeout(seen, left).expect("no panic").0;
        }
    }
}

/// Publishes until messages arrive at the link, and forgets those.
pub(crate) fn meet(publisher: &Publisher, link: &FakeLink) {
    let deadline = Instant::now() + PATIENCE;
    while link.seen().messages.is_empty() {
        assert!(Instant::now() < deadline, "the bridge never takes a message");
        graph::publish(publisher, "anybody there?");
        let seen = link.seen();
        drop(link.shared.changed.wait_timeout(seen, Duration::from_millis(5)).expect("no panic"));
    }
    graph::publish(publisher, "go");
    let is_go = |message: &OutgoingMessage| graph::text(&message.data) == "go";
    link.wait_for("the last greeting", |seen| seen.messages.iter().any(is_go));
    link.seen().messages.clear();
}

impl Drop for FakeLink {
    fn drop(&mut self) {
        // The link ends when nobody can send it events.
        (self.events, _) = mpsc::unbounded_channel();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(thread::panicking() || result.is_ok(), "the link does not panic");
        }
    }
}

struct Run {
    driver: DriverEnd,
    peers: &'static [&'static str],
    mirror: Mirror,
    shared: Arc<Shared>,
}

impl Run {
    async fn run(self, mut events: mpsc::UnboundedReceiver<Event>) {
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.driver.event(event),
                    None => return,
                },
                () = self.driver.wait() => self.serve(),
            }
        }
    }

    fn serve(&self) {
        let (commands, taken) = self.driver.drain();
        let mut seen = self.shared.seen.lock().expect("no panic");
        for command in commands {
            self.obey(command, &mut seen);
        }
        for taken in taken {
            for (peer, id) in &seen.accepted {
                if *id == taken.message.id {
                    self.send_back(peer, &taken.message, &seen);
                }
            }
            seen.messages.push(taken.message);
        }
        self.shared.changed.notify_all();
    }

    fn send_back(&self, peer: &str, message: &OutgoingMessage, seen: &Seen) {
        let OutgoingMessage { id, publisher, number, data, compressed } = message.clone();
        let offer = seen.routes.get(&id).and_then(|route| (self.mirror)(peer, &route.offer));
        if let Some(offer) = offer {
            let (peer, topic) = (peer.to_owned(), offer.topic.into());
            let (is_compressed, max_size) = (compressed.is_some(), 1 << 20);
            let data = compressed.unwrap_or(data);
            let is_latched = offer.qos.durability == Durability::TransientLocal;
            let message = IncomingMessage {
                peer,
                id,
                topic,
                data,
                is_compressed,
                max_size,
                kind: RouteKind::Topic,
                origin: is_latched.then_some(Origin { publisher, number }),
                taken: None,
            };
            self.driver.deliver(message);
        }
    }

    fn obey(&self, command: Command, seen: &mut Seen) {
        match command {
            Command::OfferRoute { id, route } => {
                for peer in self.peers {
                    if let Some(offer) = (self.mirror)(peer, &route.offer) {
                        let peer = (*peer).to_owned();
                        self.driver.event(Event::RouteOffered { peer, id, offer: Box::new(offer) });
                    }
                }
                seen.routes.insert(id, route);
                seen.offers += 1;
            }
            Command::WithdrawRoute { id } => {
                seen.routes.remove(&id);
            }
            Command::SetPublishers { id, publishers } => {
                seen.publishers.insert(id, publishers);
            }
            Command::AnswerRoute { peer, id, answer: Ok(limits) } => {
                let delivery = seen.routes.get(&id).map(|route| route.offer.delivery);
                let delivery = delivery.unwrap_or(rover_link::config::Delivery::Reliable);
                self.driver.open_incoming(&peer, id, delivery, limits.queue, 1);
                for message in seen.messages.iter().filter(|message| message.id == id) {
                    self.send_back(&peer, message, seen);
                }
                seen.accepted.push((peer, id));
            }
            Command::AnswerRoute { peer, id, answer: Err(refusal) } => {
                seen.refusals.push((peer, id, refusal));
            }
            Command::ChangeAnswer { peer, id, answer } => {
                seen.accepted.retain(|(of, route)| (of, *route) != (&peer, id));
                seen.refusals.retain(|(of, route, _)| (of, *route) != (&peer, id));
                self.obey(Command::AnswerRoute { peer, id, answer }, seen);
            }
            Command::SelectPath { .. } | Command::RestartIce { .. } => {
                unreachable!("the bridge leaves paths to the services")
            }
        }
    }
}
