//! One end of the benchmark: publishes numbered, time-stamped messages, or takes them, with as little of its own as ROS
//! allows. `scripts/bench.py` starts two of it for each topic, with rovers between them or none, and reads what they
//! have recorded.
//!
//! Both ends must run on one machine: the stamps are those of its monotonic clock.

#![expect(clippy::print_stdout, reason = "what is measured goes to standard output")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rover_link::config::{Durability, History, QosProfile, Reliability, Timing, TypeName};
use rover_link::ros::rcl::{
    Context, GuardCondition, Node, Publisher, Subscription, TypeSupport, WaitSet,
};
use rustix::time::{ClockId, clock_gettime};

/// Its CDR form is easy to write by hand: see [`HEAD`].
const TYPE: &str = "std_msgs/msg/UInt8MultiArray";

/// CDR before the array's length: encapsulation (little endian), no dimensions, no offset.
const HEAD: [u8; 12] = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Where the number and the stamp, 8 bytes each, start in the serialized message.
const NUMBER_AT: usize = HEAD.len() + 4;
const STAMP_AT: usize = NUMBER_AT + 8;

/// Bytes of the array that number and stamp take.
const SMALLEST: usize = 16;

/// How late SIGINT is noticed by a subscriber to which nothing comes.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// One end of the benchmark of rover_link. Says `ready`, and ends with SIGINT.
#[derive(Parser)]
struct Arguments {
    /// Absolute name of the topic
    #[arg(long)]
    topic: String,
    /// Use best effort instead of reliable QoS
    #[arg(long)]
    best_effort: bool,
    /// Messages that are kept; 0 keeps all, which makes publishing wait for the subscribers
    #[arg(long, value_name = "MESSAGES")]
    depth: u32,
    /// Where to write, at the end, what was published or taken: 64-bit numbers of this machine
    #[arg(long, value_name = "FILE")]
    record: PathBuf,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Publish; record the stamp of each message, in ns
    Publish {
        /// Bytes of each message's array, at least 16
        #[arg(long)]
        size: usize,
        /// Messages per second; 0 means as fast as they are taken
        #[arg(long)]
        rate: f64,
    },
    /// Take; say `first` with the first message; record number, stamp and arrival of each, in ns
    Subscribe,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let interrupt = Interrupt::new()?;
    let node = Node::new(Context::new(&["bench_endpoint".to_owned()])?, "bench_endpoint", "/")?;
    let type_support = TypeSupport::load(&TypeName::parse(TYPE)?)?;
    let qos = qos(&arguments);
    let topic = &arguments.topic;
    let recorded = match arguments.role {
        Role::Publish { size, rate } => {
            let publisher = Publisher::new(&node, &type_support, topic, qos)?;
            publish(&publisher, size.max(SMALLEST), rate, &interrupt)?
        }
        Role::Subscribe => {
            let subscription = Subscription::new(&node, &type_support, topic, qos)?;
            subscribe(&node, subscription, &interrupt)?
        }
    };
    write(&arguments.record, &recorded)
}

/// SIGINT, caught: who is killed by it leaves the middleware's shared memory behind.
struct Interrupt(Receiver<()>);

impl Interrupt {
    fn new() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let _ = runtime.block_on(tokio::signal::ctrl_c());
            let _ = sender.send(());
        });
        Ok(Self(receiver))
    }

    /// Waits at most so long; has it come?
    fn has_come_within(&self, time: Duration) -> bool {
        self.0.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }
}

fn qos(arguments: &Arguments) -> QosProfile {
    let reliability =
        if arguments.best_effort { Reliability::BestEffort } else { Reliability::Reliable };
    let history = if arguments.depth > 0 { History::KeepLast } else { History::KeepAll };
    let depth = arguments.depth.max(1);
    let (durability, timing) = (Durability::Volatile, Timing::default());
    QosProfile { reliability, durability, history, depth, timing }
}

fn publish(
    publisher: &Publisher,
    size: usize,
    rate: f64,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<u64>> {
    println!("ready");
    let length = u32::try_from(size).context("size")?;
    let mut message = [&HEAD[..], &length.to_le_bytes(), &vec![0; size]].concat();
    let start = Instant::now();
    let mut stamps = Vec::new();
    loop {
        let number = stamps.len() as u64;
        let due =
            if rate > 0.0 { Duration::from_secs_f64(number as f64 / rate) } else { Duration::ZERO };
        if interrupt.has_come_within(due.saturating_sub(start.elapsed())) {
            return Ok(stamps);
        }
        let stamp = nanoseconds();
        message[NUMBER_AT..STAMP_AT].copy_from_slice(&number.to_le_bytes());
        message[STAMP_AT..STAMP_AT + 8].copy_from_slice(&stamp.to_le_bytes());
        // The only refusal is that subscribers have not confirmed enough yet.
        if publisher.publish(&message).is_ok() {
            stamps.push(stamp);
        }
    }
}

fn subscribe(
    node: &Arc<Node>,
    mut subscription: Subscription,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<u64>> {
    let mut wait_set = WaitSet::new(node)?;
    let wake = GuardCondition::new(node)?;
    let mut taken = Vec::new();
    println!("ready");
    while !interrupt.has_come_within(Duration::ZERO) {
        wait_set.wait(&[&subscription], &wake, LOOK_INTERVAL)?;
        while let Some(sample) = subscription.take()? {
            if taken.is_empty() {
                println!("first");
            }
            let [number, stamp] = [NUMBER_AT, STAMP_AT].map(|at| field(&sample.data, at));
            taken.extend([number, stamp, nanoseconds()]);
        }
    }
    Ok(taken)
}

/// The 8 bytes at a place of a message.
fn field(data: &[u8], at: usize) -> u64 {
    let bytes = data.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

fn write(file: &Path, numbers: &[u64]) -> anyhow::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
    std::fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// Now, by the clock that all processes of this machine share.
fn nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
