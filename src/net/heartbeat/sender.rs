//! How do many adverts leave at little cost? They are queued, then sent in one system call.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockAddr, Socket};

use super::open::{OpenError, Opening, Step};
use crate::config::Family;
use crate::core::Instant;
use crate::sys::{clock, mmsg};

/// Sends IP protocol 112 of one family out of one interface, from one address.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    index: u32,
    frames: Vec<u8>,
    queue: Vec<Queued>,
    done: Flushed,
}

/// One frame: where it is in the arena, where it goes, and from when on it would be wrong.
#[derive(Debug)]
struct Queued {
    bytes: Range<usize>,
    to: SockAddr,
    until: Instant,
}

/// What became of the frames queued since the last flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use]
pub struct Flushed {
    /// Taken by the kernel.
    pub sent: u32,
    /// Refused by the kernel, and given up.
    pub failed: u32,
    /// What the kernel said about the first of those.
    pub error: Option<Errno>,
    /// Not even tried, since it was too late for them.
    pub late: u32,
}

impl Sender {
    /// Opens a socket on `interface`, which has this `index`, bound to `source`. With IPv4 the
    /// frames bring their IP header; with IPv6 the kernel writes it (hop limit 255).
    ///
    /// # Errors
    /// See [`OpenError`]; `EADDRNOTAVAIL` while the address is not there.
    pub fn open(
        interface: &str,
        index: u32,
        source: IpAddr,
        multicast: bool,
    ) -> Result<Self, OpenError> {
        let family = Family::of(source);
        let opening = Opening::new(interface, index, family)?;
        match family {
            Family::V4 => set_up_v4(&opening, multicast)?,
            Family::V6 => set_up_v6(&opening, index, multicast)?,
        }
        // It never reads; the filter drops what it would hear, the buffer is the second line.
        opening.option("SO_RCVBUF", |s| s.set_recv_buffer_size(0))?;
        opening.option("SO_SNDBUF", set_room)?;
        opening.option("SO_PRIORITY", |s| s.set_priority(INTERACTIVE))?;
        let name = address(source, index);
        opening.step(Step::Source(source), |s| s.bind(&name))?;
        Ok(Self {
            socket: opening.socket,
            index,
            frames: Vec::with_capacity(ARENA),
            queue: Vec::with_capacity(QUEUE),
            done: Flushed::default(),
        })
    }

    /// Queues one frame, which leaves before `until` (of the boot clock) or not at all; sends what is queued first
    /// where there is no room.
    pub fn queue(&mut self, frame: &[u8], destination: IpAddr, until: Instant) {
        if frame.len() > ARENA {
            return self.done.fail(1, Errno::EMSGSIZE);
        }
        if self.queue.len() == QUEUE || self.frames.len() + frame.len() > ARENA {
            self.transmit();
        }
        let start = self.frames.len();
        self.frames.extend_from_slice(frame);
        self.queue.push(Queued {
            bytes: start..self.frames.len(),
            to: address(destination, self.index),
            until,
        });
    }

    /// Sends what is queued, without blocking. A frame that the kernel refuses is skipped and
    /// does not hold back the others; nothing stays queued, since a late advert is a wrong one.
    pub fn flush(&mut self) -> Flushed {
        self.transmit();
        std::mem::take(&mut self.done)
    }

    fn transmit(&mut self) {
        self.drop_late();
        let mut next = 0;
        while next < self.queue.len() {
            match mmsg::send(self.socket.as_fd(), self.queued_from(next)) {
                Err(Errno::EINTR) => {}
                Ok(sent) => {
                    next += sent;
                    self.done.sent += count(sent);
                }
                Err(error) if holds_for_all(error) => {
                    self.done.fail(self.queue.len() - next, error);
                    break;
                }
                Err(error) => {
                    next += 1;
                    self.done.fail(1, error);
                }
            }
        }
        self.queue.clear();
        self.frames.clear();
    }

    /// This thread may have stood still since they were queued. What it does in the next moment, the gate sees.
    fn drop_late(&mut self) {
        if self
            .queue
            .iter()
            .all(|queued| queued.until == Instant::NEVER)
        {
            return;
        }
        let (now, before) = (clock::now(), self.queue.len());
        self.queue.retain(|queued| now < queued.until);
        self.done.late += count(before - self.queue.len());
    }

    fn queued_from(&self, next: usize) -> impl Iterator<Item = (&[u8], Option<&SockAddr>)> {
        let queued = self.queue[next..].iter();
        queued.map(|queued| (&self.frames[queued.bytes.clone()], Some(&queued.to)))
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Flushed {
    fn fail(&mut self, frames: usize, error: Errno) {
        self.failed += count(frames);
        self.error = self.error.or(Some(error));
    }
}

/// Frames that are queued at most; an advert of 250 groups each, and one a second.
const QUEUE: usize = 256;
/// Their bytes at most.
const ARENA: usize = 64 * 1024;
/// Kernel memory for frames under way: a full queue of ours, several times over.
const ROOM: usize = 1 << 20;
/// The highest that needs no capability (`TC_PRIO_INTERACTIVE`).
const INTERACTIVE: u32 = 6;
/// RFC 9568, section 5.1.1.3.
const HOP_LIMIT: u32 = 255;
/// Internetwork control (CS6), as every VRRP router sends.
const TRAFFIC_CLASS: u32 = 0xc0;

fn set_up_v4(opening: &Opening<'_>, multicast: bool) -> Result<(), OpenError> {
    opening.option("IP_HDRINCL", |s| s.set_header_included_v4(true))?;
    if !multicast {
        return Ok(());
    }
    // The device that the socket is bound to decides where multicast leaves.
    opening.option("IP_MULTICAST_LOOP", |s| s.set_multicast_loop_v4(false))
}

fn set_up_v6(opening: &Opening<'_>, index: u32, multicast: bool) -> Result<(), OpenError> {
    opening.option("IPV6_UNICAST_HOPS", |s| s.set_unicast_hops_v6(HOP_LIMIT))?;
    opening.option("IPV6_TCLASS", |s| s.set_tclass_v6(TRAFFIC_CLASS))?;
    if !multicast {
        return Ok(());
    }
    opening.option("IPV6_MULTICAST_HOPS", |s| {
        s.set_multicast_hops_v6(HOP_LIMIT)
    })?;
    opening.option("IPV6_MULTICAST_IF", |s| s.set_multicast_if_v6(index))?;
    opening.option("IPV6_MULTICAST_LOOP", |s| s.set_multicast_loop_v6(false))
}

/// Needs CAP_NET_ADMIN to exceed the host's limit; less is no reason not to start.
fn set_room(socket: &Socket) -> io::Result<()> {
    match setsockopt(socket, sockopt::SndBufForce, &ROOM) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_send_buffer_size(ROOM),
    }
}

/// Link-local addresses mean something only together with an interface.
fn address(address: IpAddr, index: u32) -> SockAddr {
    let address: SocketAddr = match address {
        IpAddr::V4(v4) => SocketAddrV4::new(v4, 0).into(),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, 0, 0, index).into(),
    };
    SockAddr::from(address)
}

/// Errors of the interface or the socket rather than of one destination.
fn holds_for_all(error: Errno) -> bool {
    matches!(
        error,
        Errno::EAGAIN | Errno::ENETDOWN | Errno::ENODEV | Errno::ENXIO | Errno::EBADF
    )
}

fn count(frames: usize) -> u32 {
    u32::try_from(frames).unwrap_or(u32::MAX)
}
