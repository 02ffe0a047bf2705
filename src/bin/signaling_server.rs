//! `signaling_server`: introduces the rovers of a fleet to each other.

use std::ffi::{OsStr, OsString};
use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Parser;
use log::{error, info, warn};
use rover_link::config::{IceServerUri, IceService, own_arguments};
use rover_link::signaling::ice_offer::{DEFAULT_LIFETIME, IceOffer};
use rover_link::signaling::server::{self, DEFAULT_BIND, ServerError, ServerOptions};
use rover_link::signaling::token::Token;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Exit status of a configuration that cannot work; clap uses the same for wrong arguments.
const EXIT_CONFIGURATION: u8 = 2;
/// Exit status when the address cannot be bound.
const EXIT_BIND: u8 = 3;
/// Files that the process needs besides its connections.
const OTHER_FILES: u64 = 64;

/// Introduces the rovers of a fleet to each other, over WebSocket.
///
/// The bearer token that clients must present is read from --token-file, else from the environment
/// variable ROVER_LINK_TOKEN. Without a token, only loopback addresses can be bound. The log goes to
/// standard error; RUST_LOG sets its level. Everything from --ros-args on is ignored.
#[derive(Parser)]
#[command(name = "signaling_server", version)]
struct Arguments {
    /// Address and port to listen on; port 0 takes any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = DEFAULT_BIND)]
    bind: SocketAddr,

    /// File that holds the bearer token; empty, as launch files pass it, means none
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    token_file: OsString,

    /// TURN server that members are told of, as turn:HOST:PORT?transport=udp (or tcp); may be given
    /// several times. It has to know the secret of --turn-secret-file. An empty one counts as not given
    #[arg(long = "turn-url", value_name = "URL")]
    turn_urls: Vec<String>,

    /// File that holds the secret shared with the TURN servers (coturn: use-auth-secret,
    /// static-auth-secret), by which members get credentials that run out; empty means none
    #[arg(long, value_name = "FILE", default_value = "", hide_default_value = true)]
    turn_secret_file: OsString,

    /// How long such a credential is good, s; a new one comes after half of it
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = DEFAULT_LIFETIME.as_secs(),
        value_parser = clap::value_parser!(u64).range(60..=31_536_000)
    )]
    turn_lifetime: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let arguments = Arguments::parse_from(own_arguments(std::env::args_os()));
    let options = match options(&arguments) {
        Ok(options) => options,
        Err(error) => {
            error!("{error:#}");
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    match serve(arguments.bind, options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            match error.downcast_ref() {
                Some(ServerError::Unprotected(_)) => ExitCode::from(EXIT_CONFIGURATION),
                Some(ServerError::Bind { .. }) => ExitCode::from(EXIT_BIND),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn options(arguments: &Arguments) -> anyhow::Result<ServerOptions> {
    let (token, ice_offer) = (token(&arguments.token_file)?, ice_offer(arguments)?);
    Ok(ServerOptions { token, ice_offer, ..ServerOptions::default() })
}

fn ice_offer(arguments: &Arguments) -> anyhow::Result<Option<IceOffer>> {
    let file = Path::new(&arguments.turn_secret_file);
    let mut urls = Vec::new();
    for url in arguments.turn_urls.iter().filter(|url| !url.is_empty()) {
        let uri = IceServerUri::parse(url).context("--turn-url")?;
        anyhow::ensure!(uri.service != IceService::Stun, "--turn-url: `{url}` is no TURN server");
        urls.push(uri.to_string());
    }
    match (urls.is_empty(), file.as_os_str().is_empty()) {
        (true, true) => return Ok(None),
        (false, false) => {}
        (true, false) => anyhow::bail!("--turn-secret-file is of no use without --turn-url"),
        (false, true) => anyhow::bail!("--turn-url needs --turn-secret-file"),
    }
    let secret = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the file of the TURN secret {}", file.display()))?;
    anyhow::ensure!(!secret.trim().is_empty(), "{} holds no TURN secret", file.display());
    let lifetime = Duration::from_secs(arguments.turn_lifetime);
    let unix_time = SystemTime::now().duration_since(UNIX_EPOCH).context("the system's clock")?;
    let moment = (Instant::now(), unix_time.as_secs());
    Ok(Some(IceOffer::new(urls, secret.trim().as_bytes(), lifetime, moment)))
}

fn token(file: &OsStr) -> anyhow::Result<Option<Token>> {
    if !file.is_empty() {
        let path = Path::new(file);
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the token file {}", path.display()))?;
        let token = text.parse().with_context(|| format!("token file {}", path.display()))?;
        return Ok(Some(token));
    }
    match std::env::var("ROVER_LINK_TOKEN") {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.parse().context("ROVER_LINK_TOKEN")?)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context("ROVER_LINK_TOKEN"),
    }
}

async fn serve(address: SocketAddr, options: ServerOptions) -> anyhow::Result<()> {
    // Before the start-up line: whoever has read it may send a signal.
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    raise_file_limit(options.max_connections as u64 + OTHER_FILES);

    let listener = server::bind(address, &options).await?;
    let bound = listener.local_addr().context("the bound address")?;
    if options.token.is_none() {
        warn!("no token is configured: every program of this machine may join any fleet");
    }
    if let Err(error) =
        writeln!(stdout(), "Server listening on {bound}").and_then(|()| stdout().flush())
    {
        warn!("standard output: {error}");
    }
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => info!("SIGINT"),
            _ = terminate.recv() => info!("SIGTERM"),
        }
    };
    server::run(listener, options, stopped).await;
    Ok(())
}

/// Systems often start processes with 1,024 files, which is too few for that many members.
fn raise_file_limit(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return;
    }
    let raised = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let wanted = Rlimit { current: Some(raised), maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        warn!("cannot raise the number of open files to {raised}: {error}");
    } else if raised < needed {
        warn!("only {raised} files may be open, so fewer than {needed} members can connect");
    }
}
