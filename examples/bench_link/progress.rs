//! What has arrived: the receiving end checks each message and reports to the sending one, which
//! measures between two of the reports.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Bytes of messages between two reports, at least.
const REPORT_BYTES: usize = 64 * 1024;

/// The sending end gives up when nothing arrives for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Messages that are told apart.
const NUMBERS: u64 = 8;

/// Reports between which is measured lie at least so far apart.
const LEAST_MESSAGES: u64 = 4;

/// When to measure.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Timing {
    /// How long to measure, s
    #[arg(long, default_value_t = 2.5)]
    pub(crate) seconds: f64,
    /// What passes before is not measured, s
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm_up: f64,
}

/// What one run has measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Bytes of the messages that arrived.
    pub(crate) bytes: f64,
    /// Time that they took, s.
    pub(crate) seconds: f64,
    /// CPU time of both ends, s.
    pub(crate) sending_cpu: f64,
    pub(crate) receiving_cpu: f64,
}

/// Messages to be sent in turn, each of which tells its number.
pub(crate) fn messages(size: usize) -> Vec<Vec<u8>> {
    (0..NUMBERS).map(|number| vec![number as u8; size]).collect()
}

/// The receiving end's part.
pub(crate) struct Reporter {
    other: UnixStream,
    size: usize,
    messages: u64,
    unreported: usize,
}

impl Reporter {
    pub(crate) fn new(other: UnixStream, size: usize) -> Self {
        Self { other, size, messages: 0, unreported: 0 }
    }

    /// Takes a message; an error if it is not the next one.
    pub(crate) fn handle_message(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let number = Some((self.messages % NUMBERS) as u8);
        ensure!(
            message.len() == self.size
                && (message.first().copied(), message.last().copied()) == (number, number),
            "message {} is not what was sent",
            self.messages
        );
        self.messages += 1;
        self.unreported += message.len();
        if self.unreported >= REPORT_BYTES {
            self.unreported = 0;
            let report = [self.messages, clock(ClockId::Monotonic), clock(ClockId::ProcessCPUTime)];
            let report: Vec<u8> = report.iter().flat_map(|value| value.to_be_bytes()).collect();
            if self.other.write_all(&report).is_err() {
                // The sending end has measured, and gone.
                std::process::exit(0);
            }
        }
        Ok(())
    }
}

/// A moment of both ends.
#[derive(Clone, Copy)]
struct Moment {
    messages: u64,
    at: u64,
    receiving_cpu: u64,
    sending_cpu: u64,
}

/// The sending end's part: follows the reports until it has measured, telling `on_progress` each
/// time how many messages have arrived.
pub(crate) fn measure(
    mut other: UnixStream,
    size: usize,
    timing: Timing,
    mut on_progress: impl FnMut(u64),
) -> anyhow::Result<Figures> {
    other.set_read_timeout(Some(PATIENCE))?;
    let first = next_report(&mut other)?.at;
    let mut began = None;
    loop {
        let now = next_report(&mut other)?;
        on_progress(now.messages);
        let since = |at| Duration::from_nanos(now.at.saturating_sub(at)).as_secs_f64();
        let Some(start) = began else {
            if since(first) >= timing.warm_up {
                began = Some(now);
            }
            continue;
        };
        let Moment { messages, at, receiving_cpu, sending_cpu } = start;
        let messages = now.messages - messages;
        if since(at) < timing.seconds || messages < LEAST_MESSAGES {
            continue;
        }
        let between = |from: u64, to: u64| Duration::from_nanos(to - from).as_secs_f64();
        return Ok(Figures {
            bytes: (messages * size as u64) as f64,
            seconds: since(at),
            sending_cpu: between(sending_cpu, now.sending_cpu),
            receiving_cpu: between(receiving_cpu, now.receiving_cpu),
        });
    }
}

fn next_report(other: &mut UnixStream) -> anyhow::Result<Moment> {
    let mut bytes = [0; 24];
    if let Err(error) = other.read_exact(&mut bytes) {
        bail!("nothing arrives: {error}");
    }
    let value =
        |at: usize| bytes[at..at + 8].iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    let sending_cpu = clock(ClockId::ProcessCPUTime);
    Ok(Moment { messages: value(0), at: value(8), receiving_cpu: value(16), sending_cpu })
}

/// What a clock tells, ns.
fn clock(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
