//! `link_emulator`: the air between the radios of two rovers, each in a network namespace, as the
//! kernels there see it.
//!
//! Each radio is a TUN device in both namespaces. What one kernel sends by it goes through the link
//! model that the simulator uses too, and comes out at the other one when its time has come, or
//! never.

mod air;
mod command;
mod journal;
#[path = "../../sim/link.rs"]
mod link;
#[path = "../../sim/queue.rs"]
mod queue;
mod tun;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Instant, SystemTime};

use anyhow::Context;
use clap::Parser;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use air::Air;
use command::{Command, CommandError};
use journal::Journal;
use tun::Tun;

/// Emulates the radio links between two network namespaces.
///
/// Makes a TUN device for each radio in both namespaces; addresses and `ip link set … up` are left
/// to the caller. It begins with perfect links and says `ready`. Then it takes commands from
/// standard input, one a line, answers each with `ok` or `error: …`, and ends with its input:
///
///   set RADIO DIRECTION KEY=VALUE…   DIRECTION: a_to_b, b_to_a, both. KEY: delay, jitter (s),
///                                    reorder, loss (ratio), burst (datagrams), rate (B/s; 0 =
///                                    unlimited), queue (B), discipline (fifo, fair), up, held
///                                    (true, false)
///   carrier RADIO SIDE on|off        SIDE: a, b, both. What the kernel there says of the device
///   show                             how each link is, and the bytes it was given, dropped, lost
///                                    and delivered
///   note TEXT                        nothing but a line in the log: something else was done
#[derive(Parser)]
#[command(name = "link_emulator", verbatim_doc_comment)]
struct Arguments {
    /// Network namespace of rover A, e.g. /proc/PID/ns/net
    #[arg(long, value_name = "FILE")]
    a: PathBuf,

    /// Network namespace of rover B
    #[arg(long, value_name = "FILE")]
    b: PathBuf,

    /// Seed of losses and jitter
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Where to write each command that was carried out, but `show`, after the moment: Unix time, s
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,

    /// Name of a radio, on both sides
    #[arg(value_name = "RADIO", required = true)]
    radios: Vec<String>,
}

/// Room for a packet, bytes: more than the MTU of the devices.
const PACKET_BUFFER: usize = 65_536;

/// Packets taken from one device before the others get their turn.
const MAX_IN_A_ROW: usize = 64;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("link_emulator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (a, b) = (ends(&arguments.a, &arguments.radios)?, ends(&arguments.b, &arguments.radios)?);
    let devices: Vec<[Tun; 2]> = a.into_iter().zip(b).map(|(a, b)| [a, b]).collect();
    let mut air = Air::new(&arguments.radios, arguments.seed);
    let mut input = Input::default();
    let mut journal = Journal::create(arguments.log.as_deref()).context("cannot make the log")?;
    answer("ready")?;
    loop {
        let now = Instant::now();
        while let Some((radio, side, packet)) = air.poll_arrival(now) {
            devices[radio][side].send(&packet);
        }
        let has_input = wait(&devices, air.next_deadline())?;
        take_packets(&mut air, &devices)?;
        if has_input {
            let Some(lines) = input.lines()? else { return Ok(()) };
            for line in lines {
                match carry_out(&line, &mut air, &devices, &mut journal) {
                    Ok(said) => answer(&said)?,
                    Err(error) => answer(&format!("error: {error}"))?,
                }
            }
        }
    }
}

/// Makes the devices of one rover.
fn ends(namespace: &Path, radios: &[String]) -> anyhow::Result<Vec<Tun>> {
    let ends = File::open(namespace).and_then(|file| {
        radios.iter().map(|radio| Tun::create(file.as_fd(), radio)).collect::<io::Result<_>>()
    });
    ends.with_context(|| format!("cannot make radios in {}", namespace.display()))
}

/// Waits for a packet, for input, or for the moment given. Is there input?
fn wait(devices: &[[Tun; 2]], deadline: Option<Instant>) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut polled = vec![PollFd::new(&stdin, PollFlags::IN)];
    polled.extend(devices.iter().flatten().map(|device| PollFd::new(device, PollFlags::IN)));
    let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(!polled[0].revents().is_empty()),
        Err(error) => Err(error.into()),
    }
}

/// Takes what the kernels send.
fn take_packets(air: &mut Air, devices: &[[Tun; 2]]) -> io::Result<()> {
    let mut buffer = [0; PACKET_BUFFER];
    for (radio, ends) in devices.iter().enumerate() {
        for (side, device) in ends.iter().enumerate() {
            for _ in 0..MAX_IN_A_ROW {
                let Some(length) = device.receive(&mut buffer)? else { break };
                air.handle_packet(radio, side, buffer[..length].to_vec(), Instant::now());
            }
        }
    }
    Ok(())
}

/// Does what a line says and writes it down; returns the answer.
fn carry_out(
    line: &str,
    air: &mut Air,
    devices: &[[Tun; 2]],
    journal: &mut Journal,
) -> Result<String, CommandError> {
    let command: Command = line.parse()?;
    let is_change = command != Command::Show;
    let began = SystemTime::now();
    let said = obey(command, air, devices)?;
    if is_change {
        journal.add(began, line)?;
    }
    Ok(said)
}

fn obey(command: Command, air: &mut Air, devices: &[[Tun; 2]]) -> Result<String, CommandError> {
    let known = |name: &str| air.radio(name).ok_or(CommandError::Radio(name.to_owned()));
    match command {
        Command::Set { radio, directions, changes } => {
            let radio = known(&radio)?;
            air.change(radio, directions, &changes, Instant::now());
        }
        Command::Carrier { radio, sides, is_on } => {
            let ends = devices[known(&radio)?].iter().zip(sides);
            for (device, _) in ends.filter(|(_, is_meant)| *is_meant) {
                device.set_carrier(is_on)?;
            }
        }
        Command::Show => return Ok(air.show()),
        Command::Note => {}
    }
    Ok("ok".to_owned())
}

fn answer(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Standard input, line by line.
#[derive(Default)]
struct Input {
    /// The beginning of a line.
    pending: String,
}

impl Input {
    /// What has come; `None` at the end. To be called when there is something.
    fn lines(&mut self) -> io::Result<Option<Vec<String>>> {
        let mut buffer = [0; 4096];
        let length = rustix::io::read(io::stdin(), &mut buffer)?;
        if length == 0 {
            return Ok(None);
        }
        self.pending += &String::from_utf8_lossy(&buffer[..length]);
        let complete = self.pending.rfind('\n').map_or(0, |end| end + 1);
        let lines = self.pending.drain(..complete).collect::<String>();
        Ok(Some(lines.lines().map(str::to_owned).collect()))
    }
}
