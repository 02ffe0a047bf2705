//! The ends of rover_link: drivers as the node has them, with this program in the place of ROS.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use rover_link::config::{PeerFilter, QueueLimits, Secrets};
use rover_link::link::{
    Command, Event, IncomingLimits, IncomingMessage, OutgoingMessage, OutgoingRoute, PublisherId,
    RouteId,
};
use rover_link::net::{ApplicationEnd, DriverHandle, Received, exchange, start};

use super::progress::{Reporter, measure, messages};
use super::{End, Scene, loopback, routes};

/// Far beyond what connecting takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes and messages under way between the two applications, at least: so much that neither driver
/// ever waits for them.
const UNDER_WAY: usize = 2 * 1024 * 1024;
const MESSAGES_UNDER_WAY: u64 = 2;

/// Larger ones would be refused.
const MAX_MESSAGE_SIZE: u32 = 16 << 20;

/// One rover.
pub(crate) struct Rover {
    driver: DriverHandle,
    application: ApplicationEnd,
}

impl Rover {
    pub(crate) fn start(id: &str, peers: PeerFilter, scene: &Scene) -> anyhow::Result<Self> {
        let config = loopback::config(id, &scene.url, &scene.folder, peers);
        let fleet_key = Some(b"the benchmark's key, no secret".to_vec());
        let (application, end) = exchange();
        let driver = start(&config, &Secrets { fleet_key, ..Secrets::default() }, end)?;
        Ok(Self { driver, application })
    }

    pub(crate) fn stop(self) {
        self.driver.stop();
    }

    /// Offers a reliable topic of this number.
    pub(crate) fn offer(&self, number: u16) {
        let route = OutgoingRoute {
            max_message_size: MAX_MESSAGE_SIZE,
            ..routes::reliable(&format!("/bench/t{number}"))
        };
        self.application.command(Command::OfferRoute { id: RouteId(number), route });
    }

    pub(crate) fn send(&self, number: u16, data: Bytes) {
        let (id, publisher) = (RouteId(number), PublisherId(1));
        let message = OutgoingMessage { id, publisher, number: 0, data, compressed: None };
        self.application.send(message, Instant::now());
    }

    /// Waits until so many topics are open; all peers count.
    pub(crate) fn wait_open(&self, mut topics: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while topics > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.application.receive(left, |_| true) {
                Received::Event(Event::RouteOpened { .. }) => topics -= 1,
                Received::Event(_) | Received::Messages => {}
                Received::Nothing | Received::Closed => bail!("{topics} topics do not open"),
            }
        }
        Ok(())
    }

    /// Waits for messages and takes the next of each topic; accepts all topics that are offered
    /// meanwhile. Empty if there are none within the time.
    pub(crate) fn receive(&self, timeout: Duration) -> anyhow::Result<Vec<IncomingMessage>> {
        match self.application.receive(timeout, |_| false) {
            Received::Messages => return Ok(self.application.take(|_| false)),
            Received::Event(Event::RouteOffered { peer, id, .. }) => {
                let queue = QueueLimits::default();
                let answer =
                    Ok(IncomingLimits { queue, max_message_size: MAX_MESSAGE_SIZE, again: false });
                self.application.command(Command::AnswerRoute { peer, id, answer });
            }
            Received::Event(_) | Received::Nothing => {}
            Received::Closed => bail!("the driver has ended"),
        }
        Ok(Vec::new())
    }
}

/// Sends messages as fast as they arrive, and prints what was measured.
pub(crate) fn send(end: &End, other: UnixStream) -> anyhow::Result<()> {
    let rover = Rover::start("a", PeerFilter::All, &end.scene)?;
    rover.offer(0);
    rover.wait_open(1)?;
    let messages: Vec<_> = messages(end.size).into_iter().map(Bytes::from).collect();
    let mut next = messages.iter().cycle();
    let most = (UNDER_WAY / end.size) as u64;
    let mut sent = 0;
    let mut send_up_to = |number| {
        while sent < number
            && let Some(message) = next.next()
        {
            rover.send(0, message.clone());
            sent += 1;
        }
    };
    let most = most.max(MESSAGES_UNDER_WAY);
    send_up_to(most);
    let figures = measure(other, end.size, end.timing, |arrived| send_up_to(arrived + most))?;
    println!("{}", serde_json::to_string(&figures)?);
    rover.stop();
    Ok(())
}

/// Takes messages until it is stopped.
pub(crate) fn receive(end: &End, other: UnixStream) -> anyhow::Result<()> {
    let rover = Rover::start("b", PeerFilter::All, &end.scene)?;
    let mut reporter = Reporter::new(other, end.size);
    loop {
        for message in rover.receive(PATIENCE)? {
            reporter.handle_message(&message.data).context("rover_link")?;
        }
    }
}
