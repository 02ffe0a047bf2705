//! A TUN device: a network interface whose packets this program takes from the kernel and gives to
//! it (the kernel's Documentation/networking/tuntap).

#![expect(unsafe_code, reason = "such a device is made and changed by ioctl, and by nothing else")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::ioctl::{self, Opcode, Setter, opcode};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const DEVICE: &str = "/dev/net/tun";

const TUNSETIFF: Opcode = opcode::write::<i32>(b'T', 202);
const TUNSETCARRIER: Opcode = opcode::write::<i32>(b'T', 226);

/// IP packets without anything before them.
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;

/// `IFNAMSIZ`: the longest name of an interface with its final NUL, bytes.
const NAME_BYTES: usize = 16;

/// `struct ifreq`, as far as TUN looks at it.
#[repr(C)]
struct Request {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u8; 22],
}

/// A network interface in some namespace. It is gone with this value.
pub(crate) struct Tun(File);

impl Tun {
    /// Makes an interface of this name in a network namespace. The calling thread stays there.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn create(namespace: BorrowedFd<'_>, name: &str) -> io::Result<Self> {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))?;
        let file = OpenOptions::new().read(true).write(true).open(DEVICE)?;
        rustix::io::ioctl_fionbio(&file, true)?;
        let mut request =
            Request { name: [0; NAME_BYTES], flags: IFF_TUN | IFF_NO_PI, rest: [0; 22] };
        // The last byte stays 0.
        let room = request.name[..NAME_BYTES - 1].get_mut(..name.len());
        room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
        // SAFETY: TUNSETIFF reads a `struct ifreq`, which is what `Request` is laid out as.
        unsafe { ioctl::ioctl(&file, Setter::<TUNSETIFF, Request>::new(request)) }?;
        Ok(Self(file))
    }

    /// Tells the kernel whether the device has a carrier.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn set_carrier(&self, is_on: bool) -> io::Result<()> {
        // SAFETY: TUNSETCARRIER reads an `int`.
        unsafe { ioctl::ioctl(&self.0, Setter::<TUNSETCARRIER, i32>::new(i32::from(is_on))) }?;
        Ok(())
    }

    /// The next packet that the kernel sends by this device: its length.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the kernel a packet. A device that is down takes none, as a radio that is off.
    pub(crate) fn send(&self, packet: &[u8]) {
        let _ = (&self.0).write(packet);
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
