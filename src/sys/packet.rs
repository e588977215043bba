//! How does a whole Ethernet frame leave one interface, and come in by it? Through an `AF_PACKET`
//! socket, which hears only what it is opened for.
//!
//! socket2 and nix open such sockets but offer no safe way to write a `sockaddr_ll`.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use libc::{sockaddr_ll, socklen_t};
use nix::errno::Errno;
use socket2::{Domain, SockFilter, Socket, Type};

use super::mmsg::{self, Inbox, SLOTS};

/// A socket that sends frames out of one interface, and may hear what comes in by it.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// Opens one on the interface of this index, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_RAW`; `ENODEV` where no interface has the index.
    pub fn open(index: u32) -> io::Result<Self> {
        let socket = new()?;
        bind(&socket, index, 0)?;
        Ok(Self(socket))
    }

    /// Opens one that hears the frames of this protocol (an `ETH_P_` number) that come in and pass
    /// the filter; what the host itself sends does not come in.
    ///
    /// # Errors
    /// As [`PacketSocket::open`]; `EINVAL` for a filter that is none.
    pub fn hearing(index: u32, protocol: u16, filter: &[SockFilter]) -> io::Result<Self> {
        let socket = new()?;
        socket.attach_filter(filter)?;
        bind(&socket, index, protocol)?;
        Ok(Self(socket))
    }

    /// From now on another filter decides what is heard.
    ///
    /// # Errors
    /// `EINVAL` for a filter that is none, `ENOMEM`.
    pub fn set_filter(&self, filter: &[SockFilter]) -> io::Result<()> {
        self.0.attach_filter(filter)
    }

    /// Takes waiting frames without blocking, as [`Inbox::receive`].
    ///
    /// # Errors
    /// `EAGAIN` where none waits; `ENETDOWN`, once, when the interface went down.
    pub fn receive(&self, inbox: &mut Inbox) -> Result<usize, Errno> {
        inbox.receive(self.0.as_fd(), SLOTS)
    }

    /// The interface's Ethernet address now; `None` where it has none (loopback, tunnels).
    ///
    /// # Errors
    /// `ENODEV` once the interface is gone or has moved to another namespace, even if a new one
    /// has its name.
    pub fn mac(&self) -> io::Result<Option<[u8; 6]>> {
        let name = name(&self.0)?;
        if name.sll_ifindex <= 0 {
            return Err(Errno::ENODEV.into());
        }
        if name.sll_hatype != libc::ARPHRD_ETHER || name.sll_halen != 6 {
            return Ok(None);
        }
        Ok(name.sll_addr.first_chunk().copied())
    }

    /// Hands over frames (with their Ethernet headers), up to [`mmsg::BATCH`] of them, without
    /// blocking. Returns how many the kernel took: 0 where its queue is full.
    ///
    /// # Errors
    /// What the kernel said about the first frame, for example `ENETDOWN`.
    pub fn send_batch<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) -> io::Result<usize> {
        match mmsg::send(
            self.0.as_fd(),
            frames.into_iter().map(|frame| (frame, None)),
        ) {
            // ENOBUFS: the queue of the device is full, not ours.
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Ok(0),
            Err(other) => Err(other.into()),
            Ok(sent) => Ok(sent),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const NAME_LEN: socklen_t = size_of::<sockaddr_ll>() as socklen_t;

/// Protocol 0: the kernel hands it no frame, so nothing can fill a queue that nobody reads.
fn new() -> io::Result<Socket> {
    let flags = Type::RAW.nonblocking().cloexec();
    Socket::new_raw(Domain::PACKET, flags, None)
}

fn bind(socket: &Socket, index: u32, protocol: u16) -> io::Result<()> {
    let mut name = empty_name();
    name.sll_family = libc::AF_PACKET as u16;
    name.sll_protocol = protocol.to_be();
    name.sll_ifindex = i32::try_from(index).map_err(|_| Errno::ENODEV)?;
    // SAFETY: the pointer and length describe `name`, a whole sockaddr_ll that lives on the stack.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const name).cast(), NAME_LEN) };
    Errno::result(done)?;
    Ok(())
}

fn name(socket: &Socket) -> io::Result<sockaddr_ll> {
    let mut name = empty_name();
    let mut len = NAME_LEN;
    // SAFETY: the kernel writes at most `len` bytes to `name`, and any bytes make a sockaddr_ll.
    let done =
        unsafe { libc::getsockname(socket.as_raw_fd(), (&raw mut name).cast(), &raw mut len) };
    Errno::result(done)?;
    Ok(name)
}

fn empty_name() -> sockaddr_ll {
    // SAFETY: a sockaddr_ll is made of integers, for which all-zero is a value.
    unsafe { mem::zeroed() }
}
