//! How soon the core knows what the kernel tells of interfaces and addresses.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{self, AddressFamily, RecvFlags, SocketFlags, SocketType};
use uuid::Uuid;

use super::changes::{Changes, GROUPS};
use super::interfaces::usable_addresses;
use super::namespace::{ip, run_inside};
use super::sockets::Sockets;
use crate::config::{HandoverSettings, InterfaceFilter, PeerFilter};
use crate::link::{Fleet, Identity, generate_certificate};

const PATIENCE: Duration = Duration::from_secs(20);

/// Times that each thing happens.
const ROUNDS: usize = 20;

/// What is aimed at on a machine that has nothing else to do.
const AIM: Duration = Duration::from_millis(10);

/// An `ip` that waits for commands, so that no program has to be started when one is given.
struct Batch {
    process: Child,
    commands: ChildStdin,
}

impl Batch {
    fn start() -> Self {
        let arguments = ["-force", "-batch", "-"];
        let mut process = Command::new("ip").args(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let commands = process.stdin.take().unwrap();
        Self { process, commands }
    }

    fn give(&mut self, command: &str) {
        writeln!(self.commands, "{command}").unwrap();
    }

    fn end(mut self) {
        drop(self.commands);
        self.process.wait().unwrap();
    }
}

/// The moments at which the kernel told something, as seen by one who does nothing but wait for it.
fn moments() -> mpsc::Receiver<Instant> {
    let flags = SocketFlags::CLOEXEC;
    let socket = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None).unwrap();
    net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS)).unwrap();
    let (sender, moments) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0_u8; 64];
        while net::recv(&socket, &mut buffer, RecvFlags::empty()).is_ok()
            && sender.send(Instant::now()).is_ok()
        {}
    });
    moments
}

fn fleet() -> Fleet {
    let identity = Identity {
        rover_id: "a".to_owned(),
        instance: Uuid::new_v4(),
        epoch: 1,
        certificate: generate_certificate().unwrap(),
        fleet_key: None,
        peers: PeerFilter::All,
        peer_fingerprints: BTreeMap::new(),
    };
    Fleet::new(identity, HandoverSettings::default(), 1, Instant::now())
}

#[test]
fn the_core_soon_knows_what_the_kernel_tells() {
    run_inside(|| {
        ip("link add r0 type veth peer name far_r0");
        for end in ["r0", "far_r0"] {
            ip(&format!("link set {end} addrgenmode none up"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(measure());
    });
}

async fn measure() {
    let settings = InterfaceFilter { allow: vec!["r0".to_owned()], deny: Vec::new() }.into();
    let address = IpAddr::from([10, 0, 0, 1]);
    let (mut changes, mut sockets, mut fleet) = (Changes::watch(), Sockets::default(), fleet());
    let (mut batch, moments) = (Batch::start(), moments());
    let steps = [
        ("address add 10.0.0.1/24 dev r0", "address there", Some(true)),
        ("link set r0 down", "interface down", Some(false)),
        ("link set r0 up", "interface up", Some(true)),
        ("address delete 10.0.0.1/24 dev r0", "address gone", None),
    ];
    let mut taken: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (command, name, carrier) in steps {
            batch.give(command);
            let known = loop {
                tokio::time::timeout(PATIENCE, changes.next()).await.expect(name);
                // As the driver does it.
                let open = sockets.addresses();
                let is_open = |ip| open.keys().any(|open| open.ip() == ip);
                let usable = usable_addresses(&settings, is_open, &BTreeMap::new()).unwrap();
                sockets.update(&usable);
                let addresses = sockets.addresses().into_iter();
                let known = addresses.map(|(address, interface)| (address, interface.into()));
                fleet.handle_addresses(known.collect(), Instant::now());
                if usable.get(&address).map(|interface| interface.carrier) == carrier {
                    break Instant::now();
                }
            };
            // The thread that saw it may come to tell so later only.
            let first = moments.recv_timeout(PATIENCE).expect("both are told");
            let told = moments.try_iter().filter(|told| *told <= known).last();
            taken
                .entry(name)
                .or_default()
                .push(known.saturating_duration_since(told.unwrap_or(first)));
        }
    }
    batch.end();
    for (name, mut times) in taken {
        times.sort_unstable();
        let (median, most) = (times[ROUNDS / 2], times[ROUNDS - 1]);
        println!("{name}: known after {median:?}, at most {most:?}, of {ROUNDS} times");
        assert!(median < Duration::from_secs(1), "{name}: {times:?}");
        if std::env::var_os("STRICT").is_some() {
            assert!(most < AIM, "{name}: {times:?}");
        }
    }
}
