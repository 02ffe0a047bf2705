//! str0m's connection, asked only while it has something to do.
//!
//! str0m looks through all of its candidate pairs, streams and timers whenever it is told the time.
//! A session has three connections, and most wake-ups concern none of them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Input, Output, Rtc};

/// What is written counts as sent at the last moment that str0m knows. Its timers are of a second
/// and more: that it knows of so long ago is good enough.
const STALE: Duration = Duration::from_millis(10);

/// One connection.
pub(super) struct Connection {
    rtc: Rtc,
    /// The moment it was last told.
    told: Instant,
    /// It has nothing to do before this moment; `None` where it has to be asked.
    idle_until: Option<Instant>,
    /// Why it is over, if it is.
    ended: Option<String>,
}

impl Connection {
    pub(super) fn new(rtc: Rtc, now: Instant) -> Self {
        Self { rtc, told: now, idle_until: None, ended: None }
    }

    /// For whatever may give it something to do.
    pub(super) fn rtc_mut(&mut self) -> &mut Rtc {
        self.idle_until = None;
        &mut self.rtc
    }

    /// It is over, and why; the first reason counts.
    pub(super) fn end(&mut self, reason: &str) {
        self.ended.get_or_insert_with(|| reason.to_owned());
    }

    /// Is it over?
    pub(super) fn is_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Has it nothing to do now?
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.idle_until.is_some_and(|until| now < until)
    }

    /// Does this datagram belong here, by what ICE knows?
    pub(super) fn accepts(&self, input: &Input<'_>) -> bool {
        self.rtc.accepts(input)
    }

    /// Takes a datagram. To be followed by [`Connection::poll`] until it says `Timeout`.
    pub(super) fn receive(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
        now: Instant,
    ) {
        if let Ok(receive) = Receive::new(Protocol::Udp, remote, local, datagram) {
            self.handle_input(Input::Receive(now, receive), now);
        }
    }

    /// Lets time pass. To be followed by [`Connection::poll`] until it says `Timeout`.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if !self.is_idle(now) {
            self.handle_input(Input::Timeout(now), now);
        }
    }

    fn handle_input(&mut self, input: Input<'_>, now: Instant) {
        self.told = now;
        if let Err(error) = self.rtc_mut().handle_input(input) {
            log::debug!("connection passes over a datagram: {error}");
        }
    }

    /// Hands data to a channel; `false` if it has no room now, or is of no use any more: then the
    /// connection is over. To be followed by [`Connection::poll`] until it says `Timeout`.
    pub(super) fn write(
        &mut self,
        channel: ChannelId,
        is_binary: bool,
        data: &[u8],
        now: Instant,
    ) -> bool {
        if now > self.told + STALE {
            self.handle_input(Input::Timeout(now), now);
        }
        let channel = self.rtc_mut().channel(channel);
        let written = channel.map_or(Ok(false), |mut channel| channel.write(is_binary, data));
        written.unwrap_or_else(|error| {
            self.end(&format!("the data channel failed: {error}"));
            false
        })
    }

    /// Bytes that SCTP holds of a channel: not sent, or not acknowledged to it.
    pub(super) fn buffered_amount(&mut self, channel: ChannelId) -> usize {
        self.rtc.channel(channel).map_or(0, |mut channel| channel.buffered_amount())
    }

    /// Whatever it has to do next may wait for so long.
    pub(super) fn rest(&mut self, until: Instant) {
        self.idle_until = Some(until);
    }

    /// The next thing to do.
    ///
    /// # Errors
    /// Why the connection is over, for people.
    pub(super) fn poll(&mut self, now: Instant) -> Result<Output, String> {
        if let Some(reason) = &self.ended {
            return Err(reason.clone());
        }
        if let Some(until) = self.idle_until.filter(|until| now < *until) {
            return Ok(Output::Timeout(until));
        }
        let output = self.rtc.poll_output().map_err(|error| {
            self.end(&error.to_string());
            error.to_string()
        })?;
        self.idle_until = match &output {
            Output::Timeout(at) => Some(*at),
            Output::Transmit(_) | Output::Event(_) => None,
        };
        Ok(output)
    }
}
