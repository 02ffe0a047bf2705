//! The processes at the ends.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// A process of this program that is stopped when it is no longer needed.
pub(crate) struct End(Child);

impl End {
    /// Starts this program with other arguments.
    pub(crate) fn start<A: Into<OsString>>(
        arguments: impl IntoIterator<Item = A>,
        input: impl Into<Stdio>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("where this program is")?;
        let child = Command::new(program)
            .args(arguments.into_iter().map(Into::into))
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .context("one end does not start")?;
        Ok(Self(child))
    }

    /// Waits for the line in which it tells what it has measured.
    pub(crate) fn answer(&mut self) -> anyhow::Result<String> {
        let stdout = self.0.stdout.take().context("asked twice")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            bail!("one end has failed");
        }
        Ok(line)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The socket to the other end, which is the standard input of this one.
pub(crate) fn other_end() -> anyhow::Result<UnixStream> {
    Ok(UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?))
}

/// Two sockets that lead to each other, for the standard inputs of two ends.
pub(crate) fn pair() -> anyhow::Result<(OwnedFd, OwnedFd)> {
    let (one, other) = UnixStream::pair()?;
    Ok((one.into(), other.into()))
}
