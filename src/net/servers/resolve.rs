//! From the names of servers to their addresses.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::lookup_host;
use tokio::sync::mpsc;

use super::super::clock;
use crate::config::IceServerUri;

/// A name that could not be resolved is asked for again after so long, one that could after so much.
const AGAIN_AFTER_FAILURE: Duration = Duration::from_secs(5);
const AGAIN_AFTER_SUCCESS: Duration = Duration::from_secs(600);

/// Addresses of one name that are used.
const MAX_ADDRESSES: usize = 4;

/// Names that are being resolved; each is asked for once at a time.
const QUEUE: usize = 32;

/// The addresses of names.
#[derive(Debug)]
pub(super) struct Resolver {
    known: BTreeMap<(String, u16), Name>,
    found: mpsc::Receiver<((String, u16), Vec<SocketAddr>)>,
    tell: mpsc::Sender<((String, u16), Vec<SocketAddr>)>,
}

#[derive(Debug)]
struct Name {
    addresses: Vec<SocketAddr>,
    /// `None` while it is being asked for.
    again: Option<Instant>,
}

impl Default for Resolver {
    fn default() -> Self {
        let (tell, found) = mpsc::channel(QUEUE);
        Self { known: BTreeMap::new(), found, tell }
    }
}

/// The addresses of a server, looked up now.
///
/// # Errors
/// What the system says.
pub(in crate::net) async fn look_up(uri: &IceServerUri) -> io::Result<Vec<SocketAddr>> {
    match uri.host.parse() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, uri.port)]),
        Err(_) => addresses_of(&uri.host, uri.port).await,
    }
}

async fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.take(MAX_ADDRESSES).collect())
}

impl Resolver {
    /// The addresses of a server, as far as they are known; asks for what is not. Needs a tokio
    /// runtime where there are names.
    pub(super) fn addresses(&mut self, uri: &IceServerUri, now: Instant) -> Vec<SocketAddr> {
        if let Ok(ip) = uri.host.parse::<IpAddr>() {
            return vec![SocketAddr::new(ip, uri.port)];
        }
        let key = (uri.host.clone(), uri.port);
        let unknown = Name { addresses: Vec::new(), again: Some(now) };
        let name = self.known.entry(key.clone()).or_insert(unknown);
        if name.again.is_some_and(|at| at <= now) {
            name.again = None;
            let tell = self.tell.clone();
            tokio::spawn(async move {
                let addresses = addresses_of(&key.0, key.1).await.unwrap_or_else(|error| {
                    log::debug!("server not found: name={}: {error}", key.0);
                    Vec::new()
                });
                // Nobody waits any more where this fails.
                let _ = tell.send((key, addresses)).await;
            });
        }
        name.addresses.clone()
    }

    /// When a name is to be asked for again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.known.values().filter_map(|name| name.again).min()
    }

    /// Waits for an answer and takes it.
    pub(super) async fn wait(&mut self) {
        let Some((key, addresses)) = self.found.recv().await else { return };
        let Some(name) = self.known.get_mut(&key) else { return };
        let pause = if addresses.is_empty() { AGAIN_AFTER_FAILURE } else { AGAIN_AFTER_SUCCESS };
        name.again = Some(clock::now() + pause);
        // What is known stays while there is no network to ask.
        if !addresses.is_empty() {
            name.addresses = addresses;
        }
    }
}
