//! The ends of a bare connection: str0m as its examples use it, with one socket, one reliable ordered
//! data channel and nothing else. Each datagram is one call of the kernel.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::config::DtlsVersion;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::End;
use super::progress::{Figures, Reporter, measure, messages};

/// Room that the kernel is asked for per socket and direction, bytes; the same as rovers ask for.
const SOCKET_BUFFER: usize = 1024 * 1024;

/// Bytes that str0m may hold, sent or not. SCTP walks through all that is under way several times for
/// each datagram: its default of 128 KiB costs half as much again as this, which is the best of those
/// from 16 KiB to 1 MiB.
const MAX_BUFFERED: usize = 32 * 1024;

/// Larger messages are cut into parts of this size, bytes: str0m takes no message that is larger than
/// what it may hold, and it should not fall idle between two parts.
const MAX_PART: usize = MAX_BUFFERED / 2;

/// The largest datagram.
const MAX_DATAGRAM: usize = 2000;

struct Bare {
    rtc: Rtc,
    socket: UdpSocket,
    address: SocketAddr,
    channel: Option<ChannelId>,
    datagram: [u8; MAX_DATAGRAM],
}

/// Sends messages as fast as the channel takes them, and prints what was measured.
pub(crate) fn send(end: &End, other: UnixStream) -> anyhow::Result<()> {
    let mut bare = Bare::offer(&other)?;
    let is_done = Arc::new(AtomicBool::new(false));
    let (size, timing, done) = (end.size, end.timing, is_done.clone());
    let measuring = thread::spawn(move || -> anyhow::Result<Figures> {
        let figures = measure(other, size, timing, |_| {});
        done.store(true, Ordering::Relaxed);
        figures
    });
    let messages = messages(end.size);
    let mut parts = messages.iter().cycle().flat_map(|message| message.chunks(MAX_PART)).peekable();
    while !is_done.load(Ordering::Relaxed) {
        let wake = bare.put_out(|_| Ok(()))?;
        let Some(part) = parts.peek() else { break };
        if bare.write(part)? {
            parts.next();
        } else {
            bare.take_in(wake)?;
        }
    }
    let figures =
        measuring.join().map_err(|_| anyhow::anyhow!("the measurement has panicked"))??;
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// Takes messages until it is stopped.
pub(crate) fn receive(end: &End, mut other: UnixStream) -> anyhow::Result<()> {
    let mut bare = Bare::answer(&mut other)?;
    let mut reporter = Reporter::new(other, end.size);
    let mut message = Vec::with_capacity(end.size);
    loop {
        let wake = bare.put_out(|part| {
            if message.is_empty() && part.len() == end.size {
                return reporter.handle_message(&part);
            }
            message.extend_from_slice(&part);
            if message.len() >= end.size {
                reporter.handle_message(&message).context("str0m")?;
                message.clear();
            }
            Ok(())
        })?;
        bare.take_in(wake)?;
    }
}

impl Bare {
    fn new() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
        SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER)?;
        let address = socket.local_addr()?;
        let mut rtc = RtcConfig::new()
            .clear_codecs()
            // As the lanes of a rover.
            .set_dtls_version(DtlsVersion::Dtls12)
            .set_sctp_max_buffered_amount(MAX_BUFFERED)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(address, "udp")?);
        Ok(Self { rtc, socket, address, channel: None, datagram: [0; MAX_DATAGRAM] })
    }

    fn offer(mut other: &UnixStream) -> anyhow::Result<Self> {
        let mut bare = Self::new()?;
        let mut changes = bare.rtc.sdp_api();
        changes.add_channel_with_config(ChannelConfig {
            label: "bench".to_owned(),
            ..ChannelConfig::default()
        });
        let (offer, pending) = changes.apply().context("a channel is something to offer")?;
        say(&mut other, &offer.to_sdp_string())?;
        let answer = SdpAnswer::from_sdp_string(&hear(&mut other)?)?;
        bare.rtc.sdp_api().accept_answer(pending, answer)?;
        Ok(bare)
    }

    fn answer(other: &mut UnixStream) -> anyhow::Result<Self> {
        let mut bare = Self::new()?;
        let offer = SdpOffer::from_sdp_string(&hear(other)?)?;
        let answer = bare.rtc.sdp_api().accept_offer(offer)?;
        say(other, &answer.to_sdp_string())?;
        Ok(bare)
    }

    /// Puts out all that is ready; returns when there will be more.
    fn put_out(
        &mut self,
        mut on_data: impl FnMut(Vec<u8>) -> anyhow::Result<()>,
    ) -> anyhow::Result<Instant> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => return Ok(at),
                Output::Transmit(transmit) => {
                    // What the kernel does not take is lost, as it may be anywhere on its way.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::ChannelOpen(id, _)) => self.channel = Some(id),
                Output::Event(Event::ChannelData(data)) => on_data(data.data)?,
                Output::Event(Event::Closed) => bail!("the connection is over"),
                Output::Event(_) => {}
            }
        }
    }

    /// Takes the next datagram, for which it waits until `wake`.
    fn take_in(&mut self, wake: Instant) -> anyhow::Result<()> {
        let received = match self.socket.recv_from(&mut self.datagram) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let wait = wake.saturating_duration_since(Instant::now());
                // Rounded up, so that the moment has come when it wakes.
                let wait = Timespec::try_from(wait.max(Duration::from_micros(1)))?;
                poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&wait))?;
                self.socket.recv_from(&mut self.datagram)
            }
            received => received,
        };
        let now = Instant::now();
        match received {
            Ok((length, source)) => {
                let contents = &self.datagram[..length];
                let receive = Receive::new(Protocol::Udp, source, self.address, contents)?;
                self.rtc.handle_input(Input::Receive(now, receive))?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.rtc.handle_input(Input::Timeout(now))?;
            }
            Err(error) => return Err(error).context("the socket"),
        }
        Ok(())
    }

    /// Hands a message to the channel; `false` if it has no room now.
    fn write(&mut self, part: &[u8]) -> anyhow::Result<bool> {
        let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) else {
            return Ok(false);
        };
        Ok(channel.write(true, part)?)
    }
}

fn say(other: &mut impl Write, text: &str) -> io::Result<()> {
    other.write_all(&(text.len() as u32).to_be_bytes())?;
    other.write_all(text.as_bytes())
}

fn hear(other: &mut impl Read) -> anyhow::Result<String> {
    let mut length = [0; 4];
    other.read_exact(&mut length)?;
    let mut text = vec![0; u32::from_be_bytes(length) as usize];
    other.read_exact(&mut text)?;
    Ok(String::from_utf8(text)?)
}
