//! A TCP connection to a TURN server, as units: STUN messages and channel data (RFC 8656 §3.6, §12.4).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;

/// How long a connection may take to be made.
const CONNECT_TIME: Duration = Duration::from_secs(4);

/// A connection that takes no data, or answers no probe, for so long is lost.
const DEAD_TIME: Duration = Duration::from_secs(10);

/// Units that may wait to be sent: more are dropped, as a router would.
const QUEUE: usize = 64;

/// Bytes before the length of a unit is known.
const HEAD: usize = 4;

/// Length of the head of a STUN message.
const STUN_HEADER: usize = 20;

/// What a connection tells.
#[derive(Debug)]
pub(super) enum FromStream {
    /// It is there, from this address.
    Connected(SocketAddr),
    /// A whole unit.
    Unit(Vec<u8>),
    /// It is over, and why.
    Closed(String),
}

/// Where connections tell it, each with its number.
pub(super) type Told = mpsc::Sender<(u64, FromStream)>;

/// One connection. It ends with this value.
#[derive(Debug)]
pub(super) struct Stream {
    units: mpsc::Sender<Vec<u8>>,
    task: AbortHandle,
}

impl Stream {
    /// Connects from a local address, by its interface where a name is given.
    pub(super) fn open(
        number: u64,
        (local, interface): (SocketAddr, Option<&str>),
        server: SocketAddr,
        told: Told,
    ) -> Self {
        let (units, waiting) = mpsc::channel(QUEUE);
        let socket = socket(local, interface);
        let task = tokio::spawn(async move {
            let end = match converse(socket, server, number, waiting, &told).await {
                Ok(()) => "closed by the server".to_owned(),
                Err(error) => error.to_string(),
            };
            // Nobody listens any more where this fails.
            let _ = told.send((number, FromStream::Closed(end))).await;
        });
        Self { units, task: task.abort_handle() }
    }

    /// Sends a unit; drops it where too many wait.
    pub(super) fn send(&self, mut unit: Vec<u8>) {
        unit.resize(unit.len().next_multiple_of(4), 0);
        if self.units.try_send(unit).is_err() {
            log::trace!("TURN server takes no more for the moment");
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket(local: SocketAddr, interface: Option<&str>) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(DEAD_TIME))?;
    let probes = TcpKeepalive::new().with_time(DEAD_TIME / 2).with_interval(DEAD_TIME / 4);
    socket.set_tcp_keepalive(&probes)?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(&SocketAddr::new(local.ip(), 0).into())?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

async fn converse(
    socket: io::Result<TcpSocket>,
    server: SocketAddr,
    number: u64,
    mut waiting: mpsc::Receiver<Vec<u8>>,
    told: &Told,
) -> io::Result<()> {
    let connecting = timeout(CONNECT_TIME, socket?.connect(server));
    let mut stream: TcpStream = connecting.await.map_err(|_| io::ErrorKind::TimedOut)??;
    let tell = async |what| {
        let sent = told.send((number, what)).await;
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    };
    tell(FromStream::Connected(stream.local_addr()?)).await?;
    let (mut reader, mut writer) = stream.split();
    let read = async {
        let mut units = Units::default();
        let mut room = vec![0; 16 * 1024];
        loop {
            let length = reader.read(&mut room).await?;
            if length == 0 {
                return Ok(());
            }
            units.add(&room[..length]);
            while let Some(unit) = units.take()? {
                tell(FromStream::Unit(unit)).await?;
            }
        }
    };
    let write = async {
        while let Some(unit) = waiting.recv().await {
            writer.write_all(&unit).await?;
        }
        Ok(())
    };
    tokio::select! {
        end = read => end,
        end = write => end,
    }
}

/// Finds units in a stream of bytes. What is kept is less than one unit: 65,539 bytes at most, and
/// what was read last.
#[derive(Debug, Default)]
struct Units {
    bytes: Vec<u8>,
}

impl Units {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole unit, without what pads it.
    ///
    /// # Errors
    /// What comes is neither STUN nor channel data.
    fn take(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(&[first, _, high, low]) = self.bytes.first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let whole = match first >> 6 {
            0 => STUN_HEADER + length,
            1 => HEAD + length,
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        let padded = whole.next_multiple_of(4);
        if self.bytes.len() < padded {
            return Ok(None);
        }
        let mut unit: Vec<u8> = self.bytes.drain(..padded).collect();
        unit.truncate(whole);
        Ok(Some(unit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel_data(length: u8) -> Vec<u8> {
        [&[0x40, 0, 0, length][..], &vec![7; length.into()]].concat()
    }

    #[test]
    fn units_are_found_however_the_stream_is_cut() {
        let stun = [vec![0, 1, 0, 4], vec![9; 20]].concat();
        let units = [channel_data(5), stun, channel_data(0), channel_data(8)];
        let mut bytes = Vec::new();
        for unit in &units {
            bytes.extend_from_slice(unit);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        for piece in 1..bytes.len() {
            let mut found = Vec::new();
            let mut stream = Units::default();
            for bytes in bytes.chunks(piece) {
                stream.add(bytes);
                found.extend(std::iter::from_fn(|| stream.take().unwrap()));
            }
            assert_eq!(found, units, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_unit_ends_the_connection() {
        let mut stream = Units::default();
        stream.add(&[0xff; 8]);
        assert!(stream.take().is_err());
    }
}
