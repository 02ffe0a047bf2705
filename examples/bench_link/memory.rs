//! Resident memory of a rover with many topics or peers, and a message of each topic a second.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use rover_link::config::PeerFilter;

use super::ends::End;
use super::rover::Rover;
use super::row::{Row, median, print};
use super::{Scene, start_signaling};

/// Topics and peers of each case.
const CASES: [(u16, u16); 5] = [(1, 1), (100, 1), (1_000, 1), (1, 8), (1, 32)];

/// Bytes of a message.
const SIZE: usize = 256;

/// Between two messages of a topic.
const PERIOD: Duration = Duration::from_secs(1);

const HUB: &str = "hub";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Runs of each case, of which the medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How many messages of each topic cross before memory is read, one a second
    #[arg(long, default_value_t = 8)]
    messages: u32,
}

/// A rover and its peers.
#[derive(Args)]
pub(crate) struct Crowd {
    #[arg(long)]
    topics: u16,
    #[arg(long)]
    peers: u16,
    /// How many messages of each topic cross
    #[arg(long)]
    messages: u32,
    #[command(flatten)]
    scene: Scene,
}

/// Measures; prints the figures.
pub(crate) fn measure(settings: &Settings) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (topics, peers) in CASES {
        let mut figures = Vec::new();
        for _ in 0..settings.runs {
            figures.push(measure_once(topics, peers, settings.messages)?);
        }
        let case = format!("{}, {}", counted(topics, "topic"), counted(peers, "peer"));
        let rss = median(figures.into_iter());
        eprintln!("{case}: {:.1} MB", rss / 1e6);
        rows.push(Row::new("memory", case, "rover_link", "rss", rss, "B"));
    }
    print(&rows)
}

fn measure_once(topics: u16, peers: u16, messages: u32) -> anyhow::Result<f64> {
    let (url, _server) = start_signaling()?;
    let folder = tempfile::tempdir()?;
    let start = |task: &str, input| {
        let arguments = [
            task.to_owned(),
            format!("--topics={topics}"),
            format!("--peers={peers}"),
            format!("--messages={messages}"),
            format!("--url={url}"),
            format!("--folder={}", folder.path().display()),
        ];
        End::start(arguments, input)
    };
    // They end when their input does.
    let _peers = start("peers", Stdio::piped())?;
    let mut hub = start("hub", Stdio::null())?;
    Ok(hub.answer()?.trim().parse()?)
}

/// Connects with all peers, sends messages, and prints the bytes that it holds then.
pub(crate) fn run_hub(crowd: &Crowd) -> anyhow::Result<()> {
    let rover = Rover::start(HUB, PeerFilter::All, &crowd.scene)?;
    for topic in 0..crowd.topics {
        rover.offer(topic);
    }
    rover.wait_open(usize::from(crowd.topics) * usize::from(crowd.peers))?;
    for _ in 0..crowd.messages {
        for topic in 0..crowd.topics {
            rover.send(topic, Bytes::from(vec![0; SIZE]));
        }
        let next = Instant::now() + PERIOD;
        while Instant::now() < next {
            rover.receive(next.saturating_duration_since(Instant::now()))?;
        }
    }
    println!("{}", resident()?);
    rover.stop();
    Ok(())
}

/// The peers: each takes what comes, until this process's input ends.
pub(crate) fn run_peers(crowd: &Crowd) -> anyhow::Result<()> {
    for number in 0..crowd.peers {
        let only = PeerFilter::Only(vec![HUB.to_owned()]);
        let rover = Rover::start(&format!("peer_{number}"), only, &crowd.scene)?;
        std::thread::spawn(move || while rover.receive(Duration::from_secs(1)).is_ok() {});
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn counted(number: u16, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Bytes that this process holds.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibi = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?;
    Ok(kibi.trim().parse::<u64>()? * 1024)
}
