//! One end of the benchmark: publishes numbered, time-stamped messages, or takes and measures them, with as little of
//! its own as ROS allows. `scripts/bench.py` starts two of it, with rovers between them or none.
//!
//! Both ends must run on one machine: the stamps are those of its monotonic clock.

#![expect(clippy::print_stdout, reason = "what is measured goes to standard output")]

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rover_link::config::{Durability, History, QosProfile, Reliability, TypeName};
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

/// The subscriber gives up when nothing arrives for so long.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// A subscriber that has seen the first message ends when nothing more arrives for so long.
const END_SILENCE: Duration = Duration::from_secs(3);

/// One end of the benchmark of rover_link.
#[derive(Parser)]
struct Arguments {
    /// Absolute name of the topic
    #[arg(long)]
    topic: String,
    /// How long to publish, or to measure after the first message
    #[arg(long, value_name = "S")]
    seconds: f64,
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Publish; tell how many messages
    Publish {
        /// Bytes of each message's array, at least 16
        #[arg(long)]
        size: usize,
        /// Messages per second; 0 means as fast as subscribers confirm them
        #[arg(long)]
        rate: f64,
    },
    /// Take; tell latency, losses and bytes
    Subscribe,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let interrupt = Interrupt::new()?;
    let node = Node::new(Context::new(&["bench_endpoint".to_owned()])?, "bench_endpoint", "/")?;
    let type_support = TypeSupport::load(&TypeName::parse(TYPE)?)?;
    let duration = Duration::from_secs_f64(arguments.seconds);
    match arguments.role {
        Role::Publish { size, rate } => {
            // Keeping all makes publishing wait for the subscribers.
            let history = if rate > 0.0 { History::KeepLast } else { History::KeepAll };
            let publisher = Publisher::new(&node, &type_support, &arguments.topic, qos(history))?;
            publish(&publisher, size.max(SMALLEST), rate, duration, &interrupt)
        }
        Role::Subscribe => {
            // One that keeps the last would overwrite what it has no time to take.
            let qos = qos(History::KeepAll);
            let subscription = Subscription::new(&node, &type_support, &arguments.topic, qos)?;
            subscribe(&node, subscription, duration, &interrupt)
        }
    }
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

/// Reliable, with a history that outlasts a moment without CPU.
fn qos(history: History) -> QosProfile {
    let (reliability, durability) = (Reliability::Reliable, Durability::Volatile);
    QosProfile { reliability, durability, history, depth: 1000 }
}

fn publish(
    publisher: &Publisher,
    size: usize,
    rate: f64,
    duration: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    println!("ready");
    let length = u32::try_from(size).context("size")?;
    let mut message = [&HEAD[..], &length.to_le_bytes(), &vec![0; size]].concat();
    let (start, mut number) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        let due =
            if rate > 0.0 { Duration::from_secs_f64(number as f64 / rate) } else { Duration::ZERO };
        if interrupt.has_come_within(due.saturating_sub(start.elapsed())) {
            return Ok(());
        }
        message[NUMBER_AT..STAMP_AT].copy_from_slice(&number.to_le_bytes());
        message[STAMP_AT..STAMP_AT + 8].copy_from_slice(&nanoseconds().to_le_bytes());
        // The only refusal is that subscribers have not confirmed enough yet.
        if publisher.publish(&message).is_ok() {
            number += 1;
        }
    }
    println!("{{\"sent\": {number}}}");
    // What has not been confirmed yet is sent again only while this lives.
    interrupt.has_come_within(END_SILENCE);
    Ok(())
}

fn subscribe(
    node: &Arc<Node>,
    mut subscription: Subscription,
    duration: Duration,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let mut wait_set = WaitSet::new(node)?;
    let wake = GuardCondition::new(node)?;
    let mut seen = Seen::default();
    let (mut began, mut last) = (None, Instant::now());
    println!("ready");
    while began.is_none_or(|began: Instant| began.elapsed() < duration) {
        let limit = if began.is_some() { END_SILENCE } else { SILENCE_LIMIT };
        if last.elapsed() > limit || interrupt.has_come_within(Duration::ZERO) {
            break;
        }
        wait_set.wait(&[&subscription], &wake, Duration::from_millis(100))?;
        while let Some(sample) = subscription.take()? {
            last = Instant::now();
            seen.add(&sample.data);
            if began.replace(began.unwrap_or(last)).is_none() {
                println!("{{\"first\": {}}}", nanoseconds() as f64 / 1e9);
            }
        }
    }
    let measured = began.map_or(0.0, |began| last.duration_since(began).as_secs_f64());
    println!("{}", seen.report(measured));
    Ok(())
}

/// What has been taken so far.
#[derive(Default)]
struct Seen {
    numbers: Vec<u64>,
    /// Nanoseconds.
    latencies: Vec<u64>,
    /// Of the arrays.
    bytes: u64,
}

impl Seen {
    fn add(&mut self, data: &[u8]) {
        let field = |at: usize| {
            data.get(at..at + 8)
                .and_then(|bytes| bytes.try_into().ok())
                .map_or(0, u64::from_le_bytes)
        };
        self.numbers.push(field(NUMBER_AT));
        self.latencies.push(nanoseconds().saturating_sub(field(STAMP_AT)));
        self.bytes += data.len().saturating_sub(NUMBER_AT) as u64;
    }

    /// As JSON; latencies in s, lost between the first and the last message.
    fn report(mut self, seconds: f64) -> serde_json::Value {
        let received = self.numbers.len() as u64;
        let reordered = self.numbers.windows(2).filter(|pair| pair[1] < pair[0]).count();
        self.numbers.sort_unstable();
        let span = match self.numbers[..] {
            [first, .., last] => last - first + 1,
            _ => received,
        };
        self.numbers.dedup();
        let different = self.numbers.len() as u64;
        self.latencies.sort_unstable();
        let quantile = |ratio: f64| {
            let index = (ratio * self.latencies.len().saturating_sub(1) as f64).round() as usize;
            self.latencies.get(index).map(|&latency| latency as f64 / 1e9)
        };
        serde_json::json!({
            "received": received,
            "lost": span - different,
            "duplicates": received - different,
            "reordered": reordered,
            "latency_p50": quantile(0.5),
            "latency_p99": quantile(0.99),
            "latency_max": quantile(1.0),
            "goodput": if seconds > 0.0 { self.bytes as f64 / seconds } else { 0.0 },
        })
    }
}

/// Now, by the clock that all processes of this machine share.
fn nanoseconds() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}
