//! What has arrived? Drains adverts from one interface, as many as the kernel's filter lets in.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockFilter, Socket};

use super::open::{OpenError, Opening, Step};
use super::{GROUP_V4, GROUP_V6};
use crate::config::Family;
use crate::sys::mmsg::{Inbox, Received, SLOTS};
use crate::sys::sockopt::lost;

/// Receives IP protocol 112 of one family on one interface.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
    inbox: Inbox,
    multicast: bool,
}

/// One datagram of IP protocol 112. For IPv4 `bytes` begins with the IP header, which tells
/// source, destination and TTL; those of IPv6 are in the other fields.
pub type Datagram<'a> = Received<'a>;

/// What one [`Receiver::drain`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Drained {
    /// Datagrams handed on.
    pub datagrams: usize,
    /// Whether the budget ended before the queue did, as far as is known.
    pub cut_short: bool,
    /// What the kernel said about the socket instead of giving the next one; told once, to be
    /// counted. The socket stays usable.
    pub error: Option<Errno>,
}

impl Receiver {
    /// Opens a socket on `interface`, which has this `index`, for what is sent to this host and,
    /// with `multicast`, to the VRRP group. It stays deaf until [`Receiver::set_filter`].
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        interface: &str,
        index: u32,
        family: Family,
        multicast: bool,
    ) -> Result<Self, OpenError> {
        let opening = Opening::new(interface, index, family)?;
        opening.option("SO_RCVBUF", set_queue)?;
        opening.option("SO_TIMESTAMPNS", |s| {
            Ok(setsockopt(s, sockopt::ReceiveTimestampns, &true)?)
        })?;
        match family {
            Family::V4 => set_up_v4(&opening, index, multicast)?,
            Family::V6 => set_up_v6(&opening, index, multicast)?,
        }
        let mut receiver = Self {
            socket: opening.socket,
            inbox: Inbox::new(),
            multicast,
        };
        receiver.forget();
        Ok(receiver)
    }

    /// Lets in what `program` (classic BPF; it sees IPv4 from the IP header on, IPv6 from the
    /// payload on) accepts. Replaces the last one at once, without losing what is queued.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub fn set_filter(&self, program: &[SockFilter]) -> io::Result<()> {
        if program.len() > LONGEST_FILTER {
            return Err(Errno::EINVAL.into());
        }
        self.socket.attach_filter(program)
    }

    /// Hands what is queued to `sink`, `budget` datagrams at most, without blocking.
    pub fn drain(&mut self, budget: usize, mut sink: impl FnMut(Datagram<'_>)) -> Drained {
        let mut drained = Drained::default();
        let mut left = budget;
        while left > 0 {
            let most = SLOTS.min(left);
            let count = match self.inbox.receive(self.socket.as_fd(), most) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => break,
                // Told once and then gone: what is queued is still there.
                Err(error) if drained.error.is_none() => {
                    drained.error = Some(error);
                    continue;
                }
                Err(_) => break,
            };
            let datagrams = (0..count).map(|slot| self.inbox.datagram(slot));
            for datagram in datagrams.filter(|datagram| self.is_asked_for(datagram)) {
                drained.datagrams += 1;
                sink(datagram);
            }
            // Fewer than asked for: the queue was empty, no need to ask again.
            if count < most {
                return drained;
            }
            left -= count;
        }
        drained.cut_short = left == 0;
        drained
    }

    /// Datagrams lost since opening because the queue was full.
    ///
    /// # Errors
    /// The kernel is older than 4.12.
    pub fn lost(&self) -> io::Result<u32> {
        lost(self.socket.as_fd())
    }

    /// A raw IPv6 socket also hears groups that others on this host have joined, whatever
    /// `IPV6_MULTICAST_ALL` says.
    fn is_asked_for(&self, datagram: &Datagram<'_>) -> bool {
        self.multicast || !datagram.destination.is_some_and(|to| to.is_multicast())
    }

    /// Drops what came between the socket's first moment and its deaf filter.
    fn forget(&mut self) {
        while self.inbox.receive(self.socket.as_fd(), SLOTS).is_ok() {}
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `BPF_MAXINSNS`.
const LONGEST_FILTER: usize = 4096;

/// Bytes of socket buffers: over a thousand adverts, what 250 groups send in a third of a second
/// at 100 ms.
const QUEUE: usize = 1 << 20;

/// Needs CAP_NET_ADMIN to exceed the host's limit; less is no reason not to start.
fn set_queue(socket: &Socket) -> io::Result<()> {
    match setsockopt(socket, sockopt::RcvBufForce, &QUEUE) {
        Ok(()) => Ok(()),
        Err(_) => socket.set_recv_buffer_size(QUEUE),
    }
}

fn set_up_v4(opening: &Opening<'_>, index: u32, multicast: bool) -> Result<(), OpenError> {
    // Otherwise groups that other programs joined would come in here.
    opening.option("IP_MULTICAST_ALL", |s| s.set_multicast_all_v4(false))?;
    if !multicast {
        return Ok(());
    }
    let device = socket2::InterfaceIndexOrAddress::Index(index);
    let join = |s: &Socket| s.join_multicast_v4_n(&GROUP_V4, &device);
    opening.step(Step::Join(IpAddr::V4(GROUP_V4)), join)
}

fn set_up_v6(opening: &Opening<'_>, index: u32, multicast: bool) -> Result<(), OpenError> {
    opening.option("IPV6_RECVHOPLIMIT", |s| s.set_recv_hoplimit_v6(true))?;
    opening.option("IPV6_RECVPKTINFO", |s| {
        Ok(setsockopt(s, sockopt::Ipv6RecvPacketInfo, &true)?)
    })?;
    if !multicast {
        return Ok(());
    }
    let join = |s: &Socket| s.join_multicast_v6(&GROUP_V6, index);
    opening.step(Step::Join(IpAddr::V6(GROUP_V6)), join)
}
