//! Measures what the link costs, without ROS: how much it carries over loopback and for how much CPU,
//! beside a bare str0m data channel, and how much memory a rover takes.
//!
//! `cargo run --release --example bench_link -- throughput`, or `memory`; `--help` tells more. Each
//! end is a process of its own. The figures go to standard output, one JSON object a line, and to
//! standard error as a table. They are those of an idle machine only if the machine is idle.

#![expect(clippy::print_stdout, reason = "what is measured goes to standard output")]

mod bare;
mod ends;
#[path = "../../tests/loopback/mod.rs"]
mod loopback;
mod memory;
mod progress;
#[path = "../../tests/routes/mod.rs"]
mod routes;
mod rover;
mod row;
mod throughput;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use rover_link::signaling::server;
use tokio::sync::oneshot;

use self::progress::Timing;

/// What the link of rover_link costs over loopback.
#[derive(Parser)]
#[command(name = "bench_link")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Goodput and CPU for messages of several sizes, beside a bare str0m data channel
    Throughput(throughput::Settings),
    /// Resident memory of a rover with 1, 100 and 1,000 topics, and with 1, 8 and 32 peers
    Memory(memory::Settings),
    /// One end of a connection; the benchmark starts two
    #[command(hide = true)]
    End(End),
    /// The rover whose memory is measured
    #[command(hide = true)]
    Hub(memory::Crowd),
    /// The peers of that rover, all in one process
    #[command(hide = true)]
    Peers(memory::Crowd),
}

/// One end of a connection. Its standard input is a socket to the other end.
#[derive(Args)]
struct End {
    #[arg(long)]
    link: Link,
    #[arg(long)]
    role: Role,
    /// Bytes of a message
    #[arg(long)]
    size: usize,
    #[command(flatten)]
    timing: Timing,
    #[command(flatten)]
    scene: Scene,
}

/// Where rovers find each other, and keep their certificates.
#[derive(Args)]
struct Scene {
    #[arg(long)]
    url: String,
    #[arg(long)]
    folder: PathBuf,
}

/// What carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Link {
    RoverLink,
    #[value(name = "str0m")]
    Str0m,
}

impl Link {
    fn name(self) -> &'static str {
        match self {
            Self::RoverLink => "rover_link",
            Self::Str0m => "str0m",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Send,
    Receive,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
        }
    }
}

fn main() -> anyhow::Result<()> {
    env_logger::init();
    match Arguments::parse().task {
        Task::Throughput(settings) => throughput::measure(&settings),
        Task::Memory(settings) => memory::measure(&settings),
        Task::End(end) => run_end(&end),
        Task::Hub(crowd) => memory::run_hub(&crowd),
        Task::Peers(crowd) => memory::run_peers(&crowd),
    }
}

fn run_end(end: &End) -> anyhow::Result<()> {
    let other = ends::other_end()?;
    match (end.link, end.role) {
        (Link::RoverLink, Role::Send) => rover::send(end, other),
        (Link::RoverLink, Role::Receive) => rover::receive(end, other),
        (Link::Str0m, Role::Send) => bare::send(end, other),
        (Link::Str0m, Role::Receive) => bare::receive(end, other),
    }
}

/// A signaling server in this process. Returns its URL; dropping the other value stops it.
fn start_signaling() -> anyhow::Result<(String, oneshot::Sender<()>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = server::ServerOptions::default();
    let listener = runtime.block_on(server::bind(([127, 0, 0, 1], 0).into(), &options))?;
    let url = format!("ws://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel();
    std::thread::spawn(move || {
        runtime.block_on(server::run(listener, options, async move { drop(stopped.await) }));
    });
    Ok((url, stop))
}
