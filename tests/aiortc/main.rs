//! A rover and a WebRTC stack that is not ours (aiortc), with real sockets, introduced by a real
//! signaling server. Each is in a network namespace; of the two networks between them one goes.

#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rover_link::config::{
    Config, HandoverSettings, InterfaceFilter, PeerFilter, QueueLimits, Secrets,
};
use rover_link::link::{
    Command as Wish, Event, HandoverPhase, HandoverReason, IncomingLimits, OutgoingMessage,
    OutgoingRoute, PublisherId, RouteId,
};
use rover_link::net::{ApplicationEnd, DriverHandle, Received, exchange, start};
use rover_link::signaling::server;
use tokio::sync::oneshot;

#[path = "../routes/mod.rs"]
mod routes;

/// Set in the process that runs in the namespace.
const INSIDE: &str = "ROVER_LINK_TEST_INSIDE";
/// The interpreter that has aiortc.
const PYTHON: &str = "ROVER_LINK_AIORTC_PYTHON";

/// Far beyond what anything here takes on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_millis(20);

const ROVER: &str = "m";
/// Networks between the two, by the name that their devices have on both sides; then that to the
/// signaling server.
const NETWORKS: [&str; 2] = ["net0", "net1"];
const SIGNALING: &str = "signal";
const TOKEN: &str = "a-token-that-the-test-shares";

/// Runs the calling test in a new network namespace.
fn run_inside(test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return test();
    }
    let name = thread::current().name().unwrap().to_owned();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net"])
        .arg(env::current_exe().unwrap())
        .args([&name, "--exact", "--nocapture", "--ignored"])
        .env(INSIDE, "")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{errors}");
}

fn ip(arguments: &str) {
    ip_in(None, arguments);
}

/// Runs `ip`, be it in the namespace of another process.
fn ip_in(process: Option<&str>, arguments: &str) {
    let mut command = match process {
        Some(process) => {
            let mut command = Command::new("nsenter");
            command.args(["-t", process, "-n", "ip"]);
            command
        }
        None => Command::new("ip"),
    };
    let status = command.args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    url: String,
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let token = Some(TOKEN.parse().unwrap());
        let options = server::ServerOptions { token, ..server::ServerOptions::default() };
        let any_port = "10.79.2.1:0".parse().unwrap();
        let listener = runtime.block_on(server::bind(any_port, &options)).unwrap();
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

/// aiortc in a namespace beside this one, joined to it by the networks. It ends when its standard
/// input does.
struct Standard(Child);

impl Standard {
    fn start() -> Self {
        let python = env::var_os(PYTHON).unwrap_or_else(|| "python3".into());
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiortc/peer.py");
        let mut child = Command::new("unshare")
            .arg("--net")
            .args([python.as_os_str(), program.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It is in its namespace once it speaks.
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        let far = child.id().to_string();
        ip("link set lo up");
        for (index, device) in NETWORKS.iter().chain([&SIGNALING]).enumerate() {
            ip(&format!("link add {device} type veth peer name {device} netns {far}"));
            for (host, enter) in [(1, None), (2, Some(far.as_str()))] {
                ip_in(enter, &format!("address add 10.79.{index}.{host}/24 dev {device}"));
                ip_in(enter, &format!("link set {device} up"));
            }
        }
        Self(child)
    }

    fn join(&mut self, id: &str, url: &str) {
        let stdin = self.0.stdin.as_mut().unwrap();
        writeln!(stdin, "{url} {TOKEN} {id} {ROVER}").unwrap();
    }

    fn stop(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

struct Rover {
    driver: DriverHandle,
    application: ApplicationEnd,
    events: Vec<Event>,
    /// When each message came.
    received: Vec<(Instant, u32)>,
}

impl Rover {
    fn start(url: &str, folder: &Path) -> Self {
        let devices = NETWORKS.iter().map(|device| (*device).to_owned()).collect();
        let config = Config {
            rover_id: ROVER.to_owned(),
            fleet: "default".to_owned(),
            signaling_url: url.to_owned(),
            identity_file: folder.join("identity.pem"),
            peers: PeerFilter::All,
            peer_fingerprints: BTreeMap::new(),
            ice_servers: Vec::new(),
            accept: Vec::new(),
            topics: Vec::new(),
            services: Vec::new(),
            interfaces: InterfaceFilter { allow: devices, deny: Vec::new() }.into(),
            handover: HandoverSettings::default(),
            link_quality_publish_rate: 2.0,
        };
        let (application, end) = exchange();
        let secrets = Secrets { token: Some(TOKEN.to_owned()), ..Secrets::default() };
        let driver = start(&config, &secrets, end).unwrap();
        application.command(Wish::OfferRoute { id: RouteId(1), route: route() });
        Self { driver, application, events: Vec::new(), received: Vec::new() }
    }

    /// Takes what comes until it is time.
    fn take_until(&mut self, end: Instant) {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.application.receive(left, |_| false) {
                Received::Messages => {
                    for message in self.application.take(|_| false) {
                        let number = u32::from_be_bytes(message.data[..].try_into().unwrap());
                        self.received.push((Instant::now(), number));
                    }
                }
                Received::Event(Event::RouteOffered { peer, id, .. }) => {
                    let answer = Ok(IncomingLimits {
                        queue: QueueLimits::default(),
                        max_message_size: 1 << 20,
                        again: false,
                    });
                    self.application.command(Wish::AnswerRoute { peer, id, answer });
                }
                Received::Event(event) => self.events.push(event),
                Received::Nothing | Received::Closed => {}
            }
        }
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < deadline, "not in time: {what}; {:?}", self.events);
            self.take_until(Instant::now() + PERIOD);
        }
    }

    /// Publishes the numbers of this range, one a period.
    fn publish(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let now = Instant::now();
            let data = number.to_be_bytes().to_vec().into();
            let message = OutgoingMessage {
                id: RouteId(1),
                publisher: PublisherId(1),
                number: 0,
                data,
                compressed: None,
            };
            self.application.send(message, now);
            self.take_until(now + PERIOD);
        }
    }

    fn selected(&self) -> String {
        let snapshot = self.application.snapshot();
        snapshot.peers[0].selected().map(|path| path.interface.clone()).unwrap_or_default()
    }
}

fn route() -> OutgoingRoute {
    routes::reliable("/m/numbers")
}

fn connected(id: &str, folder: &Path) -> (Server, Rover, Standard) {
    let mut standard = Standard::start();
    let server = Server::start();
    let mut rover = Rover::start(&server.url, folder);
    standard.join(id, &server.url);
    rover.wait_until("the route opens", |rover| {
        rover.events.iter().any(|event| matches!(event, Event::RouteOpened { .. }))
    });
    (server, rover, standard)
}

#[test]
#[ignore = "needs aiortc, which scripts/test.sh installs"]
fn messages_go_there_and_back_where_aiortc_offers() {
    run_inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let (server, mut rover, standard) = connected("a", folder.path());
        rover.publish(0..500);
        rover.wait_until("all echoes", |rover| rover.received.len() == 500);
        assert!(rover.received.iter().map(|(_, number)| *number).eq(0..500));
        standard.stop();
        rover.driver.stop();
        server.stop();
    });
}

#[test]
#[ignore = "needs aiortc, which scripts/test.sh installs"]
fn messages_go_there_and_back_and_on_when_the_path_in_use_is_lost() {
    run_inside(|| {
        let folder = tempfile::tempdir().unwrap();
        let (server, mut rover, standard) = connected("z", folder.path());
        rover.publish(0..200);
        rover.wait_until("the first echoes", |rover| rover.received.len() == 200);
        let lost = rover.selected();
        ip(&format!("link set {lost} down"));
        rover.publish(200..700);
        rover.wait_until("all echoes", |rover| rover.received.len() == 700);
        assert!(rover.received.iter().map(|(_, number)| *number).eq(0..700));
        let gap = rover.received.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
        println!("longest pause between echoes: {gap:?}");
        // One retransmission of either side's SCTP, and the machine may have other things to do.
        assert!(gap < Duration::from_secs(5), "{gap:?}");
        assert_ne!(rover.selected(), lost);
        assert!(!rover.events.iter().any(|event| matches!(event, Event::PeerDisconnected { .. })));
        let was_told = |event: &Event| {
            matches!(event, Event::Handover(report)
                if report.phase == HandoverPhase::Completed
                    && matches!(report.reason, HandoverReason::InterfaceDown | HandoverReason::Silence))
        };
        assert!(rover.events.iter().any(was_told), "{:?}", rover.events);
        standard.stop();
        rover.driver.stop();
        server.stop();
    });
}
