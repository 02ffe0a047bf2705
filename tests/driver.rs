//! Drivers with real sockets on loopback, introduced by a real signaling server.

#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test looks for some events among many")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rover_link::config::{Compression, PeerFilter, QueueLimits, Secrets};
use rover_link::link::{
    Command, Event, IncomingLimits, IncomingMessage, OutgoingMessage, OutgoingRoute, PeerState,
    PublisherId, RouteId, SignalingState,
};
use rover_link::net::{ApplicationEnd, Compressor, DriverHandle, Received, exchange, start};
use rover_link::signaling::server;
use tokio::sync::oneshot;

mod loopback;
mod routes;

/// Far beyond what anything here takes on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    url: String,
}

impl Server {
    fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    fn start_at(address: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = server::ServerOptions::default();
        let listener = runtime.block_on(server::bind(address.parse().unwrap(), &options)).unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            runtime.block_on(server::run(listener, options, async move { drop(stopped.await) }));
        });
        Self { stop, thread, url }
    }

    fn stop(self) {
        drop(self.stop);
        self.thread.join().unwrap();
    }
}

struct Rover {
    driver: DriverHandle,
    application: ApplicationEnd,
}

impl Rover {
    fn start(id: &str, url: &str, folder: &Path) -> Self {
        let config = loopback::config(id, url, folder, PeerFilter::All);
        let secrets =
            Secrets { fleet_key: Some(b"a key of some length".to_vec()), ..Secrets::default() };
        let (application, end) = exchange();
        let driver = start(&config, &secrets, end).unwrap();
        Self { driver, application }
    }

    fn offer(&self, number: u16) {
        self.offer_with(number, Compression::None);
    }

    fn offer_with(&self, number: u16, compression: Compression) {
        let route = OutgoingRoute {
            compression,
            max_message_size: 20 << 20,
            ..routes::reliable(&format!("/t{number}"))
        };
        self.application.command(Command::OfferRoute { id: RouteId(number), route });
    }

    fn send(&self, number: u16, data: impl Into<Bytes>) {
        let (id, publisher) = (RouteId(number), PublisherId(1));
        let message =
            OutgoingMessage { id, publisher, number: 0, data: data.into(), compressed: None };
        self.application.send(message, Instant::now());
    }

    /// Accepts every topic until an event comes that is looked for.
    fn wait_for(&self, what: &str, found: impl Fn(&Event) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Received::Event(event) = self.application.receive(PATIENCE, |_| true) {
                self.answer(&event);
                if found(&event) {
                    return;
                }
            }
        }
        panic!("not in time: {what}");
    }

    fn answer(&self, event: &Event) {
        if let Event::RouteOffered { peer, id, .. } = event {
            let limits = IncomingLimits {
                queue: QueueLimits::default(),
                max_message_size: 20 << 20,
                again: false,
            };
            let (peer, id) = (peer.clone(), *id);
            self.application.command(Command::AnswerRoute { peer, id, answer: Ok(limits) });
        }
    }

    fn wait_open(&self, peer: &str) {
        self.wait_for("a topic opens", |event| match event {
            Event::RouteOpened { peer: of, .. } => of == peer,
            _ => false,
        });
    }

    fn messages(&self, count: usize) -> Vec<IncomingMessage> {
        let deadline = Instant::now() + PATIENCE;
        let mut messages = Vec::new();
        while messages.len() < count && Instant::now() < deadline {
            match self.application.receive(PATIENCE, |_| false) {
                Received::Messages => messages.extend(self.application.take(|_| false)),
                Received::Event(event) => self.answer(&event),
                Received::Nothing | Received::Closed => break,
            }
        }
        messages
    }
}

#[test]
fn topics_cross_and_go_on_without_the_signaling_server_and_a_third_rover_joins_later() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let a = Rover::start("a", &server.url, folder.path());
    a.offer(0);
    let b = Rover::start("b", &server.url, folder.path());
    let receiving = thread::spawn(move || (b.messages(1001), b));
    a.wait_open("b");
    for number in 0..1000_u32 {
        a.send(0, number.to_be_bytes().to_vec());
    }

    let address = server.url.trim_start_matches("ws://").to_owned();
    server.stop();
    a.send(0, vec![7; 4 << 20]);
    let (messages, b) = receiving.join().unwrap();
    let numbers: Vec<u32> = messages
        .iter()
        .take(1000)
        .map(|message| u32::from_be_bytes(message.data[..].try_into().unwrap()))
        .collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    assert_eq!(messages.len(), 1001);
    assert!(
        messages[1000].data.len() == 4 << 20 && messages[1000].data.iter().all(|byte| *byte == 7)
    );

    let snapshot = a.application.snapshot();
    // A machine that is busy with other tests can keep a path from answering in time.
    let state = snapshot.peers[0].state;
    assert!(matches!(state, PeerState::Connected | PeerState::Degraded), "{state:?}");
    assert_eq!(snapshot.peers[0].selected().unwrap().interface, "lo");

    let c = Rover::start("c", &format!("ws://{address}"), folder.path());
    let server = Server::start_at(&address);
    let receiving = thread::spawn(move || (c.messages(1), c));
    a.wait_open("c");
    a.send(0, vec![1]);
    let (messages, c) = receiving.join().unwrap();
    for messages in [messages, b.messages(1)] {
        assert_eq!(&messages[0].data[..], [1]);
    }
    for rover in [a, b, c] {
        let began = Instant::now();
        rover.driver.stop();
        assert!(began.elapsed() < Duration::from_secs(5), "a stop waits for nobody");
    }
    server.stop();
}

#[test]
fn messages_of_all_lengths_cross_both_ways_at_once() {
    // Datagrams of one length and of others, one and many at a time.
    let message = |number: u32| vec![number as u8; 1 + (number as usize * 1_117) % 30_000];
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let rovers = [("a", "b"), ("b", "a")].map(|(id, peer)| {
        let rover = Rover::start(id, &server.url, folder.path());
        rover.offer(0);
        thread::spawn(move || {
            rover.wait_open(peer);
            for number in 0..500 {
                rover.send(0, message(number));
            }
            (rover.messages(500), rover)
        })
    });
    for (messages, rover) in rovers.map(|rover| rover.join().unwrap()) {
        assert_eq!(messages.len(), 500);
        for (number, received) in (0..).zip(messages) {
            assert!(received.data == message(number), "{number}");
        }
        rover.driver.stop();
    }
    server.stop();
}

#[test]
fn messages_of_a_compressed_topic_cross_smaller_and_arrive_as_they_left() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let a = Rover::start("a", &server.url, folder.path());
    a.offer_with(0, Compression::Zstd);
    let b = Rover::start("b", &server.url, folder.path());
    let sent: Vec<Vec<u8>> = (0..200_u8).map(|n| vec![n; 100 * usize::from(n)]).collect();
    let (bytes, count) = (sent.iter().map(Vec::len).sum::<usize>(), sent.len());
    let receiving = thread::spawn(move || (b.messages(count), b));
    a.wait_open("b");
    let is_done = Arc::new(AtomicBool::new(false));
    let (application, stop) = (a.application.clone(), is_done.clone());
    let compressor = thread::spawn(move || {
        Compressor::new(application).run(|| stop.load(Ordering::Relaxed));
    });
    for message in &sent {
        a.send(0, message.clone());
    }
    let (messages, b) = receiving.join().unwrap();
    let unpacked: Vec<_> = messages.iter().map(|of| b.application.unpack(of).unwrap()).collect();
    assert!(unpacked == sent);
    let small = messages.iter().filter(|message| !message.is_compressed).count();
    assert_eq!(small, 3, "those of 0, 100 and 200 bytes");
    assert!(messages.iter().map(|message| message.data.len()).sum::<usize>() < bytes / 10);

    is_done.store(true, Ordering::Relaxed);
    compressor.join().unwrap();
    for rover in [a, b] {
        rover.driver.stop();
    }
    server.stop();
}

#[test]
fn a_driver_without_a_signaling_server_says_so_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let rover = Rover::start("a", "ws://127.0.0.1:1", folder.path());
    let deadline = Instant::now() + PATIENCE;
    while !matches!(rover.application.snapshot().signaling, SignalingState::Failed(_)) {
        assert!(Instant::now() < deadline, "not in time: the failure is shown");
        thread::yield_now();
    }
    rover.driver.stop();
    assert_eq!(rover.application.receive(PATIENCE, |_| false), Received::Closed);
}
